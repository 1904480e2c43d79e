"""Task legs: TAKE buys from the asks of one account, whole or not at all, paid from HELD.

Rules kept here: K2 (a leg is one command), the best ask of that account first, then first come; everybody else's orders
are passed over and keep their priority. The fee continues from what the task has paid in earlier legs.
`reference/tasks.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .accounts cimport (
    account_find, asks_sorted, count_trade, held_free, may_trade, position_make, position_reserve, post,
)
from .book cimport book_at, emit, events_reserve, level_at, order_at
from .hashmap cimport map_get
from .matching cimport deny, maker_remove, order_op_reason, price_valid, qty_valid, reject
from .types cimport *


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
    if map_get(&core.order_map, c.order_id) != NONE:
        return CPX_REJECT_DUPLICATE_ID
    return 0


cdef inline int op_take(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t at = map_get(&core.book_map, c.book)
    cdef BookLine *book = &core.blank
    cdef uint8_t reason
    cdef uint32_t slots[4]
    cdef uint32_t n, i
    cdef int64_t missing, lots, notional, fee
    cdef OrderSlot *ask
    if at != NONE:
        book = book_at(core, at)
    elif core.listed_only:
        return reject(core, c, CPX_REJECT_UNKNOWN_BOOK)
    reason = take_reason(core, c, book)
    if reason:
        return reject(core, c, reason)
    n = asks_sorted(core, <uint32_t>c.aux, c.book, slots)
    missing = c.qty
    notional = 0
    for i in range(n):
        ask = order_at(core, slots[i])
        if ask.price <= c.price and missing > 0:
            lots = missing if missing < ask.leaves else ask.leaves
            missing -= lots
            notional += ask.price * lots * book.value_micro
    if missing > 0:
        return reject(core, c, CPX_REJECT_NOT_ENOUGH_DEPTH)
    fee = cpx_fee(core.fees_ppm[c.order_type], <int64_t>c.client_ref + notional) - cpx_fee(
        core.fees_ppm[c.order_type], <int64_t>c.client_ref)
    if notional + fee > held_free(account_find(core, c.account)):
        return deny(core, c, CPX_DENY_INSUFFICIENT_FUNDS)
    if events_reserve(core, 8) or position_reserve(core):
        return -1
    position_make(core, c.account, book)
    take_fills(core, c, book, slots)
    return 0


cdef inline void take_fills(Core *core, const Command *c, BookLine *book, const uint32_t *slots) noexcept nogil:
    """The fills of a leg that was found whole and paid for."""
    cdef AccountLine *buyer = account_find(core, c.account)
    cdef uint32_t fee_ppm = core.fees_ppm[c.order_type]
    cdef int64_t done_micro = <int64_t>c.client_ref
    cdef int64_t missing = c.qty
    cdef int64_t lots, cost, fee
    cdef uint32_t i = 0
    cdef uint32_t seller
    cdef OrderSlot *ask
    while missing > 0:
        ask = order_at(core, slots[i])
        seller = ask.account
        lots = missing if missing < ask.leaves else ask.leaves
        missing -= lots
        ask.leaves -= lots
        level_at(core, ask.level).total -= <uint64_t>lots
        cost = ask.price * lots * book.value_micro
        fee = post(buyer, cost, fee_ppm, &done_micro)
        emit(core, CPX_KIND_TRADE, CPX_SIDE_BUY, 0, CPX_EVENT_TAKE, book.id, c.order_id, ask.id, ask.price, lots,
             missing, ask.leaves)
        emit(core, CPX_KIND_POSTED, CPX_SIDE_BUY, 0, CPX_EVENT_TAKE, book.id, c.order_id, c.account, fee, cost, 0,
             seller)
        count_trade(core, c.account, seller, book, lots)
        if ask.leaves == 0:
            maker_remove(core, book, slots[i])
        i += 1
