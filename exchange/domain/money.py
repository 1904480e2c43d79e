"""Money moves and margins: every amount that changes hands goes through `move`, which is one TRANSFER in the core.

HM4: an open ask is secured by entry margin. HM5: what is sold is secured by
max(alpha x max(price, fix), fix - price) + lambda x price per card-hour, re-marked when a fix is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain.commands import SetVenue, Task
from exchange.domain.events import MarginShort, Moved
from exchange.domain.instrument import book_id
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Ask, Obligation, Offer
from exchange.domain.units import PPM, div_ceil, div_floor, format_micro
from matching_core.enums import Bucket, Kind, Op
from matching_core.records import COMMAND, RECORD_SIZE

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

BUCKET_NAMES = {bucket: bucket.name.lower() for bucket in Bucket}
CASH, HELD, ESCROW, MARGIN, BOND = Bucket
_KIND_AT, _TRANSFERRED = 8, bytes((Kind.TRANSFERRED,))  # in a record of an event


def balance(v: Venue, name: str, bucket: Bucket) -> int:
    """What a participant or system account has in one purse, micro-yuan."""
    return v.core.balance(v.account(name))[bucket]


def move(v: Venue, source: tuple[str, Bucket], target: tuple[str, Bucket], amount: int, kind: str, reference: str) -> None:
    """Moves an amount that the caller has made sure is there; nothing happens for 0, or from a purse to itself."""
    if amount == 0 or source == target:
        return
    (from_name, from_bucket), (to_name, to_bucket) = source, target
    events = v.core_do(
        Op.TRANSFER, account=v.account(from_name), book=v.account(to_name),
        side=from_bucket, order_type=to_bucket, qty=amount,
    )  # fmt: skip
    assert events[0].kind == Kind.TRANSFERRED, (source, target, amount, kind, events)
    booked(v, source, target, amount, kind, reference)


class Moves:
    """Moves of one command that the core makes together, in order, when `make` is called; their reports come at once."""

    def __init__(self, v: Venue) -> None:
        self._v = v
        self._records: list[bytes] = []

    def move(self, source: tuple[str, Bucket], target: tuple[str, Bucket], amount: int, kind: str, reference: str) -> None:
        """As `move`."""
        if amount == 0 or source == target:
            return
        numbers = self._v.account_numbers
        self._records.append(COMMAND.pack(
            Op.TRANSFER, source[1], target[1], 0, 0, 0, 0, numbers[target[0]], numbers[source[0]], 0, 0, amount, 0, 0, 0,
        ))  # fmt: skip
        booked(self._v, source, target, amount, kind, reference)

    def make(self) -> None:
        """The core does what was asked for since the last time."""
        if self._records:
            kinds = bytes(self._v.core_batch(b"".join(self._records)))[_KIND_AT::RECORD_SIZE]
            assert kinds == _TRANSFERRED * len(self._records), kinds
            self._records.clear()


def booked(v: Venue, source: tuple[str, Bucket], target: tuple[str, Bucket], amount: int, kind: str, reference: str) -> None:
    """Reports a move that the core has made itself (holds and posts of orders)."""
    if amount:
        names = BUCKET_NAMES
        v.events.append(Moved(source[0], names[source[1]], target[0], names[target[1]], amount, kind, reference))


def require_cash(v: Venue, name: str, amount: int, what: str) -> None:
    """Refusal unless the participant's free cash covers an amount."""
    cash = v.core.balance(v.account_numbers[name])[CASH]
    if cash < amount:
        short = format_micro(amount - cash)
        raise Refusal(
            VenueReason.INSUFFICIENT_FUNDS,
            f"{what} needs {format_micro(amount)} yuan, {format_micro(cash)} are free",
            f"deposit {short} yuan or free holds",
        )


def fee_micro(fee_ppm: int, amount: int, paid: int = 0) -> int:
    """HM2: the fee of an amount that follows `paid`: charged up to the rounded-up total, so the split does not matter."""
    return div_ceil((paid + amount) * fee_ppm, PPM) - div_ceil(paid * fee_ppm, PPM)


def with_fee(fee_ppm: int, amount: int) -> int:
    """What must be held so that an amount and its fee can be paid (HM1, HM2)."""
    return amount + div_ceil(amount * fee_ppm, PPM)


def task_budget(task: Task, settings: SetVenue) -> int:
    """HM1: the budget, or cap x cards x hours of the first chip; covers compute and moving data, not the fee."""
    if task.budget_micro:
        return task.budget_micro
    card_minutes = task.price_cap_micro * task.lots * task.periods * settings.period_min
    return div_floor(card_minutes, 60 * settings.lots_per_card)


def card_hours_micro(v: Venue, price_micro_ppm: int, lots: int) -> int:
    """price (micro-yuan x ppm per card-hour) x lots for one period, rounded up to micro-yuan."""
    settings = v.settings
    return div_ceil(price_micro_ppm * lots * settings.period_min, 60 * settings.lots_per_card * PPM)


def entry_margin(v: Venue, family: int, period: int, ticks: int, lots: int) -> int:
    """HM4: the share of the fix (of the ask's own price where there is none) that open lots of one period need."""
    base_micro = known_fix(v, family, book_id(family, period)) or ticks * v.settings.tick_micro
    return card_hours_micro(v, v.settings.entry_margin_ppm * base_micro, lots)


def sold_margin(v: Venue, due: Obligation, fix_micro: int) -> int:
    """HM5 for the sold lots of one obligation; of an hour that was bought in part (EM2), the part that was paid."""
    seller, settings = v.state.participants[due.seller], v.settings
    price_micro = due.price_ticks * settings.tick_micro
    alpha_ppm = seller.alpha_ppm or settings.alpha_ppm
    per_card_hour = max(alpha_ppm * max(price_micro, fix_micro), (fix_micro - price_micro) * PPM)
    micro_ppm = (per_card_hour + settings.lambda_ppm * price_micro) * due.lots * settings.period_min
    full_micro = due.price_ticks * due.lots * v.value_micro
    return div_ceil(micro_ppm * due.cost_micro, 60 * settings.lots_per_card * PPM * full_micro)


def known_fix(v: Venue, family: int, book: int) -> int:
    """Price of the book's fix, else of the family's last one, else 0."""
    fix = v.state.fixes.get(book) or v.state.last_fix.get(family)
    return fix.price_micro if fix else 0


def lock_entry_margin(v: Venue, offer: Offer, period: int, ask: Ask) -> bool:
    """Locks the entry margin of an ask; False (and nothing locked) where free cash does not cover it."""
    need = entry_margin(v, offer.family, period, ask.price_ticks, ask.lots)
    if balance(v, offer.participant, CASH) < need:
        return False
    who = offer.participant
    move(v, (who, CASH), (who, MARGIN), need, "margin_lock", f"offer:{offer.offer_id}")
    ask.margin_micro = need
    return True


def shrink_entry_margin(v: Venue, offer: Offer, period: int, ask: Ask) -> None:
    """Frees the entry margin that the ask's present lots do not need any more; open asks are not re-marked at a fix."""
    keep = min(ask.margin_micro, entry_margin(v, offer.family, period, ask.price_ticks, ask.lots))
    who = offer.participant
    move(v, (who, MARGIN), (who, CASH), ask.margin_micro - keep, "margin_free", f"offer:{offer.offer_id}")
    ask.margin_micro = keep


def more_margin(v: Venue, offer: Offer, wanted: dict[int, tuple[int, int]]) -> int:
    """What open periods need beyond their present margin when they get new (lots, ticks); negative where it is less."""
    need = sum(entry_margin(v, offer.family, period, ticks, lots) for period, (lots, ticks) in wanted.items() if ticks)
    return need - sum(offer.open[period].margin_micro for period in wanted)


def uncovered_changes(v: Venue, offer: Offer, wanted: dict[int, tuple[int, int]]) -> list[int]:
    """The latest of the periods that get new (lots, ticks): those that free cash, and what they free, do not cover."""
    covered, cash = dict(wanted), balance(v, offer.participant, CASH)
    while covered and more_margin(v, offer, covered) > cash:
        last = max(covered)
        cash += offer.open[last].margin_micro
        del covered[last]
    return sorted(wanted.keys() - covered.keys())


def secure_changes(v: Venue, offer: Offer, wanted: dict[int, tuple[int, int]]) -> None:
    """Brings the margins of open periods to what new (lots, ticks) need, in one move that free cash covers."""
    more, who = more_margin(v, offer, wanted), offer.participant
    source, target = ((who, CASH), (who, MARGIN)) if more > 0 else ((who, MARGIN), (who, CASH))
    move(v, source, target, abs(more), "margin_lock" if more > 0 else "margin_free", f"offer:{offer.offer_id}")
    for period, (lots, ticks) in wanted.items():
        offer.open[period].margin_micro = entry_margin(v, offer.family, period, ticks, lots)


def mark_obligation(v: Venue, obligation: Obligation, fix_micro: int) -> int:
    """Brings the margin of an obligation to what HM5 asks; what is missing is returned and stops the seller's new sales."""
    if obligation.number in v.repair_of:
        return 0  # a part of it is lent to a buy-in that waits
    seller = v.state.participants[obligation.seller]
    need = sold_margin(v, obligation, fix_micro) - obligation.margin_micro
    who, reference = obligation.seller, f"obligation:{obligation.number}"
    if need <= 0:
        move(v, (who, MARGIN), (who, CASH), -need, "margin_free", reference)
        obligation.margin_micro += need
        return 0
    locked = min(need, balance(v, who, CASH))
    move(v, (who, CASH), (who, MARGIN), locked, "margin_lock", reference)
    obligation.margin_micro += locked
    if locked < need and not seller.is_stopped:
        seller.is_stopped = True
        v.short.add(seller.name)
        v.emit(MarginShort(seller.name, need - locked))
        v.stopped.add(seller.name)  # his asks leave at the end of this command
    return need - locked


def top_up(v: Venue, name: str) -> None:
    """A stopped provider has cash again: it secures what he has sold, and when all is covered he may sell again."""
    seller = v.state.participants.get(name)
    if seller is None or not seller.is_stopped:
        return
    short = 0
    for obligation in v.obligations_of_seller(name):
        short += mark_obligation(v, obligation, known_fix(v, obligation.family, v.book_of(obligation)))
    seller.is_stopped = short > 0
    if not short:
        v.short.discard(name)


def top_up_all(v: Venue) -> None:
    """HM5: what has come back to stopped providers in a command, as pay, refund or freed hold, secures what they have sold."""
    for name in sorted(v.short):
        if balance(v, name, CASH) > 0:
            top_up(v, name)
