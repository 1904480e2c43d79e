"""All read models of a run behind one sink."""

from typing import Any

from exchange.projections.calendar import Calendar
from exchange.projections.deliveries import Deliveries
from exchange.projections.failures import Failures
from exchange.projections.green import Green
from exchange.projections.indices import Indices
from exchange.projections.ledger import Ledger
from exchange.projections.supply import Supply
from exchange.projections.tape import Tape
from exchange.projections.tasks import Tasks


class Projections:
    """Feed `on_command` with every applied command from the first one on, in order; then read the parts."""

    def __init__(self) -> None:
        self.calendar = Calendar()
        self.ledger = Ledger(self.calendar)
        self.tape = Tape()
        self.tasks = Tasks(self.calendar)
        self.deliveries = Deliveries()
        self.green = Green(self.calendar)
        self.failures = Failures()
        self.supply = Supply(self.calendar, self.tape)
        self.indices = Indices()
        parts = (
            self.calendar, self.ledger, self.tape, self.tasks, self.deliveries, self.green, self.failures, self.supply,
            self.indices,
        )  # fmt: skip
        self._sinks = tuple(part.on_command for part in parts)

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """One applied command: its number, the venue's time after it, itself, its events."""
        for sink in self._sinks:
            sink(seq, ts_ns, command, events)

    def settlement_totals(self) -> dict[str, int]:
        """Number of settled obligations and sums in micro-yuan."""
        return self.deliveries.totals()
