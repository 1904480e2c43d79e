"""What a participant is told about his own business: in acks, and in order on the socket's `user` channel.

One tagged struct per kind; `participant` is whose copy it is. Amounts are yuan, quantities cards, as decimal strings.
"""

from msgspec import Struct


class Private(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base: seq of the command that caused it, place among that command's private events, the venue's time."""

    participant: str
    seq: int
    index: int
    ts: str
    ts_ns: str


class Relaxed(Struct, frozen=True, kw_only=True):
    """The least change in one dimension that alone would fill the task."""

    dimension: str
    change: str
    delivered: str
    instrument: str


class TaskPart(Struct, frozen=True, kw_only=True):
    """A part of what a task has bought: the same cards at one site in hours one after the other, from `instrument` on."""

    site: str
    instrument: str
    hours: str
    cards: str
    cost: str  # without moving data and fee
    is_block: bool  # from a block offer


class TaskUpdate(Private, frozen=True, kw_only=True, tag="task"):
    """A task was accepted, amended, waits, has a higher limit, was filled (wholly or in part), expired or was canceled.

    budget, hold: at its entry and when it was amended; budget alone where a step has raised it (RT9).
    """

    client_order_id: str
    status: str  # accepted | amended | waiting | stepped | partly_filled | filled | expired | canceled
    hold: str = ""
    site: str = ""
    instrument: str = ""
    start: str | None = None
    hours: str = ""
    cards: str = ""
    card_hours: str = ""
    compute: str = ""
    moving: str = ""
    fee: str = ""
    waited_s: str = ""
    reason: str = ""
    binding: str = ""
    relaxations: tuple[Relaxed, ...] = ()
    budget: str = ""
    keeps_place: bool = False  # amended: as old as it was (RT8)
    parts: tuple[TaskPart, ...] = ()  # of a fill; together all of it


class OrderUpdate(Private, frozen=True, kw_only=True, tag="order"):
    """A plain order was accepted, replaced, canceled or expired; fills come as Fill."""

    client_order_id: str
    status: str
    instrument: str
    price: str
    leaves_cards: str
    reason: str


class OfferUpdate(Private, frozen=True, kw_only=True, tag="offer"):
    """An offer was placed, could not be placed in a period, or ended in one."""

    offer_id: str
    status: str  # placed | skipped | ended
    site: str = ""
    period_start: str | None = None
    cards: str = ""
    reason: str = ""


class Fill(Private, frozen=True, kw_only=True, tag="fill"):
    """One party's view of a trade."""

    trade_id: str
    obligation_id: int
    side: str  # buy | sell
    counterparty: str
    site: str
    instrument: str
    period_start: str
    cards: str
    price: str
    cost: str
    fee: str  # the buyer's; "0.00" for the seller
    client_order_id: str  # the buyer's task or order; "" for the seller
    offer_id: str  # the seller's; "" for the buyer
    is_block: bool


class ReadingUpdate(Private, frozen=True, kw_only=True, tag="reading"):
    """A reading was taken, countersigned or disputed."""

    obligation_id: int
    number: int
    delivered_cards: str
    is_countersigned: bool
    is_disputed: bool


class SettlementUpdate(Private, frozen=True, kw_only=True, tag="settlement"):
    """An obligation was settled."""

    obligation_id: int
    side: str
    instrument: str
    status: str
    cards: str
    delivered_cards: str
    paid: str
    fee: str
    refund: str
    damages: str


class MakeUpUpdate(Private, frozen=True, kw_only=True, tag="make_up"):
    """BB2: lots that failed will be delivered in a later period instead."""

    obligation_id: int
    instead_of: int
    side: str
    instrument: str
    period_start: str
    cards: str


class MoneyUpdate(Private, frozen=True, kw_only=True, tag="money"):
    """Money moved between purses: bucket names as in Account; "" = not the participant's."""

    amount: str
    from_bucket: str
    to_bucket: str
    counterparty: str  # "" within one's own purses
    kind: str
    reference: str


class MarginUpdate(Private, frozen=True, kw_only=True, tag="margin"):
    """HM5: margin is short, new sales stop until it is covered."""

    short: str


class CertificateUpdate(Private, frozen=True, kw_only=True, tag="certificate"):
    """Green power was issued to a participant, or what is left of a period that is over is void."""

    status: str  # issued | closed
    region: str
    period_start: str  # of the first
    periods: int
    issued_wh: int
    retired_wh: int = 0
    unused_wh: int = 0
    certificate_id: str = ""


class SettingUpdate(Private, frozen=True, kw_only=True, tag="applied"):
    """A command without a report of its own was applied."""

    command: str
    reference: str


class DispatchedHour(Struct, frozen=True, kw_only=True):
    """One obligation of a dispatch."""

    obligation_id: int
    period_start: str
    cards: str


class DispatchUpdate(Private, frozen=True, kw_only=True, tag="dispatch"):
    """A task has bought hours of a seller's site: what he has to run there. For him alone."""

    lease_id: str
    counterparty: str
    site: str
    chip: str
    instrument: str  # of the first hour
    hours: tuple[DispatchedHour, ...]
    data_region: str
    data_gb: str
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
    period_start: str
    cards: str
    reason: str  # outage | silent | declared


class BuyInUpdate(Private, frozen=True, kw_only=True, tag="buy_in"):
    """Cards that will not be delivered: a task waits for them, they were bought elsewhere, or a try to buy them has ended.

    escrow: what of the cover the buyer had paid already. ended: cards were covered, open_cards were not; margin: what the
    failed seller's security paid, refund: what the covers cost less, to the buyer.
    """

    obligation_id: int
    side: str
    status: str  # waiting | covered | ended
    cards: str
    covers: tuple[int, ...] = ()  # obligations
    twelfths: int = 12  # of the hour (EM2)
    cost: str = ""
    fee: str = ""
    moving: str = ""
    escrow: str = ""
    limit: str = ""  # per card-hour
    until: str | None = None
    open_cards: str = ""
    margin: str = ""
    refund: str = ""
    reason: str = ""  # bought | gate | stopped | none


class CurtailmentUpdate(Private, frozen=True, kw_only=True, tag="curtailment"):
    """An obligation lies in the window of an ordered curtailment."""

    obligation_id: int
    side: str
    instrument: str
    period_start: str
    cards: str
    reference: str


class CorrectionUpdate(Private, frozen=True, kw_only=True, tag="correction"):
    """A trade was busted, or has another price."""

    obligation_id: int
    side: str
    status: str  # busted | adjusted
    instrument: str
    period_start: str
    cards: str
    before: str  # price per card-hour
    price: str
    cost: str  # busted: what came back to the buyer; adjusted: now
    fee: str
    reason: str


PrivateEvent = (
    TaskUpdate | OrderUpdate | OfferUpdate | Fill | ReadingUpdate | SettlementUpdate | MakeUpUpdate | MoneyUpdate
    | MarginUpdate | CertificateUpdate | SettingUpdate | DispatchUpdate | AccessUpdate | ResultUpdate | FailureUpdate
    | BuyInUpdate | CurtailmentUpdate | CorrectionUpdate
)  # fmt: skip
