"""Families, periods and the instrument codes made of them: `chip/region/class/power/20261124T08`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND

LATENCY_CLASSES = ("L1", "L5", "L7", "L10", "BE")  # fastest first; a faster class serves a slower need
POWERS = ("grid", "green")  # green serves grid
PERIOD_BITS = 20
MAX_FAMILIES = (1 << 12) - 1
_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
PERIOD_ZERO_NS = 1_577_836_800 * NS_PER_SECOND  # 2020-01-01: period 0 of every venue


@dataclass(frozen=True, slots=True)
class Family:
    """(chip, region, latency class, power) and its number; one book per family and period."""

    number: int
    chip: str
    region: str
    latency_class: str
    power: str

    @property
    def code(self) -> str:
        """The instrument code without its period."""
        return f"{self.chip}/{self.region}/{self.latency_class}/{self.power}"


@dataclass(frozen=True, slots=True)
class Periods:
    """Arithmetic of delivery periods of period_ns each, gate gate_ns before the start."""

    period_ns: int
    gate_ns: int

    def start(self, period: int) -> int:
        """First ns of a period."""
        return PERIOD_ZERO_NS + period * self.period_ns

    def at(self, time_ns: int) -> int:
        """The period that contains a time."""
        return (time_ns - PERIOD_ZERO_NS) // self.period_ns

    def first_from(self, time_ns: int) -> int:
        """The first period that starts at or after a time."""
        return -((PERIOD_ZERO_NS - time_ns) // self.period_ns)

    def gate(self, period: int) -> int:
        """When the books of a period close."""
        return self.start(period) - self.gate_ns

    def first_open(self, now_ns: int) -> int:
        """The first period whose gate is still ahead of now."""
        return self.first_from(now_ns + self.gate_ns + 1)

    def code(self, period: int) -> str:
        """UTC hour of a period as text; minutes only where the period is shorter than an hour."""
        return _code(self.start(period), self.period_ns % (60 * NS_PER_MINUTE) == 0)

    def parse(self, code: str) -> int | None:
        """The period of a code, None where it is none of this venue's."""
        start_ns = _moment_ns(code)
        if start_ns is None:
            return None
        period = self.at(start_ns)
        return period if 0 <= period < 1 << PERIOD_BITS and self.code(period) == code else None


@lru_cache(4096)
def _code(start_ns: int, is_hourly: bool) -> str:
    moment = _ORIGIN + timedelta(seconds=start_ns // NS_PER_SECOND)
    return moment.strftime("%Y%m%dT%H" if is_hourly else "%Y%m%dT%H%M")


@lru_cache(4096)
def _moment_ns(code: str) -> int | None:
    """The moment that a period's code names; None where it names none."""
    if not (code.isascii() and len(code) in (11, 13) and code[8] == "T" and (code[:8] + code[9:]).isdigit()):
        return None
    try:
        moment = datetime.strptime(code.ljust(13, "0"), "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _ORIGIN) // timedelta(seconds=1) * NS_PER_SECOND


def book_id(family: int, period: int) -> int:
    """The core's book of a family and period; consecutive periods are consecutive books."""
    return family << PERIOD_BITS | period


def split_book(book: int) -> tuple[int, int]:
    """(family, period) of a book."""
    return book >> PERIOD_BITS, book & (1 << PERIOD_BITS) - 1


def capacity_group(chip_number: int, period: int) -> int:
    """The core's capacity group: cards of one chip in one period, whatever class or power they are offered at."""
    return chip_number << PERIOD_BITS | period


def is_instrument_open(periods: Periods, period: int, now_ns: int, horizon: int) -> bool:
    """Whether a period is listed: its gate is ahead and it starts within the horizon."""
    return periods.gate(period) > now_ns and period <= periods.at(now_ns) + horizon
