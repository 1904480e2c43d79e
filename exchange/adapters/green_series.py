"""Green power from a file: our own hours in kWh, wind speeds, or a public series of the renewable share of a grid.

A series that covers the hours asked for stays where it is; another one counts from its own first whole UTC day, so that
last year's can stand behind this year's offers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exchange.adapters.rows import CellError, Cells, Columns, Problem, parse_time_ns, read_records
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR, div_ceil
from exchange.ports_green import SupplyMissing

OWN_COLUMNS = Columns(("hour", "kwh"))
WIND_COLUMNS = Columns(("hour", "wind_m_s"))
PUBLIC_COLUMNS = Columns(("Datetime (UTC)", "Renewable Percentage"), is_closed=False)
MAX_WH = 10**12
PERCENT_SCALE = 10_000  # two decimals of a percent, and two to spare


@dataclass(frozen=True, slots=True)
class Series:
    """Figures of hours one after the other; `start_ns` is the first."""

    start_ns: int
    values: tuple[int, ...]

    def of(self, start_ns: int, hours: int) -> list[int]:
        """The figures of so many hours; SupplyMissing where the series is too short."""
        end_ns = self.start_ns + len(self.values) * NS_PER_HOUR
        first_ns = start_ns
        if not self.start_ns <= start_ns or start_ns + hours * NS_PER_HOUR > end_ns:
            into_day_ns = start_ns % NS_PER_DAY
            first_ns = div_ceil(self.start_ns, NS_PER_DAY) * NS_PER_DAY + into_day_ns
        first = (first_ns - self.start_ns) // NS_PER_HOUR
        found = list(self.values[first : first + hours])
        if len(found) < hours:
            raise SupplyMissing(f"the series has {len(found)} of the {hours} hours asked for")
        return found


@dataclass(frozen=True, slots=True)
class MeasuredSupply:
    """A `GreenSupply` of metered hours in Wh."""

    name: str
    series: Series
    kind: str = "metered"

    @property
    def source(self) -> str:
        """In one line."""
        return f"series {self.name}"[:200]

    def hours_wh(self, start_ns: int, hours: int) -> list[int]:
        """Wh of each hour."""
        return self.series.of(start_ns, hours)


@dataclass(frozen=True, slots=True)
class GridSupply:
    """A `GreenSupply` of a contract over so many kW of a grid's mix: its renewable share of every hour is green."""

    name: str
    series: Series  # percent x PERCENT_SCALE
    kw: int
    kind: str = "metered"

    @property
    def source(self) -> str:
        """In one line."""
        return f"{self.kw} kW of the mix in {self.name}"[:200]

    def hours_wh(self, start_ns: int, hours: int) -> list[int]:
        """Wh of each hour, rounded down."""
        return [1000 * self.kw * share // (100 * PERCENT_SCALE) for share in self.series.of(start_ns, hours)]


def read_series(path: Path) -> tuple[Series, str]:
    """(series, kind: kwh in Wh | wind in mm/s | share in percent x PERCENT_SCALE); SupplyMissing names the first fault."""
    for kind, columns, build in _KINDS:
        found = list(read_records(path, columns, build))
        problems = [item for item in found if isinstance(item, Problem)]
        if problems and problems[0].code in ("missing_column", "unknown_column", "unknown_header"):
            continue
        if problems:
            raise SupplyMissing(str(problems[0]))
        return _unbroken(path.name, [item.value for item in found if not isinstance(item, Problem)]), kind
    heads = "; ".join(",".join(columns.required) for _, columns, _ in _KINDS)
    raise SupplyMissing(f"{path.name} is no series of supply; known headers: {heads}")


def _unbroken(name: str, hours: list[tuple[int, int]]) -> Series:
    if not hours:
        raise SupplyMissing(f"{name} has no hours")
    for place, (start_ns, _) in enumerate(hours):
        if start_ns != hours[0][0] + place * NS_PER_HOUR:
            raise SupplyMissing(f"{name}: line {place + 2} does not follow the hour before")
    return Series(hours[0][0], tuple(value for _, value in hours))


def _hour(column: str, scale: int, highest: int) -> Callable[[Cells], tuple[int, int]]:
    return lambda cells: (_whole(cells.time_ns("hour"), "hour"), cells.scaled(column, scale, 0, highest))


def _public(cells: Cells) -> tuple[int, int]:
    column = "Datetime (UTC)"
    start_ns = parse_time_ns(cells.required(column).replace(" ", "T", 1) + "Z", column)
    return _whole(start_ns, column), cells.scaled("Renewable Percentage", PERCENT_SCALE, 0, 100 * PERCENT_SCALE)


def _whole(start_ns: int, column: str) -> int:
    if start_ns % NS_PER_HOUR:
        raise CellError(column, "not_whole_periods", "is not the start of an hour")
    return start_ns


_KINDS = (
    ("kwh", OWN_COLUMNS, _hour("kwh", 1000, MAX_WH)),
    ("wind", WIND_COLUMNS, _hour("wind_m_s", 1000, 200_000)),
    ("share", PUBLIC_COLUMNS, _public),
)
