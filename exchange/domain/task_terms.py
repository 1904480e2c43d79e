"""A task in its buyer's words: what is refused at the door (typed, nothing changed), and the same in the core's words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from exchange.domain import money
from exchange.domain.commands import Task
from exchange.domain.instrument import LATENCY_CLASSES
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.units import NS_PER_DAY, PPM, div_ceil, div_floor, format_scaled
from matching_core.enums import Lane, Shape, TaskFlag, TimeInForce
from matching_core.limits import (
    MAX_DATA_MB,
    MAX_EMERGENCY_PERIODS,
    MAX_FACTOR_PPM,
    MAX_MONEY_MICRO,
    MAX_PRICE_TICKS,
    MAX_RTT_US,
    MAX_TASK_CHIPS,
    MAX_TASK_REGIONS,
    MAX_TASK_STEPS,
    MIN_FACTOR_PPM,
    PERIOD_BITS,
    STEP_BEFORE_GATE_NS,
)
from matching_core.task_records import TaskTerms

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_WORK = 4_000
LANES = ("standard", "economy", "emergency")  # place = lane and fee table of the core
SHAPES = ("block", "split", "spread", "bulk")  # place = shape of the core


class Size(NamedTuple):
    """How much a task needs: lots of a chip of factor 1, and (chip, factor_ppm) in the task's order."""

    lots: int
    chips: tuple[tuple[str, int], ...]


def _no(reason: VenueReason, message: str, hint: str = "") -> Refusal:
    return Refusal(reason, message, hint)


# --- what is refused ---


def check_task(v: Venue, task: Task, is_order: bool = False) -> None:
    """Refusal naming the first field that cannot be; is_order: a plain buy that takes better, which asks for no reach (RT3)."""
    buyer = v.participant(task.participant)
    v.text(task.client_order_id, "client_order_id")
    _check_places(v, task, is_order)
    _check_size(v, task)
    _check_times(v, task)
    if not 0 <= task.max_latency_us <= MAX_RTT_US:
        raise _no(VenueReason.INVALID_LATENCY, "the latency limit must be 0 (any) to 1000 s")
    if task.slowest_class and task.slowest_class not in LATENCY_CLASSES:
        raise _no(VenueReason.UNKNOWN_CLASS, f"class {task.slowest_class[:10]!r} is none of {', '.join(LATENCY_CLASSES)}")
    if len(task.work) > MAX_WORK or not task.work.isprintable():
        raise _no(VenueReason.INVALID_TEXT, f"work is one line of at most {MAX_WORK:,} printable characters")
    _check_terms(task)
    if task.lane == "emergency":
        _check_emergency(task, buyer.may_use_emergency)
    _check_money(v, task)
    if task.steps:
        _check_steps(v, task)


def _check_places(v: Venue, task: Task, is_order: bool) -> None:
    catalogue = v.state.catalogue
    is_named = bool(task.chips) or task.pflops_milli_hours != 0
    if not is_named or len(task.chips) > MAX_TASK_CHIPS or len({item.chip for item in task.chips}) != len(task.chips):
        raise _no(VenueReason.UNKNOWN_CHIP, f"name 1 to {MAX_TASK_CHIPS} different chips")
    for item in task.chips:
        if item.chip not in catalogue.chips:
            raise _no(VenueReason.UNKNOWN_CHIP, f"chip {item.chip[:36]!r} is not in the catalogue", "see the chips list")
        if not MIN_FACTOR_PPM <= item.factor_ppm <= MAX_FACTOR_PPM:
            raise _no(VenueReason.INVALID_QTY, f"factor of {item.chip} must be between 0.001 and 1000")
    if len(task.allowed_regions) > MAX_TASK_REGIONS:
        raise _no(VenueReason.INVALID_QTY, f"name at most {MAX_TASK_REGIONS} regions", "or none, for any")
    if is_order and not task.access_region and len(task.allowed_regions) != 1:
        raise _no(VenueReason.UNKNOWN_REGION, "an order that takes better stays in the region of its instrument")
    access = () if is_order and not task.access_region else (task.access_region,)
    if task.data_mb and not task.data_region:
        raise _no(VenueReason.UNKNOWN_REGION, "data has to come from somewhere", "name its region: data_region")
    for region in (*access, *task.allowed_regions, *((task.data_region,) if task.data_mb else ())):
        if region not in catalogue.regions:
            raise _no(VenueReason.UNKNOWN_REGION, f"region {region[:36]!r} is not in the catalogue")
    if not 0 <= task.data_mb <= MAX_DATA_MB:
        raise _no(VenueReason.INVALID_QTY, "data must be between 0 MB and 10^12 MB")


def _check_size(v: Venue, task: Task) -> None:
    longest, most = v.settings.horizon_periods, v.settings.max_task_lots
    if not 0 < task.periods <= longest:
        raise _no(VenueReason.INVALID_WINDOW, f"{task.periods} periods: 1 to {longest} can be bought", "buy in pieces")
    if task.pflops_milli_hours:
        _check_pflops(v, task)
    lots = size_of(v, task).lots
    if not 0 < lots <= most:
        raise _no(VenueReason.INVALID_QTY, _too_many(v, task, lots))
    if not 0 <= task.min_fill <= lots * task.periods:
        raise _no(VenueReason.INVALID_QTY, "min_fill is more than the task asks for")
    if task.shape == "split" and not 0 <= task.min_run <= task.periods:
        raise _no(VenueReason.INVALID_QTY, "min_run is more than the periods the task asks for")


def _too_many(v: Venue, task: Task, lots: int) -> str:
    least, most, asked = (format_scaled(each, v.settings.lots_per_card, 0) for each in (1, v.settings.max_task_lots, lots))
    of_what = " of a 1-PFLOPS chip in every hour" if task.pflops_milli_hours else ""
    return f"{asked} cards{of_what} are not between {least} and {most}"


def _check_pflops(v: Venue, task: Task) -> None:
    if task.pflops_milli_hours < 0 or task.lots:
        raise _no(VenueReason.INVALID_QTY, "PFLOPS-hours are positive, and cards are left out", "give one of the two")
    if task.price_cap_micro or not task.budget_micro:
        raise _no(VenueReason.INVALID_BUDGET, "a task in PFLOPS-hours has a budget, no cap per card-hour", "give a budget")
    chips = size_of(v, task).chips
    if not chips:
        raise _no(VenueReason.UNKNOWN_CHIP, "the catalogue has no chip of family ai", "name the chips")
    for (chip, factor), item in zip(chips, task.chips, strict=False):
        if item.factor_ppm != PPM:
            raise _no(VenueReason.INVALID_QTY, f"{chip}: in PFLOPS-hours a chip's factor is its own speed", "leave it out")
        if not MIN_FACTOR_PPM <= factor <= MAX_FACTOR_PPM:
            raise _no(VenueReason.UNKNOWN_CHIP, f"{chip} cannot be counted in PFLOPS", "name other chips")


def _check_times(v: Venue, task: Task) -> None:
    if not all(v.is_time(t) for t in (task.earliest_start_ns, task.deadline_ns, task.valid_until_ns)):
        raise _no(VenueReason.INVALID_WINDOW, "a time is out of range")
    now_ns, grid = v.state.now_ns, v.periods
    if task.deadline_ns <= now_ns or 0 < task.valid_until_ns <= now_ns:
        raise _no(VenueReason.INVALID_WINDOW, "deadline or valid_until has passed")
    if task.deadline_ns > now_ns + 3650 * NS_PER_DAY or grid.at(task.deadline_ns) >= 1 << PERIOD_BITS:
        raise _no(VenueReason.INVALID_WINDOW, "the deadline is more than ten years ahead, or beyond the last period")
    first, end = window_of(v, task)
    room = end - max(first, grid.at(now_ns) if task.lane == "emergency" else grid.first_open(now_ns))
    if room < task.periods:
        raise _no(
            VenueReason.INVALID_WINDOW, f"{task.periods} periods do not fit between start and deadline ({max(room, 0)} do)",
            "move the deadline or start earlier",
        )  # fmt: skip


def _check_terms(task: Task) -> None:
    if task.lane not in LANES:
        raise _no(VenueReason.INVALID_LANE, f"lane {task.lane[:20]!r} is none of {', '.join(LANES)}")
    if task.shape not in SHAPES:
        raise _no(VenueReason.INVALID_SHAPE, f"shape {task.shape[:20]!r} is none of {', '.join(SHAPES)}")
    is_bulk = task.shape == "bulk"
    if is_bulk and task.pflops_milli_hours:
        raise _no(VenueReason.INVALID_SHAPE, "bulk tasks are asked for in cards, not in PFLOPS-hours", "use split or block")
    if is_bulk and any(item.factor_ppm != PPM for item in task.chips):
        raise _no(VenueReason.INVALID_SHAPE, "bulk tasks take chips of factor 1 only")
    if task.min_fill and not is_bulk:
        raise _no(VenueReason.INVALID_SHAPE, "min_fill belongs to bulk tasks")
    if task.min_run and task.shape != "split":
        raise _no(VenueReason.INVALID_SHAPE, "min_run belongs to split tasks")
    if task.checkpoint not in ("hourly", "none") or task.on_break not in ("continue", "abandon"):
        raise _no(VenueReason.INVALID_SHAPE, "checkpoint is hourly or none, on_break continue or abandon")
    if is_bulk and (task.checkpoint, task.on_break) != ("hourly", "continue"):
        raise _no(VenueReason.INVALID_SHAPE, "the card-hours of a bulk task stand alone: checkpoint hourly, on_break continue")
    if task.shape == "spread" and task.checkpoint == "none":
        raise _no(VenueReason.INVALID_SHAPE, "without checkpoints a task cannot be spread over two sites", "use block")
    if not 0 <= task.min_green_ppm <= PPM:
        raise _no(VenueReason.INVALID_QTY, "min_green must be between 0 and 1")


def _check_emergency(task: Task, is_allowed: bool) -> None:
    """EM3, EM5."""
    if not is_allowed:
        raise _no(VenueReason.INVALID_LANE, f"{task.participant} may not use the emergency lane (EM5)", "ask the operator")
    if task.shape != "block":
        raise _no(VenueReason.INVALID_SHAPE, "an emergency task is a block (EM3)")
    if task.periods > MAX_EMERGENCY_PERIODS:
        raise _no(VenueReason.INVALID_WINDOW, f"an emergency task has at most {MAX_EMERGENCY_PERIODS} periods (EM3)")


def _check_money(v: Venue, task: Task) -> None:
    cap, budget = task.price_cap_micro, task.budget_micro
    if (cap == 0) == (budget == 0):
        raise _no(VenueReason.INVALID_BUDGET, "exactly one of price cap and budget must be given")
    if min(cap, budget) < 0 or cap > MAX_PRICE_TICKS * v.settings.tick_micro:
        raise _no(VenueReason.INVALID_BUDGET, "price cap and budget must be positive and within what money can hold")
    if not 0 < money.task_budget(task, v.settings) <= MAX_MONEY_MICRO // 4:
        raise _no(VenueReason.INVALID_BUDGET, "the budget is nothing, or more than money can hold")


def _check_steps(v: Venue, task: Task) -> None:
    """RT9."""
    steps, limit = task.steps, task.price_cap_micro or task.budget_micro
    if task.lane != "economy":
        raise _no(VenueReason.INVALID_LANE, "steps belong to the economy lane (RT9)")
    if not 2 <= len(steps) <= MAX_TASK_STEPS + 1:
        raise _no(VenueReason.INVALID_BUDGET, f"a first limit and 1 to {MAX_TASK_STEPS} steps are needed (RT9)")
    limits, times = [step.limit_micro for step in steps], [step.at_ns for step in steps]
    if limits != sorted(limits) or limits[-1] != limit or limits[0] <= 0 or in_all(v, task, limits[0]) <= 0:
        own = "its price cap or budget must be the last of them; give both, or no steps"
        raise _no(VenueReason.INVALID_BUDGET, "the limits of steps rise from above nothing to the task's own (RT9)", own)
    first, end = window_of(v, task)
    latest = v.periods.gate(end - (1 if task.shape == "bulk" else task.periods)) - STEP_BEFORE_GATE_NS
    is_rising = all(one < other for one, other in zip(times, times[1:], strict=False))
    if times[0] != 0 or times[1] <= v.state.now_ns or not is_rising or times[-1] > latest:
        raise _no(
            VenueReason.INVALID_WINDOW, "steps: the first at 0, then ahead and one after the other (RT9)",
            "the last at least 60 s before the task's last gate",
        )  # fmt: skip


# --- the same in the core's words ---


def size_of(v: Venue, task: Task) -> Size:
    """Lots and chips; of PFLOPS-hours the lots of a chip of 1 PFLOPS, a chip's factor being its speed (CA4)."""
    if not task.pflops_milli_hours:
        return Size(task.lots, tuple((item.chip, item.factor_ppm) for item in task.chips))
    known = v.state.catalogue.chips
    codes = [item.chip for item in task.chips] or [
        code for code in sorted(known)
        if known[code].family == "ai" and MIN_FACTOR_PPM <= known[code].fp16_gflops <= MAX_FACTOR_PPM
    ][:MAX_TASK_CHIPS]  # fmt: skip
    lots = asked_lots(task, v.settings.lots_per_card, v.settings.period_min)
    return Size(lots, tuple((code, known[code].fp16_gflops) for code in codes))


def asked_lots(task: Task, lots_per_card: int, period_min: int) -> int:
    """Lots of the first chip; of PFLOPS-hours those of a chip of 1 PFLOPS."""
    if not task.pflops_milli_hours:
        return task.lots
    return div_ceil(task.pflops_milli_hours * lots_per_card * 60, 1000 * task.periods * period_min)


def pflops_milli_hours(v: Venue, task: Task, lots: int) -> int:
    """The most PFLOPS-hours (thousandths) that so many lots of a chip of 1 PFLOPS give over the task's periods."""
    return div_floor(lots * 1000 * task.periods * v.settings.period_min, 60 * v.settings.lots_per_card)


def window_of(v: Venue, task: Task) -> tuple[int, int]:
    """(first period, end period) of what the task says, whatever the time is; an emergency task may use the running one."""
    grid = v.periods
    is_now = task.lane == "emergency" and task.earliest_start_ns <= v.state.now_ns
    first = grid.at(v.state.now_ns) if is_now else grid.first_from(task.earliest_start_ns)
    return max(0, first), grid.at(task.deadline_ns)


def needs_green(task: Task) -> bool:
    """Whether no card-hour may be of grid power; a bulk task may take a share of those, if that is a whole one."""
    if task.shape != "bulk":
        return task.min_green_ppm > 0
    return task.min_green_ppm > 0 and _most_grid(task) == 0


def _most_grid(task: Task) -> int:
    return div_floor(task.lots * task.periods * (PPM - task.min_green_ppm), PPM)


def in_all(v: Venue, task: Task, limit_micro: int) -> int:
    """What a step's limit comes to for the whole task, as HM1 reckons its own."""
    if not task.price_cap_micro:
        return limit_micro
    return money.task_budget(replace(task, price_cap_micro=limit_micro), v.settings)


def terms_of(v: Venue, task: Task, number: int) -> TaskTerms:
    """A checked task as the core takes it, under a number of the core."""
    catalogue, size = v.state.catalogue, size_of(v, task)
    first, end = window_of(v, task)
    flags = (TaskFlag.GREEN if needs_green(task) else 0) | (TaskFlag.INDIVISIBLE if task.checkpoint == "none" else 0)
    is_immediate = task.is_immediate or task.lane == "emergency"
    return TaskTerms(
        order_id=number, account=v.account(task.participant), lane=Lane[task.lane.upper()], shape=Shape[task.shape.upper()],
        tif=TimeInForce.IOC if is_immediate else TimeInForce.GTC,
        max_class=LATENCY_CLASSES.index(task.slowest_class or LATENCY_CLASSES[-1]), flags=int(flags),
        access_region=catalogue.region_numbers[task.access_region] if task.access_region else 0,
        budget_micro=money.task_budget(task, v.settings), lots=size.lots, periods=task.periods,
        valid_until_ns=task.valid_until_ns, client_ref=0,
        data_region=catalogue.region_numbers[task.data_region] if task.data_mb else 0, max_rtt_us=task.max_latency_us,
        min_run=task.min_run, first_period=first, end_period=end, data_mb=task.data_mb, min_fill=task.min_fill,
        max_grid=_most_grid(task) if task.shape == "bulk" and task.min_green_ppm and not needs_green(task) else 0,
        chips=tuple((catalogue.chip_numbers[chip], factor) for chip, factor in size.chips),
        regions=tuple(sorted({catalogue.region_numbers[region] for region in task.allowed_regions})),
        steps=tuple((step.at_ns, in_all(v, task, step.limit_micro)) for step in task.steps),
    )  # fmt: skip
