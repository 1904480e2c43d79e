"""The server's end of the database: hands every applied command to the process that makes its rows (docs/decisions/0012).

The market never waits for it. What the process has not confirmed is kept here as bytes, so that a process which dies is
replaced by another that goes on behind the last transaction. When too much has come together, or processes keep dying,
the link takes no more: the journal has everything, and the next start catches up.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import cast

from exchange.adapters.store import Store, StoreBehind, StoreUnavailable
from exchange.adapters.store_frames import (
    Frames,
    Hello,
    Status,
    applied_frame,
    hello_frame,
    hurry_frame,
    status_of,
)
from exchange.engine.journal import Record

PROCESS = "exchange.adapters.store_process"
MAX_HELD = 256 << 20  # bytes of commands that the database does not have yet; more would only fill memory
CHUNK, HIGH_WATER = 256 << 10, 1 << 20  # bytes: of one write, on their way
START_S = 60.0
END_S = 5.0
CLOSE_S = 30.0  # a database that does not answer must not keep the server
FIRST_RESTART_S, LAST_RESTART_S = 0.1, 5.0
MAX_RESTARTS = 5  # in a row, with nothing stored between them
RESTART = "restart the server: it catches up from the journal"


class StoreLink:
    """Stands for the store in the server: a record sink, and a `Stored`. On one loop only, from `start` to `close`."""

    def __init__(self, store: Store) -> None:
        """Takes over from a store that has caught up with the journal, which may not be used again."""
        self._hello = Hello(store.url.render_as_string(hide_password=False), store.exchange_id)
        self.reader, self.notes = store.reader, store.notes
        self._offset = self._taken = store.offset
        store.hand_over()
        self._sent: deque[bytes] = deque()  # frames of offset + 1 and on, then of those that were not sent yet
        self._unsent: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_sending_soon = False
        self._waiters: dict[int, tuple[int, asyncio.Future[bool]]] = {}
        self._next_waiter = 0
        self._hurried = 0  # the last seq that somebody hurried for
        self._problem = ""
        self._is_behind = False  # no more is taken
        self._is_over = False  # nothing more will be stored
        self._is_closing = False
        self._line: _Line | None = None
        self._keeper: asyncio.Task[None] | None = None

    # --- what it says of itself ---

    @property
    def offset(self) -> int:
        """Number of the last command whose rows are known to be stored."""
        return self._offset

    @property
    def pending(self) -> int:
        """Commands that have been taken and are not stored yet."""
        return self._taken - self._offset

    @property
    def problem(self) -> str:
        """Why nothing was stored lately; "" while all is well."""
        return self._problem

    @property
    def is_behind(self) -> bool:
        """True when commands have been missed or cannot be stored: only a new start catches up."""
        return self._is_behind

    @property
    def pid(self) -> int:
        """Of the process that writes; 0 while there is none."""
        return self._line.process.pid if self._line is not None else 0

    # --- what comes in ---

    def on_record(self, seq: int, ts_ns: int, record: Record, event_blob: bytes) -> None:
        """The sink; cheap. A command that is stored already is passed over. StoreBehind when there is no room."""
        if seq <= self._taken:
            return
        if not self._is_behind and seq != self._taken + 1:
            self._break(f"seq {self._taken + 1} to {seq - 1} never came")
        if not self._is_behind and self._held_bytes > MAX_HELD:
            self._break(f"{self.pending:,} commands wait ({self._problem or 'the database is too slow'}); {RESTART}")
        if self._is_behind:
            raise StoreBehind(f"the database stays at seq {self._taken}: {self._problem}")
        frame = applied_frame(seq, ts_ns, record, event_blob)
        self._taken = seq
        self._held_bytes += len(frame)
        self._unsent.append(frame)
        if not self._is_sending_soon:
            self._is_sending_soon = True
            asyncio.get_running_loop().call_soon(self._send)

    def _break(self, why: str, *, is_over: bool = False) -> None:
        self._is_behind, self._is_over, self._problem = True, is_over, why
        if is_over:
            self._sent.clear()
            self._unsent.clear()
            self._held_bytes = 0
        self._wake()

    def _send(self) -> None:
        """What the process is ready to take; the rest when it says so."""
        self._is_sending_soon = False
        while self._unsent and self._line is not None and self._line.takes_more:
            frames, size = [], 0
            while self._unsent and size < CHUNK:
                frames.append(self._unsent.popleft())
                size += len(frames[-1])
            self._sent += frames
            self._line.write(b"".join(frames))

    def _on_status(self, status: Status) -> None:
        if self._is_over:
            return
        if not self._offset <= status.offset <= self._taken:
            reason = f"the tables are at seq {status.offset}, not {self._offset}: has somebody else changed them?"
            self._break(f"{reason} {RESTART}", is_over=True)
            return
        for _ in range(status.offset - self._offset):
            self._held_bytes -= len((self._sent or self._unsent).popleft())
        self._offset = status.offset
        if status.is_final:
            self._break(status.problem, is_over=True)
        elif not self._is_behind:
            self._problem = status.problem
        self._wake()

    # --- waiting ---

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Until everything up to seq can be read; False where that took longer, or will not come."""
        if self._offset >= seq:
            return True
        if self._is_lost(seq):
            return False
        self._hurry(seq)
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        number, self._next_waiter = self._next_waiter, self._next_waiter + 1
        self._waiters[number] = (seq, future)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return self._offset >= seq
        finally:
            self._waiters.pop(number, None)

    def _is_lost(self, seq: int) -> bool:
        return self._is_over or (self._is_behind and seq > self._taken)

    def _hurry(self, seq: int) -> None:
        if seq > self._hurried and self._line is not None:
            self._send()
            if self._line.takes_more:  # else it has more to do than it can, and does not pause
                self._hurried = seq
                self._line.write(hurry_frame())

    def _wake(self) -> None:
        for number, (seq, future) in list(self._waiters.items()):
            if self._offset >= seq or self._is_lost(seq):
                del self._waiters[number]
                if not future.done():
                    future.set_result(self._offset >= seq)

    # --- the process ---

    async def start(self) -> None:
        """Returns when the process is ready; StoreUnavailable where it does not come to that."""
        line = await self._open_line()
        try:
            async with asyncio.timeout(START_S):
                await line.settled.wait()
        except TimeoutError:
            line.process.kill()
        if line.lost.is_set() or not line.settled.is_set() or self._is_behind:
            await line.end()
            self._line = None
            raise StoreUnavailable(f"the process that writes the database did not start: {self._problem or line.ending}")
        self._keeper = asyncio.get_running_loop().create_task(self._keep(line), name="store")

    async def _open_line(self) -> "_Line":
        """A new process, told where the database is, and everything that is not known to be in it."""
        ours, theirs = socket.socketpair()
        with theirs:
            # In a group of its own: what stops the server from its terminal must not reach it even while it starts.
            process = subprocess.Popen(
                [sys.executable, "-m", PROCESS], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, process_group=0
            )
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._hurried = 0
        self._line = line = _Line(process, self._on_status, self._send)
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: line, sock=ours)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        line.write(hello_frame(self._hello))
        self._send()
        return line

    async def _keep(self, line: "_Line") -> None:
        """Replaces a process that ends before its time, until too many have in a row."""
        restarts, pause_s, offset = 0, FIRST_RESTART_S, self._offset
        while True:
            await line.lost.wait()
            await line.end()
            self._line = None
            if self._is_closing or self._is_over:
                return
            if self._offset > offset:
                restarts, pause_s, offset = 0, FIRST_RESTART_S, self._offset
            what = f"the process that writes the database ended ({line.ending})"
            if restarts == MAX_RESTARTS:
                self._break(f"{what}, for the {restarts + 1}th time; {RESTART}", is_over=True)
                return
            if not self._is_behind:
                self._problem = f"{what}; another one follows"
            await asyncio.sleep(pause_s)
            restarts, pause_s = restarts + 1, min(2 * pause_s, LAST_RESTART_S)
            try:
                line = await self._open_line()
            except OSError as error:
                self._break(f"no process that writes the database can be started ({error}); {RESTART}", is_over=True)
                return

    async def close(self) -> None:
        """Lets the process write what it does not have, waits until it has ended, and lets the database go."""
        self._is_closing = True
        if self._keeper is not None and not self._keeper.done():
            if self._line is None:
                self._keeper.cancel()  # between two processes: the next start catches up
            else:
                self._line.finish(b"".join(self._unsent))
            await self._end_of(self._keeper)
        self.reader.dispose()

    async def _end_of(self, keeper: "asyncio.Task[None]") -> None:
        done, _ = await asyncio.wait({keeper}, timeout=CLOSE_S)
        if not done:
            if self._line is not None:
                self._line.process.kill()
            await asyncio.wait({keeper})
        if not keeper.cancelled():
            keeper.result()


class _Line(asyncio.Protocol):
    """One process and the connection to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", on_status: Callable[[Status], None], on_room: Callable[[], None]
    ) -> None:
        self.process, self._on_status, self._on_room = process, on_status, on_room
        self.settled, self.lost = asyncio.Event(), asyncio.Event()  # it has said something; it has ended
        self.ending = ""
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._is_full = False

    @property
    def takes_more(self) -> bool:
        """True while what is written to it does not pile up on the way."""
        return self._transport is not None and not self._is_full and not self.lost.is_set()

    def write(self, data: bytes) -> None:
        """Without waiting; not kept by anybody where the process has ended."""
        if self._transport is not None and not self.lost.is_set():
            self._transport.write(data)

    def finish(self, rest: bytes) -> None:
        """The last of the input."""
        self.write(rest)
        if self._transport is None:
            self.process.kill()
        elif not self.lost.is_set():
            self._transport.write_eof()

    async def end(self) -> None:
        """Reaps the process, which has closed its end or is about to."""
        if self._transport is not None:
            self._transport.abort()
        try:
            code = await asyncio.to_thread(self.process.wait, END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = await asyncio.to_thread(self.process.wait)
        self.ending = f"exit code {code}" if code >= 0 else f"signal {-code}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the loop."""
        self._transport = cast(asyncio.Transport, transport)  # of uvloop, whose class is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Of the loop."""
        for _, body in self._frames.feed(data):
            self._on_status(status_of(body))
            self.settled.set()

    def pause_writing(self) -> None:
        """Of the loop."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Of the loop."""
        self._is_full = False
        self._on_room()

    def connection_lost(self, error: Exception | None) -> None:
        """Of the loop."""
        self.lost.set()
        self.settled.set()
