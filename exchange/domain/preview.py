"""What a task would get if it came now: nothing is booked, nothing changes.

Indicative only: older waiting tasks are tried before a new one enters (RT5), and the next command may take what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.commands import Task
from exchange.domain.events import NOT_EXPLAINED, Explanation, FilledPart
from exchange.domain.explain import as_of_now, explain_task, find, first_of
from exchange.domain.fills import Bought, parts_of
from exchange.domain.instrument import book_id
from exchange.domain.task_terms import check_task
from matching_core.enums import OrderFlag
from matching_core.views import Route, RoutePart

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


@dataclass(frozen=True, slots=True)
class Quote:
    """The best candidate and its cost parts, or why there is none; amounts in micro-yuan."""

    budget_micro: int
    hold_micro: int  # what entering it would hold (HM1)
    free_micro: int  # the buyer's free cash now
    fills: bool  # for bulk: at least a part
    site: str  # "" where it would use several
    instrument: str  # of the first period
    start_ns: int
    lot_periods: int
    compute_micro: int
    moving_micro: int
    fee_micro: int
    explanation: Explanation  # empty where it fills
    parts: tuple[FilledPart, ...] = ()  # what it would buy, as a fill would tell it

    @property
    def total_micro(self) -> int:
        """All that would be paid: compute, moving the data, fee."""
        return self.compute_micro + self.moving_micro + self.fee_micro


def preview(v: Venue, task: Task) -> Quote:
    """The quote of a task; Refusal where SubmitTask would refuse it for what it says."""
    v.require_tradable()
    check_task(v, task)
    fee_ppm, budget = v.lane_fee_ppm(task.lane), money.task_budget(task, v.settings)
    now = as_of_now(v, task)
    found = find(v, now)
    sites = {part.account: None for part in found.parts} if found else {}
    compute = found.compute_micro if found else 0
    return Quote(
        budget_micro=budget,
        hold_micro=money.with_fee(fee_ppm, budget),
        free_micro=money.balance(v, task.participant, money.CASH),
        fills=found is not None,
        site=_site(v, next(iter(sites))) if len(sites) == 1 else "",
        instrument=v.instrument_code(*first_of(found)) if found else "",
        start_ns=v.periods.start(first_of(found)[1]) if found else 0,
        lot_periods=found.lot_periods if found else 0,
        compute_micro=compute,
        moving_micro=found.moving_micro if found else 0,
        fee_micro=money.fee_micro(fee_ppm, compute),
        explanation=NOT_EXPLAINED if found else explain_task(v, now),
        parts=_parts(v, task, found) if found else (),
    )


def _site(v: Venue, account: int) -> str:
    return v.state.accounts[account].removeprefix("site:")


def _parts(v: Venue, task: Task, found: Route) -> tuple[FilledPart, ...]:
    """As a fill would tell them."""
    bought: dict[tuple[str, int, bool], dict[int, Bought]] = {}
    is_bulk = task.shape == "bulk"
    for part, period in zip(found.parts, found.periods, strict=True) if is_bulk else product(found.parts, found.periods):
        periods = bought.setdefault((_site(v, part.account), part.family, part.block_id != 0), {})
        at = periods.setdefault(period, Bought())
        at.lots += part.lots
        at.cost_micro += _cost(v, task, part, period)
    parts = parts_of(v, bought)
    # an emergency task pays for parts of an hour (EM2)
    return (replace(parts[0], cost_micro=found.compute_micro),) if len(parts) == 1 else parts


def _cost(v: Venue, task: Task, part: RoutePart, period: int) -> int:
    """Of a part in one period: of the one ask that is meant, of the block offer, or up the site's asks."""
    if part.ask_id:
        return v.core.order(part.ask_id).price * part.lots * v.value_micro
    if part.block_id:
        return v.state.offers[v.block_owner[part.block_id]].price_ticks(period) * part.lots * v.value_micro
    cost, left = 0, part.lots
    for ticks, there, order_id in v.core.site_asks(part.account, book_id(part.family, period)):
        if task.checkpoint == "hourly" or v.core.order(order_id).flags & OrderFlag.INDIVISIBLE:
            cost += ticks * min(left, there) * v.value_micro
            left -= min(left, there)
    return cost
