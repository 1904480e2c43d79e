"""The operator's commands after the trade: cures, curtailment, corrections; in the table of `commands` as all others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuyIn:
    """Cures an obligation of which it is known that it will not be delivered: a later hour, else a cover (BI1-BI3), once."""

    obligation_id: int


@dataclass(frozen=True, slots=True)
class OrderCurtailment:
    """An authority orders a site, or all sites of a region, to stop in a window: refund, and no lambda (BB6)."""

    region: str  # "" = one site
    site: str  # "" = all of the region
    start_ns: int
    end_ns: int
    reference: str  # whose order it is


@dataclass(frozen=True, slots=True)
class BustTrade:
    """Undoes a trade that is not settled by compensating entries, as if it had never been."""

    obligation_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class AdjustTrade:
    """Gives a trade that is not settled another price, once; buyer's escrow and seller's margin follow."""

    obligation_id: int
    price_micro: int  # per card-hour
    reason: str
