"""A restart of the exchange, asked for or by SIGKILL, is an interruption and nothing more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from live_market import LiveMarket, china, instrument, live_market

from clients import ExchangeNotAvailable, Resync, StaleBook
from clients.events import Fill

pytestmark = pytest.mark.slow
HOUR = 18
BOOK = instrument(HOUR)


@pytest.fixture
def own(tmp_path: Path):
    with live_market(tmp_path / "market") as found:
        yield found


def sell_and_take(market: LiveMarket, count: int) -> list[str]:
    """So many trades, one by one."""
    seller, buyer = market.client(market.seller_key), market.client(market.buyer_key)
    seller.offer(count, site="zw-1", chip="A910B", latency_class="L10", start=china(HOUR), end=china(HOUR + 1), price="3.00")
    return [buyer.order(BOOK, price="3.00", cards=1, client_order_id=market.new_id("r")).id for _ in range(count)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_book_trades_events_and_orders_go_on_after_a_restart(own: LiveMarket, how: str) -> None:
    client = own.client(own.buyer_key, session="socket", patience_s=60)
    trades, events = client.trades("*", since="0-0"), client.events()
    with ThreadPoolExecutor(1) as pool:
        first_event = pool.submit(next, events)
        book = client.watch_book(BOOK)
        before = sell_and_take(own, 3)
        seen = [next(trades) for _ in range(3)]
        first_event.result(20)
        getattr(own.server, how)()
        with pytest.raises(StaleBook):
            for _ in book.changes():
                continue
        with pytest.raises(StaleBook):
            _ = book.bids
        waiting = pool.submit(client.order, BOOK, price="1.00", cards=2, client_order_id="over-the-gap")
        own.server.start()
        placed = waiting.result(60)
        assert placed.ack is not None and placed.ack.epoch == 2
        book.ready(30)
        after = sell_and_take(own, 2)
        seen += [next(trades) for _ in range(2)]
        ids = [trade.trade_id for trade in own.operator.past_trades(after="0-0")]
        assert [trade.trade_id for trade in seen] == ids and len(ids) == 5
        found: list[object] = []
        while sum(isinstance(event, Fill) for event in found) < len(before + after):
            found.append(next(events))
        resyncs = [event for event in found if isinstance(event, Resync)]
        assert len(resyncs) == 1 and resyncs[0].account is not None and resyncs[0].account.participant == "buyer"
        depth = client.depth(BOOK, levels=100)
        for top in book.changes(heal=True):
            if (top.epoch, top.seq) == (depth.epoch, depth.seq):
                break
        assert (book.bids, book.asks) == (depth.bids, depth.asks) and depth.bids[0].cards == 2


def test_while_the_exchange_is_away_a_call_ends_with_its_patience(own: LiveMarket) -> None:
    client = own.client(own.buyer_key, patience_s=0.2)
    client.venue()
    own.server.stop()
    with pytest.raises(ExchangeNotAvailable, match="out of reach"):
        client.account()
    own.server.start()
    assert client.account().participant == "buyer"
