"""Every number that a record carries, assigned once and gap-free; the wire code of a reason is stage x 100 + value."""

from enum import IntEnum, IntFlag


class Op(IntEnum):
    """What a command asks for. 1-9 are the order operations, 10 and up are set by the venue only."""

    NEW = 1
    CANCEL = 2
    REPLACE = 3  # new price, new open quantity; always loses priority
    REDUCE = 4  # smaller open quantity; keeps priority
    MASS_CANCEL = 5
    ADVANCE_TIME = 6  # aux = the new time in ns; expires orders (T1, T3), then closes books at their gates (T5)
    SET_PHASE = 7
    UNCROSS = 8
    AMEND = 9  # new price, new *total* quantity; rules AM1-AM7
    OPEN_ACCOUNT = 10  # account, book = firm
    TRANSFER = 11  # account -> book (the other account), side = bucket from, order_type = bucket to, qty = micro-yuan
    SET_FEE = 12  # side = fee table, price = millionths of the notional
    LIST_BOOK = 13  # price = micro-yuan per tick and lot, qty = largest order, aux = capacity group, expiry_ns = gate
    SET_CAPACITY = 14  # account, aux = capacity group, qty = attested lots
    TAKE = 15  # one leg of a task: buys qty from the asks of one account (aux), whole or not at all, paid from HELD
    ADJUST_SOLD = 16  # account, aux = capacity group, qty = signed change of the sold lots
    SET_BOOK = 17  # how a book trades; flags = BookRule, see docs/rules/core_records.md for the rest
    SET_BANDS = 18  # price = static, qty = dynamic band, aux = corridor step of a call, all in ppm, 0 = none
    SET_REFERENCE = 19  # price = reference in ticks, 0 = none
    SET_FIX = 20  # price = fix in ticks, side = grade, client_ref = hash of what it was made from
    SESSION_CLOSE = 21  # expires DAY orders; flags = 0 everywhere or MassFilter.BOOK
    KILL = 22  # flags = MassFilter.ACCOUNT (account) or MassFilter.FIRM (aux): cancels its orders and blocks new ones
    LIFT = 23  # ends a KILL
    SET_GRID = 24  # the delivery periods: price = origin, aux = length, expiry_ns = gate before a start, all in ns
    LIST_FAMILY = 25  # book = family, account = chip, aux = host region, price = latency class, side = power
    SET_REACH = 26  # account = access region, book = host region, price = latency class, qty = round trip in us
    SET_LINK = 27  # account = from, book = to, price = micro-yuan per GB, qty = Mbit/s, aux = MB per period, 0 = any
    BLOCK_OPEN = 28  # a block offer (MB1): qty = least lots, aux = least periods, price = end period
    BLOCK_SET = 29  # what a block offer has left in one period: price, qty
    BLOCK_CLOSE = 30  # takes back what is left of a block offer
    TASK = 31  # head of a task; `reserved` continuation records follow
    TASK_AMEND = 32  # as TASK, for one that waits
    TASK_CANCEL = 33
    DRAIN = 34  # RT5: tries the waiting tasks that something new may suit; qty = most fills, 0 = no limit
    TASK_TERMS = 35  # continuation records of a task, in this order
    TASK_CHIPS = 36
    TASK_REGIONS = 37
    TASK_STEPS = 38


class Side(IntEnum):
    """Which side of a book an order is on."""

    BUY = 0
    SELL = 1


class OrderType(IntEnum):
    """How an order meets the book."""

    LIMIT = 0
    MARKET = 1  # price = worst price


class TimeInForce(IntEnum):
    """How long an order stays."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3
    DAY = 4


class OrderFlag(IntFlag):
    """Bits of Command.flags."""

    POST_ONLY = 1
    ICEBERG = 2
    MIN_QTY = 4
    AUCTION_ONLY = 8
    STANDBY = 16  # EM1: an ask that stays when the gate closes
    INDIVISIBLE = 32  # BB1: an ask that tasks without checkpoints may take


class StpMode(IntEnum):
    """ST0: what happens when an order meets one of its own firm; 0 is the book's own mode (or none)."""

    NONE = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class BookRule(IntFlag):
    """Bits of the flags of SET_BOOK; without a bit the first choice of matching_rules.md holds."""

    SLIDE = 1  # PO1: a post-only order that would trade goes one tick behind instead of being rejected
    FRESH_PEAK = 2  # IC4: an iceberg that traded as a taker shows a fresh peak, not the rest of its first one
    LIMITS_ONLY = 4  # U1: only limits of orders are candidates
    TIE_LOWER = 8  # U5: of two candidates as near the lower


class TiePolicy(IntEnum):
    """U4, U5: how a call chooses among prices of equal volume and surplus."""

    REFERENCE = 0  # pressure, then nearest to the reference
    CAPPED_PRESSURE = 1  # as REFERENCE, but pressure moves the price at most so far from the reference
    MIDPOINT = 2  # pressure, then the middle of what is left


class CallKind(IntFlag):
    """Bits of the flags of SET_PHASE: which call it is, and whether its orders may be cancelled."""

    OPENING = 1
    CLOSING = 2
    VOLATILITY = 4
    NO_CANCEL = 8


class Lane(IntEnum):
    """How urgent a task is: its place in a drain (RT5) and its fee table."""

    STANDARD = 0
    ECONOMY = 1
    EMERGENCY = 2
    REPAIR = 3  # BI1: buy-ins


class Shape(IntEnum):
    """How a task fills (market.md 4)."""

    BLOCK = 0
    SPLIT = 1
    SPREAD = 2
    BULK = 3


class TaskFlag(IntFlag):
    """Bits of the flags of TASK and TASK_AMEND."""

    GREEN = 1  # green power only
    INDIVISIBLE = 2  # BB1: no checkpoints, so only asks and offers that are marked so


class Power(IntEnum):
    """What a family runs on; green serves grid."""

    GRID = 0
    GREEN = 1


class MassFilter(IntFlag):
    """Bits of the flags of MASS_CANCEL, SESSION_CLOSE, KILL and LIFT: which fields choose."""

    ACCOUNT = 1  # account
    FIRM = 2  # aux
    BOOK = 4  # book
    SIDE = 8  # side


class FixGrade(IntEnum):
    """How a fix came about (DI4)."""

    NONE = 0
    A = 1
    B = 2
    C = 3


class Kind(IntEnum):
    """What an event reports."""

    ACCEPTED = 1
    REJECTED = 2  # book or venue says no; nothing changed
    TRADE = 3
    CANCELED = 4
    REPLACED = 5
    EXPIRED = 6
    DENIED = 7  # risk says no (funds, capacity); nothing changed
    POSTED = 8  # money side of the TRADE before it: cost and fee went from HELD to ESCROW, the rest was freed
    TRANSFERRED = 9
    ACCOUNT_OPENED = 10
    FEE_SET = 11
    BOOK_LISTED = 12
    BOOK_CLOSED = 13
    CAPACITY_SET = 14
    SOLD_ADJUSTED = 15
    REPLENISHED = 16  # an iceberg shows a slice at the tail of its level
    MASS_CANCELED = 17  # sum of a MASS_CANCEL
    PHASE_SET = 18
    UNCROSSED = 19  # result of a call
    INDICATIVE = 20  # what a call would give now
    CALL_EXTENDED = 21
    BOOK_SET = 22
    BANDS_SET = 23
    REFERENCE_SET = 24
    FIX_SET = 25
    SESSION_CLOSED = 26
    KILLED = 27
    LIFTED = 28
    BOOK_GATED = 29  # the gate has come; what is left is the emergency book
    TASK_WAITING = 30
    TASK_FILLED = 31  # after the legs of a fill
    DATA_MOVED = 32  # RT7: gigabytes promised on a link and paid for
    DRAINED = 33
    GRID_SET = 34
    FAMILY_LISTED = 35
    REACH_SET = 36
    LINK_SET = 37
    BLOCK_OPENED = 38
    BLOCK_CHANGED = 39
    BLOCK_CLOSED = 40
    TASK_STEPPED = 41  # RT9: its limit has risen


class EventFlag(IntFlag):
    """Bits of Event.flags."""

    KEPT_PRIORITY = 1  # on REPLACED: the order kept its place
    AUCTION = 2
    TAKE = 4  # on TRADE and POSTED: a leg of a task
    SELF_TRADE = 8  # on TRADE: both sides are of one firm (only in a call); on REPLACED: decremented by ST0
    SLID = 16  # on ACCEPTED: the price is not the one asked for (PO1)
    HIDDEN = 32  # on ACCEPTED: what is open is not what is displayed (iceberg, minimum, market order in a call)
    TASK = 64  # on ACCEPTED, REPLACED, CANCELED, EXPIRED: a task, not an order
    BLOCK = 128  # on TRADE, POSTED, CANCELED, EXPIRED: what a block offer has left in one period, not an order


class Phase(IntEnum):
    """Trading phase of a book."""

    PRE_OPEN = 0
    AUCTION = 1
    OPEN = 2
    HALTED = 3
    CANCEL_ONLY = 4
    CLOSED = 5


class Bucket(IntEnum):
    """The five purses of one account; their sum is what the account owns."""

    CASH = 0
    HELD = 1  # reserved for open orders and waiting tasks
    ESCROW = 2  # paid for capacity that is not delivered yet
    MARGIN = 3  # a provider's security for what he offers and has sold
    BOND = 4  # a provider's standing security


class RejectReason(IntEnum):
    """Stage 1, on REJECTED; where several apply the smallest number is reported."""

    UNKNOWN_OP = 1
    UNKNOWN_BOOK = 2  # listed_only engines: the book is not listed, or closed by its gate
    UNKNOWN_ACCOUNT = 3
    INVALID_FIELD = 4  # side, type, time in force, flag, bucket or table out of range or not in this release
    INVALID_PRICE = 5
    INVALID_QTY = 6
    INVALID_NOTIONAL = 7  # price x qty does not fit the money type
    INVALID_EXPIRY = 8
    PHASE = 9
    DUPLICATE_ID = 10
    UNKNOWN_ORDER = 11  # also for an order of another account
    TIME_BACKWARDS = 12
    ALREADY_EXISTS = 13  # account or book
    BOOK_FULL = 14  # the engine's capacity for orders is used up
    NOT_ENOUGH_DEPTH = 15  # TAKE: the maker does not offer so much at this price
    PRICE_BAND = 16  # B2: the limit is outside the static band
    WOULD_TRADE = 17  # PO1, PO5: post-only
    INCOMPLETE = 18  # the records of a task do not follow its head, or have none
    INVALID_WINDOW = 19  # no start fits between now, first and end period
    TOO_MANY_WAITING = 20  # RT8


class DenyReason(IntEnum):
    """Stage 2, on DENIED."""

    INSUFFICIENT_FUNDS = 1
    CAPACITY = 2  # RT1: open + sold would exceed what the site has attested
    TOO_MANY_SELLS = 3  # RT1: at most MAX_SELLS_PER_BOOK live sells of one account in one book
    BALANCE_OVERFLOW = 4
    BLOCKED = 5  # X3: the account or its firm has been killed


class CancelReason(IntEnum):
    """Stage 4, on CANCELED."""

    ASKED = 1
    IOC = 2
    FOK = 3
    AMENDED = 4  # AM4: the new total was not above what is filled
    MASS = 5
    KILLED = 6
    NO_LIQUIDITY = 7  # M1
    SELF_TRADE = 8  # ST0
    MIN_QTY = 9  # MQ1
    BAND = 10  # B3: it stopped before a print outside the dynamic band and may not rest
    CALL_OVER = 11  # T4


class ExpireReason(IntEnum):
    """Stage 5, on EXPIRED."""

    GTD = 1
    GATE = 2
    DAY = 3
