"""The demo server's participants: they trade, deliver and agree through the doors, and go on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

WITHIN_S = 120


def wait_until(holds, what, process):
    """Asks again until it holds; the exchange may be away meanwhile."""
    from clients.errors import NetworkError

    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the crowd has ended by itself"
        try:
            found = holds()
        except NetworkError:
            found = None
        if found:
            return found
        time.sleep(0.2)  # between two questions to a server, not for something to have happened
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


def start_crowd(server, tasks=150):
    environment = {**os.environ, "CPX_URL": server.url, "CPX_KEY": server.operator_key}
    command = [sys.executable, "-m", "exchange.replay.crowd", "--folder", str(server.folder), "--tasks", str(tasks)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_the_crowd_trades_delivers_and_goes_on_after_a_kill(tmp_path):
    from clients import Client
    from exchange.replay.crowd_maker import FAMILIES, MAKER
    from exchange.testing.server import running_server

    clock = ("--clock", "compressed", "--speed", "1200", "--allow-reference")
    with running_server(tmp_path / "exchange", *clock) as server, Client(url=server.url, key=server.operator_key) as operator:
        crowd = start_crowd(server)
        try:
            wait_until((server.folder / "crowd.json").exists, "a market", crowd)
            trades = wait_until(lambda: list(operator.past_trades()), "a trade", crowd)
            delivered = wait_until(lambda: list(operator.obligations(status="delivered")), "a settled delivery", crowd)
            assert all(each.reading == 1 for each in delivered)
            quoted = wait_until(lambda: list(operator.orders(status="live", participant=MAKER)), "a quote", crowd)
            families = {f"{f.chip}/{f.region}/{f.latency_class}/{f.power}" for f in FAMILIES}
            assert {order.instrument.rpartition("/")[0] for order in quoted} <= families
            server.kill()
            server.start()
            last = trades[0].trade_id
            wait_until(lambda: list(operator.past_trades(after=last)), "a trade after the restart", crowd)
            names = Counter(task.client_order_id for task in operator.tasks())
            assert names and max(names.values()) == 1  # whatever was sent twice was executed once
            keys = json.loads((server.folder / "crowd.keys").read_text(encoding="ascii"))
            assert (server.folder / "crowd.keys").stat().st_mode & 0o077 == 0 and MAKER in keys
        finally:
            crowd.send_signal(signal.SIGTERM)
            _, said = crowd.communicate(timeout=20)
        assert crowd.returncode == 0, said.decode()
        assert b"Traceback" not in said


@pytest.mark.slow
def test_the_next_day_comes_by_itself_and_a_crowd_that_was_away_goes_on(tmp_path):
    from exchange.testing.server import running_server

    clock = ("--clock", "compressed", "--speed", "3600", "--allow-reference")
    with running_server(tmp_path / "exchange", *clock) as server:
        state = server.folder / "crowd.json"
        first = start_crowd(server, tasks=10)
        wait_until(state.exists, "a first day", first)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=20)
        before = json.loads(state.read_text(encoding="ascii"))
        second = start_crowd(server, tasks=999)  # the tasks of the market that has begun count, not these
        try:
            wait_until(lambda: json.loads(state.read_text(encoding="ascii"))["opened"] >= 1, "a second day", second)
        finally:
            second.send_signal(signal.SIGTERM)
            second.communicate(timeout=20)
        after = json.loads(state.read_text(encoding="ascii"))
        assert (after["origin_ns"], after["seed"], after["tasks"]) == (before["origin_ns"], before["seed"], 10)


def test_what_is_needed_to_start_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "exchange.replay.crowd", "--folder", "."], capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("CPX_")},
    )  # fmt: skip
    assert done.returncode == 2 and "CPX_KEY" in done.stderr and "Traceback" not in done.stderr
