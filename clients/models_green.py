"""What the exchange answers about green power."""

from datetime import datetime
from decimal import Decimal

from clients.model import Model
from clients.models import Page


class Certificate(Model, frozen=True, kw_only=True):
    """Certificates of one holder, region and period in Wh: issued = free + pledged + retired."""

    participant: str
    region: str
    period_start: datetime
    issued_wh: int
    free_wh: int
    pledged_wh: int
    retired_wh: int


class CertificatePage(Page, frozen=True, kw_only=True):
    """A page of certificates, by participant, region and period."""

    items: tuple[Certificate, ...]


class GreenShare(Model, frozen=True, kw_only=True):
    """A buyer's settled day in one region: what his deliveries used, and the part of it that certificates were retired for."""

    participant: str
    region: str
    load_wh: int
    green_wh: int  # the sum of min(load, green) hour by hour
    share: Decimal  # green_wh / load_wh


class GreenSharePage(Page, frozen=True, kw_only=True):
    """A page of green shares, by buyer and region."""

    day: str
    is_final: bool  # the day is over and settled
    items: tuple[GreenShare, ...]
