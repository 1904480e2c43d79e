"""What people and programs get wrong about tasks: a typed answer each, and nothing has changed (`World.do` looks at that)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from scenario import Teller
from test_bad_input import assert_answered, changes_of, fits, town
from worlds import HOUR, MINUTE, T0, YUAN

from exchange.domain import commands as c
from exchange.domain.events import Acknowledged, Refused, TaskAccepted, TaskAmended, TaskEnded, TaskFilled
from exchange.domain.preview import preview
from exchange.domain.reasons import Refusal

NOW = T0 + 2 * HOUR + 10 * MINUTE  # in the town
TASK = c.Task("B2", "new", "wuhan", 10_000, (c.TaskChip("H800"),), 4, 2, T0, T0 + 12 * HOUR, 9 * YUAN)
BULK = replace(TASK, shape="bulk", lots=99)
SPLIT = replace(TASK, shape="split", min_run=1)
PFLOPS = replace(TASK, lots=0, pflops_milli_hours=8_000, price_cap_micro=0, budget_micro=200 * YUAN)
STEPS = (c.TaskStep(0, 7 * YUAN), c.TaskStep(T0 + 5 * HOUR, 9 * YUAN))
ECONOMY = replace(TASK, lane="economy", steps=STEPS, lots=99)
EMERGENCY = replace(TASK, lane="emergency")
GOOD = {
    "block": TASK, "bulk": BULK, "split": SPLIT, "spread": replace(TASK, shape="spread"), "pflops": PFLOPS,
    "economy": ECONOMY, "emergency": EMERGENCY, "now": replace(TASK, is_immediate=True),
}  # fmt: skip


def steps(*pairs: tuple[int, int], **about) -> c.Task:
    return replace(ECONOMY, steps=tuple(c.TaskStep(at, yuan * YUAN) for at, yuan in pairs), **about)


WRONG = {
    "nothing named": (replace(TASK, chips=()), "UNKNOWN_CHIP"),
    "an unknown chip": (replace(TASK, chips=(c.TaskChip("H800"), c.TaskChip("H9000"))), "UNKNOWN_CHIP"),
    "10,000 chips": (replace(TASK, chips=tuple(c.TaskChip(f"H{n}") for n in range(10_000))), "UNKNOWN_CHIP"),
    "a chip twice": (replace(TASK, chips=(c.TaskChip("H800"),) * 2), "UNKNOWN_CHIP"),
    "10,000 regions": (replace(TASK, allowed_regions=("guian",) * 10_000), "INVALID_QTY"),
    "a factor of nothing": (replace(TASK, chips=(c.TaskChip("H800", 0),)), "INVALID_QTY"),
    "a factor beyond a thousand": (replace(TASK, chips=(c.TaskChip("H800", 10**9 + 1),)), "INVALID_QTY"),
    "no cards": (replace(TASK, lots=0), "INVALID_QTY"),
    "fewer than no cards": (replace(TASK, lots=-1), "INVALID_QTY"),
    "a thousand million cards": (replace(TASK, lots=10**9), "INVALID_QTY"),
    "no hours": (replace(TASK, periods=0), "INVALID_WINDOW"),
    "more hours than are listed": (replace(TASK, periods=169, deadline_ns=T0 + 900 * HOUR), "INVALID_WINDOW"),
    "a window without room": (replace(TASK, earliest_start_ns=T0 + 11 * HOUR), "INVALID_WINDOW"),
    "a window the wrong way round": (replace(TASK, earliest_start_ns=T0 + 13 * HOUR), "INVALID_WINDOW"),
    "a deadline that has passed": (replace(TASK, deadline_ns=NOW - 1), "INVALID_WINDOW"),
    "a deadline that is too near": (replace(TASK, deadline_ns=T0 + 4 * HOUR + 59 * MINUTE), "INVALID_WINDOW"),
    "a deadline in another century": (replace(TASK, deadline_ns=2**62), "INVALID_WINDOW"),
    "a time that nobody can hold": (replace(TASK, earliest_start_ns=2**63), "INVALID_WINDOW"),
    "validity that is over": (replace(TASK, valid_until_ns=NOW), "INVALID_WINDOW"),
    "validity that nobody can hold": (replace(TASK, valid_until_ns=2**63 - 1), "INVALID_WINDOW"),
    "neither cap nor budget": (replace(TASK, price_cap_micro=0), "INVALID_BUDGET"),
    "cap and budget": (replace(TASK, budget_micro=1), "INVALID_BUDGET"),
    "a budget of more than there is": (replace(TASK, price_cap_micro=0, budget_micro=10**18 + 1), "INVALID_BUDGET"),
    "a budget of 2^63": (replace(TASK, price_cap_micro=0, budget_micro=2**63), "INVALID_BUDGET"),
    "a cap that overflows with its cards": (replace(TASK, lots=10**6, price_cap_micro=10**15), "INVALID_BUDGET"),
    "a budget beyond one's means": (replace(TASK, lots=100_000), "INSUFFICIENT_FUNDS"),
    "a region that is not there": (replace(TASK, access_region=""), "UNKNOWN_REGION"),
    "data from nowhere": (replace(TASK, data_mb=1), "UNKNOWN_REGION"),
    "more data than there is": (replace(TASK, data_mb=10**12 + 1, data_region="wuhan"), "INVALID_QTY"),
    "an unknown class": (replace(TASK, slowest_class="L2"), "UNKNOWN_CLASS"),
    "an unknown shape": (replace(TASK, shape="circle"), "INVALID_SHAPE"),
    "a minimum fill of a block": (replace(TASK, min_fill=1), "INVALID_SHAPE"),
    "a minimum fill above the task": (replace(BULK, min_fill=199), "INVALID_QTY"),
    "a minimum run of a block": (replace(TASK, min_run=1), "INVALID_SHAPE"),
    "a long minimum run of a block": (replace(TASK, min_run=3), "INVALID_SHAPE"),
    "a minimum run above the task": (replace(SPLIT, min_run=3), "INVALID_QTY"),
    "a minimum run below nothing": (replace(SPLIT, min_run=-1), "INVALID_QTY"),
    "bulk with factors": (replace(BULK, chips=(c.TaskChip("H800", 999_999),)), "INVALID_SHAPE"),
    "spread without checkpoints": (replace(GOOD["spread"], checkpoint="none"), "INVALID_SHAPE"),
    "PFLOPS-hours and cards": (replace(PFLOPS, lots=1), "INVALID_QTY"),
    "fewer than no PFLOPS-hours": (replace(PFLOPS, pflops_milli_hours=-1), "INVALID_QTY"),
    "too many PFLOPS-hours": (replace(PFLOPS, pflops_milli_hours=10**12), "INVALID_QTY"),
    "2^63 PFLOPS-hours": (replace(PFLOPS, pflops_milli_hours=2**63), "INVALID_QTY"),
    "PFLOPS-hours with a cap": (replace(PFLOPS, budget_micro=0, price_cap_micro=1), "INVALID_BUDGET"),
    "PFLOPS-hours with factors": (replace(PFLOPS, chips=(c.TaskChip("H800", 2_000_000),)), "INVALID_QTY"),
    "PFLOPS-hours in bulk": (replace(PFLOPS, shape="bulk"), "INVALID_SHAPE"),
    "steps of a standard task": (replace(ECONOMY, lane="standard"), "INVALID_LANE"),
    "one step": (steps((0, 9)), "INVALID_BUDGET"),
    "eighteen steps": (steps((0, 1), *((NOW + n, 9) for n in range(1, 18))), "INVALID_BUDGET"),
    "steps that do not begin at once": (steps((1, 8), (T0 + 5 * HOUR, 9)), "INVALID_WINDOW"),
    "a step that has passed": (steps((0, 8), (NOW, 9)), "INVALID_WINDOW"),
    "steps out of order": (steps((0, 7), (NOW + 2, 8), (NOW + 1, 9)), "INVALID_WINDOW"),
    "a step too late": (steps((0, 8), (T0 + 9 * HOUR + 54 * MINUTE + 1, 9)), "INVALID_WINDOW"),
    "a step that falls": (steps((0, 8), (NOW + 1, 7), (NOW + 2, 9)), "INVALID_BUDGET"),
    "a first limit of nothing": (steps((0, 0), (NOW + 1, 9)), "INVALID_BUDGET"),
    "steps that miss the cap": (steps((0, 7), (NOW + 1, 8)), "INVALID_BUDGET"),
    "an emergency in bulk": (replace(BULK, lane="emergency"), "INVALID_SHAPE"),
    "an emergency of three hours": (replace(EMERGENCY, periods=3), "INVALID_WINDOW"),
    "an emergency of a stranger": (replace(EMERGENCY, participant="P1"), "INVALID_LANE"),
    "a lane that is not there": (replace(TASK, lane="repair"), "INVALID_LANE"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_gets_the_code_that_names_it(what: str) -> None:
    task, reason = WRONG[what]
    world = town()
    (refused,) = assert_answered(world, c.SubmitTask(task))
    assert (refused.reason, refused.reference) == (reason, "new")
    waiting = next(entry.task for entry in world.venue.state.tasks.values() if entry.task.participant == "B1")
    if reason not in ("INSUFFICIENT_FUNDS",) and task.participant == "B2":
        other = replace(task, participant="B1", client_order_id=waiting.client_order_id)
        (refused,) = assert_answered(world, c.AmendTask(other))
        assert refused.reason == reason or what == "steps of a standard task"
        with pytest.raises(Refusal) as no:
            preview(world.venue, task)
        assert no.value.reason.name == reason


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no cards", "0 cards are not between 1 and 1000000"),
        ("a thousand million cards", "1000000000 cards are not between"),
        ("too many PFLOPS-hours", "cards of a 1-PFLOPS chip in every hour are not between"),
        ("data from nowhere", "data has to come from somewhere"),
        ("a minimum run of a block", "min_run belongs to split tasks"),
        ("PFLOPS-hours in bulk", "not in PFLOPS-hours"),
        ("steps that miss the cap", "to the task's own"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_who_made_it(what: str, says: str) -> None:
    (refused,) = assert_answered(town(), c.SubmitTask(WRONG[what][0]))
    assert says in refused.message, refused


@pytest.mark.parametrize("name", GOOD)
def test_what_the_mistakes_are_made_of_is_good(name: str) -> None:
    events = town().do(c.SubmitTask(GOOD[name]))
    assert any(isinstance(event, TaskAccepted) for event in events), events


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bulk", "split", "spread", "pflops", "economy", "emergency"])
def test_hostile_values_in_every_field_of_every_shape_are_answered(name: str) -> None:
    rng, tried = Random(5), 0
    world = town()
    changes = changes_of(GOOD[name])
    for change in rng.sample(changes, min(len(changes), 500)):
        command = c.SubmitTask(replace(GOOD[name], **change))
        if fits(command):
            tried += 1
            if not isinstance(assert_answered(world, command)[0], Refused):
                world = town()
    assert tried > 100


def test_an_amendment_of_nothing_and_of_somebody_else_s_task() -> None:
    world = town()
    assert world.do(c.AmendTask(TASK))[0].reason == "UNKNOWN_TASK"
    theirs = next(entry.task for entry in world.venue.state.tasks.values() if entry.task.participant == "B1")
    assert world.do(c.AmendTask(replace(theirs, participant="P2")))[0].reason == "UNKNOWN_TASK"
    events = world.do(c.AmendTask(replace(theirs, lots=theirs.lots - 1)))
    assert [event.keeps_place for event in events if isinstance(event, TaskAmended)] == [True]


def test_a_task_that_its_own_drain_fills_needs_no_amendment() -> None:
    told = Teller()
    told.tell("task B1 t1 H800 8 x 1 by 03 cap 9.00")
    told.tell("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 01-02")
    waiting = next(iter(told.world.venue.state.tasks.values())).task
    events = told.world.do(c.AmendTask(replace(waiting, lots=7)))
    assert isinstance(events[-1], Acknowledged) and events[-1].command == "AmendTask"
    assert [event.lots for event in events if isinstance(event, TaskFilled)] == [8]


def test_data_that_cannot_be_there_before_the_deadline_ends_a_task_at_once_and_frees_its_money() -> None:
    told = Teller()
    told.tell("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 01-09")
    before = told.tell("money B1 cash")
    events = told.world.do(c.SubmitTask(replace(
        TASK, participant="B1", data_mb=10**12, data_region="wuhan", allowed_regions=("guian",),
    )))  # fmt: skip
    ends = [event for event in events if isinstance(event, TaskEnded)]
    assert [(end.status, end.explanation.reason) for end in ends] == [("expired", "NO_TIME")]
    assert (told.tell("money B1 cash"), told.tell("money B1 held")) == (before, "0.00")


def test_a_task_over_every_chip_names_those_of_its_entry() -> None:
    """What "any chip" means does not change for a task that waits."""
    told = Teller()
    told.tell("task B1 t1 any pflops:8 x 1 by 03 budget 100")
    (entry,) = told.world.venue.state.tasks.values()
    assert [item.chip for item in entry.task.chips] == ["A910B", "H800", "L40S"]
    copy = told.world.fork()
    assert copy.venue.waiting_of_chip == told.world.venue.waiting_of_chip == {"A910B": 1}


def test_an_order_that_takes_better_is_amended_within_its_region_only():
    world = town()
    instrument = f"H800/guian/L10/grid/{world.venue.periods.code(world.venue.periods.at(T0 + 9 * HOUR))}"
    order = c.PlaceOrder("B2", "wide", instrument, "buy", YUAN, 1, or_better=True)
    assert any(type(event) is TaskAccepted for event in world.do(order))
    task = world.venue.state.tasks[world.venue.task_numbers["B2", "wide"]].task
    before = world.venue.state_hash()
    for regions in ((), ("guian", "wuhan")):
        refused = world.do(c.AmendTask(replace(task, allowed_regions=regions)))[0]
        assert type(refused) is Refused and refused.reason == "UNKNOWN_REGION"
    assert world.venue.state_hash() == before
    assert any(type(event) is TaskAmended for event in world.do(c.AmendTask(replace(task, price_cap_micro=YUAN // 2))))
