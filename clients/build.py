"""From arguments to a request, without I/O: the args struct of an operation, and the HTTP request or socket frame it is.

One table (exchange.protocol.operations) says everything about an operation; nothing here knows one by name except the
three whose own id makes them repeatable.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from clients.errors import InvalidRequest, NotSupported
from clients.times import H, Moment, number_text, time_text
from exchange.protocol import fields
from exchange.protocol.operations import OPERATIONS, Operation

# Operations that carry an id of the client's own; all other commands get an Idempotency-Key.
NATURAL_ID = {"submit_task": "client_order_id", "place_order": "client_order_id", "place_offer": "offer_id"}
# No commands, no GETs, and still the same when they are sent twice.
HARMLESS = frozenset(("preview_task", "revoke_key", "confirm_statement"))
# Many commands in one: every entry has an id of its own, or does no harm when it is sent twice.
BATCHES = frozenset(("place_orders", "cancel_orders"))

Convert = Callable[[Any, str, Moment | None], Any]


class Call(NamedTuple):
    """One request, the same for every time it is sent."""

    operation: Operation
    args: Struct
    idempotency_key: str | None = None
    valid_until: str | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it again cannot execute it twice."""
        return self.may_execute or self.operation.method == "GET" or self.operation.name in HARMLESS

    @property
    def may_execute(self) -> bool:
        """Whether something may have been executed although no answer came."""
        return self.operation.is_command or self.operation.name in BATCHES

    @property
    def identity(self) -> str:
        """The id under which the exchange executes it once; "" for a read."""
        if self.operation.name in BATCHES:
            return f"of {len(getattr(self.args, 'items', ()))} orders"
        natural = NATURAL_ID.get(self.operation.name)
        return str(getattr(self.args, natural)) if natural else self.idempotency_key or ""


class HttpRequest(NamedTuple):
    """What goes over HTTP, without the key; target = path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def operation_of(name: str) -> Operation:
    """NotSupported where no such operation exists."""
    found = OPERATIONS.get(name)
    if found is None:
        raise NotSupported(f"there is no operation {name!r}; see /docs of the exchange")
    return found


def in_words(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Terms of a task as the wire says them: a speed per chip, and steps that were written short."""
    given = dict(terms)
    chips, steps = given.get("chips"), given.get("steps")
    if isinstance(chips, Mapping) and "chip" not in chips:
        given["chips"] = [{"chip": chip, "factor": factor} for chip, factor in chips.items()]
    if steps:
        if isinstance(steps, str) or not isinstance(steps, Iterable):
            raise TypeError(f"steps: {steps!r:.60} is no list of steps; write [limit, (limit, from when), …]")
        given["steps"] = [_step(step) for step in steps]
    return given


def _step(step: Any) -> Any:
    """8.50, or (9, from when), or as the wire has it."""
    if isinstance(step, list | tuple):
        if len(step) != 2:
            raise TypeError(f"steps: {step!r:.60} is no step; write a limit, or (limit, from when)")
        limit, at = step
        return {"limit": limit, "at": at}
    return step if isinstance(step, Mapping | Struct) else {"limit": step}


def steps_left(steps: Iterable[Any], now_ns: int) -> list[dict[str, Any]]:
    """Steps of a waiting task as they would be said now: its present limit first; none where that is the last one."""
    told: list[dict[str, Any]] = msgspec.to_builtins(list(steps))
    ahead = [step for step in told if step.get("at") and datetime.fromisoformat(step["at"]).timestamp() * 10**9 > now_ns]
    present = told[len(told) - len(ahead) - 1 : len(told) - len(ahead)]
    return [{"limit": step["limit"]} for step in present] + ahead if ahead else []


def new_id() -> str:
    """An id that nobody has used: 32 characters."""
    return uuid.uuid4().hex


def needs_moment(value: Any) -> bool:
    """Whether somewhere in these arguments a time is said from now on."""
    if isinstance(value, H):
        return True
    if isinstance(value, Mapping):
        return any(needs_moment(each) for each in value.values())
    return isinstance(value, list | tuple) and any(needs_moment(each) for each in value)


def args_of(operation: Operation, given: Mapping[str, Any], moment: Moment | None = None) -> Struct:
    """The checked args struct.

    TypeError for an argument that does not exist, a float or a time without zone; InvalidRequest where a value does not
    fit its field. None means not given.
    """
    kind: type[Struct] = operation.args
    found = _struct(kind)({key: value for key, value in given.items() if value is not None}, "", moment)
    assert isinstance(found, Struct), found
    return found


def call_of(
    operation: Operation, args: Struct, *, idempotency_key: str | None = None, valid_until: str | None = None
) -> Call:
    """A call that has its id: the client's own, the one given, or a new one."""
    if not operation.is_command:
        return Call(operation, args)
    if operation.name in NATURAL_ID:
        return Call(operation, args, None, valid_until)
    return Call(operation, args, idempotency_key or new_id(), valid_until)


def http_request(call: Call) -> HttpRequest:
    """Path, query and body of a call."""
    operation = call.operation
    given: dict[str, Any] = msgspec.to_builtins(call.args)
    path = operation.path
    for name in path_fields(path):
        value = str(given.pop(name.partition(":")[0]))
        path = path.replace("{" + name + "}", quote(value, safe="/" if name.endswith(":path") else ""))
    headers = {}
    if call.idempotency_key is not None:
        headers["idempotency-key"] = call.idempotency_key
    if call.valid_until is not None:
        headers["cpx-valid-until"] = call.valid_until
    if operation.method in ("GET", "DELETE"):
        query = urlencode([(key, _query_text(value)) for key, value in given.items()])
        return HttpRequest(operation.method, f"{path}?{query}" if query else path, headers, b"")
    headers["content-type"] = "application/json"
    return HttpRequest(operation.method, path, headers, msgspec.json.encode(given))


def frame_of(call: Call, number: int) -> dict[str, Any]:
    """The same call as a frame of the socket, before it is encoded."""
    frame: dict[str, Any] = {"op": call.operation.name, "id": number, "args": call.args}
    if call.idempotency_key is not None:
        frame["idempotency_key"] = call.idempotency_key
    if call.valid_until is not None:
        frame["valid_until"] = call.valid_until
    return frame


@cache
def path_fields(path: str) -> tuple[str, ...]:
    """`client_order_id` or `instrument:path` of a path with braces."""
    return tuple(part.partition("}")[0] for part in path.split("{")[1:])


def _query_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(each) for each in value)
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


# --- arguments to structs: one converter per type of field ---


@cache
def _converter(hint: Any) -> Convert:
    if hint == fields.Decimal:
        return lambda value, field, _moment: number_text(value, field)
    if hint == fields.Time:
        return time_text
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _converter(next(option for option in get_args(hint) if option is not NoneType))
    if origin is Annotated:
        return _converter(get_args(hint)[0])
    if origin is tuple:
        return _many(get_args(hint)[0])
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _struct(hint)
    return lambda value, _field, _moment: value


@cache
def _struct(kind: type[Struct]) -> Convert:
    hints = get_type_hints(kind, include_extras=True)
    each = {name: _converter(hint) for name, hint in hints.items()}
    needed = [field.name for field in msgspec.structs.fields(kind) if field.required]

    def make(value: Any, field: str, moment: Moment | None) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"{field}: {value!r:.60} is no {kind.__name__}; write a dict")
        prefix = field + "." if field else ""
        unknown = sorted(set(value) - set(each))
        if unknown:
            raise TypeError(f"{prefix}{unknown[0]} is no field of {kind.__name__}; there are {', '.join(each)}")
        missing = [name for name in needed if name not in value]
        if missing:
            raise TypeError(f"{prefix}{missing[0]} is missing; {kind.__name__} needs {', '.join(needed)}")
        plain = {name: each[name](entry, prefix + name, moment) for name, entry in value.items()}
        try:
            return msgspec.convert(plain, kind)
        except msgspec.ValidationError as fault:
            what, _, where = str(fault).partition(" - at `$.")
            raise InvalidRequest(f"{prefix}{where.rstrip('`')}: {what}", field=prefix + where.rstrip("`")) from None

    return make


def _many(inner: Any) -> Convert:
    one = _converter(inner)
    first = msgspec.structs.fields(inner)[0].name if isinstance(inner, type) and issubclass(inner, Struct) else ""

    def make(value: Any, field: str, moment: Moment | None) -> Any:
        entries: Iterable[Any] = (value,) if isinstance(value, str | Struct | int) else value
        if not isinstance(entries, Iterable):
            raise TypeError(f"{field}: {value!r:.60} is no list")
        # A bare text stands for a struct that needs nothing else: chips=["H800"] is chips=[{"chip": "H800"}].
        return tuple(
            one({first: entry} if first and isinstance(entry, str) else entry, f"{field}[{number}]", moment)
            for number, entry in enumerate(entries)
        )

    return make
