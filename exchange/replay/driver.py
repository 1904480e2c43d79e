"""Drives a market day through a venue: what the clock, the buyers, the providers and their meters would send, by the hour.

A deterministic function of the day and of what the venue has answered, so that a run that was killed can be resumed:
the driver starts from the beginning, the journal answers for what is in it already, and the rest is new.
One period at a time: what fails in the next one, as far as it is known, rows in order of time, a stop before the gate,
and after the end of the period its readings. Fixes, buy-ins and settlements are the operator's (`exchange.engine.desk`):
they follow where the clock comes to their stops. Idle stretches (no rows, nothing open, nothing waiting that could still be
filled) are skipped in one step; the run ends when nothing is left to send, wait for or settle.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from exchange.domain.commands import AdvanceTime, CountersignReading, SubmitReading
from exchange.domain.commands_delivery import DeclareFailure
from exchange.domain.events import Refused
from exchange.domain.instrument import Periods
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.replay.market_day import MarketDay, Outage
from exchange.replay.view import View

Submit = Callable[[list[Any]], list[Any]]  # commands -> answers with .events
COUNTERSIGNED_OF_16 = 11  # so many of 16 readings are countersigned by the buyer; the rest stand undisputed


class DayRefused(Exception):
    """The venue refused its own clock or set-up: what follows would be another market than the one that was asked for."""

    exit_code = 65


@dataclass(slots=True)
class Progress:
    """How far the run is, for a bar: rows sent of all rows, and the venue's time."""

    rows_done: int
    rows_total: int
    now_ns: int


class Driver:
    """Sends a `MarketDay` through `submit` to a new venue; `view` is asked only between two submits."""

    def __init__(self, day: MarketDay, view: View, submit: Submit, *, seed: int, shortfall_ppm: int) -> None:
        self._day, self._view, self._submit_raw = day, view, submit
        self._seed, self._shortfall_ppm = seed, shortfall_ppm
        self._grid = Periods(day.settings.period_min * NS_PER_MINUTE, day.settings.gate_min * NS_PER_MINUTE)
        self._now_ns = 0  # the venue's time, since nobody else moves it
        self._next_row = 0
        self.offers_refused: Counter = Counter()  # reason -> offers
        self._declared: set[int] = set()  # obligations whose failure was told ahead

    def run(self) -> Iterator[Progress]:
        """Runs to the end of the day, yielding after every period."""
        self._submit([AdvanceTime(self._day.start_ns), *self._day.setup()], is_setup=True)
        period = self._grid.at(self._day.start_ns)
        while True:
            self._run_period(period)
            yield Progress(self._next_row, len(self._day.rows), self._now_ns)
            following = self._next_busy_period(period)
            if following is None:
                return
            period = following

    def _submit(self, commands: list[Any], *, is_setup: bool = False) -> None:
        """Sends a batch and reads its answers."""
        if not commands:
            return
        for command, answer in zip(commands, self._submit_raw(commands), strict=True):
            for event in answer.events:
                if type(event) is Refused:
                    self._note_refusal(event, is_setup)
            if type(command) is AdvanceTime:
                self._now_ns = command.now_ns

    def _note_refusal(self, refused: Refused, is_setup: bool) -> None:
        if is_setup or refused.command == "AdvanceTime":
            what = f"{refused.command} {refused.reference}".rstrip()
            raise DayRefused(f"the venue refused {what}: {refused.message} ({refused.reason}); mend the inputs")
        if refused.command == "PlaceOffer":
            self.offers_refused[refused.reason] += 1

    # --- one period ---

    def _run_period(self, period: int) -> None:
        """From the end of the period before to the end of this one."""
        self._submit(self._failures(period + 1))
        stop_ns = self._grid.gate(period + 1) - NS_PER_SECOND
        self._submit(self._rows_until(stop_ns, clock_ns=stop_ns))
        end_ns = self._grid.start(period + 1)
        self._submit(self._rows_until(end_ns - 1, clock_ns=end_ns))
        self._submit(self._readings(period))

    def _rows_until(self, until_ns: int, *, clock_ns: int) -> list[Any]:
        """Every row up to a time, each at its own moment, then the clock at clock_ns, where it is not there yet."""
        commands: list[Any] = []
        clock = self._now_ns
        rows = self._day.rows
        while self._next_row < len(rows) and rows[self._next_row][0] <= until_ns:
            time_ns, command = rows[self._next_row]
            if time_ns > clock:
                clock = time_ns
                commands.append(AdvanceTime(clock))
            commands.append(command)
            self._next_row += 1
        if clock_ns > clock:
            commands.append(AdvanceTime(clock_ns))
        return commands

    def _failures(self, period: int) -> list[DeclareFailure]:
        """Every second obligation that will fall short is declared before the gate of its period, as far as it is sold."""
        if not self._shortfall_ppm:
            return []
        failing = [
            due for due in self._view.due_in(self._grid.start(period))
            if self._falls_short(self._draw(due.number)) and (self._draw(due.number) >> 50) % 2
        ]  # fmt: skip
        self._declared |= {due.number for due in failing}
        return [DeclareFailure(due.seller, due.number) for due in failing]

    def _falls_short(self, draw: int) -> bool:
        return draw % 1_000_000 < self._shortfall_ppm

    def _readings(self, period: int) -> list[SubmitReading | CountersignReading]:
        """What the meters of a period say: all of it, but for outages and a seeded few that fall short; buyers answer."""
        readings: list[SubmitReading | CountersignReading] = []
        for due in self._view.due_in(self._grid.start(period)):
            if due.number in self._declared:
                continue  # of these nothing counts
            delivered, draw = due.lots, self._draw(due.number)
            if any(self._hits(outage, due.site, period) for outage in self._day.outages):
                delivered = 0
            elif self._falls_short(draw):
                delivered = (draw >> 32) % due.lots
            readings.append(SubmitReading(due.seller, due.number, 1, delivered))
            if delivered == due.lots and (draw >> 24) % 16 < COUNTERSIGNED_OF_16:
                readings.append(CountersignReading(due.buyer, due.number, 1))
        return readings

    def _hits(self, outage: Outage, site: str, period: int) -> bool:
        grid = self._grid
        return outage.site == site and outage.start_ns < grid.start(period + 1) and grid.start(period) < outage.end_ns

    def _draw(self, number: int) -> int:
        """64 bits that depend on the seed and the obligation only."""
        digest = blake2b(f"{self._seed}:{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    # --- what comes next ---

    def _next_busy_period(self, period: int) -> int | None:
        """The next period in which anything can happen; None when nothing is left to happen."""
        work = self._view.open_work()
        if work.has_obligations or work.has_bids or (work.has_tasks and work.has_offers):
            return period + 1
        rows = self._day.rows
        moments = [rows[self._next_row][0]] if self._next_row < len(rows) else []
        if work.has_tasks:  # without an offer they can only die
            moments.append(work.first_death_ns)
        return max(period + 1, self._grid.at(min(moments))) if moments else None
