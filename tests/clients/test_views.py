"""Lane views and the demand table on a real exchange: asked once, followed, healed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from bad_wire import bad_wire
from live_market import LiveMarket, china, live_market

from clients import Client, DemandLook, InvalidRequest, LaneLook

pytestmark = pytest.mark.slow  # a live exchange, or a market day

NEED: dict[str, Any] = {"access_region": "hubei-wuhan", "chips": "A910B", "max_latency_ms": 10}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    """A market of its own: what others do would be in the tables."""
    with live_market(tmp_path_factory.mktemp("views") / "market") as found:
        yield found


def firms(market: LiveMarket, count: int) -> list[Client]:
    return [market.client(market.new_participant()) for _ in range(count)]


def wait(client: Client, name: str, **more: Any) -> Any:
    """Something so cheap that it waits."""
    terms = {**NEED, "cards": 4, "hours": 2, "deadline": china(20, "2026-11-27"), "price_cap": "1.20", **more}
    return client.buy(client_order_id=name, **terms)


def until(looks: Iterator[Any], is_so: Any) -> Any:
    """The first look at which it is so; a stream that never comes there ends with the test's time."""
    for look in looks:
        if is_so(look):
            return look
    raise AssertionError("the stream ended")


def test_a_lane_is_followed_over_a_broken_wire_until_its_gate(alone: LiveMarket) -> None:
    seller = alone.client(alone.seller_key)
    with bad_wire(alone.server.url) as wire:
        client = alone.client(alone.buyer_key, url=wire.url)
        looks = client.follow_lane(**NEED, period_start=china(9))
        first = next(looks)
        assert isinstance(first, LaneLook) and first.levels == () and first.topic == "hubei-wuhan/10/A910B/any/20261124T01"
        seller.offer(32, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(12), price="5.20")
        look = until(looks, lambda look: look.levels)
        assert [(level.price, level.total_cards, level.is_block) for level in look.levels] == [(Decimal("5.20"), 32, False)]
        wire.cut_all()
        seller.offer(
            8, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(12), price="5.00", min_cards=2,
            min_hours=2,
        )  # fmt: skip
        look = until(looks, lambda look: len(look.levels) == 2)
        asked = client.lane(**NEED, period_start=china(9))
        assert look.levels == asked.items and asked.topic == look.topic
        block = look.levels[0]
        assert (block.is_block, block.site, block.min_cards, block.min_hours, block.total_cards) == (True, "zw-1", 2, 2, 8)
        alone.operator.advance_time(china(9))
        for _ in looks:
            continue  # until it ends by itself
        with pytest.raises(InvalidRequest, match="closed"):
            next(client.follow_lane(**NEED, period_start=china(9)))


def test_demand_is_told_of_three_firms_and_taken_back(alone: LiveMarket) -> None:
    reader = alone.client(alone.buyer_key)
    one, two, three = firms(alone, 3)
    assert reader.demand().items == ()
    looks = reader.follow_demand(chip="A910B")
    assert next(looks).cells == ()
    for client, name in ((one, "d-1"), (one, "d-1b"), (two, "d-2")):
        assert wait(client, name).status == "WAITING"
    assert reader.demand().items == (), "two firms"
    wait(three, "d-3", price_cap="1.90")
    look = until(looks, lambda look: look.cells)
    assert isinstance(look, DemandLook)
    (cell,) = look.cells
    assert (cell.chip, cell.access_region, cell.latency_class, cell.deadline_hours) == ("A910B", "hubei-wuhan", "L10", 168)
    assert (cell.price, cell.card_hours) == (1, 32)
    assert reader.demand(chip="A910B").items == look.cells and reader.demand(chip="H800").items == ()
    two.cancel("d-2")
    assert until(looks, lambda look: not look.cells).seq > look.seq
    looks.close()


def test_two_who_follow_the_same_see_the_same(alone: LiveMarket) -> None:
    client = alone.client(alone.buyer_key)
    first, second = client.follow_demand(), client.follow_demand()
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(next, stream).result(20) for stream in (first, second))
    assert one.cells == other.cells
    for stream in (first, second):
        stream.close()


def test_a_task_tells_all_its_terms(alone: LiveMarket) -> None:
    (client,) = firms(alone, 1)
    wait(client, "a-1", shape="bulk", min_fill=2)
    terms = client.task("a-1").terms
    assert terms is not None and (terms.cards, terms.price_cap, terms.min_fill) == ("4", "1.20", "2")
    assert next(client.tasks()).terms is None
