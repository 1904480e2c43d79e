"""The driver: when it stops, what it skips, what time a trade has, and what it does when the venue says no."""

from dataclasses import replace

import pytest

from exchange.app import open_folder
from exchange.domain.commands import AdvanceTime, ListFamily, PlaceOffer, SubmitTask
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.fixer import Fixer
from exchange.engine.sequencer import Answer
from exchange.projections import Projections
from exchange.replay.driver import DayRefused, Driver
from exchange.replay.market_day import TimedRow, pieces_of
from exchange.replay.run import _sources
from exchange.replay.scenario import DEMO_START_NS, market_day
from exchange.replay.view import VenueView

DAY = market_day(1, 40)


class Sent:
    """A venue with its desk that keeps what it was sent."""

    def __init__(self, *sinks):
        self.venue, self.commands, self.batches, self.sinks = Venue(), [], [], sinks
        self.desk = Desk(self.venue)

    def submit(self, commands):
        self.batches.append(list(commands))
        return [self.apply(command) for command in commands]

    def apply(self, command):
        is_stop = self.desk.ends_frame(command)
        self.commands.append(command)
        seq = len(self.commands)
        events = self.venue.apply(seq, command)
        for sink in (self.desk.on_command, *self.sinks):
            sink(seq, self.venue.now_ns, command, events)
        for follows in self.desk.due(self.venue.now_ns) if is_stop else ():
            self.apply(follows)
        return Answer(seq, events)


def drive(day, *sinks, **changes):
    sent = Sent(*sinks)
    driver = Driver(day, VenueView(sent.venue), sent.submit, seed=1, shortfall_ppm=0)
    for name, value in changes.items():
        setattr(driver, name, value)
    return sent, driver, len(list(driver.run()))


def only(day, kind, deadline_ns=0):
    """The day with rows of one kind; tasks last until deadline_ns."""
    rows = [row for row in day.rows if isinstance(row.command, kind)]
    if deadline_ns:
        rows = [
            TimedRow(row.time_ns, SubmitTask(replace(row.command.task, deadline_ns=deadline_ns, lane="standard")))
            for row in rows
        ]
    return replace(day, rows=tuple(rows))


def test_tasks_that_nobody_can_fill_do_not_keep_the_clock_running_for_years():
    sent, _, periods = drive(only(DAY, SubmitTask, deadline_ns=DEMO_START_NS + 3_600 * NS_PER_DAY))
    assert not sent.venue.state.tasks  # they have died
    assert sent.venue.now_ns > DEMO_START_NS + 3_590 * NS_PER_DAY
    assert periods < 60


@pytest.mark.slow
def test_the_run_ends_when_nothing_is_left_although_offers_stand_for_weeks():
    day = replace(only(DAY, PlaceOffer), end_ns=DEMO_START_NS + 400 * NS_PER_DAY)
    sent, _, periods = drive(day)
    assert sent.venue.now_ns < DEMO_START_NS + 2 * NS_PER_DAY and periods <= 25


def test_everything_sold_is_settled_at_the_end():
    sent, _, _ = drive(DAY)
    state = sent.venue.state
    assert not state.obligations and not state.tasks and not state.bids


def test_the_clock_stands_at_whole_seconds_only():
    sent, _, _ = drive(only(DAY, PlaceOffer))
    clocks = [command.now_ns for command in sent.commands if isinstance(command, AdvanceTime)]
    rows = {row.time_ns for row in DAY.rows}
    assert len(clocks) > 20
    assert [clock for clock in clocks if clock not in rows and clock % NS_PER_SECOND] == []


def test_a_row_in_the_last_nanosecond_of_a_period_comes_before_its_end():
    late_ns = DEMO_START_NS + NS_PER_HOUR - 1
    first = only(DAY, PlaceOffer).rows[0]
    sent, _, _ = drive(replace(DAY, rows=(TimedRow(late_ns, first.command),)))
    clocks = [command.now_ns for command in sent.commands if isinstance(command, AdvanceTime)]
    assert late_ns in clocks and clocks.index(late_ns) < clocks.index(late_ns + 1)


@pytest.mark.slow
def test_a_trade_has_the_time_the_clock_had_come_to_within_its_batch(tmp_path, monkeypatch):
    expected, got = [], []
    apply, remember = Venue.apply, Fixer.remember

    def watch(venue, seq, command, **rest):
        events = apply(venue, seq, command, **rest)
        expected.extend(venue.now_ns for event in events if type(event).__name__ == "Traded")
        return events

    monkeypatch.setattr(Venue, "apply", watch)
    monkeypatch.setattr(Fixer, "remember", lambda self, at, trade: (got.append(at), remember(self, at, trade)))
    run = open_folder(tmp_path / "run")
    for _ in Driver(DAY, VenueView(run.venue), run.submit, seed=1, shortfall_ppm=0).run():
        pass
    run.close()
    assert run.problems == []
    assert len(set(expected)) > 10 and got == expected


def test_a_set_up_that_the_venue_refuses_ends_the_run_with_its_words():
    lost = DAY.families[-1]
    assert isinstance(lost, ListFamily)
    reach = tuple(r for r in DAY.catalogue.reach if (r.host_region, r.latency_class) != (lost.region, lost.latency_class))
    with pytest.raises(DayRefused, match=f"ListFamily: nobody reaches {lost.region}") as caught:
        drive(replace(DAY, catalogue=replace(DAY.catalogue, reach=reach)))
    assert caught.value.exit_code == 65


def test_a_clock_that_the_venue_refuses_ends_the_run():
    with pytest.raises(DayRefused, match="AdvanceTime.*2020"):
        drive(replace(DAY, start_ns=NS_PER_DAY))


def test_two_buyers_may_give_their_tasks_the_same_names():
    """Pieces belong to a buyer's task, not to everybody's task of that name."""
    task = only(DAY, SubmitTask).rows[0].command.task
    pieces = (("anna", "t.2", "t"),)
    records = [("anna", "t", "filled"), ("anna", "t.2", "unfilled"), ("bert", "t", "filled"), ("bert", "t.2", "filled")]
    projections = Projections()
    from exchange.projections.tasks import TaskRecord

    for participant, name, status in records:
        named = replace(task, participant=participant, client_order_id=name)
        projections.tasks.records.append(TaskRecord(1, 0, named, "complete" if status == "filled" else "expired"))
    found = _sources(replace(DAY, pieces=pieces), projections)
    assert found == {"source_tasks": 3, "source_filled": 2, "source_unfilled": 1}  # anna's t; bert's t and t.2


def test_pieces_carry_their_buyer():
    from exchange.adapters.market_files import TaskRow

    task = only(DAY, SubmitTask).rows[0].command.task
    rows = [TaskRow(0, SubmitTask(replace(task, client_order_id=name)), "f", 2, 0) for name in ("t", "t.2")]
    assert pieces_of(rows) == ((task.participant, "t.2", "t"),)
