"""Which families a search goes to, in the order of what a task costs there at least.

A family is bound by the cheapest run of its best prices: first over all periods in sight, which is kept from try to try,
then over the task's own window.
Rules kept here: K1, RT7 and EM3 (from when on the data can be there). `reference/windows.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from .links cimport moving_of, moving_price
from .market cimport (
    access_row, chip_place, fits_task, fitting_word, is_fast_enough, lots_on_chip, period_gate, reached, sight_begin,
)
from .market_types cimport *
from .quotes cimport quote_bound, quote_find
from .rows cimport family_bound, family_fresh
from .types cimport CPX_SHAPE_BULK, CPX_SHAPE_SPLIT, NONE, Core


# --- eligibility ---


cdef inline bint task_may_use(Core *core, const TaskSlot *task, const Family *family) noexcept nogil:
    """K1, and a way for its data; how full the links are is not asked. The row of its access region was reserved before."""
    cdef Moving moving
    return fits_task(core, task, family) and moving_price(core, task, family.region, &moving)


cdef inline void eligible_families(Core *core, const TaskSlot *task, uint64_t *words) noexcept nogil:
    """The set of the families that a task may use, as FAMILY_WORDS words."""
    cdef const uint64_t *near = NULL
    cdef uint32_t word, number
    cdef uint64_t bits
    memset(words, 0, FAMILY_WORDS * sizeof(uint64_t))
    if task.access_region and core.market.n_families:
        near = reached(core, task.access_region, task.max_rtt_us)
    for word in range(core.market.family_words):
        bits = fitting_word(core, task, word)
        words[word] = bits if near == NULL else bits & near[word]
        bits = words[word] if task.data_mb else 0
        while bits:
            number = word * 64 + <uint32_t>cpx_lowest_bit(bits)
            bits &= bits - 1
            if not task_may_use(core, task, core.market.families + number):
                words[word] ^= <uint64_t>1 << (number & 63)


cdef inline int64_t dies_ns(Core *core, const TaskSlot *task) noexcept nogil:
    """When a waiting task can no longer be filled: its last gate, its data's last departure, or as it was told."""
    cdef int64_t last = <int64_t>task.end_period - (1 if task.shape == CPX_SHAPE_BULK else task.periods)
    cdef int64_t dies = period_gate(core, last)
    cdef int64_t least_delay_ns = -1
    cdef uint64_t words[64]
    cdef uint32_t number
    cdef Moving moving
    if task.valid_until_ns and task.valid_until_ns < dies:
        dies = task.valid_until_ns
    if task.data_mb == 0 or task.shape == CPX_SHAPE_BULK or core.market.n_families == 0:
        return dies
    eligible_families(core, task, words)
    for number in range(core.market.family_words * 64):
        if words[number >> 6] >> (number & 63) & 1:
            moving_price(core, task, core.market.families[number].region, &moving)
            if least_delay_ns < 0 or moving.delay_ns < least_delay_ns:
                least_delay_ns = moving.delay_ns
    if least_delay_ns < 0:
        return dies
    last = cpx_period_start(core.market.origin_ns, core.market.period_ns, last, least_delay_ns)
    return last + 1 if last < dies - 1 else dies


# --- out of the question at a glance: a spread or bulk is tried over all its families whenever one of them changes ---


cdef inline int64_t chip_least(Core *core, uint32_t index, uint32_t length) noexcept nogil:
    """The least sum of best prices over a run of so many periods, over all families of a chip."""
    cdef Market *market = &core.market
    cdef const uint64_t *mask = market.chip_masks + <size_t>index * FAMILY_WORDS
    cdef int64_t base = sight_begin(core)
    cdef int64_t least = CPX_NO_COST
    cdef uint32_t word
    cdef uint64_t bits
    cdef Family *family
    for word in range(market.family_words):
        bits = mask[word]
        while bits:
            family = market.families + (word * 64 + <uint32_t>cpx_lowest_bit(bits))
            bits &= bits - 1
            if family.size:
                family_fresh(core, family, base)
                if family_bound(family, length, True) < least:
                    least = family_bound(family, length, True)
    return least


cdef inline int64_t chip_bound(Core *core, uint32_t chip, uint32_t length) noexcept nogil:
    """As chip_least: kept until something changes."""
    cdef Market *market = &core.market
    cdef uint32_t index = market.chip_index[chip]
    cdef ChipBound *bound
    if index == 0:
        return CPX_NO_COST
    bound = market.chip_bounds + (<size_t>(index - 1) * N_BOUNDS + length % N_BOUNDS)
    if bound.length != length or bound.changes != market.changes or bound.base != sight_begin(core):
        bound.least_micro = chip_least(core, index - 1, length)
        bound.length = length
        bound.changes = market.changes
        bound.base = sight_begin(core)
    return bound.least_micro


cdef inline bint is_out_of_reach(Core *core, const Try *t) noexcept nogil:
    """Whether no chip of a spread or bulk task is so cheap anywhere that it could be bought."""
    cdef const TaskSlot *task = t.task
    cdef int64_t target = task.lots * task.periods
    cdef int64_t least
    cdef uint32_t place
    for place in range(task.n_chips):
        least = chip_bound(core, task.chips[place].chip, 1 if task.shape == CPX_SHAPE_BULK else task.periods)
        if task.shape != CPX_SHAPE_BULK:
            if cpx_cost(least, lots_on_chip(task, place)) <= t.best.cost_micro:
                return False
        elif cpx_affordable(t.best.cost_micro, target, task.filled, task.spent_micro, least, 1):
            return False
    return True


# --- families on the way, the least bound on top ---


cdef inline void way_sink(Waypoint *heap, uint32_t n, uint32_t at, const Waypoint *way) noexcept nogil:
    """Put a family at a place of the heap, or below it where others are less; `way` lies outside the heap."""
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and heap[child + 1].bound_micro < heap[child].bound_micro:
            child += 1
        if heap[child].bound_micro >= way.bound_micro:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = way[0]


cdef inline void ways_sort(Market *market) noexcept nogil:
    """Make a heap of the families that were noted."""
    cdef uint32_t at = market.n_heap // 2
    cdef Waypoint way
    while at > 0:
        at -= 1
        way = market.heap[at]
        way_sink(market.heap, market.n_heap, at, &way)


cdef inline const Move *move_to(Core *core, const Try *t, const Family *family) noexcept nogil:
    """What bringing the data to a family's region takes; found out once a search."""
    cdef Move *move = core.market.moves + (core.market.region_index[family.region] - 1)
    if move.search != core.market.search:
        move.search = core.market.search
        move.is_possible = moving_of(core, t.task, family.region, &move.moving)
    return move


cdef inline bint way_set(Core *core, const Try *t, Family *family, Waypoint *way) noexcept nogil:
    """Everything but the bound of a family that fits; False if the task cannot run there in time."""
    cdef const Move *move
    way.family = family.number
    way.first = t.open_from if t.open_from > t.task.first_period else <int64_t>t.task.first_period
    way.moving_micro = 0
    way.move = NONE
    if t.task.data_mb:
        move = move_to(core, t, family)
        if not move.is_possible:
            way.first = way.end = 0
            return False
        way.moving_micro = move.moving.micro
        way.move = core.market.region_index[family.region] - 1
        if way.first < move.moving.first:
            way.first = move.moving.first
    way.end = t.sight_end if t.sight_end < t.task.end_period else <int64_t>t.task.end_period
    if way.end > family.base + family.size:  # no sell lies beyond
        way.end = family.base + family.size
    return way.end - way.first >= (1 if t.task.shape == CPX_SHAPE_BULK else t.task.periods)


cdef inline int64_t way_bound(
    Core *core, const Try *t, Family *family, const Waypoint *way, bint may_be_old
) noexcept nogil:
    """What the task costs at least in a family, in O(1) where nothing has become cheaper there; bulk: one lot."""
    cdef int64_t bound
    cdef uint32_t quote
    if t.is_emergency:
        return way.moving_micro
    if t.task.shape == CPX_SHAPE_BULK:
        return family_bound(family, 1, may_be_old)
    if t.task.shape == CPX_SHAPE_SPLIT:
        bound = cpx_cost(cpx_cost(family_bound(family, 1, may_be_old), t.task.periods), way.lots)
        return cpx_cost_sum(way.moving_micro, bound)
    bound = cpx_cost_sum(way.moving_micro, cpx_cost(family_bound(family, t.task.periods, may_be_old), way.lots))
    quote = quote_find(family, way.lots)
    if quote == NONE or bound > t.best.cost_micro:
        return bound
    return cpx_cost_sum(
        way.moving_micro, quote_bound(core, family, quote, t.task.periods, way.lots, may_be_old))


cdef inline bint way_note(Core *core, const Try *t, Family *family, const uint32_t *row, bint is_late_fine) noexcept nogil:
    """Note a family that fits behind the others; whether the task may run there within its limit."""
    cdef Waypoint *way = core.market.heap + core.market.n_heap
    cdef bint is_in_time = way_set(core, t, family, way)
    way.place = chip_place(t.task, family.chip)
    way.lots = lots_on_chip(t.task, way.place)
    way.rtt_us = 0 if row == NULL else row[family.number]
    if is_late_fine:
        return task_may_use(core, t.task, family)
    way.bound_micro = way_bound(core, t, family, way, True)
    way.closeness = CLOSE_OLD
    return is_in_time and way.bound_micro <= t.best.cost_micro


cdef inline void ways_find(Core *core, const Try *t, const uint64_t *families, bint is_late_fine) noexcept nogil:
    """Note the eligible families, of those given if any are, whose bound is within the limit.

    is_late_fine: all eligible ones, also where the task's data cannot be in time.
    """
    cdef Market *market = &core.market
    cdef const uint32_t *row = access_row(core, t.task.access_region)
    cdef const uint64_t *near = NULL
    cdef int64_t base = sight_begin(core)
    cdef uint32_t word
    cdef uint64_t bits
    cdef Family *family
    market.n_heap = 0
    if row != NULL and families == NULL:
        near = reached(core, t.task.access_region, t.task.max_rtt_us)
    for word in range(market.family_words):
        if families != NULL and families[word] == 0:
            continue
        bits = fitting_word(core, t.task, word)
        bits &= families[word] if families != NULL else ~<uint64_t>0
        bits &= near[word] if near != NULL else ~<uint64_t>0
        while bits:
            family = market.families + (word * 64 + <uint32_t>cpx_lowest_bit(bits))
            bits &= bits - 1
            if family.size == 0 or (near == NULL and not is_fast_enough(t.task, row, family.number)):
                continue
            family_fresh(core, family, base)
            market.n_heap += way_note(core, t, family, row, is_late_fine)


cdef inline bint may_win(const Try *t, const Waypoint *way) noexcept nogil:
    """Whether a family of that bound can hold a better candidate than the best one so far."""
    if way.bound_micro != t.best.cost_micro or t.best.n_spots == 0:
        return way.bound_micro <= t.best.cost_micro
    if way.place != t.best.place:
        return way.place < t.best.place
    return way.rtt_us <= t.best.rtt_us
