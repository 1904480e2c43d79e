"""Plain bids in one book (RT3): placed, amended, canceled. Sells come as offers.

No firm trades with itself (ST0): a bid that would meet an ask of its own firm ends there, an ask takes such a bid out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.better import task_of
from exchange.domain.books import absorb, ensure_book
from exchange.domain.commands import AmendOrder, CancelOrder, PlaceOrder
from exchange.domain.events import OrderChanged
from exchange.domain.instrument import book_id, split_book
from exchange.domain.offers import price_to_ticks
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Bid
from exchange.domain.task_terms import check_task
from exchange.domain.tasks import drain_beside, enter, take_back
from matching_core.enums import Kind, Op, Side, StpMode, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO, MAX_QTY_LOTS

# As plain numbers: this is done for every order, and a member of an enum costs a search each time it is named.
_TIFS = {name: int(TimeInForce[name]) for name in ("GTC", "GTD", "IOC", "FOK")}
_BUY, _CANCEL_NEWEST = int(Side.BUY), int(StpMode.CANCEL_NEWEST)

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def place(v: Venue, command: PlaceOrder) -> None:
    """PlaceOrder: a buy meets the book after every older waiting task that could use it (RT5)."""
    v.require_tradable()
    buyer = v.participant(command.participant)
    v.text(command.client_order_id, "client_order_id")
    if command.side != "buy":
        hint = "a sell names its site and window: use an offer of one period" if command.side == "sell" else ""
        raise Refusal(VenueReason.INVALID_SHAPE, f"side {command.side[:10]!r}: plain orders are buys", hint)
    family, period = v.open_instrument(command.instrument)
    ticks = price_to_ticks(v, command.price_micro)
    if command.or_better:
        place_better(v, command)
        return
    notional = ticks * command.lots * v.value_micro
    if not 0 < command.lots <= MAX_QTY_LOTS or notional > MAX_MONEY_MICRO // 4:
        raise Refusal(VenueReason.INVALID_QTY, f"{command.lots} lots is not positive, or too large")
    if command.tif not in _TIFS:
        raise Refusal(VenueReason.INVALID_SHAPE, f"time in force {command.tif[:10]!r} is none of GTC, GTD, IOC, FOK")
    if (command.tif == "GTD") != (command.expiry_ns != 0) or not (
        command.expiry_ns == 0 or v.state.now_ns < command.expiry_ns and v.is_time(command.expiry_ns)
    ):
        raise Refusal(VenueReason.INVALID_WINDOW, "GTD needs an expiry ahead, other orders none")
    _require_new_id(v, command)
    if v.core.n_orders >= v.core.max_orders:
        raise Refusal(VenueReason.VENUE_FULL, f"{v.core.n_orders} orders rest already", "try again when some have ended")
    hold = money.with_fee(v.tariff.fee_standard_ppm, notional)
    money.require_cash(v, command.participant, hold, "the hold of this bid (HM2)")
    reference = f"order:{command.client_order_id}"
    drain_beside(v, command.participant, hold, reference)
    _send(v, command, buyer, book_id(family, period), ticks, reference)


def _require_new_id(v: Venue, command: PlaceOrder) -> None:
    """An id stands for one live order: a plain bid, or one that takes better and waits as a task."""
    key = (command.participant, command.client_order_id)
    number = v.task_numbers.get(key)
    if key in v.bid_ids or (number is not None and not v.state.tasks[number].task.access_region):
        raise Refusal(VenueReason.DUPLICATE_ID, f"order {command.client_order_id} is live already")


def place_better(v: Venue, command: PlaceOrder) -> None:
    """RT3: a buy that takes better too, anywhere in its region, enters as a bulk task of one period."""
    if command.tif not in ("GTC", "IOC") or command.expiry_ns:
        raise Refusal(VenueReason.INVALID_SHAPE, "an order that takes better is GTC or IOC", "or submit a bulk task")
    _require_new_id(v, command)
    task = task_of(command, v.periods)
    check_task(v, task, is_order=True)
    enter(v, task)


def _send(v: Venue, command: PlaceOrder, buyer, book: int, ticks: int, reference: str) -> None:
    family, period = split_book(book)
    if book not in v.listed_books:
        ensure_book(v, family, period)
    order_id, who = v.take_order_id(), command.participant
    events = v.core_do(
        Op.NEW, side=_BUY, tif=_TIFS[command.tif], book=book, account=buyer.account, order_id=order_id,
        price=ticks, qty=command.lots, expiry_ns=command.expiry_ns, stp=_CANCEL_NEWEST,
    )  # fmt: skip
    accepted = events[0]
    assert accepted.kind == Kind.ACCEPTED, accepted
    v.add_bid(Bid(order_id, who, command.client_order_id, family, period, v.tariff.version))
    money.booked(v, (who, money.CASH), (who, money.HELD), accepted.contra_leaves, "hold", reference)
    v.emit(OrderChanged(
        "accepted", who, command.client_order_id, command.instrument, command.price_micro, command.lots, "",
    ))  # fmt: skip
    if len(events) > 1:
        absorb(v, events[1:])


def _live_bid(v: Venue, participant: str, client_order_id: str) -> Bid:
    order_id = v.bid_ids.get((participant, client_order_id))
    if order_id is None:
        raise Refusal(VenueReason.UNKNOWN_ORDER, f"{participant[:36]} has no live order {client_order_id[:36]!r}")
    return v.state.bids[order_id]


def amend(v: Venue, command: AmendOrder) -> None:
    """AmendOrder: AM1-AM8 of the core; refused whole where the new hold is not covered."""
    bid = _live_bid(v, command.participant, command.client_order_id)
    ticks = price_to_ticks(v, command.price_micro)
    if not 0 < command.lots <= MAX_QTY_LOTS or ticks * command.lots * v.value_micro > MAX_MONEY_MICRO // 4:
        raise Refusal(VenueReason.INVALID_QTY, f"{command.lots} lots is not positive, or too large")
    before = v.core.order(bid.order_id)
    buyer = v.state.participants[command.participant]
    filled = before.qty - before.leaves
    notional = ticks * max(0, command.lots - filled) * v.value_micro
    fee_ppm = v.tariff_version(bid.tariff).fee_standard_ppm  # the core keeps the fee of the bid's entry
    need = money.with_fee(fee_ppm, notional)  # never less than what the core will ask
    money.require_cash(v, command.participant, need - before.hold_micro, "the hold of the amended bid (HM2)")
    drain_beside(v, command.participant, need - before.hold_micro, f"order:{command.client_order_id}")
    events = v.core_do(
        Op.AMEND, account=buyer.account, order_id=bid.order_id, price=ticks, qty=command.lots,
    )  # fmt: skip
    _report_amend(v, bid, before, events)


def _report_amend(v: Venue, bid: Bid, before, events) -> None:
    first = events[0]
    assert first.kind in (Kind.REPLACED, Kind.CANCELED), first
    if first.kind == Kind.REPLACED:
        who, reference = bid.participant, f"order:{bid.client_order_id}"
        more = first.contra_leaves - before.hold_micro
        if more > 0:
            money.booked(v, (who, money.CASH), (who, money.HELD), more, "hold", reference)
        else:
            money.booked(v, (who, money.HELD), (who, money.CASH), -more, "hold_free", reference)
        instrument = v.instrument_code(bid.family, bid.period)
        v.emit(OrderChanged(
            "replaced", who, bid.client_order_id, instrument, first.price * v.settings.tick_micro, first.leaves, "",
        ))  # fmt: skip
        events = events[1:]
    absorb(v, events)


def cancel(v: Venue, command: CancelOrder) -> None:
    """CancelOrder: the rest leaves the book and its hold is freed; also of an order that takes better."""
    key = (command.participant, command.client_order_id)
    if key not in v.bid_ids and key in v.task_numbers and not v.state.tasks[v.task_numbers[key]].task.access_region:
        take_back(v, v.state.tasks[v.task_numbers[key]])
        return
    bid = _live_bid(v, command.participant, command.client_order_id)
    account = v.state.participants[command.participant].account
    absorb(v, v.core_do(Op.CANCEL, account=account, order_id=bid.order_id))
