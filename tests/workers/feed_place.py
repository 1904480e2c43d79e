"""A real exchange with feed workers, and a plain client of either door."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from clients import Client
from exchange.cli.bench_gateway import LIMITS, market
from exchange.testing.server import Server, running_server

WAIT_S = 10.0


class Follower:
    """One socket, logged in; `told` keeps channel messages in the order in which they came."""

    def __init__(self, url: str, key: str, *, is_packed: bool = False) -> None:
        self.is_packed = is_packed
        self.socket: ClientConnection = connect(f"{url}/v1/stream", compression=None, open_timeout=WAIT_S, legacy=True)
        self.told: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        self.last_id = 0
        self.welcome = self.ask("login", key=key)

    def send(self, op: str, args: dict[str, Any]) -> int:
        self.last_id += 1
        frame = {"op": op, "id": self.last_id, "args": args}
        self.socket.send(msgspec.msgpack.encode(frame) if self.is_packed else json.dumps(frame))
        return self.last_id

    def receive(self, timeout_s: float = WAIT_S) -> dict[str, Any]:
        data = self.socket.recv(timeout=timeout_s)
        assert isinstance(data, bytes) == self.is_packed
        found: dict[str, Any] = msgspec.msgpack.decode(data) if isinstance(data, bytes) else json.loads(data)
        self.last = found
        if "channel" in found or found["type"] == "heartbeat":
            self.told.append(found)
        return found

    def ask(self, op: str, **args: Any) -> dict[str, Any]:
        """The answer; `error` in it where it was turned away."""
        number = self.send(op, args)
        while (found := self.receive()).get("id") != number:
            pass
        return found.get("result", found)

    def follow(self, channel: str, instrument: str | None = None, **resume: int) -> dict[str, Any]:
        named = {} if instrument is None else {"instrument": instrument}
        return self.ask("subscribe", channel=channel, **named, **resume)

    def of(self, channel: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each.get("channel") == channel and each["type"] in ("snapshot", "delta")]

    def until(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not is_there():
            assert time.monotonic() < deadline, "it did not come"
            self.receive()

    def end(self) -> int:
        """Reads to the end; the close code, 1006 where there was no goodbye."""
        try:
            while True:
                self.receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006


class Place:
    """A server with one worker, one buyer and one instrument."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.main = server.url.replace("http", "ws", 1)
        self.key, self.instrument = asyncio.run(market(server))
        self.client = Client(server.url, self.key)
        self.operator = Client(server.url, server.operator_key)
        self.worker = json.loads(self.get("/v1/feed"))["workers"][0]
        self.count = 0

    def pid(self) -> int:
        """Of the worker's process; 0 while there is none."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        found = [int(pid) for pid in children if b"exchange.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return found[0] if found else 0

    def kill_worker(self, how: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(), how)

    def bid(self, price: str, cards: str = "1") -> str:
        """Places one bid; its id."""
        self.count += 1
        name = f"o{self.count}"
        self.client.call("place_order", client_order_id=name, instrument=self.instrument, price=price, cards=cards)
        return name

    def metric(self, name: str) -> float:
        return float(next(line.split()[-1] for line in self.get("/metrics").splitlines() if line.startswith(name)))

    def get(self, path: str) -> str:
        """As the operator."""
        return httpx2.get(self.server.url + path, headers={"authorization": f"Bearer {self.server.operator_key}"}).text


def comes_true(is_so: Callable[[], bool], wait_s: float = WAIT_S) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def start(folder: Path) -> Iterator[Place]:
    limits = [word for limit in LIMITS for word in ("--limit", limit)]
    with running_server(folder / "data", "--clock", "system", "--feed-workers", "1", *limits) as server:
        place = Place(server)
        try:
            yield place
        finally:
            place.client.close()
            place.operator.close()
