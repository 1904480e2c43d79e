"""Faults that a review has found in how operations are carried out: each of these failed once."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

sys.path.append(str(Path(__file__).resolve().parent))

from test_dispatch import OPERATOR, ORDER, TASK, Market, market, of  # noqa: E402 - its folder is known only now

from exchange.adapters.history import History  # noqa: E402
from exchange.domain import commands as c  # noqa: E402
from exchange.gateways.dispatch import Principal  # noqa: E402
from exchange.ports_history import HistoryUnavailable  # noqa: E402
from exchange.protocol import present  # noqa: E402
from exchange.protocol.errors import DoorError, DoorReason  # noqa: E402
from exchange.protocol.operations import OPERATIONS  # noqa: E402

pytestmark = pytest.mark.slow  # a live exchange, or a market day

DAY_NS = 86_400 * 10**9


async def refused(coming: Any) -> DoorError:
    with pytest.raises(DoorError) as caught:
        await coming
    return caught.value


def test_an_answer_that_cannot_be_read_again_is_told_as_a_fault_and_nobody_waits_for_ever(tmp_path, caplog):
    async def test(x: Market) -> None:
        assert (await x.run(of("B1"), "place_order", **ORDER)).status == "ACCEPTED"
        with create_engine(f"sqlite:///{tmp_path}/exchange.db").begin() as connection:
            connection.execute(text("UPDATE answers SET events = :garbage"), {"garbage": b"\xff garbage"})
        with caplog.at_level(logging.ERROR, "cpx.dispatch"):
            no = await refused(asyncio.wait_for(x.run(of("B1"), "place_order", **ORDER), 20))
        assert no.reason is DoorReason.INTERNAL and no.trace_id and no.trace_id in caplog.text
        assert no.problem().trace_id == no.trace_id and not no.problem().definite

    market(tmp_path, test)


def test_a_fault_in_making_an_answer_is_told_and_the_next_one_is_made(tmp_path, monkeypatch, caplog):
    async def test(x: Market) -> None:
        with monkeypatch.context() as broken:
            broken.setattr(present, "ack", lambda *_, **__: 1 // 0)
            no = await refused(asyncio.wait_for(x.run(of("B1"), "place_order", **ORDER), 20))
        assert no.reason is DoorReason.INTERNAL and no.trace_id in caplog.text and "ZeroDivisionError" in caplog.text
        again = await x.run(of("B1"), "place_order", **ORDER)
        assert (again.status, again.replayed) == ("ACCEPTED", True), "it was executed"

    market(tmp_path, test)


def test_a_file_that_is_no_database_any_more_is_unavailable(tmp_path):
    file = tmp_path / "exchange.db"
    file.write_bytes(b"this is no database" * 1000)

    class Broken:
        reader = create_engine(f"sqlite:///{file}")

    with pytest.raises(HistoryUnavailable):
        History(Broken()).answer(1)


@pytest.mark.parametrize("day", ["0001-01-01", "1600-01-01", "2263-01-01", "2300-01-01", "9999-12-31"])
def test_a_day_beyond_what_times_can_tell_is_a_field_to_mend(tmp_path, day):
    async def test(x: Market) -> None:
        no = await refused(x.run(of("B1"), "statement", day=day))
        assert (no.reason, no.field) == (DoorReason.INVALID_FIELD, "day")
        assert (await x.run(of("B1"), "statement", day="1969-12-31")).lines == ()
        assert (await x.run(of("B1"), "statement", day="2261-12-31")).lines == ()

    market(tmp_path, test)


def test_a_statement_has_a_limit_and_says_so(tmp_path):
    async def test(x: Market) -> None:
        lines = len((await x.run(of("B1"), "statement", day="2026-11-23")).lines)
        assert lines > 0
        x.dispatcher._around = replace(x.dispatcher._around, statement_lines=lines)
        assert len((await x.run(of("B1"), "statement", day="2026-11-23")).lines) == lines
        x.dispatcher._around = replace(x.dispatcher._around, statement_lines=lines - 1)
        no = await refused(x.run(of("B1"), "statement", day="2026-11-23"))
        assert (no.reason, no.field, no.limit) == (DoorReason.INVALID_FIELD, "day", "statement_lines")

    market(tmp_path, test)


def test_a_day_that_ends_while_the_tables_are_waited_for_is_not_final(tmp_path):
    async def test(x: Market) -> None:
        waiting = x.store.wait_for

        async def late(seq: int, timeout_s: float) -> bool:
            await x.send(c.AdvanceTime(x.handle.now_ns + 2 * DAY_NS))
            return await waiting(seq, timeout_s)

        x.store.wait_for = late
        assert not (await x.run(of("B1"), "statement", day="2026-11-23")).is_final
        x.store.wait_for = waiting
        assert (await x.run(of("B1"), "statement", day="2026-11-23")).is_final

    market(tmp_path, test)


def test_a_new_key_of_the_operator_does_not_move_money_twice(tmp_path):
    async def test(x: Market) -> None:
        before = (await x.run(of("B1"), "account")).cash
        rotated = [Principal(name, "", OPERATOR.scopes) for name in ("old", "new")]
        money = {"participant": "B1", "amount": "10.00", "reference": "bank 17"}
        told = [await x.run(who, "deposit", "bank-17", **money) for who in rotated]
        assert [each.replayed for each in told] == [False, True] and told[0].seq == told[1].seq
        assert (await x.run(of("B1"), "account")).cash == f"{float(before) + 10:.2f}"
        no = await refused(x.run(rotated[1], "deposit", "bank-17", **money | {"amount": "11.00"}))
        assert no.reason is DoorReason.KEY_REUSED

    market(tmp_path, test)


@pytest.mark.parametrize(
    "terms", [{"period_min": 0}, {"lots_per_card": 0}, {"tick": "0"}, {"period_min": 7}, {"lots_per_card": 3}]
)
def test_settings_that_measure_nothing_are_refused_and_what_is_behind_them_too(tmp_path, terms):
    async def test(x: Market) -> None:
        told: list[Any] = []
        for name, args in (("set_venue", {"name": "x", **terms}), ("submit_task", TASK | {"participant": "B1"})):
            operation = OPERATIONS[name]
            x.dispatcher.command_nowait(OPERATOR, operation, _converted(operation, args), told.append)
        assert [(no.reason, no.field) for no in told] == [
            (DoorReason.INVALID_FIELD, next(iter(terms))), (DoorReason.REFUSED, ""),
        ]  # fmt: skip
        assert (await x.run(OPERATOR, "set_venue", name="x")).status == "ACCEPTED"

    market(tmp_path, test, is_open=False)


def _converted(operation: Any, args: dict[str, Any]) -> Any:
    import msgspec

    return msgspec.convert(args, operation.args)


@pytest.mark.parametrize("name", ["create_key", "start_report"])
def test_a_key_that_nobody_would_remember_is_refused(tmp_path, name):
    async def test(x: Market) -> None:
        args = {"scopes": ("read",), "participant": "B1"} if name == "create_key" else {}
        for more, field in ({"_key": "k1"}, "idempotency_key"), ({"_until": "2026-11-24T00:00:00Z"}, "valid_until"):
            no = await refused(x.run(OPERATOR, name, **more, **args))
            assert (no.reason, no.field) == (DoorReason.INVALID_FIELD, field)
        assert not x.keys.list() and await x.run(OPERATOR, name, **args)

    market(tmp_path, test)
