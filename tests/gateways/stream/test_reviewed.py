"""Faults of the socket that a review has found: each of these failed once."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from here import PATIENCE_S, Client, Live, live_market
from hypothesis import given
from hypothesis import strategies as st
from morning import morning
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from exchange.adapters.keys import KeyFile
from exchange.domain import commands as c
from exchange.domain.events import Traded
from exchange.domain.venue import Venue
from exchange.engine.market_data import EVENTS_A_MESSAGE, LEVELS, MarketData
from exchange.engine.own_queries import _Owned, holds, user_data
from exchange.gateways.access import Access
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.stream import connection as connections
from exchange.gateways.stream.session import LogIn, Reply, Session, Watch
from exchange.protocol.formats import JSON
from exchange.protocol.measures import Measures

pytestmark = pytest.mark.slow  # a live exchange, or a market day


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_market(tmp_path_factory.mktemp("reviewed") / "exchange", keyless_burst=1000) as market:
        yield market


def eventually(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


# --- connections that end ---


@pytest.mark.parametrize("op", ["errors", "ping"])
def test_who_floods_does_not_read_and_breaks_off_leaves_nothing(live: Live, op: str) -> None:
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", live.port))
    before = live.door.stats.connections
    with connect(live.url, sock=raw, compression=None, max_queue=1, ping_interval=None) as ws:
        ws.send(json.dumps({"op": "login", "id": 1, "args": {"key": live.operator_key}}))
        number = json.loads(ws.recv(PATIENCE_S))["result"]["session"]
        held = live.do(lambda: live.door._connections[number])
        raw.settimeout(0.5)
        try:
            for each in range(20_000):
                ws.send(json.dumps({"op": op, "id": each}))
                if each % 100 == 0 and live.do(lambda: held._is_held):
                    break
        except (TimeoutError, ConnectionClosed):
            pass
        eventually(lambda: live.do(lambda: held._is_held))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()  # a reset: what was not read is gone
    eventually(lambda: live.do(lambda: number not in live.door._connections))
    assert live.door.stats.connections == before


def test_a_fault_in_a_command_is_told_and_the_next_ones_are_answered(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(live)
    sound = live.door.dispatcher.command_nowait

    def broken(principal: Any, operation: Any, *rest: Any, **more: Any) -> None:
        if operation.name == "cancel_order":
            raise ZeroDivisionError("a fault of ours")
        sound(principal, operation, *rest, **more)

    monkeypatch.setattr(live.door.dispatcher, "command_nowait", broken)
    told = client.ask("cancel_order", participant="B1", client_order_id="x")
    assert told["error"]["reason"] == "INTERNAL" and told["error"]["trace_id"] in caplog.text
    assert client.ask("cancel_task", participant="B1", client_order_id="x")["result"]["status"] == "REJECTED"
    client.close()


def test_an_answer_that_never_comes_holds_up_no_end(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CUT_OFF_S", 0.2)
    monkeypatch.setattr(live.door.dispatcher, "command_nowait", lambda *_, **__: None)
    client = Client(live)
    number = client.welcome["session"]
    client.send("cancel_order", participant="B1", client_order_id="x")
    client.ask("ping")
    session = live.do(lambda: live.door._connections[number].session)
    monkeypatch.setattr(session, "take", lambda *_: 1 // 0)  # the reader fails and waits for the sender to end
    client.send("ping")
    eventually(lambda: live.do(lambda: number not in live.door._connections))


# --- who may connect ---


@pytest.mark.parametrize("origin", ["http://[", "http://]", "http://[::1", "http://example.org"])
def test_an_origin_that_is_no_address_is_another_site(live: Live, origin: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(live.url, compression=None, origin=origin).__enter__()  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403


def refusal(live: Live) -> Any:
    with pytest.raises(InvalidStatus) as caught:
        connect(live.url, compression=None).__enter__()
    assert caught.value.response.status_code == 429
    return json.loads(caught.value.response.body)


def test_sockets_without_a_login_are_few_for_each_address(tmp_path: Path) -> None:
    with live_market(tmp_path / "exchange", 5, logins_at_once=3, keyless_burst=1000) as live:
        strangers = [Client(live, log_in=False) for _ in range(3)]
        told = refusal(live)
        assert (told["reason"], told["limit"]) == ("TOO_MANY_CONNECTIONS", "logins_at_once")
        strangers[0].ask("login", key=live.operator_key)
        others = [Client(live)]
        strangers[1].close()
        eventually(lambda: live.do(lambda: sum(live.door._strangers.values()) == 1))
        others += [Client(live) for _ in range(4)]
        for each in (*strangers, *others):
            each.close()
        eventually(lambda: live.do(lambda: not live.door._strangers and not live.door._connections))


def test_handshakes_without_a_login_are_counted_and_those_with_one_are_free(tmp_path: Path) -> None:
    with live_market(tmp_path / "exchange", 5, keyless_burst=4, keyless_rate=1) as live:
        for _ in range(12):
            Client(live).close()
        for _ in range(4):
            Client(live, log_in=False).close()
        told = refusal(live)
        assert (told["reason"], told["limit"]) == ("TOO_MANY_REQUESTS", "keyless_rate")


def test_a_subscription_is_a_read_and_the_heartbeat_is_free(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    limits = DoorLimits(read_burst=2, read_rate=1)
    budgets = DoorBudgets(limits, lambda: 1)
    sessions = {}
    for name in ("B1", ""):
        session = sessions[name] = Session(Access(keys), budgets, limits, "x", lambda principal: None)
        _, secret = keys.create(name, ("read",))
        assert isinstance(session.receive(json.dumps({"op": "login", "id": 1, "args": {"key": secret}}), 0), LogIn)

    def subscribe(name: str, **args: str) -> Any:
        return sessions[name].receive(json.dumps({"op": "subscribe", "id": 2, "args": args}), 0)

    for _ in range(3):
        assert isinstance(subscribe("B1", channel="heartbeat"), Watch)
    assert isinstance(subscribe("B1", channel="user"), Watch)
    assert isinstance(subscribe("B1", channel="depth", instrument="x"), Watch)
    told = subscribe("B1", channel="user")
    assert isinstance(told, Reply) and json.loads(told.payload)["error"]["limit"] == "read_rate"
    assert all(isinstance(subscribe("", channel="top", instrument="x"), Watch) for _ in range(9))
    keys.close()


# --- large batches ---


class Fed:
    """The morning, and what is told of it."""

    def __init__(self) -> None:
        self.venue, self.seq = Venue(), 0
        self.data = MarketData(self.venue, 1)
        for command in morning()[:300]:
            self.do(command)

    def do(self, command: Any, times: int = 1) -> list[Any]:
        """One command, whose events come `times` times."""
        self.seq += 1
        events = self.venue.apply(self.seq, command)
        self.data.on_command(self.seq, self.venue.now_ns, command, events * times)
        self.data.after_batch(self.seq)
        return events


@pytest.fixture(scope="module")
def fed() -> Fed:
    return Fed()


def texts(feed: Any, seq: int) -> list[str]:
    return [feed.after(number).payload(feed, JSON).decode() for number in range(seq, feed.seq)]


def test_a_command_with_many_events_comes_in_portions(fed: Fed) -> None:
    who = next(iter(fed.venue.state.participants))
    feed = fed.data.feed("user", who)
    before = feed.seq
    fed.do(c.Deposit(who, 1_000_000), times=2_000)
    told = [json.loads(text) for text in texts(feed, before)]
    assert [each["seq"] for each in told] == list(range(before + 1, before + 1 + -(-2_000 // EVENTS_A_MESSAGE)))
    assert all(each["prev_seq"] == each["seq"] - 1 for each in told)
    assert max(len(text) for text in texts(feed, before)) <= 256 * 1024
    events = [event for each in told for event in each["data"]["events"]]
    assert [event["index"] for event in events] == list(range(2_000)) and {event["seq"] for event in events} == {fed.seq}


def test_a_batch_with_many_trades_comes_in_portions(fed: Fed) -> None:
    feed = fed.data.feed("trades", "*")
    traded = None
    for command in morning()[fed.seq :]:
        traded = next((event for event in fed.do(command) if type(event) is Traded), None)
        if traded is not None:
            break
    assert traded is not None
    before = feed.seq
    fed.data.on_command(fed.seq, fed.venue.now_ns, c.Deposit("-", 1), [traded] * 1_000)
    fed.data.after_batch(fed.seq)
    told = [json.loads(text) for text in texts(feed, before)]
    assert [len(each["data"]["items"]) for each in told] == [128] * 7 + [104]
    assert [each["seq"] for each in told] == list(range(before + 1, before + 9))


def test_a_book_is_told_to_a_thousand_levels_and_no_further() -> None:
    assert LEVELS == 1000, "as many as REST gives"
    fed = Fed()
    who = next(iter(fed.venue.state.participants))
    fed.do(c.Deposit(who, 10**14))
    venue = fed.venue
    family = 1
    book = venue.instrument_code(family, venue.periods.first_open(venue.now_ns) + 100)
    feed = fed.data.feed("depth", book)
    tick = venue.settings.tick_micro
    for level in range(1, LEVELS + 101):
        events = fed.do(c.PlaceOrder(who, f"deep-{level}", book, "buy", level * tick, 1))
        assert type(events[0]).__name__ != "Refused", events
    snapshot = json.loads(fed.data.snapshot_payload(feed, JSON))["data"]["bids"]
    best = [Measures(venue.settings).yuan(level * tick) for level in range(LEVELS + 100, 100, -1)]
    assert [price for price, _ in snapshot] == best
    assert fed.data.depth(book, LEVELS).bids == tuple(map(tuple, snapshot))
    before = feed.seq
    fed.do(c.CancelOrder(who, f"deep-{LEVELS + 100}"))
    (told,) = texts(feed, before)
    assert json.loads(told)["data"]["bids"] == [[best[0], "0"], [Measures(venue.settings).yuan(100 * tick), "0.1"]]


# --- what one has, without a walk over what others have ---


class Thing(SimpleNamespace):
    owner: str


@given(st.lists(st.tuples(st.sampled_from(["add", "drop", "ask", "ask"]), st.integers(0, 3)), max_size=120))
def test_the_index_of_owners_is_the_table(steps: list[tuple[str, int]]) -> None:
    table: dict[int, Thing] = {2: Thing(owner="p0"), 1: Thing(owner="p1")}  # as after a restore, in any order
    owned, number = _Owned(), 2
    owned.SPARE = 3  # type: ignore[misc]
    for what, which in steps:
        name = f"p{which}"
        if what == "add":
            number += 1 + which
            table[number] = Thing(owner=name)
        elif what == "drop" and table:
            del table[sorted(table)[which % len(table)]]
        else:
            found = owned.of(name, table, lambda thing: thing.owner)
            assert found == [table[each] for each in sorted(table) if table[each].owner == name]
            assert len(owned) <= 3 * len(table) + 2 * owned.SPARE + 3


def test_what_others_have_is_looked_at_once() -> None:
    looks = 0

    def owner(thing: Thing) -> str:
        nonlocal looks
        looks += 1
        return thing.owner

    class Table(dict[int, Thing]):
        steps = 0

        def __reversed__(self) -> Iterator[int]:
            for number in super().__reversed__():
                self.steps += 1
                yield number

    table = Table((number, Thing(owner=f"p{number % 100}")) for number in range(1, 10_001))
    owned = _Owned()
    assert len(owned.of("p7", table, owner)) == 100 and looks == 10_000
    table[10_001] = Thing(owner="p7")
    for _ in range(50):
        assert len(owned.of("p7", table, owner)) == 101
    assert looks == 10_001 and table.steps <= 100


def test_snapshots_and_holds_show_what_a_walk_over_everything_would() -> None:
    fed = Fed()
    venue, measures = fed.venue, Measures(fed.venue.settings)
    some = 0
    for _ in range(5):
        for command in morning()[fed.seq : fed.seq + 300]:
            fed.do(command)
        for name in venue.state.participants:
            told = user_data(venue, name, 1, fed.seq, measures)
            all_tasks = [entry.task for _, entry in sorted(venue.state.tasks.items())]
            tasks = [task.client_order_id for task in all_tasks if task.participant == name]
            bids = [each.client_order_id for _, each in sorted(venue.state.bids.items()) if each.participant == name]
            assert [each.client_order_id for each in told.tasks] == tasks
            assert [each.client_order_id for each in told.orders] == bids
            held = holds(venue, name, measures)
            assert [each.reference for each in held.items] == tasks + bids
            some += len(tasks) + len(bids)
    assert some > 20
