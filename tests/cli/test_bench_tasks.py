"""`cpx bench tasks` with a handful of tasks: it ends well, says everything, and its verdicts are those of its numbers.

No time is asserted.
"""

import json

import pytest

np = pytest.importorskip("numpy")

from typer.testing import CliRunner  # noqa: E402

import matching_core  # noqa: E402
from exchange.cli import bench_tasks  # noqa: E402
from exchange.cli.main import app  # noqa: E402

pytestmark = pytest.mark.slow  # the benchmark starts programs of its own

needs_compiled = pytest.mark.skipif(matching_core.IMPLEMENTATION != "compiled", reason="minutes on the reference engine")


def run(*words):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def measured():
    ended = run("bench", "tasks", "--count", "20", "--group", "block", "--group", "drain", "--group", "storm", "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


@needs_compiled
def test_every_figure_is_there_with_its_verdict(measured):
    assert list(measured["groups"]) == ["block", "drain", "storm"]
    rows = [row for rows in measured["groups"].values() for row in rows]
    assert all(row["value"] is not None for row in rows), rows
    judged = [row for row in rows if row["must"] is not None]
    assert {row["must"] for row in judged} == {50, 200, 1000, 0.05}
    assert all(row["met"] == (row["value"] <= row["must"]) for row in judged)
    assert measured["missed"] == [f"{key}: {row['what']}" for key, found in measured["groups"].items() for row in found
                                  if row["met"] is False]  # fmt: skip


@needs_compiled
def test_tasks_of_the_bench_are_filled_and_drains_wake_without_a_fill(measured):
    first = measured["groups"]["block"][0]
    assert first["note"] == "20 of 20 filled"
    assert first["floor_ratio"] > 1


def test_an_unknown_figure_is_refused_with_those_there_are():
    ended = run("bench", "tasks", "--group", "nothing")
    assert ended.exit_code == 2
    assert "block" in ended.output and "storm" in ended.output


def test_the_goals_are_those_of_the_design():
    assert (bench_tasks.BLOCK_P50_US.must, bench_tasks.BLOCK_P99_US.must, bench_tasks.DRAIN_US.must) == (50, 200, 1000)
    assert (bench_tasks.UNRELATED.must, bench_tasks.STORM_SHARE.must, bench_tasks.WAITING_BYTES.must) == (1.1, 0.05, 400)
