"""The grid of delivery periods, families of books, and which of them a task may use.

Rules kept here: K1 (chip, region, latency class, power and reach choose the families), CA4 (lots on a chip are rounded
up). Eligibility is a few words of bits: one set of families per chip, region, class and power, and one per access region
and limit, which is found once and kept until the tables change. `reference/market.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memmove, memset

from .market_types cimport *
from .types cimport CPX_CHECK, CPX_MAX_CHIP, CPX_MAX_REGION, CPX_PPM, CPX_TASK_FLAG_GREEN, NONE, Core, cpx_grow


# --- periods ---


cdef inline int64_t period_at(Core *core, int64_t time_ns) noexcept nogil:
    """The period that a moment lies in; below 0 before the first."""
    return cpx_period_at(core.market.origin_ns, core.market.period_ns, time_ns)


cdef inline int64_t period_gate(Core *core, int64_t period) noexcept nogil:
    """From when a period can no longer be bought."""
    return cpx_period_start(core.market.origin_ns, core.market.period_ns, period, core.market.gate_ns)


cdef inline int64_t first_after(Core *core, int64_t later_ns) noexcept nogil:
    """The first period that begins more than so much from now."""
    return cpx_period_after(core.market.origin_ns, core.market.period_ns, core.now_ns, later_ns)


cdef inline void clock_read(Core *core) noexcept nogil:
    """Where time stands on the grid."""
    cdef Market *market = &core.market
    if market.clock_ns != core.now_ns or not market.has_clock:
        market.clock_ns = core.now_ns
        market.has_clock = True
        market.clock_at = period_at(core, core.now_ns)
        market.clock_open = first_after(core, market.gate_ns)


cdef inline int64_t first_open(Core *core) noexcept nogil:
    """The first period whose gate has not come."""
    clock_read(core)
    return core.market.clock_open


cdef inline int64_t period_now(Core *core) noexcept nogil:
    """The period at hand; below 0 before the first."""
    clock_read(core)
    return core.market.clock_at


cdef inline int64_t sight_begin(Core *core) noexcept nogil:
    """The first period in sight; HORIZON of them are."""
    if core.market.period_ns == 0:
        return 0
    return period_now(core) if period_now(core) > 0 else 0


cdef inline int64_t sight_end(Core *core) noexcept nogil:
    """The period after the last one in sight."""
    return period_now(core) + HORIZON


# --- families ---


cdef inline Family *family_find(Core *core, uint32_t number) noexcept nogil:
    """A listed family, or NULL."""
    if core.market.n_families == 0 or number > MAX_FAMILY or not core.market.families[number].is_listed:
        return NULL
    return core.market.families + number


cdef inline Family *family_of_book(Core *core, uint32_t book) noexcept nogil:
    """The listed family that a book id belongs to, or NULL."""
    return family_find(core, book >> PERIOD_BITS)


cdef inline void market_clear(Core *core) noexcept nogil:
    """The lists of an engine that has no family yet; all else is 0."""
    core.market.sources_free = core.market.blocks_free = NONE


cdef inline int tables_reserve(Core *core) noexcept nogil:
    """The tables whose size is fixed; 0, or -1 without memory."""
    cdef Market *market = &core.market
    if market.families == NULL:
        market.families = <Family *>calloc(MAX_FAMILY + 1, sizeof(Family))
    if market.chip_index == NULL:
        market.chip_index = <uint32_t *>calloc(<size_t>CPX_MAX_CHIP + 1, sizeof(uint32_t))
    if market.region_index == NULL:
        market.region_index = <uint32_t *>calloc(<size_t>CPX_MAX_REGION + 1, sizeof(uint32_t))
    if market.masks == NULL:
        market.masks = <Mask *>calloc(N_MASKS, sizeof(Mask))
    if market.heap == NULL:
        market.heap = <Waypoint *>calloc(MAX_FAMILY + 1, sizeof(Waypoint))
    if market.periods == NULL:
        market.periods = <uint32_t *>calloc(HORIZON, sizeof(uint32_t))
    if market.bounds == NULL:
        market.bounds = <int64_t *>calloc(HORIZON, sizeof(int64_t))
    if market.costs == NULL:
        market.costs = <int64_t *>calloc(HORIZON, sizeof(int64_t))
    if market.families == NULL or market.chip_index == NULL or market.region_index == NULL or market.masks == NULL:
        return -1
    if market.heap == NULL or market.periods == NULL or market.bounds == NULL or market.costs == NULL:
        return -1
    return 0


cdef inline int family_reserve(Core *core) noexcept nogil:
    """Room for one more family with a chip and a region of its own."""
    cdef Market *market = &core.market
    cdef uint64_t row = FAMILY_WORDS * sizeof(uint64_t)
    if tables_reserve(core):
        return -1
    if cpx_grow(<void **>&market.chip_masks, &market.chips_capacity, <uint64_t>market.n_chips + 1, row):
        return -1
    if cpx_grow(<void **>&market.chip_bounds, &market.chip_bounds_capacity, <uint64_t>market.n_chips + 1,
                N_BOUNDS * sizeof(ChipBound)):
        return -1
    memset(market.chip_bounds + <size_t>market.n_chips * N_BOUNDS, 0, N_BOUNDS * sizeof(ChipBound))
    if cpx_grow(<void **>&market.moves, &market.moves_capacity, <uint64_t>market.n_regions + 1, sizeof(Move)):
        return -1
    market.moves[market.n_regions].search = 0
    return cpx_grow(<void **>&market.region_masks, &market.regions_capacity, <uint64_t>market.n_regions + 1, row)


cdef inline void bit_set(uint64_t *words, uint32_t bit) noexcept nogil:
    words[bit >> 6] |= <uint64_t>1 << (bit & 63)


cdef inline uint64_t *mask_of(uint64_t *masks, uint32_t *index, uint32_t *n, uint32_t code) noexcept nogil:
    """The set of families of one chip or region, an empty one if there is none yet; room was reserved before."""
    if index[code] == 0:
        memset(masks + <size_t>n[0] * FAMILY_WORDS, 0, FAMILY_WORDS * sizeof(uint64_t))
        n[0] += 1
        index[code] = n[0]
    return masks + <size_t>(index[code] - 1) * FAMILY_WORDS


cdef inline void masks_add(Core *core, const Family *family) noexcept nogil:
    """A new family joins the sets that it belongs to."""
    cdef Market *market = &core.market
    cdef uint32_t number = family.number
    cdef uint32_t c
    bit_set(mask_of(market.chip_masks, market.chip_index, &market.n_chips, family.chip), number)
    bit_set(mask_of(market.region_masks, market.region_index, &market.n_regions, family.region), number)
    for c in range(family.latency_class, MAX_CLASS + 1):
        bit_set(market.class_masks + c * FAMILY_WORDS, number)
    if family.power:
        bit_set(market.green_mask, number)
    if number // 64 + 1 > market.family_words:
        market.family_words = number // 64 + 1
    market.tables_version += 1
    market.changes += 1


cdef inline int family_list(
    Core *core, uint32_t number, uint32_t chip, uint32_t region, uint8_t latency_class, uint8_t power
) noexcept nogil:
    """List a family that is not listed and has no open book; 0, or -1 without memory and nothing changed."""
    cdef Family *family
    cdef Access *access
    cdef uint32_t i
    if family_reserve(core):
        return -1
    family = core.market.families + number
    memset(family, 0, sizeof(Family))
    family.number = number
    family.chip = chip
    family.region = region
    family.latency_class = latency_class
    family.power = power
    family.is_listed = 1
    family.sources = family.blocks = NONE
    family.version = family.easing = 1
    family.base = sight_begin(core)
    core.market.n_families += 1
    masks_add(core, family)
    for i in range(core.market.n_accesses):
        access = core.market.accesses + i
        access.rtt_us[number] = reach_find(core, access.region, region, latency_class)
    return 0


# --- reach: times from access regions; a row of them by family for every access region that was asked for ---


cdef inline bint reach_before(const Reach *reach, uint32_t access, uint32_t host, uint32_t latency_class) noexcept nogil:
    if reach.access_region != access:
        return reach.access_region < access
    if reach.host_region != host:
        return reach.host_region < host
    return reach.latency_class < latency_class


cdef inline uint32_t reach_place(Core *core, uint32_t access, uint32_t host, uint32_t latency_class) noexcept nogil:
    """Where a reach stands in the table, or where it would."""
    cdef uint32_t low = 0
    cdef uint32_t high = core.market.n_reaches
    cdef uint32_t middle
    while low < high:
        middle = (low + high) // 2
        if reach_before(core.market.reaches + middle, access, host, latency_class):
            low = middle + 1
        else:
            high = middle
    return low


cdef inline bint reach_is(Core *core, uint32_t at, uint32_t access, uint32_t host, uint32_t latency_class) noexcept nogil:
    cdef const Reach *reach = core.market.reaches + at
    return at < core.market.n_reaches and reach.access_region == access and reach.host_region == host and (
        reach.latency_class == latency_class)


cdef inline uint32_t reach_find(Core *core, uint32_t access, uint32_t host, uint32_t latency_class) noexcept nogil:
    """The round trip in microseconds; 0 where there is no reach."""
    cdef uint32_t at = reach_place(core, access, host, latency_class)
    return core.market.reaches[at].rtt_us if reach_is(core, at, access, host, latency_class) else 0


cdef inline void reach_write(
    Core *core, uint32_t access, uint32_t host, uint32_t latency_class, uint32_t rtt_us
) noexcept nogil:
    """Change the table; room was reserved before."""
    cdef Market *market = &core.market
    cdef uint32_t at = reach_place(core, access, host, latency_class)
    cdef Reach *reach = market.reaches + at
    cdef bint is_there = reach_is(core, at, access, host, latency_class)
    if rtt_us == 0:
        if is_there:
            market.n_reaches -= 1
            memmove(reach, reach + 1, (market.n_reaches - at) * sizeof(Reach))
        return
    if not is_there:
        memmove(reach + 1, reach, (market.n_reaches - at) * sizeof(Reach))
        market.n_reaches += 1
        reach.access_region = access
        reach.host_region = host
        reach.latency_class = latency_class
    reach.rtt_us = rtt_us


cdef inline int reach_set(
    Core *core, uint32_t access, uint32_t host, uint32_t latency_class, uint32_t rtt_us
) noexcept nogil:
    """Set the round trip from an access region to a class of a host region, 0 = none; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef uint32_t at, number
    if cpx_grow(<void **>&market.reaches, &market.reaches_capacity, <uint64_t>market.n_reaches + 1, sizeof(Reach)):
        return -1
    reach_write(core, access, host, latency_class, rtt_us)
    market.tables_version += 1
    at = NONE if market.access_index == NULL else market.access_index[access]
    if at == NONE or at == 0 or market.n_families == 0:
        return 0
    for number in range(market.family_words * 64):
        if market.families[number].is_listed and market.families[number].region == host and (
                market.families[number].latency_class == latency_class):
            market.accesses[at - 1].rtt_us[number] = rtt_us
    return 0


cdef inline int access_reserve(Core *core, uint32_t region) noexcept nogil:
    """The row of times from an access region, made if need be; 0, or -1 without memory. Nothing of it is state."""
    cdef Market *market = &core.market
    cdef Access *access
    cdef uint32_t number
    if region == 0 or (market.access_index != NULL and market.access_index[region]):
        return 0
    if market.access_index == NULL:
        market.access_index = <uint32_t *>calloc(<size_t>CPX_MAX_REGION + 1, sizeof(uint32_t))
        if market.access_index == NULL:
            return -1
    if cpx_grow(<void **>&market.accesses, &market.accesses_capacity, <uint64_t>market.n_accesses + 1, sizeof(Access)):
        return -1
    access = market.accesses + market.n_accesses
    access.region = region
    access.rtt_us = <uint32_t *>calloc(MAX_FAMILY + 1, sizeof(uint32_t))
    if access.rtt_us == NULL:
        return -1
    market.n_accesses += 1
    market.access_index[region] = market.n_accesses
    for number in range(market.family_words * 64):
        if market.families[number].is_listed:
            access.rtt_us[number] = reach_find(
                core, region, market.families[number].region, market.families[number].latency_class)
    return 0


cdef inline const uint32_t *access_row(Core *core, uint32_t region) noexcept nogil:
    """Round trips by family from an access region, or NULL: the task asks for none; the row was reserved before."""
    if region == 0:
        return NULL
    CPX_CHECK(core.market.access_index != NULL and core.market.access_index[region] > 0)
    return core.market.accesses[core.market.access_index[region] - 1].rtt_us


# --- which families a task may use ---


cdef inline int64_t lots_on_chip(const TaskSlot *task, uint32_t place) noexcept nogil:
    """CA4: the lots needed on the chip at that place of its list, rounded up."""
    cdef int64_t factor_ppm = task.chips[place].factor_ppm
    return (task.lots * CPX_PPM + factor_ppm - 1) // factor_ppm


cdef inline uint32_t chip_place(const TaskSlot *task, uint32_t chip) noexcept nogil:
    """Where a chip stands in the task's list, or NONE."""
    cdef uint32_t place
    for place in range(task.n_chips):
        if task.chips[place].chip == chip:
            return place
    return NONE


cdef inline bint is_region_allowed(const TaskSlot *task, uint32_t region) noexcept nogil:
    """CA2; by halves, the list is ascending."""
    cdef uint32_t low = 0
    cdef uint32_t high = task.n_regions
    cdef uint32_t middle
    if high == 0:
        return True
    while low < high:
        middle = (low + high) // 2
        if task.regions[middle] < region:
            low = middle + 1
        else:
            high = middle
    return low < task.n_regions and task.regions[low] == region


cdef inline bint is_fast_enough(const TaskSlot *task, const uint32_t *row, uint32_t family) noexcept nogil:
    """Whether a family is reached within the task's limit."""
    return row == NULL or (row[family] > 0 and (task.max_rtt_us == 0 or row[family] <= task.max_rtt_us))


cdef inline bint fits_task(Core *core, const TaskSlot *task, const Family *family) noexcept nogil:
    """K1, but for the data: O(chips), the row of its access region was reserved before."""
    if family.latency_class > task.max_class or (task.flags & CPX_TASK_FLAG_GREEN and not family.power):
        return False
    if chip_place(task, family.chip) == NONE or not is_region_allowed(task, family.region):
        return False
    return is_fast_enough(task, access_row(core, task.access_region), family.number)


cdef inline const uint64_t *reached(Core *core, uint32_t region, uint32_t max_rtt_us) noexcept nogil:
    """The families that an access region reaches within a limit: found once, kept until the tables change."""
    cdef Mask *mask = core.market.masks + (<uint64_t>region * 61 + max_rtt_us) % N_MASKS
    cdef const uint32_t *row
    cdef uint32_t number
    if mask.version == core.market.tables_version and mask.access_region == region and mask.max_rtt_us == max_rtt_us:
        return mask.words
    row = access_row(core, region)
    memset(mask.words, 0, sizeof(mask.words))
    for number in range(core.market.family_words * 64):
        if row[number] > 0 and (max_rtt_us == 0 or row[number] <= max_rtt_us):
            bit_set(mask.words, number)
    mask.version = core.market.tables_version
    mask.access_region = region
    mask.max_rtt_us = max_rtt_us
    return mask.words


cdef inline uint64_t united(
    const uint64_t *masks, const uint32_t *index, uint32_t code, uint32_t word
) noexcept nogil:
    return masks[<size_t>(index[code] - 1) * FAMILY_WORDS + word] if index[code] else 0


cdef inline uint64_t fitting_word(Core *core, const TaskSlot *task, uint32_t word) noexcept nogil:
    """K1: 64 families at once; neither reach nor the data is looked at."""
    cdef const Market *market = &core.market
    cdef uint64_t of_chip = 0
    cdef uint64_t of_region = 0
    cdef uint32_t i
    for i in range(task.n_chips):
        of_chip |= united(market.chip_masks, market.chip_index, task.chips[i].chip, word)
    of_chip &= market.class_masks[task.max_class * FAMILY_WORDS + word]
    if task.flags & CPX_TASK_FLAG_GREEN:
        of_chip &= market.green_mask[word]
    if task.n_regions == 0 or of_chip == 0:
        return of_chip
    for i in range(task.n_regions):
        of_region |= united(market.region_masks, market.region_index, task.regions[i], word)
    return of_chip & of_region


# --- the end ---


cdef inline void market_free(Core *core) noexcept nogil:
    """Give back the memory of all this; what block offers hold themselves was given back before."""
    cdef Market *market = &core.market
    cdef uint32_t i, k
    if market.families != NULL:
        for i in range(MAX_FAMILY + 1):
            free(market.families[i].best)
    for i in range(market.sources_used):
        free(market.sources[i].cells)
        for k in range(N_QUOTES):
            free(market.sources[i].rows[k])
    for i in range(market.n_links):
        free(market.links[i].load_mb)
    for i in range(market.n_accesses):
        free(market.accesses[i].rtt_us)
    free(market.families)
    free(market.chip_masks)
    free(market.chip_bounds)
    free(market.region_masks)
    free(market.chip_index)
    free(market.region_index)
    free(market.masks)
    free(market.reaches)
    free(market.links)
    free(market.accesses)
    free(market.access_index)
    free(market.sources)
    free(market.blocks)
    free(market.heap)
    free(market.periods)
    free(market.moves)
    free(market.bounds)
    free(market.costs)
    free(market.legs)
    free(market.scratch)
