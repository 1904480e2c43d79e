"""What cells of tasks.csv, offers.csv and sites.csv have in common: lots, hours, prices, periods, and what they may be.

Quantities are rounded here and nowhere else: hours up to whole periods (the waste is told), cards never (they must be
whole lots).
"""

from exchange.adapters.rows import CellError, Cells, shown
from exchange.domain.commands import SetVenue
from exchange.domain.units import MICRO, NS_PER_DAY, NS_PER_MINUTE, div_ceil, div_floor, format_micro

DEFAULT_VENUE = SetVenue(name="cpx")

MAX_CARDS = 10_000_000
MAX_HOURS = 8_784
MAX_PRICE_MICRO = 1_000_000 * MICRO
MAX_OFFER_NS = 400 * NS_PER_DAY


def lots_of(cells: Cells, column: str, venue: SetVenue) -> int:
    """Cards as whole lots."""
    micro = cells.scaled(column, MICRO, 1, MAX_CARDS * MICRO)
    lots, rest = divmod(micro * venue.lots_per_card, MICRO)
    if rest:
        message = f"{shown(cells.text(column))} cards are not whole lots; a lot is 1/{venue.lots_per_card} card"
        raise CellError(column, "not_whole_lots", message)
    return lots


def periods_and_waste(cells: Cells, lots: int, venue: SetVenue) -> tuple[int, int]:
    """Hours as whole periods, rounded up, and the lot-minutes paid for beyond them, rounded down."""
    micro_hours = cells.scaled("hours", MICRO, 1, MAX_HOURS * MICRO)
    periods = div_ceil(micro_hours * 60, venue.period_min * MICRO)
    return periods, div_floor(lots * (periods * venue.period_min * MICRO - micro_hours * 60), MICRO)


def run_of(cells: Cells, column: str, venue: SetVenue, default: int) -> int:
    """Hours in a row as whole periods, rounded up."""
    if not cells.text(column):
        return default
    micro_hours = cells.scaled(column, MICRO, 1, MAX_HOURS * MICRO)
    return div_ceil(micro_hours * 60, venue.period_min * MICRO)


def price_of(cells: Cells, column: str, text: str, venue: SetVenue, lowest: int = 1) -> int:
    """A price in whole ticks."""
    one = Cells({column: text}, cells.file, cells.line)
    price_micro = one.scaled(column, MICRO, lowest, MAX_PRICE_MICRO)
    if price_micro % venue.tick_micro:
        message = f"{shown(text)} is off the tick; a price is a multiple of {format_micro(venue.tick_micro)} yuan"
        raise CellError(column, "off_tick", message)
    return price_micro


def period_start_of(cells: Cells, column: str, venue: SetVenue) -> int:
    """A time that begins a period."""
    time_ns = cells.time_ns(column)
    if time_ns % (venue.period_min * NS_PER_MINUTE):
        message = f"{shown(cells.text(column))} is not the start of a {venue.period_min}-minute period (UTC)"
        raise CellError(column, "not_whole_periods", message)
    return time_ns


def time_after(cells: Cells, column: str, other_ns: int, others: str) -> int:
    """A time behind another one."""
    time_ns = cells.time_ns(column)
    if time_ns <= other_ns:
        raise CellError(column, "time_order", f"{cells.text(column)} must lie after {others}")
    return time_ns
