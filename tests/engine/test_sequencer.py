"""Number, make durable, apply, hand out: the order, what halts, and what does not."""

from __future__ import annotations

import pytest
from toy import (
    POISON,
    Aborted,
    FaultyDisk,
    Paid,
    ToyVenue,
    open_toy,
    segments,
    some_commands,
    task,
    write_journal,
)

from exchange.adapters.journal_file import open_log, open_sequencer, read_commands
from exchange.domain.commands import AdvanceTime, Deposit
from exchange.engine.journal import BLOCK
from exchange.engine.sequencer import Answer, Sequencer, VenueHalted
from exchange.ports import Envelope
from exchange.protocol.codec import CodecError, event_bytes, idem_key


def test_answers_come_in_order_with_their_numbers_and_events(tmp_path):
    sequencer, found = open_toy(tmp_path)
    assert found is None
    assert sequencer.submit([Deposit("a", 5), AdvanceTime(7), Deposit("a", 2)]) == [
        Answer(1, [Paid("a", 5)]),
        Answer(2, []),
        Answer(3, [Paid("a", 7)]),
    ]
    assert sequencer.submit([Deposit("a", 1)])[0].seq == 4
    assert sequencer.submit([]) == []
    assert sequencer.seq == 4


def test_nothing_is_applied_before_it_is_durable(tmp_path):
    steps = []

    class Log:
        next_seq, ts_ns, chain, epoch, is_full = 1, 0, b"", 1, False

        def append(self, records, ts_ns):
            steps.append(f"durable {len(records)}")

    class Venue(ToyVenue):
        def apply(self, seq, command, **rest):
            steps.append(f"apply {seq}")
            return super().apply(seq, command, **rest)

    sinks = [lambda seq, *_: steps.append(f"out {seq}")]
    Sequencer(Venue(), Log(), sinks).submit([Deposit("a", 1), Deposit("a", 2)])
    assert steps == ["durable 2", "apply 1", "apply 2", "out 1", "out 2"]


def test_a_batch_of_one_equals_a_batch_of_1024(tmp_path):
    commands = some_commands(1024)
    results = []
    for size in (1, 7, 1024):
        seen = []
        sequencer, _ = open_toy(tmp_path / str(size), [lambda *event, seen=seen: seen.append(event)])
        answers = []
        for start in range(0, len(commands), size):
            answers += sequencer.submit(commands[start : start + size])
        results.append((answers, seen, sequencer.venue.state_hash(), sequencer.event_hash))
        assert [entry.command for entry in read_commands(tmp_path / str(size))] == commands
        sequencer.close()
    assert results[0] == results[1] == results[2]


def test_a_long_list_is_cut_into_frames(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    assert [answer.seq for answer in sequencer.submit(some_commands(2500))] == list(range(1, 2501))
    assert len({entry.ts_ns for entry in read_commands(tmp_path)}) == 3


def test_the_venue_is_told_key_body_and_limit(tmp_path):
    told = []

    class Venue(ToyVenue):
        def apply(self, seq, command, **envelope):
            told.append(envelope)
            return super().apply(seq, command, **envelope)

    sequencer = Sequencer(Venue(), open_log(tmp_path))
    own = Envelope(idem_key=b"k" * 16, valid_until_ns=99, account=3, session=4)
    sequencer.submit([task(1), (task(1), own), task(2), Deposit("a", 1)])
    assert told[0]["idem_key"] == idem_key(task(1))
    assert (told[1]["idem_key"], told[1]["valid_until_ns"]) == (b"k" * 16, 99)
    assert told[0]["body_hash"] == told[1]["body_hash"] != told[2]["body_hash"]
    assert len(told[0]["body_hash"]) == 16
    assert told[3]["idem_key"] == b"", "no key is no key, not one key that all share"
    headers = [entry.header for entry in read_commands(tmp_path)]
    assert (headers[1].account, headers[1].session, headers[1].valid_until_ns) == (3, 4, 99)


def test_a_command_without_bytes_refuses_the_whole_list_and_nothing_is_logged(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    with pytest.raises(CodecError):
        sequencer.submit([Deposit("a", 1), Deposit("a", 1.5)])
    assert list(read_commands(tmp_path)) == []
    assert sequencer.submit([Deposit("a", 1)])[0].seq == 1


def test_a_fault_of_ours_halts_the_venue_for_good(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    with pytest.raises(VenueHalted, match="seq 2 raised ZeroDivisionError") as caught:
        sequencer.submit([Deposit("a", 1), POISON, Deposit("a", 2)])
    assert [answer.seq for answer in caught.value.answers] == [1]
    for _ in range(2):
        with pytest.raises(VenueHalted, match="takes no commands"):
            sequencer.submit([Deposit("a", 1)])
    with pytest.raises(VenueHalted):
        sequencer.checkpoint()
    sequencer.close()
    assert not list(tmp_path.glob("snapshots/*")), "a halted venue has no state worth keeping"
    with pytest.raises(VenueHalted, match="seq 2"):
        open_toy(tmp_path)


def test_an_interrupt_inside_a_frame_leaves_a_venue_that_takes_nothing_more(tmp_path):
    class Venue(ToyVenue):
        def apply(self, seq, command, **rest):
            if seq == 2:
                raise KeyboardInterrupt
            return super().apply(seq, command, **rest)

    sequencer = Sequencer(Venue(), open_log(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        sequencer.submit(some_commands(3))
    with pytest.raises(VenueHalted):
        sequencer.submit(some_commands(1))
    sequencer.close()


def test_a_failing_sink_stops_alone_and_is_reported(tmp_path):
    seen, given = [], []

    def failing(seq, ts_ns, command, events):
        given.append(seq)
        if seq == 2:
            raise ValueError("full")

    sequencer, _ = open_toy(tmp_path, [failing, lambda *event: seen.append(event)])
    sequencer.submit([AdvanceTime(50), Deposit("a", 1), Deposit("a", 1)])
    sequencer.submit([Deposit("a", 1)])
    assert [event[0] for event in seen] == [1, 2, 3, 4]
    assert seen[1] == (2, 50, Deposit("a", 1), [Paid("a", 1)])
    assert given == [1, 2]
    (problem,) = sequencer.problems
    assert "failing stopped at seq 2: ValueError: full" in problem


def test_a_record_sink_gets_the_bytes_of_what_other_sinks_get(tmp_path):
    told, seen = [], []
    sequencer, _ = open_toy(tmp_path, [lambda *event: seen.append(event)])
    sequencer.add_record_sink(lambda *record: told.append(record))
    sequencer.submit([Deposit("a", 5), AdvanceTime(7), (Deposit("a", 2), Envelope(idem_key=b"k" * 16))])
    assert [(seq, ts_ns, record.command(), blob) for seq, ts_ns, record, blob in told] == [
        (seq, ts_ns, command, event_bytes(events)) for seq, ts_ns, command, events in seen
    ]
    assert [len(blob) > 1 for *_, blob in told] == [True, False, True]
    assert told[2][2].header.idem_key == b"k" * 16


def test_a_failing_record_sink_stops_alone_and_is_reported(tmp_path):
    def broken(seq, ts_ns, record, blob):
        raise OSError("full")

    seen = []
    sequencer, _ = open_toy(tmp_path, [lambda *event: seen.append(event[0])])
    sequencer.add_record_sink(broken)
    sequencer.add_record_sink(lambda *event: seen.append(-event[0]))
    sequencer.submit([Deposit("a", 1), Deposit("a", 2)])
    assert seen == [1, 2, -1, -2] and len(sequencer.problems) == 1
    assert "broken stopped at seq 1: OSError: full" in sequencer.problems[0]


def test_log_time_never_goes_back_even_over_a_restart(tmp_path):
    # The clock command is far ahead and in the log, whatever the venue makes of it.
    for commands in ([AdvanceTime(10**18), Deposit("a", 1)], [AdvanceTime(5)], [AdvanceTime(6)]):
        log = open_log(tmp_path, segment_bytes=2 * BLOCK)
        sequencer = Sequencer(ToyVenue(), log, first_seq=log.next_seq)
        sequencer.submit(commands)
        sequencer.close()
    times = [entry.ts_ns for entry in read_commands(tmp_path)]
    assert times == sorted(times)
    assert times[-1] == 10**18


def test_log_time_never_goes_back_after_a_start_from_a_snapshot_at_a_segments_end(tmp_path):
    class Deaf(ToyVenue):
        now_ns = property(lambda self: 0, lambda self, value: None)

    for _ in range(3):
        sequencer, _ = open_sequencer(tmp_path, Deaf, Deaf.restore, segment_bytes=2 * BLOCK)
        sequencer.submit([AdvanceTime(1000 - sequencer.seq)])
        sequencer.close()
    assert {entry.ts_ns for entry in read_commands(tmp_path)} == {1000}


def test_the_venue_and_the_log_must_be_at_the_same_command(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(ValueError, match="the venue expects seq 5 next, the log 1"):
        Sequencer(ToyVenue(), log, first_seq=5)
    Sequencer(ToyVenue(), log).submit(some_commands(3))
    with pytest.raises(ValueError, match="the venue expects seq 1 next, the log 4"):
        Sequencer(ToyVenue(), log)


def test_after_close_nothing_is_taken_and_the_folder_is_free(tmp_path):
    sequencer, _ = open_toy(tmp_path)
    sequencer.submit([Deposit("a", 1)])
    sequencer.close()
    with pytest.raises(VenueHalted):
        sequencer.submit([Deposit("a", 1)])
    open_toy(tmp_path)[0].close()


def test_a_replay_driver_goes_on_in_lock_step(tmp_path):
    write_journal(tmp_path, [some_commands(30)])
    log = open_log(tmp_path)
    venue = ToyVenue()
    for entry, expected in zip(read_commands(tmp_path), some_commands(30), strict=True):
        assert entry.command == expected
        assert len(entry.header.idem_key) == 16
        venue.apply(entry.seq, entry.command)
    sequencer = Sequencer(venue, log, first_seq=31)
    assert sequencer.submit([Deposit("a", 1)])[0].seq == 31
    sequencer.close()


def test_a_full_segment_rolls_and_leaves_a_snapshot(tmp_path):
    sequencer, _ = open_toy(tmp_path, segment_bytes=3 * BLOCK)
    for number in range(20):
        sequencer.submit([Deposit("a", number + 1)])
    assert len(segments(tmp_path)) == 11
    assert len(list(tmp_path.glob("snapshots/*.snap"))) == 3
    assert sequencer.problems == []


def test_a_snapshot_that_cannot_be_written_stops_nothing(tmp_path):
    disk = FaultyDisk("replace", 2, OSError(28, "No space left on device"))
    sequencer, _ = open_toy(tmp_path, disk=disk)
    sequencer.submit([Deposit("a", 1)])
    assert not sequencer.checkpoint()
    assert "No space left" in sequencer.problems[0]
    assert sequencer.submit([Deposit("a", 1)])[0].seq == 2


def test_a_log_that_failed_halts_the_sequencer(tmp_path):
    disk = FaultyDisk("fdatasync", 2, OSError(5, "Input/output error"))
    sequencer, _ = open_toy(tmp_path, disk=disk)
    sequencer.submit([Deposit("a", 1)])
    with pytest.raises(Aborted):
        sequencer.submit([Deposit("a", 2)])
    assert sequencer.venue.balances == {"a": 1}, "what is not durable is not applied"
    with pytest.raises(VenueHalted):
        sequencer.submit([Deposit("a", 3)])
