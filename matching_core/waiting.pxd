"""Tasks that wait: their slots, their order in time, what they hold, and when they die, step up or are woken.

Rules kept here: HM1 (a hold covers budget and fee, less what was paid), K4 (it reserves nothing else), RT8 (how many
may wait), the order of a drain (RT5). A task is known by its id, stands in the order of the stamps, and in the heaps
that concern it. All memory is reserved before a command changes anything. `reference/tasks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .accounts cimport account_find
from .groups cimport group_drop, group_join, group_leave, group_reserve
from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .task_types cimport *
from .types cimport *

# --- slots ---


cdef inline TaskSlot *task_at(Core *core, uint32_t slot) noexcept nogil:
    """A slot; the pointer does not outlive a reserve."""
    CPX_CHECK(slot < core.tasks_used)
    return core.tasks + slot


cdef inline uint32_t task_find(Core *core, uint64_t task_id) noexcept nogil:
    """The slot of a waiting task, or NONE."""
    return map_get(&core.task_map, task_id)


cdef inline int64_t task_target(const TaskSlot *task) noexcept nogil:
    """The lot-periods that it wants in all, on its first chip."""
    return task.lots * task.periods


cdef inline int64_t task_hold(const TaskSlot *task) noexcept nogil:
    """HM1: what it has in HELD now."""
    return task.budget_micro + cpx_fee(task.fee_ppm, task.budget_micro) - task.spent_micro - cpx_fee(
        task.fee_ppm, task.notional_micro)


# --- heaps: the place of a task stands in its slot ---


cdef inline uint32_t lane_rank(uint8_t lane) noexcept nogil:
    """RT5: repair, standard, economy."""
    if lane == CPX_LANE_REPAIR:
        return 0
    return 1 if lane == CPX_LANE_STANDARD else 2


cdef inline bint task_before(Core *core, uint32_t which, uint32_t a, uint32_t b) noexcept nogil:
    cdef const TaskSlot *first = task_at(core, a)
    cdef const TaskSlot *second = task_at(core, b)
    cdef int64_t x, y
    if which == TASK_HEAP_WOKEN:
        if lane_rank(first.lane) != lane_rank(second.lane):
            return lane_rank(first.lane) < lane_rank(second.lane)
        return first.stamp < second.stamp
    if which == TASK_HEAP_DEADLINES:
        x, y = first.dies_ns, second.dies_ns
    else:
        x, y = first.steps[first.next_step].at_ns, second.steps[second.next_step].at_ns
    return x < y or (x == y and first.id < second.id)


cdef inline void task_heap_set(Core *core, uint32_t which, uint32_t at, uint32_t slot) noexcept nogil:
    core.task_heaps[which].slots[at] = slot
    task_at(core, slot).places[which] = at


cdef inline void task_heap_up(Core *core, uint32_t which, uint32_t at, uint32_t slot) noexcept nogil:
    cdef const uint32_t *slots = core.task_heaps[which].slots
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if not task_before(core, which, slot, slots[parent]):
            break
        task_heap_set(core, which, at, slots[parent])
        at = parent
    task_heap_set(core, which, at, slot)


cdef inline void task_heap_down(Core *core, uint32_t which, uint32_t at, uint32_t slot) noexcept nogil:
    cdef const uint32_t *slots = core.task_heaps[which].slots
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= core.task_heaps[which].n:
            break
        if child + 1 < core.task_heaps[which].n and task_before(core, which, slots[child + 1], slots[child]):
            child += 1
        if not task_before(core, which, slots[child], slot):
            break
        task_heap_set(core, which, at, slots[child])
        at = child
    task_heap_set(core, which, at, slot)


cdef inline void task_heap_add(Core *core, uint32_t which, uint32_t slot) noexcept nogil:
    """Every heap has room for every waiting task."""
    CPX_CHECK(core.task_heaps[which].n < core.task_heaps[which].capacity)
    core.task_heaps[which].n += 1
    task_heap_up(core, which, core.task_heaps[which].n - 1, slot)


cdef inline void task_heap_remove(Core *core, uint32_t which, uint32_t slot) noexcept nogil:
    """Take a task out; nothing happens where it is not in this heap."""
    cdef uint32_t at = task_at(core, slot).places[which]
    cdef uint32_t last
    if at == NONE:
        return
    task_at(core, slot).places[which] = NONE
    core.task_heaps[which].n -= 1
    if at == core.task_heaps[which].n:
        return
    last = core.task_heaps[which].slots[core.task_heaps[which].n]
    if at > 0 and task_before(core, which, last, core.task_heaps[which].slots[(at - 1) >> 1]):
        task_heap_up(core, which, at, last)
    else:
        task_heap_down(core, which, at, last)


cdef inline void task_heap_move(Core *core, uint32_t which, uint32_t slot) noexcept nogil:
    """A task in a heap has another key now."""
    cdef uint32_t at = task_at(core, slot).places[which]
    if at > 0 and task_before(core, which, slot, core.task_heaps[which].slots[(at - 1) >> 1]):
        task_heap_up(core, which, at, slot)
    else:
        task_heap_down(core, which, at, slot)


cdef inline uint32_t task_heap_first(Core *core, uint32_t which) noexcept nogil:
    """The first one, or NONE."""
    return core.task_heaps[which].slots[0] if core.task_heaps[which].n else NONE


# --- counts by firm and first chip (RT8) ---


cdef inline uint32_t count_of(const Map *counts, uint64_t key) noexcept nogil:
    cdef uint32_t n = map_get(counts, key)
    return 0 if n == NONE else n


cdef inline void count_change(Map *counts, uint64_t key, bint is_more) noexcept nogil:
    """One more or one less; room was reserved before. A count of 0 is not kept."""
    cdef uint32_t n = count_of(counts, key)
    if n:
        map_remove(counts, key)
    n = n + 1 if is_more else n - 1
    if n:
        map_put(counts, key, n)


cdef inline void count_task(Core *core, const TaskSlot *task, bint is_more) noexcept nogil:
    cdef AccountLine *account = account_find(core, task.account)
    account.n_tasks = account.n_tasks + 1 if is_more else account.n_tasks - 1
    if task.firm:
        count_change(&core.firm_tasks, task.firm, is_more)
    count_change(&core.chip_tasks, task.chips[0].chip, is_more)


cdef inline uint64_t n_waiting_of(Core *core, const TaskSlot *task) noexcept nogil:
    """RT8: the waiting tasks of its firm; of its account where that has no firm."""
    if task.firm:
        return count_of(&core.firm_tasks, task.firm)
    return account_find(core, task.account).n_tasks


# --- a task comes to wait, and ends ---


cdef inline int task_reserve(Core *core) noexcept nogil:
    """Room for one more slot, its id, its counts and its places; 0, or -1 without memory."""
    cdef uint32_t which
    cdef uint64_t most = <uint64_t>core.n_tasks + 1
    if core.tasks_free == NONE and cpx_grow(
            <void **>&core.tasks, &core.tasks_capacity, <uint64_t>core.tasks_used + 1, sizeof(TaskSlot)):
        return -1
    for which in range(3):
        if cpx_grow(<void **>&core.task_heaps[which].slots, &core.task_heaps[which].capacity, most, sizeof(uint32_t)):
            return -1
    if map_reserve(&core.task_map, 1) or map_reserve(&core.firm_tasks, 1) or map_reserve(&core.chip_tasks, 1):
        return -1
    return 0


cdef inline int task_prepare(Core *core, TaskSlot *task, uint32_t *slot) noexcept nogil:
    """Room for a task that may come to wait, and a slot with its lists; 0, or -1 without memory.

    The slot is nobody's until `task_wait`; give it back with `task_drop` where it is not needed.
    """
    cdef uint32_t at, group
    cdef TaskStep *steps = NULL
    if task_reserve(core):
        return -1
    if task.n_steps:
        steps = <TaskStep *>malloc(task.n_steps * sizeof(TaskStep))
        if steps == NULL:
            return -1
        memcpy(steps, task.steps, task.n_steps * sizeof(TaskStep))
    group = group_reserve(core, task)
    if group == NONE:
        free(steps)
        return -1
    at = core.tasks_free
    if at != NONE:
        core.tasks_free = core.tasks[at].next
    else:
        at = core.tasks_used
        core.tasks_used += 1
    core.tasks[at].id = 0
    core.tasks[at].steps = steps
    core.tasks[at].group = group
    slot[0] = at
    return 0


cdef inline void task_give(Core *core, uint32_t slot) noexcept nogil:
    """A slot is nobody's any more."""
    cdef TaskSlot *task = task_at(core, slot)
    free(task.steps)
    task.steps = NULL
    task.id = 0
    task.next = core.tasks_free
    core.tasks_free = slot


cdef inline void task_wait(Core *core, uint32_t slot, const TaskSlot *draft, uint32_t behind) noexcept nogil:
    """A prepared slot becomes a waiting task with these fields, in time behind another one (NONE = first of all)."""
    cdef TaskSlot *task = task_at(core, slot)
    cdef TaskStep *steps = task.steps
    cdef uint32_t group = task.group
    task[0] = draft[0]
    task.steps = steps
    task.places[0] = task.places[1] = task.places[2] = NONE
    task.woken = 0
    task.chips = core.task_groups[group].chips
    task.regions = core.task_groups[group].regions
    task.group = group
    task_link(core, slot, behind)
    map_put(&core.task_map, task.id, slot)
    group_join(core, slot)
    count_task(core, task, True)
    core.n_tasks += 1
    core.n_spreads += task.shape == CPX_SHAPE_SPREAD
    task_heap_add(core, TASK_HEAP_DEADLINES, slot)
    if task.next_step < task.n_steps:
        task_heap_add(core, TASK_HEAP_STEPS, slot)


cdef inline void task_link(Core *core, uint32_t slot, uint32_t behind) noexcept nogil:
    cdef TaskSlot *task = task_at(core, slot)
    task.prev = behind
    task.next = core.tasks_first if behind == NONE else task_at(core, behind).next
    if behind == NONE:
        core.tasks_first = slot
    else:
        task_at(core, behind).next = slot
    if task.next == NONE:
        core.tasks_last = slot
    else:
        task_at(core, task.next).prev = slot


cdef inline void task_unlink(Core *core, const TaskSlot *task) noexcept nogil:
    if task.prev == NONE:
        core.tasks_first = task.next
    else:
        task_at(core, task.prev).next = task.next
    if task.next == NONE:
        core.tasks_last = task.prev
    else:
        task_at(core, task.next).prev = task.prev


cdef inline void task_take_out(Core *core, uint32_t slot) noexcept nogil:
    """A task waits no more; its slot and its place in its group are left."""
    cdef TaskSlot *task = task_at(core, slot)
    cdef uint32_t which
    for which in range(3):
        task_heap_remove(core, which, slot)
    core.n_tasks -= 1
    core.n_spreads -= task.shape == CPX_SHAPE_SPREAD
    count_task(core, task, False)
    map_remove(&core.task_map, task.id)
    task_unlink(core, task)
    if core.task_heaps[<int>TASK_HEAP_WOKEN].n == 0:
        pass_over(core)


cdef inline void task_forget(Core *core, uint32_t slot) noexcept nogil:
    """A task waits no more; its hold is somebody else's to free."""
    task_take_out(core, slot)
    group_leave(core, slot)
    task_give(core, slot)


cdef inline void task_replace(
    Core *core, uint32_t old, uint32_t slot, TaskSlot *draft, bint keeps_place
) noexcept nogil:
    """RT8: a prepared slot takes over from a waiting task, in its place in time or behind all others."""
    cdef uint32_t behind = task_at(core, old).prev
    draft.stamp = task_at(core, old).stamp
    if not keeps_place:
        core.task_stamp += 1
        draft.stamp = core.task_stamp
        if core.tasks_last != old:
            behind = core.tasks_last
    task_take_out(core, old)
    task_wait(core, slot, draft, behind)
    group_leave(core, old)  # last: both may be of one group
    task_give(core, old)


cdef inline void task_drop(Core *core, uint32_t slot) noexcept nogil:
    """Give back a prepared slot that no task needs."""
    cdef uint32_t group = task_at(core, slot).group
    task_give(core, slot)
    group_drop(core, group)


cdef inline void pass_over(Core *core) noexcept nogil:
    """No task is woken any more: the families of a pass are forgotten."""
    cdef uint32_t i
    if core.is_draining:
        core.is_draining = False
        for i in range(FAMILY_WORDS):
            core.draining[i] = 0


cdef inline void task_wake(Core *core, uint32_t slot, uint8_t by) noexcept nogil:
    """A drain will try it."""
    cdef TaskSlot *task = task_at(core, slot)
    if by > task.woken:
        task.woken = by
    if task.places[<int>TASK_HEAP_WOKEN] == NONE:
        task_heap_add(core, TASK_HEAP_WOKEN, slot)


cdef inline uint8_t task_settle(Core *core, uint32_t slot) noexcept nogil:
    """It is tried now, so it is woken no more; returns what had woken it."""
    cdef TaskSlot *task = task_at(core, slot)
    cdef uint8_t woken = task.woken
    task.woken = 0
    task_heap_remove(core, TASK_HEAP_WOKEN, slot)
    return woken
