"""What a venue day came to for the operator.

Trades go by the day they were made, tasks by the day they entered; fixes, capacity and settlements by the day of delivery.
A busted trade is not counted, an adjusted one at its new price. Lots are lots of one period; only means are rounded.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from exchange.domain.instrument import Periods
from exchange.domain.units import NS_PER_MINUTE
from exchange.projections.bundle import Projections
from exchange.projections.green import Use
from exchange.projections.indices import Index, WeighedFix, index_of
from exchange.projections.prices import Prices
from exchange.projections.supply import Capacity
from exchange.projections.tape import instrument_parts

HOURS = 24


def _hours() -> list[Prices]:
    return [Prices() for _ in range(HOURS)]


@dataclass(frozen=True, slots=True)
class DayFix:
    """The fixes of a chip in a region over the delivery periods of a day: their index, the lowest, the highest."""

    index: Index
    low_micro: int
    high_micro: int
    grades: dict[str, int]  # how many of each, A first


@dataclass(slots=True)
class MarketDay:
    """Figures of one day; by_hour is the hour of trading in the venue's time zone; money micro-yuan."""

    day: date
    by_region: dict[str, Prices] = field(default_factory=dict)
    by_chip: dict[str, Prices] = field(default_factory=dict)
    by_hour: list[Prices] = field(default_factory=_hours)  # of all chips: for volumes
    chip_hours: dict[str, list[Prices]] = field(default_factory=dict)
    fixes: dict[tuple[str, str], DayFix] = field(default_factory=dict)  # of chip and region
    capacity: dict[str, Capacity] = field(default_factory=dict)  # of a region; periods whose gate has closed
    busted: int = 0
    notional_micro: int = 0
    tasks: Counter[str] = field(default_factory=Counter)  # of those that entered on the day, by status
    asked_lot_periods: int = 0
    bought_lot_periods: int = 0
    unfilled: dict[str, tuple[int, int]] = field(default_factory=dict)  # reason -> tasks, lots times periods not bought
    settled: Counter[str] = field(default_factory=Counter)  # obligations delivered on the day, by status
    settled_lots: int = 0
    lost_lots: int = 0
    made_up_lots: int = 0
    bought_in_lots: int = 0
    refund_micro: int = 0
    damages_micro: int = 0
    cut_micro: int = 0
    buyers_failed: int = 0
    buyers_made_whole: int = 0
    green: Use = field(default_factory=Use)

    @property
    def trades(self) -> int:
        """Trades that stand."""
        return sum(prices.trades for prices in self.by_region.values())

    @property
    def lots(self) -> int:
        """Lots traded."""
        return sum(prices.lots for prices in self.by_region.values())


class _Days(dict[date, MarketDay]):
    """A day is there as soon as something is said of it."""

    def __missing__(self, day: date) -> MarketDay:
        return self.setdefault(day, MarketDay(day))


def market_days(projections: Projections) -> dict[date, MarketDay]:
    """Every day on which something was traded, entered, fixed, offered or delivered, in order. O(all of the run)."""
    days = _Days()
    _trades(days, projections)
    _tasks(days, projections)
    _fixes(days, projections)
    _settlements(days, projections)
    for (delivered, _, _), use in projections.green.by_day().items():
        days[delivered].green.load_wh += use.load_wh
        days[delivered].green.green_wh += use.green_wh
    for day, of_regions in projections.supply.by_day(set(days)).items():
        days[day].capacity = of_regions
    return dict(sorted(days.items()))


def _trades(days: _Days, projections: Projections) -> None:
    tape, calendar = projections.tape, projections.calendar
    for trade in tape.trades:
        made, fact = days[calendar.day(trade.time_ns)], trade.fact
        if fact.obligation_id in tape.busted:
            made.busted += 1
            continue
        price, parts = tape.price_micro(fact.obligation_id), instrument_parts(fact.instrument)
        made.by_region.setdefault(parts.region, Prices()).add(price, fact.lots)
        made.by_chip.setdefault(parts.chip, Prices()).add(price, fact.lots)
        hour = int(calendar.text(trade.time_ns)[11:13])
        made.by_hour[hour].add(price, fact.lots)
        if parts.chip not in made.chip_hours:
            made.chip_hours[parts.chip] = _hours()
        made.chip_hours[parts.chip][hour].add(price, fact.lots)
        made.notional_micro += _cost(projections, fact.lots, price)


def _cost(projections: Projections, lots: int, price_micro: int) -> int:
    settings = projections.calendar.settings
    return lots * price_micro * settings.period_min // (60 * settings.lots_per_card)


def _tasks(days: _Days, projections: Projections) -> None:
    for record in projections.tasks.records:
        made = days[projections.calendar.day(record.entered_ns)]
        made.tasks[record.status] += 1
        made.asked_lot_periods += record.asked_lot_periods
        made.bought_lot_periods += record.lot_periods
        if record.status != "filled":
            tasks, lots = made.unfilled.get(record.reason, (0, 0))
            made.unfilled[record.reason] = (tasks + 1, lots + max(0, record.asked_lot_periods - record.lot_periods))
    for made in days.values():
        made.unfilled = dict(sorted(made.unfilled.items(), key=lambda item: (-item[1][1], item[0])))


def _fixes(days: _Days, projections: Projections) -> None:
    settings = projections.calendar.settings
    grid = Periods(settings.period_min * NS_PER_MINUTE, settings.gate_min * NS_PER_MINUTE)
    found: dict[tuple[date, str, str], list[WeighedFix]] = {}
    for code, fixes in projections.indices.fixes.items():
        period = grid.parse(code)
        assert period is not None, code
        day = projections.calendar.day(grid.start(period))
        for fix in fixes.values():
            parts = instrument_parts(fix.instrument)
            found.setdefault((day, parts.chip, parts.region), []).append(fix)
    for (day, chip, region), of_day in sorted(found.items()):
        prices = [fix.price_micro for fix in of_day]
        grades = Counter(fix.grade for fix in of_day)
        days[day].fixes[chip, region] = DayFix(index_of(of_day, {}), min(prices), max(prices), dict(sorted(grades.items())))


def _settlements(days: _Days, projections: Projections) -> None:
    day_of: dict[int, MarketDay] = {}
    for item in projections.deliveries.settled:
        made = day_of[item.obligation_id] = days[projections.calendar.day(item.period_start_ns)]
        made.settled[item.status] += 1
        made.settled_lots += item.lots
    failed: dict[date, set[str]] = {}
    cut: dict[date, set[str]] = {}
    for failure in projections.failures.failures:
        made = day_of[failure.obligation]
        made.lost_lots += failure.lost_lots
        made.made_up_lots += failure.made_up_lots
        made.bought_in_lots += failure.bought_in_lots
        made.refund_micro += failure.refund_micro
        made.damages_micro += failure.damages_micro
        made.cut_micro += failure.cut_micro
        failed.setdefault(made.day, set()).add(failure.buyer)
        if not failure.is_made_whole:
            cut.setdefault(made.day, set()).add(failure.buyer)
    for day, buyers in failed.items():
        days[day].buyers_failed = len(buyers)
        days[day].buyers_made_whole = len(buyers - cut.get(day, set()))


def ranked(found: dict[str, Prices]) -> Iterator[tuple[str, Prices]]:
    """Most traded first."""
    return iter(sorted(found.items(), key=lambda item: (-item[1].lots, item[0])))
