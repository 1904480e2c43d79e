"""A worker that does not read is ended and replaced, and its address is there all the time."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest
from test_links import HELLO

from exchange.gateways.limits import DoorLimits
from exchange.workers import frames as f
from exchange.workers import hub as hub_module
from exchange.workers.keeper import FeedWorkers


class QuietHub:
    """A hub whose venue never says anything."""

    main_url = "http://main"

    def __init__(self) -> None:
        self.lines: list[hub_module.WorkerLine] = []

    def start(self, main_url: str) -> None: ...

    async def stop(self) -> None: ...

    def line(self) -> hub_module.WorkerLine:
        self.lines.append(hub_module.WorkerLine(self))  # type: ignore[arg-type]
        return self.lines[-1]

    def hello(self) -> f.Hello:
        return HELLO._replace(limits={name: getattr(DoorLimits(), name) for name in DoorLimits.__dataclass_fields__})

    def goodbye(self) -> None:
        for line in self.lines:
            line.write(f.frame(f.GOODBYE))


def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_QUEUED", 1 << 20)

    async def run() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        told: list[str] = []
        quiet = QuietHub()
        workers = FeedWorkers(quiet, [listener], told.append)  # type: ignore[arg-type]
        await workers.start("http://main")
        first = workers.pids[0]
        os.kill(first, signal.SIGSTOP)
        while not quiet.lines[0].is_cut_off:
            quiet.lines[0].write(f.place_frame(f.Place(1, 2, 3)) * 1000)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while len(quiet.lines) < 2 or not quiet.lines[1].settled.is_set():
                await asyncio.sleep(0.02)
        assert workers.pids[0] not in (0, first) and workers.restarts() == [("1", 1)]
        assert told == ["cpx: feed worker 1 ended (it did not read what it was sent); another one follows in 0.1 s"]
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 421 " in await reader.readline()
        writer.close()
        await workers.close()
        assert workers.pids == [0]
        listener.close()

    asyncio.run(run())
