"""The dead man's timer: plain orders are gone when it has run out, and nothing else is."""

from __future__ import annotations

import pytest
from scenario import Teller
from worlds import HOUR, T0, YUAN, World

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.dead_man import next_end_ns
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk

SECOND = 10**9
BOOK = "H800/guian/L10/grid/20261123T05"


def a_market() -> World:
    """A provider's offer, a waiting task, two buyers' bids that rest, one of them in a book and one for better."""
    teller = Teller()
    teller.tell("world")
    world = teller.world
    world.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 8, T0 + 4 * HOUR, T0 + 6 * HOUR, 8 * YUAN))
    world.do(c.SubmitTask(c.Task(
        "B1", "t1", "wuhan", 10_000, (c.TaskChip("H800"),), 1, 1, T0 + 2 * HOUR, T0 + 9 * HOUR, YUAN,
    )))  # fmt: skip
    for who in ("B1", "B2"):
        world.do(c.PlaceOrder(who, f"{who}-rests", BOOK, "buy", 5 * YUAN, 3))
    world.do(c.PlaceOrder("B1", "buys", BOOK, "buy", 8 * YUAN, 1))
    world.do(c.PlaceOrder("B1", "better", BOOK, "buy", 5 * YUAN, 3, or_better=True))
    return world


def ended(events: list) -> list[tuple[str, str]]:
    """(who, order) of what was canceled."""
    told = [each for each in events if isinstance(each, e.OrderChanged) and each.status == "canceled"]
    tasks = [each for each in events if isinstance(each, e.TaskEnded)]
    return [(each.participant, each.client_order_id) for each in (*told, *tasks)]


def test_orders_are_canceled_when_it_runs_out_and_what_was_bought_stays() -> None:
    world = a_market()
    now_ns = world.venue.now_ns
    world.do(c.CancelAfter("B1", 30))
    assert ended(world.do(c.AdvanceTime(now_ns + 30 * SECOND - 1))) == []
    events = world.do(c.AdvanceTime(now_ns + 30 * SECOND))
    assert ended(events) == [("B1", "B1-rests"), ("B1", "better")]
    state = world.venue.state
    assert [bid.client_order_id for bid in state.bids.values()] == ["B2-rests"]
    assert [entry.task.client_order_id for entry in state.tasks.values()] == ["t1"]
    assert len(state.obligations) == 1 and len(state.offers) == 1 and not state.cancel_at_ns
    world.do(c.PlaceOrder("B1", "later", BOOK, "buy", 5 * YUAN, 1))
    assert ended(world.do(c.AdvanceTime(now_ns + HOUR))) == [], "it runs out once"


@pytest.mark.parametrize(("seconds", "is_gone"), [(0, False), (60, False), (10, True)])
def test_a_later_word_replaces_it_and_0_takes_it_back(seconds: int, is_gone: bool) -> None:
    world = a_market()
    now_ns = world.venue.now_ns
    world.do(c.CancelAfter("B1", 30))
    world.do(c.CancelAfter("B1", seconds))
    assert bool(ended(world.do(c.AdvanceTime(now_ns + 30 * SECOND)))) == is_gone


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (c.CancelAfter("nobody", 5), "UNKNOWN_PARTICIPANT"),
        (c.CancelAfter("B1", -1), "INVALID_WINDOW"),
        (c.CancelAfter("B1", 86_401), "INVALID_WINDOW"),
    ],
)
def test_a_timer_that_makes_no_sense_is_refused(command: c.CancelAfter, reason: str) -> None:
    world = a_market()
    (told,) = world.do(command)
    assert isinstance(told, e.Refused) and told.reason == reason and not world.venue.state.cancel_at_ns


def test_it_survives_a_snapshot_and_the_clock_stops_at_it() -> None:
    world = a_market()
    now_ns = world.venue.now_ns
    world.do(c.CancelAfter("B2", 7))
    world.do(c.CancelAfter("B1", 9))
    again = Venue.restore(world.venue.snapshot())
    assert again.state_hash() == world.venue.state_hash()
    assert again.state.cancel_at_ns == {"B2": now_ns + 7 * SECOND, "B1": now_ns + 9 * SECOND}
    desk = Desk(again)
    assert desk.next_stop(now_ns) == now_ns + 7 * SECOND
    assert desk.next_stop(now_ns + 7 * SECOND) == now_ns + 9 * SECOND == next_end_ns(again, now_ns + 8 * SECOND)
    events = again.apply(10_000, c.AdvanceTime(now_ns + 9 * SECOND))
    assert ended(events) == [("B1", "B1-rests"), ("B2", "B2-rests"), ("B1", "better")]
