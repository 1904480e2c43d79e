"""One order book: two sides of price levels, each level a first-come queue. It queues and finds, it does not trade.

Rules kept here: C3 (a level exists only while it holds an order), C5 (best price first, then first come), IC1 (depth
shows what is displayed).
"""

from collections import OrderedDict
from collections.abc import Iterator

from sortedcontainers import SortedDict

from ..enums import Side
from ..limits import MAX_QTY_LOTS
from .state import LiveOrder, Rules


class Book:
    """The live orders of one book, and how the book was listed. Unlisted books have value 1, no group and no gate."""

    def __init__(self, book: int, value_micro: int = 1, max_order: int = 0, group: int = 0, gate_ns: int = 0):
        self.book = book
        self.listed = False
        self.value_micro = value_micro  # micro-yuan per tick and lot
        self.max_order = max_order  # as listed; 0 = MAX_QTY_LOTS
        self.group = group  # capacity group; 0 = none
        self.gate_ns = gate_ns  # 0 = never
        self.is_set_up = False  # whether anybody chose rules or a phase; only then are they part of the state
        self.rules = Rules()
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

    def next_maker(self, side: int, limit: int, passed: set[int]) -> LiveOrder | None:
        """The order of that side that a taker meets now, best price first, then first come; None past its limit."""
        levels = self.sides[side]
        if not levels:
            return None
        if not passed:
            maker = next(iter(levels.peekitem(0)[1].values()))
            return maker if crosses(side, maker.price, limit) else None
        for key, level in levels.items():
            if not crosses(side, abs(key), limit):
                return None
            for maker in level.values():
                if maker.order_id not in passed:
                    return maker
        return None

    def best(self, side: int) -> int:
        """The best price of one side, 0 without orders."""
        return abs(self.sides[side].peekitem(0)[0]) if self.sides[side] else 0

    def walk_side(self, side: int) -> Iterator[LiveOrder]:
        """The orders of one side, best to worst, first come first."""
        for level in self.sides[side].values():
            yield from level.values()

    def walk(self) -> Iterator[LiveOrder]:
        """T3: bids then asks, best to worst, first come first."""
        yield from self.walk_side(Side.BUY)
        yield from self.walk_side(Side.SELL)

    def depth(self, side: int, levels: int) -> list[tuple[int, int, int]]:
        """The best levels of one side as (price, displayed quantity, number of displayed orders)."""
        found: list[tuple[int, int, int]] = []
        for key, level in self.sides[side].items():
            if len(found) >= levels:
                break
            shown = [order.displayed for order in level.values() if order.displayed]
            if shown:
                found.append((abs(key), sum(shown), len(shown)))
        return found


def crosses(side: int, price: int, limit: int) -> bool:
    """L1: whether an order of that side at that price is at or better than the limit of the other side."""
    return price >= limit if side == Side.BUY else price <= limit


def _key(order: LiveOrder) -> int:
    return -order.price if order.side == Side.BUY else order.price
