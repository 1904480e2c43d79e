"""What is no acceptable JSON, what is an unacceptable field, and that everything else comes through."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.requests import OrderTerms, TaskTerms
from exchange.protocol.requests_operator import RegionTerms
from exchange.protocol.strict_json import MAX_DEPTH, MAX_KEYS, decode, decode_again, encode

GOOD = {
    "client_order_id": "train-042", "access_region": "hubei-wuhan",
    "chips": [{"chip": "H800"}, {"chip": "A910B", "factor": "0.8"}],
    "cards": "64", "hours": "8", "deadline": "2026-11-24T12:00:00+08:00", "price_cap": "8.50",
}  # fmt: skip


class Loose(msgspec.Struct):
    """Takes any object under one name: what the second look must find by itself."""

    any: msgspec.Raw | dict | list | str | int | None = None


def refused(data: bytes, kind: type = TaskTerms) -> DoorError:
    with pytest.raises(DoorError) as caught:
        decode(data, kind)
    return caught.value


def body(**changes) -> bytes:
    return json.dumps(GOOD | changes).encode()


MALFORMED = {
    "a key twice": b'{"client_order_id":"a","client_order_id":"b"}',
    "a key twice, blanks before the colon": b'{"side" :"buy","side":"sell"}',
    "a key twice, a text that begins with a colon": b'{"side" :":x","tif":"1","tif":"2"}',
    "a key twice by escape": b'{"side":"buy","s\\u0069de":"sell"}',
    "a key twice further in": b'{"chips":[{"chip":"a","chip":"b"}]}',
    "NaN": b'{"cards":NaN}',
    "infinity": b'{"cards":1e999}',
    "a float": b'{"cards":1.5}',
    "a whole float": b'{"cards":1.0}',
    "an exponent": b'{"cards":1e2}',
    "a lone surrogate": b'{"client_order_id":"\\ud800"}',
    "a lone low surrogate": b'{"client_order_id":"\\udc00"}',
    "a surrogate in UTF-8": b'{"client_order_id":"\xed\xa0\x80"}',
    "not UTF-8": b'{"client_order_id":"\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NUL": b'{"client_order_id":"a\x00"}',
    "an escaped NUL": b'{"client_order_id":"a\\u0000"}',
    "nothing": b"",
    "half": b'{"cards":"1"',
    "more than one": b"{} {}",
    "a comment": b"{/**/}",
    "single quotes": b"{'cards':'1'}",
    "deep lists": b'{"chips":' + b"[" * 20 + b"]" * 20 + b"}",
    "very deep lists": b"[" * 100_000 + b"]" * 100_000,
    "very deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a wide object": b"{" + b",".join(b'"k%d":1' % n for n in range(MAX_KEYS + 1)) + b"}",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(data):
    began = time.perf_counter()
    assert refused(data).reason == DoorReason.MALFORMED_JSON
    assert time.perf_counter() - began < 0.5


INVALID = {
    "chips[1].chip": body(chips=[{"chip": "H800"}, {"chip": 7}]),
    "cards": body(cards=64),
    "deadline": body(deadline=None),
    "price_cap": body(price_cap="8,50"),
    "price": body(price="8.50"),
    "chips[0].speed": body(chips=[{"chip": "H800", "speed": "1"}]),
    "client_order_id": body(client_order_id="line\nfeed"),
    "data_region": body(data_region="ends with a line feed\n"),
    "chips": body(chips=[{"chip": "H800"}] * 65),
    "": b"[]",
    "hours": json.dumps({name: value for name, value in GOOD.items() if name != "hours"}).encode(),
}


@pytest.mark.parametrize(("field", "data"), INVALID.items())
def test_invalid_fields_are_named(field, data):
    error = refused(data)
    assert (error.reason, error.field) == (DoorReason.INVALID_FIELD, field)
    assert error.detail


def test_a_float_is_told_how_to_be_written():
    error = refused(body(cards=1.5))
    assert (error.field, error.reason) == ("cards", DoorReason.MALFORMED_JSON)
    assert '"8.50"' in error.hint


def test_nothing_is_made_of_a_huge_number():
    assert refused(b'{"client_order_id":' + b"9" * 400 + b"}").reason in (DoorReason.MALFORMED_JSON, DoorReason.INVALID_FIELD)


def test_depth_and_width_up_to_the_limit_are_read():
    deep = b'{"any":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert decode(deep, Loose)
    wide = b'{"any":{' + b",".join(b'"k%d":1' % n for n in range(MAX_KEYS)) + b"}}"
    assert decode(wide, Loose)
    assert refused(b'{"any":[' + deep + b"]}", Loose).reason == DoorReason.MALFORMED_JSON


def test_texts_with_colons_quotes_and_blanks_are_no_keys():
    name = 'a ":b": "c" : \\ ":'
    assert decode(encode(RegionTerms(code="w", name=name, kind="edge")), RegionTerms).name == name
    assert decode(b'{"code" : "w", "name"\n: "\\u6b66\\u6c49", "kind":"edge","hub":":x"}', RegionTerms).name == "武汉"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=12,
    ),
    st.booleans(),
    st.booleans(),
)
def test_any_json_comes_through_and_a_doubled_key_never_does(value, is_ascii, is_spaced):
    separators = (" , ", " : ") if is_spaced else (",", ":")
    text = json.dumps({"any": value}, ensure_ascii=is_ascii, separators=separators).encode("utf-8", "surrogatepass")
    if "\0" in json.dumps(value, ensure_ascii=False) or "\\u0000" in json.dumps(value):
        assert refused(text, Loose).reason == DoorReason.MALFORMED_JSON
        return
    assert decode(text, msgspec.Raw) is not None
    doubled = text[:-1] + b',"any":1}'
    assert refused(doubled, Loose).reason == DoorReason.MALFORMED_JSON


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data):
    try:
        decode(data, OrderTerms)
    except DoorError as error:
        assert error.reason in (DoorReason.MALFORMED_JSON, DoorReason.INVALID_FIELD)


def test_what_was_looked_at_is_read_again_without_a_second_look():
    assert decode_again(b'{"side":"buy","side":"sell"}', dict[str, str]) == {"side": "sell"}
    with pytest.raises(DoorError) as caught:
        decode_again(b"{", TaskTerms)
    assert caught.value.reason == DoorReason.MALFORMED_JSON
