"""The channels `lane` and `demand` of the market data: snapshot and deltas are the view, at most once a second."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_days import T0, H, offer, open_day, task

from exchange.domain import commands as c
from exchange.domain.units import MICRO
from exchange.engine.market_data import MarketData
from exchange.projections import lane
from exchange.projections.channels import DemandChannel, DemandWatch, LaneChannel
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON
from exchange.protocol.measures import Measures

HOURLY = Measures(c.SetVenue("test"))
SECOND = 1_000_000_000
TOPIC = "w/10/H800/any/20261123T05"


class Market:
    """A day with its market data, as the writer and the doors use it; the clock moves by hand."""

    def __init__(self, most_lanes: int = 8) -> None:
        self.day = open_day()
        for number in range(3, 7):  # firms beside those of the day
            self.day.do(c.AddParticipant(f"B{number}", f"firm {number}"), c.Deposit(f"B{number}", 10**12, ""))
        self.now_ns = 0
        channels = (LaneChannel(self.day.venue, most_lanes), DemandChannel(self.day.venue))
        self.data = MarketData(self.day.venue, 3, channels=channels, clock=lambda: self.now_ns)
        self.told = len(self.day.history)

    def do(self, *commands: Any) -> None:
        """Each command in a frame of its own."""
        for command in commands:
            self.day.do(command)
            seq, ts_ns, _, events = self.day.history[-1]
            self.data.on_command(seq, ts_ns, command, events)
            self.data.after_batch(seq)

    def look(self) -> None:
        """A second passes."""
        self.now_ns += SECOND
        self.data.look()


class Reader:
    """Rebuilds a view from texts alone."""

    def __init__(self, market: Market, channel: str, topic: str = "") -> None:
        self.feed = market.data.feed(channel, topic)
        self.texts: list[bytes] = []
        self.is_closed = False
        self.data = market.data
        self.take(json.loads(market.data.snapshot_payload(self.feed, JSON)))
        self.feed.listeners[self] = None

    def __hash__(self) -> int:
        return id(self)

    def on_message(self, message: Any) -> None:
        self.texts.append(message.payload(self.feed, JSON))

    def on_closed(self) -> None:
        self.is_closed = True

    def take(self, told: Any) -> None:
        if told["type"] == "snapshot" or told["channel"] == "lane":
            self.items = list(told["data"]["items"])
        else:
            for cell in told["data"]["items"]:
                place = [name for name in cell if name != "card_hours"]
                self.items = [each for each in self.items if any(each[name] != cell[name] for name in place)]
                self.items += [cell] if cell["card_hours"] != "0" else []
        assert told["type"] == "snapshot" or told["prev_seq"] == self.seq
        self.seq = told["seq"]

    def read(self) -> int:
        """Works in what has come; how many messages that were."""
        count = len(self.texts)
        for text in self.texts:
            self.take(json.loads(text))
        self.texts.clear()
        return count


def lane_now(market: Market) -> Any:
    v = market.day.venue
    need = lane.need_of_topic(v, HOURLY, TOPIC)
    return lane.level_answers(v, HOURLY, lane.levels_of(v, need.period, lane.usable_families(v, need), 100))


def as_json(items: Any) -> Any:
    from exchange.protocol.strict_json import encode

    return sorted(json.loads(encode(items)), key=str)


# --- lanes ---


def test_a_lane_is_told_once_a_second_and_only_where_it_has_changed() -> None:
    market = Market()
    reader = Reader(market, "lane", TOPIC)
    assert reader.items == []
    market.do(offer("P1", "o1", 640, 8), offer("P1", "o2", 100, 9))
    assert reader.read() == 0, "not before the second has passed"
    market.look()
    assert reader.read() == 1 and [each["total_cards"] for each in reader.items] == ["64", "74"]
    market.look()
    assert reader.read() == 0
    market.do(offer("P2", "far", 100, 5, start_ns=T0 + 20 * H, end_ns=T0 + 22 * H))  # other hours
    market.look()
    assert reader.read() == 0
    market.do(offer("P2", "blk", 300, 7, min_lots=100, min_periods=2))
    market.look()
    assert reader.read() == 1 and [each["is_block"] for each in reader.items] == [True, False, False]
    market.do(task("t1", lots=200, periods=2, deadline_ns=T0 + 7 * H, earliest_start_ns=T0 + 5 * H))
    market.look()
    assert reader.read() == 1 and as_json(reader.items) == as_json(lane_now(market))
    market.do(c.WithdrawOffer("P2", "blk"))
    market.look()
    assert reader.read() == 1 and as_json(reader.items) == as_json(lane_now(market))


def test_a_lane_ends_with_its_gate() -> None:
    market = Market()
    reader = Reader(market, "lane", TOPIC)
    market.do(offer("P1", "o1", 640, 8), c.AdvanceTime(T0 + 5 * H))
    market.look()
    assert reader.is_closed
    with pytest.raises(DoorError) as caught:
        market.data.feed("lane", TOPIC)
    assert caught.value.reason == DoorReason.NOT_FOUND


def test_a_lane_that_nobody_follows_is_forgotten_and_its_numbers_are_never_used_again() -> None:
    market = Market()
    reader = Reader(market, "lane", TOPIC)
    market.do(offer("P1", "o1", 640, 8))
    market.look()
    reader.read()
    del reader.feed.listeners[reader]
    market.look()
    again = Reader(market, "lane", TOPIC)
    assert again.feed is not reader.feed and again.seq > reader.seq and again.items == reader.items
    assert not again.feed.reaches_back_to(reader.seq), "an old place cannot be resumed"


def test_no_more_lanes_are_followed_than_the_limit() -> None:
    market = Market(most_lanes=2)
    readers = [Reader(market, "lane", TOPIC.replace("T05", f"T0{hour}")) for hour in (3, 4)]
    with pytest.raises(DoorError) as caught:
        Reader(market, "lane", TOPIC)
    assert (caught.value.reason, caught.value.limit) == (DoorReason.TOO_MANY_SUBSCRIPTIONS, "lane")
    assert Reader(market, "lane", TOPIC.replace("T05", "T03")).feed is readers[0].feed


# --- demand ---


def waits(name: str, buyer: str, **more: Any) -> c.SubmitTask:
    """Nobody sells: it waits."""
    return task(name, buyer, **({"lots": 100, "periods": 2} | more))


def cell(**changes: Any) -> dict[str, Any]:
    """Three tasks of 20 card-hours each."""
    return {
        "chip": "H800", "access_region": "w", "latency_class": "L10", "deadline_hours": 24, "price": "8.00",
        "card_hours": "60", **changes,
    }  # fmt: skip


def test_the_table_has_nothing_of_two_firms_and_a_cell_of_three() -> None:
    market = Market()
    reader = Reader(market, "demand")
    market.do(waits("t1", "B1"), waits("t2", "b1"), waits("t3", "B1"))
    market.look()
    assert reader.read() == 0 and reader.items == []
    market.do(waits("t4", "B3"))
    market.look()
    assert reader.read() == 1 and reader.items == [cell(card_hours="80")]
    market.do(c.CancelTask("B1", "t3"))
    market.look()
    assert reader.read() == 1 and reader.items == [cell()]
    market.look()
    assert reader.read() == 0
    market.do(c.CancelTask("B3", "t4"))
    market.look()
    assert reader.read() == 1 and reader.items == []
    for text in reader.texts:
        assert not any(word in text for word in ("t1", "t2", "B1", "firm"))


def test_a_bulk_task_counts_with_what_it_has_not_bought_yet_and_goes_when_it_is_filled() -> None:
    market = Market()
    market.do(*(waits(f"t{n}", f"B{n}", shape="bulk") for n in (1, 3, 4)))
    reader = Reader(market, "demand")
    assert reader.items == [cell()]
    market.do(offer("P1", "o1", 10, 8, end_ns=T0 + 4 * H), c.AdvanceTime(market.day.venue.now_ns + SECOND))
    market.look()
    assert reader.read() == 1 and reader.items == [cell(card_hours="57")]
    market.do(offer("P1", "o2", 100, 8), c.AdvanceTime(market.day.venue.now_ns + SECOND))
    market.look()
    assert reader.read() == 1 and reader.items == []


def test_the_price_of_a_cell_is_net_of_moving_the_data() -> None:
    market = Market()
    market.do(*(waits(f"t{n}", f"B{n}", data_mb=400_000, data_region="w", chips=(c.TaskChip("H800"),)) for n in (1, 3, 4)))
    assert Reader(market, "demand").items == [cell()], "the data is where a family is: nothing to pay"
    for number in (1, 3, 4):
        market.do(c.CancelTask(f"B{number}", f"t{number}"))
    market.do(*(
        waits(f"u{n}", f"B{n}", data_mb=400_000, data_region="w", allowed_regions=("g",)) for n in (1, 3, 4)
    ))  # fmt: skip
    market.look()
    assert Reader(market, "demand").items == [cell(price="6.00")]  # 9 x 20 - 40 yuan over 20 card-hours = 7.00


def test_a_table_that_is_kept_is_as_one_that_is_made_anew() -> None:
    market = Market()
    reader = Reader(market, "demand")
    hours = iter(range(1, 100))
    for n, buyer in enumerate(("B1", "b1", "B3", "B4", "B5", "B6") * 3):
        more = {"deadline_ns": T0 + (4 + 7 * n) * H, "price_cap_micro": (3 + n % 4) * MICRO}
        market.do(waits(f"t{n}", buyer, **more))
        if n % 4 == 0:
            market.do(c.AdvanceTime(T0 + next(hours) * H))
        if n % 5 == 0:
            market.do(offer("P1", f"o{n}", 100, 4, start_ns=T0 + 30 * H, end_ns=T0 + 40 * H))
        market.look()
        reader.read()
        fresh = DemandWatch(market.day.venue, HOURLY).everything()
        assert as_json(reader.items) == as_json(fresh.items)
    assert reader.items and reader.seq > 3


def test_a_question_is_answered_by_the_table_that_the_channel_tells() -> None:
    market = Market()
    market.do(*(waits(f"t{n}", f"B{n}") for n in (1, 3, 4)))
    place, told = market.data.latest("demand", "")
    assert [each.card_hours for each in told.items] == ["60"] and place.seq == len(market.day.history)
    market.do(waits("t5", "B5"))
    assert market.data.latest("demand", "") == (place, told), "asking more often shows no more"
    market.now_ns += SECOND
    assert [each.card_hours for each in market.data.latest("demand", "")[1].items] == ["80"]


def test_there_is_one_demand_table() -> None:
    with pytest.raises(DoorError) as caught:
        Market().data.feed("demand", "H800")
    assert caught.value.reason == DoorReason.NOT_FOUND


def test_an_economy_task_counts_at_the_limit_it_has_reached() -> None:
    market = Market()
    steps = (c.TaskStep(0, 3 * MICRO), c.TaskStep(T0 + 2 * H, 9 * MICRO))
    market.do(*(waits(f"t{n}", f"B{n}", lane="economy", steps=steps) for n in (1, 3, 4)))
    reader = Reader(market, "demand")
    assert reader.items == [cell(price="3.00")]
    market.do(c.AdvanceTime(T0 + 2 * H))
    market.look()
    assert reader.read() == 1 and reader.items == [cell()]


def test_amended_tasks_move_to_their_new_cell() -> None:
    market = Market()
    market.do(*(waits(f"t{n}", f"B{n}") for n in (1, 3, 4)))
    reader = Reader(market, "demand")
    market.do(*(c.AmendTask(waits(f"t{n}", f"B{n}", price_cap_micro=4 * MICRO, lots=50).task) for n in (1, 3, 4)))
    market.look()
    assert reader.read() == 1 and reader.items == [cell(price="4.00", card_hours="30")]


def test_pflops_hours_count_in_the_first_chip_that_may_do_them() -> None:
    market = Market()
    power = {"lots": 0, "chips": (), "pflops_milli_hours": 20_000, "price_cap_micro": 0, "budget_micro": 100 * MICRO}
    market.do(*(waits(f"t{n}", f"B{n}", **power) for n in (1, 3, 4)))
    (told,) = Reader(market, "demand").items
    # 10 PFLOPS for 2 hours: 31.3 cards of A910B, the first by code, with 0.32 each
    assert told == cell(chip="A910B", card_hours="187.8", price="1.50")


def test_a_bid_that_takes_better_counts_where_it_would_be_delivered() -> None:
    market = Market()
    code = "H800/g/L10/grid/20261123T05"
    market.do(*(
        c.PlaceOrder(f"B{n}", f"o{n}", code, "buy", 7 * MICRO, 100, or_better=True) for n in (1, 3, 4)
    ))  # fmt: skip
    assert Reader(market, "demand").items == [cell(access_region="g", deadline_hours=6, price="6.00", card_hours="30")]


def test_nothing_is_kept_of_channels_that_nobody_asked_for() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 8), waits("t1", "B1"))
    market.look()
    assert market.data._views._touched == set()
