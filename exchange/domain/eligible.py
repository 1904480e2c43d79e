"""K1 and the time that data needs, as an outsider can know them: which families fit a task, and when it could start there.

The core decides by the same tables; this is for those who ask without buying: explanations and the lane view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.domain.commands import Task
from exchange.domain.instrument import LATENCY_CLASSES
from exchange.domain.task_terms import needs_green, size_of, window_of
from exchange.domain.units import PPM, div_ceil
from matching_core.limits import MAX_EMERGENCY_DELAY_NS

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


def eligible_families(v: Venue, task: Task) -> list[Eligible]:
    """K1: chip, region, latency, class and power choose the families; in order of family number."""
    catalogue, size = v.state.catalogue, size_of(v, task)
    places = {chip: (place, div_ceil(size.lots * PPM, factor)) for place, (chip, factor) in enumerate(size.chips)}
    classes = LATENCY_CLASSES[: LATENCY_CLASSES.index(task.slowest_class) + 1] if task.slowest_class else LATENCY_CLASSES
    found = []
    for family in v.state.families:
        if family.chip not in places or (task.allowed_regions and family.region not in task.allowed_regions):
            continue
        if (needs_green(task) and family.power != "green") or family.latency_class not in classes:
            continue
        rtt_us = catalogue.rtt_us(task.access_region, family.region, family.latency_class) if task.access_region else 0
        if rtt_us is None or (task.max_latency_us and rtt_us > task.max_latency_us):
            continue
        place, lots = places[family.chip]
        found.append(Eligible(family.number, family.region, place, rtt_us, lots))
    return found


def can_start(v: Venue, task: Task, region: str) -> bool:
    """Whether data and hours leave a start in a region, by what its links have promised so far (RT7)."""
    first, end = window_of(v, task)
    grid, now_ns = v.periods, v.state.now_ns
    length = 1 if task.shape == "bulk" else task.periods
    first = max(first, grid.at(now_ns) if task.lane == "emergency" else grid.first_open(now_ns))
    last = min(end, v.state.listed_end) - length
    moving = v.state.catalogue.moving(task.data_mb, task.data_region, region)
    if moving is None:
        return False
    if task.lane == "emergency":
        return moving[1] <= MAX_EMERGENCY_DELAY_NS and first <= last
    if moving[1]:
        first = max(first, grid.first_from(now_ns + moving[1]))
    return first <= last and _room_by(v, task, region, last) is not False


def _room_by(v: Venue, task: Task, region: str, last: int) -> bool:
    """RT7: whether the link can promise all of a task's data in periods before its last start."""
    link = v.state.catalogue.links.get((task.data_region, region)) if task.data_mb else None
    if link is None or not link.mb_per_hour:
        return True
    numbers = v.state.catalogue.region_numbers
    capacity = max(1, link.mb_per_hour * v.settings.period_min // 60)
    here, rest = v.periods.at(v.state.now_ns), task.data_mb
    for period in range(here, max(last, here + 1)):
        rest -= max(0, capacity - v.core.link_load(numbers[task.data_region], numbers[region], period))
        if rest <= 0:
            return True
    return False
