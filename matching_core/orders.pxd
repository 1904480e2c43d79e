"""What participants ask for: NEW, CANCEL, REDUCE, REPLACE, AMEND, and every reason to say no.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason; then memory is reserved; only then
does anything change (C8, AM6). The id finds the order; its account must match; side, account and flags never change
(AM5, AM8). Every operation returns 0, or -1 when there is no memory and nothing has changed.
`reference/orders.py` and `cover.py` are the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport (
    account_find, has_room, hold_of, is_blocked, may_trade, order_hold, position_find, position_make, position_reserve,
)
from .book cimport (
    book_at, book_of, book_open, book_reserve, deny, events_reserve, ext_at, ext_take, is_iceberg, order_at,
    order_register, order_reserve, order_take, reject, rules_of,
)
from .directory cimport book_find, order_find
from .hashmap cimport map_get
from .matching cimport first_tradable, is_limit_outside, may_rest, work
from .phases cimport phase_of
from .queue cimport queue_leave, reserve_change, shrink, tell, withdraw
from .sources cimport ask_reserve
from .types cimport *

cdef enum:
    ALL_FLAGS = 63
    ALL_CALLS = 7  # the kinds; NO_CANCEL is no kind
    FLAGS_WITH_AUX = 2 | 4 | 8  # ICEBERG, MIN_QTY, AUCTION_ONLY
    FLAGS_FOR_RESTING = 1 | 2 | 16  # POST_ONLY, ICEBERG, STANDBY


# --- refusals ---


cdef inline uint8_t id_reason(Core *core, const Command *c) noexcept nogil:
    """What every operation on an order must satisfy."""
    if core.check_funds and not may_trade(core, c.account):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    if c.reserved or c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID:
        return CPX_REJECT_INVALID_FIELD
    return 0


cdef inline uint8_t order_op_reason(Core *core, const Command *c) noexcept nogil:
    """As id_reason, for operations that take no flags."""
    cdef uint8_t reason = id_reason(core, c)
    if reason == 0 and (c.flags or c.stp):
        return CPX_REJECT_INVALID_FIELD
    return reason


cdef inline bint is_id_taken(Core *core, uint64_t order_id) noexcept nogil:
    """Whether a live order, a waiting task or a block offer has this id."""
    return order_find(core, order_id) != NONE or (
        map_get(&core.task_map, order_id) != NONE or map_get(&core.block_map, order_id) != NONE)


cdef inline bint price_valid(int64_t price) noexcept nogil:
    return 1 <= price <= CPX_MAX_PRICE_TICKS


cdef inline bint qty_valid(int64_t qty) noexcept nogil:
    return 1 <= qty <= CPX_MAX_QTY_LOTS


cdef inline uint64_t events_at_most(Core *core, const BookLine *book, uint32_t side, int64_t qty, bint has_stp) noexcept nogil:
    """How many events a taker of so many lots can make at most."""
    cdef uint64_t makers = book.n_orders[1 - side]
    cdef uint64_t fills = makers + <uint64_t>book.n_special[1 - side] * CPX_MAX_SLICES
    if fills > <uint64_t>qty:
        fills = <uint64_t>qty
    return 3 * fills + (2 * makers if has_stp else 0) + 8


# --- NEW: is it refused? ---


cdef inline bint is_offered(Core *core, const Command *c, const BookLine *book) noexcept nogil:
    """Whether type, time in force and flags exist and go together (PO3, IC6, T4, EM1, BB1)."""
    cdef bint is_resting = c.tif == CPX_TIF_GTC or c.tif == CPX_TIF_GTD or c.tif == CPX_TIF_DAY
    if c.side > CPX_SIDE_SELL or c.order_type > CPX_ORDER_TYPE_MARKET or c.tif > CPX_TIF_DAY:
        return False
    if c.flags & ~ALL_FLAGS or c.stp > CPX_STP_DECREMENT:
        return False
    if c.flags & FLAGS_FOR_RESTING and not (c.order_type == CPX_ORDER_TYPE_LIMIT and is_resting):
        return False
    if c.flags & CPX_FLAG_ICEBERG and c.flags & CPX_FLAG_MIN_QTY:
        return False
    if c.flags & CPX_FLAG_STANDBY and (
            c.side != CPX_SIDE_SELL or book.rules == NONE or rules_of(core, book).end_ns == 0):
        return False
    if c.flags & CPX_FLAG_INDIVISIBLE and c.side != CPX_SIDE_SELL:
        return False
    if c.flags & CPX_FLAG_AUCTION_ONLY:
        return c.flags == CPX_FLAG_AUCTION_ONLY and 0 <= c.aux <= ALL_CALLS and is_resting
    return c.order_type == CPX_ORDER_TYPE_LIMIT or c.tif <= CPX_TIF_FOK


cdef inline bint is_aux_fair(const Command *c) noexcept nogil:
    """IC6, MQ1: peak and minimum are 1 to the total; an iceberg has at most CPX_MAX_SLICES slices."""
    if not c.flags & (CPX_FLAG_ICEBERG | CPX_FLAG_MIN_QTY):
        return True
    return 1 <= c.aux <= c.qty and (not c.flags & CPX_FLAG_ICEBERG or c.qty <= c.aux * CPX_MAX_SLICES)


cdef inline bint is_taken_now(Core *core, const Command *c, const BookLine *book) noexcept nogil:
    """H1, M4, T4: which orders a phase takes."""
    cdef uint8_t phase = phase_of(core, book)
    if phase == CPX_PHASE_OPEN:
        return not c.flags & CPX_FLAG_AUCTION_ONLY
    if phase != CPX_PHASE_AUCTION or c.tif == CPX_TIF_IOC or c.tif == CPX_TIF_FOK or c.flags & CPX_FLAG_MIN_QTY:
        return False
    if c.flags & CPX_FLAG_AUCTION_ONLY:
        return c.aux == 0 or c.aux & rules_of(core, book).call
    return c.order_type == CPX_ORDER_TYPE_LIMIT


cdef inline uint8_t new_reason(Core *core, const Command *c, const BookLine *book) noexcept nogil:
    """0, or the smallest RejectReason of a NEW whose book is known; WOULD_TRADE comes later."""
    cdef uint8_t reason = id_reason(core, c)
    if reason:
        return reason
    if not is_offered(core, c, book):
        return CPX_REJECT_INVALID_FIELD
    if not price_valid(c.price):
        return CPX_REJECT_INVALID_PRICE
    if c.qty < 1 or c.qty > book.max_lots or not is_aux_fair(c):
        return CPX_REJECT_INVALID_QTY
    if not cpx_notional_fits(c.price, c.qty, book.value_micro, 0):
        return CPX_REJECT_INVALID_NOTIONAL
    if c.tif == CPX_TIF_GTD and c.expiry_ns <= core.now_ns:
        return CPX_REJECT_INVALID_EXPIRY
    if not is_taken_now(core, c, book):
        return CPX_REJECT_PHASE
    if is_id_taken(core, c.order_id):
        return CPX_REJECT_DUPLICATE_ID
    if core.n_orders >= core.max_orders:
        return CPX_REJECT_BOOK_FULL
    if c.order_type == CPX_ORDER_TYPE_LIMIT and is_limit_outside(core, book, c.price):
        return CPX_REJECT_PRICE_BAND
    return 0


cdef inline uint8_t keep_passive(Core *core, const Command *c, const BookLine *book, int64_t *price) noexcept nogil:
    """PO1: 0 and the price at which it rests, one tick behind where the book slides and that is fair; or WOULD_TRADE."""
    cdef const BookRules *rules = rules_of(core, book)
    cdef OrderSlot *maker = first_tradable(core, book, c.side, c.price, c.qty)
    if maker == NULL:
        return 0
    if rules == NULL or not rules.flags & CPX_RULE_SLIDE:
        return CPX_REJECT_WOULD_TRADE
    price[0] = maker.price + 1 if c.side else maker.price - 1
    if not price_valid(price[0]) or is_limit_outside(core, book, price[0]):
        return CPX_REJECT_WOULD_TRADE
    return 0 if cpx_notional_fits(price[0], c.qty, book.value_micro, 0) else CPX_REJECT_WOULD_TRADE


cdef inline uint8_t new_denial(Core *core, const Command *c, const BookLine *book, int64_t hold) noexcept nogil:
    """0, or the smallest DenyReason: money for a buy, capacity for a sell, a kill for all."""
    cdef PositionLine *position
    cdef bint is_for_call = c.flags & CPX_FLAG_AUCTION_ONLY != 0
    if core.check_funds and c.side == CPX_SIDE_BUY:
        if hold > account_find(core, c.account).purses[<int>CPX_BUCKET_CASH]:
            return CPX_DENY_INSUFFICIENT_FUNDS
    elif core.check_funds:
        if book.group and not has_room(core, c.account, book.group, c.qty):
            return CPX_DENY_CAPACITY
        if c.tif != CPX_TIF_IOC and c.tif != CPX_TIF_FOK and (c.order_type == CPX_ORDER_TYPE_LIMIT or is_for_call):
            position = position_find(core, c.account, c.book)
            if position != NULL and position.n_asks >= CPX_MAX_SELLS_PER_BOOK:
                return CPX_DENY_TOO_MANY_SELLS
    return CPX_DENY_BLOCKED if is_blocked(core, c.account) else 0


# --- NEW: apply ---


cdef inline int op_new(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef BookLine *book = &core.blank
    cdef uint8_t reason
    cdef int64_t price = c.price
    cdef int64_t hold = 0
    cdef uint32_t fee_ppm
    if at != NONE:
        book = book_at(core, at)
    elif core.listed_only:
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    reason = new_reason(core, c, book)
    if reason == 0 and c.flags & CPX_FLAG_POST_ONLY and phase_of(core, book) == CPX_PHASE_OPEN:
        reason = keep_passive(core, c, book, &price)
    if reason:
        return reject(core, c, reason)
    fee_ppm = core.fees_ppm[0] if core.check_funds and c.side == CPX_SIDE_BUY else 0
    if core.check_funds and c.side == CPX_SIDE_BUY:
        hold = hold_of(price, c.qty, book.value_micro, fee_ppm, 0)
    reason = new_denial(core, c, book, hold)
    if reason:
        return deny(core, c, reason)
    if events_reserve(core, events_at_most(core, book, c.side, c.qty, c.stp or book.rules != NONE)):
        return -1
    if order_reserve(core) or (core.check_funds and position_reserve(core)):
        return -1
    if core.check_funds and c.side == CPX_SIDE_SELL and ask_reserve(core, c.account, c.book):
        return -1
    if at == NONE:
        if book_reserve(core):
            return -1
        at = book_open(core, c.book)  # no change yet: an unlisted book without orders is no part of the state
    if core.check_funds:
        position_make(core, c.account, book_at(core, at))
    admit(core, c, at, price, hold, fee_ppm)
    return 0


cdef inline void admit(
    Core *core, const Command *c, uint32_t at, int64_t price, int64_t hold, uint32_t fee_ppm
) noexcept nogil:
    """Give an order that nothing speaks against a slot, and let it meet the book."""
    cdef BookLine *book = book_at(core, at)
    cdef uint32_t slot = order_take(core)
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext
    cdef uint8_t flags = 0
    order.ext = ext_take(core)
    ext = ext_at(core, order.ext)
    order.leaves = c.qty
    order.account = c.account
    order.id = c.order_id
    order.price = price
    order.qty = c.qty
    order.client_ref = c.client_ref
    order.book_side = at << 1 | c.side
    ext.expiry_ns = c.expiry_ns if c.tif == CPX_TIF_GTD else 0
    ext.done_micro = 0
    ext.aux = c.aux if c.flags & FLAGS_WITH_AUX else 0
    ext.shown = 0
    ext.stamp = 0
    ext.fee_ppm = fee_ppm
    ext.heap_at = NONE
    ext.tif = c.tif
    ext.order_type = c.order_type
    ext.flags = c.flags
    ext.stp = c.stp
    order_register(core, slot)
    reserve_change(core, order, book, hold, c.qty)
    if price != c.price:
        flags = CPX_EVENT_SLID
    if may_rest(ext) and (c.flags & (CPX_FLAG_ICEBERG | CPX_FLAG_MIN_QTY) or c.order_type != CPX_ORDER_TYPE_LIMIT):
        flags |= CPX_EVENT_HIDDEN
    tell(core, CPX_KIND_ACCEPTED, 0, flags, order, c.qty, c.qty, hold)
    work(core, slot)


# --- CANCEL, REDUCE, REPLACE, AMEND ---


cdef inline uint32_t find_mine(Core *core, const Command *c) noexcept nogil:
    """The slot of the order if it is live and of this account, or NONE."""
    cdef uint32_t slot = order_find(core, c.order_id)
    if slot != NONE and order_at(core, slot).account != c.account:
        return NONE
    return slot


cdef inline bint is_no_cancel(Core *core, const BookLine *book) noexcept nogil:
    """X4: whether this is the tail of a call in which orders stay as they are."""
    cdef const BookRules *rules = rules_of(core, book)
    return rules != NULL and rules.phase == CPX_PHASE_AUCTION and rules.call & CPX_CALL_NO_CANCEL


cdef inline int op_cancel(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = order_op_reason(core, c)
    cdef uint32_t slot
    if reason:
        return reject(core, c, reason)
    slot = find_mine(core, c)
    if slot == NONE:
        return reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
    if is_no_cancel(core, book_of(core, order_at(core, slot))):
        return reject(core, c, CPX_REJECT_PHASE)
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
    if is_no_cancel(core, book_of(core, order_at(core, slot))):
        return reject(core, c, CPX_REJECT_PHASE)
    shrink(core, slot, c.qty, 0)
    return 0


cdef inline uint8_t change_reason(Core *core, const Command *c, const OrderSlot *order, int64_t leaves) noexcept nogil:
    """0, or the smallest RejectReason of a REPLACE or AMEND of a live order that leaves so many lots open."""
    cdef const BookLine *book = book_of(core, order)
    cdef int64_t total = order.qty - order.leaves + leaves
    cdef int64_t done_micro = 0 if order.ext == NONE else ext_at(core, order.ext).done_micro
    cdef bint is_limit = order.ext == NONE or ext_at(core, order.ext).order_type == CPX_ORDER_TYPE_LIMIT
    cdef uint8_t phase = phase_of(core, book)
    if total > book.max_lots:
        return CPX_REJECT_INVALID_QTY
    if is_iceberg(core, order) and total > ext_at(core, order.ext).aux * CPX_MAX_SLICES:
        return CPX_REJECT_INVALID_QTY
    if not cpx_notional_fits(c.price, leaves if leaves > 0 else 0, book.value_micro, <uint64_t>done_micro):
        return CPX_REJECT_INVALID_NOTIONAL
    if (phase != CPX_PHASE_OPEN and phase != CPX_PHASE_AUCTION) or is_no_cancel(core, book):
        return CPX_REJECT_PHASE
    if c.price != order.price and is_limit and leaves > 0 and is_limit_outside(core, book, c.price):
        return CPX_REJECT_PRICE_BAND
    return 0


cdef inline int op_change(Core *core, const Command *c) noexcept nogil:
    """REPLACE (qty = new open quantity) and AMEND (qty = new total)."""
    cdef uint8_t reason = order_op_reason(core, c)
    cdef uint32_t slot
    cdef OrderSlot *order
    cdef int64_t leaves
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
    leaves = c.qty if c.op == CPX_OP_REPLACE else c.qty - (order.qty - order.leaves)
    reason = change_reason(core, c, order, leaves)
    if reason:
        return reject(core, c, reason)
    if leaves <= 0:
        withdraw(core, slot, CPX_KIND_CANCELED, CPX_CANCEL_AMENDED)  # AM4
        return 0
    if c.op == CPX_OP_AMEND and c.price == order.price and leaves <= order.leaves:
        shrink(core, slot, leaves, 0)  # AM2, AM3
        return 0
    return requeue(core, c, slot, leaves)  # AM1


cdef inline uint8_t requeue_denial(
    Core *core, const OrderSlot *order, const BookLine *book, int64_t more_hold, int64_t more_lots
) noexcept nogil:
    if core.check_funds and order.book_side & 1 == CPX_SIDE_BUY:
        if more_hold > account_find(core, order.account).purses[<int>CPX_BUCKET_CASH]:
            return CPX_DENY_INSUFFICIENT_FUNDS
    elif core.check_funds and book.group and not has_room(core, order.account, book.group, more_lots):
        return CPX_DENY_CAPACITY
    return CPX_DENY_BLOCKED if is_blocked(core, order.account) else 0


cdef inline int requeue(Core *core, const Command *c, uint32_t slot, int64_t leaves) noexcept nogil:
    """The order leaves its place and meets the book as a taker with its new price and open quantity."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef uint8_t side = order.book_side & 1
    cdef int64_t hold_before = order_hold(core, order, book)
    cdef int64_t more_lots = leaves - order.leaves
    cdef int64_t hold = 0
    cdef uint8_t reason
    if order.ext != NONE and ext_at(core, order.ext).flags & CPX_FLAG_POST_ONLY:
        if phase_of(core, book) == CPX_PHASE_OPEN and first_tradable(core, book, side, c.price, leaves) != NULL:
            return reject(core, c, CPX_REJECT_WOULD_TRADE)  # PO5: it never slides
    if core.check_funds and side == CPX_SIDE_BUY:
        hold = hold_of(c.price, leaves, book.value_micro, ext_at(core, order.ext).fee_ppm,
                       ext_at(core, order.ext).done_micro)
    reason = requeue_denial(core, order, book, hold - hold_before, more_lots)
    if reason:
        return deny(core, c, reason)
    if events_reserve(core, events_at_most(core, book, side, leaves, order.ext != NONE or book.rules != NONE)):
        return -1
    queue_leave(core, slot)
    order.price = c.price
    order.qty += more_lots
    order.leaves = leaves
    extend(core, order)
    reserve_change(core, order, book, hold - hold_before, more_lots)
    tell(core, CPX_KIND_REPLACED, 0, 0, order, order.qty, leaves, hold)
    work(core, slot)
    return 0


cdef inline void extend(Core *core, OrderSlot *order) noexcept nogil:
    """Give a plain order the extras that every taker has."""
    cdef Ext *ext
    if order.ext != NONE:
        return
    order.ext = ext_take(core)
    ext = ext_at(core, order.ext)
    ext.expiry_ns = 0
    ext.done_micro = 0
    ext.aux = 0
    ext.shown = 0
    ext.stamp = 0
    ext.fee_ppm = 0
    ext.heap_at = NONE
    ext.tif = CPX_TIF_GTC
    ext.order_type = CPX_ORDER_TYPE_LIMIT
    ext.flags = 0
    ext.stp = 0
