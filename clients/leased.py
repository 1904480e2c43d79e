"""What a provider's agent knows of a lease that it serves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from clients.events import DispatchUpdate
from clients.models_delivery import Dispatch
from clients.runner import Running
from clients.times import NS_PER_S


@dataclass(slots=True)
class Hour:
    """One obligation of a lease."""

    obligation_id: int
    start_ns: int
    cards: Decimal
    known_ns: int  # from when on it could be delivered: when it was sold, or told
    reading: int = 0  # number of the last one
    failing: str = ""
    has_begun: bool = False  # with us there
    was_served: bool = False  # by somebody before us, as far as the list says


@dataclass(slots=True)
class Lease:
    """What is to be run of a lease at one site."""

    lease_id: str
    site: str
    chip: str
    work: str
    data_region: str
    data_gb: Decimal
    buyer: str
    has_access: bool = False
    is_finished: bool = False  # the final result is returned
    is_done: bool = False  # the work has ended by itself, or never will run
    heartbeat_s: int = 0  # what the exchange asks for; 0 = not known, or none
    is_signed: bool = False
    hours: dict[int, Hour] = field(default_factory=dict)
    serving: "asyncio.Task[None] | None" = None
    running: Running | None = None
    result: "asyncio.Task[None] | None" = None  # waits for the end of the work and returns its output
    is_cut: bool = False  # the work is being stopped
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def open_at(self, start_ns: int) -> list[Hour]:
        """What is still to be delivered in the period that starts then: a block may have several asks in an hour."""
        return [hour for hour in self.hours.values() if hour.start_ns == start_ns and not hour.failing]

    def next_start(self, now_ns: int, period_ns: int) -> int | None:
        """The start of the first period in which something is neither over nor lost."""
        starts = (hour.start_ns for hour in self.hours.values() if not hour.failing)
        return min((start_ns for start_ns in starts if start_ns + period_ns > now_ns), default=None)

    def end_ns(self, period_ns: int) -> int:
        """When the last hour of it ends, lost or not."""
        return max(hour.start_ns for hour in self.hours.values()) + period_ns

    def take(self, told: Dispatch | DispatchUpdate) -> bool:
        """What a dispatch says of it; whether anything is new."""
        if isinstance(told, Dispatch):
            return self._take_row(told)
        new = [each for each in told.hours if each.obligation_id not in self.hours]
        for each in new:
            self.hours[each.obligation_id] = Hour(each.obligation_id, to_ns(each.period_start), each.cards, told.ts_ns)
            self.is_finished = self.is_done  # more of it is bought: what was cut goes on
        return bool(new)

    def _take_row(self, told: Dispatch) -> bool:
        is_first, is_new = not self.hours, False
        self.heartbeat_s, self.is_signed = told.heartbeat_s, told.is_signed
        for each in told.hours:
            known = self.hours.get(each.obligation_id)
            if known is None:
                known = Hour(each.obligation_id, to_ns(each.period_start), each.cards, to_ns(each.sold), each.reading)
                known.was_served = is_first and told.has_access
                self.hours[each.obligation_id], is_new = known, True
            if each.failing and not known.failing:
                known.failing, is_new = each.failing, True
        self.has_access |= told.has_access
        if is_first:
            self.is_finished = told.is_finished  # from then on we know better than a list that was on its way
        return is_new

    def environment(self, hours: list[Hour]) -> Mapping[str, str]:
        """What the work is told about itself; hours: those of the period it is started in."""
        cards = sum((hour.cards for hour in hours), Decimal(0))
        periods = len({hour.start_ns for hour in self.hours.values()})
        return {
            "CPX_LEASE": self.lease_id, "CPX_SITE": self.site, "CPX_CHIP": self.chip, "CPX_CARDS": format(cards, "f"),
            "CPX_PERIODS": str(periods), "CPX_DATA_REGION": self.data_region, "CPX_DATA_GB": format(self.data_gb, "f"),
            "CPX_BUYER": self.buyer,
        }  # fmt: skip


def to_ns(moment: datetime) -> int:
    """Nanoseconds since 1970, of its whole seconds."""
    return int(moment.timestamp()) * NS_PER_S
