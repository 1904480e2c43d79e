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

MAX_STEPS = 17  # RT9: the limit at entry and at most 16 later ones
Levels = Annotated[int, Meta(ge=1, le=1000, description="price levels per side")]
Some = Annotated[tuple[Code, ...], Meta(max_length=MAX_LIST)]
PeriodPrices = Annotated[tuple[Decimal, ...], Meta(max_length=5_000)]  # 160 days of hours, as traces have them
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)", description="a day of the venue's time zone")]
Work = Annotated[str, Meta(max_length=4_000, description="a command line for the seller's runner, told to him alone")]
Signature = Annotated[
    str, Meta(pattern=r"^([0-9a-f]{128})?$(?!\n)", description="Ed25519, lower-case hex, by the site's meter, or nothing")
]
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


class DemandView(Body, frozen=True, kw_only=True):
    """What waiting tasks would buy (DI2, DI3), all of it or of a chip, of an access region."""

    chip: Code | None = None
    access_region: Code | None = None


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


class Candles(Paged, frozen=True, kw_only=True):
    """Candles, newest first, of exactly one of: an instrument, a family, a chip (in a region, or everywhere).

    interval: 1m, 5m, 15m, 1h, 4h or 1d. from_time, to_time: candles that begin from then on, and before then.
    """

    interval: Code
    instrument: Instrument | None = None
    family: Code | None = None
    chip: Code | None = None
    region: Code | None = None
    from_time: Time | None = None
    to_time: Time | None = None


class CurveOf(Body, frozen=True, kw_only=True):
    """The forward curve of a family."""

    family: Code


class Indices(Paged, frozen=True, kw_only=True):
    """The index of a chip (none: of all of family ai, per PFLOPS-hour) in a region (none: the country), newest first.

    Of one delivery period, or of those that begin from from_time on and before to_time.
    """

    chip: Code | None = None
    region: Code | None = None
    period_start: Time | None = None
    from_time: Time | None = None
    to_time: Time | None = None


# --- tasks and orders ---


class ChipChoice(Body, frozen=True, kw_only=True):
    """An accepted chip; factor is its speed against the first one, for choosing only (CA4)."""

    chip: Code
    factor: Decimal = "1"


class LimitStep(Body, frozen=True, kw_only=True):
    """The limit of an economy task from `at` on, in the first step from its entry on: a price_cap or a budget (RT9)."""

    limit: Decimal
    at: Time | None = None


class TaskTerms(Body, frozen=True, kw_only=True):
    """What a buyer wants done; exactly one of price_cap (yuan per card-hour, delivered) and budget (yuan).

    Either chips and cards, or pflops_hours with a budget: then any of the chips (none named: any chip of family ai) in the
    number that does so much within `hours`. min_run: hours of the shortest run (split). slowest_class: no slower latency class
    than this, whatever its round trip. is_immediate: it never waits. work: a command line for the seller's runner, told to him
    alone.
    """

    client_order_id: Id
    access_region: Code
    hours: Decimal
    deadline: Time
    chips: Annotated[tuple[ChipChoice, ...], Meta(max_length=MAX_LIST)] = ()
    cards: Decimal | None = None
    pflops_hours: Decimal | None = None
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
    min_run: Decimal | None = None
    steps: Annotated[tuple[LimitStep, ...], Meta(max_length=MAX_STEPS)] = ()
    is_immediate: bool = False
    slowest_class: Code | None = None
    work: Work = ""


class OwnTask(Body, frozen=True, kw_only=True):
    """One task of one's own."""

    client_order_id: Id
    participant: Id | None = None


class TaskList(OwnPage, frozen=True, kw_only=True):
    """One's own tasks, newest first; status waiting, filled, partly or unfilled."""

    status: Word | None = None


class OrderTerms(Body, frozen=True, kw_only=True):
    """A plain order in one book (RT3); sells come as offers. or_better: also from faster classes and green power, as a task."""

    client_order_id: Id
    instrument: Instrument
    price: Decimal
    cards: Decimal
    side: Word = "buy"
    tif: Word = "GTC"
    expiry: Time | None = None
    participant: Id | None = None
    or_better: bool = False


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
    """A provider's offer over whole periods: at one price, at one per period, or at one that follows power.

    Without `end` it stands until it is withdrawn, period after period as they are listed; period_prices are then those of
    one UTC day, "0" = not offered. price_base and watts_per_card: price = base + power of a card x the region's power price.
    standby: what is unsold at the gate stays for the emergency lane (EM1).
    """

    offer_id: Id
    site: Id
    chip: Code
    latency_class: Code
    cards: Decimal
    start: Time
    end: Time | None = None
    participant: Id | None = None
    power: Word = "grid"
    price: Decimal | None = None
    period_prices: PeriodPrices = ()
    min_cards: Decimal | None = None
    min_hours: Decimal | None = None
    indivisible_ok: bool = False
    notice_min: Annotated[int, Meta(ge=0, le=10_080)] = 0
    standby: bool = False
    price_base: Decimal | None = None
    watts_per_card: Count = 0


class OfferChange(Body, frozen=True, kw_only=True):
    """A new size and new prices for the unsold periods of an offer (RT8); the prices as in the offer itself."""

    offer_id: Id
    cards: Decimal
    price: Decimal | None = None
    participant: Id | None = None
    period_prices: Annotated[tuple[Decimal, ...], Meta(max_length=1_500)] = ()
    price_base: Decimal | None = None
    watts_per_card: Count = 0


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
    signature: Signature = ""


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
