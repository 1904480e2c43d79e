"""The two formats of the socket's frames: JSON text and MessagePack, with the same structs, names and strictness.

A frame of MessagePack says what the JSON of the same struct says: maps with texts as keys, lists, texts, whole numbers,
true, false and nil. Floats, binaries, timestamps and extensions are none of ours; a key given twice is refused here as well.
"""

from typing import Any, TypeVar

import msgspec

from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.strict_json import (
    MAX_DEPTH,
    MAX_KEYS,
    MAX_VALUES,
    decode,
    decode_again,
    encode,
    invalid_field,
    take_room,
)

T = TypeVar("T")

JSON = 0
MSGPACK = 1
FORMATS = (JSON, MSGPACK)

_PACK = msgspec.msgpack.Encoder().encode
_UNPACK: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()
_READ_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_DECODERS: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_NO_ARGS = (b"", b"{}")  # the default of a field that is kept as it came; as MessagePack neither is one value
_NO_PAIRS = b"\x80"
_PLAIN = frozenset((int, bool, type(None)))
_HINT = "maps, lists, texts, whole numbers, true, false and nil; decimals travel as texts"


def encode_as(fmt: int, message: Any) -> bytes:
    """A wire struct as JSON or MessagePack."""
    return _PACK(message) if fmt == MSGPACK else encode(message)


def decode_as(fmt: int, data: bytes, type_: type[T]) -> T:
    """A value of this type; DoorError MALFORMED_JSON for the frame, INVALID_FIELD (with its path) for what it says.

    At most MAX_VALUES are read of one frame.
    """
    if fmt == JSON:
        return decode(data, type_, MAX_VALUES)
    _second_look(data)
    return decode_part_as(fmt, data, type_)


def decode_part_as(fmt: int, data: bytes | msgspec.Raw, type_: type[T]) -> T:
    """As `decode_as`, for bytes that are part of what it has read already."""
    if fmt == JSON:
        return decode_again(data, type_)
    if bytes(data) in _NO_ARGS:
        data = _NO_PAIRS
    decoder = _DECODERS.get(type_)
    if decoder is None:
        decoder = _DECODERS[type_] = msgspec.msgpack.Decoder(type_)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from None


def encode_again(fmt: int, data: bytes) -> bytes:
    """What one of our own messages says, from the other format in this one."""
    return _PACK(_READ_JSON.decode(data)) if fmt == MSGPACK else encode(_UNPACK.decode(data))


# --- a second look at MessagePack ---


def _malformed(detail: str) -> DoorError:
    return DoorError(DoorReason.MALFORMED_JSON, detail, hint=_HINT)


def _second_look(data: bytes) -> None:
    """What was read, packed again, is shorter than what came where a key came twice, or where lengths were not the shortest.

    No longer value is written for what was read, so equal lengths mean that nothing was dropped.
    """
    try:
        value = _UNPACK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise _malformed(str(error)) from None
    keys = _walk(value, 1, [MAX_VALUES])
    if len(_PACK(value)) != len(data) and _keys_written(data) != keys:
        raise _malformed("a key is given twice")


def _walk(value: Any, depth: int, left: list[int]) -> int:
    """How many keys there are; DoorError where it is too deep, too wide or too long, or holds what JSON of ours would not."""
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise _malformed("a text holds a NUL character")
        return 0
    if kind in _PLAIN:
        return 0
    if depth > MAX_DEPTH:
        raise _malformed(f"nested deeper than {MAX_DEPTH}")
    if kind is list:
        take_room(left, len(value))
        return sum(_walk(item, depth + 1, left) for item in value)
    if kind is not dict:
        raise _malformed(f"a {'float' if kind is float else 'binary, time or extension'} is not read")
    if len(value) > MAX_KEYS:
        raise _malformed(f"an object with {len(value)} keys, at most {MAX_KEYS} are read")
    count = len(value)
    take_room(left, count)
    for key, item in value.items():
        if type(key) is not str or "\0" in key:
            raise _malformed("a key is no text, or holds a NUL character")
        count += _walk(item, depth + 1, left)
    return count


def _keys_written(data: bytes) -> int:
    """How many keys the frame holds, counted token by token; it has been read already, so it is well-formed."""
    at = keys = 0
    while at < len(data):
        lead = data[at]
        at += 1
        if 0x80 <= lead <= 0x8F:
            keys += lead & 0x0F
        elif 0xA0 <= lead <= 0xBF:
            at += lead & 0x1F
        elif lead in _TEXT_LENGTHS:
            size = _TEXT_LENGTHS[lead]
            at += size + int.from_bytes(data[at : at + size])
        elif lead in _MAP_LENGTHS:
            size = _MAP_LENGTHS[lead]
            keys += int.from_bytes(data[at : at + size])
            at += size
        else:
            at += _FIXED.get(lead, 0)
    return keys


_TEXT_LENGTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_MAP_LENGTHS = {0xDE: 2, 0xDF: 4}
_FIXED = {0xDC: 2, 0xDD: 4, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # lists, numbers
