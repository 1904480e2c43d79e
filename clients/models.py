"""What the SDK answers with: the structs of exchange.protocol.answers with `Decimal` for numbers, aware `datetime` for times.

Numbers that do not fit a double (`*_ns`) are int. Unknown fields of a newer exchange are passed over. A test compares every
class here with its wire struct, field by field.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from clients.events import PrivateEvent, Relaxed, TaskPart
from clients.model import Model
from clients.tables import Table
from exchange.protocol.requests import TaskTerms


class Level(NamedTuple):
    """A price level: yuan per card-hour, cards."""

    price: Decimal
    cards: Decimal


class Page(Model, frozen=True, kw_only=True):
    """A page of a longer list; no next_cursor: that was all."""

    next_cursor: str | None = None


class Ack(Model, frozen=True, kw_only=True):
    """A command was numbered, is durable and was applied; a refusal by the venue (REJECTED, DENIED) is an ack as well.

    status: ACCEPTED, WAITING, FILLED, PARTLY_FILLED, CANCELED, REJECTED (what it says) or DENIED (money, margin, capacity).
    """

    seq: int
    epoch: int
    ts: datetime
    ts_ns: int
    status: str
    replayed: bool = False
    code: int = 0
    reason: str = ""
    message: str = ""
    hint: str = ""
    events: tuple[PrivateEvent, ...] = ()


class Health(Model, frozen=True, kw_only=True):
    """Whether the exchange takes commands, and how far its parts are."""

    status: str  # ok | behind | halted
    engine: str
    version: str
    epoch: int
    seq: int
    stored_seq: int
    ts: datetime
    ts_ns: int
    server_ts_ns: int
    problems: tuple[str, ...] = ()


class Venue(Model, frozen=True, kw_only=True):
    """The measures of the venue."""

    name: str
    time_zone: str
    period_min: int
    gate_min: int
    horizon_periods: int
    tick: Decimal
    lot: Decimal  # cards
    unit: str  # what a price is
    release_min: int
    dispute_min: int
    clock: str  # system | compressed | manual
    speed: Decimal
    epoch: int
    seq: int
    ts: datetime
    ts_ns: int
    families: int
    tariff_version: int
    fee_standard: Decimal
    fee_economy: Decimal
    fee_emergency: Decimal


class Family(Model, frozen=True, kw_only=True):
    """One family and the periods that can be traded now: from first_period on, `periods` of them."""

    family: str
    chip: str
    region: str
    latency_class: str
    power: str
    first_period: str  # as in instrument codes
    last_period: str
    periods: int
    tick: Decimal
    lot: Decimal


class Families(Page, frozen=True, kw_only=True):
    """A page of families."""

    items: tuple[Family, ...]


class Chip(Model, frozen=True, kw_only=True):
    """A chip class."""

    code: str
    family: str
    fp16_pflops: Decimal
    memory_gb: int
    watts: int
    note: str


class Region(Model, frozen=True, kw_only=True):
    """A region."""

    code: str
    name: str
    hub: str
    kind: str
    longitude: Decimal
    latitude: Decimal


class Reach(Model, frozen=True, kw_only=True):
    """Round-trip time of one class."""

    access_region: str
    host_region: str
    latency_class: str
    rtt_ms: Decimal


class Link(Model, frozen=True, kw_only=True):
    """Moving data."""

    from_region: str
    to_region: str
    price_per_gb: Decimal
    mbit_per_s: int
    mb_per_hour: int  # RT7: 0 = no limit


class Catalogue(Model, frozen=True, kw_only=True):
    """All of the catalogue."""

    chips: tuple[Chip, ...]
    regions: tuple[Region, ...]
    reach: tuple[Reach, ...]
    links: tuple[Link, ...]


class Depth(Model, frozen=True, kw_only=True):
    """One book: best first. seq and epoch are those of the socket's depth channel of the same instrument."""

    instrument: str
    epoch: int
    seq: int
    ts: datetime
    ts_ns: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class LaneLevel(Model, frozen=True, kw_only=True):
    """One price of a lane view: of a book, or of a block offer, which takes no less than its minimum (MB3)."""

    price: Decimal
    cards: Decimal
    total_cards: Decimal  # of this level and all before it
    instrument: str
    family: str
    site: str  # "" for what stands in books
    is_block: bool
    min_cards: Decimal
    min_hours: Decimal
    rtt_ms: Decimal


class Lane(Table, frozen=True, kw_only=True):
    """What a need could use in one period, cheapest first; indicative. seq = the venue's.

    Prices are those of the providers: moving data is in none of them. topic: the name of this view on the socket's `lane`.
    """

    seq: int
    epoch: int
    ts: datetime
    ts_ns: int
    topic: str
    period_start: datetime
    items: tuple[LaneLevel, ...]


class DemandCell(Model, frozen=True, kw_only=True):
    """Card-hours that waiting tasks of at least three firms would buy (DI2, DI3), under their first chip.

    latency_class: the slowest that serves them, BE where any does. deadline_hours: 6, 24, 72 or 168. price: yuan per card-hour
    of `chip` that they would pay at least, moving their data taken off.
    """

    chip: str
    access_region: str
    latency_class: str
    deadline_hours: int
    price: Decimal
    card_hours: Decimal


class Demand(Table, frozen=True, kw_only=True):
    """The demand table as it was last made, at most once a second. seq = the venue's then."""

    seq: int
    epoch: int
    ts: datetime
    ts_ns: int
    items: tuple[DemandCell, ...]


class Trade(Model, frozen=True, kw_only=True):
    """A public trade."""

    trade_id: str  # seq-index
    seq: int
    instrument: str
    period_start: datetime
    price: Decimal
    cards: Decimal
    cost: Decimal
    is_block: bool
    ts: datetime
    ts_ns: int


class TradePage(Page, frozen=True, kw_only=True):
    """A page of trades."""

    items: tuple[Trade, ...]


class Price(Model, frozen=True, kw_only=True):
    """A fix."""

    instrument: str
    price: Decimal
    grade: str
    inputs_hash: str
    seq: int
    ts: datetime
    ts_ns: int


class PricePage(Page, frozen=True, kw_only=True):
    """A page of fixes."""

    items: tuple[Price, ...]


class Quote(Model, frozen=True, kw_only=True):
    """What a task would get now; indicative, nothing is booked. why_not and relaxations where it does not fill."""

    fills: bool
    total: Decimal
    compute: Decimal
    moving: Decimal
    fee: Decimal
    per_card_hour: Decimal | None  # delivered, without fee; "" where nothing fills
    hold: Decimal
    budget: Decimal
    free: Decimal
    site: str
    instrument: str
    start: datetime | None
    end: datetime | None
    cards: Decimal | None  # "" for bulk, and where nothing fills
    card_hours: Decimal
    why_not: str
    binding: str
    relaxations: tuple[Relaxed, ...]
    as_of: datetime
    as_of_ns: int
    seq: int
    parts: tuple[TaskPart, ...] = ()  # what it would buy, as a fill tells it


class Task(Model, frozen=True, kw_only=True):
    """A task and what became of it."""

    participant: str
    client_order_id: str
    status: str  # waiting | filled | partly | unfilled
    ending: str
    seq: int
    entered: datetime
    access_region: str
    chips: tuple[str, ...]
    cards: Decimal
    hours: Decimal
    deadline: datetime
    lane: str
    shape: str
    price_cap: Decimal | None
    budget: Decimal | None
    filled_card_hours: Decimal
    asked_card_hours: Decimal
    compute: Decimal
    moving: Decimal
    fee: Decimal
    instrument: str
    reason: str
    message: str
    binding: str
    relaxations: tuple[Relaxed, ...]
    pflops_hours: Decimal | None = None  # where it was asked for so
    terms: TaskTerms | None = None  # all that was asked for; not in lists, nor where this SDK is older than the exchange


class TaskPage(Page, frozen=True, kw_only=True):
    """A page of tasks."""

    items: tuple[Task, ...]


class Order(Model, frozen=True, kw_only=True):
    """A plain order."""

    participant: str
    client_order_id: str
    instrument: str
    side: str
    price: Decimal
    cards: Decimal
    filled_cards: Decimal
    leaves_cards: Decimal
    status: str  # live | filled | canceled | expired
    reason: str
    seq: int
    ts: datetime
    ts_ns: int


class OrderPage(Page, frozen=True, kw_only=True):
    """A page of orders."""

    items: tuple[Order, ...]


class Offer(Model, frozen=True, kw_only=True):
    """An offer."""

    participant: str
    offer_id: str
    site: str
    chip: str
    region: str
    latency_class: str
    power: str
    cards: Decimal
    periods: int
    is_block: bool
    status: str  # open | ended
    sold_card_hours: Decimal
    open_card_hours: Decimal
    seq: int
    ts: datetime
    ts_ns: int


class OfferPage(Page, frozen=True, kw_only=True):
    """A page of offers."""

    items: tuple[Offer, ...]


class UnsoldHour(Model, frozen=True, kw_only=True):
    """What is open of an offer in one period."""

    period_start: datetime
    instrument: str
    cards: Decimal
    price: Decimal
    is_listed: bool


class Unsold(Model, frozen=True, kw_only=True):
    """The unsold hours of one offer, in order of time."""

    offer_id: str
    items: tuple[UnsoldHour, ...]
