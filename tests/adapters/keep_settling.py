"""A market in which hours fail, are bought in and busted, through journal, venue, rows and statements, until somebody kills it.

`script` makes the commands, always the same; `go_on` takes them from where a folder ends. As a program it goes on with one
folder and says after every frame how far it is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

from exchange.adapters.journal_file import open_sequencer
from exchange.adapters.statement_files import write_statements
from exchange.adapters.store import Store, default_url
from exchange.domain import commands as c
from exchange.domain.buy_in import is_curable
from exchange.domain.commands_delivery import DeclareFailure
from exchange.domain.venue import Venue
from exchange.engine.sequencer import Sequencer
from exchange.projections.calendar import Calendar
from exchange.testing.settle_market import Market

TRADES, HOURS = 240, 6


def script(trades: int = TRADES, hours: int = HOURS, seed: int = 1) -> list[Any]:
    """The commands."""
    venue, rng, made = Venue(), Random(seed), []

    def apply(command: Any) -> None:
        made.append(command)
        venue.apply(len(made), command)

    for step in Market(venue, trades, hours, seed).steps():
        for command in step.commands:
            apply(command)
            if type(command) is c.SetFix:
                _spoil(venue, rng, apply)
    return made


def _spoil(venue: Venue, rng: Random, apply: Any) -> None:
    """Something happens to one of the open obligations."""
    number = rng.choice(sorted(venue.state.obligations))
    due, what = venue.state.obligations[number], rng.random()
    if what < 0.3:
        apply(DeclareFailure(due.seller, number))
        if is_curable(venue, number):
            apply(c.BuyIn(number))
    elif what < 0.5:
        apply(c.BustTrade(number, "a mistake"))
    elif what < 0.7:
        apply(c.AdjustTrade(number, rng.randint(800, 1200) * 10_000, "a mistake"))


def opened(folder: Path) -> tuple[Sequencer, Store]:
    """Journal, venue and rows as they are in a folder, the rows caught up."""
    store = _store(folder)
    sequencer, _ = open_sequencer(
        folder, Venue, Venue.restore, (store.on_command,), on_replay=store.on_replay, not_after=store.offset
    )  # fmt: skip
    store.flush()
    return sequencer, store


def _store(folder: Path) -> Store:
    return Store.open(default_url(folder), bytes(16))


def go_on(folder: Path, commands: list[Any], tell: Any = None, every: int = 1) -> bytes:
    """Everything from where the folder ends, then the statements; the hash over all events."""
    sequencer, store = opened(folder)
    for place in range(sequencer.seq, len(commands), every):
        sequencer.submit(commands[place : place + every])
        if tell is not None:
            tell(sequencer.seq)
        store.flush()
    calendar, venue = Calendar(), sequencer.venue
    calendar.configure(venue.settings)
    with store.reader.connect() as connection:
        tariffs = {tariff.version: tariff for tariff in venue.state.tariffs}
        write_statements(connection, calendar, tariffs, folder / "statements")
    found = sequencer.event_hash
    venue.check()
    store.close()
    sequencer.close_log()
    return found


if __name__ == "__main__":
    go_on(Path(sys.argv[1]), script(), lambda seq: print(seq, flush=True), every=3)
    print("end", flush=True)
