"""DI2, DI3: no cell of the demand table stands for fewer than three firms, and nothing is lost or told twice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.units import NS_PER_HOUR
from exchange.projections.demand import (
    DEADLINES_H,
    LEAST_FIRMS,
    PRICES_MICRO,
    Cell,
    Group,
    Want,
    class_limit,
    deadline_bucket,
    merge,
    price_bucket,
)
from exchange.projections.demand import DemandTable as Demand

NOW = 1_000 * NS_PER_HOUR
YUAN = 1_000_000
GROUPS = (Group("A910B", "wuhan", "L10"), Group("A910B", "wuhan", "BE"), Group("H800", "wuhan", "L10"))
LAST = len(DEADLINES_H) - 1

firms = st.integers(1, 5)
places = st.tuples(st.integers(0, LAST), st.integers(0, 6))
cells = st.dictionaries(places, st.dictionaries(firms, st.integers(1, 99), min_size=1), max_size=12)
wants = st.builds(
    Want, st.sampled_from(GROUPS), firms, st.integers(1, 200).map(lambda hours: NOW + hours * NS_PER_HOUR),
    st.sampled_from((0, 5_000, YUAN, 2 * YUAN, 5 * YUAN, 5 * YUAN + 1, 9 * YUAN)), st.integers(1, 99),
)  # fmt: skip


def want(firm, price=5, hours=5, lots=10, group=GROUPS[0]):
    return Want(group, firm, NOW + hours * NS_PER_HOUR, price * YUAN, lots)


class DemandTable(Demand):
    """With a look back: what has changed, put together, is what is there."""

    def __init__(self):
        super().__init__()
        self.told = {}

    def cells_at(self, from_ns):
        self.told = {cell: lots for cell, lots in (self.told | self.changes(from_ns)).items() if lots}
        assert self.told == self.cells()
        return self.told


def table_of(*some):
    table = DemandTable()
    for number, each in enumerate(some):
        table.put(number, each)
    return table


def by_the_rule(found):
    """DI3 in the words of the rule: the dearest, soonest cell with fewer than three firms moves on, until none can."""
    tokens = [(deadline, price, firm, lots) for (deadline, price), held in found.items() for firm, lots in held.items()]
    prices = sorted({price for _, price in found}, reverse=True)
    lower = dict(pairwise(prices))
    withheld = 0
    while True:
        small = [
            (-price, deadline)
            for deadline, price in {token[:2] for token in tokens}
            if len({firm for d, p, firm, _ in tokens if (d, p) == (deadline, price)}) < LEAST_FIRMS
        ]
        if not small:
            break
        price, deadline = -min(small)[0], min(small)[1]
        target = (deadline + 1, price) if deadline < LAST else (LAST, lower.get(price))
        moving = [token for token in tokens if token[:2] == (deadline, price)]
        tokens = [token for token in tokens if token[:2] != (deadline, price)]
        if target[1] is None:
            withheld += sum(lots for *_, lots in moving)
        else:
            tokens += [(*target, firm, lots) for _, _, firm, lots in moving]
    shown: Counter = Counter()
    for deadline, price, _, lots in tokens:
        shown[deadline, price] += lots
    return dict(shown), withheld


@given(cells)
def test_cells_merge_as_the_rule_says(found):
    merged = merge(found)
    assert (merged.shown, merged.withheld) == by_the_rule(found)


@given(cells)
def test_no_cell_stands_for_fewer_than_three_firms_and_nothing_is_lost(found):
    merged = merge(found)
    assert all(number >= 3 for number in merged.firms.values()) and merged.firms.keys() == merged.shown.keys()
    assert sum(merged.shown.values()) + merged.withheld == sum(lots for held in found.values() for lots in held.values())
    assert all(place in merged.shown for place, held in found.items() if len(held) >= LEAST_FIRMS)


@given(cells)
def test_what_moves_only_becomes_later_and_cheaper(found):
    """Whatever is shown at some deadline and price was wanted by then or sooner, at that price or a higher one."""
    merged = merge(found)
    for deadline, price in merged.shown:
        shown = sum(lots for (d, p), lots in merged.shown.items() if d <= deadline and p >= price)
        wanted = sum(sum(held.values()) for (d, p), held in found.items() if d <= deadline and p >= price)
        assert shown <= wanted


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | wants), max_size=40), st.integers(0, 30))
def test_a_table_that_was_changed_is_as_one_made_anew(steps, later_h):
    table, kept = DemandTable(), {}
    for number, (key, each) in enumerate(steps):
        if each is None:
            table.drop(key)
            kept.pop(key, None)
        else:
            table.put(key, each)
            kept[key] = each
        if number % 7 == 3:
            table.cells_at(NOW)
    fresh = DemandTable()
    for key, each in kept.items():
        fresh.put(key, each)
    from_ns = NOW + later_h * NS_PER_HOUR
    assert table.cells_at(from_ns) == fresh.cells_at(from_ns)
    assert table.withheld == fresh.withheld and len(table) == len(kept)
    assert sum(table.cells_at(from_ns).values()) + table.withheld == sum(each.lot_periods for each in kept.values())


@given(st.lists(wants, max_size=30))
def test_one_firm_with_many_tasks_is_one_firm(some):
    alone = [each._replace(firm=1 + each.firm % 2) for each in some]
    table = table_of(*alone)
    assert table.cells_at(NOW) == {} and table.withheld == sum(each.lot_periods for each in alone)


def test_three_firms_are_shown_where_they_are_and_two_move_to_the_next_longer_deadline():
    table = table_of(want(1), want(2), want(3), want(4, hours=20), want(5, hours=20))
    assert table.cells_at(NOW) == {Cell(GROUPS[0], 6, 5 * YUAN): 30}
    assert table.withheld == 20
    table.put("more", want(1, hours=100))
    assert table.cells_at(NOW) == {Cell(GROUPS[0], 6, 5 * YUAN): 30, Cell(GROUPS[0], 168, 5 * YUAN): 30}


def test_what_no_longer_deadline_helps_moves_to_the_next_lower_price():
    table = table_of(want(1, price=9), want(2, price=5, hours=150), want(3, price=5, hours=150))
    assert table.cells_at(NOW) == {Cell(GROUPS[0], 168, 5 * YUAN): 30}


def test_cells_of_different_chips_or_classes_never_merge():
    table = table_of(*(want(firm, group=group) for firm, group in enumerate(GROUPS)))
    assert table.cells_at(NOW) == {} and table.withheld == 30


@pytest.mark.parametrize(
    ("limit_us", "name"),
    [(0, "BE"), (1, "L1"), (1_000, "L1"), (4_999, "L1"), (5_000, "L5"), (7_000, "L7"), (9_999, "L7"), (10_000, "L10"),
     (50_000, "L10")],
)  # fmt: skip
def test_a_class_limit_is_the_slowest_class_that_surely_serves(limit_us, name):
    assert class_limit(limit_us) == name


def test_a_class_that_was_named_is_never_exceeded():
    assert [class_limit(0, "L5"), class_limit(10_000, "L5"), class_limit(1_000, "L5"), class_limit(0, "BE")] == [
        "L5", "L5", "L1", "BE",
    ]  # fmt: skip


@given(st.integers(0, 10**13))
def test_a_price_bucket_is_the_nearest_one_that_is_not_above(price):
    bucket = PRICES_MICRO[price_bucket(price)]
    assert bucket <= price and all(other <= bucket or other > price for other in PRICES_MICRO)
    assert bucket == 0 or price >= 80 * 10**12 or 2 * bucket > price


def test_a_deadline_bucket_reaches_the_deadline_but_the_last_which_takes_the_rest():
    hours = {1: 0, 6: 0, 7: 1, 24: 1, 25: 2, 72: 2, 73: 3, 168: 3, 9_999: 3}
    for hour, place in hours.items():
        assert deadline_bucket(NOW + hour * NS_PER_HOUR, NOW) == place
