"""The endless market of a demo server: the bundled day, then the next one, with sites and names of its own each.

Day n is the scenario of seed + n modulo WEEK, moved by n days. A scenario draws where its sites stand and what they have,
so every one has sites of its own; after a week the first ones come again, long after their last hours were delivered.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from exchange.domain.commands import (
    AddSite,
    AnnounceOutage,
    AttestCapacity,
    Deposit,
    PlaceOffer,
    PostBond,
    SetVenue,
    SubmitTask,
)
from exchange.domain.units import NS_PER_DAY
from exchange.replay.market_day import MarketDay, Outage, TimedRow
from exchange.replay.scenario import market_day

WEEK = 7  # scenarios, then the first again


class CrowdPlan(NamedTuple):
    """Which market goes on: first seed, tasks a day, the venue's measures, and when day 0 begins."""

    seed: int
    tasks: int
    settings: SetVenue
    origin_ns: int

    def day_at(self, now_ns: int) -> int:
        """The number of the day that a time of the venue belongs to."""
        return max(0, (now_ns - self.origin_ns) // NS_PER_DAY)

    def start_ns(self, number: int) -> int:
        """When a day's first row may come."""
        return self.origin_ns + number * NS_PER_DAY


def crowd_day(plan: CrowdPlan, number: int) -> MarketDay:
    """Day `number`: the scenario's, with sites, offers and tasks that no other day of the same week has."""
    scenario = number % WEEK
    day = market_day(plan.seed + scenario, plan.tasks, plan.start_ns(number), plan.settings)
    if number == 0:
        return day
    return replace(
        day,
        participants=tuple(_renamed(command, scenario, number) for command in day.participants),
        sites=tuple(_renamed(command, scenario, number) for command in day.sites),
        attestations=tuple(_renamed(command, scenario, number) for command in day.attestations),
        rows=tuple(TimedRow(row.time_ns, _renamed(row.command, scenario, number)) for row in day.rows),
        outages=tuple(
            Outage(_site(outage.site, scenario), outage.start_ns, outage.end_ns, outage.announced_ns) for outage in day.outages
        ),
    )


def _site(name: str, scenario: int) -> str:
    return f"{name}.{scenario}" if scenario else name


def _renamed(command: Any, scenario: int, number: int) -> Any:
    """The same command under the names of its day; what has none is as it was."""
    kind = type(command)
    if kind in (AddSite, AttestCapacity, AnnounceOutage):
        return replace(command, site=_site(command.site, scenario))
    if kind is PlaceOffer:
        return replace(command, site=_site(command.site, scenario), offer_id=f"{command.offer_id}.{number}")
    if kind is SubmitTask:
        named = f"{command.task.client_order_id}.{number}"
        return replace(command, task=replace(command.task, client_order_id=named))
    if kind is Deposit:
        return replace(command, reference=f"day {number}")
    return command


def money_commands(day: MarketDay) -> list[Deposit | PostBond]:
    """What comes in for a day: deposits by the operator, bonds by the providers, in order."""
    return [command for command in day.participants if isinstance(command, Deposit | PostBond)]
