"""The demo's participants are started again when they end by themselves, not too often, and never behind a stop."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from exchange.cli.crowd_watch import FOR_GOOD, CrowdWatch
from exchange.testing.server import Server

# Writes one line per life into the file it is given, then ends as its second argument says.
LIFE = """
import signal, sys
with open(sys.argv[1], "a") as file:
    file.write("x")
signal.pause() if sys.argv[2] == "stay" else sys.exit(int(sys.argv[2]))
"""
WITHIN_S = 60


async def until(holds):
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def watch_on(path, end, *, is_wanted=lambda: True, **limits):
    return CrowdWatch([sys.executable, "-c", LIFE, str(path), end], os.environ, is_wanted, first_wait_s=0.01, **limits)


def lives(path):
    return len(path.read_text()) if path.exists() else 0


def test_it_is_started_again_and_said_but_only_a_few_times(tmp_path, capsys):
    path = tmp_path / "lives"

    async def play():
        watch = watch_on(path, "3", starts=3, within_s=1_000)
        watch.start()
        said = ""
        deadline = time.monotonic() + WITHIN_S
        while said.count("exit code 3") < 3:
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.01)
            said += capsys.readouterr().err
        await watch.stop()
        return said

    said = asyncio.run(play())
    assert lives(path) == 3 and said.count("started again\n") == 2
    assert "started again in 9" in said or "started again in 1000 s" in said  # the fourth start has to wait


@pytest.mark.parametrize("code", FOR_GOOD)
def test_what_would_end_the_same_way_again_is_not_started_again(tmp_path, capsys, code):
    async def play():
        watch = watch_on(tmp_path / "lives", str(code))
        watch.start()
        await asyncio.wait_for(watch._watching, WITHIN_S)
        await watch.stop()

    asyncio.run(play())
    assert lives(tmp_path / "lives") == 1 and "for good" in capsys.readouterr().err


def test_a_stop_ends_it_and_says_nothing(tmp_path, capsys):
    path = tmp_path / "lives"

    async def play():
        watch = watch_on(path, "stay")
        watch.start()
        await until(lambda: lives(path) == 1)
        await watch.stop()
        return watch._process.returncode

    assert asyncio.run(play()) == -signal.SIGTERM
    assert lives(path) == 1 and capsys.readouterr().err == ""


def test_an_end_while_the_server_stops_is_meant(tmp_path, capsys):
    path = tmp_path / "lives"

    async def play():
        watch = watch_on(path, "0", is_wanted=lambda: False)
        watch.start()
        await asyncio.wait_for(watch._watching, WITHIN_S)
        await watch.stop()

    asyncio.run(play())
    assert lives(path) == 1 and capsys.readouterr().err == ""


def test_a_program_that_is_not_there_is_said(tmp_path, capsys):
    async def play():
        watch = CrowdWatch([str(tmp_path / "nothing")], {}, lambda: True, first_wait_s=0.01, starts=1)
        watch.start()
        said = []

        def told():
            said.append(capsys.readouterr().err)
            return "cannot be started" in "".join(said)

        await until(told)
        await watch.stop()

    asyncio.run(play())


def crowd_of(server):
    """Process ids of the participants of a server."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            words = (entry / "cmdline").read_text()
        except (OSError, ValueError):
            continue  # it has just ended
        if parent == server.pid and "exchange.replay.crowd" in words:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see who is there")
def test_the_demo_notices_when_its_participants_are_killed(tmp_path):
    server = Server(tmp_path / "demo", ("--demo",)).start()
    try:
        deadline = time.monotonic() + WITHIN_S
        while not (first := crowd_of(server)):
            assert time.monotonic() < deadline, server.log
        os.kill(first[0], signal.SIGKILL)
        while not (second := [pid for pid in crowd_of(server) if pid != first[0]]):
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        assert len(second) == 1 and "ended by themselves (signal 9); started again" in server.log
        log = server.log
        os.killpg(server.pid, signal.SIGINT)  # as Ctrl-C does: to all of the group
        assert server.wait() == 0 and server.log == log
        assert crowd_of(server) == []
    finally:
        server.kill()
