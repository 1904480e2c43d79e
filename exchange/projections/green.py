"""How green a market was: per buyer, venue day and region the sum of min(load, green) over the sum of load.

load is what the delivered lots used, green what certificates were retired for, both in Wh and hour by hour: a surplus of
one hour covers no other hour.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, TypeVar

from exchange.domain.events import Settled
from exchange.domain.units import div_half_even, format_scaled
from exchange.projections.calendar import Calendar
from exchange.projections.tape import instrument_parts

K = TypeVar("K")

SHARE_SCALE = 1_000_000


class Hour(NamedTuple):
    """What is summed before load and green are compared."""

    buyer: str
    region: str
    period_start_ns: int


@dataclass(slots=True)
class Use:
    """Load and certificates of one hour, or sums over hours: green_wh counts no more than the load of each hour."""

    load_wh: int = 0
    green_wh: int = 0

    def add(self, other: "Use") -> None:
        """Takes an hour in."""
        self.load_wh += other.load_wh
        self.green_wh += min(other.load_wh, other.green_wh)

    @property
    def share(self) -> str:
        """green over load as decimal text, half to even on six places; "" where there was no load."""
        if self.load_wh == 0:
            return ""
        return format_scaled(div_half_even(self.green_wh * SHARE_SCALE, self.load_wh), SHARE_SCALE, 1)


class Green:
    """Load and certificates of every settled obligation, by hour."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.hours: dict[Hour, Use] = {}

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Adds what a settlement decided; O(events)."""
        for event in events:
            if type(event) is Settled and event.load_wh:
                region = instrument_parts(event.instrument).region
                use = self.hours.setdefault(Hour(event.buyer, region, event.period_start_ns), Use())
                use.load_wh += event.load_wh
                use.green_wh += event.green_wh

    def by_day(self) -> dict[tuple[date, str, str], Use]:
        """(venue day of delivery, buyer, region) -> sums, in order."""
        found: dict[tuple[date, str, str], Use] = {}
        for hour, use in self.hours.items():
            key = (self._calendar.day(hour.period_start_ns), hour.buyer, hour.region)
            found.setdefault(key, Use()).add(use)
        return dict(sorted(found.items()))

    def by_region(self) -> dict[str, Use]:
        """Region -> sums of all buyers, in order."""
        return dict(sorted(_summed((hour.region, use) for hour, use in self.hours.items()).items()))

    def total(self) -> Use:
        """Everything."""
        return _summed(("", use) for use in self.hours.values()).get("", Use())


def shares(rows: Iterable[tuple[Hour, Use]]) -> dict[tuple[str, str], Use]:
    """(buyer, region) -> sums over hours, in order; an hour may come in several rows."""
    hours: dict[Hour, Use] = {}
    for hour, use in rows:
        known = hours.setdefault(hour, Use())
        known.load_wh += use.load_wh
        known.green_wh += use.green_wh
    return dict(sorted(_summed(((hour.buyer, hour.region), use) for hour, use in hours.items()).items()))


def _summed(items: Iterable[tuple[K, Use]]) -> dict[K, Use]:
    found: dict[K, Use] = {}
    for key, use in items:
        found.setdefault(key, Use()).add(use)
    return found
