"""In small worlds everything can be tried, so everything is: the venue must buy what trying everything would buy."""

from __future__ import annotations

from random import Random

import pytest
import worlds
from brute_force import best, choices
from worlds import PPM, World, found, live

from exchange.domain import commands as c
from exchange.domain.events import Refused, TaskAccepted, TaskEnded, TaskFilled, TaskWaiting, Traded

LANE_ORDER = {"standard": 1, "economy": 2}


def budget_of(world: World, task: c.Task) -> int:
    """HM1, in words: the budget, or cap x cards x hours of the first chip."""
    hours_times_60 = task.periods * world.settings.period_min
    return task.budget_micro or task.price_cap_micro * task.lots * hours_times_60 // (
        60 * world.settings.lots_per_card
    )


def fee_ppm(world: World, lane: str) -> int:
    return getattr(world.venue.tariff, f"fee_{lane}_ppm")


def assert_bought(world: World, task: c.Task, choice, events: list) -> None:
    """The events of a fill are exactly this choice: same legs, same price, nothing of another trader in between."""
    (fill,) = [e for e in events if isinstance(e, TaskFilled)]
    legs = [e for e in events if isinstance(e, Traded)]
    family = world.venue.state.families[choice.family - 1]
    assert fill.compute_micro + fill.moving_micro == choice.cost_micro
    assert fill.moving_micro == choice.moving_micro
    assert (family.region, fill.site, fill.start_ns, fill.lots) == (
        choice.region,
        choice.site,
        choice.start_ns,
        choice.lots,
    )
    assert fill.instrument.startswith(family.code + "/")
    assert task.chips[choice.chip_place].chip == family.chip
    bought = tuple(
        (leg.period_start_ns, leg.offer_id, leg.lots, leg.price_micro // world.settings.tick_micro)
        for leg in legs
    )
    assert bought == choice.legs
    assert {(leg.buyer, leg.task, leg.site) for leg in legs} == {
        (task.participant, task.client_order_id, choice.site)
    }
    assert {leg.is_block for leg in legs} == {choice.offer != 0}
    assert sum(leg.cost_micro for leg in legs) == fill.compute_micro
    assert (
        sum(leg.fee_micro for leg in legs)
        == fill.fee_micro
        == -(-fill.compute_micro * fee_ppm(world, task.lane) // PPM)
    )


def assert_nothing_feasible(world: World) -> None:
    """RT10: after a drain no waiting block task could be filled."""
    for entry in world.venue.state.tasks.values():
        if entry.task.shape == "block":
            assert best(world, entry.task, entry.budget_micro) is None, (
                entry,
                best(world, entry.task, entry.budget_micro),
            )


def first_to_drain(world: World):
    """RT5: the waiting block task that the next drain fills first, and with what; None where a bulk task may be it.

    Of all tasks whose window meets a dirty hour of a family they may use: by lane, then first come (decision 0008).
    """
    venue = world.venue
    for entry in sorted(venue.state.tasks.values(), key=lambda e: (LANE_ORDER[e.task.lane], e.stamp)):
        start_ns, end_ns = entry.task.earliest_start_ns, entry.task.deadline_ns
        hours = [
            venue.periods.start(period)
            for eligible in venue.task_families[entry.number]
            for period in venue.state.dirty.get(eligible.family, ())
        ]
        if not any(start_ns <= hour and hour + world.period_ns <= end_ns for hour in hours):
            continue
        if entry.task.shape == "bulk":
            return None
        choice = best(world, entry.task, entry.budget_micro)
        if choice is not None:
            return entry.task, choice
    return None


class Referee:
    """Enters tasks and moves the clock of a world, and holds every result against the brute force."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = dict.fromkeys(("filled", "waited", "ended", "refused", "drained", "bulk"), 0)

    def enter(self, command: c.SubmitTask) -> None:
        world, task = self.world, command.task
        self.tick(c.AdvanceTime(world.now_ns))
        choice = None
        if task.shape == "block":
            choice = best(world, task, budget_of(world, task))
        ghost = budget_of(world, task)
        events = world.do(command)
        if isinstance(events[0], Refused):
            self.seen["refused"] += 1
            return
        (accepted,) = [e for e in events if isinstance(e, TaskAccepted)]
        assert accepted.budget_micro == ghost
        assert accepted.hold_micro == ghost + -(-ghost * fee_ppm(world, task.lane) // PPM)
        if task.shape == "bulk":
            self.seen["bulk"] += 1
            self._bulk(task, events, ghost)
        elif choice is not None:
            self.seen["filled"] += 1
            assert choice.cost_micro <= ghost
            assert_bought(world, task, choice, events)
        else:
            assert not any(isinstance(e, TaskFilled | Traded) for e in events), (task, events)
            assert isinstance(events[-1], TaskWaiting | TaskEnded) or task.lane == "emergency", events
            self.seen["waited" if any(isinstance(e, TaskWaiting) for e in events) else "ended"] += 1

    def tick(self, command: c.AdvanceTime) -> None:
        world = self.world
        first = first_to_drain(world) if command.now_ns == world.now_ns else None
        waiting = {(e.task.participant, e.task.client_order_id): e for e in world.venue.state.tasks.values()}
        events = world.do(command)
        fills = [e for e in events if isinstance(e, TaskFilled)]
        if first is not None:
            task, choice = first
            assert (fills[0].participant, fills[0].client_order_id) == (
                task.participant,
                task.client_order_id,
            )
            stop = events.index(fills[0]) + 1
            assert_bought(world, task, choice, events[:stop])
        for fill in fills:
            self.seen["drained"] += 1
            entry = waiting[fill.participant, fill.client_order_id]
            if entry.task.shape == "block":
                assert fill.compute_micro + fill.moving_micro <= entry.budget_micro
                legs = [
                    e
                    for e in events
                    if isinstance(e, Traded) and (e.buyer, e.task) == (fill.participant, fill.client_order_id)
                ]
                assert {leg.site for leg in legs} == {fill.site}
                per_hour = {}
                for leg in legs:
                    per_hour[leg.period_start_ns] = per_hour.get(leg.period_start_ns, 0) + leg.lots
                hours = [fill.start_ns + hour * world.period_ns for hour in range(entry.task.periods)]
                assert per_hour == dict.fromkeys(hours, fill.lots)
        assert not world.venue.state.dirty
        assert_nothing_feasible(world)

    def _bulk(self, task: c.Task, events: list, budget: int) -> None:
        """A bulk task never pays more than its budget's share for what it has bought, from other firms, in its window."""
        world = self.world
        legs = [e for e in events if isinstance(e, Traded)]
        fills = [e for e in events if isinstance(e, TaskFilled)]
        bought = sum(leg.lots for leg in legs)
        spent = sum(fill.compute_micro + fill.moving_micro for fill in fills)
        assert bought == sum(fill.lot_periods for fill in fills) <= task.lots * task.periods
        assert spent * task.lots * task.periods <= budget * bought
        assert not fills or bought >= min(task.min_fill, task.lots * task.periods)
        for leg in legs:
            assert world.firms[leg.seller] != world.firms[task.participant]
            assert max(task.earliest_start_ns, world.now_ns + world.gate_ns + 1) <= leg.period_start_ns
            assert leg.period_start_ns + world.period_ns <= task.deadline_ns


def play(seed: int, steps: int, engine=None) -> Referee:
    """One refereed world."""
    rng = Random(seed)
    referee = Referee(found(rng, engine))
    live(referee.world, rng, steps, referee.enter, referee.tick)
    referee.tick(c.AdvanceTime(referee.world.now_ns))
    return referee


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 12 else pytest.mark.slow) for n in range(60)])
def test_a_task_buys_what_trying_everything_would_buy(seed: int) -> None:
    play(seed, 12 + seed % 40)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(20))
def test_tasks_buy_the_best_in_two_thousand_worlds(batch: int) -> None:
    seen = dict.fromkeys(("filled", "waited", "ended", "refused", "drained", "bulk"), 0)
    for number in range(100):
        seed = 10_000 + batch * 100 + number
        try:
            referee = play(seed, 60 if number % 20 == 0 else 14)
        except AssertionError as wrong:
            raise AssertionError(f"world {seed}") from wrong
        for key, count in referee.seen.items():
            seen[key] += count
    assert min(seen.values()) > 0, seen  # a batch in which one of these never happens proves little


def test_the_brute_force_sees_more_than_one_way() -> None:
    """A world in which every task has at most one choice could not tell a good router from a bad one."""
    most = 0
    for seed in range(12):
        world = worlds.run(seed, 25)
        for entry in world.venue.state.tasks.values():
            most = max(most, len(list(choices(world, entry.task))))
        for number in range(5):
            task = worlds.a_task(world, Random(number), "probe").task
            most = max(most, len(list(choices(world, task))))
    assert most >= 5
