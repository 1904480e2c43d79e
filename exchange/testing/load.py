"""A load generator for the doors: frames over one socket, as fast as a window allows or at a pace, and requests over HTTP."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

MAX_ANSWER = 16 << 20  # bytes
TICK_S = 0.001  # of a pace: what is due within it is sent together


@dataclass(frozen=True, slots=True)
class Measured:
    """Answers a second, and the time from sending to answer, microseconds."""

    per_s: float
    p50_us: float
    p99_us: float

    @staticmethod
    def of(count: int, seconds: float, waits_ns: list[int]) -> "Measured":
        """From the raw times."""
        waits = sorted(waits_ns)
        return Measured(
            round(count / seconds, 1), waits[len(waits) // 2] / 1000, waits[min(len(waits) - 1, len(waits) * 99 // 100)] / 1000
        )


@dataclass(frozen=True, slots=True)
class Line:
    """Where frames are sent, and what each answer must hold: `expect`, at least so many times."""

    url: str
    login: str | None
    expect: bytes
    times: int = 1

    def open(self) -> AbstractAsyncContextManager[ClientConnection]:
        """The socket, not logged in."""
        address = urlsplit(self.url)
        return connect(f"ws://{address.netloc}{address.path}", compression=None, max_queue=None, max_size=MAX_ANSWER)

    async def log_in(self, socket: ClientConnection) -> None:
        """Sends the login, where there is one."""
        if self.login is not None:
            await socket.send(self.login)
            await socket.recv()

    def check(self, answer: bytes) -> None:
        """ValueError where an answer is not as expected."""
        if self.expect not in answer or (self.times > 1 and answer.count(self.expect) < self.times):
            raise ValueError(f"an answer is not as expected: {answer[:300]!r}")


async def over_socket(line: Line, frames: Sequence[str], window: int) -> Measured:
    """Sends every frame with at most `window` unanswered."""
    async with line.open() as socket:
        await line.log_in(socket)
        sent: list[int] = []
        waits: list[int] = []
        started = time.perf_counter()
        for frame in frames[:window]:
            sent.append(time.perf_counter_ns())
            await socket.send(frame)
        for place in range(len(frames)):
            answer = await socket.recv(decode=False)
            waits.append(time.perf_counter_ns() - sent[place])
            line.check(answer)
            if place + window < len(frames):
                sent.append(time.perf_counter_ns())
                await socket.send(frames[place + window])
        return Measured.of(len(frames), time.perf_counter() - started, waits)


async def at_pace(line: Line, frames: Sequence[str], per_s: float) -> Measured:
    """Sends so many frames a second, answered or not; waits count from when a frame was due, not from when it was sent."""
    async with line.open() as socket:
        await line.log_in(socket)
        step_ns, started_ns = 1e9 / per_s, time.perf_counter_ns()

        async def send_all() -> None:
            place = 0
            while place < len(frames):
                due = min(len(frames), int((time.perf_counter_ns() - started_ns) / step_ns) + 1)
                for frame in frames[place:due]:
                    await socket.send(frame)
                place = max(place, due)
                await asyncio.sleep(TICK_S)

        sender = asyncio.ensure_future(send_all())
        waits = []
        for place in range(len(frames)):
            answer = await socket.recv(decode=False)
            waits.append(max(0, time.perf_counter_ns() - started_ns - int(place * step_ns)))
            line.check(answer)
        await sender
        return Measured.of(len(frames), (time.perf_counter_ns() - started_ns) / 1e9, waits)


async def over_http(url: str, path: str, key: str, bodies: Sequence[bytes], connections: int, expect: bytes) -> Measured:
    """POSTs every body, each connection one after the other; ValueError where an answer does not contain `expect`."""
    address = urlsplit(url)
    waits: list[int] = []
    started = time.perf_counter()
    shares = [bodies[number::connections] for number in range(connections)]
    await asyncio.gather(*(_post_all(address.hostname, address.port, path, key, share, waits, expect) for share in shares))
    return Measured.of(len(bodies), time.perf_counter() - started, waits)


async def _post_all(
    host: str | None, port: int | None, path: str, key: str, bodies: Sequence[bytes], waits: list[int], expect: bytes
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    for body in bodies:
        begun = time.perf_counter_ns()
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        headers = await reader.readuntil(b"\r\n\r\n")
        length = int(headers.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        waits.append(time.perf_counter_ns() - begun)
        if expect not in answer:
            raise ValueError(f"an answer is not as expected: {answer[:300]!r}")
    writer.close()
    await writer.wait_closed()
