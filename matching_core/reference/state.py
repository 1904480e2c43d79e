"""The nouns that the reference engine keeps: live orders, accounts, capacity records and positions; and their sums."""

from dataclasses import dataclass, field

from ..enums import OrderType, Phase, Side, TimeInForce
from ..limits import BUCKETS, PPM
from .bits import AUCTION_ONLY, ICEBERG, MIN_QTY

LARGEST_COUNT = 2**63 - 1  # positions and sums in events stop counting here instead of wrapping round
RESTING = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)


def fee_micro(fee_ppm: int, notional_micro: int) -> int:
    """The fee on a notional, rounded up to the next micro-yuan."""
    return -(-fee_ppm * notional_micro // PPM)


@dataclass(slots=True)
class LiveOrder:
    """An order that may still trade. filled = qty - leaves."""

    order_id: int
    book: int
    side: int
    account: int
    price: int
    qty: int
    leaves: int
    client_ref: int
    tif: int
    expiry_ns: int
    fee_ppm: int = 0  # funded buys: the rate at entry
    done_micro: int = 0  # funded buys: notional traded so far
    stamp: int = 0  # set when it joins the queue; orders within a level by stamp
    order_type: int = 0
    flags: int = 0  # OrderFlag
    stp: int = 0  # StpMode that it has as a taker; 0 = the book's
    aux: int = 0  # ICEBERG: peak, MIN_QTY: minimum, AUCTION_ONLY: CallKind it is for, else 0
    shown: int = 0  # ICEBERG: lots of the slice that stands in the queue

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade stays in the book; a market order only waits for the end of a call."""
        return self.tif in RESTING and (self.order_type == OrderType.LIMIT or self.is_for_call)

    @property
    def is_for_call(self) -> bool:
        """T4: whether it takes part in a call only."""
        return bool(self.flags & AUCTION_ONLY)

    @property
    def is_iceberg(self) -> bool:
        """Whether it shows one slice at a time."""
        return bool(self.flags & ICEBERG)

    @property
    def minimum(self) -> int:
        """MQ2: the least it trades at once; a smaller remainder lowers it. 0 without a minimum."""
        return min(self.aux, self.leaves) if self.flags & MIN_QTY else 0

    @property
    def front(self) -> int:
        """The lots that have its place in the queue: the shown slice of an iceberg, else all that is open."""
        return self.shown if self.is_iceberg else self.leaves

    @property
    def displayed(self) -> int:
        """IC1: the lots that public depth shows; none of an order that trades only under a condition."""
        is_conditional = self.flags & MIN_QTY or self.order_type == OrderType.MARKET
        return 0 if is_conditional else self.front

    def hold_micro(self, value_micro: int) -> int:
        """HM2: what a funded buy must have in HELD: the rest at its limit, and what this rest can add to the fee."""
        if self.side == Side.SELL:
            return 0
        rest = self.price * self.leaves * value_micro
        return (
            rest + fee_micro(self.fee_ppm, self.done_micro + rest) - fee_micro(self.fee_ppm, self.done_micro)
        )


@dataclass(slots=True)
class Rules:
    """How one book trades and where its session stands; the defaults are those of a book that nobody set up."""

    flags: int = 0  # BookRule
    tie_policy: int = 0
    stp: int = 0  # StpMode of orders that name none
    phase: int = Phase.OPEN
    call: int = 0  # CallKind of the call at hand
    is_gated: int = 0  # EM1: the gate has come, this is the emergency book
    grade: int = 0  # FixGrade
    extensions: int = 0  # H4: how often this call was extended
    cap_ppm: int = 0  # U4: CAPPED_PRESSURE
    static_ppm: int = 0  # B2; 0 = no band, as for the others
    dynamic_ppm: int = 0  # B3
    corridor_ppm: int = 0  # H4
    collar_ticks: int = 0  # M2
    reference: int = 0  # ticks; 0 = none
    last: int = 0  # price of the last trade since the book was set up; 0 = none
    call_end_ns: int = 0  # H3: no uncross before
    end_ns: int = 0  # EM1: when the emergency book ends; 0 = there is none
    fix: int = 0
    fix_hash: int = 0
    interval_ns: int = 0  # U11: least time between two indicative events
    told_price: int = 0  # U11: what the last one said
    told_volume: int = 0
    told_surplus: int = 0
    told_ns: int = 0

    @property
    def base(self) -> int:
        """The reference price of a call: the one that was set, else the last trade; 0 = none."""
        return self.reference or self.last

    @property
    def is_takeable(self) -> bool:
        """Whether task legs may buy here: in continuous trading, and from the emergency book."""
        return self.phase == Phase.OPEN or bool(self.is_gated)


@dataclass(slots=True)
class Account:
    """One account: its firm, its five purses in micro-yuan, and how much of HELD its open buy orders reserve."""

    firm: int
    purses: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    order_holds: int = 0


@dataclass(slots=True)
class Capacity:
    """RT1: what one account has attested for one capacity group, what it offers and what it has sold, in lots."""

    attested: int = 0
    open: int = 0
    sold: int = 0


@dataclass(slots=True)
class Position:
    """What one account bought and sold in one book, in lots, and its live sells there in the order of entry."""

    bought: int = 0
    sold: int = 0
    asks: list[LiveOrder] = field(default_factory=list)


def clamp_count(count: int) -> int:
    """The nearest number that an event can carry."""
    return max(-LARGEST_COUNT, min(count, LARGEST_COUNT))


def add_capped(count: int, lots: int) -> int:
    """count + lots, stopping at the largest number that the record can carry."""
    return min(count + lots, LARGEST_COUNT)
