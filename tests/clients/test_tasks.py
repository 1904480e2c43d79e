"""Every shape of task and offer through the SDK, on a real exchange: amended, stepped, better, standing, following power."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from live_market import LiveMarket, china, instrument, live_market

from clients import Client, H, InvalidOrder, InvalidRequest, OrderNotFound
from clients.events import TaskPart, TaskUpdate

pytestmark = pytest.mark.slow  # a live exchange, or a market day

NEED: dict[str, Any] = {"access_region": "hubei-wuhan", "chips": "A910B", "deadline": china(20, "2026-11-26")}
PLACE: dict[str, Any] = {"site": "zw-1", "chip": "A910B", "latency_class": "L10"}


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    """A market of one test's own."""
    with live_market(tmp_path_factory.mktemp("tasks") / "market") as found:
        yield found


@pytest.fixture
def buyer(fresh: LiveMarket) -> Client:
    return fresh.client(fresh.buyer_key)


@pytest.fixture
def seller(fresh: LiveMarket) -> Client:
    return fresh.client(fresh.seller_key)


def parts_of(placed: Any) -> list[TaskPart]:
    """What the answer says was bought."""
    assert placed.ack is not None
    return [part for event in placed.ack.events if isinstance(event, TaskUpdate) for part in event.parts]


def test_a_waiting_task_gets_new_terms_and_the_rest_of_them_stays(buyer: Client, seller: Client) -> None:
    seller.offer(8, start=china(8), end=china(12), price="5.20", **PLACE)
    placed = buyer.buy(cards=8, hours=2, price_cap="4.00", max_latency_ms=10, client_order_id="t-1", **NEED)
    assert placed.status == "WAITING"
    lower = buyer.amend_task("t-1", price_cap="3.50")
    assert lower.status == "WAITING" and lower.events[-2].keeps_place
    terms = buyer.task("t-1").terms
    assert terms is not None
    assert (terms.price_cap, terms.cards, terms.max_latency_ms, terms.deadline) == ("3.50", "8", "10", "2026-11-26T12:00:00Z")
    more = placed.amend(price_cap=None, budget="90", cards=4)
    assert more.status == "FILLED"
    row = placed.refresh()
    assert (row.status, row.filled, row.asked) == ("filled", 8, 8)
    with pytest.raises(OrderNotFound, match="waiting"):
        placed.amend(cards=2)


def test_amending_twice_with_one_key_changes_once(buyer: Client) -> None:
    placed = buyer.buy(cards=8, hours=2, price_cap="4.00", client_order_id="t-1", **NEED)
    assert placed.status == "WAITING"
    first, again = (buyer.amend_task("t-1", cards=6, idempotency_key="k-1") for _ in range(2))
    assert (again.seq, again.replayed) == (first.seq, True)


def test_shapes_buy_what_they_promise(buyer: Client, seller: Client) -> None:
    for hour in (8, 10, 12):
        seller.offer(8, start=china(hour), end=china(hour + 1), price="5.00", **PLACE)
    split = buyer.buy(cards=8, hours=3, shape="split", price_cap="6", client_order_id="split", **NEED)
    assert split.status == "FILLED"
    assert [(part.hours, part.cards, part.cost) for part in parts_of(split)] == [(1, 8, 40)] * 3
    seller.offer(16, start=china(14), end=china(18), price="5.10", min_cards=8, min_hours=2, **PLACE)
    block = buyer.buy(cards=8, hours=2, price_cap="6", client_order_id="block", **NEED)
    assert [(part.is_block, part.hours) for part in parts_of(block)] == [(True, 2)]
    power = buyer.buy(
        pflops_hours="5.12", hours=2, budget="200", client_order_id="power", deadline=NEED["deadline"],
        access_region="hubei-wuhan",
    )  # fmt: skip
    assert power.status == "FILLED" and buyer.task("power").pflops_hours == Decimal("5.12")
    assert [(part.hours, part.cards) for part in parts_of(power)] == [(2, Decimal("8.2"))]  # 2.56 PFLOPS, rounded up twice
    with pytest.raises(InvalidRequest, match="cards"):
        buyer.preview(cards=1, pflops_hours=1, hours=1, budget=1, **NEED)


def test_an_economy_limit_rises_by_its_steps(fresh: LiveMarket, buyer: Client, seller: Client) -> None:
    seller.offer(8, start=china(20), end=china(22), price="5.20", **PLACE)
    placed = buyer.buy(
        cards=8, hours=2, lane="economy", price_cap="6.00", steps=("4.00", ("5.00", china(2)), ("6.00", china(4))),
        client_order_id="e-1", **NEED,
    )  # fmt: skip
    assert placed.status == "WAITING"
    fresh.operator.advance_time(china(2))
    assert placed.refresh().status == "waiting", "5.00 is too little still"
    fresh.operator.advance_time(china(4))
    assert placed.wait(10, must_fill=True).status == "filled"
    assert buyer.task("e-1").compute == Decimal("83.20")


def test_a_task_whose_limit_has_risen_keeps_the_rest_of_its_steps_when_amended(fresh: LiveMarket, buyer: Client) -> None:
    steps = ("3.00", ("4.00", china(2)), ("5.00", china(4)))
    placed = buyer.buy(cards=8, hours=2, lane="economy", price_cap="5.00", steps=steps, client_order_id="e-2", **NEED)
    fresh.operator.advance_time(china(3))
    assert placed.amend(cards=6).status == "WAITING"
    terms = buyer.task("e-2").terms
    assert terms is not None
    assert [(step.limit, step.at) for step in terms.steps] == [("4.00", None), ("5.00", "2026-11-23T20:00:00Z")]
    fresh.operator.advance_time(china(5))
    assert placed.amend(cards=5).status == "WAITING", "nothing is left of the steps but the cap"
    with pytest.raises(InvalidOrder, match="INVALID_BUDGET") as caught:
        placed.amend(steps=("1.00", ("2.00", china(8))))
    assert "cap or budget" in caught.value.hint


def test_an_id_or_a_price_that_is_ambiguous_is_refused_at_once(buyer: Client, seller: Client) -> None:
    with pytest.raises(InvalidRequest, match="client_order_id"):
        buyer.buy(cards=8, hours=2, price_cap="4.00", client_order_id="", **NEED)
    assert list(buyer.tasks()) == []
    with pytest.raises(TypeError, match="one of the two"):
        seller.offer(8, start=china(8), end=china(9), price="5.00", period_prices=["6.00"], **PLACE)
    assert list(seller.offers()) == []


def test_now_or_never_does_not_wait(buyer: Client) -> None:
    placed = buyer.buy(cards=8, hours=2, price_cap="4.00", is_immediate=True, client_order_id="t-1", **NEED)
    assert placed.status == "CANCELED" and placed.refresh().is_final


def test_a_bid_or_better_takes_the_cheapest_that_serves(fresh: LiveMarket, buyer: Client, seller: Client) -> None:
    fresh.operator.list_family("A910B", "gansu-qingyang", "L10", "green")
    seller.offer(4, start=china(18), end=china(19), price="5.20", **PLACE)
    seller.offer(4, start=china(18), end=china(19), price="5.10", power="green", **PLACE)
    placed = buyer.order(instrument(18), price="5.20", cards=6, or_better=True, client_order_id="b-1")
    assert placed.status == "FILLED"
    assert sorted((fill.instrument.split("/")[3], fill.cards) for fill in placed.ack.events if hasattr(fill, "trade_id")) == [
        ("green", 4), ("grid", 2),
    ]  # fmt: skip
    rest = buyer.order(instrument(18), price="5.00", cards=6, or_better=True, client_order_id="b-2")
    assert rest.status == "WAITING" and rest.refresh().status == "waiting"
    assert buyer.cancel("b-2").status == "CANCELED"


def test_an_offer_stands_until_it_is_withdrawn(buyer: Client, seller: Client, fresh: LiveMarket) -> None:
    day = ["0"] * 24
    day[0] = day[1] = "6.20"  # 08 to 10 in Shanghai
    placed = seller.offer(8, start=H("+1h"), period_prices=day, offer_id="every-day", standby=True, **PLACE)
    hours = seller.unsold_hours("every-day").items
    assert {hour.price for hour in hours} == {Decimal("6.20")} and {hour.period_start.hour for hour in hours} == {0, 1}
    assert len(hours) == 14, "two hours on each of seven days"
    bought = buyer.buy(cards=8, hours=2, price_cap="6.20", client_order_id="t-1", **NEED)
    assert bought.status == "FILLED"
    row = placed.refresh()
    assert (row.status, row.filled) == ("open", 16)
    fresh.operator.advance_time(china(12))
    assert len(seller.unsold_hours("every-day").items) in (12, 13, 14)
    assert seller.amend_offer("every-day", cards=4, price="7.00").status == "ACCEPTED"
    assert {hour.price for hour in seller.unsold_hours("every-day").items} == {Decimal("7.00")}
    assert placed.cancel().status == "CANCELED" and placed.refresh().is_final


def test_a_price_follows_power(fresh: LiveMarket, seller: Client) -> None:
    fresh.operator.set_power_prices("gansu-qingyang", start=china(8), prices=["0.50"] * 4)
    seller.offer(8, start=china(8), end=china(12), price_base="2.00", watts_per_card=700, offer_id="power", **PLACE)
    assert {hour.price for hour in seller.unsold_hours("power").items} == {Decimal("2.35")}
    fresh.operator.set_power_prices("gansu-qingyang", start=china(10), prices=["1.00"])
    prices = {hour.period_start.hour: hour.price for hour in seller.unsold_hours("power").items}
    assert (prices[2], prices[3]) == (Decimal("2.70"), Decimal("2.35"))


def test_the_emergency_lane_is_for_those_who_may(fresh: LiveMarket, buyer: Client, seller: Client) -> None:
    seller.offer(8, start=china(1), end=china(3), price="5.20", standby=True, **PLACE)
    need = {**NEED, "cards": 8, "hours": 1, "price_cap": "6", "lane": "emergency"}
    with pytest.raises(InvalidOrder, match="emergency"):
        buyer.buy(client_order_id="x-1", **need)
    assert fresh.operator.allow_emergency("buyer").status == "ACCEPTED"
    assert [each.may_use_emergency for each in fresh.operator.participants() if each.participant == "buyer"] == [True]
    assert buyer.buy(client_order_id="x-2", **need).status == "FILLED"
