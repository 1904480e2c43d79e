"""One book as it is told to everybody: every resting order in priority, kept up by the core's events alone.

Read out of the core once, when somebody first looks at the book; from then on each event costs about the same however deep
the book is. Sides are kept by key, the best first: the price of an ask, the negative price of a bid.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any

from exchange.protocol.checksum import LEVELS, book_checksum
from matching_core.enums import EventFlag, Kind, Side

Levels = tuple[tuple[int, int], ...]  # (ticks, lots), best first
OrderRow = tuple[int, int, int]  # (order id, ticks, lots); 0 lots: it is gone

WORST = 1 << 62  # behind every key
_ACCEPTED, _TRADE, _REPLACED = int(Kind.ACCEPTED), int(Kind.TRADE), int(Kind.REPLACED)
_GONE = frozenset((int(Kind.CANCELED), int(Kind.EXPIRED)))
_BLOCK, _TAKE, _KEPT, _HIDDEN = map(int, (EventFlag.BLOCK, EventFlag.TAKE, EventFlag.KEPT_PRIORITY, EventFlag.HIDDEN))


class BookSide:
    """The resting orders of one side, level by level; `changed`, `rows` and `existed` say what happened since the last step."""

    __slots__ = ("_sign", "changed", "existed", "keys", "lots", "orders", "queues", "rows")

    def __init__(self, sign: int) -> None:
        """sign: 1 for asks, -1 for bids."""
        self._sign = sign
        self.keys: list[int] = []  # of levels, best first
        self.lots: dict[int, int] = {}  # of levels, by key
        self.queues: dict[int, dict[int, None]] = {}  # order ids in priority, by key
        self.orders: dict[int, list[int]] = {}  # [key, lots] by id
        self.changed: dict[int, int] = {}  # lots that a level had before, by key
        self.rows: list[OrderRow] = []  # changes of orders, in the order in which they happened
        self.existed: dict[int, bool] = {}  # of those orders: whether they were there before

    def put(self, order_id: int, ticks: int, lots: int) -> None:
        """An order at the tail of its level."""
        key = self._sign * ticks
        self.orders[order_id] = [key, lots]
        queue = self.queues.get(key)
        if queue is None:
            queue = self.queues[key] = {}
            insort(self.keys, key)
        queue[order_id] = None
        self._add(key, lots)
        self.existed.setdefault(order_id, False)
        self.rows.append((order_id, ticks, lots))

    def set(self, order_id: int, lots: int) -> None:
        """What an order has left; it keeps its place, or goes where that is nothing."""
        entry = self.orders[order_id]
        key, before = entry
        if lots == before:
            return
        if lots == 0:
            del self.orders[order_id]
            del self.queues[key][order_id]
        entry[1] = lots
        self._add(key, lots - before)
        self.existed.setdefault(order_id, True)
        self.rows.append((order_id, self._sign * key, lots))

    def _add(self, key: int, lots: int) -> None:
        before = self.lots.get(key, 0)
        self.changed.setdefault(key, before)
        self.lots[key] = before + lots
        if not self.queues[key]:
            assert before + lots == 0, key
            del self.queues[key], self.lots[key]
            del self.keys[bisect_left(self.keys, key)]

    def reaches(self, bound: int) -> bool:
        """Whether a level up to this key has changed."""
        return any(key <= bound for key in self.changed)

    def clear(self) -> None:
        """Every order leaves."""
        for order_id in list(self.orders):
            self.set(order_id, 0)

    def levels(self, most: int) -> Levels:
        """The best levels."""
        return tuple([(self._sign * key, self.lots[key]) for key in self.keys[:most]])

    def in_priority(self, most: int = WORST) -> Iterator[OrderRow]:
        """The first orders, best price first, first come first."""
        for key in self.keys:
            for order_id in self.queues[key]:
                if most <= 0:
                    return
                most -= 1
                yield order_id, self._sign * key, self.orders[order_id][1]


class Window:
    """The best levels of a side as a channel tells them: `changes` gives what to tell after a step."""

    __slots__ = ("_bound", "_most", "_side", "_sign")

    def __init__(self, side: BookSide, sign: int, most: int) -> None:
        self._side, self._sign, self._most = side, sign, most
        self._bound = self._worst()

    def _worst(self) -> int:
        """The key of the last level that is told, where there are more."""
        keys = self._side.keys
        return keys[self._most - 1] if len(keys) > self._most else WORST

    def changes(self) -> Levels:
        """Levels that are other than before, 0 lots where one is gone or has been pushed out."""
        side = self._side
        if not side.changed:
            return ()
        before, bound = self._bound, self._worst()
        told: dict[int, int] = {}
        for key, lots in side.changed.items():
            was = lots if key <= before else 0
            now = side.lots.get(key, 0) if key <= bound else 0
            if was != now:
                told[key] = now
        if bound != before:
            self._bound = bound
            low, high = min(bound, before), max(bound, before)
            for key in side.keys[bisect_right(side.keys, low) : bisect_right(side.keys, high)]:
                if key not in side.changed:
                    told[key] = side.lots[key] if bound > before else 0
        return tuple([(self._sign * key, lots) for key, lots in told.items()])


class BookImage:
    """Both sides of one book."""

    __slots__ = ("_bound", "_checksum", "asks", "bids")

    def __init__(self, orders: Iterable[Any]) -> None:
        """orders: all of the core's of this book, in priority."""
        self.bids, self.asks = BookSide(-1), BookSide(1)
        self._checksum: int | None = None
        self._bound = (WORST, WORST)
        for order in orders:
            assert not order.shown, "icebergs are not told"
            self._side(order.side).put(order.order_id, order.price, order.leaves)
        self.forget_changes()

    def _side(self, side: int) -> BookSide:
        return self.bids if side == Side.BUY else self.asks

    @property
    def is_changed(self) -> bool:
        """Whether anything happened since the last `forget_changes`."""
        return bool(self.bids.rows or self.asks.rows)

    def take(self, events: Iterable[Any]) -> None:
        """Takes in events of this book, those of one command or of several, all of each."""
        for event in events:
            kind, flags = event.kind, event.flags
            if kind == _TRADE:
                if not flags & _BLOCK:
                    taker = self._side(event.side)
                    maker = self.asks if taker is self.bids else self.bids
                    maker.set(event.contra_id, event.contra_leaves)
                    if not flags & _TAKE:
                        taker.set(event.order_id, event.leaves)
            elif kind == _ACCEPTED:
                assert not flags & _HIDDEN, "orders that are not displayed are not told"
                self._side(event.side).put(event.order_id, event.price, event.leaves)
            elif kind in _GONE:
                if not flags & _BLOCK:
                    self._side(event.side).set(event.order_id, 0)
            elif kind == _REPLACED:
                side = self._side(event.side)
                if flags & _KEPT:
                    side.set(event.order_id, event.leaves)
                else:
                    side.set(event.order_id, 0)
                    side.put(event.order_id, event.price, event.leaves)

    def forget_changes(self) -> None:
        """What happened has been told."""
        for side in (self.bids, self.asks):
            side.changed.clear()
            side.rows.clear()
            side.existed.clear()

    def clear(self) -> None:
        """Every order leaves: the gate has closed."""
        self.bids.clear()
        self.asks.clear()

    @property
    def checksum(self) -> int:
        """Of the book as it is; made anew only where one of the levels that count has changed. Ask once a step."""
        bound = (_tenth(self.bids), _tenth(self.asks))
        is_same = self._checksum is not None and bound == self._bound and not (
            self.bids.reaches(bound[0]) or self.asks.reaches(bound[1])
        )  # fmt: skip
        if not is_same:
            self._bound = bound
            self._checksum = book_checksum(self.bids.levels(LEVELS), self.asks.levels(LEVELS))
        assert self._checksum is not None
        return self._checksum


def _tenth(side: BookSide) -> int:
    return side.keys[LEVELS - 1] if len(side.keys) >= LEVELS else WORST
