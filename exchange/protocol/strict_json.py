"""JSON as the doors take it: one object that says one thing, read into the struct of its operation.

msgspec checks grammar, types, ranges and unknown fields. What it lets pass and we do not is found by a second look:
keys given twice, NUL in a text, deep nesting, very wide objects. Floats are none of ours: decimals travel as strings.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from exchange.protocol.errors import DoorError, DoorReason

T = TypeVar("T")

MAX_DEPTH = 16
MAX_KEYS = 256  # of one object
MAX_VALUES = 16_384  # of one frame or batch: 512 orders with 32 values each
NO_LIMIT = 1 << 60

_ENCODER = msgspec.json.Encoder()
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"field `([^`]*)`")
_NUMBER_FAULT = re.compile(r"got `float`|Number out of range|Integer value out of range")


def decode(data: bytes, type_: type[T], most_values: int = NO_LIMIT) -> T:
    """A value of this type; DoorError MALFORMED_JSON for the text, INVALID_FIELD (with its path) for what it says.

    most_values: entries of all objects and lists together; looking at more would hold up everybody else.
    """
    _second_look(data, most_values)
    return decode_again(data, type_)


def decode_again(data: bytes | msgspec.Raw, type_: type[T]) -> T:
    """As `decode`, for bytes that are part of what `decode` has read already."""
    decoder = _DECODERS.get(type_)
    if decoder is None:
        decoder = _DECODERS[type_] = msgspec.json.Decoder(type_)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from None


def encode(value: Any) -> bytes:
    """JSON of a wire struct."""
    return _ENCODER.encode(value)


def invalid_field(message: str) -> DoorError:
    """What to answer to a complaint of msgspec: the field by its path, floats as what they are."""
    match = _PLACE.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    field = path.removeprefix("$").lstrip(".")
    named = _NAMED.search(what)
    if named is not None:  # a missing or unknown one: the path leads to its object
        field = f"{field}.{named[1]}" if field else named[1]
    if _NUMBER_FAULT.search(what):
        hint = "whole numbers are numbers, all others are texts: write \"8.50\", not 8.50"
        return DoorError(DoorReason.MALFORMED_JSON, what, field=field[:80], hint=hint)
    return DoorError(DoorReason.INVALID_FIELD, what, field=field[:80])


def _malformed(detail: str) -> DoorError:
    return DoorError(DoorReason.MALFORMED_JSON, detail)


def _second_look(data: bytes, most_values: int) -> None:
    """Counts the keys of the text and of what was read: fewer read than written means that one came twice."""
    try:
        value = _ANY.decode(data)
    except msgspec.ValidationError as error:  # a number too large for anything
        raise invalid_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from None
    keys = _walk(value, 1, [most_values])
    # Without a backslash every quote begins or ends a text, and without a blank before a colon every key ends in `":`,
    # as does a quote before a text that begins with a colon: the count is never too low, and the slow reader decides.
    has_blank = b" :" in data or b"\t:" in data or b"\n:" in data or b"\r:" in data
    if has_blank or b"\\" in data or data.count(b'":') != keys:
        _slow_look(data)


def _walk(value: Any, depth: int, left: list[int]) -> int:
    """How many keys there are; DoorError where it is too deep, too wide or too long. left: values that may still come."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise _malformed(f"nested deeper than {MAX_DEPTH}")
    if kind is dict:
        count = len(value)
        if count > MAX_KEYS:
            raise _malformed(f"an object with {count} keys, at most {MAX_KEYS} are read")
        take_room(left, count)
        for item in value.values():
            inner = type(item)
            if inner is dict or inner is list:
                count += _walk(item, depth + 1, left)
        return count
    if kind is list:
        take_room(left, len(value))
        count = 0
        for item in value:
            inner = type(item)
            if inner is dict or inner is list:
                count += _walk(item, depth + 1, left)
        return count
    return 0


def take_room(left: list[int], values: int) -> None:
    """DoorError where there are more values than may be read."""
    left[0] -= values
    if left[0] < 0:
        raise _malformed("it holds more values than are read at once")


def _slow_look(data: bytes) -> None:
    try:
        text = data.decode("utf-8")
        json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from None
    if "\\u0000" in text:
        raise _malformed("a text holds a NUL character")


def _once_each(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise _malformed(f"the key {twice[:40]!r} is given twice")
