"""Orders in books: slots, extras, queues and the expiry heap. It queues and finds, it does not trade.

Rules kept here: C3 (a level exists only while it holds an order), C4 (an id is known exactly while its slot is
linked), C5 (a level is first come, first served). Slabs that grow do so in the `reserve` functions only, before a
command changes anything; pointers into those do not outlive a reserve.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .directory cimport book_directory_reserve, book_forget, book_put, order_directory_reserve, order_forget, order_put
from .ladder cimport ladder_close, ladder_open, level_at, price_key
from .types cimport (
    BOOK_FREE, BOOK_LISTED, BOOK_UNLISTED, FEW_BOOKS, CPX_CHECK, CPX_FLAG_ICEBERG, CPX_FLAG_MIN_QTY, CPX_KIND_DENIED, CPX_KIND_REJECTED, CPX_ORDER_TYPE_LIMIT,
    CPX_PHASE_AUCTION, MAX_BOOKS, NONE, BookLine, BookRules, Command, Core, Event, Ext, Level, OrderSlot, cpx_event_head, cpx_grow,
    cpx_likely, cpx_pick_place, cpx_unlikely,
)

# --- events ---


cdef inline int events_reserve(Core *core, uint64_t more) noexcept nogil:
    """Room for so many more events, and one of every call and of a new one after them (U11); 0, or -1 without memory."""
    cdef uint64_t need = core.n_events + more + core.n_calls + 1
    if cpx_likely(need <= core.events_capacity):
        return 0
    return cpx_grow(<void **>&core.events, &core.events_capacity, need, sizeof(Event))


cdef inline void emit(
    Core *core, uint8_t kind, uint8_t side, uint8_t reason, uint8_t flags, uint32_t book, uint64_t order_id,
    uint64_t contra_id, int64_t price, int64_t qty, int64_t leaves, int64_t contra_leaves,
) noexcept nogil:
    """Append one event of the command at hand; room was reserved before."""
    CPX_CHECK(core.n_events < core.events_capacity)
    cdef Event *event = core.events + core.n_events
    core.n_events += 1
    event.seq = core.seq
    cpx_event_head(event, kind | <uint64_t>side << 8 | <uint64_t>reason << 16 | <uint64_t>flags << 24 | <uint64_t>book << 32)
    event.order_id = order_id
    event.contra_id = contra_id
    event.price = price
    event.qty = qty
    event.leaves = leaves
    event.contra_leaves = contra_leaves


cdef inline int reject(Core *core, const Command *c, uint8_t reason) noexcept nogil:
    """The only event of a command that changes nothing; the batch reserved room for it."""
    emit(core, CPX_KIND_REJECTED, c.side, reason, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, 0, 0)
    return 0


cdef inline int deny(Core *core, const Command *c, uint8_t reason) noexcept nogil:
    """As reject, but risk says no."""
    emit(core, CPX_KIND_DENIED, c.side, reason, 0, c.book, c.order_id, c.client_ref, c.price, c.qty, 0, 0)
    return 0


# --- where things are ---


cdef inline OrderSlot *order_at(Core *core, uint32_t slot) noexcept nogil:
    CPX_CHECK(slot < core.orders_used)
    return core.orders + slot


cdef inline Ext *ext_at(Core *core, uint32_t ext) noexcept nogil:
    CPX_CHECK(ext < core.exts_used)
    return core.exts + ext


cdef inline BookLine *book_at(Core *core, uint32_t book) noexcept nogil:
    CPX_CHECK(book < core.books_used)
    return core.books + book


cdef inline BookLine *book_of(Core *core, const OrderSlot *order) noexcept nogil:
    return book_at(core, order.book_side >> 1)


cdef inline BookRules *rules_of(Core *core, const BookLine *book) noexcept nogil:
    """How a book trades, or NULL: nobody set it up, and every field is 0 but the phase, which is OPEN."""
    return NULL if book.rules == NONE else core.rules + book.rules


cdef inline void touch(Core *core, const BookLine *book) noexcept nogil:
    """U11: what a call would give may be different now. Nothing happens unless the book is in one."""
    cdef BookRules *rules
    if cpx_unlikely(book.rules != NONE):
        rules = core.rules + book.rules
        if rules.phase == CPX_PHASE_AUCTION and not rules.is_news:
            rules.is_news = 1
            rules.news_at = core.n_news
            core.news[core.n_news] = <uint32_t>((<size_t>book - <size_t>core.books) // sizeof(BookLine))
            core.n_news += 1


cdef inline bint is_open(const BookLine *book) noexcept nogil:
    """Whether a book is part of the state: listed, or unlisted with an order in it or set up."""
    return book.state == BOOK_LISTED or (
        book.state == BOOK_UNLISTED and (book.n_orders[0] > 0 or book.n_orders[1] > 0 or book.rules != NONE))


# --- what an order is; an order without extras is a plain GTC limit order ---


cdef inline uint8_t order_flags(Core *core, const OrderSlot *order) noexcept nogil:
    return 0 if order.ext == NONE else ext_at(core, order.ext).flags


cdef inline bint is_iceberg(Core *core, const OrderSlot *order) noexcept nogil:
    """Whether it shows one slice at a time."""
    return order_flags(core, order) & CPX_FLAG_ICEBERG != 0


cdef inline int64_t order_minimum(Core *core, const OrderSlot *order) noexcept nogil:
    """MQ2: the least it trades at once; a smaller remainder lowers it. 0 without a minimum."""
    if not order_flags(core, order) & CPX_FLAG_MIN_QTY:
        return 0
    return ext_at(core, order.ext).aux if ext_at(core, order.ext).aux < order.leaves else order.leaves


cdef inline int64_t order_front(Core *core, const OrderSlot *order) noexcept nogil:
    """The lots that have its place in the queue: the shown slice of an iceberg, else all that is open."""
    return ext_at(core, order.ext).shown if is_iceberg(core, order) else order.leaves


cdef inline int64_t order_displayed(Core *core, const OrderSlot *order) noexcept nogil:
    """IC1: the lots that public depth shows; none of an order that trades only under a condition."""
    if order.ext != NONE and (order_flags(core, order) & CPX_FLAG_MIN_QTY
                              or ext_at(core, order.ext).order_type != CPX_ORDER_TYPE_LIMIT):
        return 0
    return order_front(core, order)


cdef inline bint is_special(Core *core, const OrderSlot *order) noexcept nogil:
    """Whether takers must look closer at it than at price and time."""
    return order_flags(core, order) & (CPX_FLAG_ICEBERG | CPX_FLAG_MIN_QTY) != 0


# --- slots: take the last one freed, else a fresh one; both slabs are reserved for max_orders ---


cdef inline uint32_t order_take(Core *core) noexcept nogil:
    cdef uint32_t slot = core.orders_free
    if cpx_likely(slot != NONE):
        core.orders_free = core.orders[slot].next
        return slot
    core.orders_used += 1
    return core.orders_used - 1


cdef inline void order_give(Core *core, uint32_t slot) noexcept nogil:
    """A free slot has no id and no lots, so that nobody takes it for an order."""
    core.orders[slot].id = 0
    core.orders[slot].leaves = 0
    core.orders[slot].next = core.orders_free
    core.orders_free = slot


cdef inline uint32_t ext_take(Core *core) noexcept nogil:
    cdef uint32_t ext = core.exts_free
    if ext != NONE:
        core.exts_free = core.exts[ext].heap_at
        return ext
    core.exts_used += 1
    return core.exts_used - 1


cdef inline void ext_give(Core *core, uint32_t ext) noexcept nogil:
    core.exts[ext].heap_at = core.exts_free
    core.exts_free = ext


cdef inline int order_reserve(Core *core) noexcept nogil:
    """Room for one more order, wherever its id goes; 0, or -1 without memory."""
    return order_directory_reserve(core)


# --- books ---


cdef inline void books_sweep(Core *core) noexcept nogil:
    """Give back the lines of books that nobody listed or set up and that hold nothing; until as many more are used."""
    cdef uint32_t at = core.books_used
    cdef uint64_t n_kept = 0
    cdef BookLine *line
    while at > 1:
        at -= 1
        line = core.books + at
        if line.state == BOOK_UNLISTED and line.rules == NONE and line.positions == NONE and (
                line.n_orders[0] == 0 and line.n_orders[1] == 0):
            book_forget(core, line.id)
            line.state = BOOK_FREE
            line.max_lots = 0
            line.positions = core.books_free
            core.books_free = at
        elif line.state != BOOK_FREE:
            n_kept += 1
    core.books_sweep_at = 2 * n_kept if 2 * n_kept > FEW_BOOKS else FEW_BOOKS
    if core.books_sweep_at > MAX_BOOKS:
        core.books_sweep_at = MAX_BOOKS


cdef inline int book_reserve(Core *core) noexcept nogil:
    """Room for one more book."""
    if core.books_free == NONE and core.books_used >= core.books_sweep_at:
        books_sweep(core)
    if core.books_free == NONE and core.books_used == MAX_BOOKS:
        return -1
    return book_directory_reserve(core)


cdef inline uint32_t book_open(Core *core, uint32_t book) noexcept nogil:
    """A new unlisted book that nobody set up; room was reserved before."""
    cdef uint32_t at = core.books_free
    cdef BookLine *line
    if at != NONE:
        line = core.books + at
        core.books_free = line.positions
    else:
        at = core.books_used
        core.books_used += 1
        line = core.books + at
    line[0] = core.blank
    line.id = book
    book_put(core, book, at)
    return at


# --- the queue ---


cdef inline void book_append(
    Core *core, BookLine *book, uint32_t side, int64_t key, uint32_t slot, OrderSlot *order
) noexcept nogil:
    """Queue an order at the tail of the level of its price."""
    cdef uint32_t at = ladder_open(core, book, side, key)
    cdef Level *level = level_at(core, at)
    cdef uint32_t tail = level.tail
    cdef uint32_t *before = cpx_pick_place(tail == NONE, &level.head, &core.orders[tail].next)
    before[0] = slot
    level.tail = slot
    order.level = at
    order.prev = tail
    order.next = NONE
    book.n_orders[side] += 1


cdef inline void book_detach(Core *core, BookLine *book, uint32_t side, const OrderSlot *order) noexcept nogil:
    """Take an order out of its level; the level goes with its last order."""
    cdef Level *level = level_at(core, order.level)
    cdef uint32_t *before = cpx_pick_place(order.prev == NONE, &level.head, &core.orders[order.prev].next)
    cdef uint32_t *behind = cpx_pick_place(order.next == NONE, &level.tail, &core.orders[order.next].prev)
    CPX_CHECK(book.n_orders[side] > 0)
    book.n_orders[side] -= 1
    before[0] = order.next
    behind[0] = order.prev
    if level.head == NONE:
        ladder_close(core, book, side, order.level)


cdef inline void book_link(Core *core, uint32_t slot) noexcept nogil:
    """Queue an order at the tail of the level of its price, with a new place in time."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef uint32_t side = order.book_side & 1
    cdef BookLine *book = book_of(core, order)
    book_append(core, book, side, price_key(side, order.price), slot, order)
    touch(core, book)
    if order.ext != NONE:
        core.stamp += 1
        ext_at(core, order.ext).stamp = core.stamp
        book.n_special[side] += is_special(core, order)


cdef inline void book_unlink(Core *core, uint32_t slot) noexcept nogil:
    """Take an order out of its queue. The slot and its id stay."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef uint32_t side = order.book_side & 1
    cdef BookLine *book = book_of(core, order)
    touch(core, book)
    if order.ext != NONE:
        book.n_special[side] -= is_special(core, order)
    book_detach(core, book, side, order)


cdef inline void order_register(Core *core, uint32_t slot) noexcept nogil:
    """Make a new order known by its id, and its expiry to the heap; room was reserved before. It is in no queue yet."""
    cdef OrderSlot *order = order_at(core, slot)
    if order.ext != NONE and ext_at(core, order.ext).expiry_ns:
        heap_add(core, slot)
    order_put(core, order.id, slot)
    core.n_orders += 1


cdef inline void order_free(Core *core, uint32_t slot) noexcept nogil:
    """Forget an order that is in no queue any more: its id, its extras and its slot."""
    cdef OrderSlot *order = order_at(core, slot)
    order_forget(core, order.id)
    core.n_orders -= 1
    if order.ext != NONE:
        if ext_at(core, order.ext).heap_at != NONE:
            heap_remove(core, ext_at(core, order.ext).heap_at)
        ext_give(core, order.ext)
    order_give(core, slot)


# --- expiry: a binary heap of slots, the earliest (expiry, id) first ---


cdef inline bint heap_before(Core *core, uint32_t a, uint32_t b) noexcept nogil:
    cdef OrderSlot *first = order_at(core, a)
    cdef OrderSlot *second = order_at(core, b)
    cdef int64_t first_ns = ext_at(core, first.ext).expiry_ns
    cdef int64_t second_ns = ext_at(core, second.ext).expiry_ns
    return first_ns < second_ns or (first_ns == second_ns and first.id < second.id)


cdef inline void heap_set(Core *core, uint32_t at, uint32_t slot) noexcept nogil:
    core.heap[at] = slot
    ext_at(core, order_at(core, slot).ext).heap_at = at


cdef inline void heap_up(Core *core, uint32_t at, uint32_t slot) noexcept nogil:
    cdef uint32_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if not heap_before(core, slot, core.heap[parent]):
            break
        heap_set(core, at, core.heap[parent])
        at = parent
    heap_set(core, at, slot)


cdef inline void heap_down(Core *core, uint32_t at, uint32_t slot) noexcept nogil:
    cdef uint32_t child
    while True:
        child = 2 * at + 1
        if child >= core.heap_used:
            break
        if child + 1 < core.heap_used and heap_before(core, core.heap[child + 1], core.heap[child]):
            child += 1
        if not heap_before(core, core.heap[child], slot):
            break
        heap_set(core, at, core.heap[child])
        at = child
    heap_set(core, at, slot)


cdef inline void heap_add(Core *core, uint32_t slot) noexcept nogil:
    CPX_CHECK(core.heap_used < core.max_orders)
    core.heap_used += 1
    heap_up(core, core.heap_used - 1, slot)


cdef inline void heap_remove(Core *core, uint32_t at) noexcept nogil:
    CPX_CHECK(at < core.heap_used)
    cdef uint32_t last
    core.heap_used -= 1
    if at == core.heap_used:
        return
    last = core.heap[core.heap_used]
    if at > 0 and heap_before(core, last, core.heap[(at - 1) >> 1]):
        heap_up(core, at, last)
    else:
        heap_down(core, at, last)
