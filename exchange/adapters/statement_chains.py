"""Hashes and confirmations of statements in a file of their own beside the journal (docs/decisions/0022).

A hash can be made again from the tables at any time; a confirmation cannot, so it is on the disk before it is answered.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

from exchange.ports_statements import ChainRow

FILE = "statements.db"
_TABLE = """
CREATE TABLE IF NOT EXISTS chain (
    participant TEXT NOT NULL, day TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL,
    confirmed_ns INTEGER NOT NULL, PRIMARY KEY (participant, day)
) WITHOUT ROWID
"""
_COLUMNS = "SELECT participant, day, previous_hash, hash, confirmed_ns FROM chain "


class ChainFile:
    """The chains of one folder; a `Chains`."""

    def __init__(self, folder: Path) -> None:
        """Makes the file where there is none, mode 0600."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        path.touch(mode=0o600)
        self._lock = Lock()
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(_TABLE)

    def last(self, participant: str) -> ChainRow | None:
        """The newest day of a participant's chain."""
        return self._one("WHERE participant = ? ORDER BY day DESC LIMIT 1", participant)

    def find(self, participant: str, day: str) -> ChainRow | None:
        """One day of the chain."""
        return self._one("WHERE participant = ? AND day = ?", participant, day)

    def add(self, row: ChainRow) -> None:
        """The next day of a chain; one that is there already stays as it is."""
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO chain VALUES (?, ?, ?, ?, ?)", row)

    def confirm(self, participant: str, day: str, confirmed_ns: int) -> ChainRow:
        """Notes that the participant agrees with a day; the first time counts."""
        update = "UPDATE chain SET confirmed_ns = ? WHERE participant = ? AND day = ? AND confirmed_ns = 0"
        with self._lock:
            self._connection.execute(update, (max(1, confirmed_ns), participant, day))
        row = self.find(participant, day)
        assert row is not None, (participant, day)
        return row

    def days(self, participant: str, after: str, limit: int) -> Sequence[ChainRow]:
        """A participant's days in order, those behind `after`."""
        return self._all("WHERE participant = ? AND day > ? ORDER BY day LIMIT ?", participant, after, limit)

    def confirmed(self, after: tuple[str, str], limit: int) -> Sequence[ChainRow]:
        """Everybody's confirmed days by (participant, day), those behind `after`."""
        where = "WHERE confirmed_ns > 0 AND (participant, day) > (?, ?) ORDER BY participant, day LIMIT ?"
        return self._all(where, *after, limit)

    def close(self) -> None:
        """Lets the file go."""
        with self._lock:
            self._connection.close()

    def _one(self, where: str, *values: object) -> ChainRow | None:
        rows = self._all(where, *values)
        return rows[0] if rows else None

    def _all(self, where: str, *values: object) -> list[ChainRow]:
        with self._lock, closing(self._connection.execute(_COLUMNS + where, values)) as found:
            return [ChainRow(*row) for row in found]
