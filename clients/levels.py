"""What a local book is made of: price levels, or single orders; and the proof that it is the exchange's.

Both are kept from a snapshot, which replaces everything, and the deltas after it. The checksum of protocol.checksum is made
over whole ticks and lots: a number that is none proves that the book is wrong.
"""

from collections.abc import Iterable
from decimal import Decimal
from heapq import nlargest, nsmallest
from typing import Any, NamedTuple

from clients.model import to_decimal
from clients.models import Level
from exchange.protocol.checksum import LEVELS, book_checksum, orders_checksum

Both = tuple[tuple[Level, ...], tuple[Level, ...]]


class Measures(NamedTuple):
    """Of a venue: yuan per card-hour of a tick, cards of a lot."""

    tick: Decimal
    lot: Decimal


class RestingOrder(NamedTuple):
    """An order in a book; whose it is nobody is told. `ref` is its name in this epoch."""

    ref: str
    price: Decimal
    cards: Decimal


class Sides:
    """Price -> cards of both sides. O(1) a change, O(n log n) for the first look after it."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._sorted: Both | None = None

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
    def levels(self) -> Both:
        """(bids, asks), best first."""
        if self._sorted is None:
            self._sorted = (_sorted(self._bids, reverse=True), _sorted(self._asks, reverse=False))
        return self._sorted

    @property
    def orders(self) -> tuple[tuple[RestingOrder, ...], tuple[RestingOrder, ...]]:
        """Only where single orders are kept."""
        raise TypeError("this book keeps price levels; watch_orders keeps single orders")

    @property
    def is_crossed(self) -> bool:
        """Never so on the exchange."""
        return bool(self._bids and self._asks) and max(self._bids) >= min(self._asks)

    def checksum(self, measures: Measures) -> int | None:
        """Of what is here; None where it cannot be the exchange's, as a price is no tick or a size no lot."""
        best = ((self._bids, nlargest(LEVELS, self._bids)), (self._asks, nsmallest(LEVELS, self._asks)))
        try:
            bids, asks = ([(_whole(p, measures.tick), _whole(s[p], measures.lot)) for p in top] for s, top in best)
        except ValueError:
            return None
        return book_checksum(bids, asks)


class OrderSides:
    """Orders of both sides in their priority: better price first, then who has been there longer."""

    def __init__(self) -> None:
        self._bids: dict[str, RestingOrder] = {}  # in the order in which they came
        self._asks: dict[str, RestingOrder] = {}
        self._sorted: tuple[tuple[RestingOrder, ...], tuple[RestingOrder, ...]] | None = None

    def copy(self) -> "OrderSides":
        """The same orders, to go their own way."""
        made = OrderSides()
        made._bids, made._asks = dict(self._bids), dict(self._asks)
        return made

    def replace(self, data: Any) -> None:
        """A snapshot: nothing of before stays."""
        self._bids, self._asks = {}, {}
        self.change(data)

    def change(self, data: Any) -> None:
        """A delta: 0 cards = gone; who is known keeps his place; who is new joins the tail of his price."""
        for side, rows in ((self._bids, data["bids"]), (self._asks, data["asks"])):
            for ref, price_text, cards_text in rows:
                order = RestingOrder(ref, to_decimal(price_text), to_decimal(cards_text))
                known = side.get(ref)
                if not order.cards or (known is not None and known.price != order.price):
                    side.pop(ref, None)
                if order.cards:
                    side[ref] = order
        self._sorted = None

    @property
    def orders(self) -> tuple[tuple[RestingOrder, ...], tuple[RestingOrder, ...]]:
        """(bids, asks), first in line first."""
        if self._sorted is None:
            bids = sorted(self._bids.values(), key=lambda order: -order.price)  # stable: the older stays before
            self._sorted = (tuple(bids), tuple(sorted(self._asks.values(), key=lambda order: order.price)))
        return self._sorted

    @property
    def levels(self) -> Both:
        """(bids, asks) added up by price, best first."""
        bids, asks = self.orders
        return _added_up(bids), _added_up(asks)

    @property
    def is_crossed(self) -> bool:
        """Never so on the exchange."""
        bids, asks = self.orders
        return bool(bids and asks) and bids[0].price >= asks[0].price

    def checksum(self, measures: Measures) -> int | None:
        """As of Sides, over orders and their place in line."""
        try:
            bids, asks = (
                [(each.ref, _whole(each.price, measures.tick), _whole(each.cards, measures.lot)) for each in side]
                for side in self.orders
            )
        except ValueError:
            return None
        return orders_checksum(bids, asks)


def _whole(number: Decimal, unit: Decimal) -> int:
    count = int(number / unit)
    if count * unit != number:
        raise ValueError(f"{number} is no whole number of {unit}")
    return count


def _sorted(side: dict[Decimal, Decimal], *, reverse: bool) -> tuple[Level, ...]:
    return tuple(Level(price, side[price]) for price in sorted(side, reverse=reverse))


def _added_up(orders: Iterable[RestingOrder]) -> tuple[Level, ...]:
    found: dict[Decimal, Decimal] = {}
    for order in orders:
        found[order.price] = found.get(order.price, Decimal(0)) + order.cards
    return tuple(Level(price, cards) for price, cards in found.items())
