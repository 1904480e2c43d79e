"""What power costs, by region and period, and the offers whose price follows it (market.md 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain.commands import SetPowerPrices
from exchange.domain.events import Acknowledged, OfferSkipped
from exchange.domain.offers import MAX_POWER_PRICE_MICRO
from exchange.domain.placing import change_open, forget_if_over, place_planned, plan_of
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Offer

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_PRICES = 1024  # of one command


def set_prices(v: Venue, command: SetPowerPrices) -> None:
    """SetPowerPrices: kept, and every offer of the region that follows power is re-priced where that changes its price."""
    v.require_settings()
    v.known_region(command.region)
    first, prices = _first_period(v, command.start_ns), command.prices_micro_per_kwh
    if not 0 < len(prices) <= MAX_PRICES:
        raise Refusal(VenueReason.INVALID_WINDOW, f"1 to {MAX_PRICES} prices can be set at once", "set the rest by another one")
    if any(abs(price) > MAX_POWER_PRICE_MICRO for price in prices):
        raise Refusal(VenueReason.INVALID_PRICE, "a power price lies between -1000 and 1000 yuan per kWh")
    ahead = max(0, v.periods.first_open(v.state.now_ns) - first)  # what has passed its gate is not kept
    known = v.state.power_prices.setdefault(command.region, {})
    known.update({first + place: price for place, price in enumerate(prices) if place >= ahead})
    if not known:
        del v.state.power_prices[command.region]
    v.emit(Acknowledged("SetPowerPrices", command.region))
    for number in sorted(v.state.offers):
        offer = v.state.offers.get(number)
        if offer and offer.follows_power and v.state.families[offer.family - 1].region == command.region:
            _reprice(v, offer, range(first + ahead, first + len(prices)))


def _first_period(v: Venue, start_ns: int) -> int:
    if not 0 <= start_ns <= v.last_time_ns() or start_ns % v.periods.period_ns or v.periods.at(start_ns) < 0:
        raise Refusal(
            VenueReason.INVALID_WINDOW, "power prices begin with a period",
            f"start on a multiple of {v.settings.period_min} minutes",
        )  # fmt: skip
    return v.periods.at(start_ns)


def _reprice(v: Venue, offer: Offer, periods: range) -> None:
    """RT8: only periods whose price changes lose their place; those that had none yet are placed."""
    plan, wanted = plan_of(offer), {}
    for period, ask in sorted(offer.open.items()):
        ticks = plan.ticks(v, offer, period) if period in periods else ask.price_ticks
        if ticks != ask.price_ticks:
            wanted[period] = (ask.lots, ticks)
    offer.is_kept = True
    change_open(v, offer, wanted)
    for period in sorted(offer.unpriced & set(periods)):
        offer.unpriced.discard(period)
        place_planned(v, offer, period, plan)
    offer.is_kept = False
    forget_if_over(v, offer)


def forget_past(v: Venue, before_ns: int) -> None:
    """Periods whose gate has come: their power prices, and the wait of offers for one, which is told."""
    first = v.periods.first_open(v.state.now_ns)
    if first == v.periods.first_open(before_ns):
        return
    for region, known in sorted(v.state.power_prices.items()):
        for period in [period for period in known if period < first]:
            del known[period]
        if not known:
            del v.state.power_prices[region]
    for number in sorted(v.state.offers):
        offer = v.state.offers[number]
        for period in sorted(period for period in offer.unpriced if period < first):
            offer.unpriced.discard(period)
            v.emit(OfferSkipped(offer.participant, offer.offer_id, v.periods.start(period), "NO_POWER_PRICE"))
        forget_if_over(v, offer)
