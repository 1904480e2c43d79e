"""Bulk: card-hours in any amounts, cheapest first over all sites, while what is bought stays within its share of the limit.

Rules kept here: RT2 (one region per try where data moves), K3, MQ2; a first fill below the least one is none, and on grid
power it buys no more than the task allows.
"""

from typing import NamedTuple

from ..enums import Power
from .runs import rows
from .sources import Source, Stall, Try
from .state import LiveOrder
from .windows import Eligible, Window


class BulkAsk(NamedTuple):
    """One ask that a bulk task may take from; `key` is the order in which it takes them."""

    key: tuple[int, int, int, int, int, int, int]  # micro-yuan a lot, chip, round trip, period, region, site, ask
    source: Source
    period: int
    stall: Stall
    ask: LiveOrder


class BulkPlan(NamedTuple):
    """What one try buys."""

    legs: tuple[tuple[BulkAsk, int], ...]  # (ask, lots) in the order of buying
    lot_periods: int
    compute_micro: int
    moving_micro: int


class Tally(NamedTuple):
    """How far a task has come."""

    filled: int
    grid_filled: int
    spent_micro: int


def best_bulk(t: Try, so_far: Tally, families: list[Eligible], windows: dict[int, Window]) -> BulkPlan | None:
    """The plan that buys most, then costs least, then has the first region; None if nothing can be bought."""
    best, best_key = None, None
    for region, group in _groups(t, families):
        plan = _plan(t, so_far, group, windows)
        if plan is not None:
            key = (-plan.lot_periods, plan.compute_micro + plan.moving_micro, region)
            if best_key is None or key < best_key:
                best, best_key = plan, key
    return best


def _groups(t: Try, families: list[Eligible]) -> list[tuple[int, list[Eligible]]]:
    """RT2: one region per try where data moves, all of them together where none does."""
    if t.terms.data_mb == 0:
        return [(0, families)]
    regions = sorted({eligible.region for eligible in families})
    return [(region, [eligible for eligible in families if eligible.region == region]) for region in regions]


def _asks(t: Try, families: list[Eligible], windows: dict[int, Window]) -> list[BulkAsk]:
    """All asks of these families within their windows, in the order in which they are taken."""
    found = []
    for row in rows(t, families, windows, 1):
        for account, shelf in row.shelves.items():
            source = Source(row.eligible, account)
            for period, (asks, here) in enumerate(zip(shelf, row.stalls, strict=True), row.window.first):
                found += [BulkAsk(_key(source, period, here, ask), source, period, here, ask) for ask in asks if here]
    return sorted(found, key=lambda item: item.key)


def _key(source: Source, period: int, here: Stall, ask: LiveOrder) -> tuple[int, int, int, int, int, int, int]:
    eligible = source.eligible
    return (here.charge(ask.price, 1), eligible.place, eligible.rtt_us, period, eligible.region, source.account,
            ask.order_id)  # fmt: skip


def _plan(t: Try, so_far: Tally, families: list[Eligible], windows: dict[int, Window]) -> BulkPlan | None:
    """Takes asks in order; what counts is the longest part from the start that stays within its share of the limit."""
    terms = t.terms
    target = terms.lots * terms.periods
    moving_micro = max((windows[item.region].moving_micro for item in families if item.region in windows), default=0)
    filled, grid_filled, spent_micro = so_far.filled, so_far.grid_filled, so_far.spent_micro + moving_micro
    taken: list[tuple[BulkAsk, int]] = []
    kept = bought = 0  # of `taken`: how many legs lie within the share, and the lots in them
    for item in _asks(t, families, windows):
        unit_micro, ask = item.key[0], item.ask
        lots = min(ask.leaves, target - filled)
        lots = min(lots, _affordable(t.limit_micro, target, filled, spent_micro, unit_micro, ask.leaves))
        if lots <= 0:
            break
        is_grid = item.source.eligible.power == Power.GRID
        if is_grid and terms.max_grid:
            lots = min(lots, terms.max_grid - grid_filled)
        if lots <= 0 or ask.minimum:
            continue
        taken.append((item, lots))
        filled, spent_micro = filled + lots, spent_micro + lots * unit_micro
        grid_filled += lots if is_grid else 0
        if spent_micro <= t.limit_micro * filled // target:
            kept, bought = len(taken), filled - so_far.filled
    if kept == 0 or (so_far.filled == 0 and bought < min(terms.min_fill, target)):
        return None
    legs = tuple(taken[:kept])
    return BulkPlan(legs, bought, sum(item.key[0] * lots for item, lots in legs), moving_micro)


def _affordable(limit_micro: int, target: int, filled: int, spent_micro: int, unit_micro: int, lots: int) -> int:
    """The most lots at this price after which spent <= limit x filled / target; all of them where they help."""
    too_dear = unit_micro * target - limit_micro
    if too_dear <= 0:
        return lots
    return max(0, min(lots, (limit_micro * filled - spent_micro * target) // too_dear))
