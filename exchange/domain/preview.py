"""What a task would get if it came now: nothing is booked, nothing changes.

Indicative only: older waiting tasks are tried before a new one enters (RT5), and the next command may take what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.commands import Task
from exchange.domain.events import NOT_EXPLAINED, Explanation
from exchange.domain.explain import explain
from exchange.domain.routing import BulkPlan, Candidate, best_block, best_bulk, eligible_families
from exchange.domain.tasks import check_task, make_entry

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


@dataclass(frozen=True, slots=True)
class Quote:
    """The best candidate and its cost parts, or why there is none; amounts in micro-yuan."""

    budget_micro: int
    hold_micro: int  # what entering it would hold (HM1)
    free_micro: int  # the buyer's free cash now
    fills: bool  # for bulk: at least a part
    site: str  # "" where a bulk task would use several
    instrument: str  # of the first period
    start_ns: int
    lot_periods: int
    compute_micro: int
    moving_micro: int
    fee_micro: int
    explanation: Explanation  # empty where it fills

    @property
    def total_micro(self) -> int:
        """All that would be paid: compute, moving the data, fee."""
        return self.compute_micro + self.moving_micro + self.fee_micro


def preview(v: Venue, task: Task) -> Quote:
    """The quote of a task; Refusal where SubmitTask would refuse it for what it says."""
    v.require_tradable()
    check_task(v, task)
    entry = make_entry(v, task)
    families = eligible_families(v, task)
    if task.shape == "bulk":
        plan = best_bulk(v, entry, families)
        found = None if plan is None else _of_plan(v, plan)
    else:
        candidate = best_block(v, task, families, entry.budget_micro)
        found = None if candidate is None else _of_candidate(v, task, candidate)
    site, instrument, start_ns, lot_periods, compute, moving = found or ("", "", 0, 0, 0, 0)
    return Quote(
        budget_micro=entry.budget_micro,
        hold_micro=money.with_fee(entry.fee_ppm, entry.budget_micro),
        free_micro=money.balance(v, task.participant, money.CASH),
        fills=found is not None, site=site, instrument=instrument, start_ns=start_ns, lot_periods=lot_periods,
        compute_micro=compute, moving_micro=moving, fee_micro=money.fee_micro(entry.fee_ppm, compute),
        explanation=NOT_EXPLAINED if found else explain(v, entry),
    )  # fmt: skip


def _of_candidate(v: Venue, task: Task, found: Candidate) -> tuple[str, str, int, int, int, int]:
    instrument = v.instrument_code(found.eligible.family, found.start)
    lot_periods = found.eligible.lots * task.periods
    return found.site, instrument, v.periods.start(found.start), lot_periods, found.compute_micro, found.moving_micro


def _of_plan(v: Venue, plan: BulkPlan) -> tuple[str, str, int, int, int, int]:
    sites = {leg.site for leg in plan.legs}
    first = min(plan.legs, key=lambda leg: leg.period)
    instrument = v.instrument_code(first.eligible.family, first.period)
    site = sites.pop() if len(sites) == 1 else ""
    return site, instrument, v.periods.start(first.period), plan.lot_periods, plan.compute_micro, plan.moving_micro
