"""Starts the feed workers of a venue, and starts another one in the place of each that ends by itself.

A worker is given its end of a pair of sockets and the listening socket of its address, which stays open here: while one
worker follows on another, clients that connect wait and are not turned away.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from exchange.workers.frames import Counts
from exchange.workers.hub import FeedHub, WorkerLine

PROCESS = "exchange.workers.process"
START_S = 20.0
END_S = 10.0  # so long a worker has to tell its clients
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 5.0
STEADY_S = 30.0  # a worker that has lived so long starts again without a longer pause


class FeedWorkers:
    """All workers of one venue, each on an address of its own. On the writer's loop only."""

    def __init__(self, hub: FeedHub, listeners: Sequence[socket.socket], note: Callable[[str], None]) -> None:
        """listeners: one a worker, listening already; note: told of every end that was not meant."""
        self._hub, self._note = hub, note
        self._workers = [_Worker(number, hub, listener, note) for number, listener in enumerate(listeners, 1)]
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, main_url: str) -> None:
        """Returns when all workers take connections, or START_S have passed."""
        self._hub.start(main_url)
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(worker.keep(), name=f"feed worker {worker.number}") for worker in self._workers]
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(worker.ready.wait() for worker in self._workers))

    def counts(self) -> list[tuple[str, Counts]]:
        """(number, what it counts of itself) of each worker, with those it has replaced."""
        return [(str(worker.number), worker.counts()) for worker in self._workers]

    def restarts(self) -> list[tuple[str, int]]:
        """(number, how often it was started again) of each worker."""
        return [(str(worker.number), worker.restarts) for worker in self._workers]

    @property
    def pids(self) -> list[int]:
        """Of the workers; 0 where there is none just now."""
        return [worker.pid for worker in self._workers]

    def say_goodbye(self) -> None:
        """The venue goes down as planned: the workers tell their clients and end."""
        for worker in self._workers:
            worker.is_wanted = False
        self._hub.goodbye()

    async def close(self) -> None:
        """Waits for the workers to end, and ends those that do not."""
        self.say_goodbye()
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=END_S)
            for worker in self._workers:
                worker.kill()
            for keeper in late:
                keeper.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._hub.stop()


class _Worker:
    """One address, and the process that serves it now."""

    def __init__(self, number: int, hub: FeedHub, listener: socket.socket, note: Callable[[str], None]) -> None:
        self.number, self.is_wanted, self.restarts = number, True, 0
        self.ready = asyncio.Event()
        self._hub, self._listener, self._note = hub, listener, note
        self._process: subprocess.Popen[bytes] | None = None
        self._line: WorkerLine | None = None
        self._before = Counts()  # of the processes that were here before

    @property
    def pid(self) -> int:
        """Of the process; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    def counts(self) -> Counts:
        """Since the start, but connections, feeds and lag, which are of now."""
        now, before = self._line.counts if self._line is not None else Counts(), self._before
        return now._replace(
            opened=now.opened + before.opened, messages=now.messages + before.messages, lagged=now.lagged + before.lagged
        )

    def kill(self) -> None:
        """At once."""
        if self._process is not None:
            self._process.kill()

    def _is_over(self) -> bool:
        return not self.is_wanted

    async def keep(self) -> None:
        """One process after the other, until none is wanted."""
        pause_s, loop = FIRST_PAUSE_S, asyncio.get_running_loop()
        while self.is_wanted:
            started_s = loop.time()
            ending = await self._live()
            if self._is_over():
                return
            if loop.time() - started_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            self.restarts += 1
            self._note(f"cpx: feed worker {self.number} ended ({ending}); another one follows in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _live(self) -> str:
        """The life of one process, and how it ended."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                # In a group of its own: what stops the server from its terminal is told by the server.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", PROCESS, str(theirs.fileno()), str(self._listener.fileno())],
                    pass_fds=(theirs.fileno(), self._listener.fileno()), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, process_group=0,
                )  # fmt: skip
        except OSError as error:  # no memory or no process left for it: that may change
            ours.close()
            return f"cannot be started: {error.strerror or error}"
        process, line = self._process, self._hub.line()
        self._line = line
        await asyncio.get_running_loop().create_connection(lambda: line, sock=ours)
        await line.settled.wait()
        if not line.lost.is_set():
            self.ready.set()
        await line.lost.wait()
        if line.is_cut_off:
            process.kill()  # it does not read: it would not notice that it is alone either
        code = await self._reap(process)
        counts = self.counts()
        self._before = counts._replace(connections=0, feeds=0, lag_us=0)
        self._line = self._process = None
        if line.is_cut_off:
            return "it did not read what it was sent"
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    @staticmethod
    async def _reap(process: "subprocess.Popen[bytes]") -> int:
        try:
            return await asyncio.to_thread(process.wait, END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return await asyncio.to_thread(process.wait)
