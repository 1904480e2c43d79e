"""`cpx serve --demo` as a stranger runs it: a market that trades, ends when told, and goes on when it is started again."""

import json
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from exchange.testing.server import Server

OPTIONS = ("--demo", "--speed", "3600")
TRADES_WITHIN_S, STOPS_WITHIN_S = 25, 15
SESSION = 3  # of the fields of /proc/<pid>/stat behind the name


def ask(server, path):
    """The answer; None while the venue has no settings yet: the participants bring them."""
    request = Request(server.url + path, headers={"Authorization": f"Bearer {server.operator_key}"})
    try:
        with urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except HTTPError as refused:
        told = json.load(refused)
        assert refused.code == 422 and "settings" in told["detail"], told
        return None


def items(server, path):
    return (ask(server, path) or {"items": []})["items"]


def until(look, what):
    """The first answer that is true."""
    deadline = time.monotonic() + TRADES_WITHIN_S
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def members(session):
    """Command lines of the processes of a session, with those that nobody has waited for yet left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, *rest = (entry / "stat").read_text().rpartition(") ")[2].split()
            words = (entry / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue  # no process, or one that has just ended
        if int(rest[SESSION - 1]) == session and state != "Z":
            found.append(words)
    return found


def stopped(server):
    """Asks it to end; it and all that it started are gone within the time, with exit code 0."""
    session = server.pid
    assert any("crowd" in words for words in members(session)), "the participants have ended before they were told to"
    began = time.monotonic()
    code = server.stop()
    took_s = time.monotonic() - began
    assert code == 0, server.log[-2000:]
    assert took_s < STOPS_WITHIN_S
    assert members(session) == []
    assert "Traceback" not in server.log, server.log[-4000:]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see who is left")
def test_the_demo_trades_ends_and_goes_on(tmp_path):
    server = Server(tmp_path / "demo", OPTIONS).start()
    try:
        listed = until(lambda: items(server, "/v1/instruments"), "no instruments")
        assert all(each["first_period"] <= each["last_period"] for each in listed)
        trades = until(lambda: items(server, "/v1/trades?limit=1000"), "no trades")
        families = {each["family"] for each in items(server, "/v1/instruments?limit=1000")}
        assert {each["instrument"].rpartition("/")[0] for each in trades} <= families
        epoch = ask(server, "/v1/health")["epoch"]
        stopped(server)
        server.start()
        health = ask(server, "/v1/health")
        assert health["epoch"] == epoch + 1
        kept = until(lambda: items(server, "/v1/trades?limit=1000"), "the trades are gone")
        if len(kept) < 1000:
            assert {each["trade_id"] for each in trades} <= {each["trade_id"] for each in kept}
        last = kept[0]["trade_id"]
        until(lambda: items(server, f"/v1/trades?after={last}"), "nobody trades after the second start")
        stopped(server)
    finally:
        if server._process.poll() is None:
            server.stop()
