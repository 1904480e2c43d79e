"""DI5: the lane view merges what a need could use, cheapest first, and has a name that means the same need again."""

from __future__ import annotations

from typing import Any

import pytest
from small_days import T0, Day, H, offer, open_day

from exchange.domain import commands as c
from exchange.projections import lane
from exchange.protocol import answers as a
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures

HOURLY = Measures(c.SetVenue("test"))


def small() -> Day:
    """P1 sells 64 cards at 8.00 through the books, P2 30 at 7.00 as blocks of 10 cards and 2 hours."""
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), offer("P2", "blk", 300, 7, min_lots=100, min_periods=2))
    return day


def view(**changes: Any) -> r.LaneView:
    terms: dict[str, Any] = {"access_region": "w", "chips": ("H800",), "period_start": "2026-11-23T05:00:00Z"}
    return r.LaneView(**(terms | changes))


def lane_of(day: Day, **changes: Any) -> a.Lane:
    stamp = {"epoch": 2, "seq": 77, "ts": "", "ts_ns": str(day.venue.now_ns)}
    return lane.lane_answer(day.venue, HOURLY, view(**changes), stamp)


def refused(call: Any, *args: Any, **changes: Any) -> DoorError:
    with pytest.raises(DoorError) as caught:
        call(*args, **changes)
    return caught.value


def test_a_lane_merges_books_and_blocks_cheapest_first_with_the_cards_up_to_there() -> None:
    day = small()
    assert [
        (x.price, x.cards, x.total_cards, x.family, x.site, x.is_block, x.min_cards, x.min_hours, x.rtt_ms)
        for x in lane_of(day).items
    ] == [
        ("7.00", "30", "30", "H800/w/L1/grid", "s2", True, "10", "2", "0.8"),
        ("8.00", "64", "94", "H800/g/L10/grid", "", False, "0.1", "1", "9.8"),
    ]  # fmt: skip
    assert [x.price for x in lane_of(day, levels=1).items] == ["7.00"]
    assert [x.price for x in lane_of(day, max_latency_ms="5").items] == ["7.00"]
    assert lane_of(day, chips=("A910B",)).items == ()
    assert lane_of(day, min_green="0.5").items == ()


def test_green_serves_a_need_that_asks_for_nothing_and_for_green() -> None:
    day = small()
    day.do(offer("P1", "green", 100, 6, power="green"))
    assert [x.price for x in lane_of(day).items] == ["6.00", "7.00", "8.00"]
    assert [x.family for x in lane_of(day, min_green="0.1").items] == ["H800/g/L10/green"]


def test_a_block_that_is_released_stands_in_the_lane_once() -> None:
    day = small()
    day.do(c.AdvanceTime(T0 + 4 * H + 1))  # MB4: an hour before the gate of the sixth period
    assert [(x.price, x.cards, x.is_block) for x in lane_of(day).items] == [("7.00", "30", False), ("8.00", "64", False)]


@pytest.mark.parametrize(
    ("field", "changes"),
    [("access_region", {"access_region": "x"}), ("chips", {"chips": ()}), ("chips[1]", {"chips": ("H800", "x")}),
     ("period_start", {"period_start": "2026-11-23T05:30:00Z"}), ("period_start", {"period_start": "2026-11-22T05:00:00Z"}),
     ("period_start", {"period_start": "2027-11-22T05:00:00Z"}), ("max_latency_ms", {"max_latency_ms": "0"}),
     ("min_green", {"min_green": "-1"})],
)  # fmt: skip
def test_a_lane_of_nothing(field: str, changes: dict[str, Any]) -> None:
    error = refused(lane_of, small(), **changes)
    assert (error.reason, error.field) == (DoorReason.INVALID_FIELD, field)


@pytest.mark.parametrize(
    "changes",
    [{}, {"max_latency_ms": "9.8"}, {"chips": ("A910B", "H800")}, {"min_green": "0.3", "max_latency_ms": "10"}],
)
def test_a_topic_names_its_need(changes: dict[str, Any]) -> None:
    v = small().venue
    need = lane.need_of(v, HOURLY, view(**changes))
    topic = lane.topic_of(v, HOURLY, need)
    assert lane.need_of_topic(v, HOURLY, topic) == need
    assert lane_of(small(), **changes).topic == topic


@pytest.mark.parametrize(
    "topic",
    ["", "w", "w/any/H800/any", "w/any/H800/any/20261123T05/x", "x/any/H800/any/20261123T05", "w/any//any/20261123T05",
     "w/any/H900/any/20261123T05", "w/0/H800/any/20261123T05", "w/ten/H800/any/20261123T05", "w/any/H800/grid/20261123T05",
     "w/any/H800/any/20261122T05", "w/any/H800/any/2026", "w/10.0/H800/any/20261123T05", "w/any/H800,H800/any/20261123T05"],
)  # fmt: skip
def test_what_is_no_topic(topic: str) -> None:
    error = refused(lane.need_of_topic, small().venue, HOURLY, topic)
    assert (error.reason, error.field) == (DoorReason.NOT_FOUND, "instrument")
