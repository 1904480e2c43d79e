"""A preview says what would happen, and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from worlds import found, live

from exchange.domain import commands as c
from exchange.domain.events import Refused, TaskEnded, TaskFilled, TaskWaiting
from exchange.domain.preview import preview
from exchange.domain.reasons import Refusal


class Asker:
    """Previews every task before it enters, and compares."""

    def __init__(self, world) -> None:
        self.world = world
        self.kinds: dict[str, int] = {"filled": 0, "partly": 0, "waits": 0, "refused": 0, "several": 0}

    def enter(self, command: c.SubmitTask) -> None:
        world, task = self.world, command.task
        world.do(c.AdvanceTime(world.now_ns))  # drains: what waits has had its turn
        before = world.venue.state_hash()
        try:
            quote = preview(world.venue, task)
        except Refusal as no:
            (event,) = world.do(command)
            assert isinstance(event, Refused) and event.reason == no.reason.name
            self.kinds["refused"] += 1
            return
        assert world.venue.state_hash() == before
        events = world.do(command)
        if isinstance(events[0], Refused):  # money or room, which a preview shows but does not refuse
            assert events[0].reason in ("INSUFFICIENT_FUNDS", "TOO_MANY_WAITING", "DUPLICATE_ID")
            assert events[0].reason != "INSUFFICIENT_FUNDS" or quote.free_micro < quote.hold_micro
            return
        fills = [event for event in events if isinstance(event, TaskFilled)]
        assert quote.fills == bool(fills)
        if fills:
            fill = fills[0]  # a bulk task that moves data may go on to other regions; the preview shows the first
            assert len(fills) == 1 or (task.shape == "bulk" and task.data_mb)
            assert (quote.site, quote.instrument, quote.lot_periods) == (
                fill.site,
                fill.instrument,
                fill.lot_periods,
            )
            parts = (quote.compute_micro, quote.moving_micro, quote.fee_micro)
            assert parts == (fill.compute_micro, fill.moving_micro, fill.fee_micro)
            assert quote.total_micro <= quote.hold_micro
            assert quote.parts == fill.parts
            self.kinds["several"] += len(fill.parts) > 1
            self.kinds["filled" if fills[-1].is_complete else "partly"] += 1
        for event in events:
            if isinstance(event, TaskWaiting | TaskEnded) and not fills:
                assert event.explanation == quote.explanation
                self.kinds["waits"] += 1


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 5 else pytest.mark.slow) for n in range(20)])
def test_what_a_preview_shows_is_what_the_task_gets(seed: int) -> None:
    rng = Random(9000 + seed)
    asker = Asker(found(rng))
    live(asker.world, rng, 60, on_task=asker.enter)


@pytest.mark.slow
def test_the_worlds_above_know_fills_waits_and_refusals() -> None:
    total: dict[str, int] = {}
    for seed in range(20):
        rng = Random(9000 + seed)
        asker = Asker(found(rng))
        live(asker.world, rng, 60, on_task=asker.enter)
        for kind, count in asker.kinds.items():
            total[kind] = total.get(kind, 0) + count
    assert total["filled"] > 20 and total["waits"] > 10 and total["several"] > 1, total


def test_a_preview_of_nonsense_is_refused_like_the_task_itself() -> None:
    world = found(Random(1))
    task = c.Task("nobody", "x", "r", 0, (), 0, 0, 0, 0)
    before = world.venue.state_hash()
    with pytest.raises(Refusal):
        preview(world.venue, task)
    with pytest.raises(Refusal):
        preview(world.venue, replace(task, participant=next(iter(world.venue.state.participants))))
    assert world.venue.state_hash() == before
