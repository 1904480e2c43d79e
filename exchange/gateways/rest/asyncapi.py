"""The AsyncAPI 3 document of the socket, from its structs and the table of operations: nothing in it is written twice."""

from typing import Any

import msgspec

from exchange.gateways.rest.openapi import REF, simplify_tuples
from exchange.protocol import answers as a
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_prices as p
from exchange.protocol import requests as r
from exchange.protocol import stream as s
from exchange.protocol.errors import Problem
from exchange.protocol.merging import DATA
from exchange.protocol.operations import OPEN, OPERATIONS, SESSION_OPERATIONS
from exchange.protocol.private import PrivateEvent

VERSION = "3.0.0"
ADDRESS = "/v1/stream"
CHANNEL = "stream"  # the one channel of the document: everything is said on one socket
ERROR = "error"
Schema = dict[str, Any]

# What the structs of stream.py leave open, because the socket only passes it on.
ROWS: dict[tuple[type, str], Any] = {
    (s.TradesData, "items"): a.Trade,
    (s.CandlesData, "items"): p.Candle,
    (s.LaneData, "items"): a.LaneLevel,
    (s.PricesData, "items"): p.InstrumentPrice,
    (s.CurveData, "items"): p.CurvePoint,
    (s.DemandData, "items"): a.DemandCell,
    (s.InstrumentsData, "items"): a.Family,
    (s.UserData, "events"): PrivateEvent,
    (s.UserData, "tasks"): a.Task,
    (s.UserData, "orders"): a.Order,
    (s.UserData, "offers"): a.Offer,
}
SESSION: dict[str, tuple[type, tuple[type, ...]]] = {  # args and possible results of what only the socket knows
    "login": (s.Login, (s.Welcome,)),
    "subscribe": (s.Subscribe, (s.Subscribed, s.SubscribedAll)),
    "unsubscribe": (s.Unsubscribe, (s.Subscribed, s.SubscribedAll)),
    "ping": (r.Nothing, (s.Pong,)),
    "fate": (s.FateOf, (s.Fates,)),
}
PLAIN: dict[str, type] = {  # told without being asked, beside the channels
    "heartbeat": s.Heartbeat,
    "lagged": s.Lagged,
    "closed": s.Closed,
    "server_shutdown": s.ServerShutdown,
}
TOLD = {
    "heartbeat": "Once a second, after a subscription to it.",
    "lagged": "Before a client that reads too slowly is sent away.",
    "closed": "The end of a subscription, with the gate of its instrument.",
    "server_shutdown": "Before the server goes down.",
}
assert SESSION.keys() == SESSION_OPERATIONS.keys()


def document(title: str, version: str, summary: str) -> Schema:
    """The whole document, as plain data."""
    made = _Maker()
    for name, (args, results) in SESSION.items():
        scope = SESSION_OPERATIONS.get(name)
        told = f"Scope: {scope}." if scope else "Any key."
        made.ask(name, args, results, f"{name}, of the socket alone.", told)
    for operation in OPERATIONS.values():
        scope = f"Scope: {operation.scope}." if operation.scope != OPEN else "Any key."
        told = f"{scope} As over REST: {operation.method} {operation.path.replace(':path}', '}')}."
        made.ask(operation.name, operation.args, (operation.answer,), operation.summary, told)
    for channel in DATA:
        made.tell_channel(channel)
    for name in PLAIN:
        made.tell(f"tell_{name}", [name], TOLD[name])
    return {
        "asyncapi": VERSION,
        "info": {
            "title": title, "version": version, "description": summary,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "venue": {
                "host": "{host}", "protocol": "ws", "pathname": "/",
                "description": "A server of cpx serve; wss behind a proxy that has the certificate.",
                "variables": {"host": {"default": "127.0.0.1:8787", "description": "Address and port."}},
            }
        },
        "channels": {
            CHANNEL: {
                "address": ADDRESS, "title": "The socket",
                "description": "Text frames are JSON, binary frames MessagePack of the same; the first one decides.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in made.messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": made.operations,
        "components": {"messages": made.messages, "schemas": made.schemas},
    }  # fmt: skip


class _Maker:
    """Messages, operations and schemas as they grow."""

    def __init__(self) -> None:
        request = _without_raw(s.Request)
        kinds: dict[Any, None] = dict.fromkeys((request, s.Result, s.Failure, s.Snapshot, s.Delta, Problem))
        for args, results in SESSION.values():
            kinds |= {args: None, **dict.fromkeys(results)}
        for operation in OPERATIONS.values():
            kinds |= {operation.args: None, operation.answer: None}
        kinds |= dict.fromkeys((*PLAIN.values(), *DATA.values(), *ROWS.values(), d.Account))
        schemas, self.schemas = msgspec.json.schema_components(list(kinds), ref_template=REF)
        self._of_kind = dict(zip(kinds, schemas, strict=True))
        for (kind, field), row in ROWS.items():
            self._whole(kind)["properties"][field]["items"] = self._of_kind[row]
        self._whole(s.UserData)["properties"]["account"] = {"anyOf": [self._of_kind[d.Account], {"type": "null"}]}
        self._asked, self._answered = self._taken(request), self._taken(s.Result)
        self._all, self._change = self._taken(s.Snapshot), self._taken(s.Delta)
        simplify_tuples(self.schemas)
        _as_draft_07(self.schemas)
        self.messages: Schema = {}
        self.operations: Schema = {}
        self._message(ERROR, "A request that was turned away.", self._of_kind[s.Failure])
        for name, kind in PLAIN.items():
            self._message(name, (kind.__doc__ or "").strip(), self._of_kind[kind])

    def _whole(self, kind: type) -> Schema:
        return self.schemas[self._of_kind[kind]["$ref"].rpartition("/")[2]]

    def _taken(self, kind: type) -> Schema:
        """A schema that is only there to be filled in."""
        return self.schemas.pop(self._of_kind[kind]["$ref"].rpartition("/")[2])

    def _message(self, name: str, summary: str, payload: Schema) -> str:
        self.messages[name] = {"name": name, "summary": summary, "payload": payload}
        return name

    def ask(self, name: str, args: type, results: tuple[type, ...], summary: str, told: str) -> None:
        """A request and what is answered."""
        asked = _filled(self._asked, f"{name} request", op={"const": name}, args=self._of_kind[args])
        if msgspec.structs.fields(args) and any(each.required for each in msgspec.structs.fields(args)):
            asked["required"] = [*asked["required"], "args"]
        possible = [self._of_kind[each] for each in results]
        result = possible[0] if len(possible) == 1 else {"anyOf": possible}
        answered = _filled(self._answered, f"{name} result", result=result)
        messages = [self._message(f"{name}_request", summary, asked)]
        replies = [self._message(f"{name}_result", summary, answered), ERROR]
        self.operations[name] = {
            "action": "receive", "channel": {"$ref": f"#/channels/{CHANNEL}"}, "summary": summary, "description": told,
            "messages": _refs(messages),
            "reply": {"channel": {"$ref": f"#/channels/{CHANNEL}"}, "messages": _refs(replies)},
        }  # fmt: skip

    def tell_channel(self, channel: str) -> None:
        """Snapshots and deltas of a channel of the market."""
        kind = DATA[channel]
        data, summary = self._of_kind[kind], (kind.__doc__ or "").strip()
        parts = {"channel": {"const": channel}, "data": data}
        for suffix, whole in (("snapshot", self._all), ("delta", self._change)):
            self._message(f"{channel}_{suffix}", summary, _filled(whole, f"{channel} {suffix}", **parts))
        self.tell(f"tell_{channel}", [f"{channel}_snapshot", f"{channel}_delta"], f"What channel {channel} tells.")

    def tell(self, name: str, messages: list[str], summary: str) -> None:
        """What the server sends without being asked."""
        channel = {"$ref": f"#/channels/{CHANNEL}"}
        self.operations[name] = {"action": "send", "channel": channel, "summary": summary, "messages": _refs(messages)}


def _without_raw(kind: type) -> type:
    """The same struct with args that can be anything: what is read later has no schema of its own."""
    made: list[Any] = []
    for each in msgspec.structs.fields(kind):
        if each.type is msgspec.Raw:
            made.append((each.name, Any, None))
        else:
            made.append((each.name, each.type) if each.required else (each.name, each.type, each.default))
    return msgspec.defstruct(kind.__name__, made, kw_only=True, forbid_unknown_fields=True)


def _refs(messages: list[str]) -> list[Schema]:
    return [{"$ref": f"#/channels/{CHANNEL}/messages/{name}"} for name in messages]


def _filled(whole: Schema, title: str, **parts: Schema) -> Schema:
    """A copy with some properties said more exactly."""
    return {**whole, "title": title, "properties": {**whole["properties"], **parts}}


def _as_draft_07(schema: Any) -> None:
    """AsyncAPI's own schemas are draft 07: a tuple is `items` as a list, and its discriminator is none that we could use."""
    if isinstance(schema, dict):
        if "prefixItems" in schema:
            schema["items"] = schema.pop("prefixItems")
        if isinstance(schema.get("discriminator"), dict):
            del schema["discriminator"]
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _as_draft_07(each)
