/* The records of the matching core for C: 64 bytes each, little endian, no padding; the numbers they carry, and the caps.
 * At the end: what a C program calls. matching_core_api.h gets it that table; docs/guides/c.md has an example.
 *
 * matching_core/records.py, enums.py and limits.py are the one definition; tests/matching_core/test_records.py compiles
 * this header and asserts every size, offset and number against them.
 */
#ifndef CPX_MATCHING_CORE_H
#define CPX_MATCHING_CORE_H

#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define CPX_PACKED __attribute__((packed))
#else
#define CPX_PACKED
#pragma pack(push, 1)
#endif

typedef struct CPX_PACKED cpx_command {
    uint8_t op;          /* CPX_OP_* */
    uint8_t side;        /* CPX_SIDE_*; a purse or a fee table for some operations */
    uint8_t order_type;  /* CPX_ORDER_TYPE_* */
    uint8_t tif;         /* CPX_TIF_* */
    uint8_t stp;         /* CPX_STP_*, 0 = the book's own mode */
    uint8_t flags;       /* CPX_FLAG_*, or by operation */
    uint16_t reserved;   /* 0 */
    uint32_t book;
    uint32_t account;
    uint64_t order_id;   /* from 1 */
    int64_t price;       /* ticks */
    int64_t qty;         /* lots */
    int64_t aux;         /* by operation */
    int64_t expiry_ns;   /* since 1970 */
    uint64_t client_ref; /* passes through untouched */
} cpx_command;

typedef struct CPX_PACKED cpx_event {
    uint64_t seq;         /* of its command */
    uint8_t kind;         /* CPX_KIND_* */
    uint8_t side;
    uint8_t reason;       /* CPX_REJECT_*, CPX_DENY_*, CPX_CANCEL_* or CPX_EXPIRE_*, by kind */
    uint8_t flags;        /* CPX_EVENT_* */
    uint32_t book;
    uint64_t order_id;    /* on a trade: the taker */
    uint64_t contra_id;   /* on a trade: the maker */
    int64_t price;        /* on a trade: the maker's */
    int64_t qty;
    int64_t leaves;
    int64_t contra_leaves;
} cpx_event;

#if !defined(__GNUC__) && !defined(__clang__)
#pragma pack(pop)
#endif

enum { /* Op */
    CPX_OP_NEW = 1,
    CPX_OP_CANCEL = 2,
    CPX_OP_REPLACE = 3,
    CPX_OP_REDUCE = 4,
    CPX_OP_MASS_CANCEL = 5,
    CPX_OP_ADVANCE_TIME = 6,
    CPX_OP_SET_PHASE = 7,
    CPX_OP_UNCROSS = 8,
    CPX_OP_AMEND = 9,
    CPX_OP_OPEN_ACCOUNT = 10,
    CPX_OP_TRANSFER = 11,
    CPX_OP_SET_FEE = 12,
    CPX_OP_LIST_BOOK = 13,
    CPX_OP_SET_CAPACITY = 14,
    CPX_OP_TAKE = 15,
    CPX_OP_ADJUST_SOLD = 16,
    CPX_OP_SET_BOOK = 17,
    CPX_OP_SET_BANDS = 18,
    CPX_OP_SET_REFERENCE = 19,
    CPX_OP_SET_FIX = 20,
    CPX_OP_SESSION_CLOSE = 21,
    CPX_OP_KILL = 22,
    CPX_OP_LIFT = 23,
    CPX_OP_SET_GRID = 24,
    CPX_OP_LIST_FAMILY = 25,
    CPX_OP_SET_REACH = 26,
    CPX_OP_SET_LINK = 27,
    CPX_OP_BLOCK_OPEN = 28,
    CPX_OP_BLOCK_SET = 29,
    CPX_OP_BLOCK_CLOSE = 30,
    CPX_OP_TASK = 31,
    CPX_OP_TASK_AMEND = 32,
    CPX_OP_TASK_CANCEL = 33,
    CPX_OP_DRAIN = 34,
    CPX_OP_TASK_TERMS = 35,
    CPX_OP_TASK_CHIPS = 36,
    CPX_OP_TASK_REGIONS = 37,
    CPX_OP_TASK_STEPS = 38,
};

enum { /* Side */
    CPX_SIDE_BUY = 0,
    CPX_SIDE_SELL = 1,
};

enum { /* OrderType */
    CPX_ORDER_TYPE_LIMIT = 0,
    CPX_ORDER_TYPE_MARKET = 1,
};

enum { /* TimeInForce */
    CPX_TIF_GTC = 0,
    CPX_TIF_IOC = 1,
    CPX_TIF_FOK = 2,
    CPX_TIF_GTD = 3,
    CPX_TIF_DAY = 4,
};

enum { /* OrderFlag */
    CPX_FLAG_POST_ONLY = 1,
    CPX_FLAG_ICEBERG = 2,
    CPX_FLAG_MIN_QTY = 4,
    CPX_FLAG_AUCTION_ONLY = 8,
    CPX_FLAG_STANDBY = 16,
    CPX_FLAG_INDIVISIBLE = 32,
};

enum { /* StpMode */
    CPX_STP_NONE = 0,
    CPX_STP_CANCEL_NEWEST = 1,
    CPX_STP_CANCEL_OLDEST = 2,
    CPX_STP_CANCEL_BOTH = 3,
    CPX_STP_DECREMENT = 4,
};

enum { /* BookRule */
    CPX_RULE_SLIDE = 1,
    CPX_RULE_FRESH_PEAK = 2,
    CPX_RULE_LIMITS_ONLY = 4,
    CPX_RULE_TIE_LOWER = 8,
};

enum { /* TiePolicy */
    CPX_TIE_REFERENCE = 0,
    CPX_TIE_CAPPED_PRESSURE = 1,
    CPX_TIE_MIDPOINT = 2,
};

enum { /* CallKind */
    CPX_CALL_OPENING = 1,
    CPX_CALL_CLOSING = 2,
    CPX_CALL_VOLATILITY = 4,
    CPX_CALL_NO_CANCEL = 8,
};

enum { /* Lane */
    CPX_LANE_STANDARD = 0,
    CPX_LANE_ECONOMY = 1,
    CPX_LANE_EMERGENCY = 2,
    CPX_LANE_REPAIR = 3,
};

enum { /* Shape */
    CPX_SHAPE_BLOCK = 0,
    CPX_SHAPE_SPLIT = 1,
    CPX_SHAPE_SPREAD = 2,
    CPX_SHAPE_BULK = 3,
};

enum { /* TaskFlag */
    CPX_TASK_FLAG_GREEN = 1,
    CPX_TASK_FLAG_INDIVISIBLE = 2,
};

enum { /* Power */
    CPX_POWER_GRID = 0,
    CPX_POWER_GREEN = 1,
};

enum { /* MassFilter */
    CPX_FILTER_ACCOUNT = 1,
    CPX_FILTER_FIRM = 2,
    CPX_FILTER_BOOK = 4,
    CPX_FILTER_SIDE = 8,
};

enum { /* FixGrade */
    CPX_GRADE_NONE = 0,
    CPX_GRADE_A = 1,
    CPX_GRADE_B = 2,
    CPX_GRADE_C = 3,
};

enum { /* Kind */
    CPX_KIND_ACCEPTED = 1,
    CPX_KIND_REJECTED = 2,
    CPX_KIND_TRADE = 3,
    CPX_KIND_CANCELED = 4,
    CPX_KIND_REPLACED = 5,
    CPX_KIND_EXPIRED = 6,
    CPX_KIND_DENIED = 7,
    CPX_KIND_POSTED = 8,
    CPX_KIND_TRANSFERRED = 9,
    CPX_KIND_ACCOUNT_OPENED = 10,
    CPX_KIND_FEE_SET = 11,
    CPX_KIND_BOOK_LISTED = 12,
    CPX_KIND_BOOK_CLOSED = 13,
    CPX_KIND_CAPACITY_SET = 14,
    CPX_KIND_SOLD_ADJUSTED = 15,
    CPX_KIND_REPLENISHED = 16,
    CPX_KIND_MASS_CANCELED = 17,
    CPX_KIND_PHASE_SET = 18,
    CPX_KIND_UNCROSSED = 19,
    CPX_KIND_INDICATIVE = 20,
    CPX_KIND_CALL_EXTENDED = 21,
    CPX_KIND_BOOK_SET = 22,
    CPX_KIND_BANDS_SET = 23,
    CPX_KIND_REFERENCE_SET = 24,
    CPX_KIND_FIX_SET = 25,
    CPX_KIND_SESSION_CLOSED = 26,
    CPX_KIND_KILLED = 27,
    CPX_KIND_LIFTED = 28,
    CPX_KIND_BOOK_GATED = 29,
    CPX_KIND_TASK_WAITING = 30,
    CPX_KIND_TASK_FILLED = 31,
    CPX_KIND_DATA_MOVED = 32,
    CPX_KIND_DRAINED = 33,
    CPX_KIND_GRID_SET = 34,
    CPX_KIND_FAMILY_LISTED = 35,
    CPX_KIND_REACH_SET = 36,
    CPX_KIND_LINK_SET = 37,
    CPX_KIND_BLOCK_OPENED = 38,
    CPX_KIND_BLOCK_CHANGED = 39,
    CPX_KIND_BLOCK_CLOSED = 40,
    CPX_KIND_TASK_STEPPED = 41,
};

enum { /* EventFlag */
    CPX_EVENT_KEPT_PRIORITY = 1,
    CPX_EVENT_AUCTION = 2,
    CPX_EVENT_TAKE = 4,
    CPX_EVENT_SELF_TRADE = 8,
    CPX_EVENT_SLID = 16,
    CPX_EVENT_HIDDEN = 32,
    CPX_EVENT_TASK = 64,
    CPX_EVENT_BLOCK = 128,
};

enum { /* Phase */
    CPX_PHASE_PRE_OPEN = 0,
    CPX_PHASE_AUCTION = 1,
    CPX_PHASE_OPEN = 2,
    CPX_PHASE_HALTED = 3,
    CPX_PHASE_CANCEL_ONLY = 4,
    CPX_PHASE_CLOSED = 5,
};

enum { /* Bucket */
    CPX_BUCKET_CASH = 0,
    CPX_BUCKET_HELD = 1,
    CPX_BUCKET_ESCROW = 2,
    CPX_BUCKET_MARGIN = 3,
    CPX_BUCKET_BOND = 4,
};

enum { /* RejectReason */
    CPX_REJECT_UNKNOWN_OP = 1,
    CPX_REJECT_UNKNOWN_BOOK = 2,
    CPX_REJECT_UNKNOWN_ACCOUNT = 3,
    CPX_REJECT_INVALID_FIELD = 4,
    CPX_REJECT_INVALID_PRICE = 5,
    CPX_REJECT_INVALID_QTY = 6,
    CPX_REJECT_INVALID_NOTIONAL = 7,
    CPX_REJECT_INVALID_EXPIRY = 8,
    CPX_REJECT_PHASE = 9,
    CPX_REJECT_DUPLICATE_ID = 10,
    CPX_REJECT_UNKNOWN_ORDER = 11,
    CPX_REJECT_TIME_BACKWARDS = 12,
    CPX_REJECT_ALREADY_EXISTS = 13,
    CPX_REJECT_BOOK_FULL = 14,
    CPX_REJECT_NOT_ENOUGH_DEPTH = 15,
    CPX_REJECT_PRICE_BAND = 16,
    CPX_REJECT_WOULD_TRADE = 17,
    CPX_REJECT_INCOMPLETE = 18,
    CPX_REJECT_INVALID_WINDOW = 19,
    CPX_REJECT_TOO_MANY_WAITING = 20,
};

enum { /* DenyReason */
    CPX_DENY_INSUFFICIENT_FUNDS = 1,
    CPX_DENY_CAPACITY = 2,
    CPX_DENY_TOO_MANY_SELLS = 3,
    CPX_DENY_BALANCE_OVERFLOW = 4,
    CPX_DENY_BLOCKED = 5,
};

enum { /* CancelReason */
    CPX_CANCEL_ASKED = 1,
    CPX_CANCEL_IOC = 2,
    CPX_CANCEL_FOK = 3,
    CPX_CANCEL_AMENDED = 4,
    CPX_CANCEL_MASS = 5,
    CPX_CANCEL_KILLED = 6,
    CPX_CANCEL_NO_LIQUIDITY = 7,
    CPX_CANCEL_SELF_TRADE = 8,
    CPX_CANCEL_MIN_QTY = 9,
    CPX_CANCEL_BAND = 10,
    CPX_CANCEL_CALL_OVER = 11,
};

enum { /* ExpireReason */
    CPX_EXPIRE_GTD = 1,
    CPX_EXPIRE_GATE = 2,
    CPX_EXPIRE_DAY = 3,
};

/* limits.py */
#define CPX_BUCKETS INT64_C(5)
#define CPX_FEE_TABLES INT64_C(4)
#define CPX_MAX_FEE_PPM INT64_C(1000000)
#define CPX_MAX_MONEY_MICRO INT64_C(4000000000000000000)
#define CPX_MAX_ORDER_ID INT64_C(9223372036854775807)
#define CPX_MAX_PRICE_TICKS INT64_C(1000000000000)
#define CPX_MAX_QTY_LOTS INT64_C(1000000000000)
#define CPX_MAX_SELLS_PER_BOOK INT64_C(4)
#define CPX_MAX_TIME_NS INT64_C(9223372036854775807)
#define CPX_MAX_WALK_PERIODS INT64_C(1024)
#define CPX_MAX_SLICES INT64_C(1000)
#define CPX_OUTSIDE_ACCOUNT INT64_C(0)
#define CPX_PPM INT64_C(1000000)
#define CPX_PERIOD_BITS INT64_C(20)
#define CPX_MAX_FAMILIES INT64_C(4095)
#define CPX_MAX_REGION INT64_C(4095)
#define CPX_MAX_CHIP INT64_C(4095)
#define CPX_MAX_TASKS INT64_C(1048576)
#define CPX_MAX_TASK_CHIPS INT64_C(64)
#define CPX_MAX_TASK_REGIONS INT64_C(64)
#define CPX_MAX_TASK_STEPS INT64_C(16)
#define CPX_MAX_TASK_RECORDS INT64_C(24)
#define CPX_MAX_MOVED_REGIONS INT64_C(8)
#define CPX_MAX_SPREAD_SITES INT64_C(16)
#define CPX_MAX_FACTOR_PPM INT64_C(1000000000)
#define CPX_MIN_FACTOR_PPM INT64_C(1000)
#define CPX_MAX_DATA_MB INT64_C(1000000000000)
#define CPX_MAX_RTT_US INT64_C(1000000000)
#define CPX_MAX_MBIT_PER_S INT64_C(1000000000)
#define CPX_MAX_PRICE_MICRO_PER_GB INT64_C(1000000000)
#define CPX_MAX_EMERGENCY_PERIODS INT64_C(2)
#define CPX_MAX_EMERGENCY_DELAY_NS INT64_C(60000000000)
#define CPX_STEP_BEFORE_GATE_NS INT64_C(60000000000)
#define CPX_LATENCY_CLASSES INT64_C(5)

/* views.py */
#define CPX_MAX_ORDERS UINT32_C(16000000)
#define CPX_MAX_SEQ INT64_C(9223372036854775807)

/* What a C program calls. No function here needs Python, holds its lock or makes one of its objects. A call takes as
 * long as its own work and ends; an engine belongs to one thread at a time, engines share nothing. NULL and numbers out
 * of range are answered as stated and change nothing.
 */

typedef struct cpx_engine cpx_engine; /* all books and accounts of one venue */

typedef struct cpx_quote { /* displayed; 0 where a side is empty */
    int64_t bid_price;
    uint64_t bid_qty;
    int64_t ask_price;
    uint64_t ask_qty;
} cpx_quote;

typedef struct cpx_level {
    int64_t price;
    uint64_t qty;    /* displayed lots */
    uint64_t orders; /* that display some */
} cpx_level;

typedef struct cpx_order { /* one live order as it stands now */
    uint64_t order_id;
    uint64_t client_ref;
    int64_t price;
    int64_t qty;        /* the total: what is filled plus what is open */
    int64_t leaves;
    int64_t expiry_ns;  /* 0 unless GTD */
    int64_t hold_micro; /* 0 for sells and where funds are not checked */
    int64_t aux;        /* ICEBERG: peak, MIN_QTY: minimum, AUCTION_ONLY: CPX_CALL_* it is for, else 0 */
    int64_t shown;      /* ICEBERG: lots that are displayed now, else 0 */
    uint32_t book;
    uint32_t account;
    uint8_t side;
    uint8_t order_type;
    uint8_t tif;
    uint8_t flags;
    uint8_t stp;        /* that it has as a taker; 0 = the book's own */
    uint8_t unused[3];  /* 0 */
} cpx_order;

/* A release that adds functions appends them and keeps the version; the version grows when one changes or goes. */
#define CPX_API_VERSION UINT32_C(1)

typedef struct cpx_api {
    uint32_t struct_size; /* of the table in the engine: at least that of this header, or the engine is older */
    uint32_t version;     /* CPX_API_VERSION of the engine */

    /* An empty engine for at most max_orders live orders (1 to CPX_MAX_ORDERS). NULL: no memory, or max_orders is out
     * of range. check_funds: accounts, holds and capacity are checked. listed_only: books must be listed first. */
    cpx_engine *(*create)(uint32_t max_orders, int check_funds, int listed_only);
    void (*destroy)(cpx_engine *engine);

    /* Applies commands in order; command i has the number first_seq + i * seq_step, at most CPX_MAX_SEQ. Returns how
     * many were applied: all, unless memory ran out: the next one has then changed nothing and can be sent again.
     * Arguments that cannot be: 0, and none is applied. */
    uint64_t (*process)(cpx_engine *engine, const cpx_command *commands, uint64_t count, uint64_t first_seq,
                        uint64_t seq_step);

    /* The events of the last process call, in order; they belong to the engine and stay until its next process or
     * destroy. count may be NULL. */
    const cpx_event *(*events)(const cpx_engine *engine, uint64_t *count);

    /* 1, or 0 with zeros in out: the book is not open. An open book is listed, set up, or has an order. */
    int (*top)(const cpx_engine *engine, uint32_t book, cpx_quote *out);

    /* Fills out with the best levels of a side, best first; returns how many, at most `levels`. */
    uint32_t (*depth)(const cpx_engine *engine, uint32_t book, uint8_t side, cpx_level *out, uint32_t levels);

    /* 1, or 0 with zeros in out: no live order has this id. */
    int (*order)(const cpx_engine *engine, uint64_t order_id, cpx_order *out);

    /* Fills purses[CPX_BUCKETS], micro-yuan in the order of CPX_BUCKET_*. 1, or 0 with zeros: an unknown account. */
    int (*balance)(const cpx_engine *engine, uint32_t account, int64_t *purses);

    uint64_t (*n_orders)(const cpx_engine *engine); /* live orders */
    int64_t (*now_ns)(const cpx_engine *engine);    /* the venue's time: the aux of the last ADVANCE_TIME */
} cpx_api;

#endif
