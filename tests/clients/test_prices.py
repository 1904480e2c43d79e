"""Published prices on a real exchange: candles, curve, indices, both live channels; over a broken wire, and restarted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from bad_wire import bad_wire
from live_market import FAMILY, LiveMarket, china, instrument, live_market, open_market

from clients import AsyncClient, Client, CurveLook, InvalidRequest, NotFound, PricesLook
from exchange.testing.server import running_server

pytestmark = pytest.mark.slow  # a live exchange, or a market day

NINE = instrument(9)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    """A market of its own: what others trade would be in the prices."""
    with live_market(tmp_path_factory.mktemp("prices") / "market") as found:
        found.client(found.seller_key).offer(
            200, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(20), price="5.20"
        )  # fmt: skip
        yield found


def until(looks: Iterator[Any], is_so: Any) -> Any:
    """The first look at which it is so; a stream that never comes there ends with the test's time."""
    for look in looks:
        if is_so(look):
            return look
    raise AssertionError("the stream ended")


def named(look: Any, code: str = NINE) -> Any:
    """What a look says of one instrument."""
    items = look.points if isinstance(look, CurveLook) else look.prices
    return next((item for item in items if item.instrument == code), None)


def test_a_curve_and_prices_are_followed_over_a_broken_wire(alone: LiveMarket) -> None:
    buyer = alone.client(alone.buyer_key)
    with bad_wire(alone.server.url) as wire:
        reader = alone.client(alone.buyer_key, url=wire.url)
        curves, prices = reader.follow_curve(FAMILY), reader.follow_prices(f"{FAMILY}/*")
        first, second = next(curves), next(prices)
        assert isinstance(first, CurveLook) and isinstance(second, PricesLook)
        assert named(first).source == "ask" and named(first).price == Decimal("5.20")
        assert (named(second).ask, named(second).ask_cards, named(second).last) == (Decimal("5.20"), 200, None)
        buyer.order(NINE, price="5.20", cards=4)
        look = until(curves, lambda look: named(look).source == "trades")
        assert named(look).price == Decimal("5.20") and look.seq > first.seq
        wire.cut_all()
        buyer.order(instrument(10), price="5.20", cards=6)
        look = until(prices, lambda look: named(look, instrument(10)).trades)
        assert (named(look).last_cards, named(look, instrument(10)).card_hours) == (4, 6)
        alone.operator.call("set_fix", instrument=NINE, price="5.00", grade="A", inputs_hash="00")
        point = named(until(curves, lambda look: named(look).source == "fix"))
        assert (point.price, point.grade, point.per_pflops_hour) == (5, "A", Decimal("15.625"))
        assert named(until(prices, lambda look: named(look).fix is not None)).fix == 5
        asked = alone.client(alone.buyer_key).curve(FAMILY)
        assert {(each.instrument, each.price, each.source) for each in asked.items} == {
            (each.instrument, each.price, each.source) for each in until(reader.follow_curve(FAMILY), lambda _: True).points
        }
        for stream in (curves, prices):
            stream.close()


def test_prices_of_one_instrument_are_followed_alone(alone: LiveMarket) -> None:
    looks = alone.client(alone.buyer_key).follow_prices(instrument(15))
    assert [each.instrument for each in next(looks).prices] == [instrument(15)]
    alone.client(alone.buyer_key).order(instrument(14), price="5.20", cards=2)
    alone.client(alone.buyer_key).order(instrument(15), price="3.00", cards=2)
    look = next(looks)
    assert [(each.instrument, each.bid, each.mid) for each in look.changed] == [(instrument(15), 3, Decimal("4.10"))]
    looks.close()


def test_candles_and_indices_page_by_page(alone: LiveMarket) -> None:
    client = alone.client(alone.buyer_key)
    for _ in range(3):
        alone.tick(1)
        client.order(instrument(16), price="5.20", cards=2)
    candles = list(client.candles("1m", instrument=instrument(16)))
    assert [(each.card_hours, each.trades, each.vwap) for each in candles] == [(2, 1, Decimal("5.20"))] * 3
    assert [each.start for each in candles] == sorted((each.start for each in candles), reverse=True)
    assert [each.is_final for each in candles] == [False, True, True]
    assert sum(each.trades for each in client.candles("1d", family=FAMILY)) == sum(1 for _ in client.past_trades(f"{FAMILY}/*"))
    newest = candles[0].start
    assert list(client.candles("1m", instrument=instrument(16), to_time=newest)) == candles[1:]
    with pytest.raises(InvalidRequest, match="2h is none of"):
        next(client.candles("2h", chip="A910B"))
    with pytest.raises(NotFound):
        client.curve("A910B/nowhere/L10/grid")
    alone.operator.call("set_fix", instrument=instrument(16), price="6.00", grade="B", inputs_hash="00")
    (point,) = client.indices("A910B", "gansu-qingyang", period_start=china(16))
    assert (point.price, point.card_hours, point.grade, point.instruments) == (6, 6, "B", 1)
    assert [each.per_pflops_hour for each in islice(client.indices(period_start=china(16)), 2)] == [Decimal("18.75")]


def test_the_async_client_asks_and_follows_the_same(alone: LiveMarket) -> None:
    async def look() -> tuple[Any, Any, list[Any]]:
        async with AsyncClient(alone.server.url, alone.buyer_key) as client:
            followed = await anext(client.follow_curve(FAMILY))
            return await client.curve(FAMILY), followed, [each async for each in client.candles("4h", chip="A910B")]

    curve, followed, candles = asyncio.run(look())
    assert {point.instrument for point in curve.items} == {point.instrument for point in followed.points}
    assert candles == list(alone.client(alone.buyer_key).candles("4h", chip="A910B"))


def test_a_restart_changes_nothing_that_is_published(tmp_path: Any) -> None:
    def published(client: Client) -> Any:
        curve = [(each.instrument, each.price, each.source, each.grade) for each in client.curve(FAMILY).items]
        prices = next(client.follow_prices(f"{FAMILY}/*")).prices
        return curve, prices, list(client.candles("15m", chip="A910B")), list(client.indices("A910B"))

    folder = tmp_path / "market"
    with running_server(folder, "--clock", "manual") as server, Client(server.url, server.operator_key) as operator:
        open_market(operator)
        terms = {"site": "zw-1", "chip": "A910B", "latency_class": "L10", "start": china(8), "end": china(20), "price": "5.20"}
        operator.offer(200, participant="seller", **terms)
        for hour, cards in ((9, 4), (9, 6), (12, 2)):
            operator.order(instrument(hour), price="5.20", cards=cards, participant="buyer")
        operator.call("set_fix", instrument=NINE, price="5.00", grade="A", inputs_hash="00")
        operator.advance_time(china(5))
        operator.order(instrument(12), price="5.20", cards=2, participant="buyer")
        before = published(operator)
        key = server.operator_key
    assert before[0][1][1:3] == (5, "fix") and len(before[2]) == 2 and len(before[3]) == 1
    with running_server(folder, "--clock", "manual") as server, Client(server.url, key) as operator:
        assert published(operator) == before
