"""Waiting tasks that may use the same families stand together: they share their lists, and a drain looks at them at once.

Rules kept here: K1 (chip, region, latency, power, and a way for the data decide), RT5 (only tasks whose window and
family match are woken). A group is found by a hash of what its tasks have in common and goes with its last task; a bulk
task whose data moves is alone in its own. Which families a group may use is found anew after the tables have changed.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .task_types cimport *
from .types cimport *
from .ways cimport eligible_families


cdef inline uint8_t group_flags(const TaskSlot *task) noexcept nogil:
    """Those that eligibility depends on."""
    return task.flags & <uint8_t>CPX_TASK_FLAG_GREEN


cdef inline uint32_t group_data(const TaskSlot *task) noexcept nogil:
    return task.data_region if task.data_mb else 0


cdef inline uint64_t group_owner(const TaskSlot *task) noexcept nogil:
    """A bulk task that moves data: where it may go depends on where it has been."""
    return task.id if task.data_mb and task.shape == CPX_SHAPE_BULK else 0


cdef inline uint64_t group_hash(const TaskSlot *task) noexcept nogil:
    cdef uint64_t hash = cpx_mix(group_owner(task), group_data(task))
    cdef uint32_t i
    hash = cpx_mix(hash, <uint64_t>task.access_region << 32 | task.max_rtt_us)
    hash = cpx_mix(hash, <uint64_t>task.max_class << 32 | <uint64_t>group_flags(task) << 16 | task.n_chips)
    for i in range(task.n_chips):
        hash = cpx_mix(hash, <uint64_t>task.chips[i].chip << 32 | task.chips[i].factor_ppm)
    for i in range(task.n_regions):
        hash = cpx_mix(hash, task.regions[i])
    return hash


cdef inline bint is_of_group(const TaskGroup *group, const TaskSlot *task) noexcept nogil:
    if group.owner != group_owner(task) or group.data_region != group_data(task):
        return False
    if group.access_region != task.access_region or group.max_rtt_us != task.max_rtt_us:
        return False
    if group.max_class != task.max_class or group.flags != group_flags(task):
        return False
    if group.n_chips != task.n_chips or group.n_regions != task.n_regions:
        return False
    if memcmp(group.chips, task.chips, task.n_chips * sizeof(ChipNeed)):
        return False
    return task.n_regions == 0 or memcmp(group.regions, task.regions, task.n_regions * sizeof(uint16_t)) == 0


cdef inline uint32_t group_find(Core *core, const TaskSlot *task, uint64_t hash) noexcept nogil:
    """The group of a task, or NONE."""
    cdef uint32_t at = map_get(&core.task_group_map, hash)
    while at != NONE and not is_of_group(core.task_groups + at, task):
        at = core.task_groups[at].next
    return at


cdef inline uint32_t group_reserve(Core *core, const TaskSlot *task) noexcept nogil:
    """The group that a task would join, with room for it; NONE without memory. A new one has no task yet."""
    cdef uint64_t hash = group_hash(task)
    cdef uint32_t at = group_find(core, task, hash)
    cdef TaskGroup *group
    if at == NONE:
        at = group_make(core, task, hash)
        if at == NONE:
            return NONE
    group = core.task_groups + at
    if cpx_grow_small(<void **>&group.spans, &group.spans_capacity, <uint64_t>group.n_tasks + 1, sizeof(TaskSpan)):
        group_drop(core, at)
        return NONE
    return at


cdef inline uint32_t group_make(Core *core, const TaskSlot *task, uint64_t hash) noexcept nogil:
    """A new group without tasks; NONE without memory."""
    cdef size_t chips_size = task.n_chips * sizeof(ChipNeed)
    cdef uint32_t at = core.task_groups_free
    cdef TaskGroup *group
    cdef ChipNeed *lists
    if at == NONE and cpx_grow(<void **>&core.task_groups, &core.task_groups_capacity,
                               <uint64_t>core.task_groups_used + 1, sizeof(TaskGroup)):
        return NONE
    if map_reserve(&core.task_group_map, 1):
        return NONE
    lists = <ChipNeed *>malloc(chips_size + task.n_regions * sizeof(uint16_t))
    if lists == NULL:
        return NONE
    if at != NONE:
        core.task_groups_free = core.task_groups[at].next
    else:
        at = core.task_groups_used
        core.task_groups_used += 1
    group = core.task_groups + at
    group.hash = hash
    group.owner = group_owner(task)
    group.chips = lists
    group.regions = <uint16_t *>(lists + task.n_chips)
    memcpy(group.chips, task.chips, chips_size)
    if task.n_regions:
        memcpy(group.regions, task.regions, task.n_regions * sizeof(uint16_t))
    group.families = NULL
    group.spans = NULL
    group.spans_capacity = 0
    group.eligibility = 0
    group.n_tasks = 0
    group.n_words = 0
    group.access_region = task.access_region
    group.max_rtt_us = task.max_rtt_us
    group.data_region = group_data(task)
    group.max_class = task.max_class
    group.flags = group_flags(task)
    group.n_chips = task.n_chips
    group.n_regions = task.n_regions
    group.next = map_get(&core.task_group_map, hash)
    if group.next != NONE:
        map_remove(&core.task_group_map, hash)
    map_put(&core.task_group_map, hash, at)
    return at


cdef inline void group_drop(Core *core, uint32_t at) noexcept nogil:
    """Forget a group that has no task; nothing happens to another one."""
    cdef TaskGroup *group = core.task_groups + at
    cdef uint32_t before
    if group.n_tasks:
        return
    before = map_get(&core.task_group_map, group.hash)
    if before == at:
        map_remove(&core.task_group_map, group.hash)
        if group.next != NONE:
            map_put(&core.task_group_map, group.hash, group.next)
    else:
        while core.task_groups[before].next != at:
            before = core.task_groups[before].next
        core.task_groups[before].next = group.next
    free(group.chips)
    free(group.families)
    free(group.spans)
    group.chips = NULL
    group.families = NULL
    group.spans = NULL
    group.next = core.task_groups_free
    core.task_groups_free = at


cdef inline void group_join(Core *core, uint32_t slot) noexcept nogil:
    """A waiting task stands in its group; room was reserved before."""
    cdef TaskSlot *task = core.tasks + slot
    cdef TaskGroup *group = core.task_groups + task.group
    CPX_CHECK(group.n_tasks < group.spans_capacity)
    task.group_at = group.n_tasks
    group.spans[group.n_tasks].first_period = task.first_period
    group.spans[group.n_tasks].end_period = task.end_period
    group.spans[group.n_tasks].slot = slot
    group.n_tasks += 1


cdef inline void group_leave(Core *core, uint32_t slot) noexcept nogil:
    cdef TaskSlot *task = core.tasks + slot
    cdef TaskGroup *group = core.task_groups + task.group
    group.n_tasks -= 1
    group.spans[task.group_at] = group.spans[group.n_tasks]
    core.tasks[group.spans[task.group_at].slot].group_at = task.group_at
    group_drop(core, task.group)


cdef inline int groups_refresh(Core *core) noexcept nogil:
    """Which families each group may use, found anew where the tables have changed; 0, or -1 without memory."""
    cdef uint64_t words[64]
    cdef uint32_t n_words = core.market.family_words
    cdef uint32_t at
    cdef TaskGroup *group
    cdef uint64_t *families
    for at in range(core.task_groups_used):
        group = core.task_groups + at
        if group.chips == NULL or group.eligibility == core.eligibility:
            continue
        if group.n_words < n_words:
            families = <uint64_t *>malloc(n_words * sizeof(uint64_t))
            if families == NULL:
                return -1
            free(group.families)
            group.families = families
            group.n_words = n_words
        eligible_families(core, core.tasks + group.spans[0].slot, words)
        if n_words:
            memcpy(group.families, words, n_words * sizeof(uint64_t))
        group.eligibility = core.eligibility
    return 0


cdef inline void group_forget_families(Core *core, const TaskSlot *task) noexcept nogil:
    """A bulk task has its data in one more region."""
    core.task_groups[task.group].eligibility = 0


cdef inline void groups_free(Core *core) noexcept nogil:
    """Give back all memory of groups."""
    cdef uint32_t at
    for at in range(core.task_groups_used):
        free(core.task_groups[at].chips)
        free(core.task_groups[at].families)
        free(core.task_groups[at].spans)
    free(core.task_groups)
    free(core.task_group_map.entries)
