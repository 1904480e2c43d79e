"""From bytes on the wire to args: what is taken, and that everything else gets a typed no with the field's name."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.gateways.limits import DoorLimits
from exchange.gateways.rest.reading import Reader, path_names, routable_path
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day

LIMITS = DoorLimits(body_s=1)


def read(name, query="", body=b"", headers=(), kind="application/json", pieces=None, **path):
    """The args of one request, as a server would hand it over."""
    sent = pieces or [body]
    all_headers = [(key.encode(), value.encode()) for key, value in headers]
    if body or pieces:
        all_headers += [(b"content-type", kind.encode())] if kind else []
        all_headers += (
            []
            if any(key == b"content-length" for key, _ in all_headers)
            else [(b"transfer-encoding", b"chunked")]
        )
    scope = {"headers": all_headers, "query_string": query.encode("latin-1"), "path_params": path}
    queue = [{"type": "http.request", "body": piece, "more_body": True} for piece in sent]
    queue[-1]["more_body"] = False

    async def receive():
        if not queue:
            await asyncio.Event().wait()
        return queue.pop(0)

    return asyncio.run(Reader(OPERATIONS[name], LIMITS).args(scope, receive))


def refused(*args, **more):
    with pytest.raises(DoorError) as error:
        read(*args, **more)
    return error.value.reason.name, error.value.field


def test_a_query_becomes_args():
    args = read(
        "lane", "access_region=hubei-wuhan&chips=A910B,H800&period_start=2026-11-24T00:00:00Z&levels=5"
    )
    assert (args.chips, args.levels, args.min_green) == (("A910B", "H800"), 5, None)
    assert read("lane", "access_region=a&chips=x&chips=y&period_start=z").chips == ("x", "y")
    assert (
        read("trades", "instrument=A910B%2Fr%2FL10%2Fgrid%2F20261124T08&limit=7").instrument
        == "A910B/r/L10/grid/20261124T08"
    )
    assert read("depth", "levels=3", instrument="A/b/c").instrument == "A/b/c"
    assert read("account", "participant=null").participant == "null"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=1e3", "limit"), ("limit=1.0", "limit"), ("limit=", "limit"),
        ("limit=" + "9" * 400, "limit"), ("limit=٣", "limit"), ("limit=+5", "limit"), ("limit= 5", "limit"),
        ("limit=5&limit=5", "limit"), ("limt=5", "limt"), ("status=&status=live", "status"), ("cursor=", "cursor"),
        ("participant=" + "a" * 37, "participant"), ("participant=%00", "participant"), ("participant=%ff", "query"),
        ("participant=%E4%BD%A0", "participant"), ("status=%0A", "status"), ("a" * 3 + "&b", "query"),
        ("&".join(f"x{n}=1" for n in range(100)), "query"), ("client_order_id=1", "client_order_id"), ("limit[]=1", "limit[]"),
    ],
)  # fmt: skip
def test_a_query_that_says_something_else_is_named(query, field):
    query = "".join(
        char if ord(char) < 256 else "".join(f"%{byte:02X}" for byte in char.encode()) for char in query
    )
    assert refused("orders", query) == ("INVALID_FIELD", field)


def test_path_and_body_together():
    body = b'{"price":"8.50","cards":"4"}'
    args = read("amend_order", body=body, client_order_id="a/b \x1fc".replace("\x1f", "%"))
    assert (args.client_order_id, args.price, args.cards) == ("a/b %c", "8.50", "4")
    same = b'{"client_order_id":"x","price":"8.50","cards":"4"}'
    assert read("amend_order", body=same, client_order_id="x").client_order_id == "x"
    assert refused("amend_order", body=same, client_order_id="y") == ("INVALID_FIELD", "client_order_id")
    assert refused("amend_order", body=body, client_order_id="y" * 37) == ("INVALID_FIELD", "client_order_id")
    assert refused("amend_order", body=body, client_order_id="\ufffd") == ("INVALID_FIELD", "client_order_id")
    assert refused("amend_order", "cards=1", body=body, client_order_id="y") == ("INVALID_FIELD", "query")
    assert refused("amend_order", body=b'{"price":"1"}', client_order_id="y") == ("INVALID_FIELD", "cards")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
def test_json_by_any_of_its_names(kind):
    assert read("post_bond", body=b'{"amount":"1.00"}', kind=kind).amount == "1.00"


@pytest.mark.parametrize(
    "kind",
    [
        "", "text/plain", "application/json; charset=gbk", "application/jsonx",
        "application/json, text/plain", "multipart/form-data", "application/x-www-form-urlencoded",
        "application/problem+json", "application/json;",
    ],
)  # fmt: skip
def test_anything_else_is_an_unsupported_media_type(kind):
    assert refused("post_bond", body=b'{"amount":"1.00"}', kind=kind)[0] == "UNSUPPORTED_MEDIA_TYPE"


def test_two_content_types_are_one_too_many():
    headers = [("content-type", "application/json")]
    assert refused("post_bond", body=b'{"amount":"1.00"}', headers=headers) == (
        "INVALID_FIELD",
        "content-type",
    )


def test_a_body_is_measured_by_what_comes():
    most = LIMITS.body_bytes
    assert refused("post_bond", pieces=[b" " * 10_000] * 8)[0] == "BODY_TOO_LARGE"
    assert (
        refused("post_bond", body=b"{}", headers=[("content-length", str(most + 1))])[0] == "BODY_TOO_LARGE"
    )
    assert (
        refused("post_bond", pieces=[b" " * (most + 1)], headers=[("content-length", "2")])[0]
        == "BODY_TOO_LARGE"
    )
    padded = b'{"amount":"1.00"' + b" " * (most - 17) + b"}"
    assert len(padded) == most and read("post_bond", body=padded).amount == "1.00"
    large = b'{"chips":[],"regions":[],"reach":[],"links":[]' + b" " * most + b"}"
    assert read("load_catalogue", body=large).chips == ()
    prices = ",".join(['"123456789012345678.123456789"'] * 5_000)  # as much as the schema lets through
    offer = '{"offer_id":"o","site":"s","chip":"c","latency_class":"L1","cards":"1","start":"a","end":"b","period_prices":[%s]}'
    assert len(read("place_offer", body=(offer % prices).encode()).period_prices) == 5_000


def test_a_body_that_never_ends_is_given_up():
    scope = {"headers": [(b"content-type", b"application/json")], "query_string": b"", "path_params": {}}
    sent = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        if not sent:
            await asyncio.Event().wait()
        return sent.pop()

    with pytest.raises(DoorError) as error:
        asyncio.run(Reader(OPERATIONS["post_bond"], LIMITS).args(scope, receive))
    assert (error.value.reason, error.value.limit) == (DoorReason.BODY_TOO_LARGE, "body_s")


def test_a_body_where_none_belongs():
    assert refused("orders", body=b"{}") == ("INVALID_FIELD", "body")
    assert refused("cancel_order", body=b"{}", client_order_id="x") == ("INVALID_FIELD", "body")
    assert read("orders", headers=[("content-length", "0")]).limit == 100
    assert read("start_report") == read("start_report", body=b"{}")
    assert refused("start_report", body=b'{"a":1}') == ("INVALID_FIELD", "a")
    assert refused("post_bond", body=b"")[0] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/v1/orders/a%2Fb", "/v1/orders/a\x1fb"), (b"/v1/orders/a%20b", "/v1/orders/a b"), (b"/", "/"),
        (b"/v1/orders", "/v1/orders"), (b"/v1/orders/", None), (b"/v1//orders", None), (b"//v1/orders", None),
        (b"/v1/./orders", None), (b"/v1/orders/..", None), (b"/v1/%2e%2e/orders", None),
        (b"/v1/orders/%2E", None), (b"/v1/orders/%1f", None), (b"v1", "v1"), (b"*", "*"),
        (b"/v1/orders/%2F", "/v1/orders/\x1f"), (b"/v1/orders/...", "/v1/orders/..."),
        (b"/v1/orders/%00", "/v1/orders/\x00"), (b"/v1/orders/%zz", "/v1/orders/%zz"),
        (b"/V1/orders", "/V1/orders"), (b"/v1/orders/a%", "/v1/orders/a%"),
    ],
)  # fmt: skip
def test_a_path_is_split_before_it_is_decoded(raw, path):
    assert routable_path(raw) == path


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), min_size=1, max_size=5)
)
def test_any_id_comes_through_a_path_unchanged(segments):
    raw = b"".join(
        b"/" + "".join(f"%{byte:02x}" for byte in segment.encode()).encode() for segment in segments
    )
    path = routable_path(raw)
    if any(segment in (".", "..") for segment in segments):
        assert path is None
    else:
        assert [part.replace("\x1f", "/") for part in path[1:].split("/")] == segments


@given(st.binary(max_size=60))
def test_no_path_whatever_raises(raw):
    path = routable_path(raw)
    assert path is None or "//" not in path or not path.startswith("/")


def test_names_in_a_path():
    assert path_names("/v1/reports/{report_id}/files/{file}") == ("report_id", "file")
    assert path_names("/v1/depth/{instrument:path}") == ("instrument",)
