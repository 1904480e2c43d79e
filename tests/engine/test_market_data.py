"""The feeds: snapshot and deltas give the book, numbers have no holes, the past is there or a new snapshot is due."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from morning import morning

from exchange.domain import commands as c
from exchange.domain.events import Traded
from exchange.domain.instrument import split_book
from exchange.domain.venue import Venue
from exchange.engine.feeds import Feed, Shelf
from exchange.engine.market_data import MarketData
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON

pytestmark = pytest.mark.slow  # a live exchange, or a market day

EPOCH = 3


class Market:
    """A venue that is fed in batches, as the writer does it."""

    def __init__(self, commands: tuple[Any, ...], **settings: int) -> None:
        self.venue = Venue()
        self.data = MarketData(self.venue, EPOCH, **settings)
        self.commands = commands
        self.seq = 0
        self.events: list[Any] = []

    def batch(self, size: int) -> bool:
        """One frame; False at the end."""
        taken = self.commands[self.seq : self.seq + size]
        applied = []
        for command in taken:
            self.seq += 1
            applied.append((self.seq, command, self.venue.apply(self.seq, command)))
        for seq, command, events in applied:
            self.events += events
            self.data.on_command(seq, self.venue.now_ns, command, events)
        self.data.after_batch(self.seq)
        return bool(taken)

    def until(self, kind: type) -> None:
        """Up to and with the first command of a kind."""
        while not isinstance(self.commands[self.seq - 1], kind) or not self.seq:
            assert self.batch(1), kind

    def open_books(self) -> list[str]:
        return [self.venue.instrument_code(*split_book(book)) for book in sorted(self.venue.listed_books)]


class Reader:
    """Rebuilds a book from texts alone."""

    def __init__(self, market: Market, channel: str, name: str) -> None:
        self.market, self.feed = market, market.data.feed(channel, name)
        self.texts: list[bytes] = []
        self.is_closed = False
        self.take(market.data.snapshot_payload(self.feed, JSON))
        self.feed.listeners[self] = None

    def __hash__(self) -> int:
        return id(self)

    def on_message(self, message: Any) -> None:
        self.texts.append(message.payload(self.feed, JSON))

    def on_closed(self) -> None:
        self.is_closed = True

    def take(self, text: bytes) -> None:
        told = json.loads(text)
        assert told["epoch"] == EPOCH and told["instrument"] == self.feed.name
        if told["type"] == "snapshot":
            self.bids, self.asks = dict(told["data"].get("bids", ())), dict(told["data"].get("asks", ()))
            self.data = told["data"]
        else:
            assert told["prev_seq"] == self.seq, "the chain has no hole"
            self.data = told["data"]
            for side, changes in ((self.bids, "bids"), (self.asks, "asks")):
                for price, cards in self.data.get(changes, ()):
                    if cards == "0":
                        del side[price]  # KeyError: removed what was not there
                    else:
                        side[price] = cards
        self.seq = told["seq"]

    def merge(self, changes: Any) -> None:
        """Changes over several steps: a level may go that was never seen to come."""
        for side, levels in ((self.bids, changes["bids"]), (self.asks, changes["asks"])):
            for price, cards in levels:
                side.pop(price, None)
                if cards != "0":
                    side[price] = cards

    def read(self) -> None:
        for text in self.texts:
            before = self.seq
            self.take(text)
            assert self.seq == before + 1
        self.texts.clear()


def truth(market: Market, instrument: str) -> tuple[dict[str, str], dict[str, str]]:
    """The book as the core has it."""
    measures, venue = market.data.measures, market.venue
    family, period = venue.instrument(instrument)
    sides = venue.core.depth(venue.book(family, period), 10**6)
    tick = venue.settings.tick_micro
    bids, asks = ({measures.yuan(price * tick): measures.cards_text(lots) for price, lots, _ in side} for side in sides)
    return bids, asks


@pytest.mark.parametrize("seed", range(3))
def test_snapshot_and_deltas_are_the_book_after_every_batch(seed: int) -> None:
    market = Market(morning())
    chance = random.Random(seed)
    readers: dict[str, Reader] = {}
    market.until(c.SetVenue)
    compared = changed = closed = 0
    while market.batch(chance.choice((1, 1, 2, 5, 40))):
        for name, reader in list(readers.items()):
            changed += len(reader.texts)
            reader.read()
            assert (reader.bids, reader.asks) == truth(market, name)
            compared += 1
            if reader.is_closed:
                assert (reader.bids, reader.asks) == ({}, {}), "closed means empty"
                with pytest.raises(DoorError, match="closed"):
                    market.data.feed("depth", name)
                del readers[name]
                closed += 1
                continue
            rest = market.data.depth(name, 1000)
            assert (dict(rest.bids), dict(rest.asks), rest.seq) == (reader.bids, reader.asks, reader.seq)
        fresh = [name for name in market.open_books() if name not in readers]
        for name in fresh[:5] + chance.sample(fresh, min(len(fresh), 10)):
            if len(readers) < 300 and name not in readers:
                readers[name] = Reader(market, "depth", name)
    assert compared > 500 and changed > 60 and closed > 5, (compared, changed, closed)


def test_steps_read_as_one_are_the_book_as_well() -> None:
    market = Market(morning())
    market.until(c.PlaceOffer)
    readers: dict[str, Reader] = {}
    chance = random.Random(4)
    both_sides = 0
    while market.batch(3):
        for name, reader in list(readers.items()):
            if reader.is_closed or chance.random() < 0.1:
                if reader.seq < reader.feed.seq:
                    told = json.loads(reader.feed.merged_payload(reader.seq, JSON))
                    assert (told["prev_seq"], told["seq"]) == (reader.seq, reader.feed.seq)
                    reader.merge(told["data"])
                    reader.seq = told["seq"]
                    both_sides += bool(told["data"]["bids"]) and bool(told["data"]["asks"])
                assert (reader.bids, reader.asks) == truth(market, name)
            if reader.is_closed:
                del readers[name]
        for name in market.open_books()[:40]:
            if name not in readers:
                readers[name] = Reader(market, "depth", name)
    assert both_sides > 3


def test_top_is_the_best_level_of_each_side() -> None:
    market = Market(morning())
    market.until(c.PlaceOrder)
    readers = [Reader(market, "top", name) for name in market.open_books()[:200]]
    moves = 0
    while market.batch(1):
        for reader in readers:
            moves += len(reader.texts)
            reader.read()
            bids, asks = truth(market, reader.feed.name)
            best = (next(iter(bids.items()), (None, None)), next(iter(asks.items()), (None, None)))
            told = reader.data
            assert ((told["bid"], told["bid_cards"]), (told["ask"], told["ask_cards"])) == best
        readers = [reader for reader in readers if not reader.is_closed]
    assert moves > 20


def test_every_trade_is_told_once_on_each_pattern_that_has_it() -> None:
    market = Market(morning())
    market.until(c.ListFamily)
    market.batch(120)
    family = next(event.instrument for event in market_trades(morning())).rpartition("/")[0]
    readers = {name: Reader(market, "trades", name) for name in ("*", f"{family}/*")}
    told: dict[str, list[str]] = {name: [] for name in readers}
    while market.batch(7):
        for name, reader in readers.items():
            for text in reader.texts:
                told[name] += [trade["instrument"] for trade in json.loads(text)["data"]["items"]]
            reader.read()
    trades = [event.instrument for event in market.events if isinstance(event, Traded)]
    assert len(trades) > 20
    assert told["*"] == trades
    assert told[f"{family}/*"] == [name for name in trades if name.startswith(f"{family}/")] != []


def market_trades(commands: tuple[Any, ...]) -> list[Traded]:
    market = Market(commands)
    while market.batch(1000):
        pass
    return [event for event in market.events if isinstance(event, Traded)]


def test_a_user_is_told_of_his_own_business_command_by_command() -> None:
    trade = market_trades(morning())[0]
    market = Market(morning())
    market.until(c.PlaceOffer)
    readers = {name: Reader(market, "user", name) for name in (trade.buyer, trade.seller)}
    assert readers[trade.seller].data["account"]["participant"] == trade.seller
    told: dict[str, list[Any]] = {name: [] for name in readers}
    while market.batch(10):
        for name, reader in readers.items():
            for text in reader.texts:
                events = json.loads(text)["data"]["events"]
                assert len({event["seq"] for event in events}) == 1, "one command a message"
                told[name] += events
            reader.read()
    for name, side in ((trade.buyer, "buy"), (trade.seller, "sell")):
        assert {event["participant"] for event in told[name]} == {name}
        assert any(e["type"] == "fill" and e["side"] == side and e["instrument"] == trade.instrument for e in told[name])


def test_instruments_tell_new_families_and_the_turn_of_the_hour() -> None:
    market = Market(morning())
    reader = Reader(market, "instruments", "")
    assert reader.data["items"] == []
    known: dict[str, Any] = {}
    turns = 0
    while market.batch(1):
        for text in reader.texts:
            items = json.loads(text)["data"]["items"]
            turns += len(items) == len(market.venue.state.families) > 1
            known |= {item["family"]: item for item in items}
        reader.read()
        if known:
            grid = market.venue.periods
            first = grid.code(grid.first_open(market.venue.now_ns))
            assert {item["first_period"] for item in known.values()} == {first}
    assert set(known) == {family.code for family in market.venue.state.families}
    assert turns >= 3


def test_what_does_not_exist_is_not_found_and_what_has_no_book_yet_is_empty() -> None:
    market = Market(morning())
    for channel, name in (("depth", "A/b/L10/grid/20261124T08"), ("trades", "x/*"), ("user", "nobody"), ("trades", "")):
        with pytest.raises(DoorError) as caught:
            market.data.feed(channel, name)
        assert caught.value.reason == DoorReason.NOT_FOUND
    with pytest.raises(DoorError) as caught:
        market.data.feed("gossip", "")
    assert caught.value.reason == DoorReason.UNKNOWN_CHANNEL
    market.until(c.ListFamily)
    venue = market.venue
    period = venue.periods.first_open(venue.now_ns)
    name = venue.instrument_code(1, period)
    assert venue.book(1, period) not in venue.listed_books
    reader = Reader(market, "depth", name)
    assert (reader.seq, reader.bids, reader.asks) == (0, {}, {})
    for closed in (period - 1, period + venue.settings.horizon_periods):
        with pytest.raises(DoorError, match="closed or not listed"):
            market.data.depth(venue.instrument_code(1, closed), 10)


def test_a_book_that_nobody_asked_for_costs_nothing_and_later_starts_from_its_state() -> None:
    market = Market(morning())
    market.until(c.PlaceOrder)
    assert not market.data._books and not market.venue.touched
    name = next(name for name in market.open_books() if any(truth(market, name)))
    reader = Reader(market, "depth", name)
    assert (reader.bids, reader.asks) == truth(market, name) != ({}, {})


def test_a_fault_of_ours_is_said_before_the_writer_lets_go() -> None:
    market = Market(morning())
    market.until(c.PlaceOrder)
    said: list[bool] = []
    market.data.on_fault = lambda: said.append(True)
    market.data.feed("trades", "*")
    market.data.depth(market.open_books()[0], 1)
    market.venue.periods = None  # type: ignore[assignment]  # what no venue is ever without
    with pytest.raises(AttributeError):
        market.data.after_batch(market.seq)
    assert said == [True]


def half_told(market: Market) -> MarketData:
    """Broken in the middle of its work, by a sink or a step; what it says afterwards must be no."""
    data = market.data
    with pytest.raises(DoorError) as caught:
        data.depth(market.open_books()[0], 1)
    assert caught.value.reason is DoorReason.BEHIND and caught.value.retry_after_s
    for channel, name in (("trades", "*"), ("depth", market.open_books()[0]), ("instruments", "")):
        with pytest.raises(DoorError) as caught:
            data.feed(channel, name)
        assert caught.value.reason is DoorReason.BEHIND, "also what somebody had asked for before"
    return data


def test_after_a_fault_in_a_step_nothing_more_is_told() -> None:
    market = Market(morning())
    market.until(c.PlaceOrder)
    feed = market.data.feed("instruments", "")
    market.data.depth(market.open_books()[0], 1)
    assert not market.data.is_broken
    periods, market.venue.periods = market.venue.periods, None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        market.data.after_batch(market.seq)
    market.venue.periods = periods
    assert half_told(market).is_broken
    seq = feed.seq
    while market.batch(10):
        pass
    assert feed.seq == seq and not market.venue.touched


def test_after_a_fault_in_the_sink_nothing_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(morning())
    market.until(c.PlaceOrder)
    feed = market.data.feed("trades", "*")
    with monkeypatch.context() as broken:
        broken.setattr("exchange.engine.market_data.public_trades", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            while market.batch(1):
                pass
    assert half_told(market).is_broken
    seq = feed.seq
    while market.batch(10):
        pass
    assert feed.seq == seq


# --- feeds and their past ---


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 40), st.data())
def test_the_past_is_without_holes_and_within_its_room(sizes: list[int], room: int, data: st.DataObject) -> None:
    shelf = Shelf(room)
    feeds = [Feed("trades", name, EPOCH, shelf) for name in "ab"]
    published: dict[str, list[int]] = {"a": [], "b": []}
    for size in sizes:
        feed = feeds[data.draw(st.integers(0, 1))]
        feed.publish(size, size, size - 1)
        published[feed.name].append(size)
        assert shelf.used == sum(message.data for each in feeds for message in each.kept) <= room
    for feed in feeds:
        everything = published[feed.name]
        assert feed.seq == len(everything)
        for seq in range(-2, feed.seq + 3):
            if feed.reaches_back_to(seq):
                missed = [feed.after(at).data for at in range(seq, feed.seq)]
                assert missed == everything[seq:]
            else:
                assert not 0 <= seq <= feed.seq or feed.seq - seq > len(feed.kept)


@settings(max_examples=40)  # each is a small market of its own
@given(st.integers(0, 30), st.integers(1, 200))
def test_a_late_reader_gets_the_same_book_merged_step_by_step_or_anew(late: int, room: int) -> None:
    market = Market((*_setup(), *_bids(30)), steps_kept=room)
    market.batch(len(_setup()))
    name = _instrument(market)
    reader = Reader(market, "depth", name)
    for done in range(30):
        market.batch(1)
        if done < 30 - late:
            reader.read()
    assert reader.feed.seq == 30, "each of them changes the book"
    reader.texts.clear()
    if not reader.feed.reaches_back_to(reader.seq):
        reader.take(market.data.snapshot_payload(reader.feed, JSON))
    elif reader.seq < reader.feed.seq:
        told = json.loads(reader.feed.merged_payload(reader.seq, JSON))
        assert (told["prev_seq"], told["seq"]) == (reader.seq, reader.feed.seq)
        reader.merge(told["data"])
    assert (reader.bids, reader.asks) == truth(market, name)


@cache
def _setup() -> tuple[Any, ...]:
    commands = morning()
    return commands[: next(place for place, each in enumerate(commands) if isinstance(each, c.AttestCapacity))]


@cache
def _bids(count: int) -> list[Any]:
    """Bids that come and go at a few prices."""
    known = {each.participant for each in _setup() if isinstance(each, c.AddParticipant)}
    buyer = next(each.participant for each in _setup() if isinstance(each, c.Deposit) and each.participant in known)
    family = next(each for each in _setup() if isinstance(each, c.ListFamily))
    market = Market(_setup())
    while market.batch(1000):
        pass
    code = f"{family.chip}/{family.region}/{family.latency_class}/{family.power}/{_period(market)}"
    made: list[Any] = []
    for number in range(count):
        if number % 3 == 2:
            made.append(c.CancelOrder(buyer, f"b{number - 1}"))
        else:
            made.append(c.PlaceOrder(buyer, f"b{number}", code, "buy", (1 + number % 4) * 10_000, 1 + number))
    return made


def _period(market: Market) -> str:
    grid = market.venue.periods
    return grid.code(grid.first_open(market.venue.now_ns) + 1)


def _instrument(market: Market) -> str:
    return f"{market.venue.state.families[0].code}/{_period(market)}"
