"""Whoever applies what the book channels send has the venue's own book: at every message, in both formats, late or not.

The truth is what the core says of its levels and orders; the channels are made of its events alone.
"""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from street import T0, YUAN, Street

from exchange.domain import commands as c
from exchange.domain.events import Refused
from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND
from exchange.engine import feeds
from exchange.engine.followed import DEPTHS
from exchange.engine.market_data import MarketData
from exchange.protocol.checksum import LEVELS, ORDERS, book_checksum, orders_checksum, whole
from exchange.protocol.formats import FORMATS, JSON
from exchange.protocol.merging import DATA, MERGES

FAMILY = "H800/wuhan/L5/grid"
CHANNELS = (*DEPTHS, "orders", "top")
HOURS = (3, 4, 5)
SITES = 15  # of each provider
SIDES = ("bids", "asks")


class Crowd(Street):
    """The street with orders at a hundred prices of a few hours, told to everybody."""

    def __init__(self, seed: int, **settings: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.data = MarketData(self.venue, 1, **settings)
        self.live: list[tuple[str, str]] = []
        self.offers: list[tuple[str, str]] = []
        for name in (f"s{who}{site}" for who in (1, 2, 3) for site in range(SITES)):
            self.do(c.AddSite(name, f"P{name[1]}", "wuhan"))
            self.do(c.AttestCapacity(name, "H800", 5000, T0, T0 + 240 * NS_PER_HOUR))

    def _apply(self, command: Any) -> list[Any]:
        events = super()._apply(command)
        if hasattr(self, "data"):
            self.data.on_command(len(self.log), self.venue.now_ns, command, events)
        return events

    def batch(self, size: int) -> None:
        for _ in range(size):
            self.act()
        self.data.after_batch(len(self.log))

    def act(self) -> None:
        chance = self.chance
        what = chance.random()
        if what < 0.25:
            self.bid()
        elif what < 0.65:
            self.offer()
        elif what < 0.72 and self.live:
            self.do(c.CancelOrder(*self.live.pop(chance.randrange(len(self.live)))))
        elif what < 0.80 and self.live:
            who, name = chance.choice(self.live)
            self.do(c.AmendOrder(who, name, (700 + chance.randint(-90, 0)) * 10_000, chance.randint(1, 40)))
        elif what < 0.88 and self.offers:
            who, name = chance.choice(self.offers)
            self.do(c.AmendOffer(who, name, chance.randint(1, 30), 7 * YUAN + chance.randint(0, 90) * 10_000))
        elif what < 0.93 and self.offers:
            self.do(c.WithdrawOffer(*self.offers.pop(chance.randrange(len(self.offers)))))
        elif what < 0.99:
            start_ns = T0 + chance.choice(HOURS) * NS_PER_HOUR
            self.do(c.SubmitTask(c.Task(
                "B1", f"t{len(self.log)}", "wuhan", 5000, (c.TaskChip("H800"),), chance.randint(1, 20), 1, start_ns,
                start_ns + NS_PER_HOUR, 8 * YUAN,
            )))  # fmt: skip
        else:
            self.clock(self.venue.now_ns + 20 * NS_PER_SECOND)

    def bid(self) -> None:
        chance, number, who = self.chance, len(self.log), f"B{self.chance.randint(1, 3)}"
        tif = chance.choice(("GTC", "GTC", "GTC", "GTD", "IOC"))
        order = c.PlaceOrder(
            who, f"o{number}", f"{FAMILY}/{self.hour(chance.choice(HOURS))}", "buy",
            (700 + chance.randint(-150, 4)) * 10_000, chance.randint(1, 40), tif,
            self.venue.now_ns + 60 * NS_PER_SECOND if tif == "GTD" else 0,
        )  # fmt: skip
        if not isinstance(self.do(order)[0], Refused) and tif != "IOC":
            self.live.append((who, f"o{number}"))

    def offer(self) -> None:
        chance, number, who = self.chance, len(self.log), f"P{self.chance.randint(1, 3)}"
        start_ns = T0 + chance.choice(HOURS) * NS_PER_HOUR
        self.do(c.PlaceOffer(
            who, f"f{number}", f"s{who[1]}{chance.randrange(SITES)}", "H800", "L5", "grid", chance.randint(5, 30), start_ns,
            start_ns + NS_PER_HOUR, 7 * YUAN + chance.randint(-4, 150) * 10_000, min_lots=chance.choice((1, 1, 1, 1, 5)),
            standby=chance.random() < 0.3,
        ))  # fmt: skip
        self.offers.append((who, f"f{number}"))

    def truth(self, instrument: str, channel: str) -> dict[str, Any]:
        """A channel's state as the core has it, in ticks and lots; orders without their names."""
        number = self.venue.book(*self.venue.instrument(instrument))
        if channel == "orders":
            orders = self.venue.core.orders(number)
            return {
                side: [(order.price, order.leaves) for order in orders if order.side == place]
                for place, side in enumerate(SIDES)
            }
        levels = self.venue.core.depth(number, DEPTHS.get(channel, 1))
        return {side: {price: lots for price, lots, _ in levels[place]} for place, side in enumerate(SIDES)}


class Client:
    """Reads payloads of one channel and nothing else, sometimes late, sometimes after a while away."""

    def __init__(self, crowd: Crowd, channel: str, instrument: str) -> None:
        self.crowd, self.channel = crowd, channel
        self.feed = crowd.data.feed(channel, instrument)
        self.fmt = crowd.chance.choice(FORMATS)
        self.seq = -1
        self.book: dict[str, dict[str, Any]] = {side: {} for side in SIDES}
        self.merged = self.single = self.snapshots = 0

    def catch_up(self) -> None:
        chance, feed, market = self.crowd.chance, self.feed, self.crowd.data
        while self.seq != feed.seq:
            if self.seq < 0 or not feed.reaches_back_to(self.seq):
                self.take(market.snapshot_payload(feed, self.fmt))
                self.snapshots += 1
            elif chance.random() < 0.3:
                self.take(feed.merged_payload(self.seq, self.fmt))
                self.merged += 1
            else:
                self.take(feed.after(self.seq).payload(feed, self.fmt))
                self.single += 1

    def take(self, payload: bytes) -> None:
        told = json.loads(payload) if self.fmt == JSON else msgspec.msgpack.decode(payload)
        data = told["data"]
        if told["type"] == "snapshot":
            self.book = {side: {} for side in SIDES}
        else:
            assert told["prev_seq"] == self.seq
        self.seq = told["seq"]
        if self.channel == "top":
            sides = ((data["bid"], data["bid_cards"]), (data["ask"], data["ask_cards"]))
            self.book = {side: dict([level] if level[0] else []) for side, level in zip(SIDES, sides, strict=True)}
            return
        for side in SIDES:
            for row in data[side]:
                self.put(self.book[side], row)
        assert self.checksum() == data["checksum"], (self.channel, told["seq"])

    def put(self, book: dict[str, Any], row: list[str]) -> None:
        if row[-1] == "0":
            book.pop(row[0], None)
        else:
            book[row[0]] = row[1] if len(row) == 2 else (row[1], row[2])  # a known one keeps its place in the dict

    def ladder(self, side: str) -> list[Any]:
        """(ticks, lots) best first, or (ref, ticks, lots) in priority."""
        sign = -1 if side == "bids" else 1
        if self.channel == "orders":
            rows = [(ref, whole(price, "0.01"), whole(cards, "1")) for ref, (price, cards) in self.book[side].items()]
            return sorted(rows, key=lambda row: sign * row[1])
        levels = [(whole(price, "0.01"), whole(cards, "1")) for price, cards in self.book[side].items()]
        return sorted(levels, key=lambda level: sign * level[0])

    def checksum(self) -> int:
        make, most = (orders_checksum, ORDERS) if self.channel == "orders" else (book_checksum, LEVELS)
        return make(self.ladder("bids")[:most], self.ladder("asks")[:most])

    def compare(self) -> None:
        truth = self.crowd.truth(self.feed.name, self.channel)
        for side in SIDES:
            mine = self.ladder(side)
            if self.channel == "orders":
                assert [row[1:] for row in mine] == truth[side], (side, self.feed.name)
            else:
                assert mine == list(truth[side].items()), (self.channel, side)


def played(seed: int, rounds: int = 200, **settings: int) -> list[Client]:
    """A crowd and clients that come, go on and fall behind, compared whenever they are up to date."""
    crowd = Crowd(seed, **settings)
    clients: list[Client] = []
    for number in range(rounds):
        crowd.batch(crowd.chance.choice((1, 1, 2, 5, 25)))
        if number % 4 == 0 and len(clients) < 40:
            code = f"{FAMILY}/{crowd.hour(crowd.chance.choice(HOURS))}"
            clients.append(Client(crowd, CHANNELS[len(clients) % len(CHANNELS)], code))
        for client in clients:
            if crowd.chance.random() < 0.5:
                client.catch_up()
                client.compare()
    return clients


@pytest.mark.parametrize("seed", range(4))
def test_a_client_has_the_book_that_the_core_has(seed: int) -> None:
    clients = played(seed)
    done = {channel: sum(each.single for each in clients if each.channel == channel) for channel in CHANNELS}
    assert all(count > 30 for count in done.values()), done
    assert sum(each.merged for each in clients) > 100
    deep = max(len(each.book["asks"]) for each in clients if each.channel == "depth")
    assert deep > 50, "deeper than the short channels tell"


def test_who_was_away_for_longer_than_the_past_is_kept_gets_a_snapshot() -> None:
    clients = played(9, rounds=100, steps_kept=40)
    assert sum(each.snapshots for each in clients) > 2 * len(clients) > 40


@pytest.mark.parametrize("channel", [*DEPTHS, "orders"])
def test_a_message_that_is_left_out_or_broken_is_noticed(channel: str) -> None:
    crowd = Crowd(3)
    crowd.batch(200)
    client = Client(crowd, channel, f"{FAMILY}/{crowd.hour(3)}")
    client.catch_up()
    while client.feed.seq < client.seq + 2:
        crowd.batch(1)
    lost = client.feed.after(client.seq + 1).payload(client.feed, client.fmt)
    with pytest.raises(AssertionError):
        client.take(lost)
    client.seq = client.feed.seq - 1  # one that does not look at prev_seq: the checksum tells, at the latest later on
    noticed = 0
    for _ in range(60):
        crowd.batch(5)
        while client.seq < client.feed.seq:
            payload = client.feed.after(client.seq).payload(client.feed, client.fmt)
            try:
                client.take(payload)
            except AssertionError:
                noticed += 1
    assert noticed


def test_closing_empties_every_channel() -> None:
    crowd = Crowd(5)
    crowd.batch(300)
    code = f"{FAMILY}/{crowd.hour(3)}"
    clients = [Client(crowd, channel, code) for channel in (*CHANNELS, "status")[:5]]
    status = crowd.data.feed("status", code)
    for client in clients:
        client.catch_up()
        client.compare()
    assert any(client.book["bids"] and client.book["asks"] for client in clients)
    crowd.clock(T0 + 3 * NS_PER_HOUR)
    crowd.data.after_batch(len(crowd.log))
    for client in clients:
        assert client.feed.is_closed
        client.catch_up()
        assert client.book == {"bids": {}, "asks": {}}, client.channel
        again = Client.__new__(Client)
        again.__dict__.update(client.__dict__)
        again.take(crowd.data.snapshot_payload(client.feed, client.fmt))
        assert again.book == {"bids": {}, "asks": {}}
    last = json.loads(status.after(status.seq - 1).payload(status, JSON))["data"]
    assert (last["state"], last["reason"], status.is_closed) == ("closed", "GATE", True)
    assert not crowd.venue.followed, "nothing is noted of a book that nobody can follow"


def test_a_book_that_nobody_looks_at_is_not_noted() -> None:
    crowd = Crowd(6)
    crowd.batch(50)
    assert not crowd.venue.followed and not crowd.data._books


def test_what_is_merged_of_frames_is_what_the_venue_merges() -> None:
    crowd = Crowd(8)
    code = f"{FAMILY}/{crowd.hour(3)}"
    feeds = [crowd.data.feed(channel, code) for channel in CHANNELS]
    for _ in range(30):
        crowd.batch(10)
    for feed in feeds:
        merge = MERGES[feed.channel]
        assert merge is not None and feed.seq > 5
        told = [json.loads(feed.after(seq).payload(feed, JSON))["data"] for seq in range(feed.seq)]
        again = merge([msgspec.convert(data, DATA[feed.channel]) for data in told])
        assert json.loads(msgspec.json.encode(again)) == json.loads(feed.merged_payload(0, JSON))["data"], feed.channel


def test_a_message_is_made_once_in_a_format_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(4)
    feed = crowd.data.feed("depth", f"{FAMILY}/{crowd.hour(3)}")
    while feed.seq < 4:
        crowd.batch(5)
    made: list[int] = []
    sound = feeds.encode_as
    monkeypatch.setattr(feeds, "encode_as", lambda fmt, message: (made.append(fmt), sound(fmt, message))[1])
    for _ in range(3):
        for fmt in FORMATS:
            feed.after(0).payload(feed, fmt)
            feed.merged_payload(1, fmt)
            crowd.data.snapshot_payload(feed, fmt)
    assert sorted(made) == [0, 0, 0, 1, 1], "the other format of a message comes of the first; the rest is made once in each"
    before = feed.seq
    while feed.seq == before:
        crowd.batch(1)
    told = [json.loads(feed.merged_payload(1, JSON)), json.loads(crowd.data.snapshot_payload(feed, JSON))]
    assert [each["seq"] for each in told] == [feed.seq, feed.seq], "nothing is kept beyond a step"


def test_a_halt_is_told_to_whoever_follows_a_status() -> None:
    crowd = Crowd(2)
    feed = crowd.data.feed("status", f"{FAMILY}/{crowd.hour(3)}")
    first = json.loads(crowd.data.snapshot_payload(feed, JSON))["data"]
    assert (first["state"], first["until"], first["period_start"]) == ("open", "2026-11-23T02:55:00Z", "2026-11-23T03:00:00Z")
    crowd.data.on_halt()
    told = json.loads(feed.after(0).payload(feed, JSON))["data"]
    assert told == {**first, "state": "halted", "reason": "FAULT"}
    assert json.loads(crowd.data.snapshot_payload(feed, JSON))["data"] == told
