"""However a flow that uses every rule is run, it ends the same: batches, restarts, replay, engine, build, hash seed (C9)."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from equality_flow import SIZE, engine_of, flow, outcome, play
from fuzz_stream import Coverage

from exchange.cli import bootstrap
from exchange.cli.test import DEBUG_LIB, DEBUG_SOURCES, DEBUG_STAMP
from matching_core.records import unpack_commands

pytestmark = pytest.mark.slow  # every pair of ways to the same state plays a whole flow

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FLAVOURS = pytest.mark.parametrize("flavour", range(4))


@pytest.fixture(scope="module")
def flows():
    coverage = Coverage()
    made = [flow(flavour, coverage) for flavour in range(4)]
    assert coverage.missing(check_funds=True) == []  # the flow does use every rule
    return made


@pytest.fixture(scope="module")
def rules_class(engine_class):
    """Each engine that has every rule."""
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has not all rules yet")
    return engine_class


def ended(engine, events):
    return events, engine.state_hash(), engine.snapshot()


@FLAVOURS
def test_batches_of_any_size_end_the_same(rules_class, flows, flavour):
    chance = random.Random(flavour)
    count = len(flows[flavour])
    ends = []
    for sizes in ([1], [4096], [chance.choice((1, 2, 3, 17, 64, 300)) for _ in range(count)]):
        engine = engine_of(rules_class, flavour)
        ends.append(ended(engine, play(engine, flows[flavour], sizes)))
    assert ends[0] == ends[1] == ends[2]


@FLAVOURS
def test_what_was_said_live_is_said_again_by_a_replay(rules_class, flows, flavour):
    live, replayed = (engine_of(rules_class, flavour) for _ in range(2))
    said, seq = b"", 1
    for command in flows[flavour]:
        fields = unpack_commands(command[:SIZE])[0]._asdict()
        if fields.pop("reserved"):  # submit cannot say that
            events = live.process(command, first_seq=seq)
        else:
            events = live.submit(**fields, seq=seq)
        seq += len(command) // SIZE
        said += b"".join(event.pack() for event in events)
    assert ended(live, said) == ended(replayed, play(replayed, flows[flavour], [64]))


@FLAVOURS
def test_a_snapshot_and_the_tail_are_the_whole(rules_class, flows, flavour):
    chance = random.Random(flavour)
    commands = flows[flavour]
    whole = engine_of(rules_class, flavour)
    events = play(whole, commands, [64])
    for _ in range(6):
        cut = chance.randrange(len(commands))
        head = engine_of(rules_class, flavour)
        said = play(head, commands[:cut], [64])
        tail = rules_class.restore(head.snapshot())
        assert ended(tail, said + play(tail, commands, [64], first=cut)) == ended(whole, events)


@FLAVOURS
def test_an_engine_that_restarts_all_the_time_ends_the_same(rules_class, flows, flavour):
    commands = flows[flavour]
    steady, restarting = (engine_of(rules_class, flavour) for _ in range(2))
    said = b""
    for at in range(0, len(commands), 20):
        said += play(restarting, commands[: at + 20], [20], first=at)
        restarting = rules_class.restore(restarting.snapshot())
    assert ended(restarting, said) == ended(steady, play(steady, commands, [4096]))


@FLAVOURS
def test_the_compiled_engine_ends_as_the_reference(compiled_class, reference_class, flows, flavour):
    if getattr(compiled_class, "RULES_VERSION", 1) < reference_class.RULES_VERSION:
        pytest.skip("the compiled engine has not all rules yet")
    ends = []
    for engine_class in (reference_class, compiled_class):
        engine = engine_of(engine_class, flavour)
        ends.append(ended(engine, play(engine, flows[flavour], [4096])))
    assert ends[0] == ends[1]


def in_process(**environment):
    """What `equality_flow` prints in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CPX_ENGINE", "PYTHONHASHSEED")}
    done = subprocess.run(
        [sys.executable, str(HERE / "equality_flow.py")], env=kept | {"PYTHONSAFEPATH": "1"} | environment, cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_hash_seed_of_python_changes_nothing(rules_class, reference_class):
    expected = [outcome(rules_class, flavour) for flavour in range(4)]
    path = os.pathsep.join(path for path in sys.path if path)
    wanted = "reference" if rules_class is reference_class else "compiled"
    for seed in ("0", "4242"):  # and this process has one of its own
        told = in_process(PYTHONHASHSEED=seed, PYTHONPATH=path, CPX_ENGINE=wanted)
        assert (told["implementation"], told["outcomes"]) == (wanted, expected)


@pytest.mark.slow
def test_the_debug_build_ends_as_the_release(compiled_class):
    place = bootstrap.Place()
    stamp = bootstrap.digest(place.find(*DEBUG_SOURCES)) + bootstrap.python_id()
    if not (DEBUG_STAMP.exists() and DEBUG_STAMP.read_text() == stamp):
        pytest.skip("no debug build of the present sources: ./cpx test --debug-engine makes it")
    if getattr(compiled_class, "RULES_VERSION", 1) < 2:
        pytest.skip("the compiled engine has not all rules yet")
    release, debug = (in_process(PYTHONPATH=str(folder), CPX_ENGINE="compiled") for folder in (ROOT, DEBUG_LIB))
    assert (release["folder"], debug["folder"]) == (str(ROOT / "matching_core"), str(DEBUG_LIB / "matching_core"))
    assert release["outcomes"] == debug["outcomes"]
