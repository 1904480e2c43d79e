"""The same day from files and through the doors: the same journal, command by command, and the same result files."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from exchange.adapters.journal_file import read_commands
from exchange.domain.commands import PlaceOffer
from exchange.protocol.measures import Measures
from exchange.replay import remote
from exchange.replay.driver import DayRefused
from exchange.replay.run import Faulty, RunOptions, run_day
from exchange.replay.scenario import DEMO_TASKS, market_day
from exchange.replay.sessions import Sessions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ("trades.csv", "prices.csv", "outcomes.csv", "unfilled.csv", "settlement.csv", "ledger.beancount")


def options(folder, seed=1):
    (folder / "journal").mkdir(parents=True)
    return RunOptions(folder, seed=seed)


def run_cpx(*words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "exchange.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment | {"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(
    "tasks", [pytest.param(250, marks=pytest.mark.slow), pytest.param(DEMO_TASKS, marks=pytest.mark.soak)]
)
def test_the_demo_through_sockets_gives_the_same_bytes_as_from_files(tmp_path, tasks):
    day, told = market_day(tasks=tasks), []
    files = run_day(day, options(tmp_path / "files"), lambda _: None)
    sockets = remote.run_via_sockets(day, options(tmp_path / "sockets"), told.append)
    assert sockets["state_hash"] == files["state_hash"] and sockets["commands"] == files["commands"]
    assert (sockets["via"], sockets["resumed_commands"], sockets["trades"] > 0) == ("sockets", 0, True)
    for name in RESULTS:
        assert (tmp_path / "sockets" / name).read_bytes() == (tmp_path / "files" / name).read_bytes(), name
    commands = [[logged.command for logged in read_commands(tmp_path / way)] for way in ("files", "sockets")]
    assert commands[0] == commands[1]
    assert (told[-1].rows_done, told[-1].rows_total) == (len(day.rows), len(day.rows))
    assert json.loads((tmp_path / "sockets" / "summary.json").read_text(encoding="utf-8")) == sockets
    assert run_cpx("verify", tmp_path / "sockets").returncode == 0


@pytest.mark.slow
def test_another_day_on_the_server_is_no_success(tmp_path, monkeypatch):
    """What the check at the end is for: the doors lose one task, the journal is not the day's."""
    day = market_day(1, 4)
    send = remote.RemoteMarket._send
    lost = []

    async def lose_one(market, client, request):
        if request.operation == "submit_task" and not lost:
            lost.append(request)
            return remote.RemoteAnswer(())
        return await send(market, client, request)

    monkeypatch.setattr(remote.RemoteMarket, "_send", lose_one)
    with pytest.raises(Exception, match="journal|came to") as caught:
        remote.run_via_sockets(day, options(tmp_path / "out"), lambda _: None)
    assert lost and isinstance(caught.value, Faulty) or type(caught.value).__name__ == "OtherInputs"


def test_a_command_goes_with_the_key_of_whom_it_belongs_to():
    from exchange.protocol.to_command import from_command

    day = market_day(1, 4)
    measures = Measures(day.settings)
    senders = {}
    for command in (*day.setup(), *(row.command for row in day.rows)):
        operation, _ = from_command(command, measures)
        senders.setdefault(operation, set()).add(remote.sender(operation, command))
    operators = {"set_venue", "load_catalogue", "set_tariff", "list_family", "add_participant", "deposit", "add_site"}
    assert all(senders[operation] == {""} for operation in operators)
    assert all("" not in senders[operation] for operation in ("submit_task", "place_offer", "post_bond"))


@pytest.mark.slow
def test_resuming_through_sockets_is_told_to_leave_them_out(tmp_path):
    done = run_cpx("demo", "--via", "sockets", "--resume", "--out", tmp_path / "out")
    assert done.returncode == 2 and "--via" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.soak
def test_a_thousand_tasks_of_the_trace_through_sockets(tmp_path, shared_data):
    tasks, offers = shared_data / "data" / "tasks" / "openb_pod_list_gpuspec33.csv", shared_data / "data" / "catalog"
    if not tasks.exists() or not offers.exists():
        pytest.skip("trace or price lists are not among the shared data")
    sample = tmp_path / tasks.name
    with tasks.open(encoding="utf-8") as file:
        sample.write_text("".join(islice(file, 1_001)), encoding="utf-8")
    ways = {}
    for via in ("files", "sockets"):
        done = run_cpx("replay", "--tasks", sample, "--offers", offers, "--out", tmp_path / via, "--via", via, "--json")
        assert done.returncode == 0, done.stderr
        ways[via] = json.loads(done.stdout)
    assert ways["sockets"]["source_tasks"] == 1_000
    assert ways["sockets"]["state_hash"] == ways["files"]["state_hash"]
    for name in RESULTS:
        assert (tmp_path / "sockets" / name).read_bytes() == (tmp_path / "files" / name).read_bytes(), name


def test_a_door_that_refuses_a_command_ends_the_run_with_its_words():
    day = market_day(1, 4)
    offer = next(row.command for row in day.rows if isinstance(row.command, PlaceOffer))
    sessions = Sessions("http://127.0.0.1:9", "", label="test", known={offer.participant: "cpx_none"})
    market = remote.RemoteMarket(sessions, Measures(day.settings))
    try:
        with pytest.raises(DayRefused, match=f"a door refused PlaceOffer {offer.offer_id}: chip"):
            market.submit([replace(offer, chip="no such chip")])
    finally:
        market.close()
