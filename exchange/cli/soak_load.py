"""`cpx soak --load`: minutes of trading at a share of what a server can take, with clients that come and go.

The server is a process of its own, on a clock that runs 60 times as fast, so that gates close, fixes are made, obligations
settle and ids are forgotten meanwhile. Traders place and cancel plain bids at a pace, one of them buys from an offer, followers
prove the numbers of what they are told; all of them leave and come back. In the end the journal is replayed from empty: it must
give the state that the server told, and that of its last snapshot.

Memory is the resident set of the server's process and its children, read once a second. What counts is the median of each
minute behind the warm-up: it is flat where none of them is further than 5 % from their middle one. The highest single reading
is told beside it: while a snapshot is proven a second venue is in memory for a moment.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from exchange.testing.server import Server

SHARE, LEAST_SHARE, FLAT = 0.7, 0.65, 0.05
SPEED = 60  # venue seconds a second
TRADERS, FOLLOWERS, BOOKS = 6, 12, 12
KEEP = 300  # orders of a trader that rest before he cancels as many as he places
WINDOW = 32  # frames of a trader that are not answered while the capacity is measured
MOST_UNANSWERED = 4_000  # of a trader at a pace; then he waits, and is late
TRADER_STAYS_S, FOLLOWER_STAYS_S = (8.0, 25.0), (1.0, 12.0)
LONGEST_CAPACITY_S = 30.0
CAPACITY_S, TICK_S, BUYS_EVERY_S, ANSWER_S = 5.0, 0.005, 0.5, 20.0
WINDOW_S = 60.0  # of memory
WARM_UP_S = 180.0  # ids are kept for a minute, and the first segment of the journal is full by then
OFFER_PRICE, MOST_PRICE = "60.00", 50
OPEN_LIMITS = (
    "order_rate=1000000", "order_burst=1000000", "frame_rate=1000000", "frame_burst=1000000", "read_rate=1000000",
    "read_burst=1000000", "keyless_rate=1000000", "keyless_burst=1000000",
)  # fmt: skip
ERRORS_NAMED = 20


class _Told(msgspec.Struct):
    """Any frame of the server, as far as it matters here."""

    type: str
    id: int | str | None = None
    result: Any = None
    error: Any = None
    channel: str = ""
    instrument: str = ""
    seq: int = 0
    prev_seq: int = 0


_read = msgspec.json.Decoder(_Told).decode


@dataclass(slots=True)
class Load:
    """What happened."""

    acked: int = 0
    connects: int = 0
    messages: int = 0  # to followers
    trades: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    waits_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))
    rss: list[tuple[float, int, int]] = field(default_factory=list)  # seconds since the beginning; bytes, those of children


@dataclass(frozen=True, slots=True)
class Market:
    """What is traded, by whom."""

    url: str
    keys: tuple[str, ...]  # of the traders
    buyer_key: str
    instruments: tuple[str, ...]


def is_flat(medians: list[float]) -> tuple[bool, float]:
    """Whether none is further from the middle one than FLAT, and how far the furthest is."""
    middle = statistics.median(medians)
    furthest = max(abs(each - middle) / middle for each in medians)
    return furthest <= FLAT, furthest


def medians_of(readings: list[tuple[float, int]], window_s: float) -> list[float]:
    """The median of each whole window of readings (seconds, bytes), oldest first; all of them where there is none."""
    first_s = readings[0][0]
    windows: dict[int, list[int]] = {}
    for at_s, size in readings:
        windows.setdefault(int((at_s - first_s) / window_s), []).append(size)
    whole = int((readings[-1][0] - first_s) / window_s)
    found = [statistics.median(windows[number]) for number in sorted(windows) if number < whole]
    return found or [statistics.median(size for _, size in readings)]


def run(
    minutes: float, seed: int, *, warm_up_s: float = WARM_UP_S, show: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """The figures; `is_fine` as below."""
    from exchange.testing.server import running_server

    limits = [word for limit in OPEN_LIMITS for word in ("--limit", limit)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        with running_server(folder, "--clock", "compressed", "--speed", str(SPEED), *limits) as server:
            found = asyncio.run(_Soak(server, open_market(server), random.Random(seed), show).last(60 * minutes, warm_up_s))
            exit_code = server.stop()
        show("replaying the journal")
        found |= {"exit_code": exit_code, **replayed(folder, found["told_seq"], found["told_hash"])}
    return found | {"is_fine": is_fine(found)}


def is_fine(found: dict[str, Any]) -> bool:
    """No error, flat memory, equal hashes, a clean end; and the load was what it was to be: a slower one proves nothing."""
    is_held = found["share"] >= LEAST_SHARE
    return bool(is_held and not found["errors"] and found["is_flat"] and found["are_hashes_equal"] and not found["exit_code"])


def open_market(server: Server) -> Market:
    """One family, a provider who offers all of its last hours, traders with money."""
    from clients import Client
    from exchange.adapters.catalogue_files import load_catalogue, load_tariff
    from exchange.domain.commands import ListFamily, SetVenue
    from exchange.domain.units import NS_PER_HOUR
    from exchange.protocol.measures import Measures
    from exchange.protocol.to_command import from_command

    settings = SetVenue(name="soak", idempotency_retention_ns=NS_PER_HOUR)
    family = ListFamily("H800", "guizhou-guian", "L10", "grid")
    with Client(server.url, server.operator_key, valid_for_s=None) as operator:
        for command in (settings, load_catalogue(), load_tariff(), family):
            name, args = from_command(command, Measures(settings))
            operator.call(name, **msgspec.to_builtins(args))
        names = [f"trader-{number}" for number in range(TRADERS)]
        for name in (*names, "taker", "seller"):
            operator.add_participant(name, firm=name)
            operator.deposit(name, 1_000_000_000)
        keys = [operator.create_key(["read", "trade"], participant=name).secret for name in (*names, "taker")]
        listed = next(iter(operator.instruments()))
        last = listed.last_period  # closes after seven days of the venue's time: after all of this
        end = _hour_of(last) + timedelta(hours=1)
        start = end - timedelta(hours=BOOKS)
        operator.add_site("gy-1", participant="seller", region="guizhou-guian")
        operator.attest_capacity("gy-1", chip="H800", cards=100_000, start=start, end=end)
        seller = operator.create_key(["read", "provide"], participant="seller").secret
        with Client(server.url, seller, valid_for_s=None) as provider:
            provider.offer(
                50_000, site="gy-1", chip="H800", latency_class="L10", start=start, end=end, price=OFFER_PRICE
            )  # fmt: skip
    hours = [start + timedelta(hours=number) for number in range(BOOKS)]
    books = tuple(f"{listed.family}/{hour:%Y%m%dT%H}" for hour in hours)
    return Market(f"ws{server.url.removeprefix('http')}/v1/stream", tuple(keys[:-1]), keys[-1], books)


def _hour_of(code: str) -> Any:
    from datetime import UTC, datetime

    return datetime.strptime(code, "%Y%m%dT%H").replace(tzinfo=UTC)


class _Soak:
    """One run."""

    def __init__(self, server: Server, market: Market, chance: random.Random, show: Callable[[str], None]) -> None:
        self._server, self.market, self.chance, self._show = server, market, chance, show
        self.load = Load()
        self.is_over = False
        self.pace: float | None = None  # commands a second of each trader; None = as many as are answered

    async def last(self, seconds: float, warm_up_s: float) -> dict[str, Any]:
        """The whole of it but the replay."""
        self._began_s = time.monotonic()
        traders = [_Trader(self, number, key) for number, key in enumerate(self.market.keys)]
        tasks = [asyncio.create_task(each.run()) for each in traders]
        tasks += [asyncio.create_task(_Follower(self, number).run()) for number in range(FOLLOWERS)]
        tasks += [asyncio.create_task(_buy(self)), asyncio.create_task(self._weigh())]
        await asyncio.sleep(CAPACITY_S / 2)
        before, at_s = self.load.acked, time.monotonic()
        await asyncio.sleep(max(CAPACITY_S, min(LONGEST_CAPACITY_S, seconds / 20)))
        capacity = (self.load.acked - before) / (time.monotonic() - at_s)
        self.pace = SHARE * capacity / len(traders)
        self._show(f"capacity {capacity:,.0f} commands a second; {SHARE:.0%} of it from now on")
        self.load.waits_ms.clear()
        paced, paced_s = self.load.acked, time.monotonic()
        while (left_s := seconds - (time.monotonic() - paced_s)) > 0:
            await asyncio.sleep(min(30.0, left_s))
            self._show(self._line())
            if any(task.done() for task in tasks):
                break
        rate = (self.load.acked - paced) / (time.monotonic() - paced_s)
        self.is_over = True
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                self.fault(f"a client failed: {type(error).__name__}: {error}")
        return self._found(capacity, rate, warm_up_s) | await self._state()

    def fault(self, what: str) -> None:
        """Something that must not be."""
        self.load.errors[what[:200]] += 1

    def _found(self, capacity: float, rate: float, warm_up_s: float) -> dict[str, Any]:
        load = self.load
        last_s = load.rss[-1][0]
        from_s = min(warm_up_s, last_s / 2)
        warm = [(at_s, size) for at_s, size, _ in load.rss if at_s >= from_s]
        window_s = min(WINDOW_S, (last_s - from_s) / 4)
        medians = medians_of(warm, window_s)
        of_children = medians_of([(at_s, size) for at_s, _, size in load.rss if at_s >= from_s], window_s)
        flat, furthest = is_flat(medians)
        waits = sorted(load.waits_ms) or [0.0]
        return {
            "capacity_per_s": round(capacity), "commands_per_s": round(rate), "share": round(rate / capacity, 3),
            "commands": load.acked, "trades": load.trades, "followed_messages": load.messages, "connections": load.connects,
            "ack_p50_ms": round(waits[len(waits) // 2], 2), "ack_p99_ms": round(waits[len(waits) * 99 // 100], 2),
            "ack_longest_ms": round(waits[-1], 1), "warm_up_s": round(from_s, 1), "rss_readings": len(warm),
            "rss_window_s": round(window_s, 1), "rss_mb": [round(size / 1e6, 1) for size in medians],
            "rss_of_children_mb": [round(size / 1e6, 1) for size in of_children],
            "rss_peak_mb": round(max(size for _, size in warm) / 1e6, 1), "rss_furthest": round(furthest, 4), "is_flat": flat,
            "errors": dict(load.errors.most_common(ERRORS_NAMED)),
        }  # fmt: skip

    async def _state(self) -> dict[str, Any]:
        from clients import AsyncClient

        async with AsyncClient(self._server.url, self._server.operator_key) as operator:
            state = await operator.state()
            health = await operator.health()
        if health.problems:
            self.fault(f"health: {'; '.join(health.problems)}")
        return {"told_seq": state.seq, "told_hash": state.state_hash, "errors": dict(self.load.errors)}

    async def _weigh(self) -> None:
        while not self.is_over:
            self.load.rss.append((time.monotonic() - self._began_s, *resident_bytes(self._server.pid)))
            await asyncio.sleep(1)

    def _line(self) -> str:
        load = self.load
        size = load.rss[-1][1] / 1e6
        return (
            f"{load.rss[-1][0]:6.0f} s: {load.acked:,} commands, {load.trades:,} trades, {load.connects:,} connections, "
            f"{size:,.1f} MB, {load.errors.total()} errors"
        )


class _Trader:
    """Places and cancels bids; leaves when all is answered, and comes back."""

    def __init__(self, soak: _Soak, number: int, key: str) -> None:
        self._soak, self._name, self._key = soak, f"t{number}", key
        self._resting: deque[str] = deque()
        self._sent: dict[int, float] = {}
        self._number = 0
        self._due = 0.0

    async def run(self) -> None:
        """Until it is over."""
        soak = self._soak
        while not soak.is_over:
            try:
                async with _opened(soak, self._key) as ws:
                    reader = asyncio.create_task(self._hear(ws))
                    try:
                        await self._trade(ws, time.monotonic() + soak.chance.uniform(*TRADER_STAYS_S))
                        await asyncio.wait_for(self._answered(), ANSWER_S)
                    finally:
                        reader.cancel()
                        await asyncio.gather(reader, return_exceptions=True)
            except (OSError, ConnectionClosed, TimeoutError) as error:
                soak.fault(f"trader: {type(error).__name__}: {error}")
                self._sent.clear()
                await asyncio.sleep(0.5)

    async def _trade(self, ws: ClientConnection, until_s: float) -> None:
        at_s = time.monotonic()
        while not self._soak.is_over and (now_s := time.monotonic()) < until_s:
            pace = self._soak.pace
            if pace is None:
                room = WINDOW - len(self._sent)
            else:
                self._due = min(self._due + (now_s - at_s) * pace, MOST_UNANSWERED)
                room = min(int(self._due), MOST_UNANSWERED - len(self._sent))
                self._due -= max(0, room)
            at_s = now_s
            for _ in range(room):
                await ws.send(self._frame())
            await asyncio.sleep(TICK_S if pace else 0)

    def _frame(self) -> str:
        self._number += 1
        number, chance, soak = self._number, self._soak.chance, self._soak
        self._sent[number] = time.monotonic()
        if len(self._resting) >= KEEP and number % 2:
            args = {"client_order_id": self._resting.popleft()}
            return json.dumps({"op": "cancel_order", "id": number, "args": args})
        name = f"{self._name}-{number}"
        self._resting.append(name)
        args = {
            "client_order_id": name, "instrument": chance.choice(soak.market.instruments), "cards": "1",
            "price": f"{chance.randint(1, MOST_PRICE)}.{chance.randint(0, 99):02d}",
        }  # fmt: skip
        return json.dumps({"op": "place_order", "id": number, "args": args})

    async def _hear(self, ws: ClientConnection) -> None:
        load = self._soak.load
        async for text in ws:
            told = _read(text)
            sent_s = self._sent.pop(told.id, None) if isinstance(told.id, int) else None
            if sent_s is None:
                continue
            load.acked += 1
            if not load.acked % 16:
                load.waits_ms.append((time.monotonic() - sent_s) * 1000)
            if told.type != "result" or told.result["status"] not in ("ACCEPTED", "CANCELED"):
                what = told.error["reason"] if told.error else f"{told.result['status']} {told.result.get('reason')}"
                self._soak.fault(f"order: {what}")

    async def _answered(self) -> None:
        while self._sent:
            await asyncio.sleep(TICK_S)


class _Follower:
    """Follows something, proves that no number is missing, and changes its mind or its connection."""

    def __init__(self, soak: _Soak, number: int) -> None:
        self._soak = soak
        self._key = soak.market.keys[number % TRADERS]
        self._seqs: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Until it is over."""
        soak = self._soak
        while not soak.is_over:
            self._seqs.clear()
            try:
                ws = await _open(soak, self._key)
                try:
                    await self._follow(ws)
                finally:
                    if soak.chance.random() < 0.5:
                        ws.transport.abort()  # gone without a word
                    with suppress(OSError, ConnectionClosed):
                        await ws.close()
            except (OSError, ConnectionClosed, TimeoutError) as error:
                soak.fault(f"follower: {type(error).__name__}: {error}")
                await asyncio.sleep(0.5)

    async def _follow(self, ws: ClientConnection) -> None:
        chance = self._soak.chance
        await ws.send(json.dumps({"op": "subscribe", "id": 1, "args": {"channel": "heartbeat"}}))
        for number in range(2, 2 + chance.randint(1, 4)):
            channel = chance.choice(("depth10", "depth", "top", "orders", "trades"))
            args = {"channel": channel, "instrument": chance.choice(self._soak.market.instruments)}
            await ws.send(json.dumps({"op": "subscribe", "id": number, "args": args}))
            await self._listen(ws, chance.uniform(*FOLLOWER_STAYS_S))
            if chance.random() < 0.5:
                await ws.send(json.dumps({"op": "unsubscribe", "id": -number, "args": args}))
            if self._soak.is_over:
                return

    async def _listen(self, ws: ClientConnection, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and not self._soak.is_over:
            try:
                told = _read(await asyncio.wait_for(ws.recv(), left_s))
            except TimeoutError:
                return
            self._take(told)

    def _take(self, told: _Told) -> None:
        self._soak.load.messages += 1
        place = (told.channel, told.instrument)
        if told.type == "snapshot":
            self._seqs[place] = told.seq
        elif told.type == "delta":
            if self._seqs.get(place) != told.prev_seq:
                self._soak.fault(f"{told.channel}: a message is missing")
            self._seqs[place] = told.seq
        elif told.type not in ("result", "heartbeat"):
            self._soak.fault(f"follower was told {told.type} {told.error}")


def _opened(soak: _Soak, key: str) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opened() -> Any:
        ws = await _open(soak, key)
        try:
            yield ws
        finally:
            await ws.close()

    return opened()


async def _open(soak: _Soak, key: str) -> ClientConnection:
    ws = await connect(soak.market.url, compression=None, max_size=None, max_queue=None, proxy=None)
    await ws.send(json.dumps({"op": "login", "id": 0, "args": {"key": key}}))
    told = _read(await asyncio.wait_for(ws.recv(), ANSWER_S))
    if told.type != "result":
        soak.fault(f"login: {told.error['reason']}")
    soak.load.connects += 1
    return ws


async def _buy(soak: _Soak) -> None:
    """Buys a card of the offer now and then: trades, obligations, margins."""
    number = 0
    async with _opened(soak, soak.market.buyer_key) as ws:
        while not soak.is_over:
            number += 1
            args = {
                "client_order_id": f"buy-{number}", "instrument": soak.chance.choice(soak.market.instruments),
                "price": OFFER_PRICE, "cards": "1",
            }  # fmt: skip
            await ws.send(json.dumps({"op": "place_order", "id": number, "args": args}))
            told = _read(await asyncio.wait_for(ws.recv(), ANSWER_S))
            if told.type == "result" and told.result["status"] == "FILLED":
                soak.load.trades += 1
            else:
                soak.fault(f"buyer: {told.error or told.result['status']}")
            await asyncio.sleep(BUYS_EVERY_S)


def resident_bytes(pid: int) -> tuple[int, int]:
    """The resident set of a process with its children, and that of the children alone, as the system tells it."""
    told = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in told.splitlines()]
    children = sum(kb * 1024 for _, parent, kb in rows if parent == pid)
    return children + sum(kb * 1024 for own, _, kb in rows if own == pid), children


def replayed(folder: Path, told_seq: int, told_hash: str) -> dict[str, Any]:
    """The whole journal from empty: its state where the server told its own, and where the last snapshot was taken."""
    from exchange.adapters.journal_file import list_snapshots, locate, read_commands
    from exchange.domain.venue import Venue
    from exchange.engine.recovery import check_venue
    from exchange.engine.sequencer import Machine
    from exchange.engine.snapshot import parse_snapshot

    machine, at_told = Machine(Venue()), ""
    for logged in read_commands(folder):
        machine.apply(logged.record, logged.command)
        if logged.seq == told_seq:
            at_told = f"{machine.venue.state_hash():016x}"
    check_venue(machine)
    newest = list_snapshots(locate(folder).snapshots)[-1]
    point, _ = parse_snapshot(newest.read(), newest.name)
    last = f"{machine.venue.state_hash():016x}"
    is_last = (point.seq, f"{point.state_hash:016x}") == (machine.seq, last)
    return {
        "replayed": machine.seq, "replayed_hash": at_told, "last_hash": last,
        "are_hashes_equal": at_told == told_hash and is_last,
    }  # fmt: skip


def show_figures(found: dict[str, Any]) -> None:
    """One line each."""
    for name, value in found.items():
        typer.echo(f"{name:<20} {value}")
