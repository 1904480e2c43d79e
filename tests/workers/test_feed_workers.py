"""A feed worker tells what the main address tells, and nothing that happens to it touches the market."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from feed_place import Follower, Place, comes_true
from websockets.exceptions import ConnectionClosed

from exchange.protocol.checksum import book_checksum, whole

BOOK_CHANNELS = ("depth", "depth10", "depth50", "orders", "top")


def trade_a_little(place: Place, count: int) -> None:
    """Bids come, change and go."""
    chance, there = random.Random(count), []
    for _ in range(count):
        if len(there) > 20 and chance.random() < 0.6:
            name = there.pop(chance.randrange(len(there)))
            place.client.call("cancel_order", client_order_id=name)
        else:
            there.append(place.bid(f"{chance.randrange(100, 130)}.{chance.randrange(10)}", str(chance.randrange(1, 9))))


def last_seq(follower: Follower, channel: str) -> int:
    told = follower.of(channel)
    return int(told[-1]["seq"]) if told else -1


def book_of(messages: list[dict[str, Any]], tick: str, lot: str) -> dict[int, tuple[int, int]]:
    """By seq: (checksum that was told, checksum of the book that the messages make)."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    found = {}
    for message in messages:
        for side, levels in sides.items():
            if message["type"] == "snapshot":
                levels.clear()
            for price, cards in message["data"][side]:
                levels[price] = cards
                if cards == "0":
                    del levels[price]
        whole_sides = [
            sorted(((whole(price, tick), whole(cards, lot)) for price, cards in levels.items()), reverse=side == "bids")
            for side, levels in sides.items()
        ]
        found[message["seq"]] = (message["data"]["checksum"], book_checksum(*whole_sides))
    return found


def test_the_same_book_at_every_checksum(shared: Place) -> None:
    main, worker = Follower(shared.main, shared.key), Follower(shared.worker, shared.key)
    for follower in (main, worker):
        for channel in BOOK_CHANNELS:
            follower.follow(channel, shared.instrument)
    trade_a_little(shared, 150)
    end = {channel: shared_seq(main, channel, shared) for channel in BOOK_CHANNELS}
    worker.until(lambda: all(last_seq(worker, channel) >= end[channel] for channel in BOOK_CHANNELS))
    family = next(iter(shared.client.instruments()))
    for channel in ("depth", "depth10", "depth50"):
        theirs, ours = (book_of(each.of(channel), family.tick, family.lot) for each in (main, worker))
        assert all(told == made for told, made in ours.values())
        common = ours.keys() & theirs.keys()
        assert len(common) > 20 and all(ours[seq] == theirs[seq] for seq in common)
    for channel in BOOK_CHANNELS:
        told = {each["seq"]: each["data"] for each in main.of(channel) if each.get("prev_seq") == each["seq"] - 1}
        same = [each for each in worker.of(channel) if each.get("prev_seq") == each["seq"] - 1 and each["seq"] in told]
        assert same and all(each["data"] == told[each["seq"]] for each in same)
    for follower in (main, worker):
        follower.socket.close()


def shared_seq(main: Follower, channel: str, place: Place) -> int:
    """Where a channel is on the main address, once all of it has been read there."""
    there = main.follow(channel, place.instrument)["seq"]  # again: a snapshot
    main.until(lambda: last_seq(main, channel) >= there)
    return int(there)


def test_who_comes_late_gets_the_same_snapshot(shared: Place) -> None:
    """More steps than a worker keeps unfolded; its snapshots are folded from deltas, the venue's made of the book."""
    first = Follower(shared.worker, shared.key)
    family = next(iter(shared.client.instruments())).family
    topics = [(channel, shared.instrument) for channel in (*BOOK_CHANNELS, "trades", "status")]
    topics += [("instruments", None), ("demand", None), ("prices", f"{family}/*"), ("curve", family)]
    for topic in topics:
        first.follow(*topic)
    trade_a_little(shared, 300)
    time.sleep(1.3)  # views are looked at once a second
    for is_packed in (False, True):
        snapshots = []
        for url in (shared.main, shared.worker):
            late = Follower(url, shared.key, is_packed=is_packed)
            for channel, name in topics:
                late.follow(channel, name)
            late.until(lambda late=late: len({each["channel"] for each in late.told}) == len(topics))
            snapshots.append({each["channel"]: (each["type"], each["seq"], each["data"]) for each in late.told[: len(topics)]})
            late.socket.close()
        assert snapshots[0] == snapshots[1]
    first.socket.close()


def test_a_pattern_follows_the_same_instruments(shared: Place) -> None:
    family = next(iter(shared.client.instruments())).family
    found = []
    for url in (shared.main, shared.worker):
        follower = Follower(url, shared.key)
        answer = follower.follow("top", f"{family}/*")
        follower.until(lambda follower=follower, count=answer["count"]: len(follower.of("top")) == count)
        found.append({each["instrument"]: (each["seq"], each["data"]) for each in follower.of("top")})
        assert len(found[-1]) == answer["count"] > 20
        no = follower.ask("subscribe", channel="depth", instrument=f"{family}/*")["error"]
        assert no["reason"] == "TOO_MANY_SUBSCRIPTIONS"
        assert follower.ask("unsubscribe", channel="top", instrument=f"{family}/*")["count"] == answer["count"]
        follower.socket.close()
    assert found[0] == found[1]


def test_only_market_data_is_served(shared: Place) -> None:
    follower = Follower(shared.worker, shared.key)
    before = shared.client.call("orders").items
    order = {"client_order_id": "elsewhere", "instrument": shared.instrument, "price": "1", "cards": "1"}
    cancel = {"client_order_id": "elsewhere"}
    asked = (("place_order", order), ("account", {}), ("subscribe", {"channel": "user"}), ("cancel_order", cancel))
    for operation, args in asked:
        no = follower.ask(operation, **args)["error"]
        assert (no["reason"], no["definite"]) == ("FEED_ONLY", True) and shared.server.url in no["detail"], operation
    assert follower.ask("subscribe", channel="depth", instrument="no/such")["error"]["reason"] == "NOT_FOUND"
    assert "server_ts_ns" in follower.ask("ping")
    assert shared.client.call("orders").items == before
    follower.socket.close()


def test_a_heartbeat_carries_the_venue_s_seq(shared: Place) -> None:
    follower = Follower(shared.worker, shared.key)
    follower.follow("heartbeat")
    shared.bid("77")
    seq = shared.client.call("health").seq
    follower.until(lambda: any(each["type"] == "heartbeat" and each["seq"] >= seq for each in follower.told))
    assert shared.metric('cpx_feed_worker_connections{worker="1"}') >= 1
    follower.socket.close()


def test_a_key_that_is_revoked_ends_the_socket(shared: Place) -> None:
    made = shared.operator.call("create_key", participant="buyer", scopes=("read",))
    follower = Follower(shared.worker, made.secret)
    assert follower.welcome["participant"] == "buyer"
    shared.operator.call("revoke_key", key_id=made.key_id)
    started = time.monotonic()
    assert follower.end() == 4401
    assert time.monotonic() - started < 4
    with pytest.raises(ConnectionClosed) as closed:
        Follower(shared.worker, made.secret).receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_a_killed_worker_comes_back_and_its_clients_go_on(own: Place) -> None:
    follower = Follower(own.worker, own.key)
    answer = follower.follow("depth", own.instrument)
    own.bid("10")
    follower.until(lambda: last_seq(follower, "depth") == answer["seq"] + 1)
    seen, pid = last_seq(follower, "depth"), own.pid()
    own.kill_worker()
    assert follower.end() == 1006
    for number in range(5):
        own.bid(str(20 + number))  # the market does not notice
    assert comes_true(lambda: own.pid() not in (0, pid))
    again = Follower(own.worker, own.key)  # waits in the listening socket until the next worker takes it
    resumed = again.follow("depth", own.instrument, epoch=answer["epoch"], from_seq=seen)
    assert resumed["is_resumed"] and resumed["seq"] == seen + 5
    again.until(lambda: last_seq(again, "depth") == seen + 5)
    assert [each["type"] for each in again.of("depth")] == ["delta"] * 5
    assert [each["seq"] for each in again.of("depth")] == list(range(seen + 1, seen + 6))
    assert own.metric('cpx_feed_worker_restarts_total{worker="1"}') == 1
    assert "feed worker 1 ended (signal 9)" in own.server.log
    again.socket.close()


def test_a_worker_that_hangs_does_not_hold_up_the_market(own: Place) -> None:
    follower = Follower(own.worker, own.key)
    follower.follow("depth", own.instrument)
    own.kill_worker(signal.SIGSTOP)
    began = time.monotonic()
    for number in range(20):
        own.bid(str(30 + number))
    assert time.monotonic() - began < 3
    own.kill_worker(signal.SIGCONT)
    follower.until(lambda: any("49.00" in dict(each["data"]["bids"]) for each in follower.of("depth")))
    follower.socket.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_venue(own: Place, how: signal.Signals) -> None:
    follower = Follower(own.worker, own.key)
    follower.follow("depth", own.instrument)
    pid = own.pid()
    if how == signal.SIGTERM:
        own.server.stop()
    else:
        own.server.kill()
    assert follower.end() == 1012
    assert follower.last["type"] == "server_shutdown" and follower.last["reconnect_after_ms"] > 0
    assert comes_true(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_a_silent_venue_is_not_spoken_for(own: Place) -> None:
    follower = Follower(own.worker, own.key)
    follower.follow("heartbeat")
    follower.until(lambda: any(each["type"] == "heartbeat" for each in follower.told))
    os.kill(own.server.pid, signal.SIGSTOP)
    try:
        stopped, last = time.monotonic(), 0.0
        while time.monotonic() - stopped < 6:
            with suppress(TimeoutError):
                follower.receive(0.2)
                last = time.monotonic() - stopped
    finally:
        os.kill(own.server.pid, signal.SIGCONT)
    assert 0 < last < 4.5
    told = len(follower.told)
    follower.until(lambda: len(follower.told) > told)
    follower.socket.close()
