"""An hour of trading, rebuilt by plain `websockets` clients over wires that lose, pause, mute and cut, and over a SIGKILL.

The truth is not the feed's: the driver asks the venue for its books (`depth`, the operation) while it trades. At every place
at which both were, a client's book is the venue's; at every message its checksum is the exchange's.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import websockets
from live_market import LiveMarket, china, instrument, live_market
from lossy_wire import LossyWire, lossy_wire
from plain_client import PlainClient

pytestmark = pytest.mark.slow
HOURS = (18, 19, 20, 21)
NAMES = [instrument(hour) for hour in HOURS]
SEED = int(os.environ.get("CPX_SEED", "7"))
START = datetime.fromisoformat(china(0)).astimezone(UTC)


class Driver:
    """Trades for everybody over one socket, moves the venue's clock, and asks for the truth."""

    def __init__(self, market: LiveMarket, seed: int) -> None:
        self._url = market.server.url.replace("http", "ws") + "/v1/stream"
        self._key = market.server.operator_key
        self._random = random.Random(seed)
        self._orders: list[str] = []
        self._offers: list[str] = []
        self._number = 0
        self._ws: Any = None
        self.commands = 0
        self.truth: dict[tuple[int, str, int], Any] = {}

    async def connect(self) -> None:
        self._ws = await websockets.connect(self._url, compression=None, proxy=None, max_size=None)
        assert "result" in await self.ask("login", key=self._key)

    async def ask(self, op: str, **args: Any) -> dict[str, Any]:
        """One request and its answer."""
        self._number += 1
        key = {"idempotency_key": f"k{self._number}"} if op == "advance_time" else {}
        await self._ws.send(json.dumps({"op": op, "id": self._number, "args": args, **key}))
        told: dict[str, Any] = json.loads(await self._ws.recv())
        assert told["id"] == self._number, told
        return told

    async def step(self, moment: datetime, busy: int) -> None:
        """The clock moves, somebody does something, and one book is looked at."""
        told = await self.ask("advance_time", to=moment.isoformat().replace("+00:00", "Z"))
        assert "result" in told, told
        for _ in range(busy):
            await self._act()
        await self.look(self._random.choice(NAMES))

    async def look(self, name: str) -> tuple[int, int]:
        """What the venue itself has in a book; its place."""
        told = (await self.ask("depth", instrument=name, levels=1000))["result"]
        levels = tuple(
            tuple((f"{Decimal(price).normalize():f}", f"{Decimal(cards).normalize():f}") for price, cards in told[side])
            for side in ("bids", "asks")
        )
        self.truth[told["epoch"], name, told["seq"]] = levels
        return told["epoch"], told["seq"]

    async def _act(self) -> None:
        draw, chance = self._random, self._random.random()
        name, self._number = f"n{self._number}", self._number + 1
        self.commands += 1
        if chance < 0.2 and len(self._orders) > 20:
            chosen = self._orders.pop(draw.randrange(len(self._orders)))
            await self.ask("cancel_order", participant="buyer", client_order_id=chosen)
        elif chance < 0.3 and len(self._offers) > 20:
            chosen = self._offers.pop(draw.randrange(len(self._offers)))
            await self.ask("withdraw_offer", participant="seller", offer_id=chosen)
        elif chance < 0.6:
            hour = draw.choice(HOURS)
            told = await self.ask(
                "place_offer", participant="seller", offer_id=name, site="zw-1", chip="A910B", latency_class="L10",
                cards=str(draw.randint(1, 9)), price=f"{draw.randint(490, 540) / 100:.2f}",
                start=china(hour), end=china(hour + 1),
            )  # fmt: skip
            assert "result" in told, told
            self._offers.append(name)
        else:
            told = await self.ask(
                "place_order", participant="buyer", client_order_id=name, instrument=draw.choice(NAMES),
                price=f"{draw.randint(450, 500) / 100:.2f}", cards=str(draw.randint(1, 9)),
            )  # fmt: skip
            assert "result" in told, told
            self._orders.append(name)


class Witness:
    """Every state that a client has shown, by its place."""

    def __init__(self, client: PlainClient) -> None:
        self.client = client
        self.states: dict[tuple[int, str, int], Any] = {}
        client.on_state = lambda book: self.states.__setitem__((book.epoch or 0, book.name, book.seq), book.levels)


async def an_hour(
    market: LiveMarket, *, steps: int, busy: int, clients: int, kills: int, wire: dict[str, float]
) -> dict[str, int]:
    """Trades for an hour of the venue's time while clients follow; what was seen."""
    venue = market.operator.venue()
    driver = Driver(market, SEED)
    await driver.connect()
    upstream = market.server.url.replace("http", "ws") + "/v1/stream"
    key = market.buyer_key
    async with AsyncExitStack() as stack:
        wires: list[LossyWire] = []
        witnesses: list[Witness] = []
        running: list[asyncio.Task[None]] = []
        for number in range(clients):
            found = await stack.enter_async_context(lossy_wire(upstream, SEED + number, **wire))
            witness = Witness(PlainClient(found.url, key, NAMES, venue.tick, venue.lot, SEED + number))
            wires.append(found)
            witnesses.append(witness)
            running.append(asyncio.create_task(witness.client.run()))
        kill_at = {steps * (each + 1) // (kills + 1) for each in range(kills)}
        for number in range(1, steps + 1):
            await driver.step(START + timedelta(seconds=3600 * number / steps), busy)
            if number in kill_at:
                await asyncio.to_thread(market.server.kill)
                await asyncio.to_thread(market.server.start)
                await driver.connect()
            if number % max(1, steps // 3) == steps // 6:
                wires[number % clients].mute_next = True
            await asyncio.sleep(0)
        for each in wires:
            each.is_good = True
        ends = [(await driver.look(name), name) for name in NAMES]
        for witness in witnesses:
            await _until_there(witness.client, ends)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return _figures(driver, wires, witnesses, ends)


async def _until_there(client: PlainClient, ends: list[tuple[tuple[int, int], str]]) -> None:
    async with asyncio.timeout(20):
        for place, name in ends:
            book = client.books[name]
            while (book.epoch, book.seq) != place or not book.is_live:
                await asyncio.sleep(0.02)


def _figures(driver: Driver, wires: list[LossyWire], witnesses: list[Witness], ends: Any) -> dict[str, int]:
    """Totals; `undetected` are states that the venue never had at that place."""
    compared = undetected = 0
    for witness in witnesses:
        for place in witness.states.keys() & driver.truth.keys():
            compared += 1
            undetected += witness.states[place] != driver.truth[place]
        for (epoch, seq), name in ends:
            assert witness.client.books[name].levels == driver.truth[epoch, name, seq]
    all_clients = [witness.client for witness in witnesses]
    return {
        "commands": driver.commands, "compared": compared, "undetected": undetected,
        "lost": sum(sum(wire.lost.values()) for wire in wires), "lost_deltas": sum(wire.lost["delta"] for wire in wires),
        "cuts": sum(wire.cuts for wire in wires), "pauses": sum(wire.pauses for wire in wires),
        "mutes": sum(wire.mutes for wire in wires),
        **{
            name: sum(getattr(client, name) for client in all_clients)
            for name in ("checked", "wrong", "gaps", "connections", "resumed", "snapshots", "mute")
        },
    }  # fmt: skip


OPTIONS = [
    word
    for name in ("order_rate", "order_burst", "read_rate", "read_burst", "offer_hour_rate", "offer_hour_burst")
    for word in ("--limit", f"{name}=1000000")
]


def test_an_hour_over_wires_that_lose_pause_and_cut_and_a_kill_is_rebuilt_to_the_last_card(tmp_path: Path) -> None:
    with live_market(tmp_path / "market", *OPTIONS) as market:
        wire = {"loss": 0.02, "pause": 0.002, "cut": 0.002}
        seen = asyncio.run(an_hour(market, steps=240, busy=6, clients=2, kills=1, wire=wire))
    print(seen)
    assert seen["wrong"] == 0 and seen["undetected"] == 0, seen
    assert seen["checked"] > 1000 and seen["compared"] > 100, seen
    # It was no easy hour.
    assert seen["lost_deltas"] > 10 and seen["gaps"] >= 10 and seen["cuts"] >= 1 and seen["pauses"] >= 1, seen
    assert seen["mute"] >= 1 and seen["resumed"] >= 1 and seen["connections"] > seen["cuts"] >= 1, seen


@pytest.mark.soak
def test_an_hour_second_by_second_for_many_clients_with_three_kills(tmp_path: Path) -> None:
    with live_market(tmp_path / "market", *OPTIONS) as market:
        wire = {"loss": 0.01, "pause": 0.002, "cut": 0.001}
        seen = asyncio.run(an_hour(market, steps=3600, busy=10, clients=6, kills=3, wire=wire))
    print(seen)
    assert seen["wrong"] == 0 and seen["undetected"] == 0, seen
    assert seen["lost_deltas"] > 300 and seen["cuts"] > 30 and seen["mute"] >= 2 and seen["compared"] > 3000, seen
