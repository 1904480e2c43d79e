"""Drains: the waiting tasks that something new may suit are tried, and only those.

Rules kept here: RT4, RT5, RT10, decision 0008 (all dirty families at once): repair, standard, economy, then first come; one
that cannot fill never blocks the next; what a pass makes dirty is the next pass.
"""

from bisect import bisect_left

from ..enums import Kind, Lane, Op, RejectReason, Shape
from ..limits import MAX_WALK_PERIODS
from ..records import Command
from .fills import try_task
from .market import Task, family_of, period_of

_PLACES = {Lane.REPAIR: 0, Lane.STANDARD: 1, Lane.ECONOMY: 2}

_OVER_ALL = (Shape.BULK, Shape.SPREAD)  # these may need what is old as well as what is new


def handlers(engine) -> dict:
    """Op -> what applies it."""
    return {Op.DRAIN: lambda c: _drain(engine, c)}


def _drain(engine, c: Command) -> None:
    if not engine.check_funds or c.reserved:
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    if c.qty < 0:
        engine.reject(c, RejectReason.INVALID_QTY)
        return
    market = engine.market
    if not market.dirty and not market.woken:
        return
    fills = _passes(engine, c.qty)
    engine.emit(Kind.DRAINED, qty=fills, leaves=int(bool(market.dirty or market.woken)))


def _passes(engine, most: int) -> int:
    """Tries until nothing is new, or until so many have bought (0 = no limit); returns how many have."""
    market = engine.market
    fills = 0
    while market.dirty or market.woken:
        if not market.draining and market.dirty:
            _wake(engine)
        for task in sorted((market.tasks[key] for key in market.woken), key=_turn):
            if market.dirty and not market.draining:
                break  # what is new is woken first, so that everybody stands in one line
            if task.terms.order_id not in market.woken:
                continue
            fills += _try(engine, task)
            if fills and fills == most:
                return fills
    return fills


def _turn(task: Task) -> tuple[int, int]:
    """RT5: the place of a task in a pass."""
    return _PLACES[Lane(task.terms.lane)], task.stamp


def _try(engine, task: Task) -> bool:
    market = engine.market
    is_everywhere = market.woken[task.terms.order_id] == 2 or task.terms.shape in _OVER_ALL
    families = None if is_everywhere else set(market.draining)
    market.sleep(task.terms.order_id)
    return try_task(engine, task, families)


def _wake(engine) -> None:
    """RT5: every task whose window meets a dirty period of a family that it may use."""
    market = engine.market
    periods: dict[int, list[int]] = {}
    for book in sorted(market.dirty):
        periods.setdefault(family_of(book), []).append(period_of(book))
    market.dirty.clear()
    for task_id, task in market.tasks.items():
        if task_id not in market.woken and _is_concerned(market, task, periods):
            market.woken[task_id] = 1
    if market.woken:
        market.draining = set(periods)


def _is_concerned(market, task: Task, periods: dict[int, list[int]]) -> bool:
    terms = task.terms
    for family, dirty in periods.items():
        place = bisect_left(dirty, terms.first_period)
        is_met = place < len(dirty) and dirty[place] < terms.end_period
        if is_met and market.fits(terms, market.families[family], task.moved):
            return True
    return False


def come_into_sight(engine, before_ns: int) -> None:
    """RT4: open books of periods that a try can see from now on."""
    market = engine.market
    if market.grid is None or not market.tasks:
        return
    now = market.grid.at(engine.now_ns)
    new = range(max(market.grid.at(before_ns) + MAX_WALK_PERIODS, now), now + MAX_WALK_PERIODS)
    for book in engine.open_books if new else ():
        if period_of(book) in new:
            market.mark(book)
