"""What can be asked at the doors: one struct per operation, the same for REST, socket and SDK.

`participant` may be left out with a key that belongs to a participant; a key of the operator must name one where
something is done or owned by somebody. Optional fields are absent or null. Quantities are cards, card-hours and hours;
the venue's lots and periods are not seen here.
"""

from typing import Annotated

from msgspec import Meta, Struct

from exchange.protocol.fields import (
    MAX_LIST,
    Code,
    Count,
    Cursor,
    Decimal,
    Id,
    Instrument,
    Page,
    Time,
    Word,
)

Levels = Annotated[int, Meta(ge=1, le=1000, description="price levels per side")]
Some = Annotated[tuple[Code, ...], Meta(max_length=MAX_LIST)]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)", description="a day of the venue's time zone")]
Text = Annotated[str, Meta(pattern=r"^[ -~]*$(?!\n)", max_length=80)]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all requests: an unknown field is a mistake, not a comment."""


class Nothing(Body, frozen=True, kw_only=True):
    """No arguments."""


class Paged(Body, frozen=True, kw_only=True):
    """A page of a longer list."""

    limit: Page = 100
    cursor: Cursor | None = None


class OwnPage(Paged, frozen=True, kw_only=True):
    """A page of what belongs to one participant."""

    participant: Id | None = None


# --- the market ---


class Instruments(Paged, frozen=True, kw_only=True):
    """Listed families with the periods that can be traded now."""

    chip: Code | None = None
    region: Code | None = None
    latency_class: Code | None = None
    power: Word | None = None


class Book(Body, frozen=True, kw_only=True):
    """One book."""

    instrument: Instrument
    levels: Levels = 10


class LaneView(Body, frozen=True, kw_only=True):
    """Everything a need could use in one period (DI5): merged books and block offers, indicative."""

    access_region: Code
    chips: Some
    period_start: Time
    max_latency_ms: Decimal | None = None
    min_green: Decimal | None = None
    levels: Levels = 20


class Trades(Paged, frozen=True, kw_only=True):
    """Public trades, newest first; `after` = only those later than this trade id, oldest first."""

    instrument: Instrument | None = None
    chip: Code | None = None
    region: Code | None = None
    after: Id | None = None


class Prices(Paged, frozen=True, kw_only=True):
    """Fixes (DI4), newest first."""

    instrument: Instrument | None = None
    chip: Code | None = None
    region: Code | None = None


# --- tasks and orders ---


class ChipChoice(Body, frozen=True, kw_only=True):
    """An accepted chip; factor is its speed against the first one, for choosing only (CA4)."""

    chip: Code
    factor: Decimal = "1"


class TaskTerms(Body, frozen=True, kw_only=True):
    """What a buyer wants done; exactly one of price_cap (yuan per card-hour, delivered) and budget (yuan)."""

    client_order_id: Id
    access_region: Code
    chips: Annotated[tuple[ChipChoice, ...], Meta(min_length=1, max_length=MAX_LIST)]
    cards: Decimal
    hours: Decimal
    deadline: Time
    participant: Id | None = None
    price_cap: Decimal | None = None
    budget: Decimal | None = None
    max_latency_ms: Decimal | None = None
    earliest_start: Time | None = None
    data_gb: Decimal | None = None
    data_region: Code | None = None
    lane: Word = "standard"
    shape: Word = "block"
    allowed_regions: Some = ()
    min_green: Decimal | None = None
    checkpoint: Word = "hourly"
    on_break: Word = "continue"
    valid_until: Time | None = None
    min_fill: Decimal | None = None


class OwnTask(Body, frozen=True, kw_only=True):
    """One task of one's own."""

    client_order_id: Id
    participant: Id | None = None


class TaskList(OwnPage, frozen=True, kw_only=True):
    """One's own tasks, newest first; status waiting, filled, partly or unfilled."""

    status: Word | None = None


class OrderTerms(Body, frozen=True, kw_only=True):
    """A plain order in one book (RT3); sells come as offers."""

    client_order_id: Id
    instrument: Instrument
    price: Decimal
    cards: Decimal
    side: Word = "buy"
    tif: Word = "GTC"
    expiry: Time | None = None
    participant: Id | None = None


class OrderChange(Body, frozen=True, kw_only=True):
    """A new price and a new total size of a live order (AM1-AM8)."""

    client_order_id: Id
    price: Decimal
    cards: Decimal
    participant: Id | None = None


class OwnOrder(Body, frozen=True, kw_only=True):
    """One plain order of one's own."""

    client_order_id: Id
    participant: Id | None = None


class OrderList(OwnPage, frozen=True, kw_only=True):
    """One's own plain orders, newest first; status live, filled, canceled or expired."""

    status: Word | None = None


# --- offers, delivery ---


class OfferTerms(Body, frozen=True, kw_only=True):
    """A provider's offer over whole periods; period_prices instead of price where it changes by the period."""

    offer_id: Id
    site: Id
    chip: Code
    latency_class: Code
    cards: Decimal
    start: Time
    end: Time
    participant: Id | None = None
    power: Word = "grid"
    price: Decimal | None = None
    period_prices: Annotated[tuple[Decimal, ...], Meta(max_length=5_000)] = ()  # 160 days of hours, as traces have them
    min_cards: Decimal | None = None
    min_hours: Decimal | None = None
    indivisible_ok: bool = False
    notice_min: Annotated[int, Meta(ge=0, le=10_080)] = 0


class OfferChange(Body, frozen=True, kw_only=True):
    """A new price and size for the unsold periods of an offer (RT8)."""

    offer_id: Id
    cards: Decimal
    price: Decimal
    participant: Id | None = None


class OwnOffer(Body, frozen=True, kw_only=True):
    """One offer of one's own."""

    offer_id: Id
    participant: Id | None = None


class OfferList(OwnPage, frozen=True, kw_only=True):
    """One's own offers, newest first; status open or ended."""

    status: Word | None = None


class ObligationList(OwnPage, frozen=True, kw_only=True):
    """Obligations one delivers or receives, newest first; status open or a settlement's."""

    status: Word | None = None
    side: Word | None = None  # buy | sell
    from_time: Time | None = None
    to_time: Time | None = None


class LeaseList(OwnPage, frozen=True, kw_only=True):
    """What a buyer holds or held: obligations of one purchase together, newest first."""

    status: Word | None = None  # open | ended


class ReadingTerms(Body, frozen=True, kw_only=True):
    """What a provider's meter says was delivered on an obligation; a higher number replaces a lower one."""

    obligation_id: Count
    number: Annotated[int, Meta(ge=1, lt=2**31)]
    delivered_cards: Decimal
    participant: Id | None = None


class ReadingAgreed(Body, frozen=True, kw_only=True):
    """The buyer agrees with a reading (RD1)."""

    obligation_id: Count
    number: Annotated[int, Meta(ge=1, lt=2**31)]
    participant: Id | None = None


class ReadingDisputed(Body, frozen=True, kw_only=True):
    """The buyer says that less was delivered (RD1)."""

    obligation_id: Count
    delivered_cards: Decimal
    participant: Id | None = None


class OutageNotice(Body, frozen=True, kw_only=True):
    """A provider says ahead that a site will not deliver."""

    site: Id
    start: Time
    end: Time
    participant: Id | None = None


# --- money ---


class OwnMoney(Body, frozen=True, kw_only=True):
    """Purses of one participant."""

    participant: Id | None = None


class MoneyMove(Body, frozen=True, kw_only=True):
    """Money in or out; needs an Idempotency-Key."""

    participant: Id
    amount: Decimal
    reference: Text = ""


class BondTerms(Body, frozen=True, kw_only=True):
    """Free cash that becomes standing security (HM6); needs an Idempotency-Key."""

    amount: Decimal
    participant: Id | None = None


class StatementOf(Body, frozen=True, kw_only=True):
    """The statement of one day."""

    day: Date
    participant: Id | None = None


# --- the operator ---


class VenueTerms(Body, frozen=True, kw_only=True):
    """The settings of the venue, once; what is left out keeps its default (docs/settings.md)."""

    name: Id
    time_zone: Text = "Asia/Shanghai"
    period_min: Count = 60
    gate_min: Count = 5
    horizon_periods: Count = 168
    lots_per_card: Count = 10
    tick: Decimal = "0.01"
    release_min: Annotated[int, Meta(ge=-1, lt=2**31)] = 60
    dispute_min: Count = 60
    entry_margin_ppm: Count = 50_000
    alpha_ppm: Count = 300_000
    lambda_ppm: Count = 100_000
    lambda_announced_ppm: Count = 20_000
    max_waiting_per_firm: Count = 200
    max_waiting_per_chip: Count = 4096
    max_task_lots: Count = 1_000_000
    idempotency_retention_s: Count = 604_800


class ChipTerms(Body, frozen=True, kw_only=True):
    """One chip class."""

    code: Code
    family: Word
    fp16_gflops: Count
    memory_gb: Count
    watts: Count
    note: Annotated[str, Meta(max_length=400)] = ""


class RegionTerms(Body, frozen=True, kw_only=True):
    """One region; kind cluster, edge or access; name in the language of the place."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    kind: Word
    hub: Text = ""
    longitude_mdeg: Annotated[int, Meta(ge=-180_000, le=180_000)] = 0
    latitude_mdeg: Annotated[int, Meta(ge=-90_000, le=90_000)] = 0


class ReachTerms(Body, frozen=True, kw_only=True):
    """Round-trip time from an access region to a host region in one class, microseconds."""

    access_region: Code
    host_region: Code
    latency_class: Code
    rtt_us: Count


class LinkTerms(Body, frozen=True, kw_only=True):
    """Moving data between two regions: yuan per GB, Mbit/s."""

    from_region: Code
    to_region: Code
    price_per_gb: Decimal
    mbit_per_s: Count


class CatalogueTerms(Body, frozen=True, kw_only=True):
    """The whole catalogue."""

    chips: Annotated[tuple[ChipTerms, ...], Meta(max_length=10_000)]
    regions: Annotated[tuple[RegionTerms, ...], Meta(max_length=10_000)]
    reach: Annotated[tuple[ReachTerms, ...], Meta(max_length=200_000)]
    links: Annotated[tuple[LinkTerms, ...], Meta(max_length=200_000)]


class ShareTerms(Body, frozen=True, kw_only=True):
    """One row of the benefit-share table (CA3)."""

    base: Word
    recipient: Text
    ppm: Count


class TariffTerms(Body, frozen=True, kw_only=True):
    """A version of fees and shares."""

    version: Count
    effective: Time
    fee_standard_ppm: Count
    fee_economy_ppm: Count
    fee_emergency_ppm: Count
    shares: Annotated[tuple[ShareTerms, ...], Meta(max_length=1000)] = ()


class FamilyTerms(Body, frozen=True, kw_only=True):
    """Opens chip, region, class and power for trading."""

    chip: Code
    region: Code
    latency_class: Code
    power: Word


class ParticipantTerms(Body, frozen=True, kw_only=True):
    """A new participant; several may belong to one firm."""

    participant: Id
    firm: Id
    alpha_ppm: Count = 0


class SiteTerms(Body, frozen=True, kw_only=True):
    """A data centre of a provider."""

    site: Id
    participant: Id
    region: Code


class CapacityTerms(Body, frozen=True, kw_only=True):
    """The operator's word that a site has so many cards of a chip over a window."""

    site: Id
    chip: Code
    cards: Decimal
    start: Time
    end: Time


class SiteList(OwnPage, frozen=True, kw_only=True):
    """Sites of one participant, or with an operator's key of all."""


class ClockMove(Body, frozen=True, kw_only=True):
    """Log time moves to `to`; only where the clock is manual."""

    to: Time


class FixTerms(Body, frozen=True, kw_only=True):
    """The fix of an instrument (DI4)."""

    instrument: Instrument
    price: Decimal
    grade: Word
    inputs_hash: Text


class Settlement(Body, frozen=True, kw_only=True):
    """Settles the delivery period that starts then."""

    period_start: Time


class KeyTerms(Body, frozen=True, kw_only=True):
    """A new key; without a participant it is the operator's."""

    scopes: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=4)]
    participant: Id | None = None
    label: Text = ""
    expires: Time | None = None


class KeyName(Body, frozen=True, kw_only=True):
    """One key."""

    key_id: Id


class ReportTerms(Body, frozen=True, kw_only=True):
    """All report files of the market so far, written in the background."""


class ReportName(Body, frozen=True, kw_only=True):
    """One report run."""

    report_id: Id


class ReportFile(Body, frozen=True, kw_only=True):
    """One file of a report run."""

    report_id: Id
    file: Id
