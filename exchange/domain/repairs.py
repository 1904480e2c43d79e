"""The money of a buy-in: lent to a task of the core, spent on covers, given back (BI2).

While a repair runs, a part of the buyer's escrow and of the failed seller's margin lies in the buyer's hold, where nothing
but the repair's task can reach it. A cover takes over what the buyer had paid for the lots that it covers; what it costs
more comes out of that margin, what it costs less is the buyer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exchange.domain import green, leases, money
from exchange.domain.events import Settled
from exchange.domain.events_settlement import BoughtIn, BuyInEnded
from exchange.domain.fills import Deal
from exchange.domain.state import Obligation, Repair
from exchange.domain.units import div_floor
from matching_core.enums import Kind
from matching_core.records import Event

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

WHOLE = 12  # twelfths of a period (EM2)
CASH, HELD, ESCROW, MARGIN, _ = money.CASH, money.HELD, money.ESCROW, money.MARGIN, money.BOND


@dataclass(slots=True)
class RepairFill:
    """One fill of a repair while its legs come in."""

    repair: Repair
    deal: Deal
    moving_micro: int
    cost_micro: int = 0
    fee_micro: int = 0
    covers: list[int] = field(default_factory=list)

    def add(self, v: Venue, posted: Event) -> None:
        """One leg; its obligation has just been made."""
        self.cost_micro += posted.qty
        self.fee_micro += posted.price
        self.covers.append(v.state.next_number - 1)


def reference_of(repair: Repair) -> str:
    """What moves of money of a repair refer to."""
    return f"buy_in:{repair.obligation}"


def twelfths_left(v: Venue, period: int) -> int:
    """EM2: whole twelfths left of a period; all of it before it starts."""
    left_ns = v.periods.start(period + 1) - v.state.now_ns
    return max(0, min(WHOLE, div_floor(left_ns * WHOLE, v.periods.period_ns)))


def paid_for(v: Venue, due: Obligation, lots: int, is_emergency: bool) -> tuple[int, int]:
    """(cost, fee) of what the buyer paid for lots of an obligation: for all of the hour, or for the twelfths still ahead."""
    if is_emergency:
        full_micro = due.price_ticks * due.lots * v.value_micro
        cost = min(due.cost_micro, div_floor(full_micro * twelfths_left(v, due.period), WHOLE))
    else:
        cost = div_floor(due.cost_micro * lots, due.lots)
    return cost, due.fee_micro if cost == due.cost_micro else div_floor(due.fee_micro * cost, due.cost_micro)


def lend(v: Venue, repair: Repair, due: Obligation) -> None:
    """The hold that the task of a repair will ask for comes to the buyer's cash, in the same command."""
    v.add_repair(repair)
    reference, buyer = f"obligation:{due.number}", due.buyer
    money.move(v, (buyer, ESCROW), (buyer, CASH), repair.escrow_micro, "buy_in", reference)
    money.move(v, (due.seller, MARGIN), (buyer, CASH), repair.margin_micro, "buy_in_margin", reference)


def begin(v: Venue, events: Sequence[Event], place: int) -> RepairFill:
    """The fill that begins with an event of the core."""
    done = next(event for event in events[place:] if event.kind == Kind.TASK_FILLED)
    until = events.index(done, place)
    moving = sum(event.qty for event in events[place:until] if event.kind == Kind.DATA_MOVED)
    repair = v.state.repairs[done.order_id]
    due = v.state.obligations[repair.obligation]
    deal = Deal(
        due.buyer, due.client_id, reference_of(repair), max(0, due.lease), due.checkpoint, due.on_break, due.last_period,
        moving, tariff=repair.tariff, lane=repair.lane, task=due.task, instead_of=due.number, is_cover=True,
    )  # fmt: skip
    return RepairFill(repair, deal, moving)


def finish(v: Venue, fill: RepairFill, event: Event) -> None:
    """What was bought covers lots of the obligation, whose money goes over to the covers."""
    repair, buyer = fill.repair, fill.deal.buyer
    due = v.state.obligations[repair.obligation]
    money.booked(v, (buyer, HELD), (buyer, CASH), event.contra_leaves, "hold_free", reference_of(repair))
    is_last, is_emergency = event.leaves == 0, repair.lane == "emergency"
    lots = repair.lots if is_last else event.qty
    twelfths = twelfths_left(v, due.period) if is_emergency else WHOLE
    cost, fee = paid_for(v, due, lots, is_emergency)
    _note_reference(v, due, fill.cost_micro, lots, twelfths)
    due.cost_micro -= cost
    due.fee_micro -= fee
    repair.spent_micro += fill.cost_micro + fill.fee_micro + fill.moving_micro
    repair.released_micro += cost + fee
    repair.covered_lots += lots
    repair.lots -= lots
    _split_moving(v, fill, due, lots, cost)
    is_all = due.cost_micro == 0
    if is_all:
        v.state.obligations[fill.covers[0]].moving_micro += due.moving_micro
        due.moving_micro = 0
    elif not is_emergency:
        _shrink(v, due, lots)
    v.emit(BoughtIn(
        due.number, tuple(fill.covers), buyer, due.seller, lots, twelfths, fill.cost_micro, fill.fee_micro, fill.moving_micro,
        cost + fee, fee,
    ))  # fmt: skip
    for number in fill.covers:
        leases.follow(v, v.state.obligations[number], due)
    if is_last:
        conclude(v, repair, "bought")


def _split_moving(v: Venue, fill: RepairFill, due: Obligation, lots: int, cost_micro: int) -> None:
    """BB4 for covers: lost lots of theirs are a part of them, whatever their chip, and of what moved the data for them.

    Called when the cost of what they cover has left the old obligation: of a running hour the rest of it keeps its part.
    """
    moving = div_floor(due.lease_moving_micro * lots, due.lease_lots)
    if fill.repair.lane == "emergency":
        moving = div_floor(moving * cost_micro, due.cost_micro + cost_micro)
        due.lease_moving_micro -= div_floor(due.lease_moving_micro * cost_micro, due.cost_micro + cost_micro)
    covers = [v.state.obligations[number] for number in fill.covers]
    for cover in covers:
        cover.lease_lots = sum(each.lots for each in covers)
        cover.lease_moving_micro = fill.moving_micro + moving


def _note_reference(v: Venue, due: Obligation, cost_micro: int, lots: int, twelfths: int) -> None:
    """BB6: what a card-hour of the cover cost is the reference of what stays uncovered; of several the dearest."""
    settings = v.settings
    per_card_hour = div_floor(cost_micro * WHOLE * 60 * settings.lots_per_card, lots * twelfths * settings.period_min)
    due.cover_ref_micro = max(due.cover_ref_micro, per_card_hour)


def _shrink(v: Venue, due: Obligation, lots: int) -> None:
    """Some lots of an hour that has not begun are covered: they are owed no more. The site's capacity stays locked."""
    green.release(v, due, div_floor(due.green_wh * lots, due.lots))
    due.lots -= lots


def end(v: Venue, event: Event, reason: str) -> None:
    """The task of a repair ends with something still to be bought."""
    repair = v.state.repairs[event.order_id]
    buyer = v.state.obligations[repair.obligation].buyer
    money.booked(v, (buyer, HELD), (buyer, CASH), event.contra_leaves, "hold_free", reference_of(repair))
    conclude(v, repair, reason)
    if reason == "gate":  # a fix that came while it waited could not re-mark it (HM5)
        due = v.state.obligations[repair.obligation]
        money.mark_obligation(v, due, money.known_fix(v, due.family, v.book_of(due)))


def conclude(v: Venue, repair: Repair, reason: str) -> None:
    """What was lent and not spent goes back; an obligation that is covered in full is closed."""
    due = v.state.obligations[repair.obligation]
    v.forget_repair(repair)
    used = max(0, repair.spent_micro - repair.released_micro)
    refund = max(0, repair.released_micro - repair.spent_micro)
    back_micro = repair.escrow_micro - repair.released_micro  # negative: of what was taken over, some still lies in escrow
    reference, cash, escrow = f"obligation:{due.number}", (due.buyer, CASH), (due.buyer, ESCROW)
    source, target = (cash, escrow) if back_micro > 0 else (escrow, cash)
    money.move(v, source, target, abs(back_micro), "buy_in", reference)
    money.move(v, cash, (due.seller, MARGIN), repair.margin_micro - used, "buy_in_back", reference)
    due.margin_micro -= used
    is_all = due.cost_micro == 0
    open_lots = 0 if is_all else due.lots
    v.emit(BuyInEnded(due.number, due.buyer, due.seller, repair.covered_lots, open_lots, used, refund, reason))
    if is_all:
        close(v, due, "covered")


def close(v: Venue, due: Obligation, status: str) -> None:
    """An obligation whose money has gone over to others: nothing is paid, lost or owed; its margin is free."""
    made_up = due.lots if status == "made_up" else 0
    green.settle(v, due, 0)
    seller = due.seller
    money.move(v, (seller, MARGIN), (seller, CASH), due.margin_micro, "margin_free", f"obligation:{due.number}")
    v.emit(Settled(
        due.number, v.periods.start(due.period), due.buyer, seller, v.instrument_code(due.family, due.period), due.lots,
        0, 0, status, 0, 0, 0, 0, 0, 0, made_up,
    ))  # fmt: skip
    v.forget_obligation(due)
    money.top_up(v, seller)
