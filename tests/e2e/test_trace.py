"""The public GPU trace and public price lists through the whole exchange; skipped where the data is not."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

PODS = 8152


@pytest.mark.slow
def test_the_whole_trace_is_answered_settled_and_replays_to_the_same_hash(cpx, shared_data, summary_of, tmp_path):
    tasks = shared_data / "data" / "tasks" / "openb_pod_list_gpuspec33.csv"
    offers = shared_data / "data" / "catalog"
    for path in (tasks, offers):
        if not path.exists():
            pytest.skip(f"{path.name} is not among the shared data")
    out = tmp_path / "trace"
    done = cpx("replay", "--tasks", tasks, "--offers", offers, "--out", out)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = summary_of(out)
    assert summary["source_tasks"] == PODS
    assert summary["filled"] + summary["partly"] + summary["unfilled"] == summary["tasks"] >= PODS
    assert summary["source_filled"] + summary["source_unfilled"] == PODS
    assert summary["ledger_sum"] == 0
    assert 0.3 < summary["filled"] / summary["tasks"] < 0.95  # neither empty nor flooded
    verdict = json.loads(cpx("verify", out, "--json").stdout)
    assert verdict["exit_code"] == 0 and verdict["state_hash"] == summary["state_hash"]
    _check_budgets(out, tasks)
    checker = Path(sys.executable).parent / "bean-check"
    if checker.exists():
        done = subprocess.run([checker, "--no-cache", out / "ledger.beancount"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:2000]


def _check_budgets(out, tasks):
    """No task's trades and data moving come to more than its budget."""
    from exchange.domain.money import task_budget
    from exchange.domain.units import parse_micro
    from exchange.replay.files import FileOptions, market_day_from_files

    day, _ = market_day_from_files(tasks, sorted((tasks.parents[1] / "catalog").iterdir()), FileOptions(seed=1))
    budgets = {
        row.command.task.client_order_id: task_budget(row.command.task, day.settings)
        for row in day.rows
        if hasattr(row.command, "task")
    }
    spent: dict[str, int] = {}
    with (out / "trades.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            spent[row["task"]] = spent.get(row["task"], 0) + parse_micro(row["cost"])
    assert spent
    assert [name for name, cost in spent.items() if cost > budgets[name]] == []
