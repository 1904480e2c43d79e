"""Dirt: the books where something new may suit a waiting task; and what sources and rows of books are made anew for.

Rules kept here: RT4 (what rests, lowered minima, band moves and phase changes mark a book), decision 0008. A book is
dirty once, however often it is marked; its line knows its place in the list. Every function is short where no task
waits and no family is listed. `reference/drains.py` is the rulebook.
"""

from libc.stdint cimport uint32_t

from .accounts cimport position_find
from .book cimport book_of, is_open, order_at, order_flags
from .market cimport family_of_book
from .sources cimport ask_changed
from .types cimport *


cdef inline void dirty_add(Core *core, BookLine *book) noexcept nogil:
    """A book of a listed family is dirty now; the list has room for every book."""
    book.dirty_at = core.n_dirty
    core.dirty[core.n_dirty] = <uint32_t>((<size_t>book - <size_t>core.books) // sizeof(BookLine))
    core.n_dirty += 1


cdef inline void dirty_remove(Core *core, BookLine *book) noexcept nogil:
    """A book closes, or is no part of the state any more."""
    cdef uint32_t last
    if book.dirty_at == NONE:
        return
    core.n_dirty -= 1
    last = core.dirty[core.n_dirty]
    core.dirty[book.dirty_at] = last
    core.books[last].dirty_at = book.dirty_at
    book.dirty_at = NONE


cdef inline void mark(Core *core, BookLine *book) noexcept nogil:
    """RT4: something in a book may suit a waiting task now."""
    if cpx_unlikely(core.n_tasks != 0) and book.dirty_at == NONE and family_of_book(core, book.id) != NULL:
        dirty_add(core, book)


cdef inline bint has_minimum(Core *core, uint32_t account, uint32_t book) noexcept nogil:
    """Whether an account has a live sell with a minimum in a book."""
    cdef const PositionLine *position = position_find(core, account, book)
    cdef uint32_t i
    if position != NULL:
        for i in range(position.n_asks):
            if order_flags(core, order_at(core, position.asks[i])) & CPX_FLAG_MIN_QTY:
                return True
    return False


cdef inline void mark_less(Core *core, BookLine *book, uint32_t account) noexcept nogil:
    """A resting sell shrinks, trades or leaves: what stands behind a minimum, or among other sites, may suit now."""
    if cpx_likely(core.n_tasks == 0) or (core.n_spreads == 0 and book.n_special[<int>CPX_SIDE_SELL] == 0):
        return
    if core.n_spreads != 0 or has_minimum(core, account, book.id):
        mark(core, book)


cdef inline void tell_less(Core *core, const OrderSlot *order) noexcept nogil:
    """A resting sell of a funded engine has fewer lots, or goes."""
    ask_changed(core, order.account, book_of(core, order))
    mark_less(core, book_of(core, order), order.account)


cdef inline void tell_shrunk(Core *core, uint32_t slot) noexcept nogil:
    """As tell_less, where the sell may be a taker, which is no business of anybody's."""
    cdef const OrderSlot *order = order_at(core, slot)
    cdef const PositionLine *position = position_find(core, order.account, book_of(core, order).id)
    cdef uint32_t i
    for i in range(position.n_asks):
        if position.asks[i] == slot:
            tell_less(core, order)
            return


cdef inline void dirty_if_idle(Core *core, BookLine *book) noexcept nogil:
    """An unlisted book without orders is no part of the state, unless it was set up."""
    if cpx_unlikely(book.dirty_at != NONE) and not is_open(book):
        dirty_remove(core, book)
