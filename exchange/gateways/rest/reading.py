"""What a request says, as the args of its operation: path, query and body, each thing in one place only.

A path is split before it is decoded, so `%2F` inside a client id is part of the id. `//`, `.`, `..` and a slash at the end
lead nowhere. A query names each field once; lists have commas, or the field again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import inspect
from starlette.types import Receive, Scope

from exchange.gateways.batches import BATCHES
from exchange.gateways.batches import read_body as read_batch
from exchange.gateways.limits import DoorLimits
from exchange.protocol import strict_json
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import Operation
from exchange.protocol.requests import Body

WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
JSON_TYPES = frozenset(("application/json", "application/json;charset=utf-8", 'application/json;charset="utf-8"'))
SLASH_IN_SEGMENT = "\x1f"  # stands for a decoded %2F while a path is routed; no text of ours may hold it
MAX_QUERY_FIELDS = 64
MAX_INT_DIGITS = 18


def routable_path(raw: bytes) -> str | None:
    """The path to route by, from the bytes as they came; None where it leads nowhere."""
    if b"%" not in raw and b"//" not in raw and b"/." not in raw and (not raw.endswith(b"/") or raw == b"/"):
        return raw.decode("latin-1")
    if not raw.startswith(b"/"):
        return None
    segments = [unquote_to_bytes(segment).decode("utf-8", "replace") for segment in raw[1:].split(b"/")]
    if any(segment in ("", ".", "..") or SLASH_IN_SEGMENT in segment for segment in segments):
        return None
    return "/" + "/".join(segment.replace("/", SLASH_IN_SEGMENT) for segment in segments)


def path_names(path: str) -> tuple[str, ...]:
    """The parameters of a path like /v1/orders/{client_order_id}."""
    return tuple(part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{"))


def one_header(scope: Scope, name: bytes) -> str | None:
    """A header that may come once; DoorError INVALID_FIELD where it comes twice."""
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise DoorError(DoorReason.INVALID_FIELD, "the header is given twice", field=name.decode("ascii"))
    return values[0].decode("latin-1") if values else None


async def read_body(scope: Scope, receive: Receive, most: int, within_s: int) -> bytes:
    """The whole body; DoorError BODY_TOO_LARGE by the bytes that came, whatever Content-Length says."""
    told = one_header(scope, b"content-length")
    if told is not None and told.isdigit() and int(told) > most:
        raise _too_large(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        detail = f"the body did not arrive within {within_s} s"
        raise DoorError(DoorReason.BODY_TOO_LARGE, detail, limit="body_s") from None


class ClientGone(Exception):
    """The client has closed the connection: there is nobody to answer."""


def _too_large(most: int) -> DoorError:
    return DoorError(DoorReason.BODY_TOO_LARGE, f"more than {most} bytes", limit="body_bytes")


class Reader:
    """Makes the args of one operation from a request."""

    def __init__(self, operation: Operation, limits: DoorLimits) -> None:
        self._operation, self._within_s = operation, limits.body_s
        larger = {"load_catalogue": limits.catalogue_body_bytes, "place_offer": limits.offer_body_bytes}
        larger |= dict.fromkeys(BATCHES, limits.batch_bytes)
        self.most = larger.get(operation.name, limits.body_bytes)
        self.has_body = operation.method in WITH_BODY
        self.path_fields = path_names(operation.path)
        fields = {each.encode_name: each for each in msgspec.structs.fields(operation.args)}
        info = inspect.type_info(operation.args)
        assert isinstance(info, inspect.StructType)
        kinds = {each.encode_name: _plain_kind(each.type) for each in info.fields}
        self._convert: dict[str, Callable[[str, str], Any]] = {
            name: _CONVERT.get(kinds[name], _text) for name in fields if name not in self.path_fields
        }
        self._lists = {name for name in self._convert if kinds[name] is inspect.VarTupleType}
        self._has_fields = bool(self._convert)
        self._path_type = msgspec.defstruct(
            f"{operation.name}_path", [(name, fields[name].type) for name in self.path_fields], kw_only=True
        )
        self._body_type = operation.args if not self.path_fields else self._without_path(fields)

    def _without_path(self, fields: Mapping[str, msgspec.structs.FieldInfo]) -> type[msgspec.Struct]:
        """The struct of the body: what the path says may be repeated in it, and must then be the same."""
        definitions: list[Any] = []
        for name, each in fields.items():
            if name in self.path_fields:
                definitions.append((name, each.type | msgspec.UnsetType, msgspec.UNSET))
            elif each.required:
                definitions.append((name, each.type))
            else:
                definitions.append((name, each.type, each.default))
        return msgspec.defstruct(f"{self._operation.name}_body", definitions, bases=(Body,), kw_only=True)

    async def args(self, scope: Scope, receive: Receive) -> Any:
        """The args; DoorError where the request is none of this operation."""
        path = {name: scope["path_params"][name].replace(SLASH_IN_SEGMENT, "/") for name in self.path_fields}
        if not self.has_body:
            await self._no_body(scope, receive)
            return _converted(self._query(scope) | path, self._operation.args)
        if scope["query_string"]:
            raise DoorError(DoorReason.INVALID_FIELD, "this request takes no query", field="query")
        body = await self._body(scope, receive)
        if not path:
            return body
        _converted(path, self._path_type)
        values = {name: getattr(body, name) for name in body.__struct_fields__}
        for name, value in path.items():
            if values[name] is not msgspec.UNSET and values[name] != value:
                raise DoorError(DoorReason.INVALID_FIELD, "the body says something else than the path", field=name)
            values[name] = value
        return self._operation.args(**values)

    async def _no_body(self, scope: Scope, receive: Receive) -> None:
        told = any(key in (b"content-length", b"transfer-encoding") and value != b"0" for key, value in scope["headers"])
        if told and await read_body(scope, receive, self.most, self._within_s):
            raise DoorError(DoorReason.INVALID_FIELD, "this request takes no body", field="body")

    async def _body(self, scope: Scope, receive: Receive) -> Any:
        kind = one_header(scope, b"content-type")
        is_json = kind is not None and kind.lower().replace(" ", "") in JSON_TYPES
        if not is_json and (kind is not None or self._has_fields):
            raise DoorError(DoorReason.UNSUPPORTED_MEDIA_TYPE, f"content-type is {(kind or 'missing')[:80]}")
        data = await read_body(scope, receive, self.most, self._within_s)
        if not data and not self._has_fields:
            return self._operation.args()
        if self._operation.name in BATCHES:
            return read_batch(self._operation, data)
        return strict_json.decode(data, self._body_type)

    def _query(self, scope: Scope) -> dict[str, Any]:
        if not scope["query_string"]:
            return {}
        try:
            pairs = parse_qsl(
                scope["query_string"].decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
                max_num_fields=MAX_QUERY_FIELDS,
            )  # fmt: skip
        except ValueError as error:
            raise DoorError(DoorReason.INVALID_FIELD, f"the query cannot be read: {error}"[:200], field="query") from None
        values: dict[str, Any] = {}
        for name, text in pairs:
            convert = self._convert.get(name)
            if convert is None:
                raise DoorError(DoorReason.INVALID_FIELD, "there is no such field here", field=name[:80])
            value = convert(text, name)
            if name in self._lists:
                values[name] = [*values.get(name, ()), *value]
            elif name in values:
                raise DoorError(DoorReason.INVALID_FIELD, "the field is given twice", field=name)
            else:
                values[name] = value
        return values


def _plain_kind(kind: inspect.Type) -> type[inspect.Type]:
    """The kind of a field, without "or null"."""
    if isinstance(kind, inspect.Metadata):
        return _plain_kind(kind.type)
    if isinstance(kind, inspect.UnionType):
        kinds = {_plain_kind(each) for each in kind.types} - {inspect.NoneType}
        assert len(kinds) == 1, kind
        return kinds.pop()
    return type(kind)


def _text(text: str, _name: str) -> str:
    return text


def _whole_number(text: str, name: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_INT_DIGITS):
        raise DoorError(DoorReason.INVALID_FIELD, "not a whole number", field=name)
    return int(text)


def _list(text: str, _name: str) -> list[str]:
    return text.split(",") if text else []


_CONVERT: dict[type[inspect.Type], Callable[[str, str], Any]] = {
    inspect.IntType: _whole_number,
    inspect.VarTupleType: _list,
}


def _converted(values: dict[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise strict_json.invalid_field(str(error)) from None
