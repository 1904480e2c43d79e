"""The desk's fixes: the same from any restart, made of what state and a day of trades say and of nothing else."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from street import T0, YUAN, Street

from exchange.domain import commands as c
from exchange.domain.instrument import book_id
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE
from exchange.engine.desk import FIX_LEAD_NS, Desk

HOURS = 34  # more than a day, so that trades grow too old


def due_of(desk: Desk, now_ns: int) -> list:
    return [work.command for work in desk.fixes_due(now_ns)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_desk_that_was_started_anew_at_any_stop_sets_the_same_fixes(seed):
    street, rng, methods = Street(fix_min_lots=10), random.Random(seed), Counter()
    grid = street.venue.periods
    end_ns = T0 + HOURS * NS_PER_HOUR
    while street.venue.now_ns < end_ns:
        for _ in range(10 if street.venue.now_ns < T0 + 26 * NS_PER_HOUR else 0):
            street.some_orders(rng)
            street.clock(street.venue.now_ns + rng.randint(1, 6) * NS_PER_MINUTE)
            if rng.random() < 0.2:  # a start at any other moment
                asked = [desk.fixes_at_start(street.venue.now_ns) for desk in (street.desk, street.restarted())]
                assert asked[0] == asked[1]
        stop_ns = grid.gate(grid.first_open(street.venue.now_ns + FIX_LEAD_NS)) - FIX_LEAD_NS
        street.clock(stop_ns - 1)
        street._apply(c.AdvanceTime(stop_ns))  # the log ends here
        works = street.desk.fixes_due(stop_ns)
        methods.update(work.found.method for work in works)
        anew = street.restarted()
        assert due_of(anew, stop_ns) == [work.command for work in works]
        for place, work in enumerate(works):
            street._apply(work.command)
            if place % 5 == 0:  # cut off in the middle
                left = [each.command for each in works[place + 1 :]]
                assert due_of(street.restarted(), stop_ns) == left
        for follows in street.desk.due(stop_ns):
            assert isinstance(follows, c.SettlePeriod)
            street._apply(follows)
        street.clock(grid.start(grid.at(stop_ns) + 1))
    assert {"trades", "day", "neighbours", "ask", "index"} <= set(methods), methods


def test_the_index_of_the_venue_is_the_one_by_which_the_desk_has_moved():
    """Grades A and B of a stop come before C, and the state comes to the level that was reckoned with."""
    street, rng, seen = Street(), random.Random(3), 0
    grid = street.venue.periods
    for _ in range(20):
        for _ in range(5):
            street.some_orders(rng)
            street.clock(street.venue.now_ns + NS_PER_MINUTE)
        stop_ns = grid.gate(grid.first_open(street.venue.now_ns + FIX_LEAD_NS)) - FIX_LEAD_NS
        street.clock(stop_ns - 1)
        street._apply(c.AdvanceTime(stop_ns))
        works = street.desk.fixes_due(stop_ns)
        grades = [work.found.grade == "C" for work in works]
        assert grades == sorted(grades)
        for work in works:
            if work.found.method == "index":
                region = work.inputs.instrument.split("/")[1]
                assert street.venue.state.fix_memory.level(region) == work.inputs.level
                seen += work.inputs.level != work.inputs.previous_level
            street._apply(work.command)
    assert seen, "the index has moved something"


def test_a_trade_of_a_running_hour_and_one_inside_a_firm_are_no_prices():
    street = Street()
    code = f"H800/wuhan/L5/grid/{street.venue.periods.code(street.venue.periods.at(T0 + NS_PER_HOUR))}"
    street.do(c.AllowEmergency("B1", True))
    window = (T0 + NS_PER_HOUR, T0 + 2 * NS_PER_HOUR)
    street.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L5", "grid", 10, *window, 9 * YUAN, standby=True))
    street.clock(T0 + 61 * NS_PER_MINUTE)
    assert book_id(1, street.venue.periods.at(T0 + NS_PER_HOUR)) in street.venue.state.fixes, "by the ask"
    street.do(c.SubmitTask(c.Task(
        "B1", "t1", "wuhan", 10_000, (c.TaskChip("H800", 1_000_000),), 5, 1, T0, T0 + 2 * NS_PER_HOUR,
        price_cap_micro=10 * YUAN, lane="emergency", is_immediate=True,
    )))  # fmt: skip
    assert [trade.instrument for _, trade in street.trades] == [code]
    assert not street.desk._fixer._prints


def test_a_corrected_trade_has_its_new_price_and_a_busted_one_none():
    street = Street()
    start = T0 + 5 * NS_PER_HOUR
    code = f"H800/wuhan/L5/grid/{street.venue.periods.code(street.venue.periods.at(start))}"
    for number, (seller, micro) in enumerate((("P1", 7 * YUAN), ("P2", 8 * YUAN), ("P3", 9 * YUAN)), 1):
        street.do(c.PlaceOffer(seller, f"o{number}", f"g{number}", "H800", "L5", "grid", 10, start, start + NS_PER_HOUR, micro))
        street.do(c.PlaceOrder(f"B{number}", f"b{number}", code, "buy", micro, 10))
    street.clock(start - 5 * NS_PER_MINUTE - FIX_LEAD_NS - 1)
    numbers = [trade.obligation_id for _, trade in street.trades]
    memory = street.venue.state.fix_memory

    def fix() -> tuple[int, str]:
        (work,) = street.restarted()._fixer.due(start - 5 * NS_PER_MINUTE - FIX_LEAD_NS, FIX_LEAD_NS)
        return work.command.price_micro, work.command.grade

    assert fix() == (8 * YUAN, "B")  # more than three hours ago
    memory.correct(numbers[1], 950, street.venue.now_ns)
    assert fix() == (9 * YUAN, "B")
    memory.correct(numbers[1], 0, street.venue.now_ns)
    assert fix() == (7 * YUAN, "C")


def test_every_fix_of_a_street_is_one_event_with_its_hash():
    street, rng = Street(), random.Random(5)
    for _ in range(10):
        street.some_orders(rng)
    street.clock(T0 + 4 * NS_PER_HOUR)
    fixes = [command for command in street.log if isinstance(command, c.SetFix)]
    assert fixes and all(len(fix.inputs_hash) == 32 and int(fix.inputs_hash, 16) >= 0 for fix in fixes)
    assert len({fix.inputs_hash for fix in fixes}) == len(fixes)


def test_old_trades_are_forgotten_and_make_nothing_wanted():
    """Traded more than a day ago and busted: nobody asks, trades or owes, so there is no fix, however long the desk runs."""
    street = Street()
    start = T0 + 30 * NS_PER_HOUR
    street.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L5", "grid", 10, start, start + NS_PER_HOUR, 9 * YUAN))
    street.do(c.PlaceOrder("B1", "b1", f"H800/wuhan/L5/grid/{street.hour(30)}", "buy", 9 * YUAN, 10))
    street.do(c.SetFix(f"H800/wuhan/L5/grid/{street.hour(29)}", 8 * YUAN, "A", "by hand"))
    street.do(c.BustTrade(street.trades[0][1].obligation_id, "typed wrong"))
    stop_ns = start - 5 * NS_PER_MINUTE - FIX_LEAD_NS
    street.clock(stop_ns - 1)
    street._apply(c.AdvanceTime(stop_ns))
    assert street.restarted().fixes_due(stop_ns) == street.desk.fixes_due(stop_ns) == []


def test_a_desk_does_not_grow_with_its_days():
    street, rng = Street(), random.Random(4)
    for _ in range(60):
        street.some_orders(rng)
    kept = sum(map(len, street.desk._fixer._prints.values()))
    street.clock(T0 + 40 * NS_PER_HOUR)
    street.do(c.SettlePeriod(T0 + 38 * NS_PER_HOUR))
    street.clock(T0 + 64 * NS_PER_HOUR)
    fixer = street.desk._fixer
    assert kept > 20 and not fixer._prints and not fixer._traded
