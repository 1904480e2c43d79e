"""Drains: the waiting tasks that something new may suit are tried, and only those.

Rules kept here: RT4, RT5, RT10, decision 0008 (all dirty families at once): repair, standard, economy, then first come;
one that cannot fill never blocks the next; what a pass makes dirty is the next pass. To wake tasks the dirty books are
brought into order once; then only groups that may use one of their families are looked at, and of those only the
periods. `reference/drains.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcpy

from .book cimport book_at, emit, reject
from .directory cimport book_find
from .dirt cimport dirty_add
from .filling cimport fill_on, fill_reserve, fill_task, is_done
from .groups cimport groups_refresh
from .routing cimport route_find
from .task_types cimport *
from .types cimport *
from .waiting cimport pass_over, task_at, task_forget, task_heap_first, task_settle, task_wake


# --- waking ---


cdef inline int by_id(const void *a, const void *b) noexcept nogil:
    cdef uint32_t first = (<const uint32_t *>a)[0]
    cdef uint32_t second = (<const uint32_t *>b)[0]
    return (first > second) - (first < second)


cdef inline int wake_reserve(Core *core) noexcept nogil:
    """Everything that waking tasks needs; 0, or -1 without memory and nothing changed."""
    if cpx_grow(<void **>&core.dirty_ids, &core.dirty_ids_capacity, core.n_dirty, sizeof(uint32_t)):
        return -1
    return groups_refresh(core)


cdef inline uint32_t gather_dirty(Core *core) noexcept nogil:
    """The dirty books by id; none is dirty any more, and their families are those of the pass. Returns how many."""
    cdef uint32_t n = core.n_dirty
    cdef uint32_t i
    for i in range(n):
        core.dirty_ids[i] = core.books[core.dirty[i]].id
        core.draining[core.dirty_ids[i] >> PERIOD_BITS >> 6] |= <uint64_t>1 << (core.dirty_ids[i] >> PERIOD_BITS & 63)
        core.books[core.dirty[i]].dirty_at = NONE
    core.n_dirty = 0
    core.is_draining = True
    qsort(core.dirty_ids, n, sizeof(uint32_t), by_id)
    return n


cdef inline uint32_t first_not_below(const uint32_t *ids, uint32_t n, uint64_t least) noexcept nogil:
    """How many ids of an ascending list are less than that."""
    cdef uint32_t low = 0
    cdef uint32_t middle
    while low < n:
        middle = (low + n) // 2
        if ids[middle] < least:
            low = middle + 1
        else:
            n = middle
    return low


cdef inline bint meets(const uint32_t *periods, uint32_t n, const TaskSpan *span, uint32_t family) noexcept nogil:
    """Whether a window has a dirty book of this family; `periods` are the dirty books of the family."""
    cdef uint64_t base = <uint64_t>family << PERIOD_BITS
    cdef uint32_t at = 0
    if n > 1:
        at = first_not_below(periods, n, base | span.first_period)
    return at < n and base | span.first_period <= periods[at] < (base | span.end_period)


cdef inline void wake_group(
    Core *core, const TaskGroup *group, uint32_t family, const uint32_t *books, uint32_t n
) noexcept nogil:
    """Wake the tasks of a group whose window meets dirty books of a family that it may use."""
    cdef uint32_t i
    for i in range(group.n_tasks):
        if meets(books, n, &group.spans[i], family) and core.tasks[group.spans[i].slot].woken == 0:
            task_wake(core, group.spans[i].slot, WOKEN_BY_DIRT)


cdef inline void wake(Core *core) noexcept nogil:
    """RT5: every task whose window meets a dirty period of a family that it may use. Room was made before."""
    cdef uint32_t n = gather_dirty(core)
    cdef uint32_t first = 0
    cdef uint32_t end, family, at
    cdef const TaskGroup *group
    while first < n:
        family = core.dirty_ids[first] >> PERIOD_BITS
        end = first + 1
        while end < n and core.dirty_ids[end] >> PERIOD_BITS == family:
            end += 1
        for at in range(core.task_groups_used):
            group = core.task_groups + at
            if group.n_tasks and family >> 6 < group.n_words and group.families[family >> 6] >> (family & 63) & 1:
                wake_group(core, group, family, core.dirty_ids + first, end - first)
        first = end
    if core.task_heaps[<int>TASK_HEAP_WOKEN].n == 0:
        pass_over(core)


# --- DRAIN ---


cdef struct Undo:  # how everything was when a drain began; of use as long as nothing was bought
    uint64_t draining[64]
    bint was_draining
    bint has_woken
    uint64_t n_tried  # of the notes in core.due_ids: slot, and in the high half what had woken it
    uint64_t n_before  # that were there when tasks were woken
    uint32_t n_dirty  # of core.dirty_ids, when tasks were woken


cdef inline int drain_begin(Core *core, Undo *undo) noexcept nogil:
    """Room for the notes: each task is tried twice at most before one buys; 0, or -1 without memory."""
    memcpy(undo.draining, core.draining, sizeof(undo.draining))
    undo.was_draining = core.is_draining
    undo.has_woken = False
    undo.n_tried = undo.n_before = 0
    undo.n_dirty = 0
    return cpx_grow(<void **>&core.due_ids, &core.due_ids_capacity, 2 * <uint64_t>core.n_tasks, sizeof(uint64_t))


cdef inline void drain_undo(Core *core, const Undo *undo) noexcept nogil:
    """No memory, and nothing bought: everything is as it was when the drain began."""
    cdef uint32_t slot = core.tasks_first
    cdef uint64_t i
    while undo.has_woken and slot != NONE:
        if task_at(core, slot).woken == WOKEN_BY_DIRT:
            task_settle(core, slot)
        slot = task_at(core, slot).next
    for i in range(undo.n_tried):
        if i < undo.n_before or not undo.has_woken or core.due_ids[i] >> 32 == WOKEN_BY_STEP:
            task_wake(core, <uint32_t>core.due_ids[i], <uint8_t>(core.due_ids[i] >> 32))
    for i in range(undo.n_dirty):
        dirty_add(core, book_at(core, book_find(core, core.dirty_ids[i])))
    memcpy(core.draining, undo.draining, sizeof(undo.draining))
    core.is_draining = undo.was_draining


cdef inline int try_woken(Core *core, uint32_t slot, Undo *undo) noexcept nogil:
    """Try a task: 1 if it has bought, 0 if not, -1 without memory: then it stays woken."""
    cdef TaskSlot *task = task_at(core, slot)
    cdef bint is_everywhere = task.woken == WOKEN_BY_STEP or task.shape == CPX_SHAPE_BULK or (
        task.shape == CPX_SHAPE_SPREAD)
    cdef Found found
    cdef int answer = route_find(core, task, task.limit_micro, NULL if is_everywhere else core.draining, &found)
    if answer < 0 or (answer and fill_reserve(core, &found)):
        return -1
    CPX_CHECK(undo.n_tried < core.due_ids_capacity)
    core.due_ids[undo.n_tried] = slot | <uint64_t>task_settle(core, slot) << 32
    undo.n_tried += 1
    if answer:
        fill_task(core, task, &found)
        if fill_on(core, task, NULL):
            task_wake(core, slot, WOKEN_BY_STEP)
        if is_done(task):
            task_forget(core, slot)
        undo.n_tried = 0
    if core.task_heaps[<int>TASK_HEAP_WOKEN].n == 0:
        pass_over(core)
    return answer


cdef inline int drain_step(Core *core, Undo *undo) noexcept nogil:
    """Wake tasks, or try one: 1 if it has bought, 0 if not, -1 without memory."""
    if core.is_draining or core.n_dirty == 0:
        return try_woken(core, task_heap_first(core, TASK_HEAP_WOKEN), undo)
    if wake_reserve(core):
        return -1
    undo.has_woken = True
    undo.n_before = undo.n_tried
    undo.n_dirty = core.n_dirty
    wake(core)
    return 0


cdef inline int op_drain(Core *core, const Command *c) noexcept nogil:
    """Passes until nothing is new, or until so many tasks have bought; what finds no memory then is left to the next."""
    cdef int64_t n_fills = 0
    cdef int answer
    cdef Undo undo
    if not core.check_funds or c.reserved:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.qty < 0:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    if core.n_dirty == 0 and core.task_heaps[<int>TASK_HEAP_WOKEN].n == 0:
        return 0
    if drain_begin(core, &undo):
        return -1
    while core.n_dirty or core.task_heaps[<int>TASK_HEAP_WOKEN].n:
        answer = drain_step(core, &undo)
        if answer < 0 and n_fills == 0:
            drain_undo(core, &undo)
            return -1
        if answer < 0:
            break
        n_fills += answer
        if answer and n_fills == c.qty:
            break
    emit(core, CPX_KIND_DRAINED, 0, 0, 0, 0, 0, 0, 0, n_fills,
         core.n_dirty != 0 or core.task_heaps[<int>TASK_HEAP_WOKEN].n != 0, 0)
    return 0
