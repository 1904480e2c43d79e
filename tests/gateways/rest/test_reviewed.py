"""Faults of the REST door and the keys that a review has found: each of these failed once."""

import asyncio
import json
import socket
import time

import pytest
from websockets.sync.client import connect
from world import World

from exchange.adapters.keys import LOOK_NS, KeyFile
from exchange.gateways.limits import DoorLimits
from exchange.gateways.rest.transport import FILES_OF_OUR_OWN, most_connections, protocol_for
from exchange.server import Exchange, ServeSettings
from exchange.testing.server import running_server

pytestmark = pytest.mark.slow  # a live exchange, or a market day

PATIENCE_S = 15


@pytest.fixture(scope="module")
def tight(tmp_path_factory):
    """A server that waits a second for headers and has room for a dozen connections."""
    folder = tmp_path_factory.mktemp("tight") / "exchange"
    with running_server(folder, "--clock", "manual", "--limit", "head_s=1", "--limit", "tcp_connections=12") as server:
        yield World(server)


def connected(world):
    made = socket.create_connection((world.host, world.port), PATIENCE_S)
    made.settimeout(PATIENCE_S)
    return made


def is_over(made):
    """Whether the server has ended it."""
    try:
        return made.recv(65536) == b""
    except ConnectionError:
        return True


def whole_answer(made):
    """One answer to the last byte, which may come in several pieces; its first line."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += made.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += made.recv(65536)
    return head


def rest_of(made):
    """Everything until the end."""
    parts = []
    try:
        while part := made.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def test_who_connects_and_says_nothing_is_let_go(tight):
    silent = [connected(tight) for _ in range(3)]
    assert all(is_over(each) for each in silent)


@pytest.mark.parametrize("first", [b"", b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["new", "kept"])
def test_headers_a_byte_at_a_time_are_not_waited_for(tight, first):
    slow = connected(tight)
    if first:
        slow.sendall(first)
        assert whole_answer(slow).startswith(b"HTTP/1.1 200")
    began = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe
        slow.sendall(b"GET /v1/health HTTP/1.1\r\n")
        slow.settimeout(0.1)
        while time.monotonic() < began + PATIENCE_S:
            slow.sendall(b"x")
            try:
                assert slow.recv(65536) == b"", "no answer to half a request"
                raise ConnectionError
            except TimeoutError:
                continue
    assert time.monotonic() - began < PATIENCE_S


def test_a_body_that_nobody_wants_is_not_waited_for(tight):
    slow = connected(tight)
    slow.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{")
    assert whole_answer(slow).startswith(b"HTTP/1.1 401")
    slow.settimeout(0.1)
    began = time.monotonic()
    with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe
        while time.monotonic() < began + PATIENCE_S:
            slow.sendall(b" ")
            try:
                assert slow.recv(65536) == b""
                raise ConnectionError
            except TimeoutError:
                continue
    assert time.monotonic() - began < PATIENCE_S


def test_a_socket_and_a_quiet_client_with_requests_are_no_strangers(tight):
    raw = connected(tight)
    raw.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")  # then the same connection becomes a socket
    assert whole_answer(raw).startswith(b"HTTP/1.1 200")
    with connect(f"ws://{tight.host}:{tight.port}/v1/stream", sock=raw, compression=None) as ws:
        ws.send(json.dumps({"op": "login", "id": 1, "args": {"key": tight.keys[""]}}))
        assert json.loads(ws.recv(PATIENCE_S))["type"] == "result"
        assert is_over(connected(tight)), "so long a stranger may stay"
        ws.send(json.dumps({"op": "ping", "id": 2}))
        assert json.loads(ws.recv(PATIENCE_S))["id"] == 2
        assert tight.ask("health", None).status == 200


def test_one_connection_too_many_is_told_so_and_there_is_room_again(tight):
    tight.ask("health", None)
    many = [connected(tight) for _ in range(20)]
    told = [rest_of(each) for each in many]
    full = [each for each in told if each]
    assert 8 <= len(full) < 20, "the others were let go for their silence"
    head, _, body = full[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429") and b"application/problem+json" in head
    problem = json.loads(body)
    assert (problem["reason"], problem["limit"]) == ("TOO_MANY_CONNECTIONS", "tcp_connections")
    assert tight.ask("health", None).status == 200


@pytest.mark.parametrize(
    ("asked", "files", "most"),
    [(3000, 1 << 20, 3000), (3000, 1024, 1024 - FILES_OF_OUR_OWN), (3000, -1, 3000), (3000, 64, 1), (5, 1024, 5)],
)
def test_there_are_fewer_connections_than_files(asked, files, most):
    assert most_connections(asked, files) == most
    assert protocol_for(DoorLimits(tcp_connections=5, head_s=7)).most == 5


def test_a_socket_goes_past_the_web_framework(tmp_path):
    async def story():
        exchange = await Exchange.open(ServeSettings(tmp_path / "exchange", clock="manual"))
        try:
            met = []

            async def stream(*given):
                met.append(given)

            exchange.app.stream = stream
            scope = {"type": "websocket", "path": "/v1/stream", "headers": [], "query_string": b""}
            given = (dict(scope), object(), object())
            await exchange.app(*given)
            assert met == [given] and all(had is has for had, has in zip(met[0], given, strict=True))
            assert given[0] == scope, "nothing was added"
        finally:
            await exchange.close()

    asyncio.run(story())


# --- keys ---


class Looks:
    """A clock that stands until it is moved."""

    now_ns = 10**9

    def __call__(self):
        return self.now_ns


def test_the_file_is_looked_at_now_and_then_and_own_changes_are_seen_at_once(tmp_path, monkeypatch):
    looks = Looks()
    here, elsewhere = KeyFile(tmp_path, look_clock=looks), KeyFile(tmp_path)
    row, secret = here.create("buyer", ("read",))
    assert here.find(secret) == row
    reads = []
    sound = here._engine.connect
    monkeypatch.setattr(here._engine, "connect", lambda *args, **more: reads.append(1) or sound(*args, **more))
    elsewhere.revoke(row.key_id)
    for _ in range(1000):
        assert here.is_alive(row.key_id)
    assert not reads, "not looked at within 50 ms"
    looks.now_ns += LOOK_NS
    assert not here.is_alive(row.key_id) and here.find(secret) is None
    assert LOOK_NS <= 50_000_000
    other, secret = here.create("buyer", ("read",))
    assert here.is_alive(other.key_id)
    here.revoke(other.key_id)
    assert not here.is_alive(other.key_id) and here.find(secret) is None
    new, secret = elsewhere.create("buyer", ("read",))
    assert here.find(secret) == new, "what is not known is looked for at once"
    here.close()
    elsewhere.close()
