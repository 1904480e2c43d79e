"""What the core says of a task, turned into the venue's events: what its fill made, what it holds, why it waits or ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exchange.domain import leases, money
from exchange.domain.events import (
    Explanation,
    FilledPart,
    TaskEnded,
    TaskFilled,
    TaskStepped,
    TaskWaiting,
)
from exchange.domain.explain import explain
from exchange.domain.reasons import TaskReason
from exchange.domain.state import TaskEntry
from exchange.domain.task_terms import size_of
from matching_core.enums import CancelReason, Kind
from matching_core.records import Event

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


@dataclass(slots=True)
class Deal:
    """What a trade needs to know about its buyer's side; the moving cost goes to the first obligation made."""

    buyer: str
    client_id: str
    reference: str
    lease: int = 0
    checkpoint: str = "hourly"
    on_break: str = "continue"
    last_period: int = 0
    moving_micro: int = 0
    lease_lots: int = 0  # lot-periods of the whole block; 0 = each obligation stands alone
    lease_moving_micro: int = 0
    tariff: int = 0  # 0 = the one in force
    lane: str = "standard"
    task: int = 0  # the core's number of the task whose terms a buy-in must know; 0 = a plain bid
    instead_of: int = 0
    is_cover: bool = False

    def take_moving(self) -> int:
        """The cost of moving the data, once."""
        amount, self.moving_micro = self.moving_micro, 0
        return amount


@dataclass(slots=True)
class Bought:
    """Lots of one site in one period, and what they cost."""

    lots: int = 0
    cost_micro: int = 0


@dataclass(slots=True)
class Fill:
    """One fill of a task while its legs come in."""

    entry: TaskEntry
    deal: Deal
    moving_micro: int
    first_number: int  # what it makes is numbered from here on
    fee_micro: int = 0
    first: tuple[int, int] | None = None  # (period, family) of the first leg in the earliest period
    bought: dict[tuple[str, int, bool], dict[int, Bought]] = field(default_factory=dict)  # (site, family, is_block) -> period

    def add(self, site: str, family: int, period: int, is_block: bool, trade: Event, posted: Event) -> None:
        """One leg."""
        if self.first is None or period < self.first[0]:
            self.first = (period, family)
        at = self.bought.setdefault((site, family, is_block), {}).setdefault(period, Bought())
        at.lots += trade.qty
        at.cost_micro += posted.qty
        self.fee_micro += posted.price


def reference_of(entry: TaskEntry) -> str:
    """What money moves of a task refer to."""
    return f"task:{entry.task.client_order_id}"


def begin(v: Venue, events: Sequence[Event], place: int) -> Fill:
    """The fill that begins with an event of the core; its TASK_FILLED stands behind its legs (K2)."""
    done = next(event for event in events[place:] if event.kind == Kind.TASK_FILLED)
    entry = v.state.tasks[done.order_id]
    until = events.index(done, place)
    moving = sum(event.qty for event in events[place:until] if event.kind == Kind.DATA_MOVED)
    task = entry.task
    is_lease = task.shape != "bulk"  # the card-hours of a bulk task stand alone
    deal = Deal(
        task.participant, task.client_order_id, reference_of(entry), entry.number if is_lease else 0, task.checkpoint,
        task.on_break, v.periods.at(task.deadline_ns) - 1, moving, done.qty, moving, entry.tariff, task.lane, entry.number,
    )  # fmt: skip
    v.state.terms[entry.number] = task
    return Fill(entry, deal, moving, v.state.next_number)


def move_data(v: Venue, deal: Deal, event: Event) -> None:
    """The cost of moving the data goes into escrow with the purchase."""
    money.booked(v, (deal.buyer, money.HELD), (deal.buyer, money.ESCROW), event.qty, "moving", deal.reference)


def finish(v: Venue, fill: Fill, event: Event) -> None:
    """The end of a fill: what the task need not hold any more is free, and what was bought is told."""
    entry, task, who = fill.entry, fill.entry.task, fill.deal.buyer
    money.booked(v, (who, money.HELD), (who, money.CASH), event.contra_leaves, "hold_free", fill.deal.reference)
    bought = [number for number in range(fill.first_number, v.state.next_number) if number in v.state.obligations]
    is_complete = event.leaves == 0
    if is_complete:
        v.forget_task(entry)
    sites = {site for site, _, _ in fill.bought}
    assert fill.first is not None, event
    period, family = fill.first
    is_bulk = task.shape == "bulk"
    v.emit(TaskFilled(
        who, task.client_order_id, sites.pop() if len(sites) == 1 else "", v.instrument_code(family, period),
        v.periods.start(period), 0 if is_bulk else task.periods, 0 if is_bulk else event.qty // task.periods, event.qty,
        event.price, fill.moving_micro, fill.fee_micro, v.state.now_ns - entry.entered_ns, is_complete,
        parts_of(v, fill.bought),
    ))  # fmt: skip
    leases.dispatch(v, bought, task)


def parts_of(v: Venue, bought: dict[tuple[str, int, bool], dict[int, Bought]]) -> tuple[FilledPart, ...]:
    """Runs of equal lots in the order in which their sites were first bought from; see `Fill.bought`."""
    parts: list[FilledPart] = []
    for (site, family, is_block), periods in bought.items():
        run: list[int] = []
        for period in sorted(periods):
            if run and (period != run[-1] + 1 or periods[period].lots != periods[run[0]].lots):
                parts.append(_part(v, site, family, is_block, periods, run))
                run = []
            run.append(period)
        parts.append(_part(v, site, family, is_block, periods, run))
    return tuple(parts)


def _part(v: Venue, site: str, family: int, is_block: bool, periods: dict[int, Bought], run: list[int]) -> FilledPart:
    cost = sum(periods[period].cost_micro for period in run)
    return FilledPart(site, v.instrument_code(family, run[0]), len(run), periods[run[0]].lots, cost, is_block)


def wait(v: Venue, event: Event) -> None:
    """A task that did not fill at entry waits, and is told why."""
    entry = v.state.tasks[event.order_id]
    entry.why = explain(v, entry, v.core.task(entry.number).filled)
    v.emit(TaskWaiting(entry.task.participant, entry.task.client_order_id, entry.why))


def step(v: Venue, event: Event) -> None:
    """RT9: the limit of a waiting task has risen."""
    task = v.state.tasks[event.order_id].task
    v.emit(TaskStepped(task.participant, task.client_order_id, event.price))


def end(v: Venue, event: Event) -> None:
    """A task ends without (full) fill: off the list, hold freed, and told why unless somebody wanted it so."""
    entry = v.state.tasks[event.order_id]
    task, who = entry.task, entry.task.participant
    is_asked = event.kind == Kind.CANCELED and event.reason != CancelReason.IOC
    filled = size_of(v, task).lots * task.periods - event.qty
    if is_asked:
        why = Explanation(TaskReason.CANCELED.name, "", ())
    elif entry.number in v.last_words:
        why = v.last_words.pop(entry.number)
    else:
        why = explain(v, entry, filled)
    v.forget_task(entry)
    money.booked(v, (who, money.HELD), (who, money.CASH), event.contra_leaves, "hold_free", reference_of(entry))
    status = "canceled" if is_asked else "expired"
    v.emit(TaskEnded(who, task.client_order_id, status, filled, why))
