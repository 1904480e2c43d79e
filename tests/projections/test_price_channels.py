"""The channels `prices` and `curve`: fix, trades, middle, ask, in this order; told once a second where they changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_days import T0, H, offer, open_day, task

from exchange.domain import commands as c
from exchange.domain.units import MICRO, NS_PER_MINUTE
from exchange.engine.market_data import MarketData
from exchange.projections import curve
from exchange.projections.board import RECENT_NS, RECENT_TRADES, Board, KnownFix, KnownTrade
from exchange.projections.price_channels import CurveChannel, CurveWatch, PricesChannel, PricesWatch
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON
from exchange.protocol.measures import Measures

HOURLY = Measures(c.SetVenue("test"))
SECOND = 1_000_000_000
FAMILY = "H800/g/L10/grid"
AT_5 = f"{FAMILY}/20261123T05"


class Market:
    """A day with its market data, as the writer and the doors use it; the clock of the looks moves by hand."""

    def __init__(self) -> None:
        self.day = open_day()
        self.now_ns = 0
        self.board = Board()
        for seq, ts_ns, command, events in self.day.history:
            self.board.on_command(seq, ts_ns, command, events)
        channels = (PricesChannel(self.day.venue, self.board), CurveChannel(self.day.venue, self.board))
        self.data = MarketData(self.day.venue, 3, channels=channels, clock=lambda: self.now_ns)

    def do(self, *commands: Any) -> None:
        """Each command in a frame of its own."""
        for command in commands:
            self.day.do(command)
            seq, ts_ns, _, events = self.day.history[-1]
            self.board.on_command(seq, ts_ns, command, events)
            self.data.on_command(seq, ts_ns, command, events)
            self.data.after_batch(seq)

    def look(self) -> None:
        """A second passes."""
        self.now_ns += SECOND
        self.data.look()

    def fresh(self, kind: Any, family: str = FAMILY, only: int | None = None) -> Any:
        """What a watch that was never here before says."""
        return timeless(as_json(kind(self.day.venue, HOURLY, self.board, family, only).everything().items))


class Reader:
    """Rebuilds a channel from texts alone."""

    def __init__(self, market: Market, channel: str, topic: str) -> None:
        self.feed = market.data.feed(channel, topic)
        self.texts: list[bytes] = []
        self.items: dict[str, Any] = {}
        self.take(json.loads(market.data.snapshot_payload(self.feed, JSON)))
        self.feed.listeners[self] = None

    def __hash__(self) -> int:
        return id(self)

    def on_message(self, message: Any) -> None:
        self.texts.append(message.payload(self.feed, JSON))

    def on_closed(self) -> None:
        raise AssertionError("it stays")

    def take(self, told: Any) -> None:
        assert told["type"] == "snapshot" or told["prev_seq"] == self.seq
        for item in told["data"]["items"]:
            self.items[item["instrument"]] = item
            if not any(item.get(name) for name in ("price", "bid", "ask", "last", "fix")):
                del self.items[item["instrument"]]
        self.seq = told["seq"]

    def read(self) -> int:
        """Works in what has come; how many messages that were."""
        count = len(self.texts)
        for text in self.texts:
            self.take(json.loads(text))
        self.texts.clear()
        return count

    def sorted(self) -> list[Any]:
        return timeless(sorted(self.items.values(), key=str))


def as_json(items: Any) -> Any:
    from exchange.protocol.strict_json import encode

    return sorted(json.loads(encode(items)), key=str)


def timeless(items: list[Any]) -> list[Any]:
    """A quote is as old as the watch that found it: of two watches that alone may differ."""
    return [{**item, "as_of": ""} if item.get("source") in ("mid", "ask") else item for item in items]


def bid(name: str, price: int, lots: int = 10, code: str = AT_5, buyer: str = "B1") -> c.PlaceOrder:
    return c.PlaceOrder(buyer, name, code, "buy", price, lots)


# --- the curve ---


def point_at_5(market: Market, reader: Reader) -> Any:
    market.look()
    reader.read()
    point = reader.items.get(AT_5)
    return point and (point["price"], point["source"], point["grade"])


def test_a_point_is_the_ask_then_the_middle_then_the_trades_then_the_fix() -> None:
    market = Market()
    reader = Reader(market, "curve", FAMILY)
    assert reader.items == {}
    market.do(bid("b0", 5 * MICRO))
    assert point_at_5(market, reader) is None, "a bid alone is no price"
    market.do(offer("P1", "o1", 640, 9))
    assert point_at_5(market, reader) == ("7.00", "mid", "")
    market.do(c.CancelOrder("B1", "b0"))
    assert point_at_5(market, reader) == ("9.00", "ask", "")
    market.do(offer("P1", "o2", 20, 8), bid("b1", 8 * MICRO, 20), bid("b2", 9 * MICRO, 40))
    assert point_at_5(market, reader) == ("8.666667", "trades", ""), "20 lots at 8, 40 at 9"
    market.do(c.SetFix(AT_5, 8_500_000, "B", "00"))
    assert point_at_5(market, reader) == ("8.50", "fix", "B")
    at = next(ts for _, ts, command, _ in market.day.history if type(command) is c.SetFix)
    assert reader.items[AT_5]["as_of"] == HOURLY.time_text(at)
    assert reader.items[AT_5]["per_pflops_hour"] == "8.585859", "8.50 for 0.99 PFLOPS"
    assert reader.sorted() == market.fresh(CurveWatch)


def test_the_middle_is_rounded_half_to_even() -> None:
    assert [curve.Top(low, 1, low + 1, 1).mid_micro for low in (4, 5, 6)] == [4, 6, 6]
    assert curve.Top(5, 1, 0, 0).mid_micro == curve.NO_TOP.mid_micro == 0


def test_a_quote_is_as_old_as_it_has_been_so() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9))
    reader = Reader(market, "curve", FAMILY)
    first = reader.items[AT_5]["as_of"]
    market.do(c.AdvanceTime(market.day.venue.now_ns + 10 * NS_PER_MINUTE), bid("b1", 9 * MICRO, 10, f"{FAMILY}/20261123T07"))
    market.look()
    assert reader.read() == 1
    assert reader.items[AT_5]["as_of"] == first and reader.items[f"{FAMILY}/20261123T07"]["source"] == "trades"


def test_nothing_is_told_where_nothing_changed_and_only_what_changed_else() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9))
    reader = Reader(market, "curve", FAMILY)
    market.look()
    assert reader.read() == 0
    market.do(offer("P1", "og", 10, 7, power="green"))  # another family
    market.look()
    assert reader.read() == 0
    market.do(bid("b1", 9 * MICRO))
    market.look()
    assert len(reader.texts) == 1 and len(json.loads(reader.texts[0])["data"]["items"]) == 1


def test_trades_that_get_too_old_do_not_count_any_more_even_if_nothing_happens() -> None:
    market = Market()
    code = f"{FAMILY}/20261125T05"
    market.do(offer("P1", "o1", 640, 8, end_ns=T0 + 60 * H), bid("b1", 8 * MICRO, 10, code))
    reader = Reader(market, "curve", FAMILY)
    assert reader.items[code]["source"] == "trades"
    traded_ns = market.day.venue.now_ns
    market.do(c.AdvanceTime(traded_ns + RECENT_NS - 1))
    market.look()
    reader.read()
    assert reader.items[code]["source"] == "trades"
    market.do(c.AdvanceTime(traded_ns + RECENT_NS))
    market.look()
    reader.read()
    assert (reader.items[code]["source"], reader.items[code]["price"]) == ("ask", "8.00")
    assert reader.sorted() == market.fresh(CurveWatch)


def test_only_the_newest_trades_make_a_point() -> None:
    market = Market()
    market.do(offer("P1", "o1", 100, 5), offer("P1", "o2", 600, 9))
    market.do(*(bid(f"b{n}", 5 * MICRO, 5) for n in range(20)), *(bid(f"c{n}", 9 * MICRO, 5) for n in range(RECENT_TRADES)))
    assert Reader(market, "curve", FAMILY).items[AT_5]["price"] == "9.00"
    assert Reader(market, "prices", AT_5).items[AT_5]["vwap"] == "7.00"


def test_a_busted_trade_is_in_no_price_and_an_adjusted_one_has_its_new_one() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 8), bid("b1", 8 * MICRO, 10), bid("b2", 8 * MICRO, 30), bid("b3", 8 * MICRO, 20))
    first, second, third = sorted(market.day.venue.state.obligations)
    market.do(c.AdjustTrade(first, 6 * MICRO, "typed wrong"), c.BustTrade(third, "typed wrong"))
    marks = market.board.marks(FAMILY, AT_5.rpartition("/")[2])
    assert marks is not None and marks.last is not None
    assert (marks.vwap_micro, marks.lots, marks.trades, marks.last.lots) == (7_500_000, 40, 2, 30)
    assert [told["vwap"] for told in market.fresh(PricesWatch) if told["instrument"] == AT_5] == ["7.50"]
    market.do(c.BustTrade(first, "typed wrong"), c.BustTrade(second, "typed wrong"))
    assert market.board.marks(FAMILY, AT_5.rpartition("/")[2]) is None


def test_a_curve_moves_on_with_the_hours_and_keeps_the_fix_of_the_one_that_runs() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9, end_ns=T0 + 12 * H), c.SetFix(AT_5, 8_500_000, "A", "00"))
    reader = Reader(market, "curve", FAMILY)
    assert f"{FAMILY}/20261123T04" in reader.items
    market.do(c.AdvanceTime(T0 + 5 * H + NS_PER_MINUTE))
    market.look()
    reader.read()
    assert sorted(reader.items)[0] == AT_5 and reader.items[AT_5]["source"] == "fix"
    market.do(c.AdvanceTime(T0 + 6 * H))
    market.look()
    reader.read()
    assert AT_5 not in reader.items and f"{FAMILY}/20261123T06" not in reader.items, "its gate is behind, it never traded"
    assert reader.sorted() == market.fresh(CurveWatch)


def test_what_stands_in_a_book_behind_its_gate_is_no_price() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9, end_ns=T0 + 9 * H, standby=True))
    readers = Reader(market, "curve", FAMILY), Reader(market, "prices", f"{FAMILY}/*")
    gate_ns = T0 + 5 * H - 5 * NS_PER_MINUTE
    for now_ns, is_told in ((gate_ns - 1, True), (gate_ns, False)):
        market.do(c.AdvanceTime(now_ns))
        market.data._views._touched.clear()  # the standby ask stays as it was: nobody touched its book
        market.look()
        for reader in readers:
            reader.read()
            assert (AT_5 in reader.items) == is_told
    assert market.day.venue.core.top(market.day.venue.book(1, market.day.venue.periods.at(T0 + 5 * H)))[2]


def test_a_curve_that_nobody_follows_is_answered_whenever_it_is_asked_for() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9))
    for lots in (10, 20, 30):
        place, told = market.data.latest("curve", FAMILY)
        assert place.seq == len(market.day.history) and as_json(told.items), lots
        market.do(bid(f"b{lots}", 9 * MICRO, lots))
        assert market.data.latest("curve", FAMILY) == (place, told), "asking more often shows no more"
        market.now_ns += SECOND
    _, told = market.data.latest("curve", FAMILY)
    assert next(item for item in told.items if item.instrument == AT_5).source == "trades"


def test_a_board_forgets_what_is_over() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9), bid("b1", 9 * MICRO), c.SetFix(AT_5, 9 * MICRO, "A", "00"))
    assert market.board.marks(FAMILY, "20261123T05") is not None
    market.do(c.AdvanceTime(T0 + 6 * H))
    assert market.board.marks(FAMILY, "20261123T05") is None and market.board._marks == {}


# --- prices ---


def test_prices_of_an_instrument_follow_bid_ask_trade_and_fix() -> None:
    market = Market()
    reader = Reader(market, "prices", AT_5)
    assert reader.items == {}
    market.do(offer("P1", "o1", 640, 9), bid("b1", 7 * MICRO, 30), bid("b2", 9 * MICRO, 20))
    market.look()
    assert reader.read() == 1
    mine = reader.items[AT_5]
    assert (mine["bid"], mine["bid_cards"], mine["ask"], mine["ask_cards"], mine["mid"]) == ("7.00", "3", "9.00", "62", "8.00")
    assert (mine["last"], mine["last_cards"], mine["vwap"], mine["card_hours"], mine["trades"]) == ("9.00", "2", "9.00", "2", 1)
    assert (mine["fix"], mine["grade"]) == (None, "")
    market.do(c.SetFix(AT_5, 8_880_000, "C", "00"))
    market.look()
    assert reader.read() == 1 and (reader.items[AT_5]["fix"], reader.items[AT_5]["grade"]) == ("8.88", "C")
    assert reader.sorted() == market.fresh(PricesWatch, only=market.day.venue.periods.at(T0 + 5 * H))


def test_prices_of_a_family_are_those_of_all_its_instruments() -> None:
    market = Market()
    reader = Reader(market, "prices", f"{FAMILY}/*")
    market.do(offer("P1", "o1", 640, 9, end_ns=T0 + 6 * H), task("t1", periods=3))
    market.look()
    reader.read()
    assert reader.sorted() == market.fresh(PricesWatch) and len(reader.items) > 2
    assert any(item["trades"] for item in reader.items.values())
    market.do(c.WithdrawOffer("P1", "o1"), c.AdvanceTime(T0 + 3 * H))
    market.look()
    reader.read()
    assert reader.sorted() == market.fresh(PricesWatch)


@pytest.mark.parametrize(
    ("channel", "topic"),
    [
        ("curve", "H800/nowhere/L10/grid"), ("curve", AT_5), ("prices", FAMILY), ("prices", "H800/x/L10/grid/*"),
        ("prices", f"{FAMILY}/20261122T23"), ("prices", f"{FAMILY}/20271123T05"), ("prices", f"{FAMILY}/tomorrow"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(channel: str, topic: str) -> None:
    with pytest.raises(DoorError) as caught:
        Market().data.feed(channel, topic)
    assert caught.value.reason == DoorReason.NOT_FOUND


def test_a_reader_who_comes_late_gets_the_last_word_on_each_instrument() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 9))
    reader = Reader(market, "prices", f"{FAMILY}/*")
    since = reader.seq
    for n, code in enumerate((AT_5, f"{FAMILY}/20261123T06", AT_5)):
        market.do(bid(f"b{n}", 9 * MICRO, 10, code))
        market.look()
    merged = json.loads(reader.feed.merged_payload(since, JSON))
    assert len(merged["data"]["items"]) == 2 and (merged["prev_seq"], merged["seq"]) == (since, since + 3)
    reader.take(merged)
    assert reader.sorted() == market.fresh(PricesWatch)


# --- after a restart ---


def test_a_board_that_reads_the_past_back_tells_the_same_as_one_that_saw_it() -> None:
    market = Market()
    market.do(offer("P1", "o1", 640, 8), offer("P2", "o2", 640, 9, end_ns=T0 + 30 * H), task("t1", lots=300))
    market.do(bid("b1", 9 * MICRO, 400), c.SetFix(AT_5, 8_500_000, "B", "00"), c.AdvanceTime(T0 + 4 * H))
    market.do(bid("b2", 9 * MICRO, 30, f"{FAMILY}/20261123T22"))
    trades = [
        KnownTrade(trade.time_ns, trade.fact.obligation_id, trade.fact.instrument, trade.fact.price_micro, trade.fact.lots)
        for trade in market.day.projections.tape.trades
    ]
    fixes = [
        KnownFix(ts, event.instrument, event.price_micro, event.grade) for _, ts, command, events in market.day.history
        if type(command) is c.SetFix for event in events if type(event).__name__ == "FixSet"
    ]  # fmt: skip
    assert len(trades) > 4 and fixes
    before = market.fresh(PricesWatch), market.fresh(CurveWatch)
    market.board = Board()
    market.board.configure(market.day.venue.settings)
    market.board.remember(trades, fixes, market.day.venue.now_ns)
    assert (market.fresh(PricesWatch), market.fresh(CurveWatch)) == before
