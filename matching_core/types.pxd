"""The C twins of the records and enums, and the structures of the compiled engine: one comment per field.

Indexes into slabs are uint32; NONE says there is none. Nothing here is seen from Python. Order slots, extras, leaves,
nodes, id pages and the expiry heap lie in one reserved mapping that is sized for max_orders when the engine is made:
they never move and never need to grow. All other slabs grow before a command changes anything.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from .market_types cimport *
from .task_types cimport TaskDraft, TaskGroup, TaskHeap

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
        CPX_OP_NEW, CPX_OP_CANCEL, CPX_OP_REPLACE, CPX_OP_REDUCE, CPX_OP_MASS_CANCEL, CPX_OP_ADVANCE_TIME,
        CPX_OP_SET_PHASE, CPX_OP_UNCROSS, CPX_OP_AMEND, CPX_OP_OPEN_ACCOUNT, CPX_OP_TRANSFER, CPX_OP_SET_FEE,
        CPX_OP_LIST_BOOK, CPX_OP_SET_CAPACITY, CPX_OP_TAKE, CPX_OP_ADJUST_SOLD, CPX_OP_SET_BOOK, CPX_OP_SET_BANDS,
        CPX_OP_SET_REFERENCE, CPX_OP_SET_FIX, CPX_OP_SESSION_CLOSE, CPX_OP_KILL, CPX_OP_LIFT, CPX_OP_SET_GRID,
        CPX_OP_LIST_FAMILY, CPX_OP_SET_REACH, CPX_OP_SET_LINK, CPX_OP_BLOCK_OPEN, CPX_OP_BLOCK_SET,
        CPX_OP_BLOCK_CLOSE, CPX_OP_TASK, CPX_OP_TASK_AMEND, CPX_OP_TASK_CANCEL, CPX_OP_DRAIN, CPX_OP_TASK_TERMS,
        CPX_OP_TASK_CHIPS, CPX_OP_TASK_REGIONS, CPX_OP_TASK_STEPS
    enum:  # Side
        CPX_SIDE_BUY, CPX_SIDE_SELL
    enum:  # OrderType
        CPX_ORDER_TYPE_LIMIT, CPX_ORDER_TYPE_MARKET
    enum:  # TimeInForce
        CPX_TIF_GTC, CPX_TIF_IOC, CPX_TIF_FOK, CPX_TIF_GTD, CPX_TIF_DAY
    enum:  # OrderFlag
        CPX_FLAG_POST_ONLY, CPX_FLAG_ICEBERG, CPX_FLAG_MIN_QTY, CPX_FLAG_AUCTION_ONLY, CPX_FLAG_STANDBY,
        CPX_FLAG_INDIVISIBLE
    enum:  # StpMode
        CPX_STP_NONE, CPX_STP_CANCEL_NEWEST, CPX_STP_CANCEL_OLDEST, CPX_STP_CANCEL_BOTH, CPX_STP_DECREMENT
    enum:  # BookRule
        CPX_RULE_SLIDE, CPX_RULE_FRESH_PEAK, CPX_RULE_LIMITS_ONLY, CPX_RULE_TIE_LOWER
    enum:  # TiePolicy
        CPX_TIE_REFERENCE, CPX_TIE_CAPPED_PRESSURE, CPX_TIE_MIDPOINT
    enum:  # CallKind
        CPX_CALL_OPENING, CPX_CALL_CLOSING, CPX_CALL_VOLATILITY, CPX_CALL_NO_CANCEL
    enum:  # Lane
        CPX_LANE_STANDARD, CPX_LANE_ECONOMY, CPX_LANE_EMERGENCY, CPX_LANE_REPAIR
    enum:  # Shape
        CPX_SHAPE_BLOCK, CPX_SHAPE_SPLIT, CPX_SHAPE_SPREAD, CPX_SHAPE_BULK
    enum:  # TaskFlag
        CPX_TASK_FLAG_GREEN, CPX_TASK_FLAG_INDIVISIBLE
    enum:  # Power
        CPX_POWER_GRID, CPX_POWER_GREEN
    enum:  # MassFilter
        CPX_FILTER_ACCOUNT, CPX_FILTER_FIRM, CPX_FILTER_BOOK, CPX_FILTER_SIDE
    enum:  # FixGrade
        CPX_GRADE_NONE, CPX_GRADE_A, CPX_GRADE_B, CPX_GRADE_C
    enum:  # Kind
        CPX_KIND_ACCEPTED, CPX_KIND_REJECTED, CPX_KIND_TRADE, CPX_KIND_CANCELED, CPX_KIND_REPLACED, CPX_KIND_EXPIRED,
        CPX_KIND_DENIED, CPX_KIND_POSTED, CPX_KIND_TRANSFERRED, CPX_KIND_ACCOUNT_OPENED, CPX_KIND_FEE_SET,
        CPX_KIND_BOOK_LISTED, CPX_KIND_BOOK_CLOSED, CPX_KIND_CAPACITY_SET, CPX_KIND_SOLD_ADJUSTED,
        CPX_KIND_REPLENISHED, CPX_KIND_MASS_CANCELED, CPX_KIND_PHASE_SET, CPX_KIND_UNCROSSED, CPX_KIND_INDICATIVE,
        CPX_KIND_CALL_EXTENDED, CPX_KIND_BOOK_SET, CPX_KIND_BANDS_SET, CPX_KIND_REFERENCE_SET, CPX_KIND_FIX_SET,
        CPX_KIND_SESSION_CLOSED, CPX_KIND_KILLED, CPX_KIND_LIFTED, CPX_KIND_BOOK_GATED, CPX_KIND_TASK_WAITING,
        CPX_KIND_TASK_FILLED, CPX_KIND_DATA_MOVED, CPX_KIND_DRAINED, CPX_KIND_GRID_SET, CPX_KIND_FAMILY_LISTED,
        CPX_KIND_REACH_SET, CPX_KIND_LINK_SET, CPX_KIND_BLOCK_OPENED, CPX_KIND_BLOCK_CHANGED,
        CPX_KIND_BLOCK_CLOSED, CPX_KIND_TASK_STEPPED
    enum:  # EventFlag
        CPX_EVENT_KEPT_PRIORITY, CPX_EVENT_AUCTION, CPX_EVENT_TAKE, CPX_EVENT_SELF_TRADE, CPX_EVENT_SLID,
        CPX_EVENT_HIDDEN, CPX_EVENT_TASK, CPX_EVENT_BLOCK
    enum:  # Phase
        CPX_PHASE_PRE_OPEN, CPX_PHASE_AUCTION, CPX_PHASE_OPEN, CPX_PHASE_HALTED, CPX_PHASE_CANCEL_ONLY,
        CPX_PHASE_CLOSED
    enum:  # Bucket
        CPX_BUCKET_CASH, CPX_BUCKET_HELD, CPX_BUCKET_ESCROW, CPX_BUCKET_MARGIN, CPX_BUCKET_BOND
    enum:  # RejectReason
        CPX_REJECT_UNKNOWN_OP, CPX_REJECT_UNKNOWN_BOOK, CPX_REJECT_UNKNOWN_ACCOUNT, CPX_REJECT_INVALID_FIELD,
        CPX_REJECT_INVALID_PRICE, CPX_REJECT_INVALID_QTY, CPX_REJECT_INVALID_NOTIONAL, CPX_REJECT_INVALID_EXPIRY,
        CPX_REJECT_PHASE, CPX_REJECT_DUPLICATE_ID, CPX_REJECT_UNKNOWN_ORDER, CPX_REJECT_TIME_BACKWARDS,
        CPX_REJECT_ALREADY_EXISTS, CPX_REJECT_BOOK_FULL, CPX_REJECT_NOT_ENOUGH_DEPTH, CPX_REJECT_PRICE_BAND,
        CPX_REJECT_WOULD_TRADE, CPX_REJECT_INCOMPLETE, CPX_REJECT_INVALID_WINDOW, CPX_REJECT_TOO_MANY_WAITING
    enum:  # DenyReason
        CPX_DENY_INSUFFICIENT_FUNDS, CPX_DENY_CAPACITY, CPX_DENY_TOO_MANY_SELLS, CPX_DENY_BALANCE_OVERFLOW,
        CPX_DENY_BLOCKED
    enum:  # CancelReason
        CPX_CANCEL_ASKED, CPX_CANCEL_IOC, CPX_CANCEL_FOK, CPX_CANCEL_AMENDED, CPX_CANCEL_MASS, CPX_CANCEL_KILLED,
        CPX_CANCEL_NO_LIQUIDITY, CPX_CANCEL_SELF_TRADE, CPX_CANCEL_MIN_QTY, CPX_CANCEL_BAND, CPX_CANCEL_CALL_OVER
    enum:  # ExpireReason
        CPX_EXPIRE_GTD, CPX_EXPIRE_GATE, CPX_EXPIRE_DAY
    const int64_t CPX_BUCKETS, CPX_FEE_TABLES, CPX_MAX_FEE_PPM, CPX_MAX_MONEY_MICRO, CPX_MAX_ORDER_ID
    const int64_t CPX_MAX_PRICE_TICKS, CPX_MAX_QTY_LOTS, CPX_MAX_SELLS_PER_BOOK, CPX_MAX_TIME_NS
    const int64_t CPX_MAX_WALK_PERIODS, CPX_MAX_SLICES, CPX_OUTSIDE_ACCOUNT, CPX_PPM, CPX_PERIOD_BITS
    const int64_t CPX_MAX_FAMILIES, CPX_MAX_REGION, CPX_MAX_CHIP, CPX_MAX_TASKS, CPX_MAX_TASK_CHIPS
    const int64_t CPX_MAX_TASK_REGIONS, CPX_MAX_TASK_STEPS, CPX_MAX_TASK_RECORDS, CPX_MAX_MOVED_REGIONS
    const int64_t CPX_MAX_SPREAD_SITES, CPX_MAX_FACTOR_PPM, CPX_MIN_FACTOR_PPM, CPX_MAX_DATA_MB, CPX_MAX_RTT_US
    const int64_t CPX_MAX_MBIT_PER_S, CPX_MAX_PRICE_MICRO_PER_GB, CPX_MAX_EMERGENCY_PERIODS
    const int64_t CPX_MAX_EMERGENCY_DELAY_NS, CPX_STEP_BEFORE_GATE_NS, CPX_LATENCY_CLASSES

cdef extern from "cpx_debug.h" nogil:
    void CPX_CHECK(bint condition) noexcept  # aborts with file and line in a CPX_DEBUG build, else nothing

cdef extern from "cpx_core.h" nogil:
    bint cpx_likely(bint condition) noexcept
    bint cpx_unlikely(bint condition) noexcept
    void cpx_prefetch(const void *address) noexcept
    int cpx_highest_bit(uint64_t word) noexcept  # 0 to 63; the word is not 0
    uint32_t cpx_count_bits(uint64_t word) noexcept
    uint64_t cpx_pick(bint condition, uint64_t one, uint64_t other) noexcept  # one if it holds, else other; no branch
    uint32_t *cpx_pick_place(bint condition, uint32_t *one, uint32_t *other) noexcept
    int cpx_grow(void **slab, uint64_t *capacity, uint64_t need, size_t item) noexcept  # 0, or -1 without memory
    int cpx_grow_small(void **list, uint64_t *capacity, uint64_t need, size_t item) noexcept  # the same for small lists
    void cpx_shrink(void **slab, uint64_t *capacity, uint64_t need, size_t item) noexcept  # what it has beyond the need
    void cpx_advise_huge(void *address, size_t size) noexcept  # but for the first huge page of the range
    void *cpx_reserve(size_t size) noexcept  # zeroed address space that costs memory where it is touched; or NULL
    void cpx_touch(void *address, size_t size) noexcept  # takes the memory of a range now
    void cpx_unreserve(void *address, size_t size) noexcept
    void cpx_return(void *address, size_t size) noexcept  # whole pages inside go back to the system and read as zeros
    uint64_t cpx_home(uint64_t key, uint32_t shift) noexcept  # where a key belongs in a table of 2^(64 - shift)
    uint64_t cpx_mix(uint64_t hash, uint64_t word) noexcept  # one more word in the hash of several
    uint64_t cpx_command_head(const Command *c) noexcept  # op, side, order_type, tif, stp, flags, reserved: low byte first
    void cpx_event_head(Event *event, uint64_t head) noexcept  # kind, side, reason, flags, book: low byte first
    int64_t cpx_fee(uint32_t fee_ppm, int64_t notional_micro) noexcept  # rounded up
    bint cpx_notional_fits(int64_t price, int64_t qty, int64_t value_micro, uint64_t already_micro) noexcept
    bint cpx_product_fits(int64_t price, int64_t qty, int64_t most) noexcept
    bint cpx_is_before(
        int64_t time, int64_t origin, int64_t period_ns, int64_t end, int64_t length, int64_t early
    ) noexcept  # whether a time is so much before the start of period end - length
    int64_t cpx_add_capped(int64_t count, int64_t lots) noexcept  # stops at the largest number
    bint cpx_is_within(int64_t price, int64_t base, uint64_t ppm) noexcept  # B1
    int64_t cpx_upper_edge(int64_t base, int64_t ppm) noexcept  # the highest price within a band
    int64_t cpx_lower_edge(int64_t base, int64_t ppm) noexcept

cdef enum:
    NONE = 0xFFFFFFFF  # no index
    INLINE_LEAVES = 8  # leaves that a ladder knows without a tree
    PAGE_IDS = 128  # order ids of one page of the directory
    FEW_BOOKS = 4_096  # lines that are used before any is looked at for being idle
    MAX_BOOKS = 16_777_216  # lines of books there is address space for; one more is no memory
    FEW_LEVELS = 6  # levels that a leaf holds itself

cdef enum:  # states of a BookLine
    BOOK_FREE = 0  # a slot for reuse
    BOOK_UNLISTED = 1  # opened by an order; part of the state only while one rests here or once it was set up
    BOOK_LISTED = 2  # opened by LIST_BOOK

cdef struct OrderSlot:  # 64 bytes: one cache line per live order
    int64_t leaves  # open lots, at least 1 while it lives; 0 in a free slot
    uint32_t next  # the order behind it in its level, or the next free slot
    uint32_t prev  # the order before it in its level
    uint32_t level  # where its Level is: leaf * 64 + place in the leaf
    uint32_t account
    uint64_t id  # 0 in a free slot
    int64_t price  # ticks
    int64_t qty  # total lots: filled + leaves
    uint64_t client_ref
    uint32_t book_side  # index of its BookLine * 2 + side
    uint32_t ext  # index of its Ext, or NONE: plain GTC limit orders of engines that do not check funds have none

cdef struct Ext:  # 64 bytes: what few orders need
    int64_t expiry_ns  # 0 unless GTD
    int64_t done_micro  # funded buys: notional traded so far
    int64_t aux  # ICEBERG: peak, MIN_QTY: minimum, AUCTION_ONLY: CPX_CALL_* it is for, else 0
    int64_t shown  # ICEBERG: lots of the slice that stands in the queue
    uint64_t stamp  # place in time; compared within one level only
    uint32_t fee_ppm  # funded buys: the rate at entry
    uint32_t heap_at  # where it stands in the expiry heap, or NONE; in a free Ext the next free one
    uint8_t tif  # CPX_TIF_*
    uint8_t order_type  # CPX_ORDER_TYPE_*
    uint8_t flags  # CPX_FLAG_*
    uint8_t stp  # CPX_STP_* that it has as a taker
    uint32_t unused
    uint64_t unused_too

cdef struct Level:  # 8 bytes: the queue at one price; it means something only while its bit is set in its leaf
    uint32_t head  # first come
    uint32_t tail

cdef struct Leaf:  # 64 bytes: 64 neighbouring keys of one side of one book
    uint64_t occupied  # bit k: level k holds an order
    int64_t number  # key >> 6; in a free Leaf the next free one
    Level few[6]  # up to FEW_LEVELS: the occupied ones, ascending; where there are more they are in its Fan

cdef struct Fan:  # 512 bytes: the levels of the Leaf of the same index if it has more than a few
    Level levels[64]  # those that are not occupied are NONE, NONE

cdef struct Node:  # 64 neighbouring leaves, or nodes of the next height below
    uint64_t occupied  # bit k: child k is there
    uint32_t children[64]  # in a free Node children[0] is the next free one

cdef struct Ladder:  # 48 bytes: where the leaves of one side are
    int64_t base  # height 0: number of leaves[0]; else number >> (6 * height), the same for all its leaves
    uint32_t leaves[8]  # height 0: the leaves base to base + 7, each an index or NONE
    uint32_t root  # else: the Node at the top
    uint32_t height  # nodes between the top and a leaf; 0 = none

cdef struct BookLine:  # 192 bytes; the first line is all that a plain order needs
    int64_t best[2]  # key of the best level of either side; -1 = no order. Key: see ladder.pxd
    uint32_t best_leaf[2]  # the leaf of that level
    uint32_t n_orders[2]
    uint32_t n_special[2]  # icebergs and minimums among them
    uint32_t id
    uint32_t rules  # index of its BookRules, or NONE: nobody set it up, it is OPEN
    int64_t max_product  # the largest price x lots: CPX_MAX_MONEY_MICRO / value_micro
    int64_t max_lots  # the largest total of one order
    Ladder sides[2]
    int64_t value_micro  # micro-yuan per tick and lot
    int64_t gate_ns  # 0 = never
    uint32_t group  # capacity group; 0 = none
    uint32_t positions  # first Position of this book, or NONE; in a free line the next free one
    uint32_t dirty_at  # where it stands in core.dirty, or NONE
    uint16_t is_capped  # whether max_lots was listed, else it is CPX_MAX_QTY_LOTS
    uint16_t state  # BOOK_*

cdef struct BookRules:  # how a book that was set up trades, and where its session stands: views.BookState
    uint8_t flags, tie_policy, stp, phase, call, is_gated, grade  # CPX_RULE_*, CPX_TIE_*, CPX_STP_*, CPX_PHASE_*, ...
    uint8_t is_news  # whether it stands in core.news
    uint32_t extensions, cap_ppm, static_ppm, dynamic_ppm, corridor_ppm
    uint32_t call_at  # while in a call: where it stands in core.calls; in a free BookRules the next free one
    uint32_t news_at  # while in core.news: where
    int64_t collar_ticks, reference, last, call_end_ns, end_ns, fix, interval_ns
    int64_t told_price, told_volume, told_surplus, told_ns
    uint64_t fix_hash

cdef struct AccountLine:  # 64 bytes
    int64_t purses[5]  # micro-yuan, in Bucket order
    int64_t order_holds  # what part of HELD its open buys reserve
    uint32_t id
    uint32_t firm
    uint64_t n_tasks  # that wait

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

cdef struct DueOrder:  # sort key of one order that a sweep ends, or of one book: T3
    int64_t minus_key
    uint64_t stamp
    uint32_t book
    uint32_t side
    uint32_t slot

cdef struct Killed:  # X3
    uint32_t kind  # CPX_FILTER_ACCOUNT or CPX_FILTER_FIRM
    uint32_t who

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
    # what every plain order touches
    OrderSlot *orders  # max_orders of them, as many leaves, fans, extras, pages and places in the heap, some more nodes
    Leaf *leaves
    Fan *fans
    BookLine *books
    uint32_t *order_ring  # directory of order ids: page, or 0, by id >> 7 modulo ring size; directory.pxd
    uint32_t *order_pages  # slots or 0, by page * 128 + id modulo 128; believed only if the slot has the id
    uint8_t *page_counts  # live ids of a page
    int64_t *page_numbers  # id >> 7 of a page; in a free page the next free one
    uint32_t *book_ring  # directory of books: line, or 0, by id modulo ring size
    int64_t mirror[2]  # what turns a price of either side into its key: ladder.pxd
    uint64_t order_ring_mask
    uint64_t last_number  # page number and page of the id that was entered last; the number is ~0 where there is none
    uint64_t highest_id  # of all ids ever entered: what is above needs no search
    uint64_t book_ring_mask
    uint32_t n_orders
    uint32_t max_orders
    uint32_t orders_used, orders_free  # high-water mark, and head of a last-in-first-out list, of each slab; nobody
    # uses slot 0, page 0 and book line 0: what looks ahead may land there
    uint32_t leaves_used, leaves_free
    uint32_t pages_used, pages_free
    uint32_t n_pages, last_page
    bint check_funds
    bint listed_only
    # settings and counters
    int64_t now_ns
    uint64_t next_seq
    uint64_t stamp  # of the order that joined a queue last
    int64_t next_gate_ns  # the earliest gate of an open book, or the end of time
    uint32_t fees_ppm[4]
    # the rest of the reserved mapping
    void *mapping
    size_t mapping_size
    Ext *exts
    Node *nodes
    uint32_t *heap  # expiry: a binary heap of order slots by (expiry, id), moved by ADVANCE_TIME only
    uint32_t exts_used, exts_free, nodes_used, nodes_free, heap_used
    uint32_t trim_wait  # large commands that pass before memory is looked through again; core.pxd
    uint32_t books_used, books_free, n_books
    uint64_t books_sweep_at  # so many used lines, and idle ones are given back first
    # slabs that grow
    uint32_t accounts_used
    AccountLine *accounts
    uint64_t accounts_capacity
    CapacityLine *capacities
    uint64_t capacities_capacity
    PositionLine *positions
    uint64_t positions_capacity
    GroupLine *groups
    uint64_t groups_capacity
    uint32_t *gates  # lines of the listed books that have a gate: a binary heap, the earliest first
    uint64_t gates_capacity
    BookRules *rules
    uint64_t rules_capacity
    uint32_t capacities_used, capacities_free, positions_used, positions_free
    uint32_t groups_used, groups_free, rules_used, rules_free
    uint32_t *calls  # lines of the books in a call, in no order; has room for every book that was set up
    uint64_t calls_capacity
    uint32_t *news  # lines of calls whose figures may have changed since they were told last; as much room
    uint64_t news_capacity
    Killed *killed  # X3, ascending
    uint64_t killed_capacity
    uint32_t n_calls, n_news, n_killed, n_gates
    uint32_t n_waiting  # the first of core.news: those whose interval was not over when they were looked at
    int64_t news_due_ns  # no interval of those is over before
    DueOrder *due  # for sweeps
    uint64_t due_capacity
    # ids that found no place in their ring; id -> index
    Map order_map, book_map
    Map account_map, capacity_map, position_map, group_map
    # tasks: what they are matched against, those that wait, and what a drain has before it
    Market market
    Map source_map, block_map, task_map
    Map firm_tasks, chip_tasks  # how many wait, by firm and by first chip
    TaskSlot *tasks
    uint64_t tasks_capacity
    uint64_t task_stamp  # of the task that came last
    uint32_t tasks_used, tasks_free, n_tasks
    uint32_t tasks_first, tasks_last  # in the order of the stamps
    uint32_t n_spreads  # tasks of that shape among them
    uint32_t n_parts  # continuation records behind the head at hand; 0 = not those that belong there
    TaskHeap task_heaps[3]  # TASK_HEAP_*
    TaskGroup *task_groups
    uint64_t task_groups_capacity
    uint32_t task_groups_used, task_groups_free
    Map task_group_map  # hash of what its tasks have in common -> group, the first of a chain
    uint64_t eligibility  # grows with every change of families, reach and links
    uint32_t *dirty  # lines of books: in the reserved mapping, room for all
    uint32_t n_dirty
    bint is_draining
    uint64_t draining[64]  # families of the pass at hand
    uint32_t *dirty_ids  # for a drain: the books ascending
    uint64_t dirty_ids_capacity
    uint64_t *due_ids  # for sweeps over tasks and block offers
    uint64_t due_ids_capacity
    BookLine blank  # what an unlisted book looks like before its first order
