"""What the past holds of delivery: obligations, leases and what their parties have told each other, as rows."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ObligationRow:
    """What a provider owes a buyer in one period; status open, delivered, short, void or made_up.

    fee_micro was charged at the trade, kept_fee_micro is what the exchange kept of it. `task` is told to the buyer only,
    `offer_id` to the seller only.
    """

    obligation_id: int
    seq: int
    ts_ns: int
    lease: int
    instead_of: int
    buyer: str
    seller: str
    site: str
    instrument: str
    period_start_ns: int
    period_end_ns: int
    lots: int
    price_micro: int
    cost_micro: int
    fee_micro: int
    task: str
    offer_id: str
    tariff_version: int
    status: str
    delivered_lots: int
    lost_lots: int
    made_up_lots: int
    paid_micro: int
    kept_fee_micro: int
    moving_micro: int
    refund_micro: int
    damages_micro: int
    damages_cut_micro: int
    settled_seq: int
    settled_ns: int
    failing: str = ""

    @property
    def cursor(self) -> tuple[int, int]:
        """Obligations are in order of their numbers."""
        return self.obligation_id, 0


class HourState(NamedTuple):
    """What the state of one obligation is made of."""

    status: str
    failing: str
    delivered_lots: int
    period_start_ns: int


@dataclass(frozen=True, slots=True)
class AccessRow:
    """How the buyer of a lease reaches the cards of one seller."""

    lease: int
    seller: str
    ts_ns: int
    access: str


@dataclass(frozen=True, slots=True)
class ResultRow:
    """The last result of one seller of a lease."""

    lease: int
    seller: str
    ts_ns: int
    exit_code: int
    output: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What a buyer holds: the obligations that a block task bought together, or a single one.

    lots = most in one period; lot_periods = all bought, without what is made up; status open while any obligation is.
    """

    lease: int
    buyer: str
    seller: str
    site: str
    instrument: str  # of the first period
    task: str
    lots: int
    periods: int
    lot_periods: int
    start_ns: int
    end_ns: int
    cost_micro: int
    fee_micro: int
    status: str
    hours: tuple[HourState, ...] = ()
    accesses: tuple[AccessRow, ...] = ()  # for its buyer alone
    results: tuple[ResultRow, ...] = ()  # for its buyer alone

    @property
    def cursor(self) -> tuple[int, int]:
        """Leases are in order of their first obligation."""
        return self.lease, 0


@dataclass(frozen=True, slots=True)
class GreenUseRow:
    """What a buyer's settled deliveries of one instrument used in one period, and the certificates retired for them, in Wh."""

    buyer: str
    instrument: str
    period_start_ns: int
    load_wh: int
    green_wh: int


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """A reading, or what became of it; disputed_lots = the buyer's figure where this is his dispute, else -1."""

    seq: int
    ts_ns: int
    obligation_id: int
    number: int
    delivered_lots: int
    is_countersigned: bool
    is_disputed: bool
    disputed_lots: int

    @property
    def cursor(self) -> tuple[int, int]:
        """Where a page goes on behind this row."""
        return self.seq, 0
