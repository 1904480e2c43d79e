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


class EventFlag(IntFlag):
    """Bits of Event.flags."""

    KEPT_PRIORITY = 1  # on REPLACED: the order kept its place
    AUCTION = 2
    TAKE = 4  # on TRADE and POSTED: a leg of a task


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


class DenyReason(IntEnum):
    """Stage 2, on DENIED."""

    INSUFFICIENT_FUNDS = 1
    CAPACITY = 2  # RT1: open + sold would exceed what the site has attested
    TOO_MANY_SELLS = 3  # RT1: at most MAX_SELLS_PER_BOOK live sells of one account in one book
    BALANCE_OVERFLOW = 4


class CancelReason(IntEnum):
    """Stage 4, on CANCELED."""

    ASKED = 1
    IOC = 2
    FOK = 3
    AMENDED = 4  # AM4: the new total was not above what is filled


class ExpireReason(IntEnum):
    """Stage 5, on EXPIRED."""

    GTD = 1
    GATE = 2
