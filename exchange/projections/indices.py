"""Indices of a chip by delivery period, of a region or the whole country, from the fixes; for display only.

An index is the mean of the fixes of all its instruments (latency classes and powers; regions too, in the whole country),
weighted by the lots that each had traded before its fix was set, one lot where it had traded nothing; rounded half to even.
Per PFLOPS-hour it is the same money over what those card-hours can do (dense FP16): over all chips together it exists in
this form only, since a card-hour of one chip is not one of another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from exchange.domain.events import FixSet, Traded
from exchange.domain.instrument import Periods
from exchange.domain.units import div_half_even
from exchange.projections.board import Board
from exchange.projections.candles import Candles
from exchange.projections.tape import instrument_parts

GFLOPS_PER_PFLOPS = 1_000_000


class WeighedFix(NamedTuple):
    """The last fix of one instrument, with the lots it had traded before."""

    instrument: str
    price_micro: int
    grade: str
    lots: int


@dataclass(frozen=True, slots=True)
class Index:
    """One index at one period; price 0 where it is of several chips, per_pflops_hour 0 where a chip's power is not known."""

    price_micro: int
    per_pflops_hour_micro: int
    lots: int  # traded before the fixes
    instruments: int
    grade: str  # the lowest that is in it


class Codes:
    """Codes of delivery periods by time."""

    def __init__(self, grid: Periods) -> None:
        self._grid = grid

    def of_start(self, start_ns: int) -> str | None:
        """The code of the period that begins then; None where none does."""
        period = self._grid.at(start_ns)
        return self._grid.code(period) if self._grid.start(period) == start_ns else None

    def first_from(self, time_ns: int) -> str:
        """The code of the first period that begins then or later."""
        return self._grid.code(self._grid.first_from(time_ns))

    def around(self, time_ns: int) -> tuple[int, int]:
        """The start of the period that contains a time, and that of the next one."""
        period = self._grid.at(time_ns)
        return self._grid.start(period), self._grid.start(period + 1)

    def start_ns(self, code: str) -> int:
        """When the period of a code begins; it must be one of the venue's."""
        period = self._grid.parse(code)
        assert period is not None, code
        return self._grid.start(period)


def weight_of(lots: int) -> int:
    """What a fix counts."""
    return max(1, lots)


def index_of(fixes: Iterable[WeighedFix], gflops: Mapping[str, int]) -> Index:
    """The index over at least one fix; gflops of a card by chip."""
    weight = weighted = power = lots = count = 0
    grade, chips, is_power_known = "A", set(), True
    for fix in fixes:
        chip, mine = instrument_parts(fix.instrument).chip, weight_of(fix.lots)
        weight += mine
        weighted += mine * fix.price_micro
        power += mine * gflops.get(chip, 0)
        is_power_known &= gflops.get(chip, 0) > 0
        lots += fix.lots
        count += 1
        grade = max(grade, fix.grade)
        chips.add(chip)
    return Index(
        div_half_even(weighted, weight) if len(chips) == 1 else 0,
        div_half_even(weighted * GFLOPS_PER_PFLOPS, power) if is_power_known else 0, lots, count, grade,
    )  # fmt: skip


class Indices:
    """Every fix with its weight, made from events alone; any index of any period comes of them."""

    def __init__(self) -> None:
        self.fixes: dict[str, dict[str, WeighedFix]] = {}  # period code -> instrument -> its last fix
        self._lots: dict[str, int] = {}

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes in trades and fixes; O(events)."""
        for event in events:
            if type(event) is Traded:
                self._lots[event.instrument] = self._lots.get(event.instrument, 0) + event.lots
            elif type(event) is FixSet:
                fix = WeighedFix(event.instrument, event.price_micro, event.grade, self._lots.get(event.instrument, 0))
                self.fixes.setdefault(instrument_parts(event.instrument).period, {})[event.instrument] = fix

    def index(self, chips: Iterable[str], region: str, period: str, gflops: Mapping[str, int]) -> Index | None:
        """The index over some chips in a region ("" = the country) at a period's code; None where nothing has a fix."""
        wanted = set(chips)
        found = [fix for code, fix in self.fixes.get(period, {}).items() if _is_of(code, wanted, region)]
        return index_of(found, gflops) if found else None


def _is_of(instrument: str, chips: set[str], region: str) -> bool:
    parts = instrument_parts(instrument)
    return parts.chip in chips and region in ("", parts.region)


class PublishedPrices:
    """Everything that is published of prices, rebuilt from the commands of a journal and their events."""

    def __init__(self) -> None:
        self.candles, self.indices, self.board = Candles(), Indices(), Board()

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """One applied command; O(events)."""
        for part in (self.candles, self.indices, self.board):
            part.on_command(seq, ts_ns, command, events)
