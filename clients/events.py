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


class CertificateUpdate(Private, frozen=True, kw_only=True, tag="certificate"):
    """Green power was issued to a participant, or what is left of a period that is over is void."""

    status: str  # issued | closed
    region: str
    period_start: datetime  # of the first
    periods: int
    issued_wh: int
    retired_wh: int = 0
    unused_wh: int = 0
    certificate_id: str = ""


class SettingUpdate(Private, frozen=True, kw_only=True, tag="applied"):
    """A command without a report of its own was applied."""

    command: str
    reference: str


class DispatchedHour(Model, frozen=True, kw_only=True):
    """One obligation of a dispatch."""

    obligation_id: int
    period_start: datetime
    cards: Decimal


class DispatchUpdate(Private, frozen=True, kw_only=True, tag="dispatch"):
    """A task has bought hours of a seller's site: what he has to run there. For him alone."""

    lease_id: str
    counterparty: str
    site: str
    chip: str
    instrument: str  # of the first hour
    hours: tuple[DispatchedHour, ...]
    data_region: str
    data_gb: Decimal
    work: str


class AccessUpdate(Private, frozen=True, kw_only=True, tag="access"):
    """How the buyer of a lease reaches his cards. For him alone."""

    lease_id: str
    counterparty: str
    access: str


class ResultUpdate(Private, frozen=True, kw_only=True, tag="result"):
    """What the work of a lease has put out. For its buyer alone."""

    lease_id: str
    counterparty: str
    exit_code: int
    output: str
    is_final: bool


class FailureUpdate(Private, frozen=True, kw_only=True, tag="failure"):
    """It is known now that an obligation will not be delivered."""

    obligation_id: int
    side: str
    instrument: str
    period_start: datetime
    cards: Decimal
    reason: str  # outage | silent | declared


class BuyInUpdate(Private, frozen=True, kw_only=True, tag="buy_in"):
    """Cards that will not be delivered: a task waits for them, they were bought elsewhere, or a try to buy them has ended.

    escrow: what of the cover the buyer had paid already. ended: cards were covered, open_cards were not; margin: what the
    failed seller's security paid, refund: what the covers cost less, to the buyer.
    """

    obligation_id: int
    side: str
    status: str  # waiting | covered | ended
    cards: Decimal
    covers: tuple[int, ...] = ()  # obligations
    twelfths: int = 12  # of the hour (EM2)
    cost: Decimal | None = None
    fee: Decimal | None = None
    moving: Decimal | None = None
    escrow: Decimal | None = None
    limit: Decimal | None = None  # per card-hour
    until: datetime | None = None
    open_cards: Decimal | None = None
    margin: Decimal | None = None
    refund: Decimal | None = None
    reason: str = ""  # bought | gate | stopped | none


class CurtailmentUpdate(Private, frozen=True, kw_only=True, tag="curtailment"):
    """An obligation lies in the window of an ordered curtailment."""

    obligation_id: int
    side: str
    instrument: str
    period_start: datetime
    cards: Decimal
    reference: str


class CorrectionUpdate(Private, frozen=True, kw_only=True, tag="correction"):
    """A trade was busted, or has another price."""

    obligation_id: int
    side: str
    status: str  # busted | adjusted
    instrument: str
    period_start: datetime
    cards: Decimal
    before: Decimal  # price per card-hour
    price: Decimal | None
    cost: Decimal  # busted: what came back to the buyer; adjusted: now
    fee: Decimal
    reason: str


PrivateEvent = (
    TaskUpdate | OrderUpdate | OfferUpdate | Fill | ReadingUpdate | SettlementUpdate | MakeUpUpdate | MoneyUpdate
    | MarginUpdate | CertificateUpdate | SettingUpdate | DispatchUpdate | AccessUpdate | ResultUpdate
    | FailureUpdate | BuyInUpdate | CurtailmentUpdate | CorrectionUpdate
)  # fmt: skip
