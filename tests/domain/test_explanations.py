"""K6: what an unfilled task is told to change, it can change, alone, and is filled at the price it was told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from brute_force import best
from worlds import YUAN, World, found, live

from exchange.domain import commands as c
from exchange.domain.events import Explanation, Relaxation, TaskEnded, TaskFilled, TaskWaiting
from exchange.domain.units import parse_micro, parse_scaled


def relaxed(world: World, task: c.Task, step: Relaxation) -> c.Task:
    """The task with exactly the change that is proposed, read from the words a person would read."""
    words = step.change.split()
    match step.dimension:
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
        case "cards":
            return replace(task, lots=parse_scaled(words[0], world.settings.lots_per_card))
        case "region":
            return replace(task, allowed_regions=(*task.allowed_regions, words[-1]))
        case "power":
            return replace(task, min_green_ppm=0)
    raise AssertionError(step)


def try_it(world: World, task: c.Task) -> TaskFilled | None:
    """The fill of a task in a copy of the world, where its buyer is rich enough."""
    copy = world.fork()
    copy.check = False
    copy.do(c.Deposit(task.participant, 10**9 * YUAN))
    events = copy.do(c.SubmitTask(replace(task, client_order_id="relaxed")))
    return next((e for e in events if isinstance(e, TaskFilled) and e.client_order_id == "relaxed"), None)


def assert_helpful(world: World, task: c.Task, why: Explanation, seen: Counter) -> None:
    if task.price_cap_micro or task.budget_micro:
        seen[why.reason] += 1
    if any((task.participant, task.client_order_id) == key for key in world.venue.task_numbers):
        world = world.fork()
        world.do(c.CancelTask(task.participant, task.client_order_id))
    for step in why.relaxations:
        fill = try_it(world, relaxed(world, task, step))
        assert fill is not None, (task, step)
        assert fill.compute_micro + fill.moving_micro == step.delivered_micro, (task, step, fill)
        assert fill.instrument == step.instrument
        seen[step.dimension] += 1
        if step.dimension == "cap":
            cheaper = replace(task, price_cap_micro=0, budget_micro=step.delivered_micro - 1)
            assert try_it(world, cheaper) is None
        if step.dimension == "deadline":
            assert (
                try_it(
                    world,
                    replace(
                        relaxed(world, task, step), deadline_ns=relaxed(world, task, step).deadline_ns - 1
                    ),
                )
                is None
            )
    if why.relaxations:
        cheapest = min(step.delivered_micro for step in why.relaxations)
        assert why.binding in {step.dimension for step in why.relaxations if step.delivered_micro == cheapest}
    else:
        assert why.binding == ""


def explain_worlds(seeds: range, steps: int) -> Counter:
    seen: Counter = Counter()
    for seed in seeds:
        rng = Random(seed)
        world = found(rng, check=False)

        def enter(command: c.SubmitTask, world: World = world) -> None:
            world.do(c.AdvanceTime(world.now_ns))
            for event in world.do(command):
                mine = getattr(event, "client_order_id", "") == command.task.client_order_id
                if mine and isinstance(event, TaskWaiting | TaskEnded) and command.task.shape == "block":
                    assert best(world, command.task, event_budget(world, command.task)) is None
                    assert_helpful(world, command.task, event.explanation, seen)

        live(world, rng, steps, enter)
    return seen


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
    assert (
        min(seen[kind] for kind in ("cap", "deadline", "latency", "chip", "cards", "region", "power")) > 0
    ), seen
    assert min(seen[reason] for reason in ("NO_REACH", "NO_TIME", "NO_DEPTH", "OVER_BUDGET")) > 0, seen


def test_a_bulk_task_over_its_budget_is_told_a_cap_that_buys_something() -> None:
    tried = 0
    for seed in range(200):
        rng = Random(seed)
        world = found(rng, check=False)

        def enter(command: c.SubmitTask, world: World = world, seed: int = seed) -> None:
            nonlocal tried
            world.do(c.AdvanceTime(world.now_ns))
            for event in world.do(command):
                if (
                    isinstance(event, TaskWaiting)
                    and command.task.shape == "bulk"
                    and event.explanation.relaxations
                ):
                    (step,) = event.explanation.relaxations
                    if not any(isinstance(e, TaskFilled) for e in world.history[-1]):
                        world.do(c.CancelTask(command.task.participant, command.task.client_order_id))
                        assert try_it(world, relaxed(world, command.task, step)) is not None, (
                            seed,
                            command,
                            step,
                        )
                        tried += 1

        live(world, rng, 16, enter)
    assert tried > 0
