"""The nouns the venue keeps, and the one object that holds them all. Everything here is in the snapshot and the hash."""

from dataclasses import dataclass, field

from exchange.domain.catalogue import Catalogue
from exchange.domain.commands import SetTariff, SetVenue, Task
from exchange.domain.events import NOT_EXPLAINED, Explanation
from exchange.domain.fix_memory import FixMemory
from exchange.domain.instrument import PERIOD_BITS, Family

SYSTEM_ACCOUNTS = ("outside", "exchange", "network", "fund")  # core accounts 0-3
STANDING_END = (1 << PERIOD_BITS) - 1  # end_period of offers that stand until they are withdrawn


@dataclass(slots=True)
class Participant:
    """Somebody with money in the venue."""

    name: str
    account: int
    firm: int
    alpha_ppm: int  # 0 = the venue's
    is_stopped: bool = False  # HM5: margin short, no new sales
    may_use_emergency: bool = False  # EM5


@dataclass(slots=True)
class Attestation:
    """So many lots of a chip from one period to another (exclusive)."""

    chip: str
    first_period: int
    end_period: int
    lots: int


@dataclass(slots=True)
class Outage:
    """A window in which a site will not deliver, as its provider announced it."""

    start_ns: int
    end_ns: int
    announced_ns: int
    next_number: int  # what was sold before has a smaller obligation number


@dataclass(slots=True)
class Site:
    """One data centre; `account` is its own core account, so that capacity (RT1) and asks are kept per site."""

    name: str
    participant: str
    region: str
    account: int
    attestations: list[Attestation] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    meter_key: str = ""  # Ed25519 public key in hex; "" = its readings are not signed
    heartbeat_s: int = 0  # of what is sold from now on; 0 = no heartbeats

    def attested(self, chip: str, period: int) -> int:
        """Lots attested for a period; the latest word that covers it counts."""
        for item in reversed(self.attestations):
            if item.chip == chip and item.first_period <= period < item.end_period:
                return item.lots
        return 0


@dataclass(slots=True)
class Certificates:
    """Green power of one holder in one region and period: issued = free + pledged + retired."""

    issued_wh: int = 0
    free_wh: int = 0
    pledged_wh: int = 0  # by open asks, and by what was sold and is not settled
    retired_wh: int = 0


@dataclass(slots=True)
class Ask:
    """What is open of one period of an offer: a live ask in its book, or a block offer's residue (order_id 0)."""

    lots: int
    margin_micro: int  # entry margin locked for it (HM4)
    price_ticks: int
    order_id: int = 0
    green_wh: int = 0  # certificates pledged for its open lots


@dataclass(slots=True)
class Offer:
    """A provider's offer and what is still open of it, period by period."""

    number: int
    participant: str
    offer_id: str
    site: str
    family: int
    lots: int
    first_period: int
    end_period: int
    prices_ticks: tuple[int, ...]  # one, one per period of its window, or of a day; 0 = not offered, () = follows power
    min_lots: int
    min_periods: int
    indivisible_ok: bool
    notice_min: int
    next_period: int  # first period not placed yet
    start_period: int = 0  # where its window began, its first_period is the first whose gate was ahead at its entry
    standby: bool = False  # EM1
    price_base_micro: int = 0
    watts_per_card: int = 0
    block_id: int = 0  # the core's number of its block offer; 0 = none there
    block_end: int = 0  # where the core's window ends (exclusive)
    open: dict[int, Ask] = field(default_factory=dict)
    unpriced: set[int] = field(default_factory=set)  # listed, but no power price is known yet
    is_kept: bool = False  # while a command changes it: it may be sold out and still have periods to place

    @property
    def is_block(self) -> bool:
        """Whether it has a minimum and stays outside the books (MB1)."""
        return self.min_lots > 1 or self.min_periods > 1

    @property
    def is_standing(self) -> bool:
        """Whether it goes on until it is withdrawn."""
        return self.end_period == STANDING_END

    @property
    def follows_power(self) -> bool:
        """Whether its price is made from the power price of each period."""
        return self.watts_per_card > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open or to come."""
        return not self.open and not self.unpriced and self.next_period >= self.end_period and not self.is_kept

    def price_ticks(self, period: int) -> int:
        """Ask price of one period: that of what is open, else as its plan says; 0 = not offered, or not known yet."""
        if period in self.open:
            return self.open[period].price_ticks
        if len(self.prices_ticks) < 2:
            return self.prices_ticks[0] if self.prices_ticks else 0
        place = period % len(self.prices_ticks) if self.is_standing else period - self.start_period
        return self.prices_ticks[place]


@dataclass(slots=True)
class TaskEntry:
    """A task that waits, in the participant's words; what it has bought and holds so far is the core's."""

    number: int  # the core's
    task: Task
    entered_ns: int
    tariff: int  # the version of its entry: the core keeps its fee, and its trades are stamped with it
    why: Explanation = NOT_EXPLAINED  # as told at entry


@dataclass(slots=True)
class Bid:
    """A plain bid that rests in a book."""

    order_id: int
    participant: str
    client_order_id: str
    family: int
    period: int
    tariff: int  # the version of its entry: the core keeps its fee, and its trades are stamped with it


@dataclass(slots=True)
class Reading:
    """The last reading of an obligation, and a dispute of it."""

    number: int = 0
    delivered_lots: int = 0
    is_countersigned: bool = False
    disputed_lots: int = -1  # the buyer's word; -1 = no dispute
    probe_lots: int = -1  # a network probe's word; -1 = none
    at_ns: int = 0  # when it was taken
    is_final: bool = True  # it speaks for the whole period: see `meters.is_final`


@dataclass(slots=True)
class Obligation:
    """What a provider owes a buyer in one period, made by one trade."""

    number: int
    lease: int  # task number, or minus the obligation's number for a plain order
    buyer: str
    seller: str
    site: str
    family: int
    period: int
    lots: int
    price_ticks: int
    cost_micro: int
    fee_micro: int
    moving_micro: int
    margin_micro: int
    tariff: int
    checkpoint: str
    on_break: str
    last_period: int  # make-up periods must end with this one
    fix_at_trade_micro: int
    lease_lots: int  # lot-periods of the whole lease
    lease_moving_micro: int
    ref_micro: int = 0  # BB6, fixed when its period was settled but the lease could not be decided yet; 0 = not yet
    instead_of: int = 0  # BB2: the obligation whose failed lots this one makes up; 0 = traded
    is_standby: bool = False  # EM5: sold by a standby ask in the emergency lane
    reading: Reading = field(default_factory=Reading)
    made_ns: int = 0  # when it was sold
    heartbeat_s: int = 0  # its site's meter when it was sold; 0 = none
    green_wh: int = 0  # certificates pledged for it
    task: int = 0  # the core's number of the task that bought it; 0 = a plain bid
    client_id: str = ""  # the buyer's own name for that task or bid
    is_bought_in: bool = False  # BI1: its one buy-in has been made
    is_cover: bool = False  # bought by a buy-in, for `instead_of`
    is_adjusted: bool = False  # its price was corrected, which is done once
    cover_ref_micro: int = 0  # BB6: what a card-hour of its cover cost, where some of it was covered; 0 = nothing was


@dataclass(slots=True)
class Repair:
    """A task of the core that buys what an obligation will not deliver, and the money lent to it meanwhile."""

    number: int  # the core's
    obligation: int
    lots: int  # of the obligation, still to be covered
    lane: str  # repair | emergency
    tariff: int
    escrow_micro: int  # lent out of the buyer's escrow
    margin_micro: int  # lent out of the seller's margin
    covered_lots: int = 0
    spent_micro: int = 0  # on covers so far, fee and moving included
    released_micro: int = 0  # what the buyer had paid for what they cover


@dataclass(slots=True)
class Curtailment:
    """A window in which an authority has ordered a site, or all sites of a region, to stop."""

    region: str
    site: str
    start_ns: int
    end_ns: int
    next_number: int  # what was sold before has a smaller obligation number


@dataclass(slots=True)
class LeaseNote:
    """What is known of a lease beside its obligations, while any of them is unsettled."""

    first: int  # its reference on the wire: the number of its first obligation
    data_region: str = ""
    data_mb: int = 0
    work: str = ""
    sellers: list[str] = field(default_factory=list)  # each once, as they were told
    accesses: dict[str, int] = field(default_factory=dict)  # seller -> how often he has given access
    results: dict[str, int] = field(default_factory=dict)  # seller -> how many results he has returned
    finished: set[str] = field(default_factory=set)  # sellers whose last result is there


@dataclass(slots=True)
class Fix:
    """price in micro-yuan per card-hour, grade A, B or C."""

    price_micro: int
    grade: str


@dataclass(slots=True)
class State:
    """All of the venue but the core's books and balances."""

    now_ns: int = 0
    settings: SetVenue | None = None
    catalogue: Catalogue = field(default_factory=Catalogue)
    tariffs: list[SetTariff] = field(default_factory=list)
    tariff_version: int = 0  # the one in force
    families: list[Family] = field(default_factory=list)  # number = place + 1
    accounts: list[str] = field(default_factory=lambda: list(SYSTEM_ACCOUNTS))  # core account -> name
    firms: list[str] = field(default_factory=lambda: [""])
    participants: dict[str, Participant] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    offers: dict[int, Offer] = field(default_factory=dict)
    tasks: dict[int, TaskEntry] = field(default_factory=dict)  # waiting ones
    bids: dict[int, Bid] = field(default_factory=dict)
    obligations: dict[int, Obligation] = field(default_factory=dict)  # not settled yet
    fixes: dict[int, Fix] = field(default_factory=dict)  # by book, kept until the period is settled
    last_fix: dict[int, Fix] = field(default_factory=dict)  # by family
    last_firm_fix: dict[int, Fix] = field(default_factory=dict)  # by family, grade A or B only
    power_prices: dict[str, dict[int, int]] = field(default_factory=dict)  # region -> period -> micro-yuan per kWh
    emergency_books: set[int] = field(default_factory=set)  # EM1: those that live on behind their gate
    failing: dict[int, str] = field(default_factory=dict)  # obligation -> outage | silent | declared: it will not be delivered
    leases: dict[int, LeaseNote] = field(default_factory=dict)  # by Obligation.lease; of tasks, and where access was given
    listed_end: int = 0  # first period not listed yet
    settled_end: int = 0  # first period not settled yet
    next_order_id: int = 1
    next_number: int = 1  # offers, obligations
    certificates: dict[tuple[str, str, int], Certificates] = field(default_factory=dict)  # (holder, region, period)
    certificate_ids: dict[str, int] = field(default_factory=dict)  # batch -> where its periods end
    fix_memory: FixMemory = field(default_factory=FixMemory)  # DI4: curve, indices of regions, corrected trades
    terms: dict[int, Task] = field(default_factory=dict)  # of filled tasks, while something they bought is not settled
    repairs: dict[int, Repair] = field(default_factory=dict)  # buy-ins that wait
    curtailments: list[Curtailment] = field(default_factory=list)  # that meet what is not settled, or is to come
    cancel_at_ns: dict[str, int] = field(default_factory=dict)  # participant -> end of his dead man's timer
