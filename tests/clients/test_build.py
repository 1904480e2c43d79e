"""Arguments become the very request that the table of operations describes; nothing here needs a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from clients.build import (
    NATURAL_ID,
    args_of,
    call_of,
    frame_of,
    http_request,
    in_words,
    operation_of,
    path_fields,
    steps_left,
)
from clients.errors import InvalidRequest, NotSupported
from clients.times import H, Moment, number_text
from exchange.protocol import requests as r
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.stream import Request

NOW = Moment(int(datetime(2026, 11, 24, 4, 30, tzinfo=UTC).timestamp()) * 10**9, "Asia/Shanghai")
TERMS: dict[str, Any] = {
    "client_order_id": "t-1", "access_region": "hubei-wuhan", "chips": ["A910B", "H800"], "cards": 64, "hours": Decimal("6.0"),
    "deadline": H("+2d"), "price_cap": "8.50",
}  # fmt: skip


def made(name: str, **given: Any) -> Any:
    return args_of(operation_of(name), given, NOW)


def test_terms_of_a_task_become_the_wire_struct() -> None:
    found = made("submit_task", **TERMS)
    assert found == r.TaskTerms(
        client_order_id="t-1", access_region="hubei-wuhan", chips=(r.ChipChoice(chip="A910B"), r.ChipChoice(chip="H800")),
        cards="64", hours="6", deadline="2026-11-26T04:30:00+00:00", price_cap="8.50",
    )  # fmt: skip


@pytest.mark.parametrize("field", ["cards", "hours", "price_cap"])
def test_a_float_is_refused_by_the_name_of_its_field(field: str) -> None:
    with pytest.raises(TypeError, match=rf"^{field}: .*float"):
        made("submit_task", **{**TERMS, field: 8.1})


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), ("5.20", "5.20"), (Decimal("5.200"), "5.2"), (Decimal("1E+3"), "1000"), (Decimal("0E-9"), "0"), (-3, "-3")],
)
def test_numbers_become_plain_decimal_text(value: Any, text: str) -> None:
    assert number_text(value, "price") == text


@pytest.mark.parametrize("value", ["1e3", "", "1.", Decimal("NaN"), Decimal("1e-10"), 10**18, "+1", "１"])
def test_numbers_that_do_not_fit_the_wire_are_never_rounded(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="price"):
        number_text(value, "price")


@pytest.mark.parametrize("value", [True, None, object()])
def test_what_is_no_number_is_a_mistake_of_the_program(value: Any) -> None:
    with pytest.raises(TypeError):
        number_text(value, "price")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("now", "2026-11-24T12:30"), ("+1h30m", "2026-11-24T14:00"), ("-1d", "2026-11-23T12:30"), ("+1w", "2026-12-01T12:30"),
        ("22:00", "2026-11-24T22:00"), ("06:00", "2026-11-25T06:00"), ("12:30", "2026-11-25T12:30"),
        ("tomorrow 08:00", "2026-11-25T08:00"), ("today 08:00", "2026-11-24T08:00"),
    ],
)  # fmt: skip
def test_relative_times_count_from_the_venue_s_clock_in_its_zone(said: str, meant: str) -> None:
    zone = timezone(timedelta(hours=8))
    assert H(said).at(NOW) == datetime.fromisoformat(meant).replace(tzinfo=zone)


@pytest.mark.parametrize("said", ["", "2d", "+2y", "24:00", "8", "+", "tomorrow", "+1h 30m"])
def test_what_is_no_time_is_refused_at_once(said: str) -> None:
    with pytest.raises(InvalidRequest, match="no time"):
        H(said)


def test_a_datetime_must_say_its_zone() -> None:
    with pytest.raises(TypeError, match="deadline.*zone"):
        made("submit_task", **{**TERMS, "deadline": datetime(2026, 11, 25)})  # noqa: DTZ001 - the mistake
    zoned = made("submit_task", **{**TERMS, "deadline": datetime(2026, 11, 25, tzinfo=UTC)})
    assert zoned.deadline == "2026-11-25T00:00:00+00:00"


def test_unknown_and_missing_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="price_limit is no field"):
        made("submit_task", **TERMS, price_limit=1)
    with pytest.raises(TypeError, match="instrument is missing"):
        made("place_order", client_order_id="a", price=1, cards=1)
    with pytest.raises(NotSupported, match="no operation 'buy_all'"):
        operation_of("buy_all")


def test_a_value_that_does_not_fit_its_field_is_named_before_anything_is_sent() -> None:
    with pytest.raises(InvalidRequest) as caught:
        made("submit_task", **{**TERMS, "client_order_id": "x" * 37})
    assert caught.value.field == "client_order_id" and caught.value.definite


def test_steps_and_lists_that_are_none_are_mistakes_of_the_program() -> None:
    for steps in ("5.00", 5, [("4.00", "2026-11-25T00:00:00Z", "more")]):
        with pytest.raises(TypeError, match="^steps: "):
            in_words({"steps": steps})
    with pytest.raises(TypeError, match="^chips: .* is no list"):
        made("submit_task", **{**TERMS, "chips": object()})
    with pytest.raises(InvalidRequest, match="calendar"):
        made("submit_task", **{**TERMS, "deadline": H("+999999w")})


def test_steps_of_a_waiting_task_begin_with_its_present_limit() -> None:
    steps = [
        {"limit": "3"}, {"limit": "4", "at": "2026-11-24T04:00:00Z"},
        {"limit": "5", "at": "2026-11-24T04:31:00.5Z"}, {"limit": "6", "at": "2026-11-25T00:00:00Z"},
    ]  # fmt: skip
    assert steps_left(steps, NOW.now_ns) == [{"limit": "4"}, *steps[2:]]
    assert steps_left(steps, 0) == steps
    assert steps_left(tuple(r.LimitStep(**step) for step in steps[:2]), NOW.now_ns) == [], "the last limit is the task's own"


def test_a_path_takes_its_part_of_the_arguments_and_the_body_the_rest() -> None:
    args = made("amend_order", client_order_id="a/b c", price=1, cards=2)
    call = call_of(operation_of("amend_order"), args, idempotency_key="k")
    sent = http_request(call)
    assert (sent.method, sent.target) == ("PATCH", "/v1/orders/a%2Fb%20c")
    assert msgspec.json.decode(sent.body) == {"price": "1", "cards": "2"}
    assert sent.headers["idempotency-key"] == "k"


def test_a_read_puts_all_into_the_query_and_keeps_the_slashes_of_an_instrument() -> None:
    depth = call_of(operation_of("depth"), made("depth", instrument="A/b/L10/grid/20261124T08", levels=3))
    assert http_request(depth).target == "/v1/depth/A/b/L10/grid/20261124T08?levels=3"
    lane = call_of(operation_of("lane"), made("lane", access_region="w", chips=["A", "B"], period_start=H("22:00")))
    assert http_request(lane).target == "/v1/lane?access_region=w&chips=A%2CB&period_start=2026-11-24T22%3A00%3A00%2B08%3A00"


def test_every_command_is_born_with_an_id_under_which_it_is_executed_once() -> None:
    for operation in OPERATIONS.values():
        if not operation.is_command:
            continue
        fields = {field.name for field in msgspec.structs.fields(operation.args)}
        if operation.name in NATURAL_ID:
            assert NATURAL_ID[operation.name] in fields
            continue
        first, second = (call_of(operation, r.Nothing()).idempotency_key for _ in range(2))
        assert first and second and first != second and len(first) <= 36, operation.name


def test_a_frame_of_the_socket_is_what_the_exchange_decodes() -> None:
    args = made("deposit", participant="p", amount="1.50")
    call = call_of(operation_of("deposit"), args, idempotency_key="k", valid_until="T")
    found = msgspec.json.decode(msgspec.json.encode(frame_of(call, 7)), type=Request)
    assert (found.op, found.id, found.idempotency_key, found.valid_until) == ("deposit", 7, "k", "T")
    assert msgspec.json.decode(found.args, type=r.MoneyMove) == r.MoneyMove(participant="p", amount="1.50")


def test_every_operation_can_be_asked_over_http() -> None:
    for operation in OPERATIONS.values():
        fields = {field.name for field in msgspec.structs.fields(operation.args)}
        assert {name.partition(":")[0] for name in path_fields(operation.path)} <= fields, operation.name
