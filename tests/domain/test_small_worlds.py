"""In small worlds everything can be tried, so everything is: the venue must buy what trying everything would buy."""

from __future__ import annotations

from random import Random

import pytest
import worlds
from brute_force import best, choices, needs
from worlds import PPM, World, found, live

from exchange.domain import commands as c
from exchange.domain.events import Refused, TaskAccepted, TaskEnded, TaskFilled, TaskWaiting, Traded
from exchange.domain.explain import as_of_now, find

SEEN = ("filled", "waited", "ended", "refused", "drained", "bulk", "split", "spread", "pflops")
LANE_ORDER = {"standard": 1, "economy": 2}


def limit_of(world: World, task: c.Task, limit: int) -> int:
    """HM1, in words: the budget, or cap x cards x hours of the first chip."""
    hours_times_60 = task.periods * world.settings.period_min
    return limit * task.lots * hours_times_60 // (60 * world.settings.lots_per_card) if task.price_cap_micro else limit


def budget_of(world: World, task: c.Task) -> int:
    return limit_of(world, task, task.price_cap_micro or task.budget_micro)


def limit_at_entry(world: World, task: c.Task) -> int:
    """RT9: the first step's, where there are steps."""
    return limit_of(world, task, task.steps[0].limit_micro) if task.steps else budget_of(world, task)


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
    assert needs(world, task)[choice.chip_place] == (family.chip, fill.lots)
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
    assert_parts(world, fill, legs)
    assert (
        sum(leg.fee_micro for leg in legs)
        == fill.fee_micro
        == -(-fill.compute_micro * fee_ppm(world, task.lane) // PPM)
    )


def assert_parts(world: World, fill: TaskFilled, legs: list[Traded]) -> None:
    """The parts that are told are the legs: per site, family and hour so many cards for so much, each once."""
    bought: dict[tuple, list[int]] = {}
    for leg in legs:
        about = bought.setdefault((leg.site, leg.instrument, leg.is_block), [0, 0])
        about[0] += leg.lots
        about[1] += leg.cost_micro
    told: dict[tuple, int] = {}
    for part in fill.parts:
        family, period = world.venue.instrument(part.instrument)
        keys = [(part.site, world.venue.instrument_code(family, period + n), part.is_block) for n in range(part.periods)]
        assert part.cost_micro == sum(bought[key][1] for key in keys), (part, legs)
        told |= dict.fromkeys(keys, part.lots)
    assert told == {key: lots for key, (lots, _) in bought.items()}


def assert_nothing_feasible(world: World) -> None:
    """RT10: after a drain no waiting block task could be filled; the search finds nothing for other shapes either."""
    venue = world.venue
    for number, entry in venue.state.tasks.items():
        seen = venue.core.task(number)
        if entry.task.shape == "block" and entry.task.access_region:
            choice = best(world, entry.task, seen.limit_micro)
            assert choice is None, (entry, choice)
        elif entry.task.shape != "bulk":
            assert find(venue, as_of_now(venue, entry.task)) is None, entry


def first_to_drain(world: World):
    """RT5: the waiting task that the next drain fills first, and with what (None for shapes other than block).

    Standard before economy, then first come (decision 0008). Whoever is feasible now was made so by what is dirty.
    """
    venue = world.venue
    entries = {(e.task.participant, e.task.client_order_id): e for e in venue.state.tasks.values()}
    waiting = [entries[key] for key in world.line if key in entries]
    for entry in sorted(waiting, key=lambda e: LANE_ORDER[e.task.lane]):
        if entry.task.shape == "bulk":
            return None  # it may have bought already, and then counts what it has
        if entry.task.shape != "block":
            if find(venue, as_of_now(venue, entry.task)) is not None:
                return entry.task, None
        elif (choice := best(world, entry.task, venue.core.task(entry.number).limit_micro)) is not None:
            return entry.task, choice
    return None


def assert_shape(world: World, task: c.Task, fill: TaskFilled, legs: list[Traded]) -> None:
    """All hours in the window, all cards in each; one site, or for spread at most two with the same cards throughout."""
    hours: dict[int, dict[str, int]] = {}
    for leg in legs:
        cards = hours.setdefault(leg.period_start_ns, {})
        cards[leg.site] = cards.get(leg.site, 0) + leg.lots
    starts = sorted(hours)
    assert len(starts) == task.periods == fill.periods and starts[0] == fill.start_ns
    assert starts[0] >= task.earliest_start_ns or task.lane == "emergency"
    assert starts[-1] + world.period_ns <= task.deadline_ns
    assert all(cards == hours[starts[0]] for cards in hours.values())
    assert sum(hours[starts[0]].values()) == fill.lots
    assert len(hours[starts[0]]) <= (2 if task.shape == "spread" else 1)
    assert fill.site == ("" if len(hours[starts[0]]) == 2 else next(iter(hours[starts[0]])))
    runs = [1]
    for one, other in zip(starts, starts[1:], strict=False):
        runs = [*runs[:-1], runs[-1] + 1] if other == one + world.period_ns else [*runs, 1]
    assert len(runs) == 1 or (task.shape == "split" and min(runs) >= max(1, task.min_run))
    assert fill.lot_periods == sum(leg.lots for leg in legs)
    assert fill.compute_micro == sum(leg.cost_micro for leg in legs)
    assert_parts(world, fill, legs)


class Referee:
    """Enters tasks and moves the clock of a world, and holds every result against the brute force."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen = dict.fromkeys(SEEN, 0)

    def enter(self, command: c.SubmitTask) -> None:
        world, task = self.world, command.task
        self.tick(c.AdvanceTime(world.now_ns))
        choice = None
        if task.shape == "block":
            choice = best(world, task, limit_at_entry(world, task))
        budget = budget_of(world, task)
        events = world.do(command)
        if isinstance(events[0], Refused):
            self.seen["refused"] += 1
            return
        (accepted,) = [e for e in events if isinstance(e, TaskAccepted)]
        assert accepted.budget_micro == budget
        assert accepted.hold_micro == budget + -(-budget * fee_ppm(world, task.lane) // PPM)
        self.seen["pflops"] += task.pflops_milli_hours > 0
        if task.shape != "block":
            self.seen[task.shape] += 1
            self._other_shape(task, events, limit_at_entry(world, task))
        elif choice is not None:
            self.seen["filled"] += 1
            assert choice.cost_micro <= budget
            assert_bought(world, task, choice, events)
        else:
            assert not any(isinstance(e, TaskFilled | Traded) for e in events), (task, events)
            assert isinstance(events[-1], TaskWaiting | TaskEnded), events
            self.seen["waited" if any(isinstance(e, TaskWaiting) for e in events) else "ended"] += 1

    def tick(self, command: c.AdvanceTime) -> None:
        world = self.world
        first = first_to_drain(world) if command.now_ns == world.now_ns else None
        waiting = {(e.task.participant, e.task.client_order_id): e for e in world.venue.state.tasks.values()}
        limits = {key: world.venue.core.task(e.number).budget_micro for key, e in waiting.items()}
        events = world.do(command)
        fills = [e for e in events if isinstance(e, TaskFilled)]
        if first is not None:
            task, choice = first
            assert (fills[0].participant, fills[0].client_order_id) == (
                task.participant,
                task.client_order_id,
            )
            if choice is not None:
                stop = events.index(fills[0]) + 1
                assert_bought(world, task, choice, events[:stop])
        for fill in fills:
            self.seen["drained"] += 1
            key = (fill.participant, fill.client_order_id)
            task = waiting[key].task
            if task.shape != "bulk":
                assert fill.compute_micro + fill.moving_micro <= limits[key]
                legs = [e for e in events if isinstance(e, Traded) and (e.buyer, e.task) == key]
                assert_shape(world, task, fill, legs)
        assert world.venue.core.dirty() == []
        assert_nothing_feasible(world)

    def _other_shape(self, task: c.Task, events: list, limit: int) -> None:
        fills = [e for e in events if isinstance(e, TaskFilled)]
        if task.shape == "bulk":
            self._bulk(task, events, limit)
        elif fills:
            (fill,) = fills
            assert fill.is_complete and fill.compute_micro + fill.moving_micro <= limit
            assert_shape(self.world, task, fill, [e for e in events if isinstance(e, Traded)])

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
        for fill in fills:
            place = events.index(fill)
            before = max((events.index(other) for other in fills if events.index(other) < place), default=0)
            assert_parts(world, fill, [leg for leg in events[before:place] if isinstance(leg, Traded)])
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


@pytest.mark.parametrize("batch", [pytest.param(n, marks=pytest.mark.slow if n < 8 else pytest.mark.soak) for n in range(20)])
def test_tasks_buy_the_best_in_a_hundred_worlds_a_batch(batch: int) -> None:
    seen = dict.fromkeys(SEEN, 0)
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
