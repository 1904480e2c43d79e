"""A run's journal for whoever reads all of it: found by the folder, and held so that no venue writes in it meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exchange.adapters.journal_file import Lock, list_segments, locate
from exchange.engine.journal import JournalMissing
from exchange.engine.recovery import LogReader


def open_journal(folder: Path) -> LogReader:
    """Not held: a venue may go on writing behind what is read. JournalMissing, JournalError."""
    places = locate(folder)
    segments = list_segments(places.journal)
    if not segments:
        raise JournalMissing(f"there is no journal in {places.journal}: give the folder of a run")
    return LogReader(segments)


@contextmanager
def held_journal(folder: Path) -> Iterator[LogReader]:
    """As `open_journal`; JournalInUse while a venue writes in it, OSError."""
    lock = Lock(locate(folder).journal, shared=True)
    try:
        yield open_journal(folder)
    finally:
        lock.release()
