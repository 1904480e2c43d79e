"""Events of buy-ins, curtailments and corrections; units as in `commands`, identity as in `events`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuyInWaits:
    """Nothing covers an obligation now: a task in lane repair waits until the gate of its hour (BI1)."""

    obligation_id: int
    buyer: str
    seller: str
    lots: int
    limit_micro: int  # per card-hour, moving the data included (BI2)
    until_ns: int


@dataclass(frozen=True, slots=True)
class BoughtIn:
    """Lots that will not be delivered were bought elsewhere; `covers` are the new obligations, each with a Traded of its own.

    What escrow_micro does not pay of cost, fee and moving comes out of the seller's margin (BuyInEnded says how much).
    """

    obligation_id: int
    covers: tuple[int, ...]
    buyer: str
    seller: str  # who failed
    lots: int  # of the old obligation
    twelfths: int  # of its period that were bought (EM2); 12 = all
    cost_micro: int
    fee_micro: int
    moving_micro: int
    escrow_micro: int  # what the buyer had paid for these lots, fee included
    escrow_fee_micro: int = 0  # the fee in it


@dataclass(frozen=True, slots=True)
class BuyInEnded:
    """A try to cover ends: what it covered, what is still open, and who paid for a dearer cover or gains by a cheaper one."""

    obligation_id: int
    buyer: str
    seller: str
    covered_lots: int
    open_lots: int  # settled in cash where nothing else is bought
    margin_micro: int  # out of the seller's margin
    refund_micro: int  # to the buyer
    reason: str  # bought | gate | stopped | none


@dataclass(frozen=True, slots=True)
class CurtailmentOrdered:
    """Sites must stop in a window; what they had sold there owes no lambda (BB6)."""

    region: str
    site: str
    start_ns: int
    end_ns: int
    reference: str
    obligations: int  # unsettled ones that it meets


@dataclass(frozen=True, slots=True)
class Curtailed:
    """An obligation lies in the window of an ordered curtailment."""

    obligation_id: int
    buyer: str
    seller: str
    instrument: str
    period_start_ns: int
    lots: int
    reference: str


@dataclass(frozen=True, slots=True)
class TradeBusted:
    """A trade is undone: what the buyer had in escrow for it and the seller's margin are free again."""

    obligation_id: int
    buyer: str
    seller: str
    instrument: str
    period_start_ns: int
    lots: int
    price_micro: int
    cost_micro: int
    fee_micro: int
    moving_micro: int  # 0 where other hours of the block still need the data
    reason: str


@dataclass(frozen=True, slots=True)
class TradeAdjusted:
    """A trade has another price."""

    obligation_id: int
    buyer: str
    seller: str
    instrument: str
    period_start_ns: int
    lots: int
    before_micro: int  # price per card-hour
    price_micro: int
    cost_micro: int  # now
    fee_micro: int
    reason: str
