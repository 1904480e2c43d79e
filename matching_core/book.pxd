"""Orders in books: slots, levels, queues and the expiry heap. It queues and finds, it does not trade.

Rules kept here: C3 (a level exists only while it holds an order, its total is the sum of its orders), C4 (an id is in
the map exactly while its slot is linked), C5 (a level is first come, first served). Slabs grow in the `reserve`
functions only, before a command changes anything; pointers into slabs do not outlive a reserve.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .ladder cimport ladder_at, ladder_best, ladder_insert, ladder_key, ladder_place, ladder_remove, ladder_reserve
from .types cimport (
    BOOK_UNLISTED, CPX_CHECK, CPX_MAX_QTY_LOTS, CPX_TIF_GTC, NONE, BookLine, Core, Event, Ext, Ladder, Level, OrderSlot,
    cpx_grow, cpx_unlikely,
)

# --- events ---


cdef inline int events_reserve(Core *core, uint64_t more) noexcept nogil:
    """Room for so many more events; 0, or -1 without memory and nothing changed."""
    if core.n_events + more <= core.events_capacity:
        return 0
    return cpx_grow(<void **>&core.events, &core.events_capacity, core.n_events + more, sizeof(Event))


cdef inline void emit(
    Core *core, uint8_t kind, uint8_t side, uint8_t reason, uint8_t flags, uint32_t book, uint64_t order_id,
    uint64_t contra_id, int64_t price, int64_t qty, int64_t leaves, int64_t contra_leaves,
) noexcept nogil:
    """Append one event of the command at hand; room was reserved before."""
    CPX_CHECK(core.n_events < core.events_capacity)
    cdef Event *event = core.events + core.n_events
    core.n_events += 1
    event.seq = core.seq
    event.kind = kind
    event.side = side
    event.reason = reason
    event.flags = flags
    event.book = book
    event.order_id = order_id
    event.contra_id = contra_id
    event.price = price
    event.qty = qty
    event.leaves = leaves
    event.contra_leaves = contra_leaves


# --- slots: take the last one freed, else a fresh one ---


cdef inline OrderSlot *order_at(Core *core, uint32_t slot) noexcept nogil:
    CPX_CHECK(slot < core.orders_used)
    return core.orders + slot


cdef inline Ext *ext_at(Core *core, uint32_t ext) noexcept nogil:
    CPX_CHECK(ext < core.exts_used)
    return core.exts + ext


cdef inline Level *level_at(Core *core, uint32_t level) noexcept nogil:
    CPX_CHECK(level < core.levels_used)
    return core.levels + level


cdef inline BookLine *book_at(Core *core, uint32_t book) noexcept nogil:
    CPX_CHECK(book < core.books_used)
    return core.books + book


cdef inline BookLine *book_of(Core *core, const OrderSlot *order) noexcept nogil:
    return book_at(core, order.book_side >> 1)


cdef inline int64_t book_max_lots(const BookLine *book) noexcept nogil:
    """The largest total that one order may have here."""
    return book.max_order if book.max_order else CPX_MAX_QTY_LOTS


cdef inline int order_reserve(Core *core) noexcept nogil:
    """Room for one more order, its extras and its level; 0, or -1 without memory."""
    if cpx_unlikely(core.orders_free == NONE and core.orders_used == core.orders_capacity):
        if cpx_grow(<void **>&core.orders, &core.orders_capacity, core.orders_capacity + 1, sizeof(OrderSlot)):
            return -1
    if cpx_unlikely(core.exts_free == NONE and core.exts_used == core.exts_capacity):
        if cpx_grow(<void **>&core.exts, &core.exts_capacity, core.exts_capacity + 1, sizeof(Ext)):
            return -1
    if cpx_unlikely(core.heap_used == core.heap_capacity):
        if cpx_grow(<void **>&core.heap, &core.heap_capacity, core.heap_capacity + 1, sizeof(uint32_t)):
            return -1
    if level_reserve(core):
        return -1
    return map_reserve(&core.order_map, 1)


cdef inline int level_reserve(Core *core) noexcept nogil:
    if cpx_unlikely(core.levels_free == NONE and core.levels_used == core.levels_capacity):
        return cpx_grow(<void **>&core.levels, &core.levels_capacity, core.levels_capacity + 1, sizeof(Level))
    return 0


cdef inline int book_reserve(Core *core) noexcept nogil:
    """Room for one more book."""
    if core.books_free == NONE and core.books_used == core.books_capacity:
        if cpx_grow(<void **>&core.books, &core.books_capacity, core.books_capacity + 1, sizeof(BookLine)):
            return -1
    return map_reserve(&core.book_map, 1)


cdef inline uint32_t order_take(Core *core) noexcept nogil:
    cdef uint32_t slot = core.orders_free
    if slot != NONE:
        core.orders_free = core.orders[slot].next
        return slot
    core.orders_used += 1
    return core.orders_used - 1


cdef inline uint32_t ext_take(Core *core) noexcept nogil:
    cdef uint32_t ext = core.exts_free
    if ext != NONE:
        core.exts_free = core.exts[ext].heap_at
        return ext
    core.exts_used += 1
    return core.exts_used - 1


cdef inline uint32_t level_take(Core *core) noexcept nogil:
    cdef uint32_t level = core.levels_free
    if level != NONE:
        core.levels_free = core.levels[level].head
        return level
    core.levels_used += 1
    return core.levels_used - 1


cdef inline void level_give(Core *core, uint32_t level) noexcept nogil:
    core.levels[level].head = core.levels_free
    core.levels_free = level


cdef inline uint32_t book_open(Core *core, uint32_t book) noexcept nogil:
    """A new unlisted book; room was reserved before. A reused line keeps the memory of its ladders."""
    cdef uint32_t at = core.books_free
    cdef BookLine *line
    cdef uint32_t side
    if at != NONE:
        line = core.books + at
        core.books_free = line.positions
    else:
        at = core.books_used
        core.books_used += 1
        line = core.books + at
        line[0] = core.blank
    line.value_micro = 1
    line.max_order = 0
    line.gate_ns = 0
    line.id = book
    line.group = 0
    line.positions = NONE
    line.state = BOOK_UNLISTED
    for side in range(2):
        CPX_CHECK(line.sides[side].n_levels == 0 and line.sides[side].n_orders == 0)
    map_put(&core.book_map, book, at)
    return at


# --- the queue ---


cdef inline void book_link(Core *core, uint32_t slot) noexcept nogil:
    """Queue an order at the tail of the level of its price; its level and ladder have room."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef uint32_t side = order.book_side & 1
    cdef Ladder *ladder = &book_of(core, order).sides[side]
    cdef int64_t key = ladder_key(side, order.price)
    cdef uint32_t place = ladder_place(ladder, key)
    cdef uint32_t at = ladder_at(ladder, place, key)
    cdef Level *level
    if at == NONE:
        at = level_take(core)
        ladder_insert(ladder, place, key, at)
        level = level_at(core, at)
        level.key = key
        level.total = 0
        level.head = NONE
        level.tail = NONE
        level.n_orders = 0
    else:
        level = level_at(core, at)
    order.level = at
    order.prev = level.tail
    order.next = NONE
    if level.tail == NONE:
        level.head = slot
    else:
        order_at(core, level.tail).next = slot
    level.tail = slot
    level.total += <uint64_t>order.leaves
    level.n_orders += 1
    ladder.n_orders += 1
    if order.ext != NONE:
        core.stamp += 1
        ext_at(core, order.ext).stamp = core.stamp


cdef inline void book_unlink(Core *core, uint32_t slot) noexcept nogil:
    """Take an order out of its queue; the level goes with its last order. The slot and its id stay."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ladder *ladder = &book_of(core, order).sides[order.book_side & 1]
    cdef uint32_t at = order.level
    cdef Level *level = level_at(core, at)
    if order.prev == NONE:
        level.head = order.next
    else:
        order_at(core, order.prev).next = order.next
    if order.next == NONE:
        level.tail = order.prev
    else:
        order_at(core, order.next).prev = order.prev
    CPX_CHECK(level.n_orders > 0 and level.total >= <uint64_t>order.leaves)
    level.total -= <uint64_t>order.leaves
    level.n_orders -= 1
    ladder.n_orders -= 1
    if level.n_orders == 0:
        ladder_remove(ladder, level.key)
        level_give(core, at)


cdef inline void order_free(Core *core, uint32_t slot) noexcept nogil:
    """Forget an order that is linked no more: its id, its extras and its slot."""
    cdef OrderSlot *order = order_at(core, slot)
    cdef Ext *ext
    map_remove(&core.order_map, order.id)
    if order.ext != NONE:
        ext = ext_at(core, order.ext)
        if ext.heap_at != NONE:
            heap_remove(core, ext.heap_at)
        ext.heap_at = core.exts_free
        core.exts_free = order.ext
    order.next = core.orders_free
    core.orders_free = slot
    core.n_orders -= 1


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
    CPX_CHECK(core.heap_used < core.heap_capacity)
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
