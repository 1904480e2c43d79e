"""The largest smaller size of a task that fills. A smaller one need not fill where a larger one does: moving the data
weighs more on fewer cards, and block offers have minima.

Between two neighbouring amounts that are offered somewhere, what a candidate costs grows evenly with the size, and the
limit does so too. The cheapest of several even lines bends downwards, so of such a stretch either its upper end fills, or
what fills is a part from its lower end on. So each upper end and each lower end is tried from the top, and where a lower
end fills, the last size that does is found by halving. That is exact for chips of factor 1 up to MAX_STRETCHES stretches;
with more of them they are halved too, and with other factors the rounding up of cards may hide a size that is larger by a
card or two. Whatever is answered has been tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.commands import Task
from exchange.domain.eligible import Eligible, eligible_families
from exchange.domain.task_terms import size_of, window_of
from exchange.domain.units import PPM, div_floor
from matching_core.views import Route

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_STRETCHES = 32
_MAX_PAIRED = 64  # amounts whose sums in twos are looked at for a spread task
_SCALE = 10**12  # of prices per lot of a chip of factor 1, so that no factor rounds them to nothing

Trial = Callable[[int], Route | None]


def largest_size(v: Venue, task: Task, attempt: Trial) -> tuple[int, Route] | None:
    """(lots, what would be bought) for the most lots below the task's that fill; None for none."""
    amounts, least = _offered(v, task)
    top = _affordable(v, task, least, size_of(v, task).lots - 1)
    if top <= 0 or not amounts:
        return None
    ends = [top, *sorted({lots for lots in amounts if 0 < lots < top}, reverse=True), 0]
    start = 0 if len(ends) <= MAX_STRETCHES + 1 else _first_good(ends, attempt)
    for above, below in zip(ends[start:], ends[start + 1 :], strict=False):
        found = attempt(above)
        if found is not None:
            return above, found
        if below + 1 < above and (found := attempt(below + 1)) is not None:
            return _last_good(below + 1, above, found, attempt)
    return None


def _first_good(ends: list[int], attempt: Trial) -> int:
    """Halving over too many stretches: the place before the first of them whose upper end fills, as far as it tells."""
    low, high = 0, len(ends) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if attempt(ends[middle]) is None:
            low = middle
        else:
            high = middle
    return min(low, len(ends) - 2)


def _last_good(low: int, high: int, found: Route, attempt: Trial) -> tuple[int, Route]:
    """The last size that fills between one that does and one that does not."""
    while high - low > 1:
        middle = (low + high) // 2
        tried = attempt(middle)
        if tried is None:
            high = middle
        else:
            low, found = middle, tried
    return low, found


def _affordable(v: Venue, task: Task, least: int, lots: int) -> int:
    """No size above this fills, by the lowest asks of all: `least` is what one lot costs in them, scaled."""
    if least == 0:
        return 0
    if task.lane == "emergency":  # pays parts of an hour (EM2)
        return lots
    if task.price_cap_micro:  # the limit shrinks with the size, so one size tells of all but for its rounding
        limit = money.task_budget(replace(task, lots=lots), v.settings) if lots else 0
        return lots if least * lots <= (limit + 1) * _SCALE else 0
    return min(lots, div_floor(task.budget_micro * _SCALE, least))


def _offered(v: Venue, task: Task) -> tuple[set[int], int]:
    """Sizes at which something changes somewhere, and the least that one lot can cost over the task's periods, scaled."""
    first, end = window_of(v, task)
    periods = range(max(first, v.periods.at(v.state.now_ns)), min(end, v.state.listed_end))
    factors = size_of(v, task).chips
    amounts: set[int] = set()
    best: dict[int, int] = {}  # period -> least price of a lot, scaled
    for e in eligible_families(v, task):
        factor = factors[e.chip_place][1]
        for lots, period, ticks in _steps(v, e, periods):
            amounts.add(div_floor(lots * factor, PPM))
            price = div_floor(ticks * v.value_micro * _SCALE * PPM, factor)
            best[period] = min(price, best.get(period, price))
    if task.shape == "spread" and len(amounts) <= _MAX_PAIRED:
        amounts |= {one + other for one in amounts for other in amounts}
    return amounts, _least_run(task, periods, best)


def _steps(v: Venue, e: Eligible, periods: range) -> Iterator[tuple[int, int, int]]:
    """(lots, period, ticks) wherever the cost per lot of a source changes, or what may be bought of it."""
    for site in v.family_sites.get(e.family, ()):
        for period in periods:
            run = 0
            for ticks, lots, _ in v.site_asks(site, e.family, period):
                run += lots
                yield run, period, ticks
    for number in v.family_blocks.get(e.family, ()):
        offer = v.state.offers[number]
        for period in periods:
            ask = offer.open.get(period)
            if ask is not None and not ask.order_id:
                for lots in (offer.min_lots - 1, ask.lots - 1, ask.lots):
                    yield lots, period, offer.price_ticks(period)


def _least_run(task: Task, periods: range, best: dict[int, int]) -> int:
    """The cheapest hours that the task could have if all lowest asks were one site's; 0 where there are not enough."""
    if task.shape == "split":
        prices = sorted(best.values())[: task.periods]
        return sum(prices) if len(prices) == task.periods else 0
    runs = [
        sum(best[period + place] for place in range(task.periods))
        for period in periods
        if all(period + place in best for place in range(task.periods))
    ]
    return min(runs, default=0)
