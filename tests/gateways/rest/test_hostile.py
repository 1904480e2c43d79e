"""Bad bytes at the REST door: each gets a typed 4xx at once, none a 5xx, and the exchange does not notice."""

import json
import socket
import time
from contextlib import suppress

import pytest
from bad_bodies import BODIES
from world import order, task

from exchange.protocol.operations import OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day

MOST_S = 0.05


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_told_at_once(world, what):
    seq = world.do("health", None)["seq"]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.keys['buyer']}"}
    took = []
    for _ in range(3):  # the best of three: a busy machine is no fault of the parser
        began = time.monotonic()
        try:
            reply = world.send("POST", "/v1/orders", BODIES[what], headers)
        except (BrokenPipeError, ConnectionResetError):
            assert what == "10 MB", "only what is far too large may be cut off"
            break
        took.append(time.monotonic() - began)
        assert reply.status in (400, 413, 422), reply
        told = reply.data
        assert told["definite"] and told["reason"] in ("MALFORMED_JSON", "INVALID_FIELD", "BODY_TOO_LARGE")
        assert len(reply.body) < 2_000 and told["trace_id"] == reply.headers["x-trace-id"]
    assert not took or min(took) < MOST_S, took
    assert world.do("health", None)["seq"] == seq


def test_the_good_body_is_good(world):
    assert world.do("place_order", "buyer", order("h"))["status"] == "ACCEPTED"


@pytest.mark.parametrize(
    "value",
    [
        "-6",
        "0",
        "0.0000001",
        "1.005",
        "2147483648",
        "9007199254740993",
        "9223372036854775807",
        "999999999999999999",
    ],
)
@pytest.mark.parametrize("field", ["price", "cards"])
def test_edges_of_numbers_are_refused_or_exact(world, field, value):
    reply = world.ask("place_order", "buyer", order(f"{field[0]}{value[-30:]}", **{field: value}))
    assert reply.status == 422 or reply.data["status"] in ("REJECTED", "DENIED"), reply
    if reply.status == 422:
        assert reply.data["field"] == field


@pytest.mark.parametrize(
    "name", ["place_order", "submit_task", "preview_task", "deposit", "create_key", "set_tariff"]
)
def test_every_body_is_read_by_the_same_rules(world, name):
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {world.keys['']}",
        "Idempotency-Key": "k",
    }
    for body in (b"", b"[]", b'{"a":1,"a":2}', b"{", b'{"participant": NaN}', b"\xff"):
        reply = world.send("POST", OPERATIONS[name].path, body, headers)
        assert reply.status in (400, 422), (name, body, reply)


def raw(world, data: bytes, within_s: float = 5.0) -> bytes:
    """What comes back on a connection of its own."""
    with socket.create_connection((world.host, world.port), timeout=within_s) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may answer before everything is sent
            connection.sendall(data)
        answer = b""
        with suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65_536):
                answer += part
                if b"}" in answer.partition(b"\r\n\r\n")[2]:
                    break
        return answer


def head(world, *lines: str) -> bytes:
    """The start of a POST of an order."""
    fixed = [
        "POST /v1/orders HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {world.keys['buyer']}",
        "Content-Type: application/json",
    ]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def test_a_chunked_body_is_counted_as_it_comes(world):
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    answer = raw(world, head(world, "Transfer-Encoding: chunked") + chunk * 40)
    assert answer.startswith(b"HTTP/1.1 413") and b"BODY_TOO_LARGE" in answer
    body = json.dumps(order("chunked")).encode()
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert b'"status":"ACCEPTED"' in raw(world, head(world, "Transfer-Encoding: chunked") + whole)


def test_a_body_that_is_announced_too_large_is_not_waited_for(world):
    began = time.monotonic()
    assert raw(world, head(world, "Content-Length: 100000000")).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - began < 1


def test_lengths_that_contradict_each_other_are_turned_away(world):
    seq = world.do("health", None)["seq"]
    body = json.dumps(order("smuggled")).encode()
    for lines in (
        (f"Content-Length: {len(body)}", "Content-Length: 3"),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Content-Length: -1",),
        ("Content-Length: abc",),
    ):
        answer = raw(world, head(world, *lines) + body, within_s=1.0)
        assert b"ACCEPTED" not in answer, lines
    assert world.do("health", None)["seq"] == seq


@pytest.mark.slow
def test_a_body_that_stops_in_the_middle_is_given_up(world):
    began = time.monotonic()
    answer = raw(world, head(world, "Content-Length: 100") + b"{", within_s=20)
    assert b"did not arrive" in answer and 8 < time.monotonic() - began < 15


def test_a_client_that_goes_away_leaves_nothing(world):
    for _ in range(20):
        with socket.create_connection((world.host, world.port), timeout=5) as connection:
            connection.sendall(head(world, "Content-Length: 100") + b"{")
    assert world.do("health", None)["status"] == "ok"
    assert "Traceback" not in world.server.log


def test_a_target_that_is_too_long(world):
    reply = world.send("GET", "/v1/orders?participant=" + "a" * 9_000, None, {})
    assert (reply.status, reply.data["limit"]) == (413, "target_bytes")


def test_no_secret_and_no_stack_reaches_a_client_or_the_log(world):
    secret = world.keys["buyer"]
    wrong = f"{secret}wrong"
    replies = [
        world.ask("account", wrong),
        world.ask("place_order", "buyer", {"client_order_id": secret[:36]}),
    ]
    replies += [world.send("GET", f"/v1/{secret}"), world.ask("submit_task", "buyer", task("x", lane=7))]
    for reply in replies:
        assert reply.status >= 400 and b"Traceback" not in reply.body and b".py" not in reply.body
        assert b"; line" not in reply.body and wrong.encode() not in reply.body
    for each in world.keys.values():
        assert each not in world.server.log
