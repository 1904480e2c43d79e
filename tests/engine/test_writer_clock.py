"""The writer's clock and desk: what heads a frame, what cuts one, and that no stop is jumped over."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from live import SetClock, SlowDisk, run, send, toy_writer, until
from toy import POISON

from exchange.adapters.clock import ManualClock
from exchange.adapters.journal_file import read_commands
from exchange.domain.commands import AdvanceTime, Deposit
from exchange.engine.sequencer import Answer, VenueHalted

STEP = 10_000_000  # from this on a frame gets the clock


class HourDesk:
    """Pays a fee at every full hour of a toy time; `hour` ns long."""

    def __init__(self, hour: int, fees: int = 2) -> None:
        self.hour, self.fees, self.paid_until, self.heard = hour, fees, 0, []

    def next_stop(self, now_ns: int) -> int:
        return (now_ns // self.hour + 1) * self.hour

    def ends_frame(self, command) -> bool:
        return type(command) is AdvanceTime and command.now_ns >= self.next_stop(self.paid_until)

    def on_command(self, seq, ts_ns, command, events) -> None:
        self.heard.append((seq, ts_ns))

    def due(self, now_ns: int) -> list:
        hours = range(self.paid_until // self.hour + 1, now_ns // self.hour + 1)
        self.paid_until = now_ns // self.hour * self.hour
        return [Deposit(f"fee{number}", hour) for hour in hours for number in range(self.fees)]


def logged(folder) -> list:
    return [entry.command for entry in read_commands(folder)]


def test_the_desk_speaks_directly_behind_the_clock_and_the_clock_is_answered_after_it(tmp_path):
    order = []

    async def main():
        async with toy_writer(tmp_path, desk=HourDesk(100)) as writer:

            async def submit(command):
                answer = await writer.submit(command)
                order.append(command)
                return answer

            sent = [Deposit("a", 1), AdvanceTime(250), Deposit("a", 2), AdvanceTime(260), Deposit("a", 3)]
            answers = await asyncio.gather(*map(submit, sent))
            assert [answer.seq for answer in answers] == [1, 2, 7, 8, 9]
            assert answers[1] == Answer(2, []), "its own events"
            assert writer.problems == []

    run(main())
    fees = [Deposit(f"fee{number}", hour) for hour in (1, 2) for number in (0, 1)]
    assert logged(tmp_path) == [
        Deposit("a", 1), AdvanceTime(250), *fees, Deposit("a", 2), AdvanceTime(260), Deposit("a", 3),
    ]  # fmt: skip
    assert order == [Deposit("a", 1), AdvanceTime(250), Deposit("a", 2), AdvanceTime(260), Deposit("a", 3)]


def test_the_clock_waits_for_the_last_frame_of_the_desk(tmp_path):
    """More than a frame takes; the answer of the clock may not come after the first of them."""
    disk = SlowDisk()

    async def main():
        async with toy_writer(tmp_path, desk=HourDesk(100, fees=1500), disk=disk) as writer:
            disk.hold()
            clock, behind = send(writer, AdvanceTime(100)), send(writer, Deposit("a", 1))
            for frame, size in enumerate((1, 1024), start=1):
                await until(lambda frame=frame: disk.syncs == frame, "the frame is being synced")
                disk.let_go()
                await until(lambda size=size: writer.seq >= size, "it is applied")
                assert (clock, behind) == ([], [])
            disk.let_all_go()
            await until(lambda: clock and behind, "both are answered")
            assert (clock[0].seq, behind[0].seq, writer.stats.frames) == (1, 1502, 3)

    run(main())


def test_a_fault_in_what_the_desk_sends_leaves_the_clock_unknown(tmp_path):
    class Poisoner(HourDesk):
        def due(self, now_ns):
            return [Deposit("a", 1), POISON] if now_ns else []

    async def main():
        async with toy_writer(tmp_path, desk=Poisoner(100)) as writer:
            clock, behind = send(writer, AdvanceTime(100)), send(writer, Deposit("a", 1))
            await until(lambda: clock and behind, "both are told")
            assert isinstance(clock[0], VenueHalted) and not clock[0].is_definite

    run(main())


def test_a_desk_that_fails_halts_the_venue(tmp_path):
    class Broken(HourDesk):
        def on_command(self, *event):
            raise KeyError("the desk fell over")

    async def main():
        async with toy_writer(tmp_path, desk=Broken(100)) as writer:
            got = send(writer, Deposit("a", 1))
            await until(lambda: got, "it is told")
            assert isinstance(got[0], VenueHalted) and "the desk fell over" in writer.halted

    run(main())


def test_what_was_left_to_do_before_the_start_is_done_first(tmp_path):
    async def main():
        async with toy_writer(tmp_path) as writer:
            await writer.submit(AdvanceTime(150))
        async with toy_writer(tmp_path, desk=HourDesk(100)) as writer:
            await writer.submit(Deposit("a", 1))

    run(main())
    assert logged(tmp_path) == [AdvanceTime(150), Deposit("fee0", 1), Deposit("fee1", 1), Deposit("a", 1)]


def test_a_tick_brings_the_venue_to_the_clock_and_stands_at_every_stop(tmp_path):
    clock, desk = SetClock(), HourDesk(100, fees=1)

    async def main():
        async with toy_writer(tmp_path, clock=clock, desk=desk, tick_s=3600) as writer:
            for at_ns, wanted in ((50, 50), (430, 430), (20, 430), (500, 500)):
                clock.at_ns = at_ns
                writer.tick()
                await until(lambda: not writer._is_tick_due and not writer._flights, "the tick is through")
                await until(lambda wanted=wanted: writer.venue.now_ns == wanted, f"the venue is at {wanted}")

    run(main())
    times = [50, 100, 200, 300, 400, 430, 500]
    expected = []
    for at_ns in times:
        expected.append(AdvanceTime(at_ns))
        if at_ns % 100 == 0:
            expected.append(Deposit("fee0", at_ns // 100))
    assert logged(tmp_path) == expected
    assert [at_ns for _, at_ns in desk.heard] == [
        at for at in times for _ in range(1 + (at % 100 == 0))
    ]  # fmt: skip


def test_the_ticker_ticks_by_itself(tmp_path):
    clock = SetClock(1)

    async def main():
        async with toy_writer(tmp_path, clock=clock, tick_s=0.001) as writer:
            for at_ns in (5, 9):
                clock.at_ns = at_ns
                await until(lambda at_ns=at_ns: writer.venue.now_ns == at_ns, "a tick came")

    run(main())


def test_a_frame_begins_with_the_clock_where_the_venue_is_behind_it(tmp_path):
    clock = SetClock(1)

    async def main():
        async with toy_writer(tmp_path, clock=clock, tick_s=3600) as writer:
            await until(lambda: writer.venue.now_ns == 1, "the first tick is through")
            for at_ns in (STEP, STEP + 1, 2 * STEP, 5 * STEP, 4 * STEP):
                clock.at_ns = at_ns
                await writer.submit(Deposit("a", at_ns))

    run(main())
    assert logged(tmp_path) == [
        AdvanceTime(1), Deposit("a", STEP), AdvanceTime(STEP + 1), Deposit("a", STEP + 1), Deposit("a", 2 * STEP),
        AdvanceTime(5 * STEP), Deposit("a", 5 * STEP), Deposit("a", 4 * STEP),
    ]  # fmt: skip


def test_a_command_that_comes_after_a_stop_is_behind_the_desk(tmp_path):
    clock, desk = SetClock(1), HourDesk(2 * STEP, fees=1)

    async def main():
        async with toy_writer(tmp_path, clock=clock, desk=desk, tick_s=3600) as writer:
            await until(lambda: writer.venue.now_ns == 1, "the first tick is through")
            clock.at_ns = 7 * STEP
            await asyncio.gather(writer.submit(Deposit("a", 1)), writer.submit(Deposit("a", 2)))

    run(main())
    stops = [[AdvanceTime(2 * hour * STEP), Deposit("fee0", hour)] for hour in (1, 2, 3)]
    assert logged(tmp_path) == [AdvanceTime(1), *sum(stops, []), AdvanceTime(7 * STEP), Deposit("a", 1), Deposit("a", 2)]


def test_the_clock_does_not_come_between_the_clock_and_the_desk(tmp_path):
    """Also where the clock runs on while the frame of a stop is on its way to the disk."""
    disk, clock, desk = SlowDisk(), SetClock(1), HourDesk(2 * STEP, fees=1)

    async def main():
        async with toy_writer(tmp_path, clock=clock, desk=desk, disk=disk, tick_s=3600) as writer:
            await until(lambda: writer.venue.now_ns == 1, "the first tick is through")
            disk.hold()
            disk.syncs = 0
            clock.at_ns = 2 * STEP
            got = send(writer, Deposit("a", 1))
            await until(lambda: disk.syncs == 1, "the stop is being synced")
            clock.at_ns = 5 * STEP
            disk.let_all_go()
            await until(lambda: got, "it is answered")

    run(main())
    assert logged(tmp_path)[:3] == [AdvanceTime(1), AdvanceTime(2 * STEP), Deposit("fee0", 1)]
    times = [entry.now_ns for entry in logged(tmp_path) if isinstance(entry, AdvanceTime)]
    assert all(earlier < later for earlier, later in pairwise(times))


def test_a_manual_clock_moves_nothing(tmp_path):
    async def main():
        async with toy_writer(tmp_path, clock=ManualClock(), desk=HourDesk(100), tick_s=3600) as writer:
            await writer.submit(AdvanceTime(7))
            for _ in range(3):
                writer.tick()
                await until(lambda: not writer._is_tick_due, "the tick is through")
            await writer.submit(Deposit("a", 1))

    run(main())
    assert logged(tmp_path) == [AdvanceTime(7), Deposit("a", 1)]
