"""The operator's desk: what is due when, and that a run from files and a live venue have one and the same log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from live import SetClock

from exchange.adapters.journal_file import open_sequencer, read_commands
from exchange.app import open_folder
from exchange.domain.commands import AdvanceTime, SetFix, SettlePeriod, SetVenue
from exchange.domain.events import FixSet, PeriodSettled, Settled, Traded
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.engine.desk import NO_STOP, Desk
from exchange.engine.writer import Writer
from exchange.replay.driver import Driver
from exchange.replay.scenario import DEMO_START_NS, market_day
from exchange.replay.view import VenueView

pytestmark = pytest.mark.slow  # a live exchange, or a market day

DAY = market_day(1, 60)
START = DEMO_START_NS


def set_up(period_min: int = 60, gate_min: int = 5, **settings: int) -> Venue:
    """A venue with settings and a clock, nothing else."""
    venue = Venue()
    venue.apply(1, AdvanceTime(START))
    venue.apply(2, SetVenue("small", period_min=period_min, gate_min=gate_min, **settings))
    return venue


def drive_files(day, folder):
    """Runs a day from files; (venue, events)."""
    seen: list = []
    run = open_folder(folder, [lambda *event: seen.append(event)])
    for _ in Driver(day, VenueView(run.venue), run.submit, seed=1, shortfall_ppm=100_000).run():
        pass
    run.close()
    assert run.problems == []
    return run.venue, seen


def drive_live(day, folder, clock=None):
    """The same through a live writer: all commands of a batch at once, each from a task of its own."""
    seen: list = []
    sequencer, _ = open_sequencer(folder, Venue, Venue.restore, [lambda *event: seen.append(event)])
    venue = sequencer.venue
    with asyncio.Runner() as runner:

        async def make():
            writer = Writer(sequencer, desk=Desk(venue), clock=clock)
            await writer.start()
            return writer

        async def submit(commands):
            return await asyncio.gather(*map(writer.submit, commands))

        writer = runner.run(make())
        driver = Driver(day, VenueView(venue), lambda commands: runner.run(submit(commands)), seed=1, shortfall_ppm=100_000)
        for _ in driver.run():
            pass
        runner.run(writer.close())
    assert writer.problems == [] and writer.stats.frames < writer.stats.commands
    return venue, seen


@pytest.fixture(scope="module")
def from_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return folder, *drive_files(DAY, folder)


def commands_of(folder) -> list:
    return [entry.command for entry in read_commands(folder)]


def test_a_run_from_files_and_a_live_venue_have_one_log(from_files, tmp_path):
    folder, venue, seen = from_files
    live, live_seen = drive_live(DAY, tmp_path)
    assert commands_of(tmp_path) == commands_of(folder)
    assert live_seen == seen
    assert live.state_hash() == venue.state_hash()
    kinds = [type(command) for command in commands_of(folder)]
    assert kinds.count(SetFix) > 20 and kinds.count(SettlePeriod) > 5


def test_every_command_of_the_desk_is_taken(from_files):
    _, _, seen = from_files
    for _, _, command, events in seen:
        if isinstance(command, SetFix | SettlePeriod):
            assert any(isinstance(event, FixSet | PeriodSettled) for event in events), (command, events)


def test_the_desk_speaks_directly_behind_the_clock_at_its_stops_and_nowhere_else(from_files):
    _, venue, seen = from_files
    grid = venue.periods
    before = None
    for _, ts_ns, command, _ in seen:
        if isinstance(command, SetFix):
            assert (ts_ns + NS_PER_SECOND + grid.gate_ns) % NS_PER_HOUR == 0
        if isinstance(command, SettlePeriod):
            assert ts_ns % NS_PER_HOUR == 0
            assert ts_ns >= command.period_start_ns + NS_PER_HOUR + 60 * NS_PER_MINUTE
        if isinstance(command, SetFix | SettlePeriod):
            assert isinstance(before, AdvanceTime | SetFix | SettlePeriod), before
        before = command


def test_everything_that_traded_has_a_fix_and_is_settled(from_files):
    _, venue, seen = from_files
    events = [event for *_, events in seen for event in events]
    traded = {event.instrument for event in events if isinstance(event, Traded)}
    fixed = {event.instrument for event in events if isinstance(event, FixSet)}
    assert len(traded) > 10 and traded <= fixed
    assert {event.obligation_id for event in events if isinstance(event, Traded)} <= {
        event.obligation_id for event in events if isinstance(event, Settled)
    }
    assert not venue.state.obligations


@pytest.mark.parametrize("period_min, gate_min", [(60, 5), (15, 0), (30, 30), (60, 59), (60, 60), (15, 100)])
def test_the_next_stop_is_the_first_second_before_a_gate_or_end_of_a_period(period_min, gate_min):
    desk = Desk(set_up(period_min, gate_min))
    step_ns = period_min * NS_PER_MINUTE
    ends = [START // step_ns * step_ns + count * step_ns for count in range(-20, 40)]
    stops = sorted({*ends, *(end - gate_min * NS_PER_MINUTE - NS_PER_SECOND for end in ends)})
    for now_ns in [START, *range(START - 7, START + 5 * step_ns, 7 * NS_PER_MINUTE - 1), *stops[45:60]]:
        for nearby in (now_ns - 1, now_ns, now_ns + 1):
            assert desk.next_stop(nearby) == min(stop for stop in stops if stop > nearby)


def test_a_venue_without_settings_has_no_stops():
    venue = Venue()
    desk = Desk(venue)
    assert desk.next_stop(0) == NO_STOP and desk.due(0) == []
    assert not desk.ends_frame(AdvanceTime(1 << 62))
    assert desk.ends_frame(SetVenue("x")), "what the stops are is known only behind it"


def test_only_a_clock_that_comes_to_a_stop_ends_a_frame():
    desk = Desk(set_up())
    stop = desk.next_stop(START)
    assert not desk.ends_frame(AdvanceTime(stop - 1))
    assert desk.ends_frame(AdvanceTime(stop)) and desk.ends_frame(AdvanceTime(stop + 1))
    assert not desk.ends_frame(SettlePeriod(stop))


def replay_until(seen, is_last):
    """(venue, desk, trades so far, what came next) of a run cut behind the first command for which is_last holds."""
    venue, trades = Venue(), []
    for place, (seq, ts_ns, command, _) in enumerate(seen):
        events = venue.apply(seq, command)
        trades += [(ts_ns, event) for event in events if isinstance(event, Traded)]
        if is_last(place):
            return venue, trades, [later[2] for later in seen[place + 1 :]]
    raise AssertionError("never")


@pytest.mark.parametrize("kind", [SetFix, SettlePeriod])
@pytest.mark.parametrize("done", [0, 1])
def test_what_a_crash_cut_off_is_due_after_the_start(from_files, kind, done):
    """The log ends behind the clock, or in the middle of what the desk had to say."""
    _, _, seen = from_files
    commands = [command for _, _, command, _ in seen]
    runs = [
        place for place, command in enumerate(commands)
        if isinstance(command, AdvanceTime) and all(isinstance(after, kind) for after in commands[place + 1 : place + 3])
    ]  # fmt: skip
    if kind is SettlePeriod:  # one at a time in an ordinary day
        runs = [place for place, _ in enumerate(commands[:-1]) if isinstance(commands[place + 1], kind)]
    place = runs[len(runs) // 2]
    venue, trades, later = replay_until(seen, lambda at: at == place + done)
    desk = Desk(venue)
    desk.remember(trades)
    due = desk.due(venue.now_ns)
    expected = []
    for command in later:
        if not isinstance(command, SetFix | SettlePeriod):
            break
        expected.append(command)
    assert due == expected
    assert bool(due) == (kind is SetFix or not done)


def test_the_same_start_a_second_later_finds_nothing_left(from_files):
    _, _, seen = from_files
    fixes = [place for place, event in enumerate(seen) if isinstance(event[2], SetFix)]
    last = fixes[len(fixes) // 2]
    while isinstance(seen[last + 1][2], SetFix):
        last += 1
    venue, trades, _ = replay_until(seen, lambda at: at == last)
    for _ in range(2):
        desk = Desk(venue)
        desk.remember(trades)
        assert desk.due(venue.now_ns) == []


def test_a_clock_that_jumps_over_stops_leaves_nothing_undone(from_files):
    """Only somebody outside can do that; trades of the passed periods get their fix and are settled, in this order."""
    _, _, seen = from_files
    first = next(place for place, event in enumerate(seen) if any(isinstance(one, Traded) for one in event[3]))
    venue, trades, _ = replay_until(seen, lambda at: at == first)
    desk = Desk(venue)
    desk.remember(trades)
    seq = seen[first][0] + 1
    venue.apply(seq, AdvanceTime(venue.now_ns + 90 * NS_PER_HOUR))
    due = desk.due(venue.now_ns)
    assert {type(command) for command in due} == {SetFix, SettlePeriod}
    assert [type(command) for command in due] == sorted((type(command) for command in due), key=lambda kind: kind.__name__)
    traded = {trade.instrument for _, trade in trades}
    assert {command.instrument for command in due if isinstance(command, SetFix)} <= traded
    for number, command in enumerate(due, start=seq + 1):
        (event, *_) = [event for event in venue.apply(number, command) if isinstance(event, FixSet | PeriodSettled)]
    assert desk.due(venue.now_ns) == [] and not venue.state.obligations


def test_without_a_dispute_window_readings_that_come_with_the_end_of_a_period_count(tmp_path):
    day = replace(DAY, settings=replace(DAY.settings, dispute_min=0), outages=())
    venue, seen = drive_files(day, tmp_path)
    settled = [event for *_, events in seen for event in events if isinstance(event, Settled)]
    assert len(settled) > 10 and not venue.state.obligations
    assert sum(event.status == "delivered" for event in settled) > len(settled) // 2


def test_a_set_clock_drives_a_venue_through_its_stops(tmp_path):
    """The whole of it: the ticker alone, nobody else, from a venue with trades to one where all is settled."""
    sequencer, _ = open_sequencer(tmp_path, Venue, Venue.restore)
    venue, clock = sequencer.venue, SetClock()
    commands = [AdvanceTime(DAY.start_ns), *DAY.setup(), *(row.command for row in DAY.rows[:120])]

    async def main():
        writer = Writer(sequencer, desk=Desk(venue), clock=clock, tick_s=3600)
        await writer.start()
        await asyncio.gather(*map(writer.submit, commands))
        assert venue.state.obligations
        clock.at_ns = DAY.start_ns + 96 * NS_PER_HOUR
        writer.tick()
        async with asyncio.timeout(30):
            while venue.now_ns < clock.at_ns:
                await asyncio.sleep(0.001)
        assert not venue.state.obligations and writer.problems == []
        await writer.close()

    asyncio.run(main())
    logged = commands_of(tmp_path)
    times = [command.now_ns for command in logged if isinstance(command, AdvanceTime)]
    desk = Desk(venue)
    assert len(times) > 180 and times[-1] == clock.at_ns
    for earlier, later in zip(times[1:], times[2:], strict=False):
        assert later <= desk.next_stop(earlier), "a stop was jumped over"
    assert {SetFix, SettlePeriod} <= {type(command) for command in logged}
