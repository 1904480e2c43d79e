"""Why a task is not filled: per dimension the least relaxation that alone would fill it, each verified by trying it (K6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exchange.domain.commands import Task, TaskChip
from exchange.domain.events import Explanation, Relaxation
from exchange.domain.reasons import TaskReason
from exchange.domain.routing import Candidate, best_block, best_bulk, eligible_families, start_window
from exchange.domain.state import TaskEntry
from exchange.domain.units import div_ceil, div_floor, format_micro, format_scaled

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def explain(v: Venue, entry: TaskEntry, canceled: bool = False) -> Explanation:
    """The reason, the binding constraint and the relaxations; computed at entry, on request and at the end only (RT10)."""
    if canceled:
        return Explanation(TaskReason.CANCELED.name, "", ())
    if entry.task.shape == "bulk":
        return _explain_bulk(v, entry)
    task = entry.task
    found = [
        relaxed
        for attempt in (_cap, _deadline, _latency, _chip, _cards, _region, _power)
        if (relaxed := attempt(v, task, entry.budget_micro)) is not None
    ]
    binding = min(found, key=lambda r: r.delivered_micro).dimension if found else ""
    return Explanation(_reason(v, task).name, binding, tuple(found))


def _reason(v: Venue, task: Task) -> TaskReason:
    families = eligible_families(v, task)
    if not any(e.family in v.family_sites or e.family in v.family_blocks for e in families):
        return TaskReason.NO_REACH
    if all(start_window(v, task, e.region, task.periods) is None for e in families):
        return TaskReason.NO_TIME
    if best_block(v, task, families, None) is None:
        return TaskReason.NO_DEPTH
    return TaskReason.OVER_BUDGET


def _explain_bulk(v: Venue, entry: TaskEntry) -> Explanation:
    """A bulk task takes any amounts: what binds is reach, time, or the price of the next card-hour."""
    families = eligible_families(v, entry.task)
    if not any(e.family in v.family_sites for e in families):
        return Explanation(TaskReason.NO_REACH.name, "latency", ())
    if all(start_window(v, entry.task, e.region, 1, e.region in entry.moved) is None for e in families):
        return Explanation(TaskReason.NO_TIME.name, "deadline", ())
    rich = replace(entry, budget_micro=entry.budget_micro * 1000)
    plan = best_bulk(v, rich, families)
    if plan is None:
        return Explanation(TaskReason.NO_DEPTH.name, "cards", ())
    cost = plan.compute_micro + plan.moving_micro
    leg = plan.legs[0]
    per_card_hour = _per_card_hour(v, cost, plan.lot_periods)
    step = Relaxation(
        "cap", f"{format_micro(per_card_hour)} yuan a card-hour for {plan.lot_periods} lot-periods", cost,
        v.instrument_code(leg.eligible.family, leg.period),
    )  # fmt: skip
    return Explanation(TaskReason.OVER_BUDGET.name, "cap", (step,))


def _per_card_hour(v: Venue, cost_micro: int, lot_periods: int) -> int:
    return div_ceil(cost_micro * 60 * v.settings.lots_per_card, lot_periods * v.settings.period_min)


def _answer(v: Venue, dimension: str, change: str, found: Candidate) -> Relaxation:
    return Relaxation(dimension, change, found.total_micro, v.instrument_code(found.eligible.family, found.start))


def _cap(v: Venue, task: Task, limit: int) -> Relaxation | None:
    found = best_block(v, task, eligible_families(v, task), None)
    if found is None or found.total_micro <= limit:
        return None
    price = _per_card_hour(v, found.total_micro, task.lots * task.periods)
    return _answer(v, "cap", f"{format_micro(price)} yuan a card-hour delivered", found)


def _deadline(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """The earliest later deadline: one period at a time within the listed horizon, by bisection (a later one never hurts)."""
    grid = v.periods
    low, high = grid.at(task.deadline_ns), v.state.listed_end
    if low >= high:
        return None
    families = eligible_families(v, task)

    def attempt(end: int) -> Candidate | None:
        return best_block(v, replace(task, deadline_ns=grid.start(end)), families, limit)

    found = attempt(high)
    while found is not None and high - low > 1:
        middle = (low + high) // 2
        earlier = attempt(middle)
        if earlier is None:
            low = middle
        else:
            high, found = middle, earlier
    if found is None:
        return None
    return _answer(v, "deadline", f"finished by {grid.code(high)}", found)


def _latency(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """The least latency limit above the present one, among the round trips that exist."""
    if task.max_latency_us == 0:
        return None
    times = sorted({rtt for rtt in v.state.catalogue.reach.get(task.access_region, {}).values() if rtt > task.max_latency_us})
    for rtt_us in times:
        relaxed = replace(task, max_latency_us=rtt_us)
        found = best_block(v, relaxed, [e for e in eligible_families(v, relaxed) if e.rtt_us == rtt_us], limit)
        if found is not None:
            more = format_scaled(rtt_us - task.max_latency_us, 1000, 0)
            return _answer(v, "latency", f"+{more} ms", found)
    return None


def _chip(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """Any other chip of the catalogue at factor 1: the one that gives the cheapest fill."""
    named = {item.chip for item in task.chips}
    others = tuple(TaskChip(code) for code in sorted(v.state.catalogue.chips) if code not in named)
    if not others:
        return None
    relaxed = replace(task, chips=others)
    found = best_block(v, relaxed, eligible_families(v, relaxed), limit)
    return _answer(v, "chip", f"also accept {v.state.families[found.eligible.family - 1].chip}", found) if found else None


def _cards(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """The largest smaller size, by bisection; the limit shrinks with the size where it came from a cap per card-hour."""
    low, high, best = 0, task.lots, None
    while high - low > 1:
        lots = (low + high) // 2
        relaxed = replace(task, lots=lots)
        allowed = limit if task.budget_micro else div_floor(limit * lots, task.lots)
        found = best_block(v, relaxed, eligible_families(v, relaxed), allowed)
        if found is None:
            high = lots
        else:
            low, best = lots, found
    if best is None:
        return None
    return _answer(v, "cards", f"{format_scaled(low, v.settings.lots_per_card, 0)} cards", best)


def _region(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """One more allowed region: the one that gives the cheapest fill."""
    if not task.allowed_regions:
        return None
    relaxed = replace(task, allowed_regions=())
    found = best_block(v, relaxed, eligible_families(v, relaxed), limit)
    return _answer(v, "region", f"also allow {found.eligible.region}", found) if found else None


def _power(v: Venue, task: Task, limit: int) -> Relaxation | None:
    """Grid power where the task asks for green."""
    if not task.min_green_ppm:
        return None
    relaxed = replace(task, min_green_ppm=0)
    found = best_block(v, relaxed, eligible_families(v, relaxed), limit)
    return _answer(v, "power", "take grid power", found) if found else None
