"""The flags of the hot paths as plain numbers.

An IntFlag in arithmetic costs more than a whole match, and its complement knows no foreign bit; the numbers are those of
`enums`, which stays the one definition.
"""

from ..enums import BookRule, CallKind, EventFlag, MassFilter, OrderFlag

POST_ONLY, ICEBERG, MIN_QTY, AUCTION_ONLY, STANDBY, INDIVISIBLE = map(int, OrderFlag)
KEPT_PRIORITY, AUCTION, TAKE, SELF_TRADE, SLID, HIDDEN, TASK, BLOCK = map(int, EventFlag)
NO_CANCEL = int(CallKind.NO_CANCEL)
ALL_FLAGS, ALL_RULES, ALL_FILTERS = sum(OrderFlag), sum(BookRule), sum(MassFilter)
ALL_CALLS = sum(CallKind) - NO_CANCEL  # the kinds; NO_CANCEL is no kind
ALL_CALL_FLAGS = sum(CallKind)
