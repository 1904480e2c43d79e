"""Reconnects wait longer each time, and not all clients the same."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from clients.feed import Feed
from clients.pace import MAX_DELAY_S, Backoff

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def waits(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_s() for _ in range(count)]


def test_waits_double_up_to_a_limit_and_begin_anew_when_it_went_well() -> None:
    backoff = Backoff(lambda: 1.0)
    assert waits(backoff, 8) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY_S, MAX_DELAY_S]
    backoff.reset()
    assert backoff.next_s() == 0.1
    assert waits(Backoff(lambda: 0.0), 2) == [0.05, 0.1]


def test_a_hundred_clients_that_were_cut_off_together_do_not_come_back_together() -> None:
    seconds = [sum(waits(Backoff(), 4)) for _ in range(100)]
    assert len({round(each, 4) for each in seconds}) > 90 and max(seconds) - min(seconds) > 0.2


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_feed_that_finds_nobody_keeps_to_these_waits() -> None:
    async def moments(part: float) -> list[float]:
        """When the feed had failed to connect, four times."""
        found: list[float] = []
        enough = asyncio.Event()

        def draw() -> float:
            found.append(time.monotonic())
            if len(found) == 4:
                enough.set()
            return part

        url = f"http://127.0.0.1:{free_port()}"
        feed = Feed(url, "key", timeout_s=5, staleness_s=3, backoff=Backoff(draw))
        feed.start()
        async with asyncio.timeout(20):
            await enough.wait()
        await feed.close()
        return found

    for part in (1.0, 0.0):
        found = asyncio.run(moments(part))
        gaps = [later - earlier for earlier, later in zip(found, found[1:], strict=False)]
        least = [each * (0.5 + part / 2) for each in (0.1, 0.2, 0.4)]
        assert all(gap >= wanted * 0.99 for gap, wanted in zip(gaps, least, strict=True)), gaps


