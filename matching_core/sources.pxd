"""What is asked, kept ready for searches: per account and family a ring of cells, per family a row of best prices.

A hook behind every change of a sell or a book sets a stale bit here; a search first makes anew what is stale, in `cells` and
`rows`. Cells and rows say nothing that orders and books do not say.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .accounts cimport firm_of, pair
from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .market cimport bit_set, family_of_book, sight_begin
from .market_types cimport *
from .types cimport NONE, BookLine, Core, cpx_grow

cdef enum:
    FEW_SOURCES = 64  # lines that are used before any is looked at for being idle


# --- rings: as many periods as the farthest sell needs ---


cdef inline uint32_t ring_need(Core *core, int64_t period) noexcept nogil:
    """How large a ring must be to hold a period when it is, or comes, in sight."""
    cdef int64_t ahead = period - sight_begin(core)
    cdef uint32_t size = FEW_PERIODS
    if core.market.period_ns == 0:
        return HORIZON
    while size < HORIZON and ahead >= size:
        size *= 2
    return size


cdef inline int64_t ring_period(int64_t base, uint32_t slot, uint32_t size) noexcept nogil:
    """The period of a slot of a ring that begins with `base`."""
    return base + ((slot - base) & (size - 1))


cdef inline void ring_stale(uint64_t *stale, uint32_t size) noexcept nogil:
    """All of it must be made anew."""
    memset(stale, 0, STALE_WORDS * sizeof(uint64_t))
    memset(stale, 0xFF, size // 8)


cdef inline void rows_drop(Source *source) noexcept nogil:
    """Forget what quantities cost at a source."""
    cdef uint32_t i
    for i in range(N_QUOTES):
        free(source.rows[i])
        source.rows[i] = NULL


cdef inline int row_reserve(Family *family, uint32_t size) noexcept nogil:
    """A row of at least so many periods; 0, or -1 without memory."""
    cdef int64_t *best
    if family.size >= size:
        return 0
    best = <int64_t *>calloc(size, sizeof(int64_t))
    if best == NULL:
        return -1
    free(family.best)
    memset(family.quotes, 0, sizeof(family.quotes))
    family.best = best
    family.size = size
    ring_stale(family.stale, size)
    family.is_stale = 1
    return 0


cdef inline int cells_reserve(Source *source, uint32_t size) noexcept nogil:
    """As row_reserve, for the cells of a source."""
    cdef Cell *cells
    if source.size >= size:
        return 0
    cells = <Cell *>calloc(size, sizeof(Cell))
    if cells == NULL:
        return -1
    free(source.cells)
    rows_drop(source)
    source.cells = cells
    source.size = size
    source.n_minimums = 0
    ring_stale(source.stale, size)
    return 0


# --- sources ---


cdef inline Source *source_find(Core *core, uint32_t account, uint32_t family) noexcept nogil:
    """The source of an account in a family, or NULL."""
    cdef uint32_t at = map_get(&core.source_map, pair(account, family))
    return NULL if at == NONE else core.market.sources + at


cdef inline void source_drop(Core *core, uint32_t at) noexcept nogil:
    """Give back a source without sells."""
    cdef Source *source = core.market.sources + at
    cdef Family *family = core.market.families + source.family
    cdef uint32_t *place = &family.sources
    while place[0] != at:
        place = &core.market.sources[place[0]].next
    place[0] = source.next
    family.n_sources -= 1
    map_remove(&core.source_map, pair(source.account, source.family))
    free(source.cells)
    rows_drop(source)
    memset(source, 0, sizeof(Source))
    source.next = core.market.sources_free
    core.market.sources_free = at


cdef inline void sources_sweep(Core *core) noexcept nogil:
    """Give back the sources that have no sells; each is looked at once before the slab doubles."""
    cdef uint32_t at
    for at in range(core.market.sources_used):
        if core.market.sources[at].size and core.market.sources[at].n_asks == 0:
            source_drop(core, at)


cdef inline int sources_reserve(Core *core) noexcept nogil:
    """Room for one more source."""
    cdef Market *market = &core.market
    if map_reserve(&core.source_map, 1):
        return -1
    if market.sources_free == NONE and market.sources_used == market.sources_capacity:
        if market.sources_used >= FEW_SOURCES:
            sources_sweep(core)
        if market.sources_free == NONE or market.n_families == 0:
            return cpx_grow(<void **>&market.sources, &market.sources_capacity, market.sources_capacity + 1,
                            sizeof(Source))
    return 0


cdef inline int source_make(Core *core, uint32_t account, Family *family, uint32_t size) noexcept nogil:
    """A new source without sells; 0, or -1 without memory."""
    cdef Market *market = &core.market
    cdef Source *source
    cdef uint32_t at
    cdef Cell *cells
    if sources_reserve(core):
        return -1
    cells = <Cell *>calloc(size, sizeof(Cell))
    if cells == NULL:
        return -1
    at = market.sources_free
    if at != NONE:
        market.sources_free = market.sources[at].next
    else:
        at = market.sources_used
        market.sources_used += 1
    source = market.sources + at
    memset(source, 0, sizeof(Source))
    source.account = account
    source.firm = firm_of(core, account)
    source.family = family.number
    source.size = size
    source.cells = cells
    source.next = family.sources
    family.sources = at
    family.n_sources += 1
    map_put(&core.source_map, pair(account, family.number), at)
    return 0


cdef inline int ask_reserve(Core *core, uint32_t account, uint32_t book) noexcept nogil:
    """Before a new sell may come to rest in a book: a source that can hold it; 0, or -1 without memory."""
    cdef Family *family = family_of_book(core, book)
    cdef Source *source
    cdef uint32_t size
    if family == NULL:
        return 0
    size = ring_need(core, book & PERIOD_MASK)
    if row_reserve(family, size):
        return -1
    source = source_find(core, account, family.number)
    if source == NULL:
        return source_make(core, account, family, size)
    if source.size < size:
        family.is_stale = 1
        ring_stale(family.stale, family.size)
        return cells_reserve(source, size)
    return 0


# --- hooks: something has changed; nothing is looked at before the next search ---


cdef inline void family_stale(Core *core, Family *family, int64_t period) noexcept nogil:
    core.market.changes += 1  # also where the row, which nobody has looked at yet, still begins with an older period
    if family.base <= period < family.base + family.size:
        bit_set(family.stale, <uint32_t>(period & (family.size - 1)))
        family.is_stale = 1


cdef inline void source_stale(Core *core, Family *family, Source *source, int64_t period) noexcept nogil:
    if family.base <= period < family.base + source.size:
        bit_set(source.stale, <uint32_t>(period & (source.size - 1)))
    family_stale(core, family, period)  # also where its ring, which is shorter, comes to this period with the next search only


cdef inline void ask_changed(Core *core, uint32_t account, const BookLine *book) noexcept nogil:
    """A live sell of an account has come, gone, shrunk, or moved in its queue."""
    cdef Family *family = family_of_book(core, book.id)
    if family != NULL:
        source_stale(core, family, source_find(core, account, family.number), book.id & PERIOD_MASK)


cdef inline void ask_entered(Core *core, uint32_t account, const BookLine *book) noexcept nogil:
    """A sell has come to rest."""
    cdef Family *family = family_of_book(core, book.id)
    cdef Source *source
    if family != NULL:
        source = source_find(core, account, family.number)
        source.n_asks += 1
        source_stale(core, family, source, book.id & PERIOD_MASK)


cdef inline void ask_left(Core *core, uint32_t account, const BookLine *book) noexcept nogil:
    """A sell has left its queue."""
    cdef Family *family = family_of_book(core, book.id)
    cdef Source *source
    if family != NULL:
        source = source_find(core, account, family.number)
        source.n_asks -= 1
        source_stale(core, family, source, book.id & PERIOD_MASK)


cdef inline void book_rules_changed(Core *core, const BookLine *book) noexcept nogil:
    """A book sells in another way now: its phase, bands, reference, last price, fix or listing. O(sources)."""
    cdef Family *family = family_of_book(core, book.id)
    cdef uint32_t at
    if family == NULL:
        return
    family_stale(core, family, book.id & PERIOD_MASK)
    family.is_easing = 1  # also for what block offers have left there
    at = family.sources
    while at != NONE:
        source_stale(core, family, core.market.sources + at, book.id & PERIOD_MASK)
        at = core.market.sources[at].next


cdef inline int block_reserve(Core *core, uint32_t family, int64_t end_period) noexcept nogil:
    """Before a block offer is opened: room in the row of its family."""
    return row_reserve(core.market.families + family, ring_need(core, end_period - 1))


cdef inline void block_enter(Core *core, uint32_t at) noexcept nogil:
    """A block offer joins its family; room was reserved before."""
    cdef BlockLine *block = core.market.blocks + at
    cdef Family *family = core.market.families + block.family
    cdef uint32_t period
    block.prev = NONE
    block.next = family.blocks
    if family.blocks != NONE:
        core.market.blocks[family.blocks].prev = at
    family.blocks = at
    for period in range(block.first_period, block.end_period):
        family_stale(core, family, period)
    family.is_easing = 1


cdef inline void block_leave(Core *core, uint32_t at) noexcept nogil:
    """A block offer leaves its family."""
    cdef BlockLine *block = core.market.blocks + at
    cdef Family *family = core.market.families + block.family
    cdef uint32_t period
    if block.prev == NONE:
        family.blocks = block.next
    else:
        core.market.blocks[block.prev].next = block.next
    if block.next != NONE:
        core.market.blocks[block.next].prev = block.prev
    for period in range(block.first_period, block.end_period):
        family_stale(core, family, period)


cdef inline void block_changed(Core *core, const BlockLine *block, int64_t period) noexcept nogil:
    """The residue of a period is another one."""
    family_stale(core, core.market.families + block.family, period)
    core.market.families[block.family].is_easing = 1


cdef inline int grid_set(
    Core *core, int64_t origin_ns, int64_t period_ns, int64_t gate_ns, uint32_t per_firm, uint32_t per_chip
) noexcept nogil:
    """Periods have times from now on; 0, never without memory."""
    cdef Market *market = &core.market
    cdef Family *family
    cdef uint32_t number, at
    market.origin_ns = origin_ns
    market.period_ns = period_ns
    market.gate_ns = gate_ns
    market.per_firm = per_firm
    market.per_chip = per_chip
    market.has_clock = False
    market.changes += 1
    if market.n_families == 0:
        return 0
    for number in range(market.family_words * 64):
        family = market.families + number
        family.base = sight_begin(core)
        family.is_stale = family.size > 0
        ring_stale(family.stale, family.size)
        at = family.sources if family.is_listed else <uint32_t>NONE
        while at != NONE:
            ring_stale(market.sources[at].stale, market.sources[at].size)
            at = market.sources[at].next
    return 0
