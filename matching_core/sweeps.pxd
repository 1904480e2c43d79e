"""Commands that end many orders at once: mass cancel, kill switch, session close.

Rules kept here: X2 (filters, T3 order, one event each and a sum), X3 (a killed account or firm is blocked until it is
lifted; its tasks and block offers end with its orders), X4 (a mass cancel leaves out books in the no-cancel tail of a
call, a kill does not), T2.
What is due is found and noted first, then room for the events is made, then the orders go. Whoever names an account or
a firm has few orders among many: those are found in one pass over the slots. Else the books are walked.
`reference/sweeps.py` is the rulebook.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memmove

from .accounts cimport firm_of, is_killed, killed_place, may_trade
from .blocks cimport blocks_kill, blocks_of
from .book cimport book_at, book_of, emit, events_reserve, ext_at, order_at, reject
from .directory cimport book_find
from .due cimport due_reserve, due_set, due_set_book, due_sort
from .ladder cimport ladder_below, ladder_level, level_at
from .orders cimport is_no_cancel
from .queue cimport withdraw
from .task_time cimport due_ids_reserve, tasks_kill, tasks_of
from .types cimport *

cdef enum:
    ALL_FILTERS = 0x0F  # every CPX_FILTER_*

cdef struct Sweep:  # which orders a command ends, and how many they were
    uint32_t filters  # CPX_FILTER_*; those that are not set ask for nothing
    uint32_t account
    uint32_t firm
    uint32_t book  # book id
    uint32_t side
    bint is_day_only  # T2
    bint spares_no_cancel  # X4
    uint64_t first  # core.due has them from here on
    uint64_t n_orders
    int64_t lots  # clamped


cdef inline bint is_meant(Core *core, const Sweep *sweep, const OrderSlot *order) noexcept nogil:
    """Whether a sweep ends this order; the book is its own choice of where to look."""
    if sweep.filters & CPX_FILTER_ACCOUNT and order.account != sweep.account:
        return False
    if sweep.filters & CPX_FILTER_FIRM and firm_of(core, order.account) != sweep.firm:
        return False
    if sweep.filters & CPX_FILTER_SIDE and order.book_side & 1 != sweep.side:
        return False
    if sweep.is_day_only and (order.ext == NONE or ext_at(core, order.ext).tif != CPX_TIF_DAY):
        return False
    return not (sweep.spares_no_cancel and is_no_cancel(core, book_of(core, order)))


# --- what is due, in T3 order ---


cdef inline int sweep_find(Core *core, Sweep *sweep) noexcept nogil:
    """Note in core.due what the sweep ends; 0, or -1 without memory."""
    sweep.first = 0
    sweep.n_orders = 0
    sweep.lots = 0
    if sweep.filters & (CPX_FILTER_ACCOUNT | CPX_FILTER_FIRM) and not sweep.filters & CPX_FILTER_BOOK:
        return sweep_slots(core, sweep)
    return sweep_books(core, sweep)


cdef inline int sweep_note(Core *core, Sweep *sweep, uint32_t slot) noexcept nogil:
    """Note an order; in one level by slot, until sweep_queues brings it into the order of the queue."""
    cdef uint64_t at = sweep.first + sweep.n_orders
    if due_reserve(core, at + 1):
        return -1
    due_set(core, at, slot, slot)
    sweep.n_orders += 1
    return 0


cdef inline int sweep_slots(Core *core, Sweep *sweep) noexcept nogil:
    """Look at every live order in memory order, then sort what is due; O(slots)."""
    cdef uint32_t unseen = core.n_orders
    cdef uint32_t slot = 0
    while unseen > 0:
        if order_at(core, slot).leaves > 0:
            unseen -= 1
            if is_meant(core, sweep, order_at(core, slot)) and sweep_note(core, sweep, slot):
                return -1
        slot += 1
    due_sort(core.due, sweep.n_orders)
    sweep_queues(core, sweep)
    return 0


cdef inline void sweep_queues(Core *core, const Sweep *sweep) noexcept nogil:
    """Bring the orders that are due at one level into the order of its queue: orders without extras have no stamp."""
    cdef uint64_t i = 0
    cdef uint64_t end
    cdef uint32_t level, slot
    while i < sweep.n_orders:
        level = order_at(core, core.due[i].slot).level
        end = i + 1
        while end < sweep.n_orders and order_at(core, core.due[end].slot).level == level:
            end += 1
        if end == i + 1:
            i = end
            continue
        slot = level_at(core, level).head
        while i < end:
            if is_meant(core, sweep, order_at(core, slot)):
                core.due[i].slot = slot
                i += 1
            slot = order_at(core, slot).next


cdef inline int sweep_books(Core *core, Sweep *sweep) noexcept nogil:
    """Walk one book, or all by id."""
    cdef uint64_t i
    cdef uint32_t line, side
    if sweep.filters & CPX_FILTER_BOOK:
        line = book_find(core, sweep.book)
        if line != NONE and sweep_note_book(core, sweep, line):
            return -1
    else:
        for line in range(core.books_used):
            if core.books[line].state != BOOK_FREE and sweep_note_book(core, sweep, line):
                return -1
        due_sort(core.due, sweep.first)
    for i in range(sweep.first):
        for side in range(2):
            if sweep_side(core, sweep, core.due[i].slot, side):
                return -1
    return 0


cdef inline int sweep_note_book(Core *core, Sweep *sweep, uint32_t line) noexcept nogil:
    """Note a book that has orders, before all orders."""
    cdef const BookLine *book = book_at(core, line)
    if book.n_orders[0] == 0 and book.n_orders[1] == 0:
        return 0
    if due_reserve(core, sweep.first + 1):
        return -1
    due_set_book(core, sweep.first, line)
    sweep.first += 1
    return 0


cdef inline int sweep_side(Core *core, Sweep *sweep, uint32_t line, uint32_t side) noexcept nogil:
    cdef const BookLine *book = book_at(core, line)
    cdef int64_t key = book.best[side]
    cdef uint32_t slot
    while key >= 0:
        slot = level_at(core, ladder_level(core, book, side, key)).head
        while slot != NONE:
            if is_meant(core, sweep, order_at(core, slot)) and sweep_note(core, sweep, slot):
                return -1
            slot = order_at(core, slot).next
        key = ladder_below(core, book, side, key)
    return 0


# --- the end of them ---


cdef inline int sweep_reserve(Core *core, Sweep *sweep) noexcept nogil:
    """Find what is due and make room for its events; 0, or -1 without memory. Nothing has changed."""
    if sweep_find(core, sweep):
        return -1
    return events_reserve(core, sweep.n_orders + 1)


cdef inline void sweep_end(Core *core, Sweep *sweep, uint8_t kind, uint8_t reason) noexcept nogil:
    """End every order that is due; the lots of all that there can be fit 64 bits without a sign."""
    cdef uint64_t lots = 0
    cdef uint64_t i
    cdef uint32_t slot
    for i in range(sweep.first, sweep.first + sweep.n_orders):
        slot = core.due[i].slot
        lots += <uint64_t>order_at(core, slot).leaves
        withdraw(core, slot, kind, reason)
    sweep.lots = <int64_t>lots if lots < <uint64_t>INT64_MAX else INT64_MAX


# --- commands ---


cdef inline bint is_book_unknown(Core *core, const Command *c) noexcept nogil:
    """Whether the command asks for a book that there is not."""
    return c.flags & CPX_FILTER_BOOK and core.listed_only and book_find(core, c.book) == NONE


cdef inline uint8_t mass_cancel_reason(Core *core, const Command *c) noexcept nogil:
    if is_book_unknown(core, c):
        return CPX_REJECT_UNKNOWN_BOOK
    if c.flags & CPX_FILTER_ACCOUNT and core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if c.reserved or c.flags & ~ALL_FILTERS or (c.flags & CPX_FILTER_SIDE and c.side > CPX_SIDE_SELL):
        return CPX_REJECT_INVALID_FIELD
    return CPX_REJECT_INVALID_FIELD if c.flags & CPX_FILTER_FIRM and not is_firm(c.aux) else 0


cdef inline bint is_firm(int64_t firm) noexcept nogil:
    """Whether a firm can have this number."""
    return 1 <= firm <= <int64_t>NONE


cdef inline int op_mass_cancel(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = mass_cancel_reason(core, c)
    cdef Sweep sweep
    if reason:
        return reject(core, c, reason)
    sweep.filters = c.flags
    sweep.account = c.account if c.flags & CPX_FILTER_ACCOUNT else 0
    sweep.firm = <uint32_t>c.aux if c.flags & CPX_FILTER_FIRM else 0
    sweep.book = c.book if c.flags & CPX_FILTER_BOOK else 0
    sweep.side = c.side if c.flags & CPX_FILTER_SIDE else 0
    sweep.is_day_only = False
    sweep.spares_no_cancel = True
    if sweep_reserve(core, &sweep):
        return -1
    sweep_end(core, &sweep, CPX_KIND_CANCELED, CPX_CANCEL_MASS)
    emit(core, CPX_KIND_MASS_CANCELED, <uint8_t>sweep.side, 0, c.flags, sweep.book, sweep.account, sweep.firm, 0,
         <int64_t>sweep.n_orders, sweep.lots, 0)
    return 0


cdef inline int op_session_close(Core *core, const Command *c) noexcept nogil:
    """T2: every DAY order, or those of one book."""
    cdef Sweep sweep
    if is_book_unknown(core, c):
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    if c.reserved or c.flags & ~CPX_FILTER_BOOK:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    sweep.filters = c.flags
    sweep.book = c.book if c.flags & CPX_FILTER_BOOK else 0
    sweep.is_day_only = True
    sweep.spares_no_cancel = False
    if sweep_reserve(core, &sweep):
        return -1
    sweep_end(core, &sweep, CPX_KIND_EXPIRED, CPX_EXPIRE_DAY)
    emit(core, CPX_KIND_SESSION_CLOSED, 0, 0, c.flags, sweep.book, 0, 0, 0, <int64_t>sweep.n_orders, sweep.lots, 0)
    return 0


cdef inline uint8_t kill_reason(Core *core, const Command *c) noexcept nogil:
    if c.flags == CPX_FILTER_ACCOUNT and core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if c.reserved or not (c.flags == CPX_FILTER_ACCOUNT or (c.flags == CPX_FILTER_FIRM and is_firm(c.aux))):
        return CPX_REJECT_INVALID_FIELD
    return 0


cdef inline uint32_t kill_who(const Command *c) noexcept nogil:
    """The account or firm of a KILL or LIFT."""
    return c.account if c.flags == CPX_FILTER_ACCOUNT else <uint32_t>c.aux


cdef inline int op_kill(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = kill_reason(core, c)
    cdef uint32_t who = kill_who(c)
    cdef uint64_t n_events = 0
    cdef Sweep sweep
    if reason:
        return reject(core, c, reason)
    sweep.filters = c.flags
    sweep.account = who
    sweep.firm = who
    sweep.is_day_only = False
    sweep.spares_no_cancel = False
    if killed_reserve(core) or due_ids_reserve(core) or blocks_of(core, c.flags, who, &n_events) < 0:
        return -1
    n_events += tasks_of(core, c.flags, who)
    if sweep_reserve(core, &sweep) or events_reserve(core, n_events + sweep.n_orders + 1):
        return -1
    killed_add(core, c.flags, who)
    sweep_end(core, &sweep, CPX_KIND_CANCELED, CPX_CANCEL_KILLED)
    tasks_kill(core, c.flags, who)
    blocks_kill(core, c.flags, who)
    emit(core, CPX_KIND_KILLED, 0, 0, c.flags, 0, who, 0, 0, <int64_t>sweep.n_orders, sweep.lots, 0)
    return 0


cdef inline int op_lift(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = kill_reason(core, c)
    cdef uint32_t who = kill_who(c)
    cdef uint32_t at
    if reason:
        return reject(core, c, reason)
    if not is_killed(core, c.flags, who):
        return reject(core, c, CPX_REJECT_UNKNOWN_ACCOUNT)
    at = killed_place(core, c.flags, who)
    core.n_killed -= 1
    memmove(core.killed + at, core.killed + at + 1, (core.n_killed - at) * sizeof(Killed))
    emit(core, CPX_KIND_LIFTED, 0, 0, c.flags, 0, who, 0, 0, 0, 0, 0)
    return 0


cdef inline int killed_reserve(Core *core) noexcept nogil:
    return cpx_grow(<void **>&core.killed, &core.killed_capacity, <uint64_t>core.n_killed + 1, sizeof(Killed))


cdef inline void killed_add(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    """Enter the set of the killed, in its order; room was reserved before."""
    cdef uint32_t at = killed_place(core, kind, who)
    if is_killed(core, kind, who):
        return
    memmove(core.killed + at + 1, core.killed + at, (core.n_killed - at) * sizeof(Killed))
    core.killed[at].kind = kind
    core.killed[at].who = who
    core.n_killed += 1
