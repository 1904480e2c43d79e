"""What a participant is told about his own business, as the SDK hands it out: in acks and on the user channel.

The structs of exchange.protocol.private with `Decimal` for numbers and aware `datetime` for times; a test holds the two
together. None where the exchange has nothing to say.
"""

from datetime import datetime
from decimal import Decimal

from clients.model import Model


class Private(Model, frozen=True, kw_only=True, tag_field="type"):
    """Base: seq of the command that caused it, place among that command's private events, the venue's time."""

    participant: str
    seq: int
    index: int
    ts: datetime
    ts_ns: int


class Relaxed(Model, frozen=True, kw_only=True):
    """The least change in one dimension that alone would fill the task."""

    dimension: str
    change: str
    delivered: Decimal | None
    instrument: str


class TaskPart(Model, frozen=True, kw_only=True):
    """A part of what a task has bought: the same cards at one site in hours one after the other, from `instrument` on."""

    site: str
    instrument: str
    hours: Decimal
    cards: Decimal
    cost: Decimal  # without moving data and fee
    is_block: bool  # from a block offer


class TaskUpdate(Private, frozen=True, kw_only=True, tag="task"):
    """A task was accepted, amended, waits, has a higher limit, was filled (wholly or in part), expired or was canceled.

    budget, hold: at its entry and when it was amended; budget alone where a step has raised it (RT9).
    """

    client_order_id: str
    status: str  # accepted | amended | waiting | stepped | partly_filled | filled | expired | canceled
    hold: Decimal | None = None
    site: str = ""
    instrument: str = ""
    start: datetime | None = None
    hours: Decimal | None = None
    cards: Decimal | None = None
    card_hours: Decimal | None = None
    compute: Decimal | None = None
    moving: Decimal | None = None
    fee: Decimal | None = None
    waited_s: Decimal | None = None
    reason: str = ""
    binding: str = ""
    relaxations: tuple[Relaxed, ...] = ()
    budget: Decimal | None = None
    keeps_place: bool = False  # amended: as old as it was (RT8)
    parts: tuple[TaskPart, ...] = ()  # of a fill; together all of it


class OrderUpdate(Private, frozen=True, kw_only=True, tag="order"):
    """A plain order was accepted, replaced, canceled or expired; fills come as Fill."""

    client_order_id: str
    status: str
    instrument: str
    price: Decimal
    leaves_cards: Decimal
    reason: str


class OfferUpdate(Private, frozen=True, kw_only=True, tag="offer"):
    """An offer was placed, could not be placed in a period, or ended in one."""

    offer_id: str
    status: str  # placed | skipped | ended
    site: str = ""
    period_start: datetime | None = None
    cards: Decimal | None = None
    reason: str = ""


class Fill(Private, frozen=True, kw_only=True, tag="fill"):
    """One party's view of a trade."""

    trade_id: str
    obligation_id: int
    side: str  # buy | sell
    counterparty: str
    site: str
    instrument: str
    period_start: datetime
    cards: Decimal
    price: Decimal
    cost: Decimal
    fee: Decimal  # the buyer's; "0.00" for the seller
    client_order_id: str  # the buyer's task or order; "" for the seller
    offer_id: str  # the seller's; "" for the buyer
    is_block: bool


class ReadingUpdate(Private, frozen=True, kw_only=True, tag="reading"):
    """A reading was taken, countersigned or disputed."""

    obligation_id: int
    number: int
    delivered_cards: Decimal
    is_countersigned: bool
    is_disputed: bool


class SettlementUpdate(Private, frozen=True, kw_only=True, tag="settlement"):
    """An obligation was settled."""

    obligation_id: int
    side: str
    instrument: str
    status: str
    cards: Decimal
    delivered_cards: Decimal
    paid: Decimal
    fee: Decimal
    refund: Decimal
    damages: Decimal


class MakeUpUpdate(Private, frozen=True, kw_only=True, tag="make_up"):
    """BB2: lots that failed will be delivered in a later period instead."""

    obligation_id: int
    instead_of: int
    side: str
    instrument: str
    period_start: datetime
    cards: Decimal


class MoneyUpdate(Private, frozen=True, kw_only=True, tag="money"):
    """Money moved between purses: bucket names as in Account; "" = not the participant's."""

    amount: Decimal
    from_bucket: str
    to_bucket: str
    counterparty: str  # "" within one's own purses
    kind: str
    reference: str


class MarginUpdate(Private, frozen=True, kw_only=True, tag="margin"):
    """HM5: margin is short, new sales stop until it is covered."""

    short: Decimal


class SettingUpdate(Private, frozen=True, kw_only=True, tag="applied"):
    """A command without a report of its own was applied."""

    command: str
    reference: str

PrivateEvent = (
    TaskUpdate | OrderUpdate | OfferUpdate | Fill | ReadingUpdate | SettlementUpdate | MakeUpUpdate | MoneyUpdate
    | MarginUpdate | SettingUpdate
)  # fmt: skip
