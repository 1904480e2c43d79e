"""Both ends of the link, without processes: bounds, questions, and snapshots folded from deltas."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import msgspec
import pytest

from exchange.engine.feed_source import NotYet
from exchange.engine.feeds import Feed, Shelf
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON, MSGPACK
from exchange.workers import frames as f
from exchange.workers import hub
from exchange.workers.folding import data_of, fold
from exchange.workers.mirror import IDLE_S, MirrorMarket
from exchange.workers.process import VenueLink
from exchange.workers.remote_keys import RemoteKeys

HELLO = f.Hello(3, 17, 1000, "http://main", {})


def packed(channel: str, data: Any, seq: int) -> bytes:
    delta = s.Delta(channel=channel, instrument="x", epoch=3, seq=seq, prev_seq=seq - 1, ts_ns="5", data=data)
    return msgspec.msgpack.encode(delta)


def depth(bids: dict[str, str], asks: dict[str, str], checksum: int = 0) -> s.DepthData:
    return s.DepthData(bids=tuple(bids.items()), asks=tuple(asks.items()), checksum=checksum)


def test_frames_come_whole_however_the_bytes_come() -> None:
    sent = [f.frame(f.READY), f.step_frame(7, 8, 9, b"delta"), f.place_frame(f.Place(1, 2, 3)), f.frame(f.DROP, 12)]
    frames = f.Frames()
    got = [each for byte in b"".join(sent) for each in frames.feed(bytes((byte,)))]
    assert [kind for kind, _ in got] == [f.READY, f.STEP, f.PLACE, f.DROP]
    assert f.step_of(got[1][1]) == (7, 8, 9, b"delta") and f.place_of(got[2][1]) == f.Place(1, 2, 3)
    assert f.said(got[3][1], int) == 12
    assert list(f.Frames().feed(b"".join(sent))) == got


def test_a_worker_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MOST_QUEUED", 1 << 20)

    class NoHub:
        def hello(self) -> f.Hello:
            return HELLO

    async def run() -> int:
        ours, theirs = socket.socketpair()
        line = hub.WorkerLine(NoHub())  # type: ignore[arg-type]
        await asyncio.get_running_loop().create_connection(lambda: line, sock=ours)
        written = 0
        while not line.is_cut_off and written < 1 << 24:
            line.write(bytes(1 << 16))
            written += 1 << 16
        await asyncio.wait_for(line.lost.wait(), 1)
        line.write(b"nobody takes it")
        theirs.close()
        return written

    assert 1 << 20 <= asyncio.run(run()) < 1 << 22


def test_a_feed_is_asked_for_once_and_given_back_when_nobody_follows_it() -> None:
    async def run() -> None:
        sent: list[tuple[int, bytes]] = []
        frames = f.Frames()
        market = MirrorMarket(HELLO, lambda data: sent.extend(frames.feed(data)))
        for _ in range(3):
            with pytest.raises(NotYet) as wait:
                market.feed("depth", "x")
        assert [kind for kind, _ in sent] == [f.FOLLOW]
        snapshot = msgspec.msgpack.encode(
            s.Snapshot(channel="depth", instrument="x", epoch=3, seq=4, ts_ns="5", data=depth({"10": "1"}, {}))
        )
        past = [(5, packed("depth", depth({"10": "1"}, {}), 4))]
        market.on_opened(f.Opened(1, "depth", "x", 4, True, snapshot, past))
        assert wait.value.ready.done()
        feed = market.feed("depth", "x")
        assert feed.seq == 4 and feed.reaches_back_to(3) and not feed.reaches_back_to(2)
        market.on_step(1, 5, 6, packed("depth", depth({"10": "0", "11": "2"}, {"12": "3"}), 5))
        told = msgspec.json.decode(market.snapshot_payload(feed, JSON))
        assert (told["seq"], told["data"]["bids"], told["data"]["asks"]) == (5, [["11", "2"]], [["12", "3"]])
        merged = msgspec.msgpack.decode(feed.merged_payload(3, MSGPACK))
        assert (merged["prev_seq"], merged["seq"], dict(merged["data"]["bids"])) == (3, 5, {"10": "0", "11": "2"})
        with pytest.raises(AssertionError):
            market.on_step(1, 7, 6, packed("depth", depth({}, {}), 7))
        for _ in range(IDLE_S + 1):
            market.look()
        assert sent[-1][0] == f.DROP and f.said(sent[-1][1], int) == 1 and len(market) == 0
        market.on_step(1, 6, 6, b"on its way when it was given back")

    asyncio.run(run())


def test_a_refusal_is_told_and_not_asked_for_again_at_once() -> None:
    async def run() -> None:
        sent: list[bytes] = []
        market = MirrorMarket(HELLO, sent.append)
        with pytest.raises(NotYet):
            market.feed("depth", "none")
        market.on_refused(f.Refused(1, DoorReason.NOT_FOUND.value, "no such", "instrument", "", "", 0))
        for _ in range(2):
            with pytest.raises(DoorError) as no:
                market.feed("depth", "none")
        assert (no.value.reason, no.value.field, len(sent)) == (DoorReason.NOT_FOUND, "instrument", 1)
        with pytest.raises(DoorError) as no:
            market.feed("user", "somebody")
        assert no.value.reason == DoorReason.FEED_ONLY and "http://main" in no.value.detail and len(sent) == 1

    asyncio.run(run())


def test_a_pattern_is_expanded_and_news_reach_who_joined() -> None:
    async def run() -> None:
        sent: list[tuple[int, bytes]] = []
        frames = f.Frames()
        market = MirrorMarket(HELLO, lambda data: sent.extend(frames.feed(data)))
        with pytest.raises(NotYet):
            market.expand("depth", "F/*")
        market.on_names(f.Names(1, ["F/1", "F/2"]))
        assert market.expand("depth", "F/*") == ("F/1", "F/2")
        heard: list[tuple[str, tuple[str, ...]]] = []

        def listener(family: str, codes: tuple[str, ...]) -> None:
            heard.append((family, codes))

        with pytest.raises(NotYet):
            market.feed("depth", "F/1")
        assert [f.said(body, f.Ask).name for kind, body in sent if kind == f.FOLLOW] == ["F/1", "F/2"], "all at once"
        market.join("depth", "F/*", listener)
        market.on_news(f.News("F", ["F/3"]))
        market.on_news(f.News("G", ["G/3"]))
        assert f.said(sent[-1][1], f.Ask) == f.Ask(4, "depth", "F/3") and not heard
        market.on_opened(f.Opened(4, "depth", "F/3", 0, True, packed("depth", depth({}, {}), 0), []))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert heard == [("F", ("F/3",))] and market.feed("depth", "F/3").seq == 0
        market.leave("depth", "F/*", listener)
        market.on_news(f.News("F", ["F/4"]))
        assert f.said(sent[-1][1], f.Ask).name == "F/3"

    asyncio.run(run())


def test_a_secret_is_asked_once_and_again_after_its_key_has_ended() -> None:
    async def run() -> None:
        sent: list[bytes] = []
        keys = RemoteKeys(sent.append)
        for _ in range(2):
            with pytest.raises(NotYet):
                keys.find("secret")
        keys.on_key(f.Key(1, "k1", "buyer", ["read"]))
        row = keys.find("secret")
        assert row is not None and (row.key_id, row.participant, row.scopes) == ("k1", "buyer", ("read",))
        assert keys.is_alive("k1") and not keys.is_alive("k2") and len(sent) == 1
        keys.on_ended("k1")
        assert not keys.is_alive("k1")
        with pytest.raises(NotYet):
            keys.find("secret")
        keys.on_key(f.Key(2, "", "", []))
        assert keys.find("secret") is None and len(sent) == 2

    asyncio.run(run())


@pytest.mark.parametrize("channel", ["depth", "orders"])
def test_folding_in_any_portions_gives_the_same_snapshot(channel: str) -> None:
    """Against a model that takes one delta after the other."""
    chance = random.Random(channel)
    for _ in range(30):
        model: dict[str, dict[str, tuple[str, str]]] = {"bids": {}, "asks": {}}
        deltas = [_delta(channel, chance, model, seq) for seq in range(1, 60)]
        kind = s.OrdersData if channel == "orders" else s.DepthData
        base = data_of(channel, packed(channel, kind(bids=(), asks=(), checksum=0), 0))
        at = 0
        while at < len(deltas):
            size = chance.randrange(1, 20)
            base = fold(channel, base, deltas[at : at + size])
            at += size
        for side, sign in (("bids", -1), ("asks", 1)):
            rows = sorted(model[side].items(), key=lambda row: sign * float(row[1][0]))
            want = [(ref, *row) if channel == "orders" else row for ref, row in rows]
            assert [tuple(row) for row in getattr(base, side)] == want
        assert base.checksum == 59


def _delta(channel: str, chance: random.Random, model: dict[str, dict[str, tuple[str, str]]], seq: int) -> bytes:
    """A random change, in the model as well: rows by order, or by price where the row is a level."""
    told: dict[str, list[tuple[str, ...]]] = {"bids": [], "asks": []}
    for side, rows in model.items():
        for _ in range(chance.randrange(3)):
            if rows and chance.random() < 0.4:
                ref = chance.choice(list(rows))
                price, cards = rows.pop(ref)[0], "0"
            else:
                price, cards = f"{chance.randrange(9, 12)}.{chance.randrange(3)}", str(chance.randrange(1, 9))
                ref = f"r{seq}-{len(told[side])}" if channel == "orders" else price
                rows[ref] = (price, cards)
            told[side].append((ref, price, cards) if channel == "orders" else (price, cards))
    kind: Any = s.OrdersData if channel == "orders" else s.DepthData
    return packed(channel, kind(bids=tuple(told["bids"]), asks=tuple(told["asks"]), checksum=seq), seq)


def test_a_new_follower_is_given_the_past_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PAST_STEPS", 10)
    feed = Feed("trades", "*", 3, Shelf(1000))
    for number in range(25):
        feed.publish(number, s.TradesData(items=({"n": number},)), 2)
    past = hub._past(feed)  # noqa: SLF001 - ours
    assert [ts_ns for ts_ns, _ in past] == list(range(15, 25))
    assert msgspec.msgpack.decode(past[-1][1])["seq"] == 25


def test_a_venue_whose_market_data_has_stopped_ends_the_sockets() -> None:
    async def run() -> list[str]:
        link = VenueLink()
        link.data_received(f.frame(f.HELLO, HELLO))
        assert link.market is not None and link.hello.done()
        ended: list[str] = []
        link.market.on_fault = lambda: ended.append("all")
        link.data_received(f.place_frame(f.Place(99, 5, 0)) + f.frame(f.BROKEN))
        assert (link.market.seq, link.market.now_ns, link.lag_us > 0) == (99, 5, True)
        assert not link.lost.is_set()
        link.data_received(f.frame(f.GOODBYE))
        assert link.lost.is_set()
        return ended

    assert asyncio.run(run()) == ["all"]


def test_a_gate_makes_a_worker_ask_anew_what_a_pattern_stands_for() -> None:
    async def run() -> None:
        market = MirrorMarket(HELLO, lambda data: None)
        with pytest.raises(NotYet):
            market.expand("depth", "F/*")
        market.on_names(f.Names(1, ["F/1", "F/2"]))
        with pytest.raises(NotYet):
            market.feed("depth", "F/1")
        market.on_opened(f.Opened(2, "depth", "F/1", 0, True, packed("depth", depth({}, {}), 0), []))
        assert market.expand("depth", "F/*") == ("F/1", "F/2")
        market.on_ended(2)
        with pytest.raises(NotYet):
            market.expand("depth", "F/*")

    asyncio.run(run())
