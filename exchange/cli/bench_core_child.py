"""What `cpx bench core` measures in a process of its own: one figure on the engine, then the process ends.

`python -m exchange.cli.bench_core_child FIGURE WORD…` writes one JSON object. Command files hold 64-byte records.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from matching_core import COMMAND_DTYPE, EVENT_DTYPE, Engine
from matching_core.enums import Kind, Op, Side, TimeInForce
from matching_core.records import RECORD_SIZE
from matching_core.views import MAX_ORDERS

BATCH = 4096
SNAPSHOT_BOOKS = 1000
MIDDLE, WIDTH = 100_000, 100  # of the prices in books that are made here
N_KINDS = max(Kind) + 1
PREFAULT_SHARE = 8  # of the commands of a flow: about as many orders rest


def process(file: str, passes: str) -> dict[str, Any]:
    """ns per command of every pass, each with a new engine; then, untimed, what the flow does."""
    commands = np.fromfile(file, COMMAND_DTYPE)
    times = []
    for _ in range(int(passes)):
        engine = _engine_for(commands)
        engine.prefault(len(commands) // PREFAULT_SHARE)  # as a venue does before its day begins
        started = time.perf_counter_ns()
        _run(engine, commands)
        times.append((time.perf_counter_ns() - started) / len(commands))
        huge_mib = _memory_mib("AnonHugePages")
        del engine
    return {"ns": times, "huge_mib": huge_mib, "huge_pages": _are_huge_pages_allowed(), **_outcome(commands)}


def memory(file: str) -> dict[str, Any]:
    """How much more memory the process has when a flow is through: the engine and all that it holds."""
    commands = np.fromfile(file, COMMAND_DTYPE)
    before = _rss()
    engine = _engine_for(commands)
    _run(engine, commands)
    return {"rss": _rss() - before, "resting": engine.n_orders}


def books(n_books: str, state: str) -> dict[str, Any]:
    """The same for listed books with one order a side (thin), or whose only order came and went (idle)."""
    number = np.arange(3 * int(n_books))
    step = number % 3  # of a book: it is listed, then two orders come, or one comes and goes
    commands = np.zeros(len(number), COMMAND_DTYPE)
    commands["book"] = 1 + number // 3
    commands["price"] = np.where(step == 0, 1, MIDDLE + step)
    commands["qty"], commands["side"], commands["order_id"] = np.where(step == 0, 0, 1), step == 2, 1 + number
    commands["op"] = np.choose(step, (Op.LIST_BOOK, Op.NEW, Op.NEW))
    if state == "idle":
        commands["op"][step == 2], commands["order_id"][step == 2] = Op.CANCEL, number[step == 2]
    before = _rss()
    engine = _engine_for(commands)
    _run(engine, commands)
    return {"rss": _rss() - before, "books": int(n_books)}


def submit(file: str, calls: str, passes: str) -> dict[str, Any]:
    """Commands a second, one `submit` each from Python; the arguments are plain ints made before."""
    rows = [tuple(row) for row in _columns(file, int(calls))]
    times = []
    for _ in range(int(passes)):
        engine = Engine(max_orders=2 * len(rows))
        call = engine.submit
        started = time.perf_counter_ns()
        for op, side, tif, book, order_id, price, qty in rows:
            call(op, side=side, tif=tif, book=book, order_id=order_id, price=price, qty=qty)
        times.append(time.perf_counter_ns() - started)
    return {"per_s": [len(rows) / ns * 1e9 for ns in times], "calls": len(rows)}


def peer_calls(file: str, calls: str, passes: str) -> dict[str, Any]:
    """The same for orderly-chaos: its Python class, without a trade handler, which is its fastest way."""
    rows = [tuple(row) for row in _columns(file, int(calls))]
    times = []
    for _ in range(int(passes)):
        peer = Peer()
        started = time.perf_counter_ns()
        for row in rows:
            peer.run(*row)
        times.append(time.perf_counter_ns() - started)
    return {"per_s": [len(rows) / ns * 1e9 for ns in times], "resting": peer.resting()}


def replay(file: str, passes: str) -> dict[str, Any]:
    """Commands a second from a file in the page cache through a new engine, reading included."""
    times = []
    for _ in range(int(passes)):
        engine = Engine(max_orders=min(2 * Path(file).stat().st_size // RECORD_SIZE, MAX_ORDERS))
        started = time.perf_counter_ns()
        commands: Any = np.memmap(file, np.dtype(COMMAND_DTYPE), "r")
        _run(engine, commands)
        times.append(time.perf_counter_ns() - started)
    return {"per_s": [len(commands) / ns * 1e9 for ns in times]}


def snapshot(n_orders: str, passes: str) -> dict[str, Any]:
    """Seconds to write and to read the image of so many resting orders; the second engine must equal the first."""
    engine = _engine_with(int(n_orders))
    hashed = engine.state_hash()
    writing, reading = [], []
    for _ in range(int(passes)):
        started = time.perf_counter()
        image = engine.snapshot()
        written = time.perf_counter()
        again = Engine.restore(image)
        reading.append(time.perf_counter() - written)
        writing.append(written - started)
        is_equal = again.state_hash() == hashed
        del again
    return {"snapshot_s": writing, "restore_s": reading, "mib": len(image) / 2**20, "is_equal": is_equal}


class Peer:
    """orderly-chaos as a venue of many books: immediate-or-cancel and replace are made of its limit and cancel."""

    def __init__(self) -> None:
        package = importlib.import_module("orderly_chaos")
        self._make, self._error = package.LimitOrderBook, package.OrderBookError
        self._sides = (package.Side.BUY, package.Side.SELL)
        self._books: dict[int, Any] = {}

    def run(self, op: int, side: int, tif: int, book: int, order_id: int, price: int, qty: int) -> None:
        """One command of a flow; what the peer refuses changes nothing."""
        market = self._books.get(book)
        if market is None:
            market = self._books[book] = self._make()
        try:
            if op != Op.NEW:
                market.cancel(order_id)
            if op != Op.CANCEL:
                filled = market.limit(self._sides[side], order_id, qty, price)
                if tif == TimeInForce.IOC and filled < qty:
                    market.cancel(order_id)
        except self._error:
            pass

    def resting(self) -> int:
        """Orders in all its books."""
        return sum(len(market) for market in self._books.values())


def _columns(file: str, calls: int) -> Any:
    """The first commands of a flow as rows of plain ints."""
    commands = np.fromfile(file, COMMAND_DTYPE, calls)
    names = ("op", "side", "tif", "book", "order_id", "price", "qty")
    return zip(*(commands[name].tolist() for name in names), strict=True)


def _engine_for(commands: Any) -> Engine:
    return Engine(max_orders=min(2 * len(commands), MAX_ORDERS))


def _run(engine: Engine, commands: Any) -> None:
    for first in range(0, len(commands), BATCH):
        engine.process(commands[first : first + BATCH], first + 1)


def _outcome(commands: Any) -> dict[str, int]:
    engine, counts = _engine_for(commands), np.zeros(N_KINDS, np.int64)
    for first in range(0, len(commands), BATCH):
        events = np.frombuffer(engine.process(commands[first : first + BATCH], first + 1), EVENT_DTYPE)
        counts += np.bincount(events["kind"], minlength=N_KINDS)
    trades, rejected = int(counts[Kind.TRADE]), int(counts[Kind.REJECTED])
    return {"events": int(counts.sum()), "trades": trades, "rejected": rejected, "resting": engine.n_orders}


def _engine_with(n_orders: int) -> Engine:
    """An engine with so many resting orders on both sides of a thousand books."""
    number = np.arange(n_orders)
    commands = np.zeros(n_orders, COMMAND_DTYPE)
    commands["op"], commands["order_id"], commands["book"] = Op.NEW, 1 + number, 1 + number % SNAPSHOT_BOOKS
    commands["side"] = number // SNAPSHOT_BOOKS % 2
    distance = 1 + number // (2 * SNAPSHOT_BOOKS) % WIDTH
    commands["price"] = MIDDLE + np.where(commands["side"] == Side.BUY, -distance, distance)
    commands["qty"] = 1 + number % WIDTH
    engine = _engine_for(commands)
    _run(engine, commands)
    return engine


def _memory_mib(name: str) -> float | None:
    """A line of this process's memory report, in MiB; None where the system has none."""
    report = Path("/proc/self/smaps_rollup")
    if not report.exists():
        return None
    lines = (line.split() for line in report.read_text().splitlines())
    return next(int(words[1]) / 1024 for words in lines if words[0] == f"{name}:")


def _rss() -> int:
    """Resident memory in bytes, counted page by page."""
    mib = _memory_mib("Rss")
    if mib is None:
        raise SystemExit("no /proc/self/smaps_rollup on this system: resident memory cannot be read")
    return round(mib * 2**20)


def _are_huge_pages_allowed() -> bool | None:
    """Whether this process may have huge pages at all; None where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((line.split()[1] == "1" for line in lines if line.startswith("THP_enabled:")), None)


FIGURES: dict[str, Callable[..., dict[str, Any]]] = {
    figure.__name__: figure for figure in (process, memory, books, submit, peer_calls, replay, snapshot)
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(FIGURES[sys.argv[1]](*sys.argv[2:])))
