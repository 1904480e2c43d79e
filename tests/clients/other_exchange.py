"""Another exchange that speaks the protocol and has faults which ours has not, on a real port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from exchange.protocol.errors import DoorError, DoorReason

BOOK = "A910B/gansu-qingyang/L10/grid/20261124T08"


VENUE: dict[str, Any] = {
    "name": "Other", "time_zone": "Asia/Shanghai", "period_min": 60, "gate_min": 5, "horizon_periods": 168, "tick": "0.01",
    "lot": "1", "unit": "yuan per card-hour", "release_min": 0, "dispute_min": 0, "clock": "manual", "speed": "1", "epoch": 1,
    "seq": 1, "ts": "2026-11-24T00:00:00Z", "ts_ns": "1", "families": 1, "tariff_version": 1, "fee_standard": "0.01",
    "fee_economy": "0.01", "fee_emergency": "0.01",
}  # fmt: skip


class OtherExchange:
    """One book that stays as it is. `queued`: what its heartbeats say; without them: `has_heartbeat` False.

    It goes down at the first `leaves` logins.
    """

    def __init__(self, *, has_heartbeat: bool = True, leaves: int = 0) -> None:
        self.has_heartbeat, self.leaves = has_heartbeat, leaves
        self.is_full = False  # the next subscription of a book is one too many, for the moment
        self.queued = 0
        self.url = ""
        self.asked: list[tuple[str, str]] = []  # op and channel, in the order in which they came

    async def talk(self, socket: ServerConnection) -> None:
        """One connection."""
        beating: asyncio.Task[None] | None = None
        try:
            async for text in socket:
                request = json.loads(text)
                channel = request.get("args", {}).get("channel", "")
                self.asked.append((request["op"], channel))
                if self.leaves and request["op"] == "login":
                    self.leaves -= 1
                    await say(socket, type="server_shutdown", at_ns="1", reconnect_to=None, reconnect_after_ms=200)
                    return
                if channel == "heartbeat" and not self.has_heartbeat:
                    no = DoorError(DoorReason.TOO_MANY_SUBSCRIPTIONS).problem()
                    error = {name: getattr(no, name) for name in no.__struct_fields__}
                    await say(socket, type="error", id=request["id"], error=error)
                    continue
                if channel == "depth" and self.is_full:
                    self.is_full = False
                    no = DoorError(DoorReason.TOO_MANY_REQUESTS, retry_after_s=1).problem()
                    error = {name: getattr(no, name) for name in no.__struct_fields__}
                    await say(socket, type="error", id=request["id"], error=error)
                    continue
                await say(socket, type="result", id=request["id"], result=self.result(request["op"], channel))
                if channel == "heartbeat":
                    beating = asyncio.create_task(self.beat(socket))
                elif channel == "depth":
                    data = {"bids": [["8.40", "2"]], "asks": []}
                    await say(socket, type="snapshot", channel="depth", instrument=BOOK, epoch=1, seq=4, ts_ns="1", data=data)
        finally:
            if beating is not None:
                beating.cancel()

    def result(self, op: str, channel: str) -> Any:
        """What an operation is answered with."""
        if op == "login":
            return {
                "v": 1, "session": 1, "participant": "buyer", "scopes": ["read"], "epoch": 1, "ts_ns": "1", "heartbeat_s": 1,
                "limits": {},
            }  # fmt: skip
        if op == "ping":
            return {"ts_ns": "1", "server_ts_ns": str(time.time_ns())}
        if op == "venue":
            return VENUE
        return {"channel": channel, "instrument": BOOK, "epoch": 1, "seq": 4, "is_resumed": False}

    async def beat(self, socket: ServerConnection) -> None:
        """Heartbeats, more often than ours."""
        while True:
            try:
                await say(
                    socket, type="heartbeat", epoch=1, seq=9, ts_ns="1", server_ts_ns=str(time.time_ns()),
                    seqs={f"depth {BOOK}": 4}, queued=self.queued,
                )  # fmt: skip
            except ConnectionClosed:
                return
            await asyncio.sleep(0.05)


async def say(socket: ServerConnection, **message: Any) -> None:
    """Sends one message."""
    await socket.send(json.dumps(message))


@asynccontextmanager
async def other_exchange(**options: Any) -> AsyncIterator[OtherExchange]:
    """It runs on the loop of the test."""
    exchange = OtherExchange(**options)
    async with serve(exchange.talk, "127.0.0.1", 0) as server:
        exchange.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield exchange
