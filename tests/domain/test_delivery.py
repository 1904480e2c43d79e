"""Readings, heartbeats, probes and what goes between the parties: against a plain model, and through every restore."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
import worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import Teller
from worlds import HOUR, MINUTE, SECOND, T0, World

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain import events as e
from exchange.domain import events_delivery as ed
from exchange.domain.delivery import accepted_lots
from exchange.domain.venue import Venue

START, END = T0 + HOUR, T0 + 2 * HOUR
CLOSE = END + 60 * MINUTE  # of the dispute window
LOTS = 10


@dataclass
class Model:
    """RD1-RD3 for one obligation, written down a second time."""

    beat_ns: int
    number: int = 0
    lots: int = 0
    read_ns: int = 0
    disputed: int | None = None
    probed: int | None = None
    is_agreed: bool = False
    fails: str = ""

    def tick(self, now_ns: int) -> None:
        """Silence."""
        last_ns = max(START, self.read_ns) + 3 * self.beat_ns
        if self.beat_ns and last_ns < now_ns and last_ns < END and not (self.fails or self.is_agreed):
            self.fails = "silent"

    def read(self, now_ns: int, number: int, lots: int) -> bool:
        """Whether a reading is taken."""
        rises = self.beat_ns and self.number and lots > self.lots
        if not START <= now_ns <= CLOSE or not 0 <= lots <= LOTS or self.is_agreed or self.fails or rises:
            return False
        if number <= self.number:
            return False
        self.number, self.lots, self.read_ns = number, lots, now_ns
        return True

    def dispute(self, now_ns: int, lots: int) -> bool:
        """Whether a dispute is taken."""
        if not START <= now_ns <= CLOSE or self.is_agreed or not 0 <= lots <= LOTS:
            return False
        self.disputed = lots
        return True

    def agree(self, now_ns: int, number: int) -> bool:
        """Whether a countersignature is taken."""
        if now_ns > CLOSE or number <= 0 or number != self.number or self.fails:
            return False
        self.is_agreed = True
        return True

    def probe(self, now_ns: int, lots: int) -> bool:
        """Whether a probe's word is taken."""
        if not END <= now_ns <= CLOSE or not 0 <= lots <= LOTS or self.is_agreed or self.fails:
            return False
        self.probed = lots
        return True

    def fail(self, now_ns: int, reason: str) -> bool:
        """Whether it fails now."""
        if now_ns >= END or self.fails or self.is_agreed:
            return False
        self.fails = reason
        return True

    @property
    def counts(self) -> int:
        """What counts as delivered."""
        if self.fails or not self.number:
            return 0
        if self.is_agreed or (self.probed is not None and self.probed >= self.lots):
            return self.lots
        if self.beat_ns and self.read_ns < END - 3 * self.beat_ns:
            return 0
        others = self.probed if self.probed is not None else self.disputed
        return self.lots if others is None else min(self.lots, others)


def sold(beat_s: int) -> tuple[World, int]:
    """A world in which B1 has bought 10 lots of P1 for the hour from 01:00; the number of what is owed."""
    teller = Teller()
    if beat_s:
        teller.tell(f"meter P1 g1 heartbeat {beat_s}")
    teller.tell("offer P1 o1 g1 H800/L10/grid 10 @ 8.00 01-02")
    teller.tell("bid B1 b1 H800/guian/L10/grid@01 10 @ 8.00")
    return teller.world, min(teller.world.venue.state.obligations)


steps = st.lists(
    st.tuples(
        st.sampled_from((30, 60, 120, 240, 900, 1_800)),  # seconds that pass first
        st.sampled_from(
            ("read", "read", "read", "read", "same", "old", "dispute", "agree", "probe", "outage", "declare", "wait")
        ),
        st.integers(-1, LOTS + 1),
    ),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.sampled_from((0, 60, 300, 600)), st.sampled_from((0, 50, 58, 61, 115)), steps)
def test_whatever_is_read_probed_disputed_or_silent_counts_as_the_rules_say(beat_s: int, begin_min: int, story) -> None:
    world, number = sold(beat_s)
    world.check = False
    model = Model(beat_s * SECOND)
    world.do(c.AdvanceTime(T0 + begin_min * MINUTE))
    model.tick(world.now_ns)
    for place, (pause_s, what, lots) in enumerate(story):
        world.do(c.AdvanceTime(world.now_ns + pause_s * SECOND))
        if world.now_ns > CLOSE + HOUR:
            break
        model.tick(world.now_ns)
        due, now_ns = world.venue.state.obligations[number], world.now_ns
        wanted, command = _step(what, lots, model, due, now_ns)
        if command is not None:
            events = world.do(command)
            assert (type(events[0]) is not e.Refused) == wanted, (what, lots, events, model)
        if place % 7 == 3:
            world.venue = Venue.restore(world.venue.snapshot(), engine=type(world.venue.core))
        due = world.venue.state.obligations[number]
        assert world.venue.state.failing.get(number, "") == model.fails
        assert accepted_lots(due) == model.counts, (due, model)
    world.venue.check()
    world.do(c.AdvanceTime(max(world.now_ns, CLOSE)))
    model.tick(world.now_ns)
    settled = next(x for x in world.do(c.SettlePeriod(START)) if isinstance(x, e.Settled))
    assert (settled.delivered_lots, settled.lost_lots) == (model.counts, LOTS - model.counts)
    assert settled.paid_micro == 8_000_000 * model.counts, "paid for what was delivered, and for nothing else"
    world.venue.check()


def _step(what: str, lots: int, model: Model, due, now_ns: int):
    """(whether the model takes it, the command)."""
    if what in ("read", "same", "old"):
        number = model.number + {"read": 1, "same": 0, "old": -1}[what]
        return model.read(now_ns, number, lots), c.SubmitReading("P1", due.number, number, lots)
    if what == "dispute":
        return model.dispute(now_ns, lots), c.DisputeReading("B1", due.number, lots)
    if what == "agree":
        return model.agree(now_ns, model.number), c.CountersignReading("B1", due.number, model.number)
    if what == "probe":
        return model.probe(now_ns, lots), cd.ProbeReading("probe", due.number, lots)
    if what == "declare":
        return model.fail(now_ns, "declared"), cd.DeclareFailure("P1", due.number)
    if what == "outage" and lots == 0:  # seldom: it ends the story
        model.fail(now_ns, "outage")
        return now_ns < END, c.AnnounceOutage("P1", "g1", START, END)
    return True, None


def test_the_clock_looks_at_no_more_obligations_than_are_due() -> None:
    """500 metered hours ahead of the clock cost a tick nothing."""
    teller = Teller()
    teller.tell("meter P1 g1 heartbeat 60")
    teller.tell("offer P1 o1 g1 H800/L10/grid 500 @ 8.00 09-10")
    for place in range(250):
        teller.tell(f"bid B1 b{place} H800/guian/L10/grid@09 2 @ 8.00")
    world = teller.world
    assert len(world.venue.watched) == 250
    looked = 0

    class Counted(dict):
        def get(self, *args):
            nonlocal looked
            looked += 1
            return super().get(*args)

    world.venue.state.obligations = Counted(world.venue.state.obligations)
    world.check = False
    for minute in range(1, 9 * 60):
        world.do(c.AdvanceTime(T0 + minute * MINUTE))
    assert looked == 0
    events = world.do(c.AdvanceTime(T0 + 9 * HOUR + 4 * MINUTE))
    assert [x.reason for x in events if isinstance(x, ed.DeliveryFailed)] == ["silent"] * 250
    assert looked == 250


@pytest.mark.slow
def test_random_worlds_have_all_of_it() -> None:
    seen: dict[str, int] = {}
    for seed in range(60):
        for events in worlds.run(seed, 50).history:
            for event in events:
                name = getattr(event, "reason", "") if isinstance(event, ed.DeliveryFailed) else type(event).__name__
                seen[name] = seen.get(name, 0) + 1
    for name in ("outage", "silent", "declared", "Dispatched", "AccessGiven", "ResultReturned"):
        assert seen.get(name), (name, seen)


# --- what the parties tell each other ---


def leased(work: str = "python train.py") -> tuple[World, str]:
    teller = Teller()
    teller.tell("offer P1 o1 g1 H800/L10/grid 10 @ 8.00 02-05")
    teller.tell(f'task B1 t1 H800 10 x 2 by 05 cap 9.00 work "{work}"')
    world = teller.world
    return world, str(next(iter(world.venue.state.leases.values())).first)


@pytest.mark.parametrize("text", ["", "x" * 1_001, "a\0b", "\x1b[31mred", "\x85", "\ud800"])
def test_access_that_cannot_be_read_is_refused(text: str) -> None:
    world, lease = leased()
    assert world.do(cd.GiveAccess("P1", lease, text))[0].reason == "INVALID_TEXT"


@pytest.mark.parametrize("text", ["x" * 16_001, "a\0b", "\x1b[31mred", "\x9b31m", "\udfff"])
def test_output_that_cannot_be_read_is_refused(text: str) -> None:
    world, lease = leased()
    assert world.do(cd.ReturnResult("P1", lease, 0, text, False))[0].reason == "INVALID_TEXT"
    assert isinstance(world.do(cd.ReturnResult("P1", lease, 0, "line\n\tline\r\n" + "é" * 100, False))[0], e.Acknowledged)


@pytest.mark.parametrize("work", ["x" * 4_001, "two\nlines", "a\0b", "\x1b[0m"])
def test_work_that_is_not_one_printable_line_is_refused(work: str) -> None:
    world, _ = leased()
    task = c.Task("B1", "t9", "wuhan", 10_000, (c.TaskChip("H800"),), 1, 1, T0, T0 + 12 * HOUR, 9_000_000, work=work)
    assert world.do(c.SubmitTask(task))[0].reason == "INVALID_TEXT"


@pytest.mark.parametrize("lease", ["", "x", "0", "-1", "007", "99999", "9" * 30, "²"])
def test_a_lease_that_is_none_is_refused(lease: str) -> None:
    world, _ = leased()
    assert world.do(cd.GiveAccess("P1", lease, "here"))[0].reason == "UNKNOWN_OBLIGATION"


def test_a_lease_is_named_by_its_first_obligation_and_by_no_other() -> None:
    world, lease = leased()
    assert world.do(cd.GiveAccess("P1", str(int(lease) + 1), "here"))[0].reason == "UNKNOWN_OBLIGATION"
    assert isinstance(world.do(cd.GiveAccess("P1", lease, "here"))[1], ed.AccessGiven)


def test_a_plain_trade_takes_access_and_results_too() -> None:
    world, number = sold(0)
    assert not [x for events in world.history for x in events if isinstance(x, ed.Dispatched)]
    told = world.do(cd.GiveAccess("P1", str(number), "here"))
    assert told[1] == ed.AccessGiven(number, "B1", "P1", "here")
    assert world.do(cd.ReturnResult("P1", str(number), 3, "", True))[1].exit_code == 3


def test_no_more_than_200_words_of_a_kind() -> None:
    world, lease = leased()
    world.check = False
    for _ in range(200):
        assert isinstance(world.do(cd.GiveAccess("P1", lease, "here"))[0], e.Acknowledged)
    assert world.do(cd.GiveAccess("P1", lease, "here"))[0].reason == "INVALID_QTY"
    world.venue.check()


def test_a_lease_is_forgotten_with_its_last_hour() -> None:
    world, lease = leased()
    for hour in (2, 3):
        world.do(c.AdvanceTime(T0 + (hour + 1) * HOUR))
        for number in sorted(world.venue.obligations_of_period.get(world.venue.periods.at(T0 + hour * HOUR), ())):
            world.do(c.SubmitReading("P1", number, 1, 10))
    world.do(c.AdvanceTime(T0 + 4 * HOUR))
    world.do(c.SettlePeriod(T0 + 2 * HOUR))
    assert world.venue.state.leases and isinstance(world.do(cd.GiveAccess("P1", lease, "here"))[0], e.Acknowledged)
    world.do(c.AdvanceTime(T0 + 5 * HOUR))
    world.do(c.SettlePeriod(T0 + 3 * HOUR))
    assert not world.venue.state.leases
    assert world.do(cd.GiveAccess("P1", lease, "here"))[0].reason == "UNKNOWN_OBLIGATION"


@pytest.mark.slow
def test_everything_of_it_survives_a_restart_before_every_command() -> None:
    rng = Random(5)
    for seed in rng.sample(range(10_000), 6):
        world = worlds.run(seed, 40)
        venue = Venue(max_orders=5_000, engine=type(world.venue.core))
        for place, (command, events) in enumerate(zip(world.log, world.history, strict=True)):
            venue = Venue.restore(venue.snapshot(), engine=type(world.venue.core))
            assert tuple(venue.apply(place + 1, command)) == events, (seed, place, command)
