"""The SQL projection: every applied command's rows, in one transaction with the number of the command (D17, D18).

The venue never waits for it: `on_command` puts a command into a queue, a thread of its own writes what has come together.
A database that is full or away is tried again while the market goes on; what it is behind is seen in `pending` and
`problem`. Whatever happens to it, the journal makes the same rows again.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Insert, select
from sqlalchemy.dialects import postgresql, sqlite
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
from exchange.adapters.tables import TABLES

__all__ = ["Store", "StoreBehind", "StoreError", "StoreUnavailable", "default_url"]

MAX_QUEUE = 200_000  # commands that wait for the database; more would only fill memory
MAX_BATCH = 10_000  # commands of one transaction
CLOSE_S = 30.0  # a server that does not answer must not keep the process
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0
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
    """One database of one exchange. `on_command` is called by one thread, everything else by any."""

    def __init__(self, writer: Engine, reader: Engine, notes: Sequence[str] = ()) -> None:
        """For `open`; the tables are there and ours."""
        self._writer, self.reader = writer, reader
        self.notes = list(notes)
        self._projector = Projector()
        with writer.connect() as connection:
            self._offset = int(connection.execute(select(_OFFSET.c.seq)).scalar_one())
            self._projector.load(connection)
        self._taken = self._offset  # the last command that was put into the queue
        self._queue: deque[_Applied] = deque()
        self._due: _Due | None = None
        self._flushing = threading.Lock()
        self._changed = threading.Condition()  # guards what follows
        self._waiters: dict[int, tuple[int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = {}
        self._next_waiter = 0
        self._problem = ""
        self._broken = False  # no more is taken
        self._has_fault = False  # no more is written
        self._closing = False
        self._thread: threading.Thread | None = None

    @classmethod
    def open(cls, url: str, exchange_id: bytes) -> "Store":
        """The store at a URL, made if there is none; StoreError (exit codes 69, 78) where it must not be used."""
        parsed, notes = parse_url(url), list[str]()
        writer = writer_engine(parsed)
        try:
            prepare(writer, exchange_id, notes)
            return cls(writer, reader_engine(parsed), notes)
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"{shown(parsed)} cannot be read: {first_line(error)}") from error

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
        """Why the last try to write failed; "" while all is well."""
        return self._problem

    @property
    def is_behind(self) -> bool:
        """True when commands have been missed or cannot be stored: only a new start catches up."""
        return self._broken

    def check_against(self, log_end_seq: int) -> None:
        """StoreError where the tables know commands that the journal, which ends with log_end_seq, does not have."""
        if self._offset > log_end_seq:
            raise StoreError(
                f"the database {shown(self._writer.url)} holds commands up to {self._offset}, the journal ends with "
                f"{log_end_seq}: put the newer journal back; or, to give those commands up, move the database away and it "
                "is made anew from the journal"
            )

    # --- what comes in ---

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """The sink; cheap. A command that is stored already is passed over. StoreBehind when there is no room."""
        if seq <= self._taken:
            return
        with self._changed:
            if not self._broken and seq != self._taken + 1:
                self._break(f"seq {self._taken + 1} to {seq - 1} never came")
            if not self._broken and len(self._queue) >= MAX_QUEUE:
                self._break(f"{len(self._queue):,} commands wait ({self._problem or 'the database is too slow'})")
            if self._broken:
                raise StoreBehind(f"the database stays at seq {self._taken}: {self._problem}")
            self._taken = seq
            self._queue.append(_Applied(seq, ts_ns, command, events))
            self._changed.notify_all()

    def on_replay(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """The sink while the journal is read at a start: writes by itself whenever enough has come together."""
        self.on_command(seq, ts_ns, command, events)
        if len(self._queue) >= MAX_BATCH:
            self.flush()

    def _break(self, why: str) -> None:
        self._broken = True
        self._problem = why

    # --- writing ---

    def flush(self) -> None:
        """Writes everything that has come; each transaction also moves the offset. SQLAlchemyError: to be tried again."""
        with self._flushing:
            if self._has_fault:
                raise StoreBehind(self._problem)
            while (due := self._take_due()) is not None:
                with self._writer.begin() as connection:
                    self._write(connection, due)
                self._due = None
                self._stored(due.seq)

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
            with self._changed:
                self._break(f"{type(applied.command).__name__} at seq {applied.seq}: {type(error).__name__}: {error}")
            raise

    def _write(self, connection: Connection, due: _Due) -> None:
        """Exactly once: a commit whose answer was lost is found by the offset, and nobody else may have moved it."""
        there = connection.execute(select(_OFFSET.c.seq).with_for_update()).scalar_one()
        if there == due.seq:
            return
        if there != self._offset:
            raise OtherWriter(f"the tables are at seq {there}, not {self._offset}: is a second exchange writing into them?")
        for name, rows in due.batch.added.items():
            connection.execute(_insert(connection, name, is_final=True), rows)
        for name, changed in due.batch.changed.items():
            connection.execute(_insert(connection, name, is_final=False), list(changed.values()))
        connection.execute(_OFFSET.update().values(seq=due.seq, ts_ns=due.ts_ns))

    def _stored(self, seq: int) -> None:
        with self._changed:
            self._offset = seq
            if not self._broken:
                self._problem = ""
            done = [number for number, waiter in self._waiters.items() if waiter[0] <= seq]
            ready: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
            for number in done:
                _, loop, future = self._waiters.pop(number)
                ready.setdefault(loop, []).append(future)
            for loop, futures in ready.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_release, futures)

    # --- the thread ---

    def start(self) -> None:
        """From now on a thread writes whatever comes."""
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread after a last try to write what is there, and lets the database go."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        self._writer.dispose()
        self.reader.dispose()

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._queue or self._due)
                is_last = self._closing
            try:
                self.flush()
                retry_s = FIRST_RETRY_S
            except (SQLAlchemyError, OSError) as error:
                self._tell(first_line(error))
                if not is_last:
                    self._pause(retry_s)
                    retry_s = min(2 * retry_s, LAST_RETRY_S)
            except Exception as error:  # noqa: BLE001 - told through `problem`; the journal still has everything
                with self._changed:
                    self._break(self._problem if self._has_fault else f"{type(error).__name__}: {error}")
                return
            if is_last:
                return

    def _tell(self, problem: str) -> None:
        with self._changed:
            if not self._broken:
                self._problem = problem

    def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self._closing or time.monotonic() >= end_s, timeout=seconds)

    # --- waiting ---

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Until everything up to seq can be read; False where that took longer, or will not come."""
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._offset >= seq:
                return True
            if self._broken and seq > self._taken:
                return False
            future: asyncio.Future[None] = loop.create_future()
            number, self._next_waiter = self._next_waiter, self._next_waiter + 1
            self._waiters[number] = (seq, loop, future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return self._offset >= seq
        finally:
            with self._changed:
                self._waiters.pop(number, None)
        return True


def _release(futures: list["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def _insert(connection: Connection, name: str, *, is_final: bool) -> Insert:
    """The insert of a table's rows: one that is there already stays (is_final), or takes the new values."""
    table = TABLES[name]
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(table)
    keys = list(table.primary_key)
    if is_final:
        return insert.on_conflict_do_nothing(index_elements=keys)
    values = {column.name: insert.excluded[column.name] for column in table.columns if column not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=values)
