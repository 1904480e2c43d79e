"""A batch of commands, one after the other: which operation each one is, and what is fetched before its turn.

Rules kept here: command i is finished before i + 1; looking ahead changes nothing; INDICATIVE comes last of all (U11);
the head of a task takes its continuation records with it (K2).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .auction cimport indicate
from .blocks cimport op_block_close, op_block_open, op_block_set
from .book cimport events_reserve
from .core cimport TRIM_EVENTS, core_trim
from .drains cimport op_drain
from .market_setup cimport op_list_family, op_set_grid, op_set_link, op_set_reach
from .orders cimport op_cancel, op_change, op_new, op_reduce, reject
from .phases cimport op_set_phase, op_uncross
from .plain cimport SPARE_EVENTS, Ahead, plain
from .setup cimport op_set_bands, op_set_book, op_set_fix, op_set_reference
from .sweeps cimport op_kill, op_lift, op_mass_cancel, op_session_close
from .task_commands cimport op_part, op_task, op_task_cancel
from .task_terms cimport are_parts
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
    if op >= CPX_OP_SET_GRID:
        return market_operation(op)
    return NULL


cdef inline Operation market_operation(uint8_t op) noexcept nogil:
    """The operations of tasks, and of what they are made from."""
    if op == CPX_OP_TASK or op == CPX_OP_TASK_AMEND:
        return op_task
    if op == CPX_OP_TASK_CANCEL:
        return op_task_cancel
    if op == CPX_OP_DRAIN:
        return op_drain
    if op == CPX_OP_BLOCK_SET:
        return op_block_set
    if op == CPX_OP_BLOCK_OPEN:
        return op_block_open
    if op == CPX_OP_BLOCK_CLOSE:
        return op_block_close
    if op == CPX_OP_SET_GRID:
        return op_set_grid
    if op == CPX_OP_LIST_FAMILY:
        return op_list_family
    if op == CPX_OP_SET_REACH:
        return op_set_reach
    if op == CPX_OP_SET_LINK:
        return op_set_link
    if op <= CPX_OP_TASK_STEPS:
        return op_part
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


cdef inline bint is_head(uint8_t op) noexcept nogil:
    """Whether continuation records belong to a command."""
    return op == CPX_OP_TASK or op == CPX_OP_TASK_AMEND


cdef inline uint64_t gather(Core *core, const Command *commands, uint64_t n, Command *turn) noexcept nogil:
    """Copy the next command of a batch, a head with its records; returns how many records it is made of.

    core.n_parts says how many continuation records are in `turn`; 0 where what follows is not what belongs there.
    """
    cdef uint32_t i
    turn[0] = commands[0]
    core.n_parts = 0
    if not is_head(turn[0].op) or turn[0].reserved >= n or turn[0].reserved > CPX_MAX_TASK_RECORDS:
        return 1
    for i in range(1, <uint32_t>turn[0].reserved + 1):
        turn[i] = commands[i]
    if not are_parts(turn + 1, turn[0].reserved):
        return 1
    core.n_parts = turn[0].reserved
    return core.n_parts + 1


cdef inline uint64_t run_plain(
    Core *core, const Command *commands, uint64_t n, uint64_t first_seq, uint64_t step, bint *has_met_head
) noexcept nogil:
    """A batch in an engine that does not check funds, up to the head of a task.

    The short way, and the long way for whatever is not plain; returns how many commands were applied.
    """
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
            if is_head(turn.op):
                has_met_head[0] = True
                return i
            if apply(core, &turn):
                return i
            is_news = core.n_news != core.n_waiting
        core.next_seq = core.seq + 1
    return n


cdef inline uint64_t run(
    Core *core, const Command *commands, uint64_t n, uint64_t first_seq, uint64_t step
) noexcept nogil:
    """Apply a batch; returns how many records were applied: all of them unless memory ran out."""
    cdef Command turn[25]  # a head and CPX_MAX_TASK_RECORDS
    cdef uint64_t i = 0
    cdef uint64_t used
    cdef bint has_met_head
    while i < n:
        if not core.check_funds:
            has_met_head = False
            i += run_plain(core, commands + i, n - i, first_seq + i * step, step, &has_met_head)
            if not has_met_head:
                return i
        core.seq = first_seq + i * step
        used = gather(core, commands + i, n - i, turn)
        if apply(core, turn):
            return i
        i += used
        core.next_seq = first_seq + (i - 1) * step + 1
    return n
