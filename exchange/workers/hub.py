"""The venue's end of the links: each feed that a worker follows goes to it once, and nothing a worker does is waited for.

A step costs the market a note; it is encoded and written behind the frame of commands it belongs to. What a worker does not
read piles up to a bound, and then the worker is cut off: its keeper starts another one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import cast

from exchange.engine.feeds import Feed, Message
from exchange.engine.market_data import MarketData
from exchange.gateways.access import LONGEST_SECRET
from exchange.ports_access import Keys
from exchange.protocol.errors import DoorError
from exchange.protocol.formats import MSGPACK
from exchange.workers import frames as f
from exchange.workers.mirror import PRIVATE, feed_only

MOST_QUEUED = 32 << 20  # bytes that wait for a worker
TICKS_A_SECOND = 4  # words about how far the venue is
PAST_STEPS, PAST_BYTES = 2048, 4 << 20  # of a feed, that a new follower is given for those who resume


class Tap:
    """A listener of one feed, for one worker."""

    __slots__ = ("_line", "feed", "number")

    def __init__(self, line: "WorkerLine", number: int, feed: Feed) -> None:
        self._line, self.number, self.feed = line, number, feed

    def on_message(self, message: Message) -> None:
        """The feed has a step more."""
        self._line.note(self, message)

    def on_closed(self) -> None:
        """The feed has ended."""
        self._line.note(self, None)


class WorkerLine(asyncio.Protocol):
    """One worker's link."""

    def __init__(self, hub: "FeedHub") -> None:
        self.settled, self.lost = asyncio.Event(), asyncio.Event()  # it is ready; it has gone
        self.counts = f.Counts()
        self.is_cut_off = False
        self._hub = hub
        self._frames = f.Frames()
        self._transport: asyncio.Transport | None = None
        self._taps: dict[int, Tap] = {}
        self._keys: set[str] = set()
        self._noted: list[tuple[Tap, Message | None]] = []
        self._joined: dict[str, str] = {}  # channel of the pattern, by family

    # --- out ---

    def note(self, tap: Tap, message: Message | None) -> None:
        """A step, or None for the end of a feed; it goes out in the loop's next round."""
        if not self._noted:
            asyncio.get_running_loop().call_soon(self._flush)
        self._noted.append((tap, message))

    def write(self, data: bytes) -> None:
        """Without waiting; a worker that has let too much pile up is cut off."""
        transport = self._transport
        if transport is None or self.lost.is_set():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MOST_QUEUED:
            self.cut_off()

    def cut_off(self) -> None:
        """Ends the link now."""
        self.is_cut_off = True
        if self._transport is not None:
            self._transport.abort()

    def tick(self) -> None:
        """Says how far the venue is."""
        self.write(self._hub.place_frame())

    def check_keys(self) -> None:
        """Once a second: keys that have ended since the worker was told of them."""
        for key_id in [each for each in self._keys if not self._hub.keys.is_alive(each)]:
            self._keys.discard(key_id)
            self.write(f.frame(f.KEY_ENDED, key_id))

    def _flush(self) -> None:
        noted, self._noted = self._noted, []
        parts = []
        for tap, message in noted:
            if tap.number not in self._taps:
                continue
            if message is None:
                del self._taps[tap.number]
                parts.append(f.frame(f.ENDED, tap.number))
            else:
                parts.append(f.step_frame(tap.number, message.seq, message.ts_ns, message.payload(tap.feed, MSGPACK)))
        parts.append(self._hub.place_frame())
        self.write(b"".join(parts))

    # --- in ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the loop."""
        self._transport = cast(asyncio.Transport, transport)  # of uvloop, whose class is no subclass of it
        self.write(f.frame(f.HELLO, self._hub.hello()))

    def data_received(self, data: bytes) -> None:
        """Of the loop."""
        for kind, body in self._frames.feed(data):
            if kind == f.FOLLOW:
                self._follow(f.said(body, f.Ask))
            elif kind == f.EXPAND:
                self._expand(f.said(body, f.Ask))
            elif kind == f.DROP:
                self._drop(f.said(body, int))
            elif kind == f.FIND_KEY:
                self._find_key(f.said(body, f.FindKey))
            elif kind == f.COUNTS:
                self.counts = f.said(body, f.Counts)
            else:
                assert kind == f.READY
                self.settled.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Of the loop."""
        for number in list(self._taps):
            self._drop(number)
        for family, channel in self._joined.items():
            self._hub.market.leave(channel, f"{family}/*", self._on_news)
        self._joined.clear()
        self.counts = self.counts._replace(connections=0, feeds=0)
        self.lost.set()
        self.settled.set()

    # --- what is asked ---

    def _follow(self, ask: f.Ask) -> None:
        try:
            if ask.channel == PRIVATE:
                raise feed_only(self._hub.main_url)
            feed = self._hub.market.feed(ask.channel, ask.name)
        except DoorError as no:
            self._refuse(ask.number, no)
            return
        if self._noted:
            self._flush()  # what was before the snapshot must not come behind it
        snapshot = self._hub.market.snapshot_payload(feed, MSGPACK)
        opened = f.Opened(ask.number, ask.channel, ask.name, feed.seq, feed.merge is not None, snapshot, _past(feed))
        tap = self._taps[ask.number] = Tap(self, ask.number, feed)
        feed.listeners[tap] = None
        self.write(f.frame(f.OPENED, opened))

    def _expand(self, ask: f.Ask) -> None:
        try:
            names = self._hub.market.expand(ask.channel, ask.name)
        except DoorError as no:
            self._refuse(ask.number, no)
            return
        family = ask.name.rpartition("/*")[0]
        if family not in self._joined:
            self._joined[family] = ask.channel
            self._hub.market.join(ask.channel, ask.name, self._on_news)
        self.write(f.frame(f.NAMES, f.Names(ask.number, list(names))))

    def _on_news(self, family: str, codes: Sequence[str]) -> None:
        self.write(f.frame(f.NEWS, f.News(family, list(codes))))

    def _refuse(self, number: int, no: DoorError) -> None:
        told = f.Refused(number, no.reason.value, no.detail, no.field, no.limit, no.hint, no.retry_after_s)
        self.write(f.frame(f.REFUSED, told))

    def _drop(self, number: int) -> None:
        tap = self._taps.pop(number, None)
        if tap is not None:
            tap.feed.listeners.pop(tap, None)

    def _find_key(self, asked: f.FindKey) -> None:
        row = self._hub.keys.find(asked.secret) if len(asked.secret) <= LONGEST_SECRET else None
        if row is None:
            self.write(f.frame(f.KEY, f.Key(asked.number, "", "", [])))
            return
        self._keys.add(row.key_id)
        self.write(f.frame(f.KEY, f.Key(asked.number, row.key_id, row.participant, list(row.scopes))))


class FeedHub:
    """All links of one venue. On the writer's loop only."""

    def __init__(
        self, market: MarketData, keys: Keys, limits: dict[str, int], is_looked_at: Callable[[], bool]
    ) -> None:  # fmt: skip
        """limits: of the doors, which are the workers' as well; is_looked_at: somebody else has the views looked at."""
        self.market, self.keys = market, keys
        self.main_url = ""
        self._limits, self._is_looked_at = limits, is_looked_at
        self._lines: list[WorkerLine] = []
        self._ticker: asyncio.Task[None] | None = None
        self._faulted: Callable[[], None] | None = None

    def start(self, main_url: str) -> None:
        """On the running loop; main_url: where orders are taken."""
        self.main_url = main_url
        self._faulted, self.market.on_fault = self.market.on_fault, self._on_fault
        self._ticker = asyncio.get_running_loop().create_task(self._tick(), name="feed links")

    async def stop(self) -> None:
        """No more ticks."""
        if self._ticker is not None:
            self._ticker.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticker

    def line(self) -> WorkerLine:
        """For a new worker."""
        line = WorkerLine(self)
        self._lines = [each for each in self._lines if not each.lost.is_set()] + [line]
        return line

    def hello(self) -> f.Hello:
        """The first word to a worker."""
        return f.Hello(self.market.epoch, self.market.seq, self.market.now_ns, self.main_url, self._limits)

    def place_frame(self) -> bytes:
        """How far the venue is."""
        return f.place_frame(f.Place(self.market.seq, self.market.now_ns, monotonic_ns()))

    def goodbye(self) -> None:
        """The venue goes down as planned."""
        for line in self._lines:
            line.write(f.frame(f.GOODBYE))

    def _on_fault(self) -> None:
        if self._faulted is not None:
            self._faulted()
        for line in self._lines:
            line.write(f.frame(f.BROKEN))

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(1 / TICKS_A_SECOND)
            ticks += 1
            is_second = ticks % TICKS_A_SECOND == 0
            if is_second and not self._is_looked_at():
                self.market.look()
            for line in self._lines:
                line.tick()
                if is_second:
                    line.check_keys()


def _past(feed: Feed) -> list[tuple[int, bytes]]:
    """The newest steps of a feed, oldest first."""
    found: list[tuple[int, bytes]] = []
    size = 0
    for message in reversed(feed.kept):
        payload = message.payload(feed, MSGPACK)
        size += len(payload)
        if len(found) >= PAST_STEPS or size > PAST_BYTES:
            break
        found.append((message.ts_ns, payload))
    return found[::-1]


