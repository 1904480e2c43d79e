"""The cells of sources: what one account asks in one book, as a task sees it.

Rules kept here: RT6 (bands, phases; hidden size counts), EM1, EM4, BB1, MQ2. `reference/asks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from .accounts cimport asks_sorted
from .book cimport book_at, order_at, order_flags, rules_of
from .directory cimport book_find
from .market_types cimport *
from .sources cimport ring_period
from .types cimport (
    CPX_FLAG_INDIVISIBLE, CPX_FLAG_MIN_QTY, CPX_GRADE_A, CPX_GRADE_B, CPX_PHASE_OPEN, NONE, BookLine, BookRules, Core,
    OrderSlot, cpx_is_within,
)

cdef enum:
    LOTS_BITS = 0xFFFFFFFFFFFFFFF  # of a cell's lots, below CELL_SHIFT


# --- what an ask is to a task ---


cdef inline bint is_price_taken(const BookRules *rules, int64_t price) noexcept nogil:
    """RT6, EM4: whether tasks buy at this price in a book that was set up."""
    cdef int64_t base = rules.last if rules.last else rules.reference
    if rules.static_ppm and rules.reference and not cpx_is_within(price, rules.reference, rules.static_ppm):
        return False
    if rules.dynamic_ppm and base and not cpx_is_within(price, base, rules.dynamic_ppm):
        return False
    return not (rules.is_gated and (rules.grade == CPX_GRADE_A or rules.grade == CPX_GRADE_B)
                and price > 2 * rules.fix)


cdef inline uint64_t ask_marks(Core *core, const OrderSlot *ask, const BookRules *rules) noexcept nogil:
    """CELL_* of an ask."""
    cdef uint64_t marks = 0
    if order_flags(core, ask) & CPX_FLAG_MIN_QTY:
        marks |= CELL_MINIMUM
    if order_flags(core, ask) & CPX_FLAG_INDIVISIBLE:
        marks |= CELL_INDIVISIBLE
    if rules != NULL and rules.is_gated:
        marks |= CELL_GATED
    return marks


cdef inline bint sells_to_tasks(const BookRules *rules) noexcept nogil:
    """Whether a book is in continuous trading, or the emergency book."""
    return rules == NULL or rules.phase == CPX_PHASE_OPEN or rules.is_gated


cdef inline uint32_t asks_usable(
    Core *core, uint32_t account, const BookLine *book, uint64_t unwanted, uint64_t wanted, uint32_t *slots
) noexcept nogil:
    """Fill slots[4] with the asks of an account that such a task may buy from, best first; minima are not looked at."""
    cdef const BookRules *rules = rules_of(core, book)
    cdef uint32_t n_usable = 0
    cdef uint32_t n, i
    cdef uint64_t marks
    if not sells_to_tasks(rules):
        return 0
    n = asks_sorted(core, account, book.id, slots)
    for i in range(n):
        marks = ask_marks(core, order_at(core, slots[i]), rules)
        if marks & unwanted or (marks & wanted) != wanted:
            continue
        if rules == NULL or is_price_taken(rules, order_at(core, slots[i]).price):
            slots[n_usable] = slots[i]
            n_usable += 1
    return n_usable


# --- making anew ---


cdef inline bint has_minimum(const Cell *cell) noexcept nogil:
    return (cell.lots[0] | cell.lots[1] | cell.lots[2] | cell.lots[3]) >> CELL_SHIFT & CELL_MINIMUM != 0


cdef inline void cell_fill(Core *core, const Source *source, int64_t period, Cell *cell) noexcept nogil:
    """What an account asks in a book; the cell is empty."""
    cdef uint32_t at = book_find(core, <uint32_t>(<int64_t>source.family << PERIOD_BITS | period))
    cdef uint32_t slots[4]
    cdef const BookLine *book
    cdef const OrderSlot *ask
    cdef uint32_t i, n
    if at == NONE:
        return
    book = book_at(core, at)
    n = asks_usable(core, source.account, book, 0, 0, slots)
    for i in range(n):
        ask = order_at(core, slots[i])
        cell.units[i] = ask.price * book.value_micro
        cell.lots[i] = <uint64_t>ask.leaves | ask_marks(core, ask, rules_of(core, book)) << CELL_SHIFT


cdef inline bint is_cheaper(const Cell *cell, const Cell *old) noexcept nogil:
    """Whether any quantity may cost less than before: at some price there are more lots than there were up to it."""
    cdef uint64_t now = 0
    cdef uint64_t before
    cdef uint32_t i, k
    for i in range(4):
        if cell.lots[i] == 0:
            break
        now += cell.lots[i] & LOTS_BITS
        before = 0
        for k in range(4):
            if old.lots[k] and old.units[k] <= cell.units[i]:
                before += old.lots[k] & LOTS_BITS
        if now > before:
            return True
    return (cell.lots[0] ^ old.lots[0]) >> CELL_SHIFT & CELL_GATED and not cell.lots[0] >> CELL_SHIFT & CELL_GATED


cdef inline bint cell_renew(Core *core, Source *source, int64_t period) noexcept nogil:
    """Whether any quantity may cost less there now."""
    cdef Cell *cell = source.cells + (period & (source.size - 1))
    cdef Cell old = cell[0]
    memset(cell, 0, sizeof(Cell))
    cell_fill(core, source, period, cell)
    if has_minimum(&old):
        source.n_minimums -= 1
    if has_minimum(cell):
        source.n_minimums += 1
    return is_cheaper(cell, &old)


cdef inline bint source_renew(Core *core, const Family *family, Source *source) noexcept nogil:
    """Make the stale cells of a source anew; whether any quantity may cost less now."""
    cdef bint is_easing = False
    cdef uint32_t word, slot
    cdef uint64_t bits
    for word in range(source.size // 64):
        bits = source.stale[word]
        source.stale[word] = 0
        while bits:
            slot = word * 64 + <uint32_t>cpx_lowest_bit(bits)
            bits &= bits - 1
            if cell_renew(core, source, ring_period(family.base, slot, source.size)):
                is_easing = True
    return is_easing
