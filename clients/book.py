"""A local order book that heals itself, and raises StaleBook rather than show anything that may not be so.

It is made of a snapshot and the deltas after it. While it is not provably that of the exchange (disconnected, silent, a
message missing, behind the heartbeat, crossed, another checksum) every look at it raises; `ready()` waits until it is whole
again. Each message brings the checksum of the book after it: where ours differs it is thrown away and a snapshot asked for.
"""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from html import escape
from typing import Any, NamedTuple

from clients.core import Core
from clients.errors import StaleBook
from clients.feed import Feed
from clients.frames import to_html
from clients.levels import Measures, OrderSides, RestingOrder, Sides
from clients.models import Level
from clients.pictures import plot_depth
from clients.subscriptions import Subscription
from clients.twin import Runner, Sync, both, both_iter

READY_S = 10.0
SHOWN = 10  # levels a side in a notebook


class _Row(NamedTuple):
    """A level as a notebook shows it."""

    side: str
    price: Decimal
    cards: Decimal


class Top(NamedTuple):
    """Best prices, None where a side is empty; seq counts the book's steps."""

    bid: Level | None
    ask: Level | None
    epoch: int
    seq: int


class _Looks:
    """What a book shows; every look raises StaleBook unless the book is provably current."""

    _core: "AsyncBook"

    @property
    def instrument(self) -> str:
        """chip/region/class/power/period."""
        return self._core.name

    @property
    def is_valid(self) -> bool:
        """Whether a look would not raise."""
        return not self._core.problem()

    @property
    def is_closed(self) -> bool:
        """Whether trading in the instrument has ended; the book is empty then."""
        return self._core.has_ended

    @property
    def bids(self) -> tuple[Level, ...]:
        """Buyers' prices, highest first."""
        return self._core.look()[0]

    @property
    def asks(self) -> tuple[Level, ...]:
        """Sellers' prices, lowest first."""
        return self._core.look()[1]

    @property
    def orders(self) -> tuple[tuple[RestingOrder, ...], tuple[RestingOrder, ...]]:
        """(bids, asks), first in line first; only of watch_orders."""
        return self._core.look_at_orders()

    @property
    def rejected(self) -> int:
        """How often the book was thrown away: crossed, or not of the exchange's checksum."""
        return self._core.rejections

    @property
    def top(self) -> Top:
        """The best of both sides."""
        return self._core.look_at_top()

    def plot(self, ax: Any = None) -> Any:
        """Cards up to each price, both sides; the matplotlib axes. StaleBook like every look."""
        return plot_depth(self.instrument, *self._core.look(), ax)

    def _repr_html_(self) -> str:
        why = self._core.problem()
        if why:
            return f"<p>{escape(self.instrument)}: not current ({escape(why)})</p>"
        bids, asks = self._core.look()
        shown = [(*asks[:SHOWN][::-1],), bids[:SHOWN]]
        rows = [_Row("ask" if side == 0 else "bid", level.price, level.cards) for side in (0, 1) for level in shown[side]]
        return to_html(_Row, rows, self.instrument)

    @both
    async def ready(self, timeout_s: float = READY_S) -> None:
        """Waits until the book is current; StaleBook that says why it is not."""
        await self._core.wait_ready(timeout_s)

    @both_iter
    async def changes(self, *, heal: bool = False) -> AsyncGenerator[Top]:
        """The best prices, now and after each change; a slow reader gets the newest. Ends with the instrument's trading.

        StaleBook as soon as the book is not current; with heal=True it waits for it instead.
        """
        async for top in self._core.watch(heal):
            yield top

    @both
    async def close(self) -> None:
        """Ends the subscription."""
        self._core.end()


class AsyncBook(_Looks):
    """The book of one instrument, kept on the event loop; looks are safe from any thread."""

    def __init__(self, feed: Feed, name: str, channel: str = "depth", measures: Measures | None = None) -> None:
        """measures: tick and lot, without which no checksum can be made and none is compared."""
        self._core = self
        self.name = name
        self._feed = feed
        self._measures = measures
        self._sides: Sides | OrderSides = OrderSides() if channel == "orders" else Sides()
        self._place = (0, 0)
        self.rejections = 0
        self._events: set[asyncio.Event] = set()
        with feed.lock:
            self._subscription: Subscription | None = feed.follow(channel, name, self)
            # Somebody may watch this book already: the subscription is shared, and its snapshot came before us.
            for other in self._subscription.listeners:
                if isinstance(other, AsyncBook) and other is not self:
                    self._sides, self._place = other._sides.copy(), other._place
                    break

    @property
    def has_ended(self) -> bool:
        """Whether the exchange has closed the instrument."""
        subscription = self._subscription
        return subscription is not None and subscription.error is None and subscription.chain.state.name == "CLOSED"

    def problem(self) -> str:
        """Why the book is not provably current; "" if it is."""
        if self._feed.failed is not None:
            return str(self._feed.failed)
        if self._subscription is None:
            return "the book was closed"
        if self._subscription.error is not None:
            return str(self._subscription.error)
        if not self._subscription.chain.is_current:
            return self._subscription.chain.why
        if not self.has_ended and self._place != (self._subscription.chain.epoch, self._subscription.chain.seq):
            return "the snapshot is not here yet"
        return "" if self.has_ended else self._feed.trouble

    def look(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """(bids, asks); StaleBook."""
        with self._feed.lock:
            self._check()
            return self._sides.levels

    def look_at_orders(self) -> tuple[tuple[RestingOrder, ...], tuple[RestingOrder, ...]]:
        """(bids, asks) of single orders; StaleBook."""
        with self._feed.lock:
            self._check()
            return self._sides.orders

    def look_at_top(self) -> Top:
        """Both bests with their place in the channel; StaleBook."""
        with self._feed.lock:
            self._check()
            bids, asks = self._sides.levels
            return Top(bids[0] if bids else None, asks[0] if asks else None, *self._place)

    def _check(self) -> None:
        why = self.problem()
        if why:
            raise StaleBook(f"{self.name}: {why}; wait with ready()", retryable=True)

    async def wait_ready(self, timeout_s: float) -> None:
        """See ready()."""
        event = asyncio.Event()
        self._events.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                while self.problem():
                    self._raise_if_lasting()
                    event.clear()
                    await event.wait()
        except TimeoutError:
            self._check()
        finally:
            self._events.discard(event)

    async def watch(self, heal: bool) -> AsyncGenerator[Top]:
        """See changes()."""
        event = asyncio.Event()
        self._events.add(event)
        seen: tuple[int, int] | None = None
        try:
            while not self.has_ended:
                event.clear()
                if self.problem():
                    self._raise_if_lasting()
                    if not heal:
                        self._check()
                elif self._place != seen:
                    seen = self._place
                    yield self.look_at_top()
                    continue
                try:  # silence makes no event, so look again after a while
                    async with asyncio.timeout(self._feed.staleness_s):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            self._events.discard(event)

    def end(self) -> None:
        """See close()."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._feed.unfollow(subscription, self)
            self.on_change()

    def _raise_if_lasting(self) -> None:
        """What will not heal."""
        if self._feed.failed is not None:
            raise self._feed.failed
        if self._subscription is None:
            self._check()
        elif self._subscription.error is not None:
            raise self._subscription.error

    # --- told by the feed, under its lock ---

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        """Replaces the book."""
        self._sides.replace(data)
        self._place = (epoch, seq)
        self._prove(data)

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """Changes the book."""
        self._sides.change(data)
        self._place = (epoch, seq)
        self._prove(data)
        self._wake()

    def on_end_unseen(self) -> None:
        """What has ended has an empty book."""
        self._sides.replace({"bids": (), "asks": ()})

    def on_change(self) -> None:
        """Wakes whoever waits."""
        self._wake()

    def _prove(self, data: Any) -> None:
        # Whatever the numbers of the messages say, a book that is crossed or has another checksum is wrong.
        told = data.get("checksum") if self._measures is not None else None  # older exchanges tell none
        is_wrong = told is not None and self._measures is not None and self._sides.checksum(self._measures) != told
        if (is_wrong or self._sides.is_crossed) and self._subscription is not None:
            self.rejections += 1
            if self._subscription.chain.epoch is not None:  # else somebody who watches it as well has asked already
                self._feed.ask_anew(self._subscription)

    def _wake(self) -> None:
        for event in self._events:
            event.set()


async def watch(core: Core, channel: str, instrument: str, timeout_s: float) -> AsyncBook:
    """See Market.watch_book."""
    book = AsyncBook(core.feed, instrument, channel, await core.measures())
    try:
        await book.wait_ready(timeout_s)
    except BaseException:
        book.end()
        raise
    return book


class Book(Sync, _Looks):
    """The sync twin of AsyncBook: the same looks, and waiting blocks."""

    def __init__(self, core: AsyncBook, runner: Runner) -> None:
        self._core, self._runner = core, runner
