"""Frames of the socket /v1/stream, JSON text both ways; docs/protocol/stream.md explains them.

A client sends {"op", "id", "args"}; it gets a Result or a Failure with that id. Channel messages carry epoch, seq and
prev_seq of their channel and instrument: seq grows by one, prev_seq is the one before, the epoch changes at a restart.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from exchange.protocol.errors import Problem
from exchange.protocol.fields import Id, Time
from exchange.protocol.fields import Topic as TopicName
from exchange.protocol.requests import Body

RequestId = Annotated[int, Meta(gt=-(2**53), lt=2**53)] | Annotated[str, Meta(max_length=64)]

CHANNELS = (
    "instruments", "status", "top", "depth", "depth10", "depth50", "orders", "trades", "candles", "prices", "curve", "lane",
    "demand", "user", "heartbeat",
)  # fmt: skip
RECORDED = tuple(channel for channel in CHANNELS if channel not in ("lane", "user", "heartbeat"))  # that have a history
NAMED = frozenset(CHANNELS) - {"instruments", "demand", "user", "heartbeat"}  # channels that are about something
CONFLATED = frozenset(CHANNELS) - {"trades", "user"}  # a late reader gets the newest state instead of every step
WILD = frozenset(("status", "top", "depth", "depth10", "depth50", "orders", "candles"))  # FAMILY/*: one of each instrument
OPEN, HALTED, CLOSED = "open", "halted", "closed"  # states of an instrument

CLOSE_NORMAL = 1000
CLOSE_TOO_LARGE = 1009
CLOSE_FAULT = 1011  # a fault of ours
CLOSE_GOING_AWAY = 1012  # restart: come back
CLOSE_BAD_FRAME = 4400
CLOSE_NOT_LOGGED_IN = 4401
CLOSE_LAGGED = 4408
CLOSE_SESSION_TAKEN = 4409
CLOSE_TOO_MANY = 4429


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends; idempotency_key as over REST; valid_until: not executed later than this (venue's time)."""

    op: str
    id: RequestId
    args: msgspec.Raw = msgspec.Raw(b"{}")
    idempotency_key: str | None = None
    valid_until: Time | None = None
    n: int | None = None  # of a command in a session that has a name: 1, 2, 3, …


class Login(Body, frozen=True, kw_only=True):
    """The first frame on a socket. session: a name under which commands may be numbered, over many connections.

    cancel_on_disconnect: when this connection ends, however it does, the orders placed over it are canceled.
    """

    key: str
    session: Id | None = None
    cancel_on_disconnect: bool = False


class FateOf(Body, frozen=True, kw_only=True):
    """What became of the numbered commands of this session, from from_n on; a page at a time."""

    from_n: int


class Subscribe(Body, frozen=True, kw_only=True):
    """A channel: instrument for top and depth; trades takes an instrument, a family followed by /* or *; lane a topic.

    prices takes an instrument or a family followed by /*; curve takes a family.

    resume: the epoch and the last seq seen; what came since is sent again, or a new snapshot where that is too long ago.
    """

    channel: str
    instrument: TopicName | None = None
    participant: Id | None = None  # user channel, with an operator's key
    epoch: int | None = None
    from_seq: int | None = None


class Unsubscribe(Body, frozen=True, kw_only=True):
    """Ends a subscription."""

    channel: str
    instrument: TopicName | None = None
    participant: Id | None = None


class Result(Struct, frozen=True, kw_only=True, tag_field="type", tag="result"):
    """The answer of an operation."""

    id: int | str
    result: Any


class Failure(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """A request that was turned away; id null where the frame could not be read."""

    id: int | str | None
    error: Problem


class Welcome(Struct, frozen=True, kw_only=True):
    """The result of login; limits by name as in /v1/limits."""

    v: int
    session: int
    participant: str
    scopes: tuple[str, ...]
    epoch: int
    ts_ns: str
    heartbeat_s: int
    limits: dict[str, int]
    last_n: int | None = None  # of a session with a name: the highest number that was used


class FateItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one command, or of one entry of a batch: seq and status of its ack, or the reason of its error."""

    seq: int = 0
    status: str = ""
    reason: str = ""


class Fate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a number: pending, answered (seq and status of the ack), refused (reason: not executed) or unknown."""

    n: int
    op: str
    state: str
    seq: int = 0
    status: str = ""
    reason: str = ""
    items: tuple[FateItem, ...] = ()  # of a batch


class Fates(Struct, frozen=True, kw_only=True):
    """The result of fate: those from first_n on are still known; ask again from where the items end."""

    last_n: int
    first_n: int
    items: tuple[Fate, ...]


class Subscribed(Struct, frozen=True, kw_only=True):
    """The result of subscribe: seq is where the channel is now. A snapshot or, up to there, the missed messages follow."""

    channel: str
    instrument: str  # on the user channel, here and in every message: the participant
    epoch: int
    seq: int
    is_resumed: bool


class SubscribedAll(Struct, frozen=True, kw_only=True):
    """The result of subscribe and unsubscribe for FAMILY/*: so many subscriptions were made, or ended."""

    channel: str
    instrument: str
    epoch: int
    count: int


class Snapshot(Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything as of seq; replaces what the client had."""

    channel: str
    instrument: str
    epoch: int
    seq: int
    ts_ns: str
    data: Any


class Delta(Struct, frozen=True, kw_only=True, tag_field="type", tag="delta"):
    """What changed from prev_seq to seq; after conflation prev_seq is the last one sent, so the chain has no gap."""

    channel: str
    instrument: str
    epoch: int
    seq: int
    prev_seq: int
    ts_ns: str
    data: Any


class Heartbeat(Struct, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """Once a second, once subscribed to: every subscription ("channel instrument") with the last seq that was sent on it
    before this heartbeat: whoever has less has lost something. queued: what still waits to be sent to this client."""

    epoch: int
    seq: int
    ts_ns: str
    server_ts_ns: str
    seqs: dict[str, int]
    queued: int


class Lagged(Struct, frozen=True, kw_only=True, tag_field="type", tag="lagged"):
    """This client reads too slowly: messages from `from_seq` on were not sent; the socket is closed next, resume there."""

    channel: str
    instrument: str
    epoch: int
    from_seq: int
    to_seq: int


class ServerShutdown(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_shutdown"):
    """The server goes down; the socket is closed next. reconnect_after_ms: another time for each client; to null: here."""

    at_ns: str
    reconnect_to: str | None
    reconnect_after_ms: int


class Pong(Struct, frozen=True, kw_only=True):
    """The result of ping: the venue's time and the server's clock."""

    ts_ns: str
    server_ts_ns: str


class Closed(Struct, frozen=True, kw_only=True, tag_field="type", tag="closed"):
    """The instrument's gate has closed: what was in its book has been taken out, and the subscription has ended."""

    channel: str
    instrument: str
    epoch: int
    seq: int


class DepthData(Struct, frozen=True, kw_only=True):
    """Levels (price, cards), best first in a snapshot; cards "0" removes a level in a delta. checksum: of the book after it."""

    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    checksum: int


class OrdersData(Struct, frozen=True, kw_only=True):
    """Orders (order_ref, price, cards), in priority in a snapshot. In a delta the rows of a side are taken in their order:
    cards "0" removes, a known ref keeps its place, a new one joins the tail of its price."""

    bids: tuple[tuple[str, str, str], ...]
    asks: tuple[tuple[str, str, str], ...]
    checksum: int


class StatusData(Struct, frozen=True, kw_only=True):
    """How one instrument trades: state open, halted or closed; reason "", GATE or FAULT; since and until (venue's time)."""

    state: str
    reason: str
    since: str
    until: str
    period_start: str
    period_end: str


class CandlesData(Struct, frozen=True, kw_only=True):
    """Candles (answers_prices.Candle): the one that is open and, once, the one that has ended."""

    items: tuple[Any, ...]


class TopData(Struct, frozen=True, kw_only=True):
    """Best prices; null where a side is empty."""

    bid: str | None
    bid_cards: str | None
    ask: str | None
    ask_cards: str | None


class TradesData(Struct, frozen=True, kw_only=True):
    """Trades, oldest first, as in answers.Trade; a snapshot has none: what was before it is at GET /v1/trades."""

    items: tuple[Any, ...]


class LaneData(Struct, frozen=True, kw_only=True):
    """The whole view (answers.LaneLevel), at most once a second where it has changed."""

    items: tuple[Any, ...]


class PricesData(Struct, frozen=True, kw_only=True):
    """Instruments (answers_prices.InstrumentPrice); in a delta those that changed, all null: nothing is known any more."""

    items: tuple[Any, ...]


class CurveData(Struct, frozen=True, kw_only=True):
    """Points (answers_prices.CurvePoint); in a delta those that changed, price null: there is none any more."""

    items: tuple[Any, ...]


class DemandData(Struct, frozen=True, kw_only=True):
    """Cells (answers.DemandCell); in a delta those that changed, card_hours "0": there is none any more."""

    items: tuple[Any, ...]


class InstrumentsData(Struct, frozen=True, kw_only=True):
    """Families (answers.Family) that are new or whose open periods changed."""

    items: tuple[Any, ...]


class UserData(Struct, frozen=True, kw_only=True):
    """Snapshot: what is open now. Delta: events (private.PrivateEvent) of one command, or a part of them where many."""

    events: tuple[Any, ...] = ()
    account: Any = None
    tasks: tuple[Any, ...] = ()
    orders: tuple[Any, ...] = ()
    offers: tuple[Any, ...] = ()
