"""Where a task can run, and the cheapest place: RT2's candidates, found by one sliding window per source.

A source is the plain asks of one site in one family, or one block offer. Nothing here changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.domain.commands import Task
from exchange.domain.instrument import book_id
from exchange.domain.state import Offer
from exchange.domain.units import PPM, div_ceil, div_floor

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


@dataclass(frozen=True, slots=True)
class Eligible:
    """A family that fits a task's hard filters (K1)."""

    family: int
    region: str
    chip_place: int  # position of the chip in the task's list
    rtt_us: int
    lots: int  # needed on this chip (CA4: rounded up)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a whole block; `key` is RT2's order."""

    eligible: Eligible
    site: str
    start: int  # period
    compute_micro: int
    moving_micro: int
    stamp: int
    offer: int  # number of the block offer, 0 for plain asks

    @property
    def total_micro(self) -> int:
        """Delivered cost: compute and moving the data."""
        return self.compute_micro + self.moving_micro

    @property
    def key(self) -> tuple:
        """RT2: cost, chip position, ms, start, region, site; then the earlier stamp (MB2)."""
        e = self.eligible
        return self.total_micro, e.chip_place, e.rtt_us, self.start, e.region, self.site, self.stamp


def eligible_families(v: Venue, task: Task) -> list[Eligible]:
    """K1: chip, region, latency and power choose the families; in order of family number."""
    catalogue = v.state.catalogue
    places = {item.chip: (place, div_ceil(task.lots * PPM, item.factor_ppm)) for place, item in enumerate(task.chips)}
    found = []
    for family in v.state.families:
        if family.chip not in places or (task.allowed_regions and family.region not in task.allowed_regions):
            continue
        if task.min_green_ppm and family.power != "green":
            continue
        rtt_us = catalogue.rtt_us(task.access_region, family.region, family.latency_class)
        if rtt_us is None or (task.max_latency_us and rtt_us > task.max_latency_us):
            continue
        place, lots = places[family.chip]
        found.append(Eligible(family.number, family.region, place, rtt_us, lots))
    return found


def start_window(
    v: Venue, task: Task, region: str, periods: int, has_data: bool = False
) -> tuple[int, int, int] | None:
    """(first start, last start, moving cost) for running `periods` periods in a region; None where it cannot be in time."""
    moving = (0, 0) if has_data else v.state.catalogue.moving(task.data_mb, task.data_region, region)
    if moving is None:
        return None
    now_ns, grid = v.state.now_ns, v.periods
    first = max(grid.first_from(task.earliest_start_ns), grid.first_open(now_ns), grid.first_from(now_ns + moving[1]))
    last = min(grid.at(task.deadline_ns), v.state.listed_end) - periods
    return (first, last, moving[0]) if first <= last else None


def best_block(v: Venue, task: Task, families: list[Eligible], limit_micro: int | None) -> Candidate | None:
    """RT2: the least candidate of a block within a delivered-cost limit (None = any cost)."""
    firm = v.state.participants[task.participant].firm
    best: Candidate | None = None
    for eligible in families:
        window = start_window(v, task, eligible.region, task.periods)
        if window is None:
            continue
        first, last, moving = window
        for site in v.family_sites.get(eligible.family, ()):
            if not v.sells_to(site, firm) or (task.checkpoint == "none" and not v.is_indivisible(site, eligible.family)):
                continue
            n_books = last - first + task.periods
            account = v.state.sites[site].account
            costs = v.core.site_walk(account, book_id(eligible.family, first), n_books, eligible.lots)
            found = _cheapest_run(costs, task.periods)
            if found is not None and (best is None or found[0] + moving <= best.total_micro):
                stamp = v.ask_stamp(site, eligible.family, first + found[1])
                best = _least(best, Candidate(eligible, site, first + found[1], found[0], moving, stamp, 0))
        for number in v.family_blocks.get(eligible.family, ()):
            found_block = _best_in_block(v, task, eligible, v.state.offers[number], window, firm)
            if found_block is not None:
                best = _least(best, found_block)
    return best if best is not None and (limit_micro is None or best.total_micro <= limit_micro) else None


def _least(one: Candidate | None, other: Candidate) -> Candidate:
    return other if one is None or other.key < one.key else one


def _cheapest_run(costs: list[int], length: int) -> tuple[int, int] | None:
    """(cost, offset) of the cheapest run of `length` periods without a gap (-1), the earliest among equals."""
    best = None
    total = run = 0
    for place, cost in enumerate(costs):
        if cost < 0:
            total = run = 0
            continue
        total += cost
        run += 1
        if run > length:
            total -= costs[place - length]
            run = length
        if run == length and (best is None or total < best[0]):
            best = (total, place - length + 1)
    return best


def _best_in_block(v: Venue, task: Task, eligible: Eligible, offer: Offer, window, firm: int) -> Candidate | None:
    """The least run inside one block offer (MB2, MB3)."""
    if not v.sells_to(offer.site, firm) or (task.checkpoint == "none" and not offer.indivisible_ok):
        return None
    first, last, moving = window
    now_ns, notice_ns = v.state.now_ns, offer.notice_min * 60_000_000_000
    best = None
    for start in range(max(first, offer.first_period), min(last, offer.end_period - task.periods) + 1):
        run = range(start, start + task.periods)
        if v.periods.start(start) - notice_ns <= now_ns or not is_fill_allowed(offer, run, eligible.lots):
            continue
        cost = sum(offer.price_ticks(period) for period in run) * eligible.lots * v.value_micro
        if best is None or cost < best[0]:
            best = (cost, start)
    if best is None:
        return None
    return Candidate(eligible, offer.site, best[1], best[0], moving, offer.stamp, offer.number)


def _is_residue(offer: Offer, period: int) -> bool:
    ask = offer.open.get(period)
    return ask is not None and ask.order_id == 0


def is_fill_allowed(offer: Offer, run: range, lots: int) -> bool:
    """MB3: at least the minimum, or the whole residue where that is smaller; in lots and in periods."""
    if not all(_is_residue(offer, period) and offer.open[period].lots >= lots for period in run):
        return False
    smallest = min(offer.open[period].lots for period in run)
    if lots < min(offer.min_lots, smallest):
        return False
    if len(run) >= offer.min_periods:
        return True
    return not _is_left(offer, run[0] - 1) and not _is_left(offer, run[-1] + 1)


def _is_left(offer: Offer, period: int) -> bool:
    """Whether there is residue, or will be when the period is listed."""
    return _is_residue(offer, period) or offer.next_period <= period < offer.end_period


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a bulk fill: lots from one site's plain asks in one book, at up to a price."""

    eligible: Eligible
    site: str
    period: int
    lots: int
    cost_micro: int


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """What a bulk task can buy now: as much as stays within the budget's share for what is bought."""

    legs: tuple[Leg, ...]
    lot_periods: int
    compute_micro: int
    moving_micro: int
    region: str  # where the data goes; "" where none moves


def best_bulk(v: Venue, entry, families: list[Eligible]) -> BulkPlan | None:
    """Bulk: cheapest asks first over all sites, one region per try where data moves; most filled, cheapest, region."""
    task = entry.task
    groups: dict[str, list[Eligible]] = {}
    for eligible in families:
        groups.setdefault(eligible.region if task.data_mb else "", []).append(eligible)
    best, best_key = None, None
    for region in sorted(groups):
        plan = _bulk_in_region(v, entry, groups[region], region)
        if plan is not None:
            key = (-plan.lot_periods, plan.compute_micro + plan.moving_micro, region)
            if best_key is None or key < best_key:
                best, best_key = plan, key
    return best


def _bulk_asks(v: Venue, task: Task, families: list[Eligible], moved: set[str]) -> tuple[list[tuple], int]:
    """All asks a bulk task may take, in RT2's order for single periods, and the cost of moving the data."""
    firm = v.state.participants[task.participant].firm
    asks, moving = [], 0
    for eligible in families:
        window = start_window(v, task, eligible.region, 1, eligible.region in moved)
        if window is None:
            continue
        first, last, moving = window
        for site in v.family_sites.get(eligible.family, ()):
            if not v.sells_to(site, firm):
                continue
            for period in range(first, last + 1):
                for ticks, lots, order_id in v.site_asks(site, eligible.family, period):
                    key = (ticks, eligible.chip_place, eligible.rtt_us, period, eligible.region, site, order_id)
                    asks.append((key, eligible, lots))
    asks.sort(key=lambda item: item[0])
    return asks, moving


def _bulk_in_region(v: Venue, entry, families: list[Eligible], region: str) -> BulkPlan | None:
    task = entry.task
    asks, moving = _bulk_asks(v, task, families, entry.moved)
    target = task.lots * task.periods
    filled, spent = entry.filled, entry.spent_micro + moving
    taken: list[tuple] = []
    kept = 0  # how many of `taken` lie within the budget, and what they come to
    kept_state = (entry.filled, entry.spent_micro)
    for key, eligible, lots in asks:
        unit = key[0] * v.value_micro
        lots = min(lots, target - filled, _affordable(entry.budget_micro, target, filled, spent, unit, lots))
        if lots <= 0:
            break
        taken.append((key, eligible, lots))
        filled, spent = filled + lots, spent + lots * unit
        if spent <= div_floor(entry.budget_micro * filled, target):
            kept, kept_state = len(taken), (filled, spent)
    bought = kept_state[0] - entry.filled
    if kept == 0 or (entry.filled == 0 and bought < min(task.min_fill, target)):
        return None
    legs = tuple(
        Leg(eligible, key[5], key[3], lots, lots * key[0] * v.value_micro) for key, eligible, lots in taken[:kept]
    )
    compute = sum(leg.cost_micro for leg in legs)
    return BulkPlan(legs, bought, compute, moving, region)


def _affordable(budget: int, target: int, filled: int, spent: int, unit: int, lots: int) -> int:
    """Largest number of lots at `unit` each after which spent <= budget x filled / target; all where they help."""
    if unit * target <= budget:
        return lots
    slack = budget * filled - spent * target
    return max(0, min(lots, slack // (unit * target - budget)))
