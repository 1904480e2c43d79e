"""What a buyer asks for over many books: TASK, TASK_AMEND, TASK_CANCEL, and every reason to say no.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason (C8); HM1, RT3, RT8, RT9, EM3. A task
is always the taker: it is tried at once, and what cannot be filled waits or ends.
"""

from ..enums import Bucket, CancelReason, DenyReason, Kind, Lane, Op, RejectReason, TimeInForce
from ..limits import MAX_ORDER_ID, MAX_TASKS, STEP_BEFORE_GATE_NS
from ..records import Command, unpack_commands
from ..task_checks import (
    are_fields_fair,
    are_quantities_fair,
    are_steps_rising,
    is_budget_fair,
    is_window,
    length_of,
)
from ..task_records import HEADS, TAILS, TaskTerms, read_terms, tail_of
from ..views import Route
from .bits import KEPT_PRIORITY, TASK
from .fills import is_done, try_task
from .market import Task
from .routing import find_route
from .waiting import end, end_of, expire, tell

_MAY_DIFFER = (
    "budget_micro", "lots", "chips", "regions", "max_rtt_us", "max_class", "max_grid", "flags",
)  # what an amend may narrow and keep its stamp  # fmt: skip


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {Op.TASK: submit, Op.TASK_AMEND: amend, Op.TASK_CANCEL: cancel, **dict.fromkeys(TAILS, _refuse_tail)}
    return {op: (lambda c, apply=apply: apply(engine, c)) for op, apply in table.items()}


def _refuse_tail(engine, c: Command) -> None:
    engine.reject(c, RejectReason.INCOMPLETE)


# --- TASK ---


def submit(engine, c: Command) -> None:
    """Apply TASK: ACCEPTED, what it buys, and how it ends or that it waits; or one refusal."""
    terms, reason = _read(engine, c, engine.tail)
    if terms is None or (reason := reason or _why_not_new(engine, terms)):
        engine.reject(c, reason)
        return
    task = _task_of(engine, terms)
    if reason := _why_denied(engine, task, held_before=0):
        engine.deny(c, reason)
        return
    hold = task.held_micro
    engine.ledger.resize_hold(terms.account, hold)
    tell(engine, Kind.ACCEPTED, task, flags=TASK, price=terms.budget_micro, qty=task.target, leaves=task.target,
         contra_leaves=hold)  # fmt: skip
    _try_at_once(engine, task)


def _task_of(engine, terms: TaskTerms) -> Task:
    limit_micro = terms.steps[0][1] if terms.steps else terms.budget_micro
    return Task(terms, engine.fees_ppm[terms.lane], limit_micro, next_step=1 if terms.steps else 0)


def _try_at_once(engine, task: Task) -> None:
    """Over every family that fits; what is not filled waits, unless it may not or has no time."""
    try_task(engine, task)
    if is_done(task):
        return
    task.dies_ns = end_of(engine, task.terms)
    if task.terms.tif == TimeInForce.IOC:
        end(engine, task, Kind.CANCELED, CancelReason.IOC)
    elif task.dies_ns <= engine.now_ns:
        expire(engine, task)
    else:
        if task.terms.order_id not in engine.market.tasks:
            engine.market.wait(task)
        tell(engine, Kind.TASK_WAITING, task, price=task.limit_micro, qty=task.target - task.filled, leaves=task.dies_ns,
             contra_leaves=task.held_micro)  # fmt: skip


def _why_denied(engine, task: Task, held_before: int) -> int:
    account = task.terms.account
    if task.held_micro - held_before > engine.ledger.accounts[account].purses[Bucket.CASH]:
        return DenyReason.INSUFFICIENT_FUNDS
    return DenyReason.BLOCKED if engine.ledger.is_blocked(account) else 0


# --- TASK_AMEND, TASK_CANCEL ---


def amend(engine, c: Command) -> None:
    """Apply TASK_AMEND: the task is another one from now on, in its place where it asks for no more than before."""
    old = _mine(engine, c)
    terms, reason = _read(engine, c, engine.tail, old)
    reason = reason or _why_not_amended(engine, terms, old)
    if reason or terms is None or old is None:
        engine.reject(c, reason)
        return
    task = _task_of(engine, terms)
    if terms.lane == old.terms.lane:
        task.fee_ppm = old.fee_ppm
    if reason := _why_denied(engine, task, old.held_micro):
        engine.deny(c, reason)
        return
    engine.ledger.resize_hold(terms.account, task.held_micro - old.held_micro)
    is_kept = is_narrower(terms, old.terms)
    engine.market.sleep(terms.order_id)
    if is_kept:
        task.stamp = old.stamp
        engine.market.tasks[terms.order_id] = task
    else:
        engine.market.wait(task)
    tell(engine, Kind.REPLACED, task, flags=TASK | (KEPT_PRIORITY if is_kept else 0), price=terms.budget_micro,
         qty=task.target, leaves=task.target, contra_leaves=task.held_micro)  # fmt: skip
    _try_at_once(engine, task)


def is_narrower(new: TaskTerms, old: TaskTerms) -> bool:
    """RT8: whether an amend asks for no more, so that it keeps its stamp: lower limit, fewer cards, a narrower set."""
    changed = {name for name in TaskTerms._fields if getattr(new, name) != getattr(old, name)}
    if not changed <= set(_MAY_DIFFER) or new.steps or old.steps:
        return False
    left = iter(old.chips)
    are_chips_left = all(any(chip == other for other in left) for chip in new.chips)
    are_regions_left = not old.regions or (new.regions and set(new.regions) <= set(old.regions))
    is_as_near = not old.max_rtt_us or 0 < new.max_rtt_us <= old.max_rtt_us
    is_less = new.budget_micro <= old.budget_micro and new.lots <= old.lots and new.max_class <= old.max_class
    is_cap_less = new.budget_micro * old.lots <= old.budget_micro * new.lots  # fewer cards at more each would pass others
    is_as_green = not old.max_grid or 0 < new.max_grid <= old.max_grid
    has_flags = new.flags & old.flags == old.flags
    is_set_left = are_chips_left and are_regions_left and is_as_near
    return bool(is_set_left and is_less and is_cap_less and is_as_green and has_flags)


def cancel(engine, c: Command) -> None:
    """Apply TASK_CANCEL: only what is not bought yet ends; the hold is freed."""
    if reason := _why_not_canceled(engine, c):
        engine.reject(c, reason)
        return
    end(engine, engine.market.tasks[c.order_id], Kind.CANCELED, CancelReason.ASKED)


def _why_not_canceled(engine, c: Command) -> int:
    if engine.check_funds and not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    if not engine.check_funds or c.reserved or not 1 <= c.order_id <= MAX_ORDER_ID:
        return RejectReason.INVALID_FIELD
    return 0 if _mine(engine, c) else RejectReason.UNKNOWN_ORDER


def _mine(engine, c: Command) -> Task | None:
    task = engine.market.tasks.get(c.order_id)
    return task if task and task.terms.account == c.account else None


# --- the question ---


def find(engine, records, limit_micro: int | None) -> Route | None:
    """The route that a TASK of these records would take now; ValueError naming the reason where it would be rejected."""
    batch = unpack_commands(memoryview(records).cast("B"))
    is_one = batch and batch[0].op in HEADS and len(batch) == 1 + batch[0].reserved
    terms: TaskTerms | None = None
    reason: int = RejectReason.INCOMPLETE
    if is_one:
        terms, reason = _read(engine, batch[0], tail_of(batch, 0))
    if terms is None or (reason := reason or _why_no_window(engine, terms)):
        raise ValueError(RejectReason(reason).name)
    task = _task_of(engine, terms)
    return find_route(engine, terms, terms.account, task, task.limit_micro if limit_micro is None else limit_micro)


# --- reasons to say no ---


def _read(engine, c: Command, tail, old: Task | None = None) -> tuple[TaskTerms | None, int]:
    """The terms, and why they cannot be whatever the market is like; no terms where the records hold none."""
    if tail is None:
        return None, RejectReason.INCOMPLETE
    if engine.check_funds and not engine.ledger.may_trade(c.account):
        return None, RejectReason.UNKNOWN_ACCOUNT
    terms = read_terms(c, tail)
    if not isinstance(terms, TaskTerms):
        return None, terms
    is_begun = old is not None and old.filled > 0
    if not engine.check_funds or is_begun or not are_fields_fair(terms):
        return terms, RejectReason.INVALID_FIELD
    return terms, _why_numbers_unfair(engine, terms)


def _why_numbers_unfair(engine, t: TaskTerms) -> int:
    if not is_budget_fair(t):
        return RejectReason.INVALID_PRICE
    if not are_quantities_fair(t):
        return RejectReason.INVALID_QTY
    if t.valid_until_ns < 0 or 0 < t.valid_until_ns <= engine.now_ns or not _are_steps_in_time(engine, t):
        return RejectReason.INVALID_EXPIRY
    return 0 if engine.market.grid else RejectReason.PHASE


def _are_steps_in_time(engine, t: TaskTerms) -> bool:
    """RT9: steps follow each other, and the last comes well before the last gate."""
    if not t.steps:
        return True
    is_rising = are_steps_rising(t) and t.steps[1][0] > engine.now_ns
    grid = engine.market.grid
    if grid is None:
        return is_rising
    return is_rising and t.steps[-1][0] <= grid.gate(t.end_period - length_of(t)) - STEP_BEFORE_GATE_NS


def _why_not_new(engine, t: TaskTerms) -> int:
    if engine.is_id_taken(t.order_id):
        return RejectReason.DUPLICATE_ID
    if len(engine.market.tasks) >= MAX_TASKS:
        return RejectReason.BOOK_FULL
    return _why_no_window(engine, t) or _why_no_room(engine, t)


def _why_not_amended(engine, t: TaskTerms | None, old: Task | None) -> int:
    if t is None or old is None:
        return RejectReason.UNKNOWN_ORDER
    return _why_no_window(engine, t) or _why_no_room(engine, t)


def _why_no_window(engine, t: TaskTerms) -> int:
    """Whether some start lies between now, the first and the end period."""
    grid, now_ns = engine.market.grid, engine.now_ns
    soonest = grid.at(now_ns) if t.lane == Lane.EMERGENCY else grid.first_open(now_ns)
    fits = max(t.first_period, soonest) + length_of(t) <= t.end_period
    return 0 if is_window(t) and fits else RejectReason.INVALID_WINDOW


def _why_no_room(engine, t: TaskTerms) -> int:
    """RT8: how many tasks of one firm, and for one chip, may wait besides this one."""
    if t.tif == TimeInForce.IOC:
        return 0
    grid = engine.market.grid
    others = [task.terms for key, task in engine.market.tasks.items() if key != t.order_id]
    of_firm = sum(_house(engine, other.account) == _house(engine, t.account) for other in others)
    of_chip = sum(other.chips[0][0] == t.chips[0][0] for other in others)
    return RejectReason.TOO_MANY_WAITING if of_firm >= grid.per_firm or of_chip >= grid.per_chip else 0


def _house(engine, account: int) -> tuple[int, int]:
    """Whose tasks are counted together: a firm's, or an account's that has none."""
    firm = engine.firm(account)
    return (firm, 0) if firm else (0, account)
