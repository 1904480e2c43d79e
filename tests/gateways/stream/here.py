"""A real exchange in this process: journal, database, uvicorn on a free port, its loop in a thread of its own.

In this process, so that a test can look at what a connection holds; `exchange.testing.server` has the one to be killed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
import uvloop
from morning import morning
from websockets.sync.client import ClientConnection, connect

from exchange.domain import commands as c
from exchange.domain.instrument import split_book
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream.transport import StreamProtocol
from exchange.server import Exchange, ServeSettings

PATIENCE_S = 20


class Live:
    """The running exchange, for a test in the main thread."""

    def __init__(self, folder: Path, limits: DoorLimits) -> None:
        self.settings = ServeSettings(folder=folder, clock="manual", limits=limits)
        self.ready, self.port = threading.Event(), 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.failure: BaseException | None = None

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.failure = error
        finally:
            self.ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.exchange = await Exchange.open(self.settings)
        config = uvicorn.Config(
            self.exchange.app, port=0, loop="none", ws=StreamProtocol, ws_per_message_deflate=False, lifespan="off",
            ws_max_size=self.settings.limits.frame_bytes, log_config=None, access_log=False, timeout_graceful_shutdown=5,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = self.loop.create_task(self.server._serve())
        while not self.server.started and not serving.done():
            await asyncio.sleep(0.005)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.ready.set()
        await serving
        await self.exchange.close()

    # --- for tests ---

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    @property
    def operator_key(self) -> str:
        return self.exchange.operator_key()

    @property
    def door(self) -> Any:
        return self.exchange._stream

    def do(self, work: Callable[[], Any]) -> Any:
        """Something on the exchange's own loop; its result."""

        async def there() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(PATIENCE_S)

    def submit(self, *commands: Any) -> list[Any]:
        """Commands straight to the writer."""

        async def there() -> list[Any]:
            return list(await asyncio.gather(*(self.exchange.handle.submit(command) for command in commands)))

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(PATIENCE_S)

    def key(self, participant: str, *scopes: str) -> tuple[str, str]:
        """(key_id, secret)"""
        row, secret = self.exchange._keys.create(participant, scopes or ("read", "trade", "provide"))
        return row.key_id, secret

    def instruments(self, count: int) -> list[str]:
        """Open instruments, the first `count`."""

        def there() -> list[str]:
            venue = self.exchange.handle.venue
            first = venue.periods.first_open(venue.now_ns) + 1
            families = range(1, len(venue.state.families) + 1)
            return [
                venue.instrument_code(family, period) for period in range(first, first + 100) for family in families
            ][:count]  # fmt: skip

        return list(self.do(there))

    def open_books(self) -> list[str]:
        def there() -> list[str]:
            venue = self.exchange.handle.venue
            return [venue.instrument_code(*split_book(book)) for book in sorted(venue.listed_books)]

        return list(self.do(there))

    def rest_depth(self, instrument: str) -> Any:
        answer = httpx2.get(
            f"http://127.0.0.1:{self.port}/v1/depth/{instrument}", params={"levels": 1000},
            headers={"authorization": f"Bearer {self.operator_key}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self) -> None:
        def there() -> None:
            self.exchange.say_goodbye()
            self.server.should_exit = True

        if self.thread.is_alive():
            self.do(there)
            self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@contextmanager
def live_market(folder: Path, commands: int = 900, **limits: int) -> Iterator[Live]:
    """An exchange in which the first commands of the morning have happened."""
    live = Live(folder, DoorLimits(**limits))
    live.thread.start()
    assert live.ready.wait(60), "not ready"
    if live.failure is not None:
        raise live.failure
    try:
        for start in range(0, commands, 500):
            live.submit(*first_commands(commands)[start : start + 500])
        yield live
    finally:
        live.stop()
        if live.failure is not None:
            raise live.failure


def first_commands(count: int) -> tuple[Any, ...]:
    """Of the morning, without what the desk of a live exchange does by itself."""
    return tuple(each for each in morning()[:count] if not isinstance(each, (c.SetFix, c.SettlePeriod)))


class Client:
    """A plain `websockets` client."""

    def __init__(self, live: Live, key: str = "", *, log_in: bool = True, **options: Any) -> None:
        self.ws: ClientConnection = connect(live.url, compression=None, **options).__enter__()
        self.number = 0
        self.told: list[Any] = []  # what came while something else was waited for
        if log_in:
            self.welcome = self.ask("login", key=key or live.operator_key)["result"]

    def send(self, op: str, **args: Any) -> int:
        self.number += 1
        self.ws.send(json.dumps({"op": op, "id": self.number, "args": args}))
        return self.number

    def receive(self) -> Any:
        return json.loads(self.ws.recv(PATIENCE_S))

    def ask(self, op: str, **args: Any) -> Any:
        """The answer; everything else that comes is kept in `told`."""
        number = self.send(op, **args)
        while (told := self.receive()).get("id") != number:
            self.told.append(told)
        return told

    def next(self, kind: str) -> Any:
        """The next message of a type, those in `told` first."""
        while True:
            told = self.told.pop(0) if self.told else self.receive()
            if told["type"] == kind:
                return told

    def close(self) -> None:
        self.ws.close()
