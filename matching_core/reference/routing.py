"""Where a task would run: the best of RT2's candidates over the books, block offers and links as they are now.

Rules kept here: RT2 (least delivered cost, then chip, round trip, start, region, site, id), K3 (never above the limit).
Which families and periods: `windows`. What can be bought there: `sources`. Shapes: `runs` (block), `split`, `spread`,
`bulk`. Nothing here changes anything; `fills` books what is found.
"""

from collections.abc import Collection

from ..enums import Shape
from ..limits import MAX_MONEY_MICRO
from ..task_records import TaskTerms
from ..views import Route, RoutePart
from .bulk import BulkPlan, Tally, best_bulk
from .market import Task
from .runs import Candidate, best_block
from .sources import Try, offers_for
from .split import best_split
from .spread import best_spread
from .windows import eligible, windows

_BEST = {Shape.BLOCK: best_block, Shape.SPLIT: best_split, Shape.SPREAD: best_spread}


def find_route(engine, terms: TaskTerms, account: int, state: Task | None, limit_micro: int,
               families: Collection[int] | None = None) -> Route | None:  # fmt: skip
    """RT2: the best candidate within the limit, over these families or all; None if there is none. Changes nothing."""
    moved = state.moved if state is not None else {}
    t = Try(engine, terms, account, min(limit_micro, MAX_MONEY_MICRO), offers_for(engine, terms, account))
    usable = eligible(engine, terms, moved, families)
    when = windows(engine, terms, usable, moved)
    if terms.shape == Shape.BULK:
        so_far = Tally(state.filled, state.grid_filled, state.spent_micro) if state is not None else Tally(0, 0, 0)
        plan = best_bulk(t, so_far, usable, when)
        return None if plan is None else _route_of_plan(plan)
    best = _BEST[Shape(terms.shape)](t, usable, when)
    return None if best is None else _route_of(best)


def _route_of(best: Candidate) -> Route:
    _, chip_place, rtt_us, *_ = best.key
    parts = tuple(
        RoutePart(source.account, source.offer.order_id if source.offer else 0, source.eligible.family, lots)
        for source, lots in best.parts
    )
    lot_periods = sum(part.lots for part in parts) * len(best.periods)
    return Route(best.periods[0], best.compute_micro, best.moving_micro, lot_periods, chip_place, rtt_us, parts,
                 tuple(best.periods))  # fmt: skip


def _route_of_plan(plan: BulkPlan) -> Route:
    """One part per leg; start, chip and round trip are those of the first leg."""
    first = plan.legs[0][0]
    chip = first.source.eligible
    parts = tuple(
        RoutePart(item.source.account, 0, item.source.eligible.family, lots, item.ask.order_id)
        for item, lots in plan.legs
    )
    return Route(first.period, plan.compute_micro, plan.moving_micro, plan.lot_periods, chip.place, chip.rtt_us, parts,
                 tuple(item.period for item, _ in plan.legs))  # fmt: skip

