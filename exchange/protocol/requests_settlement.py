"""What the operator asks about settlement beside the periods: buy-ins, curtailments, busts, adjustments."""

from exchange.protocol.fields import Code, Count, Decimal, Id, Time
from exchange.protocol.requests import Body, Text


class BuyInTerms(Body, frozen=True, kw_only=True):
    """Cures an obligation that is known to fail: a later hour, else a cover; once (BI1). The desk does it by itself."""

    obligation_id: Count


class CurtailmentTerms(Body, frozen=True, kw_only=True):
    """An authority has ordered a region, or one site, to stop in a window: one of the two is given."""

    start: Time
    end: Time
    reference: Text
    region: Code | None = None
    site: Id | None = None


class BustTerms(Body, frozen=True, kw_only=True):
    """Undoes a trade that is not settled, by compensating entries."""

    obligation_id: Count
    reason: Text


class AdjustTerms(Body, frozen=True, kw_only=True):
    """Gives a trade that is not settled another price per card-hour, once."""

    obligation_id: Count
    price: Decimal
    reason: Text
