"""What the operator asks at the doors, and what belongs to the doors themselves: one struct per operation."""

from typing import Annotated

from msgspec import Meta

from exchange.protocol.fields import Code, Count, Decimal, Id, Instrument, Time, Word
from exchange.protocol.requests import Body, Date, OwnPage, Text


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
    green_needs_certificates: bool = False
    fix_min_lots: Count = 30
    fix_half_spread_ppm: Count = 10_000


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
    """Moving data between two regions: yuan per GB, Mbit/s, and the MB that may be promised per hour (RT7), 0 = no limit."""

    from_region: Code
    to_region: Code
    price_per_gb: Decimal
    mbit_per_s: Count
    mb_per_hour: Count = 0


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
    may_use_emergency: bool = False


class EmergencyRight(Body, frozen=True, kw_only=True):
    """Whether a participant may use the emergency lane (EM5)."""

    participant: Id
    is_allowed: bool


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
    """The fix of an instrument (DI4). inputs_hash: an operator's own words, told to all; 32 hex digits would claim a proof."""

    instrument: Instrument
    price: Decimal
    grade: Word
    inputs_hash: Text


class PowerPrices(Body, frozen=True, kw_only=True):
    """Power prices of a region, yuan per kWh, one per period from `start` on; offers that follow power get their new prices."""

    region: Code
    start: Time
    prices: Annotated[tuple[Decimal, ...], Meta(min_length=1, max_length=1_500)]


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


class HistoryOf(Body, frozen=True, kw_only=True):
    """A day of a feed channel, in the venue's time zone."""

    day: Date
    channel: Id


class ReportTerms(Body, frozen=True, kw_only=True):
    """All report files of the market so far, written in the background."""


class ReportName(Body, frozen=True, kw_only=True):
    """One report run."""

    report_id: Id


class ReportFile(Body, frozen=True, kw_only=True):
    """One file of a report run."""

    report_id: Id
    file: Id
