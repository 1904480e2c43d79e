"""Task legs: TAKE buys from the asks of one account, whole or not at all, paid from HELD; and what it would cost.

Rules kept here: K2 (a leg is one command), the best ask of that account first, then first come (C5 among its own), MQ2;
everybody else's orders are passed over and keep their priority. The fee continues from what the task has paid in
earlier legs, so the split into legs does not matter. `reference/tasks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from .accounts cimport (
    account_find, asks_sorted, count_trade, held_free, is_blocked, may_trade, position_make, position_reserve, post,
)
from .book cimport book_at, deny, emit, events_reserve, order_at, order_minimum, reject
from .directory cimport book_find
from .dirt cimport dirty_if_idle
from .orders cimport is_id_taken, order_op_reason, price_valid, qty_valid
from .phases cimport is_takeable
from .queue cimport after_fill
from .types cimport *

cdef enum:
    EVENTS_PER_FILL = 3  # TRADE, POSTED, and REPLENISHED where an iceberg shows its next slice

cdef struct AskFill:  # one ask that a leg meets
    uint32_t slot
    int64_t lots


cdef inline uint32_t asks_meet(
    Core *core, uint32_t account, uint32_t book, int64_t worst_price, int64_t qty, AskFill *fills
) noexcept nogil:
    """Fill fills[4] with the asks that a purchase of qty meets; how many, or 0 if they offer less within the price."""
    cdef uint32_t slots[4]
    cdef uint32_t n = asks_sorted(core, account, book, slots)
    cdef uint32_t n_fills = 0
    cdef uint32_t i
    cdef int64_t lots
    cdef const OrderSlot *ask
    for i in range(n):
        ask = order_at(core, slots[i])
        lots = qty if qty < ask.leaves else ask.leaves
        if ask.price <= worst_price and lots > 0 and lots >= order_minimum(core, ask):
            fills[n_fills].slot = slots[i]
            fills[n_fills].lots = lots
            n_fills += 1
            qty -= lots
    return n_fills if qty == 0 else 0


cdef inline uint8_t take_reason(Core *core, const Command *c, const BookLine *book) noexcept nogil:
    cdef uint8_t reason
    if core.check_funds and not may_trade(core, c.aux):
        return CPX_REJECT_UNKNOWN_ACCOUNT
    reason = order_op_reason(core, c)
    if reason:
        return reason
    if not core.check_funds or c.side != CPX_SIDE_BUY or c.order_type >= CPX_FEE_TABLES:
        return CPX_REJECT_INVALID_FIELD
    if not price_valid(c.price):
        return CPX_REJECT_INVALID_PRICE
    if not qty_valid(c.qty):
        return CPX_REJECT_INVALID_QTY
    if not cpx_notional_fits(c.price, c.qty, book.value_micro, c.client_ref):
        return CPX_REJECT_INVALID_NOTIONAL
    if not is_takeable(core, book):
        return CPX_REJECT_PHASE
    return CPX_REJECT_DUPLICATE_ID if is_id_taken(core, c.order_id) else 0


cdef inline int op_take(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = book_find(core, c.book)
    cdef BookLine *book = &core.blank
    cdef AskFill fills[4]
    cdef uint8_t reason
    cdef uint32_t n
    if at != NONE:
        book = book_at(core, at)
    elif core.listed_only:
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    reason = take_reason(core, c, book)
    if reason:
        return reject(core, c, reason)
    n = asks_meet(core, <uint32_t>c.aux, c.book, c.price, c.qty, fills)
    if n == 0:
        return reject(core, c, CPX_REJECT_NOT_ENOUGH_DEPTH)
    if take_cost(core, c, book, fills, n) > held_free(account_find(core, c.account)):
        return deny(core, c, CPX_DENY_INSUFFICIENT_FUNDS)
    if is_blocked(core, c.account):
        return deny(core, c, CPX_DENY_BLOCKED)
    if events_reserve(core, n * EVENTS_PER_FILL) or position_reserve(core):
        return -1
    position_make(core, c.account, book)
    take_fills(core, c, book, fills, n)
    return 0


cdef inline int64_t take_cost(
    Core *core, const Command *c, const BookLine *book, const AskFill *fills, uint32_t n
) noexcept nogil:
    """What a leg pays, with its fee; its price times quantity fits, so this does."""
    cdef uint32_t fee_ppm = core.fees_ppm[c.order_type]
    cdef int64_t paid_before = <int64_t>c.client_ref
    cdef int64_t cost = 0
    cdef uint32_t i
    for i in range(n):
        cost += order_at(core, fills[i].slot).price * fills[i].lots * book.value_micro
    return cost + cpx_fee(fee_ppm, paid_before + cost) - cpx_fee(fee_ppm, paid_before)


cdef inline void take_fills(
    Core *core, const Command *c, const BookLine *book, const AskFill *fills, uint32_t n
) noexcept nogil:
    """The fills of a leg that was found whole and paid for."""
    cdef AccountLine *buyer = account_find(core, c.account)
    cdef int64_t done_micro = <int64_t>c.client_ref
    cdef int64_t missing = c.qty
    cdef int64_t lots, cost, fee
    cdef uint32_t i
    cdef OrderSlot *ask
    for i in range(n):
        ask = order_at(core, fills[i].slot)
        lots = fills[i].lots
        missing -= lots
        ask.leaves -= lots
        cost = ask.price * lots * book.value_micro
        fee = post(buyer, cost, core.fees_ppm[c.order_type], &done_micro)
        emit(core, CPX_KIND_TRADE, CPX_SIDE_BUY, 0, CPX_EVENT_TAKE, book.id, c.order_id, ask.id, ask.price, lots,
             missing, ask.leaves)
        emit(core, CPX_KIND_POSTED, CPX_SIDE_BUY, 0, CPX_EVENT_TAKE, book.id, c.order_id, c.account, fee, cost, 0,
             ask.account)
        count_trade(core, c.account, ask.account, book, lots)
        after_fill(core, fills[i].slot, lots)
        dirty_if_idle(core, &core.books[book_find(core, book.id)])
