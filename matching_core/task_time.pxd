"""What time and kills do to waiting tasks: they expire, step up, see further, or are cancelled.

Rules kept here: T1 (by the moment their time is over, then by id), RT9 (a step puts its task into the next drain), RT4
(books that come into sight are new), X3. `reference/waiting.py` and `reference/drains.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport qsort

from .blocks cimport by_number, is_of
from .book cimport book_at, emit, is_open
from .directory cimport book_find
from .dirt cimport mark
from .market cimport period_at, sight_end
from .task_commands cimport task_end, task_expire
from .task_types cimport *
from .types cimport *
from .waiting cimport task_at, task_find, task_forget, task_heap_first, task_heap_move, task_heap_remove, task_wake


cdef inline int64_t task_due_ns(Core *core, uint32_t which, uint32_t at) noexcept nogil:
    """The time of a place in the heap of deadlines or steps."""
    cdef const TaskSlot *task = task_at(core, core.task_heaps[which].slots[at])
    return task.dies_ns if which == TASK_HEAP_DEADLINES else task.steps[task.next_step].at_ns


cdef inline uint64_t tasks_due(Core *core, uint32_t which, int64_t now_ns, uint64_t *ids) noexcept nogil:
    """How many of a heap are due at a moment; their ids, in no order, where a place for them is given. O(what it finds)."""
    cdef uint64_t n = 0
    cdef uint32_t at = 0
    if core.task_heaps[which].n == 0:
        return 0
    while True:
        if at < core.task_heaps[which].n and task_due_ns(core, which, at) <= now_ns:
            if ids != NULL:
                ids[n] = task_at(core, core.task_heaps[which].slots[at]).id
            n += 1
            at = 2 * at + 1
            continue
        while at > 0 and at & 1 == 0:  # from a right child up
            at = (at - 1) >> 1
        if at == 0:
            return n
        at += 1


cdef inline int due_ids_reserve(Core *core) noexcept nogil:
    """Room for the ids of all waiting tasks; 0, or -1 without memory."""
    return cpx_grow(<void **>&core.due_ids, &core.due_ids_capacity, core.n_tasks, sizeof(uint64_t))


# --- time ---


cdef inline uint64_t tasks_passing(Core *core, int64_t now_ns) noexcept nogil:
    """The events of tasks that expire or step up by then."""
    if core.n_tasks == 0:
        return 0
    return tasks_due(core, TASK_HEAP_DEADLINES, now_ns, NULL) + tasks_due(core, TASK_HEAP_STEPS, now_ns, NULL)


cdef inline void tasks_expire(Core *core) noexcept nogil:
    """T1: the tasks whose time is over, by (dies_ns, id)."""
    cdef uint32_t slot = task_heap_first(core, TASK_HEAP_DEADLINES)
    while slot != NONE and task_at(core, slot).dies_ns <= core.now_ns:
        task_expire(core, task_at(core, slot))
        task_forget(core, slot)
        slot = task_heap_first(core, TASK_HEAP_DEADLINES)


cdef inline void task_step(Core *core, uint32_t slot) noexcept nogil:
    """RT9: its limit rises to that of the last step that is due."""
    cdef TaskSlot *task = task_at(core, slot)
    while task.next_step < task.n_steps and task.steps[task.next_step].at_ns <= core.now_ns:
        task.limit_micro = task.steps[task.next_step].budget_micro
        if task.next_step + 1 == task.n_steps:
            task_heap_remove(core, TASK_HEAP_STEPS, slot)  # while it still has a time to be found by
        task.next_step += 1
    if task.next_step < task.n_steps:
        task_heap_move(core, TASK_HEAP_STEPS, slot)
    task_wake(core, slot, WOKEN_BY_STEP)
    emit(core, CPX_KIND_TASK_STEPPED, 0, 0, 0, 0, task.id, task.client_ref, task.limit_micro, 0, 0, 0)


cdef inline void tasks_step(Core *core) noexcept nogil:
    """The tasks whose limit rises now, by id; room for the ids was made before."""
    cdef uint64_t n = tasks_due(core, TASK_HEAP_STEPS, core.now_ns, core.due_ids)
    cdef uint64_t i
    if n > 1:
        qsort(core.due_ids, n, sizeof(uint64_t), by_number)
    for i in range(n):
        task_step(core, task_find(core, core.due_ids[i]))


cdef inline void come_into_sight(Core *core, int64_t before_ns) noexcept nogil:
    """RT4: open books of periods that a try can see from now on are marked. O(families x periods)."""
    cdef int64_t first, period, end
    cdef uint32_t number, line
    if core.n_tasks == 0 or core.market.period_ns == 0 or core.market.n_families == 0:
        return
    first = period_at(core, before_ns) + HORIZON
    if first < period_at(core, core.now_ns):
        first = period_at(core, core.now_ns)
    end = sight_end(core)
    first = first if first > 0 else 0
    end = end if end < PERIOD_MASK + 1 else PERIOD_MASK + 1
    for period in range(first, end):
        for number in range(core.market.family_words * 64):
            if core.market.families[number].is_listed:
                line = book_find(core, number << PERIOD_BITS | <uint32_t>period)
                if line != NONE and is_open(book_at(core, line)):
                    mark(core, book_at(core, line))


# --- a kill (X3) ---


cdef inline uint64_t tasks_of(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    """How many tasks an account or firm has waiting."""
    cdef uint32_t slot = core.tasks_first
    cdef uint64_t n = 0
    while slot != NONE:
        n += is_of(core, kind, who, task_at(core, slot).account)
        slot = task_at(core, slot).next
    return n


cdef inline void tasks_kill(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    """Cancel the tasks of an account or firm, by id; room for their ids was made before."""
    cdef uint32_t slot = core.tasks_first
    cdef uint64_t n = 0
    cdef uint64_t i
    while slot != NONE:
        if is_of(core, kind, who, task_at(core, slot).account):
            core.due_ids[n] = task_at(core, slot).id
            n += 1
        slot = task_at(core, slot).next
    if n > 1:
        qsort(core.due_ids, n, sizeof(uint64_t), by_number)
    for i in range(n):
        slot = task_find(core, core.due_ids[i])
        task_end(core, task_at(core, slot), CPX_KIND_CANCELED, CPX_CANCEL_KILLED)
        task_forget(core, slot)
