"""What a connection is worth: nothing is shown as current that may not be, and what can be resumed is resumed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_wire import bad_wire
from live_market import LiveMarket, china, instrument, live_market
from other_exchange import BOOK, OtherExchange, other_exchange

from clients import AsyncClient, ExchangeNotAvailable, Resync, StaleBook, live
from clients.events import OrderUpdate

pytestmark = pytest.mark.slow  # a live exchange, or a market day


async def until(is_so: Callable[[], bool], patience_s: float = 20) -> None:
    """Looks again until it is so."""
    async with asyncio.timeout(patience_s):
        while not is_so():
            await asyncio.sleep(0.01)


# --- what another exchange may do ---


def test_the_heartbeat_is_asked_for_before_anything_else() -> None:
    async def story(exchange: OtherExchange) -> None:
        async with AsyncClient(exchange.url, "key") as cpx:
            book = await cpx.watch_book(BOOK)
            assert book.bids[0].cards == 2
        asked = [each for each in exchange.asked if each != ("venue", "")]
        assert asked[:4] == [("login", ""), ("subscribe", "heartbeat"), ("ping", ""), ("subscribe", "depth")]

    asyncio.run(with_other(story))


def test_an_exchange_that_goes_down_during_the_login_is_come_back_to() -> None:
    async def story(exchange: OtherExchange) -> None:
        async with AsyncClient(exchange.url, "key", patience_s=0.1) as cpx:
            with pytest.raises(ExchangeNotAvailable, match="went down during the login"):
                await cpx.watch_book(BOOK)
            await until(lambda: cpx._core.feed.is_live)
            book = await cpx.watch_book(BOOK)
            assert book.bids[0].cards == 2
        assert [each for each in exchange.asked if each[0] == "login"] == [("login", "")] * 2

    asyncio.run(with_other(story, leaves=1))


def test_a_book_that_is_refused_for_a_moment_comes_back() -> None:
    async def story(exchange: OtherExchange) -> None:
        async with AsyncClient(exchange.url, "key", patience_s=0.1) as cpx:
            book = await cpx.watch_book(BOOK)
            exchange.is_full = True
            cpx._core.feed._connection.transport.abort()
            await until(lambda: not exchange.is_full)
            with pytest.raises(StaleBook):
                _ = book.bids
            await until(lambda: not book.problem())
            assert book.bids[0].cards == 2
        assert exchange.asked.count(("subscribe", "depth")) == 3

    asyncio.run(with_other(story))


def test_without_a_heartbeat_no_book_is_current() -> None:
    async def story(exchange: OtherExchange) -> None:
        async with AsyncClient(exchange.url, "key", staleness_s=0.3) as cpx:
            with pytest.raises(StaleBook, match="gives no heartbeat.*TOO_MANY_SUBSCRIPTIONS"):
                await cpx.watch_book(BOOK, timeout_s=0.5)
            assert not cpx._core.feed.is_live and cpx._core.feed.connections == 1

    asyncio.run(with_other(story, has_heartbeat=False))


def test_a_book_for_which_something_waits_at_the_exchange_is_not_current_until_it_came() -> None:
    async def story(exchange: OtherExchange) -> None:
        async with AsyncClient(exchange.url, "key") as cpx:
            book = await cpx.watch_book(BOOK)
            changes = book.changes()
            await anext(changes)
            exchange.queued = 3
            with pytest.raises(StaleBook, match="waiting for us"):
                await asyncio.wait_for(anext(changes), 5)
            exchange.queued = 0
            await book.ready()
            assert book.bids[0].cards == 2

    asyncio.run(with_other(story))


async def with_other(story: Any, **options: Any) -> None:
    async with other_exchange(**options) as exchange:
        await story(exchange)


# --- ours, over a bad wire ---


class Probe:
    """Counts what a subscription brings."""

    def __init__(self) -> None:
        self.snapshots, self.seqs = 0, list[int]()

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        self.snapshots += 1
        self.seqs.append(seq)

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        self.seqs.append(seq)

    def on_end_unseen(self) -> None: ...

    def on_change(self) -> None: ...


def test_a_book_that_was_cut_off_is_resumed_and_not_fetched_anew(market: LiveMarket) -> None:
    name, buyer = instrument(22), market.client(market.buyer_key)

    async def story(wire: Any) -> None:
        async with AsyncClient(wire.url, market.buyer_key) as cpx:
            probe = Probe()
            book = await cpx.watch_book(name)
            subscription = cpx._core.feed.follow("depth", name, probe)
            for round_number in range(1, 4):
                wire.go_away()
                await until(lambda: not book.is_valid)
                for _ in range(3):
                    await asyncio.to_thread(buyer.order, name, price="1.00", cards=1)
                wire.is_away = False
                await book.ready()
                assert subscription.chain.seq == 3 * round_number and book.bids[0].cards == 3 * round_number
            assert (probe.snapshots, probe.seqs) == (0, list(range(1, 10)))

    with bad_wire(market.server.url) as wire:
        asyncio.run(story(wire))
    buyer.cancel_all()


def test_events_go_on_without_a_hole_after_a_cut(market: LiveMarket) -> None:
    name, buyer = instrument(21), market.client(market.buyer_key)

    def place(ids: list[str]) -> None:
        for each in ids:
            buyer.order(name, price="1.00", cards=1, client_order_id=each)

    async def story(wire: Any) -> list[Any]:
        async with AsyncClient(wire.url, market.buyer_key) as cpx:
            feed, stream, told = cpx._core.feed, cpx.events(), []
            first = asyncio.ensure_future(anext(stream))
            await until(lambda: any(each.chain.is_current for each in feed.subscriptions))
            await asyncio.to_thread(place, ids[:2])
            told.append(await first)
            for ours in (ids[2:4], ids[4:]):
                wire.go_away()
                await until(lambda: not feed.is_live)
                await asyncio.to_thread(place, ours)
                wire.is_away = False
                while not any(isinstance(each, OrderUpdate) and each.client_order_id == ours[-1] for each in told):
                    told.append(await asyncio.wait_for(anext(stream), 20))
            return told

    ids = [market.new_id("ev") for _ in range(6)]
    with bad_wire(market.server.url) as wire:
        told = asyncio.run(story(wire))
    assert not [each for each in told if isinstance(each, Resync)]
    assert [each.client_order_id for each in told if isinstance(each, OrderUpdate)] == ids
    assert [(each.seq, each.index) for each in told] == sorted({(each.seq, each.index) for each in told})
    buyer.cancel_all()


def test_who_lets_too_many_events_pile_up_gets_what_is_open_first(
    market: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_PILE", 4)
    name, buyer = instrument(20), market.client(market.buyer_key)

    async def story() -> None:
        async with AsyncClient(market.server.url, market.buyer_key) as cpx:
            stream, probe = cpx.events(), Probe()
            first = asyncio.ensure_future(anext(stream))
            await until(lambda: any(each.chain.is_current for each in cpx._core.feed.subscriptions))
            placed = [await asyncio.to_thread(buyer.order, name, price="1.00", cards=1)]
            await first
            subscription = cpx._core.feed.follow("user", "", probe)
            for _ in range(9):
                placed.append(await asyncio.to_thread(buyer.order, name, price="1.00", cards=1))
            await until(lambda: len(probe.seqs) == 9)
            resync = await asyncio.wait_for(anext(stream), 20)
            assert isinstance(resync, Resync), resync
            assert {each.id for each in placed} <= {each.client_order_id for each in resync.orders}
            last = await asyncio.to_thread(buyer.order, name, price="1.00", cards=1)
            then = [await asyncio.wait_for(anext(stream), 20)]
            while not isinstance(then[-1], OrderUpdate):
                then.append(await asyncio.wait_for(anext(stream), 20))
            assert {each.seq for each in then} == {last.ack.seq} and then[-1].client_order_id == last.id
            assert probe.snapshots == 1 and subscription.chain.is_current

    asyncio.run(story())
    buyer.cancel_all()


@pytest.mark.slow
def test_a_wire_that_gets_later_and_later_makes_books_stale(market: LiveMarket) -> None:
    name = instrument(12)
    buyer, wakes = market.client(market.buyer_key), threading.Event()
    with bad_wire(market.server.url) as wire:
        book = market.client(market.buyer_key, url=wire.url, staleness_s=2.5).watch_book(name)
        wire.grow_late(0.6, 6)
        while wire.late_s < 4.5:  # what arrives now was sent 4.7 s after the beginning, and is 2.8 s old
            wakes.wait(0.05)
        placed = buyer.order(name, price="1.00", cards=1)
        deadline = time.monotonic() + 20
        seen_late = 0
        while wire.late_s < 6:
            assert time.monotonic() < deadline
            with pytest.raises(StaleBook) as stale:  # the order that was acknowledged is not in it
                _ = book.bids
            seen_late += "the wire is late" in str(stale.value)
            wakes.wait(0.05)
        assert seen_late
        wire.grow_late(0, 0)
        book.ready(20)
        assert book.bids[0].cards == 1
        placed.cancel()


@pytest.mark.slow
def test_as_many_books_as_may_be_watched_have_a_heartbeat_as_well(tmp_path: Path) -> None:
    """When the exchange stands still all of them are stale, and after a cut all of them come back."""

    async def story(market: LiveMarket) -> None:
        async with AsyncClient(market.server.url, market.buyer_key, staleness_s=1.5) as cpx:
            books = [await cpx.watch_book(instrument(hour)) for hour in range(10, 13)]
            os.kill(market.server.pid, signal.SIGSTOP)
            try:
                await until(lambda: not any(book.is_valid for book in books))
            finally:
                os.kill(market.server.pid, signal.SIGCONT)
            await until(lambda: all(book.is_valid for book in books))

    with live_market(tmp_path / "market", "--limit", "subscriptions=3") as market:
        asyncio.run(story(market))


@pytest.mark.slow
def test_a_gate_that_closes_while_we_are_away_is_an_end_like_any_other(tmp_path: Path) -> None:
    """No trade before it is left out, and the book is closed and empty."""
    name = instrument(8)
    with live_market(tmp_path / "market") as market, bad_wire(market.server.url) as wire:
        seller, buyer = market.client(market.seller_key), market.client(market.buyer_key)
        seller.offer(3, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(9), price="3.00")
        client = market.client(market.buyer_key, url=wire.url)
        trades, book = client.trades(name, since="0-0"), client.watch_book(name)
        buyer.order(name, price="3.00", cards=1)
        seen = [next(trades)]
        wire.go_away()
        for _ in range(2):
            buyer.order(name, price="3.00", cards=1)
        buyer.order(name, price="1.00", cards=1)
        market.operator.advance_time(f"{china(7)[:14]}56:00+08:00")
        wire.is_away = False
        seen += list(trades)
        assert [each.trade_id for each in seen] == [each.trade_id for each in buyer.past_trades(name, after="0-0")]
        assert len(seen) == 3
        for top in book.changes(heal=True):
            assert top.ask is not None and top.ask.cards == 2
        assert book.is_closed and book.bids == book.asks == ()


@pytest.mark.slow
def test_trades_while_we_were_away_over_a_restart_are_filled_in(tmp_path: Path) -> None:
    name = instrument(18)

    async def story(market: LiveMarket, wire: Any) -> list[str]:
        def deal(count: int) -> None:
            buyer = market.client(market.buyer_key)
            for _ in range(count):
                buyer.order(name, price="3.00", cards=1)

        async def take(count: int) -> list[str]:
            return [(await asyncio.wait_for(anext(trades), 20)).trade_id for _ in range(count)]

        async with AsyncClient(wire.url, market.buyer_key) as cpx:
            trades = cpx.trades("*", since="0-0")
            await asyncio.to_thread(deal, 1)
            seen = await take(1)
            wire.go_away()
            await asyncio.to_thread(deal, 2)
            await asyncio.to_thread(market.server.stop)
            await asyncio.to_thread(market.server.start)
            await asyncio.to_thread(deal, 2)
            wire.is_away = False
            seen += await take(4)
            await asyncio.to_thread(deal, 1)
            return seen + await take(1)

    with live_market(tmp_path / "market") as market, bad_wire(market.server.url) as wire:
        seller = market.client(market.seller_key)
        seller.offer(9, site="zw-1", chip="A910B", latency_class="L10", start=china(18), end=china(19), price="3.00")
        seen = asyncio.run(story(market, wire))
        assert seen == [each.trade_id for each in market.client(market.buyer_key).past_trades(after="0-0")]
        assert len(seen) == 6
