"""Why a task is not filled: per dimension the least relaxation that alone would fill it, each verified by trying it (K6).

Each trial asks the core what it would buy for the task with that one change, so that what is proposed is what it would get.
The least is exact for cap, latency, chip, region and power, and for the deadline of all shapes but bulk; of a smaller
number of cards see `sizes`. A bulk task takes any amounts: what is proposed for it buys something, not all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.commands import Task, TaskChip
from exchange.domain.eligible import can_start, eligible_families
from exchange.domain.events import Explanation, Relaxation
from exchange.domain.reasons import TaskReason
from exchange.domain.sizes import largest_size
from exchange.domain.state import TaskEntry
from exchange.domain.task_terms import pflops_milli_hours, size_of, terms_of
from exchange.domain.units import MICRO, div_ceil, div_floor, format_micro, format_scaled
from matching_core.enums import Op
from matching_core.limits import MAX_MONEY_MICRO, MAX_PRICE_TICKS, MAX_TASK_CHIPS, MAX_TASK_REGIONS
from matching_core.task_records import pack_task
from matching_core.views import Route

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

ANY_MICRO = MAX_MONEY_MICRO // 4  # the largest budget that there can be


def find(v: Venue, task: Task, limit_micro: int | None = None) -> Route | None:
    """What the core would buy for a task now, within a limit (None: its own); None for nothing, or where it is no task."""
    try:
        return v.core.find_task(pack_task(Op.TASK, terms_of(v, task, v.state.next_order_id)), limit_micro)
    except ValueError:
        return None


def explain(v: Venue, entry: TaskEntry, filled: int) -> Explanation:
    """The reason, the binding constraint and the relaxations; computed at entry, on request and at the end only (RT10)."""
    return explain_task(v, as_of_now(v, entry.task, filled))


def as_of_now(v: Venue, task: Task, filled: int = 0) -> Task:
    """The task that is still to be filled: its limit is that of its last step, and of a bulk task what it lacks is asked."""
    if task.steps:
        limit = [step.limit_micro for step in task.steps if step.at_ns <= v.state.now_ns][-1]
        is_cap = task.price_cap_micro > 0
        task = replace(task, steps=(), price_cap_micro=limit if is_cap else 0, budget_micro=0 if is_cap else limit)
    if filled:
        target = task.lots * task.periods
        budget = div_floor(task.budget_micro * (target - filled), target)
        task = replace(task, lots=target - filled, periods=1, min_fill=0, budget_micro=budget)
    return task


def explain_task(v: Venue, task: Task) -> Explanation:
    """As `explain`, for a task that need not have entered."""
    at_any_cost = find(v, task, ANY_MICRO)
    found = [relaxed for relaxed in (_cap(v, task, at_any_cost), *(attempt(v, task) for attempt in ATTEMPTS)) if relaxed]
    binding = min(found, key=lambda r: r.delivered_micro).dimension if found else ""
    return Explanation(_reason(v, task, at_any_cost).name, binding, tuple(found))


def _reason(v: Venue, task: Task, at_any_cost: Route | None) -> TaskReason:
    if at_any_cost is not None:
        return TaskReason.OVER_BUDGET
    regions = {e.region: None for e in eligible_families(v, task) if e.family in v.family_sites}
    if not regions:
        return TaskReason.NO_REACH
    if not any(can_start(v, task, region) for region in regions):
        return TaskReason.NO_TIME
    return TaskReason.NO_DEPTH


def first_of(found: Route) -> tuple[int, int]:
    """(family, period) of the earliest period of a route; a bulk plan has one part per period, in the order of its legs."""
    period = min(found.periods)
    place = found.periods.index(period) if found.parts[0].ask_id else 0
    return found.parts[place].family, period


def _answer(v: Venue, dimension: str, change: str, found: Route) -> Relaxation:
    return Relaxation(dimension, change, found.compute_micro + found.moving_micro, v.instrument_code(*first_of(found)))


# --- one dimension each ---


def _cap(v: Venue, task: Task, found: Route | None) -> Relaxation | None:
    """The least limit: what the best candidate at any cost comes to, rounded up to a price per card-hour."""
    if found is None:
        return None
    cost = found.compute_micro + found.moving_micro
    if task.pflops_milli_hours:
        return _answer(v, "cap", f"a budget of {format_micro(cost)} yuan", found)
    is_bulk = task.shape == "bulk"
    lot_periods = found.lot_periods if is_bulk else task.lots * task.periods
    price = div_ceil(cost * 60 * v.settings.lots_per_card, lot_periods * v.settings.period_min)
    relaxed = replace(task, price_cap_micro=price, budget_micro=0)
    if price > MAX_PRICE_TICKS * v.settings.tick_micro or money.task_budget(relaxed, v.settings) > ANY_MICRO:
        return None
    if is_bulk:
        found = find(v, relaxed)
        if found is None:
            return None
        much = format_micro(div_floor(found.lot_periods * v.settings.period_min * MICRO, 60 * v.settings.lots_per_card), 0)
        return _answer(v, "cap", f"{format_micro(price)} yuan a card-hour for {much} card-hours", found)
    return _answer(v, "cap", f"{format_micro(price)} yuan a card-hour delivered", found)


def _deadline(v: Venue, task: Task) -> Relaxation | None:
    """The earliest later deadline within the listed periods, by bisection: a later one leaves every candidate there is."""
    grid = v.periods
    low, high = grid.at(task.deadline_ns), v.state.listed_end
    if low >= high:
        return None
    found = find(v, replace(task, deadline_ns=grid.start(high)))
    while found is not None and high - low > 1:
        middle = (low + high) // 2
        earlier = find(v, replace(task, deadline_ns=grid.start(middle)))
        if earlier is None:
            low = middle
        else:
            high, found = middle, earlier
    return None if found is None else _answer(v, "deadline", f"finished by {grid.code(high)}", found)


def _latency(v: Venue, task: Task) -> Relaxation | None:
    """The least latency limit above the present one, among the round trips that exist."""
    if task.max_latency_us == 0:
        return None
    row = v.state.catalogue.reach.get(task.access_region, {})
    times = sorted({rtt_us for rtt_us in row.values() if rtt_us > task.max_latency_us})
    for rtt_us in times:  # one after the other: more sources may push each other out of the 16 of a spread task
        found = find(v, replace(task, max_latency_us=rtt_us))
        if found is not None:
            more = format_scaled(rtt_us - task.max_latency_us, 1000, 0)
            return _answer(v, "latency", f"+{more} ms", found)
        if rtt_us == times[0] and task.shape != "spread" and find(v, replace(task, max_latency_us=0)) is None:
            return None  # none of them helps
    return None


def _chip(v: Venue, task: Task) -> Relaxation | None:
    """Any other chip of the catalogue at factor 1 (in PFLOPS-hours: at its own speed): the one that gives the cheapest fill."""
    named = {item.chip for item in task.chips}
    listed = {family.chip for family in v.state.families}
    chips = v.state.catalogue.chips
    others = [code for code in sorted(chips) if code in listed and code not in named]
    if task.pflops_milli_hours:  # any chip of family ai is meant where none is named
        others = [code for code in others if chips[code].family == "ai"]
    if len(named) >= MAX_TASK_CHIPS or not named:
        return None
    trials = []
    for place in range(0, len(others), MAX_TASK_CHIPS):
        some = replace(task, chips=tuple(map(TaskChip, others[place : place + MAX_TASK_CHIPS])))
        found = find(v, some)
        if found is not None:
            trials.append(size_of(v, some).chips[found.chip_place][0] if task.shape != "bulk" else "")
    codes = others if "" in trials else trials  # a bulk task may take several chips at once: each is tried alone
    return _cheapest(v, "chip", [
        (f"also accept {code}", replace(task, chips=(*task.chips, TaskChip(code)))) for code in codes
    ])  # fmt: skip


def _region(v: Venue, task: Task) -> Relaxation | None:
    """One more allowed region: the one that gives the cheapest fill."""
    allowed = set(task.allowed_regions)
    if not allowed or len(allowed) >= MAX_TASK_REGIONS:
        return None
    found = find(v, replace(task, allowed_regions=()))
    if found is None:
        return None
    new = sorted({v.state.families[part.family - 1].region for part in found.parts} - allowed)
    if len(new) != 1 or task.shape == "bulk":  # two at once, or as much as there is: then each is tried alone
        new = sorted({family.region for family in v.state.families} - allowed)
    return _cheapest(v, "region", [
        (f"also allow {region}", replace(task, allowed_regions=(*task.allowed_regions, region))) for region in new
    ])  # fmt: skip


def _power(v: Venue, task: Task) -> Relaxation | None:
    """Grid power where the task asks for green."""
    if not task.min_green_ppm:
        return None
    return _cheapest(v, "power", [("take grid power", replace(task, min_green_ppm=0))])


def _cheapest(v: Venue, dimension: str, trials: list[tuple[str, Task]]) -> Relaxation | None:
    answers = [_answer(v, dimension, change, found) for change, task in trials if (found := find(v, task)) is not None]
    return min(answers, key=lambda answer: answer.delivered_micro, default=None)


def _cards(v: Venue, task: Task) -> Relaxation | None:
    """The largest smaller size; the limit shrinks with it where it came from a cap per card-hour."""
    if task.shape == "bulk":
        return None

    def smaller(lots: int) -> Task:
        if task.pflops_milli_hours:
            return replace(task, pflops_milli_hours=pflops_milli_hours(v, task, lots))
        return replace(task, lots=lots)

    best = largest_size(v, task, lambda lots: find(v, smaller(lots)))
    if best is None:
        return None
    lots, found = best
    if task.pflops_milli_hours:
        return _answer(v, "cards", f"{format_scaled(smaller(lots).pflops_milli_hours, 1000, 0)} PFLOPS-hours", found)
    return _answer(v, "cards", f"{format_scaled(lots, v.settings.lots_per_card, 0)} cards", found)


ATTEMPTS: tuple[Callable[[Venue, Task], Relaxation | None], ...] = (_deadline, _latency, _chip, _cards, _region, _power)
