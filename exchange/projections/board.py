"""What each instrument last traded at, its VWAP and its fix, from events alone; nothing is kept behind a period's end.

`average` is of the trades that the forward curve looks at: the newest ones of an instrument, no more than RECENT_TRADES and
none older than RECENT_NS. All trades of the public tape count but the busted ones, at the prices they have now, so that
everybody can make the same numbers from it.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from exchange.domain.commands import AdvanceTime, SetVenue
from exchange.domain.events import FixSet, Refused, Traded
from exchange.domain.events_settlement import TradeAdjusted, TradeBusted
from exchange.domain.instrument import Periods
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, div_half_even

RECENT_TRADES = 20
RECENT_NS = 24 * NS_PER_HOUR


class Print(NamedTuple):
    """One trade."""

    ts_ns: int
    price_micro: int
    lots: int


class KnownTrade(NamedTuple):
    """A trade from before the start, as it is read back and was corrected."""

    ts_ns: int
    number: int  # of its obligation
    instrument: str
    price_micro: int
    lots: int


class KnownFix(NamedTuple):
    """A fix from before the start, as it is read back."""

    ts_ns: int
    instrument: str
    price_micro: int
    grade: str


class Average(NamedTuple):
    """A volume-weighted average of some trades, the newest of which was made at newest_ns."""

    price_micro: int
    newest_ns: int
    until_ns: int  # until then the same trades count, if no other is made


def _column() -> "array[int]":
    return array("q")


@dataclass(slots=True)
class Marks:
    """One instrument; grade "" = it has no fix."""

    end_ns: int
    weighted: int = 0  # sum of price x lots over all its trades
    lots: int = 0
    fix_micro: int = 0
    grade: str = ""
    fixed_ns: int = 0
    _numbers: "array[int]" = field(default_factory=_column)  # of the obligations of its trades, in order
    _times: "array[int]" = field(default_factory=_column)
    _prices: "array[int]" = field(default_factory=_column)
    _lots: "array[int]" = field(default_factory=_column)

    def add(self, number: int, trade: Print) -> None:
        """One more trade, not earlier than those before; number: of its obligation, higher than those before."""
        self._numbers.append(number)
        self._times.append(trade.ts_ns)
        self._prices.append(trade.price_micro)
        self._lots.append(trade.lots)
        self.weighted += trade.price_micro * trade.lots
        self.lots += trade.lots

    def correct(self, number: int, price_micro: int) -> None:
        """A trade has another price, or was busted (0); one that is not here is none of these."""
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            return
        lots = self._lots[place]
        self.weighted += (price_micro - self._prices[place]) * lots
        self._prices[place] = price_micro
        if not price_micro:
            self.lots -= lots
            for column in (self._numbers, self._times, self._prices, self._lots):
                del column[place]

    @property
    def trades(self) -> int:
        """How many there were."""
        return len(self._numbers)

    @property
    def last(self) -> Print | None:
        """The newest trade."""
        return self._print(-1) if self._numbers else None

    def _print(self, place: int) -> Print:
        return Print(self._times[place], self._prices[place], self._lots[place])

    @property
    def vwap_micro(self) -> int:
        """Over all its trades; 0 without."""
        return div_half_even(self.weighted, self.lots) if self.lots else 0

    def average(self, now_ns: int) -> Average | None:
        """VWAP of the recent trades as of now; None where there are none."""
        recent = [self._print(place) for place in range(max(0, self.trades - RECENT_TRADES), self.trades)]
        counted = [trade for trade in recent if trade.ts_ns > now_ns - RECENT_NS]
        if not counted:
            return None
        lots = sum(trade.lots for trade in counted)
        price = div_half_even(sum(trade.price_micro * trade.lots for trade in counted), lots)
        return Average(price, counted[-1].ts_ns, counted[0].ts_ns + RECENT_NS)


class Board:
    """All instruments that traded or have a fix and whose period is not over."""

    def __init__(self) -> None:
        self._grid: Periods | None = None
        self._marks: dict[str, dict[str, Marks]] = {}  # family -> period code -> marks
        self._version: dict[str, int] = {}  # family -> how often something was said of it
        self._swept_ns = 0

    def configure(self, settings: SetVenue) -> None:
        """Takes the settings of a venue that has them already."""
        self._grid = Periods(settings.period_min * NS_PER_MINUTE, settings.gate_min * NS_PER_MINUTE)

    def remember(self, trades: Iterable[KnownTrade], fixes: Iterable[KnownFix], now_ns: int) -> None:
        """What was before the start, each in order of time."""
        for trade in trades:
            self._of(trade.instrument).add(trade.number, Print(trade.ts_ns, trade.price_micro, trade.lots))
        for fix in fixes:
            self._fix(fix)
        self._sweep(now_ns)

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes in the trades and fixes of a command; O(events), and once a period what is over goes."""
        if type(command) is SetVenue and type(events[0]) is not Refused:
            self.configure(command)
        for event in events:
            if type(event) is Traded:
                self._of(event.instrument).add(event.obligation_id, Print(ts_ns, event.price_micro, event.lots))
            elif type(event) is TradeBusted:
                self._correct(event.instrument, event.obligation_id, 0)
            elif type(event) is TradeAdjusted:
                self._correct(event.instrument, event.obligation_id, event.price_micro)
            elif type(event) is FixSet:
                self._fix(KnownFix(ts_ns, event.instrument, event.price_micro, event.grade))
        if type(command) is AdvanceTime and self._grid is not None and ts_ns - self._swept_ns >= self._grid.period_ns:
            self._sweep(ts_ns)

    # --- asked ---

    def marks(self, family: str, period: str) -> Marks | None:
        """What is known of an instrument; None where nothing is."""
        return self._marks.get(family, {}).get(period)

    def version(self, family: str) -> int:
        """A number that has changed where anything was said of a family."""
        return self._version.get(family, 0)

    # --- inside ---

    def _of(self, instrument: str) -> Marks:
        family, _, period = instrument.rpartition("/")
        of_family = self._marks.setdefault(family, {})
        found = of_family.get(period)
        if found is None:
            assert self._grid is not None, "no trade before SetVenue"
            number = self._grid.parse(period)
            assert number is not None, instrument
            found = of_family[period] = Marks(self._grid.start(number + 1))
        self._version[family] = self._version.get(family, 0) + 1
        return found

    def _correct(self, instrument: str, number: int, price_micro: int) -> None:
        family, _, period = instrument.rpartition("/")
        of_family = self._marks.get(family, {})
        if period in of_family:
            marks = self._of(instrument)
            marks.correct(number, price_micro)
            if not marks.trades and not marks.grade:
                del of_family[period]

    def _fix(self, fix: KnownFix) -> None:
        marks = self._of(fix.instrument)
        marks.fix_micro, marks.grade, marks.fixed_ns = fix.price_micro, fix.grade, fix.ts_ns

    def _sweep(self, now_ns: int) -> None:
        self._swept_ns = now_ns
        for family, of_family in list(self._marks.items()):
            kept = {period: marks for period, marks in of_family.items() if marks.end_ns > now_ns}
            if len(kept) < len(of_family):
                self._version[family] += 1
            if kept:
                self._marks[family] = kept
            else:
                del self._marks[family]
