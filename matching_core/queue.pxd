"""An order rests, shrinks, shows its next slice, and leaves; whatever the reason, its cover and its place go with it.

Rules kept here: AM2 and IC5 (fewer lots in the same place; what is hidden goes first), IC2 and IC4 (which slice of an
iceberg stands in the queue), HM2 (the money side of a fill), HM3 and ST3 (whoever leaves frees what he held, in one
event), RT4 (what may suit a waiting task is marked). A taker has a slot like any other order: it is known by its id and
in no queue. `reference/queue.py` is the rulebook, `reference/cover.py` for money.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from .accounts cimport (
    account_find, asks_add, asks_remove, count_trade, hold_resize, open_resize, order_hold, position_find, post,
)
from .book cimport (
    book_link, book_of, book_unlink, emit, ext_at, ext_give, is_iceberg, order_at, order_free, rules_of, touch,
)
from .dirt cimport dirty_if_idle, mark, tell_less, tell_shrunk
from .sources cimport ask_changed, ask_entered, ask_left
from .types cimport *

# --- what an order needs behind it ---


cdef inline void reserve_change(
    Core *core, const OrderSlot *order, const BookLine *book, int64_t hold_change, int64_t lots_change
) noexcept nogil:
    """Bring hold (buys) or open capacity (sells) to what the order needs now."""
    if not core.check_funds:
        return
    if order.book_side & 1:
        open_resize(core, order.account, book.group, lots_change)
    else:
        hold_resize(account_find(core, order.account), hold_change)


cdef inline void settle(
    Core *core, const BookLine *book, OrderSlot *buy, const OrderSlot *sell, int64_t price, int64_t lots,
    int64_t hold_before, uint8_t flags,
) noexcept nogil:
    """HM2: cost and fee of a fill go from HELD to ESCROW, the rest of its hold is freed. Both have lost their lots."""
    cdef AccountLine *account
    cdef Ext *ext
    cdef int64_t cost, fee, freed
    if not core.check_funds:
        return
    account = account_find(core, buy.account)
    ext = ext_at(core, buy.ext)
    cost = price * lots * book.value_micro
    fee = post(account, cost, ext.fee_ppm, &ext.done_micro)
    freed = hold_before - cost - fee - order_hold(core, buy, book)
    CPX_CHECK(freed >= 0)
    account.order_holds -= cost + fee
    hold_resize(account, -freed)
    emit(core, CPX_KIND_POSTED, CPX_SIDE_BUY, 0, flags, book.id, buy.id, buy.account, fee, cost, freed, sell.account)
    count_trade(core, buy.account, sell.account, book, lots)


# --- into the queue and out of it ---


cdef inline void tell(
    Core *core, uint8_t kind, uint8_t reason, uint8_t flags, const OrderSlot *order, int64_t qty, int64_t leaves,
    int64_t contra_leaves,
) noexcept nogil:
    """An event about one order, with its side, book, client_ref and price."""
    emit(core, kind, order.book_side & 1, reason, flags, book_of(core, order).id, order.id, order.client_ref,
         order.price, qty, leaves, contra_leaves)


cdef inline void queue_enter(Core *core, uint32_t slot) noexcept nogil:
    """Queue an order that is known, with the list of its account's live sells."""
    cdef OrderSlot *order = order_at(core, slot)
    book_link(core, slot)
    if core.check_funds and order.book_side & 1:
        asks_add(position_find(core, order.account, book_of(core, order).id), slot)
        ask_entered(core, order.account, book_of(core, order))


cdef inline void queue_leave(Core *core, uint32_t slot) noexcept nogil:
    """Take an order out of its queue; nothing is freed, and it is still known."""
    cdef OrderSlot *order = order_at(core, slot)
    if core.check_funds and order.book_side & 1:
        tell_less(core, order)
        asks_remove(position_find(core, order.account, book_of(core, order).id), slot)
        ask_left(core, order.account, book_of(core, order))
    book_unlink(core, slot)


cdef inline void rest(Core *core, uint32_t slot, int64_t taken) noexcept nogil:
    """Queue what is left of an order after it has taken so many lots; an iceberg says which slice it shows (IC4)."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext = ext_at(core, order.ext)
    cdef BookRules *rules = rules_of(core, book_of(core, order))
    cdef int64_t used
    if not (core.check_funds or ext.tif or ext.order_type or ext.flags or ext.stp):
        ext_give(core, order.ext)  # a plain order after all
        order.ext = NONE
        book_link(core, slot)
        return
    if order.book_side & 1:
        mark(core, book_of(core, order))
    if not ext.flags & CPX_FLAG_ICEBERG:
        queue_enter(core, slot)
        return
    used = 0 if rules != NULL and rules.flags & CPX_RULE_FRESH_PEAK else taken % ext.aux
    ext.shown = ext.aux - used if ext.aux - used < order.leaves else order.leaves
    queue_enter(core, slot)
    tell(core, CPX_KIND_REPLENISHED, 0, 0, order, ext.shown, order.leaves, 0)


cdef inline void replenish(Core *core, uint32_t slot) noexcept nogil:
    """IC2: the next slice stands at the tail with a new stamp."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext = ext_at(core, order.ext)
    book_unlink(core, slot)
    ext.shown = ext.aux if ext.aux < order.leaves else order.leaves
    book_link(core, slot)
    if core.check_funds and order.book_side & 1:
        ask_changed(core, order.account, book_of(core, order))
    tell(core, CPX_KIND_REPLENISHED, 0, 0, order, ext.shown, order.leaves, 0)


cdef inline void after_fill(Core *core, uint32_t slot, int64_t lots) noexcept nogil:
    """A resting order has traded so many lots: it goes when filled, and an iceberg shows its next slice (IC2)."""
    cdef OrderSlot *order = order_at(core, slot)
    if order.leaves == 0:
        queue_leave(core, slot)
        order_free(core, slot)
        return
    if core.check_funds and order.book_side & 1:
        tell_less(core, order)
    if is_iceberg(core, order):
        ext_at(core, order.ext).shown -= lots
        if ext_at(core, order.ext).shown <= 0:
            replenish(core, slot)


cdef inline void shrink(Core *core, uint32_t slot, int64_t leaves, uint8_t flags) noexcept nogil:
    """Fewer open lots, or as many, in the same place; what an iceberg hides goes first (IC5)."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef int64_t hold_before = order_hold(core, order, book)
    cdef int64_t fewer = order.leaves - leaves
    cdef int64_t hold
    if core.check_funds and order.book_side & 1 and fewer > 0:
        tell_shrunk(core, slot)
    order.qty -= fewer
    order.leaves = leaves
    touch(core, book)
    if order.ext != NONE and ext_at(core, order.ext).shown > leaves:
        ext_at(core, order.ext).shown = leaves
    hold = order_hold(core, order, book)
    reserve_change(core, order, book, hold - hold_before, -fewer)
    tell(core, CPX_KIND_REPLACED, 0, CPX_EVENT_KEPT_PRIORITY | flags, order, order.qty, leaves, hold)


cdef inline void discard(Core *core, uint32_t slot, uint8_t kind, uint8_t reason) noexcept nogil:
    """End an order that is in no queue, and free what it held; one event."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef BookLine *book = book_of(core, order)
    cdef int64_t freed = order_hold(core, order, book)
    reserve_change(core, order, book, -freed, -order.leaves)
    tell(core, kind, reason, 0, order, order.leaves, 0, freed)
    order_free(core, slot)
    dirty_if_idle(core, book)


cdef inline void withdraw(Core *core, uint32_t slot, uint8_t kind, uint8_t reason) noexcept nogil:
    """Take a resting order out and free what it held; one event."""
    queue_leave(core, slot)
    discard(core, slot, kind, reason)
