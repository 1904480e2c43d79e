"""What many orders or books have in common that end at once: a list of them in T3 order."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport qsort

from .book cimport book_at, book_of, order_at
from .ladder cimport price_key
from .types cimport *


cdef inline int due_order(const void *a, const void *b) noexcept nogil:
    """T3: by book id, bids then asks, best to worst, first come first."""
    cdef const DueOrder *x = <const DueOrder *>a
    cdef const DueOrder *y = <const DueOrder *>b
    if x.book != y.book:
        return -1 if x.book < y.book else 1
    if x.side != y.side:
        return -1 if x.side < y.side else 1
    if x.minus_key != y.minus_key:
        return -1 if x.minus_key < y.minus_key else 1
    return -1 if x.stamp < y.stamp else 1


cdef inline void due_sort(DueOrder *due, uint64_t n) noexcept nogil:
    if n > 1:
        qsort(due, n, sizeof(DueOrder), due_order)


cdef inline int due_reserve(Core *core, uint64_t n) noexcept nogil:
    return cpx_grow(<void **>&core.due, &core.due_capacity, n, sizeof(DueOrder))


cdef inline void due_set(Core *core, uint64_t at, uint32_t slot, uint64_t stamp) noexcept nogil:
    """Note an order with its place in T3 order; room was reserved before."""
    cdef DueOrder *due = core.due + at
    cdef const OrderSlot *order = order_at(core, slot)
    due.book = book_of(core, order).id
    due.side = order.book_side & 1
    due.minus_key = -price_key(due.side, order.price)
    due.stamp = stamp
    due.slot = slot


cdef inline void due_set_book(Core *core, uint64_t at, uint32_t line) noexcept nogil:
    """Note a book, to be sorted by its id; room was reserved before."""
    cdef DueOrder *due = core.due + at
    due.book = book_at(core, line).id
    due.side = 0
    due.minus_key = 0
    due.stamp = 0
    due.slot = line
