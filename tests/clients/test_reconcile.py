"""A command that meets a bad wire is executed exactly once, or not at all, and the caller knows which or is told so."""

from __future__ import annotations

from decimal import Decimal

import pytest
from bad_wire import bad_wire
from live_market import LiveMarket, china, instrument

from clients import ExchangeNotAvailable, KeyReused, OrderNotFound, OrderStatusUnknown, RateLimited
from clients.errors import NotFound

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
