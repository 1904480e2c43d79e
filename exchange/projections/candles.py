"""Candles: open, high, low, close, VWAP and volume of what traded in one stretch of time, of whatever hours it was for.

Rules kept here:
1. A candle belongs to the time of its trades, not of their delivery. 1 min to 4 h begin at whole multiples in UTC, 1 day at
   the midnight of the venue's time zone.
2. A stretch without trades has no candle; nothing is carried over.
3. Candles merge: what comes of a tape does not depend on how it was cut up, nor on the order of the pieces.
4. Everything is whole numbers: prices in micro-yuan per card-hour, sizes in lots of one period; VWAP is rounded half to even.

Only families are kept, at STORED intervals; everything else is merged out of those, or out of the trades themselves.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from exchange.domain.commands import SetVenue
from exchange.domain.events import Refused, Traded
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, div_half_even
from exchange.projections.calendar import Calendar

INTERVALS = {
    "1m": NS_PER_MINUTE, "5m": 5 * NS_PER_MINUTE, "15m": 15 * NS_PER_MINUTE, "1h": NS_PER_HOUR, "4h": 4 * NS_PER_HOUR,
    "1d": NS_PER_DAY,
}  # fmt: skip
DAY = "1d"
STORED = ("15m", DAY)
SOURCE = {"15m": "15m", "1h": "15m", "4h": "15m", DAY: DAY}  # of families; the others come of the trades
MINUTES = {interval: ns // NS_PER_MINUTE for interval, ns in INTERVALS.items()}
Place = tuple[int, int]  # of a trade: number of its command, place among that command's trades


@dataclass(slots=True)
class Candle:
    """What traded in one stretch; `first` and `last` say which trades opened and closed it."""

    start_ns: int
    open_micro: int
    high_micro: int
    low_micro: int
    close_micro: int
    lots: int
    weighted: int  # sum of price x lots; may need more than 64 bits
    trades: int
    first: Place
    last: Place

    @property
    def vwap_micro(self) -> int:
        """Volume-weighted average price."""
        return div_half_even(self.weighted, self.lots)

    def add(self, place: Place, price_micro: int, lots: int) -> None:
        """Takes in a trade that is later than all that are in it."""
        self.last, self.close_micro = place, price_micro
        if price_micro > self.high_micro:
            self.high_micro = price_micro
        elif price_micro < self.low_micro:
            self.low_micro = price_micro
        self.lots += lots
        self.weighted += price_micro * lots
        self.trades += 1

    def merge(self, other: "Candle") -> None:
        """Takes in another candle of other trades."""
        if other.first < self.first:
            self.first, self.open_micro = other.first, other.open_micro
        if other.last > self.last:
            self.last, self.close_micro = other.last, other.close_micro
        self.high_micro = max(self.high_micro, other.high_micro)
        self.low_micro = min(self.low_micro, other.low_micro)
        self.lots += other.lots
        self.weighted += other.weighted
        self.trades += other.trades


def candle_of(start_ns: int, place: Place, price_micro: int, lots: int) -> Candle:
    """The candle of a single trade."""
    price = price_micro
    return Candle(start_ns, price, price, price, price, lots, price * lots, 1, place, place)


class Grid:
    """Where candles begin and end in a venue's calendar."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    @classmethod
    def of(cls, settings: SetVenue) -> "Grid":
        """That of a venue with these settings."""
        calendar = Calendar()
        calendar.configure(settings)
        return cls(calendar)

    def start_ns(self, interval: str, time_ns: int) -> int:
        """The start of the candle that a time falls into."""
        return self._calendar.day_start_ns(time_ns) if interval == DAY else time_ns - time_ns % INTERVALS[interval]

    def end_ns(self, interval: str, start_ns: int) -> int:
        """The first ns behind a candle."""
        return self._calendar.day_end_ns(start_ns) if interval == DAY else start_ns + INTERVALS[interval]

    def first_from(self, interval: str, time_ns: int) -> int:
        """The first start that is not before a time."""
        start_ns = self.start_ns(interval, time_ns)
        return start_ns if start_ns == time_ns else self.end_ns(interval, start_ns)


def merged(candles: Iterable[Candle], interval: str, grid: Grid) -> list[Candle]:
    """Candles of equal or shorter intervals, of one thing or several, as those of one interval in order of time."""
    found: dict[int, Candle] = {}
    for candle in candles:
        start_ns = grid.start_ns(interval, candle.start_ns)
        known = found.get(start_ns)
        if known is None:
            found[start_ns] = replace(candle, start_ns=start_ns)
        else:
            known.merge(candle)
    return [found[start_ns] for start_ns in sorted(found)]


class OpenCandles:
    """The newest candle of every family at STORED intervals: all that one more trade can change, since time never goes back."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._newest: dict[tuple[str, str], Candle] = {}

    def put(self, family: str, interval: str, candle: Candle) -> None:
        """One that was kept elsewhere."""
        self._newest[family, interval] = candle

    def add(self, family: str, ts_ns: int, place: Place, price_micro: int, lots: int) -> list[tuple[str, Candle]]:
        """One more trade; (interval, candle) of those that it changed or began."""
        changed = []
        for interval in STORED:
            start_ns = self._grid.start_ns(interval, ts_ns)
            known = self._newest.get((family, interval))
            if known is not None and known.start_ns == start_ns:
                known.add(place, price_micro, lots)
            else:
                known = self._newest[family, interval] = candle_of(start_ns, place, price_micro, lots)
            changed.append((interval, known))
        return changed


class Candles:
    """Every candle of every family at STORED intervals, made from events alone: what the tables must hold."""

    def __init__(self) -> None:
        self.all: dict[tuple[str, str, int], Candle] = {}  # (family, interval, start)
        self._open: OpenCandles | None = None

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes in the trades of a command; O(events)."""
        if type(command) is SetVenue and type(events[0]) is not Refused:
            self._open = OpenCandles(Grid.of(command))
        place = 0
        for event in events:
            if type(event) is Traded:
                assert self._open is not None
                family = event.instrument.rpartition("/")[0]
                for interval, candle in self._open.add(family, ts_ns, (seq, place), event.price_micro, event.lots):
                    self.all[family, interval, candle.start_ns] = candle
                place += 1
