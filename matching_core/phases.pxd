"""The session of a book: which phase may follow which, what a call is called, and when it may end.

Rules kept here: H1 (only commands move a book on, and B3 where a taker does), H2 (a book comes to OPEN only through an
uncross), H3 (a call has the end that was drawn for it; the core draws nothing), H4, T4, EM1. `reference/phases.py` is
the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from .auction cimport end_call_orders, extend_call, is_outside_corridor, n_call_orders, uncross, uncross_reserve
from .book cimport book_at, emit, events_reserve, reject, rules_of
from .directory cimport book_find
from .dirt cimport mark
from .figures cimport Figures, figures
from .setup cimport call_join, call_leave, rules_at, setup_book, setup_reserve
from .sources cimport book_rules_changed
from .types cimport *

cdef enum:
    ALL_CALL_FLAGS = 15

# --- where a session stands ---


cdef inline uint8_t phase_of(Core *core, const BookLine *book) noexcept nogil:
    """A book that nobody set up is OPEN."""
    return CPX_PHASE_OPEN if book.rules == NONE else rules_of(core, book).phase


cdef inline bint is_takeable(Core *core, const BookLine *book) noexcept nogil:
    """Whether task legs may buy here: in continuous trading, and from the emergency book."""
    return phase_of(core, book) == CPX_PHASE_OPEN or rules_of(core, book).is_gated


cdef inline bint may_follow(uint8_t phase, int64_t to) noexcept nogil:
    """What SET_PHASE may do; OPEN, and CLOSED after a call, come from UNCROSS."""
    if to == CPX_PHASE_AUCTION:
        return True
    if to == CPX_PHASE_OPEN or to == phase:
        return False
    if to == CPX_PHASE_PRE_OPEN:
        return phase == CPX_PHASE_OPEN or phase == CPX_PHASE_CLOSED
    if to == CPX_PHASE_CANCEL_ONLY:
        return phase != CPX_PHASE_CLOSED
    if to == CPX_PHASE_CLOSED:
        return phase != CPX_PHASE_AUCTION
    return True


# --- a session moves on; the book is set up, and room for the events was reserved before ---


cdef inline void enter(Core *core, uint32_t at, uint8_t phase, uint8_t call, int64_t call_end_ns) noexcept nogil:
    cdef BookRules *rules = rules_of(core, book_at(core, at))
    cdef bint was_call = rules.phase == CPX_PHASE_AUCTION
    rules.phase = phase
    rules.call = call
    rules.call_end_ns = call_end_ns
    if phase == CPX_PHASE_AUCTION:
        if not was_call:
            call_join(core, at)
            book_rules_changed(core, book_at(core, at))
        return
    if was_call:
        call_leave(core, at)
    rules.told_price = 0  # the figures of a call go with it
    rules.told_volume = 0
    rules.told_surplus = 0
    rules.told_ns = 0
    rules.extensions = 0
    book_rules_changed(core, book_at(core, at))


cdef inline void move(Core *core, uint32_t at, uint8_t phase, uint8_t call, int64_t call_end_ns) noexcept nogil:
    cdef uint8_t before = phase_of(core, book_at(core, at))
    mark(core, book_at(core, at))
    if before == CPX_PHASE_AUCTION and phase != CPX_PHASE_AUCTION:
        end_call_orders(core, at)
    enter(core, at, phase, call, call_end_ns)
    emit(core, CPX_KIND_PHASE_SET, 0, 0, 0, book_at(core, at).id, 0, call, phase, before, call_end_ns, 0)


cdef inline void call_volatility(Core *core, uint32_t at) noexcept nogil:
    """B3: a taker would have printed outside the dynamic band; the venue may set the end of this call later."""
    move(core, at, CPX_PHASE_AUCTION, CPX_CALL_VOLATILITY, 0)


cdef inline void gate_book(Core *core, uint32_t at) noexcept nogil:
    """EM1: from now on this is the emergency book, until its end."""
    cdef BookLine *book = book_at(core, at)
    enter(core, at, CPX_PHASE_CANCEL_ONLY, 0, 0)
    rules_of(core, book).is_gated = 1
    book.gate_ns = rules_of(core, book).end_ns
    book_rules_changed(core, book)


# --- commands ---


cdef inline uint8_t phase_reason(Core *core, const Command *c, uint32_t at) noexcept nogil:
    cdef const BookRules *rules = rules_at(core, at)
    cdef bint is_call = c.aux == CPX_PHASE_AUCTION
    if at == NONE and core.listed_only:
        return CPX_REJECT_UNKNOWN_BOOK
    if c.reserved or c.aux < CPX_PHASE_PRE_OPEN or c.aux > CPX_PHASE_CLOSED:
        return CPX_REJECT_INVALID_FIELD
    if c.flags & ~(ALL_CALL_FLAGS if is_call else 0):
        return CPX_REJECT_INVALID_FIELD
    if is_call and c.expiry_ns and c.expiry_ns <= core.now_ns:
        return CPX_REJECT_INVALID_EXPIRY
    if rules != NULL and rules.is_gated:
        return CPX_REJECT_PHASE
    return 0 if may_follow(CPX_PHASE_OPEN if rules == NULL else rules.phase, c.aux) else CPX_REJECT_PHASE


cdef inline bint is_leaving_call(Core *core, const Command *c, uint32_t at) noexcept nogil:
    cdef const BookRules *rules = rules_at(core, at)
    return rules != NULL and rules.phase == CPX_PHASE_AUCTION and c.aux != CPX_PHASE_AUCTION


cdef inline int op_set_phase(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = phase_reason(core, c, at)
    if reason:
        return reject(core, c, reason)
    if setup_reserve(core, at):
        return -1
    if is_leaving_call(core, c, at) and events_reserve(core, n_call_orders(core, book_at(core, at)) + 1):
        return -1
    at = setup_book(core, at, c.book)
    move(core, at, <uint8_t>c.aux, c.flags, c.expiry_ns if c.aux == CPX_PHASE_AUCTION else 0)
    return 0


cdef inline uint8_t uncross_reason(Core *core, const Command *c, uint32_t at) noexcept nogil:
    cdef const BookRules *rules = rules_at(core, at)
    if at == NONE and core.listed_only:
        return CPX_REJECT_UNKNOWN_BOOK
    if c.reserved or c.flags or (c.aux != CPX_PHASE_OPEN and c.aux != CPX_PHASE_CLOSED):
        return CPX_REJECT_INVALID_FIELD
    if rules == NULL or rules.phase != CPX_PHASE_AUCTION or core.now_ns < rules.call_end_ns:
        return CPX_REJECT_PHASE
    return 0


cdef inline int op_uncross(Core *core, const Command *c) noexcept nogil:
    """End a call: trade at one price, then go to the phase of aux; H4 may extend the call instead."""
    cdef uint32_t at = book_find(core, c.book)
    cdef uint8_t reason = uncross_reason(core, c, at)
    cdef Figures found
    if reason:
        return reject(core, c, reason)
    found = figures(core, book_at(core, at))
    if is_outside_corridor(rules_of(core, book_at(core, at)), &found):
        mark(core, book_at(core, at))
        extend_call(core, at, &found)
        return 0
    if uncross_reserve(core, at, &found):
        return -1
    uncross(core, at, &found)
    move(core, at, <uint8_t>c.aux, 0, 0)
    return 0
