"""Statements at the door: every line leads somewhere, days hang together by hashes, a confirmation outlives kill -9."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from world import INSTRUMENT, offer, running_world, task

from exchange.protocol.requests_statements import FORMATS
from exchange.protocol.statement_hash import statement_hash

DAY, NEXT = "2026-11-24", "2026-11-25"
TYPES = {
    "json": "application/json", "csv": "text/csv", "parquet": "application/vnd.apache.parquet", "html": "text/html",
    "pdf": "application/pdf", "focus-csv": "text/csv", "focus-parquet": "application/vnd.apache.parquet",
    "beancount": "text/plain", "camt053": "application/xml", "invoice": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A day on which four hours were bought and delivered, and the day after it, at noon."""
    with running_world(tmp_path_factory.mktemp("statements") / "data") as made:
        made.do("place_offer", "seller", offer("sold"))
        assert made.do("submit_task", "buyer", task("bought"))["status"] == "FILLED"
        made.do("set_fix", "", instrument=INSTRUMENT, price="5.10", grade="A", inputs_hash="00ff")
        owed = made.do("obligations", "buyer")["items"]
        for due in sorted(owed, key=lambda each: each["period_start"]):
            start = due["period_start"]
            made.do("advance_time", to=start.replace(":00:00", ":59:00"))
            made.do("submit_reading", "seller", obligation_id=due["obligation_id"], number=1, delivered_cards=due["cards"])
        made.do("advance_time", to="2026-11-24T23:00:00+08:00")
        made.do("advance_time", to="2026-11-25T12:00:00+08:00")
        made.do("deposit", participant="buyer", amount="0.000001", reference="a grain")
        yield made


def day_of(world, day=DAY, who="buyer"):
    return world.do("statement", who, day=day)


def fetch(world, format, who="buyer", **more):
    return world.ask("statement_file", who, day=DAY, format=format, **more)


def test_every_line_of_an_obligation_leads_to_its_trade_readings_and_fix(world):
    lines = [line for line in day_of(world)["lines"] if line["obligation_id"]]
    assert len(lines) > 4
    seen_fix = False
    for line in lines:
        found = world.do("statement_line", "buyer", day=DAY, line_id=line["line_id"])
        trade = found["trade"]
        assert trade["trade_id"] == line["trade_id"] and trade["instrument"] == line["instrument"]
        assert (trade["buyer"], trade["seller"]) == ("buyer", "seller")
        assert [each["number"] for each in found["readings"]] == [1] and found["line"] == line
        seen_fix = seen_fix or bool(found["fix"] and found["fix"]["inputs_hash"] == "00ff")
    assert seen_fix
    public = {trade["trade_id"] for trade in world.do("trades", "other")["items"]}
    assert {line["trade_id"] for line in lines} <= public


def test_a_line_that_is_somebody_elses_is_not_there(world):
    line = next(line for line in day_of(world)["lines"] if line["kind"] == "deposit")
    assert world.do("statement_line", "buyer", day=DAY, line_id=line["line_id"])["trade"] is None
    assert world.ask("statement_line", "other", day=DAY, line_id=line["line_id"]).reason == "NOT_FOUND"
    assert world.ask("statement_line", "buyer", day=DAY, line_id="999999-0").reason == "NOT_FOUND"


@pytest.mark.parametrize("who", ("buyer", "seller"))
def test_the_hash_is_made_from_what_the_statement_says_and_covers_the_day_before(world, who):
    first = day_of(world, who=who)
    assert first["previous_hash"] == "" and statement_hash(first, "") == first["hash"]
    changed = json.loads(json.dumps(first))
    changed["lines"][0]["amount"] += "1"
    assert statement_hash(changed, "") != first["hash"] != statement_hash(first, first["hash"])
    rows = world.do("statement_days", who)["items"]
    assert [row["hash"] for row in rows] == [first["hash"]], "the day after is not over"
    assert day_of(world, NEXT)["hash"] == "" and day_of(world, NEXT)["lines"]


def test_what_is_not_over_quiet_or_other_than_shown_is_not_confirmed(world):
    good = day_of(world)["hash"]
    quiet, wrong = ("2026-11-20", good, "STATEMENT_EMPTY"), (DAY, "0" * 64, "STATEMENT_HASH")
    for day, hash, limit in ((NEXT, good, "STATEMENT_NOT_FINAL"), quiet, wrong):
        answer = world.ask("confirm_statement", "buyer", day=day, hash=hash)
        assert (answer.status, answer.reason, answer.data["limit"]) == (422, "REFUSED", limit)
    assert world.ask("confirm_statement", "other", day=DAY, hash=good, participant="buyer").reason == "NOT_FOUND"
    assert day_of(world)["confirmed"] is None and world.do("confirmations")["items"] == []


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_comes_with_its_type_and_name(world, format):
    answer = fetch(world, format, language="zh" if format in ("html", "pdf") else "en")
    assert answer.status == 200 and answer.headers["content-type"].partition(";")[0] == TYPES[format], answer
    assert f"statement-buyer-{DAY}" in answer.headers["content-disposition"] and len(answer.body) > 200
    told = fetch(world, format, headers={"accept": "application/json"}) if format != "pdf" else None
    assert told is None or told.data["content_type"] == answer.headers["content-type"]


def test_the_lines_of_the_csv_are_those_of_the_statement(world):
    shown = day_of(world)
    rows = list(csv.DictReader(io.StringIO(fetch(world, "csv").body.decode())))
    assert [row["amount"] for row in rows[1:-1]] == [line["amount"] for line in shown["lines"]]
    assert (rows[0]["amount"], rows[-1]["amount"]) == (shown["opening"]["total"], shown["closing"]["total"])
    total = sum(Decimal(row["amount"]) for row in rows[1:-1])
    assert Decimal(rows[0]["amount"]) + total == Decimal(rows[-1]["amount"])


def test_a_format_or_language_that_is_none_is_a_typed_mistake(world):
    assert fetch(world, "docx").data["field"] == "format"
    assert fetch(world, "html", language="fr").data["field"] == "language"
    assert fetch(world, "invoice", tax="-6").reason == "INVALID_FIELD"
    assert world.ask("statement_file", "other", day=DAY, format="csv", participant="buyer").reason == "NOT_FOUND"


def test_the_page_is_whole_in_itself_and_runs_nothing(world):
    page = fetch(world, "html", language="zh").body.decode()
    assert "对账单" in page and "算力费用" in page and 'lang="zh"' in page
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_a_confirmation_outlives_kill_9_and_the_chain_goes_on(world):
    hash = day_of(world)["hash"]
    made = world.do("confirm_statement", "buyer", day=DAY, hash=hash)
    assert made["confirmed"] and world.do("confirm_statement", "buyer", day=DAY, hash=hash) == made, "again changes nothing"
    world.server.kill()
    world.server.start()
    assert day_of(world)["confirmed"] == made["confirmed"]
    assert world.do("confirmations")["items"] == [made]
    world.do("advance_time", to="2026-11-26T12:00:00+08:00")
    second = day_of(world, NEXT)
    assert second["previous_hash"] == hash and statement_hash(second, hash) == second["hash"] != hash
    assert [row["day"] for row in world.do("statement_days", "buyer")["items"]] == [DAY, NEXT]
    page = world.do("statement_days", "buyer", limit=1)
    assert [row["day"] for row in page["items"]] == [DAY] and page["next_cursor"]
    more = world.do("statement_days", "buyer", limit=1, cursor=page["next_cursor"])
    assert [row["day"] for row in more["items"]] == [NEXT]


GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "statements.md"


def test_the_examples_of_the_guide_run_as_they_stand(world, tmp_path):
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 5
    command = tmp_path / "cpx"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m exchange.cli "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "CPX_URL": world.server.url, "CPX_KEY": world.keys["buyer"], "PYTHONPATH": str(GUIDE.parents[2])}
    for block in blocks:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
    left = {path.name for path in tmp_path.iterdir()}
    stem = f"statement-buyer-{DAY}"
    endings = (".json", ".html", ".pdf", ".xlsx", ".parquet", "-focus.csv", "-camt053.xml")
    assert {f"{stem}{ending}" for ending in endings} | {"statement.csv", "invoice.csv"} <= left
    kept = tmp_path / f"{stem}.json"
    kept.write_text(kept.read_text().replace('"kind":"payout"', '"kind":"gift"', 1))
    check = [str(command), "statement", "--verify", "--folder", str(tmp_path)]
    done = subprocess.run(check, env=env, capture_output=True, text=True)
    assert done.returncode == 65 and "does not give its hash" in done.stderr
