"""What the doors answer about green power."""

from exchange.protocol.answers import Answer, Page


class Certificate(Answer, frozen=True, kw_only=True):
    """Certificates of one holder, region and period in Wh: issued = free + pledged + retired."""

    participant: str
    region: str
    period_start: str
    issued_wh: int
    free_wh: int
    pledged_wh: int
    retired_wh: int


class CertificatePage(Page, frozen=True, kw_only=True):
    """A page of certificates, by participant, region and period."""

    items: tuple[Certificate, ...]


class GreenShare(Answer, frozen=True, kw_only=True):
    """A buyer's settled day in one region: what his deliveries used, and the part of it that certificates were retired for."""

    participant: str
    region: str
    load_wh: int
    green_wh: int  # the sum of min(load, green) hour by hour
    share: str  # green_wh / load_wh


class GreenSharePage(Page, frozen=True, kw_only=True):
    """A page of green shares, by buyer and region."""

    day: str
    is_final: bool  # the day is over and settled
    items: tuple[GreenShare, ...]
