"""The core's books as the venue uses them: opened when first needed, their events turned into the venue's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import fills, green, money, repairs
from exchange.domain.events import OfferEnded, OrderChanged, Traded
from exchange.domain.instrument import book_id, capacity_group, split_book
from exchange.domain.state import Obligation, Offer, Reading
from matching_core.enums import CancelReason, EventFlag, ExpireReason, Kind, Op
from matching_core.records import Event

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

_TAKE, _BLOCK, _TASK = int(EventFlag.TAKE), int(EventFlag.BLOCK), int(EventFlag.TASK)  # plain numbers: asked of every event
_NEVER_HERE = (Kind.REJECTED, Kind.DENIED, Kind.TRANSFERRED)  # refused by the venue before; money moves go through money.move


def ensure_book(v: Venue, family: int, period: int) -> int:
    """The book of a family and period, listed in the core when it is not yet (books exist sparsely)."""
    book = book_id(family, period)
    if book not in v.listed_books:
        chip = v.state.families[family - 1].chip
        events = v.core_do(
            Op.LIST_BOOK, book=book, price=v.value_micro,
            aux=capacity_group(v.state.catalogue.chip_numbers[chip], period), expiry_ns=v.periods.gate(period),
        )  # fmt: skip
        assert events[0].kind == Kind.BOOK_LISTED, events
        v.listed_books.add(book)
    return book


def ensure_capacity(v: Venue, site_name: str, chip: str, period: int) -> tuple[int, int, int]:
    """(attested, open, sold) lots of a site's chip in a period, told to the core when first asked; needs its book."""
    site = v.state.sites[site_name]
    group = capacity_group(v.state.catalogue.chip_numbers[chip], period)
    attested = site.attested(chip, period)
    if v.core.capacity(site.account, group)[0] != attested:
        v.core_do(Op.SET_CAPACITY, account=site.account, aux=group, qty=attested)
    return v.core.capacity(site.account, group)


def adjust_sold(v: Venue, obligation_or_offer, chip: str, period: int, lots: int) -> bool:
    """Counts lots of a site as sold (or, negative, as free again); False where the core's RT1 check says no."""
    site = v.state.sites[obligation_or_offer.site]
    group = capacity_group(v.state.catalogue.chip_numbers[chip], period)
    events = v.core_do(Op.ADJUST_SOLD, account=site.account, aux=group, qty=lots)
    return events[0].kind == Kind.SOLD_ADJUSTED


def absorb(v: Venue, events: list[Event]) -> None:
    """Turns what the core has reported into trades, ended asks, changed bids and what became of tasks."""
    fill = None
    for place, event in enumerate(events):
        kind = event.kind
        if kind == Kind.TRADE:
            if event.flags & _TAKE:
                fill = fill or _begin(v, events, place)
            _absorb_trade(v, event, events[place + 1], fill)
        elif kind == Kind.DATA_MOVED:
            fill = fill or _begin(v, events, place)
            fills.move_data(v, fill.deal, event)
        elif kind == Kind.TASK_FILLED:
            assert fill is not None, event
            _finish(v, fill, event)
            fill = None
        elif kind in (Kind.CANCELED, Kind.EXPIRED):
            _absorb_end(v, event)
        elif kind == Kind.BLOCK_CLOSED:
            _close_block(v, event.order_id)
        elif kind == Kind.TASK_WAITING:
            if event.order_id in v.state.tasks:  # of a repair `buy_in` tells it
                fills.wait(v, event)
        elif kind == Kind.TASK_STEPPED:
            fills.step(v, event)
        elif kind == Kind.BOOK_CLOSED:
            v.listed_books.discard(event.book)
        elif kind in _NEVER_HERE:
            raise AssertionError(event)


def _begin(v: Venue, events: list[Event], place: int) -> fills.Fill | repairs.RepairFill:
    is_repair = events[place].order_id in v.state.repairs
    return repairs.begin(v, events, place) if is_repair else fills.begin(v, events, place)


def _finish(v: Venue, fill: fills.Fill | repairs.RepairFill, event: Event) -> None:
    if isinstance(fill, repairs.RepairFill):
        repairs.finish(v, fill, event)
    else:
        fills.finish(v, fill, event)


def _absorb_trade(v: Venue, trade: Event, posted: Event, fill: fills.Fill | repairs.RepairFill | None) -> None:
    """One trade of the core: the ask shrinks, money has been posted, an obligation is made."""
    assert posted.kind == Kind.POSTED
    is_block = bool(trade.flags & _BLOCK)
    if is_block:
        offer_number, period = v.block_owner[trade.contra_id], split_book(trade.book)[1]
    else:
        offer_number, period = v.ask_owner[trade.order_id if trade.order_id in v.ask_owner else trade.contra_id]
    offer = v.state.offers[offer_number]
    ask = offer.open[period]
    ask.lots -= trade.qty
    money.shrink_entry_margin(v, offer, period, ask)
    green_wh = green.sell(v, offer, period, ask)
    if ask.lots == 0:
        end_ask(v, offer, period)
    deal = fill.deal if fill else v.deal_of_bid(posted.order_id)
    buyer, reference = deal.buyer, deal.reference
    money.booked(v, (buyer, money.HELD), (buyer, money.ESCROW), posted.qty, "trade", reference)
    money.booked(v, (buyer, money.HELD), (buyer, money.ESCROW), posted.price, "fee", reference)
    money.booked(v, (buyer, money.HELD), (buyer, money.CASH), posted.leaves, "hold_free", reference)
    make_obligation(v, deal, offer, period, trade.qty, trade.price, posted.qty, posted.price, is_block, green_wh)
    if isinstance(fill, repairs.RepairFill):
        fill.add(v, posted)
        return
    if fill:
        fill.add(offer.site, offer.family, period, is_block, trade, posted)
        return
    leaves = trade.contra_leaves if posted.order_id == trade.contra_id else trade.leaves
    if leaves == 0:
        v.drop_bid(posted.order_id)


def make_obligation(
    v: Venue, deal, offer: Offer, period: int, lots: int, price_ticks: int, cost: int, fee: int, is_block: bool = False,
    green_wh: int = 0,
) -> None:  # fmt: skip
    """Records what the seller owes now, secures it (HM5) and reports the trade; is_block = outside the books (MB1)."""
    state = v.state
    number = v.take_number()
    book = book_id(offer.family, period)
    fix_micro = money.known_fix(v, offer.family, book)
    moving = deal.take_moving()
    obligation = Obligation(
        number=number, lease=deal.lease or -number, buyer=deal.buyer, seller=offer.participant, site=offer.site,
        family=offer.family, period=period, lots=lots, price_ticks=price_ticks, cost_micro=cost, fee_micro=fee,
        moving_micro=moving, margin_micro=0, tariff=deal.tariff or v.tariff.version, checkpoint=deal.checkpoint,
        on_break=deal.on_break, last_period=deal.last_period or period, fix_at_trade_micro=fix_micro,
        lease_lots=deal.lease_lots or lots, lease_moving_micro=deal.lease_moving_micro if deal.lease_lots else moving,
        is_standby=offer.standby and deal.lane == "emergency", reading=Reading(),
        green_wh=green_wh, made_ns=state.now_ns, heartbeat_s=state.sites[offer.site].heartbeat_s,
        task=deal.task, client_id=deal.client_id, instead_of=deal.instead_of, is_cover=deal.is_cover,
    )  # fmt: skip
    state.obligations[number] = obligation
    v.index_obligation(obligation)
    money.mark_obligation(v, obligation, fix_micro)
    instrument = v.instrument_code(offer.family, period)
    v.emit(Traded(
        number, deal.buyer, offer.participant, offer.site, instrument, v.periods.start(period), lots,
        price_ticks * v.settings.tick_micro, cost, fee, deal.client_id, offer.offer_id, is_block, obligation.tariff,
    ))  # fmt: skip


def end_ask(v: Venue, offer: Offer, period: int) -> None:
    """Forgets one period of an offer; the offer itself when nothing is open or to come."""
    ask = offer.open.pop(period)
    if ask.order_id:
        v.ask_owner.pop(ask.order_id, None)
    if offer.is_over:
        v.forget_offer(offer)


def _close_block(v: Venue, block_id: int) -> None:
    """The core has forgotten a block offer; the offer itself may go on as plain asks."""
    number = v.block_owner.pop(block_id, 0)
    if number in v.state.offers:
        v.state.offers[number].block_id = 0


def _absorb_end(v: Venue, event: Event) -> None:
    if event.flags & _TASK and event.order_id in v.state.repairs:
        repairs.end(v, event, "gate" if event.kind == Kind.EXPIRED else "stopped")
    elif event.flags & _TASK:
        fills.end(v, event)
    elif event.flags & _BLOCK:
        close_ask(v, v.block_owner[event.order_id], split_book(event.book)[1], "gate")
    elif event.order_id in v.ask_owner:
        reason = "gate" if event.kind == Kind.EXPIRED and event.reason == ExpireReason.GATE else "withdrawn"
        if event.kind == Kind.EXPIRED and event.reason == ExpireReason.GTD:
            reason = "notice"
        offer_number, period = v.ask_owner[event.order_id]
        close_ask(v, offer_number, period, reason)
    elif event.order_id in v.state.bids:
        bid = v.state.bids[event.order_id]
        who = bid.participant
        reference = f"order:{bid.client_order_id}"
        money.booked(v, (who, money.HELD), (who, money.CASH), event.contra_leaves, "hold_free", reference)
        status = "expired" if event.kind == Kind.EXPIRED else "canceled"
        names = ExpireReason if event.kind == Kind.EXPIRED else CancelReason
        instrument = v.instrument_code(bid.family, bid.period)
        price_micro = event.price * v.settings.tick_micro
        reason = names(event.reason).name
        v.emit(OrderChanged(status, who, bid.client_order_id, instrument, price_micro, 0, reason))
        v.drop_bid(event.order_id)


def close_ask(v: Venue, offer_number: int, period: int, reason: str) -> None:
    """Ends what is open of one period of an offer: margin freed, reported, forgotten."""
    offer = v.state.offers[offer_number]
    ask = offer.open[period]
    lots, ask.lots = ask.lots, 0
    money.shrink_entry_margin(v, offer, period, ask)
    green.pledge(v, offer, period, ask)
    v.emit(OfferEnded(offer.participant, offer.offer_id, v.periods.start(period), lots, reason))
    end_ask(v, offer, period)
