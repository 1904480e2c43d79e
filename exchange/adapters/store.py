"""The SQL projection: every applied command's rows, in one transaction with the number of the command (D17, D18).

Feed it with `on_command`, write with `flush`. Whatever happens to it, the journal makes the same rows again. A live
exchange has it in a process of its own: `store_process` is that one, `store_link` the server's end.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from sqlalchemy import URL, Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from exchange.adapters.database import (
    StoreError,
    StoreUnavailable,
    default_url,
    first_line,
    parse_url,
    prepare,
    reader_engine,
    shown,
    writer_engine,
)
from exchange.adapters.projector import Batch, Projector
from exchange.adapters.store_insert import insert_rows
from exchange.adapters.store_lock import StoreLock, take_lock
from exchange.adapters.tables import TABLES
from exchange.engine.collecting import uncollected

__all__ = ["OtherWriter", "Store", "StoreBehind", "StoreError", "StoreUnavailable", "default_url"]

MAX_BATCH = 10_000  # commands of one transaction
_OFFSET = TABLES["offset_row"]


class StoreBehind(Exception):
    """The store takes no more commands; it catches up from the journal when the exchange starts anew."""


class OtherWriter(Exception):
    """Somebody else has written into these tables."""


class _Applied(NamedTuple):
    seq: int
    ts_ns: int
    command: Any
    events: Sequence[Any]


class _Due(NamedTuple):
    """Rows that are to be written, and what the offset is then."""

    seq: int
    ts_ns: int
    batch: Batch


class Store:
    """One database of one exchange. One thread feeds and writes; `reader` and the numbers are anybody's."""

    def __init__(self, url: URL, exchange_id: bytes, lock: StoreLock | None) -> None:
        """For `open`."""
        self.url, self.exchange_id = url, exchange_id
        self.notes: list[str] = []
        self._lock = lock
        self._writer: Engine = writer_engine(url)
        prepare(self._writer, exchange_id, self.notes)
        self._projector = Projector()
        with self._writer.connect() as connection:
            self._offset = int(connection.execute(select(_OFFSET.c.seq)).scalar_one())
            self._projector.load(connection)
        self.reader: Engine = reader_engine(url)
        self._taken = self._offset  # the last command that was put into the queue
        self._queue: deque[_Applied] = deque()
        self._due: _Due | None = None
        self._problem = ""
        self._has_fault = False  # nothing more is written

    @classmethod
    def open(cls, url: str, exchange_id: bytes, *, lock_wait_s: float | None = None) -> Self:
        """The store at a URL, made if there is none; StoreError (exit codes 69, 78) where it must not be used.

        With lock_wait_s it is the only one that writes there until it lets go, and waits so long for another to end.
        """
        parsed = parse_url(url)
        lock = None if lock_wait_s is None else take_lock(parsed, lock_wait_s)
        try:
            return cls(parsed, exchange_id, lock)
        except BaseException as error:
            if lock is not None:
                lock.release()
            if isinstance(error, SQLAlchemyError):
                raise StoreUnavailable(f"{shown(parsed)} cannot be read: {first_line(error)}") from error
            raise

    # --- what it says of itself ---

    @property
    def offset(self) -> int:
        """Number of the last command whose rows are stored; a killed process finds the same again."""
        return self._offset

    @property
    def pending(self) -> int:
        """Commands that have been taken and are not stored yet."""
        return self._taken - self._offset

    @property
    def problem(self) -> str:
        """Why it takes no more; "" while it does."""
        return self._problem

    def check_against(self, log_end_seq: int) -> None:
        """StoreError where the tables know commands that the journal, which ends with log_end_seq, does not have."""
        if self._offset > log_end_seq:
            raise StoreError(
                f"the database {shown(self.url)} holds commands up to {self._offset}, the journal ends with "
                f"{log_end_seq}: put the newer journal back; or, to give those commands up, move the database away and it "
                "is made anew from the journal"
            )

    # --- what comes in ---

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """The sink; cheap. A command that is stored already is passed over. StoreBehind where one is missing before it."""
        if seq <= self._taken:
            return
        if not self._problem and seq != self._taken + 1:
            self._problem = f"seq {self._taken + 1} to {seq - 1} never came"
        if self._problem:
            raise StoreBehind(f"the database stays at seq {self._taken}: {self._problem}")
        self._taken = seq
        self._queue.append(_Applied(seq, ts_ns, command, events))

    def on_replay(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """The sink while the journal is read at a start: writes by itself whenever enough has come together."""
        self.on_command(seq, ts_ns, command, events)
        if len(self._queue) >= MAX_BATCH:
            self.flush()

    # --- writing ---

    def flush(self) -> None:
        """Writes everything that has come; each transaction also moves the offset. SQLAlchemyError: to be tried again."""
        if self._has_fault:
            raise StoreBehind(self._problem)
        with uncollected():
            while (due := self._take_due()) is not None:
                with self._writer.begin() as connection:
                    self._write(connection, due)
                self._due = None
                self._offset = due.seq

    def _take_due(self) -> _Due | None:
        """What could not be written last time, else the next commands as rows."""
        if self._due is None and self._queue:
            seq = ts_ns = 0
            for _ in range(min(len(self._queue), MAX_BATCH)):
                applied = self._queue.popleft()
                self._take(applied)
                seq, ts_ns = applied.seq, applied.ts_ns
            self._due = _Due(seq, ts_ns, self._projector.cut())
        return self._due

    def _take(self, applied: _Applied) -> None:
        try:
            self._projector.take(*applied)
        except Exception as error:
            # A fault of ours, and half a command in the rows: nothing more is written, the market goes on.
            self._has_fault = True
            self._problem = f"{type(applied.command).__name__} at seq {applied.seq}: {type(error).__name__}: {error}"
            raise

    def _write(self, connection: Connection, due: _Due) -> None:
        """Exactly once: a commit whose answer was lost is found by the offset, and nobody else may have moved it."""
        there = connection.execute(select(_OFFSET.c.seq).with_for_update()).scalar_one()
        if there == due.seq:
            return
        if there != self._offset:
            raise OtherWriter(f"the tables are at seq {there}, not {self._offset}: is a second exchange writing into them?")
        for name, rows in due.batch.added.items():
            insert_rows(connection, name, rows, is_final=True)
        for name, changed in due.batch.changed.items():
            insert_rows(connection, name, changed.values(), is_final=False)
        connection.execute(_OFFSET.update().values(seq=due.seq, ts_ns=due.ts_ns))

    # --- the end ---

    def hand_over(self) -> None:
        """Lets go of the database as one that writes: another process may now; `reader` stays open."""
        self._writer.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        """Lets the database go; what was not flushed is not in it."""
        self.reader.dispose()
        self.hand_over()
