"""What a reader of the doors found: each test is red on the code that he read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from here import PATIENCE_S, Client, Live, live_market
from websockets.exceptions import ConnectionClosed

from exchange.domain import commands as c
from exchange.gateways.limits import DoorLimits
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError
from exchange.protocol.formats import JSON, MSGPACK, decode_as
from exchange.protocol.strict_json import MAX_VALUES

pytestmark = pytest.mark.slow  # a live exchange


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = {"cancel_rate": 1, "cancel_burst": 20, "order_rate": 1, "order_burst": 600}
    with live_market(tmp_path_factory.mktemp("live") / "cpx", **limits) as one:
        yield one


def rich(live: Live) -> str:
    """A participant with money."""

    def there() -> str:
        venue = live.exchange.handle.venue
        return max(venue.state.participants, key=lambda name: venue.core.balance(venue.account(name))[0])

    return str(live.do(there))


def resting(live: Live, who: str) -> set[str]:
    state = live.exchange.handle.venue.state
    return set(live.do(lambda: {bid.client_order_id for bid in state.bids.values() if bid.participant == who}))


class Trader(Client):
    """Logged in with whatever the login takes."""

    def __init__(self, live: Live, secret: str, **login: Any) -> None:
        super().__init__(live, log_in=False)
        self.welcome = self.ask("login", key=secret, **login)


# --- rights and budgets ---


@pytest.mark.parametrize("login", [{"session": "maker"}, {"cancel_on_disconnect": True}])
def test_a_key_that_may_only_read_gets_no_trading_session(live: Live, login: dict[str, Any]) -> None:
    who = rich(live)
    (book,) = live.instruments(1)
    trader = Trader(live, live.key(who, "read", "trade")[1], session="maker", cancel_on_disconnect=True)
    name = f"stays-{len(login)}-{'session' in login}"
    trader.ask("place_order", client_order_id=name, instrument=book, price="0.05", cards="1")
    reader = Trader(live, live.key(who, "read")[1], **login)
    assert reader.welcome["error"]["reason"] == "WRONG_SCOPE"
    with pytest.raises(ConnectionClosed):
        reader.receive()
    assert trader.ask("ping")["type"] == "result"
    assert name in resting(live, who)
    trader.close()


def test_cancels_of_nothing_have_a_budget_and_those_of_open_orders_none(live: Live) -> None:
    who = rich(live)
    (book,) = live.instruments(1)
    trader = Trader(live, live.key(who)[1])
    mine = [f"open-{number}" for number in range(30)]
    for name in mine:
        assert "result" in trader.ask("place_order", client_order_id=name, instrument=book, price="0.05", cards="1")
    nothing = [{"client_order_id": f"nothing-{number}"} for number in range(100)]
    items = trader.ask("cancel_orders", items=nothing)["result"]["items"]
    reasons = [each["error"]["reason"] for each in items if each.get("error")]
    assert reasons.count("TOO_MANY_REQUESTS") >= 75
    items = trader.ask("cancel_orders", items=[{"client_order_id": name} for name in mine])["result"]["items"]
    assert [each["ack"]["status"] for each in items] == ["CANCELED"] * 30
    trader.close()


def test_entries_that_cannot_be_read_take_tokens(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", commands=500, order_rate=1, order_burst=10) as live:
        trader = Trader(live, live.key(rich(live))[1])
        answers = [trader.ask("place_orders", items=[{}] * 4) for _ in range(6)]
        assert [each["type"] for each in answers][:2] == ["result", "result"]
        assert answers[-1]["error"]["reason"] == "TOO_MANY_REQUESTS"
        trader.close()


def test_an_order_told_again_belongs_to_the_connection_that_placed_it(live: Live) -> None:
    who = rich(live)
    (book,) = live.instruments(1)
    _, secret = live.key(who)
    first, second = Trader(live, secret), Trader(live, secret, cancel_on_disconnect=True)
    order = {"client_order_id": "first's", "instrument": book, "price": "0.05", "cards": "1"}
    first.ask("place_order", **order)
    assert second.ask("place_order", **order)["result"]["replayed"]
    second.ask("place_order", **order | {"client_order_id": "second's"})
    second.close()
    deadline = time.monotonic() + PATIENCE_S
    while "second's" in resting(live, who):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "first's" in resting(live, who)
    first.close()


# --- frames ---


@pytest.mark.parametrize("fmt", [JSON, MSGPACK])
def test_no_frame_holds_more_values_than_are_looked_at(fmt: int) -> None:
    pack = msgspec.msgpack.encode if fmt == MSGPACK else msgspec.json.encode
    for inside in ([[]] * (MAX_VALUES + 1), [{"a": 1}] * (MAX_VALUES // 2 + 1)):
        with pytest.raises(DoorError, match="more values"):
            decode_as(fmt, pack({"op": "place_orders", "id": 1, "args": {"items": inside}}), s.Request)
    widest = {"op": "place_orders", "id": 1, "args": {"items": [dict.fromkeys("abcdefghijkl", 1)] * 512}}
    assert decode_as(fmt, pack(widest), s.Request).op == "place_orders"


def test_only_a_batch_in_messagepack_may_be_as_long_as_one(live: Live) -> None:
    client = Client(live, log_in=False)
    pack = msgspec.msgpack.encode
    client.ws.send(pack({"op": "login", "id": 1, "args": {"key": live.operator_key}}))
    client.ws.recv(PATIENCE_S)
    client.ws.send(pack({"op": "ping", "id": 2, "args": {"x": "a" * (DoorLimits().frame_bytes + 1)}}))
    told = msgspec.msgpack.decode(client.ws.recv(PATIENCE_S))
    assert told["error"]["reason"] == "BODY_TOO_LARGE"
    with pytest.raises(ConnectionClosed):
        client.ws.recv(PATIENCE_S)


# --- what is told ---


def test_the_last_candle_of_an_instrument_is_told_at_its_gate(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx") as live:
        venue = live.exchange.handle.venue

        def asked() -> str:
            return next(book for book in books if venue.core.depth(venue.book(*venue.open_instrument(book)), 1)[1])

        books = live.open_books()
        book = live.do(asked)
        gate_ns = live.do(lambda: venue.periods.gate(venue.open_instrument(book)[1]))
        live.submit(c.AdvanceTime(gate_ns - 30 * 10**9))
        client = Client(live)
        client.ask("subscribe", channel="candles", instrument=f"{book}@1m")
        client.next("snapshot")
        live.do(lambda: live.exchange.market_data.look())
        bought = client.ask(
            "place_order", participant=rich(live), client_order_id="last", instrument=book, price="500.00", cards="1"
        )
        assert bought["result"]["status"] == "FILLED"
        live.submit(c.AdvanceTime(gate_ns + 40 * 10**9))
        told = []
        while not told or told[-1]["type"] != "closed":
            told.append(client.told.pop(0) if client.told else client.receive())
        candles = [item for each in told if each["type"] == "delta" for item in each["data"]["items"]]
        assert candles and candles[-1]["is_final"]
        client.close()


def test_a_worker_serves_nothing_after_a_fault_in_market_data(tmp_path: Path) -> None:
    class AtWorker:
        def __init__(self, port: int) -> None:
            self.url = f"ws://127.0.0.1:{port}/v1/stream"

    def boom() -> None:
        raise RuntimeError("injected")

    def fault() -> None:
        with pytest.raises(RuntimeError):
            live.exchange.market_data._guarded(boom)

    with live_market(tmp_path / "cpx") as live:
        listener = socket.create_server(("127.0.0.1", 0))
        worker: Any = AtWorker(listener.getsockname()[1])
        begun = live.exchange.start_feed_workers([listener], f"http://127.0.0.1:{live.port}", ["x"], print)
        asyncio.run_coroutine_threadsafe(begun, live.loop).result(30)
        (book,) = live.instruments(1)
        client = Client(worker, live.operator_key)
        client.ask("subscribe", channel="depth", instrument=book)
        client.next("snapshot")
        live.do(fault)
        with pytest.raises(ConnectionClosed):
            while True:
                client.receive()
        again = Client(worker, live.operator_key)
        for name in (book, f"{book.rpartition('/')[0]}/*"):
            assert again.ask("subscribe", channel="depth", instrument=name)["error"]["reason"] == "BEHIND", json.dumps(name)
        again.close()


# --- the window of open periods ---


def family_of(live: Live) -> str:
    return live.instruments(1)[0].rpartition("/")[0]


def followed(live: Live) -> int:
    """Status subscriptions of all sockets."""

    def there() -> int:
        topics = (topic for one in live.door._connections.values() for topic in one.session.topics)
        return sum(topic.channel == "status" for topic in topics)

    return int(live.do(there))


def advance(live: Live, seconds: int) -> None:
    now_ns = live.do(lambda: live.exchange.handle.venue.now_ns)
    live.submit(c.AdvanceTime(now_ns + seconds * 10**9))


def test_nothing_opens_again_where_a_pattern_of_status_is_the_first_thing_followed(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx", subscriptions=2000) as live:
        client = Client(live)
        client.ask("subscribe", channel="status", instrument=f"{family_of(live)}/*")
        client.ask("ping")
        before, client.told = followed(live), []
        advance(live, 1)
        client.ask("ping")
        assert followed(live) == before > 0
        assert not [each["type"] for each in client.told if each["type"] != "delta"]
        client.close()


@pytest.mark.parametrize("hours", [50, 5 + 168])
def test_a_clock_that_jumps_leaves_a_pattern_with_what_is_open(tmp_path: Path, hours: int) -> None:
    with live_market(tmp_path / "cpx", subscriptions=2000) as live:
        client, family = Client(live), family_of(live)
        client.ask("subscribe", channel="instruments")
        client.ask("subscribe", channel="status", instrument=f"{family}/*")
        advance(live, hours * 3600)
        client.ask("ping")
        expected = live.do(lambda: len(live.exchange.market_data.expand("status", f"{family}/*")))
        deadline = time.monotonic() + PATIENCE_S
        while followed(live) != expected:
            assert time.monotonic() < deadline, (followed(live), expected)
            time.sleep(0.05)
            client.ask("ping")
        assert not [each for each in client.told if each["type"] == "error"]
        client.close()


# --- answers on their way ---


def test_a_batch_counts_on_its_way_by_its_entries(live: Live) -> None:
    """By their number, so that a client who does not read cannot have 256 times 512 answers made."""
    trader = Trader(live, live.operator_key)

    def on_their_way() -> int:
        return sum(one.outbox.on_their_way for one in live.door._connections.values())

    def there() -> tuple[int, int]:
        (one,) = [each for each in live.door._connections.values() if each.session.principal and not each.session.topics]
        sent: list[Any] = []
        for items in (512, 1):
            before = one.outbox.on_their_way
            frame = {"op": "cancel_orders", "id": 90, "args": {"participant": "nobody", "items": [
                {"client_order_id": f"none-{number}"} for number in range(items)
            ]}}  # fmt: skip
            action = one.session.take(JSON, msgspec.json.encode(frame), time.monotonic_ns())
            one.entry.call(action)
            sent.append(one.outbox.on_their_way - before)
        return sent[0], sent[1]

    assert live.do(there) == (17, 1)
    deadline = time.monotonic() + PATIENCE_S
    while live.do(on_their_way):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    trader.close()
