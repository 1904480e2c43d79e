"""What a buyer asks for over many books: TASK, TASK_AMEND, TASK_CANCEL, and every reason to say no.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason; then the task is searched for and all
memory reserved; only then does anything change (C8, K2). HM1, RT8, T1. A task is always the taker: it is tried at once,
and what cannot be filled waits or ends. `reference/tasks.py` and `reference/waiting.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from .accounts cimport account_find, hold_resize, is_blocked, may_trade
from .book cimport deny, events_reserve, reject
from .filling cimport MORE_EVENTS, fill_on, fill_reserve, fill_task, is_done, tell_task
from .market cimport access_reserve
from .orders cimport is_id_taken
from .routing cimport route_find
from .task_terms cimport has_start, is_window, read_terms
from .task_types cimport *
from .types cimport *
from .waiting cimport (
    count_of, n_waiting_of, task_at, task_drop, task_find, task_forget, task_hold, task_prepare, task_replace,
    task_target, task_wait, task_wake,
)
from .ways cimport dies_ns

# --- how a task ends ---


cdef inline void task_end(Core *core, TaskSlot *task, uint8_t kind, uint8_t reason) noexcept nogil:
    """HM3: what it holds is free; one event. Where it waits, it is still to be forgotten."""
    cdef int64_t freed = task_hold(task)
    hold_resize(account_find(core, task.account), -freed)
    tell_task(core, kind, reason, CPX_EVENT_TASK, task, 0, task.budget_micro, task_target(task) - task.filled, 0, freed)


cdef inline void task_expire(Core *core, TaskSlot *task) noexcept nogil:
    """T1: its time is over."""
    cdef bint is_asked = task.valid_until_ns != 0 and task.dies_ns == task.valid_until_ns
    task_end(core, task, CPX_KIND_EXPIRED, CPX_EXPIRE_GTD if is_asked else CPX_EXPIRE_GATE)


cdef inline bint ends_now(Core *core, TaskSlot *task) noexcept nogil:
    """What becomes of a task that was tried and wants more: whether it ends, else it waits; one event either way."""
    if task.tif == CPX_TIF_IOC:
        task_end(core, task, CPX_KIND_CANCELED, CPX_CANCEL_IOC)
        return True
    if task.dies_ns <= core.now_ns:
        task_expire(core, task)
        return True
    tell_task(core, CPX_KIND_TASK_WAITING, 0, 0, task, 0, task.limit_micro, task_target(task) - task.filled,
              task.dies_ns, task_hold(task))
    return False


# --- refusals ---


cdef inline uint8_t room_reason(Core *core, const TaskSlot *task, const TaskSlot *old) noexcept nogil:
    """INVALID_WINDOW is asked before. RT8: how many tasks of one firm, and for one chip, may wait besides this one."""
    cdef uint64_t of_firm = n_waiting_of(core, task)
    cdef uint64_t of_chip = count_of(&core.chip_tasks, task.chips[0].chip)
    if task.tif == CPX_TIF_IOC:
        return 0
    if old != NULL:
        of_firm -= 1
        of_chip -= old.chips[0].chip == task.chips[0].chip
    if of_firm >= core.market.per_firm or of_chip >= core.market.per_chip:
        return CPX_REJECT_TOO_MANY_WAITING
    return 0


cdef inline uint8_t task_reason(Core *core, TaskDraft *draft, const Command *c, uint32_t old) noexcept nogil:
    """0, or the smallest RejectReason of a TASK, or of a TASK_AMEND of the task in a slot."""
    cdef bint is_amend = c.op == CPX_OP_TASK_AMEND
    cdef const TaskSlot *before = NULL if old == NONE else task_at(core, old)
    cdef uint8_t reason = read_terms(core, draft, c, before != NULL and before.filled > 0)
    if reason:
        return reason
    if is_amend and before == NULL:
        return CPX_REJECT_UNKNOWN_ORDER
    if not is_amend and is_id_taken(core, c.order_id):
        return CPX_REJECT_DUPLICATE_ID
    if not is_amend and core.n_tasks >= CPX_MAX_TASKS:
        return CPX_REJECT_BOOK_FULL
    if not is_window(c) or not has_start(core, &draft.task):
        return CPX_REJECT_INVALID_WINDOW
    return room_reason(core, &draft.task, before)


cdef inline uint8_t task_denial(Core *core, const TaskSlot *task, int64_t more_hold) noexcept nogil:
    if more_hold > account_find(core, task.account).purses[<int>CPX_BUCKET_CASH]:
        return CPX_DENY_INSUFFICIENT_FUNDS
    return CPX_DENY_BLOCKED if is_blocked(core, task.account) else 0


# --- TASK ---


cdef inline int op_part(Core *core, const Command *c) noexcept nogil:
    """A continuation record without its head."""
    return reject(core, c, CPX_REJECT_INCOMPLETE)


cdef inline int task_look(Core *core, TaskDraft *draft, uint32_t *slot, Found *found) noexcept nogil:
    """Search, and make room for what follows: 1 if something was found, 0 if not, -1 without memory."""
    cdef int answer
    slot[0] = NONE
    if access_reserve(core, draft.task.access_region):
        return -1
    answer = route_find(core, &draft.task, draft.task.limit_micro, NULL, found)
    if answer < 0 or (fill_reserve(core, found) if answer else events_reserve(core, MORE_EVENTS)):
        return -1
    if draft.task.tif == CPX_TIF_IOC:
        return answer
    return -1 if task_prepare(core, &draft.task, slot) else answer


cdef inline int op_task(Core *core, const Command *c) noexcept nogil:
    cdef TaskDraft draft
    cdef Found found
    cdef TaskSlot *task = &draft.task
    cdef uint32_t old = my_task(core, c) if c.op == CPX_OP_TASK_AMEND else <uint32_t>NONE
    cdef uint8_t reason = task_reason(core, &draft, c, old)
    cdef int64_t hold
    cdef uint32_t slot
    cdef int answer
    if reason:
        return reject(core, c, reason)
    task.fee_ppm = core.fees_ppm[task.lane]
    if old != NONE:
        return amend_task(core, c, &draft, old)
    hold = task_hold(task)
    reason = task_denial(core, task, hold)
    if reason:
        return deny(core, c, reason)
    answer = task_look(core, &draft, &slot, &found)
    if answer < 0:
        return -1
    hold_resize(account_find(core, task.account), hold)
    tell_task(core, CPX_KIND_ACCEPTED, 0, CPX_EVENT_TASK, task, 0, task.budget_micro, task_target(task),
              task_target(task), hold)
    if answer:
        fill_task(core, task, &found)
        answer = fill_on(core, task, NULL)
    task.dies_ns = dies_ns(core, task)
    if is_done(task) or ends_now(core, task):
        if slot != NONE:
            task_drop(core, slot)
        return 0
    core.task_stamp += 1
    task.stamp = core.task_stamp
    task_wait(core, slot, task, core.tasks_last)
    if answer < 0:
        task_wake(core, slot, WOKEN_BY_STEP)
    return 0


# --- TASK_AMEND ---


cdef inline uint32_t my_task(Core *core, const Command *c) noexcept nogil:
    """The slot of the task if it waits and is of this account, or NONE."""
    cdef uint32_t slot = task_find(core, c.order_id)
    return slot if slot != NONE and task_at(core, slot).account == c.account else <uint32_t>NONE


cdef inline bint are_chips_left(const TaskSlot *task, const TaskSlot *old) noexcept nogil:
    """Whether the chips are some of those before, in the same order and with the same factors."""
    cdef uint32_t at = 0
    cdef uint32_t i
    for i in range(task.n_chips):
        while at < old.n_chips and memcmp(&old.chips[at], &task.chips[i], sizeof(ChipNeed)):
            at += 1
        if at == old.n_chips:
            return False
        at += 1
    return True


cdef inline bint are_regions_left(const TaskSlot *task, const TaskSlot *old) noexcept nogil:
    """Whether the regions are some of those before; both lists ascend, an empty one means all."""
    cdef uint32_t at = 0
    cdef uint32_t i
    if old.n_regions == 0:
        return True
    for i in range(task.n_regions):
        while at < old.n_regions and old.regions[at] < task.regions[i]:
            at += 1
        if at == old.n_regions or old.regions[at] != task.regions[i]:
            return False
    return task.n_regions > 0


cdef inline bint is_same_work(const TaskSlot *task, const TaskSlot *old) noexcept nogil:
    """Whether everything is as before that may not differ where a stamp is kept."""
    if task.lane != old.lane or task.shape != old.shape or task.tif != old.tif or task.periods != old.periods:
        return False
    if task.access_region != old.access_region or task.data_region != old.data_region or task.data_mb != old.data_mb:
        return False
    if task.first_period != old.first_period or task.end_period != old.end_period or task.min_run != old.min_run:
        return False
    if task.min_fill != old.min_fill or task.client_ref != old.client_ref:
        return False
    return task.valid_until_ns == old.valid_until_ns and task.n_steps == 0 and old.n_steps == 0


cdef inline bint is_narrower(const TaskSlot *task, const TaskSlot *old) noexcept nogil:
    """RT8: whether an amend asks for no more, so that it keeps its stamp: lower limit, fewer cards, a narrower set."""
    if not is_same_work(task, old) or task.budget_micro > old.budget_micro or task.lots > old.lots:
        return False
    if not cpx_is_ratio_at_most(task.budget_micro, task.lots, old.budget_micro, old.lots):  # it would pass others
        return False
    if old.max_grid >= 0 and (task.max_grid < 0 or task.max_grid > old.max_grid):
        return False
    if task.max_class > old.max_class or task.flags & old.flags != old.flags:
        return False
    if old.max_rtt_us and (task.max_rtt_us == 0 or task.max_rtt_us > old.max_rtt_us):
        return False
    return are_chips_left(task, old) and are_regions_left(task, old)


cdef inline int amend_task(Core *core, const Command *c, TaskDraft *draft, uint32_t old) noexcept nogil:
    """The task is another one from now on, in its place where it asks for no more; it waits while it is tried."""
    cdef TaskSlot *task = &draft.task
    cdef bint keeps_place = is_narrower(task, task_at(core, old))
    cdef Found found
    cdef int64_t before_micro = task_hold(task_at(core, old))
    cdef int64_t hold
    cdef uint8_t reason
    cdef uint32_t slot
    cdef int answer
    if task.lane == task_at(core, old).lane:
        task.fee_ppm = task_at(core, old).fee_ppm
    hold = task_hold(task)
    reason = task_denial(core, task, hold - before_micro)
    if reason:
        return deny(core, c, reason)
    answer = task_look(core, draft, &slot, &found)
    if answer < 0 or (slot == NONE and task_prepare(core, task, &slot)):
        return -1
    hold_resize(account_find(core, task.account), hold - before_micro)
    task.dies_ns = dies_ns(core, task)
    task_replace(core, old, slot, task, keeps_place)
    task = task_at(core, slot)
    tell_task(core, CPX_KIND_REPLACED, 0, CPX_EVENT_TASK | (CPX_EVENT_KEPT_PRIORITY if keeps_place else 0), task, 0,
              task.budget_micro, task_target(task), task_target(task), hold)
    if answer:
        fill_task(core, task, &found)
        answer = fill_on(core, task, NULL)
    if is_done(task) or ends_now(core, task):
        task_forget(core, slot)
    elif answer < 0:
        task_wake(core, slot, WOKEN_BY_STEP)
    return 0


# --- TASK_CANCEL ---


cdef inline int op_task_cancel(Core *core, const Command *c) noexcept nogil:
    """Only what is not bought yet ends."""
    cdef uint32_t slot = my_task(core, c)
    if core.check_funds and not may_trade(core, c.account):
        return reject(core, c, CPX_REJECT_UNKNOWN_ACCOUNT)
    if not core.check_funds or c.reserved or c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if slot == NONE:
        return reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
    task_end(core, task_at(core, slot), CPX_KIND_CANCELED, CPX_CANCEL_ASKED)
    task_forget(core, slot)
    return 0
