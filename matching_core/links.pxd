"""Moving a task's data: what a link costs, how long it takes, and what it still carries.

Rule kept here: RT7 (megabytes are promised on a link from now on, as fast as there is room, all of them or none; what is
promised never shrinks). `reference/market.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memmove, memset

from .market cimport first_after, period_at, period_now, sight_begin, sight_end
from .market_types cimport *
from .types cimport (
    CPX_CHECK, CPX_LANE_EMERGENCY, CPX_MAX_EMERGENCY_DELAY_NS, CPX_MAX_MONEY_MICRO, NONE, Core, cpx_grow,
)

cdef enum:
    MB_PER_GB = 1_000
    NS_PER_MB_AT_MBIT = 8_000_000_000  # that a megabyte needs at one Mbit/s


cdef inline uint32_t link_place(Core *core, uint32_t source, uint32_t target) noexcept nogil:
    """Where a link stands in the table, or where it would."""
    cdef uint32_t low = 0
    cdef uint32_t high = core.market.n_links
    cdef uint32_t middle
    cdef const Link *link
    while low < high:
        middle = (low + high) // 2
        link = core.market.links + middle
        if link.source < source or (link.source == source and link.target < target):
            low = middle + 1
        else:
            high = middle
    return low


cdef inline uint32_t link_index(Core *core, uint32_t source, uint32_t target) noexcept nogil:
    """The line of a link, also of one that was removed, or NONE."""
    cdef uint32_t at = link_place(core, source, target)
    if at < core.market.n_links and core.market.links[at].source == source and core.market.links[at].target == target:
        return at
    return NONE


cdef inline int link_line(Core *core, uint32_t source, uint32_t target, bint has_load) noexcept nogil:
    """See to it that a pair of regions has a line, and a place for its load if need be; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef uint32_t at = link_place(core, source, target)
    cdef Link *link
    if link_index(core, source, target) == NONE:
        if cpx_grow(<void **>&market.links, &market.links_capacity, <uint64_t>market.n_links + 1, sizeof(Link)):
            return -1
        link = market.links + at
        memmove(link + 1, link, (market.n_links - at) * sizeof(Link))
        memset(link, 0, sizeof(Link))
        link.source = source
        link.target = target
        market.n_links += 1
    link = market.links + at
    if has_load and link.load_mb == NULL:
        link.load_mb = <int64_t *>calloc(HORIZON, sizeof(int64_t))
        if link.load_mb == NULL:
            return -1
    return 0


cdef inline int link_set(
    Core *core, uint32_t source, uint32_t target, int64_t price_micro_per_gb, int64_t mbit_per_s, int64_t capacity_mb
) noexcept nogil:
    """Set a link, or remove it with mbit_per_s 0; its load stays. 0, or -1 without memory."""
    cdef Link *link
    if link_line(core, source, target, mbit_per_s > 0 and capacity_mb > 0):
        return -1
    link = core.market.links + link_index(core, source, target)
    link.price_micro_per_gb = price_micro_per_gb
    link.mbit_per_s = mbit_per_s
    link.capacity_mb = capacity_mb
    return 0


cdef inline const Link *link_find(Core *core, uint32_t source, uint32_t target) noexcept nogil:
    """A link that is there, or NULL."""
    cdef uint32_t at = link_index(core, source, target)
    return NULL if at == NONE or core.market.links[at].mbit_per_s == 0 else core.market.links + at


# --- what is promised ---


cdef inline int64_t link_load(Core *core, uint32_t source, uint32_t target, int64_t period) noexcept nogil:
    """Megabytes promised in a period; 0 for periods out of sight."""
    cdef uint32_t at = link_index(core, source, target)
    if at == NONE or core.market.links[at].load_mb == NULL:
        return 0
    if period < sight_begin(core) or period >= sight_begin(core) + HORIZON:
        return 0
    return core.market.links[at].load_mb[period % HORIZON]


cdef inline int link_load_set(Core *core, uint32_t source, uint32_t target, int64_t period, int64_t mb) noexcept nogil:
    """Restore what was promised in a period in sight."""
    if link_line(core, source, target, True):
        return -1
    core.market.links[link_index(core, source, target)].load_mb[period % HORIZON] = mb
    return 0


cdef inline void links_advance(Core *core, int64_t from_ns) noexcept nogil:
    """Time has moved on: what was promised in periods before the one at hand is dropped."""
    cdef int64_t period, first, end
    cdef uint32_t i
    if core.market.period_ns == 0 or core.market.n_links == 0:
        return
    first = period_at(core, from_ns) if period_at(core, from_ns) > 0 else 0
    end = sight_begin(core)
    if end > first + HORIZON:
        end = first + HORIZON
    for i in range(core.market.n_links):
        if core.market.links[i].load_mb != NULL:
            for period in range(first, end):
                core.market.links[i].load_mb[period % HORIZON] = 0


cdef inline int64_t link_room(Core *core, const Link *link, int64_t mb, int64_t end) noexcept nogil:
    """The last period that so many megabytes would be promised in, if they go as fast as there is room; or `end`."""
    cdef int64_t period = sight_begin(core)
    cdef int64_t room
    while period < end:
        room = link.capacity_mb - link.load_mb[period % HORIZON]
        if room > 0:
            mb -= room
            if mb <= 0:
                return period
        period += 1
    return end


cdef inline void link_promise(Core *core, const Moving *moving) noexcept nogil:
    """RT7: a fill moves its data; where the link has a capacity there is room for all of it in sight."""
    cdef Link *link
    cdef int64_t period = sight_begin(core)
    cdef int64_t mb = moving.mb
    cdef int64_t room
    if moving.link == NONE or core.market.links[moving.link].capacity_mb == 0:
        return
    link = core.market.links + moving.link
    while mb > 0:
        CPX_CHECK(period < sight_begin(core) + HORIZON)
        room = link.capacity_mb - link.load_mb[period % HORIZON]
        if room > 0:
            room = room if room < mb else mb
            link.load_mb[period % HORIZON] += room
            mb -= room
        period += 1


# --- a task's data ---


cdef inline bint moving_price(Core *core, const TaskSlot *task, uint32_t region, Moving *moving) noexcept nogil:
    """What bringing its data to a region costs and takes, whatever is promised already; False where it cannot go.

    `first` is the first period that it allows, 0 = any.
    """
    cdef const Link *link
    cdef uint32_t i
    memset(moving, 0, sizeof(Moving))
    moving.region = region
    moving.link = NONE
    if task.data_mb == 0:
        return True
    for i in range(task.n_moved):
        if task.moved[i] == region:
            moving.first = task.moved_from[i]
            return True
    if task.n_moved >= MAX_MOVED:
        return False
    link = link_find(core, task.data_region, region)
    if link == NULL:
        return region == task.data_region
    moving.link = link_index(core, task.data_region, region)
    moving.mb = task.data_mb
    moving.micro = cpx_mul_div_ceil(task.data_mb, link.price_micro_per_gb, MB_PER_GB)
    moving.delay_ns = cpx_mul_div_ceil(task.data_mb, NS_PER_MB_AT_MBIT, link.mbit_per_s)
    if task.lane == CPX_LANE_EMERGENCY:
        return moving.delay_ns <= CPX_MAX_EMERGENCY_DELAY_NS
    moving.first = first_after(core, moving.delay_ns - 1)  # the delay is at least 1
    return True


cdef inline bint moving_of(Core *core, const TaskSlot *task, uint32_t region, Moving *moving) noexcept nogil:
    """As moving_price, with RT7: no start before the last period in which the link carries it, unless that is now."""
    cdef const Link *link
    cdef int64_t period, end
    if not moving_price(core, task, region, moving) or moving.micro > CPX_MAX_MONEY_MICRO:
        return False
    if moving.link == NONE or core.market.links[moving.link].capacity_mb == 0:
        return True
    link = core.market.links + moving.link
    end = sight_end(core)
    if end > task.end_period:
        end = task.end_period
    period = link_room(core, link, moving.mb, end)
    if period >= end:
        return False
    if period > period_now(core) and period + 1 > moving.first:
        moving.first = period + 1
    return True
