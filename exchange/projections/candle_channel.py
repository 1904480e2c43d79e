"""The socket's channel `candles`: the candle that is being made of an instrument or a family, looked at once a second at most.

For every name that trades one candle of each interval is kept, the shorter ones inside the longer: a trade changes the
minute alone, and an ended minute goes into the longer ones. Trades that are busted later stay in what was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from exchange.domain.commands import AdvanceTime, SetVenue
from exchange.domain.events import Refused, Traded
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR
from exchange.domain.venue import Venue
from exchange.projections.candles import INTERVALS, Candle, Grid, candle_of, merged
from exchange.protocol import answers_prices as a
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.merging import merge_candles
from exchange.protocol.stream import CandlesData

MOST_VIEWS = 2048  # for all sockets together
KEPT_NS = 2 * NS_PER_DAY  # a name that has not traded for so long is forgotten
SHORTEST = "1m"
INTO = {"1m": ("5m",), "5m": ("15m",), "15m": ("1h", "1d"), "1h": ("4h",), "4h": (), "1d": ()}  # what each becomes part of
INSIDE = {
    "1m": ("1m",), "5m": ("1m", "5m"), "15m": ("1m", "5m", "15m"), "1h": ("1m", "5m", "15m", "1h"),
    "4h": ("1m", "5m", "15m", "1h", "4h"), "1d": ("1m", "5m", "15m", "1d"),
}  # fmt: skip
Key = tuple[str, str]  # (name, interval)


def candle_answer(candle: Candle, interval: str, grid: Grid, now_ns: int, m: Measures) -> a.Candle:
    """A candle as it is told at a time of the venue."""
    end_ns = grid.end_ns(interval, candle.start_ns)
    return a.Candle(
        start=m.time_text(candle.start_ns), end=m.time_text(end_ns), open=m.yuan(candle.open_micro),
        high=m.yuan(candle.high_micro), low=m.yuan(candle.low_micro), close=m.yuan(candle.close_micro),
        vwap=m.yuan(candle.vwap_micro), card_hours=m.card_hours_text(candle.lots), trades=candle.trades,
        is_final=end_ns <= now_ns,
    )  # fmt: skip


class LiveCandles:
    """What is being made, of every name and interval; who watches one is given what has ended, for as long as he lives."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.watches: WeakValueDictionary[Key, CandleWatch] = WeakValueDictionary()
        self._open: dict[str, dict[str, Candle]] = {}  # by name and interval; without what shorter ones hold
        self._trades = 0

    def add(self, instrument: str, ts_ns: int, price_micro: int, lots: int) -> None:
        """One more trade, not earlier than those before."""
        self._trades += 1
        start_ns, place = self.grid.start_ns(SHORTEST, ts_ns), (self._trades, 0)
        for name in (instrument, instrument.rpartition("/")[0]):
            mine = self._open.setdefault(name, {})
            minute = mine.get(SHORTEST)
            if minute is not None and minute.start_ns == start_ns:
                minute.add(place, price_micro, lots)
                continue
            mine[SHORTEST] = candle_of(start_ns, place, price_micro, lots)
            if minute is not None:
                self._end(name, SHORTEST, minute)

    def _end(self, name: str, interval: str, candle: Candle) -> None:
        """A candle that gets no more of the shorter ones."""
        watch = self.watches.get((name, interval))
        if watch is not None:
            watch.ended.append(candle)
        mine = self._open[name]
        for longer in INTO[interval]:
            start_ns = self.grid.start_ns(longer, candle.start_ns)
            known = mine.get(longer)
            if known is not None and known.start_ns == start_ns:
                known.merge(candle)
                continue
            mine[longer] = replace(candle, start_ns=start_ns)
            if known is not None:
                self._end(name, longer, known)

    def newest(self, name: str, interval: str) -> list[Candle]:
        """Those of an interval that no watch was given, in order of time."""
        mine = self._open.get(name, {})
        return merged([mine[each] for each in INSIDE[interval] if each in mine], interval, self.grid)

    def forget(self, before_ns: int) -> None:
        """Names that have not traded since."""
        for name in [name for name, mine in self._open.items() if mine[SHORTEST].start_ns < before_ns]:
            del self._open[name]


class CandleWatch:
    """The candles of one name and interval as they were last told."""

    def __init__(self, v: Venue, m: Measures, live: LiveCandles, name: str, interval: str, period: int | None) -> None:
        self.period = period
        self._venue, self._measures, self._live, self._key = v, m, live, (name, interval)
        self.ended: list[Candle] = []  # since the last look
        live.watches[self._key] = self
        self._told: dict[int, tuple[int, bool]] = {}  # by start: trades, is_final
        self._open: tuple[a.Candle, ...] = ()
        self._final_ns = 0  # the last one that was told to be final begins then
        for candle in live.newest(*self._key):  # what has ended before is history
            if live.grid.end_ns(interval, candle.start_ns) <= v.now_ns:
                self._final_ns = candle.start_ns
        self.look(set())

    def look(self, touched: set[int]) -> CandlesData | None:
        """Those that changed or ended since the last look."""
        name, interval = self._key
        found = {candle.start_ns: candle for candle in self.ended}
        self.ended.clear()
        found |= {candle.start_ns: candle for candle in self._live.newest(name, interval)}
        now_ns, told, before = self._venue.now_ns, {}, self._told
        changed, still_open = [], []
        for start_ns in sorted(start for start in found if start > self._final_ns):
            candle = found[start_ns]
            answer = candle_answer(candle, interval, self._live.grid, now_ns, self._measures)
            if before.get(start_ns) != (candle.trades, answer.is_final):
                changed.append(answer)
            if answer.is_final:
                self._final_ns = start_ns
            else:
                told[start_ns] = (candle.trades, False)
                still_open.append(answer)
        self._told, self._open = told, tuple(still_open)
        return CandlesData(items=tuple(changed)) if changed else None

    def everything(self) -> CandlesData:
        """The open candle, if there is one."""
        return CandlesData(items=self._open)


class CandleChannel:
    """The candles that somebody follows; the topic is an instrument or a family, and @interval."""

    name = "candles"
    merge = staticmethod(merge_candles)
    most = MOST_VIEWS

    def __init__(self, v: Venue, trades: Iterable[tuple[int, Traded]] = ()) -> None:
        """trades: those of the venue's day before the start, with their times, in order."""
        self._venue = v
        self._live: LiveCandles | None = None
        self._sweep_ns = 0
        if v.state.settings is not None:
            self._live = LiveCandles(Grid.of(v.state.settings))
            for ts_ns, trade in trades:
                self._live.add(trade.instrument, ts_ns, trade.price_micro, trade.lots)

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Takes in the trades of a command."""
        for event in events:
            if type(event) is Traded:
                assert self._live is not None
                self._live.add(event.instrument, self._venue.now_ns, event.price_micro, event.lots)
        if type(command) is AdvanceTime:
            self._sweep()
        elif type(command) is SetVenue and type(events[0]) is not Refused:
            self._live = LiveCandles(Grid.of(command))

    def _sweep(self) -> None:
        if self._live is not None and self._venue.now_ns >= self._sweep_ns:
            self._live.forget(self._venue.now_ns - KEPT_NS)
            self._sweep_ns = self._venue.now_ns + NS_PER_HOUR

    def open(self, topic: str) -> CandleWatch:
        """The candles of a topic; DoorError NOT_FOUND, INVALID_FIELD for an interval that is none."""
        name, _, interval = topic.rpartition("@")
        v = self._venue
        if self._live is None:
            raise DoorError(DoorReason.NOT_FOUND, "the venue has no settings yet", hint="set_venue comes first")
        if interval not in INTERVALS:
            told = f"interval {interval[:8]!r} is none; there are {', '.join(INTERVALS)}"
            raise DoorError(DoorReason.INVALID_FIELD, told, field="instrument", hint="an instrument or a family and @1m")
        period = None
        if name not in v.family_numbers:
            family, _, code = name.rpartition("/")
            period = v.periods.parse(code) if family in v.family_numbers else None
            if period is None or not v.now_ns < v.periods.gate(period) or period > self._last():
                told = f"{name[:80]!r} is neither a family nor an instrument that is open"
                raise DoorError(DoorReason.NOT_FOUND, told, field="instrument")
        return CandleWatch(v, Measures(v.settings), self._live, name, interval, period)

    def _last(self) -> int:
        return self._venue.periods.at(self._venue.now_ns) + self._venue.settings.horizon_periods
