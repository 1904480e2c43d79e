"""Which families a task may use, and in which periods: the hard filters, the way of its data, and what a try sees.

Rules kept here: K1 (chip, region, latency, power), CA4 (lots on a chip are rounded up), RT7 (data that waits for room on
its link comes later), EM3 (the running period; data moved within a minute does not wait).
"""

from collections.abc import Collection
from typing import NamedTuple

from ..enums import Lane
from ..limits import MAX_WALK_PERIODS
from ..task_records import TaskTerms
from .market import lots_on


class Eligible(NamedTuple):
    """A family that fits a task's hard filters (K1)."""

    family: int
    region: int
    place: int  # of the chip in the task's list
    rtt_us: int
    lots: int  # needed on this chip
    power: int


class Window(NamedTuple):
    """The periods that a task may use in one region, and what moving its data there costs."""

    first: int
    end: int  # the period after the last one
    moving_micro: int


def eligible(engine, terms: TaskTerms, moved=(), families: Collection[int] | None = None) -> list[Eligible]:
    """K1: the listed families that fit and that the task's data can reach; of those given, if any are."""
    places = {chip: (place, lots_on(terms, factor)) for place, (chip, factor) in enumerate(terms.chips)}
    market = engine.market
    found = []
    for number, family in market.families.items():
        if family.chip not in places or (families is not None and number not in families):
            continue
        if market.fits(terms, family, moved):
            place, lots = places[family.chip]
            rtt_us = market.rtt_us(terms, family)
            found.append(Eligible(number, family.region, place, rtt_us, lots, family.power))
    return found


def windows(engine, terms: TaskTerms, families: list[Eligible], moved=()) -> dict[int, Window]:
    """The window of each region of these families that has one."""
    regions = sorted({item.region for item in families})
    found = ((region, window(engine, terms, region, moved)) for region in regions)
    return {region: item for region, item in found if item is not None}


def window(engine, terms: TaskTerms, region: int, moved=()) -> Window | None:
    """When a task may use a region: from when books are open and its data is there, to its deadline or out of sight."""
    way = engine.market.moving(terms, region, moved)
    ready = moved[region] if region in moved else ready_period(engine, terms, region)
    if way is None or ready is None:
        return None
    first, end = max(first_start(engine, terms), ready), last_end(engine, terms)
    return Window(first, end, way[0]) if first < end else None


def first_start(engine, terms: TaskTerms) -> int:
    """The first period that a task may use where nothing has to be moved."""
    grid, now_ns = engine.market.grid, engine.now_ns
    open_from = grid.at(now_ns) if terms.lane == Lane.EMERGENCY else grid.first_open(now_ns)
    return max(terms.first_period, open_from)


def last_end(engine, terms: TaskTerms) -> int:
    """The period after the last one that a task may use: its deadline, and what a try sees."""
    return min(terms.end_period, engine.market.grid.at(engine.now_ns) + MAX_WALK_PERIODS)


def ready_period(engine, terms: TaskTerms, region: int) -> int | None:
    """RT7: the first period that begins when the data is there; 0 where no link is used, None without a way."""
    market, now_ns = engine.market, engine.now_ns
    way = market.moving(terms, region)
    if way is None:
        return None
    if not market.uses_link(terms, region):
        return 0
    promised = market.promises(terms.data_region, region, terms.data_mb, now_ns)
    if promised is None:
        return None
    ready = 0 if terms.lane == Lane.EMERGENCY else market.grid.first_from(now_ns + way[1])
    if promised and promised[-1][0] > market.grid.at(now_ns):
        ready = max(ready, promised[-1][0] + 1)
    return ready
