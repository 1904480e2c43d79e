"""The demand table (DI2, DI3): what waiting tasks would buy, in cells that no firm can be told from.

A cell is chip x access region x class limit x deadline bucket x price bucket, and holds card-hours; a waiting task counts
once, under its first chip. A cell in which fewer than three firms want something is not shown: what it holds moves to the
next longer deadline, from the longest one to the next lower price; what is left at the lowest price is not shown at all
(docs/decisions/0016). Nothing here tells a task, a cap, a firm or a last start.
"""

from bisect import bisect_right
from collections.abc import Hashable, Mapping
from typing import NamedTuple

from exchange.domain.instrument import LATENCY_CLASSES
from exchange.domain.units import NS_PER_HOUR

LEAST_FIRMS = 3
DEADLINES_H = (6, 24, 72, 168)  # the last one holds every later deadline as well
CLASS_LIMITS_US = (("L1", 1_000), ("L5", 5_000), ("L7", 7_000), ("L10", 10_000))
ANY_CLASS = "BE"
_STEPS = (10, 15, 20, 25, 30, 40, 50, 60, 80)  # of every power of ten
PRICES_MICRO = (0, *(step * 10**power for power in range(3, 13) for step in _STEPS))  # from 0.01 yuan on


class Group(NamedTuple):
    """Cells that may merge with each other."""

    chip: str
    access_region: str
    latency_class: str


class Want(NamedTuple):
    """What one waiting task would buy: lot-periods of the first chip at most at this price, micro-yuan per card-hour."""

    group: Group
    firm: int
    deadline_ns: int
    price_micro: int
    lot_periods: int


Place = tuple[int, int]  # deadline bucket and price bucket, as places in DEADLINES_H and PRICES_MICRO
Wanted = dict[int, int]  # firm -> lot-periods


class Cell(NamedTuple):
    """A cell that is shown."""

    group: Group
    deadline_h: int
    price_micro: int


class Merged(NamedTuple):
    """What is shown, and the lot-periods that are not; firms: how many stand behind each shown cell, told to nobody."""

    shown: dict[Place, int]
    firms: dict[Place, int]
    withheld: int


def class_limit(max_latency_us: int, slowest_class: str = "") -> str:
    """The slowest class that surely serves a limit: L1 also where the limit is tighter, BE where there is none; and no
    slower one than was named."""
    fitting = [name for name, limit_us in CLASS_LIMITS_US if not max_latency_us or limit_us <= max_latency_us]
    served = ANY_CLASS if not max_latency_us else fitting[-1] if fitting else LATENCY_CLASSES[0]
    return min(served, slowest_class or served, key=LATENCY_CLASSES.index)


def price_bucket(price_micro: int) -> int:
    """The place of the highest price in PRICES_MICRO that is not above this one."""
    return max(0, bisect_right(PRICES_MICRO, price_micro) - 1)


def deadline_bucket(deadline_ns: int, from_ns: int) -> int:
    """The place of the shortest bucket that reaches a deadline; the last one for what none reaches."""
    for place, hours in enumerate(DEADLINES_H):
        if deadline_ns <= from_ns + hours * NS_PER_HOUR:
            return place
    return len(DEADLINES_H) - 1


def merge(cells: Mapping[Place, Wanted]) -> Merged:
    """DI3 on the cells of one group. O(cells log cells + firms)."""
    shown: dict[Place, int] = {}
    firms: dict[Place, int] = {}
    carried: Wanted = {}  # from dearer prices and shorter deadlines, of fewer than LEAST_FIRMS
    last = len(DEADLINES_H) - 1
    for price in sorted({price for _, price in cells}, reverse=True):
        dearer, carried = carried, {}
        for deadline in range(last + 1):
            held = _together(carried, cells.get((deadline, price), {}))
            if deadline == last:
                held = _together(held, dearer)
            if len(held) >= LEAST_FIRMS:
                shown[deadline, price], firms[deadline, price] = sum(held.values()), len(held)
                held = {}
            carried = held
    return Merged(shown, firms, sum(carried.values()))


def _together(one: Wanted, other: Wanted) -> Wanted:
    if not one:
        return dict(other)
    for firm, lot_periods in other.items():
        one[firm] = one.get(firm, 0) + lot_periods
    return one


class DemandTable:
    """The wants of all waiting tasks, kept by key, and the cells they make."""

    def __init__(self) -> None:
        self._wants: dict[Hashable, Want] = {}
        self._keys: dict[Group, dict[Hashable, None]] = {}
        self._stale: set[Group] = set()
        self._from_ns = -1
        self._cells: dict[Group, Merged] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def put(self, key: Hashable, want: Want) -> None:
        """A task that waits, or what it wants now."""
        self.drop(key)
        self._wants[key] = want
        self._keys.setdefault(want.group, {})[key] = None
        self._stale.add(want.group)

    def drop(self, key: Hashable) -> None:
        """A task that waits no longer; harmless where it never did."""
        want = self._wants.pop(key, None)
        if want is not None:
            del self._keys[want.group][key]
            self._stale.add(want.group)

    def clear(self) -> None:
        """Forgets every task."""
        self._wants.clear()
        self._stale.update(self._keys)
        self._keys.clear()

    def changes(self, from_ns: int) -> dict[Cell, int]:
        """Lot-periods of the cells that changed since the last table, 0 for one that is gone; deadlines counted from from_ns.

        O(wants of the groups that changed).
        """
        if from_ns != self._from_ns:
            self._from_ns = from_ns
            self._stale.update(self._keys)
        found: dict[Cell, int] = {}
        for group in sorted(self._stale):
            before = self._shown(group)
            self._make(group)
            after = self._shown(group)
            if after != before:
                found |= dict.fromkeys(before.keys() - after.keys(), 0)
                found |= {cell: lots for cell, lots in after.items() if before.get(cell) != lots}
        self._stale.clear()
        return found

    def cells(self) -> dict[Cell, int]:
        """Lot-periods of every cell of the last table."""
        return {cell: lots for group in sorted(self._cells) for cell, lots in self._shown(group).items()}

    def _shown(self, group: Group) -> dict[Cell, int]:
        merged = self._cells.get(group)
        return {} if merged is None else {
            Cell(group, DEADLINES_H[deadline], PRICES_MICRO[price]): lot_periods
            for (deadline, price), lot_periods in sorted(merged.shown.items())
        }  # fmt: skip

    @property
    def withheld(self) -> int:
        """Lot-periods that no cell of the last table shows; told to nobody."""
        return sum(merged.withheld for merged in self._cells.values())

    def _make(self, group: Group) -> None:
        keys = self._keys.get(group)
        if not keys:
            self._keys.pop(group, None)
            self._cells.pop(group, None)
            return
        cells: dict[Place, Wanted] = {}
        for key in keys:
            want = self._wants[key]
            place = (deadline_bucket(want.deadline_ns, self._from_ns), price_bucket(want.price_micro))
            cell = cells.setdefault(place, {})
            cell[want.firm] = cell.get(want.firm, 0) + want.lot_periods
        self._cells[group] = merge(cells)
