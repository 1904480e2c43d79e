"""A proxy between websockets that loses messages, pauses, falls mute and cuts, by chance with a seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


class LossyWire:
    """What the exchange says is lost with `loss`, held up with `pause`, and ends the connection with `cut`, per message.

    The answer to the login always comes through. Nothing is lost while `is_good`.
    """

    def __init__(self, upstream: str, seed: int, *, loss: float, pause: float, cut: float) -> None:
        self._upstream = upstream
        self._random = random.Random(seed)
        self._loss, self._pause, self._cut = loss, pause, cut
        self.is_good = False
        self.lost: Counter[str] = Counter()  # by type of message
        self.pauses = self.cuts = self.mutes = 0
        self.mute_next = False
        self.url = ""

    async def talk(self, near: ServerConnection) -> None:
        """One connection."""
        try:
            async with connect(self._upstream, compression=None, open_timeout=5, close_timeout=1, proxy=None) as far:
                asking = asyncio.create_task(self._forward(near, far))
                try:
                    await near.send(await far.recv())
                    await self._back(far, near)
                finally:
                    asking.cancel()
        except (OSError, websockets.WebSocketException, TimeoutError):
            pass
        near.transport.abort()

    async def _forward(self, near: ServerConnection, far: websockets.ClientConnection) -> None:
        with suppress(websockets.ConnectionClosed):
            async for message in near:
                await far.send(message)
        far.transport.abort()  # whoever has gone is not told what is still on its way

    async def _back(self, far: websockets.ClientConnection, near: ServerConnection) -> None:
        async for message in far:
            if self.mute_next:
                self.mute_next = False
                self.mutes += 1
                await near.wait_closed()  # open, and nothing comes: the client has to notice
                return
            drawn = 1.0 if self.is_good else self._random.random()
            if drawn < self._loss:
                self.lost[json.loads(message)["type"]] += 1
                continue
            if drawn < self._loss + self._pause:
                self.pauses += 1
                await asyncio.sleep(self._random.uniform(0.05, 0.5))
            elif drawn < self._loss + self._pause + self._cut:
                self.cuts += 1
                return
            await near.send(message)


@asynccontextmanager
async def lossy_wire(upstream: str, seed: int, *, loss: float, pause: float, cut: float) -> AsyncIterator[LossyWire]:
    """On a port of its own, on the loop of the test."""
    wire = LossyWire(upstream, seed, loss=loss, pause=pause, cut=cut)
    async with serve(wire.talk, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        wire.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield wire
