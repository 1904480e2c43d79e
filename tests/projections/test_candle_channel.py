"""Live candles are those that the trades make, whatever was looked at when; one that has ended is told once, as final."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from small_days import T0, H, offer, open_day

from exchange.domain import commands as c
from exchange.domain.events import Traded
from exchange.domain.units import MICRO, NS_PER_MINUTE
from exchange.engine.market_data import MarketData
from exchange.projections.candle_channel import CandleChannel, LiveCandles, candle_answer
from exchange.projections.candles import INTERVALS, Candle, Grid, candle_of, merged
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON
from exchange.protocol.measures import Measures

FAMILY = "H800/g/L10/grid"
AT_5 = f"{FAMILY}/20261123T05"
SECOND = 1_000_000_000


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "Asia/Kathmandu"])
@pytest.mark.parametrize("seed", range(3))
def test_the_ladder_holds_what_all_trades_make(zone: str, seed: int) -> None:
    chance, grid = random.Random(seed), Grid.of(c.SetVenue("test", time_zone=zone))
    live, tape, now_ns = LiveCandles(grid), [], T0
    for number in range(1, 400):
        now_ns += chance.choice((0, 1, 20, 70, 400, 5000, 40_000)) * SECOND
        trade = candle_of(now_ns, (number, 0), chance.randint(1, 9), chance.randint(1, 9))
        tape.append(trade)
        live.add(AT_5, now_ns, trade.open_micro, trade.lots)
        for interval in INTERVALS:
            found, true = live.newest(FAMILY, interval), merged(tape, interval, grid)
            assert found == true[-len(found) :] == live.newest(AT_5, interval), interval


class Market:
    """A day with its market data, whose looks are moved by hand."""

    def __init__(self) -> None:
        self.day, self.now_ns, self.tape = open_day(), 0, []
        self.data = MarketData(
            self.day.venue, 3, channels=(CandleChannel(self.day.venue),), clock=lambda: self.now_ns
        )  # fmt: skip

    def do(self, *commands: Any) -> None:
        for command in commands:
            self.day.do(command)
            seq, ts_ns, _, events = self.day.history[-1]
            self.tape += [
                candle_of(ts_ns, (seq, place), each.price_micro, each.lots)
                for place, each in enumerate(events) if type(each) is Traded
            ]  # fmt: skip
            self.data.on_command(seq, ts_ns, command, events)
            self.data.after_batch(seq)

    def look(self) -> None:
        self.now_ns += SECOND
        self.data.look()


def told(market: Market, feed: Any, since: int) -> list[Any]:
    messages = [json.loads(feed.after(seq).payload(feed, JSON)) for seq in range(since, feed.seq)]
    return [item for message in messages for item in message["data"]["items"]]


def test_candles_are_told_while_they_are_made_and_once_when_they_have_ended() -> None:
    market = Market()
    market.do(offer("P1", "o1", 100, 8, start_ns=T0 + 5 * H, end_ns=T0 + 6 * H))
    feeds = {name: market.data.feed("candles", f"{name}@1m") for name in (FAMILY, AT_5)}
    for feed in feeds.values():
        feed.listeners[type("Listener", (), {"on_message": lambda *_: None, "on_closed": lambda *_: None})()] = None
    grid, m = Grid.of(market.day.venue.settings), Measures(market.day.venue.settings)
    for minute in range(6):
        for number in range(minute % 3):
            market.do(c.PlaceOrder("B1", f"b{minute}-{number}", AT_5, "buy", 9 * MICRO, 1 + number, "IOC"))
            market.look()
        market.do(c.AdvanceTime(market.day.venue.now_ns + NS_PER_MINUTE))
        if minute != 1:
            market.look()
    market.look()
    for feed in feeds.values():
        items = told(market, feed, 0)
        final = [item for item in items if item["is_final"]]
        true: list[Candle] = merged(market.tape, "1m", grid)
        assert len(true) == 4 and [item["start"] for item in final] == [m.time_text(each.start_ns) for each in true]
        assert [(item["close"], item["trades"], item["card_hours"]) for item in final] == [
            (m.yuan(each.close_micro), each.trades, m.card_hours_text(each.lots)) for each in true
        ]
        assert len(items) > len(final), "the open ones are told as well"
        assert candle_answer(true[0], "1m", grid, market.day.venue.now_ns, m).is_final
        assert json.loads(market.data.snapshot_payload(feed, JSON))["data"]["items"] == [], "none is open"


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (f"{FAMILY}@2m", DoorReason.INVALID_FIELD), (FAMILY, DoorReason.INVALID_FIELD),
        (f"{FAMILY}/20251123T05@1m", DoorReason.NOT_FOUND), ("x@1m", DoorReason.NOT_FOUND), ("@1m", DoorReason.NOT_FOUND),
    ],
)  # fmt: skip
def test_what_is_no_topic_is_refused(topic: str, reason: DoorReason) -> None:
    with pytest.raises(DoorError) as caught:
        Market().data.feed("candles", topic)
    assert caught.value.reason == reason


def test_a_family_with_a_star_is_one_name_for_each_open_instrument_and_new_ones_are_told() -> None:
    market = Market()
    names = market.data.expand("candles", f"{FAMILY}/*@1m")
    assert len(names) > 100 and all(market.data.feed("candles", name).name == name for name in names[:3])
    assert market.data.expand("depth10", f"{FAMILY}/*") == tuple(name.removesuffix("@1m") for name in names)
    opened: list[str] = []

    def listener(family: str, codes: tuple[str, ...]) -> None:
        assert family == FAMILY
        opened.extend(codes)

    market.data.join("depth10", f"{FAMILY}/*", listener)
    market.do(c.AdvanceTime(market.day.venue.now_ns + 3 * H))
    after = market.data.expand("depth10", f"{FAMILY}/*")
    assert opened and set(opened) == set(after) - {name.removesuffix("@1m") for name in names}
    market.data.leave("depth10", f"{FAMILY}/*", listener)
    count = len(opened)
    market.do(c.AdvanceTime(market.day.venue.now_ns + H))
    assert len(opened) == count
    for channel, pattern in (("trades", f"{FAMILY}/*"), ("depth", FAMILY), ("depth", f"{FAMILY}/*@1m"), ("candles", "x/*1m")):
        with pytest.raises(DoorError) as caught:
            market.data.expand(channel, pattern)
        assert caught.value.reason == DoorReason.INVALID_FIELD
    with pytest.raises(DoorError) as caught:
        market.data.expand("depth", "no/such/family/*")
    assert caught.value.reason == DoorReason.NOT_FOUND
