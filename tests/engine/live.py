"""A live writer for tests: the toy venue behind it, a disk that waits to be let go, a clock that is set."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from toy import FaultyDisk, open_toy

from exchange.engine.writer import Writer
from exchange.ports import Envelope

PATIENCE_S = 20.0


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a test's coroutine, which may not hang."""

    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(bounded())


async def until(is_so: Callable[[], object], what: str) -> None:
    """Waits until something holds; AssertionError after a while."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain until {what}"
        await asyncio.sleep(0.001)


class SlowDisk(FaultyDisk):
    """Each sync of a frame waits for a turn that the test gives, once `hold` has been called."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        super().__init__(*settings, **more)
        self.turns = threading.Semaphore(0)
        self.syncs = 0  # begun
        self._is_held = False

    def hold(self) -> None:
        self._is_held = True

    def let_go(self, times: int = 1) -> None:
        for _ in range(times):
            self.turns.release()

    def let_all_go(self) -> None:
        self._is_held = False
        self.let_go()

    def fdatasync(self, fd):
        self.syncs += 1
        if self._is_held:
            assert self.turns.acquire(timeout=PATIENCE_S), "the test never let this sync go on"
        super().fdatasync(fd)


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self, now_ns: int = 0) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns


@asynccontextmanager
async def toy_writer(folder, sinks=(), *, disk=None, segment_bytes=None, **settings):
    """A started writer on a run folder; closed at the end, whatever the test did."""
    more = {"segment_bytes": segment_bytes} if segment_bytes else {}
    sequencer, _ = open_toy(folder, sinks, disk=disk, **more)
    writer = Writer(sequencer, **settings)
    await writer.start()
    try:
        yield writer
    finally:
        if isinstance(disk, SlowDisk):
            disk.let_all_go()
        await writer.close()


def send(writer: Writer, command: Any, envelope: Envelope = Envelope()) -> list[Any]:
    """A list that will hold the answer."""
    got: list[Any] = []
    writer.submit_nowait(command, envelope, got.append)
    return got
