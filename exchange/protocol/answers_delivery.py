"""What the doors answer about delivery and money: what is owed, what was bought, purses, statements."""

from exchange.protocol.answers import Answer, Page


class Obligation(Answer, frozen=True, kw_only=True):
    """What a provider owes, or owed, a buyer in one period."""

    obligation_id: int
    trade_id: str
    lease_id: str
    buyer: str
    seller: str
    site: str
    instrument: str
    period_start: str
    cards: str
    price: str
    cost: str
    fee: str
    moving: str
    status: str  # open, or what it was settled as: delivered | short | void | made_up | covered
    state: str  # sold | delivering | delivered | short | failed | covered | made_up | void | busted
    failing: str  # known ahead that it will not be delivered: "" | outage | silent | declared
    reading: int
    delivered_cards: str | None
    is_countersigned: bool
    is_disputed: bool
    paid: str
    refund: str
    damages: str
    client_order_id: str
    offer_id: str


class ObligationPage(Page, frozen=True, kw_only=True):
    """A page of obligations."""

    items: tuple[Obligation, ...]


class LeaseAccess(Answer, frozen=True, kw_only=True):
    """How the buyer reaches the cards of one seller."""

    seller: str
    access: str
    ts: str


class LeaseResult(Answer, frozen=True, kw_only=True):
    """What the work has put out at one seller."""

    seller: str
    exit_code: int
    output: str
    is_final: bool
    ts: str


class Lease(Answer, frozen=True, kw_only=True):
    """What one purchase bought from one site: cards over hours."""

    lease_id: str
    buyer: str
    seller: str
    site: str
    family: str
    client_order_id: str
    cards: str
    hours: str
    card_hours: str
    start: str
    end: str
    cost: str
    status: str  # open | ended
    state: str  # sold | delivering | delivered | short | failed | covered | made_up | void | busted
    accesses: tuple[LeaseAccess, ...]  # the last word of each seller; for the buyer alone
    results: tuple[LeaseResult, ...]  # the last one of each seller; for the buyer alone


class LeasePage(Page, frozen=True, kw_only=True):
    """A page of leases."""

    items: tuple[Lease, ...]


class DispatchHour(Answer, frozen=True, kw_only=True):
    """One obligation of a dispatch; what readings are given for."""

    obligation_id: int
    period_start: str
    cards: str
    reading: int  # number of the last reading; 0 = none yet
    failing: str  # "" | outage | silent | declared
    sold: str  # when


class Dispatch(Answer, frozen=True, kw_only=True):
    """What a provider has to run of a lease at one of his sites, of the hours that are not settled yet."""

    lease_id: str
    counterparty: str  # the buyer
    site: str
    chip: str
    instrument: str  # of the first of these hours
    hours: tuple[DispatchHour, ...]
    data_region: str
    data_gb: str
    work: str
    heartbeat_s: int  # at most so long between two readings while an hour runs; 0 = one in all
    is_signed: bool  # readings need the signature of the site's meter
    has_access: bool  # he has told the buyer how to reach the cards
    is_finished: bool  # he has returned the final result


class DispatchPage(Page, frozen=True, kw_only=True):
    """A page of dispatches."""

    items: tuple[Dispatch, ...]


class Account(Answer, frozen=True, kw_only=True):
    """The purses of a participant."""

    participant: str
    firm: str
    cash: str
    held: str
    escrow: str
    margin: str
    bond: str
    total: str
    is_stopped: bool  # HM5: no new sales
    seq: int
    ts: str
    ts_ns: str


class AccountPage(Page, frozen=True, kw_only=True):
    """A page of accounts."""

    items: tuple[Account, ...]


class Hold(Answer, frozen=True, kw_only=True):
    """Money that is held, and for what."""

    kind: str  # task | order
    reference: str
    amount: str


class Holds(Answer, frozen=True, kw_only=True):
    """Every hold of a participant; they add up to `held`."""

    participant: str
    held: str
    items: tuple[Hold, ...]


class Purses(Answer, frozen=True, kw_only=True):
    """The five purses at one moment."""

    cash: str
    held: str
    escrow: str
    margin: str
    bond: str
    total: str


class StatementLine(Answer, frozen=True, kw_only=True):
    """One line; positive amounts came in."""

    seq: int
    ts: str
    what: str
    counterparty: str
    amount: str
    reference: str
    obligation_id: int
    instrument: str
    line_id: str  # leads to trade, readings and fix: the operation statement_line
    ts_ns: str
    kind: str  # of the move, as the ledger calls it
    trade_id: str  # "" where no trade is behind it


class Statement(Answer, frozen=True, kw_only=True):
    """A participant's day: opening + lines = closing, to the last unit."""

    participant: str
    day: str
    is_final: bool  # the day is over
    opening: Purses
    lines: tuple[StatementLine, ...]
    closing: Purses
    hash: str  # "" while the day is not over, and for a day without a move
    previous_hash: str  # of the last day with a move before; "" for the first
    confirmed: str | None  # when the participant confirmed it
