"""The same commands give the same events and the same state: on both engines, from any snapshot, on any machine."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import worlds
from scenario import Teller
from test_bad_input import town
from worlds import HOUR, T0, World, digest, found, live

import matching_core
from exchange.domain import commands as c
from exchange.domain.events import Refused, Replayed, TaskEnded, TaskWaiting
from exchange.domain.venue import Venue

HERE = Path(__file__).resolve().parent
SEEDS = [pytest.param(n, marks=() if n < 8 else pytest.mark.slow) for n in range(30)]
needs_compiled = pytest.mark.skipif(
    importlib.util.find_spec("matching_core.engine") is None,
    reason="the compiled engine is not built: run ./cpx build",
)


def compiled_engine() -> type:
    return importlib.import_module("matching_core.engine").Engine


@needs_compiled
@pytest.mark.parametrize("seed", SEEDS)
def test_both_engines_tell_the_same_story(seed: int) -> None:
    slow = worlds.run(seed, 50, matching_core.ReferenceEngine)
    fast = worlds.run(seed, 50, compiled_engine())
    assert fast.log == slow.log
    assert fast.history == slow.history
    assert fast.venue.state_hash() == slow.venue.state_hash()
    assert fast.venue.snapshot() == slow.venue.snapshot()


@needs_compiled
def test_a_snapshot_of_one_engine_goes_on_in_the_other() -> None:
    slow = worlds.run(3, 50, matching_core.ReferenceEngine)
    fast = Venue.restore(slow.venue.snapshot(), engine=compiled_engine())
    assert fast.state_hash() == slow.venue.state_hash()
    step = c.AdvanceTime(slow.now_ns + 3 * HOUR)
    assert fast.apply(10**6, step) == slow.venue.apply(10**6, step)
    assert fast.snapshot() == slow.venue.snapshot()


def replay(world: World, every: int, first: int = 0) -> Venue:
    """The world's commands once more, in a venue that is restored from its own snapshot every so often."""
    venue = Venue(max_orders=5_000, engine=type(world.venue.core))
    for place, (command, events) in enumerate(zip(world.log, world.history, strict=True)):
        if place >= first and place % every == 0:
            blob = venue.snapshot()
            venue = Venue.restore(blob, engine=type(world.venue.core))
            assert venue.snapshot() == blob
        assert tuple(venue.apply(place + 1, command)) == events, (place, command)
    return venue


@pytest.mark.parametrize("seed", SEEDS)
def test_a_venue_restored_at_any_point_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    world = worlds.run(seed, 50)
    venue = replay(world, every=1 + seed % 5)
    assert venue.state_hash() == world.venue.state_hash()
    assert venue.snapshot() == world.venue.snapshot()


@pytest.mark.parametrize(
    "seeds",
    [pytest.param(range(2_000, 2_050), marks=pytest.mark.slow), pytest.param(range(2_000, 2_200), marks=pytest.mark.soak)],
    ids=len,
)
def test_many_worlds_survive_a_restore_before_every_command(seeds: range) -> None:
    for seed in seeds:
        world = worlds.run(seed, 25)
        assert replay(world, every=1).snapshot() == world.venue.snapshot()


@pytest.mark.slow
def test_the_hash_seed_of_the_machine_plays_no_part() -> None:
    told = set()
    for hash_seed in ("0", "1", "4242"):
        about = {
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path]),
        }
        run = subprocess.run(
            [sys.executable, str(HERE / "worlds.py"), *map(str, range(6))],
            env=about,
            capture_output=True,
            check=True,
        )
        told.add(run.stdout)
    assert len(told) == 1 and len(told.pop().split()) == 12


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 3 else pytest.mark.slow) for n in range(20)])
def test_the_order_of_catalogue_rows_plays_no_part(seed: int) -> None:
    straight, mixed = worlds.run(seed, 40), worlds.run(seed, 40, shuffle=Random(seed))
    assert [
        events
        for command, events in zip(straight.log, straight.history, strict=True)
        if not isinstance(command, c.LoadCatalogue)
    ] == [
        events
        for command, events in zip(mixed.log, mixed.history, strict=True)
        if not isinstance(command, c.LoadCatalogue)
    ]


def test_a_world_is_not_the_same_as_another() -> None:
    """Else all of the above would prove nothing."""
    assert len({digest(worlds.run(seed, 20)) for seed in range(8)}) == 8


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:], lambda b: b""],
)
def test_a_damaged_snapshot_is_refused(damage) -> None:
    with pytest.raises(ValueError):
        Venue.restore(damage(town().venue.snapshot()))


def test_a_refused_command_leaves_the_hash_and_an_applied_one_does_not() -> None:
    world = town()
    before = world.venue.state_hash()
    assert isinstance(world.do(c.Withdraw("B1", 10**15))[0], Refused)
    assert world.venue.state_hash() == before
    world.do(c.Withdraw("B1", 1))
    assert world.venue.state_hash() != before


# --- idempotency (durability.md 5) -------------------------------------------------------------------------


def test_the_same_key_with_the_same_content_is_answered_from_the_table() -> None:
    world, key = town(), {"idem_key": b"k" * 16, "body_hash": b"h"}
    world.do(c.Withdraw("B1", 5), **key)
    seq, before = len(world.log), world.venue.state_hash()
    (replayed,) = world.do(c.Withdraw("B1", 5), **key)
    assert isinstance(replayed, Replayed) and replayed.original_seq == seq
    assert world.venue.state_hash() == before
    assert world.do(c.Withdraw("B1", 6), idem_key=b"k" * 16, body_hash=b"other")[0].reason == "KEY_REUSED"
    assert world.do(c.Withdraw("B1", 6), valid_until_ns=T0)[0].reason == "EXPIRED_COMMAND"
    copy = Venue.restore(world.venue.snapshot())
    assert isinstance(copy.apply(10**6, c.Withdraw("B1", 5), **key)[0], Replayed)


def test_a_restored_venue_forgets_old_keys_when_the_first_one_does() -> None:
    """Keys are forgotten oldest first, in whatever order a snapshot has brought them back."""
    world = World(Venue(max_orders=100))
    world.do(c.AdvanceTime(T0))
    world.do(c.SetVenue("venue", idempotency_retention_ns=2 * HOUR))
    world.do(c.AddParticipant("B1", "firm"))
    world.do(c.Deposit("B1", 1), idem_key=b"\xff" * 16, body_hash=b"h")
    world.do(c.AdvanceTime(T0 + HOUR))
    world.do(c.Deposit("B1", 1), idem_key=b"\x00" * 16, body_hash=b"h")
    restored = Venue.restore(world.venue.snapshot())
    for venue in (world.venue, restored):
        venue.apply(100, c.AdvanceTime(T0 + 2 * HOUR + 1))
        assert list(venue.keys.used) == ["00" * 16]
    assert restored.snapshot() == world.venue.snapshot()


def test_of_one_owner_only_so_many_keys_are_remembered_and_more_is_refused(monkeypatch) -> None:
    monkeypatch.setattr("exchange.domain.venue.MAX_KEYS_PER_OWNER", 3)
    world = town()

    def deposit(name: str, number: int):
        return world.do(c.Deposit(name, 1), idem_key=f"{name}{number}".encode().ljust(16), body_hash=b"h")[0]

    for number in range(3):
        assert not isinstance(deposit("B1", number), Refused)
    for venue in (world, world.fork()):
        (no,) = venue.do(c.Deposit("B1", 1), idem_key=b"B1 another".ljust(16), body_hash=b"h")
        assert isinstance(no, Refused) and (no.reason, no.code) == ("TOO_MANY_KEYS", 338)
    assert isinstance(deposit("B1", 0), Replayed), "what is known is answered"
    assert not isinstance(world.do(c.Deposit("B1", 1))[0], Refused), "what needs no key goes on"
    assert not isinstance(deposit("P1", 0), Refused), "and so does everybody else"
    # made-up names share the operator's room
    assert [deposit(f"stranger{number}", 0).reason for number in range(4)] == ["UNKNOWN_PARTICIPANT"] * 3 + ["TOO_MANY_KEYS"]
    task = c.SubmitTask(c.Task("B1", "t", "nowhere", 10, (c.TaskChip("H800"),), 1, 1, T0, T0 + HOUR, 1))
    assert world.do(task, idem_key=b"t" * 16, body_hash=b"h")[0].reason == "TOO_MANY_KEYS"
    world.do(c.AdvanceTime(world.now_ns + world.settings.idempotency_retention_ns + 1))
    assert not world.venue.keys.used and not +world.venue.keys_of
    assert not isinstance(deposit("B1", 99), Refused), "there is room again"


# --- what a snapshot may not lose ---------------------------------------------------------------------------


def test_a_reason_does_not_depend_on_offers_that_are_gone() -> None:
    teller = Teller()
    for line in ("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 01-02", "offer P1 o2 g1 H800/L10/green 8 @ 8.00 04-05 min 2x1",
                 "withdraw-offer P1 o1", "withdraw-offer P1 o2"):  # fmt: skip
        teller.tell(line)
    task = c.SubmitTask(
        c.Task("B1", "t", "wuhan", 10_000, (c.TaskChip("H800"),), 4, 2, T0, T0 + 12 * HOUR, 9_000_000)
    )
    restored = Venue.restore(teller.world.venue.snapshot())
    assert restored.apply(100, task) == teller.world.venue.apply(100, task)


def test_a_new_catalogue_reaches_waiting_tasks_at_once_and_after_a_restore() -> None:
    def waiting() -> Teller:
        teller = Teller()
        teller.tell("task B1 t1 H800 8 x 1 within 4 cap 9.00")
        teller.tell("task B1 t2 A910B 8 x 1 by 04 cap 99999 data 30000 regions guian|qingyang within 8")
        teller.tell("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 01-05")
        return teller

    state = waiting().world.venue.state.catalogue
    rows = [
        c.Reach("wuhan", "guian", "L10", 3_000),
        c.Reach("wuhan", "wuhan", "L5", 4_000),
        c.Reach("guian", "guian", "L10", 1_000),
    ]
    nearer = c.LoadCatalogue(tuple(state.chips.values()), tuple(state.regions.values()), tuple(rows), ())
    world = waiting().world
    world.do(nearer)
    copy = world.fork()
    for one in (world, copy):
        told = one.do(c.AdvanceTime(T0 + 1))
        assert [e.client_order_id for e in told if hasattr(e, "waited_ns")] == ["t1"]
    assert copy.history[-1] == world.history[-1]


def test_a_faster_link_puts_off_the_end_of_a_waiting_task() -> None:
    teller = Teller()
    told = teller.tell(
        "task B1 t1 H800 8 x 1 by 06 cap 9000 data 13500 regions guian"
    )  # three hours on the road
    assert told == "waits t1 NO_REACH"
    state = teller.world.venue.state.catalogue
    reach = tuple(c.Reach(a, h, k, us) for a, row in state.reach.items() for (h, k), us in row.items())
    links = (c.Link("wuhan", "guian", 100_000, 100_000),)
    teller.world.do(c.LoadCatalogue(tuple(state.chips.values()), tuple(state.regions.values()), reach, links))
    assert teller.tell("clock 02:30") == ""
    teller.tell("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 05-06")
    assert "filled t1 at g1 h05" in teller.tell("clock 02:30")


def test_when_the_clock_jumps_every_waiting_task_ends_and_none_waits_on() -> None:
    rng = Random(7)
    world = found(rng)
    live(world, rng, 30)
    waiting = len(world.venue.state.tasks)
    ended = [e for e in world.do(c.AdvanceTime(world.now_ns + 500 * HOUR)) if isinstance(e, TaskEnded)]
    assert len(ended) == waiting and not world.venue.state.tasks
    assert not [e for e in world.history[-1] if isinstance(e, TaskWaiting)]


def test_chips_of_equal_price_are_named_in_the_same_order_after_a_restore() -> None:
    teller = Teller()
    for line in (
        "offer P1 o1 g1 H800/L10/grid 8 @ 8.00 02-03",
        "offer P1 o2 g1 A910B/L10/grid 8 @ 8.00 02-03",
    ):
        teller.tell(line)
    task = c.SubmitTask(
        c.Task("B1", "t", "wuhan", 10_000, (c.TaskChip("L40S"),), 4, 1, T0, T0 + 12 * HOUR, 9_000_000)
    )
    copy = teller.world.fork()
    assert list(copy.venue.state.catalogue.chips) != list(teller.world.venue.state.catalogue.chips)
    told = teller.world.do(task)
    assert copy.do(task) == told
    assert [step.change for step in told[-1].explanation.relaxations] == ["also accept A910B"]
