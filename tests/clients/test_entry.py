"""Batches, timers and other ways to speak, over a live exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from bad_wire import bad_wire
from live_market import FAMILY, LiveMarket, china, instrument, live_market

from clients import AsyncClient, InvalidOrder
from clients.errors import OrderStatusUnknown

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    with live_market(tmp_path_factory.mktemp("entry") / "market") as found:
        yield found


def until(is_so: Callable[[], bool], what: str, patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def order(name: str, price: str = "1.00", hour: int = 18) -> dict[str, Any]:
    return {"client_order_id": name, "instrument": instrument(hour), "price": price, "cards": 1}


@pytest.mark.parametrize("transport", ["rest", "socket"])
def test_a_batch_places_each_for_itself_and_twice_places_nothing_more(own: LiveMarket, transport: Any) -> None:
    cpx = own.client(own.new_participant(), session=transport)
    names = [own.new_id("b") for _ in range(4)]
    batch = [order(names[0]), order(names[1], "1.001"), order(names[2]), order(names[3], "900000.00")]
    for again in (False, True):
        found = cpx.place_orders(batch)
        assert [item.ack.status if item.ack else item.error.reason for item in found][0::2] == ["ACCEPTED", "ACCEPTED"]
        assert isinstance(found[1].fault, InvalidOrder) or (found[1].ack is not None and found[1].ack.status == "REJECTED")
        assert found[3].ack is not None and found[3].ack.status == "DENIED"
        assert found[0].ack is not None and found[0].ack.replayed is again
    assert {row.client_order_id for row in cpx.orders(status="live")} == {names[0], names[2]}
    gone = cpx.cancel_orders([names[0], "never-was", names[2]])
    assert [bool(item.ack and item.ack.status == "CANCELED") for item in gone] == [True, False, True]
    assert list(cpx.orders(status="live")) == []


def test_a_batch_whose_answer_is_lost_is_asked_again_and_placed_once(own: LiveMarket) -> None:
    key = own.new_participant()
    with bad_wire(own.server.url) as wire:
        cpx = own.client(key, url=wire.url)
        cpx.venue()
        wire.lose_next_answer()
        found = cpx.place_orders([order(own.new_id("l")) for _ in range(3)])
        assert [item.ack.replayed for item in found if item.ack] == [True] * 3 and wire.lost == 1
        impatient = own.client(key, url=wire.url, patience_s=0.01)
        impatient.venue()
        wire.lose_next_answer()
        with pytest.raises(OrderStatusUnknown, match="of 1 orders"):
            impatient.place_orders([order(own.new_id("l"))])
    assert len(list(own.client(key).orders(status="live"))) == 4


def test_orders_of_a_connection_end_with_it_and_those_of_others_stay(own: LiveMarket) -> None:
    key = own.new_participant()
    other = own.client(key)
    stays = other.order(instrument(18), price="1.00", cards=1)
    with bad_wire(own.server.url) as wire:
        cpx = own.client(key, url=wire.url, session="socket", cancel_on_disconnect=True)
        goes = cpx.order(instrument(18), price="1.00", cards=1)
        assert goes.refresh().status == "live"
        wire.go_away()
        until(lambda: other.find(goes.id).refresh().status == "canceled", "the order outlives its connection")
        assert stays.refresh().status == "live"
    with pytest.raises(TypeError, match='session="socket"'):
        own.client(key, cancel_on_disconnect=True)


def test_a_dead_man_s_orders_are_canceled_and_a_living_one_s_are_not(own: LiveMarket) -> None:
    cpx = own.client(own.new_participant())
    placed = cpx.order(instrument(18), price="1.00", cards=1)
    with cpx.dead_man(300):
        own.tick(4)
        time.sleep(2.2)  # it is renewed meanwhile
        own.tick(4)
        assert placed.refresh().status == "live"
    own.tick(6)
    assert placed.refresh().status == "live"  # it ended well, so it does not run out
    with pytest.raises(RuntimeError, match="crash"), cpx.dead_man(300):
        raise RuntimeError("crash")
    own.tick(6)
    until(lambda: placed.refresh().status == "canceled", "the timer did not run out")
    cpx.cancel_after(0)


def test_over_messagepack_everything_is_the_same(own: LiveMarket) -> None:
    name = instrument(16)

    async def story() -> None:
        async with AsyncClient(own.server.url, own.buyer_key, session="socket", wire="msgpack") as cpx:
            book = await cpx.watch_book(name)
            placed = await cpx.order(name, price="2.34", cards=3)
            await book.ready()
            async for top in book.changes(heal=True):
                if top.bid is not None:
                    assert (top.bid.price, top.bid.cards) == (Decimal("2.34"), 3)
                    break
            assert [row.client_order_id async for row in cpx.orders(status="live") if row.instrument == name] == [placed.id]
            assert book.rejected == 0
            await placed.cancel()

    asyncio.run(story())


def test_books_of_ten_fifty_and_single_orders_agree_with_the_whole_one(own: LiveMarket) -> None:
    name, cpx, other = instrument(17), own.client(own.buyer_key), own.client(own.new_participant())
    books = [cpx.watch_book(name), cpx.watch_book(name, levels=10), cpx.watch_book(name, levels=50), cpx.watch_orders(name)]
    ids = [own.new_id("n") for _ in range(70)]
    for number, each in enumerate(ids):
        (cpx, other)[number % 2].order(name, price=f"{1 + (number % 60) / 100:.2f}", cards=1 + number % 5, client_order_id=each)
    cpx.cancel(ids[58])
    depth = cpx.depth(name, levels=1000)
    for top in books[0].changes(heal=True):
        if top.seq >= depth.seq:
            break
    until(lambda: all(book.is_valid and book.bids[:10] == depth.bids[:10] for book in books), "books differ")
    assert books[0].bids == depth.bids and books[1].bids == depth.bids[:10] and books[2].bids == depth.bids[:50]
    until(lambda: books[3].bids == depth.bids, "orders do not add up")
    line = [each for each in books[3].orders[0] if each.price == Decimal("1.09")]
    assert [each.cards for each in line] == [5, 5] and len({each.ref for each in line}) == 2
    assert [book.rejected for book in books] == [0, 0, 0, 0]
    with pytest.raises(TypeError, match="watch_orders"):
        _ = books[0].orders


def test_status_and_candles_are_followed(own: LiveMarket) -> None:
    cpx, name = own.client(own.buyer_key), instrument(19)
    status = cpx.follow_status(name)
    assert next(status).state == "open"
    candles = cpx.follow_candles(FAMILY, "1h")
    own.client(own.seller_key).offer(
        2, site="zw-1", chip="A910B", latency_class="L10", start=china(19), end=china(20), price="6.66", offer_id=own.new_id()
    )
    cpx.order(name, price="6.66", cards=2)
    for look in candles:
        if look.candles and look.candles[-1].close == Decimal("6.66"):
            break
    assert look.topic == f"{FAMILY}@1h" and look.candles[-1].trades >= 1
    assert cpx.feed_addresses().workers == ()
    assert cpx.feed_integrity().epoch == cpx.feed_addresses().epoch
