"""What tasks are matched against beyond the books: delivery periods, families, reach, links, block offers, waiting tasks.

Rules kept here: K1 (which families a task may use), RT7 (what a link still carries), HM1 (what a task holds), MB3 (what
counts as left of a block offer). Nothing here changes a book or a purse.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from ..enums import Lane, Power, Shape, TaskFlag
from ..limits import MAX_EMERGENCY_DELAY_NS, MAX_MOVED_REGIONS, MAX_WALK_PERIODS, PERIOD_BITS
from ..task_checks import length_of as length_of
from ..task_checks import lots_on as lots_on
from ..task_records import TaskTerms
from .state import fee_micro

_PERIOD_MASK = (1 << PERIOD_BITS) - 1
_BITS_PER_MB_AT_MBIT = 8 * 10**9  # ns that a megabyte needs at one Mbit/s
_TWELFTHS = 12  # EM2


def div_ceil(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


def book_of(family: int, period: int) -> int:
    """The book of one family and period."""
    return family << PERIOD_BITS | period


def family_of(book: int) -> int:
    """The family that a book belongs to, if that family is listed."""
    return book >> PERIOD_BITS


def period_of(book: int) -> int:
    """The delivery period of a book."""
    return book & _PERIOD_MASK


class Grid(NamedTuple):
    """The delivery periods, and how many tasks may wait."""

    origin_ns: int
    period_ns: int
    gate_ns: int  # books of a period are closed so long before its start
    per_firm: int  # RT8
    per_chip: int

    def start(self, period: int) -> int:
        """When a period begins."""
        return self.origin_ns + period * self.period_ns

    def at(self, time_ns: int) -> int:
        """The period that a moment lies in."""
        return (time_ns - self.origin_ns) // self.period_ns

    def first_from(self, time_ns: int) -> int:
        """The first period that does not begin before a moment."""
        return div_ceil(time_ns - self.origin_ns, self.period_ns)

    def gate(self, period: int) -> int:
        """The moment from which a period can no longer be bought."""
        return self.start(period) - self.gate_ns

    def first_open(self, now_ns: int) -> int:
        """The first period whose gate has not come."""
        return self.first_from(now_ns + self.gate_ns + 1)

    def twelfths(self, period: int, now_ns: int) -> int:
        """EM2: whole twelfths of a period that are left, 0 to 12."""
        left_ns = self.start(period) + self.period_ns - now_ns
        return max(0, min(_TWELFTHS, left_ns * _TWELFTHS // self.period_ns))


class Family(NamedTuple):
    """Books that differ by their period only."""

    family: int
    chip: int
    region: int
    latency_class: int  # 0 is the fastest
    power: int  # Power


class Link(NamedTuple):
    """What moving data from one region to another costs, and how fast it goes."""

    price_micro_per_gb: int
    mbit: int
    capacity_mb: int  # RT7: per period; 0 = unlimited

    def cost_micro(self, data_mb: int) -> int:
        """Moving so much, rounded up."""
        return div_ceil(data_mb * self.price_micro_per_gb, 1000)

    def delay_ns(self, data_mb: int) -> int:
        """How long it takes, rounded up."""
        return div_ceil(data_mb * _BITS_PER_MB_AT_MBIT, self.mbit)


@dataclass(slots=True)
class BlockOffer:
    """MB1: capacity of one site and family that is sold in blocks of at least so many lots and periods."""

    order_id: int
    account: int
    family: int
    first_period: int
    end_period: int  # exclusive
    next_period: int  # the first one that was not set yet
    min_lots: int
    min_periods: int
    notice_ns: int
    client_ref: int
    flags: int  # 0 or OrderFlag.INDIVISIBLE
    residues: dict[int, tuple[int, int]] = field(default_factory=dict)  # period -> (price, lots), lots > 0

    def is_left(self, period: int) -> bool:
        """MB3: whether this period has a residue, or may still get its first one."""
        return period in self.residues or self.next_period <= period < self.end_period

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing may come."""
        return not self.residues and self.next_period >= self.end_period


@dataclass(slots=True)
class Task:
    """A task that waits, or is being tried: what it asks for and how far it has come."""

    terms: TaskTerms
    fee_ppm: int  # of its lane at entry
    limit_micro: int  # RT9: what it may spend now; the budget where it has no steps
    stamp: int = 0
    dies_ns: int = 0
    filled: int = 0  # lot-periods bought (bulk)
    grid_filled: int = 0  # those of them on grid power
    spent_micro: int = 0  # compute and moving
    notional_micro: int = 0  # compute
    next_step: int = 0  # place in terms.steps of the step to come; 0 without steps
    moved: dict[int, int] = field(default_factory=dict)  # bulk with data: region it has bought in -> first period with it

    @property
    def target(self) -> int:
        """The lot-periods that it wants in all, in lots of its first chip."""
        return self.terms.lots * self.terms.periods

    @property
    def held_micro(self) -> int:
        """HM1: what it has in HELD now."""
        budget = self.terms.budget_micro
        left = budget + fee_micro(self.fee_ppm, budget)
        return left - self.spent_micro - fee_micro(self.fee_ppm, self.notional_micro)


class Market:
    """Everything that one engine knows about tasks."""

    def __init__(self) -> None:
        self.grid: Grid | None = None
        self.families: dict[int, Family] = {}
        self.reach: dict[tuple[int, int, int], int] = {}  # (access region, host region, class) -> round trip in us, > 0
        self.links: dict[tuple[int, int], Link] = {}  # (from region, to region)
        self.link_loads: dict[tuple[int, int, int], int] = {}  # (from, to, period) -> MB promised, > 0
        self.blocks: dict[int, BlockOffer] = {}  # by offer id
        self.tasks: dict[int, Task] = {}  # the waiting ones by id; in the order of their stamps
        self.dirty: set[int] = set()  # books
        self.draining: set[int] = set()  # families of the pass at hand; empty when no task is woken
        self.woken: dict[int, int] = {}  # task id -> 1: over `draining`, 2: over every family
        self.spreads: set[int] = set()  # the waiting tasks of that shape
        self._last_stamp = 0

    # --- what waits, and what is new ---

    def wait(self, task: Task) -> None:
        """The task joins the line, behind all others."""
        self._last_stamp += 1
        task.stamp = self._last_stamp
        self.leave(task)
        self.tasks[task.terms.order_id] = task
        if task.terms.shape == Shape.SPREAD:
            self.spreads.add(task.terms.order_id)

    def leave(self, task: Task) -> None:
        """The task waits no longer, if it did."""
        self.sleep(task.terms.order_id)
        self.tasks.pop(task.terms.order_id, None)
        self.spreads.discard(task.terms.order_id)

    def sleep(self, task_id: int) -> None:
        """The task needs no try for now; a pass of a drain ends with the last one that does."""
        self.woken.pop(task_id, None)
        if not self.woken:
            self.draining.clear()

    def mark(self, book: int) -> None:
        """RT4: something in this book may suit a waiting task."""
        if self.tasks and family_of(book) in self.families:
            self.dirty.add(book)

    def mark_less(self, book: int, has_minimum: bool = False) -> None:
        """RT4: less is offered here, which may suit a task too: another ask's minimum may now be met, and a spread task
        looks at the cheapest sources only."""
        if has_minimum or self.spreads:
            self.mark(book)

    def mark_residues(self, offer: BlockOffer) -> None:
        """RT4, MB2: what is left of a block offer may suit a task."""
        for period in offer.residues:
            self.mark(book_of(offer.family, period))

    def is_used(self, order_id: int) -> bool:
        """Whether a waiting task or a block offer has this id."""
        return order_id in self.tasks or order_id in self.blocks

    # --- where a task may buy ---

    def fits(self, terms: TaskTerms, family: Family, moved: Collection[int] = ()) -> bool:
        """K1: whether a task may use a family at all: chip, region, class, power, reach, and a way for its data."""
        if all(chip != family.chip for chip, _ in terms.chips):
            return False
        if terms.regions and family.region not in terms.regions:
            return False
        if family.latency_class > terms.max_class or (terms.flags & TaskFlag.GREEN and family.power != Power.GREEN):
            return False
        rtt_us = self.rtt_us(terms, family)
        if rtt_us is None or (terms.max_rtt_us and rtt_us > terms.max_rtt_us):
            return False
        return self.moving(terms, family.region, moved) is not None

    def rtt_us(self, terms: TaskTerms, family: Family) -> int | None:
        """The round trip from the access region; 0 where the task names none, None where there is no reach."""
        if terms.access_region == 0:
            return 0
        return self.reach.get((terms.access_region, family.region, family.latency_class))

    def moving(self, terms: TaskTerms, region: int, moved: Collection[int] = ()) -> tuple[int, int] | None:
        """(micro-yuan, delay in ns) of bringing the task's data to a region; None where there is no way.

        A bulk task that has bought in MAX_MOVED_REGIONS regions goes to no other.
        """
        if terms.data_mb == 0 or region in moved:
            return 0, 0
        if len(moved) >= MAX_MOVED_REGIONS:
            return None
        link = self.links.get((terms.data_region, region))
        if link is None:
            return (0, 0) if region == terms.data_region else None
        delay_ns = link.delay_ns(terms.data_mb)
        if terms.lane == Lane.EMERGENCY:  # EM3
            return (link.cost_micro(terms.data_mb), 0) if delay_ns <= MAX_EMERGENCY_DELAY_NS else None
        return link.cost_micro(terms.data_mb), delay_ns

    def uses_link(self, terms: TaskTerms, region: int, moved: Collection[int] = ()) -> bool:
        """Whether buying there moves data over a link."""
        return bool(terms.data_mb) and region not in moved and (terms.data_region, region) in self.links

    def promises(self, source: int, target: int, data_mb: int, now_ns: int) -> list[tuple[int, int]] | None:
        """RT7: (period, MB) that a transfer takes from a link's counters, soonest first; None without room in sight.

        Empty for a link of unlimited capacity.
        """
        capacity_mb = self.links[source, target].capacity_mb
        if capacity_mb == 0:
            return []
        assert self.grid is not None
        now_period = self.grid.at(now_ns)
        taken, rest = [], data_mb
        for period in range(max(0, now_period), now_period + MAX_WALK_PERIODS):
            free = capacity_mb - self.link_loads.get((source, target, period), 0)
            if free > 0:
                taken.append((period, min(free, rest)))
                rest -= taken[-1][1]
            if rest == 0:
                return taken
        return None
