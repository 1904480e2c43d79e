"""A market day to store, and everything that a database holds as text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from exchange.adapters.journal_file import read_commands
from exchange.adapters.store import Store
from exchange.adapters.tables import TABLES
from exchange.domain.venue import Venue
from exchange.engine.journal import make_record
from exchange.engine.sequencer import Machine
from exchange.projections import Projections
from exchange.replay.run import RunOptions, run_day
from exchange.replay.scenario import market_day

EXCHANGE_ID = bytes(range(16))
Applied = tuple[int, int, Any, Any]


@dataclass(frozen=True)
class Sample:
    """What was applied, and what others make of it."""

    folder: Path
    applied: list[Applied]
    venue: Venue
    projections: Projections


def run_sample(folder: Path) -> Sample:
    """Runs the day into a folder and applies its journal once more."""
    run_day(market_day(1, 150), RunOptions(folder, shortfall_ppm=60_000), lambda progress: None)
    machine, projections, applied = Machine(Venue()), Projections(), []
    for logged in read_commands(folder):
        events = machine.apply(make_record(logged.command), logged.command)
        applied.append((logged.seq, machine.venue.now_ns, logged.command, events))
        projections.on_command(*applied[-1])
    return Sample(folder, applied, machine.venue, projections)


def feed(store: Store, applied: Iterable[Applied], every: int = 0) -> None:
    """Gives a store commands and writes them, in one go or after every so many."""
    for place, item in enumerate(applied, 1):
        store.on_command(*item)
        if every and place % every == 0:
            store.flush()
    store.flush()


def filled(url: str, applied: Iterable[Applied], every: int = 0) -> Store:
    """An open store that holds these commands."""
    store = Store.open(url, EXCHANGE_ID)
    feed(store, applied, every)
    return store


def dump(store: Store) -> bytes:
    """Every row of every table, in order of their keys."""
    lines = []
    with store.reader.connect() as connection:
        for name, table in sorted(TABLES.items()):
            for row in connection.execute(select(table).order_by(*table.primary_key)):
                lines.append(f"{name} {tuple(row)!r}")
    return "\n".join(lines).encode()


def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Returns when a condition holds; AssertionError when it does not within the deadline."""
    end_s, pause = time.monotonic() + deadline_s, threading.Event()
    while not condition():
        assert time.monotonic() < end_s, "the deadline has passed"
        pause.wait(0.01)
