"""A bundled demo day, small: every command with its number, the venue's time after it, and its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.sequencer import Answer
from exchange.replay.driver import Driver
from exchange.replay.scenario import DEMO_VENUE, market_day
from exchange.replay.view import VenueView


@dataclass
class Sample:
    """What was applied, in order, and the venue at the end."""

    venue: Venue
    applied: list[tuple[int, int, Any, list[Any]]]

    settings = DEMO_VENUE

    @property
    def commands(self) -> list[Any]:
        """All commands."""
        return [command for _, _, command, _ in self.applied]


def run_sample(tasks: int = 150, seed: int = 1) -> Sample:
    """Drives the day to its end."""
    venue, applied = Venue(), list[tuple[int, int, Any, list[Any]]]()
    desk = Desk(venue)

    def apply(command: Any) -> Answer:
        is_stop = desk.ends_frame(command)
        seq = len(applied) + 1
        events = venue.apply(seq, command)
        applied.append((seq, venue.now_ns, command, events))
        desk.on_command(*applied[-1])
        for follows in desk.due(venue.now_ns) if is_stop else ():
            apply(follows)
        return Answer(seq, events)

    def submit(commands: list[Any]) -> list[Answer]:
        return [apply(command) for command in commands]

    driver = Driver(market_day(seed, tasks), VenueView(venue), submit, seed=seed, shortfall_ppm=60_000)
    for _ in driver.run():
        pass
    return Sample(venue, applied)


def venue_after(sample: Sample, count: int) -> Venue:
    """The venue as it was after so many commands."""
    venue = Venue()
    for seq, _, command, _ in sample.applied[:count]:
        venue.apply(seq, command)
    return venue
