"""In small worlds everything can be tried, so everything is: the engine must buy what trying everything would buy."""

from __future__ import annotations

import os
import random
import traceback
from collections import Counter
from random import Random

import pytest
from fuzz import answers, route, same, shown, shrink
from fuzz_stream import fields_of
from task_referee import Referee
from task_worlds import SWAP, World, command

from matching_core import ReferenceEngine
from matching_core.enums import Lane, Op
from matching_core.records import unpack_events

pytestmark = pytest.mark.slow  # hundreds of worlds

WORLDS = int(os.environ.get("CPX_WORLDS", "0"))  # in place of the usual number
MAX_ORDERS = 2_000
SHAPES = ("BLOCK", "SPLIT", "SPREAD", "BULK")


@pytest.fixture(scope="module")
def tasks_class(engine_class):
    """Each engine that knows tasks."""
    return knowing(engine_class)


def knowing(engine_class):
    """The engine class, if it knows tasks."""
    if getattr(engine_class, "RULES_VERSION", 1) < 3:
        pytest.skip("this engine does not know tasks yet")
    return engine_class


def fresh(engine_class, seed: int):
    """An engine for a world."""
    return engine_class(MAX_ORDERS, check_funds=True, listed_only=seed % 2 == 0)


def live(engine_class, seed: int) -> tuple[Referee, list]:
    """One refereed world, and its steps."""
    world, referee, steps = World(Random(seed)), Referee(fresh(engine_class, seed)), []
    world.model = referee.model
    try:
        for batch in range(30 + seed % 45):
            for step in world.step() if batch else world.opening():
                steps.append(step)
                play(referee, step)
            referee.is_open = True
        steps.append(command(Op.ADVANCE_TIME, aux=referee.engine.now_ns + 40 * world.period_ns))
        play(referee, steps[-1])
        assert not referee.model.tasks  # all of them have ended, and what they held is free
    except Exception as wrong:
        raise Failed(seed, steps) from wrong
    return referee, steps


class Failed(AssertionError):
    """A world in which something went wrong."""

    def __init__(self, seed: int, steps: list):
        super().__init__(f"world {seed}")
        self.seed, self.steps = seed, steps


def play(referee: Referee, step) -> None:
    """One step of a world."""
    if step == SWAP:
        referee.swap()
    else:
        referee.play(step)


def replay(engine_class, seed: int, steps: list) -> Referee:
    """The steps of a world again."""
    referee = Referee(fresh(engine_class, seed))
    referee.is_open = True
    for step in steps:
        play(referee, step)
    return referee


def reproduction(engine_class, failed: Failed, seconds: float = 30.0) -> str:
    """The fewest steps that still go wrong in the same place, and what goes wrong."""

    def wrong_with(steps: list) -> Exception | None:
        try:
            replay(engine_class, failed.seed, steps)
        except Exception as wrong:  # noqa: BLE001 - whatever it is, it is what we look for
            return wrong
        return None

    where = place_of(failed.__cause__)
    steps = shrink(failed.steps, lambda fewer: place_of(wrong_with(fewer)) == where, seconds)
    told = [f"world {failed.seed}, listed_only={failed.seed % 2 == 0}", *map(shown, steps), str(wrong_with(steps))]
    return "\n".join(told)


def place_of(wrong: BaseException | None):
    """Where something went wrong."""
    return wrong and (type(wrong), traceback.extract_tb(wrong.__traceback__)[-1].lineno)


def worlds(engine_class, seeds) -> Counter:
    """Many worlds; the first that fails is told by its shortest sequence."""
    seen: Counter = Counter()
    for seed in seeds:
        try:
            referee, steps = live(engine_class, seed)
            again(engine_class, seed, referee, steps)
        except Failed as failed:
            pytest.fail(reproduction(engine_class, failed))
        seen += referee.seen
    return seen


def again(engine_class, seed: int, referee: Referee, steps: list) -> None:
    """All commands as one batch, without the restarts: the same events and the same state."""
    batch = fresh(engine_class, seed)
    events = unpack_events(bytes(batch.process(b"".join(step for step in steps if step != SWAP))))
    assert events == referee.said, f"world {seed}: a batch of all is not its commands"
    assert batch.state_hash() == referee.engine.state_hash()


@pytest.mark.parametrize("part", range(10))
def test_tasks_buy_what_trying_everything_would_buy(tasks_class, part):
    each = (WORLDS or (80 if tasks_class is ReferenceEngine else 500)) // 10
    seen = worlds(tasks_class, range(part * each, (part + 1) * each))
    assert seen["TASK_FILLED"] >= each // 2, seen  # a part in which little is bought proves little


@pytest.mark.soak
def test_tasks_buy_the_best_in_twenty_thousand_worlds(tasks_class):
    seed = int(os.environ.get("CPX_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    seen = worlds(tasks_class, range(seed * 20_000, seed * 20_000 + (WORLDS or 20_000)))
    print(sorted(seen.items(), key=str))


def test_worlds_reach_what_they_are_for(tasks_class):
    seen: Counter = Counter()
    for seed in range(60):
        seen += live(tasks_class, seed)[0].seen
    wanted = [("filled", shape) for shape in SHAPES] + [("filled in lane", lane.name) for lane in Lane]
    wanted += [("op", op.name) for op in Op if op not in (Op.SESSION_CLOSE, Op.ADJUST_SOLD) and op < Op.TASK_TERMS]
    wanted += [("filled by two sites", "SPREAD"), ("filled with a gap", "SPLIT"), ("filled by", "block offer")]
    wanted += [("moved", "freely"), ("moved", "within a capacity"), ("bulk left some", "BULK")]
    wanted += ["TASK_STEPPED", "BLOCK_CLOSED", "BOOK_GATED", "every split", "nothing feasible"]
    assert [what for what in wanted if not seen[what]] == []


def test_both_engines_say_the_same_of_every_world(compiled_class):
    knowing(compiled_class)
    for seed in range(WORLDS or 60):
        steps = live(compiled_class, seed)[1]
        ours, theirs = fresh(ReferenceEngine, seed), fresh(compiled_class, seed)
        for step in steps:
            if step == SWAP:
                same(f"world {seed}: snapshot", ours.snapshot(), theirs.snapshot())
                ours, theirs = (ReferenceEngine.restore(theirs.snapshot()), compiled_class.restore(ours.snapshot()))
                continue
            about = f"world {seed}, {shown(step)}"
            same(about, route(ours, step), route(theirs, step))
            seq = ours.next_seq
            same(about, *(list(engine.process(step, seq)) for engine in (ours, theirs)))
            same(about, ours.state_hash(), theirs.state_hash())
            same(about, *(answers(engine, fields_of(step)) for engine in (ours, theirs)))
        same(f"world {seed}: state", ours.snapshot(), theirs.snapshot())


def test_a_wrong_world_is_told_by_its_shortest_sequence():
    class Careless(ReferenceEngine):
        def process(self, commands, first_seq=1, seq_step=1):
            if bytes(commands[:1]) == bytes([Op.TASK_CANCEL]):
                commands = bytes(64)
            return super().process(commands, first_seq, seq_step)

    for seed in range(50):
        try:
            live(Careless, seed)
        except Failed as failed:
            told = reproduction(Careless, failed, seconds=10.0)
            assert "TASK_CANCEL" in told
            assert len([line for line in told.splitlines() if line.startswith("process")]) < 15
            return
    pytest.fail("nothing was cancelled in fifty worlds")
