"""One row of tasks.csv as the command that its buyer would have sent."""

from dataclasses import dataclass

from exchange.adapters.catalogue_files import LANES
from exchange.adapters.known_names import Known, account_of
from exchange.adapters.market_cells import (
    MAX_CARDS,
    MAX_HOURS,
    MAX_PRICE_MICRO,
    lots_of,
    periods_and_waste,
    run_of,
    time_after,
)
from exchange.adapters.rows import CellError, Cells, Columns, check_code, parse_time_ns, shown
from exchange.domain.commands import SetVenue, SubmitTask, Task, TaskChip, TaskStep
from exchange.domain.task_terms import MAX_WORK
from exchange.domain.units import MICRO, NS_PER_DAY, PPM, UnitError, div_ceil, parse_scaled
from matching_core.limits import MAX_TASK_CHIPS

MAX_BUDGET_MICRO = 1_000_000_000_000 * MICRO
MAX_DATA_MB = 10**12
MAX_STEPS = 16
MAX_PFLOPS_MILLI_HOURS = 10**15
MIN_FACTOR_PPM, MAX_FACTOR_PPM = PPM // 1_000, 1_000 * PPM
ANY_LATENCY_US, MAX_LATENCY_US = 0, 1_000_000
MAX_DEADLINE_NS = 3650 * NS_PER_DAY  # after submit_time; the venue refuses more
SHAPES = ("block", "split", "spread", "bulk")

TASK_COLUMNS = Columns(
    required=(
        "task_id", "submit_time", "account", "access_region", "max_latency_ms", "chips", "cards", "hours",
        "earliest_start", "deadline", "price_cap", "data_gb", "data_region", "lane", "shape", "min_green",
    ),
    optional=(
        "budget", "min_run", "min_fill", "allowed_regions", "checkpoint", "on_break", "steps", "valid_until", "pflops_hours",
        "work",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as its buyer sends it at submit_ns; waste is paid for and not used, because hours are rounded up."""

    submit_ns: int
    command: SubmitTask
    file: str
    line: int
    waste_lot_minutes: int


def task_row(cells: Cells, venue: SetVenue, known: Known) -> TaskRow:
    """CellError names the first cell that cannot be."""
    submit_ns = cells.time_ns("submit_time")
    earliest_ns = cells.time_ns_or("earliest_start", submit_ns)
    deadline_ns = time_after(cells, "deadline", max(submit_ns, earliest_ns), "submit_time and earliest_start")
    if deadline_ns > submit_ns + MAX_DEADLINE_NS:
        raise CellError("deadline", "too_large", "lies more than ten years (3650 days) after submit_time; take an earlier one")
    pflops = _pflops(cells)
    lots = 0 if pflops else lots_of(cells, "cards", venue)
    periods, waste = periods_and_waste(cells, lots, venue)
    cap_micro, budget_micro = _cap_or_budget(cells, pflops)
    data_mb = cells.scaled_or("data_gb", 1_000, 0, MAX_DATA_MB, 0)
    lane = cells.choice("lane", LANES, "standard")
    shape = _shape(cells, pflops)
    task = Task(
        participant=account_of(cells),
        client_order_id=cells.code("task_id"),
        access_region=known.check(cells.code("access_region"), known.regions, "access_region", "region"),
        max_latency_us=cells.scaled_or("max_latency_ms", 1_000, 0, MAX_LATENCY_US, ANY_LATENCY_US),
        chips=_chips(cells, known) if cells.text("chips") or not pflops else (),
        lots=lots,
        periods=periods,
        earliest_start_ns=earliest_ns,
        deadline_ns=deadline_ns,
        price_cap_micro=cap_micro,
        budget_micro=budget_micro,
        data_mb=data_mb,
        data_region=_data_region(cells, data_mb, known),
        lane=lane,
        shape=shape,
        allowed_regions=tuple(
            known.check(code, known.regions, "allowed_regions", "region") for code in cells.codes("allowed_regions")
        ),
        min_green_ppm=cells.scaled_or("min_green", PPM, 0, PPM, 0),
        checkpoint=cells.choice("checkpoint", ("hourly", "none"), "hourly"),
        on_break=cells.choice("on_break", ("continue", "abandon"), "continue"),
        valid_until_ns=time_after(cells, "valid_until", submit_ns, "submit_time") if cells.text("valid_until") else 0,
        min_fill=_min_fill(cells, lots * periods, venue),
        min_run=_min_run(cells, shape, periods, venue),
        pflops_milli_hours=pflops,
        steps=_steps(cells, lane, submit_ns, cap_micro or budget_micro),
        work=_work(cells),
    )
    return TaskRow(submit_ns, SubmitTask(task), cells.file, cells.line, waste)


def _work(cells: Cells) -> str:
    """What the provider's runner runs: one line, as the venue takes it."""
    text = cells.text("work")
    if len(text) > MAX_WORK:
        raise CellError("work", "too_large", f"has {len(text):,} characters; at most {MAX_WORK:,}")
    if not text.isprintable():
        raise CellError("work", "code", "holds characters that cannot be printed; write one line")
    return text


def _pflops(cells: Cells) -> int:
    """Thousandths of a PFLOPS-hour, given instead of cards; 0 where cards are."""
    if not cells.text("pflops_hours"):
        return 0
    if cells.text("cards"):
        raise CellError("pflops_hours", "conflict", "cards and pflops_hours are both filled; give one of them")
    return cells.scaled("pflops_hours", 1_000, 1, MAX_PFLOPS_MILLI_HOURS)


def _cap_or_budget(cells: Cells, pflops: int) -> tuple[int, int]:
    has_cap, has_budget = bool(cells.text("price_cap")), bool(cells.text("budget"))
    if has_cap and has_budget:
        raise CellError("budget", "conflict", "price_cap and budget are both filled; give one of them")
    if pflops and has_cap:
        raise CellError("price_cap", "conflict", "a task in pflops_hours has no cards that a cap would be for; give a budget")
    if has_budget or pflops:
        return 0, cells.scaled("budget", MICRO, 1, MAX_BUDGET_MICRO)
    return cells.scaled("price_cap", MICRO, 1, MAX_PRICE_MICRO), 0


def _chips(cells: Cells, known: Known) -> tuple[TaskChip, ...]:
    chips: list[TaskChip] = []
    for part in cells.required("chips").split("|"):
        code, star, factor = part.strip().partition("*")
        known.check(check_code(code.strip(), "chips"), known.chips, "chips", "chip")
        chips.append(TaskChip(code.strip(), _factor(factor.strip()) if star else PPM))
    if len({chip.chip for chip in chips}) != len(chips):
        raise CellError("chips", "duplicate", f"{shown(cells.text('chips'))} names a chip twice; name each once, best first")
    if len(chips) > MAX_TASK_CHIPS:
        raise CellError("chips", "too_large", f"names {len(chips)} chips; at most {MAX_TASK_CHIPS}")
    return tuple(chips)


def _factor(text: str) -> int:
    try:
        factor_ppm = parse_scaled(text, PPM, "factor")
    except UnitError as error:
        raise CellError("chips", "number", str(error)) from None
    if not MIN_FACTOR_PPM <= factor_ppm <= MAX_FACTOR_PPM:
        message = f"factor {shown(text)} must lie between 0.001 and {MAX_FACTOR_PPM // PPM}"
        raise CellError("chips", "too_small" if factor_ppm < MIN_FACTOR_PPM else "too_large", message)
    return factor_ppm


def _shape(cells: Cells, pflops: int) -> str:
    shape = cells.choice("shape", SHAPES, "block")
    if shape == "bulk" and pflops:
        raise CellError("shape", "conflict", "a bulk task counts card-hours; pflops_hours are for the other shapes")
    return shape


def _data_region(cells: Cells, data_mb: int, known: Known) -> str:
    region = known.check(cells.code_or_empty("data_region"), known.regions, "data_region", "region")
    if data_mb and not region:
        raise CellError("data_region", "missing", "is empty though data_gb is above 0; say where the data lies")
    return region


def _min_fill(cells: Cells, wanted: int, venue: SetVenue) -> int:
    """The least first fill of a bulk task: card-hours in the file, lot-periods, rounded up, in the command."""
    micro_card_hours = cells.scaled_or("min_fill", MICRO, 0, MAX_CARDS * MAX_HOURS * MICRO, 0)
    if micro_card_hours and cells.text("shape") != "bulk":
        raise CellError("min_fill", "conflict", "min_fill belongs to shape bulk; leave it empty")
    lot_periods = div_ceil(micro_card_hours * venue.lots_per_card * 60, venue.period_min * MICRO)
    if lot_periods > wanted:
        raise CellError("min_fill", "too_large", "min_fill is more than cards x hours")
    return lot_periods


def _min_run(cells: Cells, shape: str, periods: int, venue: SetVenue) -> int:
    min_run = run_of(cells, "min_run", venue, 0)
    if min_run and shape != "split":
        raise CellError("min_run", "conflict", "min_run belongs to shape split; leave it empty")
    if min_run > periods:
        raise CellError("min_run", "too_large", "min_run is longer than the task")
    return min_run


def _steps(cells: Cells, lane: str, submit_ns: int, limit_micro: int) -> tuple[TaskStep, ...]:
    """`7.00|7.50@time|8.50@time`: the first from the entry on, the last is the task's own cap or budget (RT9)."""
    text = cells.text("steps")
    if not text:
        return ()
    if lane != "economy":
        raise CellError("steps", "conflict", "steps belong to lane economy; leave them empty")
    steps, before_ns = [], submit_ns
    for place, part in enumerate(text.split("|")):
        amount, _, moment = part.strip().partition("@")
        if bool(moment) != bool(place):
            raise CellError("steps", "time", "write 7.00|7.50@time|8.50@time: every step but the first has its time")
        at_ns = parse_time_ns(moment, "steps") if place else 0
        if place and at_ns <= before_ns:
            raise CellError("steps", "time_order", f"{shown(moment)} must lie after submit_time and the step before")
        one = Cells({"steps": amount}, cells.file, cells.line)
        steps.append(TaskStep(at_ns, one.scaled("steps", MICRO, 1, MAX_BUDGET_MICRO)))
        before_ns = max(before_ns, at_ns)
    if not 1 < len(steps) <= MAX_STEPS + 1:
        raise CellError("steps", "too_large", f"a first limit and 1 to {MAX_STEPS} steps are needed")
    limits = [step.limit_micro for step in steps]
    if limits != sorted(limits) or limits[-1] != limit_micro:
        raise CellError("steps", "conflict", "limits may not fall, and the last is price_cap (or budget)")
    return tuple(steps)
