"""The live writer: what an answer means, how frames form, what halts it, what does not."""

from __future__ import annotations

import asyncio
import random

import pytest
from live import SlowDisk, run, send, toy_writer, until
from toy import POISON, FaultyDisk, Paid, open_toy, segments, some_commands, task

from exchange.adapters.journal_file import list_snapshots, read_commands
from exchange.domain.commands import AdvanceTime, Deposit
from exchange.engine.handle import Handle
from exchange.engine.journal import BLOCK
from exchange.engine.sequencer import Answer, VenueHalted
from exchange.engine.writer import Busy, Writer
from exchange.ports import Envelope
from exchange.protocol.codec import CodecError


def frames_of(folder) -> list[int]:
    """How many commands each frame has; each frame of these tests has a log time of its own."""
    times = [entry.ts_ns for entry in read_commands(folder)]
    return [times.count(ts_ns) for ts_ns in sorted(set(times))]


def test_answers_come_in_order_with_their_numbers_and_events(tmp_path):
    async def main():
        async with toy_writer(tmp_path) as writer:
            sent = (Deposit("a", 5), AdvanceTime(7), Deposit("a", 2))
            assert await asyncio.gather(*map(writer.submit, sent)) == [
                Answer(1, [Paid("a", 5)]),
                Answer(2, []),
                Answer(3, [Paid("a", 7)]),
            ]
            assert (writer.seq, writer.durable_seq, writer.epoch, writer.waiting) == (3, 3, 1, 0)
            assert (writer.stats.commands, writer.stats.append.count) == (3, writer.stats.frames)

    run(main())
    assert [entry.command for entry in read_commands(tmp_path)] == [Deposit("a", 5), AdvanceTime(7), Deposit("a", 2)]


def test_no_answer_no_event_and_no_change_before_the_frame_is_on_the_disk(tmp_path):
    disk, seen, done = SlowDisk(), [], []

    async def main():
        async with toy_writer(tmp_path, [lambda *event: seen.append(event)], disk=disk, after_batch=[done.append]) as writer:
            disk.hold()
            got = send(writer, Deposit("a", 5))
            await until(lambda: disk.syncs == 1, "the sync begins")
            for _ in range(20):
                await asyncio.sleep(0)
            assert (got, seen, done, writer.seq, writer.durable_seq) == ([], [], [], 0, 0)
            assert writer.venue.balances == {}
            disk.let_go()
            await until(lambda: got, "it is answered")
            assert (got, done, writer.durable_seq) == ([Answer(1, [Paid("a", 5)])], [1], 1)
            assert [event[0] for event in seen] == [1]

    run(main())


def test_what_comes_while_one_frame_is_synced_makes_the_next(tmp_path):
    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, disk=disk) as writer:
            disk.hold()
            send(writer, AdvanceTime(1))
            await until(lambda: disk.syncs == 1, "the first frame is being synced")
            rest = [send(writer, command) for command in [AdvanceTime(2), *some_commands(300)]]
            disk.let_all_go()
            await until(lambda: all(rest), "all are answered")
            assert writer.stats.frames == disk.syncs == 2

    run(main())
    assert frames_of(tmp_path) == [1, 301]


@pytest.mark.parametrize(
    "commands, expected",
    [
        ([AdvanceTime(number) for number in range(1, 2501)], [1024, 1024, 452]),
        ([Deposit("a", 1, "x" * 40_000)] * 15, [6, 6, 3]),  # 256 KiB
    ],
)
def test_a_frame_has_limits(tmp_path, commands, expected):
    disk, sizes = SlowDisk(), []

    async def main():
        async with toy_writer(tmp_path, disk=disk, after_batch=[sizes.append]) as writer:
            disk.hold()
            first = send(writer, Deposit("a", 1))
            await until(lambda: disk.syncs == 1, "the first frame is being synced")
            rest = [send(writer, command) for command in commands]
            disk.let_all_go()
            await until(lambda: first and all(rest), "all are answered")

    run(main())
    assert [later - earlier for earlier, later in zip(sizes, sizes[1:], strict=False)] == expected


def test_a_frame_is_synced_while_the_one_before_it_is_applied_and_they_stay_in_order(tmp_path):
    disk, steps = SlowDisk(), []

    async def main():
        sinks = [lambda seq, *_: steps.append(f"out {seq}")]
        async with toy_writer(tmp_path, sinks, disk=disk, after_batch=[lambda seq: steps.append(f"batch {seq}")]) as writer:
            disk.hold()
            first = send(writer, Deposit("a", 1))
            await until(lambda: disk.syncs == 1, "frame 1 is being synced")
            second = [send(writer, Deposit("a", 1)) for _ in range(2)]
            disk.let_go()
            await until(lambda: first, "frame 1 is answered")
            await until(lambda: disk.syncs == 2, "frame 2 is being synced")
            assert second == [[], []]
            assert (writer.seq, writer.durable_seq) == (1, 1)
            disk.let_go()
            await until(lambda: all(second), "frame 2 is answered")
        assert steps == ["out 1", "batch 1", "out 2", "out 3", "batch 3"]

    run(main())


def test_the_write_of_the_next_frame_begins_before_the_apply_of_this_one(tmp_path):
    """Seen from inside the venue: when frame 1 is applied, the thread has frame 2 already."""
    disk, begun = SlowDisk(), []

    async def main():
        async with toy_writer(tmp_path, disk=disk) as writer:
            apply = writer.venue.apply

            def watch(seq, command, **rest):
                if seq == 1:
                    assert writer._thread._work_queue is not None
                    begun.append([flight.batch.commands for flight in writer._flights])
                return apply(seq, command, **rest)

            writer.venue.apply = watch
            disk.hold()
            send(writer, Deposit("a", 1))
            await until(lambda: disk.syncs == 1, "frame 1 is being synced")
            last = send(writer, Deposit("a", 2))
            disk.let_all_go()
            await until(lambda: last, "all are answered")

    run(main())
    assert begun == [[[Deposit("a", 1)], [Deposit("a", 2)]]]


def test_a_full_inbox_says_busy_and_takes_nothing(tmp_path):
    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, disk=disk, inbox_limit=3) as writer:
            disk.hold()
            got = [send(writer, Deposit("a", 1))]
            await until(lambda: disk.syncs == 1, "the first is in a frame")
            got += [send(writer, Deposit("a", 1)) for _ in range(3)]
            for _ in range(2):
                with pytest.raises(Busy, match="3 commands wait"):
                    send(writer, Deposit("b", 1))
            with pytest.raises(Busy):
                await writer.submit(Deposit("b", 1))
            assert writer.stats.busy == 3
            disk.let_all_go()
            await until(lambda: all(got), "the others are answered")
            assert (await writer.submit(Deposit("c", 1))).seq == 5
            assert writer.venue.balances == {"a": 4, "c": 1}

    run(main())


def test_a_command_without_bytes_is_refused_alone(tmp_path):
    async def main():
        async with toy_writer(tmp_path) as writer:
            first, last = send(writer, Deposit("a", 1)), None
            with pytest.raises(CodecError):
                send(writer, Deposit("a", 1.5))
            with pytest.raises(CodecError):
                await writer.submit(Deposit("a", 1), Envelope(idem_key=b"short"))
            last = send(writer, Deposit("a", 1))
            await until(lambda: first and last, "the others are answered")
            assert [got[0].seq for got in (first, last)] == [1, 2]

    run(main())


def test_the_envelope_travels_with_the_command(tmp_path):
    async def main():
        async with toy_writer(tmp_path) as writer:
            handle: Handle = writer
            await handle.submit(AdvanceTime(50))
            await handle.submit(task(1), Envelope(idem_key=b"k" * 16, valid_until_ns=99, account=3, session=4))
            assert handle.venue.keys.keys() == {b"k" * 16}
            assert (handle.seq, handle.durable_seq, handle.now_ns, handle.halted) == (2, 2, 50, "")

    run(main())
    header = list(read_commands(tmp_path))[1].header
    assert (header.account, header.session, header.valid_until_ns) == (3, 4, 99)


def test_a_fault_of_ours_halts_it_and_everybody_is_told_what_is_known(tmp_path):
    disk, halts = SlowDisk(), []

    async def main():
        async with toy_writer(tmp_path, disk=disk, on_halt=halts.append) as writer:
            disk.hold()
            good = send(writer, Deposit("a", 1))
            await until(lambda: disk.syncs == 1, "frame 1 is being synced")
            bad = [send(writer, command) for command in (Deposit("a", 2), POISON, Deposit("a", 3))]
            disk.let_go()
            await until(lambda: disk.syncs == 2, "frame 2 is being synced")
            rest = [send(writer, Deposit("a", 4)) for _ in range(1030)]
            disk.let_all_go()
            await until(lambda: all(rest), "everybody is told")
            assert good == [Answer(1, [Paid("a", 1)])]
            for (error,) in (*bad, *rest):
                assert isinstance(error, VenueHalted) and "seq 3 raised ZeroDivisionError" in str(error)
            assert not any(error.is_definite for (error,) in (*bad, *rest[:1024])), "these may be in the log"
            assert all(error.is_definite for (error,) in rest[1024:]), "these are not"
            assert len(halts) == 1 and halts[0] == writer.halted and "ZeroDivisionError" in halts[0]
            with pytest.raises(VenueHalted, match="takes no commands") as caught:
                await writer.submit(Deposit("a", 1))
            assert caught.value.is_definite

    run(main())
    assert [entry.command for entry in read_commands(tmp_path)][2] == POISON
    assert not list(tmp_path.glob("snapshots/*")), "a halted venue has no state worth keeping"
    with pytest.raises(VenueHalted, match="seq 3"):
        open_toy(tmp_path)


def test_a_disk_that_fails_halts_it_and_nothing_of_the_frame_is_applied(tmp_path):
    disk, halts = SlowDisk("fdatasync", 2, OSError(5, "Input/output error")), []

    async def main():
        async with toy_writer(tmp_path, disk=disk, on_halt=halts.append) as writer:
            await writer.submit(Deposit("a", 1))
            with pytest.raises(VenueHalted, match="Input/output error") as caught:
                await writer.submit(Deposit("a", 2))
            assert not caught.value.is_definite, "its bytes may be on the disk all the same"
            assert writer.venue.balances == {"a": 1}
            assert len(halts) == 1
            with pytest.raises(VenueHalted):
                send(writer, Deposit("a", 3))

    run(main())
    assert disk.counts["fdatasync"] == 2, "never tried again"


def test_a_failing_sink_or_callback_stops_alone_and_is_reported(tmp_path):
    seen, batches = [], []

    def failing_sink(seq, *_):
        raise ValueError("full")

    def failing_callback(seq):
        raise KeyError("gone")

    async def main():
        sinks = [failing_sink, lambda seq, *_: seen.append(seq)]
        async with toy_writer(tmp_path, sinks, after_batch=[failing_callback, batches.append]) as writer:
            for number in range(1, 4):
                assert (await writer.submit(Deposit("a", 1))).seq == number
            assert len(writer.problems) == 2
            assert "failing_sink stopped at seq 1: ValueError: full" in writer.problems[0]
            assert "failing_callback stopped at seq 1: KeyError" in writer.problems[1]

    run(main())
    assert seen == batches == [1, 2, 3]


def test_a_caller_that_fails_in_its_answer_harms_nobody_else(tmp_path):
    told = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))

        def fail(answer):
            raise RuntimeError("a door fell shut")

        async with toy_writer(tmp_path) as writer:
            writer.submit_nowait(Deposit("a", 1), Envelope(), fail)
            assert (await writer.submit(Deposit("a", 1))).seq == 2
            assert writer.halted == ""

    run(main())
    assert [str(error) for error in told] == ["a door fell shut"]


def test_who_stops_waiting_does_not_take_the_command_back(tmp_path):
    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, disk=disk) as writer:
            disk.hold()
            waiting = asyncio.create_task(writer.submit(Deposit("a", 1)))
            await until(lambda: disk.syncs == 1, "it is in a frame")
            waiting.cancel()
            disk.let_all_go()
            assert (await writer.submit(Deposit("a", 1))).events == [Paid("a", 2)]
            assert waiting.cancelled()

    run(main())


def test_many_callers_make_the_same_venue_as_one_after_the_other(tmp_path):
    order = []

    async def caller(writer, seed):
        generator = random.Random(seed)
        for command in some_commands(40, 1000 * seed):
            await writer.submit(command)
            for _ in range(generator.randrange(4)):
                await asyncio.sleep(0)

    async def main():
        async with toy_writer(tmp_path / "live", [lambda *event: order.append(event)]) as writer:
            await asyncio.gather(*(caller(writer, seed) for seed in range(12)))
            assert 1 < writer.stats.frames < writer.stats.commands == 480
            return writer.venue.state_hash(), writer._sequencer.event_hash

    live = run(main())
    commands = [command for _, _, command, _ in order]
    assert len({repr(command) for command in commands}) == 480
    seen = []
    sequencer, _ = open_toy(tmp_path / "one", [lambda *event: seen.append(event)])
    sequencer.submit(commands)
    assert seen == order
    assert (sequencer.venue.state_hash(), sequencer.event_hash) == live
    logs = [[(entry.command, entry.header) for entry in read_commands(tmp_path / name)] for name in ("live", "one")]
    assert logs[0] == logs[1]
    sequencer.close()
    again, found = open_toy(tmp_path / "live")
    assert (again.venue.state_hash(), again.event_hash) == live
    assert found.end.next_seq == 481
    again.close()


def test_segments_roll_and_leave_snapshots_while_commands_go_on(tmp_path):
    async def main():
        async with toy_writer(tmp_path, segment_bytes=3 * BLOCK) as writer:
            for number in range(20):
                await writer.submit(Deposit("a", number + 1))
                await until(lambda: writer._keeping is None or writer._keeping.done(), "the snapshot is kept")
            assert writer.problems == []

    run(main())
    assert len(segments(tmp_path)) == 11
    assert [snapshot.seq for snapshot in list_snapshots(tmp_path / "snapshots")] == [16, 18, 20]
    sequencer, found = open_toy(tmp_path)
    assert (found.snapshot_seq, found.replayed) == (20, 0)
    sequencer.close()


def test_a_snapshot_waits_until_it_may_exist_or_is_left_out(tmp_path):
    asked, durable = [], [0]

    def may_snapshot(seq):
        asked.append(seq)
        return seq <= durable[0]

    async def main():
        async with toy_writer(tmp_path, segment_bytes=3 * BLOCK, may_snapshot=may_snapshot) as writer:
            for _ in range(2):
                await writer.submit(Deposit("a", 1))
            await until(lambda: len(asked) > 1, "it has asked twice")
            assert (await writer.submit(Deposit("a", 1))).seq == 3, "commands do not wait for it"
            assert not list_snapshots(tmp_path / "snapshots")
            durable[0] = 2
            await until(lambda: list_snapshots(tmp_path / "snapshots"), "it is kept")
            writer._snapshot_wait_s = 0

    run(main())
    assert [snapshot.seq for snapshot in list_snapshots(tmp_path / "snapshots")] == [2], "none at 3: it may not exist"
    sequencer, found = open_toy(tmp_path)
    assert (found.snapshot_seq, found.replayed) == (2, 1)
    sequencer.close()


def test_a_snapshot_that_cannot_be_written_stops_nothing(tmp_path):
    async def main():
        disk = FaultyDisk("replace", 2, OSError(28, "No space left on device"))
        async with toy_writer(tmp_path, disk=disk) as writer:
            await writer.submit(Deposit("a", 1))
            await writer.close()
            assert "No space left" in writer.problems[0]

    run(main())
    open_toy(tmp_path)[0].close()


def test_close_finishes_what_it_has_and_frees_the_folder(tmp_path):
    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, disk=disk) as writer:
            disk.hold()
            got = [send(writer, Deposit("a", 1))]
            await until(lambda: disk.syncs == 1, "the first is in a frame")
            got += [send(writer, Deposit("a", 1)) for _ in range(5)]
            closing = asyncio.create_task(writer.close())
            await asyncio.sleep(0)
            with pytest.raises(VenueHalted, match="closed") as caught:
                send(writer, Deposit("a", 1))
            assert caught.value.is_definite
            disk.let_all_go()
            await closing
            assert [answer.seq for (answer,) in got] == [1, 2, 3, 4, 5, 6]
            await writer.close()

    run(main())
    sequencer, found = open_toy(tmp_path)
    assert (found.snapshot_seq, found.replayed, sequencer.venue.balances) == (6, 0, {"a": 6})
    sequencer.close()


def test_what_was_never_begun_is_refused_at_close(tmp_path):
    async def main():
        sequencer, _ = open_toy(tmp_path)
        writer = Writer(sequencer)
        got = send(writer, Deposit("a", 1))
        await writer.close()
        assert isinstance(got[0], VenueHalted) and got[0].is_definite

    run(main())
    assert not list(read_commands(tmp_path))
