"""What became of the tasks."""

from __future__ import annotations

import pytest
from small_days import T0, Day, H, offer, open_day, task

from exchange.domain import commands as c
from exchange.domain.events import Moved
from exchange.domain.units import MICRO, NS_PER_SECOND, UnitError
from exchange.projections.tasks import TaskRecord
from exchange.projections.words import reason_in_words


def records(day: Day) -> dict[str, TaskRecord]:
    return {record.task.client_order_id: record for record in day.projections.tasks.records}


def test_every_task_ends_as_filled_partly_or_unfilled(day: Day) -> None:
    found = records(day)
    outcome = {name: (record.status, record.ending) for name, record in found.items()}
    assert outcome == {
        "t1": ("filled", "complete"), "t2": ("filled", "complete"), "t3": ("filled", "complete"),
        "t4": ("filled", "complete"), "t5": ("partly", "expired"), "t6": ("filled", "complete"),
        "t7": ("unfilled", "refused"), "t8": ("unfilled", "expired"), "=2+5": ("unfilled", "expired"),
        "gone": ("unfilled", "canceled"),
    }  # fmt: skip


def test_the_counts_are_all_tasks(day: Day) -> None:
    totals = day.projections.tasks.totals()
    submitted = sum(isinstance(command, c.SubmitTask) for _, _, command, _ in day.history)
    assert totals["filled"] + totals["partly"] + totals["unfilled"] == submitted == 10
    assert sum(totals["unfilled_by_reason"].values()) == totals["unfilled"]
    assert totals["unfilled_by_reason"]["UNKNOWN_PARTICIPANT"] == 1 and totals["waiting"] == 0


def test_what_tasks_cost_is_what_went_into_escrow(day: Day) -> None:
    moved = [event for *_, events in day.history for event in events if type(event) is Moved]
    for name, record in records(day).items():
        sums = {
            kind: sum(e.amount_micro for e in moved if e.kind == kind and e.reference == f"task:{name}")
            for kind in ("trade", "moving", "fee")
        }
        assert (record.compute_micro, record.moving_micro, record.fee_micro) == tuple(sums.values()), name


def test_what_a_task_bought_is_the_sum_of_its_trades(day: Day) -> None:
    for name, record in records(day).items():
        assert record.lot_periods == sum(trade.lots for trade in day.trades() if trade.task == name), name
    assert 0 < records(day)["t5"].lot_periods < records(day)["t5"].asked_lot_periods


def test_the_delivered_cost_per_card_hour_holds_moving_but_no_fee(day: Day) -> None:
    moved = records(day)["t2"]
    assert moved.moving_micro == 123_456_700
    assert day.projections.tasks.per_card_hour(moved) == round((3_072 * MICRO + 123_456_700) / 384)
    assert day.projections.tasks.per_card_hour(records(day)["t8"]) == 0


def test_a_refused_task_keeps_the_name_and_words_of_the_refusal(day: Day) -> None:
    refused = records(day)["t7"]
    assert refused.reason == "UNKNOWN_PARTICIPANT" and "nobody" in refused.explanation()


def test_a_second_task_of_the_same_name_does_not_hide_the_first() -> None:
    day = open_day()
    day.do(task("t"), task("t"))
    first, second = day.projections.tasks.records
    assert (first.ending, second.ending, second.reason) == ("waiting", "refused", "DUPLICATE_ID")
    day.do(offer("P1", "o", 640, 8), c.AdvanceTime(T0 + NS_PER_SECOND))
    assert first.status == "filled" and first.waited_ns == NS_PER_SECOND - 1
    day.do(task("t", lots=1, periods=1))  # the name is free again
    assert [record.status for record in day.projections.tasks.records] == ["filled", "unfilled", "filled"]


def test_a_waiting_task_tells_what_alone_would_fill_it() -> None:
    day = open_day()
    day.do(offer("P1", "o", 640, 8), task("t", price_cap_micro=7 * MICRO, max_latency_us=9_800))
    (record,) = day.projections.tasks.records
    assert (record.status, record.ending, record.reason, record.binding) == (
        "unfilled",
        "waiting",
        "OVER_BUDGET",
        "cap",
    )
    assert record.explanation().startswith(
        "cap: 8.00 yuan a card-hour delivered (3072.00 yuan in all, from H800/g/L10/"
    )
    assert day.projections.tasks.totals()["waiting"] == 1


def test_a_task_whose_last_chance_was_gone_keeps_the_advice_of_its_entry() -> None:
    day = open_day()
    day.do(offer("P1", "o", 640, 8), task("t", price_cap_micro=7 * MICRO), c.WithdrawOffer("P1", "o"))
    day.do(c.AdvanceTime(T0 + 12 * H))
    (record,) = day.projections.tasks.records
    assert (record.ending, record.reason, record.binding) == ("expired", "NO_REACH", "cap")
    assert record.explanation().startswith("when it entered: cap: 8.00 yuan a card-hour delivered")


def test_a_task_that_waited_and_was_filled_has_no_reason_left() -> None:
    day = open_day()
    day.do(task("t"))
    assert day.projections.tasks.records[0].reason
    day.do(offer("P1", "o", 640, 8), c.AdvanceTime(T0 + 60 * NS_PER_SECOND))
    (record,) = day.projections.tasks.records
    assert (record.status, record.reason, record.binding, record.relaxations) == ("filled", "", "", ())


def test_an_emergency_task_that_finds_nothing_ends_at_once() -> None:
    day = open_day()
    day.do(task("t", lane="emergency", periods=2))
    (record,) = day.projections.tasks.records
    assert (record.status, record.ending, record.waited_ns) == ("unfilled", "expired", 0) and record.reason


def test_an_older_task_filled_by_the_drain_of_a_new_one_is_not_confused_with_it() -> None:
    day = open_day()
    day.do(task("old"), offer("P1", "o", 640, 8, end_ns=T0 + 7 * H), task("new"))
    outcome = {name: record.status for name, record in records(day).items()}
    assert outcome == {"old": "filled", "new": "unfilled"}


def test_rounding_is_told_by_the_importer_and_counts_for_what_was_bought() -> None:
    fresh = open_day()
    fresh.do(offer("P1", "o", 640, 8, end_ns=T0 + 7 * H), task("t"), task("u"), task("v"))
    fresh.projections.tasks.tell_rounding({("B1", "t"): "0.69", ("B1", "u"): "1", ("B1", "unknown"): "2"})
    found = [record.rounding_card_hours for record in fresh.projections.tasks.records]
    assert found == ["0.69", "", ""]


def test_rounding_in_words_is_refused() -> None:
    with pytest.raises(UnitError):
        open_day().projections.tasks.tell_rounding({("B1", "t"): "0.69 card-hours unused"})


def test_a_constraint_without_a_relaxation_is_no_binding_one() -> None:
    day = open_day()
    day.do(task("alone", shape="bulk", is_immediate=True))  # nobody sells anything
    day.do(offer("P1", "o", 640, 8), task("far", shape="bulk", max_latency_us=1))
    day.do(task("late", shape="bulk", periods=1, deadline_ns=T0 + H // 2))
    day.do(task("dear", shape="bulk", price_cap_micro=7 * MICRO), task("block", price_cap_micro=7 * MICRO))
    found = {name: (record.binding, bool(record.relaxations)) for name, record in records(day).items()}
    assert found == {
        "alone": ("", False), "far": ("latency", True), "late": ("", False), "dear": ("cap", True), "block": ("cap", True),
    }  # fmt: skip


def test_reasons_are_plain_words() -> None:
    assert reason_in_words("NO_DEPTH") == "no site has so many cards in every hour"
    assert reason_in_words("NO_DEPTH", "bulk") == "nothing more is offered in the hours and regions it allows"
    assert reason_in_words("NO_TIME", "bulk") == reason_in_words("NO_TIME")
    assert reason_in_words("SOME_NEW_REASON") == "some new reason"
