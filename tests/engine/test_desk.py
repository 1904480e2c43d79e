"""The operator's desk: what is due when, and that a run from files and a live venue have one and the same log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from live import SetClock

from exchange.adapters.journal_file import open_sequencer, read_commands
from exchange.app import open_folder
from exchange.domain.commands import (
    AddParticipant,
    AddSite,
    AdvanceTime,
    AnnounceOutage,
    AttestCapacity,
    BuyIn,
    Chip,
    DeclareFailure,
    Deposit,
    ListFamily,
    LoadCatalogue,
    PlaceOffer,
    PlaceOrder,
    Reach,
    Region,
    SetFix,
    SetMeter,
    SetTariff,
    SettlePeriod,
    SetVenue,
)
from exchange.domain.events import FixSet, PeriodSettled, Refused, Settled, Traded
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


def failing_market(meter_s: int = 0) -> tuple[Venue, Desk, list]:
    """A venue with one hour sold by P1, another site that sells the same hour dearer, and a desk that has been asked once."""
    venue = set_up(lots_per_card=1)
    seq = iter(range(3, 1_000))
    hour = (START // NS_PER_HOUR + 2) * NS_PER_HOUR
    chips, regions = (Chip("H800", "ai", 990_000, 80, 700),), (Region("g", "g", "", "cluster", 0, 0),)
    made = [
        LoadCatalogue(chips, regions, (Reach("g", "g", "L1", 900),), ()), SetTariff(1, 0, 5_000, 2_500, 10_000, ()),
        ListFamily("H800", "g", "L1", "grid"),
    ]  # fmt: skip
    for who in ("B1", "P1", "P2"):
        made += [AddParticipant(who, f"firm {who}"), Deposit(who, 10**9)]
    for who in ("P1", "P2"):
        first = START // NS_PER_HOUR * NS_PER_HOUR
        made += [AddSite(f"s{who}", who, "g"), AttestCapacity(f"s{who}", "H800", 10, first, hour * 2)]
    if meter_s:
        made.append(SetMeter("P1", "sP1", "", meter_s))
    made.append(AdvanceTime(START))
    for who, price in (("P1", 8), ("P2", 9)):
        end = hour + NS_PER_HOUR
        made.append(PlaceOffer(who, "o", f"s{who}", "H800", "L1", "grid", 4, hour, end, price * 10**6, standby=True))
    code = f"H800/g/L1/grid/{venue.periods.code(venue.periods.at(hour))}"
    made.append(PlaceOrder("B1", "b", code, "buy", 8 * 10**6, 4))
    seen: list = []
    desk = Desk(venue)
    run(venue, desk, seq, seen, made)
    return venue, desk, [seq, seen, hour]


def run(venue: Venue, desk: Desk, seq, seen: list, commands: list) -> None:
    """Applies commands, and what the desk says behind each that ends a frame."""
    for command in commands:
        is_end = desk.ends_frame(command)
        for each in [command, *([] if not is_end else [None])]:
            follow = desk.due(venue.now_ns) if each is None else [each]
            for one in follow:
                events = venue.apply(next(seq), one)
                assert not events or not isinstance(events[0], Refused), events
                desk.on_command(0, venue.now_ns, one, events)
                seen.append((one, events))


def cures(seen: list) -> list:
    return [(command.obligation_id, [type(event) for event in events]) for command, events in seen if type(command) is BuyIn]


@pytest.mark.parametrize("is_outage", [True, False])
def test_the_desk_buys_in_directly_behind_what_made_a_failure_known_and_once(is_outage: bool):
    venue, desk, (seq, seen, hour) = failing_market()
    number = next(iter(venue.state.obligations))
    run(venue, desk, seq, seen, [AnnounceOutage("P1", "sP1", hour, hour + 1) if is_outage else DeclareFailure("P1", number)])
    found = cures(seen)
    assert [which for which, _ in found] == [number] and Traded in found[0][1] and Settled in found[0][1]
    assert type(seen[-2][0]) in (AnnounceOutage, DeclareFailure), "and nothing else between two stops"
    run(venue, desk, seq, seen, [AdvanceTime(hour - NS_PER_HOUR), AdvanceTime(hour + NS_PER_HOUR)])
    assert cures(seen) == found


def test_what_was_to_be_cured_before_a_kill_is_cured_after_it():
    venue, desk, (seq, _, hour) = failing_market()
    number = next(iter(venue.state.obligations))
    venue.apply(next(seq), DeclareFailure("P1", number))
    again = Venue.restore(venue.snapshot())
    assert [each for each in Desk(again).due(again.now_ns) if type(each) is BuyIn] == [BuyIn(number)]
    again.apply(next(seq), BuyIn(number))
    assert [each for each in Desk(again).due(again.now_ns) if type(each) is BuyIn] == []


def test_a_meter_that_falls_silent_is_a_stop_of_the_clock_and_leads_to_standby_asks():
    venue, desk, (seq, seen, hour) = failing_market(meter_s=60)
    run(venue, desk, seq, seen, [AdvanceTime(hour)])
    silent_ns = hour + 3 * 60 * NS_PER_SECOND + 1
    assert desk.next_stop(hour) == silent_ns
    assert not desk.ends_frame(AdvanceTime(silent_ns - 1)) and desk.ends_frame(AdvanceTime(silent_ns))
    run(venue, desk, seq, seen, [AdvanceTime(silent_ns)])
    (_, kinds), = cures(seen)
    assert Traded in kinds, "eleven twelfths of the hour from P2, who stands by"


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
