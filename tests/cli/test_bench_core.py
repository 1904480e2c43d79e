"""`cpx bench core` on a tiny flow: it ends well, says everything, and its verdicts are those of its numbers.

No time is asserted.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from typer.testing import CliRunner  # noqa: E402

from exchange.cli import bench_core, bench_core_figures, bootstrap  # noqa: E402
from exchange.cli.main import app  # noqa: E402

pytestmark = pytest.mark.slow  # the benchmark starts programs of its own

ROOT = Path(__file__).resolve().parents[2]
TINY = ("bench", "core", "--count", "1000", "--rounds", "1", "--only", "mixed")
KEYS = {
    "bench", "engine", "machine", "python", "commit", "huge_pages", "command", "count", "rounds", "passes", "seed", "groups",
    "missed",
}  # fmt: skip
ROW_KEYS = {"what", "value", "must", "stretch", "bound", "met", "stretch_met", "note"}

needs_compiler = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler here")


def run(*words):
    """The command line in this process, in lines that are never broken."""
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """(JSON of everything on one flow, the folder of its pictures)."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("plots")
    ended = run(*TINY, "--json", "--plots", folder)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout), folder


def rows_of(result):
    return [row for rows in result["groups"].values() for row in rows]


def verdicts(table, what):
    """The last word of every line that begins so."""
    return [line.split()[-1] for line in table.splitlines() if line.split()[:1] == [what]]


def growth_flow(*sizes):
    spec = importlib.util.spec_from_file_location("cpx_bench_growth", ROOT / "tests" / "bench" / "growth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate(*sizes)


def test_json_has_every_key_and_every_figure(measured):
    result, _ = measured
    assert set(result) == KEYS
    assert list(result["groups"]) == [group.key for group in bench_core.GROUPS]
    assert all(set(row) >= ROW_KEYS for row in rows_of(result))
    for group in bench_core.GROUPS:
        for row in result["groups"][group.key]:
            assert row["value"] is None or {key for key, _ in group.columns} <= set(row), group.key


def test_a_figure_is_there_or_says_why_not(measured):
    result, _ = measured
    assert all((row["value"] is None) == (row["note"] != "" and row["met"] is None) for row in rows_of(result) if row["must"])
    assert [row["what"] for row in result["groups"]["ratio"]] == ["mixed"]


def test_verdicts_are_those_of_the_numbers(measured):
    result, _ = measured
    missed = []
    for key, rows in result["groups"].items():
        for row in rows:
            for goal, verdict in ((row["must"], row["met"]), (row["stretch"], row["stretch_met"])):
                if row["value"] is None or goal is None:
                    assert verdict is None
                else:
                    assert verdict == (row["value"] >= goal if row["bound"] == "at least" else row["value"] <= goal)
            missed += [f"{key}: {row['what']}"] if row["met"] is False else []
    assert result["missed"] == missed


@needs_compiler
def test_a_ratio_is_the_quotient_of_what_stands_beside_it(measured):
    result, _ = measured
    for row in result["groups"]["ratio"] + result["groups"]["plain_pages"]:
        assert row["value"] is None or row["value"] == pytest.approx(row["ns"] / row["floor_ns"], rel=0.01)
    growth = result["groups"]["growth"][0]
    assert growth["value"] == pytest.approx(growth["large_ratio"] / growth["small_ratio"], rel=0.01)
    assert growth["large_commands"] == 10 * growth["small_commands"]


@needs_compiler
def test_the_pictures_are_drawn(measured):
    _, folder = measured
    assert (folder / "core_ratios.png").read_bytes().startswith(b"\x89PNG")


def test_the_tables_are_plain_text_with_a_verdict_in_every_line():
    ended = run(*TINY, "--group", "image", "--group", "book_bytes")
    assert ended.exit_code == 0, ended.output
    assert not [letter for letter in ended.stdout if "\u2500" <= letter <= "\u257f"]  # lines of boxes
    for what in ("idle", "thin", "snapshot", "restore"):
        assert verdicts(ended.stdout, what) in (["met"], ["missed"])
    assert "ns a command over the floor" not in ended.stdout


def test_strict_exits_with_1_where_a_goal_is_missed(monkeypatch):
    words = (*TINY, "--group", "image", "--strict")
    ended = run(*words)
    assert ended.exit_code == 0 and verdicts(ended.stdout, "restore") == ["met"]
    monkeypatch.setattr(bench_core_figures, "IMAGE_S", bench_core_figures.Bar(0))
    ended = run(*words)
    assert ended.exit_code == 1 and verdicts(ended.stdout, "restore") == ["missed"]


def test_a_flow_that_is_not_there_is_named_with_those_that_are():
    ended = run("bench", "core", "--only", "narrow")
    assert ended.exit_code == 2 and "no flow narrow" in ended.stderr and "wide" in ended.stderr


def test_at_most_and_at_least_include_the_goal_itself():
    most, least = bench_core_figures.Bar(2.75, 2.3), bench_core_figures.Bar(5, is_least=True)
    assert [most.is_met(value, most.must) for value in (2.75, 2.76)] == [True, False]
    assert [least.is_met(value, least.must) for value in (5, 4.9)] == [True, False]
    assert least.is_met(6, least.stretch) is None and most.is_met(None, most.must) is None


def test_what_cannot_be_measured_leaves_the_reason_in_its_row():
    def fails():
        raise bench_core_figures.Unmeasured("no compiler")

    row = bench_core_figures._guarded("mixed", bench_core_figures.Bar(1), fails)
    assert (row["value"], row["met"], row["must"], row["note"]) == (None, None, 1, "no compiler")


def test_a_growing_flow_is_the_same_for_a_seed_and_never_names_an_order_that_was_not_made():
    flow = growth_flow(20_000, 7, 200, 2_000)
    assert flow.tobytes() == growth_flow(20_000, 7, 200, 2_000).tobytes() != growth_flow(20_000, 8, 200, 2_000).tobytes()
    made = {}
    for record in flow:
        order_id, whose = int(record["order_id"]), (int(record["book"]), int(record["side"]))
        if record["op"] == 1:
            assert order_id not in made
            made[order_id] = whose
        else:
            assert made[order_id] == whose
    assert set(np.unique(flow["book"])) == set(range(200))


@pytest.mark.parametrize("n_books", [200, 1_000])
def test_a_growing_flow_keeps_about_as_many_orders_as_it_was_asked_for(n_books):
    from matching_core import COMMAND_DTYPE, Engine

    flow = growth_flow(20_000, 7, n_books, 2_000)
    commands = np.zeros(len(flow), COMMAND_DTYPE)
    for name in ("op", "side", "tif", "book", "order_id", "price", "qty"):
        commands[name] = flow[name]
    engine = Engine(len(commands))
    engine.process(commands)
    assert 1_700 <= engine.n_orders <= 2_300


def test_only_bench_core_waits_for_the_peers():
    assert bootstrap.needs_peers(["bench", "core"]) and bootstrap.needs_peers(["bench", "core", "--json"])
    assert not bootstrap.needs_peers(["bench", "core", "--help"])
    assert not bootstrap.needs_peers(["bench", "day"]) and not bootstrap.needs_peers(["bench"])
    assert not bootstrap.needs_peers(["test"]) and not bootstrap.needs_peers([])


@pytest.mark.parametrize("is_installed", [True, False])
def test_without_its_peers_the_benchmark_starts_all_the_same(tmp_path, is_installed):
    place = bootstrap.Place(str(tmp_path))
    python = Path(place.python)
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho \"$@\"\nexit {0 if is_installed else 1}\n")
    python.chmod(0o755)
    text = '[project]\ndependencies = []\noptional-dependencies = { bench = ["orderly-chaos>=1"] }\n'
    (tmp_path / "pyproject.toml").write_text(text)
    want = bootstrap.wanted(place)
    assert bootstrap.peers_are_stale(place, want)
    with open(place.lock, "wb") as lock:
        bootstrap.install_peers(place, bootstrap.Steps(place, lock.fileno()), want)
    assert "orderly-chaos>=1" in Path(place.log).read_text()
    assert bootstrap.peers_are_stale(place, want) == (not is_installed)
