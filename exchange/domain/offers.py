"""Offers as providers send them: checked, entered, amended, withdrawn. What they put into the core is `placing`'s work.

An offer has a window, or stands until it is withdrawn; it asks one price, one per period, or one that follows power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import green, money
from exchange.domain.commands import AmendOffer, PlaceOffer, WithdrawOffer
from exchange.domain.events import Acknowledged, OfferPlaced
from exchange.domain.placing import (
    Plan,
    change_open,
    close_block,
    forget_if_over,
    place_listed,
    place_planned,
    plan_of,
    power_ticks,
    take_out,
)
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import STANDING_END, Offer
from exchange.domain.units import format_micro, format_scaled
from matching_core.limits import MAX_MONEY_MICRO, MAX_PRICE_TICKS, MAX_SELLS_PER_BOOK, MAX_WALK_PERIODS

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_OFFERS_PER_SITE = 256
MAX_WATTS = 10**6
MAX_POWER_PRICE_MICRO = 10**9  # a kWh, either way: power prices may be negative
DAY_MIN = 24 * 60


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
    """(first period, end period) of a window of whole periods that has not passed; end_ns 0 = it has no end."""
    periods = v.periods
    whole = start_ns % periods.period_ns == 0 and end_ns % periods.period_ns == 0
    is_ordered = end_ns == 0 or end_ns > start_ns
    if not whole or not is_ordered or not v.is_time(start_ns) or not v.is_time(end_ns):
        raise Refusal(
            VenueReason.INVALID_WINDOW, "the window is empty, not of whole periods, or out of range",
            f"start and end on multiples of {v.settings.period_min} minutes",
        )  # fmt: skip
    first = max(0, periods.at(start_ns), periods.first_open(v.state.now_ns))
    end = periods.at(end_ns) if end_ns else STANDING_END
    if end <= first:
        raise Refusal(VenueReason.INVALID_WINDOW, "the gates of this window have closed", "offer a later window")
    if end_ns and end >= STANDING_END:
        message = "the window ends beyond the last period that has a number"
        raise Refusal(VenueReason.INVALID_WINDOW, message, "leave the end out: the offer stands until it is withdrawn")
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
    plan = _plan(v, command, end - v.periods.at(command.start_ns), is_standing=end == STANDING_END)
    offer = _offer(v, command, family.number, first, end, plan)
    _check_terms(v, offer)
    _check_prices(v, offer, plan, offer.lots)
    _check_beside(v, offer, offer.lots)
    _check_placeable(v, offer, range(first, min(end, v.state.listed_end)))
    offer.number = v.take_number()
    v.state.offers[offer.number] = offer
    v.index_offer(offer)
    v.emit(OfferPlaced(
        offer.participant, offer.offer_id, offer.site, family.chip, family.region, family.latency_class, family.power,
        offer.lots, 0 if offer.is_standing else end - first, offer.is_block,
    ))  # fmt: skip
    place_listed(v, offer)


def _offer(v: Venue, command: PlaceOffer, family: int, first: int, end: int, plan: Plan) -> Offer:
    return Offer(
        number=0, participant=command.participant, offer_id=command.offer_id, site=command.site, family=family,
        lots=command.lots, first_period=first, end_period=end, prices_ticks=plan.prices_ticks, min_lots=command.min_lots,
        min_periods=command.min_periods, indivisible_ok=command.indivisible_ok, notice_min=command.notice_min,
        next_period=first, start_period=v.periods.at(command.start_ns), standby=command.standby,
        price_base_micro=plan.base_micro, watts_per_card=plan.watts,
    )  # fmt: skip


def _plan(v: Venue, command: PlaceOffer | AmendOffer, periods: int, *, is_standing: bool) -> Plan:
    """What is asked: exactly one of a price, a price per period, or base and watts."""
    prices = command.period_prices_micro
    if command.watts_per_card or command.price_base_micro:
        return _power_plan(v, command)
    if not prices:
        return Plan((price_to_ticks(v, command.price_micro),))
    if is_standing:
        per_day = DAY_MIN // v.settings.period_min
        if len(prices) != per_day or not any(prices):
            raise Refusal(
                VenueReason.INVALID_PRICE, f"a standing offer has {per_day} prices a day, the first from 00:00 UTC on",
                "0 where nothing is offered, but not throughout",
            )  # fmt: skip
    elif len(prices) != periods:
        raise Refusal(VenueReason.INVALID_PRICE, "one price per period of the window is needed")
    return Plan(tuple(price_to_ticks(v, price) if price or not is_standing else 0 for price in prices))


def _power_plan(v: Venue, command: PlaceOffer | AmendOffer) -> Plan:
    if command.price_micro or command.period_prices_micro:
        raise Refusal(VenueReason.INVALID_PRICE, "a price that follows power has a base and watts, and nothing else")
    highest = MAX_PRICE_TICKS * v.settings.tick_micro
    if not 0 <= command.price_base_micro <= highest or not 0 < command.watts_per_card <= MAX_WATTS:
        raise Refusal(
            VenueReason.INVALID_PRICE,
            f"the base must be 0 to {format_micro(highest)} yuan, the watts of a card 1 to {MAX_WATTS}",
        )
    return Plan((), command.price_base_micro, command.watts_per_card)


def _cards(v: Venue, lots: int) -> str:
    return format_scaled(lots, v.settings.lots_per_card, 0)


def _check_terms(v: Venue, offer: Offer) -> None:
    most = v.settings.max_task_lots
    if not 0 < offer.lots <= most:
        least, most_cards = _cards(v, 1), _cards(v, most)
        message = f"{_cards(v, offer.lots)} cards are not between {least} and {most_cards}"
        raise Refusal(VenueReason.INVALID_QTY, message)
    if not 0 < offer.min_lots <= offer.lots:
        message = f"at least {_cards(v, offer.min_lots)} cards at once cannot be sold of {_cards(v, offer.lots)}"
        raise Refusal(VenueReason.INVALID_QTY, message, "a smaller minimum")
    longest = v.settings.horizon_periods if offer.is_standing else offer.end_period - offer.first_period
    if not 0 < offer.min_periods <= min(longest, MAX_WALK_PERIODS) or not 0 <= offer.notice_min <= 7 * DAY_MIN:
        raise Refusal(VenueReason.INVALID_WINDOW, "minimum periods or notice do not fit the window")
    if offer.standby and offer.notice_min:
        raise Refusal(VenueReason.INVALID_WINDOW, "a standby ask stays past its gate (EM1): it has no notice")


def _check_prices(v: Venue, offer: Offer, plan: Plan, lots: int) -> None:
    """What money can hold; EM4: a standby ask costs at most twice the last fix of grade A or B, if there is one."""
    highest = power_ticks(v, plan, MAX_POWER_PRICE_MICRO) if plan.watts else max(plan.prices_ticks)
    if highest * lots * v.value_micro > MAX_MONEY_MICRO // 4:
        raise Refusal(VenueReason.INVALID_QTY, "price times lots is more than money can hold")
    fix = v.state.last_firm_fix.get(offer.family)
    if offer.standby and fix and max(plan.prices_ticks, default=0) * v.settings.tick_micro > 2 * fix.price_micro:
        message = f"a standby ask costs at most twice the last fix of {format_micro(fix.price_micro)} (EM4)"
        raise Refusal(VenueReason.INVALID_PRICE, message, f"highest price: {format_micro(2 * fix.price_micro)}")


def _check_beside(v: Venue, offer: Offer, lots: int) -> None:
    """RT1 where nothing is listed yet: beside the site's other live offers, enough attested lots and at most 4 sells.

    A standing offer holds nothing in hours that are not listed: it is placed there if there is room by then.
    """
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    others = [other for other in v.offers_of_site(offer.site) if other.number != offer.number]
    if len(others) >= MAX_OFFERS_PER_SITE:
        raise Refusal(VenueReason.TOO_MANY_SELLS, f"{len(others)} offers of this site are live", "withdraw some")
    if offer.is_standing:
        return
    rivals = [o for o in others if v.state.families[o.family - 1].chip == chip and not o.is_standing]
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
            VenueReason.CAPACITY,
            f"{_cards(v, lots)} cards in {v.periods.code(period)}: only {_cards(v, free_lots)} attested cards are free (RT1)",
            "attest more capacity or offer less",
        )


def _check_placeable(v: Venue, offer: Offer, listed: range) -> None:
    """RT1 and HM4 for the listed periods in which it is offered, read-only."""
    plan = plan_of(offer)
    priced = {period: ticks for period in listed if (ticks := plan.ticks(v, offer, period)) > 0}
    margin = sum(money.entry_margin(v, offer.family, period, ticks, offer.lots) for period, ticks in priced.items())
    money.require_cash(v, offer.participant, margin, "entry margin (HM4)")
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    for period in priced:
        attested, open_lots, sold = v.capacity_of(site, chip, period)
        _require_capacity(v, attested - open_lots - sold, offer.lots, period)
        green.require(v, offer, period, offer.lots)
        if not offer.is_block and len(v.site_asks(offer.site, offer.family, period)) >= MAX_SELLS_PER_BOOK:
            raise Refusal(
                VenueReason.TOO_MANY_SELLS, f"{MAX_SELLS_PER_BOOK} asks of this site are live in {v.periods.code(period)}",
                "amend one of them instead",
            )  # fmt: skip


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
    offer.unpriced.clear()
    close_block(v, offer)
    for period in sorted(offer.open):
        take_out(v, offer, period, reason)
    forget_if_over(v, offer)


def amend(v: Venue, command: AmendOffer) -> None:
    """AmendOffer: unsold periods whose price or lots differ get the new ones and lose their place (RT8).

    Periods past their gate keep what they have.
    """
    offer = _live_offer(v, command.participant, command.offer_id)
    plan = _plan(v, command, offer.end_period - offer.start_period, is_standing=offer.is_standing)
    if bool(plan.watts) != offer.follows_power:
        raise Refusal(VenueReason.INVALID_PRICE, "a price that follows power stays so, and another one does not become it")
    if not offer.min_lots <= command.lots <= v.settings.max_task_lots:
        raise Refusal(VenueReason.INVALID_QTY, "lots must be positive and not below the minimum")
    _check_prices(v, offer, plan, command.lots)
    wanted = _changed_periods(v, offer, plan, command.lots)
    _check_amended(v, offer, command.lots, wanted)
    v.emit(Acknowledged("AmendOffer", command.offer_id))
    entered = _entered_periods(v, offer, plan)
    offer.lots, offer.prices_ticks = command.lots, plan.prices_ticks
    offer.price_base_micro, offer.watts_per_card = plan.base_micro, plan.watts
    _apply_amended(v, offer, wanted, entered)


def _changed_periods(v: Venue, offer: Offer, plan: Plan, lots: int) -> dict[int, tuple[int, int]]:
    """(lots, ticks) of the open periods that change; ticks 0 = not offered any more."""
    wanted = {}
    for period, ask in sorted(offer.open.items()):
        ticks = plan.ticks(v, offer, period)
        if v.periods.gate(period) > v.state.now_ns and (ask.lots, ask.price_ticks) != (lots, ticks):
            wanted[period] = (lots, ticks)
    return wanted


def _entered_periods(v: Venue, offer: Offer, plan: Plan) -> list[int]:
    """Listed periods that were not offered, and are under a new plan."""
    before = plan_of(offer)
    ahead = range(max(offer.first_period, v.periods.first_open(v.state.now_ns)), min(offer.next_period, offer.end_period))
    closed = [p for p in ahead if p not in offer.open and before.ticks(v, offer, p) == 0]
    return [period for period in closed if plan.ticks(v, offer, period) > 0]


def _apply_amended(v: Venue, offer: Offer, wanted: dict[int, tuple[int, int]], entered: list[int]) -> None:
    offer.is_kept = True
    for period in [period for period, (_, ticks) in wanted.items() if not ticks]:
        del wanted[period]
        take_out(v, offer, period, "paused")
    change_open(v, offer, wanted)
    for period in entered:
        place_planned(v, offer, period, plan_of(offer))
    offer.is_kept = False
    forget_if_over(v, offer)


def _check_amended(v: Venue, offer: Offer, lots: int, wanted: dict[int, tuple[int, int]]) -> None:
    site, chip = v.state.sites[offer.site], v.state.families[offer.family - 1].chip
    money.require_cash(v, offer.participant, money.more_margin(v, offer, wanted), "entry margin (HM4)")
    for period, (_, ticks) in wanted.items():
        attested, open_lots, sold = v.capacity_of(site, chip, period)
        if ticks:
            _require_capacity(v, attested - open_lots - sold + offer.open[period].lots, lots, period)
            green.require(v, offer, period, lots)
    _check_beside(v, offer, lots)
