"""The permission matrix, from the table: every route with no key, a wrong key, the wrong scope, other people's things.

A route that is new in the table is in here without a line being written; a route that is not in the table is refused by
the server itself (test_keys.py).
"""

import http.client
import json

import pytest
from matrix import ARGS, KEYED, LISTS, OWNED, assert_full, fill, of_somebody_and_of_nobody, state

from exchange.gateways.limits import BATCHES
from exchange.protocol.operations import OPEN, OPERATIONS, OTHER_ROUTES

pytestmark = pytest.mark.slow  # a live exchange, or a market day


@pytest.fixture(scope="module", autouse=True)
def things(world):
    fill(world)


def test_the_list_of_args_is_complete():
    assert ARGS.keys() <= OPERATIONS.keys()
    for name, operation in OPERATIONS.items():
        fields = operation.args.__struct_fields__
        assert ARGS.get(name, {}).keys() <= set(fields), name


@pytest.mark.parametrize("name", KEYED)
def test_nothing_without_a_key_or_with_a_wrong_one(world, name):
    before = state(world)
    args = ARGS.get(name, {})
    assert (reply := world.ask(name, None, args)).status == 401 and reply.reason == "NO_KEY"
    assert reply.headers["www-authenticate"] == "Bearer"
    good = world.keys[""]
    for wrong in (
        "",
        "x",
        good[:-1],
        good + "x",
        good.upper(),
        f" {good}x",
        "cpx_" + "A" * 60,
        good.replace("_", "-"),
    ):
        assert (
            reply := world.ask(name, "", args, headers={"Authorization": f"Bearer {wrong}"})
        ).status == 401, wrong
        assert reply.reason == "WRONG_KEY"
    for header in (good, f"Basic {good}", f"Token {good}", "Bearer", f"Bearer{good}"):
        assert world.ask(name, "", args, headers={"Authorization": header}).reason == "WRONG_KEY", header
    assert (
        world.ask(name, None, args, headers={"X-Api-Key": good, "Cookie": f"key={good}"}).reason == "NO_KEY"
    )
    assert state(world) == before


@pytest.mark.parametrize("name", KEYED)
def test_nothing_with_the_wrong_scope(world, name):
    before = state(world)
    scope, args = OPERATIONS[name].scope, ARGS.get(name, {})
    for who in ("", "buyer"):
        reply = world.ask(name, f"{who}/not {scope}", args)
        assert (reply.status, reply.reason) == (403, "WRONG_SCOPE"), (name, who)
        assert scope in reply.data["detail"]
    if scope == "operate":
        assert world.ask(name, "other", args).reason == "WRONG_SCOPE"
    assert state(world) == before


@pytest.mark.parametrize("name", OWNED)
def test_what_belongs_to_somebody_else_is_not_there(world, name):
    """With another's name in `participant`, and with the id of another's thing: exactly like what does not exist."""
    before = state(world)
    if OPERATIONS[name].scope == "operate":
        assert world.ask(name, "other", ARGS.get(name, {}), participant="buyer").reason == "WRONG_SCOPE"
        return
    named = world.ask(
        name, "other", ARGS.get(name, {}), participant="buyer" if name != "withdraw_offer" else "seller"
    )
    unknown = world.ask(name, "other", ARGS.get(name, {}), participant="nobody-at-all")
    assert (named.status, named.reason, unknown.reason) == (404, "NOT_FOUND", "NOT_FOUND"), named
    assert {**named.data, "trace_id": ""} == {**unknown.data, "trace_id": ""}
    assert state(world) == before
    if (pair := of_somebody_and_of_nobody(name)) is None:
        return
    theirs, none = (world.ask(name, "other", args) for args in pair)
    if theirs.status == 404:
        assert theirs.reason == none.reason == "NOT_FOUND"
    else:  # a command: numbered and refused, in the same words
        assert theirs.data["status"] == none.data["status"] == "REJECTED", theirs.data
        assert theirs.data["reason"] == none.data["reason"] and theirs.data["events"] == []


def test_what_is_owned_is_still_there(world):
    assert_full(world)


def test_lists_show_only_one_s_own(world):
    lists = {name for name in OWNED if "items" in OPERATIONS[name].answer.__struct_fields__ and name not in ARGS}
    lists -= BATCHES | {"statement_days"}  # whose day is not over has none: see test_statements
    assert lists == {*LISTS, "obligations"}
    for name in lists:
        assert world.do(name, "other")["items"] == [], name
    for name, owner in LISTS.items():
        asker = "other" if name == "dispatches" else "seller" if owner == "buyer" else "buyer"  # a buyer has no such scope
        told = world.do(name, asker)["items"]
        assert told == [], (name, owner, told)
    assert world.do("account", "other")["participant"] == "other"
    assert {line["reference"] for line in world.do("statement", "other", day="2026-11-24")["lines"]} == {"start"}


def test_open_routes_answer_without_a_key_and_the_others_by_their_scope(world):
    for (method, path), scope in OTHER_ROUTES.items():
        if method != "GET":
            continue
        target = path.replace("{file}", "start.js").replace("{report_id}", "none")
        bare = world.send("GET", target)
        if scope == OPEN:
            assert bare.status == 200, target
            continue
        assert bare.reason == "NO_KEY"
        for who in (f"/not {scope}", *(("buyer", "other") if scope == "operate" else ())):
            reply = world.send("GET", target, None, {"Authorization": f"Bearer {world.keys[who]}"})
            assert reply.reason == "WRONG_SCOPE", (target, who)
        assert world.send("GET", target, None, {"Authorization": f"Bearer {world.keys['']}"}).status in (
            200,
            404,
        )
    for name, operation in OPERATIONS.items():
        if operation.scope == OPEN:
            assert world.ask(name, None).status == 200
            assert world.ask(name, "nonsense").reason == "WRONG_KEY", "a key that is shown is looked at"


def test_two_keys_in_one_request_are_none(world):
    connection = http.client.HTTPConnection(world.host, world.port, timeout=10)
    connection.putrequest("GET", "/v1/account")
    connection.putheader("Authorization", f"Bearer {world.keys['buyer']}")
    connection.putheader("Authorization", f"Bearer {world.keys['other']}")
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status == 422 and json.loads(reply.read())["field"] == "authorization"
    connection.close()


NOWHERE = """
    /v1/account/ //v1/account /v1//account /v1/./account /v1/x/../account /v1/%2e%2e/v1/account /V1/account /v1/Account
    /v1/account%2F /v1%2Faccount /v1/account;x=1 /v1/account%00 /v1/account%20 /v2/account /account /v1/keys/..
    /v1/orders/%2e /metrics/ /docs/../metrics /openapi.json/
""".split()


@pytest.mark.parametrize("target", NOWHERE)
def test_an_address_that_is_none_is_none_for_everybody(world, target):
    for who in (None, "buyer", ""):
        headers = {} if who is None else {"Authorization": f"Bearer {world.keys[who]}"}
        reply = world.send("GET", target, None, headers)
        assert (reply.status, reply.reason) == (404, "NOT_FOUND"), (target, who)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get"])
def test_a_method_that_is_none(world, method):
    bearer = {"Authorization": f"Bearer {world.keys['buyer']}"}
    reply = world.send(method, "/v1/account", None, bearer)
    if method in ("get", "PROPFIND") and reply.status == 400:
        return  # turned away by the HTTP parser itself
    assert reply.status == 405 and reply.headers["allow"] == "GET", reply


def test_what_an_address_takes_is_told(world):
    reply = world.send("PUT", "/v1/orders/x", None, {})
    assert reply.status == 405 and reply.headers["allow"] == "DELETE, GET, PATCH"


def test_no_header_makes_another_method_of_one(world):
    before = state(world)
    override = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"}
    assert world.ask("order", "buyer", client_order_id="mine-2", headers=override).data["status"] == "live"
    assert (
        world.ask(
            "orders", "buyer", headers={"X-Forwarded-User": "seller", "X-Original-URL": "/v1/keys"}
        ).status
        == 200
    )
    assert state(world) == before
