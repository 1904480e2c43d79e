"""For the tests of exporters: small days from the tests of read models, one of them exported once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "projections"))

from small_days import Day, full_day  # noqa: E402

from exchange.adapters.exporters import export_all  # noqa: E402


@pytest.fixture(scope="session")
def day() -> Day:
    """A full day; tests only read it."""
    return full_day()


@pytest.fixture(scope="session")
def run_folder(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full day as a run folder, summary included; tests only read it."""
    folder = tmp_path_factory.mktemp("run")
    export_all(day.projections, folder, day.balances())
    summary = {
        "schema": 1,
        "name": "small",
        "tasks": 10,
        "trades": len(day.trades()),
        "notes": ["[bold]a note"],
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder
