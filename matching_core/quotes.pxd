"""What a quantity costs, by source and period: kept per (site, family, quantity), made anew where it is stale.

A family knows some powers of two, and the last quantities that were asked for more than once. A row says the least that a
purchase can cost in a cell; where no ask has a minimum it is just what it costs. As a lot is never cheaper in a larger
purchase, a power of two bounds what lies above it.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memset

from .cells cimport LOTS_BITS
from .market_types cimport *
from .rows cimport best_of_blocks, bound_set, is_known, runs_bound
from .sources cimport ring_period, ring_stale
from .types cimport NONE, Core, cpx_highest_bit


cdef inline int64_t cell_floor(const Cell *cell, int64_t lots) noexcept nogil:
    """What so many lots cost in a cell at least; CPX_NO_COST where it has fewer, or is gated."""
    cdef int64_t cost = 0
    cdef int64_t there
    cdef uint32_t i
    if cell.lots[0] >> CELL_SHIFT & CELL_GATED:
        return CPX_NO_COST
    for i in range(4):
        there = <int64_t>(cell.lots[i] & LOTS_BITS)
        if there >= lots:
            return cpx_cost_sum(cost, cell.units[i] * lots)
        cost = cpx_cost_sum(cost, cell.units[i] * there)
        lots -= there
    return CPX_NO_COST


# --- which quantities are known ---


cdef inline uint32_t power_place(int64_t lots) noexcept nogil:
    """Where the largest power of two up to a quantity has its quote."""
    return <uint32_t>cpx_highest_bit(<uint64_t>lots) % N_POWERS


cdef inline int64_t power_of(int64_t lots) noexcept nogil:
    """The largest power of two up to a quantity."""
    return <int64_t>1 << cpx_highest_bit(<uint64_t>lots)


cdef inline uint32_t quote_find(const Family *family, int64_t lots) noexcept nogil:
    """The quote of a quantity, or of the power of two below it, or NONE."""
    cdef uint32_t i
    for i in range(N_POWERS, N_QUOTES):
        if family.quotes[i].lots == lots:
            return i
    i = power_place(lots)
    return i if family.quotes[i].lots == power_of(lots) else <uint32_t>NONE


cdef inline bint is_asked_again(Family *family, int64_t lots) noexcept nogil:
    """Whether a quantity was asked for not long ago; remembers it."""
    cdef uint32_t i
    for i in range(N_QUOTES - N_POWERS):
        if family.asked[i] == lots:
            return True
    family.asked[family.next_asked] = lots
    family.next_asked = <uint16_t>((family.next_asked + 1) % (N_QUOTES - N_POWERS))
    return False


cdef inline void quote_make(Family *family, uint32_t at, int64_t lots) noexcept nogil:
    """A quote about which nothing is known yet, in the place of another one."""
    cdef Quote *quote = family.quotes + at
    memset(quote, 0, sizeof(Quote))
    quote.lots = lots
    ring_stale(quote.stale, family.size)


cdef inline uint32_t quote_of(Family *family, int64_t lots) noexcept nogil:
    """The quote of a quantity that was asked for before, else of the power of two below it; a new one if need be."""
    cdef uint32_t at = quote_find(family, lots)
    if at != NONE and family.quotes[at].lots == lots:
        return at
    if lots != power_of(lots) and is_asked_again(family, lots):
        at = N_POWERS + family.next_quote
        family.next_quote = <uint16_t>((family.next_quote + 1) % (N_QUOTES - N_POWERS))
        quote_make(family, at, lots)
    elif at == NONE:
        at = power_place(lots)
        quote_make(family, at, power_of(lots))
    return at


# --- rows ---


cdef inline int row_open(Source *source, uint32_t at) noexcept nogil:
    """See to it that a source has the row of a quote; one without asks in it is all CPX_NO_COST. 0, or -1 without memory."""
    cdef uint32_t i
    if source.rows[at] == NULL:
        source.rows[at] = <int64_t *>malloc(source.size * sizeof(int64_t))
        if source.rows[at] == NULL:
            return -1
        for i in range(source.size):
            source.rows[at][i] = CPX_NO_COST
    return 0


cdef inline void row_quote(
    const Family *family, Source *source, uint32_t at, int64_t first, int64_t end
) noexcept nogil:
    """Make anew what is stale in one source's row, in the periods first to end (exclusive)."""
    cdef const Quote *quote = family.quotes + at
    cdef uint32_t word, slot
    cdef uint64_t bits
    cdef int64_t period
    if end > family.base + source.size:
        end = family.base + source.size
    for word in range(family.size // 64):
        bits = quote.stale[word]
        while bits:
            slot = word * 64 + <uint32_t>cpx_lowest_bit(bits)
            bits &= bits - 1
            period = ring_period(family.base, slot, family.size)
            if first <= period < end:
                slot = <uint32_t>(period & (source.size - 1))
                source.rows[at][slot] = cell_floor(source.cells + slot, quote.lots)


cdef inline void quote_settle(const Family *family, Quote *quote, int64_t first, int64_t end) noexcept nogil:
    """The periods first to end (exclusive) are fresh now."""
    cdef uint32_t word, slot
    cdef uint64_t bits
    for word in range(family.size // 64):
        bits = quote.stale[word]
        while bits:
            slot = word * 64 + <uint32_t>cpx_lowest_bit(bits)
            bits &= bits - 1
            if first <= ring_period(family.base, slot, family.size) < end:
                quote.stale[word] ^= <uint64_t>1 << (slot & 63)


cdef inline bint is_stale(const Family *family, const Quote *quote) noexcept nogil:
    cdef uint64_t any_word = 0
    cdef uint32_t word
    for word in range(family.size // 64):
        any_word |= quote.stale[word]
    return any_word != 0


cdef inline int quote_renew(Core *core, Family *family, uint32_t at, int64_t first, int64_t end) noexcept nogil:
    """Make the rows of a quote anew in the periods first to end (exclusive); 0, or -1 without memory."""
    cdef uint32_t source = family.sources
    if not is_stale(family, family.quotes + at):
        return 0
    while source != NONE:
        if row_open(core.market.sources + source, at):
            return -1
        row_quote(family, core.market.sources + source, at, first, end)
        source = core.market.sources[source].next
    quote_settle(family, family.quotes + at, first, end)
    return 0


# --- bounds ---


cdef inline int64_t blocks_bound(Core *core, const Family *family, uint32_t length, int64_t lots) noexcept nogil:
    """The least cost of a run at the best prices of block offers; core.market.costs is used."""
    cdef int64_t *costs = core.market.costs
    cdef int64_t period
    for period in range(family.base, family.base + family.size):
        costs[period & (family.size - 1)] = cpx_cost(
            best_of_blocks(core, family, period, lots, CPX_NO_COST), lots)
    return runs_bound(costs, family.size - 1, family.base, family.base + family.size, length, NULL)


cdef inline int64_t least_run(
    const Family *family, const Source *source, uint32_t at, int64_t first, int64_t end, int64_t length, int64_t *sums
) noexcept nogil:
    """The least cost of a run in the row of a quote; sums as in runs_bound."""
    if source.rows[at] == NULL:  # no sell of it was in sight yet
        return CPX_NO_COST
    if end > family.base + source.size:
        end = family.base + source.size
    return runs_bound(source.rows[at], source.size - 1, first, end, length, sums)


cdef inline int64_t quote_least(Core *core, Family *family, uint32_t at, uint32_t length) noexcept nogil:
    """The least cost of a run of the quantity of a quote in sight; -1 without memory."""
    cdef uint32_t source = family.sources
    cdef int64_t least = CPX_NO_COST
    cdef int64_t cost
    if quote_renew(core, family, at, family.base, family.base + family.size):
        return -1
    if family.blocks != NONE:
        least = blocks_bound(core, family, length, family.quotes[at].lots)
    while source != NONE:
        cost = least_run(family, core.market.sources + source, at, family.base, family.base + family.size, length, NULL)
        if cost < least:
            least = cost
        source = core.market.sources[source].next
    return least


cdef inline int64_t quote_bound(
    Core *core, Family *family, uint32_t at, uint32_t length, int64_t lots, bint may_be_old
) noexcept nogil:
    """What a run of so many periods in sight costs at least, for the quantity of a quote or a larger one: kept until something
    becomes cheaper. 0 without memory."""
    cdef Bound *bound = family.quotes[at].bounds + length % N_QUOTE_BOUNDS
    cdef int64_t least
    if is_known(bound, family, length, may_be_old):
        least = bound.least_micro
    else:
        least = quote_least(core, family, at, length)
        if least < 0:
            return 0
        bound_set(bound, family, length, least)
    if least == CPX_NO_COST or lots == family.quotes[at].lots:
        return least
    return cpx_scaled(least, lots, <uint32_t>cpx_highest_bit(<uint64_t>lots))
