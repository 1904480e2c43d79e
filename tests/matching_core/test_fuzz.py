"""Both engines under streams of every command and flag with numbers from the edges: equal to the last byte, always sound."""

import os
import random

import pytest
from fuzz import FLAVOURS, SWAP, draw, play, report, shrink
from fuzz_stream import Coverage

from matching_core.enums import Op

pytestmark = pytest.mark.slow  # ten thousand commands with every check after each


@pytest.fixture(scope="module")
def classes(reference_class, compiled_class):
    if getattr(compiled_class, "RULES_VERSION", 1) < reference_class.RULES_VERSION:
        pytest.skip("the compiled engine has not all rules yet")
    return reference_class, compiled_class


def fuzz(classes, flavour, seed, count):
    """Plays a stream; what differs is told by the shortest sequence that still does."""
    steps = draw(flavour, seed, count)
    try:
        play(classes, flavour, steps)
    except (AssertionError, ValueError, RuntimeError, SystemError) as wrong:
        pytest.fail(f"flavour {flavour}, seed {seed}: {wrong}\n{report(classes, flavour, steps)}")


@pytest.mark.parametrize("flavour", range(4))
def test_no_command_of_a_random_day_tells_the_engines_apart(classes, flavour):
    fuzz(classes, flavour, seed=flavour, count=2_500)


@pytest.mark.soak
@pytest.mark.parametrize("flavour", range(4))
def test_no_command_of_two_hundred_thousand_tells_the_engines_apart(classes, flavour):
    seed = int(os.environ.get("CPX_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    for part in range(10):
        fuzz(classes, flavour, seed=seed * 10 + part, count=5_000)


@pytest.mark.parametrize("check_funds", [False, True])
def test_the_stream_still_reaches_every_operation_kind_reason_and_flag(check_funds):
    coverage = Coverage()
    for flavour, (funds, _listed_only) in enumerate(FLAVOURS):
        if funds == check_funds:
            draw(flavour, seed=flavour + 4, count=6_000, coverage=coverage)
    assert coverage.missing(check_funds) == []


def test_a_difference_is_told_by_its_shortest_sequence(reference_class):
    class Careless(reference_class):
        def submit(self, op, **fields):
            if op == Op.REDUCE and self.order(fields.get("order_id", 0)):
                fields["qty"] = fields.get("qty", 0) - 1
            return super().submit(op, **fields)

    noise = [{"op": Op.NEW, "order_id": i, "price": 7 * i, "qty": 9, "client_ref": i} for i in range(1, 30)]
    steps = [*noise, SWAP, {"op": Op.REDUCE, "order_id": 17, "qty": 3}, *noise[:5]]
    told = report((reference_class, Careless), 0, steps).splitlines()
    assert told[1:3] == ["submit NEW order_id=17, price=119, qty=9", "submit REDUCE order_id=17"]
    assert "Different: events of submit REDUCE" in told[-3]
    assert len([line for line in told if line.startswith("submit")]) == 2


def test_what_is_left_of_a_sequence_still_fails():
    steps = [{"op": i} for i in range(100)]
    needed = [steps[i] for i in (3, 50, 51, 99)]
    assert shrink(steps, lambda left: all(step in left for step in needed)) == needed


def test_a_batch_that_differs_from_its_commands_is_noticed(reference_class):
    class Hasty(reference_class):
        def process(self, commands, first_seq=1, seq_step=1):
            return super().process(commands[:64] if len(commands) > 64 else commands, first_seq, seq_step)

    steps = draw(0, seed=1, count=40)
    with pytest.raises(AssertionError, match="batch"):
        play((reference_class, Hasty), 0, steps)
