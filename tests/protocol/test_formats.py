"""MessagePack says what JSON says, and is read as strictly: depth, keys, duplicate keys, NUL, nothing but our own types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import (
    FORMATS,
    JSON,
    MSGPACK,
    decode_as,
    decode_part_as,
    encode_again,
    encode_as,
)
from exchange.protocol.requests import OrderTerms
from exchange.protocol.strict_json import MAX_DEPTH, MAX_KEYS

pack = msgspec.msgpack.encode
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
messages = st.dictionaries(texts, values, max_size=4)


@given(messages)
def test_both_formats_say_the_same(message: dict[str, Any]) -> None:
    both = [encode_as(fmt, message) for fmt in FORMATS]
    assert [decode_as(fmt, data, dict) for fmt, data in zip(FORMATS, both, strict=True)] == [message, message]
    assert encode_again(MSGPACK, both[JSON]) == both[MSGPACK] and encode_again(JSON, both[MSGPACK]) == both[JSON]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_request_and_its_args(fmt: int) -> None:
    asked = {"client_order_id": "b-1", "instrument": "H800/g/L10/grid/20261124T08", "price": "8.40", "cards": "2"}
    request = decode_as(fmt, encode_as(fmt, {"op": "place_order", "id": 1, "args": asked}), s.Request)
    assert decode_part_as(fmt, request.args, OrderTerms).price == "8.40"
    bare = decode_as(fmt, encode_as(fmt, {"op": "ping", "id": "x"}), s.Request)
    assert decode_part_as(fmt, bare.args, dict) == {}
    with pytest.raises(DoorError) as caught:
        decode_part_as(fmt, encode_as(fmt, {**asked, "price": 8.4}), OrderTerms)
    assert caught.value.reason in (DoorReason.INVALID_FIELD, DoorReason.MALFORMED_JSON)


def wide(number: int) -> bytes:
    return pack({str(place): 0 for place in range(number)})


TWICE = b"\x82\xa1a\x01\xa1a\x02"
BAD = {
    "twice": TWICE, "twice below": b"\x81\xa1b" + TWICE, "twice, in a longer form": b"\x82\xd9\x01a\x01\xa1a\x02",
    "twice beside a long number": b"\x83\xa1a\x01\xa1a\x02\xa1b\xd3" + bytes(7) + b"\x01", "float": pack({"a": 1.5}),
    "float of four bytes": b"\x81\xa1a\xca\x3f\xc0\x00\x00", "binary": pack({"a": b"x"}),
    "time": b"\x81\xa1a\xd6\xff" + bytes(4),
    "extension": b"\x81\xa1a\xd4\x05\x00", "number as key": b"\x81\x01\x01", "NUL": pack({"a": "x\0"}),
    "NUL in a key": pack({"\0": 1}), "too wide": wide(MAX_KEYS + 1), "cut off": pack({"a": "b"})[:-1],
    "more behind it": pack({}) + b"\x00", "no UTF-8": b"\x81\xa1a\xa1\xff", "unused byte": b"\xc1", "empty": b"",
    "a huge list": b"\xdd\xff\xff\xff\xff", "deep": b"\x81\xa1a" + b"\x91" * MAX_DEPTH + b"\x01",
    "very deep": b"\x91" * 9_000 + b"\x01",
}  # fmt: skip


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_none_of_ours_is_malformed(data: bytes) -> None:
    with pytest.raises(DoorError) as caught:
        decode_as(MSGPACK, data, dict)
    assert caught.value.reason == DoorReason.MALFORMED_JSON


def test_longer_forms_than_needed_are_read() -> None:
    data = b"\xde\x00\x02\xd9\x01a\xcd\x00\x01\xda\x00\x01b\xdc\x00\x01\xd2\x00\x00\x00\x05"
    assert decode_as(MSGPACK, data, dict) == {"a": 1, "b": [5]}
    assert decode_as(MSGPACK, wide(MAX_KEYS), dict) and decode_as(MSGPACK, pack({"a": [[1]]}), dict)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode_as(MSGPACK, data, s.Request)
    except DoorError as no:
        assert no.reason in (DoorReason.MALFORMED_JSON, DoorReason.INVALID_FIELD)


@given(messages, st.data())
def test_a_key_that_is_written_twice_is_always_noticed(message: dict[str, Any], data: st.DataObject) -> None:
    whole = {"k": 1, **message}
    key, value = data.draw(st.sampled_from(sorted(whole))), data.draw(values)
    parts = b"".join(pack(name) + pack(item) for name, item in whole.items()) + pack(key) + pack(value)
    with pytest.raises(DoorError, match="twice"):
        decode_as(MSGPACK, bytes((0x80 | len(whole) + 1,)) + parts, dict)
