"""What people get wrong on the command line: one line that says what to do, and nothing is bought or offered."""

from __future__ import annotations

import json

import msgspec
import pytest

from exchange.cli.market import market
from exchange.cli.market_follow import _reason_now

pytestmark = pytest.mark.slow  # a live exchange

BOOK = "A910B/gansu-qingyang/L10/grid/20261123T18"
NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "08:00", "--access", "hubei-wuhan")
SALE = ("sell", "8", "--site", "qy-1", "--chip", "A910B", "--class", "L10")
HEADER = """task_id,submit_time,account,access_region,max_latency_ms,chips,cards,hours,earliest_start,deadline,price_cap,\
data_gb,data_region,lane,shape,min_green
"""
ROW = "t-1,2026-11-24T00:30:00+08:00,who,hubei-wuhan,40,A910B,8,2,,2026-11-24T08:00:00+08:00,9.00,,,standard,block,\n"


def mistake(result, code=2):
    """The only line of an error."""
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("cpx: ")]
    return line


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cap", "-1"), "below 0"),
        (("--cap", "1.0123456789"), "9 behind"),
        (("--cap", "1" * 19), "18 digits"),
        (("--cap", "9", "--deadline", "9999-12-31T23:59:59-05:00"), "--deadline"),
        (("--cap", "9", "--start", "0001-01-01"), "--start"),
    ],
)
def test_numbers_and_times_that_cannot_be(look, words, says):
    assert says in mistake(look("anna", "preview", "8", *NEED, *words))


def test_a_bid_in_one_book_does_not_pass_over_terms_of_a_task(look):
    line = mistake(look("anna", "buy", "4", "--instrument", BOOK, "--cap", "5", "--hours", "3", "--immediate", "--yes"))
    assert "--hours, --immediate" in line
    assert json.loads(look("anna", "orders", "--json").stdout)["items"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--daily", "00-08=0"), "offers nothing"),
        (("--daily", "00-08=5", "--from", "10:00", "--to", "12:00"), "offers nothing in this window"),
        (("--price", "5", "--from", "02:30", "--to", "04:00"), "02:00 and 03:00"),
        (("--price", "5", "--from", "9999-12-31T23:00:00-05:00", "--to", "04:00"), "--from"),
    ],
)
def test_windows_that_cannot_be(look, words, says):
    assert says in mistake(look("zhang", *SALE, *words, "--yes"))


def test_hours_from_now_on_are_the_next_that_start_and_the_plan_says_the_price(look):
    plan = look("zhang", *SALE, "--from", "+2h", "--to", "+4h", "--price", "5.10")
    assert plan.exit_code == 2 and "11-24 03:00" in plan.stdout and "11-24 05:00" in plan.stdout, plan.output
    assert "5.10 yuan per card-hour" in plan.stdout and "81.60" in plan.stdout
    standing = look("zhang", *SALE, "--standing", "--price", "5.10")
    assert "5.10 yuan per card-hour" in standing.stdout
    some = look("zhang", *SALE, "--daily", "00-02=0,02-04=5", "--from", "02:00", "--to", "04:00")
    assert "80.00" in some.stdout, some.output
    lane = look("anna", "lane", "+1h", "--access", "hubei-wuhan", "--chip", "A910B")
    assert lane.exit_code == 0 and "20261123T18" in lane.stdout, lane.output


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", 65, "no task that can be read"),
        (HEADER, 65, "has no task"),
        (HEADER + ROW.replace("8,2", "8,-2"), 65, "no task that can be read"),
        (HEADER + ROW + ROW, 65, "1 task that can be read: --row says which (t-1)"),
    ],
)
def test_a_file_without_the_task(look, tmp_path, text, code, says):
    (tmp_path / "tasks.csv").write_text(text)
    result = look("anna", "preview", "--csv", "tasks.csv")
    assert says in mistake(result, code)
    assert ", : " not in result.stderr
    assert "it is a folder" in mistake(look("anna", "preview", "--csv", "."), 66)


def test_a_file_may_name_as_many_chips_as_the_market_takes(look, tmp_path):
    for count, code in ((64, 65), (65, 65)):
        chips = "|".join(f"X{n}" for n in range(count))
        (tmp_path / "tasks.csv").write_text(HEADER + ROW.replace("A910B", chips))
        result = look("anna", "preview", "--csv", "tasks.csv")
        assert ("at most 64" in result.stderr) == (count > 64), result.output
        assert mistake(result, code)


def test_why_a_bulk_task_waits_is_not_said_as_of_a_block(look):
    day = (*NEED[:4], "--access", "hubei-wuhan", "--cap", "9", "--start", "08:00", "--deadline", "12:00")
    bulk, block = (look("anna", "preview", "8", *day, "--shape", shape).stdout for shape in ("bulk", "block"))
    assert "nothing more is offered in the hours and regions it allows (NO_DEPTH)" in bulk, bulk
    assert "no site has so many cards in every hour (NO_DEPTH)" in block, block
    early = look("anna", "preview", "8", *NEED[:4], "--access", "hubei-wuhan", "--cap", "9", "--deadline", "03:00")
    assert "deadline 2026-11-24T04:00:00+08:00 would do" in early.stdout, early.output


def test_steps_that_have_passed_keep_nobody_from_following_or_amending(cpx, world):
    from clients import Client

    terms = ("--cap", "2", "--lane", "economy", "--steps", "1,+2m=1.5,+10m=2")
    assert cpx("anna", "buy", "8", *NEED, *terms, "--id", "s-1", "--yes").exit_code == 0
    with Client(world[0], world[1][""]) as operator:
        operator.advance_time("2026-11-24T00:35:00+08:00")
    step = {"what": "task", "is_final": False, "row": json.loads(cpx("anna", "tasks", "--json").stdout)["items"][0]}
    with Client(world[0], world[1]["anna"]) as anna:
        step["row"]["terms"] = msgspec.to_builtins(anna.task("s-1").terms)
    with market(world[0], world[1]["anna"], explain=False) as venue:
        why = _reason_now(venue, step, None)
    assert why is not None and why["reason"] == "OVER_BUDGET" and why["relaxations"], why
    fewer = cpx("anna", "amend", "s-1", "--cards", "6", "--yes")
    assert fewer.exit_code == 0 and "s-1: waiting" in fewer.stdout, fewer.output
    assert cpx("anna", "amend", "s-1", "--steps", "none", "--yes").exit_code == 0
    with Client(world[0], world[1]["anna"]) as anna:
        left = anna.task("s-1").terms
    assert left is not None and left.steps == () and left.cards == "6"
