"""Orders: what each operation checks, and the loop in which a taker meets the book.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason; then memory is reserved; only then
does anything change (C8, AM6). A trade prints at the maker's price (C6); the best order by price, then by place in the
queue, trades first (C5). Money and capacity move with the trade that causes it (HM2, RT1).
Every operation returns 0, or -1 when there is no memory and nothing has changed. `reference/engine.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport (
    account_find, asks_add, asks_remove, count_trade, has_room, hold_of, hold_resize, may_trade, open_resize, order_hold,
    position_find, position_make, position_reserve, post,
)
from .book cimport (
    book_at, book_link, book_max_lots, book_of, book_open, book_reserve, book_unlink, emit, events_reserve, ext_at,
    ext_take, heap_add, level_at, level_reserve, order_at, order_free, order_reserve, order_take,
)
from .hashmap cimport map_get, map_put
from .ladder cimport ladder_best, ladder_key, ladder_nth, ladder_reserve
from .types cimport *


cdef struct Taker:  # an order while it is in no queue
    uint64_t id
    uint64_t client_ref
    int64_t price
    int64_t qty
    int64_t leaves
    int64_t done_micro
    uint32_t account
    uint32_t fee_ppm
    uint8_t side
    uint8_t tif


cdef inline int reject(Core *core, const Command *c, uint8_t reason) noexcept nogil:
    """The only event of a command that changes nothing; the batch reserved room for it."""
    emit(core, CPX_KIND_REJECTED, c.side, reason, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, 0, 0)
    return 0


cdef inline int deny(Core *core, const Command *c, uint8_t reason) noexcept nogil:
    """As reject, but risk says no."""
    emit(core, CPX_KIND_DENIED, c.side, reason, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, 0, 0)
    return 0


cdef inline uint8_t order_op_reason(Core *core, const Command *c) noexcept nogil:
    """What every operation on an order must satisfy."""
    if core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if c.reserved or c.flags or c.stp or c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID:
        return CPX_REJECT_INVALID_FIELD
    return 0


cdef inline bint price_valid(int64_t price) noexcept nogil:
    return 1 <= price <= CPX_MAX_PRICE_TICKS


cdef inline bint qty_valid(int64_t qty) noexcept nogil:
    return 1 <= qty <= CPX_MAX_QTY_LOTS


# --- the taker meets the book ---


cdef inline uint64_t fills_at_most(const BookLine *book, uint32_t side, int64_t qty) noexcept nogil:
    """How many fills an order can have at most: makers on the other side, and lots."""
    cdef uint64_t makers = book.sides[1 - side].n_orders
    return makers if makers < <uint64_t>qty else <uint64_t>qty


cdef inline bint can_fill(Core *core, const BookLine *book, const Taker *taker) noexcept nogil:
    """F1: whether the whole quantity is available within the limit; O(levels counted)."""
    cdef const Ladder *opposite = &book.sides[1 - taker.side]
    cdef int64_t limit = ladder_key(1 - taker.side, taker.price)
    cdef int64_t missing = taker.leaves
    cdef uint32_t n = 0
    cdef Level *level
    while n < opposite.n_levels:
        level = level_at(core, ladder_nth(opposite, n))
        if level.key < limit:
            return False
        if level.total >= <uint64_t>missing:
            return True
        missing -= <int64_t>level.total
        n += 1
    return False


cdef inline void settle(
    Core *core, const BookLine *book, uint32_t buyer, uint64_t buy_id, int64_t limit, int64_t leaves, uint32_t fee_ppm,
    int64_t *done_micro, uint32_t seller, int64_t price, int64_t lots,
) noexcept nogil:
    """HM2: the money side of a fill of a buy order; leaves are those after it."""
    cdef AccountLine *account = account_find(core, buyer)
    cdef int64_t hold_before = hold_of(limit, leaves + lots, book.value_micro, fee_ppm, done_micro[0])
    cdef int64_t cost = price * lots * book.value_micro
    cdef int64_t fee = post(account, cost, fee_ppm, done_micro)
    cdef int64_t freed = hold_before - cost - fee - hold_of(
        limit, leaves, book.value_micro, fee_ppm, done_micro[0])
    CPX_CHECK(freed >= 0)
    account.order_holds -= cost + fee
    hold_resize(account, -freed)
    emit(core, CPX_KIND_POSTED, CPX_SIDE_BUY, 0, 0, book.id, buy_id, buyer, fee, cost, freed, seller)
    count_trade(core, buyer, seller, book, lots)


cdef inline void maker_remove(Core *core, const BookLine *book, uint32_t slot) noexcept nogil:
    """Take an order out of its book for good."""
    cdef OrderSlot *order = order_at(core, slot)
    if core.check_funds and order.book_side & 1:
        asks_remove(position_find(core, order.account, book.id), slot)
    book_unlink(core, slot)
    order_free(core, slot)


cdef inline void match_taker(Core *core, BookLine *book, Taker *taker) noexcept nogil:
    """Trade while the best maker crosses; O(fills)."""
    cdef Ladder *opposite = &book.sides[1 - taker.side]
    cdef int64_t limit = ladder_key(1 - taker.side, taker.price)
    cdef Level *level
    cdef OrderSlot *maker
    cdef uint32_t slot
    cdef int64_t lots
    while taker.leaves > 0 and opposite.n_levels > 0:
        level = level_at(core, ladder_best(opposite))
        if level.key < limit:
            break
        slot = level.head
        maker = order_at(core, slot)
        lots = taker.leaves if taker.leaves < maker.leaves else maker.leaves
        CPX_CHECK(lots > 0 and level.total >= <uint64_t>lots)
        taker.leaves -= lots
        maker.leaves -= lots
        level.total -= <uint64_t>lots
        emit(core, CPX_KIND_TRADE, taker.side, 0, 0, book.id, taker.id, maker.id, maker.price, lots, taker.leaves,
             maker.leaves)
        if core.check_funds:
            if taker.side == CPX_SIDE_BUY:
                settle(core, book, taker.account, taker.id, taker.price, taker.leaves, taker.fee_ppm,
                       &taker.done_micro, maker.account, maker.price, lots)
            else:
                settle(core, book, maker.account, maker.id, maker.price, maker.leaves,
                       ext_at(core, maker.ext).fee_ppm, &ext_at(core, maker.ext).done_micro, taker.account,
                       maker.price, lots)
        if maker.leaves == 0:
            maker_remove(core, book, slot)


cdef inline void discard(Core *core, const BookLine *book, Taker *taker, uint8_t reason) noexcept nogil:
    """Cancel what is left of an order that does not rest, and free what it held."""
    cdef int64_t freed = 0
    if core.check_funds:
        if taker.side == CPX_SIDE_BUY:
            freed = hold_of(taker.price, taker.leaves, book.value_micro, taker.fee_ppm, taker.done_micro)
            hold_resize(account_find(core, taker.account), -freed)
        else:
            open_resize(core, taker.account, book.group, -taker.leaves)
    emit(core, CPX_KIND_CANCELED, taker.side, reason, 0, book.id, taker.id, taker.client_ref, taker.price, taker.leaves,
         0, freed)


cdef inline void withdraw(Core *core, uint32_t slot, uint8_t kind, uint8_t reason) noexcept nogil:
    """Take a resting order out and free what it held; one event."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef uint8_t side = order.book_side & 1
    cdef int64_t freed = order_hold(core, order, book)
    if core.check_funds:
        if side == CPX_SIDE_BUY:
            hold_resize(account_find(core, order.account), -freed)
        else:
            open_resize(core, order.account, book.group, -order.leaves)
    emit(core, kind, side, reason, 0, book.id, order.id, order.client_ref, order.price, order.leaves, 0, freed)
    maker_remove(core, book, slot)


# --- NEW ---


cdef inline uint8_t new_reason(Core *core, const Command *c, const BookLine *book) noexcept nogil:
    """0, or the smallest RejectReason of a NEW whose book is known."""
    cdef uint8_t reason = order_op_reason(core, c)
    if reason:
        return reason
    if c.side > CPX_SIDE_SELL or c.order_type != CPX_ORDER_TYPE_LIMIT or c.tif > CPX_TIF_GTD:
        return CPX_REJECT_INVALID_FIELD
    if not price_valid(c.price):
        return CPX_REJECT_INVALID_PRICE
    if c.qty < 1 or c.qty > book_max_lots(book):
        return CPX_REJECT_INVALID_QTY
    if not cpx_notional_fits(c.price, c.qty, book.value_micro, 0):
        return CPX_REJECT_INVALID_NOTIONAL
    if c.tif == CPX_TIF_GTD and c.expiry_ns <= core.now_ns:
        return CPX_REJECT_INVALID_EXPIRY
    if map_get(&core.order_map, c.order_id) != NONE:
        return CPX_REJECT_DUPLICATE_ID
    if core.n_orders >= core.max_orders:
        return CPX_REJECT_BOOK_FULL
    return 0


cdef inline uint8_t new_denial(Core *core, const Command *c, const BookLine *book, int64_t hold) noexcept nogil:
    """0, or the smallest DenyReason: money for a buy, capacity for a sell."""
    cdef PositionLine *position
    if c.side == CPX_SIDE_BUY:
        if hold > account_find(core, c.account).purses[<int>CPX_BUCKET_CASH]:
            return CPX_DENY_INSUFFICIENT_FUNDS
        return 0
    if book.group and not has_room(core, c.account, book.group, c.qty):
        return CPX_DENY_CAPACITY
    if c.tif == CPX_TIF_GTC or c.tif == CPX_TIF_GTD:
        position = position_find(core, c.account, c.book)
        if position != NULL and position.n_asks >= CPX_MAX_SELLS_PER_BOOK:
            return CPX_DENY_TOO_MANY_SELLS
    return 0


cdef inline int op_new(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = map_get(&core.book_map, c.book)
    cdef BookLine *book = &core.blank
    cdef Taker taker
    cdef uint8_t reason
    cdef int64_t hold = 0
    if at != NONE:
        book = book_at(core, at)
    elif core.listed_only:
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    reason = new_reason(core, c, book)
    if reason:
        return reject(core, c, reason)
    taker.fee_ppm = core.fees_ppm[0] if core.check_funds and c.side == CPX_SIDE_BUY else 0
    if core.check_funds:
        if c.side == CPX_SIDE_BUY:
            hold = hold_of(c.price, c.qty, book.value_micro, taker.fee_ppm, 0)
        reason = new_denial(core, c, book, hold)
        if reason:
            return deny(core, c, reason)
    if events_reserve(core, 2 * fills_at_most(book, c.side, c.qty) + 4) or order_reserve(core):
        return -1
    if core.check_funds and position_reserve(core):
        return -1
    if at == NONE:
        if book_reserve(core):
            return -1
        at = book_open(core, c.book)  # no change yet: an unlisted book without orders is no part of the state
        book = book_at(core, at)
    if ladder_reserve(&book.sides[c.side]):
        return -1
    if core.check_funds:
        position_make(core, c.account, book)
        if c.side == CPX_SIDE_BUY:
            hold_resize(account_find(core, c.account), hold)
        else:
            open_resize(core, c.account, book.group, c.qty)
    emit(core, CPX_KIND_ACCEPTED, c.side, 0, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, c.qty, hold)
    taker.id = c.order_id
    taker.client_ref = c.client_ref
    taker.price = c.price
    taker.qty = c.qty
    taker.leaves = c.qty
    taker.done_micro = 0
    taker.account = c.account
    taker.side = c.side
    taker.tif = c.tif
    if c.tif == CPX_TIF_FOK and not can_fill(core, book, &taker):
        discard(core, book, &taker, CPX_CANCEL_FOK)
        return 0
    match_taker(core, book, &taker)
    if taker.leaves == 0:
        return 0
    if c.tif == CPX_TIF_IOC:
        discard(core, book, &taker, CPX_CANCEL_IOC)
    else:
        rest(core, at, &taker, c.expiry_ns if c.tif == CPX_TIF_GTD else 0)
    return 0


cdef inline void rest(Core *core, uint32_t book, const Taker *taker, int64_t expiry_ns) noexcept nogil:
    """Give an order a slot and queue it; room was reserved before."""
    cdef uint32_t slot = order_take(core)
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext
    order.leaves = taker.leaves
    order.account = taker.account
    order.id = taker.id
    order.price = taker.price
    order.qty = taker.qty
    order.client_ref = taker.client_ref
    order.book_side = book << 1 | taker.side
    order.ext = NONE
    if core.check_funds or expiry_ns:
        order.ext = ext_take(core)
        ext = ext_at(core, order.ext)
        ext.expiry_ns = expiry_ns
        ext.done_micro = taker.done_micro
        ext.fee_ppm = taker.fee_ppm
        ext.heap_at = NONE
        ext.tif = taker.tif
        if expiry_ns:
            heap_add(core, slot)
    book_link(core, slot)
    map_put(&core.order_map, taker.id, slot)
    core.n_orders += 1
    if core.check_funds and taker.side == CPX_SIDE_SELL:
        asks_add(position_find(core, taker.account, book_at(core, book).id), slot)


# --- CANCEL, REDUCE, REPLACE, AMEND: the id finds the order; its account must match, its side cannot change ---


cdef inline uint32_t find_mine(Core *core, const Command *c) noexcept nogil:
    """The slot of the order if it is live and of this account, or NONE."""
    cdef uint32_t slot = map_get(&core.order_map, c.order_id)
    if slot != NONE and order_at(core, slot).account != c.account:
        return NONE
    return slot


cdef inline int op_cancel(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = order_op_reason(core, c)
    cdef uint32_t slot
    if reason:
        return reject(core, c, reason)
    slot = find_mine(core, c)
    if slot == NONE:
        return reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
    withdraw(core, slot, CPX_KIND_CANCELED, CPX_CANCEL_ASKED)
    return 0


cdef inline int op_reduce(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = order_op_reason(core, c)
    cdef uint32_t slot
    if reason:
        return reject(core, c, reason)
    if not qty_valid(c.qty):
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    slot = find_mine(core, c)
    if slot == NONE:
        return reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
    if c.qty >= order_at(core, slot).leaves:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    shrink(core, slot, c.qty)
    return 0


cdef inline int op_change(Core *core, const Command *c) noexcept nogil:
    """REPLACE (qty = new open quantity) and AMEND (qty = new total)."""
    cdef uint8_t reason = order_op_reason(core, c)
    cdef uint32_t slot
    cdef OrderSlot *order
    cdef BookLine *book
    cdef int64_t filled, leaves, done_micro
    if reason:
        return reject(core, c, reason)
    if not price_valid(c.price):
        return reject(core, c, CPX_REJECT_INVALID_PRICE)
    if not qty_valid(c.qty):
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    slot = find_mine(core, c)
    if slot == NONE:
        return reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
    order = order_at(core, slot)
    book = book_of(core, order)
    filled = order.qty - order.leaves
    leaves = c.qty if c.op == CPX_OP_REPLACE else c.qty - filled
    if filled + leaves > book_max_lots(book):
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    done_micro = ext_at(core, order.ext).done_micro if order.ext != NONE else 0
    if leaves > 0 and not cpx_notional_fits(c.price, leaves, book.value_micro, <uint64_t>done_micro):
        return reject(core, c, CPX_REJECT_INVALID_NOTIONAL)
    if leaves <= 0:
        withdraw(core, slot, CPX_KIND_CANCELED, CPX_CANCEL_AMENDED)  # AM4
        return 0
    if c.op == CPX_OP_AMEND and c.price == order.price and leaves <= order.leaves:
        shrink(core, slot, leaves)  # AM2, AM3
        return 0
    return requeue(core, c, slot, leaves)  # AM1


cdef inline void shrink(Core *core, uint32_t slot, int64_t leaves) noexcept nogil:
    """Fewer open lots, or as many, in the same place of the queue."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef uint8_t side = order.book_side & 1
    cdef int64_t fewer = order.leaves - leaves
    cdef int64_t hold_before = order_hold(core, order, book)
    cdef int64_t hold
    order.qty -= fewer
    order.leaves = leaves
    level_at(core, order.level).total -= <uint64_t>fewer
    hold = order_hold(core, order, book)
    if core.check_funds:
        if side == CPX_SIDE_BUY:
            hold_resize(account_find(core, order.account), hold - hold_before)
        else:
            open_resize(core, order.account, book.group, -fewer)
    emit(core, CPX_KIND_REPLACED, side, 0, CPX_EVENT_KEPT_PRIORITY, book.id, order.id, order.client_ref, order.price,
         order.qty, leaves, hold)


cdef inline int requeue(Core *core, const Command *c, uint32_t slot, int64_t leaves) noexcept nogil:
    """The order leaves its place and meets the book as a taker with its new price and open quantity."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef uint8_t side = order.book_side & 1
    cdef int64_t hold_before = order_hold(core, order, book)
    cdef int64_t hold = 0
    cdef AccountLine *account = NULL
    cdef Taker taker
    taker.id = order.id
    taker.client_ref = order.client_ref
    taker.price = c.price
    taker.qty = order.qty - order.leaves + leaves
    taker.leaves = leaves
    taker.account = order.account
    taker.side = side
    taker.tif = CPX_TIF_GTC  # it rests
    taker.done_micro = 0
    taker.fee_ppm = 0
    if core.check_funds:
        taker.done_micro = ext_at(core, order.ext).done_micro
        taker.fee_ppm = ext_at(core, order.ext).fee_ppm
        if side == CPX_SIDE_BUY:
            hold = hold_of(c.price, leaves, book.value_micro, taker.fee_ppm, taker.done_micro)
            account = account_find(core, order.account)
            if hold - hold_before > account.purses[<int>CPX_BUCKET_CASH]:
                return deny(core, c, CPX_DENY_INSUFFICIENT_FUNDS)
        elif book.group and not has_room(core, order.account, book.group, leaves - order.leaves):
            return deny(core, c, CPX_DENY_CAPACITY)
    if events_reserve(core, 2 * fills_at_most(book, side, leaves) + 4) or level_reserve(core):
        return -1
    if ladder_reserve(&book.sides[side]):
        return -1
    if core.check_funds:
        if side == CPX_SIDE_BUY:
            hold_resize(account, hold - hold_before)
        else:
            open_resize(core, order.account, book.group, leaves - order.leaves)
            asks_remove(position_find(core, order.account, book.id), slot)
    book_unlink(core, slot)
    emit(core, CPX_KIND_REPLACED, side, 0, 0, book.id, taker.id, taker.client_ref, taker.price, taker.qty, leaves, hold)
    match_taker(core, book, &taker)
    if taker.leaves == 0:
        order_free(core, slot)
        return 0
    order.price = taker.price
    order.qty = taker.qty
    order.leaves = taker.leaves
    if order.ext != NONE:
        ext_at(core, order.ext).done_micro = taker.done_micro
    book_link(core, slot)
    if core.check_funds and side == CPX_SIDE_SELL:
        asks_add(position_find(core, order.account, book.id), slot)
    return 0
