"""A market-data client of nothing but `websockets` and the protocol's page: rebuilds books, and proves each one.

It has not a line of the SDK or of the exchange in it. Every snapshot and delta brings a checksum, which is made here again
from the book that was rebuilt; every heartbeat says how far each book should be.
"""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import websockets

MUTE_S = 3.0
Levels = dict[Decimal, Decimal]


class Replica:
    """One book as it was rebuilt."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.epoch: int | None = None
        self.seq = 0
        self.is_live = False  # subscribed, and nothing is known to be missing
        self.asked = 0  # id of the request that is not answered yet
        self.beats = 0  # heartbeats since it was asked for

    @property
    def levels(self) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
        """Both sides, best first, as numbers without trailing zeros."""
        return _sorted(self.bids, best=-1), _sorted(self.asks, best=1)

    def change(self, data: dict[str, Any]) -> None:
        """What is now at each price."""
        for side, levels in ((self.bids, data["bids"]), (self.asks, data["asks"])):
            for price, cards in levels:
                side.pop(Decimal(price), None)
                if cards != "0":
                    side[Decimal(price)] = Decimal(cards)

    def checksum(self, tick: Decimal, lot: Decimal) -> int:
        """CRC32 of the best ten of both sides in ticks and lots, as docs/protocol/stream.md defines it."""
        bids, asks = sorted(self.bids, reverse=True)[:10], sorted(self.asks)[:10]
        words = []
        for place in range(10):
            for prices, side in ((bids, self.bids), (asks, self.asks)):
                if place < len(prices):
                    words.append(f"{int(prices[place] / tick)}:{int(side[prices[place]] / lot)}")
        return zlib.crc32(":".join(words).encode())


def _sorted(side: Levels, best: int) -> Any:
    return tuple((f"{price.normalize():f}", f"{side[price].normalize():f}") for price in sorted(side, key=lambda p: best * p))


class PlainClient:
    """Follows books over one socket at a time, until it is told to end."""

    def __init__(self, url: str, key: str, names: list[str], tick: Decimal, lot: Decimal, seed: int) -> None:
        """on_state: called with each state of each book that is proven by its checksum."""
        self.url, self._key, self._tick, self._lot = url, key, tick, lot
        self.books = {name: Replica(name) for name in names}
        self.on_state: Callable[[Replica], None] = lambda _book: None
        self.checked = self.wrong = self.gaps = self.connections = self.resumed = self.snapshots = self.mute = 0
        self._random = random.Random(seed)
        self._id = 1
        self._ws: Any = None

    async def run(self) -> None:
        """Until it is cancelled."""
        wait_s = 0.05
        while True:
            try:
                async with websockets.connect(
                    self.url, compression=None, open_timeout=5, close_timeout=1, proxy=None
                ) as self._ws:
                    await self._log_in()
                    self.connections += 1
                    wait_s = 0.05
                    await self._session()
            except TimeoutError:
                self.mute += 1
            except (OSError, websockets.WebSocketException):
                pass
            for book in self.books.values():
                book.is_live, book.asked = False, 0
            await asyncio.sleep(wait_s * (0.5 + self._random.random() / 2))
            wait_s = min(2.0, 2 * wait_s)

    async def _log_in(self) -> None:
        await self._send("login", {"key": self._key})
        await asyncio.wait_for(self._ws.recv(), MUTE_S)

    async def _session(self) -> None:
        await self._send("subscribe", {"channel": "heartbeat"})
        for book in self.books.values():
            await self._ask(book)
        while True:
            told = json.loads(await asyncio.wait_for(self._ws.recv(), MUTE_S))
            book = self.books.get(told.get("instrument", ""))
            if told["type"] == "result":
                self._answered(told)
            elif told["type"] == "heartbeat":
                await self._beat(told)
            elif book is not None and told["type"] == "snapshot":
                self._snapshot(book, told)
            elif book is not None and told["type"] == "delta":
                await self._delta(book, told)

    def _answered(self, told: dict[str, Any]) -> None:
        result = told["result"]
        for book in self.books.values():
            if book.asked == told["id"]:
                book.asked = 0
                # Resumed: what was missed follows on what we have. Else a snapshot comes, and until then nothing fits.
                book.is_live = result["is_resumed"]
                self.resumed += result["is_resumed"]

    def _snapshot(self, book: Replica, told: dict[str, Any]) -> None:
        if book.asked:
            return
        book.bids, book.asks = {}, {}
        book.epoch, book.is_live = told["epoch"], True
        self.snapshots += 1
        self._take(book, told)

    async def _delta(self, book: Replica, told: dict[str, Any]) -> None:
        if book.asked:
            return  # of the subscription before
        if not book.is_live or (told["epoch"], told["prev_seq"]) != (book.epoch, book.seq):
            self.gaps += 1
            await self._ask(book)
            return
        self._take(book, told)

    def _take(self, book: Replica, told: dict[str, Any]) -> None:
        book.change(told["data"])
        book.seq, book.beats = told["seq"], 0
        self.checked += 1
        self.wrong += book.checksum(self._tick, self._lot) != told["data"]["checksum"]
        self.on_state(book)

    async def _beat(self, told: dict[str, Any]) -> None:
        for book in self.books.values():
            place = (told["epoch"], told["seqs"].get(f"depth {book.name}"))
            if book.is_live and not book.asked and place == (book.epoch, book.seq):
                book.beats = 0
                continue
            book.beats += 1
            if book.beats > 1 or (book.is_live and not book.asked):
                self.gaps += 1
                await self._ask(book)

    async def _ask(self, book: Replica) -> None:
        """From where we are on; the exchange says whether it can."""
        where = {} if book.epoch is None else {"epoch": book.epoch, "from_seq": book.seq}
        book.is_live, book.beats = False, 0
        book.asked = await self._send("subscribe", {"channel": "depth", "instrument": book.name, **where})

    async def _send(self, op: str, args: dict[str, Any]) -> int:
        self._id += 1
        await self._ws.send(json.dumps({"op": op, "id": self._id, "args": args}))
        return self._id
