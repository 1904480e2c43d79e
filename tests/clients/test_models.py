"""The SDK's models are the wire's structs, field by field, with numbers and times of their own type."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct

from clients import (
    events,
    models,
    models_delivery,
    models_entry,
    models_green,
    models_operator,
    models_prices,
    models_statements,
)
from clients.core import ANSWERS
from clients.errors import BadAnswer
from clients.model import read_model
from exchange.protocol import (
    answers,
    answers_delivery,
    answers_entry,
    answers_feed,
    answers_green,
    answers_operator,
    answers_prices,
    answers_statements,
    private,
)
from exchange.protocol.errors import Problem
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.requests import TaskTerms

ROOMS = (models, models_delivery, models_entry, models_green, models_operator, models_prices, models_statements, events)
BASES = {"Answer", "Private"}


def wire_structs() -> list[type[Struct]]:
    found = {}
    rooms = (
        answers, answers_delivery, answers_entry, answers_feed, answers_green,
        answers_operator, answers_prices, answers_statements, private,
    )  # fmt: skip
    for room in rooms:
        for name, kind in inspect.getmembers(room, inspect.isclass):
            if issubclass(kind, Struct) and kind is not Struct and name not in BASES and kind not in (TaskTerms, Problem):
                found[name] = kind
    return list(found.values())


def model_of(name: str) -> Any:
    return next(getattr(room, name) for room in ROOMS if hasattr(room, name))


def shape(hint: Any) -> Any:
    """A type with everything that decimal text can become replaced by str, and models by their names."""
    origin = get_origin(hint)
    if origin is UnionType:
        parts = {shape(each) for each in get_args(hint) if each is not NoneType}
        return frozenset(parts) if len(parts) > 1 else parts.pop()
    if hint in (answers.Level, models.Level):
        return "Level"
    if origin is tuple:
        return ("tuple", shape(get_args(hint)[0]))
    if hint in (Decimal, datetime):
        return str
    return hint.__name__ if isinstance(hint, type) and issubclass(hint, Struct) else hint


@pytest.mark.parametrize("wire", wire_structs(), ids=lambda kind: kind.__name__)
def test_a_model_has_the_fields_of_its_wire_struct(wire: type[Struct]) -> None:
    model = model_of(wire.__name__)
    ours, theirs = get_type_hints(model), get_type_hints(wire)
    assert list(ours) == list(theirs)
    assert model.__struct_config__.tag == wire.__struct_config__.tag
    for name in theirs:
        same = str if name.endswith("_ns") and ours[name] in (int, int | None) else shape(ours[name])
        assert same == shape(theirs[name]), name


def test_every_operation_has_a_model_for_its_answer() -> None:
    assert {name: kind.__name__ for name, kind in ANSWERS.items()} == {
        name: operation.answer.__name__ for name, operation in OPERATIONS.items()
    }


TRADE = {
    "trade_id": "7-0", "seq": 7, "instrument": "a/b/L10/grid/20261124T08", "period_start": "2026-11-24T08:00:00Z",
    "price": "5.20", "cards": "0.1", "cost": "0.52", "is_block": False, "ts": "2026-11-24T07:00:00.123456789Z",
    "ts_ns": "1795503600123456789",
}  # fmt: skip


def test_numbers_come_out_exact_and_times_aware() -> None:
    trade = read_model(models.Trade, TRADE)
    assert (trade.price, str(trade.price), trade.cards) == (Decimal("5.2"), "5.20", Decimal("0.1"))
    assert trade.ts == datetime(2026, 11, 24, 7, 0, 0, 123456, tzinfo=UTC)
    assert trade.ts_ns == 1795503600123456789


def test_fields_of_a_newer_exchange_are_passed_over() -> None:
    assert read_model(models.Trade, {**TRADE, "venue_mood": {"new": 1}}) == read_model(models.Trade, TRADE)
    ack = {"seq": 1, "epoch": 1, "ts": TRADE["ts"], "ts_ns": "1", "status": "ACCEPTED", "events": [{"type": "new", "x": 1}]}
    assert read_model(models.Ack, ack).events == ({"type": "new", "x": 1},)


@pytest.mark.parametrize(
    "broken", [{**TRADE, "price": 5.2}, {**TRADE, "price": "much"}, {**TRADE, "ts": 1}, {"trade_id": "1-0"}, [], None]
)
def test_what_cannot_be_understood_is_no_guess(broken: Any) -> None:
    with pytest.raises(BadAnswer):
        read_model(models.Trade, broken)


def test_a_model_written_as_json_has_decimal_strings_as_the_wire_has() -> None:
    text = msgspec.json.decode(msgspec.json.encode(read_model(models.Trade, TRADE)))
    assert (text["price"], text["cost"]) == ("5.20", "0.52")
