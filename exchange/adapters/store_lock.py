"""One writer per database: whoever writes the projection holds this lock, and the next one waits until he has ended.

Without it a server that starts again after `kill -9` could read how far the tables are while the process of its
predecessor still writes its last transaction. The tables themselves need no lock: a transaction that finds them moved
by somebody else is not written.
"""

import fcntl
import os
import time
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from exchange.adapters.database import StoreUnavailable, first_line, lock_engine, shown

POLL_S = 0.02
ADVISORY_KEY = int.from_bytes(b"cpx rows")  # of PostgreSQL's advisory locks, which belong to one database each


class StoreLock(Protocol):
    """Held until it is released or the process ends."""

    def release(self) -> None:
        """Lets the next one write."""
        ...


def take_lock(url: URL, wait_s: float) -> StoreLock:
    """The lock of a database; StoreUnavailable when somebody else still has it after wait_s."""
    end_s = time.monotonic() + wait_s
    attempt = _FileLock(url) if url.get_backend_name() == "sqlite" else _AdvisoryLock(url)
    try:
        while not attempt.try_once():
            if time.monotonic() >= end_s:
                raise StoreUnavailable(
                    f"another process writes into {shown(url)} and has not ended within {wait_s:g} s: stop the exchange "
                    "that uses it (its `exchange.adapters.store_process` ends by itself), or name another database"
                )
            time.sleep(POLL_S)
    except BaseException:
        attempt.release()
        raise
    return attempt


class _FileLock:
    """A file beside the SQLite file; that one has locks of SQLite's own, which a second open file would drop."""

    def __init__(self, url: URL) -> None:
        path = f"{url.database}.lock"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise StoreUnavailable(
                f"{path} cannot be made ({error.strerror}); does the folder exist, and may it be written to?"
            ) from error

    def try_once(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two different files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _AdvisoryLock:
    """A lock of the PostgreSQL server, held by a connection that does nothing else."""

    def __init__(self, url: URL) -> None:
        self._where = shown(url)
        self._engine: Engine = lock_engine(url)
        self._connection: Connection | None = None

    def try_once(self) -> bool:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            asked: Any = self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_KEY})
            return bool(asked.scalar_one())
        except SQLAlchemyError as error:
            raise StoreUnavailable(
                f"{self._where} cannot be opened ({first_line(error)}); is the server running?"
            ) from error

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()
