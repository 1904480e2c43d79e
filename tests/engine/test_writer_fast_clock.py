"""A clock that is always ahead of the venue takes no frame away from anybody."""

from __future__ import annotations

import asyncio

from live import run, toy_writer

from exchange.domain.commands import Deposit
from exchange.engine.journal import MAX_FRAME_BODY


class FastClock:
    """A second further at each look."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        self._now_ns += 1_000_000_000
        return self._now_ns


def test_a_command_that_fills_a_frame_by_itself_is_taken_although_every_frame_wants_the_clock(tmp_path):
    async def main():
        async with toy_writer(tmp_path, clock=FastClock()) as writer:
            async with asyncio.timeout(20):
                answer = await writer.submit(Deposit("a", 1, "x" * (MAX_FRAME_BODY + 1)))
                assert (await writer.submit(Deposit("a", 2))).seq > answer.seq

    run(main())
