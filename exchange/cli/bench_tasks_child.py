"""What `cpx bench tasks` measures in a process of its own: one figure on the engine, then the process ends.

`python -m exchange.cli.bench_tasks_child FIGURE WORD…` writes one JSON object; times are ns as Python sees them, the
call of `process` included.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from exchange.cli.bench_core_child import _rss
from matching_core import EVENT_DTYPE, Engine
from matching_core.enums import Kind, Op, Shape, Side, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO, PERIOD_BITS

SEED = 20261123
MOVES = 20  # asks whose price moves between two tasks: a market does not stand still
FIRST_ORDER, FIRST_TASK = 1_000_000, 1 << 40
BATCH = 4096
NEARLY_PERCENT = 85


def _market() -> Any:
    path = Path(__file__).resolve().parents[2] / "tests" / "bench" / "task_market.py"
    spec = importlib.util.spec_from_file_location("cpx_bench_task_market", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


market = _market()


class World:
    """An engine with a market in it, and what is needed to keep it as it was."""

    def __init__(self, shape: Any, *, buyers: int = 1, per_chip: int = 1 << 20) -> None:
        self.shape = shape
        self.asks = market.asks(shape, SEED, FIRST_ORDER)
        bids = market.bids(shape, FIRST_ORDER + len(self.asks))
        self.next_id = FIRST_ORDER + len(self.asks) + len(bids)
        self.engine = Engine(max_orders=2 * (len(self.asks) + len(bids)) + 10_000, check_funds=True, listed_only=True)
        self.seq = 1
        for part in (market.set_up(shape, per_chip=per_chip, buyers=buyers), self.asks, bids):
            self.run(part)
        assert self.engine.n_orders == len(self.asks) + len(bids)
        self.draws = np.random.default_rng(SEED)

    def run(self, commands: Any) -> None:
        """Untimed commands."""
        for first in range(0, len(commands), BATCH):
            self.engine.process(commands[first : first + BATCH], self.seq)
            self.seq += BATCH

    def timed(self, records: Any) -> tuple[int, Any]:
        """(ns, events) of one command or batch."""
        started = time.perf_counter_ns()
        events = self.engine.process(records, self.seq, 0)
        spent = time.perf_counter_ns() - started
        self.seq += 1
        return spent, np.frombuffer(events, EVENT_DTYPE)

    def refill(self, events: Any) -> None:
        """What a task took is offered again at the same prices by the same sites."""
        trades, posted = events[events["kind"] == Kind.TRADE], events[events["kind"] == Kind.POSTED]
        if len(trades) == 0:
            return
        gone = trades["contra_leaves"] == 0
        again = market.rows(
            int(gone.sum()), op=Op.NEW, side=Side.SELL, book=trades["book"][gone], account=posted["contra_leaves"][gone],
            price=trades["price"][gone], qty=trades["qty"][gone], order_id=self.next_id + np.arange(int(gone.sum())),
        )  # fmt: skip
        self.next_id += int(gone.sum())
        self.run(again)

    def move(self) -> None:
        """A few asks change their price."""
        chosen = self.asks[self.draws.integers(0, len(self.asks), MOVES)]
        price = np.maximum(1, chosen["price"] + self.draws.integers(-30, 31, MOVES))
        self.run(market.rows(
            MOVES, op=Op.REPLACE, order_id=chosen["order_id"], account=chosen["account"], price=price, qty=chosen["qty"],
        ))  # fmt: skip


def _percentiles(times: list[int]) -> dict[str, float]:
    return {
        "n": len(times), "p50_us": float(np.percentile(times, 50)) / 1000, "p99_us": float(np.percentile(times, 99)) / 1000,
        "max_us": max(times) / 1000,
    }  # fmt: skip


def _tasks(world: World, count: int, **changes: object) -> tuple[list[int], int]:
    """Times of so many immediate tasks in a market that is put back after each; how many were filled."""
    times, filled = [], 0
    for number in range(count):
        terms = market.block_task(world.shape, world.draws, FIRST_TASK + number, **changes)
        spent, events = world.timed(market.packed(terms))
        times.append(spent)
        filled += int((events["kind"] == Kind.TASK_FILLED).any())
        assert events["kind"][0] == Kind.ACCEPTED, events[:1]
        world.refill(events)
        world.move()
    return times, filled


def block(count: str, is_flat: str) -> dict[str, Any]:
    """Blocks over 8 regions x 3 sites x 4 classes x 2 chips x 168 hours, 20 levels a book; is_flat: the adversary's market."""
    shape = market.Shape(is_flat=is_flat == "flat")
    world = World(shape)
    _tasks(world, 50)
    times, filled = _tasks(world, int(count))
    best = market.base_prices(shape, SEED).min(axis=2)
    return {**_percentiles(times), "filled": filled, "floor_us": _floor_us(best), "books": shape.families * shape.periods}


def _floor_us(best: Any) -> float:
    """One addition over the best price of every book that such a task may use."""
    contiguous = np.ascontiguousarray(best, dtype=np.int64)
    times = []
    for _ in range(200):
        started = time.perf_counter_ns()
        contiguous.sum()
        times.append(time.perf_counter_ns() - started)
    return float(np.median(times)) / 1000


def shapes(count: str) -> dict[str, Any]:
    """The other shapes in the same market."""
    found = {}
    for shape, changes in ((Shape.SPLIT, {"min_run": 2}), (Shape.SPREAD, {}), (Shape.BULK, {"chips": ((1, 1_000_000),)})):
        world = World(market.Shape())
        _tasks(world, 5, shape=int(shape), **changes)
        times, filled = _tasks(world, int(count), shape=int(shape), **changes)
        found[shape.name.lower()] = {**_percentiles(times), "filled": filled}
    return found


def _waiting(world: World, count: int, buyers: int, first_id: int, **changes: object) -> None:
    """So many tasks that wait: each would pay up to NEARLY_PERCENT of what it costs now."""
    for number in range(count):
        chip = 1 + number % 2
        terms = market.block_task(
            world.shape, world.draws, first_id + number, tif=int(TimeInForce.GTC), chips=((chip, 1_000_000),),
            account=market.BUYER + number % buyers, data_mb=0, data_region=0, **changes,
        )  # fmt: skip
        _wait(world, terms, NEARLY_PERCENT)
    world.run(market.rows(1, op=Op.DRAIN))


def _wait(world: World, terms: Any, percent: int, less: int = 0) -> None:
    """A task that waits, with a share of what it would cost now as its budget."""
    route = world.engine.find_task(market.packed(terms), MAX_MONEY_MICRO)
    cost = route.compute_micro + route.moving_micro if route else market.VALUE  # nobody has so many cards
    _, events = world.timed(market.packed(terms._replace(budget_micro=cost * percent // 100 - less)))
    assert events["kind"][-1] == Kind.TASK_WAITING, events


def unrelated(per_chip: str, rounds: str) -> dict[str, Any]:
    """ns of an ask that comes and goes in a family of a third chip, with none and with so many tasks waiting a chip."""
    worlds = []
    for waiting in (0, 2 * int(per_chip)):
        world = World(market.Shape(chips=3), buyers=64)
        _waiting(world, waiting, 64, FIRST_TASK)
        worlds.append(world)
    times: tuple[list[float], list[float]] = ([], [])
    family = [f.number for f in market.families(worlds[0].shape) if f.chip == 3][0]
    for turn in range(int(rounds)):
        for place, world in enumerate(worlds):
            period = market.FIRST + turn % world.shape.periods
            ids = world.next_id + np.arange(BATCH // 2)
            world.next_id += BATCH // 2
            batch = market.rows(BATCH, account=9_000, order_id=np.repeat(ids, 2))
            batch["op"][0::2], batch["op"][1::2] = Op.NEW, Op.CANCEL
            batch["side"], batch["price"], batch["qty"], batch["book"] = Side.SELL, 5_000, 10, family << PERIOD_BITS | period
            if turn == 0:
                world.run(market.rows(1, op=Op.OPEN_ACCOUNT, account=9_000, book=9_000))
            started = time.perf_counter_ns()
            world.engine.process(batch, world.seq)
            times[place].append((time.perf_counter_ns() - started) / BATCH)
            world.seq += BATCH
            world.run(market.rows(1, op=Op.DRAIN))
    none, some = (float(np.median(found)) for found in times)
    return {"none_ns": none, "waiting_ns": some, "ratio": some / none, "waiting": 2 * int(per_chip)}


def drain(per_chip: str, woken: str, rounds: str) -> dict[str, Any]:
    """us of a drain that wakes so many of the waiting tasks, none of which fills: each is a micro-yuan short of its cheapest
    candidate, and their windows meet the one dirty hour."""
    world = World(market.Shape(), buyers=64)
    late = market.FIRST + world.shape.periods - 24
    _waiting(world, 2 * int(per_chip) - int(woken), 64, FIRST_TASK, end_period=late)
    chips = {"chips": ((1, 1_000_000),)}
    for number in range(int(woken)):
        terms = market.block_task(
            world.shape, world.draws, FIRST_TASK + 10**6 + number, tif=int(TimeInForce.GTC), first_period=late,
            account=market.BUYER + number % 64, data_mb=0, data_region=0, **chips,
        )  # fmt: skip
        _wait(world, terms, 100, less=1)
    world.run(market.rows(1, op=Op.DRAIN))
    times = []
    for turn in range(int(rounds)):
        ask = market.rows(
            1, op=Op.NEW, side=Side.SELL, book=1 << PERIOD_BITS | late + 12, account=9_001, price=5_000 + turn, qty=10,
            order_id=world.next_id,
        )  # fmt: skip
        if turn == 0:
            world.run(market.rows(1, op=Op.OPEN_ACCOUNT, account=9_001, book=9_001))
        world.run(ask)
        spent, events = world.timed(market.rows(1, op=Op.DRAIN))
        assert events["kind"][-1] == Kind.DRAINED and events["qty"][-1] == 0, events
        times.append(spent)
        world.run(market.rows(1, op=Op.CANCEL, order_id=world.next_id, account=9_001))
        world.run(market.rows(1, op=Op.DRAIN))
        world.next_id += 1
    return {**_percentiles(times), "woken": int(woken), "waiting": 2 * int(per_chip)}


def storm(per_chip: str, rounds: str) -> dict[str, Any]:
    """Share of a core that one offer over 168 hours costs when all of it is re-priced 50 times a second, a drain after each."""
    world = World(market.Shape(), buyers=64)
    _waiting(world, 2 * int(per_chip), 64, FIRST_TASK)
    account, shape = market.site_account(1, 0), world.shape
    mine = world.asks[(world.asks["account"] == account) & (world.asks["book"] >> PERIOD_BITS == 1)]
    mine = mine[:: shape.asks_per_site]
    assert len(mine) == shape.periods
    times, fills = [], 0
    for _ in range(int(rounds)):
        price = np.maximum(1, mine["price"] + world.draws.integers(-20, 21, len(mine)))
        batch = np.concatenate([
            market.rows(
                len(mine), op=Op.REPLACE, order_id=mine["order_id"], account=account, price=price, qty=mine["qty"],
            ),
            market.rows(1, op=Op.DRAIN),
        ])  # fmt: skip
        spent, events = world.timed(batch)
        assert not (events["kind"] == Kind.REJECTED).any()
        fills += int((events["kind"] == Kind.TASK_FILLED).sum())
        times.append(spent)
    return {**_percentiles(times), "share": 50 * float(np.median(times)) / 1e9, "fills": fills, "waiting": 2 * int(per_chip)}


def waiting_memory(count: str) -> dict[str, Any]:
    """Bytes of resident memory a waiting task, everything in."""
    world = World(market.Shape(bids=0, asks_per_site=1), buyers=64)
    _waiting(world, 1_000, 64, FIRST_TASK)
    before = _rss()
    _waiting(world, int(count), 64, FIRST_TASK + 10**6)
    return {"bytes": (_rss() - before) / int(count), "tasks": int(count)}


def many_books(count: str) -> dict[str, Any]:
    """350,000 live books of quarter hours: blocks over two chips of eight, and the memory of the whole market."""
    before = _rss()
    shape = market.Shape(chips=8, powers=2, sites=1, asks_per_site=1, bids=1, periods=684)
    world = World(shape)
    rss = _rss() - before
    _tasks(world, 20)
    times, filled = _tasks(world, int(count))
    books = shape.families * shape.periods
    return {**_percentiles(times), "filled": filled, "books": books, "mib": rss / 2**20, "bytes_a_book": rss / books}


FIGURES: dict[str, Callable[..., dict[str, Any]]] = {
    figure.__name__: figure for figure in (block, shapes, unrelated, drain, storm, waiting_memory, many_books)
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(FIGURES[sys.argv[1]](*sys.argv[2:])))
