"""K6: what an unfilled task is told to change, it can change, alone, and is filled at the price it was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from brute_force import best
from scenario import Teller
from worlds import PPM, YUAN, World, found, live

from exchange.domain import commands as c
from exchange.domain.events import Explanation, Relaxation, TaskEnded, TaskFilled, TaskWaiting
from exchange.domain.explain import find
from exchange.domain.units import parse_micro, parse_scaled


def relaxed(world: World, task: c.Task, step: Relaxation) -> c.Task:
    """The task with exactly the change that is proposed, read from the words a person would read."""
    words = step.change.split()
    match step.dimension:
        case "cap" if words[:3] == ["a", "budget", "of"]:
            return replace(task, budget_micro=parse_micro(words[3]))
        case "cap":
            return replace(task, price_cap_micro=parse_micro(words[0]), budget_micro=0)
        case "deadline":
            return replace(task, deadline_ns=world.venue.periods.start(world.venue.periods.parse(words[-1])))
        case "latency":
            return replace(
                task, max_latency_us=task.max_latency_us + parse_scaled(words[0].removeprefix("+"), 1000)
            )
        case "chip":
            return replace(task, chips=(*task.chips, c.TaskChip(words[-1])))
        case "cards" if words[1] == "PFLOPS-hours":
            return replace(task, pflops_milli_hours=parse_scaled(words[0], 1000))
        case "cards":
            return replace(task, lots=parse_scaled(words[0], world.settings.lots_per_card))
        case "region":
            return replace(task, allowed_regions=(*task.allowed_regions, words[-1]))
        case "power":
            return replace(task, min_green_ppm=0)
    raise AssertionError(step)


def try_it(world: World, task: c.Task) -> TaskFilled | None:
    """The (first) fill of a task in a copy of the world, where its buyer is rich enough."""
    copy = world.fork()
    copy.check = False
    copy.do(c.Deposit(task.participant, 10**9 * YUAN))
    events = copy.do(c.SubmitTask(replace(task, client_order_id="relaxed", is_immediate=True)))
    return next((e for e in events if isinstance(e, TaskFilled) and e.client_order_id == "relaxed"), None)


def assert_helpful(world: World, task: c.Task, why: Explanation, seen: Counter) -> None:
    seen[why.reason] += 1
    if any((task.participant, task.client_order_id) == key for key in world.venue.task_numbers):
        world = world.fork()
        world.do(c.CancelTask(task.participant, task.client_order_id))
    for step in why.relaxations:
        fill = try_it(world, relaxed(world, task, step))
        assert fill is not None, (task, step)
        assert fill.compute_micro + fill.moving_micro == step.delivered_micro, (task, step, fill)
        assert fill.instrument == step.instrument, (task, step, fill)
        seen[step.dimension] += 1
        seen[step.dimension, task.shape] += 1
        if step.dimension == "cap" and task.shape != "bulk":
            cheaper = replace(task, price_cap_micro=0, budget_micro=step.delivered_micro - 1)
            assert try_it(world, cheaper) is None
    if task.shape != "bulk":
        assert_least(world, task, {step.dimension: relaxed(world, task, step) for step in why.relaxations})
    if why.relaxations:
        cheapest = min(step.delivered_micro for step in why.relaxations)
        assert why.binding in {step.dimension for step in why.relaxations if step.delivered_micro == cheapest}
    else:
        assert why.binding == ""


def assert_least(world: World, task: c.Task, steps: dict[str, c.Task]) -> None:
    """Nothing smaller than what is proposed would do; and where nothing is proposed in a dimension, nothing would."""
    venue = world.venue
    deadline_ns = steps["deadline"].deadline_ns - 1 if "deadline" in steps else venue.periods.start(venue.state.listed_end)
    if deadline_ns > task.deadline_ns:
        assert find(venue, replace(task, deadline_ns=deadline_ns)) is None, task
    if task.max_latency_us:
        most_us = steps["latency"].max_latency_us if "latency" in steps else 10**9
        row = venue.state.catalogue.reach.get(task.access_region, {})
        for rtt_us in {rtt_us for rtt_us in row.values() if task.max_latency_us < rtt_us < most_us}:
            assert find(venue, replace(task, max_latency_us=rtt_us)) is None, task
    if all(item.factor_ppm == PPM for item in task.chips) and not task.pflops_milli_hours:
        most = steps["cards"].lots if "cards" in steps else 0
        for lots in range(most + 1, task.lots):
            assert find(venue, replace(task, lots=lots)) is None, (task, lots, most)


def explain_worlds(seeds: range, steps: int) -> Counter:
    seen: Counter = Counter()
    for seed in seeds:
        rng = Random(seed)
        world = found(rng, check=False)

        def enter(command: c.SubmitTask, world: World = world) -> None:
            world.do(c.AdvanceTime(world.now_ns))
            events = world.do(command)
            is_begun = any(isinstance(event, TaskFilled) for event in events)
            for event in events:
                mine = getattr(event, "client_order_id", "") == command.task.client_order_id
                if mine and isinstance(event, TaskWaiting | TaskEnded) and not is_begun:
                    task = as_entered(command.task)
                    if task.shape == "block":
                        assert best(world, task, event_budget(world, task)) is None
                    assert_helpful(world, task, event.explanation, seen)

        live(world, rng, steps, enter)
    return seen


def as_entered(task: c.Task) -> c.Task:
    """RT9: at its entry a task has the limit of its first step."""
    if not task.steps:
        return task
    limit = task.steps[0].limit_micro
    is_cap = task.price_cap_micro > 0
    return replace(task, steps=(), price_cap_micro=limit if is_cap else 0, budget_micro=0 if is_cap else limit)


def event_budget(world: World, task: c.Task) -> int:
    hours_times_60 = task.periods * world.settings.period_min
    return task.budget_micro or task.price_cap_micro * task.lots * hours_times_60 // (
        60 * world.settings.lots_per_card
    )


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_the_proposed_change_alone_fills_the_task(seed: int) -> None:
    explain_worlds(range(seed, seed + 8), 20)


@pytest.mark.slow
def test_every_kind_of_change_is_proposed_somewhere_and_works() -> None:
    seen = explain_worlds(range(500, 900), 24)
    kinds = ("cap", "deadline", "latency", "chip", "cards", "region", "power")
    assert min(seen[kind] for kind in kinds) > 0, seen
    shapes = ("block", "split", "spread", "bulk")
    assert all(sum(seen[kind, shape] for kind in kinds) > 0 for shape in shapes), seen
    assert min(seen[reason] for reason in ("NO_REACH", "NO_TIME", "NO_DEPTH", "OVER_BUDGET")) > 0, seen


@pytest.mark.slow
def test_what_a_bulk_task_still_lacks_is_what_its_explanation_speaks_of() -> None:
    """Of a bulk task that has bought a part: a task for the rest, with the proposed change, buys what is said."""
    tried = 0
    for seed in range(200):
        rng = Random(seed)
        world = found(rng, check=False)

        def enter(command: c.SubmitTask, world: World = world) -> None:
            nonlocal tried
            world.do(c.AdvanceTime(world.now_ns))
            events = world.do(command)
            task, begun = command.task, [event for event in events if isinstance(event, TaskFilled)]
            why = next((event.explanation for event in events if isinstance(event, TaskWaiting)), None)
            if why is None or not begun or world.venue.core.dirty():
                return
            rest = task.lots * task.periods - sum(fill.lot_periods for fill in begun)
            budget = as_entered(task).budget_micro * rest // (task.lots * task.periods)
            lacking = replace(as_entered(task), lots=rest, periods=1, min_fill=0, budget_micro=budget)
            assert_helpful(world, lacking, why, Counter())
            tried += len(why.relaxations)

        live(world, rng, 16, enter)
    assert tried > 0


def test_the_largest_smaller_size_is_found_although_smaller_ones_do_not_fill(monkeypatch) -> None:
    """100 GB cost 10.00: at a cap of 8.50, 8 and 7 cards of o1 pay for them (66.00 of 68.00), 6 do not (52.00 of 51.00)."""
    told = Teller()
    told.tell("offer P1 o1 g1 H800/L10/grid 8 @ 7.00 04-05")
    others = ((1, "grid"), (1, "grid"), (1, "grid"), (4, "green"), (1, "green"), (1, "green"), (6, "green"))
    for place, (cards, power) in enumerate(others):
        told.tell(f"offer P2 a{place} g2 H800/L10/{power} {cards} @ 9.00 04-05")
    task = "H800 12 x 1 by 05 cap 8.50 data 100 regions guian now"
    assert told.tell(f"task B1 t1 {task}") == "expired t1 OVER_BUDGET, cards: 8 cards"
    monkeypatch.setattr("exchange.domain.sizes.MAX_STRETCHES", 2)
    assert "8 cards" not in told.tell(f"task B1 t2 {task}"), "halving alone passes over it"
