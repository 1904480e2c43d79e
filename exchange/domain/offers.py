"""Offers: checked, placed as their periods are listed, amended, withdrawn; block offers (MB1-MB4).

A plain offer is one ask per period in the hour books. An offer with a minimum stays outside them (MB1) until its
release (MB4); its lots are counted as sold in the core meanwhile, so that RT1 holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.books import absorb, adjust_sold, close_ask, ensure_book, ensure_capacity
from exchange.domain.commands import AmendOffer, PlaceOffer, WithdrawOffer
from exchange.domain.events import Acknowledged, OfferPlaced, OfferSkipped
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Ask, Offer
from exchange.domain.units import NS_PER_MINUTE, format_micro
from matching_core.enums import Kind, Op, Side, TimeInForce
from matching_core.limits import MAX_PRICE_TICKS, MAX_SELLS_PER_BOOK

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_OFFERS_PER_SITE = 256


def price_to_ticks(v: Venue, price_micro: int) -> int:
    """Price in ticks; Refusal where it is not positive, too large or off the tick."""
    tick = v.settings.tick_micro
    if price_micro <= 0 or price_micro > MAX_PRICE_TICKS * tick:
        raise Refusal(VenueReason.INVALID_PRICE, f"price {format_micro(price_micro)} is not positive or too large")
    ticks, rest = divmod(price_micro, tick)
    if rest:
        below, above = format_micro(ticks * tick), format_micro((ticks + 1) * tick)
        raise Refusal(
            VenueReason.INVALID_PRICE, f"price {format_micro(price_micro)} is off the tick of {format_micro(tick)}",
            f"nearest prices: {below}, {above}",
        )  # fmt: skip
    return ticks


def window_periods(v: Venue, start_ns: int, end_ns: int) -> tuple[int, int]:
    """(first period, end period) of a window of whole periods that has not passed; Refusal otherwise."""
    periods = v.periods
    whole = start_ns % periods.period_ns == 0 and end_ns % periods.period_ns == 0
    if not whole or end_ns <= start_ns or not v.is_time(start_ns) or not v.is_time(end_ns):
        raise Refusal(
            VenueReason.INVALID_WINDOW, "the window is empty, not of whole periods, or out of range",
            f"start and end on multiples of {v.settings.period_min} minutes",
        )  # fmt: skip
    first, end = max(0, periods.at(start_ns), periods.first_open(v.state.now_ns)), periods.at(end_ns)
    if end <= first:
        raise Refusal(VenueReason.INVALID_WINDOW, "the gates of this window have closed", "offer a later window")
    return first, end


def place(v: Venue, command: PlaceOffer) -> None:
    """PlaceOffer: checks everything, then places what is listed already."""
    site = v.own_site(command.site, command.participant)
    seller = v.participant(command.participant)
    v.text(command.offer_id, "offer_id")
    v.require_tradable()
    if (command.participant, command.offer_id) in v.offer_numbers:
        raise Refusal(VenueReason.DUPLICATE_ID, f"offer {command.offer_id} is live already", "use another offer_id")
    if seller.is_stopped:
        raise Refusal(VenueReason.SALES_STOPPED, "margin is short (HM5)", "deposit money, then offer again")
    family = v.family(command.chip, site.region, command.latency_class, command.power)
    first, end = window_periods(v, command.start_ns, command.end_ns)
    prices = _prices(v, command, first)
    if not (0 < command.lots <= v.settings.max_task_lots and 0 < command.min_lots <= command.lots):
        raise Refusal(VenueReason.INVALID_QTY, "lots must be positive, the minimum no more than the lots")
    if not (0 < command.min_periods <= end - first) or not 0 <= command.notice_min <= 7 * 24 * 60:
        raise Refusal(VenueReason.INVALID_WINDOW, "minimum periods or notice do not fit the window")
    offer = Offer(
        number=0, participant=command.participant, offer_id=command.offer_id, site=command.site, family=family.number,
        lots=command.lots, first_period=first, end_period=end, prices_ticks=prices, min_lots=command.min_lots,
        min_periods=command.min_periods, indivisible_ok=command.indivisible_ok, notice_min=command.notice_min,
        stamp=0, next_period=first,
    )  # fmt: skip
    _check_mix(v, offer)
    _check_beside(v, offer, offer.lots)
    listed_end = min(end, v.state.listed_end)
    _check_placeable(v, offer, range(first, listed_end))
    offer.number, offer.stamp = v.take_number(), v.take_stamp()
    v.state.offers[offer.number] = offer
    v.index_offer(offer)
    v.emit(OfferPlaced(
        offer.participant, offer.offer_id, offer.site, family.chip, family.region, family.latency_class, family.power,
        offer.lots, end - first, offer.is_block,
    ))  # fmt: skip
    place_listed(v, offer)


def _prices(v: Venue, command: PlaceOffer, first: int) -> tuple[int, ...]:
    """Ticks of the whole price, or of each period from `first` on."""
    if not command.period_prices_micro:
        return (price_to_ticks(v, command.price_micro),)
    start = v.periods.at(command.start_ns)
    if len(command.period_prices_micro) != v.periods.at(command.end_ns) - start:
        raise Refusal(VenueReason.INVALID_PRICE, "one price per period of the window is needed")
    return tuple(price_to_ticks(v, price) for price in command.period_prices_micro[first - start :])


def _check_mix(v: Venue, offer: Offer) -> None:
    """BB1: a task may touch several asks of a site, released ones too (MB4), so its offers of a family share indivisible_ok."""
    for other in v.offers_of_site(offer.site):
        if other.family == offer.family and other.indivisible_ok != offer.indivisible_ok:
            raise Refusal(
                VenueReason.MIXED_INDIVISIBLE, f"offer {other.offer_id} of this site differs in indivisible_ok",
                "withdraw it first or use the same flag",
            )  # fmt: skip


def _check_beside(v: Venue, offer: Offer, lots: int) -> None:
    """RT1 where nothing is listed yet: beside the site's other live offers, enough attested lots and at most 4 sells."""
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    others = [other for other in v.offers_of_site(offer.site) if other.number != offer.number]
    if len(others) >= MAX_OFFERS_PER_SITE:
        raise Refusal(VenueReason.TOO_MANY_SELLS, f"{len(others)} offers of this site are live", "withdraw some")
    rivals = [other for other in others if v.state.families[other.family - 1].chip == chip]
    first = max(offer.next_period, v.state.listed_end)
    edges = {first, *(other.first_period for other in rivals)}
    edges |= {edge for item in site.attestations for edge in (item.first_period, item.end_period)}
    for period in sorted(edge for edge in edges if first <= edge < offer.end_period):
        there = [other for other in rivals if max(other.first_period, other.next_period) <= period < other.end_period]
        taken = sum(other.lots for other in there)
        _require_capacity(v, site.attested(chip, period) - taken, lots, period)
        if sum(other.family == offer.family for other in there) >= MAX_SELLS_PER_BOOK:
            raise Refusal(
                VenueReason.TOO_MANY_SELLS, f"{MAX_SELLS_PER_BOOK} offers of this site cover {v.periods.code(period)}",
                "amend one of them instead",
            )  # fmt: skip


def _require_capacity(v: Venue, free_lots: int, lots: int, period: int) -> None:
    if lots > free_lots:
        raise Refusal(
            VenueReason.CAPACITY, f"{lots} lots in {v.periods.code(period)}: only {free_lots} attested lots are free (RT1)",
            "attest more capacity or offer less",
        )  # fmt: skip


def _check_placeable(v: Venue, offer: Offer, listed: range) -> None:
    """RT1 and HM4 for the listed periods, read-only."""
    margin = sum(money.entry_margin(v, offer.family, period, offer.price_ticks(period), offer.lots) for period in listed)
    money.require_cash(v, offer.participant, margin, "entry margin (HM4)")
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    for period in listed:
        attested, open_lots, sold = v.capacity_of(site, chip, period)
        _require_capacity(v, attested - open_lots - sold, offer.lots, period)
        if not offer.is_block and len(v.site_asks(offer.site, offer.family, period)) >= MAX_SELLS_PER_BOOK:
            raise Refusal(
                VenueReason.TOO_MANY_SELLS, f"{MAX_SELLS_PER_BOOK} asks of this site are live in {v.periods.code(period)}",
                "amend one of them instead",
            )  # fmt: skip


def place_listed(v: Venue, offer: Offer) -> None:
    """Places an offer in every listed period it has not been placed in."""
    end = min(offer.end_period, v.state.listed_end)
    while offer.next_period < end:
        period = offer.next_period
        offer.next_period += 1
        if v.periods.gate(period) > v.state.now_ns:
            _place_period(v, offer, period, offer.lots)
    if not offer.open and offer.next_period >= offer.end_period:
        v.forget_offer(offer)


def _skip(v: Venue, offer: Offer, period: int, reason: str) -> None:
    v.emit(OfferSkipped(offer.participant, offer.offer_id, v.periods.start(period), reason))


def _place_period(v: Venue, offer: Offer, period: int, lots: int) -> None:
    """One period of an offer: margin, then the ask (which may trade with displayed bids, RT4) or the block's residue."""
    if v.state.participants[offer.participant].is_stopped:
        return _skip(v, offer, period, "SALES_STOPPED")
    ask = Ask(lots, 0)
    if not money.lock_entry_margin(v, offer, period, ask):
        return _skip(v, offer, period, "INSUFFICIENT_FUNDS")
    offer.open[period] = ask
    ensure_book(v, offer.family, period)
    chip = v.state.families[offer.family - 1].chip
    attested, open_lots, sold = ensure_capacity(v, offer.site, chip, period)
    if attested - open_lots - sold < lots:
        return _undo(v, offer, period, "CAPACITY")
    if offer.is_block and not _is_released(v, period):
        adjust_sold(v, offer, chip, period, lots)
        v.mark_dirty(offer.family, period)
        return None
    return _place_ask(v, offer, period)


def _undo(v: Venue, offer: Offer, period: int, reason: str) -> None:
    ask = offer.open.pop(period)
    ask.lots = 0
    money.shrink_entry_margin(v, offer, period, ask)
    v.mark_residue(offer)
    _skip(v, offer, period, reason)


def release_lead_ns(v: Venue) -> int:
    """MB4: how long before a period's start residues leave: into the books, or, where never released, at the gate."""
    return v.periods.gate_ns + max(0, v.settings.release_min) * NS_PER_MINUTE


def _is_released(v: Venue, period: int) -> bool:
    return v.settings.release_min >= 0 and v.periods.start(period) - release_lead_ns(v) <= v.state.now_ns


def _place_ask(v: Venue, offer: Offer, period: int) -> None:
    """Sends the open lots of one period into its book with a new stamp."""
    ask = offer.open[period]
    site = v.state.sites[offer.site]
    ask.order_id = v.take_order_id()
    v.ask_owner[ask.order_id] = (offer.number, period)
    expiry = v.periods.start(period) - offer.notice_min * NS_PER_MINUTE
    has_notice = expiry < v.periods.gate(period)
    if has_notice and expiry <= v.state.now_ns:
        v.ask_owner.pop(ask.order_id)
        return _undo(v, offer, period, "NOTICE")
    events = v.core_do(
        Op.NEW, side=Side.SELL, tif=TimeInForce.GTD if has_notice else TimeInForce.GTC, book=v.book(offer.family, period),
        account=site.account, order_id=ask.order_id, price=offer.price_ticks(period), qty=ask.lots,
        expiry_ns=expiry if has_notice else 0,
    )  # fmt: skip
    if events[0].kind != Kind.ACCEPTED:
        v.ask_owner.pop(ask.order_id)
        return _undo(v, offer, period, v.core_reason(events[0]))
    absorb(v, events)
    if period in offer.open:
        v.mark_dirty(offer.family, period)
    return None


def release_blocks(v: Venue, before_ns: int) -> None:
    """MB4: residues whose release came since before_ns become plain asks (or end at the gate), by offer and period."""
    lead_ns = release_lead_ns(v)
    due = range(v.periods.at(before_ns + lead_ns) + 1, v.periods.at(v.state.now_ns + lead_ns) + 1)
    for number in sorted(v.block_offers):
        offer = v.state.offers[number]
        for period in sorted(offer.open.keys() & due if len(due) > len(offer.open) else due):
            if period in offer.open and not offer.open[period].order_id:
                _release(v, offer, period)
        if not offer.open and offer.next_period >= offer.end_period:
            v.forget_offer(offer)


def _release(v: Venue, offer: Offer, period: int) -> None:
    v.mark_residue(offer)
    if v.periods.gate(period) <= v.state.now_ns:
        close_ask(v, offer.number, period, "gate")
        return
    if v.state.participants[offer.participant].is_stopped:
        return  # stopped in this very tick (HM5): it leaves with his other asks
    adjust_sold(v, offer, v.state.families[offer.family - 1].chip, period, -offer.open[period].lots)
    _place_ask(v, offer, period)


def _live_offer(v: Venue, participant: str, offer_id: str) -> Offer:
    number = v.offer_numbers.get((participant, offer_id))
    if number is None:
        raise Refusal(VenueReason.UNKNOWN_OFFER, f"{participant} has no live offer {offer_id[:36]!r}")
    return v.state.offers[number]


def withdraw(v: Venue, command: WithdrawOffer) -> None:
    """WithdrawOffer: everything unsold leaves the market."""
    withdraw_unsold(v, _live_offer(v, command.participant, command.offer_id), "withdrawn")
    v.emit(Acknowledged("WithdrawOffer", command.offer_id))


def withdraw_unsold(v: Venue, offer: Offer, reason: str) -> None:
    """Takes every open period of an offer out, and never places the rest."""
    offer.next_period = offer.end_period
    for period in sorted(offer.open):
        _take_out(v, offer, period, reason)
    if offer.number in v.state.offers and not offer.open:
        v.forget_offer(offer)


def _take_out(v: Venue, offer: Offer, period: int, reason: str) -> None:
    """One open period leaves the market: its ask is canceled, or its residue's capacity freed."""
    ask = offer.open[period]
    if ask.order_id:
        v.core_do(Op.CANCEL, account=v.state.sites[offer.site].account, order_id=ask.order_id)
    else:
        adjust_sold(v, offer, v.state.families[offer.family - 1].chip, period, -ask.lots)
    close_ask(v, offer.number, period, reason)


def amend(v: Venue, command: AmendOffer) -> None:
    """AmendOffer: unsold periods are taken out and placed anew where price or lots differ (they lose their stamp)."""
    offer = _live_offer(v, command.participant, command.offer_id)
    ticks = price_to_ticks(v, command.price_micro)
    if not offer.min_lots <= command.lots <= v.settings.max_task_lots:
        raise Refusal(VenueReason.INVALID_QTY, "lots must be positive and not below the minimum")
    changed = [p for p in sorted(offer.open) if (offer.open[p].lots, offer.price_ticks(p)) != (command.lots, ticks)]
    _check_amended(v, offer, command.lots, ticks, changed)
    v.emit(Acknowledged("AmendOffer", command.offer_id))
    pending, offer.next_period = offer.next_period, -1  # keeps the offer while all of it is out, or sold at once
    for period in changed:
        _take_out(v, offer, period, "amended")
    offer.lots, offer.prices_ticks = command.lots, (ticks,)
    for period in changed:
        _place_period(v, offer, period, command.lots)
    offer.next_period = pending
    if offer.number in v.state.offers and not offer.open and offer.next_period >= offer.end_period:
        v.forget_offer(offer)


def _check_amended(v: Venue, offer: Offer, lots: int, ticks: int, changed: list[int]) -> None:
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    need = sum(money.entry_margin(v, offer.family, period, ticks, lots) for period in changed)
    have = sum(offer.open[period].margin_micro for period in changed)
    money.require_cash(v, offer.participant, need - have, "entry margin (HM4)")
    for period in changed:
        attested, open_lots, sold = v.capacity_of(site, chip, period)
        _require_capacity(v, attested - open_lots - sold + offer.open[period].lots, lots, period)
    _check_beside(v, offer, lots)
