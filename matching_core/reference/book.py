"""One order book: two sides of price levels, each level a first-come queue. It queues and finds, it does not trade.

Rules kept here: C3 (a level exists only while it holds an order), C5 (best price first, then first come),
F1 (what is available counts all levels within the limit).
"""

from collections import OrderedDict
from collections.abc import Iterator

from sortedcontainers import SortedDict

from ..enums import Side
from ..limits import MAX_QTY_LOTS
from .state import LiveOrder


class Book:
    """The live orders of one book, and how the book was listed. Unlisted books have value 1, no group and no gate."""

    def __init__(self, book: int, value_micro: int = 1, max_order: int = 0, group: int = 0, gate_ns: int = 0):
        self.book = book
        self.listed = False
        self.value_micro = value_micro  # micro-yuan per tick and lot
        self.max_order = max_order  # as listed; 0 = MAX_QTY_LOTS
        self.group = group  # capacity group; 0 = none
        self.gate_ns = gate_ns  # 0 = never
        self.sides = (
            SortedDict(),
            SortedDict(),
        )  # key: signed price, best first -> OrderedDict of order_id -> order

    @property
    def max_lots(self) -> int:
        """The largest total that one order may have here."""
        return self.max_order or MAX_QTY_LOTS

    @property
    def is_empty(self) -> bool:
        """Whether no order rests here."""
        return not self.sides[Side.BUY] and not self.sides[Side.SELL]

    def add(self, order: LiveOrder) -> None:
        """Queue an order at the tail of its level; O(log levels)."""
        side = self.sides[order.side]
        key = _key(order)
        if key not in side:
            side[key] = OrderedDict()
        side[key][order.order_id] = order

    def remove(self, order: LiveOrder) -> None:
        """Take an order out; the level goes with its last order. O(log levels)."""
        side = self.sides[order.side]
        key = _key(order)
        del side[key][order.order_id]
        if not side[key]:
            del side[key]

    def next_maker(self, taker: LiveOrder) -> LiveOrder | None:
        """The order that the taker meets now: best price, first come; None if the best price does not cross."""
        side = self.sides[1 - taker.side]
        if not side:
            return None
        maker = next(iter(side.peekitem(0)[1].values()))
        return maker if crosses(taker, maker) else None

    def can_fill(self, taker: LiveOrder) -> bool:
        """F1: whether the taker's whole quantity is available within its limit; O(makers counted)."""
        missing = taker.leaves
        for maker in self.walk_side(1 - taker.side):
            if not crosses(taker, maker):
                return False
            missing -= maker.leaves
            if missing <= 0:
                return True
        return False

    def walk_side(self, side: int) -> Iterator[LiveOrder]:
        """The orders of one side, best to worst, first come first."""
        for level in self.sides[side].values():
            yield from level.values()

    def walk(self) -> Iterator[LiveOrder]:
        """T3: bids then asks, best to worst, first come first."""
        yield from self.walk_side(Side.BUY)
        yield from self.walk_side(Side.SELL)

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        """The best levels of one side as (price, quantity, number of orders)."""
        best = list(self.sides[side].items())[: max(levels, 0)]
        return [(abs(key), sum(order.leaves for order in level.values()), len(level)) for key, level in best]


def crosses(taker: LiveOrder, maker: LiveOrder) -> bool:
    """L1: whether the maker's price is at or better than the taker's limit."""
    if taker.side == Side.BUY:
        return maker.price <= taker.price
    return maker.price >= taker.price


def _key(order: LiveOrder) -> int:
    return -order.price if order.side == Side.BUY else order.price
