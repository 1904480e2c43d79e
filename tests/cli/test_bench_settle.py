"""`cpx bench settle` on a small market: it ends well, says everything, and its verdicts are those of its numbers.

No time is asserted.
"""

import json

import pytest
from typer.testing import CliRunner

from exchange.cli import bench_settle
from exchange.cli.main import app

pytestmark = pytest.mark.slow  # the benchmark starts programs of its own


def run(*words):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def measured():
    ended = run("bench", "settle", "--trades", "500,1000", "--hours", "6", "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_every_size_is_settled_and_has_its_times(measured):
    assert list(measured["groups"]) == ["pure", "sqlite", "memory"]
    small, large = measured["groups"]["sqlite"]
    assert 500 <= small["trades"] < 600 and 1000 <= large["trades"] < 1100
    for row in (small, large):
        assert row["lines"] >= row["trades"] and row["statement_lines"] > row["lines"]
        parts = sum(row[name] for name in ("domain", "journal", "database", "statements"))
        assert row["value"] == pytest.approx(parts, abs=0.03) and row["wall_s"] >= row["value"] - 0.1
    assert small["to_first"] == 1.0
    assert all(row["value"] > 10 for row in measured["groups"]["memory"])


def test_only_a_million_trades_are_judged_and_the_pure_function_always(measured):
    (pure,) = measured["groups"]["pure"]
    assert pure["must"] == 300_000 and pure["met"] == (pure["value"] >= 300_000)
    assert all(row["met"] is None for key in ("sqlite", "memory") for row in measured["groups"][key])
    assert measured["missed"] == ([] if pure["met"] else [f"pure: {pure['what']}"])


def test_the_goals_are_those_of_the_issue():
    goals = (bench_settle.PURE_PER_S.must, bench_settle.SETTLE_S.must, bench_settle.RSS_MIB.must, bench_settle.LARGE)
    assert goals == (300_000, 180, 1024, 1_000_000)


@pytest.mark.parametrize("sizes", ["many", "10", "1000,", ""])
def test_sizes_that_are_none_are_refused(sizes):
    assert run("bench", "settle", "--trades", sizes).exit_code == 2


def test_a_table_says_what_was_measured():
    ended = run("bench", "settle", "--trades", "200", "--hours", "4")
    assert ended.exit_code == 0, ended.output
    assert "statement lines" in ended.stdout and "SQLite" in ended.stdout and "lines/s" in ended.stdout
