"""Delivery and money, as the SDK answers them; like clients.models."""

from datetime import datetime
from decimal import Decimal

from clients.model import Model
from clients.models import Page


class Obligation(Model, frozen=True, kw_only=True):
    """What a provider owes, or owed, a buyer in one period."""

    obligation_id: int
    trade_id: str
    lease_id: str
    buyer: str
    seller: str
    site: str
    instrument: str
    period_start: datetime
    cards: Decimal
    price: Decimal
    cost: Decimal
    fee: Decimal
    moving: Decimal
    status: str  # open | delivered | short | void | made_up
    reading: int
    delivered_cards: Decimal | None
    is_countersigned: bool
    is_disputed: bool
    paid: Decimal
    refund: Decimal
    damages: Decimal
    client_order_id: str
    offer_id: str


class ObligationPage(Page, frozen=True, kw_only=True):
    """A page of obligations."""

    items: tuple[Obligation, ...]


class Lease(Model, frozen=True, kw_only=True):
    """What one purchase bought from one site: cards over hours."""

    lease_id: str
    buyer: str
    seller: str
    site: str
    family: str
    client_order_id: str
    cards: Decimal
    hours: Decimal
    card_hours: Decimal
    start: datetime
    end: datetime
    cost: Decimal
    status: str  # open | ended


class LeasePage(Page, frozen=True, kw_only=True):
    """A page of leases."""

    items: tuple[Lease, ...]


class Account(Model, frozen=True, kw_only=True):
    """The purses of a participant."""

    participant: str
    firm: str
    cash: Decimal
    held: Decimal
    escrow: Decimal
    margin: Decimal
    bond: Decimal
    total: Decimal
    is_stopped: bool  # HM5: no new sales
    seq: int
    ts: datetime
    ts_ns: int


class AccountPage(Page, frozen=True, kw_only=True):
    """A page of accounts."""

    items: tuple[Account, ...]


class Hold(Model, frozen=True, kw_only=True):
    """Money that is held, and for what."""

    kind: str  # task | order
    reference: str
    amount: Decimal


class Holds(Model, frozen=True, kw_only=True):
    """Every hold of a participant; they add up to `held`."""

    participant: str
    held: Decimal
    items: tuple[Hold, ...]


class Purses(Model, frozen=True, kw_only=True):
    """The five purses at one moment."""

    cash: Decimal
    held: Decimal
    escrow: Decimal
    margin: Decimal
    bond: Decimal
    total: Decimal


class StatementLine(Model, frozen=True, kw_only=True):
    """One line; positive amounts came in."""

    seq: int
    ts: datetime
    what: str
    counterparty: str
    amount: Decimal
    reference: str
    obligation_id: int
    instrument: str


class Statement(Model, frozen=True, kw_only=True):
    """A participant's day: opening + lines = closing, to the last unit."""

    participant: str
    day: str
    is_final: bool  # the day is over
    opening: Purses
    lines: tuple[StatementLine, ...]
    closing: Purses
