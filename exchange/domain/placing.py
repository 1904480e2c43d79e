"""Periods of offers in the core: placed as they are listed, changed, released, taken out (MB1-MB4, EM1, EM4).

A plain offer is one ask per period in the hour books. An offer with a minimum is a block offer there, outside the books,
with what is left of it in each period; the core counts both as open (RT1). At its release (MB4) a period's residue
becomes a plain ask.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from exchange.domain import green, money
from exchange.domain.books import absorb, close_ask, ensure_book, ensure_capacity
from exchange.domain.events import OfferSkipped
from exchange.domain.instrument import book_id, split_book
from exchange.domain.outages import is_announced, is_curtailed
from exchange.domain.state import Ask, Offer
from exchange.domain.units import NS_PER_MINUTE, div_ceil
from matching_core.enums import FixGrade, Kind, Op, OrderFlag, Side, StpMode, TimeInForce
from matching_core.limits import MAX_PRICE_TICKS, MAX_WALK_PERIODS

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

UNKNOWN_PRICE = -1  # follows power, and nobody has said yet what power costs then


class Plan(NamedTuple):
    """What an offer asks: one price, one per period, or one that follows power."""

    prices_ticks: tuple[int, ...]
    base_micro: int = 0
    watts: int = 0

    def ticks(self, v: Venue, offer: Offer, period: int) -> int:
        """The price of a period in ticks; 0 = not offered then, UNKNOWN_PRICE = its power price is missing."""
        if self.watts:
            return self._power_ticks(v, offer, period)
        if len(self.prices_ticks) == 1:
            return self.prices_ticks[0]
        place = period % len(self.prices_ticks) if offer.is_standing else period - offer.start_period
        return self.prices_ticks[place]

    def _power_ticks(self, v: Venue, offer: Offer, period: int) -> int:
        region = v.state.families[offer.family - 1].region
        price_micro = v.state.power_prices.get(region, {}).get(period)
        return UNKNOWN_PRICE if price_micro is None else power_ticks(v, self, price_micro)


def power_ticks(v: Venue, plan: Plan, price_micro: int) -> int:
    """base + watts x power price, rounded up to the tick; a negative power price makes it one tick at the least."""
    micro = plan.base_micro + div_ceil(plan.watts * price_micro, 1000)
    return min(max(1, div_ceil(micro, v.settings.tick_micro)), MAX_PRICE_TICKS)


def plan_of(offer: Offer) -> Plan:
    """What an offer asks at present."""
    return Plan(offer.prices_ticks, offer.price_base_micro, offer.watts_per_card)


# --- listing ---


def list_periods(v: Venue) -> None:
    """Places every offer in the periods that are listed now and were not before; standing offers take what room is left."""
    listed_end = v.periods.at(v.state.now_ns) + v.settings.horizon_periods + 1
    if listed_end > v.state.listed_end:
        v.state.listed_end = listed_end
        for number in sorted(v.unplaced_offers, key=lambda number: (v.state.offers[number].is_standing, number)):
            place_listed(v, v.state.offers[number])


def place_listed(v: Venue, offer: Offer) -> None:
    """Places an offer in every listed period it has not been placed in."""
    end, plan = min(offer.end_period, v.state.listed_end), plan_of(offer)
    while offer.next_period < end:
        period = offer.next_period
        offer.next_period += 1
        if v.periods.gate(period) > v.state.now_ns:
            place_planned(v, offer, period, plan)
        elif offer.standby and v.periods.start(period + 1) > v.state.now_ns and plan.ticks(v, offer, period):
            _skip(v, offer, period, "GATE")  # it runs, and cannot come into its book any more
    forget_if_over(v, offer)


def place_planned(v: Venue, offer: Offer, period: int, plan: Plan) -> None:
    """One period as its plan says: it may not be offered then, or wait for its power price."""
    ticks = plan.ticks(v, offer, period)
    if ticks == UNKNOWN_PRICE:
        offer.unpriced.add(period)
    elif ticks:
        place_period(v, offer, period, offer.lots, ticks)
    else:
        _pass_over(v, offer, period)


def forget_if_over(v: Venue, offer: Offer) -> None:
    """An offer of which nothing is open or to come ends, in the core too."""
    if offer.number in v.state.offers and offer.is_over:
        close_block(v, offer)
        v.forget_offer(offer)


def place_period(v: Venue, offer: Offer, period: int, lots: int, ticks: int) -> None:
    """One period of an offer: margin, then the ask (which may trade with displayed bids, RT4) or the block's residue."""
    if v.state.participants[offer.participant].is_stopped:
        return _skip(v, offer, period, "SALES_STOPPED")
    site = v.state.sites[offer.site]
    if v.state.curtailments and is_curtailed(v, site, period):
        return _skip(v, offer, period, "CURTAILED")
    if site.outages and v.is_repaired(period) and is_announced(v, site, period):
        return _skip(v, offer, period, "OUTAGE")
    if not green.covers(v, offer, period, lots):
        return _skip(v, offer, period, "CERTIFICATES")
    ask = Ask(lots, 0, ticks)
    if not money.lock_entry_margin(v, offer, period, ask):
        return _skip(v, offer, period, "INSUFFICIENT_FUNDS")
    green.pledge(v, offer, period, ask)
    offer.open[period] = ask
    ensure_book(v, offer.family, period)
    ensure_capacity(v, offer.site, v.state.families[offer.family - 1].chip, period)
    if not offer.is_block or is_released(v, period):
        _pass_over(v, offer, period)
        return place_ask(v, offer, period)
    event = set_residue(v, offer, period, lots, ticks)
    if event.kind != Kind.BLOCK_CHANGED:
        _undo(v, offer, period, v.core_reason(event))
    return None


def _skip(v: Venue, offer: Offer, period: int, reason: str) -> None:
    """A period that is not offered: the core's block, if there is one, is told that nothing comes there any more."""
    v.emit(OfferSkipped(offer.participant, offer.offer_id, v.periods.start(period), reason))
    _pass_over(v, offer, period)


def _pass_over(v: Venue, offer: Offer, period: int) -> None:
    if offer.block_id and v.periods.gate(period) > v.state.now_ns:
        ensure_book(v, offer.family, period)
        set_residue(v, offer, period, 0, 1)


def _undo(v: Venue, offer: Offer, period: int, reason: str) -> None:
    ask = offer.open.pop(period)
    ask.lots = 0
    money.shrink_entry_margin(v, offer, period, ask)
    green.pledge(v, offer, period, ask)
    _skip(v, offer, period, reason)


# --- asks ---


def place_ask(v: Venue, offer: Offer, period: int) -> None:
    """Sends the open lots of one period into its book with a new stamp."""
    ask = offer.open[period]
    expiry = v.periods.start(period) - offer.notice_min * NS_PER_MINUTE
    has_notice = expiry < v.periods.gate(period)
    if has_notice and expiry <= v.state.now_ns:
        return _undo(v, offer, period, "NOTICE")
    if offer.standby:
        _keep_past_gate(v, offer.family, period)
    ask.order_id = v.take_order_id()
    v.ask_owner[ask.order_id] = (offer.number, period)
    flags = (OrderFlag.INDIVISIBLE if offer.indivisible_ok else 0) | (OrderFlag.STANDBY if offer.standby else 0)
    events = v.core_do(
        Op.NEW, side=Side.SELL, tif=TimeInForce.GTD if has_notice else TimeInForce.GTC, flags=flags,
        book=book_id(offer.family, period), account=v.state.sites[offer.site].account, order_id=ask.order_id,
        price=ask.price_ticks, qty=ask.lots, expiry_ns=expiry if has_notice else 0, stp=StpMode.CANCEL_OLDEST,
    )  # fmt: skip
    if events[0].kind != Kind.ACCEPTED:
        v.ask_owner.pop(ask.order_id)
        return _undo(v, offer, period, v.core_reason(events[0]))
    absorb(v, events)
    return None


def _keep_past_gate(v: Venue, family: int, period: int) -> None:
    """EM1: the book lives on after its gate, to the end of its period; EM4: what its asks may cost then."""
    book = book_id(family, period)
    if book in v.state.emergency_books:
        return
    events = v.core_do(Op.SET_BOOK, book=book, expiry_ns=v.periods.start(period + 1))
    assert events[0].kind == Kind.BOOK_SET, events
    v.state.emergency_books.add(book)
    if family in v.state.last_firm_fix:
        _tell_fix(v, book)


def _tell_fix(v: Venue, book: int) -> None:
    fix = v.state.last_firm_fix[split_book(book)[0]]
    digest = blake2b(f"{fix.price_micro} {fix.grade}".encode(), digest_size=8).digest()
    events = v.core_do(
        Op.SET_FIX, book=book, price=fix.price_micro // v.settings.tick_micro, side=FixGrade[fix.grade],
        client_ref=int.from_bytes(digest, "little"),
    )  # fmt: skip
    assert events[0].kind == Kind.FIX_SET, events


def tell_family_fix(v: Venue, family: int) -> None:
    """EM4: a new fix of grade A or B holds for every emergency book of its family."""
    for book in sorted(v.state.emergency_books):
        if split_book(book)[0] == family:
            _tell_fix(v, book)


def forget_emergency_books(v: Venue) -> None:
    """Books that have closed."""
    v.state.emergency_books &= v.listed_books


# --- block offers in the core ---


def set_residue(v: Venue, offer: Offer, period: int, lots: int, ticks: int):
    """BLOCK_SET of one period, in a block that is opened or moved on when it must be; its first event."""
    if not _reaches(offer, period):
        _open_block(v, offer, period)
    site = v.state.sites[offer.site]
    events = v.core_do(
        Op.BLOCK_SET, account=site.account, order_id=offer.block_id, book=book_id(offer.family, period), price=ticks, qty=lots,
    )  # fmt: skip
    if events[-1].kind == Kind.BLOCK_CLOSED:
        _forget_block(v, offer)
    return events[0]


def _reaches(offer: Offer, period: int) -> bool:
    """Whether the block that is open holds a period, and one more to come where there is one (MB3)."""
    is_last = offer.next_period >= offer.end_period or offer.block_end == offer.end_period
    return bool(offer.block_id) and period + (0 if is_last else 1) < offer.block_end


def _open_block(v: Venue, offer: Offer, besides: int) -> None:
    """BLOCK_OPEN for what is ahead, at most as long as the core looks; residues move over from the one before."""
    close_block(v, offer)
    residues = [(period, ask) for period, ask in sorted(offer.open.items()) if not ask.order_id and period != besides]
    first = max(offer.first_period, v.periods.first_open(v.state.now_ns))
    end = offer.end_period
    if offer.next_period >= end:  # all is listed: what was skipped at its end is not to come
        end = 1 + max([besides, *(period for period, _ in residues), *offer.unpriced])
    offer.block_id = v.take_order_id()
    offer.block_end = min(end, first + MAX_WALK_PERIODS)
    account = v.state.sites[offer.site].account
    events = v.core_do(
        Op.BLOCK_OPEN, account=account, order_id=offer.block_id, book=book_id(offer.family, first), client_ref=offer.number,
        qty=offer.min_lots, aux=offer.min_periods, expiry_ns=offer.notice_min * NS_PER_MINUTE, price=offer.block_end,
        flags=OrderFlag.INDIVISIBLE if offer.indivisible_ok else 0,
    )  # fmt: skip
    assert events[0].kind == Kind.BLOCK_OPENED, events
    v.block_owner[offer.block_id] = offer.number
    for period, ask in residues:
        again = v.core_do(
            Op.BLOCK_SET, account=account, order_id=offer.block_id, book=book_id(offer.family, period),
            price=ask.price_ticks, qty=ask.lots,
        )  # fmt: skip
        assert again[0].kind == Kind.BLOCK_CHANGED, again


def close_block(v: Venue, offer: Offer) -> None:
    """BLOCK_CLOSE: whatever the core holds of a block offer is gone; the caller says what becomes of it."""
    if offer.block_id:
        events = v.core_do(Op.BLOCK_CLOSE, account=v.state.sites[offer.site].account, order_id=offer.block_id)
        assert events[-1].kind == Kind.BLOCK_CLOSED, events
        _forget_block(v, offer)


def _forget_block(v: Venue, offer: Offer) -> None:
    v.block_owner.pop(offer.block_id, None)
    offer.block_id = offer.block_end = 0


# --- release (MB4) ---


def is_released(v: Venue, period: int) -> bool:
    """Whether a period's release has come: so long before its gate, or never."""
    lead_ns = v.periods.gate_ns + v.settings.release_min * NS_PER_MINUTE
    return v.settings.release_min >= 0 and v.periods.start(period) - lead_ns <= v.state.now_ns


def release_blocks(v: Venue, before_ns: int) -> None:
    """MB4: residues whose release came since before_ns become plain asks, by offer and period."""
    if v.settings.release_min < 0:
        return
    lead_ns = v.periods.gate_ns + v.settings.release_min * NS_PER_MINUTE
    due = range(v.periods.at(before_ns + lead_ns) + 1, v.periods.at(v.state.now_ns + lead_ns) + 1)
    for number in sorted(v.block_offers):
        offer = v.state.offers[number]
        for period in sorted(offer.open.keys() & due if len(due) > len(offer.open) else due):
            if period in offer.open and not offer.open[period].order_id:
                _release(v, offer, period)
        forget_if_over(v, offer)


def _release(v: Venue, offer: Offer, period: int) -> None:
    if v.state.participants[offer.participant].is_stopped:
        return  # stopped in this very tick (HM5): it leaves with his other asks
    set_residue(v, offer, period, 0, offer.open[period].price_ticks)
    place_ask(v, offer, period)


# --- change, end ---


def change_open(v: Venue, offer: Offer, wanted: dict[int, tuple[int, int]]) -> None:
    """Open periods get new (lots, ticks) and lose their place; all margins first.

    A period that free cash does not secure leaves the market.
    """
    was_kept, offer.is_kept = offer.is_kept, True
    for period in money.uncovered_changes(v, offer, wanted):
        take_out(v, offer, period, "margin")
        del wanted[period]
    money.secure_changes(v, offer, wanted)
    for period, (lots, ticks) in sorted(wanted.items()):
        _change_period(v, offer, period, lots, ticks)
    offer.is_kept = was_kept
    forget_if_over(v, offer)


def _change_period(v: Venue, offer: Offer, period: int, lots: int, ticks: int) -> None:
    ask = offer.open[period]
    ask.lots, ask.price_ticks = lots, ticks
    green.pledge(v, offer, period, ask)
    if not ask.order_id:
        changed = set_residue(v, offer, period, lots, ticks)
        assert changed.kind == Kind.BLOCK_CHANGED, changed
        return
    account = v.state.sites[offer.site].account
    events = v.core_do(Op.REPLACE, account=account, order_id=ask.order_id, price=ticks, qty=lots)
    assert events[0].kind == Kind.REPLACED, events
    absorb(v, events[1:])


def take_out(v: Venue, offer: Offer, period: int, reason: str) -> None:
    """One open period leaves the market: its ask is canceled, or its residue taken back."""
    ask = offer.open[period]
    if ask.order_id:
        v.core_do(Op.CANCEL, account=v.state.sites[offer.site].account, order_id=ask.order_id)
    elif offer.block_id:
        set_residue(v, offer, period, 0, ask.price_ticks)
    close_ask(v, offer.number, period, reason)
