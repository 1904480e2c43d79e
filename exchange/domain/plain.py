"""Dataclasses to plain lists and back, canonically: dicts sorted by key, so equal states give equal bytes.

Types supported: int, str, bool, None, tuple[...], list[...], set[...], dict[...], dataclasses, and X | None.
"""

import json
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def dump(value: Any) -> Any:
    """A value as nested lists, ints, texts and None."""
    if value is None or type(value) in (int, str, bool):
        return value
    if is_dataclass(value):
        kind: Any = type(value)
        return [dump(getattr(value, name)) for name in _names(kind)]
    if isinstance(value, dict):
        return [[dump(key), dump(value[key])] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [dump(item) for item in value]
    if isinstance(value, set):
        return [dump(item) for item in sorted(value)]
    raise TypeError(f"{type(value).__name__} has no plain form")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def load(kind: Any, plain: Any) -> Any:
    """The value of type `kind` that `dump` made `plain` from; ValueError where it does not fit."""
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        inner = [item for item in get_args(kind) if item is not type(None)]
        return None if plain is None else load(inner[0], plain)
    if kind in (int, str, bool):
        if type(plain) is not kind:
            raise ValueError(f"{plain!r} is no {kind.__name__}")
        return plain
    if not isinstance(plain, list):
        raise ValueError(f"{plain!r} is no list")
    if origin is dict:
        key_kind, value_kind = get_args(kind)
        return {load(key_kind, key): load(value_kind, value) for key, value in plain}
    if origin is set:
        return {load(get_args(kind)[0], item) for item in plain}
    if origin is list:
        return [load(get_args(kind)[0], item) for item in plain]
    if origin is tuple:
        kinds = get_args(kind)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(load(kinds[0], item) for item in plain)
        return tuple(load(item_kind, item) for item_kind, item in zip(kinds, plain, strict=True))
    if is_dataclass(kind) and isinstance(kind, type):
        names, hints = _names(kind), _hints(kind)
        if len(plain) != len(names):
            raise ValueError(f"{kind.__name__} has {len(names)} fields, not {len(plain)}")
        return kind(**{name: load(hints[name], item) for name, item in zip(names, plain, strict=True)})
    raise TypeError(f"{kind!r} has no plain form")


def to_bytes(value: Any) -> bytes:
    """Canonical bytes of a value."""
    return json.dumps(dump(value), ensure_ascii=True, separators=(",", ":")).encode()


def from_bytes(kind: Any, blob: bytes) -> Any:
    """Inverse of `to_bytes`; ValueError where the bytes are none of it."""
    return load(kind, json.loads(blob))
