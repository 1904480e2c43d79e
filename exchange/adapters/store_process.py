"""The process that makes the rows of a live exchange and writes them; `store_link` in the server starts and feeds it.

It reads no more than it is about to write, so what piles up while the database is slow piles up in the server, which
counts it. It ends when the server has closed its end, or is gone: after a last transaction. Signals do not end it: the
one that stops the server must not stop the rows of its last commands.
"""

import math
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from exchange.adapters.database import StoreError, first_line
from exchange.adapters.store import Store
from exchange.adapters.store_frames import (
    APPLIED,
    HELLO,
    HURRY,
    Frames,
    Status,
    applied_of,
    hello_of,
    status_frame,
)

LOCK_WAIT_S = 10.0
PAUSE_S = 0.02  # between two transactions nobody hurries for: many commands in one cost less than one each
MAX_BATCH = 2_000  # commands of one transaction; more would keep readers waiting
CHUNK = 1 << 20
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0
FAULT = 70
NICE = 5  # where processors are short the market goes first
_HANGUP = select.POLLHUP | getattr(select, "POLLRDHUP", 0)  # the second one is Linux's


class RowWriter:
    """One life of the process, on its end of the pair of sockets."""

    def __init__(self, connection: socket.socket) -> None:
        """The connection is the caller's to close."""
        self._connection = connection
        self._frames = Frames()
        self._store: Store | None = None
        self._has_ended = False  # the server says nothing more
        self._is_hurried = False
        self._written_s = -math.inf  # when the last transaction ended

    def run(self) -> int:
        """Until the server has no more to say; an exit code. Its problems it tells the server."""
        try:
            while self._store is None and not self._has_ended:
                self._receive(None)
            while self._store is not None and self._collect():
                if not self._write(self._store):
                    return StoreError.exit_code
        except StoreError as error:
            self._say(str(error), is_final=True)
            return error.exit_code
        except Exception as error:  # noqa: BLE001 - told to the server; the journal still has everything
            problem = self._store.problem if self._store is not None else ""
            self._say(problem or f"{type(error).__name__}: {error}", is_final=True)
            return FAULT
        finally:
            if self._store is not None:
                self._store.close()
        return 0

    # --- what comes in ---

    def _collect(self) -> bool:
        """Takes what belongs into the next transaction; False when there will be none."""
        assert self._store is not None
        while not self._has_ended and self._store.pending < MAX_BATCH:
            if not self._store.pending:
                wait_s = None
            elif self._is_hurried:
                wait_s = 0.0
            else:
                wait_s = max(0.0, self._written_s + PAUSE_S - time.monotonic())
            if not self._receive(wait_s) and self._store.pending:
                break
        return self._store.pending > 0

    def _receive(self, wait_s: float | None) -> bool:
        """Takes the next bytes; False where none came in that time (None: however long it takes)."""
        if not self._poll(select.POLLIN, wait_s):
            return False
        try:
            data = self._connection.recv(CHUNK)
        except ConnectionResetError:
            data = b""  # the server was killed before it had read everything
        self._has_ended = not data
        for kind, body in self._frames.feed(data):
            if kind == APPLIED:
                assert self._store is not None
                self._store.on_command(*applied_of(body))
            elif kind == HURRY:
                self._is_hurried = True
            else:
                assert kind == HELLO and self._store is None
                hello = hello_of(body)
                self._store = Store.open(hello.url, hello.exchange_id, lock_wait_s=LOCK_WAIT_S)
                self._say("")
        return True

    def _poll(self, what: int, wait_s: float | None) -> bool:
        poller = select.poll()
        poller.register(self._connection, what)
        return bool(poller.poll(None if wait_s is None else math.ceil(wait_s * 1000)))

    # --- what goes out ---

    def _write(self, store: Store) -> bool:
        """Tries until it is written; False where the server has gone meanwhile and a last try failed too."""
        retry_s, is_last, self._is_hurried = FIRST_RETRY_S, False, False
        while True:
            try:
                store.flush()
            except (SQLAlchemyError, OSError) as error:
                self._say(first_line(error))
                if is_last:
                    return False
                is_last = self._poll(_HANGUP, retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                self._written_s = time.monotonic()
                self._say("")
                return True

    def _say(self, problem: str, *, is_final: bool = False) -> None:
        offset = self._store.offset if self._store is not None else 0
        with suppress(BrokenPipeError, ConnectionResetError):  # a server that is gone is noticed at its end of input
            self._connection.sendall(status_frame(Status(offset, is_final, problem)))


def main() -> int:
    """On standard input, which is a socket."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    with socket.socket(fileno=sys.stdin.fileno()) as connection:
        code = RowWriter(connection).run()
        connection.detach()  # standard input closes it
    return code


if __name__ == "__main__":
    sys.exit(main())
