"""What the doors answer: wire models made from the venue's own facts. Money, prices, cards and hours are decimal strings.

A reader must tolerate fields it does not know: later releases add some.
"""

from msgspec import Struct

from exchange.protocol.private import PrivateEvent, Relaxed, TaskPart
from exchange.protocol.requests import TaskTerms


class Answer(Struct, frozen=True, kw_only=True):
    """Base of all answers."""


class Page(Answer, frozen=True, kw_only=True):
    """A page of a longer list; no next_cursor: that was all."""

    next_cursor: str | None = None


class Ack(Answer, frozen=True, kw_only=True):
    """A command was numbered, is durable and was applied; a refusal by the venue (REJECTED, DENIED) is an ack as well.

    status: ACCEPTED, WAITING, FILLED, PARTLY_FILLED, CANCELED, REJECTED (what it says) or DENIED (money, margin, capacity).
    """

    seq: int
    epoch: int
    ts: str
    ts_ns: str
    status: str
    replayed: bool = False
    code: int = 0
    reason: str = ""
    message: str = ""
    hint: str = ""
    events: tuple[PrivateEvent, ...] = ()


class Health(Answer, frozen=True, kw_only=True):
    """Whether the exchange takes commands, and how far its parts are."""

    status: str  # ok | behind | halted
    engine: str
    version: str
    epoch: int
    seq: int
    stored_seq: int
    ts: str
    ts_ns: str
    server_ts_ns: str
    problems: tuple[str, ...] = ()


class Venue(Answer, frozen=True, kw_only=True):
    """The measures of the venue."""

    name: str
    time_zone: str
    period_min: int
    gate_min: int
    horizon_periods: int
    tick: str
    lot: str  # cards
    unit: str  # what a price is
    release_min: int
    dispute_min: int
    clock: str  # system | compressed | manual
    speed: str
    epoch: int
    seq: int
    ts: str
    ts_ns: str
    families: int
    tariff_version: int
    fee_standard: str
    fee_economy: str
    fee_emergency: str


class Family(Answer, frozen=True, kw_only=True):
    """One family and the periods that can be traded now: from first_period on, `periods` of them."""

    family: str
    chip: str
    region: str
    latency_class: str
    power: str
    first_period: str  # as in instrument codes
    last_period: str
    periods: int
    tick: str
    lot: str


class Families(Page, frozen=True, kw_only=True):
    """A page of families."""

    items: tuple[Family, ...]


class Chip(Answer, frozen=True, kw_only=True):
    """A chip class."""

    code: str
    family: str
    fp16_pflops: str
    memory_gb: int
    watts: int
    note: str


class Region(Answer, frozen=True, kw_only=True):
    """A region."""

    code: str
    name: str
    hub: str
    kind: str
    longitude: str
    latitude: str


class Reach(Answer, frozen=True, kw_only=True):
    """Round-trip time of one class."""

    access_region: str
    host_region: str
    latency_class: str
    rtt_ms: str


class Link(Answer, frozen=True, kw_only=True):
    """Moving data."""

    from_region: str
    to_region: str
    price_per_gb: str
    mbit_per_s: int
    mb_per_hour: int  # RT7: 0 = no limit


class Catalogue(Answer, frozen=True, kw_only=True):
    """All of the catalogue."""

    chips: tuple[Chip, ...]
    regions: tuple[Region, ...]
    reach: tuple[Reach, ...]
    links: tuple[Link, ...]


Level = tuple[str, str]  # price, cards


class Depth(Answer, frozen=True, kw_only=True):
    """One book: best first. seq and epoch are those of the socket's depth channel of the same instrument."""

    instrument: str
    epoch: int
    seq: int
    ts: str
    ts_ns: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class LaneLevel(Answer, frozen=True, kw_only=True):
    """One price of a lane view: of a book, or of a block offer, which takes no less than its minimum (MB3)."""

    price: str
    cards: str
    total_cards: str  # of this level and all before it
    instrument: str
    family: str
    site: str  # "" for what stands in books
    is_block: bool
    min_cards: str
    min_hours: str
    rtt_ms: str


class Lane(Answer, frozen=True, kw_only=True):
    """What a need could use in one period, cheapest first; indicative. seq = the venue's.

    Prices are those of the providers: moving data is in none of them. topic: the name of this view on the socket's `lane`.
    """

    seq: int
    epoch: int
    ts: str
    ts_ns: str
    topic: str
    period_start: str
    items: tuple[LaneLevel, ...]


class DemandCell(Answer, frozen=True, kw_only=True):
    """Card-hours that waiting tasks of at least three firms would buy (DI2, DI3), under their first chip.

    latency_class: the slowest that serves them, BE where any does. deadline_hours: 6, 24, 72 or 168. price: yuan per card-hour
    of `chip` that they would pay at least, moving their data taken off.
    """

    chip: str
    access_region: str
    latency_class: str
    deadline_hours: int
    price: str
    card_hours: str


class Demand(Answer, frozen=True, kw_only=True):
    """The demand table as it was last made, at most once a second. seq = the venue's then."""

    seq: int
    epoch: int
    ts: str
    ts_ns: str
    items: tuple[DemandCell, ...]


class Trade(Answer, frozen=True, kw_only=True):
    """A public trade."""

    trade_id: str  # seq-index
    seq: int
    instrument: str
    period_start: str
    price: str
    cards: str
    cost: str
    is_block: bool
    ts: str
    ts_ns: str


class TradePage(Page, frozen=True, kw_only=True):
    """A page of trades."""

    items: tuple[Trade, ...]


class Price(Answer, frozen=True, kw_only=True):
    """A fix."""

    instrument: str
    price: str
    grade: str
    inputs_hash: str
    seq: int
    ts: str
    ts_ns: str


class PricePage(Page, frozen=True, kw_only=True):
    """A page of fixes."""

    items: tuple[Price, ...]


class Quote(Answer, frozen=True, kw_only=True):
    """What a task would get now; indicative, nothing is booked. why_not and relaxations where it does not fill."""

    fills: bool
    total: str
    compute: str
    moving: str
    fee: str
    per_card_hour: str  # delivered, without fee; "" where nothing fills
    hold: str
    budget: str
    free: str
    site: str
    instrument: str
    start: str | None
    end: str | None
    cards: str
    card_hours: str
    why_not: str
    binding: str
    relaxations: tuple[Relaxed, ...]
    as_of: str
    as_of_ns: str
    seq: int
    parts: tuple[TaskPart, ...] = ()  # what it would buy, as a fill tells it


class Task(Answer, frozen=True, kw_only=True):
    """A task and what became of it."""

    participant: str
    client_order_id: str
    status: str  # waiting | filled | partly | unfilled
    ending: str
    seq: int
    entered: str
    access_region: str
    chips: tuple[str, ...]
    cards: str
    hours: str
    deadline: str
    lane: str
    shape: str
    price_cap: str | None
    budget: str | None
    filled_card_hours: str
    asked_card_hours: str
    compute: str
    moving: str
    fee: str
    instrument: str
    reason: str
    message: str
    binding: str
    relaxations: tuple[Relaxed, ...]
    pflops_hours: str | None = None  # where it was asked for so
    terms: TaskTerms | None = None  # all that was asked for; not in lists


class TaskPage(Page, frozen=True, kw_only=True):
    """A page of tasks."""

    items: tuple[Task, ...]


class Order(Answer, frozen=True, kw_only=True):
    """A plain order."""

    participant: str
    client_order_id: str
    instrument: str
    side: str
    price: str
    cards: str
    filled_cards: str
    leaves_cards: str
    status: str  # live | filled | canceled | expired
    reason: str
    seq: int
    ts: str
    ts_ns: str


class OrderPage(Page, frozen=True, kw_only=True):
    """A page of orders."""

    items: tuple[Order, ...]


class Offer(Answer, frozen=True, kw_only=True):
    """An offer."""

    participant: str
    offer_id: str
    site: str
    chip: str
    region: str
    latency_class: str
    power: str
    cards: str
    periods: int
    is_block: bool
    status: str  # open | ended
    sold_card_hours: str
    open_card_hours: str
    seq: int
    ts: str
    ts_ns: str


class OfferPage(Page, frozen=True, kw_only=True):
    """A page of offers."""

    items: tuple[Offer, ...]


class UnsoldHour(Answer, frozen=True, kw_only=True):
    """What is open of an offer in one period."""

    period_start: str
    instrument: str
    cards: str
    price: str
    is_listed: bool


class Unsold(Answer, frozen=True, kw_only=True):
    """The unsold hours of one offer, in order of time."""

    offer_id: str
    items: tuple[UnsoldHour, ...]
