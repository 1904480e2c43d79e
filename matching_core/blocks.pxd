"""Block offers: capacity that is sold in blocks of a least size, kept beside the books.

Rules kept here: MB1 (a block offer is no ask), MB3, MB4 (what is left in a period ends at its gate), RT1 (residues count
as open capacity), RT4 (a change marks the books of what is left). The residues of an offer lie side by side, one for
every period; its account has a position in each of their books. `reference/blocks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, qsort

from .accounts cimport (
    firm_of, has_room, is_blocked, may_trade, open_resize, position_make, position_reserve,
)
from .book cimport book_at, deny, emit, events_reserve, reject, rules_of
from .directory cimport book_find
from .dirt cimport mark
from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .market cimport family_find
from .orders cimport is_id_taken, price_valid
from .sources cimport block_changed, block_enter, block_leave, block_reserve
from .types cimport *

cdef enum:
    LAST_PERIODS = 1_048_576  # 2^PERIOD_BITS


# --- lines ---


cdef inline BlockLine *block_at(Core *core, uint32_t at) noexcept nogil:
    CPX_CHECK(at < core.market.blocks_used)
    return core.market.blocks + at


cdef inline uint32_t block_find(Core *core, uint64_t offer_id) noexcept nogil:
    """The line of a block offer, or NONE."""
    return map_get(&core.block_map, offer_id)


cdef inline Residue *residue_at(BlockLine *block, uint32_t period) noexcept nogil:
    """What is left in one period of the offer."""
    CPX_CHECK(block.first_period <= period < block.end_period)
    return block.residues + (period - block.first_period)


cdef inline int block_lines_reserve(Core *core) noexcept nogil:
    """Room for one more line; 0, or -1 without memory."""
    cdef Market *market = &core.market
    if market.blocks_free == NONE and cpx_grow(
            <void **>&market.blocks, &market.blocks_capacity, <uint64_t>market.blocks_used + 1, sizeof(BlockLine)):
        return -1
    return map_reserve(&core.block_map, 1)


cdef inline uint32_t block_make(Core *core, const BlockLine *values) noexcept nogil:
    """A new offer with these fields and no residues; NONE without memory, and nothing has changed."""
    cdef Market *market = &core.market
    cdef uint32_t at = market.blocks_free
    cdef Residue *residues
    if block_lines_reserve(core) or block_reserve(core, values.family, values.end_period):
        return NONE
    residues = <Residue *>calloc(values.end_period - values.first_period, sizeof(Residue))
    if residues == NULL:
        return NONE
    if at != NONE:
        market.blocks_free = market.blocks[at].next
    else:
        at = market.blocks_used
        market.blocks_used += 1
    market.blocks[at] = values[0]
    market.blocks[at].residues = residues
    market.blocks[at].n_residues = 0
    map_put(&core.block_map, values.id, at)
    block_enter(core, at)
    return at


cdef inline void block_forget(Core *core, uint32_t at) noexcept nogil:
    """An offer that has nothing left goes; one event."""
    cdef BlockLine *block = block_at(core, at)
    emit(core, CPX_KIND_BLOCK_CLOSED, 0, 0, 0, 0, block.id, block.client_ref, 0, 0, 0, 0)
    block_leave(core, at)
    map_remove(&core.block_map, block.id)
    free(block.residues)
    block.residues = NULL
    block.id = 0
    block.next = core.market.blocks_free
    core.market.blocks_free = at


# --- what happens to residues ---


cdef inline void block_mark(Core *core, const BlockLine *block) noexcept nogil:
    """RT4, MB2: what is left of a block offer may suit a task."""
    cdef uint32_t unseen = block.n_residues
    cdef uint32_t period = block.first_period
    cdef uint32_t line
    if core.n_tasks == 0:
        return
    while unseen > 0:
        if block.residues[period - block.first_period].lots > 0:
            unseen -= 1
            line = book_find(core, block.family << PERIOD_BITS | period)
            if line != NONE:
                mark(core, book_at(core, line))
        period += 1


cdef inline void residue_set(
    Core *core, BlockLine *block, BookLine *book, uint32_t period, int64_t price, int64_t lots
) noexcept nogil:
    """A residue as it is from now on; RT1: open capacity follows. With fewer lots other sites may be among the best."""
    cdef Residue *residue = residue_at(block, period)
    cdef int64_t before = residue.lots
    block.n_residues = block.n_residues + (lots > 0) - (before > 0)
    residue.price = price if lots else 0
    residue.lots = lots
    if lots != before:
        open_resize(core, block.account, book.group, lots - before)
    block_changed(core, block, period)
    if lots < before and core.n_spreads:
        mark(core, book)


cdef inline bint block_close_if_over(Core *core, uint32_t at) noexcept nogil:
    """Forget an offer in which nothing is left and nothing may come; whether it went."""
    cdef const BlockLine *block = block_at(core, at)
    if block.n_residues or block.next_period < block.end_period:
        return False
    block_forget(core, at)
    return True


cdef inline void residue_end(Core *core, uint32_t at, uint32_t period, uint8_t kind, uint8_t reason) noexcept nogil:
    cdef BlockLine *block = block_at(core, at)
    cdef BookLine *book = book_at(core, book_find(core, block.family << PERIOD_BITS | period))
    cdef Residue before = residue_at(block, period)[0]
    residue_set(core, block, book, period, 0, 0)
    emit(core, kind, CPX_SIDE_SELL, reason, CPX_EVENT_BLOCK, book.id, block.id, block.client_ref, before.price,
         before.lots, 0, 0)


cdef inline void block_withdraw(Core *core, uint32_t at, uint8_t reason) noexcept nogil:
    """Take an offer out with all that it has left; room for the events was reserved before."""
    cdef BlockLine *block = block_at(core, at)
    cdef uint32_t period = block.first_period
    while block.n_residues > 0:
        if residue_at(block, period).lots > 0:
            residue_end(core, at, period, CPX_KIND_CANCELED, reason)
        period += 1
    block_forget(core, at)


# --- the gate of a book (MB4) ---


cdef inline uint64_t blocks_ending(Core *core, uint32_t book) noexcept nogil:
    """How many events the gate of a book costs: what block offers have left there, and offers that end with it."""
    cdef const Family *family = family_find(core, book >> PERIOD_BITS)
    cdef uint64_t n = 0
    cdef uint32_t at = NONE if family == NULL else family.blocks
    while at != NONE:
        n += 2 * has_residue(block_at(core, at), book & PERIOD_MASK)
        at = block_at(core, at).next
    return n


cdef inline bint has_residue(BlockLine *block, uint32_t period) noexcept nogil:
    return block.first_period <= period < block.end_period and residue_at(block, period).lots > 0


cdef inline uint32_t block_after(Core *core, const Family *family, uint32_t period, uint64_t offer_id) noexcept nogil:
    """The offer of a family with a residue in a period and the next higher id, or NONE; O(offers of the family)."""
    cdef uint32_t at = family.blocks
    cdef uint32_t found = NONE
    while at != NONE:
        if block_at(core, at).id > offer_id and has_residue(block_at(core, at), period):
            if found == NONE or block_at(core, at).id < block_at(core, found).id:
                found = at
        at = block_at(core, at).next
    return found


cdef inline void blocks_expire(Core *core, uint32_t book) noexcept nogil:
    """MB4: at a gate what block offers have left there ends, by id; a shorter run may now take the whole rest."""
    cdef const Family *family = family_find(core, book >> PERIOD_BITS)
    cdef uint32_t period = book & PERIOD_MASK
    cdef uint64_t offer_id
    cdef uint32_t at
    if family == NULL or family.blocks == NONE:
        return
    at = block_after(core, family, period, 0)
    while at != NONE:
        offer_id = block_at(core, at).id
        residue_end(core, at, period, CPX_KIND_EXPIRED, CPX_EXPIRE_GATE)
        if not block_close_if_over(core, at):
            block_mark(core, block_at(core, at))
        at = block_after(core, family, period, offer_id)


# --- a kill (X3) ---


cdef inline int by_number(const void *a, const void *b) noexcept nogil:
    cdef uint64_t first = (<const uint64_t *>a)[0]
    cdef uint64_t second = (<const uint64_t *>b)[0]
    return (first > second) - (first < second)


cdef inline bint is_of(Core *core, uint32_t kind, uint32_t who, uint32_t account) noexcept nogil:
    """Whether an account is the one that a KILL names, or of the firm that it names."""
    return who == (account if kind == CPX_FILTER_ACCOUNT else firm_of(core, account))


cdef inline int64_t blocks_of(Core *core, uint32_t kind, uint32_t who, uint64_t *n_events) noexcept nogil:
    """Note the block offers of an account or firm in core.due_ids, by id; how many, or -1 without memory."""
    cdef uint64_t n = 0
    cdef uint32_t at
    for at in range(core.market.blocks_used):
        if core.market.blocks[at].id == 0 or not is_of(core, kind, who, core.market.blocks[at].account):
            continue
        if cpx_grow(<void **>&core.due_ids, &core.due_ids_capacity, n + 1, sizeof(uint64_t)):
            return -1
        core.due_ids[n] = core.market.blocks[at].id
        n_events[0] += <uint64_t>core.market.blocks[at].n_residues + 1
        n += 1
    if n > 1:
        qsort(core.due_ids, n, sizeof(uint64_t), by_number)
    return <int64_t>n


cdef inline void blocks_kill(Core *core, uint32_t kind, uint32_t who) noexcept nogil:
    """X3: the block offers of an account or firm, by id; what `blocks_of` needed then it has now."""
    cdef uint64_t n_events = 0
    cdef int64_t n = blocks_of(core, kind, who, &n_events)
    cdef int64_t i
    for i in range(n):
        block_withdraw(core, block_find(core, core.due_ids[i]), CPX_CANCEL_KILLED)


# --- commands ---


cdef inline uint8_t block_id_reason(Core *core, const Command *c) noexcept nogil:
    if core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if not core.check_funds or c.reserved or c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID:
        return CPX_REJECT_INVALID_FIELD
    return 0


cdef inline uint8_t block_open_reason(Core *core, const Command *c) noexcept nogil:
    cdef int64_t first = c.book & PERIOD_MASK
    cdef int64_t last = first + HORIZON if first + HORIZON < LAST_PERIODS else LAST_PERIODS
    cdef uint8_t reason
    if family_find(core, c.book >> PERIOD_BITS) == NULL:
        return CPX_REJECT_UNKNOWN_BOOK
    reason = block_id_reason(core, c)
    if reason:
        return reason
    if c.flags & ~CPX_FLAG_INDIVISIBLE or c.price <= first or c.price > last or c.aux < 1 or c.aux > HORIZON:
        return CPX_REJECT_INVALID_FIELD
    if c.qty < 1 or c.qty > CPX_MAX_QTY_LOTS:
        return CPX_REJECT_INVALID_QTY
    if c.expiry_ns < 0:
        return CPX_REJECT_INVALID_EXPIRY
    return CPX_REJECT_DUPLICATE_ID if is_id_taken(core, c.order_id) else 0


cdef inline int op_block_open(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = block_open_reason(core, c)
    cdef BlockLine values
    if reason:
        return reject(core, c, reason)
    if is_blocked(core, c.account):
        return deny(core, c, CPX_DENY_BLOCKED)
    values.id = c.order_id
    values.client_ref = c.client_ref
    values.min_lots = c.qty
    values.min_periods = c.aux
    values.notice_ns = c.expiry_ns
    values.account = c.account
    values.family = c.book >> PERIOD_BITS
    values.first_period = values.next_period = c.book & PERIOD_MASK
    values.end_period = <uint32_t>c.price
    values.flags = c.flags
    values.n_residues = 0
    values.residues = NULL
    values.next = values.prev = NONE
    if block_make(core, &values) == NONE:
        return -1
    emit(core, CPX_KIND_BLOCK_OPENED, CPX_SIDE_SELL, 0, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, c.aux,
         c.expiry_ns)
    return 0


cdef inline uint32_t my_block(Core *core, const Command *c) noexcept nogil:
    """The line of the offer if it is of this account, or NONE."""
    cdef uint32_t at = block_find(core, c.order_id)
    return at if at != NONE and block_at(core, at).account == c.account else <uint32_t>NONE


cdef inline uint8_t block_set_reason(Core *core, const Command *c, const BookLine *book, uint32_t at) noexcept nogil:
    cdef uint8_t reason = block_id_reason(core, c)
    cdef uint32_t period = c.book & PERIOD_MASK
    cdef const BlockLine *block
    if reason:
        return reason
    if at != NONE:
        block = block_at(core, at)
        if c.book >> PERIOD_BITS != block.family or not block.first_period <= period < block.end_period:
            return CPX_REJECT_INVALID_FIELD
    if c.qty > 0 and not price_valid(c.price):
        return CPX_REJECT_INVALID_PRICE
    if c.qty < 0 or c.qty > book.max_lots:
        return CPX_REJECT_INVALID_QTY
    if c.qty > 0 and not cpx_notional_fits(c.price, c.qty, book.value_micro, 0):
        return CPX_REJECT_INVALID_NOTIONAL
    if book.rules != NONE and rules_of(core, book).is_gated:
        return CPX_REJECT_PHASE
    return CPX_REJECT_UNKNOWN_ORDER if at == NONE else 0


cdef inline int op_block_set(Core *core, const Command *c) noexcept nogil:
    """What an offer has left in one period."""
    cdef uint32_t line = book_find(core, c.book)
    cdef uint32_t period = c.book & PERIOD_MASK
    cdef uint32_t at = my_block(core, c)
    cdef BookLine *book
    cdef BlockLine *block
    cdef int64_t before
    cdef uint8_t reason
    if line == NONE or book_at(core, line).state != BOOK_LISTED:
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    book = book_at(core, line)
    reason = block_set_reason(core, c, book, at)
    if reason:
        return reject(core, c, reason)
    block = block_at(core, at)
    before = residue_at(block, period).lots
    if book.group and not has_room(core, c.account, book.group, c.qty - before):
        return deny(core, c, CPX_DENY_CAPACITY)
    if position_reserve(core):
        return -1
    position_make(core, c.account, book)
    residue_set(core, block, book, period, c.price, c.qty)
    if block.next_period <= period:
        block.next_period = period + 1
    block_mark(core, block)
    emit(core, CPX_KIND_BLOCK_CHANGED, 0, 0, 0, c.book, c.order_id, block.client_ref, c.price if c.qty else 0, c.qty,
         before, 0)
    block_close_if_over(core, at)
    return 0


cdef inline int op_block_close(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = block_id_reason(core, c)
    cdef uint32_t at = my_block(core, c)
    if reason == 0 and at == NONE:
        reason = CPX_REJECT_UNKNOWN_ORDER
    if reason:
        return reject(core, c, reason)
    if events_reserve(core, <uint64_t>block_at(core, at).n_residues + 1):
        return -1
    block_withdraw(core, at, CPX_CANCEL_ASKED)
    return 0
