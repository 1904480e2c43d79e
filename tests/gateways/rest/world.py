"""A live exchange over HTTP for tests: a server of its own, a small market set up through the door, plain requests."""

import http.client
import itertools
import json
import os
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from exchange.adapters.catalogue_files import load_catalogue, load_tariff
from exchange.domain.commands import SetVenue
from exchange.protocol import strict_json
from exchange.protocol.measures import Measures
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.to_command import from_command
from exchange.testing.server import Server, running_server

START = "2026-11-24T00:00:00+08:00"
SETTINGS = SetVenue(name="test venue")
FAMILY = {"chip": "A910B", "region": "hubei-wuhan", "latency_class": "L1", "power": "grid"}
INSTRUMENT = "A910B/hubei-wuhan/L1/grid/20261124T00"
SCOPES = {"buyer": ("read", "trade"), "seller": ("read", "provide"), "other": ("read", "trade", "provide")}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        assert self.headers["content-type"] == "application/problem+json", self.body
        return self.data["reason"]


class World:
    """One server and who uses it; `keys` has a secret per participant, "" is the operator's."""

    def __init__(self, server: Server) -> None:
        self.server = server
        parts = urlsplit(server.url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.keys = {"": server.operator_key}
        self._connection: http.client.HTTPConnection | None = None
        self._fresh = itertools.count(1)

    def send(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """One request as it is; the connection is kept where the server keeps it."""
        for attempt in (1, 2):
            connection = self._connection or http.client.HTTPConnection(self.host, self.port, timeout=20)
            self._connection = connection
            try:
                connection.request(method, target, body, headers or {})
                answer = connection.getresponse()
                reply = Reply(
                    answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
                )
                break
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        if reply.headers.get("connection") == "close":
            connection.close()
            self._connection = None
        return reply

    def ask(self, name: str, who: str | None = "", args: Any = None, **more: Any) -> Reply:
        """An operation with the key of a participant ("" the operator's, None no key, a secret as it is)."""
        operation = OPERATIONS[name]
        args = dict(args or {}) | {key: value for key, value in more.items() if key != "headers"}
        path = operation.path.replace(":path}", "}")
        for part in [part for part in path.split("/") if part.startswith("{")]:
            path = path.replace(part, quote(str(args.pop(part.strip("{}"))), safe=""))
        headers = {} if who is None else {"Authorization": f"Bearer {self.keys.get(who, who)}"}
        if operation.needs_key_header:
            headers["Idempotency-Key"] = f"fresh-{next(self._fresh)}"
        headers |= more.get("headers", {})
        if operation.method in ("GET", "DELETE"):
            flat = {
                key: ",".join(value) if isinstance(value, (list, tuple)) else value
                for key, value in args.items()
            }
            return self.send(operation.method, path + (f"?{urlencode(flat)}" if flat else ""), None, headers)
        return self.send(
            operation.method, path, json.dumps(args).encode(), {"Content-Type": "application/json"} | headers
        )

    def do(self, name: str, who: str | None = "", args: Any = None, **more: Any) -> Any:
        """As `ask`, for what must succeed: the answer's data."""
        reply = self.ask(name, who, args, **more)
        assert reply.status == 200, (name, reply)
        data = reply.data
        assert data.get("status") not in ("REJECTED", "DENIED"), (name, data)
        return data

    def from_domain(self, command: Any) -> Any:
        """A domain command through the door that it belongs to."""
        name, args = from_command(command, Measures(SETTINGS))
        return self.do(name, "", json.loads(strict_json.encode(args)))


def set_up(world: World) -> None:
    """Venue, catalogue, one family, three participants with money and keys, one site of the seller."""
    world.do("advance_time", to=START)
    world.from_domain(SETTINGS)
    world.from_domain(load_catalogue())
    world.from_domain(load_tariff())
    world.do("list_family", "", FAMILY)
    for participant, scopes in SCOPES.items():
        world.do("add_participant", participant=participant, firm=f"{participant}-firm")
        world.do("deposit", participant=participant, amount="100000.00", reference="start")
        world.keys[participant] = world.do("create_key", participant=participant, scopes=scopes)["secret"]
    world.do("add_site", site="site-1", participant="seller", region="hubei-wuhan")
    world.do(
        "attest_capacity", site="site-1", chip="A910B", cards="256", start=START, end="2026-11-30T00:00:00+08:00"
    )  # fmt: skip


@contextmanager
def running_world(folder, *options: str):
    """A server with the small market; generous limits, so that tests of other things do not meet them."""
    limits = ["order_rate=100000", "order_burst=100000", "read_rate=100000", "read_burst=100000", "keyless_rate=100000",
              "keyless_burst=100000", "wrong_keys=1000000"]  # fmt: skip
    chosen = [option for limit in limits for option in ("--limit", limit)]
    with running_server(folder, "--clock", "manual", *chosen, *options) as server:
        world = World(server)
        set_up(world)
        yield world


def offer(offer_id: str, **more: Any) -> dict[str, Any]:
    """Terms of an offer of the seller's: 16 cards for the night."""
    return {
        "offer_id": offer_id, "site": "site-1", "chip": "A910B", "latency_class": "L1", "cards": "16", "price": "5.20",
        "start": "2026-11-24T08:00:00+08:00", "end": "2026-11-24T12:00:00+08:00",
    } | more  # fmt: skip


def task(client_order_id: str, **more: Any) -> dict[str, Any]:
    """Terms of a task that such an offer can serve."""
    return {
        "client_order_id": client_order_id, "access_region": "hubei-wuhan", "chips": [{"chip": "A910B"}], "cards": "8",
        "hours": "2", "deadline": "2026-11-24T12:00:00+08:00", "price_cap": "8.50",
    } | more  # fmt: skip


def order(client_order_id: str, **more: Any) -> dict[str, Any]:
    """Terms of a plain bid that rests."""
    return {
        "client_order_id": client_order_id,
        "instrument": INSTRUMENT,
        "price": "3.00",
        "cards": "2",
    } | more


def environment(world: World) -> dict[str, str]:
    """For shells that run the examples of the docs."""
    return os.environ | {
        "CPX_URL": world.server.url, "CPX_OPERATOR_KEY": world.keys[""], "CPX_KEY": world.keys["buyer"],
        "CPX_SELLER_KEY": world.keys["seller"],
    }  # fmt: skip
