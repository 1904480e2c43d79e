"""Snapshot rows into an empty state: orders rest one by one in the order of the walk, which gives back their places.

Rules kept here: everything but the orders has been checked by `loading`; no order is believed unchecked, and none rests
without cover; `check()` then looks at the whole. `reference/snapshot.py` is the rulebook.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from .accounts cimport (
    account_find, capacity_find, capacity_make, capacity_reserve, has_room, held_free, hold_of, may_trade, open_resize,
    position_find, position_make, position_reserve,
)
from .book cimport (
    book_at, book_open, book_reserve, ext_at, ext_take, order_at, order_register, order_reserve, order_take,
)
from .core cimport ring_places
from .directory cimport book_find, order_find, order_ring_double
from .orders cimport price_valid
from .queue cimport queue_enter
from .restore_market cimport load_market, load_tables
from .setup cimport call_join, rules_reserve, set_up
from .snapshot cimport STP_SHIFT, TYPE_SHIFT, SnapOrder
from .sources cimport ask_reserve
from .types cimport *
from .venue cimport account_open, list_book

cdef enum:
    ALL_ORDER_FLAGS = 63
    ALL_CALL_KINDS = 7


cdef inline int need_memory(bint has_failed) except -1:
    if has_failed:
        raise MemoryError("no memory for the state of the snapshot")
    return 0


cdef inline int load_state(Core *core, object rows, object tasks) except -1:
    """Fill an empty engine; `tasks` are those of the rows. ValueError naming what is wrong with its orders."""
    cdef uint32_t i
    cdef AccountLine *line
    core.next_seq = rows.next_seq
    core.now_ns = rows.now_ns
    for i in range(4):
        core.fees_ppm[i] = rows.fees_ppm[i]
    load_tables(core, rows.tables)
    for book, group, value_micro, max_order, gate_ns in rows.books:
        need_memory(list_book(core, book, value_micro, max_order, group, gate_ns))
    for values in rows.rules:
        load_rules(core, values)
    for kind, who in rows.killed:
        need_memory(cpx_grow(<void **>&core.killed, &core.killed_capacity, core.n_killed + 1, sizeof(Killed)))
        core.killed[core.n_killed].kind = kind
        core.killed[core.n_killed].who = who
        core.n_killed += 1
    for account, firm, cash, held, escrow, margin, bond in rows.accounts:
        if account:
            need_memory(account_open(core, account, firm))
        line = account_find(core, account)
        line.purses[0], line.purses[1], line.purses[2] = cash, held, escrow
        line.purses[3], line.purses[4] = margin, bond
    for account, group, attested, sold in rows.capacities:
        need_memory(capacity_reserve(core))
        capacity_make(core, account, group).attested = attested
        capacity_find(core, account, group).sold = sold
    for account, book, bought, sold in rows.positions:
        need_memory(position_reserve(core) or book_reserve(core))
        position_make(core, account, book_at(core, open_line(core, book))).bought = bought
        position_find(core, account, book).sold = sold
    load_orders(core, rows.orders, rows.extras)
    return load_market(core, rows.tables, tasks)


cdef inline uint32_t open_line(Core *core, uint32_t book) noexcept nogil:
    """The line of a book, a new one if need be; room was reserved before."""
    cdef uint32_t at = book_find(core, book)
    return book_open(core, book) if at == NONE else at


cdef inline int load_rules(Core *core, tuple values) except -1:
    """One row of RULE; a book in a call is news until its figures have been looked at."""
    cdef BookRules *rules
    cdef uint32_t at
    need_memory(book_reserve(core) or rules_reserve(core))
    at = open_line(core, values[0])
    rules = set_up(core, at)
    (rules.flags, rules.tie_policy, rules.stp, rules.phase, rules.call, rules.is_gated, rules.grade, _,
     rules.extensions, rules.cap_ppm, rules.static_ppm, rules.dynamic_ppm, rules.corridor_ppm, rules.collar_ticks,
     rules.reference, rules.last, rules.call_end_ns, rules.end_ns, rules.fix, rules.interval_ns, rules.told_price,
     rules.told_volume, rules.told_surplus, rules.told_ns, rules.fix_hash) = values[1:]
    if rules.phase == CPX_PHASE_AUCTION:
        call_join(core, at)
    return 0


cdef inline int load_orders(Core *core, bytes rows, dict extras) except -1:
    cdef const SnapOrder *row = <const SnapOrder *>PyBytes_AS_STRING(rows)
    cdef uint64_t n = len(rows) // sizeof(SnapOrder)
    cdef uint64_t i
    cdef Py_ssize_t place = 0
    cdef PyObject *order_id = NULL
    cdef PyObject *values = NULL
    cdef int64_t aux, shown
    cdef bint is_left = PyDict_Next(extras, &place, &order_id, &values)
    cdef int result
    prepare_ring(core, row, n)
    for i in range(n):
        if i and not rows_ascend(&row[i - 1], &row[i]):
            raise ValueError("snapshot has orders out of order")
        aux = shown = 0
        if is_left and <object>order_id == row[i].order_id:
            aux, shown = <tuple>values
            is_left = PyDict_Next(extras, &place, &order_id, &values)
            if aux == 0:
                raise ValueError(f"snapshot has an empty extra row of order {row[i].order_id}")
        result = load_order(core, &row[i], aux, shown)
        need_memory(result < 0)
        if result:
            raise ValueError(f"snapshot has order {row[i].order_id} with a field out of range or without cover")
    if is_left:
        raise ValueError("snapshot has extra rows of no order or out of order")
    return 0


cdef inline void prepare_ring(Core *core, const SnapOrder *row, uint64_t n) noexcept nogil:
    """Places for all pages from the start: an id that finds none stays in the hash map for life."""
    cdef uint64_t lowest = ~<uint64_t>0
    cdef uint64_t highest = 0
    cdef uint64_t n_pages = n
    cdef uint64_t i
    for i in range(n):
        if row[i].order_id < lowest:
            lowest = row[i].order_id
        if row[i].order_id > highest:
            highest = row[i].order_id
    if n and (highest >> 7) - (lowest >> 7) < n:
        n_pages = (highest >> 7) - (lowest >> 7) + 1
    while core.order_ring_mask + 1 < 2 * n_pages and core.order_ring_mask + 1 < ring_places(core.max_orders):
        order_ring_double(core)


cdef inline bint rows_ascend(const SnapOrder *a, const SnapOrder *b) noexcept nogil:
    """Whether b may follow a in the walk: by book, bids then asks, best to worst."""
    if a.book != b.book:
        return a.book < b.book
    if a.side != b.side:
        return a.side < b.side
    return a.price <= b.price if a.side else a.price >= b.price


cdef inline bint are_marks_fair(const SnapOrder *row, int64_t aux, int64_t shown) noexcept nogil:
    """Whether type, flags and what belongs to them could have come from a NEW; `check()` looks at the rest."""
    cdef uint32_t flags = row.marks & 0xFF
    cdef uint32_t order_type = row.marks >> TYPE_SHIFT & 0xF
    cdef int64_t most = aux if aux < row.leaves else row.leaves
    if order_type > CPX_ORDER_TYPE_MARKET or row.marks >> STP_SHIFT > CPX_STP_DECREMENT or flags & ~ALL_ORDER_FLAGS:
        return False
    if flags & CPX_FLAG_AUCTION_ONLY:
        return flags == CPX_FLAG_AUCTION_ONLY and 0 <= aux <= ALL_CALL_KINDS and shown == 0
    if order_type == CPX_ORDER_TYPE_MARKET or (
            flags & (CPX_FLAG_STANDBY | CPX_FLAG_INDIVISIBLE) and row.side != CPX_SIDE_SELL):
        return False
    if flags & CPX_FLAG_ICEBERG:
        return not flags & CPX_FLAG_MIN_QTY and 1 <= shown <= most and (
            aux <= CPX_MAX_QTY_LOTS and row.qty <= aux * CPX_MAX_SLICES)
    if flags & CPX_FLAG_MIN_QTY:
        return 1 <= aux <= CPX_MAX_QTY_LOTS and shown == 0
    return aux == 0 and shown == 0


cdef inline bint is_order_fair(
    Core *core, const SnapOrder *row, int64_t aux, int64_t shown, const BookLine *book
) noexcept nogil:
    cdef bint is_funded_buy = core.check_funds and row.side == CPX_SIDE_BUY
    if row.order_id == 0 or row.order_id > <uint64_t>CPX_MAX_ORDER_ID or row.side > CPX_SIDE_SELL:
        return False
    if order_find(core, row.order_id) != NONE or core.n_orders >= core.max_orders:
        return False
    if not price_valid(row.price) or row.leaves < 1 or row.leaves > row.qty or row.qty > book.max_lots:
        return False
    if row.tif != CPX_TIF_GTC and row.tif != CPX_TIF_GTD and row.tif != CPX_TIF_DAY:
        return False
    if (row.tif != CPX_TIF_GTD) != (row.expiry_ns == 0):
        return False
    if row.expiry_ns < 0 or row.done_micro < 0 or row.fee_ppm > CPX_MAX_FEE_PPM:
        return False
    if not are_marks_fair(row, aux, shown):
        return False
    if core.check_funds and not may_trade(core, row.account):
        return False
    if not is_funded_buy and (row.done_micro or row.fee_ppm):
        return False
    return cpx_notional_fits(row.price, row.leaves, book.value_micro, <uint64_t>row.done_micro)


cdef inline bint cover_order(Core *core, const SnapOrder *row, BookLine *book) noexcept nogil:
    """Count an order of a funded engine in; False if there is nothing behind it. Its position has room."""
    cdef PositionLine *position = position_make(core, row.account, book)
    cdef AccountLine *account = account_find(core, row.account)
    cdef int64_t hold
    if row.side == CPX_SIDE_SELL:
        if position.n_asks >= CPX_MAX_SELLS_PER_BOOK:
            return False
        if book.group and not has_room(core, row.account, book.group, row.leaves):
            return False
        open_resize(core, row.account, book.group, row.leaves)
        return True
    hold = hold_of(row.price, row.leaves, book.value_micro, row.fee_ppm, row.done_micro)
    if hold > held_free(account):
        return False
    account.order_holds += hold
    return True


cdef inline int load_order(Core *core, const SnapOrder *row, int64_t aux, int64_t shown) noexcept nogil:
    """Rest one order of a snapshot: 0, -1 without memory, 1 if it is not fair or not covered."""
    cdef uint32_t at = book_find(core, row.book)
    cdef uint32_t slot
    cdef OrderSlot *order
    if at == NONE and core.listed_only:
        return 1
    if not is_order_fair(core, row, aux, shown, &core.blank if at == NONE else book_at(core, at)):
        return 1
    if order_reserve(core) or book_reserve(core) or (core.check_funds and position_reserve(core)):
        return -1
    if core.check_funds and row.side == CPX_SIDE_SELL and ask_reserve(core, row.account, row.book):
        return -1
    at = open_line(core, row.book)
    if core.check_funds and not cover_order(core, row, book_at(core, at)):
        return 1
    slot = order_take(core)
    order = order_at(core, slot)
    order.id = row.order_id
    order.client_ref = row.client_ref
    order.price = row.price
    order.qty = row.qty
    order.leaves = row.leaves
    order.account = row.account
    order.book_side = at << 1 | row.side
    order.ext = NONE
    if core.check_funds or row.tif or row.marks:
        order.ext = load_ext(core, row, aux, shown)
    order_register(core, slot)
    queue_enter(core, slot)
    return 0


cdef inline uint32_t load_ext(Core *core, const SnapOrder *row, int64_t aux, int64_t shown) noexcept nogil:
    cdef uint32_t at = ext_take(core)
    cdef Ext *ext = ext_at(core, at)
    ext.expiry_ns = row.expiry_ns
    ext.done_micro = row.done_micro
    ext.aux = aux
    ext.shown = shown
    ext.stamp = 0
    ext.fee_ppm = row.fee_ppm
    ext.heap_at = NONE
    ext.tif = row.tif
    ext.order_type = row.marks >> TYPE_SHIFT & 0xF
    ext.flags = row.marks & 0xFF
    ext.stp = row.marks >> STP_SHIFT
    return at
