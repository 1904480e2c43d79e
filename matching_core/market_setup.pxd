"""What tasks are routed by, as the venue sets it: delivery periods, families, reach and links.

Rules kept here: K1, RT7, CA1 (what is not in these tables does not exist), RT4 (what a change may make possible is
marked); a change of the tables says anew until when tasks with data may be filled. `reference/tables.py` is the rulebook.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .book cimport emit, is_open, reject
from .dirt cimport mark
from .links cimport link_set
from .market cimport family_list, family_of_book, reach_set
from .sources cimport grid_set
from .task_types cimport *
from .types cimport *
from .waiting cimport task_at, task_heap_move
from .ways cimport dies_ns

cdef enum:
    MIN_PERIOD_NS = 1_000_000_000
    MAX_PERIOD_NS = 4_398_046_511_104  # 2^42: every start of a period fits 64 bits
    MAX_ORIGIN_NS = 4_611_686_018_427_387_904  # 2^62


cdef inline uint8_t table_reason(Core *core, const Command *c) noexcept nogil:
    """What every command of this file must satisfy."""
    return CPX_REJECT_INVALID_FIELD if c.reserved or not core.check_funds else 0


cdef inline bint is_region(int64_t number) noexcept nogil:
    return 1 <= number <= CPX_MAX_REGION


# --- periods ---


cdef inline uint8_t grid_reason(Core *core, const Command *c) noexcept nogil:
    if table_reason(core, c) or c.aux < MIN_PERIOD_NS or c.aux > MAX_PERIOD_NS or c.client_ref > NONE:
        return CPX_REJECT_INVALID_FIELD
    if c.price < 0 or c.price > MAX_ORIGIN_NS:
        return CPX_REJECT_INVALID_PRICE
    if c.qty < 0 or c.qty > <int64_t>NONE:
        return CPX_REJECT_INVALID_QTY
    if c.expiry_ns < 0 or c.expiry_ns >= MAX_ORIGIN_NS:
        return CPX_REJECT_INVALID_EXPIRY
    return CPX_REJECT_ALREADY_EXISTS if core.market.period_ns else 0


cdef inline int op_set_grid(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = grid_reason(core, c)
    if reason:
        return reject(core, c, reason)
    if grid_set(core, c.price, c.aux, c.expiry_ns, <uint32_t>c.qty, <uint32_t>c.client_ref):
        return -1
    emit(core, CPX_KIND_GRID_SET, 0, 0, 0, 0, 0, c.client_ref, c.price, c.qty, c.aux, c.expiry_ns)
    return 0


# --- families, reach, links ---


cdef inline void find_ends(Core *core) noexcept nogil:
    """After a change of the tables: which families groups may use, and until when tasks with data may be filled."""
    cdef uint32_t slot = core.tasks_first
    cdef TaskSlot *task
    cdef int64_t end_ns
    core.eligibility += 1
    while slot != NONE:
        task = task_at(core, slot)
        if task.data_mb:
            end_ns = dies_ns(core, task)
            task.dies_ns = end_ns if end_ns > core.now_ns else core.now_ns + 1
            task_heap_move(core, TASK_HEAP_DEADLINES, slot)
        slot = task.next


cdef inline uint8_t family_reason(Core *core, const Command *c) noexcept nogil:
    cdef uint32_t line
    if table_reason(core, c) or c.book < 1 or c.book > CPX_MAX_FAMILIES or c.account < 1 or c.account > CPX_MAX_CHIP:
        return CPX_REJECT_INVALID_FIELD
    if not is_region(c.aux) or c.price < 0 or c.price >= CPX_LATENCY_CLASSES or c.side > CPX_POWER_GREEN:
        return CPX_REJECT_INVALID_FIELD
    if family_of_book(core, c.book << PERIOD_BITS) != NULL:
        return CPX_REJECT_ALREADY_EXISTS
    for line in range(core.books_used):
        if core.books[line].id >> PERIOD_BITS == c.book and is_open(core.books + line):
            return CPX_REJECT_ALREADY_EXISTS
    return 0


cdef inline int op_list_family(Core *core, const Command *c) noexcept nogil:
    cdef uint8_t reason = family_reason(core, c)
    if reason:
        return reject(core, c, reason)
    if family_list(core, c.book, c.account, <uint32_t>c.aux, <uint8_t>c.price, c.side):
        return -1
    find_ends(core)
    emit(core, CPX_KIND_FAMILY_LISTED, c.side, 0, 0, c.book, c.account, <uint64_t>c.aux, c.price, 0, 0, 0)
    return 0


cdef inline void mark_books(Core *core, uint32_t region, int64_t latency_class) noexcept nogil:
    """RT4: every open book of the families of a region, and of a class if one is given (-1 = any). O(books)."""
    cdef uint32_t line
    cdef const Family *family
    if core.n_tasks == 0:
        return
    for line in range(core.books_used):
        family = family_of_book(core, core.books[line].id)
        if family == NULL or family.region != region or not is_open(core.books + line):
            continue
        if latency_class < 0 or family.latency_class == latency_class:
            mark(core, core.books + line)


cdef inline int op_set_reach(Core *core, const Command *c) noexcept nogil:
    if table_reason(core, c) or not is_region(c.account) or not is_region(c.book) or (
            c.price < 0 or c.price >= CPX_LATENCY_CLASSES):
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.qty < 0 or c.qty > CPX_MAX_RTT_US:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    if reach_set(core, c.account, c.book, <uint32_t>c.price, <uint32_t>c.qty):
        return -1
    mark_books(core, c.book, c.price)
    find_ends(core)
    emit(core, CPX_KIND_REACH_SET, 0, 0, 0, 0, c.account, c.book, c.price, c.qty, 0, 0)
    return 0


cdef inline int op_set_link(Core *core, const Command *c) noexcept nogil:
    """A link of 0 Mbit/s is none; what it has promised stays promised."""
    if table_reason(core, c) or not is_region(c.account) or not is_region(c.book) or c.aux < 0 or c.aux > CPX_MAX_DATA_MB:
        return reject(core, c, CPX_REJECT_INVALID_FIELD)
    if c.price < 0 or c.price > CPX_MAX_PRICE_MICRO_PER_GB:
        return reject(core, c, CPX_REJECT_INVALID_PRICE)
    if c.qty < 0 or c.qty > CPX_MAX_MBIT_PER_S:
        return reject(core, c, CPX_REJECT_INVALID_QTY)
    if link_set(core, c.account, c.book, c.price, c.qty, c.aux):
        return -1
    mark_books(core, c.book, -1)
    find_ends(core)
    emit(core, CPX_KIND_LINK_SET, 0, 0, 0, 0, c.account, c.book, c.price, c.qty, c.aux, 0)
    return 0
