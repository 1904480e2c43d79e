"""A load generator for the doors: frames over one socket with a window, requests over keep-alive connections."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect


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


async def over_socket(url: str, login: str | None, frames: Sequence[str], window: int, expect: str) -> Measured:
    """Sends every frame with at most `window` unanswered; ValueError where an answer does not contain `expect`."""
    address = urlsplit(url)
    async with connect(f"ws://{address.netloc}{address.path}", compression=None, max_queue=None) as socket:
        if login is not None:
            await socket.send(login)
            await socket.recv()
        return await _exchange(socket, frames, window, expect)


async def _exchange(socket: ClientConnection, frames: Sequence[str], window: int, expect: str) -> Measured:
    sent: list[int] = []
    waits: list[int] = []
    started = time.perf_counter()
    for frame in frames[:window]:
        sent.append(time.perf_counter_ns())
        await socket.send(frame)
    for place in range(len(frames)):
        answer = await socket.recv(decode=False)
        waits.append(time.perf_counter_ns() - sent[place])
        if expect.encode() not in answer:
            raise ValueError(f"an answer is not as expected: {answer[:300]!r}")
        if place + window < len(frames):
            sent.append(time.perf_counter_ns())
            await socket.send(frames[place + window])
    return Measured.of(len(frames), time.perf_counter() - started, waits)


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
