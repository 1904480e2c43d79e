"""Tasks that change while they wait, that are orders, or that ask for PFLOPS-hours: the rows say what the reports say."""

from __future__ import annotations

import json
from dataclasses import replace

import small_days
from small_days import T0, H
from stored import EXCHANGE_ID, feed

from exchange.adapters.history import History
from exchange.adapters.store import Store
from exchange.domain import commands as c
from exchange.domain.units import MICRO
from exchange.ports_history import Page


def a_day() -> small_days.Day:
    day = small_days.open_day()
    waits = small_days.task("amended", lots=20, periods=1, price_cap_micro=5 * MICRO)
    better = c.PlaceOrder("B1", "better", "H800/g/L10/grid/20261123T05", "buy", 9 * MICRO, 30, or_better=True)
    day.do(
        waits,
        c.AmendTask(replace(waits.task, lots=15)),
        small_days.offer("P1", "o1", 20, 8, power="green"),
        better,
        small_days.task("flops", lots=0, periods=2, pflops_milli_hours=3_000, price_cap_micro=0, budget_micro=10**9, chips=()),
        small_days.task("spread", lots=21, periods=2, shape="split", price_cap_micro=7 * MICRO),
        c.CancelOrder("B1", "better"),
    )
    return day


def test_the_rows_follow_amendments_orders_that_take_better_and_pflops_hours(tmp_path) -> None:
    day = a_day()
    store = Store.open(f"sqlite:///{tmp_path / 'rows.db'}", EXCHANGE_ID)
    feed(store, day.history)
    rows = {row.client_order_id: row for row in History(store).tasks(None, page=Page(limit=100))}
    records = {record.task.client_order_id: record for record in day.projections.tasks.records}
    assert rows.keys() == records.keys() == {"amended", "better", "flops", "spread"}
    for name, record in records.items():
        row = rows[name]
        assert (row.ending, row.lot_periods, row.compute_micro) == (record.ending, record.lot_periods, record.compute_micro)
        assert (row.shape, json.loads(row.body)["lots"]) == (record.task.shape, record.task.lots)
    assert json.loads(rows["amended"].body)["lots"] == 15 and records["amended"].asked_lot_periods == 15
    assert rows["amended"].budget_micro == 15 * 5 * MICRO // 10
    better = records["better"]
    assert (better.task.shape, better.ending, better.lot_periods) == ("bulk", "canceled", 20)
    assert (better.task.earliest_start_ns, better.task.slowest_class) == (T0 + 5 * H, "L10")
    flops = records["flops"]  # 1.5 PFLOPS over two hours, in tenths of a card
    assert (flops.asked_lot_periods, flops.ending) == (30, "complete")
    store.close()


def test_the_shares_of_one_split_lease_hang_together(tmp_path) -> None:
    day = small_days.open_day()
    prices = tuple(price * MICRO for price in (8, 9, 8, 9, 8, 9, 9, 9, 9, 9, 9, 9))
    day.do(
        small_days.offer("P1", "o1", 20, 8, period_prices_micro=prices),
        small_days.task("split", lots=20, periods=3, shape="split"),
        small_days.task("bulk", lots=20, periods=2, shape="bulk"),
    )
    store = Store.open(f"sqlite:///{tmp_path / 'rows.db'}", EXCHANGE_ID)
    feed(store, day.history)
    dues = History(store).obligations(None, page=Page(limit=100))
    leases: dict[str, set[int]] = {}
    for due in dues:
        leases.setdefault(due.task, set()).add(due.lease)
    assert {name: len(numbers) for name, numbers in leases.items()} == {"split": 1, "bulk": 2}
    store.close()
