"""The permission matrix at the socket: every operation with the wrong scope, with other people's names, with their things."""

import json

import pytest
from matrix import ARGS, KEYED, LISTS, OWNED, fill, of_somebody_and_of_nobody, state
from websockets.sync.client import connect

from exchange.protocol.operations import OPERATIONS, SCOPES, SESSION_OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day

WAIT_S = 20


class Lines:
    """One socket for each key; `ask` gives the answer of an operation."""

    def __init__(self, world):
        self._world, self._open = world, {}

    def ask(self, who, op, args, **around):
        if who not in self._open:
            address = self._world.server.url.replace("http", "ws") + "/v1/stream"
            self._open[who] = connect(address, compression=None).__enter__()
            assert self.ask(who, "login", {"key": self._world.keys[who]})["type"] == "result"
        self._open[who].send(json.dumps({"op": op, "id": op, "args": args, **around}))
        while (told := json.loads(self._open[who].recv(WAIT_S))).get("id") != op:
            assert told["type"] != "error", told
        return told

    def close(self):
        for each in self._open.values():
            each.close()


@pytest.fixture(scope="module")
def lines(world):
    fill(world)
    made = Lines(world)
    yield made
    made.close()


def key_of(name):
    return {"idempotency_key": "matrix"} if OPERATIONS[name].needs_key_header else {}


def reason(told):
    assert told["type"] == "error", told
    return told["error"]["reason"]


@pytest.mark.parametrize("name", KEYED)
def test_nothing_with_the_wrong_scope(world, lines, name):
    before = state(world)
    scope, args = OPERATIONS[name].scope, ARGS.get(name, {})
    for who in ("", "buyer"):
        told = lines.ask(f"{who}/not {scope}", name, args, **key_of(name))
        assert reason(told) == "WRONG_SCOPE" and scope in told["error"]["detail"], (name, who)
    if scope == "operate":
        assert reason(lines.ask("other", name, args, **key_of(name))) == "WRONG_SCOPE"
    assert state(world) == before


@pytest.mark.parametrize("name", OWNED)
def test_what_belongs_to_somebody_else_is_not_there(world, lines, name):
    before = state(world)
    args = ARGS.get(name, {})
    named, unknown = (
        lines.ask("other", name, args | {"participant": who}, **key_of(name))
        for who in ("seller" if name == "withdraw_offer" else "buyer", "nobody-at-all")
    )
    if OPERATIONS[name].scope == "operate":
        assert reason(named) == reason(unknown) == "WRONG_SCOPE"
    else:
        assert reason(named) == reason(unknown) == "NOT_FOUND"
        assert named["error"] | {"trace_id": ""} == unknown["error"] | {"trace_id": ""}
    assert state(world) == before
    if OPERATIONS[name].scope == "operate" or (pair := of_somebody_and_of_nobody(name)) is None:
        return
    theirs, none = (lines.ask("other", name, each, **key_of(name)) for each in pair)
    if theirs["type"] == "error":
        assert reason(theirs) == reason(none) == "NOT_FOUND"
    else:
        told, of_none = theirs["result"], none["result"]
        assert told["status"] == of_none["status"] == "REJECTED" and told["reason"] == of_none["reason"], told
        assert told["events"] == []


def test_lists_show_only_one_s_own(lines):
    for name, owner in LISTS.items():
        assert lines.ask(owner, name, {})["result"]["items"], name
        assert lines.ask("other", name, {})["result"]["items"] == [], name
    assert lines.ask("other", "obligations", {})["result"]["items"] == []


def test_a_feed_of_somebody_else_is_not_there(lines):
    for op in ("subscribe", "unsubscribe"):
        told = [lines.ask("other", op, {"channel": "user", "participant": who}) for who in ("buyer", "nobody-at-all")]
        assert [reason(each) for each in told] == ["NOT_FOUND"] * 2
        assert "buyer" not in told[0]["error"]["detail"].replace("'buyer'", "")
    assert lines.ask("other", "subscribe", {"channel": "user"})["result"]["instrument"] == "other"


@pytest.mark.parametrize("op", SESSION_OPERATIONS)
def test_session_operations_keep_their_scope(lines, op):
    args = {"channel": "heartbeat"} if "subscribe" in op else {}
    for scope in SCOPES:
        for who in ("", "buyer"):
            told = lines.ask(f"{who}/not {scope}", op, args)
            is_refused = told["type"] == "error" and told["error"]["reason"] == "WRONG_SCOPE"
            assert is_refused == (SESSION_OPERATIONS[op] == scope), (op, scope, who, told)
