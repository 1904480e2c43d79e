"""The AsyncAPI document: it has the shape of AsyncAPI 3, and what a real server sends is what it says, field by field."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from here import Client, Live, live_market
from websockets.exceptions import ConnectionClosed

from exchange.domain import commands as c
from exchange.gateways.rest import asyncapi
from exchange.protocol import stream as s
from exchange.protocol.merging import DATA
from exchange.protocol.operations import OPERATIONS, SESSION_OPERATIONS

jsonschema_rs = pytest.importorskip("jsonschema_rs")  # comes with schemathesis
HOUR_NS = 3600 * 10**9
DOCUMENT = asyncapi.document("CPX", "0", "test")

_REFERENCE = {"type": "object", "required": ["$ref"], "additionalProperties": False, "properties": {"$ref": {"type": "string"}}}
_TEXT, _TEXTS = {"type": "string"}, {"type": "array", "items": _REFERENCE, "uniqueItems": True, "minItems": 1}
SHAPE = {  # of what the standard names: the fields that are used here, no others
    "type": "object", "required": ["asyncapi", "info", "channels", "operations", "components"], "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "defaultContentType": _TEXT,
        "info": {
            "type": "object", "required": ["title", "version"], "additionalProperties": False,
            "properties": {"title": _TEXT, "version": _TEXT, "description": _TEXT, "license": {"required": ["name"]}},
        },
        "servers": {"additionalProperties": {
            "type": "object", "required": ["host", "protocol"], "additionalProperties": False,
            "properties": {"host": _TEXT, "protocol": {"enum": ["ws", "wss"]}, "pathname": _TEXT, "description": _TEXT,
                           "variables": {"additionalProperties": {"type": "object", "properties": {"default": _TEXT}}}},
        }},
        "channels": {"additionalProperties": {
            "type": "object", "additionalProperties": False,
            "properties": {"address": {"type": ["string", "null"]}, "title": _TEXT, "description": _TEXT,
                           "messages": {"additionalProperties": _REFERENCE}, "bindings": {"required": ["ws"]}},
        }},
        "operations": {"additionalProperties": {
            "type": "object", "required": ["action", "channel"], "additionalProperties": False,
            "properties": {
                "action": {"enum": ["send", "receive"]}, "channel": _REFERENCE, "messages": _TEXTS, "summary": _TEXT,
                "description": _TEXT,
                "reply": {"type": "object", "additionalProperties": False,
                          "properties": {"channel": _REFERENCE, "messages": _TEXTS}},
            },
        }},
        "components": {
            "type": "object", "additionalProperties": False,
            "properties": {
                "schemas": {"propertyNames": {"pattern": r"^[\w\d.\-_]+$"}},
                "messages": {
                    "propertyNames": {"pattern": r"^[\w\d.\-_]+$"},
                    "additionalProperties": {"type": "object", "required": ["payload"], "additionalProperties": False,
                                             "properties": {"name": _TEXT, "summary": _TEXT, "payload": {"type": "object"}}},
                },
            },
        },
    },
}  # fmt: skip


def closed(schema: Any) -> Any:
    """A copy in which an object has no fields but those that are described."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


class Checker:
    """Validates frames by the document of a server, each against the one message that it can be."""

    def __init__(self, document: Any) -> None:
        self.schemas, self.messages = closed(document["components"]["schemas"]), document["components"]["messages"]
        self._known: dict[str, Any] = {}
        self.seen: set[str] = set()

    def check(self, name: str, frame: Any) -> None:
        if name not in self._known:
            whole = {**closed(self.messages[name]["payload"]), "components": {"schemas": self.schemas}}
            self._known[name] = jsonschema_rs.Draft7Validator(whole)
        faults = [f"{name}: {each.message}" for each in self._known[name].iter_errors(frame)]
        assert not faults, faults[:3]
        self.seen.add(name)

    def told(self, frame: Any, asked: dict[int, str]) -> None:
        """A frame that the server has sent; asked: the operation of each request id."""
        kind = frame["type"]
        if kind in ("snapshot", "delta"):
            kind = f"{frame['channel']}_{kind}"
        elif kind == "result":
            kind = f"{asked[frame['id']]}_result"
        self.check(kind, frame)


class Recorder(Client):
    """A client whose traffic is checked, both ways."""

    def __init__(self, live: Live, checker: Checker, **options: Any) -> None:
        self.checker, self.asked = checker, {}
        super().__init__(live, **options)

    def send(self, op: str, **args: Any) -> int:
        self.asked[self.number + 1] = op
        if op in self.checker.messages or f"{op}_request" in self.checker.messages:
            self.checker.check(f"{op}_request", {"op": op, "id": self.number + 1, "args": args})
        return super().send(op, **args)

    def receive(self) -> Any:
        frame = super().receive()
        self.checker.told(frame, self.asked)
        return frame

    def until(self, *names: str) -> None:
        """Reads until every one of these messages has been seen."""
        end = time.monotonic() + 20
        while not set(names) <= self.checker.seen:
            assert time.monotonic() < end, sorted(set(names) - self.checker.seen)
            self.receive()


def served(live: Live) -> Any:
    answer = httpx2.get(f"http://127.0.0.1:{live.port}/asyncapi.json")
    assert answer.status_code == 200
    return answer.json()


def test_the_document_has_the_shape_of_asyncapi_3_and_every_reference_leads_somewhere() -> None:
    assert [each.message for each in jsonschema_rs.Draft7Validator(SHAPE).iter_errors(DOCUMENT)] == []
    for name, message in DOCUMENT["components"]["messages"].items():
        jsonschema_rs.Draft7Validator({**message["payload"], "components": DOCUMENT["components"]})
        assert message["name"] == name and message["summary"]

    def references(part: Any) -> Any:
        for each in part.values() if isinstance(part, dict) else part:
            if isinstance(each, (dict, list)):
                yield from references(each)
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            yield part["$ref"]

    found = set(references(DOCUMENT))
    for each in found:
        place = DOCUMENT
        for step in each.removeprefix("#/").split("/"):
            place = place[step]
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} <= found
    assert {f"#/components/messages/{name}" for name in DOCUMENT["components"]["messages"]} <= found


def test_every_operation_and_every_channel_is_in_the_document() -> None:
    operations = DOCUMENT["operations"]
    asked = {name for name, each in operations.items() if each["action"] == "receive"}
    assert asked == {*OPERATIONS, *SESSION_OPERATIONS}
    assert {name for name, each in operations.items() if each["action"] == "send"} == {
        *(f"tell_{channel}" for channel in s.CHANNELS), "tell_lagged", "tell_closed", "tell_server_shutdown",
    }  # fmt: skip


@pytest.mark.slow
def test_live_traffic_of_every_channel_is_as_the_document_says(tmp_path: Path) -> None:
    with live_market(tmp_path / "cpx") as live:
        checker = Checker(served(live))
        client = Recorder(live, checker)
        who = live.do(lambda: max(live.exchange.handle.venue.state.participants, key=lambda name: live.exchange.handle.venue
                                  .core.balance(live.exchange.handle.venue.account(name))[0]))  # fmt: skip
        (book,) = [each for each in live.instruments(50) if live.rest_depth(each)["asks"]][:1]
        family = book.rpartition("/")[0]
        chip, region = family.split("/")[:2]
        lane = f"{region}/10/{chip}/any/{book.rpartition('/')[2]}"
        topics = {"orders": book, "lane": lane, "candles": f"{book}@1m", "curve": family} | dict.fromkeys(
            ("status", "top", "depth", "depth10", "depth50", "trades", "prices"), book
        )
        for channel in s.CHANNELS:
            about = {"instrument": topics[channel]} if channel in topics else {"participant": who} if channel == "user" else {}
            answer = client.ask("subscribe", channel=channel, **about)
            assert "result" in answer, answer
        client.until(*(f"{channel}_snapshot" for channel in DATA), "heartbeat")
        ask_price = live.rest_depth(book)["asks"][0][0]
        for number in range(3):
            client.ask("place_order", participant=who, client_order_id=f"doc-{number}", instrument=book, price=ask_price,
                       cards="1")  # fmt: skip
        rests = {"client_order_id": "doc-rests", "instrument": book, "price": "0.05", "cards": "1"}
        client.ask("place_order", participant=who, **rests)
        client.until(*(f"{channel}_delta" for channel in (
            "top", "depth", "depth10", "depth50", "orders", "trades", "candles", "prices", "curve",
                "lane", "user")))  # fmt: skip
        assert client.ask("depth", instrument="no/such/book/at/all")["type"] == "error"
        client.ask("depth", instrument=book, levels=10)
        client.ask("subscribe", channel="top", instrument=f"{family}/*")
        client.ask("orders", participant=who, limit=5)
        client.ask("ping")
        client.ask("limits")
        client.ask("unsubscribe", channel="top", instrument=book)
        _lag(live, checker)
        for _ in range(6):
            live.submit(c.AdvanceTime(live.do(lambda: live.exchange.handle.now_ns) + HOUR_NS))
            client.ask("ping")
            if "closed" in checker.seen and "status_delta" in checker.seen:
                break
        client.until("closed", "status_delta", "instruments_delta")
        live.stop()
        with pytest.raises(ConnectionClosed):
            while True:
                client.receive()
    wanted = {f"{channel}_{kind}" for channel in DATA for kind in ("snapshot", "delta")} - {"demand_delta"}
    assert wanted | {"heartbeat", "error", "closed", "lagged", "server_shutdown"} <= checker.seen, sorted(wanted - checker.seen)


def _lag(live: Live, checker: Checker) -> None:
    """`lagged`, by what says it: a message has come that the client has not been sent, and he is late."""
    late = Recorder(live, checker)
    late.ask("subscribe", channel="trades", instrument="*")
    late.next("snapshot")

    def there() -> None:
        live.exchange.market_data.feed("trades", "*").publish(live.exchange.handle.now_ns, s.TradesData(items=()), 1)
        live.door._connections[late.welcome["session"]].outbox.lag()

    live.do(there)
    with pytest.raises(ConnectionClosed):
        while True:
            late.receive()


def test_a_frame_with_another_field_or_without_one_is_seen() -> None:
    checker = Checker(DOCUMENT)
    good = {"type": "delta", "channel": "top", "instrument": "a", "epoch": 1, "seq": 2, "prev_seq": 1, "ts_ns": "5",
            "data": {"bid": "1.00", "bid_cards": "2", "ask": None, "ask_cards": None}}  # fmt: skip
    checker.told(good, {})
    wrong = ((("seq",), "2"), (("prev_seq",), None), (("data", "bid"), 1.0), (("data", "bids"), "1"), (("more",), 1))
    for path, value in wrong:
        bad = copy.deepcopy(good)
        place = bad
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(AssertionError):
            checker.told(json.loads(json.dumps(bad)), {})
    del good["ts_ns"]
    with pytest.raises(AssertionError):
        checker.told(good, {})
