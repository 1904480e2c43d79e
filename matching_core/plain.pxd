"""The short way for plain orders in plain books: what nearly every command is.

Plain is a GTC or IOC limit order without flags or self-trade mode, in an engine that does not check funds, in an open
book that nobody set up, facing no iceberg and no minimum, while nobody is killed (X3). `plain` applies such a command
whole and returns True, or finds anything else, changes nothing and returns False: then `orders.pxd` decides. Both ways
give the same events.
Rules kept here: C5, C6 (best price, then first come, at the maker's price), L1, I1, AM1.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .book cimport book_append, book_detach, emit, order_at, order_free, order_give, order_take, reject
from .directory cimport order_find, order_page_put, order_page_ready
from .ladder cimport ladder_best, ladder_close, level_at
from .types cimport *

cdef enum:
    PLAIN_NEW = 0x01000101  # the bits that the first eight bytes of a plain NEW may have: op, side 1, tif IOC
    SPARE_EVENTS = 8  # room for these is there before every command


cdef struct Ahead:  # what looking ahead has found out about a command; all of it is checked again
    const uint32_t *entry  # where the slot of its order id stands in its page, if the id has one
    BookLine *book  # line of its book, if it has one
    uint32_t at  # and its index


cdef inline void plain_free(Core *core, uint32_t slot, OrderSlot *order) noexcept nogil:
    """order_free, short where nothing about the order is rare."""
    cdef uint64_t place = (order.id >> 7) & core.order_ring_mask
    cdef uint32_t page = core.order_ring[place]
    if cpx_unlikely(order.ext != NONE or core.order_map.n != 0 or core.page_counts[page] == 1):
        order_free(core, slot)
        return
    core.page_counts[page] -= 1
    core.n_orders -= 1
    order_give(core, slot)


cdef inline int64_t plain_match(
    Core *core, BookLine *book, uint32_t side, uint64_t taker, int64_t limit, int64_t leaves
) noexcept nogil:
    """Trade while the best maker crosses; returns what is left. O(fills). limit is a key of the makers' side."""
    cdef uint32_t opposite = 1 - side
    cdef int64_t lots
    cdef uint32_t at, slot, following
    cdef Level *level
    cdef OrderSlot *maker
    while True:
        at = ladder_best(book, opposite)
        level = level_at(core, at)
        slot = level.head
        while True:
            maker = order_at(core, slot)
            following = maker.next
            cpx_prefetch(core.orders + cpx_pick(following == NONE, 0, following))
            lots = maker.leaves
            if lots > leaves:
                maker.leaves = lots - leaves
                maker.prev = NONE
                level.head = slot
                emit(core, CPX_KIND_TRADE, side, 0, 0, book.id, taker, maker.id, maker.price, leaves, 0, lots - leaves)
                return 0
            leaves -= lots
            emit(core, CPX_KIND_TRADE, side, 0, 0, book.id, taker, maker.id, maker.price, lots, leaves, 0)
            book.n_orders[opposite] -= 1
            plain_free(core, slot, maker)
            if following == NONE:
                level.head = NONE
                level.tail = NONE
                break
            slot = following
            if leaves == 0:
                order_at(core, slot).prev = NONE
                level.head = slot
                return 0
        ladder_close(core, book, opposite, at)
        if leaves == 0 or book.best[opposite] < limit:
            return leaves


cdef inline bint plain(Core *core, const Command *c, const Ahead *ahead) noexcept nogil:
    """NEW, CANCEL, REPLACE, and AMEND where it loses priority."""
    cdef uint64_t head = cpx_command_head(c)
    cdef bint is_new = head & ~<uint64_t>(PLAIN_NEW - 1) == CPX_OP_NEW
    cdef uint32_t side, slot
    cdef OrderSlot *order
    cdef BookLine *book
    cdef int64_t leaves, filled, limit
    if cpx_unlikely(c.order_id == 0 or c.order_id > <uint64_t>CPX_MAX_ORDER_ID):
        return False
    if is_new:
        book = ahead.book
        side = c.side
        leaves = c.qty
        filled = 0
        slot = NONE
        if cpx_unlikely(book.id != c.book or core.n_orders >= core.max_orders):
            return False
        if cpx_unlikely(c.order_id <= core.highest_id and order_find(core, c.order_id) != NONE):
            return False
        if cpx_unlikely(not order_page_ready(core, c.order_id)):
            return False
    elif head >> 32 == 0:  # stp, flags and reserved
        slot = ahead.entry[0]
        if cpx_unlikely(core.orders[slot].id != c.order_id):
            slot = order_find(core, c.order_id)
            if slot == NONE:
                if c.op != CPX_OP_CANCEL:
                    return False
                reject(core, c, CPX_REJECT_UNKNOWN_ORDER)
                return True
        order = core.orders + slot
        book = core.books + (order.book_side >> 1)
        side = order.book_side & 1
        if cpx_unlikely(order.account != c.account or order.ext != NONE or book.rules != NONE):
            return False
        if c.op == CPX_OP_CANCEL:
            emit(core, CPX_KIND_CANCELED, <uint8_t>side, CPX_CANCEL_ASKED, 0, book.id, c.order_id, order.client_ref,
                 order.price, order.leaves, 0, 0)
            book_detach(core, book, side, order)
            plain_free(core, slot, order)
            return True
        filled = order.qty - order.leaves
        leaves = c.qty
        if cpx_unlikely(leaves < 1):
            return False
        if c.op == CPX_OP_AMEND:
            leaves -= filled
            if leaves <= 0 or (c.price == order.price and leaves <= order.leaves):
                return False
        elif c.op != CPX_OP_REPLACE:
            return False
    else:
        return False
    if cpx_unlikely(c.price < 1 or c.price > CPX_MAX_PRICE_TICKS or c.qty < 1 or c.qty > CPX_MAX_QTY_LOTS
                    or filled + leaves > book.max_lots):
        return False
    if cpx_unlikely(not cpx_product_fits(c.price, leaves, book.max_product) or book.rules != NONE or
                    book.n_special[1 - side] != 0 or core.n_killed != 0):
        return False
    limit = c.price ^ core.mirror[1 - side]
    if book.best[1 - side] >= limit and cpx_unlikely(
            core.n_events + (book.n_orders[1 - side] if book.n_orders[1 - side] < <uint64_t>leaves else <uint64_t>leaves)
            + SPARE_EVENTS > core.events_capacity):
        return False
    if is_new:
        emit(core, CPX_KIND_ACCEPTED, <uint8_t>side, 0, 0, c.book, c.order_id, c.client_ref, c.price, leaves, leaves, 0)
    else:
        book_detach(core, book, side, order)
        order.price = c.price
        order.qty = filled + leaves
        emit(core, CPX_KIND_REPLACED, <uint8_t>side, 0, 0, book.id, c.order_id, order.client_ref, c.price,
             filled + leaves, leaves, 0)
    if book.best[1 - side] >= limit:
        leaves = plain_match(core, book, side, c.order_id, limit, leaves)
        if leaves == 0:
            if not is_new:
                plain_free(core, slot, order)
            return True
    if is_new:
        if c.tif == CPX_TIF_IOC:
            emit(core, CPX_KIND_CANCELED, <uint8_t>side, CPX_CANCEL_IOC, 0, c.book, c.order_id, c.client_ref, c.price,
                 leaves, 0, 0)
            return True
        slot = order_take(core)
        order = core.orders + slot
        order.account = c.account
        order.id = c.order_id
        order.price = c.price
        order.qty = c.qty
        order.client_ref = c.client_ref
        order.book_side = ahead.at << 1 | side
        order.ext = NONE
        order_page_put(core, c.order_id, slot)
        core.n_orders += 1
    order.leaves = leaves
    book_append(core, book, side, c.price ^ core.mirror[side], slot, order)
    return True
