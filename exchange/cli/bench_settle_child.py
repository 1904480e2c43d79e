"""What `cpx bench settle` measures in a process of its own: one figure, then the process ends.

`python -m exchange.cli.bench_settle_child run TRADES HOURS FOLDER URL` and `… pure LINES` write one JSON object; on standard
error it says which hour is at hand. Time is that of a clock on the wall, so nothing else should run beside it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from exchange.adapters.journal_file import open_log
from exchange.adapters.statement_files import write_statements
from exchange.adapters.store import Store, default_url
from exchange.domain.checks import check_venue
from exchange.domain.commands import SettlePeriod
from exchange.domain.events import Settled
from exchange.domain.settlement import Due, Lease, settle
from exchange.domain.venue import Venue
from exchange.engine.sequencer import Sequencer
from exchange.projections.calendar import Calendar
from exchange.testing.settle_market import SEED, Market

PURE_PASSES, PURE_CHUNK = 3, 50_000


class _TimedVenue(Venue):
    """Knows how long its settlements took."""

    settle_s = 0.0

    def apply(self, seq: int, command: Any, **words: Any) -> list[Any]:
        """As it is."""
        started = time.perf_counter()
        events = super().apply(seq, command, **words)
        if type(command) is SettlePeriod:
            self.settle_s += time.perf_counter() - started
        return events


class _Run:
    """A market through journal, venue and database; the settlement's share of it by what it was for."""

    def __init__(self, trades: int, hours: int, folder: Path, url: str) -> None:
        self.venue = _TimedVenue()
        self.market = Market(self.venue, trades, hours)
        log = open_log(folder / "journal")
        self.store = Store.open(url or default_url(folder), log.exchange_id)
        self._folder = folder
        self._sequencer = Sequencer(self.venue, log, (self.store.on_command,))
        self.lines = self.statements = 0
        self.cpu_s = 0.0  # of everything that is measured
        self.spent = dict.fromkeys(("journal", "database", "statements"), 0.0)

    def run(self) -> None:
        """The whole script, then the statements of its days."""
        told = -1
        for step in self.market.steps():
            if step.is_settlement:
                self._settle(step.commands)
            else:
                for answer in self._sequencer.submit(step.commands):
                    self.market.take(answer.events)
                if self.store.pending > 5_000:
                    self.store.flush()
            if step.hour != told:
                told = step.hour
                _say(f"hour {told}")
        check_venue(self.venue)
        self._write_statements()

    def _settle(self, commands: Sequence[Any]) -> None:
        self.store.flush()
        started, domain_s, cpu_s = time.perf_counter(), self.venue.settle_s, time.process_time()
        answers = self._sequencer.submit(commands)
        applied = time.perf_counter()
        self.store.flush()
        self.spent["database"] += time.perf_counter() - applied
        self.cpu_s += time.process_time() - cpu_s
        self.spent["journal"] += applied - started - (self.venue.settle_s - domain_s)
        for answer in answers:
            self.market.take(answer.events)
            self.lines += sum(type(event) is Settled for event in answer.events)

    def _write_statements(self) -> None:
        self.store.flush()
        started, cpu_s, calendar = time.perf_counter(), time.process_time(), Calendar()
        calendar.configure(self.venue.settings)
        tariffs = {tariff.version: tariff for tariff in self.venue.state.tariffs}
        with self.store.reader.connect() as connection:
            self.statements = write_statements(connection, calendar, tariffs, self._folder / "statements")
        self.spent["statements"] = time.perf_counter() - started
        self.cpu_s += time.process_time() - cpu_s

    def close(self) -> None:
        """Lets everything go."""
        self.store.close()
        self._sequencer.close_log()


def run(trades: str, hours: str, folder: str, url: str) -> dict[str, Any]:
    """A market of so many trades, settled hour by hour on a database, with the statements of its days."""
    started = time.perf_counter()
    market = _Run(int(trades), int(hours), Path(folder), url)
    market.run()
    market.close()
    domain_s = market.venue.settle_s
    return {
        "trades": market.market.trades, "lines": market.lines, "statements": market.statements, "domain_s": domain_s,
        **{f"{name}_s": spent for name, spent in market.spent.items()}, "settle_s": domain_s + sum(market.spent.values()),
        "cpu_s": market.cpu_s, "wall_s": time.perf_counter() - started,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def pure(lines: str) -> dict[str, Any]:
    """Lines a second of the pure function alone, leases in, lines out; median of the passes."""
    rng, count, speeds = Random(SEED), int(lines), []
    for _ in range(PURE_PASSES):
        made, spent = 0, 0.0
        while made < count:
            leases = [_lease(rng, number) for number in range(min(PURE_CHUNK, count - made))]
            started = time.perf_counter()
            made += sum([len(settle(lease)) for lease in leases])
            spent += time.perf_counter() - started
        speeds.append(made / spent)
    return {"lines": count, "lines_per_s": sorted(speeds)[PURE_PASSES // 2]}


def _lease(rng: Random, number: int) -> Lease:
    """One hour of a lease: 98 of a hundred delivered in full."""
    lots, price = rng.randint(1, 8), rng.randint(8_000_000, 12_000_000)
    accepted = lots if rng.random() < 0.98 else rng.randrange(lots)
    due = Due(
        number, 5, lots, accepted, lots * price, lots * price // 200, 1000, price, price * 11 // 10, price * 12 // 10, 100_000,
        seller="P1", site="s1",
    )  # fmt: skip
    return Lease(number, 5, "hourly", "continue", (due,), lots, 1000)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


FIGURES: dict[str, Callable[..., dict[str, Any]]] = {"run": run, "pure": pure}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(FIGURES[sys.argv[1]](*sys.argv[2:])))
