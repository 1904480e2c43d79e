"""The nouns the venue keeps, and the one object that holds them all. Everything here is in the snapshot and the hash."""

from dataclasses import dataclass, field

from exchange.domain.catalogue import Catalogue
from exchange.domain.commands import SetTariff, SetVenue, Task
from exchange.domain.events import NOT_EXPLAINED, Explanation
from exchange.domain.instrument import Family

SYSTEM_ACCOUNTS = ("outside", "exchange", "network", "fund")  # core accounts 0-3


@dataclass(slots=True)
class Participant:
    """Somebody with money in the venue."""

    name: str
    account: int
    firm: int
    alpha_ppm: int  # 0 = the venue's
    is_stopped: bool = False  # HM5: margin short, no new sales


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

    def attested(self, chip: str, period: int) -> int:
        """Lots attested for a period; the latest word that covers it counts."""
        for item in reversed(self.attestations):
            if item.chip == chip and item.first_period <= period < item.end_period:
                return item.lots
        return 0


@dataclass(slots=True)
class Ask:
    """What is open of one period of an offer: a live ask in its book, or a block offer's residue (order_id 0)."""

    lots: int
    margin_micro: int  # entry margin locked for it (HM4)
    order_id: int = 0


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
    prices_ticks: tuple[int, ...]  # one, or one per period
    min_lots: int
    min_periods: int
    indivisible_ok: bool
    notice_min: int
    stamp: int
    next_period: int  # first period not placed yet
    open: dict[int, Ask] = field(default_factory=dict)

    @property
    def is_block(self) -> bool:
        """Whether it has a minimum and stays outside the books (MB1)."""
        return self.min_lots > 1 or self.min_periods > 1

    def price_ticks(self, period: int) -> int:
        """Ask price of one period."""
        return self.prices_ticks[0 if len(self.prices_ticks) == 1 else period - self.first_period]


@dataclass(slots=True)
class TaskEntry:
    """A task that waits, and what it has bought so far (bulk)."""

    number: int
    task: Task
    stamp: int
    entered_ns: int
    budget_micro: int
    fee_ppm: int
    held_micro: int  # what is still held for it
    dies_ns: int  # first moment at which it can no longer fill
    filled: int = 0  # lot-periods (bulk)
    spent_micro: int = 0  # compute and moving
    notional_micro: int = 0  # compute only: base of the fee
    fee_micro: int = 0
    moved: set[str] = field(default_factory=set)  # host regions that have the data already (bulk)
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
    reading: Reading = field(default_factory=Reading)


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
    dirty: dict[int, set[int]] = field(default_factory=dict)  # RT4: family -> periods with a new or better ask
    fixes: dict[int, Fix] = field(default_factory=dict)  # by book, kept until the period is settled
    last_fix: dict[int, Fix] = field(default_factory=dict)  # by family
    last_firm_fix: dict[int, Fix] = field(default_factory=dict)  # by family, grade A or B only
    listed_end: int = 0  # first period not listed yet
    settled_end: int = 0  # first period not settled yet
    next_order_id: int = 1
    next_number: int = 1  # offers, tasks, obligations
    next_stamp: int = 1
