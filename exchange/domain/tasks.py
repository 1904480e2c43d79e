"""Tasks: entered, amended, canceled, tried again at drains (RT4-RT10). The core matches them and keeps what they have
bought and hold (HM1); here stand the buyer's words, what its obligations come from, and the stops between two fills.

A task is always the taker and never pays above its budget. It reserves no capacity while it waits (K4); its money is
held by HM1 and freed to the last unit when it ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.books import absorb
from exchange.domain.commands import AmendTask, CancelTask, SubmitTask, Task, TaskChip
from exchange.domain.events import Acknowledged, Explanation, TaskAccepted, TaskAmended
from exchange.domain.explain import explain
from exchange.domain.fills import reference_of
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import TaskEntry
from exchange.domain.task_terms import check_task, size_of, terms_of
from matching_core.enums import EventFlag, Kind, Op
from matching_core.limits import MAX_TASKS
from matching_core.task_records import pack_task

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def submit(v: Venue, command: SubmitTask) -> None:
    """SubmitTask: older waiting tasks first (RT5), then this one: filled, waiting, or ended at once."""
    v.require_tradable()
    check_task(v, command.task)
    enter(v, command.task)


def enter(v: Venue, task: Task) -> None:
    """A task whose words are fair: its id, its room and its money, then the core."""
    if (task.participant, task.client_order_id) in v.task_numbers:
        raise Refusal(VenueReason.DUPLICATE_ID, f"task {task.client_order_id} is waiting already", "use another id")
    task = _with_chips(v, task)
    if not (task.is_immediate or task.lane == "emergency"):
        _check_waiting_room(v, task, None)
    budget = money.task_budget(task, v.settings)
    hold = money.with_fee(v.lane_fee_ppm(task.lane), budget)
    who, reference = task.participant, f"task:{task.client_order_id}"
    money.require_cash(v, who, hold, "the hold of this task (HM1)")
    drain_beside(v, who, hold, reference)
    entry = TaskEntry(v.take_order_id(), task, v.state.now_ns, v.tariff.version)
    v.add_task(entry)
    events = v.core_run(pack_task(Op.TASK, terms_of(v, task, entry.number)))
    accepted = events[0]
    assert accepted.kind == Kind.ACCEPTED and accepted.contra_leaves == hold, (task, accepted)
    money.booked(v, (who, money.CASH), (who, money.HELD), hold, "hold", reference)
    v.emit(TaskAccepted(who, task.client_order_id, budget, hold))
    absorb(v, events[1:])


def _with_chips(v: Venue, task: Task) -> Task:
    """The task with the chips that "any" stands for at its entry."""
    return task if task.chips else replace(task, chips=tuple(TaskChip(code) for code, _ in size_of(v, task).chips))


def _check_waiting_room(v: Venue, task: Task, instead_of: Task | None) -> None:
    """RT8: a firm or chip that is full must cancel or wait before anything new enters; an amended task counts once."""
    firm, chip = v.state.participants[task.participant].firm, task.chips[0].chip
    of_firm = v.waiting_of_firm[firm] - (instead_of is not None)
    of_chip = v.waiting_of_chip[chip] - (instead_of is not None and instead_of.chips[0].chip == chip)
    if of_firm >= v.settings.max_waiting_per_firm:
        raise Refusal(VenueReason.TOO_MANY_WAITING, f"{of_firm} tasks of this firm wait already", "cancel some")
    if of_chip >= v.settings.max_waiting_per_chip or len(v.state.tasks) + len(v.state.repairs) >= MAX_TASKS:
        raise Refusal(VenueReason.TOO_MANY_WAITING, f"{of_chip} tasks for {chip} wait already", "try later")


def _waiting(v: Venue, participant: str, client_order_id: str) -> TaskEntry:
    number = v.task_numbers.get((participant, client_order_id))
    if number is None:
        raise Refusal(VenueReason.UNKNOWN_TASK, f"no waiting task {client_order_id[:36]!r}")
    return v.state.tasks[number]


def amend(v: Venue, command: AmendTask) -> None:
    """AmendTask: new terms for a waiting task, which is then tried as at entry; in another lane it takes that one's fee.

    Where the drain before it has filled the task, there is nothing left to amend.
    """
    v.require_tradable()
    task = command.task
    entry = _waiting(v, task.participant, task.client_order_id)
    check_task(v, task, is_order=not entry.task.access_region)
    before = v.core.task(entry.number)
    if before.filled:
        raise Refusal(VenueReason.INVALID_SHAPE, "a bulk task that has bought cannot be amended", "cancel it, enter the rest")
    task = _with_chips(v, task)
    if not (task.is_immediate or task.lane == "emergency"):
        _check_waiting_room(v, task, entry.task)
    fee_ppm = before.fee_ppm if task.lane == entry.task.lane else v.lane_fee_ppm(task.lane)
    hold = money.with_fee(fee_ppm, money.task_budget(task, v.settings))
    more = hold - before.held_micro
    money.require_cash(v, task.participant, more, "the hold of the amended task (HM1)")
    drain_beside(v, task.participant, more, reference_of(entry))
    now = v.core.task(entry.number)
    if now is None or now.filled:
        v.emit(Acknowledged("AmendTask", task.client_order_id))
        return
    _amend(v, entry, task, hold, more)


def _amend(v: Venue, entry: TaskEntry, task: Task, hold: int, more: int) -> None:
    events = v.core_run(pack_task(Op.TASK_AMEND, terms_of(v, task, entry.number)))
    replaced = events[0]
    assert replaced.kind == Kind.REPLACED and replaced.contra_leaves == hold, (task, replaced)
    who, reference = task.participant, reference_of(entry)
    if more > 0:
        money.booked(v, (who, money.CASH), (who, money.HELD), more, "hold", reference)
    else:
        money.booked(v, (who, money.HELD), (who, money.CASH), -more, "hold_free", reference)
    if task.lane != entry.task.lane:
        entry.tariff = v.tariff.version
    v.change_task(entry, task)
    keeps_place = bool(replaced.flags & EventFlag.KEPT_PRIORITY)
    v.emit(TaskAmended(who, task.client_order_id, replaced.price, hold, keeps_place))
    absorb(v, events[1:])


def cancel(v: Venue, command: CancelTask) -> None:
    """CancelTask: only what is not bought yet; the hold is freed."""
    take_back(v, _waiting(v, command.participant, command.client_order_id))


def take_back(v: Venue, entry: TaskEntry) -> None:
    """A waiting task leaves because its buyer says so."""
    events = v.core_do(Op.TASK_CANCEL, account=v.account(entry.task.participant), order_id=entry.number)
    assert events[0].kind == Kind.CANCELED, events
    absorb(v, events)


def explain_dying(v: Venue, now_ns: int) -> None:
    """Explains the tasks that die when time moves to now_ns while their last chance is still open; `absorb` tells it.

    Where that proposes nothing (a block half released, say), what was proposed at entry stands (decision 0006).
    """
    v.last_words.clear()
    if v.state.settings is None:
        return
    for number in v.core.tasks_due(now_ns):
        if number in v.state.repairs:
            continue
        entry = v.state.tasks[number]
        last, first = explain(v, entry, v.core.task(number).filled), entry.why
        if not last.relaxations and first.relaxations:
            last = Explanation(last.reason, first.binding, first.relaxations, is_of_entry=True)
        v.last_words[number] = last


def drain(v: Venue) -> None:
    """RT5: tries the waiting tasks that something new may suit, one fill at a time: a provider whose margin falls short by
    a fill sells no more to the next task (HM5)."""
    while events := v.core_do(Op.DRAIN, qty=1):
        absorb(v, events)
        v.withdraw_stopped()


def drain_beside(v: Venue, who: str, amount: int, reference: str) -> None:
    """RT5 before a command that may buy. Its money is set aside meanwhile: the drain may sell the buyer's own asks,
    whose margin (HM5) would else eat what was just found to be free."""
    if not (v.state.tasks or v.state.repairs) or not v.core.dirty():
        return
    money.move(v, (who, money.CASH), (who, money.HELD), max(0, amount), "hold", reference)
    drain(v)
    money.move(v, (who, money.HELD), (who, money.CASH), max(0, amount), "hold_free", reference)
