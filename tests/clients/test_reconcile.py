"""A command that meets a bad wire is executed exactly once, or not at all, and the caller knows which or is told so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from bad_wire import bad_wire
from live_market import LiveMarket, china, instrument

from clients import (
    AuthenticationError,
    Client,
    ExchangeNotAvailable,
    InsufficientFunds,
    KeyReused,
    OrderNotFound,
    OrderStatusUnknown,
    RateLimited,
    Sent,
)
from clients.errors import Expired, NotFound
from exchange.testing.server import running_server

pytestmark = pytest.mark.slow  # a live exchange, or a market day

BOOK = instrument(23)


@pytest.mark.parametrize("plan", [["lose"], ["cut"], ["lose", "cut", "lose"], ["cut", "cut"]])
def test_an_order_over_rest_is_executed_once(market: LiveMarket, plan: list[str]) -> None:
    name = market.new_id("once")
    with bad_wire(market.server.url) as wire:
        wire_client = market.client(market.buyer_key, url=wire.url)
        wire_client.venue()  # a connection was there before
        wire.cut_all()
        wire.plan = list(plan)
        placed = wire_client.order(BOOK, price="1.00", cards=1, client_order_id=name)
        assert wire.lost == len(plan)
    assert placed.ack is not None and placed.ack.status == "ACCEPTED"
    assert placed.ack.replayed == ("lose" in plan)
    rows = [row for row in market.client(market.buyer_key).orders() if row.client_order_id == name]
    assert [(row.status, row.cards) for row in rows] == [("live", Decimal(1))]
    market.client(market.buyer_key).cancel(name)


def test_money_that_came_in_over_a_bad_wire_came_once(market: LiveMarket) -> None:
    with bad_wire(market.server.url) as wire:
        operator = market.client(market.server.operator_key, url=wire.url)
        operator.venue()
        before = operator.account(participant="buyer").total
        wire.cut_all()
        wire.plan = ["lose", "lose", "cut"]
        assert operator.deposit("buyer", "10.50").replayed
        assert wire.lost == 3
    assert market.operator.account(participant="buyer").total == before + Decimal("10.50")


def test_a_task_and_an_offer_are_placed_once(market: LiveMarket) -> None:
    offer_id, task_id = market.new_id("of"), market.new_id("ta")
    with bad_wire(market.server.url) as wire:
        seller = market.client(market.seller_key, url=wire.url)
        buyer = market.client(market.buyer_key, url=wire.url)
        seller.venue(), buyer.venue()
        wire.cut_all()
        wire.plan = ["lose"]
        seller.offer(
            3, site="zw-1", chip="A910B", latency_class="L10", start=china(20), end=china(22), price="5.00", offer_id=offer_id
        )
        wire.cut_all()
        wire.plan = ["lose"]
        bought = buyer.buy(
            client_order_id=task_id, access_region="hubei-wuhan", chips="A910B", cards=1, hours=2, deadline=china(22),
            earliest_start=china(20), price_cap="6",
        )  # fmt: skip
        assert wire.lost == 2
        assert bought.ack is not None and bought.ack.replayed and bought.wait(5).filled == 2
    sold = [row for row in seller_rows(market) if row.offer_id == offer_id]
    assert [(row.sold_card_hours, row.open_card_hours) for row in sold] == [(2, 4)]
    market.client(market.seller_key).withdraw_offer(offer_id)


def seller_rows(market: LiveMarket) -> list:
    return list(market.client(market.seller_key).offers())


def test_orders_over_the_socket_are_executed_once_when_the_socket_breaks(market: LiveMarket) -> None:
    with bad_wire(market.server.url) as wire:
        client = market.client(market.buyer_key, url=wire.url, session="socket")
        client.venue()
        names = [market.new_id("sock") for _ in range(4)]
        for name in names:
            wire.lose_next_answer()
            placed = client.order(BOOK, price="1.00", cards=1, client_order_id=name)
            assert placed.ack is not None and placed.ack.status == "ACCEPTED"
        assert wire.lost == len(names) and wire.connections > len(names)
    rows = [row.client_order_id for row in market.client(market.buyer_key).orders(status="live")]
    assert sorted(row for row in rows if row in names) == sorted(names)
    market.client(market.buyer_key).cancel_all()


def test_when_patience_ends_first_the_state_is_unknown_and_the_same_call_settles_it(market: LiveMarket) -> None:
    name = market.new_id("unknown")
    with bad_wire(market.server.url) as wire:
        client = market.client(market.buyer_key, url=wire.url, patience_s=0.3)
        client.venue()
        wire.cut_all()
        wire.plan = ["lose"] * 100
        with pytest.raises(OrderStatusUnknown, match=name):
            client.order(BOOK, price="1.00", cards=1, client_order_id=name)
        wire.plan = []
        again = client.order(BOOK, price="1.00", cards=1, client_order_id=name)
    assert again.ack is not None and again.ack.replayed
    assert [row.status for row in market.client(market.buyer_key).orders() if row.client_order_id == name] == ["live"]
    again = market.client(market.buyer_key).find(name)
    again.cancel()


def test_an_address_where_nobody_listens_is_told_at_once(market: LiveMarket) -> None:
    with bad_wire(market.server.url) as wire:
        nobody = wire.url
    with pytest.raises(ExchangeNotAvailable, match="CPX_URL"):
        market.client(market.buyer_key, url=nobody).venue()
    with pytest.raises(ExchangeNotAvailable):
        market.client(market.buyer_key, url=nobody, session="socket", timeout_s=0.5).venue()


def test_the_same_id_with_other_terms_is_a_mistake(market: LiveMarket) -> None:
    client, name = market.client(market.buyer_key), market.new_id("same")
    client.order(BOOK, price="1.00", cards=1, client_order_id=name)
    with pytest.raises(KeyReused):
        client.order(BOOK, price="1.00", cards=2, client_order_id=name)
    client.cancel(name, kind="order")
    with pytest.raises(OrderNotFound):
        client.amend(name, price="1.00", cards=2)
    with pytest.raises(NotFound):
        client.cancel("never-placed")


def test_a_limit_is_waited_for_or_told(market: LiveMarket) -> None:
    secret = market.new_participant(money=0)
    hasty, patient = market.client(secret, patience_s=0), market.client(secret)
    with pytest.raises(RateLimited) as caught:  # noqa: PT012 - the burst is not known here
        for _ in range(2000):
            hasty.holds()
    assert caught.value.retry_after >= 1
    assert patient.holds().items == ()


def test_our_idea_of_the_venue_s_time_may_be_old(market: LiveMarket) -> None:
    """valid_until of a sleepy client lies behind a clock that somebody moved; it looks at the clock and asks once more."""
    client, name = market.client(market.buyer_key, valid_for_s=1), market.new_id("late")
    client.venue()
    market.tick()
    placed = client.order(BOOK, price="1.00", cards=1, client_order_id=name)
    assert placed.ack is not None and placed.ack.status == "ACCEPTED"
    placed.cancel()


def test_what_became_too_late_on_its_way_is_not_made_young_again(market: LiveMarket) -> None:
    """The first attempts are lost; when one gets through, the order is older than its maker wanted it to become."""
    name = market.new_id("old")
    with bad_wire(market.server.url) as wire, ThreadPoolExecutor(1) as pool:
        client = market.client(market.buyer_key, url=wire.url, valid_for_s=60)
        client.venue()
        wire.go_away()
        placing = pool.submit(client.order, BOOK, price="1.00", cards=1, client_order_id=name)
        deadline, pause = time.monotonic() + 20, threading.Event()
        while wire.turned_away < 2:
            assert time.monotonic() < deadline
            pause.wait(0.01)
        market.tick(30)
        wire.is_away = False
        with pytest.raises(Expired, match="valid_until"):
            placing.result(20)
    rows = [row.status for row in market.client(market.buyer_key).orders() if row.client_order_id == name]
    assert rows == ["refused"], rows
    again = market.client(market.buyer_key).order(BOOK, price="1.00", cards=1, client_order_id=name)
    assert again.ack is not None and not again.ack.replayed
    again.cancel()


@pytest.mark.slow
def test_a_client_that_lived_through_a_pause_of_the_venue_s_clock_is_not_locked_out(tmp_path: Path) -> None:
    """A compressed clock stands still while the exchange is down, so a client's idea of it runs ahead: too far ahead."""
    almost_a_week_s = 7 * 86_400 - 300
    with (
        running_server(tmp_path / "market", "--clock", "compressed", "--speed", "600") as server,
        Client(server.url, server.operator_key, valid_for_s=almost_a_week_s) as client,
    ):
        client.call("set_venue", name="T", time_zone="Asia/Shanghai")
        client.add_participant("a")
        before_s = time.monotonic()
        server.stop()
        server.start()
        assert time.monotonic() - before_s > 300 / 600
        assert client.deposit("a", 5).status == "ACCEPTED"
        assert client.account(participant="a").cash == 5
        came_too_late_by_a_clock_that_moves(server.url, server.operator_key)
        assert client.account(participant="a").cash == 5


def came_too_late_by_a_clock_that_moves(url: str, key: str) -> None:
    with bad_wire(url) as wire, Client(wire.url, key, valid_for_s=60) as hasty, ThreadPoolExecutor(1) as pool:
        hasty.venue()
        wire.go_away()
        paying = pool.submit(hasty.deposit, "a", 7)
        begun_s, pause = time.monotonic(), threading.Event()
        while wire.turned_away < 3 or time.monotonic() - begun_s < 0.5:  # five minutes there
            pause.wait(0.01)
        wire.is_away = False
        with pytest.raises(Expired):
            paying.result(20)


def test_cancel_all_goes_on_past_what_has_ended_meanwhile(market: LiveMarket) -> None:
    secret = market.new_participant()
    other, taken = market.client(secret), []

    def overtake(sent: Sent) -> None:
        if not taken and names[3] in sent.url + sent.body.decode() and sent.method != "GET":  # the newest comes first
            taken.append(other.cancel(names[2], kind="order"))

    client = market.client(secret)
    names = [client.order(BOOK, price="1.00", cards=1, client_order_id=market.new_id("all")).id for _ in range(4)]
    acks = market.client(secret, on_request=overtake).cancel_all()
    assert len(taken) == 1 and [ack.status for ack in acks] == ["CANCELED"] * 3
    assert list(client.orders(status="live")) == []


def test_cancel_all_asks_for_all_and_then_tells_what_went_wrong(market: LiveMarket) -> None:
    name = market.new_id("p")
    market.operator.add_participant(name)
    market.operator.deposit(name, 100)
    key = market.operator.create_key(["read", "trade"], participant=name)
    sent_cancels: list[Sent] = []

    def revoke_before_the_second(sent: Sent) -> None:
        if sent.method != "GET":
            sent_cancels.append(sent)
            if len(sent_cancels) == 2:
                market.operator.revoke_key(key.key_id)

    client = market.client(key.secret)
    for _ in range(3):
        client.order(BOOK, price="1.00", cards=1)
    with pytest.raises(AuthenticationError) as caught:
        market.client(key.secret, on_request=revoke_before_the_second).cancel_all()
    assert [ack.status for ack in caught.value.acks] == ["CANCELED"] and len(sent_cancels) == 3
    assert len(caught.value.__notes__) == 2 and "1 were taken back" in caught.value.__notes__[0]


def test_a_refusal_that_is_told_again_says_so(market: LiveMarket) -> None:
    who, name = market.new_id("poor"), market.new_id("same")
    market.operator.add_participant(who)
    client = market.client(market.operator.create_key(["read", "trade"], participant=who).secret)
    with pytest.raises(InsufficientFunds) as first:
        client.order(BOOK, price="1.00", cards=1, client_order_id=name)
    assert "first answer" not in str(first.value)
    market.operator.deposit(who, 100)
    with pytest.raises(InsufficientFunds, match="this is the first answer to this id, of 20.*use a new id") as again:
        client.order(BOOK, price="1.00", cards=1, client_order_id=name)
    assert again.value.ack.replayed and again.value.ack.seq == first.value.ack.seq
