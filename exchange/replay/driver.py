"""Drives a market day through a venue: what the clock, the providers' meters and the operator would send, hour by hour.

A deterministic function of the day and of what the venue has answered, so that a run that was killed can be resumed:
the driver starts from the beginning, the journal answers for what is in it already, and the rest is new.
One period at a time: rows in order of time; before a gate the fixes; after a period its readings; after the dispute
window its settlement. Idle stretches (no rows, nothing open, nothing waiting that could still be filled) are skipped in
one step; the run ends when nothing is left to send, wait for or settle.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from exchange.domain.commands import AdvanceTime, CountersignReading, SetFix, SettlePeriod, SubmitReading
from exchange.domain.events import Refused, Traded
from exchange.domain.instrument import book_id
from exchange.domain.prices import GRADE_B_WINDOW_NS, Print, fix_ticks
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.replay.market_day import MarketDay, Outage

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
    """Sends a `MarketDay` through `submit`; `venue` is only read, between two submits."""

    def __init__(self, day: MarketDay, venue: Venue, submit: Submit, *, seed: int, shortfall_ppm: int) -> None:
        self._day, self._venue, self._submit_raw = day, venue, submit
        self._seed, self._shortfall_ppm = seed, shortfall_ppm
        self._prints: dict[int, list[Print]] = {}  # by book, kept until its fix is set
        self._next_row = 0
        self.offers_refused: Counter = Counter()  # reason -> offers

    def run(self) -> Iterator[Progress]:
        """Runs to the end of the day, yielding after every period."""
        self._submit([AdvanceTime(self._day.start_ns), *self._day.setup()], is_setup=True)
        grid = self._venue.periods
        period = grid.at(self._day.start_ns)
        while True:
            self._run_period(period)
            yield Progress(self._next_row, len(self._day.rows), self._venue.now_ns)
            following = self._next_busy_period(period)
            if following is None:
                return
            period = following

    def _submit(self, commands: list[Any], *, is_setup: bool = False) -> None:
        """Sends a batch and reads its answers, each at the time that the clock had come to by then."""
        if not commands:
            return
        now_ns = self._venue.now_ns
        for command, answer in zip(commands, self._submit_raw(commands), strict=True):
            if type(command) is AdvanceTime:
                now_ns = command.now_ns
            for event in answer.events:
                if type(event) is Traded:
                    self._remember(event, now_ns)
                elif type(event) is Refused:
                    self._note_refusal(event, is_setup)

    def _note_refusal(self, refused: Refused, is_setup: bool) -> None:
        if is_setup or refused.command == "AdvanceTime":
            what = f"{refused.command} {refused.reference}".rstrip()
            raise DayRefused(f"the venue refused {what}: {refused.message} ({refused.reason}); mend the inputs")
        if refused.command == "PlaceOffer":
            self.offers_refused[refused.reason] += 1

    def _remember(self, trade: Traded, now_ns: int) -> None:
        """Keeps a trade and its time for the fix of its instrument."""
        venue = self._venue
        firms = (venue.state.participants[trade.buyer].firm, venue.state.participants[trade.seller].firm)
        family, period = venue.instrument(trade.instrument)
        ticks = trade.price_micro // venue.settings.tick_micro
        self._prints.setdefault(book_id(family, period), []).append(Print(now_ns, ticks, trade.lots, *firms))

    # --- one period ---

    def _run_period(self, period: int) -> None:
        """From the end of the period before to the end of this one."""
        grid = self._venue.periods
        gate_ns = grid.gate(period + 1)
        self._submit(self._rows_until(gate_ns - NS_PER_SECOND, clock_ns=gate_ns - NS_PER_SECOND))
        self._submit(self._fixes(period + 1, gate_ns))
        end_ns = grid.start(period + 1)
        self._submit(self._rows_until(end_ns - 1, clock_ns=end_ns))
        self._submit(self._readings(period))
        self._submit(self._settlements(end_ns))

    def _rows_until(self, until_ns: int, *, clock_ns: int) -> list[Any]:
        """Every row up to a time, each at its own moment, then the clock at clock_ns, where it is not there yet."""
        commands: list[Any] = []
        clock = self._venue.now_ns
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

    def _fixes(self, period: int, gate_ns: int) -> list[SetFix]:
        """DI4 for every instrument of a period that traded or is offered, just before its gate."""
        venue, fixes = self._venue, []
        for family in venue.state.families:
            book = book_id(family.number, period)
            prints = [p for p in self._prints.pop(book, ()) if p.time_ns > gate_ns - GRADE_B_WINDOW_NS]
            best_ask = venue.core.top(book)[2]
            if not prints and not best_ask:
                continue
            found = fix_ticks(prints, gate_ns, best_ask)
            if found is not None:
                inputs = repr((venue.instrument_code(family.number, period), prints, best_ask)).encode()
                digest = blake2b(inputs, digest_size=16).hexdigest()
                price_micro = found[0] * venue.settings.tick_micro
                code = venue.instrument_code(family.number, period)
                fixes.append(SetFix(code, price_micro, found[1], digest))
        return fixes

    def _readings(self, period: int) -> list[SubmitReading | CountersignReading]:
        """What the meters of a period say: all of it, but for outages and a seeded few that fall short; buyers answer."""
        venue = self._venue
        readings: list[SubmitReading | CountersignReading] = []
        for number in sorted(venue.obligations_of_period.get(period, ())):
            due = venue.state.obligations[number]
            delivered, draw = due.lots, self._draw(number)
            if any(self._hits(outage, due.site, period) for outage in self._day.outages):
                delivered = 0
            elif draw % 1_000_000 < self._shortfall_ppm:
                delivered = (draw >> 32) % due.lots
            readings.append(SubmitReading(due.seller, number, 1, delivered))
            if delivered == due.lots and (draw >> 24) % 16 < COUNTERSIGNED_OF_16:
                readings.append(CountersignReading(due.buyer, number, 1))
        return readings

    def _hits(self, outage: Outage, site: str, period: int) -> bool:
        grid = self._venue.periods
        return outage.site == site and outage.start_ns < grid.start(period + 1) and grid.start(period) < outage.end_ns

    def _draw(self, number: int) -> int:
        """64 bits that depend on the seed and the obligation only."""
        digest = blake2b(f"{self._seed}:{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    def _settlements(self, now_ns: int) -> list[SettlePeriod]:
        """Every period whose dispute window has ended and that has something to settle, in order."""
        venue, grid = self._venue, self._venue.periods
        window_ns = venue.settings.dispute_min * NS_PER_MINUTE
        due = [p for p in venue.obligations_of_period if grid.start(p + 1) + window_ns <= now_ns]
        return [SettlePeriod(grid.start(p)) for p in sorted(due) if p >= venue.state.settled_end]

    # --- what comes next ---

    def _next_busy_period(self, period: int) -> int | None:
        """The next period in which anything can happen; None when nothing is left to happen."""
        state, grid = self._venue.state, self._venue.periods
        if state.obligations or state.bids or (state.tasks and state.offers):
            return period + 1
        rows = self._day.rows
        moments = [rows[self._next_row][0]] if self._next_row < len(rows) else []
        if state.tasks:  # without an offer they can only die
            moments.append(min(entry.dies_ns for entry in state.tasks.values()))
        return max(period + 1, grid.at(min(moments))) if moments else None
