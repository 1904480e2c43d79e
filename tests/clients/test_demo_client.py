"""`Client.demo()`: a market to try things on that is there when it is wanted and gone when the program is, however it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients import Client
from clients.demo import record_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see who is left"),
]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
from clients import Client
cpx = Client.demo(money=5000, speed=600)
account = cpx.account()
trade = next(cpx.trades())
print(json.dumps({"url": cpx.url, "who": account.participant, "cash": str(account.cash), "trade": trade.trade_id}), flush=True)
sys.stdin.readline()
"""


def until(is_so: Callable[[], bool], what: str, patience_s: float = 40) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def started(cache: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A program that wants the demo, and what it has found."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), "TMPDIR": str(cache)}
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert running.stdout is not None
    return running, json.loads(running.stdout.readline())


def kept(cache: Path) -> list[str]:
    """Command lines of processes that have to do with a demo of this test."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if str(cache) in words:
            found.append(words)
    return found


def test_a_demo_is_shared_while_it_runs_and_ends_with_the_program_that_began_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, said = started(tmp_path)
    assert said["cash"] == "5000.00" and said["who"].startswith("demo-") and said["trade"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert record_file().stat().st_mode & 0o077 == 0
    second, also = started(tmp_path)
    assert also["url"] == said["url"] and also["who"] != said["who"]
    second.communicate("\n", timeout=20)
    assert kept(tmp_path), "the demo of the first program ended with the second"
    with Client.demo() as here:
        assert here.url == said["url"] and here.account().cash == 1_000_000
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    until(lambda: not kept(tmp_path), "the demo outlives its program")
    until(lambda: [each.name for each in tmp_path.iterdir()] == ["cpx"], "the demo leaves its folder")
    assert not record_file().exists()
