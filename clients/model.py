"""From the wire to the SDK's models: decimal text becomes Decimal, RFC 3339 becomes an aware datetime, `*_ns` becomes int.

Tolerant to fields it does not know; a field it needs and does not find is BadAnswer, never a guess.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from clients.errors import BadAnswer

ModelT = TypeVar("ModelT", bound="Model")
Convert = Callable[[Any], Any]


class Model(Struct, frozen=True, kw_only=True):
    """Base of what the SDK answers with; `msgspec.json.encode` writes it with numbers as decimal strings."""


def read_model(kind: type[ModelT], raw: Any) -> ModelT:
    """A model made of what came over the wire; BadAnswer where something needed is missing or no number."""
    made: ModelT = converter(kind)(raw)
    return made


def to_decimal(value: Any) -> Decimal:
    """Exact; an int or text, never a float."""
    if isinstance(value, float):
        raise BadAnswer(f"the exchange sent the float {value!r} where a decimal string belongs")
    try:
        return Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise BadAnswer(f"the exchange sent {value!r} where a number belongs") from None


def to_time(value: Any) -> datetime:
    """RFC 3339 as an aware datetime (microseconds: the exact time stands in the `_ns` field beside it)."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadAnswer(f"the exchange sent {value!r} where a time belongs") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@cache
def converter(hint: Any) -> Convert:
    """How a value of this type is read."""
    if hint is Decimal:
        return to_decimal
    if hint is datetime:
        return to_time
    if hint is int:
        return _int
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return _union(get_args(hint))
    if origin is tuple:
        return _many(converter(get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, Model):
        return _model(hint)
    if isinstance(hint, type) and issubclass(hint, tuple):
        return _named(hint)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _terms(hint)
    return _same


def _terms(kind: type[Struct]) -> Convert:
    """A struct of the wire that may be sent again; None where it has what this SDK does not know and so could not repeat."""

    def read(value: Any) -> Struct | None:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return None

    return read


def _same(value: Any) -> Any:
    return value


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadAnswer(f"the exchange sent {value!r} where a whole number belongs") from None


def _many(one: Convert) -> Convert:
    return lambda values: tuple(one(value) for value in values or ())


def _named(kind: type[tuple[Any, ...]]) -> Convert:
    """A NamedTuple whose fields are all converted, such as Level."""
    each = [converter(hint) for hint in get_type_hints(kind).values()]
    return lambda values: kind(*(convert(value) for convert, value in zip(each, values, strict=False)))


def _union(options: tuple[Any, ...]) -> Convert:
    kinds = [option for option in options if option is not NoneType]
    if len(kinds) == 1:
        inner = converter(kinds[0])
        return lambda value: None if value is None or value == "" else inner(value)
    by_tag = {kind.__struct_config__.tag: converter(kind) for kind in kinds}

    def tagged(value: Any) -> Any:
        known = by_tag.get(value.get("type"))
        return value if known is None else known(value)  # a kind of a newer exchange stays as it came

    return tagged


def _model(kind: type[Model]) -> Convert:
    hints = get_type_hints(kind)
    plan = [
        (field.encode_name, converter(hints[field.name]), field.name, field.default)
        for field in msgspec.structs.fields(kind)
    ]

    def read(raw: Any) -> Model:
        if not isinstance(raw, dict):
            raise BadAnswer(f"the exchange sent {raw!r:.80} where a {kind.__name__} belongs")
        found = {}
        for wire, convert, name, default in plan:
            if wire in raw:
                found[name] = convert(raw[wire])
            elif default is NODEFAULT:
                raise BadAnswer(f"the exchange sent a {kind.__name__} without {wire}")
        return kind(**found)

    return read
