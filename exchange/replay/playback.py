"""A journal played to clients: the doors of the exchange in front of a venue that does again what it did, at a chosen speed.

Market data is made and sent by the code that does it live. Nothing can be changed, and what needs tables (lists of the past,
what is a participant's own) is not answered: READ_ONLY.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, cast

import matching_core
from exchange import __version__
from exchange.adapters.feed_files import replayed_views
from exchange.domain.venue import Venue
from exchange.engine.feed_replay import FeedReplay
from exchange.engine.handle import Answer, Envelope, Handle, OnAnswer, WriterStats
from exchange.engine.journal import Frame
from exchange.engine.market_data import EVENTS_KEPT, STEPS_KEPT
from exchange.gateways.access import Access
from exchange.gateways.dispatch import Dispatcher, OnDone
from exchange.gateways.limits import DoorBudgets, DoorLimits, limits_answer
from exchange.gateways.rest.app import build_app
from exchange.gateways.rest.metrics import Metrics
from exchange.gateways.stream.endpoint import StreamDoor
from exchange.gateways.stream.session import OPERATIONS_KNOWN
from exchange.gateways.stream.stats import StreamStats
from exchange.ports_access import FeedHistory, HistoryRow, KeyRow, Keys, Principal, ReportRow, Reports
from exchange.ports_history import History
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import Operation

EPOCH = 1  # of the whole replay, however often the exchange was started
OBSERVER = "observer"  # whose key it is; no participant of the venue can see what is another's
MAX_SPEED = 0  # as fast as clients take it
NS_PER_S = 1_000_000_000
PAUSE_S = 0.001  # until clients are looked at again
WATCHED = frozenset((
    "health", "limits", "errors", "feed", "feed_integrity", "venue", "catalogue", "instruments", "depth", "lane", "demand",
    "curve",
))  # fmt: skip


def read_only() -> DoorError:
    """What is not to be had in a replay; to be raised."""
    return DoorError(DoorReason.READ_ONLY, "a replay answers what its market is at this moment, and takes nothing")


class Pacer:
    """When the next thing is due: as long after the first as in the journal, divided by the speed."""

    def __init__(
        self, speed: int, clock: Callable[[], float] = monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """clock and sleep: in seconds."""
        assert speed > 0
        self._speed, self._clock, self._sleep = speed, clock, sleep
        self._began: tuple[float, int] | None = None

    async def until(self, ts_ns: int) -> None:
        """Returns when it is due; late ones are not waited for, and nothing after them is later because of it."""
        if self._began is None:
            self._began = self._clock(), ts_ns
        began_s, first_ns = self._began
        wait_s = began_s + (ts_ns - first_ns) / NS_PER_S / self._speed - self._clock()
        await self._sleep(max(0.0, wait_s))


class ReplayHandle:
    """A `Handle` that takes no command."""

    epoch = EPOCH
    halted = ""
    waiting = 0

    def __init__(self, replay: FeedReplay) -> None:
        self._replay = replay
        self.stats, self.problems = WriterStats(), list[str]()

    @property
    def venue(self) -> Venue:
        """As it was after the last frame that was played."""
        return self._replay.venue

    @property
    def now_ns(self) -> int:
        """The venue's time then."""
        return self._replay.venue.now_ns

    @property
    def seq(self) -> int:
        """Number of the last command that was played."""
        return self._replay.machine.seq

    @property
    def durable_seq(self) -> int:
        """All of it is."""
        return self.seq

    @property
    def offset(self) -> int:
        """As a `Stored`: there are no tables that could be behind."""
        return self.seq

    problem, is_behind = "", False

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        """As a `Stored`."""
        return True

    async def submit(self, command: Any, envelope: Envelope = Envelope()) -> Answer:
        """DoorError READ_ONLY."""
        raise read_only()

    def submit_nowait(self, command: Any, envelope: Envelope, on_answer: OnAnswer) -> None:
        """DoorError READ_ONLY."""
        raise read_only()


class ReadOnly(Dispatcher):
    """Answers what the market is, and turns all else away."""

    async def run(self, principal: Principal, operation: Operation, args: Any, **named: Any) -> Any:
        """DoorError READ_ONLY for what is not watched."""
        if operation.name not in WATCHED:
            raise read_only()
        return await super().run(principal, operation, args, **named)

    def command_nowait(
        self, principal: Principal, operation: Operation, args: Any, on_done: OnDone, **_named: Any
    ) -> None:
        """READ_ONLY, at once."""
        on_done(read_only())


class OneKey:
    """`Keys` of a replay: one made at its start and kept nowhere. It has the scopes of a trader, so that a program that trades
    is told why it cannot here."""

    def __init__(self) -> None:
        self.secret = f"cpx_replay_{secrets.token_urlsafe(24)}"
        self._row = KeyRow("replay", OBSERVER, ("read", "trade", "provide"), "replay", 0)

    def find(self, secret: str) -> KeyRow | None:
        """The key, where it is its secret."""
        given, own = (hashlib.sha256(each.encode("utf-8", "replace")).digest() for each in (secret, self.secret))
        return self._row if hmac.compare_digest(given, own) else None

    def is_alive(self, key_id: str) -> bool:
        """To the end of the replay."""
        return key_id == self._row.key_id

    def create(self, participant: str, scopes: Sequence[str], label: str = "", expires_ns: int = 0) -> NoReturn:
        """DoorError READ_ONLY."""
        raise read_only()

    def list(self, after: str = "", limit: int = 1000) -> NoReturn:
        """DoorError READ_ONLY."""
        raise read_only()

    def revoke(self, key_id: str) -> NoReturn:
        """DoorError READ_ONLY."""
        raise read_only()


class _NoFiles:
    """Neither reports nor history are written here."""

    def start(self, seq: int) -> ReportRow:
        raise read_only()

    def find(self, report_id: str) -> ReportRow | None:
        return None

    def look(self, day: str, channel: str, seq: int) -> HistoryRow:
        raise read_only()

    def file(self, *_names: str) -> Path | None:
        return None


class Playback:
    """A journal behind the doors of an exchange; `app` is what a server serves, `key` what a client logs in with."""

    def __init__(self, frames: Iterator[Frame], *, speed: int, limits: DoorLimits | None = None) -> None:
        """speed: times as fast as it happened; 0 = as fast as clients take it."""
        self._frames, self.speed = frames, speed
        self._next: Frame | None = next(frames, None)
        self.replay = FeedReplay(replayed_views, epoch=EPOCH, steps_kept=STEPS_KEPT, events_kept=EVENTS_KEPT)
        self._keys = OneKey()
        self.key = self._keys.secret
        self.app = self._doors(limits or DoorLimits())

    @property
    def next_ns(self) -> int | None:
        """The venue's time of the next frame; None at the end."""
        return None if self._next is None else self._next.ts_ns

    def skip(self, is_enough: Callable[[Venue, Frame], bool], advance: Callable[[int], None] = lambda _bytes: None) -> None:
        """Plays what is before the first frame of which `is_enough` says so, to nobody and at once."""
        while self._next is not None and not is_enough(self.replay.venue, self._next):
            advance(self._next.length)
            self._apply()

    async def play(self, pacer: Pacer | None = None) -> None:
        """Plays the rest, from when somebody follows something on; heartbeats go on after it."""
        while not self.stream.has_followers:
            await asyncio.sleep(PAUSE_S)
        pacer = pacer or (Pacer(self.speed) if self.speed else None)
        while self._next is not None:
            if pacer is not None:
                await pacer.until(self._next.ts_ns)
            else:
                await self._taken()
            self._apply()

    async def _taken(self) -> None:
        """Until every client has taken what there is for him."""
        await asyncio.sleep(0)
        while self.stream.is_behind:
            await asyncio.sleep(PAUSE_S)

    def say_goodbye(self) -> None:
        """Tells every socket that this is the end."""
        self.stream.shut_down()

    def _apply(self) -> None:
        assert self._next is not None
        self.replay.apply(self._next)
        self._next = next(self._frames, None)

    def _doors(self, limits: DoorLimits) -> Any:
        handle, keys, files = ReplayHandle(self.replay), cast(Keys, self._keys), _NoFiles()
        access, budgets, stats = Access(keys), DoorBudgets(limits), StreamStats()
        market = self.replay.market
        dispatcher = ReadOnly(
            cast(Handle, handle), cast(History, None), handle, keys, cast(Reports, files), budgets,
            "compressed" if self.speed else "manual", speed=str(self.speed or 1), depths=market, limits=limits_answer(limits),
            engine=matching_core.IMPLEMENTATION, version=__version__, valid_until_s=limits.valid_until_s, stream_stats=stats,
        )  # fmt: skip
        self.stream = StreamDoor(dispatcher, access, budgets, limits, market, stats=stats)
        return build_app(
            dispatcher, access, Metrics(cast(Handle, handle), lambda: handle.seq), limits=limits, budgets=budgets,
            reports=cast(Reports, files), history=cast(FeedHistory, files), version=__version__, stream=self.stream,
            stream_operations=OPERATIONS_KNOWN,
        )  # fmt: skip


def is_open_for_trading(venue: Venue, frame: Frame) -> bool:
    """Whether something is listed, and the venue's clock is set."""
    return bool(venue.state.families) and venue.now_ns > 0 and frame.ts_ns > venue.now_ns
