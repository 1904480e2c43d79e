"""One connection as a state machine: no socket, no loop, no time but what it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.adapters.keys import KeyFile
from exchange.gateways.access import Access
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.stream.session import (
    Action,
    Call,
    End,
    LogIn,
    Ping,
    Reply,
    Session,
    Topic,
    Unwatch,
    Watch,
)
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON, MSGPACK
from exchange.protocol.operations import OPERATIONS, SESSION_OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day

ACTIONS = (Reply, LogIn, Call, Watch, Unwatch, Ping, End)


class Desk:
    """Keys of an operator, a trader and a reader; sessions on them."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyFile(folder)
        self.access = Access(self.keys)
        self.secrets, self.key_ids = {}, {}
        for name, participant, scopes in (
            ("operator", "", ("read", "trade", "provide", "operate")), ("trader", "B1", ("read", "trade")),
            ("writer", "B1", ("trade",)),
        ):  # fmt: skip
            row, self.secrets[name] = self.keys.create(participant, scopes)
            self.key_ids[name] = row.key_id

    def session(self, limits: DoorLimits | None = None, admit: Any = lambda principal: None) -> Session:
        limits = limits or DoorLimits()
        return Session(self.access, DoorBudgets(limits), limits, "127.0.0.1", admit)

    def logged_in(self, name: str = "trader", limits: DoorLimits | None = None) -> Session:
        session = self.session(limits)
        assert isinstance(send(session, "login", key=self.secrets[name]), LogIn)
        return session


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("keys"))


def send(session: Session, op: str, **args: Any) -> Action:
    return session.receive(json.dumps({"op": op, "id": 7, "args": args}), 0)


def problem(action: Action, fmt: int = JSON) -> Any:
    assert isinstance(action, (Reply, End))
    decoder = msgspec.json if fmt == JSON else msgspec.msgpack
    return decoder.decode(action.payload, type=s.Failure)


def test_login_comes_first_and_once(desk: Desk) -> None:
    session = desk.session()
    assert isinstance(send(session, "ping"), Ping)
    assert session.out_of_time() is not None
    early = send(session, "subscribe", channel="heartbeat")
    assert isinstance(early, End) and early.code == s.CLOSE_NOT_LOGGED_IN
    assert problem(early).error.reason == "NOT_LOGGED_IN"
    session = desk.session()
    found = send(session, "login", key=desk.secrets["trader"])
    assert isinstance(found, LogIn) and found.principal.participant == "B1"
    assert session.out_of_time() is None
    welcome = session.greeting(3, 9, 5)
    assert (welcome.session, welcome.epoch, welcome.scopes) == (3, 9, ("read", "trade"))
    assert welcome.limits["subscriptions"] == DoorLimits().subscriptions
    again = send(session, "login", key=desk.secrets["operator"])
    assert isinstance(again, Reply) and problem(again).error.reason == "INVALID_FIELD"
    assert session.principal == found.principal


def test_a_wrong_key_ends_the_connection_and_too_many_of_them_are_silenced(desk: Desk) -> None:
    limits = DoorLimits(wrong_keys=2)
    budgets = DoorBudgets(limits)
    reasons = []
    for _ in range(4):
        end = send(Session(desk.access, budgets, limits, "10.0.0.1", lambda principal: None), "login", key="cpx_wrong")
        assert isinstance(end, End) and end.code == s.CLOSE_NOT_LOGGED_IN
        reasons.append(problem(end).error.reason)
    assert reasons == ["WRONG_KEY", "WRONG_KEY", "TOO_MANY_REQUESTS", "TOO_MANY_REQUESTS"]


def test_one_connection_too_many_of_a_key_is_named_and_ended(desk: Desk) -> None:
    no = DoorError(DoorReason.TOO_MANY_CONNECTIONS, limit="connections_per_key")
    session = desk.session(admit=lambda principal: no)
    end = send(session, "login", key=desk.secrets["trader"])
    assert isinstance(end, End) and end.code == s.CLOSE_TOO_MANY
    assert session.principal is None


def test_a_revoked_key_ends_the_session_at_its_next_frame_and_without_one(desk: Desk) -> None:
    row, secret = desk.keys.create("B1", ("read",))
    sessions = [desk.session(), desk.session()]
    for session in sessions:
        assert isinstance(send(session, "login", key=secret), LogIn)
        assert session.check_key() is None
    desk.keys.revoke(row.key_id)
    for end in (send(sessions[0], "ping"), send(sessions[0], "health"), sessions[1].check_key()):
        assert isinstance(end, End) and (end.code, end.reason) == (s.CLOSE_NOT_LOGGED_IN, "WRONG_KEY")


def test_an_expired_key_ends_the_session(desk: Desk) -> None:
    _, secret = desk.keys.create("B1", ("read",), expires_ns=1)
    assert problem(send(desk.session(), "login", key=secret)).error.reason == "WRONG_KEY"


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_there_and_keeps_its_scope(desk: Desk, name: str) -> None:
    operation = OPERATIONS[name]
    for who in ("operator", "trader", "writer"):
        session = desk.logged_in(who)
        action = send(session, name)
        principal = session.principal
        assert principal is not None
        allowed = not operation.scope or operation.scope in principal.scopes
        if allowed:
            assert isinstance(action, Call) or problem(action).error.reason == "INVALID_FIELD"
        else:
            assert problem(action).error.reason == "WRONG_SCOPE"
        assert isinstance(action, Call) or problem(action).id == 7


def test_a_call_carries_what_was_sent(desk: Desk) -> None:
    frame = {
        "op": "cancel_order", "id": "a", "args": {"client_order_id": "x"}, "idempotency_key": "k",
        "valid_until": "2026-11-24T00:00:00Z",
    }  # fmt: skip
    call = desk.logged_in().receive(json.dumps(frame), 0)
    assert isinstance(call, Call)
    assert (call.id, call.operation.name, call.args.client_order_id) == ("a", "cancel_order", "x")
    assert (call.idempotency_key, call.valid_until) == ("k", "2026-11-24T00:00:00Z")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"channel": "gossip"}, "UNKNOWN_CHANNEL"),
        ({"channel": "depth"}, "INVALID_FIELD"),
        ({"channel": "lane"}, "INVALID_FIELD"),
        ({"channel": "prices"}, "INVALID_FIELD"),
        ({"channel": "curve"}, "INVALID_FIELD"),
        ({"channel": "demand", "instrument": "x"}, "INVALID_FIELD"),
        ({"channel": "lane", "instrument": "x" * 3001}, "INVALID_FIELD"),
        ({"channel": "trades"}, "INVALID_FIELD"),
        ({"channel": "instruments", "instrument": "x"}, "INVALID_FIELD"),
        ({"channel": "heartbeat", "participant": "B1"}, "INVALID_FIELD"),
        ({"channel": "user", "participant": "P1"}, "NOT_FOUND"),
        ({"channel": "depth", "instrument": "x", "epoch": 1}, "INVALID_FIELD"),
        ({"channel": "depth", "instrument": "x", "levels": 1}, "INVALID_FIELD"),
        ({}, "INVALID_FIELD"),
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(desk: Desk, args: Any, reason: str) -> None:
    assert problem(send(desk.logged_in(), "subscribe", **args)).error.reason == reason


def test_what_can_be_watched(desk: Desk) -> None:
    session = desk.logged_in()
    assert send(session, "subscribe", channel="user") == Watch(7, Topic("user", "B1"), None)
    assert send(session, "subscribe", channel="trades", instrument="*") == Watch(7, Topic("trades", "*"), None)
    resumed = send(session, "subscribe", channel="depth", instrument="x", epoch=2, from_seq=9)
    assert resumed == Watch(7, Topic("depth", "x"), (2, 9))
    operator = desk.logged_in("operator")
    assert problem(send(operator, "subscribe", channel="user")).error.field == "participant"
    assert send(operator, "subscribe", channel="user", participant="P1") == Watch(7, Topic("user", "P1"), None)
    assert problem(send(desk.logged_in("writer"), "subscribe", channel="heartbeat")).error.reason == "WRONG_SCOPE"


def test_subscriptions_are_counted_and_the_same_one_again_is_none_more(desk: Desk) -> None:
    session = desk.logged_in(limits=DoorLimits(subscriptions=2))
    for name in ("a", "b"):
        watch = send(session, "subscribe", channel="depth", instrument=name)
        assert isinstance(watch, Watch)
        session.topics.add(watch.topic)
    assert problem(send(session, "subscribe", channel="depth", instrument="c")).error.reason == "TOO_MANY_SUBSCRIPTIONS"
    assert isinstance(send(session, "subscribe", channel="depth", instrument="a"), Watch)
    assert isinstance(send(session, "unsubscribe", channel="depth", instrument="a"), Unwatch)
    assert problem(send(session, "unsubscribe", channel="top", instrument="a")).error.reason == "NOT_FOUND"


def test_there_is_always_room_for_the_heartbeat_and_it_takes_none(desk: Desk) -> None:
    session = desk.logged_in(limits=DoorLimits(subscriptions=1))
    session.topics.add(Topic("depth", "a"))
    beat = send(session, "subscribe", channel="heartbeat")
    assert beat == Watch(7, Topic("heartbeat", ""), None)
    session.topics.add(beat.topic)
    assert problem(send(session, "subscribe", channel="depth", instrument="b")).error.reason == "TOO_MANY_SUBSCRIPTIONS"
    session.topics.discard(Topic("depth", "a"))
    assert isinstance(send(session, "subscribe", channel="depth", instrument="b"), Watch)


def test_bad_frames_are_answered_with_id_null_until_there_are_too_many(desk: Desk) -> None:
    session = desk.logged_in()
    frames: list[str | bytes] = [
        "", "{", "[]", "1", '{"op":"ping"}', '{"op":"ping","id":1,"id":2}', '{"op":"ping","id":1.5}', "NaN",
        '{"op":"ping","id":1e999}', '{"op":"ping","id":1,"extra":0}', b"\xff\x00", b'{"op":"ping","id":1}',
        '{"op":"ping","id":1,"args":{"a":{"b":1,"b":2}}}', "\ufeff{}", '{"op":"\ud800","id":1}', "[" * 5000,
        '{"op":"ping","id":"\\ud800"}', '{"op":"ping","id":"\\u0000"}', '{"op":"ping","id":' + "9" * 400 + "}",
    ]  # fmt: skip
    assert len(frames) == DoorLimits().bad_frames - 1
    for frame in frames:
        failure = problem(session.receive(frame, 0))
        assert failure.id is None and failure.error.status in (400, 422), frame
    assert isinstance(send(session, "ping"), Ping), "still there"
    end = session.receive("{", 0)
    assert isinstance(end, End) and end.code == s.CLOSE_BAD_FRAME


def test_a_frame_that_is_too_large_ends_the_connection(desk: Desk) -> None:
    session = desk.logged_in(limits=DoorLimits(frame_bytes=200))
    end = session.receive(" " * 201, 0)
    assert isinstance(end, End) and end.code == s.CLOSE_TOO_LARGE
    assert problem(desk.logged_in(limits=DoorLimits(frame_bytes=400)).receive("语" * 200, 0)).error.reason == "BODY_TOO_LARGE"


def test_frames_have_a_rate_which_the_operator_has_not(desk: Desk) -> None:
    limits = DoorLimits(frame_rate=10, frame_burst=3)
    session = desk.logged_in(limits=limits)
    found = [type(send(session, "ping")) for _ in range(4)]
    assert found == [Ping, Ping, Reply, Reply], "login was the first of three"
    refused = problem(send(session, "ping"))
    assert (refused.id, refused.error.reason, refused.error.limit) == (None, "TOO_MANY_REQUESTS", "frame_rate")
    assert isinstance(session.receive('{"op":"ping","id":1}', 10**9), Ping)
    operator = desk.logged_in("operator", limits)
    assert all(isinstance(send(operator, "ping"), Ping) for _ in range(50))


def test_the_first_frame_decides_the_format_and_the_other_one_is_unreadable(desk: Desk) -> None:
    for first, other in ((JSON, MSGPACK), (MSGPACK, JSON)):
        session = desk.session()
        pack = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}
        ping = {"op": "ping", "id": 1}
        login = {"op": "login", "id": 1, "args": {"key": desk.secrets["trader"]}}
        assert isinstance(session.take(first, pack[first](login), 0), LogIn) and session.fmt == first
        assert isinstance(session.take(first, pack[first](ping), 0), Ping)
        failure = problem(session.take(other, pack[other](ping), 0), first)
        assert (failure.id, failure.error.reason) == (None, "MALFORMED_JSON")
        bad = session.take(first, pack[first](ping) + b" x", 0)
        assert problem(bad, first).error.reason == "MALFORMED_JSON"
        call = session.take(first, pack[first]({"op": "place_order", "id": 2, "args": ORDER, "valid_until": None}), 0)
        assert isinstance(call, Call) and call.args.price == "8.40"
        assert session.fmt == first


ORDER = {"client_order_id": "a", "instrument": "A910B/gansu-qingyang/L10/grid/20261124T08", "price": "8.40", "cards": "1"}


def test_an_unknown_operation_is_named(desk: Desk) -> None:
    failure = problem(send(desk.logged_in(), "steal"))
    assert (failure.id, failure.error.reason, failure.error.field) == (7, "UNKNOWN_OPERATION", "op")


SOME_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ARGS = st.dictionaries(
    st.sampled_from(["channel", "instrument", "participant", "epoch", "from_seq", "key", "client_order_id", "amount", "x"]),
    SOME_JSON | st.sampled_from(["depth", "trades", "*", "B1", "user"]),
    max_size=4,
)
OPS = st.sampled_from([*OPERATIONS, *SESSION_OPERATIONS]) | st.text(max_size=9)
REQUESTS = st.fixed_dictionaries(
    {"op": OPS, "id": st.integers() | st.text(max_size=5)},
    optional={"args": ARGS, "idempotency_key": SOME_JSON, "valid_until": SOME_JSON},
)


@given(st.lists(st.text() | st.binary() | SOME_JSON.map(json.dumps) | REQUESTS.map(json.dumps), max_size=15), st.booleans())
def test_whatever_comes_is_answered_and_never_raises(desk: Desk, frames: list[str | bytes], with_login: bool) -> None:
    session = desk.logged_in() if with_login else desk.session()
    for frame in frames:
        action = session.receive(frame, 0)
        assert isinstance(action, ACTIONS)
        if isinstance(action, (Reply, End)):
            assert 400 <= problem(action, session.fmt).error.status < 500
        if isinstance(action, End):
            break


