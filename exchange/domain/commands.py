"""Everything a participant, the operator or the clock can ask of the venue: one frozen dataclass each.

Text ids are ASCII of at most 36 characters. Quantities are lots, money and prices are micro-yuan (prices per card-hour),
times are ns since 1970 UTC, latencies microseconds, shares parts per million. An absent optional number is 0, an absent
text is "". `COMMAND_TYPES` gives each its number in the journal; a number is never reused.
"""

from dataclasses import dataclass

from exchange.domain.commands_delivery import DeclareFailure, GiveAccess, ProbeReading, ReturnResult, SetMeter
from exchange.domain.commands_green import IssueCertificates
from exchange.domain.commands_safety import CancelAfter
from exchange.domain.commands_settlement import AdjustTrade, BustTrade, BuyIn, OrderCurtailment


@dataclass(frozen=True, slots=True)
class AdvanceTime:
    """The clock: log time moves to now_ns; expiries, gates, listings and drains follow."""

    now_ns: int


@dataclass(frozen=True, slots=True)
class SetVenue:
    """All settings of the venue; allowed once, before anything is traded."""

    name: str
    time_zone: str = "Asia/Shanghai"
    period_min: int = 60
    gate_min: int = 5  # a period's books close this long before it starts
    horizon_periods: int = 168
    lots_per_card: int = 10
    tick_micro: int = 10_000
    release_min: int = 60  # MB4: a block offer's residue becomes plain asks this long before the gate; -1 = never
    dispute_min: int = 60  # RD1: the buyer's window after the period's end
    entry_margin_ppm: int = 50_000  # HM4
    alpha_ppm: int = 300_000  # HM5
    lambda_ppm: int = 100_000  # HM5, BB4
    lambda_announced_ppm: int = 20_000  # BB6: outage announced before the gate
    max_waiting_per_firm: int = 200  # RT8
    max_waiting_per_chip: int = 4096  # RT8
    max_task_lots: int = 1_000_000
    idempotency_retention_ns: int = 7 * 86_400 * 1_000_000_000
    green_needs_certificates: bool = False  # offers of green families pledge certificates
    fix_min_lots: int = 30  # DI4: lots, counted after the cap, that grades A and B need
    fix_half_spread_ppm: int = 10_000  # DI4: a fix by the ask is this much below it


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip class of the catalogue."""

    code: str
    family: str  # ai | general | super
    fp16_gflops: int  # dense FP16; 1 PFLOPS = 1,000,000
    memory_gb: int
    watts: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A place: a cluster of a hub, a municipal edge site, or a city that only uses (kind access)."""

    code: str
    name: str
    hub: str  # "" outside the eight hubs
    kind: str  # cluster | edge | access
    longitude_mdeg: int
    latitude_mdeg: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Round-trip time from an access region to a host region in one latency class."""

    access_region: str
    host_region: str
    latency_class: str
    rtt_us: int


@dataclass(frozen=True, slots=True)
class Link:
    """Moving data between two regions: price and speed."""

    from_region: str
    to_region: str
    price_micro_per_gb: int
    mbit_per_s: int
    mb_per_hour: int = 0  # RT7: so much of it may be promised to tasks; 0 = any


@dataclass(frozen=True, slots=True)
class LoadCatalogue:
    """The whole catalogue; a later one may add, never remove or change what is in use."""

    chips: tuple[Chip, ...]
    regions: tuple[Region, ...]
    reach: tuple[Reach, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """One row of the benefit-share table (CA3): who gets which part of what."""

    base: str  # compute | green (compute of green families, on top) | moving
    recipient: str  # a participant id; {host} stands for the host region, as in region:{host}
    ppm: int


@dataclass(frozen=True, slots=True)
class SetTariff:
    """A version of fees and benefit shares, valid from effective_ns on (CA3: published 24 h ahead but for the first)."""

    version: int
    effective_ns: int
    fee_standard_ppm: int
    fee_economy_ppm: int
    fee_emergency_ppm: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class ListFamily:
    """Opens a family (chip, region, latency class, power) for trading in every listed period."""

    chip: str
    region: str
    latency_class: str
    power: str


@dataclass(frozen=True, slots=True)
class AddParticipant:
    """A buyer, provider or recipient; several participants may belong to one firm."""

    participant: str
    firm: str
    alpha_ppm: int = 0  # HM5 by record; 0 = the venue's
    may_use_emergency: bool = False  # EM5


@dataclass(frozen=True, slots=True)
class AllowEmergency:
    """The operator's word that a participant may buy in the emergency lane, or may not any more (EM5)."""

    participant: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Deposit:
    """Money comes in from outside."""

    participant: str
    amount_micro: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Money goes out; only free cash."""

    participant: str
    amount_micro: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class PostBond:
    """Free cash becomes the participant's standing security (HM6)."""

    participant: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class AddSite:
    """One data centre of one provider inside a region."""

    site: str
    participant: str
    region: str


@dataclass(frozen=True, slots=True)
class AttestCapacity:
    """The operator's word that a site has so many lots of a chip over a window; a later word replaces an earlier one."""

    site: str
    chip: str
    lots: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class PlaceOffer:
    """A provider's offer over a window of whole periods (market.md 3).

    end_ns = 0: it stands until it is withdrawn, and period_prices_micro is one price per period of a UTC day, 0 = not
    offered then. watts_per_card > 0: its price follows power, and price_micro and period_prices_micro are absent.
    """

    participant: str
    offer_id: str
    site: str
    chip: str
    latency_class: str
    power: str
    lots: int
    start_ns: int
    end_ns: int
    price_micro: int
    period_prices_micro: tuple[int, ...] = ()  # one per period of the window; () = price_micro throughout
    min_lots: int = 1
    min_periods: int = 1
    indivisible_ok: bool = False  # BB1: takes tasks with checkpoint none
    notice_min: int = 0  # not sold later than this before a period's start
    standby: bool = False  # EM1: its asks stay for the emergency lane when their gate closes
    price_base_micro: int = 0  # price = base + watts x power price, rounded up to the tick
    watts_per_card: int = 0


@dataclass(frozen=True, slots=True)
class AmendOffer:
    """New price and lots for the unsold periods of an offer; only changed periods lose their stamp (RT8).

    Prices as in PlaceOffer: one, one per period of the offer's own window (or of a day), or base and watts.
    """

    participant: str
    offer_id: str
    lots: int
    price_micro: int = 0
    period_prices_micro: tuple[int, ...] = ()
    price_base_micro: int = 0
    watts_per_card: int = 0


@dataclass(frozen=True, slots=True)
class SetPowerPrices:
    """The power price of a region from a period on, micro-yuan per kWh each; offers that follow power are re-priced."""

    region: str
    start_ns: int
    prices_micro_per_kwh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WithdrawOffer:
    """Takes back what is unsold of an offer."""

    participant: str
    offer_id: str


@dataclass(frozen=True, slots=True)
class TaskChip:
    """An accepted chip; factor_ppm is its speed against the first chip, for choosing only (CA4)."""

    chip: str
    factor_ppm: int = 1_000_000


@dataclass(frozen=True, slots=True)
class TaskStep:
    """RT9: from a time on, what an economy task pays at most: per card-hour where it has a price cap, else in all."""

    at_ns: int  # 0 = from its entry
    limit_micro: int


@dataclass(frozen=True, slots=True)
class Task:
    """What a buyer wants done (market.md 4); also the body of a preview."""

    participant: str
    client_order_id: str
    access_region: str
    max_latency_us: int
    chips: tuple[TaskChip, ...]
    lots: int  # 0 = pflops_milli_hours is given
    periods: int
    earliest_start_ns: int
    deadline_ns: int
    price_cap_micro: int = 0  # per card-hour, delivered; 0 = budget_micro is given
    budget_micro: int = 0
    data_mb: int = 0
    data_region: str = ""
    lane: str = "standard"  # emergency | standard | economy
    shape: str = "block"  # block | split | spread | bulk
    allowed_regions: tuple[str, ...] = ()
    min_green_ppm: int = 0  # bulk: share of its lot-periods; other shapes: any above 0 means green only
    checkpoint: str = "hourly"  # hourly | none
    on_break: str = "continue"  # continue | abandon
    valid_until_ns: int = 0  # 0 = until the deadline
    min_fill: int = 0  # bulk: lot-periods that the first fill must reach
    min_run: int = 0  # split: least periods in a row; 0 = 1
    pflops_milli_hours: int = 0  # thousandths of a PFLOPS-hour over `chips`, () = every chip of family ai; needs a budget
    steps: tuple[TaskStep, ...] = ()  # economy; the first at 0, the last with the task's own limit
    is_immediate: bool = False  # now or never: it does not wait
    slowest_class: str = ""  # latency class; "" = any
    work: str = ""  # a command line for the provider's runner, told to the seller alone; "" = none


@dataclass(frozen=True, slots=True)
class SubmitTask:
    """Buys what the task describes: now if it can, else waits."""

    task: Task


@dataclass(frozen=True, slots=True)
class AmendTask:
    """New terms for the waiting task of the same client_order_id; it keeps its place where they only ask for less (RT8)."""

    task: Task


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Ends a waiting task and frees its hold."""

    participant: str
    client_order_id: str


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A plain order in one book (RT3); a sell names its site."""

    participant: str
    client_order_id: str
    instrument: str
    side: str  # buy | sell
    price_micro: int
    lots: int
    tif: str = "GTC"  # GTC | GTD | IOC | FOK
    expiry_ns: int = 0
    site: str = ""
    or_better: bool = False  # RT3: a one-period bulk task over this chip and region, this class or faster, this power or green


@dataclass(frozen=True, slots=True)
class AmendOrder:
    """New price and new total size of a live order (AM1-AM8)."""

    participant: str
    client_order_id: str
    price_micro: int
    lots: int


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Takes a live order out of its book."""

    participant: str
    client_order_id: str


@dataclass(frozen=True, slots=True)
class SubmitReading:
    """What a provider's meter says was delivered on an obligation; one per obligation, a higher number replaces a lower."""

    participant: str
    obligation_id: int
    number: int
    delivered_lots: int  # at a site with heartbeats: those that have run without a break so far
    signature: str = ""  # Ed25519, 128 hex digits, over `signed.reading_text` of the protocol; the doors verify it


@dataclass(frozen=True, slots=True)
class CountersignReading:
    """The buyer agrees with reading `number`: it stands, and nothing replaces or disputes it any more (RD1)."""

    participant: str
    obligation_id: int
    number: int


@dataclass(frozen=True, slots=True)
class DisputeReading:
    """The buyer says that less was delivered: of a disputed reading the lower figure counts (RD1)."""

    participant: str
    obligation_id: int
    delivered_lots: int


@dataclass(frozen=True, slots=True)
class AnnounceOutage:
    """A provider says ahead that a site will not deliver in a window."""

    participant: str
    site: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class SetFix:
    """The fix of one instrument enters the venue (DI4) with its grade and the hash of its inputs."""

    instrument: str
    price_micro: int
    grade: str  # A | B | C
    inputs_hash: str


@dataclass(frozen=True, slots=True)
class SettlePeriod:
    """Settles every obligation of one delivery period whose dispute window has ended."""

    period_start_ns: int


COMMAND_TYPES = {
    1: AdvanceTime, 2: SetVenue, 3: LoadCatalogue, 4: SetTariff, 5: ListFamily, 6: AddParticipant, 7: Deposit,
    8: Withdraw, 9: PostBond, 10: AddSite, 11: AttestCapacity, 12: PlaceOffer, 13: AmendOffer, 14: WithdrawOffer,
    15: SubmitTask, 16: CancelTask, 17: PlaceOrder, 18: AmendOrder, 19: CancelOrder, 20: SubmitReading,
    21: DisputeReading, 22: AnnounceOutage, 23: SetFix, 24: SettlePeriod, 25: CountersignReading, 26: AmendTask,
    27: AllowEmergency, 28: SetPowerPrices,
    33: SetMeter, 34: GiveAccess, 35: ReturnResult, 36: ProbeReading, 38: DeclareFailure,
    37: IssueCertificates, 29: BuyIn, 30: OrderCurtailment, 31: BustTrade, 32: AdjustTrade,
    39: CancelAfter,
}  # fmt: skip
