"""A local order book that heals itself, and raises StaleBook rather than show anything that may not be so.

It is made of a snapshot and the deltas after it. While it is not provably that of the exchange (disconnected, silent, a
message missing, behind the heartbeat, crossed) every look at it raises; `ready()` waits until it is whole again.
"""

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any, NamedTuple

from clients.errors import StaleBook
from clients.feed import Feed
from clients.model import to_decimal
from clients.models import Level
from clients.subscriptions import Subscription
from clients.twin import Runner, Sync, both, both_iter

READY_S = 10.0


class Top(NamedTuple):
    """Best prices, None where a side is empty; seq counts the book's steps."""

    bid: Level | None
    ask: Level | None
    epoch: int
    seq: int


class Sides:
    """Price -> cards of both sides. O(1) a change, O(n log n) for the first look after it."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._sorted: tuple[tuple[Level, ...], tuple[Level, ...]] | None = None

    def copy(self) -> "Sides":
        """The same levels, to go their own way."""
        made = Sides()
        made._bids, made._asks = dict(self._bids), dict(self._asks)
        return made

    def replace(self, data: Any) -> None:
        """A snapshot: nothing of before stays."""
        self._bids, self._asks = {}, {}
        self.change(data)

    def change(self, data: Any) -> None:
        """A delta: the cards that are now at each price, 0 = none."""
        for side, levels in ((self._bids, data["bids"]), (self._asks, data["asks"])):
            for price_text, cards_text in levels:
                price, cards = to_decimal(price_text), to_decimal(cards_text)
                if cards:
                    side[price] = cards
                else:
                    side.pop(price, None)
        self._sorted = None

    @property
    def levels(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """(bids, asks), best first."""
        if self._sorted is None:
            self._sorted = (_sorted(self._bids, reverse=True), _sorted(self._asks, reverse=False))
        return self._sorted

    @property
    def is_crossed(self) -> bool:
        """Never so on the exchange."""
        return bool(self._bids and self._asks) and max(self._bids) >= min(self._asks)


def _sorted(side: dict[Decimal, Decimal], *, reverse: bool) -> tuple[Level, ...]:
    return tuple(Level(price, side[price]) for price in sorted(side, reverse=reverse))


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
    def top(self) -> Top:
        """The best of both sides."""
        return self._core.look_at_top()

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

    def __init__(self, feed: Feed, name: str) -> None:
        self._core = self
        self.name = name
        self._feed = feed
        self._sides = Sides()
        self._place = (0, 0)
        self._events: set[asyncio.Event] = set()
        with feed.lock:
            self._subscription: Subscription | None = feed.follow("depth", name, self)
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
        self._reject_crossed()

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """Changes the book."""
        self._sides.change(data)
        self._place = (epoch, seq)
        self._reject_crossed()
        self._wake()

    def on_end_unseen(self) -> None:
        """What has ended has an empty book."""
        self._sides.replace({"bids": (), "asks": ()})

    def on_change(self) -> None:
        """Wakes whoever waits."""
        self._wake()

    def _reject_crossed(self) -> None:
        # Exchange books are never crossed: whatever the numbers say, this one is wrong. A fresh snapshot replaces it.
        if self._sides.is_crossed and self._subscription is not None:
            self._feed.ask_anew(self._subscription)

    def _wake(self) -> None:
        for event in self._events:
            event.set()


class Book(Sync, _Looks):
    """The sync twin of AsyncBook: the same looks, and waiting blocks."""

    def __init__(self, core: AsyncBook, runner: Runner) -> None:
        self._core, self._runner = core, runner
