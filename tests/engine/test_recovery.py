"""However the venue stopped, it starts with the state of its whole journal."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest
from toy import ToyVenue, open_toy, segments, some_commands, write_journal

from exchange.adapters.journal_file import list_snapshots, open_sequencer
from exchange.domain.commands import Deposit, Withdraw
from exchange.engine.journal import BLOCK, JournalError
from exchange.engine.sequencer import VenueHalted
from exchange.engine.snapshot import SnapshotPoint, SnapshotRefused, build_snapshot, parse_snapshot

FRAMES = [some_commands(20, 20 * number) for number in range(10)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run folder with several segments and snapshots, the hash at its end)"""
    folder = tmp_path_factory.mktemp("finished")
    venue = write_journal(folder, FRAMES, segment_bytes=4 * BLOCK, keep_snapshots=True)
    assert len(segments(folder)) >= 4
    assert len(list_snapshots(folder / "snapshots")) == 3
    return folder, venue.state_hash()


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "run")


def start(folder, **settings):
    """(state hash, event hash, what recovery found)"""
    sequencer, found = open_toy(folder, **settings)
    result = sequencer.venue.state_hash(), sequencer.event_hash, found
    sequencer._log.close()  # as after a crash: no snapshot
    return result


def test_snapshot_and_tail_equal_a_full_replay(run, finished):
    with_snapshot = start(run)
    assert with_snapshot[2].snapshot_seq == 200
    list_snapshots(run / "snapshots")[-1].path.unlink()
    with_older = start(run)
    assert 0 < with_older[2].snapshot_seq < 200
    assert with_older[2].replayed == 200 - with_older[2].snapshot_seq
    shutil.rmtree(run / "snapshots")
    from_empty = start(run)
    assert from_empty[2].replayed == 200
    assert with_snapshot[:2] == with_older[:2] == from_empty[:2]
    assert from_empty[0] == finished[1]


def test_a_damaged_snapshot_costs_time_only(run, finished):
    snapshots = list_snapshots(run / "snapshots")
    for count, source in enumerate(reversed(snapshots), start=1):
        data = bytearray(source.path.read_bytes())
        data[len(data) // 2] ^= 1
        source.path.write_bytes(data)
        state, _, found = start(run)
        assert state == finished[1]
        assert found.snapshot_seq < source.seq
        assert len([note for note in found.notes if "damaged" in note]) == count
    assert found.snapshot_seq == 0


def test_any_flipped_bit_of_a_snapshot_is_noticed():
    point = SnapshotPoint(b"E" * 16, 7, 1, b"C" * 16, 5, 99, build="0.1.0")
    data = build_snapshot(point, b"state of the venue" * 10)
    name = f"{7:020d}.snap"
    assert parse_snapshot(data, name) == (point, b"state of the venue" * 10)
    generator = random.Random(1)
    for bit in generator.sample(range(8 * len(data)), 500):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SnapshotRefused):
            parse_snapshot(bytes(flipped), name)
    for length in range(0, len(data), 7):
        with pytest.raises(SnapshotRefused):
            parse_snapshot(data[:length], name)
    with pytest.raises(SnapshotRefused, match="renamed"):
        parse_snapshot(data, f"{8:020d}.snap")


def test_a_snapshot_that_loads_to_another_state_never_counts(tmp_path):
    class Forgetful(ToyVenue):
        def snapshot(self):
            return ToyVenue().snapshot()

        def state_hash(self):
            return sum(self.balances.values())

    sequencer, _ = open_sequencer(tmp_path, Forgetful, Forgetful.restore)
    sequencer.submit([Deposit("a", 5)])
    assert not sequencer.checkpoint()
    assert "loads to state" in sequencer.problems[0]
    assert list_snapshots(tmp_path / "snapshots") == []


def test_a_venue_that_cannot_be_saved_or_loaded_goes_on_without_snapshots(tmp_path):
    class Unsaveable(ToyVenue):
        def snapshot(self):
            raise TypeError("no")

    sequencer, _ = open_sequencer(tmp_path / "a", Unsaveable, Unsaveable.restore)
    sequencer.submit([Deposit("a", 5)])
    assert not sequencer.checkpoint()
    sequencer.close()

    def unloadable(blob):
        raise KeyError("no")

    sequencer, _ = open_sequencer(tmp_path / "b", ToyVenue, unloadable)
    sequencer.submit([Deposit("a", 5)])
    assert not sequencer.checkpoint()
    assert "cannot be loaded: KeyError" in sequencer.problems[0]


def test_a_sound_snapshot_of_another_history_is_an_alarm(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_journal(first, FRAMES[:3], keep_snapshots=True)
    write_journal(second, FRAMES[:3], keep_snapshots=True)
    shutil.rmtree(second / "snapshots")
    shutil.copytree(first / "snapshots", second / "snapshots")
    with pytest.raises(JournalError, match="another venue"):
        open_toy(second)
    (source,) = list_snapshots(first / "snapshots")
    point, blob = parse_snapshot(source.path.read_bytes(), source.name)
    source.path.write_bytes(build_snapshot(replace(point, chain=b"X" * 16), blob))
    with pytest.raises(JournalError, match="different histories"):
        open_toy(first)
    inside = first / "snapshots" / f"{30:020d}.snap"
    source.path.unlink()
    inside.write_bytes(build_snapshot(replace(point, seq=30), blob))
    with pytest.raises(JournalError, match="different histories"):
        open_toy(first)


def test_snapshots_without_a_journal_are_refused(run):
    for path in segments(run):
        path.unlink()
    with pytest.raises(JournalError, match="no journal") as caught:
        open_toy(run)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("index", [0, 1, -2])
def test_segments_before_the_snapshot_must_still_end_where_the_next_begins(run, index):
    # A start from a snapshot does not read them, but a missing or cut one is noticed.
    path = segments(run)[index]
    data = path.read_bytes()
    path.write_bytes(data[:-BLOCK])
    with pytest.raises(JournalError) as caught:
        open_toy(run)
    assert path.name in str(caught.value)
    path.unlink()
    with pytest.raises(JournalError):
        open_toy(run)
    path.write_bytes(data)
    assert start(run)[2].snapshot_seq == 200


def test_a_broken_invariant_after_replay_stops_the_start(tmp_path):
    class Indebted(ToyVenue):
        def apply(self, seq, command, **rest):
            if isinstance(command, Withdraw):
                self.balances["a"] = -1
                return []
            return super().apply(seq, command, **rest)

    sequencer, _ = open_sequencer(tmp_path, Indebted, Indebted.restore)
    sequencer.submit([Withdraw("a", 1)])
    sequencer.close()
    with pytest.raises(VenueHalted, match="a balance is negative") as caught:
        open_sequencer(tmp_path, Indebted, Indebted.restore)
    assert caught.value.exit_code == 70


def test_each_start_raises_the_epoch_and_the_state_goes_on(tmp_path):
    for number, commands in enumerate(FRAMES[:5]):
        sequencer, found = open_toy(tmp_path)
        assert (found.end.epoch if found else 0) == number
        sequencer.submit(commands)
        (sequencer.close if number % 2 else sequencer._log.close)()
    whole = write_journal(tmp_path / "whole", FRAMES[:5])
    assert start(tmp_path)[0] == whole.state_hash()


def test_what_was_replayed_can_be_handed_out_again(run):
    shutil.rmtree(run / "snapshots")
    seen = []
    open_toy(run, on_replay=lambda *event: seen.append(event))[0].close()
    assert [event[2] for event in seen] == [command for frame in FRAMES for command in frame]
    assert [event[0] for event in seen] == list(range(1, 201))


def test_a_snapshot_beyond_what_a_sink_has_is_not_used_and_the_rest_is_handed_out_again(run, finished):
    seqs = [source.seq for source in list_snapshots(run / "snapshots")]
    assert len(seqs) == 3 and seqs[-1] == 200
    for not_after, used in ((None, 200), (200, 200), (199, seqs[1]), (seqs[1], seqs[1]), (seqs[1] - 1, seqs[0]), (0, 0)):
        heard: list = []
        state, _, found = start(run, not_after=not_after, on_replay=lambda seq, *_, heard=heard: heard.append(seq))
        assert (found.snapshot_seq, state) == (used, finished[1])
        assert heard == list(range(used + 1, 201)), "everything after the snapshot, so everything the sink has not got"


def test_a_snapshot_that_may_not_be_used_still_tells_that_the_journal_has_become_shorter(run):
    for path in segments(run)[-2:]:
        path.unlink()
    for not_after in (None, 5):
        with pytest.raises(JournalError, match="a snapshot was taken after seq 200: answered commands are missing"):
            start(run, not_after=not_after)
