"""The quick way reads nothing that the long way would refuse, and nothing in another way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.errors import DoorError
from exchange.protocol.formats import JSON, decode_as, decode_part_as
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.quick import read_quick
from exchange.protocol.stream import Request

ORDER = {"client_order_id": "a", "instrument": "A910B/gansu-qingyang/L10/grid/20261124T08", "price": "8.40", "cards": "1"}


def slow(data: bytes) -> tuple[Request, Any] | None:
    """What the long way makes of it; None where it refuses."""
    try:
        request = decode_as(JSON, data, Request)
        return request, decode_part_as(JSON, request.args, OPERATIONS[request.op].args)
    except (DoorError, KeyError):
        return None


def frame(**more: Any) -> dict[str, Any]:
    return {"op": "place_order", "id": 1, "args": ORDER} | more


@pytest.mark.parametrize(
    "said",
    [
        frame(), frame(id="x"), frame(n=3), frame(idempotency_key="a"), frame(valid_until="2026-11-24T00:00:00Z"),
        frame(args=ORDER | {"tif": "IOC", "side": "sell", "or_better": True}), frame(args=ORDER | {"participant": "B1"}),
        frame(op="cancel_order", args={"client_order_id": "a"}),
    ],
)
def test_plain_orders_go_the_quick_way(said: Any) -> None:
    for text in (json.dumps(said), json.dumps(said, separators=(",", ":")), json.dumps(said, indent=2)):
        quick = read_quick(text.encode())
        assert quick is not None and quick == slow(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"place_order","id":1,"id":2,"args":%s}', '{"op":"place_order","id" :1,"id"\n:1,"args":%s}',
        '{"op":"place_order","op":"place_order","id":1,"args":%s}', '{"op":"place_order","id":1,"args":{},"args":%s}',
        '{"op":"place_order","id":1,"args":%s,"n":null}', '{"op":"place_order","id":1,"n":1,"n":2,"args":%s}',
        '{"op":"place_order","id":1,"args":{"price":"1",%s', '{"op":"place_order","id":1,"args":{"price" :"1",%s',
        '{"op":"place_order","id":"\\u0000","args":%s}', '{"op":"place_order","id":1,"args":{"or_better":false,%s',
        '{"op":"place_order","id":1,"args":{"or_better":true,"or_better":true,%s', '{"op":"orders","id":1,"args":%s}',
    ],
)
def test_what_may_hide_something_goes_the_long_way(text: str) -> None:
    order = json.dumps(ORDER)
    said = text % (order if text.endswith("s}") else order[1:] + "}")
    assert read_quick(said.encode()) is None


PIECES = st.sampled_from([
    '{', '}', '"op"', ':', ',', '"place_order"', '"id"', '1', '"args"', '"client_order_id"', '"a"', '"price"', '"8.40"',
    '"cards"', '"instrument"', '"A910B/gansu-qingyang/L10/grid/20261124T08"', ' ', 'null', '"n"', '2', '"side"', '"buy"',
    '":"', '[', ']',
])  # fmt: skip


@given(st.data())
def test_whatever_is_put_into_a_frame_both_ways_agree(data: st.DataObject) -> None:
    text = json.dumps(frame(**data.draw(st.sampled_from([{}, {"n": 1}, {"id": "z"}]))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        more = "".join(data.draw(st.lists(PIECES, max_size=4)))
        text = text[:at] + more + text[at + cut :]
    quick = read_quick(text.encode())
    if quick is not None:
        assert quick == slow(text.encode()), text
