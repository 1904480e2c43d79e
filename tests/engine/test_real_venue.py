"""What the engine promises, with the real venue behind it: restarts, batches, snapshots and `cpx verify`."""

from __future__ import annotations

import json
import shutil

import pytest
from toy import abort
from typer.testing import CliRunner

from exchange.adapters.journal_file import list_snapshots, open_sequencer
from exchange.cli.verify import command
from exchange.domain import commands as c
from exchange.domain.events import Refused, Replayed, TaskFilled
from exchange.domain.venue import Venue
from exchange.engine.journal import BLOCK

HOUR = 3_600_000_000_000
START = 497_000 * HOUR
YUAN = 1_000_000


def market() -> list:
    """A small day: one chip, one site, ten tasks, a retry, a few refusals, the clock until after delivery."""
    chip = c.Chip("H800", "ai", 989_000_000, 80, 700)
    regions = (
        c.Region("gz", "Guizhou", "gui", "cluster", 0, 0),
        c.Region("sz", "Shenzhen", "", "access", 0, 0),
    )
    made = [
        c.AdvanceTime(START),
        c.SetVenue("small", horizon_periods=24),
        c.LoadCatalogue(
            (chip,), regions, (c.Reach("sz", "gz", "L10", 9_000),), (c.Link("sz", "gz", 10_000, 1_000),)
        ),
        c.SetTariff(1, 0, 5_000, 4_000, 10_000, ()),
        c.ListFamily("H800", "gz", "L10", "grid"),
        c.AddParticipant("P1", "FP"),
        c.AddParticipant("B1", "FB"),
        c.Deposit("P1", 1_000_000 * YUAN),
        c.Deposit("B1", 1_000_000 * YUAN),
        c.AddSite("P1-gz", "P1", "gz"),
        c.AttestCapacity("P1-gz", "H800", 200, START, START + 48 * HOUR),
    ]
    for number in range(4):
        start = START + (2 + 3 * number) * HOUR
        price = (8 + number) * YUAN
        offer = c.PlaceOffer(
            "P1", f"o{number}", "P1-gz", "H800", "L10", "grid", 80, start, start + 6 * HOUR, price
        )  # fmt: skip
        made.append(offer)
    for number in range(10):
        start = START + (2 + number % 4) * HOUR
        task = c.Task(
            "B1", f"t{number}", "sz", 20_000, (c.TaskChip("H800"),), 10 + number, 1 + number % 3, start,
            start + 8 * HOUR, price_cap_micro=12 * YUAN,
        )  # fmt: skip
        made += [c.SubmitTask(task), c.AdvanceTime(START + number * 60_000_000_000)]
    made += [made[-2], c.Withdraw("B1", 10**15), c.Deposit("nobody", 1), c.CancelTask("B1", "t99")]
    made += [c.AdvanceTime(START + hours * HOUR) for hours in range(1, 12)]
    made += [c.SettlePeriod(START + hours * HOUR) for hours in range(2, 8)]
    return made


def open_venue(folder, **settings):
    return open_sequencer(folder, Venue, Venue.restore, segment_bytes=4 * BLOCK, abort=abort, **settings)


def run(folder, size: int) -> tuple:
    """(events of every command, state hash, event hash) of the market in batches of this size."""
    sequencer, _ = open_venue(folder)
    commands, answers = market(), []
    for start in range(0, len(commands), size):
        answers += sequencer.submit(commands[start : start + size])
    sequencer.close()
    assert sequencer.problems == []
    return [answer.events for answer in answers], sequencer.venue.state_hash(), sequencer.event_hash


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    return folder, run(folder, 3)


def test_the_market_does_what_these_tests_need(finished):
    events = [event for events in finished[1][0] for event in events]
    assert sum(isinstance(event, TaskFilled) for event in events) >= 5
    assert sum(isinstance(event, Replayed) for event in events) == 1
    assert sum(isinstance(event, Refused) for event in events) >= 3


def test_the_size_of_batches_changes_no_event_and_no_hash(finished, tmp_path):
    assert run(tmp_path / "one", 1) == run(tmp_path / "all", 1024) == finished[1]


@pytest.mark.slow
def test_a_restart_after_every_command_changes_nothing(finished, tmp_path):
    events = []
    for number, one in enumerate(market()):
        sequencer, _ = open_venue(tmp_path)
        events.append(sequencer.submit([one])[0].events)
        # By turns with a snapshot, without one, and from the journal alone.
        (sequencer.close if number % 3 else sequencer._log.close)()
        if number % 7 == 0:
            shutil.rmtree(tmp_path / "snapshots", ignore_errors=True)
    assert (events, sequencer.venue.state_hash()) == finished[1][:2]


def test_snapshot_and_tail_equal_a_full_replay(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    hashes = []
    while True:
        sequencer, found = open_venue(folder)
        hashes.append((sequencer.venue.state_hash(), sequencer.event_hash))
        sequencer._log.close()
        if not found.snapshot_seq:
            break
        list_snapshots(folder / "snapshots")[-1].path.unlink()
    assert len(hashes) == 4
    assert set(hashes) == {finished[1][1:]}


def test_a_retry_after_a_restart_is_answered_with_the_first_result(finished, tmp_path):
    sequencer, _ = open_venue(shutil.copytree(finished[0], tmp_path / "run"))
    first = next(one for one in market() if isinstance(one, c.SubmitTask))
    (event,) = sequencer.submit([first])[0].events
    assert isinstance(event, Replayed)
    assert market()[event.original_seq - 1] == first
    sequencer._log.close()


def test_verify_agrees(finished):
    result = CliRunner().invoke(command, [str(finished[0]), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0, found
    assert found["state_hash"] == f"{finished[1][1]:016x}"
    assert found["event_hash"] == finished[1][2].hex()
    assert found["snapshots_equal"] == 3
