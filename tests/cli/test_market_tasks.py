"""Tasks and offers of every kind from the command line: rows of files, patterns of days, following, amending, looking."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

pytestmark = pytest.mark.slow  # a live exchange, or a market day

NEED = ("--chip", "A910B", "--hours", "2", "--deadline", "08:00", "--access", "hubei-wuhan")
TASKS = """task_id,submit_time,account,access_region,max_latency_ms,chips,cards,hours,earliest_start,deadline,price_cap,\
data_gb,data_region,lane,shape,min_green
t-1,2026-11-24T00:30:00+08:00,whoever,hubei-wuhan,40,A910B|H800,8,2,,2026-11-24T08:00:00+08:00,9.00,,,standard,block,
t-2,2026-11-24T00:30:00+08:00,whoever,hubei-wuhan,40,A910B,8,2,,2026-11-24T08:00:00+08:00,1.00,,,economy,bulk,
"""
OFFERS = """offer_id,submit_time,account,site,chip,region,latency_class,power,cards,start,end,price,min_cards,min_hours
o-1,2026-11-24T00:30:00+08:00,who,qy-1,A910B,gansu-qingyang,L10,grid,8,2026-11-24T08:00:00+08:00,2026-11-24T12:00:00+08:00,5,,
o-2,2026-11-24T00:30:00+08:00,who,qy-1,A910B,gansu-qingyang,L10,grid,8,2026-11-24T08:00:00+08:00,2026-11-24T12:00:00+08:00,4,4,2
"""


def said(result, code=0):
    """The only line of an error."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("cpx: ")]
    assert len(lines) == (code != 0), result.stderr
    return lines[-1] if lines else ""


def answer(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- buying ---


def test_a_row_of_a_file_is_bought_under_its_own_id(cpx, tmp_path):
    (tmp_path / "tasks.csv").write_text(TASKS)
    assert "t-1, t-2" in said(cpx("anna", "buy", "--csv", "tasks.csv", "--yes"), 66)
    assert "'t-9'" in said(cpx("anna", "buy", "--csv", "tasks.csv", "--row", "t-9", "--yes"), 66)
    assert "CARDS" in said(cpx("anna", "buy", "4", "--csv", "tasks.csv", "--row", "t-1", "--yes"), 2)
    assert "--csv" in said(cpx("anna", "buy", "--row", "t-1", "--yes"), 2)
    assert "cannot be read" in said(cpx("anna", "preview", "--csv", "no.csv"), 66)
    quote = answer(cpx("anna", "preview", "--csv", "tasks.csv", "--row", "t-1", "--json"))["quote"]
    bought = cpx("anna", "buy", "--csv", "tasks.csv", "--row", "t-1", "--yes")
    assert bought.exit_code == 0 and "t-1: filled" in bought.stdout, bought.output
    assert re.search(r"qy-1 +A910B/\S+T18 +2 +8 +83.20", bought.stdout), bought.stdout
    assert f"paid: {quote['compute']} + 0.416 fee yuan" in bought.stdout
    again = answer(cpx("anna", "buy", "--csv", "tasks.csv", "--row", "t-1", "--yes", "--json"))
    assert again["ack"]["replayed"]
    waits = cpx("anna", "buy", "--csv", "tasks.csv", "--row", "t-2", "--yes")
    assert "t-2: waiting" in waits.stdout and "OVER_BUDGET" in waits.stdout and "would do" in waits.stdout
    assert "next: ./cpx follow t-2 --explain" in waits.stderr


def test_shapes_and_limits_are_said_as_options(cpx):
    split = answer(cpx("anna", "preview", "8", *NEED, "--cap", "9", "--shape", "split", "--min-run", "1", "--json"))
    assert split["quote"]["fills"] and len(split["quote"]["parts"]) == 1
    power = ("--pflops-hours", "5.12", "--budget", "200")
    assert answer(cpx("anna", "preview", *NEED, *power, "--json"))["quote"]["cards"] == "8.2"
    assert "one of them" in said(cpx("anna", "preview", "8", *NEED, *power), 2)
    assert "no time" in said(cpx("anna", "preview", "8", *NEED, "--cap", "9", "--lane", "economy", "--steps", "+1h=5"), 2)
    steps = ("--cap", "9", "--lane", "economy", "--steps", "4,+1h=9")
    plan = cpx("anna", "buy", "8", *NEED, *steps, "--yes", "--id", "e-1")
    assert "e-1: waiting" in plan.stdout, plan.output
    assert re.search(r"--steps 4,2026-11-24T01:30:00\+08:00=9", plan.stderr), "typed again it is the same moment"
    now = cpx("anna", "buy", "8", *NEED, "--cap", "1", "--immediate", "--yes", "--id", "n-1")
    assert "n-1: canceled" in now.stdout and "OVER_BUDGET" in now.stdout


def test_a_bid_or_better(cpx):
    book = "A910B/gansu-qingyang/L10/grid/20261123T18"
    bid = cpx("anna", "buy", "4", "--instrument", book, "--cap", "5.20", "--or-better", "--id", "b-1", "--yes")
    assert "b-1: filled" in bid.stdout and "or better" in bid.stdout, bid.output
    assert "--instrument" in said(cpx("anna", "buy", "4", *NEED, "--cap", "9", "--or-better"), 2)


def test_new_terms_for_a_task_that_waits(cpx):
    assert cpx("anna", "buy", "8", *NEED, "--cap", "4", "--yes", "--id", "a-1").exit_code == 0
    assert "say what" in said(cpx("anna", "amend", "a-1"), 2)
    assert "--yes" in said(cpx("anna", "amend", "a-1", "--cap", "4.10"), 2)
    lower = answer(cpx("anna", "amend", "a-1", "--cap", "3.90", "--yes", "--json"))
    assert lower["ack"]["status"] == "WAITING" and lower["changes"] == {"price_cap": "3.90"}
    done = cpx("anna", "amend", "a-1", "--cap", "5.20", "--cards", "4", "--yes")
    assert "a-1: filled" in done.stdout and "price_cap: 3.90 -> 5.20" in done.stderr, done.output
    assert "not wait" in said(cpx("anna", "amend", "a-1", "--cap", "6", "--yes"), 66)
    assert said(cpx("anna", "amend", "nothing", "--cap", "6", "--yes"), 66)


# --- following ---


def test_a_task_is_followed_until_it_is_filled_with_its_reasons(cpx, world, tmp_path):
    assert cpx("anna", "buy", "8", *NEED, "--cap", "5.00", "--yes", "--id", "f-1").exit_code == 0

    def sell_later():
        time.sleep(2)
        sale = ("--site", "qy-1", "--chip", "A910B", "--class", "L10", "--from", "02:00", "--to", "06:00", "--price", "4.90")
        sold.append(cpx("zhang", "sell", "8", *sale, "--yes"))
        from clients import Client

        with Client(world[0], world[1][""]) as operator:
            operator.advance_time("2026-11-24T00:31:00+08:00")

    sold: list = []
    thread = threading.Thread(target=sell_later)
    thread.start()
    followed = cpx("anna", "follow", "f-1", "--explain")
    thread.join()
    assert followed.exit_code == 0, followed.output
    lines = followed.stdout.splitlines()
    assert "waiting: 0 of 16 card-hours" in lines[0] and "OVER_BUDGET" in followed.stdout and "would do" in followed.stdout
    assert re.search(r"filled: 16 of 16 card-hours for 78.40 yuan \+ 0.392 fee, from A910B/", lines[-1]), lines
    assert "\x1b[" not in followed.stdout
    told = [json.loads(line) for line in cpx("anna", "follow", "f-1", "--json").stdout.splitlines()]
    (last,) = told
    assert (last["kind"], last["status"], last["filled"], last["is_final"]) == ("follow", "filled", "16", True)


def test_what_ends_unfilled_is_told_and_has_a_code(cpx):
    assert cpx("anna", "buy", "8", *NEED, "--cap", "1", "--yes", "--id", "f-2").exit_code == 0
    assert cpx("anna", "cancel", "f-2").exit_code == 0
    followed = cpx("anna", "follow", "f-2", "--json")
    assert followed.exit_code == 1
    (line,) = followed.stdout.splitlines()
    assert json.loads(line)["row"]["ending"] == "canceled"
    assert "nothing-such" in said(cpx("anna", "follow", "nothing-such"), 66)


# --- selling ---


def test_offers_of_a_file_are_made_together_or_one_by_one(cpx, tmp_path):
    (tmp_path / "offers.csv").write_text(OFFERS)
    plan = cpx("zhang", "sell", "--csv", "offers.csv")
    assert plan.exit_code == 2 and "plan: 2 offers" in plan.stdout and "288.00" in plan.stdout, plan.output
    assert "--price" in said(cpx("zhang", "sell", "--csv", "offers.csv", "--price", "5", "--yes"), 2)
    assert "o-1, o-2" in said(cpx("zhang", "sell", "--csv", "offers.csv", "--row", "o-9", "--yes"), 66)
    one = answer(cpx("zhang", "sell", "--csv", "offers.csv", "--row", "o-2", "--yes", "--json"))
    assert [item["offer_id"] for item in one["items"]] == ["o-2"]
    both = cpx("zhang", "sell", "--csv", "offers.csv", "--yes")
    assert "o-1: accepted" in both.stdout and "o-2: accepted (the answer of the first time" in both.stdout
    rows = answer(cpx("zhang", "offers", "--json"))["items"]
    assert {(row["offer_id"], row["is_block"]) for row in rows} >= {("o-1", False), ("o-2", True)}
    (tmp_path / "bad.csv").write_text(OFFERS.replace("qy-1,A910B", "qy-1,A910B", 1).replace(",5,,", ",5.001,,"))
    assert "nothing was offered" in said(cpx("zhang", "sell", "--csv", "bad.csv", "--yes"), 65)


def test_a_daily_pattern_stands_until_it_is_withdrawn(cpx, world):
    from clients import Client

    with Client(world[0], world[1][""]) as operator:
        operator.attest_capacity("qy-1", chip="A910B", cards=256, start="2026-11-24T01:00:00+08:00", end="2026-12-09T00:00:00Z")
    sale = ("--site", "qy-1", "--chip", "A910B", "--class", "L10")
    pattern = ("--daily", "08-10=6.20,22-01=7.00")
    plan = cpx("zhang", "sell", "8", *sale, *pattern)
    assert "until you withdraw it" in plan.stdout and "6.20 to 7.00" in plan.stdout and "5 hours of the day" in plan.stdout
    assert answer(cpx("zhang", "sell", "8", *sale, *pattern, "--id", "d-1", "--yes", "--json"))["items"]
    book = answer(cpx("anna", "book", "A910B/gansu-qingyang/L10/grid/20261124T00", "--json"))["book"]
    assert ["6.20", "8"] in book["asks"], "8 in Shanghai"
    book = answer(cpx("anna", "book", "A910B/gansu-qingyang/L10/grid/20261124T16", "--json"))["book"]
    assert ["7.00", "8"] in book["asks"], "midnight in Shanghai"
    assert cpx("zhang", "cancel", "d-1").exit_code == 0
    for words, told in (
        (("--daily", "08-10"), "write hours"), (("--daily", "08-10=5,09-11=6"), "already"), (("--daily", "8-25=5"), "00 to 24"),
        ((*pattern, "--price", "5"), "one way"), (("--standing",), "one way"), (("--price", "5"), "--standing"),
        (("--standing", "--price", "5", "--to", "08:00"), "no end"), (("--base", "2", "--price", "5"), "--watts"),
    ):  # fmt: skip
        assert told in said(cpx("zhang", "sell", "8", *sale, *words, "--yes"), 2), words


def test_a_daily_pattern_over_a_window_is_one_offer_a_stretch(cpx):
    sale = ("--site", "qy-1", "--chip", "A910B", "--class", "L10", "--from", "08:00", "--to", "2026-11-25T12:00:00+08:00")
    made = answer(cpx("zhang", "sell", "8", *sale, "--daily", "08-09=6.20,09-10=6.40", "--id", "w", "--yes", "--json"))
    assert [item["offer_id"] for item in made["items"]] == ["w", "w.2"]
    rows = {row["offer_id"]: row for row in answer(cpx("zhang", "offers", "--json"))["items"]}
    assert rows["w"]["periods"] == rows["w.2"]["periods"] == 2


def test_a_standing_offer_that_follows_power_and_stays_for_emergencies(cpx, world):
    sale = ("--site", "qy-1", "--chip", "A910B", "--class", "L10", "--standing", "--base", "2.00", "--watts", "400")
    plan = cpx("zhang", "sell", "8", *sale, "--standby", "--id", "p-1", "--yes")
    assert plan.exit_code == 0, plan.output
    assert "2.00 + 400 W x the region's power price" in plan.stdout and "standby" in plan.stdout
    from clients import Client

    with Client(world[0], world[1][""]) as operator:
        operator.set_power_prices("gansu-qingyang", start="2026-11-24T08:00:00+08:00", prices=["0.50"])
    book = answer(cpx("anna", "book", "A910B/gansu-qingyang/L10/grid/20261124T00", "--json"))["book"]
    assert ["2.20", "8"] in book["asks"]


# --- looking ---


def test_a_lane_and_the_demand(look):
    lane = look("anna", "lane", "02:00", "--access", "hubei-wuhan", "--chip", "A910B,H800", "--latency", "40")
    assert lane.exit_code == 0 and re.search(r"5\.20 +64 +64 +A910B/\S+T18 +book", lane.stdout), lane.output
    assert "next: ./cpx buy 64 --instrument" in lane.stderr and "--or-better" in lane.stderr
    told = answer(look("anna", "lane", "02:00", "--access", "hubei-wuhan", "--chip", "A910B", "--json"))["lane"]
    assert told["items"][0]["total_cards"] == "64" and told["topic"].startswith("hubei-wuhan/any/A910B/any/")
    nothing = look("anna", "lane", "--access", "hubei-wuhan", "--chip", "H800")
    assert nothing.exit_code == 0 and "nobody offers" in nothing.stderr
    assert said(look("anna", "lane", "02:30", "--access", "hubei-wuhan", "--chip", "H800"), 2)
    demand = look("anna", "demand")
    assert demand.exit_code == 0 and "less than three firms" in demand.stderr
    assert answer(look("anna", "demand", "--json"))["demand"]["items"] == []
