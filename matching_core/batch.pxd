"""A batch of commands, one after the other: which operation each one is, and what is fetched before its turn.

Rules kept here: command i is finished before i + 1; looking ahead changes nothing; INDICATIVE comes last of all (U11).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .auction cimport indicate
from .book cimport events_reserve
from .core cimport TRIM_EVENTS, core_trim
from .orders cimport op_cancel, op_change, op_new, op_reduce, reject
from .phases cimport op_set_phase, op_uncross
from .plain cimport SPARE_EVENTS, Ahead, plain
from .setup cimport op_set_bands, op_set_book, op_set_fix, op_set_reference
from .sweeps cimport op_kill, op_lift, op_mass_cancel, op_session_close
from .tasks cimport op_take
from .types cimport *
from .venue cimport (
    op_adjust_sold, op_advance_time, op_list_book, op_open_account, op_set_capacity, op_set_fee, op_transfer,
)

ctypedef int (*Operation)(Core *core, const Command *c) noexcept nogil

cdef enum:
    NEAR = 2  # commands before its turn when the neighbours of an order are fetched
    LOOK = 5  # commands between two stages of the look-ahead
    WINDOW = 16  # more than two stages

cdef inline Operation operation(uint8_t op) noexcept nogil:
    """What applies an op, or NULL. Through a pointer, so that none of it ends up inside the loop."""
    if op == CPX_OP_NEW:
        return op_new
    if op == CPX_OP_CANCEL:
        return op_cancel
    if op == CPX_OP_REPLACE or op == CPX_OP_AMEND:
        return op_change
    if op == CPX_OP_REDUCE:
        return op_reduce
    if op == CPX_OP_TAKE:
        return op_take
    if op == CPX_OP_ADVANCE_TIME:
        return op_advance_time
    if op == CPX_OP_MASS_CANCEL:
        return op_mass_cancel
    if op == CPX_OP_SET_PHASE:
        return op_set_phase
    if op == CPX_OP_UNCROSS:
        return op_uncross
    if op == CPX_OP_OPEN_ACCOUNT:
        return op_open_account
    if op == CPX_OP_TRANSFER:
        return op_transfer
    if op == CPX_OP_SET_FEE:
        return op_set_fee
    if op == CPX_OP_LIST_BOOK:
        return op_list_book
    if op == CPX_OP_SET_CAPACITY:
        return op_set_capacity
    if op == CPX_OP_ADJUST_SOLD:
        return op_adjust_sold
    if op == CPX_OP_SET_BOOK:
        return op_set_book
    if op == CPX_OP_SET_BANDS:
        return op_set_bands
    if op == CPX_OP_SET_REFERENCE:
        return op_set_reference
    if op == CPX_OP_SET_FIX:
        return op_set_fix
    if op == CPX_OP_SESSION_CLOSE:
        return op_session_close
    if op == CPX_OP_KILL:
        return op_kill
    if op == CPX_OP_LIFT:
        return op_lift
    return NULL


cdef inline int apply(Core *core, const Command *c) noexcept nogil:
    """One command, the long way; 0, or -1 when there is no memory and nothing has changed."""
    cdef Operation apply_op = operation(c.op)
    cdef uint64_t n_events = core.n_events
    if events_reserve(core, SPARE_EVENTS):
        return -1
    if apply_op == NULL:
        return reject(core, c, CPX_REJECT_UNKNOWN_OP)
    if apply_op(core, c):
        return -1
    if core.n_calls:
        indicate(core)
    if core.n_events - n_events > TRIM_EVENTS:
        core_trim(core)
    return 0


# --- the loop, and what it fetches before its turn; nothing that is fetched is believed ---


cdef inline void look_up(Core *core, const Command *c, Ahead *ahead) noexcept nogil:
    """Where the slot of a command's order stands in its page, and the line of its book; page 0 and line 0 if nowhere."""
    cdef uint32_t page = core.order_ring[(c.order_id >> 7) & core.order_ring_mask]
    ahead.entry = core.order_pages + (<uint64_t>page * PAGE_IDS + (c.order_id & (PAGE_IDS - 1)))
    ahead.at = core.book_ring[c.book & core.book_ring_mask]
    ahead.book = core.books + ahead.at


cdef inline uint64_t run_plain(
    Core *core, const Command *commands, uint64_t n, uint64_t first_seq, uint64_t step
) noexcept nogil:
    """A batch in an engine that does not check funds: the short way, and the long way for whatever is not plain."""
    cdef Ahead window[WINDOW]
    cdef Ahead *ahead
    cdef const Command *c
    cdef uint32_t side, leaf
    cdef const OrderSlot *order
    cdef Command turn  # a copy: whoever writes to the buffer meanwhile cannot change a command that was looked at
    cdef bint is_news = core.n_news != core.n_waiting
    cdef uint64_t i
    for i in range(2 * LOOK if n > 2 * LOOK else n):
        look_up(core, &commands[i], &window[i])
    for i in range(n):
        if cpx_likely(i + 2 * LOOK < n):
            ahead = &window[(i + 2 * LOOK) % WINDOW]
            look_up(core, &commands[i + 2 * LOOK], ahead)
            cpx_prefetch(ahead.entry)
            cpx_prefetch(ahead.book)
            c = &commands[i + LOOK]
            ahead = &window[(i + LOOK) % WINDOW]
            side = c.side & 1
            leaf = ahead.book.best_leaf[side]  # where most new orders go
            cpx_prefetch(core.orders + ahead.entry[0])
            cpx_prefetch(core.leaves + leaf)
            cpx_prefetch(core.leaves + ahead.book.best_leaf[1 - side])
            cpx_prefetch(&core.fans[leaf].levels[(c.price ^ core.mirror[side]) & 63])
            order = core.orders + window[(i + NEAR) % WINDOW].entry[0]
            cpx_prefetch(core.orders + cpx_pick(order.prev == NONE, 0, order.prev))
            cpx_prefetch(core.orders + cpx_pick(order.next == NONE, 0, order.next))
        core.seq = first_seq + i * step
        turn = commands[i]
        if not (cpx_likely(core.n_events + SPARE_EVENTS <= core.events_capacity and not is_news)
                and plain(core, &turn, &window[i % WINDOW])):
            if apply(core, &turn):
                return i
            is_news = core.n_news != core.n_waiting
        core.next_seq = core.seq + 1
    return n


cdef inline uint64_t run(
    Core *core, const Command *commands, uint64_t n, uint64_t first_seq, uint64_t step
) noexcept nogil:
    """Apply a batch; returns how many commands were applied: all of them unless memory ran out."""
    cdef Command turn
    cdef uint64_t i
    if not core.check_funds:
        return run_plain(core, commands, n, first_seq, step)
    for i in range(n):
        core.seq = first_seq + i * step
        turn = commands[i]
        if apply(core, &turn):
            return i
        core.next_seq = core.seq + 1
    return n
