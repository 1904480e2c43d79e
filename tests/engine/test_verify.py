"""`cpx verify` says what a journal is worth, and its exit code says it to scripts."""

from __future__ import annotations

import json
import shutil
import sys
import types
from dataclasses import replace

import pytest
from toy import POISON, ToyVenue, open_toy, segments, some_commands, write_journal
from typer.testing import CliRunner

from exchange.adapters.journal_file import list_snapshots
from exchange.cli.verify import command
from exchange.engine.journal import BLOCK
from exchange.engine.sequencer import VenueHalted
from exchange.engine.snapshot import build_snapshot, parse_snapshot

FRAMES = [some_commands(20, 20 * number) for number in range(6)]


@pytest.fixture(autouse=True)
def toy_venue(monkeypatch):
    """The toy in the place of the real venue: what is tested here is the journal's side."""
    monkeypatch.setenv("CPX_ENGINE", "")  # --engine sets it; put back afterwards
    module = types.ModuleType("exchange.domain.venue")
    module.Venue = ToyVenue
    monkeypatch.setitem(sys.modules, "exchange.domain.venue", module)


@pytest.fixture
def run(tmp_path):
    write_journal(tmp_path, FRAMES, segment_bytes=4 * BLOCK, keep_snapshots=True)
    return tmp_path


def verify(folder, *options):
    return CliRunner().invoke(command, [str(folder), *options])


def answer(folder):
    result = verify(folder, "--json")
    found = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    return found


def test_a_sound_run_is_fine(run):
    found = answer(run)
    assert found["exit_code"] == 0
    assert found["commands"] == found["last_seq"] == 120
    assert found["snapshots_equal"] == 3
    assert found["segments"] == len(segments(run))
    assert found["is_summary_equal"] is None
    result = verify(run)
    assert "fine" in result.stdout and found["state_hash"] in result.stdout


def test_the_journal_folder_itself_can_be_named(run):
    assert answer(run / "journal")["snapshots_equal"] == 3


def test_verify_changes_nothing(run):
    segments(run)[-1].unlink()
    last = segments(run)[-1]
    last.write_bytes(last.read_bytes()[:-5])
    shutil.rmtree(run / "snapshots")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "torn tail" in answer(run)["notes"][0]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_summary_is_compared(run):
    state = answer(run)["state_hash"]
    summary = run / "summary.json"
    for claimed in (state, "0x" + state, int(state, 16)):
        summary.write_text(json.dumps({"state_hash": claimed}))
        assert answer(run)["is_summary_equal"] is True
    summary.write_text(json.dumps({"state_hash": "0" * 16}))
    assert answer(run)["exit_code"] == 65
    summary.write_text("{")
    assert answer(run)["exit_code"] == 78
    summary.write_text("{}")
    assert answer(run)["exit_code"] == 0


@pytest.mark.parametrize("change", [{"state_hash": 1}, {"chain": b"X" * 16}, {"event_hash": b"X" * 16}])
def test_a_snapshot_that_differs_is_65(run, change):
    source = list_snapshots(run / "snapshots")[0]
    point, blob = parse_snapshot(source.path.read_bytes(), source.name)
    source.path.write_bytes(build_snapshot(replace(point, **change), blob))
    found = answer(run)
    assert found["exit_code"] == 65
    assert f"seq {source.seq}" in found["verdict"]
    assert found["snapshots_equal"] == 2


def test_nothing_there_is_66(tmp_path):
    assert answer(tmp_path)["exit_code"] == 66
    assert answer(tmp_path / "absent")["exit_code"] == 66
    assert not (tmp_path / "absent").exists()


def test_damage_is_78_and_names_the_place(run):
    path = segments(run)[1]
    data = bytearray(path.read_bytes())
    data[BLOCK + 100] ^= 1
    path.write_bytes(data)
    found = answer(run)
    assert found["exit_code"] == 78
    assert path.name in found["verdict"] and "byte 4096" in found["verdict"]


def test_a_damaged_snapshot_is_78(run):
    path = list_snapshots(run / "snapshots")[0].path
    path.write_bytes(path.read_bytes()[:-1])
    assert answer(run)["exit_code"] == 78


def test_a_snapshot_beyond_the_journal_is_78(run):
    for path in segments(run)[-2:]:
        path.unlink()
    found = answer(run)
    assert found["exit_code"] == 78
    assert "missing at the end" in found["verdict"]


def test_an_engine_that_cannot_be_had_is_69_and_never_another_one(run):
    other = {"reference": "compiled", "compiled": "reference"}[answer(run)["engine"]]
    result = verify(run, "--engine", other)
    assert result.exit_code == 69
    assert other in result.output
    assert verify(run, "--engine", answer(run)["engine"]).exit_code == 0


def test_a_running_venue_is_73(run):
    sequencer, _ = open_toy(run)
    assert answer(run)["exit_code"] == 73
    sequencer.close()


def test_a_venue_that_stopped_is_70(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    with pytest.raises(VenueHalted):
        sequencer.submit([POISON])
    sequencer.close()
    found = answer(tmp_path)
    assert found["exit_code"] == 70
    assert "seq 1" in found["verdict"]
