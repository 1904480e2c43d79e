"""What an outsider can know of an engine's market: its tables, the offers, and the asks that stand in its books.

The words of the rules as plain data, for the oracle of tasks (`brute_tasks`) and its model (`task_model`). Nothing here
comes from either engine but what `look` is given.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from matching_core.enums import FixGrade, Lane, OrderFlag, Phase, Shape, Side, TaskFlag
from matching_core.limits import PPM

SECOND = 10**9
SIGHT = 1024  # periods
MOST_MOVED = 8
MOST_DELAY_NS = 60 * SECOND  # of an emergency


class Terms(NamedTuple):
    """What a task asks for, in the words of its records."""

    order_id: int
    account: int
    lane: int
    shape: int
    tif: int
    max_class: int
    flags: int
    access_region: int
    budget_micro: int
    lots: int
    periods: int
    valid_until_ns: int
    client_ref: int
    data_region: int
    max_rtt_us: int
    min_run: int
    first_period: int
    end_period: int
    data_mb: int
    min_fill: int
    max_grid: int
    chips: tuple[tuple[int, int], ...]
    regions: tuple[int, ...] = ()
    steps: tuple[tuple[int, int], ...] = ()

    @property
    def length(self) -> int:
        """The hours that one start needs."""
        return 1 if self.shape == Shape.BULK else self.periods

    @property
    def target(self) -> int:
        """Lot-periods on the first chip."""
        return self.lots * self.periods

    @property
    def is_emergency(self) -> bool:
        """EM3."""
        return self.lane == Lane.EMERGENCY


@dataclass
class Ask:
    """A live sell; it shrinks as the oracle buys from it."""

    order_id: int
    account: int
    price: int
    leaves: int
    flags: int
    aux: int
    shown: int
    client_ref: int

    @property
    def minimum(self) -> int:
        """MQ2."""
        return min(self.aux, self.leaves) if self.flags & OrderFlag.MIN_QTY else 0


class Family(NamedTuple):
    """A listed family."""

    number: int
    chip: int
    region: int
    latency_class: int
    power: int


@dataclass
class Block:
    """A block offer."""

    order_id: int
    client_ref: int
    account: int
    family: int
    first: int
    end: int
    next: int
    min_lots: int
    min_periods: int
    notice_ns: int
    flags: int
    residues: dict[int, tuple[int, int]] = field(default_factory=dict)  # period -> price, lots

    def is_left(self, period: int) -> bool:
        """MB3: whether something of it is or will be offered then."""
        return period in self.residues or self.next <= period < self.end

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing will come."""
        return not self.residues and self.next >= self.end


class Link(NamedTuple):
    """How data moves from one region to another."""

    price_per_gb: int
    mbit: int
    capacity_mb: int


@dataclass
class Grid:
    """The delivery periods."""

    origin: int
    period_ns: int
    gate_ns: int
    per_firm: int
    per_chip: int

    def start(self, period: int) -> int:
        """When a period begins."""
        return self.origin + period * self.period_ns

    def gate(self, period: int) -> int:
        """When its book closes."""
        return self.start(period) - self.gate_ns

    def at(self, time_ns: int) -> int:
        """The period that runs."""
        return (time_ns - self.origin) // self.period_ns

    def first_from(self, time_ns: int) -> int:
        """The first period that begins then or later."""
        return -((self.origin - time_ns) // self.period_ns)


class Moving(NamedTuple):
    """What it takes to have the data in a region."""

    price_micro: int
    delay_ns: int
    ready: int  # the first period that finds the data there
    promised: tuple[tuple[int, int], ...] = ()  # RT7: (period, MB)
    is_linked: bool = False


class Market:
    """What is known from outside; `look` gives the state and the sells of a book as they stand."""

    def __init__(self, look):
        self.look = look  # book -> (BookState or None, [Ask])
        self.now_ns = 0
        self.grid: Grid | None = None
        self.families: dict[int, Family] = {}
        self.reach: dict[tuple[int, int, int], int] = {}
        self.links: dict[tuple[int, int], Link] = {}
        self.load: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self.blocks: dict[int, Block] = {}
        self.firms: dict[int, int] = {}
        self.values: dict[int, int] = {}  # book -> micro-yuan per tick and lot

    def value(self, family: int, period: int) -> int:
        """Micro-yuan per tick and lot."""
        return self.values.get(family << 20 | period, 1)

    # --- which families, and from when on ---

    def rtt_us(self, terms: Terms, family: Family) -> int | None:
        """K1: the round trip of an eligible family, None if it is not."""
        if family.chip not in [chip for chip, _ in terms.chips]:
            return None
        if terms.regions and family.region not in terms.regions:
            return None
        if family.latency_class > terms.max_class or (terms.flags & TaskFlag.GREEN and not family.power):
            return None
        if not terms.access_region:
            return 0
        rtt = self.reach.get((terms.access_region, family.region, family.latency_class), 0)
        return rtt if rtt and (not terms.max_rtt_us or rtt <= terms.max_rtt_us) else None

    def eligible(self, terms: Terms, moved=()) -> list[Family]:
        """K1 and a way for the data; whether links have room is not asked here."""
        fit = [family for _, family in sorted(self.families.items()) if self.rtt_us(terms, family) is not None]
        is_full = terms.data_mb and len(moved) >= MOST_MOVED
        return [f for f in fit if f.region in moved or (not is_full and self.delay_ns(terms, f.region) is not None)]

    def delay_ns(self, terms: Terms, region: int) -> int | None:
        """How long the data takes; None if there is no way."""
        link = self.links.get((terms.data_region, region))
        if not terms.data_mb:
            return 0
        if link is None:
            return 0 if region == terms.data_region else None
        delay = -(-terms.data_mb * 8 * SECOND // link.mbit)
        return None if terms.is_emergency and delay > MOST_DELAY_NS else delay

    def base(self, terms: Terms) -> int:
        """The first period that any start may have."""
        grid = self.grid
        running = terms.is_emergency
        soon = grid.at(self.now_ns) if running else grid.first_from(self.now_ns + grid.gate_ns + 1)
        return max(terms.first_period, soon)

    def moving(self, terms: Terms, region: int, moved=MappingProxyType({})) -> Moving | None:
        """What the data costs and when it is there; None if links have no room; moved: region -> ready before."""
        if region in moved:
            return Moving(0, 0, moved[region])
        link = self.links.get((terms.data_region, region))
        if not terms.data_mb or link is None:
            return Moving(0, 0, 0)
        delay = -(-terms.data_mb * 8 * SECOND // link.mbit)
        price = -(-terms.data_mb * link.price_per_gb // 1000)
        ready = 0 if terms.is_emergency else self.grid.first_from(self.now_ns + delay)
        if not link.capacity_mb:
            return Moving(price, delay, ready, (), True)
        promised = self._promise(terms, region, link.capacity_mb)
        if promised is None:
            return None
        if promised[-1][0] > self.grid.at(self.now_ns):
            ready = max(ready, promised[-1][0] + 1)
        return Moving(price, delay, ready, promised, True)

    def _promise(self, terms: Terms, region: int, capacity_mb: int) -> tuple[tuple[int, int], ...] | None:
        """RT7: which periods carry how much of the data; None if there is no room before the deadline."""
        promised, missing = [], terms.data_mb
        period = max(0, self.grid.at(self.now_ns))
        while missing:
            if period >= terms.end_period:
                return None
            room = max(0, capacity_mb - self.load.get((terms.data_region, region, period), 0))
            if room:
                promised.append((period, min(room, missing)))
                missing -= min(room, missing)
            period += 1
        return tuple(promised)

    def last(self, terms: Terms) -> int:
        """The end of what may be bought: the deadline, or how far a try sees."""
        return min(terms.end_period, self.grid.at(self.now_ns) + SIGHT)

    # --- whose asks ---

    def is_own(self, terms: Terms, account: int) -> bool:
        """RT6: whether buyer and seller are one."""
        firm = self.firms.get(terms.account, 0)
        return account == terms.account or (firm != 0 and self.firms.get(account, 0) == firm)

    @staticmethod
    def is_takeable(terms: Terms, state) -> bool:
        """RT6, EM1: books in continuous trading; the emergency books for emergencies."""
        return terms.is_emergency if state.is_gated else state.phase == Phase.OPEN

    @staticmethod
    def is_fair(terms: Terms, state, ask: Ask) -> bool:
        if terms.flags & TaskFlag.INDIVISIBLE and not ask.flags & OrderFlag.INDIVISIBLE:
            return False
        if state.static_ppm and state.reference and not _within(ask.price, state.reference, state.static_ppm):
            return False
        last = state.last or state.reference
        if state.dynamic_ppm and last and not _within(ask.price, last, state.dynamic_ppm):
            return False
        is_capped = state.is_gated and state.grade in (FixGrade.A, FixGrade.B)
        return not (is_capped and ask.price > 2 * state.fix)

    def twelfths(self, terms: Terms, period: int) -> int:
        """EM2: what is charged of a period, of 12."""
        if not terms.is_emergency:
            return 12
        left = self.grid.start(period) + self.grid.period_ns - self.now_ns
        return min(12, left * 12 // self.grid.period_ns)


def _within(price: int, base: int, ppm: int) -> bool:
    """B1."""
    return abs(price - base) * PPM <= base * ppm


def sells_of(engine, book: int) -> list[Ask]:
    """The live sells of a book in the order of the queue."""
    return [
        Ask(o.order_id, o.account, o.price, o.leaves, o.flags, o.aux, o.shown, o.client_ref)
        for o in engine.orders(book)
        if o.side == Side.SELL
    ]
