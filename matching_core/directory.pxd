"""From ids to indexes without hashing: order ids over pages of 128, book ids directly.

A ring has one place per residue of an id (of an order's page number). Whoever finds his place taken by an older one
goes into a hash map; the ring doubles while it is well filled. What a ring says is believed only if the slot or line
itself has the id, so that an id's end costs no write to its page and looking ahead can do no harm.
Rule kept here: C4 (an id is found exactly while its order lives).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from .hashmap cimport map_get, map_put, map_remove, map_reserve
from .types cimport CPX_CHECK, NONE, PAGE_IDS, Core, cpx_grow, cpx_likely, cpx_unlikely

cdef enum:
    RING_FIRST = 4_096  # pages that the ring of an empty engine has places for
    RING_LAST = 4_194_304


# --- order ids ---


cdef inline uint32_t order_find(Core *core, uint64_t order_id) noexcept nogil:
    """The slot of a live order, or NONE. The id is not 0."""
    cdef uint32_t page = core.order_ring[(order_id >> 7) & core.order_ring_mask]
    cdef uint32_t slot
    if page != 0:
        slot = core.order_pages[<uint64_t>page * PAGE_IDS + (order_id & (PAGE_IDS - 1))]
        if core.orders[slot].id == order_id:
            return slot
    if cpx_unlikely(core.order_map.n != 0):
        return map_get(&core.order_map, order_id)
    return NONE


cdef inline void order_ring_double(Core *core) noexcept nogil:
    """Twice the places, in place: a page stays or moves up by the old size."""
    cdef uint64_t size = core.order_ring_mask + 1
    cdef uint64_t at
    cdef uint32_t page
    memset(core.order_ring + size, 0, size * sizeof(uint32_t))
    for at in range(size):
        page = core.order_ring[at]
        if page != 0 and <uint64_t>core.page_numbers[page] & size:
            core.order_ring[at + size] = page
            core.order_ring[at] = 0
    core.order_ring_mask = 2 * size - 1


cdef inline bint order_page_ready(Core *core, uint64_t order_id) noexcept nogil:
    """Whether the id's place in the ring is free, its own, or can be made so."""
    cdef uint64_t number = order_id >> 7
    cdef uint32_t page
    if cpx_likely(number == core.last_number):
        return True
    while True:
        page = core.order_ring[number & core.order_ring_mask]
        if page == 0 or <uint64_t>core.page_numbers[page] == number:
            return True
        if core.order_ring_mask + 1 >= RING_LAST or <uint64_t>core.n_pages * 2 < core.order_ring_mask:
            return False
        order_ring_double(core)


cdef inline int order_directory_reserve(Core *core) noexcept nogil:
    """Room for one more id wherever it goes; 0, or -1 without memory."""
    return map_reserve(&core.order_map, 1)


cdef inline void order_page_put(Core *core, uint64_t order_id, uint32_t slot) noexcept nogil:
    """Make an id known whose place is ready."""
    cdef uint64_t number = order_id >> 7
    if cpx_unlikely(number != core.last_number):
        order_page_open(core, number)
    if cpx_likely(order_id > core.highest_id):
        core.highest_id = order_id
    core.order_pages[<uint64_t>core.last_page * PAGE_IDS + (order_id & (PAGE_IDS - 1))] = slot
    core.page_counts[core.last_page] += 1


cdef inline void order_page_open(Core *core, uint64_t number) noexcept nogil:
    """Make a page the last one used, new if need be."""
    cdef uint64_t place = number & core.order_ring_mask
    cdef uint32_t page = core.order_ring[place]
    if page == 0:
        page = core.pages_free
        if page != NONE:
            core.pages_free = <uint32_t>core.page_numbers[page]
        else:
            page = core.pages_used
            core.pages_used += 1
        core.page_numbers[page] = <int64_t>number
        core.page_counts[page] = 0
        core.order_ring[place] = page
        core.n_pages += 1
        memset(core.order_pages + <uint64_t>page * PAGE_IDS, 0, PAGE_IDS * sizeof(uint32_t))
    core.last_number = number
    core.last_page = page


cdef inline void order_put(Core *core, uint64_t order_id, uint32_t slot) noexcept nogil:
    """Make an id known that is not live; room was reserved before."""
    if order_page_ready(core, order_id):
        order_page_put(core, order_id, slot)
    else:
        map_put(&core.order_map, order_id, slot)
        if order_id > core.highest_id:
            core.highest_id = order_id


cdef inline void order_forget(Core *core, uint64_t order_id) noexcept nogil:
    """The id's order is over; its slot loses the id elsewhere. A page goes with its last id."""
    cdef uint64_t place = (order_id >> 7) & core.order_ring_mask
    cdef uint32_t page = core.order_ring[place]
    if cpx_unlikely(core.order_map.n != 0) and map_get(&core.order_map, order_id) != NONE:
        map_remove(&core.order_map, order_id)
        return
    CPX_CHECK(page != 0 and <uint64_t>core.page_numbers[page] == order_id >> 7 and core.page_counts[page] > 0)
    core.page_counts[page] -= 1
    if cpx_unlikely(core.page_counts[page] == 0):
        order_page_close(core, page, place)


cdef inline void order_page_close(Core *core, uint32_t page, uint64_t place) noexcept nogil:
    if page == core.last_page:
        core.last_number = ~<uint64_t>0
    core.order_ring[place] = 0
    core.page_numbers[page] = core.pages_free
    core.pages_free = page
    core.n_pages -= 1


# --- book ids ---


cdef inline uint32_t book_find(Core *core, uint32_t book) noexcept nogil:
    """The line of a book, or NONE."""
    cdef uint32_t at = core.book_ring[book & core.book_ring_mask]
    if core.books[at].id == book and at != 0:
        return at
    if cpx_unlikely(core.book_map.n != 0):
        return map_get(&core.book_map, book)
    return NONE


cdef inline int book_directory_reserve(Core *core) noexcept nogil:
    """Room for one more book; 0, or -1 without memory and nothing changed. Lines of a doubled ring find their places anew."""
    cdef uint64_t size = core.book_ring_mask + 1
    cdef uint64_t capacity = size
    cdef uint64_t place
    cdef uint32_t at, line
    if map_reserve(&core.book_map, 1):
        return -1
    if <uint64_t>core.n_books * 2 < size or size >= <uint64_t>1 << 32:
        return 0
    if cpx_grow(<void **>&core.book_ring, &capacity, 2 * size, sizeof(uint32_t)):
        return -1
    memset(core.book_ring + size, 0, size * sizeof(uint32_t))
    for place in range(size):
        at = core.book_ring[place]
        if at != 0 and core.books[at].id & size:
            core.book_ring[place + size] = at
            core.book_ring[place] = 0
    core.book_ring_mask = 2 * size - 1
    return 0


cdef inline void book_put(Core *core, uint32_t book, uint32_t at) noexcept nogil:
    """Make a book known that is not; room was reserved before."""
    cdef uint32_t *place = core.book_ring + (book & core.book_ring_mask)
    if place[0] == 0:
        place[0] = at
    else:
        map_put(&core.book_map, book, at)
    core.n_books += 1


cdef inline void book_forget(Core *core, uint32_t book) noexcept nogil:
    cdef uint32_t *place = core.book_ring + (book & core.book_ring_mask)
    if place[0] != 0 and core.books[place[0]].id == book:
        place[0] = 0
    else:
        map_remove(&core.book_map, book)
    core.n_books -= 1
