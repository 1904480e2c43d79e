"""`cpx bench feed`: one feed worker with many subscribers of one hot book, beside a bare broadcast in the same run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from exchange.testing.server import Server

OPEN_LIMITS = (
    "order_rate=1000000", "order_burst=1000000", "frame_rate=1000000", "frame_burst=1000000", "read_rate=1000000",
    "read_burst=1000000", "keyless_rate=1000000", "keyless_burst=1000000", "logins_at_once=4000",
    "connections_per_key=4000", "connections=4000", "tcp_connections=6000",
)  # fmt: skip
RECORDED = 200  # messages that the bare broadcast sends round and round
TICKS_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SETTLE_S = 1.5
CPU_PACE = 40  # commands a second while processor time is measured
STUCK_S = 5.0  # until what was sent to a subscriber that does not read fills every buffer
DROPPED_S = 13.0  # until a worker has given back a feed that nobody follows


def feed(
    subscribers: int = typer.Option(1000, min=10, help="Sockets that follow the book."),
    seconds: float = typer.Option(5.0, min=0.5, help="Of each measurement."),
    rates: list[int] = typer.Option([100, 200], "--rate", help="Changes of the book a second to try; the best counts."),
    probes: int = typer.Option(400, min=50, help="Changes whose time to the last subscriber is taken, twice."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Messages a second from one feed worker ÷ a bare broadcast of the same messages by the same socket library.

    Also: memory of an idle subscriber, the venue's processor time a command without and with subscribers, and the time from
    an order to the last subscriber without and with one that does not read.

    Example: cpx bench feed --subscribers 200 --seconds 2
    """
    from exchange.cli.bench import machine
    from exchange.testing.server import running_server

    limits = [word for limit in OPEN_LIMITS for word in ("--limit", limit)]
    with (
        tempfile.TemporaryDirectory() as name,
        running_server(Path(name) / "data", "--clock", "system", "--feed-workers", "1", *limits) as server,
    ):
        found = asyncio.run(_measure(server, Path(name), subscribers, seconds, rates, probes))
    result = {"bench": "feed", **machine(), "subscribers": subscribers, "seconds": seconds, **found}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _show(result)


class _Crowd:
    """The process of the subscribers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """One order and its answer."""
        return await asyncio.to_thread(self._do, {"do": what, **more})

    def _do(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    async def rate(self, seconds: float) -> tuple[float, float]:
        """Messages and bytes a second that come now."""
        before = await self.do("count")
        await asyncio.sleep(seconds)
        after = await self.do("count")
        if after["lost"]:
            raise RuntimeError(f"{after['lost']} subscribers were cut off")
        took_s = (after["ns"] - before["ns"]) / 1e9
        return (after["messages"] - before["messages"]) / took_s, (after["bytes"] - before["bytes"]) / took_s


@contextmanager
def _python(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def _measure(
    server: Server, folder: Path, subscribers: int, seconds: float, rates: list[int], probes: int
) -> dict[str, Any]:
    book = await _Book.open(server)
    with _python("exchange.testing.subscribers") as process:
        crowd = _Crowd(process)
        await book.cpu_us_per_command(seconds, CPU_PACE)  # warms up
        alone = await book.cpu_us_per_command(2 * seconds, CPU_PACE)
        memory = await _connect(crowd, book, subscribers)
        crowded = await book.cpu_us_per_command(4 * seconds, CPU_PACE)
        waits = await book.waits_us(probes)
        with book.stuck():
            await _while(book, rates[0], asyncio.sleep(STUCK_S))
            stuck_waits = await book.waits_us(probes)
        waits += await book.waits_us(probes)
        delivered, told = await _delivered(crowd, book, seconds, rates)
        messages = (await _while(book, rates[0], crowd.do("record", count=RECORDED)))["messages"]
        await crowd.do("close")
        await asyncio.sleep(DROPPED_S)
        alone = (alone + await book.cpu_us_per_command(2 * seconds, CPU_PACE)) / 2
        (folder / "messages.json").write_text(json.dumps(messages), encoding="utf-8")
        bare = await _bare(crowd, book, folder / "messages.json", subscribers, seconds)
    return {
        "delivered_per_s": round(delivered), "broadcast_per_s": round(bare),
        "delivered_by_broadcast": round(delivered / bare, 3),
        **told, "bytes_a_message": round(statistics.mean(map(len, messages))), "idle_subscriber_kb": round(memory / 1000, 1),
        "venue_us_a_command": round(crowded, 1), "venue_us_a_command_alone": round(alone, 1),
        "venue_by_alone": round(crowded / alone, 3), "wait_p50_us": _share(waits, 50), "wait_p99_us": _share(waits, 99),
        "wait_p99_stuck_us": _share(stuck_waits, 99),
        "stuck_by_none": round(_share(stuck_waits, 99) / _share(waits, 99), 3),
    }  # fmt: skip


async def _connect(crowd: _Crowd, book: _Book, subscribers: int) -> float:
    """Bytes of the worker's memory for each idle subscriber."""
    warm = subscribers // 10
    await crowd.do("connect", url=book.worker_url, count=warm, frames=book.frames, answers=3)  # its caches are filled
    await asyncio.sleep(SETTLE_S)
    before = book.worker_bytes()
    await crowd.do("connect", url=book.worker_url, count=subscribers - warm, frames=book.frames, answers=3)
    await asyncio.sleep(SETTLE_S)
    return (book.worker_bytes() - before) / (subscribers - warm)


async def _delivered(crowd: _Crowd, book: _Book, seconds: float, rates: list[int]) -> tuple[float, dict[str, Any]]:
    """Messages a second to all, at the best of the rates, and what was told of it."""
    found = []
    for rate in rates:
        per_s, _ = await _while(book, rate, crowd.rate(seconds))
        found.append((per_s, rate))
        typer.echo(f"{rate} changes a second: {per_s:,.0f} messages delivered a second", err=True)
    best, rate = max(found)
    return best, {"changes_per_s": rate}


async def _while(book: _Book, rate: int, work: Any) -> Any:
    """What the work gives, while the book changes so often a second."""
    changing = asyncio.create_task(book.change(rate))
    await asyncio.sleep(0.5)
    try:
        return await work
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        await asyncio.sleep(SETTLE_S)


async def _bare(crowd: _Crowd, book: _Book, messages: Path, subscribers: int, seconds: float) -> float:
    """Messages a second of the bare broadcast; the venue has as much to do as before."""
    with _python("exchange.testing.broadcast", str(messages)) as peer:
        assert peer.stdin is not None and peer.stdout is not None
        port = json.loads(peer.stdout.readline())["port"]
        await crowd.do("connect", url=f"ws://127.0.0.1:{port}/", count=subscribers, frames=[], answers=0)
        peer.stdin.write("go\n")
        peer.stdin.flush()
        per_s: float = (await _while(book, 100, crowd.rate(seconds)))[0]
        typer.echo(f"bare broadcast: {per_s:,.0f} messages a second", err=True)
        return per_s


class _Book:
    """One book of the venue, and one participant who changes it."""

    def __init__(self, server: Server, key: str, instrument: str, worker: str, main: Any) -> None:
        self.worker_url = f"{worker}/v1/stream"
        self._server, self._instrument, self._main = server, instrument, main
        self._number = self._answered = 0
        login = {"op": "login", "id": 0, "args": {"key": key}}
        subscribe = {"op": "subscribe", "id": 1, "args": {"channel": "depth", "instrument": instrument}}
        self.frames = [json.dumps(login), json.dumps(subscribe)]

    @classmethod
    async def open(cls, server: Server) -> _Book:
        """With a market, and a socket to the main address."""
        from httpx2 import AsyncClient
        from websockets.asyncio.client import connect

        from exchange.cli.bench_gateway import market

        key, instrument = await market(server)
        async with AsyncClient() as http:
            told = (await http.get(f"{server.url}/v1/feed", headers={"authorization": f"Bearer {key}"})).json()
        main = await connect(f"{server.url.replace('http', 'ws', 1)}/v1/stream", compression=None, max_queue=None)
        book = cls(server, key, instrument, told["workers"][0], main)
        await main.send(book.frames[0])
        await main.recv()
        return book

    def _order(self) -> str:
        """Places and takes back in turn, so that the book stays as deep as it is."""
        number, self._number = self._number, self._number + 1
        if number % 2 and number > 40:
            return json.dumps({"op": "cancel_order", "id": number, "args": {"client_order_id": f"b{number - 41}"}})
        args = {"client_order_id": f"b{number}", "instrument": self._instrument, "price": f"{10 + number % 37}.5", "cards": "1"}
        return json.dumps({"op": "place_order", "id": number, "args": args})

    async def change(self, per_s: int) -> None:
        """So many changes a second, until cancelled; no answer is waited for before the next one."""
        loop = asyncio.get_running_loop()
        due, begun = loop.time(), self._number
        reading = asyncio.create_task(self._read())
        try:
            while True:
                await self._main.send(self._order())
                due = max(due + 1 / per_s, loop.time() - 0.05)
                await asyncio.sleep(max(0.0, due - loop.time()))
        finally:
            while self._answered < self._number - begun:
                await asyncio.sleep(0.01)
            reading.cancel()
            self._answered = 0

    async def _read(self) -> None:
        while True:
            await self._main.recv()
            self._answered += 1

    async def cpu_us_per_command(self, seconds: float, per_s: int) -> float:
        """Processor time of the venue's process for each command, at a pace at which commands do not wait for each other."""
        changing = asyncio.create_task(self.change(per_s))
        await asyncio.sleep(0.5)
        count, began_us = self._number, _cpu_us(self._server.pid)
        await asyncio.sleep(seconds)
        found = (_cpu_us(self._server.pid) - began_us) / (self._number - count)
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
        return found

    async def waits_us(self, count: int) -> list[float]:
        """From an order to its delta at a subscriber who came last, one after the other."""
        from websockets.asyncio.client import connect

        waits = []
        async with connect(self.worker_url, compression=None, max_queue=None) as probe:
            for frame in self.frames:
                await probe.send(frame)
            while '"snapshot"' not in (await probe.recv())[:40]:
                pass
            for _ in range(count):
                began = time.perf_counter_ns()
                await self._main.send(self._order())
                await probe.recv()
                waits.append((time.perf_counter_ns() - began) / 1000)
                await self._main.recv()
                await asyncio.sleep(0.01)
        return waits

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """A subscriber that reads nothing any more."""
        from exchange.testing.subscribers import client_frame

        address = urlsplit(self.worker_url)
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.connect((address.hostname, address.port))
            head = (
                f"GET {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            sleeper.sendall(head.encode())
            sleeper.recv(100)
            sleeper.sendall(b"".join(client_frame(text) for text in self.frames))
            time.sleep(0.2)
            yield

    def worker_bytes(self) -> int:
        """Resident memory of the worker."""
        for pid in Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split():
            if b"exchange.workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        raise RuntimeError("the feed worker is gone")


def _cpu_us(pid: int) -> float:
    """Processor time of a process, user and system."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * 1_000_000 / TICKS_S


def _share(waits: list[float], percent: int) -> float:
    return round(sorted(waits)[min(len(waits) - 1, len(waits) * percent // 100)], 1)


def _show(result: dict[str, Any]) -> None:
    from exchange.cli.bench import show_lines

    lines = (
        ("subscribers", "subscribers of one book at one worker", ""),
        ("delivered_per_s", "messages delivered", "1/s"), ("broadcast_per_s", "by a bare broadcast", "1/s"),
        ("delivered_by_broadcast", "ratio", ""), ("changes_per_s", "changes of the book", "1/s"),
        ("bytes_a_message", "a message", "bytes"), ("idle_subscriber_kb", "memory of an idle subscriber", "kB"),
        ("venue_us_a_command", "the venue's processor time a command", "us"),
        ("venue_us_a_command_alone", "the same without subscribers", "us"), ("venue_by_alone", "ratio", ""),
        ("wait_p50_us", "order to the last subscriber, p50", "us"),
        ("wait_p99_us", "order to the last subscriber, p99", "us"),
        ("wait_p99_stuck_us", "the same beside one that does not read", "us"), ("stuck_by_none", "ratio", ""),
    )  # fmt: skip
    show_lines(result, lines)
