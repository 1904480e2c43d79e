"""A crowd of sockets in one process that read and count, for `cpx bench feed`; told by JSON lines on stdin what to do.

    {"do": "connect", "url", "count", "frames", "answers"}   opens so many, sends each the frames, waits for so many messages
    {"do": "count"} {"do": "record", "count"} {"do": "close"}   what came so far; the next messages of one; all of them end

Each socket costs as little as it can, so that what is measured is the server.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import uvloop

AT_ONCE = 20  # handshakes on their way
CONNECT_S = 60.0
PING, TEXT, BINARY = 9, 1, 2


def client_frame(text: str) -> bytes:
    """A text frame as a client sends it, masked with zeros."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, 0x80 | len(data))) + bytes(4) + data
    return bytes((0x81, 0xFE)) + len(data).to_bytes(2) + bytes(4) + data


class Subscriber(asyncio.Protocol):
    """One socket."""

    def __init__(self, crowd: "Crowd", frames: list[bytes], answers: int, head: bytes) -> None:
        self._crowd, self._frames, self._answers, self._head = crowd, frames, answers, head
        self.transport: Any = None
        self.messages = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._is_open = False

    def connection_made(self, transport: Any) -> None:
        """Of the loop."""
        self.transport = transport
        transport.write(self._head)

    def connection_lost(self, error: Exception | None) -> None:
        """Of the loop."""
        self._crowd.lost += self.ready.done()
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self._rest[:300].decode("latin-1")))

    def data_received(self, data: bytes) -> None:
        """Of the loop."""
        if self._rest:
            data = self._rest + data
        if not self._is_open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._is_open = b" 101 " in head[:20]
            self.transport.writelines(self._frames)
        self._take(data)
        if not self.ready.done() and self.messages >= self._answers:
            self.ready.set_result(None)

    def _take(self, data: bytes) -> None:
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = data[at + 1], at + 2
            if length == 126:
                length, body = int.from_bytes(data[body : body + 2]), body + 2
            elif length == 127:
                length, body = int.from_bytes(data[body : body + 8]), body + 8
            if body + length > size:
                break
            opcode = data[at] & 15
            if opcode == PING:
                self.transport.write(bytes((0x8A, 0x80 | length)) + bytes(4) + data[body : body + length])
            elif opcode in (TEXT, BINARY):
                self.messages += 1
                self._crowd.messages += 1
                self._crowd.bytes += length
                if self._crowd.recorder is self:
                    self._crowd.recorded.append(data[body : body + length].decode())
            at = body + length
        self._rest = data[at:]


class Crowd:
    """All sockets of this process."""

    def __init__(self) -> None:
        self.messages = self.bytes = self.lost = 0
        self.recorder: Subscriber | None = None
        self.recorded: list[str] = []
        self._members: list[Subscriber] = []

    async def do(self, order: dict[str, Any]) -> dict[str, Any]:
        """One line."""
        what = order["do"]
        if what == "connect":
            await self._connect(order)
        elif what == "record":
            self.recorded, self.recorder = [], self._members[0]
            while len(self.recorded) < order["count"]:
                await asyncio.sleep(0.01)
            self.recorder = None
            return {"messages": self.recorded[: order["count"]]}
        elif what == "close":
            for member in self._members:
                member.transport.abort()
            self._members.clear()
            await asyncio.sleep(0.2)
            self.lost = 0
        return {"messages": self.messages, "bytes": self.bytes, "lost": self.lost, "ns": time.perf_counter_ns()}

    async def _connect(self, order: dict[str, Any]) -> None:
        address = urlsplit(order["url"])
        head = (
            f"GET {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        frames = [client_frame(text) for text in order["frames"]]
        loop, limit = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with limit, asyncio.timeout(CONNECT_S):
                _, member = await loop.create_connection(
                    lambda: Subscriber(self, frames, order["answers"], head), address.hostname, address.port
                )
                self._members.append(member)
                await member.ready

        await asyncio.gather(*(one() for _ in range(order["count"])))


async def _serve() -> None:
    loop, crowd = asyncio.get_running_loop(), Crowd()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        sys.stdout.write(json.dumps(await crowd.do(json.loads(line))) + "\n")
        sys.stdout.flush()


def main() -> None:
    """For `python -m`."""
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
