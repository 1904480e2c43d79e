"""Promises of docs/protocol/promises.md that no other test shows; and that each of them has a test."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets.sync.client
from live_market import LiveMarket, china, instrument, live_market
from lossy_wire import lossy_wire

from clients import AsyncClient, Client, NotFound, StaleBook
from clients.subscriptions import Subscription, Subscriptions
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.stream import Delta, Snapshot, Subscribed
from exchange.testing.server import running_server

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "protocol" / "promises.md"
COMPLAINTS = 28


def rows() -> list[list[str]]:
    """Cells of the table's rows."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(path: Path) -> set[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_complaint_has_a_row_and_every_promise_a_test_that_exists() -> None:
    found = rows()
    assert [int(row[0]) for row in found] == list(range(1, COMPLAINTS + 1))
    for number, _, promise, shown in found:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
        assert named or promise.startswith("Does not fit:"), number
        for file, name in named:
            assert name in names_in(ROOT / file), f"{number}: {file}::{name}"


# --- 4 and 6: resyncs ---


class Nobody:
    """A listener to whom it is all the same."""

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None: ...

    def on_delta(self, epoch: int, seq: int, data: Any) -> None: ...

    def on_end_unseen(self) -> None: ...

    def on_change(self) -> None: ...


def many(names: list[str]) -> tuple[Subscriptions, list[str]]:
    """Subscriptions that are all live, and a list of what is asked for from now on."""
    asked: list[str] = []

    def ask(subscription: Subscription) -> None:
        subscription.request()
        asked.append(subscription.name)

    found = Subscriptions(ask)
    for name in names:
        subscription, _ = found.add("depth", name, Nobody())
        subscription.request()
        found.on_subscribed(subscription, Subscribed(channel="depth", instrument=name, epoch=1, seq=4, is_resumed=False))
        found.on_snapshot(Snapshot(channel="depth", instrument=name, epoch=1, seq=4, ts_ns="0", data={}))
    assert all(each.chain.is_current for each in found)
    return found, asked


def step(name: str, seq: int) -> Delta:
    return Delta(channel="depth", instrument=name, epoch=1, seq=seq, prev_seq=seq - 1, ts_ns="0", data={})


def test_what_comes_during_a_resync_starts_no_other() -> None:
    found, asked = many(["a", "b", "c", "d"])
    for seq in range(6, 60):  # 5 was lost, for all of them
        for name in "abcd":
            found.on_delta(step(name, seq))
    assert asked == ["a", "b", "c", "d"]


def test_one_bad_instrument_leaves_the_others_alone() -> None:
    found, asked = many(["good", "bad"])
    found.on_delta(step("bad", 9))
    found.on_delta(step("good", 5))
    states = {each.name: each.chain.is_current for each in found}
    assert states == {"good": True, "bad": False} and asked == ["bad"]
    for each in found:
        if each.name == "bad":
            found.on_refused(each, NotFound("no such book"))
    found.on_delta(step("good", 6))
    assert next(each for each in found if each.name == "good").chain.seq == 6


# --- 7: a socket that is open and says nothing ---


@pytest.mark.slow
def test_an_open_socket_that_says_nothing_is_noticed_and_replaced(market: LiveMarket) -> None:
    name = instrument(21)

    async def story() -> None:
        upstream = market.server.url.replace("http", "ws") + "/v1/stream"
        async with (
            lossy_wire(upstream, 1, loss=0, pause=0, cut=0) as wire,
            AsyncClient(wire.url.replace("ws", "http"), market.buyer_key, staleness_s=1.5) as cpx,
        ):
            book = await cpx.watch_book(name)
            wire.mute_next = True
            began = time.monotonic()
            with pytest.raises(StaleBook):
                async for _ in book.changes():
                    continue
            assert wire.mutes == 1 and time.monotonic() - began < 4
            await book.ready(20)
            assert cpx._core.feed.connections == 2

    asyncio.run(story())


# --- 15: the demo is the exchange ---


def documented(url: str) -> Any:
    return httpx2.get(url + "/openapi.json", timeout=20).json()


@pytest.mark.slow
def test_the_demo_can_all_that_the_exchange_can_and_has_both_sides(market: LiveMarket, tmp_path: Path) -> None:
    demo = running_server(tmp_path / "demo", "--demo", "--speed", "600")
    with demo as server, Client(server.url, server.operator_key) as cpx:
        ours, theirs = documented(server.url), documented(market.server.url)
        assert ours["paths"] == theirs["paths"] and ours["components"] == theirs["components"]
        assert len(ours["paths"]) > 40 and {"place_orders", "cancel_after"} <= set(OPERATIONS)
        deadline = time.monotonic() + 40
        traded: set[str] = set()
        while len(traded) < 3:
            assert time.monotonic() < deadline, "nobody trades"
            try:
                traded = {trade.instrument for trade in cpx.past_trades()}
            except Exception as error:  # noqa: BLE001 - the participants bring the settings first
                assert "settings" in str(error), error
            time.sleep(0.1)
        family = next(iter(traded)).rpartition("/")[0]
        assert any(point.source in ("ask", "mid", "trades", "fix") for point in cpx.curve(family).items)


# --- 22, 23, 25, 26: what is paid ---


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LiveMarket]:
    with live_market(tmp_path / "market") as found:
        yield found


@pytest.mark.slow
def test_what_a_preview_says_is_what_is_charged_for_the_hours_and_nothing_after(own: LiveMarket) -> None:
    own.client(own.seller_key).offer(
        64, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(10), price="5.20"
    )
    cpx = own.client(own.buyer_key)
    before = cpx.account().total
    preview = cpx.preview(
        cards=4, chips=["A910B"], hours=1, deadline=china(12), access_region="hubei-wuhan", price_cap="8.00"
    )
    venue = cpx.venue()
    assert venue.unit == "yuan per card-hour" and preview.as_of_ns > 0
    assert preview.compute == Decimal("5.20") * 4 * 1 and preview.total == preview.compute * (1 + venue.fee_standard)
    cpx.buy(preview)
    (lease,) = cpx.leases()
    assert lease.hours == 1 and lease.end - lease.start == preview.end - preview.start  # a hard end, no rounding up
    assert lease.cost == preview.compute
    for hour in (8, 9, 12, 20):
        own.operator.advance_time(china(hour))
    own.operator.advance_time(china(8, "2026-11-26"))
    paid = before - cpx.account().total
    assert paid <= preview.total  # what was not delivered came back; nothing was added
    lines = [line for day in ("2026-11-24", "2026-11-25", "2026-11-26") for line in cpx.statement(day).lines]
    assert -sum(line.amount for line in lines if line.amount < 0) <= preview.total * 2 and lines
    later = [line for line in cpx.statement("2026-11-26").lines if line.amount < 0]
    assert later == []


@pytest.mark.slow
def test_every_yuan_that_is_held_is_listed_with_what_it_is_held_for(own: LiveMarket) -> None:
    cpx = own.client(own.buyer_key)
    order = cpx.order(instrument(18), price="2.00", cards=3)
    task = cpx.buy(
        chips=["A910B"], cards=2, hours=1, deadline=china(20), access_region="hubei-wuhan", price_cap="1.00"
    )
    held = cpx.holds()
    assert {(each.kind, each.reference) for each in held.items} == {("order", order.id), ("task", task.id)}
    assert sum(each.amount for each in held.items) == held.held == cpx.account().held > 0
    order.cancel()
    task.cancel()
    assert cpx.holds().items == () and cpx.account().held == 0


# --- 28: memory of sockets ---


@pytest.mark.slow
def test_no_socket_is_compressed_even_where_a_client_asks_for_it(market: LiveMarket) -> None:
    url = market.server.url.replace("http", "ws") + "/v1/stream"
    with websockets.sync.client.connect(url, compression="deflate") as found:
        assert found.response is not None and "Sec-WebSocket-Extensions" not in found.response.headers
        assert found.socket.family in (socket.AF_INET, socket.AF_INET6)
