"""Everything the venue reports, past tense, one frozen dataclass each; units as in `commands`.

The identity of an event is (seq of its command, its place among that command's events); a trade's id is (seq of its
command, its place among that command's trades).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """A command changed nothing; code = stage x 100 + value."""

    command: str
    reference: str
    code: int
    reason: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same command with the same client id was answered before, at `original_seq`; code 0 = applied, else refused."""

    command: str
    reference: str
    original_seq: int
    code: int = 0


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A command without a report of its own was applied."""

    command: str
    reference: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Money went from one purse to another: the double entry everything else about money is derived from."""

    from_account: str
    from_bucket: str
    to_account: str
    to_bucket: str
    amount_micro: int
    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class OfferPlaced:
    """An offer was accepted; its asks enter the books as their periods are listed."""

    participant: str
    offer_id: str
    site: str
    chip: str
    region: str
    latency_class: str
    power: str
    lots: int
    periods: int
    is_block: bool


@dataclass(frozen=True, slots=True)
class OfferSkipped:
    """An offer could not be placed in a newly listed period."""

    participant: str
    offer_id: str
    period_start_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class OfferEnded:
    """Unsold lots of one period of an offer left the market (gate, withdrawn, notice, margin, paused by a new daily plan)."""

    participant: str
    offer_id: str
    period_start_ns: int
    lots: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """A plain bid was accepted, replaced, canceled or expired."""

    status: str
    participant: str
    client_order_id: str
    instrument: str
    price_micro: int
    leaves_lots: int
    reason: str


@dataclass(frozen=True, slots=True)
class Traded:
    """A public trade and the obligation it makes."""

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
    task: str  # client id of the buyer's task or order
    offer_id: str
    is_block: bool
    tariff_version: int


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The least change in one dimension that alone would fill a task, verified by trying it."""

    dimension: str  # cap | deadline | latency | chip | cards | region | power
    change: str  # the new value, for people
    delivered_micro: int  # cost of the fill it would give
    instrument: str  # first hour of that fill


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task is not filled: the binding constraint and per dimension the least relaxation found."""

    reason: str
    binding: str
    relaxations: tuple[Relaxation, ...]
    is_of_entry: bool = False  # the relaxations are those of the task's entry: its last chance had none to offer


NOT_EXPLAINED = Explanation("", "", ())


@dataclass(frozen=True, slots=True)
class TaskAccepted:
    """A task entered; its money is held (HM1)."""

    participant: str
    client_order_id: str
    budget_micro: int
    hold_micro: int


@dataclass(frozen=True, slots=True)
class TaskAmended:
    """A waiting task has new terms; what it holds follows them."""

    participant: str
    client_order_id: str
    budget_micro: int
    hold_micro: int
    keeps_place: bool  # RT8


@dataclass(frozen=True, slots=True)
class TaskStepped:
    """RT9: the limit of an economy task has risen to its next step."""

    participant: str
    client_order_id: str
    limit_micro: int  # in all


@dataclass(frozen=True, slots=True)
class FilledPart:
    """A part of what a task has bought: the same lots at one site in consecutive periods."""

    site: str
    instrument: str  # of the first period
    periods: int
    lots: int  # in each of them
    cost_micro: int
    is_block: bool


@dataclass(frozen=True, slots=True)
class TaskFilled:
    """A task (or a part of a bulk task) was bought; waited_ns since entry."""

    participant: str
    client_order_id: str
    site: str  # "" where it uses several
    instrument: str  # of the first period
    start_ns: int
    periods: int  # how many; 0 for bulk
    lots: int  # in each of them, over all sites; 0 for bulk
    lot_periods: int
    compute_micro: int
    moving_micro: int
    fee_micro: int
    waited_ns: int
    is_complete: bool
    parts: tuple[FilledPart, ...] = ()  # together all of this fill


@dataclass(frozen=True, slots=True)
class TaskWaiting:
    """A task did not fill at entry and waits."""

    participant: str
    client_order_id: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task ended without (full) fill: expired or canceled; its hold is free again."""

    participant: str
    client_order_id: str
    status: str  # expired | canceled
    filled_lot_periods: int
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class ReadingTaken:
    """A reading (or a dispute of it) was recorded."""

    obligation_id: int
    number: int
    delivered_lots: int
    is_countersigned: bool
    is_disputed: bool


@dataclass(frozen=True, slots=True)
class FixSet:
    """The fix of an instrument."""

    instrument: str
    price_micro: int
    grade: str
    inputs_hash: str


@dataclass(frozen=True, slots=True)
class MarginShort:
    """A provider's margin does not cover what HM5 asks: new sales stop until it does."""

    participant: str
    short_micro: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The result for one obligation; amounts are what moved because of it (see Moved for the entries)."""

    obligation_id: int
    period_start_ns: int
    buyer: str
    seller: str
    instrument: str
    lots: int
    delivered_lots: int
    lost_lots: int
    status: str  # delivered | short | void | made_up
    paid_micro: int  # to the provider, before shares
    fee_micro: int
    moving_micro: int
    refund_micro: int
    damages_micro: int
    damages_cut_micro: int  # owed but not covered by any layer (HM6)
    made_up_lots: int = 0  # BB2: of these lots, delivered in a later period instead; their money stays in escrow
    load_wh: int = 0  # what the delivered lots used, by the watts of their chip
    green_wh: int = 0  # certificates retired for it


@dataclass(frozen=True, slots=True)
class MadeUp:
    """BB2: lots that failed will be delivered by the same site at the same price in a later period instead."""

    obligation_id: int  # the new one
    instead_of: int
    buyer: str
    seller: str
    instrument: str
    period_start_ns: int
    lots: int


@dataclass(frozen=True, slots=True)
class PeriodSettled:
    """A settlement run ended."""

    period_start_ns: int
    obligations: int
    paid_micro: int
    refund_micro: int
    damages_micro: int
