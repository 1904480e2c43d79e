"""What the terms of a task must satisfy whatever the market is like: looked at on entry, and when a snapshot is read.

Rules kept here: EM3 (an emergency task is a short block that never waits), RT9 (only economy tasks have steps), CA4 (cards
on a chip round up), and every range.
"""

from itertools import pairwise

from .enums import Lane, Shape, TaskFlag, TimeInForce
from .limits import (
    LATENCY_CLASSES,
    MAX_CHIP,
    MAX_DATA_MB,
    MAX_EMERGENCY_PERIODS,
    MAX_FACTOR_PPM,
    MAX_MONEY_MICRO,
    MAX_ORDER_ID,
    MAX_QTY_LOTS,
    MAX_REGION,
    MAX_RTT_US,
    MAX_WALK_PERIODS,
    MIN_FACTOR_PPM,
    PERIOD_BITS,
    PPM,
)
from .task_records import TaskTerms

_MAX_BUDGET_MICRO = MAX_MONEY_MICRO // 4
_ALL_FLAGS = int(sum(TaskFlag))


def are_fields_fair(t: TaskTerms) -> bool:
    """INVALID_FIELD unless every field that is no price, quantity or time is in range, and they go together."""
    if not 1 <= t.order_id <= MAX_ORDER_ID or t.lane > Lane.REPAIR or t.shape > Shape.BULK or t.flags & ~_ALL_FLAGS:
        return False
    if t.tif not in (TimeInForce.GTC, TimeInForce.IOC) or t.max_class >= LATENCY_CLASSES:
        return False
    if t.access_region > MAX_REGION or t.data_region > MAX_REGION or t.max_rtt_us > MAX_RTT_US:
        return False
    if (t.data_region > 0) != (t.data_mb > 0):
        return False
    names = [chip for chip, _ in t.chips]
    are_chips_fair = all(1 <= chip <= MAX_CHIP and MIN_FACTOR_PPM <= ppm <= MAX_FACTOR_PPM for chip, ppm in t.chips)
    if not names or len(set(names)) != len(names) or not are_chips_fair:
        return False
    are_regions_fair = all(1 <= region <= MAX_REGION for region in t.regions)
    return are_regions_fair and all(a < b for a, b in pairwise(t.regions)) and _is_shape_fair(t)


def _is_shape_fair(t: TaskTerms) -> bool:
    """What shape and lane leave open."""
    is_short_block = t.shape == Shape.BLOCK and t.tif == TimeInForce.IOC and t.periods <= MAX_EMERGENCY_PERIODS
    if t.lane == Lane.EMERGENCY and not is_short_block:  # EM3
        return False
    if t.steps and t.lane != Lane.ECONOMY:  # RT9
        return False
    if t.min_run and t.shape != Shape.SPLIT:
        return False
    if t.shape == Shape.BULK:
        return all(factor == PPM for _, factor in t.chips)
    return not t.min_fill and not t.max_grid


def is_budget_fair(t: TaskTerms) -> bool:
    """INVALID_PRICE unless the budget is money, and the limits of the steps rise to it."""
    budgets = [budget for _, budget in t.steps]
    are_steps_fair = not budgets or (budgets[0] >= 1 and budgets[-1] == t.budget_micro and budgets == sorted(budgets))
    return 1 <= t.budget_micro <= _MAX_BUDGET_MICRO and are_steps_fair


def are_quantities_fair(t: TaskTerms) -> bool:
    """INVALID_QTY unless lots (on every chip), periods and data are in range, and no part is more than the whole."""
    if not 1 <= t.lots <= MAX_QTY_LOTS or not 1 <= t.periods <= MAX_WALK_PERIODS or not 0 <= t.data_mb <= MAX_DATA_MB:
        return False
    wanted = t.lots * t.periods
    is_part_fair = 0 <= t.min_fill <= wanted and t.max_grid <= wanted and t.min_run <= t.periods
    return is_part_fair and all(lots_on(t, factor) <= MAX_QTY_LOTS for _, factor in t.chips)


def are_steps_rising(t: TaskTerms) -> bool:
    """RT9: the first limit holds from the start, the others from later and later."""
    return not t.steps or (t.steps[0][0] == 0 and all(a < b for (a, _), (b, _) in pairwise(t.steps)))


def is_window(t: TaskTerms) -> bool:
    """INVALID_WINDOW unless the task fits between its first and its end period."""
    return 0 <= t.first_period < t.end_period < 1 << PERIOD_BITS and t.end_period - t.first_period >= length_of(t)


def length_of(t: TaskTerms) -> int:
    """How many periods must lie between a start and the end: a bulk task may buy any of them."""
    return 1 if t.shape == Shape.BULK else t.periods


def lots_on(t: TaskTerms, factor_ppm: int) -> int:
    """CA4: lots needed on a chip of that factor."""
    return -(-t.lots * PPM // factor_ppm)
