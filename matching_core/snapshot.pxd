"""The state as snapshot rows: those of `image.ROWS` and `image.RULE_ROWS`, packed where they lie; `snapshot_market` has the
rest.

Rules kept here: equal logical state gives equal bytes; rows are in canonical order and empty records are left out.
`reference/snapshot.py` is the rulebook, `restore.pxd` the way back.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from .accounts cimport pair
from .book cimport ext_at, order_at
from .hashmap cimport map_get
from .ladder cimport ladder_below, ladder_level, level_at
from .snapshot_market cimport market_sections
from .snapshot_rows cimport RowKey, add_key, room_for, sort_keys
from .types cimport *

cdef enum:
    TYPE_SHIFT = 8  # marks of an order row: flags, type, stp
    STP_SHIFT = 12

cdef packed struct SnapMeta:
    uint64_t next_seq, max_orders

cdef packed struct SnapCore:
    int64_t now_ns
    uint32_t check_funds, listed_only
    uint32_t fees_ppm[4]

cdef packed struct SnapBook:
    uint32_t book, group
    int64_t value_micro, max_order, gate_ns

cdef packed struct SnapAccount:
    uint32_t account, firm
    int64_t purses[5]

cdef packed struct SnapPair:  # CAPA: account, group, attested, sold; POSN: account, book, bought, sold
    uint32_t account, other
    int64_t first, second

cdef packed struct SnapOrder:
    uint64_t order_id, client_ref
    int64_t price, qty, leaves, expiry_ns, done_micro
    uint32_t book, account, fee_ppm
    uint8_t side, tif
    uint16_t marks

cdef packed struct SnapRule:
    uint32_t book
    uint8_t flags, tie_policy, stp, phase, call, is_gated, grade, zero
    uint32_t extensions, cap_ppm, static_ppm, dynamic_ppm, corridor_ppm
    int64_t collar_ticks, reference, last, call_end_ns, end_ns, fix, interval_ns
    int64_t told_price, told_volume, told_surplus, told_ns
    uint64_t fix_hash

cdef packed struct SnapExtra:
    uint64_t order_id
    int64_t aux, shown

cdef packed struct SnapKilled:
    uint32_t kind, who

cdef enum:  # which books
    LISTED_BOOKS, SET_UP_BOOKS, BUSY_BOOKS


# --- canonical order ---


cdef inline uint64_t book_keys(Core *core, RowKey *keys, uint32_t which) noexcept nogil:
    """The listed books, those that were set up, or those with orders, by id; returns how many."""
    cdef uint64_t n = 0
    cdef uint32_t at
    cdef const BookLine *book
    cdef bint is_wanted
    for at in range(core.books_used):
        book = core.books + at
        if which == LISTED_BOOKS:
            is_wanted = book.state == BOOK_LISTED
        elif which == SET_UP_BOOKS:
            is_wanted = book.state != BOOK_FREE and book.rules != NONE
        else:
            is_wanted = book.n_orders[0] + book.n_orders[1] > 0
        if is_wanted:
            n = add_key(keys, n, book.id, at)
    sort_keys(keys, n)
    return n


cdef inline uint32_t walk_book(Core *core, const BookLine *book, uint32_t *slots) noexcept nogil:
    """The slots of a book in T3 order; returns how many."""
    cdef uint32_t n = 0
    cdef uint32_t side, slot
    cdef int64_t key
    for side in range(2):
        key = book.best[side]
        while key >= 0:
            slot = level_at(core, ladder_level(core, book, side, key)).head
            while slot != NONE:
                slots[n] = slot
                n += 1
                slot = order_at(core, slot).next
            key = ladder_below(core, book, side, key)
    return n


# --- out ---


cdef inline void fill_order(Core *core, const OrderSlot *order, SnapOrder *row) noexcept nogil:
    cdef const Ext *ext
    memset(row, 0, sizeof(SnapOrder))
    row.order_id = order.id
    row.client_ref = order.client_ref
    row.price = order.price
    row.qty = order.qty
    row.leaves = order.leaves
    row.book = core.books[order.book_side >> 1].id
    row.account = order.account
    row.side = order.book_side & 1
    if order.ext != NONE:
        ext = ext_at(core, order.ext)
        row.expiry_ns = ext.expiry_ns
        row.done_micro = ext.done_micro
        row.fee_ppm = ext.fee_ppm
        row.tif = ext.tif
        row.marks = ext.flags | <uint16_t>ext.order_type << TYPE_SHIFT | <uint16_t>ext.stp << STP_SHIFT


cdef inline void fill_rules(const BookRules *rules, uint32_t book, SnapRule *row) noexcept nogil:
    row.book = book
    row.flags, row.tie_policy, row.stp, row.phase = rules.flags, rules.tie_policy, rules.stp, rules.phase
    row.call, row.is_gated, row.grade, row.zero = rules.call, rules.is_gated, rules.grade, 0
    row.extensions, row.cap_ppm = rules.extensions, rules.cap_ppm
    row.static_ppm, row.dynamic_ppm, row.corridor_ppm = rules.static_ppm, rules.dynamic_ppm, rules.corridor_ppm
    row.collar_ticks, row.reference, row.last = rules.collar_ticks, rules.reference, rules.last
    row.call_end_ns, row.end_ns = rules.call_end_ns, rules.end_ns
    row.fix, row.fix_hash, row.interval_ns = rules.fix, rules.fix_hash, rules.interval_ns
    row.told_price, row.told_volume = rules.told_price, rules.told_volume
    row.told_surplus, row.told_ns = rules.told_surplus, rules.told_ns


cdef inline bytes meta_rows(const Core *core):
    cdef SnapMeta row
    row.next_seq = core.next_seq
    row.max_orders = core.max_orders
    return PyBytes_FromStringAndSize(<const char *>&row, sizeof(SnapMeta))


cdef inline bytes core_rows(const Core *core):
    cdef SnapCore row
    cdef uint32_t i
    row.now_ns = core.now_ns
    row.check_funds = core.check_funds
    row.listed_only = core.listed_only
    for i in range(4):
        row.fees_ppm[i] = core.fees_ppm[i]
    return PyBytes_FromStringAndSize(<const char *>&row, sizeof(SnapCore))


cdef inline bytes book_rows(Core *core, RowKey *keys):
    cdef uint64_t n = book_keys(core, keys, LISTED_BOOKS)
    cdef bytes rows = room_for(n, sizeof(SnapBook))
    cdef SnapBook *row = <SnapBook *>PyBytes_AS_STRING(rows)
    cdef const BookLine *book
    cdef uint64_t i
    for i in range(n):
        book = core.books + keys[i].at
        row[i].book = book.id
        row[i].group = book.group
        row[i].value_micro = book.value_micro
        row[i].max_order = book.max_lots if book.is_capped else 0
        row[i].gate_ns = book.gate_ns
    return rows


cdef inline bytes account_rows(const Core *core, RowKey *keys):
    cdef uint64_t n = 0
    cdef uint32_t at, i
    cdef bytes rows = room_for(core.accounts_used, sizeof(SnapAccount))
    cdef SnapAccount *row = <SnapAccount *>PyBytes_AS_STRING(rows)
    for at in range(core.accounts_used):
        n = add_key(keys, n, core.accounts[at].id, at)
    sort_keys(keys, n)
    for at in range(core.accounts_used):
        row[at].account = core.accounts[keys[at].at].id
        row[at].firm = core.accounts[keys[at].at].firm
        for i in range(5):
            row[at].purses[i] = core.accounts[keys[at].at].purses[i]
    return rows


cdef inline bint is_capacity(const Core *core, uint32_t at) noexcept nogil:
    """Whether this slot is in use: only then does its key lead here."""
    return map_get(&core.capacity_map, pair(core.capacities[at].account, core.capacities[at].group)) == at


cdef inline bint is_position(const Core *core, uint32_t at) noexcept nogil:
    return map_get(&core.position_map, pair(core.positions[at].account, core.positions[at].book)) == at


cdef inline bytes capacity_rows(const Core *core, RowKey *keys):
    cdef const CapacityLine *line
    cdef uint64_t n = 0
    cdef uint64_t i
    cdef uint32_t at
    for at in range(core.capacities_used):
        line = core.capacities + at
        if (line.attested or line.sold) and is_capacity(core, at):
            n = add_key(keys, n, pair(line.account, line.group), at)
    sort_keys(keys, n)
    cdef bytes rows = room_for(n, sizeof(SnapPair))
    cdef SnapPair *row = <SnapPair *>PyBytes_AS_STRING(rows)
    for i in range(n):
        line = core.capacities + keys[i].at
        row[i].account, row[i].other = line.account, line.group
        row[i].first, row[i].second = line.attested, line.sold
    return rows


cdef inline bytes position_rows(const Core *core, RowKey *keys):
    cdef const PositionLine *line
    cdef uint64_t n = 0
    cdef uint64_t i
    cdef uint32_t at
    for at in range(core.positions_used):
        line = core.positions + at
        if (line.bought or line.sold) and is_position(core, at):
            n = add_key(keys, n, pair(line.account, line.book), at)
    sort_keys(keys, n)
    cdef bytes rows = room_for(n, sizeof(SnapPair))
    cdef SnapPair *row = <SnapPair *>PyBytes_AS_STRING(rows)
    for i in range(n):
        line = core.positions + keys[i].at
        row[i].account, row[i].other = line.account, line.book
        row[i].first, row[i].second = line.bought, line.sold
    return rows


cdef inline void walk_books(Core *core, RowKey *keys, uint32_t *slots) noexcept nogil:
    """Every live order in canonical order."""
    cdef uint64_t n_books = book_keys(core, keys, BUSY_BOOKS)
    cdef uint64_t n = 0
    cdef uint64_t i
    for i in range(n_books):
        n += walk_book(core, core.books + keys[i].at, slots + n)


cdef inline bytes order_rows(Core *core, const uint32_t *slots):
    cdef bytes rows = room_for(core.n_orders, sizeof(SnapOrder))
    cdef SnapOrder *row = <SnapOrder *>PyBytes_AS_STRING(rows)
    cdef uint32_t i
    for i in range(core.n_orders):
        if i + 8 < core.n_orders:
            cpx_prefetch(core.orders + slots[i + 8])
        fill_order(core, order_at(core, slots[i]), row + i)
    return rows


cdef inline bytes extra_rows(Core *core, const uint32_t *slots):
    cdef const OrderSlot *order
    cdef uint64_t n = 0
    cdef uint32_t i
    if core.exts_used:
        for i in range(core.n_orders):
            order = order_at(core, slots[i])
            n += order.ext != NONE and ext_at(core, order.ext).aux != 0
    cdef bytes rows = room_for(n, sizeof(SnapExtra))
    cdef SnapExtra *row = <SnapExtra *>PyBytes_AS_STRING(rows)
    if n:
        for i in range(core.n_orders):
            order = order_at(core, slots[i])
            if order.ext != NONE and ext_at(core, order.ext).aux != 0:
                row.order_id = order.id
                row.aux = ext_at(core, order.ext).aux
                row.shown = ext_at(core, order.ext).shown
                row += 1
    return rows


cdef inline bytes rule_rows(Core *core, RowKey *keys):
    cdef uint64_t n = book_keys(core, keys, SET_UP_BOOKS)
    cdef bytes rows = room_for(n, sizeof(SnapRule))
    cdef SnapRule *row = <SnapRule *>PyBytes_AS_STRING(rows)
    cdef uint64_t i
    for i in range(n):
        fill_rules(core.rules + core.books[keys[i].at].rules, core.books[keys[i].at].id, row + i)
    return rows


cdef inline bytes killed_rows(const Core *core):
    cdef bytes rows = room_for(core.n_killed, sizeof(SnapKilled))
    cdef SnapKilled *row = <SnapKilled *>PyBytes_AS_STRING(rows)
    cdef uint32_t i
    for i in range(core.n_killed):
        row[i].kind = core.killed[i].kind
        row[i].who = core.killed[i].who
    return rows


cdef inline dict state_sections(Core *core):
    """The rows of the whole state by section; O(state), and a sort of what does not lie in order."""
    cdef uint64_t most = max(core.books_used, core.accounts_used, core.capacities_used, core.positions_used)
    cdef RowKey *keys = <RowKey *>malloc(most * sizeof(RowKey))
    cdef uint32_t *slots = <uint32_t *>malloc((core.n_orders + <size_t>1) * sizeof(uint32_t))
    try:
        if keys == NULL or slots == NULL:
            raise MemoryError("no memory to write the state")
        walk_books(core, keys, slots)
        return {
            "META": meta_rows(core), "CORE": core_rows(core), "BOOK": book_rows(core, keys),
            "ACCT": account_rows(core, keys), "CAPA": capacity_rows(core, keys), "POSN": position_rows(core, keys),
            "ORDR": order_rows(core, slots), "RULE": rule_rows(core, keys), "ORDX": extra_rows(core, slots),
            "KILL": killed_rows(core), **market_sections(core),
        }
    finally:
        free(keys)
        free(slots)
