"""Hourly power prices as commands: our own power.csv (yuan per kWh), or a public series in US dollars per MWh.

A series belongs to one region and counts from its own first hour, so that last year's can drive a market day of this
year. A public series has more decimals than money: a price is rounded to whole micro-yuan, half to even.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exchange.adapters.market_cells import DEFAULT_VENUE
from exchange.adapters.reference_prices import USD_RATE_PPM
from exchange.adapters.rows import CellError, Cells, Columns, Problem, parse_time_ns, read_records, shown
from exchange.adapters.sniff import sniff
from exchange.domain.commands import SetPowerPrices, SetVenue
from exchange.domain.units import (
    MICRO,
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    div_ceil,
    div_floor,
    div_half_even,
)

OWN_COLUMNS = Columns(("hour", "price_per_kwh"))
PUBLIC_COLUMNS = Columns(("Datetime (UTC)", "Price (USD/MWh)"), is_closed=False)
MAX_PRICE_MICRO = 1_000 * MICRO  # a kWh, either way
MAX_HOURS_OF_COMMAND = 168
_LONG_DECIMAL = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,30}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PowerHour:
    """What a kWh costs in the hour that starts then, micro-yuan; it may be negative."""

    start_ns: int
    price_micro: int


def read_power_prices(path: Path, usd_rate_ppm: int = USD_RATE_PPM) -> tuple[list[PowerHour], list[Problem]]:
    """(hours in order of time, problems) of either kind of file; an hour that does not follow the one before is a Problem."""
    kind = sniff(path)
    if isinstance(kind, Problem):
        return [], [kind]
    if kind == "power_prices":
        found = read_records(path, OWN_COLUMNS, _own_hour)
    elif kind == "power_prices_usd":
        found = read_records(path, PUBLIC_COLUMNS, lambda cells: _public_hour(cells, usd_rate_ppm))
    else:
        return [], [Problem(path.name, 1, "", "unknown_header", f"is a file of kind {kind}; give hourly power prices")]
    hours: list[PowerHour] = []
    problems: list[Problem] = []
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        elif hours and item.value.start_ns <= hours[-1].start_ns:
            problems.append(Problem(item.file, item.line, "", "time_order", "the hour does not follow the line before"))
        else:
            hours.append(item.value)
    return hours, problems


def _own_hour(cells: Cells) -> PowerHour:
    start_ns = cells.time_ns("hour")
    return PowerHour(_whole_hour(start_ns, "hour"), cells.scaled("price_per_kwh", MICRO, -MAX_PRICE_MICRO, MAX_PRICE_MICRO))


def _public_hour(cells: Cells, usd_rate_ppm: int) -> PowerHour:
    column = "Datetime (UTC)"
    start_ns = parse_time_ns(cells.required(column).replace(" ", "T", 1), column)
    return PowerHour(_whole_hour(start_ns, column), _yuan_per_kwh(cells, usd_rate_ppm))


def _whole_hour(start_ns: int, column: str) -> int:
    if start_ns % NS_PER_HOUR:
        raise CellError(column, "not_whole_periods", "is not the start of an hour")
    return start_ns


def _yuan_per_kwh(cells: Cells, usd_rate_ppm: int) -> int:
    """US dollars per MWh, with any number of decimals, as micro-yuan per kWh."""
    column = "Price (USD/MWh)"
    match = _LONG_DECIMAL.fullmatch(cells.required(column))
    if match is None:
        raise CellError(column, "number", f"{shown(cells.text(column))} is not a decimal number")
    fraction = match[3] or ""
    value = int(match[2] + fraction) * (-1 if match[1] else 1)
    price_micro = div_half_even(value * usd_rate_ppm, 1_000 * 10 ** len(fraction))
    if abs(price_micro) > MAX_PRICE_MICRO:
        raise CellError(column, "too_large", f"{shown(cells.text(column))} is beyond what a kWh can cost")
    return price_micro


def power_commands(
    hours: Iterable[PowerHour], region: str, *, shift_ns: int = 0, venue: SetVenue = DEFAULT_VENUE
) -> list[SetPowerPrices]:
    """The series of a region, moved in time by shift_ns (whole hours): one command per unbroken run of up to a week."""
    per_hour = 60 // venue.period_min
    runs: list[tuple[int, list[int]]] = []
    for hour in hours:
        start_ns = hour.start_ns + shift_ns
        if not runs or _end_of(runs[-1], venue) != start_ns or len(runs[-1][1]) >= MAX_HOURS_OF_COMMAND * per_hour:
            runs.append((start_ns, []))
        runs[-1][1].extend([hour.price_micro] * per_hour)
    return [SetPowerPrices(region, start_ns, tuple(prices)) for start_ns, prices in runs]


def power_of_day(
    hours: list[PowerHour], region: str, start_ns: int, end_ns: int, venue: SetVenue = DEFAULT_VENUE
) -> tuple[list[tuple[int, SetPowerPrices]], int]:
    """(time and command of each day's prices, days that the series was moved) for a market day from start to end.

    A series that covers the day as it is stays where it is; another one is moved so that its first whole UTC day is the
    day's first. A day's prices are told at noon (UTC) of the day before, or at the start.
    """
    if not hours:
        return [], 0
    first_day, day = div_floor(start_ns, NS_PER_DAY), div_ceil(hours[0].start_ns, NS_PER_DAY)
    is_there = hours[0].start_ns <= start_ns and end_ns <= hours[-1].start_ns + NS_PER_HOUR
    moved_days = 0 if is_there else first_day - day
    shift_ns = moved_days * NS_PER_DAY
    by_day: dict[int, list[PowerHour]] = {}
    for hour in hours:
        if start_ns <= hour.start_ns + shift_ns < end_ns:
            by_day.setdefault(div_floor(hour.start_ns + shift_ns, NS_PER_DAY), []).append(hour)
    told = []
    for day, of_day in by_day.items():
        told_ns = max(start_ns, day * NS_PER_DAY - NS_PER_DAY // 2)
        told += [(told_ns, command) for command in power_commands(of_day, region, shift_ns=shift_ns, venue=venue)]
    return told, moved_days


def _end_of(run: tuple[int, list[int]], venue: SetVenue) -> int:
    return run[0] + len(run[1]) * venue.period_min * NS_PER_MINUTE
