"""Runs the command line as a user does: a process of its own, its exit code, what it prints, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _environment(**more):
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return keep | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | more


def _hear_ctrl_c():
    """A test run in the background ignores SIGINT, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def cpx():
    """cpx("demo", "--out", folder, …) -> CompletedProcess with text output; env=… adds to the environment."""

    def run(*args, env=None, timeout=900):
        command = [sys.executable, "-m", "exchange.cli", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, env=_environment(**(env or {})), timeout=timeout)

    return run


@pytest.fixture(scope="session")
def start_cpx():
    """Like cpx, but gives the running process."""

    def start(*args, env=None):
        command = [sys.executable, "-m", "exchange.cli", *map(str, args)]
        return subprocess.Popen(
            command, env=_environment(**(env or {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_hear_ctrl_c
        )  # fmt: skip

    return start


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """As cpx, but inside this process and in an empty folder: for what needs no process of its own."""
    from typer.testing import CliRunner

    from exchange.cli.main import app

    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"COLUMNS": "120"})
    return lambda *args: runner.invoke(app, list(map(str, args)))


@pytest.fixture(scope="session")
def examples():
    """The folder of the example files that the guide shows."""
    return ROOT / "exchange" / "data" / "examples"


@pytest.fixture(scope="session")
def summary_of():
    """summary.json of a run folder."""
    return lambda folder: json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def small_demo(cpx, tmp_path_factory):
    """A finished demo day of 300 tasks."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = cpx("demo", "--out", folder, "--tasks", 300)
    assert done.returncode == 0, done.stderr
    return folder
