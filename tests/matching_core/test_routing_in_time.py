"""When a task can run: its data on the links (RT7), and the emergency lane after the gate (EM1 to EM4).

Worked out by hand, as in `test_routing`.
"""

import pytest
from route_desk import HOUR, MINUTE, Desk, that_knows_tasks, told

from matching_core.enums import FixGrade, Kind, Lane, Op, OrderFlag, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO

EMERGENCY = {"lane": Lane.EMERGENCY, "tif": TimeInForce.IOC}


@pytest.fixture
def tasks_class(engine_class):
    """Each engine in turn, once it knows tasks."""
    return that_knows_tasks(engine_class)


@pytest.fixture
def desk(tasks_class):
    """A market with one family of chip 1 in region 1."""
    desk = Desk(tasks_class)
    desk.family(1)
    return desk


# --- RT7: data ---


@pytest.fixture
def far(desk):
    """A second family, of the same chip, in region 2; data lie in region 1."""
    desk.family(2, region=2)
    return desk


def with_data(data_mb, **wanted):
    return {"data_mb": data_mb, "data_region": 1, **wanted}


def test_moving_the_data_is_part_of_the_cost_and_rounded_up(far):
    far.asks(1, [6], 10)
    far.asks(2, [5], 10)
    far.link(1, 2, price=5)
    route = far.find(**with_data(1801))
    assert (route.parts[0].family, route.compute_micro, route.moving_micro) == (1, 60, 0)
    route = far.find(**with_data(1800))
    assert (route.parts[0].family, route.compute_micro, route.moving_micro) == (2, 50, 9)
    assert far.find(**with_data(1801, first_period=1, regions=(2,))).moving_micro == 10


@pytest.mark.parametrize("is_block", [False, True])
def test_moving_the_data_counts_against_the_limit(far, is_block):
    far.block(2, {1: (5, 10)}) if is_block else far.asks(2, [5], 10)
    far.link(1, 2, price=5)
    assert told(far.find(**with_data(1801, budget_micro=60))) == (1, 60, (11, 10))
    assert far.find(**with_data(1801, budget_micro=59)) is None


def test_without_a_link_data_stay_in_their_region(far):
    far.asks(2, [5], 10)
    assert far.find(**with_data(1)) is None
    far.asks(1, [7], 10)
    assert told(far.find(**with_data(1))) == (1, 70, (11, 10))
    assert told(far.find()) == (1, 50, (11, 10))


def test_a_link_from_a_region_to_itself_is_used(far):
    far.asks(1, [7], 10)
    far.link(1, 1, price=1000)
    assert told(far.find(**with_data(5))) == (1, 75, (11, 10))


def test_the_first_hour_does_not_start_before_the_data_are_there(far):
    """At 8 Mbit/s a megabyte takes a second."""
    far.asks(2, [5, 6, 7], 10)
    far.link(1, 2, mbit=8)
    assert told(far.find(**with_data(3600))) == (1, 50, (11, 10))
    assert told(far.find(**with_data(3601))) == (2, 60, (11, 10))
    assert far.find(**with_data(3601, end_period=2)) is None
    far.clock(1)
    assert told(far.find(**with_data(3600))) == (2, 60, (11, 10))


def test_a_link_takes_the_data_from_now_on_as_fast_as_it_has_room(far):
    """1,000 MB an hour: 2,500 MB fill hours 0 to 2, so the task runs from 3 on; the next 1,800 MB fill 2 to 4."""
    far.asks(2, [5] * 9, 100)
    far.link(1, 2, price=1, capacity_mb=1000)
    assert told(far.find(**with_data(2500))) == (3, 53, (11, 10))
    assert told(far.find(**with_data(1000))) == (1, 51, (11, 10))
    assert far.find(**with_data(2500, end_period=3)) is None
    far.buy(**with_data(2500))
    assert [far.engine.link_load(1, 2, period) for period in range(4)] == [1000, 1000, 500, 0]
    assert told(far.find(**with_data(1800))) == (5, 52, (11, 10))
    assert told(far.find(**with_data(500))) == (3, 51, (11, 10))
    far.buy(**with_data(1800))
    assert [far.engine.link_load(1, 2, period) for period in range(6)] == [1000, 1000, 1000, 1000, 300, 0]
    far.clock(4 * HOUR)
    assert [far.engine.link_load(1, 2, period) for period in range(6)] == [0, 0, 0, 0, 300, 0]
    assert told(far.find(**with_data(700))) == (5, 51, (11, 10))
    assert told(far.find(**with_data(701))) == (6, 51, (11, 10))


def test_a_task_takes_its_gigabytes_or_none(far):
    far.asks(2, [5] * 9, 100)
    far.link(1, 2, capacity_mb=1000)
    events = far.buy(**with_data(2500, end_period=3, tif=TimeInForce.IOC))
    assert [event.kind for event in events] == [Kind.ACCEPTED, Kind.CANCELED]
    assert [far.engine.link_load(1, 2, period) for period in range(3)] == [0, 0, 0]


def test_room_that_a_smaller_link_has_lost_is_no_room(far):
    far.asks(2, [5] * 9, 100)
    far.link(1, 2, capacity_mb=1000)
    far.buy(**with_data(1900))
    far.link(1, 2, capacity_mb=500)
    assert told(far.find(**with_data(500))) == (3, 50, (11, 10))


def test_both_the_delay_and_the_room_have_to_be_met(far):
    far.asks(2, [5] * 9, 100)
    far.link(1, 2, mbit=8, capacity_mb=10_000)
    assert told(far.find(**with_data(9000))) == (3, 50, (11, 10))
    far.link(1, 2, mbit=8, capacity_mb=2000)
    assert told(far.find(**with_data(9000))) == (5, 50, (11, 10))


def test_moving_for_more_than_there_is_money_is_no_candidate(far):
    far.book(2, 1, value=10**6)
    far.asks(2, [MAX_MONEY_MICRO // 10**7], 10)
    far.link(1, 2, price=10**9, mbit=10**9)
    budget_micro = MAX_MONEY_MICRO // 4
    assert far.find(MAX_MONEY_MICRO, **with_data(1, budget_micro=budget_micro)) is None
    assert far.find(MAX_MONEY_MICRO, budget_micro=budget_micro).compute_micro == MAX_MONEY_MICRO


def test_data_that_need_longer_than_time_itself_do_not_come(far):
    far.asks(2, [5], 10)
    far.link(1, 2, mbit=1)
    assert far.find(**with_data(10**12)) is None


# --- EM1 to EM4: the emergency lane ---


@pytest.fixture
def ward(tasks_class):
    """Hour 1 has an emergency book until its end; its gate comes five minutes before its start, the grid's at the start."""
    desk = Desk(tasks_class)
    desk.family(1)
    desk.book(1, 1, gate_ns=55 * MINUTE)
    desk.do(Op.SET_BOOK, book=1 << 20 | 1, expiry_ns=2 * HOUR)
    return desk


def test_after_the_gate_only_emergency_tasks_buy_what_stands_by(ward):
    ward.ask(1, 1, 5, 10)
    ward.ask(1, 1, 9, 10, flags=OrderFlag.STANDBY)
    assert told(ward.find(**EMERGENCY)) == (1, 50, (11, 10))
    ward.clock(55 * MINUTE)
    assert ward.find() is None
    assert told(ward.find(**EMERGENCY)) == (1, 90, (11, 10))


@pytest.mark.parametrize("minutes, more_ns, charge", [
    (60, 0, 93), (60, 1, 85), (65, 0, 85), (65, 1, 77), (110, 0, 15), (115, 0, 7), (115, 1, None), (119, 0, None),
])  # fmt: skip
def test_the_charge_is_the_whole_twelfths_that_are_left_rounded_down(ward, minutes, more_ns, charge):
    """3 lots at 31 are 93: 11/12 of them 85.25, 10/12 77.5, 2/12 15.5, 1/12 7.75."""
    ward.ask(1, 1, 31, 3, flags=OrderFlag.STANDBY)
    ward.clock(minutes * MINUTE + more_ns)
    route = ward.find(lots=3, **EMERGENCY)
    assert (route and route.compute_micro) == charge


def test_every_fill_is_rounded_down_by_itself(ward):
    ward.ask(1, 1, 31, 1, flags=OrderFlag.STANDBY)
    ward.ask(1, 1, 31, 2, flags=OrderFlag.STANDBY)
    ward.clock(65 * MINUTE)
    assert ward.find(lots=3, **EMERGENCY).compute_micro == 28 + 56


def test_an_emergency_task_may_run_from_this_hour_into_the_next(ward):
    ward.ask(1, 1, 24, 10, flags=OrderFlag.STANDBY)
    ward.ask(1, 2, 10, 10)
    ward.clock(90 * MINUTE)
    route = ward.find(periods=2, **EMERGENCY)
    assert (route.first_period, route.compute_micro) == (1, 120 + 100)


@pytest.mark.parametrize("grade, most", [(FixGrade.A, 200), (FixGrade.B, 200), (FixGrade.C, 999)])
def test_in_an_emergency_book_twice_a_sure_fix_is_the_most(ward, grade, most):
    ward.do(Op.SET_FIX, book=1 << 20 | 1, price=100, side=grade)
    for price in (200, 201, 999):
        ward.ask(1, 1, price, 1, flags=OrderFlag.STANDBY)
    prices = (200, 201, 999)
    assert told(ward.find(lots=3, **EMERGENCY)) == (1, sum(prices), (11, 3))
    ward.clock(HOUR)
    lots = sum(price <= most for price in prices)
    assert told(ward.find(lots=lots, **EMERGENCY)) == (1, sum(prices[:lots]), (11, lots))
    assert ward.find(lots=lots + 1, **EMERGENCY) is None


@pytest.mark.parametrize("data_mb, is_in_time", [(60, True), (61, False)])
def test_an_emergency_has_its_data_within_a_minute(ward, data_mb, is_in_time):
    ward.ask(1, 1, 24, 10, flags=OrderFlag.STANDBY)
    ward.link(2, 1, price=1000, mbit=8)
    ward.clock(90 * MINUTE)
    route = ward.find(data_mb=data_mb, data_region=2, **EMERGENCY)
    assert (route is not None) == is_in_time
    if is_in_time:
        assert (route.first_period, route.compute_micro, route.moving_micro) == (1, 120, 60)


def test_an_emergency_waits_for_room_on_the_link(ward):
    ward.ask(1, 1, 24, 10, flags=OrderFlag.STANDBY)
    ward.ask(1, 2, 24, 10)
    ward.link(2, 1, capacity_mb=40)
    ward.clock(90 * MINUTE)
    assert ward.find(data_mb=40, data_region=2, **EMERGENCY).first_period == 1
    assert ward.find(data_mb=60, data_region=2, **EMERGENCY) is None  # hour 2 carries the rest, so hour 3 at the soonest
