"""The feeds of a venue made again from its journal, by the very code that makes them live.

A frame of the journal is what the live venue did between two steps of its feeds, so each step comes again as it was: the same
data, time and checksum. Views, which are looked at once a second, are looked at once a second of the venue's time. A feed
counts from when somebody follows it; here that is from the moment on at which there is anything to follow.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from exchange.domain.venue import Venue
from exchange.engine.feeds import Feed, Message
from exchange.engine.journal import Frame
from exchange.engine.market_data import ALL, MarketData
from exchange.engine.recovery import decode_frame
from exchange.engine.sequencer import Machine
from exchange.engine.views import LOOK_NS, ViewChannel
from exchange.ports import Sink
from exchange.protocol.errors import DoorError
from exchange.protocol.formats import MSGPACK
from exchange.protocol.stream import RECORDED, WILD

ONE, OF_FAMILIES, CURVE = ("instruments", "demand"), ("prices",), "curve"
CANDLE_INTERVALS = ("1m", "5m", "15m", "1h", "4h", "1d")


Views = tuple[Sequence[ViewChannel], Sequence[Sink]]  # that are looked at; the sinks that what they show is made of


class FeedReplay:
    """An empty venue, and its feeds; `apply` the frames of its journal, from the first on."""

    def __init__(
        self, views: Callable[[Venue], Views], *, epoch: int = 0, steps_kept: int = 0, events_kept: int = 0
    ) -> None:
        """epoch: one for all of it; 0 = those of the journal, and every number begins anew where the venue was started."""
        self.venue = Venue()
        self.machine = Machine(self.venue)
        self._channels, self._sinks = views(self.venue)
        self._is_one, self._kept = epoch > 0, (steps_kept, events_kept)
        self._looked_ns = 0
        self.followers: list[Follower] = []
        self.market = self._market(epoch)

    def _market(self, epoch: int) -> MarketData:
        self.venue.followed.clear()
        steps, events = self._kept
        market = MarketData(
            self.venue, epoch, steps_kept=steps, events_kept=events, channels=self._channels,
            clock=lambda: self.venue.now_ns,
        )  # fmt: skip
        market.seq = self.machine.seq
        return market

    def apply(self, frame: Frame) -> None:
        """One frame, as the writer does it; VenueHalted, JournalError."""
        if not self._is_one and frame.epoch != self.market.epoch:
            self.market = self._market(frame.epoch)  # the venue was started anew
            self._keep_up()
        machine, venue = self.machine, self.venue
        told: list[tuple[int, int, Any, Sequence[Any]]] = []
        for logged in decode_frame(frame):
            events = machine.apply(logged.record, logged.command)
            told.append((logged.seq, venue.now_ns, logged.command, events))
        for sink in (*self._sinks, self.market.on_command):
            for each in told:
                sink(*each)
        self.market.after_batch(machine.seq)
        if venue.now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = venue.now_ns
            self.market.look()
        self._keep_up()

    def _keep_up(self) -> None:
        for follower in self.followers:
            follower.keep_up()


class Told(NamedTuple):
    """One message of a feed as it is sent, in MessagePack; payload b"" = the feed has ended, with this seq."""

    channel: str
    name: str
    epoch: int
    seq: int
    ts_ns: int
    payload: bytes


Take = Callable[[Told], None]


class Follower:
    """Follows a channel of a replay wherever there is something of it; `take` is given every message, from the first on."""

    def __init__(self, replay: FeedReplay, channel: str, take: Take) -> None:
        assert channel in RECORDED, channel
        self._replay, self._channel, self._take = replay, channel, take
        replay.followers.append(self)
        self._market: MarketData | None = None
        self._feeds: dict[str, Feed] = {}
        self._families = 0

    def keep_up(self) -> None:
        """The replay calls it behind every frame: follows what is new."""
        replay, venue, channel = self._replay, self._replay.venue, self._channel
        if venue.state.settings is None:
            return
        if self._market is not replay.market:
            self._market, self._feeds, self._families = replay.market, {}, 0
            if channel in (*ONE, "trades"):
                self._follow(ALL if channel == "trades" else "")
        new, self._families = venue.state.families[self._families :], len(venue.state.families)
        for family in new:
            self._follow_family(family.code)

    def snapshots(self) -> None:
        """Takes all of every feed as of now, as a subscriber is told first."""
        for name in sorted(self._feeds):
            self._take_snapshot(self._feeds[name])

    def _follow_family(self, family: str) -> None:
        market, channel = self._market, self._channel
        assert market is not None
        if channel == CURVE:
            self._follow(family)
        elif channel in OF_FAMILIES:
            self._follow(f"{family}/{ALL}")
        elif channel == "candles":
            for interval in CANDLE_INTERVALS:
                self._follow(f"{family}@{interval}")
        elif channel in WILD:
            self._follow_open(market.expand(channel, f"{family}/{ALL}"))
            market.join(channel, f"{family}/{ALL}", self._opened)

    def _opened(self, family: str, codes: tuple[str, ...]) -> None:
        self._follow_open(codes)

    def _follow_open(self, names: tuple[str, ...]) -> None:
        """A clock that jumps passes over instruments that open and close at once."""
        for name in names:
            with suppress(DoorError):
                self._follow(name)

    def _follow(self, name: str) -> None:
        assert self._market is not None
        feed = self._feeds[name] = self._market.feed(self._channel, name)
        feed.listeners[_Tap(self, feed)] = None
        self._take_snapshot(feed)

    def _take_snapshot(self, feed: Feed) -> None:
        market = self._market
        assert market is not None
        payload = market.snapshot_payload(feed, MSGPACK)
        self._take(Told(feed.channel, feed.name, feed.epoch, feed.seq, market.now_ns, payload))

    def on_message(self, feed: Feed, message: Message) -> None:
        """A feed has a step more."""
        payload = message.payload(feed, MSGPACK)
        self._take(Told(feed.channel, feed.name, feed.epoch, message.seq, message.ts_ns, payload))

    def on_closed(self, feed: Feed) -> None:
        """A feed has ended."""
        del self._feeds[feed.name]
        self._take(Told(feed.channel, feed.name, feed.epoch, feed.seq, self._replay.venue.now_ns, b""))


class _Tap:
    """A listener of one feed."""

    __slots__ = ("on_closed", "on_message")

    def __init__(self, follower: Follower, feed: Feed) -> None:
        self.on_message: Callable[[Message], None] = partial(follower.on_message, feed)
        self.on_closed: Callable[[], None] = partial(follower.on_closed, feed)
