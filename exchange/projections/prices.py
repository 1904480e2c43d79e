"""Prices made from the tape: per instrument, per chip and region (by day and in all), per chip in the whole country.

A busted trade is in none of them, an adjusted one has its new price.
A day is the venue day of the trade, not of the delivery. VWAP is rounded half to even on micro-yuan.
"""

from dataclasses import dataclass, field

from exchange.domain.units import div_half_even
from exchange.projections.calendar import Calendar
from exchange.projections.tape import InstrumentParts, Tape, instrument_parts

SCOPES = ("instrument", "chip_region_day", "chip_region", "chip_day", "chip")  # in order of the price file


@dataclass(slots=True)
class Prices:
    """What traded in one scope; micro-yuan per card-hour."""

    first_micro: int = 0
    last_micro: int = 0
    low_micro: int = 0
    high_micro: int = 0
    weighted: int = 0  # sum of price x lots
    lots: int = 0
    trades: int = 0

    def add(self, price_micro: int, lots: int) -> None:
        """One more trade, later than those before."""
        if self.trades == 0:
            self.first_micro = self.low_micro = self.high_micro = price_micro
        elif price_micro < self.low_micro:
            self.low_micro = price_micro
        elif price_micro > self.high_micro:
            self.high_micro = price_micro
        self.last_micro = price_micro
        self.weighted += price_micro * lots
        self.lots += lots
        self.trades += 1

    @property
    def vwap_micro(self) -> int:
        """Volume-weighted average; 0 without trades."""
        return div_half_even(self.weighted, self.lots) if self.lots else 0


@dataclass(frozen=True, slots=True)
class PriceRow:
    """Prices of one scope; parts that do not belong to it are ""."""

    scope: str
    chip: str
    region: str = ""
    latency_class: str = ""
    power: str = ""
    period: str = ""
    day: str = ""
    prices: Prices = field(default_factory=Prices)
    fix_micro: int = 0  # of an instrument; 0 = none was set
    grade: str = ""


def price_rows(tape: Tape, calendar: Calendar) -> list[PriceRow]:
    """Every scope in SCOPES order, sorted inside by its key. O(trades)."""
    found: dict[str, dict[tuple[str, ...], Prices]] = {scope: {} for scope in SCOPES}
    found["instrument"] = {instrument_parts(code): Prices() for code in tape.fixes}
    for trade in tape.trades:
        if trade.fact.obligation_id in tape.busted:
            continue
        fact, day = trade.fact, calendar.day(trade.time_ns).isoformat()
        parts = instrument_parts(fact.instrument)
        keys = (parts, (parts.chip, parts.region, day), parts[:2], (parts.chip, day), (parts.chip,))
        for scope, key in zip(SCOPES, keys, strict=True):
            prices = found[scope].get(key)
            if prices is None:
                prices = found[scope][key] = Prices()
            prices.add(tape.price_micro(fact.obligation_id), fact.lots)
    return [_row(tape, scope, key, found[scope][key]) for scope in SCOPES for key in sorted(found[scope])]


def _row(tape: Tape, scope: str, key: tuple[str, ...], prices: Prices) -> PriceRow:
    if scope == "instrument":
        parts = InstrumentParts(*key)
        fix = tape.fixes.get("/".join(key))
        price_micro, grade = (fix.price_micro, fix.grade) if fix else (0, "")
        return PriceRow(scope, *parts, day="", prices=prices, fix_micro=price_micro, grade=grade)
    has_day, has_region = scope.endswith("_day"), "region" in scope
    region, day = key[1] if has_region else "", key[-1] if has_day else ""
    return PriceRow(scope, key[0], region, day=day, prices=prices)
