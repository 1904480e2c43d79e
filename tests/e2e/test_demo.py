"""The main job as a stranger runs it."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # whole days

NAMES = ("trades.csv", "prices.csv", "unfilled.csv", "settlement.csv", "ledger.beancount", "summary.json")


def test_the_demo_leaves_prices_statements_and_a_ledger_that_sums_to_zero(small_demo, summary_of):
    summary = summary_of(small_demo)
    assert summary["ledger_sum"] == 0
    assert summary["tasks"] == 300 == summary["filled"] + summary["partly"] + summary["unfilled"]
    assert summary["unfilled"] == sum(summary["unfilled_by_reason"].values())
    assert summary["filled"] > 100 and summary["trades"] >= summary["filled"]
    for name in NAMES:
        assert (small_demo / name).stat().st_size > 0, name
    assert list((small_demo / "statements").rglob("*.csv"))


def test_no_buyer_pays_above_the_budget_of_his_task(small_demo):
    from exchange.domain.money import task_budget
    from exchange.replay.scenario import market_day

    day = market_day(1, 300)
    tasks = {row.command.task.client_order_id: row.command.task for row in day.rows if hasattr(row.command, "task")}
    spent: dict[str, int] = {}
    with (small_demo / "trades.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            whole, _, rest = row["cost"].partition(".")
            spent[row["task"]] = spent.get(row["task"], 0) + int(whole) * 10**6 + int(rest.ljust(6, "0"))
    assert spent
    for name, cost in spent.items():
        assert cost <= task_budget(tasks[name], day.settings), name


@pytest.mark.slow
@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_machine_hashes(cpx, small_demo, summary_of, tmp_path):
    env = {"PYTHONHASHSEED": "4711", "TZ": "America/New_York", "LC_ALL": "C"}
    done = cpx("demo", "--out", tmp_path / "again", "--tasks", 300, env=env)
    assert done.returncode == 0, done.stderr
    for name in NAMES[:-1]:
        assert (tmp_path / "again" / name).read_bytes() == (small_demo / name).read_bytes(), name
    assert summary_of(tmp_path / "again")["state_hash"] == summary_of(small_demo)["state_hash"]


@pytest.mark.slow
def test_another_seed_is_another_day(cpx, small_demo, summary_of, tmp_path):
    assert cpx("demo", "--out", tmp_path / "other", "--tasks", 300, "--seed", 2).returncode == 0
    assert summary_of(tmp_path / "other")["state_hash"] != summary_of(small_demo)["state_hash"]


@pytest.mark.slow
def test_the_reference_engine_gives_the_same_trades_and_hash(cpx, small_demo, summary_of, tmp_path):
    done = cpx("demo", "--out", tmp_path / "reference", "--tasks", 300, "--engine", "reference")
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "reference")["engine"] == "reference"
    assert summary_of(tmp_path / "reference")["state_hash"] == summary_of(small_demo)["state_hash"]
    assert (tmp_path / "reference" / "trades.csv").read_bytes() == (small_demo / "trades.csv").read_bytes()


def test_verify_replays_the_demo_to_the_same_hash(cpx, small_demo, summary_of):
    done = cpx("verify", small_demo, "--json")
    verdict = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert verdict["state_hash"] == summary_of(small_demo)["state_hash"]
    assert verdict["is_summary_equal"] is True and verdict["snapshots_equal"] >= 1


@pytest.mark.slow
def test_verify_names_the_place_when_one_byte_in_the_middle_is_flipped(cpx, small_demo, tmp_path):
    shutil.copytree(small_demo, tmp_path / "damaged")
    (segment,) = (tmp_path / "damaged" / "journal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    done = cpx("verify", tmp_path / "damaged")
    assert done.returncode == 78
    assert "seq" in done.stdout and "bytes" in done.stdout and "00000000000000000001.wal" in done.stdout


@pytest.mark.slow
def test_bean_check_accepts_the_ledger_of_the_demo(small_demo):
    checker = Path(sys.executable).parent / "bean-check"
    if not checker.exists():
        pytest.skip("bean-check is not installed: it comes with ./cpx test")
    done = subprocess.run([checker, "--no-cache", small_demo / "ledger.beancount"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


def test_the_report_reads_a_finished_run(cpx, small_demo):
    done = cpx("report", small_demo)
    assert done.returncode == 0, done.stderr
    assert "filled" in done.stdout.lower()
    assert "\x1b[" not in done.stdout  # plain text where it is no terminal


@pytest.mark.slow
def test_a_second_demo_into_the_same_folder_is_refused_with_a_way_out(cpx, small_demo):
    before = (small_demo / "trades.csv").read_bytes()
    done = cpx("demo", "--out", small_demo, "--tasks", 300)
    assert done.returncode == 73
    assert "--resume" in done.stderr and "--force" in done.stderr
    assert (small_demo / "trades.csv").read_bytes() == before


@pytest.mark.slow
def test_resuming_with_another_seed_is_refused_and_changes_nothing(cpx, small_demo, tmp_path):
    shutil.copytree(small_demo, tmp_path / "copy")
    done = cpx("demo", "--out", tmp_path / "copy", "--tasks", 300, "--seed", 9, "--resume")
    assert done.returncode == 65 and "seed" in done.stderr
    assert cpx("verify", tmp_path / "copy").returncode == 0


@pytest.mark.slow
@pytest.mark.slow
def test_json_is_one_object_on_stdout_and_nothing_else(cpx, tmp_path):
    done = cpx("demo", "--out", tmp_path / "out", "--tasks", 20, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["tasks"] == 20
