"""What doors ask of the past, and the rows they get: shapes only, no code that reads anything.

Whole numbers throughout (micro-yuan, lots, ns since 1970 UTC); an absent name is "", an absent number 0. A history may be
a moment behind the market: who must see what he was just told waits for its seq first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exchange.domain.events import Traded
from exchange.ports_delivery import GreenUseRow, LeaseRow, ObligationRow, ReadingRow
from exchange.ports_prices import CandleRow, PrintRow, TapeRow, WeighedFixRow
from exchange.ports_statements import DueFacts

MAX_LIMIT = 1000
FOREVER_NS = 2**63 - 1
Cursor = tuple[int, int]  # (number of the row, its place under that number); every row has one


@dataclass(frozen=True, slots=True)
class Page:
    """Rows behind `after` and in front of `before`, oldest or newest first; ValueError for a limit beyond 1 to 1000."""

    after: Cursor | None = None
    before: Cursor | None = None
    limit: int = 100
    newest_first: bool = False

    def __post_init__(self) -> None:
        """Checks the limit."""
        if not 1 <= self.limit <= MAX_LIMIT:
            raise ValueError(f"limit {self.limit} is not between 1 and {MAX_LIMIT}")


FIRST_PAGE = Page()


@dataclass(frozen=True, slots=True)
class Window:
    """Times from from_ns on and before to_ns."""

    from_ns: int = 0
    to_ns: int = FOREVER_NS


ALWAYS = Window()


class HistoryUnavailable(Exception):
    """The database cannot be read now; the market is not concerned, and asking again later is right."""


class Row:
    """A row of which (seq, 0) is the cursor."""

    __slots__ = ()
    seq: int

    @property
    def cursor(self) -> Cursor:
        """Where a page goes on behind this row."""
        return self.seq, 0


class PlacedRow(Row):
    """A row of which (seq, place) is the cursor."""

    __slots__ = ()
    place: int

    @property
    def cursor(self) -> Cursor:
        """Where a page goes on behind this row."""
        return self.seq, self.place


@dataclass(frozen=True, slots=True)
class PublicTrade(PlacedRow):
    """A trade as everybody may see it; its id is (seq, place)."""

    seq: int
    place: int
    ts_ns: int
    instrument: str
    period_start_ns: int
    lots: int
    price_micro: int
    cost_micro: int  # less than price x lots where only twelfths of the period were left (EM2)
    is_block: bool


@dataclass(frozen=True, slots=True)
class FillRow(PlacedRow):
    """A trade as its parties see it; `task` is told to the buyer only, `offer_id` to the seller only."""

    seq: int
    place: int
    ts_ns: int
    obligation_id: int
    buyer: str
    seller: str
    site: str
    instrument: str
    period_start_ns: int
    lots: int
    price_micro: int
    cost_micro: int
    fee_micro: int
    task: str
    offer_id: str
    is_block: bool
    tariff_version: int


@dataclass(frozen=True, slots=True)
class OrderRow(Row):
    """A plain bid; status accepted, partly, filled, canceled, expired or refused. changed_seq = last change."""

    seq: int
    ts_ns: int
    participant: str
    client_order_id: str
    instrument: str
    tif: str
    expiry_ns: int
    status: str
    price_micro: int
    lots: int
    leaves_lots: int
    filled_lots: int
    cost_micro: int
    fee_micro: int
    reason: str
    message: str
    changed_seq: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class TaskRow(Row):
    """A task; status filled, partly or unfilled; ending complete, waiting, expired, canceled or refused.

    `body` is the task as JSON, `relaxations` a JSON list of {dimension, change, delivered_micro, instrument}.
    """

    seq: int
    entered_ns: int
    participant: str
    client_order_id: str
    lane: str
    shape: str
    body: str
    status: str
    ending: str
    reason: str
    binding: str
    relaxations: str
    is_of_entry: bool
    message: str
    budget_micro: int
    hold_micro: int
    lot_periods: int
    compute_micro: int
    moving_micro: int
    fee_micro: int
    waited_ns: int
    instrument: str
    changed_seq: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class OfferRow(Row):
    """An offer; status open or ended. `lots` are per period, sold and ended lots summed over the periods.

    `period_prices` is a JSON list of micro-yuan, empty where price_micro holds throughout.
    """

    seq: int
    ts_ns: int
    participant: str
    offer_id: str
    site: str
    chip: str
    region: str
    latency_class: str
    power: str
    lots: int
    periods: int
    start_ns: int
    end_ns: int
    price_micro: int
    period_prices: str
    min_lots: int
    min_periods: int
    indivisible_ok: bool
    notice_min: int
    is_block: bool
    status: str
    sold_lots: int
    ended_lots: int
    ended_seq: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class OfferHourRow:
    """One period of an offer in which something happened; reason says why it is over: sold, gate, withdrawn, …"""

    offer_seq: int
    period_start_ns: int
    open_lots: int
    sold_lots: int
    ended_lots: int
    is_over: bool
    reason: str


@dataclass(frozen=True, slots=True)
class FixRow(Row):
    """A fix as it was set."""

    seq: int
    ts_ns: int
    instrument: str
    price_micro: int
    grade: str
    inputs_hash: str


@dataclass(frozen=True, slots=True)
class TransferRow(PlacedRow):
    """One move of money between two purses."""

    seq: int
    place: int
    ts_ns: int
    from_account: str
    from_bucket: str
    to_account: str
    to_bucket: str
    amount_micro: int
    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class PursesRow:
    """What an account has, purse by purse."""

    cash: int = 0
    held: int = 0
    escrow: int = 0
    margin: int = 0
    bond: int = 0

    @property
    def total_micro(self) -> int:
        """All purses together."""
        return self.cash + self.held + self.escrow + self.margin + self.bond


@dataclass(frozen=True, slots=True)
class StatementLineRow(PlacedRow):
    """A move between two accounts as one of them sees it: amount_micro is above 0 for what came in.

    `reference` is `task X` to the buyer and `offer Y` to the seller where an obligation is paid, else the payer's words;
    `lots` are those paid for, on damages those lost. tariff_version leads to the shares that counted.
    """

    seq: int
    place: int
    ts_ns: int
    kind: str
    counterparty: str
    amount_micro: int
    obligation_id: int
    reference: str
    instrument: str
    lots: int
    price_micro: int
    tariff_version: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """An account over a window: what it had, its lines, what it has then. opening + lines = closing, in total."""

    account: str
    opening: PursesRow
    lines: tuple[StatementLineRow, ...]
    closing: PursesRow


@dataclass(frozen=True, slots=True)
class ParticipantRow(PlacedRow):
    """Who takes part; is_recipient = only ever got shares."""

    seq: int
    place: int
    ts_ns: int
    participant: str
    firm: str
    alpha_ppm: int
    is_recipient: bool


@dataclass(frozen=True, slots=True)
class AttestationRow:
    """The operator's word on a site's capacity; a later one replaces an earlier one where they overlap."""

    seq: int
    ts_ns: int
    chip: str
    lots: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class SiteRow(Row):
    """A data centre with everything attested for it."""

    seq: int
    ts_ns: int
    site: str
    participant: str
    region: str
    attestations: tuple[AttestationRow, ...]


class History(Protocol):
    """Questions about the past; each sees one moment, any thread may ask. HistoryUnavailable where none is answered.

    `participant` is whose eyes it is seen with, None the operator's: what is somebody else's answers like what is not
    there. An empty filter lets everything pass.
    """

    def trades(
        self, *, instrument: str = "", chip: str = "", region: str = "", window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[PublicTrade]:
        """The public tape."""

    def tape_of_open(self, ts_ns: int, period_from_ns: int) -> list[TapeRow]:
        """Every trade from a time on that delivers from period_from_ns on, in order: what the board needs at a start."""

    def candle_starts(
        self, interval_min: int, *, family: str = "", chip: str = "", region: str = "", window: Window = ALWAYS,
        limit: int = 100,
    ) -> list[int]:
        """The newest starts of stored candles within the window, newest first; what has none is not there."""

    def candles(
        self, interval_min: int, *, family: str = "", chip: str = "", region: str = "", window: Window = ALWAYS
    ) -> list[CandleRow]:
        """The stored candles that begin within the window, one per family and start, in order of their starts."""

    def trades_since(self, ts_ns: int) -> list[tuple[int, Traded]]:
        """Every trade from a time on with that time, in order: what the desk needs at a start."""

    def fills(
        self, participant: str | None, *, instrument: str = "", window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[FillRow]:
        """Trades in which the participant bought or sold."""

    def orders(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[OrderRow]:
        """Plain bids; status also `live`."""

    def order(self, participant: str, client_order_id: str) -> OrderRow | None:
        """The latest bid of that name that was not refused, else the latest refused one."""

    def tasks(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[TaskRow]:
        """Tasks; status is one of TaskRow's statuses or endings; `unfilled` leaves out what still waits."""

    def task(self, participant: str, client_order_id: str) -> TaskRow | None:
        """The latest task of that name that was not refused, else the latest refused one."""

    def offers(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[OfferRow]:
        """Offers."""

    def offer_hours(self, participant: str | None, offer_seq: int) -> list[OfferHourRow]:
        """The periods of one offer in which something happened, in order; [] for somebody else's."""

    def obligations(
        self, participant: str | None, *, role: str = "", status: str = "", window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[ObligationRow]:
        """Obligations as buyer, seller or (role "") both; the window is that of the period's start."""

    def green_use(self, participant: str | None, window: Window) -> list[GreenUseRow]:
        """Load and certificates of what a buyer, or everybody, was delivered in periods that start in a window."""

    def leases(
        self, participant: str | None, *, role: str = "buyer", status: str = "", window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[LeaseRow]:
        """What the participant holds as buyer, or hosts as seller; status open or ended, in time with the window."""

    def readings(self, participant: str | None, obligation_id: int) -> list[ReadingRow]:
        """Every word on one obligation, in order; [] for who is neither its buyer nor its seller."""

    def fixes(
        self,
        *,
        instrument: str = "",
        chip: str = "",
        region: str = "",
        latency_class: str = "",
        power: str = "",
        window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[FixRow]:
        """Fixes in order; the window is that of when they were set."""

    def prints(
        self, window: Window, *, chip: str = "", region: str = "", latency_class: str = "", power: str = ""
    ) -> list[PrintRow]:
        """Every trade within a short window, in no order; as it was corrected, and none that was busted."""

    def instrument_prints(
        self, instrument: str, window: Window, before: tuple[int, int] | None, limit: int
    ) -> list[PrintRow]:
        """The newest trades of an instrument so, newest first; before: (seq, place) of one that is known already."""

    def fixed_periods(
        self, chips: Sequence[str], region: str, *, first: str = "", before: str = "", limit: int = 100
    ) -> list[str]:
        """Codes of periods with a fix of any of these chips, from `first` on and before `before` ("" = no bound), newest
        first."""

    def weighed_fixes(self, chips: Sequence[str], region: str, periods: Sequence[str]) -> list[WeighedFixRow]:
        """The last fix of every instrument of these chips in a region ("" = everywhere) and these periods."""

    def transfers(
        self, participant: str | None, *, window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[TransferRow]:
        """Moves of money that touch the account."""

    def statement(self, participant: str, window: Window) -> StatementRow:
        """The account's statement; one that no money has touched has zeros and no lines."""

    def due_facts(self, numbers: set[int]) -> dict[int, DueFacts]:
        """Trade, last reading, power and last fix of obligations, by number; unknown ones are left out."""

    def next_move_ns(self, participant: str, from_ns: int) -> int | None:
        """When money of an account first moves from a time on, between its own purses too; None where it never does."""

    def balances(self, participant: str) -> PursesRow:
        """What the account has by the tables, purse by purse."""

    def answer(self, seq: int) -> list[Any] | None:
        """The events of a command that was answered, of a settlement only its sum; None for one that has nothing to tell."""

    def participants(self, *, page: Page = FIRST_PAGE) -> list[ParticipantRow]:
        """Everybody, in order of entry."""

    def sites(self, participant: str | None, *, page: Page = FIRST_PAGE) -> list[SiteRow]:
        """Data centres with their attested capacity."""
