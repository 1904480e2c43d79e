"""The public GPU trace and public price lists through the whole exchange; skipped where the data is not."""

import csv
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

PODS = 8152
SAMPLE = 500  # of them, in the order of the file


@pytest.mark.parametrize("pods", [pytest.param(SAMPLE, marks=pytest.mark.slow), pytest.param(PODS, marks=pytest.mark.soak)])
def test_the_trace_is_answered_settled_and_replays_to_the_same_hash(cpx, shared_data, summary_of, tmp_path, pods):
    offers = shared_data / "data" / "catalog"
    whole = shared_data / "data" / "tasks" / "openb_pod_list_gpuspec33.csv"
    for path in (whole, offers):
        if not path.exists():
            pytest.skip(f"{path.name} is not among the shared data")
    tasks = tmp_path / whole.name
    with whole.open(encoding="utf-8") as file:
        tasks.write_text("".join(islice(file, 1 + pods)), encoding="utf-8")
    out = tmp_path / "trace"
    done = cpx("replay", "--tasks", tasks, "--offers", offers, "--out", out, "--rivals")
    assert done.returncode == 0, done.stderr[-2000:]
    summary = summary_of(out)
    assert summary["source_tasks"] == pods
    assert summary["filled"] + summary["partly"] + summary["unfilled"] == summary["tasks"] >= pods
    assert summary["source_filled"] + summary["source_unfilled"] == pods
    assert summary["ledger_sum"] == 0
    assert 0.3 < summary["filled"] / summary["tasks"] < 0.95  # neither empty nor flooded
    verdict = json.loads(cpx("verify", out, "--json").stdout)
    assert verdict["exit_code"] == 0 and verdict["state_hash"] == summary["state_hash"]
    assert [row["way"] for row in summary["rivals"]] == ["exchange", "nearest", "cheapest_hour"]
    assert summary["rivals"][0]["filled"] == summary["filled"]
    _check_budgets(out, tasks, offers)
    checker = Path(sys.executable).parent / "bean-check"
    if checker.exists():
        done = subprocess.run([checker, "--no-cache", out / "ledger.beancount"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:2000]


def _check_budgets(out, tasks, offers):
    """No task's trades and data moving come to more than its budget."""
    from exchange.domain.money import task_budget
    from exchange.domain.units import parse_micro
    from exchange.replay.files import FileOptions, market_day_from_files

    day, _ = market_day_from_files(tasks, sorted(offers.iterdir()), FileOptions(seed=1))
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
