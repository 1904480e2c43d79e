"""Delivery and money, as the SDK answers them; like clients.models."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from clients.model import Model
from clients.models import Page
from clients.pictures import plot_statement
from clients.tables import Table


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
    status: str  # open, or what it was settled as: delivered | short | void | made_up | covered
    state: str  # sold | delivering | delivered | short | failed | covered | made_up | void | busted
    failing: str  # known ahead that it will not be delivered: "" | outage | silent | declared
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


class LeaseAccess(Model, frozen=True, kw_only=True):
    """How the buyer reaches the cards of one seller."""

    seller: str
    access: str
    ts: datetime


class LeaseResult(Model, frozen=True, kw_only=True):
    """What the work has put out at one seller."""

    seller: str
    exit_code: int
    output: str
    is_final: bool
    ts: datetime


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
    state: str  # sold | delivering | delivered | short | failed | covered | made_up | void | busted
    accesses: tuple[LeaseAccess, ...]  # the last word of each seller; for the buyer alone
    results: tuple[LeaseResult, ...]  # the last one of each seller; for the buyer alone


class LeasePage(Page, frozen=True, kw_only=True):
    """A page of leases."""

    items: tuple[Lease, ...]


class DispatchHour(Model, frozen=True, kw_only=True):
    """One obligation of a dispatch; what readings are given for."""

    obligation_id: int
    period_start: datetime
    cards: Decimal
    reading: int  # number of the last reading; 0 = none yet
    failing: str  # "" | outage | silent | declared
    sold: datetime  # when


class Dispatch(Model, frozen=True, kw_only=True):
    """What a provider has to run of a lease at one of his sites, of the hours that are not settled yet."""

    lease_id: str
    counterparty: str  # the buyer
    site: str
    chip: str
    instrument: str  # of the first of these hours
    hours: tuple[DispatchHour, ...]
    data_region: str
    data_gb: Decimal
    work: str
    heartbeat_s: int  # at most so long between two readings while an hour runs; 0 = one in all
    is_signed: bool  # readings need the signature of the site's meter
    has_access: bool  # he has told the buyer how to reach the cards
    is_finished: bool  # he has returned the final result


class DispatchPage(Page, frozen=True, kw_only=True):
    """A page of dispatches."""

    items: tuple[Dispatch, ...]


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


class Holds(Table, frozen=True, kw_only=True):
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
    line_id: str = ""  # leads to trade, readings and fix
    ts_ns: int = 0
    kind: str = ""  # of the move, as the ledger calls it
    trade_id: str = ""  # "" where no trade is behind it


class Statement(Table, frozen=True, kw_only=True):
    """A participant's day: opening + lines = closing, to the last unit."""

    _table = "lines"

    participant: str
    day: str
    is_final: bool  # the day is over
    opening: Purses
    lines: tuple[StatementLine, ...]
    closing: Purses
    hash: str = ""  # "" while the day is not over, and for a day without a move
    previous_hash: str = ""  # of the last day with a move before; "" for the first
    confirmed: datetime | None = None  # when the participant confirmed it

    def plot(self, ax: Any = None) -> Any:
        """What the money was for; the matplotlib axes."""
        return plot_statement(self, ax)
