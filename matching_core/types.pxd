"""The C twins of the records and enums, and the slots of the compiled engine: one comment per field.

Indexes into slabs are uint32; NONE says there is none. Nothing here is seen from Python.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "matching_core.h" nogil:
    ctypedef struct Command "cpx_command":
        uint8_t op, side, order_type, tif, stp, flags
        uint16_t reserved
        uint32_t book, account
        uint64_t order_id
        int64_t price, qty, aux, expiry_ns
        uint64_t client_ref

    ctypedef struct Event "cpx_event":
        uint64_t seq
        uint8_t kind, side, reason, flags
        uint32_t book
        uint64_t order_id, contra_id
        int64_t price, qty, leaves, contra_leaves

    enum:  # Op
        CPX_OP_NEW, CPX_OP_CANCEL, CPX_OP_REPLACE, CPX_OP_REDUCE, CPX_OP_MASS_CANCEL,
        CPX_OP_ADVANCE_TIME, CPX_OP_SET_PHASE, CPX_OP_UNCROSS, CPX_OP_AMEND, CPX_OP_OPEN_ACCOUNT,
        CPX_OP_TRANSFER, CPX_OP_SET_FEE, CPX_OP_LIST_BOOK, CPX_OP_SET_CAPACITY, CPX_OP_TAKE,
        CPX_OP_ADJUST_SOLD
    enum:  # Side
        CPX_SIDE_BUY, CPX_SIDE_SELL
    enum:  # OrderType
        CPX_ORDER_TYPE_LIMIT, CPX_ORDER_TYPE_MARKET
    enum:  # TimeInForce
        CPX_TIF_GTC, CPX_TIF_IOC, CPX_TIF_FOK, CPX_TIF_GTD, CPX_TIF_DAY
    enum:  # Kind
        CPX_KIND_ACCEPTED, CPX_KIND_REJECTED, CPX_KIND_TRADE, CPX_KIND_CANCELED, CPX_KIND_REPLACED,
        CPX_KIND_EXPIRED, CPX_KIND_DENIED, CPX_KIND_POSTED, CPX_KIND_TRANSFERRED,
        CPX_KIND_ACCOUNT_OPENED, CPX_KIND_FEE_SET, CPX_KIND_BOOK_LISTED, CPX_KIND_BOOK_CLOSED,
        CPX_KIND_CAPACITY_SET, CPX_KIND_SOLD_ADJUSTED
    enum:  # EventFlag
        CPX_EVENT_KEPT_PRIORITY, CPX_EVENT_AUCTION, CPX_EVENT_TAKE
    enum:  # Bucket
        CPX_BUCKET_CASH, CPX_BUCKET_HELD, CPX_BUCKET_ESCROW, CPX_BUCKET_MARGIN, CPX_BUCKET_BOND
    enum:  # RejectReason
        CPX_REJECT_UNKNOWN_OP, CPX_REJECT_UNKNOWN_BOOK, CPX_REJECT_UNKNOWN_ACCOUNT,
        CPX_REJECT_INVALID_FIELD, CPX_REJECT_INVALID_PRICE, CPX_REJECT_INVALID_QTY,
        CPX_REJECT_INVALID_NOTIONAL, CPX_REJECT_INVALID_EXPIRY, CPX_REJECT_PHASE,
        CPX_REJECT_DUPLICATE_ID, CPX_REJECT_UNKNOWN_ORDER, CPX_REJECT_TIME_BACKWARDS,
        CPX_REJECT_ALREADY_EXISTS, CPX_REJECT_BOOK_FULL, CPX_REJECT_NOT_ENOUGH_DEPTH
    enum:  # DenyReason
        CPX_DENY_INSUFFICIENT_FUNDS, CPX_DENY_CAPACITY, CPX_DENY_TOO_MANY_SELLS,
        CPX_DENY_BALANCE_OVERFLOW
    enum:  # CancelReason
        CPX_CANCEL_ASKED, CPX_CANCEL_IOC, CPX_CANCEL_FOK, CPX_CANCEL_AMENDED
    enum:  # ExpireReason
        CPX_EXPIRE_GTD, CPX_EXPIRE_GATE
    const int64_t CPX_MAX_PRICE_TICKS, CPX_MAX_QTY_LOTS, CPX_MAX_MONEY_MICRO, CPX_MAX_FEE_PPM
    const int64_t CPX_MAX_ORDER_ID, CPX_MAX_TIME_NS, CPX_BUCKETS, CPX_FEE_TABLES
    const int64_t CPX_MAX_SELLS_PER_BOOK, CPX_OUTSIDE_ACCOUNT

cdef extern from "cpx_debug.h" nogil:
    void CPX_CHECK(bint condition) noexcept  # aborts with file and line in a CPX_DEBUG build, else nothing

cdef extern from "cpx_core.h" nogil:
    bint cpx_unlikely(bint condition) noexcept
    void cpx_prefetch(const void *address) noexcept
    int cpx_grow(void **slab, uint64_t *capacity, uint64_t need, size_t item) noexcept  # 0, or -1 without memory
    uint64_t cpx_home(uint64_t key, uint32_t shift) noexcept  # where a key belongs in a table of 2^(64 - shift)
    int64_t cpx_fee(uint32_t fee_ppm, int64_t notional_micro) noexcept  # rounded up
    bint cpx_notional_fits(int64_t price, int64_t qty, int64_t value_micro, uint64_t already_micro) noexcept
    int64_t cpx_add_capped(int64_t count, int64_t lots) noexcept  # stops at the largest number

cdef enum:
    NONE = 0xFFFFFFFF  # no index
    BOOK_FREE = 0  # states of a BookLine: a slot for reuse,
    BOOK_UNLISTED = 1  # opened by an order; part of the state only while one rests here,
    BOOK_LISTED = 2  # opened by LIST_BOOK

cdef struct OrderSlot:  # 64 bytes: one cache line per live order
    int64_t leaves  # open lots, at least 1 while it rests
    uint32_t next  # the order behind it in its level, or the next free slot
    uint32_t prev  # the order before it in its level
    uint32_t level  # index of its Level
    uint32_t account
    uint64_t id
    int64_t price  # ticks
    int64_t qty  # total lots: filled + leaves
    uint64_t client_ref
    uint32_t book_side  # index of its BookLine * 2 + side
    uint32_t ext  # index of its Ext, or NONE: GTC orders of engines that do not check funds have none

cdef struct Ext:  # 40 bytes: what few orders need
    int64_t expiry_ns  # 0 unless GTD
    int64_t done_micro  # funded buys: notional traded so far
    uint64_t stamp  # place in time; compared within one level only
    uint32_t fee_ppm  # funded buys: the rate at entry
    uint32_t heap_at  # where it stands in the expiry heap, or NONE; in a free Ext the next free one
    uint8_t tif  # CPX_TIF_GTC or CPX_TIF_GTD

cdef struct Level:  # 32 bytes: the queue at one price
    int64_t key  # price for bids, minus price for asks: the best of either side is the largest
    uint64_t total  # sum of leaves; max_orders is bound so that it fits
    uint32_t head  # first come; in a free Level the next free one
    uint32_t tail
    uint32_t n_orders
    uint32_t unused

cdef struct Rung:  # 16 bytes
    int64_t key  # as in the level, so that a search stays in this array
    uint32_t level
    uint32_t unused

cdef struct Ladder:  # one side of a book: its levels in ascending order of key, the best last
    Rung *rungs
    uint64_t capacity
    uint32_t n_levels
    uint32_t n_orders

cdef struct BookLine:
    Ladder sides[2]
    int64_t value_micro  # micro-yuan per tick and lot
    int64_t max_order  # as listed; 0 = CPX_MAX_QTY_LOTS
    int64_t gate_ns  # 0 = never
    uint32_t id
    uint32_t group  # capacity group; 0 = none
    uint32_t positions  # first Position of this book, or NONE; in a free line the next free one
    uint32_t state  # BOOK_*

cdef struct AccountLine:  # 64 bytes
    int64_t purses[5]  # micro-yuan, in Bucket order
    int64_t order_holds  # what part of HELD its open buys reserve
    uint32_t id
    uint32_t firm
    uint64_t unused

cdef struct CapacityLine:  # RT1: one account in one capacity group
    int64_t attested
    int64_t open  # leaves of its live sells
    int64_t sold
    uint32_t account
    uint32_t group
    uint32_t next  # the next one of the group, or the next free one

cdef struct PositionLine:  # one account in one book of an engine that checks funds
    int64_t bought
    int64_t sold
    uint32_t asks[4]  # its live sells, in the order of entry
    uint32_t n_asks
    uint32_t account
    uint32_t book  # book id
    uint32_t next  # the next one of the book, or the next free one

cdef struct GroupLine:
    uint32_t id
    uint32_t n_books  # listed books of this group; the line is free at 0
    uint32_t capacities  # first CapacityLine, or NONE; in a free line the next free one

cdef struct DueOrder:  # sort key of one expiring order: T3
    int64_t minus_key
    uint64_t stamp
    uint32_t book
    uint32_t side
    uint32_t slot

cdef struct Entry:  # 16 bytes of a hash map
    uint64_t key
    uint32_t value  # NONE = empty
    uint32_t unused

cdef struct Map:  # open addressing, linear probing; never iterated for output
    Entry *entries
    uint32_t n
    uint32_t shift  # capacity = 2^(64 - shift)
    uint64_t capacity

cdef struct Core:
    # one batch
    Event *events
    uint64_t n_events
    uint64_t events_capacity
    uint64_t seq  # of the command at hand
    # settings and counters
    uint64_t next_seq
    uint32_t max_orders
    uint32_t n_orders
    bint check_funds
    bint listed_only
    int64_t now_ns
    uint64_t stamp  # of the order that joined a queue last
    int64_t next_gate_ns  # the earliest gate of a listed book, or the end of time
    uint32_t fees_ppm[4]
    # slabs: `used` is the high-water mark, `free` the head of a last-in-first-out list
    OrderSlot *orders
    uint64_t orders_capacity
    uint32_t orders_used, orders_free
    uint32_t exts_used, exts_free
    Ext *exts
    uint64_t exts_capacity
    Level *levels
    uint64_t levels_capacity
    uint32_t levels_used, levels_free
    uint32_t books_used, books_free
    BookLine *books
    uint64_t books_capacity
    AccountLine *accounts
    uint64_t accounts_capacity
    CapacityLine *capacities
    uint64_t capacities_capacity
    PositionLine *positions
    uint64_t positions_capacity
    GroupLine *groups
    uint64_t groups_capacity
    uint32_t accounts_used, capacities_used, capacities_free, positions_used, positions_free
    uint32_t groups_used, groups_free
    # expiry: a binary heap of order slots by (expiry, id), moved by ADVANCE_TIME only
    uint32_t heap_used
    uint32_t *heap
    uint64_t heap_capacity
    DueOrder *due
    uint64_t due_capacity
    # id -> index
    Map order_map, book_map, account_map, capacity_map, position_map, group_map
    BookLine blank  # what an unlisted book looks like before its first order
