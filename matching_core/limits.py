"""Every cap of the core, in one place. A cap is a refusal with a reason, never a crash."""

MAX_PRICE_TICKS = 10**12
MAX_QTY_LOTS = 10**12
MAX_MONEY_MICRO = 4 * 10**18  # largest |balance|, notional or amount: fits a signed 64-bit integer with room to add
MAX_ORDER_ID = 2**63 - 1
MAX_TIME_NS = 2**63 - 1
MAX_FEE_PPM = 1_000_000
FEE_TABLES = 4  # standard, economy, emergency, spare
BUCKETS = 5
MAX_SELLS_PER_BOOK = 4  # RT1: live sells of one account in one book
MAX_WALK_PERIODS = 1024
MAX_SLICES = 1_000  # an iceberg shows at least a thousandth of its total
OUTSIDE_ACCOUNT = 0  # the world outside: the only account whose balance may be negative
PPM = 1_000_000
