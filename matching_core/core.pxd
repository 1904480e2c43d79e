"""The life of an engine's state: made empty, given back, and brought down to size after a mass expiry.

Everything whose number max_orders limits lies in one reserved mapping, part behind part. It costs memory only where it
is touched, and nothing in it ever moves.
Rule kept here: a slot is used once or free once, before a trim and after it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .directory cimport RING_FIRST, RING_LAST
from .groups cimport groups_free
from .ladder cimport KEY_SPAN, ladder_clear
from .market cimport market_clear, market_free
from .types cimport *
from .venue cimport account_open

cdef enum:
    BOOK_RING_FIRST = 64  # places in the directory of books of an empty engine
    HUGE_PAGE = 2_097_152
    SMALL_PAGE = 4_096
    MANY_ORDERS = 32_768  # whose slots fill a huge page: from here on every part of the mapping begins with a huge page
    SPARE_NODES = 64
    TRIM_ORDERS = 16_384  # slabs that were never larger are left alone
    TRIM_TASKS = 16_384
    TRIM_EVENTS = 4_096  # events of a command after which batch.pxd looks whether memory can go back
    PREFAULT_EVENTS = 32_768
    MANY_KEPT_EVENTS = 262_144  # a buffer for more is not kept for the next batch
    KEPT_BYTES = 4_194_304  # a buffer of one command that is not larger is kept


# --- the mapping ---


cdef inline uint64_t ring_places(uint64_t max_orders) noexcept nogil:
    """As many as the ring of order ids can grow to with max_orders pages."""
    cdef uint64_t places = RING_FIRST
    while places < RING_LAST and places < 4 * max_orders + 2:
        places *= 2
    return places


cdef inline uint8_t *next_part(uint8_t *base, size_t *end, size_t items, size_t item, size_t page) noexcept nogil:
    """The part that begins with the first whole page after the others."""
    cdef size_t start = (end[0] + page - 1) & ~(page - 1)
    end[0] = start + items * item
    return base + start


cdef inline size_t lay_out(Core *core, uint8_t *base) noexcept nogil:
    """Where everything lies from this address on; returns the number of bytes."""
    cdef size_t n = core.max_orders
    cdef size_t page = HUGE_PAGE if n >= MANY_ORDERS else SMALL_PAGE
    cdef size_t end = 0
    core.orders = <OrderSlot *>next_part(base, &end, n + 1, sizeof(OrderSlot), page)
    core.leaves = <Leaf *>next_part(base, &end, n, sizeof(Leaf), page)
    core.fans = <Fan *>next_part(base, &end, n, sizeof(Fan), page)
    core.nodes = <Node *>next_part(base, &end, n * 6 + SPARE_NODES, sizeof(Node), page)
    core.exts = <Ext *>next_part(base, &end, n, sizeof(Ext), page)
    core.books = <BookLine *>next_part(base, &end, MAX_BOOKS, sizeof(BookLine), page)  # line 0 stays BOOK_FREE
    core.dirty = <uint32_t *>next_part(base, &end, MAX_BOOKS, sizeof(uint32_t), page)
    core.heap = <uint32_t *>next_part(base, &end, n, sizeof(uint32_t), page)
    core.order_pages = <uint32_t *>next_part(base, &end, (n + 1) * PAGE_IDS, sizeof(uint32_t), page)
    core.page_numbers = <int64_t *>next_part(base, &end, n + 1, sizeof(int64_t), page)
    core.page_counts = next_part(base, &end, n + 1, 1, page)
    core.order_ring = <uint32_t *>next_part(base, &end, ring_places(n), sizeof(uint32_t), page)
    return end


cdef inline void advise_huge(Core *core) noexcept nogil:
    """Huge pages for what grows with the orders, but for the first one of each: a small engine stays small."""
    cdef size_t n = core.max_orders
    cpx_advise_huge(core.orders, (n + 1) * sizeof(OrderSlot))
    cpx_advise_huge(core.leaves, n * sizeof(Leaf))
    cpx_advise_huge(core.fans, n * sizeof(Fan))
    cpx_advise_huge(core.exts, n * sizeof(Ext))
    cpx_advise_huge(core.books, MAX_BOOKS * sizeof(BookLine))
    cpx_advise_huge(core.order_pages, (n + 1) * PAGE_IDS * sizeof(uint32_t))


cdef inline int reserve_mapping(Core *core) noexcept nogil:
    """0, or -1 without memory."""
    cdef size_t slack = HUGE_PAGE if core.max_orders >= MANY_ORDERS else 0  # the system aligns to small pages only
    cdef size_t base
    core.mapping_size = lay_out(core, NULL) + slack
    core.mapping = cpx_reserve(core.mapping_size)
    if core.mapping == NULL:
        return -1
    base = <size_t>core.mapping
    if slack:
        base = (base + HUGE_PAGE - 1) & ~<size_t>(HUGE_PAGE - 1)
    lay_out(core, <uint8_t *>base)
    advise_huge(core)
    core.order_ring_mask = RING_FIRST - 1
    core.page_numbers[0] = -1
    core.orders_used = core.pages_used = core.books_used = 1
    return 0


# --- from the first moment to the last ---


cdef inline int core_init(Core *core, uint32_t max_orders, bint check_funds, bint listed_only) noexcept nogil:
    """An empty engine of 1 to 16,000,000 orders; 0, or -1 without memory: then there is nothing to free."""
    memset(core, 0, sizeof(Core))
    core.max_orders = max_orders
    core.check_funds = check_funds
    core.listed_only = listed_only
    core.next_seq = 1
    core.last_number = ~<uint64_t>0
    core.mirror[CPX_SIDE_SELL] = KEY_SPAN
    core.next_gate_ns = CPX_MAX_TIME_NS
    core.orders_free = core.leaves_free = core.pages_free = core.exts_free = core.nodes_free = NONE
    core.books_free = core.rules_free = core.groups_free = core.capacities_free = core.positions_free = NONE
    core.tasks_free = core.tasks_first = core.tasks_last = core.task_groups_free = NONE
    core.eligibility = 1
    market_clear(core)
    ladder_clear(&core.blank)
    core.blank.rules = NONE
    core.blank.positions = NONE
    core.blank.dirty_at = NONE
    core.blank.value_micro = 1
    core.blank.max_product = CPX_MAX_MONEY_MICRO
    core.blank.max_lots = CPX_MAX_QTY_LOTS
    core.blank.state = BOOK_UNLISTED
    core.book_ring_mask = BOOK_RING_FIRST - 1
    core.book_ring = <uint32_t *>malloc(BOOK_RING_FIRST * sizeof(uint32_t))
    if core.book_ring != NULL:
        memset(core.book_ring, 0, BOOK_RING_FIRST * sizeof(uint32_t))
        if reserve_mapping(core) == 0 and account_open(core, <uint32_t>CPX_OUTSIDE_ACCOUNT, 0) == 0:
            return 0
    core_free(core)
    return -1


cdef inline int core_prefault(Core *core, uint64_t n_orders) noexcept nogil:
    """Take the memory of so many orders now, so that no command waits for it; 0, or -1 without memory."""
    cdef size_t n = n_orders if n_orders < core.max_orders else core.max_orders
    if cpx_grow(<void **>&core.events, &core.events_capacity, PREFAULT_EVENTS, sizeof(Event)):
        return -1
    cpx_touch(core.events, core.events_capacity * sizeof(Event))
    cpx_touch(core.orders, n * sizeof(OrderSlot))
    cpx_touch(core.leaves, n // 4 * sizeof(Leaf))
    cpx_touch(core.fans, n // 4 * sizeof(Fan))
    cpx_touch(core.order_pages, n // 16 * PAGE_IDS * sizeof(uint32_t))
    cpx_touch(core.page_numbers, n // 16 * sizeof(int64_t))
    cpx_touch(core.page_counts, n // 16)
    cpx_touch(core.order_ring, n // 4 * sizeof(uint32_t))
    return 0


cdef inline void free_market(Core *core) noexcept nogil:
    """What tasks and block offers use; nothing of it lies in the mapping."""
    cdef uint32_t i
    for i in range(core.market.blocks_used):
        free(core.market.blocks[i].residues)
    for i in range(core.tasks_used):
        free(core.tasks[i].steps)
    for i in range(3):
        free(core.task_heaps[i].slots)
    groups_free(core)
    market_free(core)
    free(core.tasks)
    free(core.due_ids)
    free(core.dirty_ids)
    free(core.source_map.entries)
    free(core.block_map.entries)
    free(core.task_map.entries)
    free(core.firm_tasks.entries)
    free(core.chip_tasks.entries)


cdef inline void core_free(Core *core) noexcept nogil:
    """Give back all memory. What is left may be made again or freed again."""
    cpx_unreserve(core.mapping, core.mapping_size)
    free_market(core)
    free(core.events)
    free(core.book_ring)
    free(core.accounts)
    free(core.capacities)
    free(core.positions)
    free(core.groups)
    free(core.gates)
    free(core.rules)
    free(core.calls)
    free(core.news)
    free(core.killed)
    free(core.due)
    free(core.order_map.entries)
    free(core.book_map.entries)
    free(core.account_map.entries)
    free(core.capacity_map.entries)
    free(core.position_map.entries)
    free(core.group_map.entries)
    memset(core, 0, sizeof(Core))


# --- back to the system: what lies above the highest slot in use; the lowest free ones are used first from then on ---


cdef inline void trim_orders(Core *core) noexcept nogil:
    cdef uint32_t before = core.orders_used
    cdef uint32_t slot
    while core.orders_used > 1 and core.orders[core.orders_used - 1].leaves == 0:
        core.orders_used -= 1
    core.orders_free = NONE
    slot = core.orders_used
    while slot > 1:
        slot -= 1
        if core.orders[slot].leaves == 0:
            core.orders[slot].next = core.orders_free
            core.orders_free = slot
    cpx_return(core.orders + core.orders_used, (before - core.orders_used) * sizeof(OrderSlot))


cdef inline void trim_leaves(Core *core) noexcept nogil:
    cdef uint32_t before = core.leaves_used
    cdef uint32_t leaf
    while core.leaves_used > 0 and core.leaves[core.leaves_used - 1].occupied == 0:
        core.leaves_used -= 1
    core.leaves_free = NONE
    leaf = core.leaves_used
    while leaf > 0:
        leaf -= 1
        if core.leaves[leaf].occupied == 0:
            core.leaves[leaf].number = core.leaves_free
            core.leaves_free = leaf
    cpx_return(core.leaves + core.leaves_used, (before - core.leaves_used) * sizeof(Leaf))
    cpx_return(core.fans + core.leaves_used, (before - core.leaves_used) * sizeof(Fan))


cdef inline void trim_nodes(Core *core) noexcept nogil:
    cdef uint32_t before = core.nodes_used
    cdef uint32_t node
    while core.nodes_used > 0 and core.nodes[core.nodes_used - 1].occupied == 0:
        core.nodes_used -= 1
    core.nodes_free = NONE
    node = core.nodes_used
    while node > 0:
        node -= 1
        if core.nodes[node].occupied == 0:
            core.nodes[node].children[0] = core.nodes_free
            core.nodes_free = node
    cpx_return(core.nodes + core.nodes_used, (before - core.nodes_used) * sizeof(Node))


cdef inline void trim_exts(Core *core) noexcept nogil:
    """A free one is known only by the list: mark them, then go through all."""
    cdef uint32_t before = core.exts_used
    cdef uint32_t ext
    for ext in range(before):
        core.exts[ext].unused = 0
    ext = core.exts_free
    while ext != NONE:
        core.exts[ext].unused = 1
        ext = core.exts[ext].heap_at
    while core.exts_used > 0 and core.exts[core.exts_used - 1].unused:
        core.exts_used -= 1
    core.exts_free = NONE
    ext = core.exts_used
    while ext > 0:
        ext -= 1
        if core.exts[ext].unused:
            core.exts[ext].heap_at = core.exts_free
            core.exts_free = ext
    cpx_return(core.exts + core.exts_used, (before - core.exts_used) * sizeof(Ext))


cdef inline void trim_pages(Core *core) noexcept nogil:
    cdef uint32_t before = core.pages_used
    cdef uint32_t page
    while core.pages_used > 1 and core.page_counts[core.pages_used - 1] == 0:
        core.pages_used -= 1
    core.pages_free = NONE
    page = core.pages_used
    while page > 1:
        page -= 1
        if core.page_counts[page] == 0:
            core.page_numbers[page] = core.pages_free
            core.pages_free = page
    cpx_return(core.order_pages + <size_t>core.pages_used * PAGE_IDS,
               <size_t>(before - core.pages_used) * PAGE_IDS * sizeof(uint32_t))
    cpx_return(core.page_numbers + core.pages_used, (before - core.pages_used) * sizeof(int64_t))


cdef inline void trim_buffers(Core *core) noexcept nogil:
    """What one large sweep or auction needed and the next one makes anew."""
    if core.due_capacity * sizeof(DueOrder) > KEPT_BYTES:
        free(core.due)
        core.due = NULL
        core.due_capacity = 0


cdef inline void trim_tasks(Core *core) noexcept nogil:
    """After many tasks have ended: as trim_orders, in slabs that can shrink."""
    cdef uint32_t slot, which
    if core.tasks_used <= TRIM_TASKS or <uint64_t>core.n_tasks * 4 >= core.tasks_used:
        return
    while core.tasks_used > 0 and core.tasks[core.tasks_used - 1].id == 0:
        core.tasks_used -= 1
    core.tasks_free = NONE
    slot = core.tasks_used
    while slot > 0:
        slot -= 1
        if core.tasks[slot].id == 0:
            core.tasks[slot].next = core.tasks_free
            core.tasks_free = slot
    cpx_shrink(<void **>&core.tasks, &core.tasks_capacity, core.tasks_used, sizeof(TaskSlot))
    for which in range(3):
        cpx_shrink(<void **>&core.task_heaps[which].slots, &core.task_heaps[which].capacity, core.n_tasks, sizeof(uint32_t))
    cpx_shrink(<void **>&core.due_ids, &core.due_ids_capacity, 0, sizeof(uint64_t))
    cpx_shrink(<void **>&core.dirty_ids, &core.dirty_ids_capacity, 0, sizeof(uint32_t))


cdef inline void events_begin(Core *core) noexcept nogil:
    """Nothing is told yet; the buffer of a huge batch goes back to the system."""
    core.n_events = 0
    if core.events_capacity > MANY_KEPT_EVENTS:
        free(core.events)
        core.events = NULL
        core.events_capacity = 0


cdef inline void core_trim(Core *core) noexcept nogil:
    """Give memory back after a command of more than TRIM_EVENTS events if few orders are left; O(slots) if it does.

    Where a live order in a high slot keeps most of it, so many such commands pass until the next attempt that their
    events pay for it.
    """
    cdef uint32_t before = core.orders_used
    trim_tasks(core)
    if before <= TRIM_ORDERS or <uint64_t>core.n_orders * 4 >= before:
        return
    if core.trim_wait > 0:
        core.trim_wait -= 1
        return
    trim_orders(core)
    trim_leaves(core)
    trim_nodes(core)
    trim_exts(core)
    trim_pages(core)
    trim_buffers(core)
    cpx_return(core.heap + core.heap_used, (core.max_orders - core.heap_used) * sizeof(uint32_t))
    if core.orders_used > before // 2:
        core.trim_wait = before // TRIM_EVENTS
