"""How a task waits and ends: until when it may be filled, its steps, its hold, and what is told.

Rules kept here: HM1, HM3 (whatever ends frees its hold to the last unit), K4 (nothing is reserved), RT9, T1.
"""

from ..enums import CancelReason, ExpireReason, Kind, MassFilter, Shape
from ..task_records import TaskTerms
from ..views import TaskView
from .bits import TASK
from .market import Task, length_of


def tell(engine, kind: int, task: Task, **fields: int) -> None:
    """Append an event about one task, with its lane, id and client_ref."""
    terms = task.terms
    engine.emit(kind, side=terms.lane, order_id=terms.order_id, contra_id=terms.client_ref, **fields)


def end_of(engine, terms: TaskTerms) -> int:
    """The first moment at which the task can no longer be filled, or valid_until."""
    market = engine.market
    last = terms.end_period - length_of(terms)
    latest = market.grid.gate(last)
    if terms.data_mb and terms.shape != Shape.BULK:  # a bulk task may have its data somewhere already
        ways = [market.moving(terms, family.region) for family in market.families.values() if market.fits(terms, family)]
        if ways:
            latest = min(latest, market.grid.start(last) - min(delay_ns for _, delay_ns in ways) + 1)
    return min(latest, terms.valid_until_ns) if terms.valid_until_ns else latest


def find_ends(engine) -> None:
    """After a change of the tables: until when each waiting task may be filled."""
    for task in engine.market.tasks.values():
        if task.terms.data_mb:
            task.dies_ns = max(engine.now_ns + 1, end_of(engine, task.terms))


def due(engine, now_ns: int) -> list[Task]:
    """The tasks whose time is over at a moment, in the order in which they end."""
    ending = [task for task in engine.market.tasks.values() if task.dies_ns <= now_ns]
    return sorted(ending, key=lambda task: (task.dies_ns, task.terms.order_id))


def expire(engine, task: Task) -> None:
    """T1: its time is over."""
    is_asked = task.terms.valid_until_ns and task.dies_ns == task.terms.valid_until_ns
    end(engine, task, Kind.EXPIRED, ExpireReason.GTD if is_asked else ExpireReason.GATE)


def end(engine, task: Task, kind: int, reason: int) -> None:
    """HM3: the task is gone, and what it holds is free; one event."""
    engine.market.leave(task)
    freed = task.held_micro
    engine.ledger.resize_hold(task.terms.account, -freed)
    tell(engine, kind, task, reason=reason, flags=TASK, price=task.terms.budget_micro, qty=task.target - task.filled,
         contra_leaves=freed)  # fmt: skip


def kill(engine, who: tuple[int, int]) -> None:
    """X3: the tasks of an account or firm, by id."""
    for _, task in sorted(engine.market.tasks.items()):
        account = task.terms.account
        if who[1] == (account if who[0] == MassFilter.ACCOUNT else engine.firm(account)):
            end(engine, task, Kind.CANCELED, CancelReason.KILLED)


def step(engine) -> None:
    """RT9: limits that rise now; a step puts its task into the next drain."""
    rising = []
    for task in engine.market.tasks.values():
        steps = task.terms.steps
        if task.next_step < len(steps) and steps[task.next_step][0] <= engine.now_ns:
            rising.append((task.terms.order_id, task))
    for task_id, task in sorted(rising, key=lambda item: item[0]):
        steps = task.terms.steps
        while task.next_step < len(steps) and steps[task.next_step][0] <= engine.now_ns:
            task.limit_micro = steps[task.next_step][1]
            task.next_step += 1
        engine.market.woken[task_id] = 2
        engine.emit(Kind.TASK_STEPPED, order_id=task_id, contra_id=task.terms.client_ref, price=task.limit_micro)


def view(engine, task: Task) -> TaskView:
    """What is told about a waiting task when asked."""
    terms = task.terms
    return TaskView(terms.order_id, terms.account, terms.lane, terms.shape, task.limit_micro, terms.budget_micro,
                    task.target, task.filled, task.spent_micro, task.notional_micro, task.held_micro, task.dies_ns,
                    engine.market.woken.get(terms.order_id, 0), task.fee_ppm)  # fmt: skip
