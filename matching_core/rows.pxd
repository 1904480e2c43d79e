"""The rows of families: the best price of every period in sight, and what runs cost there at least.

A search makes anew what is stale and then relies on it. Rule kept here: a bound may be too low, never too high.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from .book cimport book_at, rules_of
from .cells cimport sells_to_tasks, source_renew
from .directory cimport book_find
from .market cimport bit_set
from .market_types cimport *
from .sources cimport ring_period
from .types cimport NONE, BookRules, Core


# --- making anew ---


cdef inline int64_t block_value(Core *core, uint32_t family, int64_t period) noexcept nogil:
    """Micro-yuan a tick and lot of a book that sells to tasks before its gate; 0 of another. For bounds."""
    cdef uint32_t at = book_find(core, <uint32_t>(<int64_t>family << PERIOD_BITS | period))
    cdef const BookRules *rules
    if at == NONE:
        return 0 if core.listed_only else core.blank.value_micro
    rules = rules_of(core, book_at(core, at))
    return book_at(core, at).value_micro if sells_to_tasks(rules) and not (rules != NULL and rules.is_gated) else 0


cdef inline int64_t best_of_blocks(
    Core *core, const Family *family, int64_t period, int64_t lots, int64_t best
) noexcept nogil:
    """The least of `best` and of what block offers that have so many lots ask for one in a period."""
    cdef uint32_t at = family.blocks
    cdef int64_t value_micro = -1
    cdef const BlockLine *block
    cdef const Residue *residue
    while at != NONE:
        block = core.market.blocks + at
        at = block.next
        if not block.first_period <= period < block.end_period:
            continue
        residue = block.residues + (period - block.first_period)
        if residue.lots < lots:
            continue
        if value_micro < 0:
            value_micro = block_value(core, family.number, period)
        if value_micro and cpx_cost(residue.price, value_micro) < best:
            best = cpx_cost(residue.price, value_micro)
    return best


cdef inline void row_renew(Core *core, Family *family, int64_t period) noexcept nogil:
    """The best price of a period, over all sources and block offers."""
    cdef int64_t best = CPX_NO_COST
    cdef uint32_t at = family.sources
    cdef const Source *source
    cdef const Cell *cell
    while at != NONE:
        source = core.market.sources + at
        at = source.next
        cell = source.cells + (period & (source.size - 1))
        if period < family.base + source.size and cell.lots[0] and not cell.lots[0] >> CELL_SHIFT & CELL_GATED:
            if cell.units[0] < best:
                best = cell.units[0]
    if family.blocks != NONE:
        best = best_of_blocks(core, family, period, 1, best)
    family.best[period & (family.size - 1)] = best


cdef inline uint32_t next_version(uint32_t version) noexcept nogil:
    return version + 1 if version < NONE else 1


cdef inline void family_renew(Core *core, Family *family) noexcept nogil:
    """Make anew what is stale: cells first, then the row."""
    cdef bint is_easing = family.is_easing or family.blocks != NONE
    cdef uint32_t at = family.sources
    cdef uint32_t word, slot, i
    cdef uint64_t bits
    while at != NONE:
        if source_renew(core, family, core.market.sources + at):
            is_easing = True
        at = core.market.sources[at].next
    for word in range(family.size // 64):
        bits = family.stale[word]
        family.stale[word] = 0
        for i in range(N_QUOTES):
            family.quotes[i].stale[word] |= bits
        while bits:
            slot = word * 64 + <uint32_t>cpx_lowest_bit(bits)
            bits &= bits - 1
            row_renew(core, family, ring_period(family.base, slot, family.size))
    family.is_stale = family.is_easing = 0
    family.version = next_version(family.version)
    if is_easing:
        family.easing = next_version(family.easing)


cdef inline void family_roll(Core *core, Family *family, int64_t base) noexcept nogil:
    """Periods have gone out of sight: their places are for those that come into it."""
    cdef uint32_t at = family.sources
    cdef int64_t period
    for period in range(family.base, base if base < family.base + family.size else family.base + family.size):
        bit_set(family.stale, <uint32_t>(period & (family.size - 1)))
        family.is_stale = family.is_easing = 1  # runs into what comes into sight were in no bound
    while at != NONE:
        roll_source(core.market.sources + at, family.base, base)
        at = core.market.sources[at].next
    family.base = base


cdef inline void roll_source(Source *source, int64_t old_base, int64_t base) noexcept nogil:
    """As family_roll, for one source; it has no sell yet in the periods that come into its ring."""
    cdef int64_t period
    cdef uint32_t slot, i
    for period in range(old_base, base if base < old_base + source.size else old_base + source.size):
        slot = <uint32_t>(period & (source.size - 1))
        bit_set(source.stale, slot)
        for i in range(N_QUOTES):
            if source.rows[i] != NULL:
                source.rows[i][slot] = CPX_NO_COST


cdef inline void family_fresh(Core *core, Family *family, int64_t base) noexcept nogil:
    """See to it that rows and cells of a family say what is asked now, from the first period in sight on."""
    if family.base != base:
        family_roll(core, family, base)
    if family.is_stale:
        family_renew(core, family)


# --- bounds ---


cdef inline int64_t runs_bound(
    const int64_t *row, int64_t mask, int64_t first, int64_t end, int64_t length, int64_t *sums
) noexcept nogil:
    """The least sum of a row over a run of `length` periods in first to end; sums[i], if asked for: of the run that begins
    with first + i. CPX_NO_COST where a period has no price or the sum is more than all money."""
    cdef int64_t least = CPX_NO_COST
    cdef int64_t total = 0
    cdef int64_t begin = first  # of what `total` sums
    cdef int64_t period, price
    for period in range(first, end):
        price = row[period & mask]
        if price == CPX_NO_COST:
            total = 0
            begin = period + 1
        else:
            total += price
            while total > CPX_NO_COST - 1 or period - begin >= length:
                total -= row[begin & mask]
                begin += 1
            if period - begin == length - 1 and total < least:
                least = total
        if sums != NULL and period - first >= length - 1:
            sums[period - first - length + 1] = total if period - begin == length - 1 else CPX_NO_COST
    return least


cdef inline bint is_known(const Bound *bound, const Family *family, uint32_t length, bint may_be_old) noexcept nogil:
    """Whether a bound holds for runs of so many periods; an old one may be too low, never too high."""
    if bound.length != length or bound.version == 0:
        return False
    return bound.version == family.version or (may_be_old and bound.easing == family.easing)


cdef inline void bound_set(Bound *bound, const Family *family, uint32_t length, int64_t least_micro) noexcept nogil:
    bound.length = length
    bound.version = family.version
    bound.easing = family.easing
    bound.least_micro = least_micro


cdef inline int64_t family_bound(Family *family, uint32_t length, bint may_be_old) noexcept nogil:
    """The least sum of best prices over a run of so many periods in sight: kept until something becomes cheaper."""
    cdef Bound *bound = family.bounds + length % N_BOUNDS
    if not is_known(bound, family, length, may_be_old):
        bound_set(bound, family, length, runs_bound(
            family.best, family.size - 1, family.base, family.base + family.size, length, NULL))
    return bound.least_micro
