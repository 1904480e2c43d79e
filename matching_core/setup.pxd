"""How a book trades: rules, bands, reference and fix; and the lists of the books in a call.

Rules kept here: B4 (all of these are commands, so a replay finds the same book), U11 (a call whose figures may have
changed is news). A book that is not set up has no BookRules; whoever sets it up reserves memory for them before.
`reference/setup.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from .book cimport book_at, book_open, book_reserve, emit, reject, rules_of, touch
from .directory cimport book_find
from .dirt cimport mark
from .sources cimport book_rules_changed
from .types cimport *

cdef enum:
    ALL_RULES = 15

# --- the rules of a book: made, listed, given back ---


cdef inline int rules_reserve(Core *core) noexcept nogil:
    """Room for one more BookRules, and for every one in the lists of calls and news; 0, or -1 without memory."""
    cdef uint64_t most = <uint64_t>core.rules_used + 1
    if cpx_grow(<void **>&core.rules, &core.rules_capacity, most, sizeof(BookRules)):
        return -1
    if cpx_grow(<void **>&core.calls, &core.calls_capacity, most, sizeof(uint32_t)):
        return -1
    return cpx_grow(<void **>&core.news, &core.news_capacity, most, sizeof(uint32_t))


cdef inline BookRules *set_up(Core *core, uint32_t at) noexcept nogil:
    """From now on its rules and its phase are part of the state, and so is the book; room was reserved before."""
    cdef BookLine *book = book_at(core, at)
    cdef BookRules *rules
    if book.rules != NONE:
        return rules_of(core, book)
    book.rules = core.rules_free
    if book.rules != NONE:
        core.rules_free = core.rules[book.rules].call_at
    else:
        book.rules = core.rules_used
        core.rules_used += 1
    rules = rules_of(core, book)
    memset(rules, 0, sizeof(BookRules))
    rules.phase = CPX_PHASE_OPEN
    return rules


cdef inline void rules_free(Core *core, uint32_t at) noexcept nogil:
    """A book closes: its rules go, and its places in the lists."""
    cdef BookLine *book = book_at(core, at)
    if book.rules == NONE:
        return
    if rules_of(core, book).phase == CPX_PHASE_AUCTION:
        call_leave(core, at)
    core.rules[book.rules].call_at = core.rules_free
    core.rules_free = book.rules
    book.rules = NONE


cdef inline void call_join(Core *core, uint32_t at) noexcept nogil:
    """A book comes into a call: its phase is AUCTION and it is in neither list."""
    cdef BookLine *book = book_at(core, at)
    rules_of(core, book).call_at = core.n_calls
    core.calls[core.n_calls] = at
    core.n_calls += 1
    touch(core, book)


cdef inline void call_leave(Core *core, uint32_t at) noexcept nogil:
    """Take a book out of the list of calls, and out of that of news."""
    cdef BookRules *rules = rules_of(core, book_at(core, at))
    cdef uint32_t last
    core.n_calls -= 1
    last = core.calls[core.n_calls]
    core.calls[rules.call_at] = last
    rules_of(core, book_at(core, last)).call_at = rules.call_at
    if rules.is_news:
        news_leave(core, rules)


cdef inline void news_put(Core *core, uint32_t place, uint32_t at) noexcept nogil:
    core.news[place] = at
    rules_of(core, book_at(core, at)).news_at = place


cdef inline void news_leave(Core *core, BookRules *rules) noexcept nogil:
    """Take a call out of the list of news; those that wait stay the first ones."""
    cdef uint32_t hole = rules.news_at
    if hole < core.n_waiting:
        core.n_waiting -= 1
        news_put(core, hole, core.news[core.n_waiting])
        hole = core.n_waiting
    core.n_news -= 1
    if hole != core.n_news:
        news_put(core, hole, core.news[core.n_news])
    rules.is_news = 0


# --- commands ---


cdef inline const BookRules *rules_at(Core *core, uint32_t at) noexcept nogil:
    """The rules of a book that may not be there, or NULL."""
    return NULL if at == NONE else rules_of(core, book_at(core, at))


cdef inline int setup_reserve(Core *core, uint32_t at) noexcept nogil:
    """Room to set up a book, also one that is not there; 0, or -1 without memory."""
    if at == NONE and book_reserve(core):
        return -1
    return rules_reserve(core)


cdef inline uint32_t setup_book(Core *core, uint32_t at, uint32_t book) noexcept nogil:
    """The line of a book that is set up now, a new one if need be; room was reserved before."""
    if at == NONE:
        at = book_open(core, book)
    set_up(core, at)
    return at


cdef inline uint8_t book_reason(Core *core, const Command *c, uint32_t at) noexcept nogil:
    """What every command of this file must satisfy."""
    if at == NONE and core.listed_only:
        return CPX_REJECT_UNKNOWN_BOOK
    return CPX_REJECT_INVALID_FIELD if c.reserved else 0


cdef inline uint8_t rules_reason(Core *core, const Command *c, uint32_t at) noexcept nogil:
    cdef const BookRules *rules = rules_at(core, at)
    cdef int64_t gate_ns = 0 if at == NONE else book_at(core, at).gate_ns
    if c.flags & ~ALL_RULES or c.stp > CPX_STP_DECREMENT or c.order_type > CPX_TIE_MIDPOINT or c.aux < 0:
        return CPX_REJECT_INVALID_FIELD
    if c.price < 0 or c.price > CPX_PPM:
        return CPX_REJECT_INVALID_PRICE
    if c.qty < 0 or c.qty > CPX_MAX_PRICE_TICKS:
        return CPX_REJECT_INVALID_QTY
    if c.expiry_ns and (gate_ns == 0 or c.expiry_ns <= gate_ns or c.expiry_ns <= core.now_ns):
        return CPX_REJECT_INVALID_EXPIRY
    return CPX_REJECT_PHASE if rules != NULL and rules.is_gated else 0


cdef inline int op_set_book(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = book_reason(core, c, at)
    cdef BookRules *rules
    if reason == 0:
        reason = rules_reason(core, c, at)
    if reason:
        return reject(core, c, reason)
    if setup_reserve(core, at):
        return -1
    at = setup_book(core, at, c.book)
    rules = rules_of(core, book_at(core, at))
    rules.flags = c.flags
    rules.stp = c.stp
    rules.tie_policy = c.order_type
    rules.cap_ppm = <uint32_t>c.price
    rules.collar_ticks = c.qty
    rules.interval_ns = c.aux
    rules.end_ns = c.expiry_ns
    if rules.is_news:
        core.news_due_ns = 0  # it may have to wait no longer
    touch(core, book_at(core, at))
    emit(core, CPX_KIND_BOOK_SET, c.stp, 0, c.flags, c.book, c.order_type, <uint64_t>c.aux, c.price, c.qty,
         c.expiry_ns, 0)
    return 0


cdef inline int op_set_bands(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = book_reason(core, c, at)
    cdef BookRules *rules
    if reason == 0:
        if c.aux < 0 or c.aux > CPX_PPM:
            reason = CPX_REJECT_INVALID_FIELD
        elif c.price < 0 or c.price > CPX_PPM:
            reason = CPX_REJECT_INVALID_PRICE
        elif c.qty < 0 or c.qty > CPX_PPM:
            reason = CPX_REJECT_INVALID_QTY
    if reason:
        return reject(core, c, reason)
    if setup_reserve(core, at):
        return -1
    at = setup_book(core, at, c.book)
    rules = rules_of(core, book_at(core, at))
    rules.static_ppm = <uint32_t>c.price
    rules.dynamic_ppm = <uint32_t>c.qty
    rules.corridor_ppm = <uint32_t>c.aux
    book_rules_changed(core, book_at(core, at))
    mark(core, book_at(core, at))
    emit(core, CPX_KIND_BANDS_SET, 0, 0, 0, c.book, 0, 0, c.price, c.qty, c.aux, 0)
    return 0


cdef inline int op_set_reference(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = book_reason(core, c, at)
    if reason == 0 and (c.price < 0 or c.price > CPX_MAX_PRICE_TICKS):
        reason = CPX_REJECT_INVALID_PRICE
    if reason:
        return reject(core, c, reason)
    if setup_reserve(core, at):
        return -1
    at = setup_book(core, at, c.book)
    rules_of(core, book_at(core, at)).reference = c.price
    book_rules_changed(core, book_at(core, at))
    mark(core, book_at(core, at))
    touch(core, book_at(core, at))
    emit(core, CPX_KIND_REFERENCE_SET, 0, 0, 0, c.book, 0, 0, c.price, 0, 0, 0)
    return 0


cdef inline int op_set_fix(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = book_reason(core, c, at)
    cdef BookRules *rules
    if reason == 0 and (c.side < CPX_GRADE_A or c.side > CPX_GRADE_C):
        reason = CPX_REJECT_INVALID_FIELD
    if reason == 0 and (c.price < 1 or c.price > CPX_MAX_PRICE_TICKS):
        reason = CPX_REJECT_INVALID_PRICE
    if reason:
        return reject(core, c, reason)
    if setup_reserve(core, at):
        return -1
    at = setup_book(core, at, c.book)
    rules = rules_of(core, book_at(core, at))
    rules.fix = c.price
    rules.grade = c.side
    rules.fix_hash = c.client_ref
    book_rules_changed(core, book_at(core, at))
    emit(core, CPX_KIND_FIX_SET, c.side, 0, 0, c.book, 0, c.client_ref, c.price, 0, 0, 0)
    return 0
