"""The nouns that the reference engine keeps: live orders, accounts, capacity records and positions; and their sums."""

from dataclasses import dataclass, field

from ..enums import Side
from ..limits import BUCKETS, PPM

LARGEST_COUNT = 2**63 - 1  # positions stop counting here instead of wrapping round


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

    def hold_micro(self, value_micro: int) -> int:
        """HM2: what a funded buy must have in HELD: the rest at its limit, and what this rest can add to the fee."""
        if self.side == Side.SELL:
            return 0
        rest = self.price * self.leaves * value_micro
        return (
            rest + fee_micro(self.fee_ppm, self.done_micro + rest) - fee_micro(self.fee_ppm, self.done_micro)
        )


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


def add_capped(count: int, lots: int) -> int:
    """count + lots, stopping at the largest number that the record can carry."""
    return min(count + lots, LARGEST_COUNT)
