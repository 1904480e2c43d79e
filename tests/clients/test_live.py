"""Books, trades and one's own events as they happen, on a real exchange."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from bad_wire import bad_wire
from live_market import FAMILY, LiveMarket, china, instrument

from clients import (
    AuthenticationError,
    InsufficientFunds,
    InvalidOrder,
    NotFilled,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    Sent,
    StaleBook,
)
from clients.events import Fill, OrderUpdate

pytestmark = pytest.mark.slow  # a live exchange, or a market day

BOOK = instrument(18)


def test_a_book_follows_every_order_and_equals_depth(market: LiveMarket) -> None:
    buyer = market.client(market.buyer_key)
    with bad_wire(market.server.url) as wire:
        book = market.client(market.buyer_key, url=wire.url).watch_book(BOOK)
        names = [market.new_id("deep") for _ in range(12)]
        for number, name in enumerate(names):
            buyer.order(BOOK, price=Decimal(100 + number) / 100, cards=number + 1, client_order_id=name)
            if number % 4 == 3:
                wire.cut_all()
        for name in names[::2]:
            buyer.cancel(name)
        book_equals_depth(book, buyer)
        for name in names[1::2]:
            buyer.cancel(name)
        book_equals_depth(book, buyer)
        book.close()
    with pytest.raises(StaleBook):
        _ = book.top


def book_equals_depth(book, client) -> None:
    """As soon as the book has the seq of REST depth it has the same levels."""
    wanted = client.depth(BOOK, levels=1000)
    for top in book.changes(heal=True):
        if (top.epoch, top.seq) == (wanted.epoch, wanted.seq):
            assert (book.bids, book.asks) == (wanted.bids, wanted.asks)
            return
        assert (top.epoch, top.seq) < (wanted.epoch, wanted.seq)


def test_changes_raise_when_the_connection_is_lost_and_heal_when_asked_to(market: LiveMarket) -> None:
    with bad_wire(market.server.url) as wire:
        book = market.client(market.buyer_key, url=wire.url).watch_book(instrument(17))
        changes = book.changes()
        next(changes)
        wire.cut_all()
        with pytest.raises(StaleBook, match="disconnected"):
            next(changes)
        book.ready()
        assert book.is_valid and not book.is_closed
        book.close()


def test_a_book_that_does_not_exist_is_told_at_once(market: LiveMarket) -> None:
    client = market.client(market.buyer_key)
    for name in (f"{FAMILY}/20251124T08", "no/such/book/at/all"):
        with pytest.raises(NotFound):
            client.watch_book(name)


def deal(market: LiveMarket, hour: int, count: int) -> list[str]:
    """So many trades in one book, from an offer that is taken by plain bids; the ids of the bids."""
    seller, buyer = market.client(market.seller_key), market.client(market.buyer_key)
    offer = seller.offer(
        count, site="zw-1", chip="A910B", latency_class="L10", start=china(hour), end=china(hour + 1), price="3.00",
        offer_id=market.new_id("deal"),
    )  # fmt: skip
    names = [market.new_id("take") for _ in range(count)]
    for name in names:
        placed = buyer.order(instrument(hour), price="3.00", cards=1, client_order_id=name)
        assert placed.ack is not None and placed.ack.status == "FILLED"
    assert offer.wait(10).filled == count
    return names


def test_trades_are_contiguous_whatever_becomes_of_the_connection(market: LiveMarket) -> None:
    before = next(market.operator.past_trades(), None)
    since = before.trade_id if before else "0-0"
    with bad_wire(market.server.url) as wire, ThreadPoolExecutor(1) as pool:
        client = market.client(market.buyer_key, url=wire.url)
        patterns = (f"{FAMILY}/*", "A910B/*", "*", instrument(15))
        streams = [client.trades(pattern, since=since) for pattern in patterns]
        first = pool.submit(deal, market, 15, 3)
        seen = [[next(stream)] for stream in streams]
        first.result(30)
        wire.cut_all()
        deal(market, 15, 3)
        for stream, found in zip(streams, seen, strict=True):
            while len(found) < 6:
                found.append(next(stream))
            stream.close()
    wanted = [trade.trade_id for trade in market.operator.past_trades(after=since)]
    assert len(wanted) == 6
    for found in seen:
        assert [trade.trade_id for trade in found] == wanted


def test_events_of_one_s_own_come_in_order_and_to_nobody_else(market: LiveMarket) -> None:
    buyer = market.client(market.buyer_key)
    stream = buyer.events()
    stranger = market.client(market.new_participant())
    ready, got = threading.Event(), []

    def read() -> None:
        ready.set()
        for event in stream:
            if isinstance(event, Fill | OrderUpdate):
                got.append(event)
            if len(got) == 4:
                return

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        assert ready.wait(5)
        wait_until(lambda: any(s.chain.is_current for s in buyer._core._core.feed.subscriptions))
        names = deal(market, 14, 2)
        reading.result(20)
    assert [event.client_order_id for event in got if isinstance(event, Fill)] == names
    assert [(event.seq, event.index) for event in got] == sorted((event.seq, event.index) for event in got)
    assert {event.participant for event in got} == {"buyer"}
    assert list(stranger.orders()) == [] and stranger.account().cash == 10_000
    with pytest.raises(NotFound):
        stranger.task(names[0])


def wait_until(is_so) -> None:
    """Asks again until it is so; fails after ten seconds."""
    event = threading.Event()
    for _ in range(1000):
        if is_so():
            return
        event.wait(0.01)
    raise AssertionError("it did not become so within ten seconds")


def test_a_waiting_task_is_followed_to_its_end(market: LiveMarket) -> None:
    buyer, seller = market.client(market.buyer_key), market.client(market.seller_key)
    terms = {
        "access_region": "hubei-wuhan", "chips": {"A910B": 1}, "cards": 2, "hours": 1, "deadline": china(14),
        "earliest_start": china(13), "max_latency_ms": 10, "price_cap": "2.00",
    }  # fmt: skip
    preview = buyer.preview(**terms)
    assert not preview.fills and preview.why_not
    task = buyer.buy(preview, client_order_id=market.new_id("wait"))
    assert task.status == "WAITING"
    steps = task.follow()
    assert next(steps).is_final is False
    seller.offer(2, site="zw-1", chip="A910B", latency_class="L10", start=china(13), end=china(14), price="1.50")
    market.tick()
    rest = list(steps)
    assert (rest[-1].status, rest[-1].filled, rest[-1].asked, rest[-1].unit) == ("filled", 2, 2, "card-hours")
    assert buyer.buy(preview, client_order_id=task.id).ack.replayed
    assert buyer.wait(task.id, 10).is_final


def test_without_a_socket_following_still_comes_to_the_end(market: LiveMarket) -> None:
    buyer = market.client(market.buyer_key)
    buyer._core._core.feed.url = "ws://127.0.0.1:1/v1/stream"  # nobody listens there
    placed = buyer.order(instrument(16), price="1.00", cards=1)
    steps = placed.follow(poll_s=0.02)
    assert next(steps).status == "live"
    with pytest.raises(RequestTimeout, match="0/1 cards"):
        placed.wait(0.2)
    market.client(market.buyer_key).cancel(placed.id)
    assert [step.status for step in steps] == ["canceled"]
    with pytest.raises(NotFilled, match="canceled"):
        placed.wait(5, must_fill=True)


def test_refusals_are_exceptions_of_their_kind(market: LiveMarket) -> None:
    poor = market.client(market.new_participant(money=0))
    with pytest.raises(InsufficientFunds, match="deposit") as caught:
        poor.order(BOOK, price="1.00", cards=1)
    assert caught.value.ack.status == "DENIED"
    with pytest.raises(InvalidOrder, match=r"nearest prices: 1.00, 1.01"):
        poor.order(BOOK, price="1.001", cards=1)
    ack = poor.try_command("place_order", client_order_id="x", instrument=BOOK, price="1.00", cards=1)
    assert (ack.status, ack.reason) == ("DENIED", "INSUFFICIENT_FUNDS")
    with pytest.raises(PermissionDenied, match="scope"):
        poor.deposit("buyer", 1)
    for session in ("rest", "socket"):
        with pytest.raises(AuthenticationError):
            market.client("cpx_wrong_key", session=session).account()


def test_over_the_socket_the_same_methods_answer_the_same(market: LiveMarket) -> None:
    rest = market.client(market.buyer_key)
    over = market.client(market.buyer_key, session="socket")
    assert over.account() == rest.account() and over.venue().name == "Test"
    assert [family.family for family in over.instruments()] == [FAMILY]
    placed = over.order(BOOK, price="1.00", cards=1)
    assert placed.refresh().status == "live" and over.amend(placed.id, price="1.10", cards=2).status == "ACCEPTED"
    assert placed.cancel().status == "CANCELED" and placed.refresh().status == "canceled"


def test_what_is_sent_can_be_seen_without_the_secret(market: LiveMarket) -> None:
    seen: list[Sent] = []
    client = market.client(market.buyer_key, on_request=seen.append)
    placed = client.order(BOOK, price="1.00", cards=1)
    sent = next(each for each in seen if each.method == "POST")
    assert sent.url.endswith("/v1/orders") and b'"price":"1.00"' in sent.body
    assert "cpx-valid-until" in sent.headers
    assert all(market.buyer_key not in repr(each) for each in seen)
    assert sent.curl().startswith("curl -X POST http") and "$CPX_KEY" in sent.curl()
    placed.cancel()


def test_the_operator_s_key_can_act_for_a_participant(market: LiveMarket) -> None:
    acting = market.client(market.server.operator_key, participant="buyer")
    assert acting.account().participant == "buyer"
    placed = acting.order(BOOK, price="1.00", cards=1)
    steps = placed.follow()
    assert next(steps).status == "live"
    market.client(market.buyer_key).cancel(placed.id)
    assert list(steps)[-1].status == "canceled"
    keys = acting.keys()
    assert {key.participant for key in keys} >= {"", "buyer", "seller"}


def test_two_who_watch_one_book_see_the_same(market: LiveMarket) -> None:
    client, other = market.client(market.buyer_key), market.client(market.seller_key)
    first = client.watch_book(instrument(19))
    placed = market.client(market.buyer_key).order(instrument(19), price="1.00", cards=3)
    second, third = client.watch_book(instrument(19)), other.watch_book(instrument(19))
    assert second.bids == third.bids == placed_levels(placed) and first.is_valid
    second.close()
    placed.cancel()
    wait_until(lambda: first.bids == () and third.bids == ())
    first.close()


def placed_levels(placed) -> tuple:
    row = placed.refresh().row
    return ((row.price, row.cards),)


def test_a_book_ends_with_its_gate_and_stays_ended(market: LiveMarket) -> None:
    with bad_wire(market.server.url) as wire:
        client = market.client(market.buyer_key, url=wire.url)
        book, later = client.watch_book(instrument(8)), client.watch_book(instrument(11))
        market.client(market.buyer_key).order(instrument(8), price="1.00", cards=1)
        market.operator.advance_time("2026-11-24T07:56:00+08:00")
        assert all(top.epoch == 1 for top in book.changes(heal=True))  # and they end
        assert book.is_closed
        wire.cut_all()
        wait_until(lambda: not later.is_valid)
        later.ready()
        assert book.is_closed and book.bids == () and list(book.changes()) == []
        with pytest.raises(NotFound):
            market.client(market.buyer_key).watch_book(instrument(8))
