"""One row of offers.csv as the command that its provider would have sent."""

from dataclasses import dataclass

from exchange.adapters.known_names import Known, account_of
from exchange.adapters.market_cells import (
    MAX_OFFER_NS,
    MAX_PRICE_MICRO,
    lots_of,
    period_start_of,
    price_of,
    run_of,
)
from exchange.adapters.rows import CellError, Cells, Columns
from exchange.domain.commands import PlaceOffer, SetVenue
from exchange.domain.instrument import LATENCY_CLASSES, POWERS
from exchange.domain.units import MICRO, NS_PER_DAY, NS_PER_MINUTE

MAX_NOTICE_MIN = 7 * 24 * 60
MAX_WATTS = 10**6
DAY_MIN = 24 * 60

OFFER_COLUMNS = Columns(
    required=(
        "offer_id", "submit_time", "account", "site", "chip", "region", "latency_class", "power", "cards",
        "start", "end", "price", "min_cards", "min_hours",
    ),
    optional=("standby", "indivisible_ok", "notice_min", "price_base", "kw_per_card", "hour_prices"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer as its provider sends it at submit_ns; the region belongs to its site."""

    submit_ns: int
    command: PlaceOffer
    region: str
    file: str
    line: int


def last_end_ns(offer: PlaceOffer) -> int:
    """Where an offer ends; a standing one is taken to last as long as any may."""
    return offer.end_ns or offer.start_ns + MAX_OFFER_NS


def offer_row(cells: Cells, venue: SetVenue, known: Known) -> OfferRow:
    """CellError names the first cell that cannot be."""
    submit_ns = cells.time_ns("submit_time")
    start_ns, end_ns = _window(cells, submit_ns, venue)
    periods = (end_ns - start_ns) // (venue.period_min * NS_PER_MINUTE) if end_ns else DAY_MIN // venue.period_min
    lots = lots_of(cells, "cards", venue)
    min_lots, min_periods = _minimum_block(cells, lots, periods, venue)
    base_micro, watts = _power_price(cells)
    prices = _period_prices(cells, periods, venue, is_daily=not end_ns)
    offer = PlaceOffer(
        participant=account_of(cells),
        offer_id=cells.code("offer_id"),
        site=cells.code("site"),
        chip=known.check(cells.code("chip"), known.chips, "chip", "chip"),
        latency_class=cells.choice("latency_class", LATENCY_CLASSES),
        power=cells.choice("power", POWERS),
        lots=lots,
        start_ns=start_ns,
        end_ns=end_ns,
        price_micro=0 if watts else price_of(cells, "price", cells.required("price"), venue),
        period_prices_micro=prices,
        min_lots=min_lots,
        min_periods=min_periods,
        indivisible_ok=cells.flag("indivisible_ok"),
        notice_min=cells.scaled_or("notice_min", 1, 0, MAX_NOTICE_MIN, 0),
        standby=cells.flag("standby"),
        price_base_micro=base_micro,
        watts_per_card=watts,
    )
    if offer.standby and offer.notice_min:
        raise CellError("standby", "conflict", "a standby ask stays past its gate; leave notice_min empty")
    region = known.check(cells.code("region"), known.hosts, "region", "region that hosts")
    known.check_reached(region, offer.latency_class)
    return OfferRow(submit_ns, offer, region, cells.file, cells.line)


def _window(cells: Cells, submit_ns: int, venue: SetVenue) -> tuple[int, int]:
    """(start, end) of whole periods; an empty end is 0: it stands until it is withdrawn."""
    start_ns = period_start_of(cells, "start", venue)
    if not cells.text("end"):
        return start_ns, 0
    end_ns = period_start_of(cells, "end", venue)
    if end_ns <= max(start_ns, submit_ns):
        raise CellError("end", "time_order", f"{cells.text('end')} must lie after start and submit_time")
    if end_ns - start_ns > MAX_OFFER_NS:
        raise CellError("end", "too_large", f"the window is longer than {MAX_OFFER_NS // NS_PER_DAY} days; split the offer")
    return start_ns, end_ns


def _minimum_block(cells: Cells, lots: int, periods: int, venue: SetVenue) -> tuple[int, int]:
    min_lots = lots_of(cells, "min_cards", venue) if cells.text("min_cards") else 1
    min_periods = run_of(cells, "min_hours", venue, 1)
    if min_lots > lots:
        raise CellError("min_cards", "conflict", f"min_cards is more than the {lots} lots offered")
    if min_periods > periods:
        raise CellError("min_hours", "conflict", f"min_hours is longer than the window of {periods} periods")
    return min_lots, min_periods


def _power_price(cells: Cells) -> tuple[int, int]:
    """(base, watts of a card) of a price that follows power; zeros where it does not."""
    if not cells.text("price_base") and not cells.text("kw_per_card"):
        return 0, 0
    for column in ("price", "hour_prices"):
        if cells.text(column):
            raise CellError(column, "conflict", "a price that follows power has price_base and kw_per_card, and nothing else")
    return cells.scaled_or("price_base", MICRO, 0, MAX_PRICE_MICRO, 0), cells.scaled("kw_per_card", 1_000, 1, MAX_WATTS)


def _period_prices(cells: Cells, periods: int, venue: SetVenue, *, is_daily: bool) -> tuple[int, ...]:
    """A price per period of the window; of a standing offer one per period of a UTC day, 0 where it sells nothing."""
    text = cells.text("hour_prices")
    if not text:
        return ()
    lowest = 0 if is_daily else 1
    prices = tuple(price_of(cells, "hour_prices", part.strip(), venue, lowest) for part in text.split("|"))
    if len(prices) != periods:
        what = "a day" if is_daily else "a window"
        message = f"gives {len(prices)} prices for {what} of {periods} periods; give one each, between bars"
        raise CellError("hour_prices", "conflict", message)
    if not any(prices):
        raise CellError("hour_prices", "conflict", "sells nothing in any hour of the day; give a price to one at least")
    return prices
