"""Where split and spread tasks run, and what a bulk task buys. Worked out by hand, as in `test_routing`."""

import pytest
from route_desk import HOUR, PPM, Desk, that_knows_tasks, told

from matching_core.enums import Kind, Op, OrderFlag, Power, Shape, TaskFlag, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO

SPLIT, SPREAD, BULK = {"shape": Shape.SPLIT}, {"shape": Shape.SPREAD}, {"shape": Shape.BULK}


@pytest.fixture
def desk(engine_class):
    """A market with one family of chip 1 in region 1."""
    desk = Desk(that_knows_tasks(engine_class))
    desk.family(1)
    return desk


@pytest.fixture
def far(desk):
    """A second family, of the same chip, in region 2; data lie in region 3."""
    desk.family(2, region=2)
    return desk


def with_data(data_mb, **wanted):
    return {"data_mb": data_mb, "data_region": 3, **wanted}


# --- split ---


def test_a_split_takes_the_cheapest_hours(desk):
    desk.asks(1, [5, 1, 9, 1, 2], 10)
    route = desk.find(**SPLIT, periods=3)
    assert (route.periods, route.compute_micro, route.lot_periods) == ((2, 4, 5), 40, 30)


def test_the_hours_of_a_split_come_from_one_site(desk):
    desk.asks(1, [1, 0, 1], 10, site=11)
    desk.asks(1, [0, 1, 7], 10, site=12)
    assert desk.find(**SPLIT, periods=2).periods == (1, 3)
    assert desk.find(**SPLIT, periods=3) is None


@pytest.mark.parametrize("periods, min_run, taken", [
    (3, 1, (2, 4, 5)), (3, 2, (2, 3, 4)), (4, 2, (1, 2, 4, 5)), (4, 3, (2, 3, 4, 5)), (5, 2, (1, 2, 3, 4, 5)), (2, 2, (4, 5)),
])  # fmt: skip
def test_no_run_of_a_split_is_shorter_than_it_may_be(desk, periods, min_run, taken):
    desk.asks(1, [5, 1, 9, 1, 1], 10)
    assert desk.find(**SPLIT, periods=periods, min_run=min_run).periods == taken


def test_hours_apart_do_not_make_the_runs_that_a_split_asks_for(desk):
    desk.asks(1, [1, 0, 1, 1, 0, 1, 1, 1], 10)
    assert desk.find(**SPLIT, periods=4, min_run=2).periods == (3, 4, 6, 7)
    assert desk.find(**SPLIT, periods=6, min_run=3) is None
    assert desk.find(**SPLIT, periods=5, min_run=2).periods == (3, 4, 6, 7, 8)


def test_of_equally_cheap_hours_the_first_ones_in_order_are_taken(desk):
    desk.asks(1, [2, 1, 2, 2, 1, 2], 10)
    assert desk.find(**SPLIT, periods=3).periods == (1, 2, 5)
    assert desk.find(**SPLIT, periods=4).periods == (1, 2, 3, 5)
    assert desk.find(**SPLIT, periods=4, min_run=2).periods == (1, 2, 4, 5)


def test_of_two_equally_cheap_sites_the_one_that_starts_first_is_taken(desk):
    desk.asks(1, [0, 1, 1, 1], 10, site=11)
    desk.asks(1, [1, 0, 0, 1], 10, site=12)
    route = desk.find(**SPLIT, periods=2)
    assert (route.parts[0].account, route.periods) == (12, (1, 4))
    assert desk.find(**SPLIT, periods=3).parts[0].account == 11


def test_a_split_from_a_block_offer_keeps_its_least_hours_in_every_run(desk):
    desk.block(1, {1: (5, 10), 2: (1, 10), 3: (9, 10), 4: (1, 10), 5: (1, 10)}, least=(1, 2))
    assert desk.find(**SPLIT, periods=3).periods == (2, 3, 4)
    assert desk.find(**SPLIT, periods=4).periods == (1, 2, 4, 5)
    assert desk.find(**SPLIT, periods=4, min_run=3).periods == (2, 3, 4, 5)


def test_a_small_split_from_a_block_offer_takes_a_whole_residue_in_one_run_only(desk):
    """Three lots are fewer than the least five, but all that hours 1 and 2 have; 4 and 5 are no run with them."""
    desk.block(1, {1: (5, 3), 2: (5, 3), 4: (1, 3), 5: (1, 3)}, least=(5, 1))
    assert desk.find(**SPLIT, lots=3, periods=2).periods == (4, 5)
    assert desk.find(**SPLIT, lots=3, periods=3) is None
    assert desk.find(**SPLIT, lots=2, periods=2) is None


def test_a_short_split_takes_all_that_is_left_of_a_block_offer(desk):
    desk.block(1, {1: (5, 10), 2: (5, 10), 4: (1, 10), 5: (1, 10), 6: (1, 10)}, least=(1, 3))
    assert desk.find(**SPLIT, periods=2).periods == (1, 2)
    assert desk.find(**SPLIT, periods=3).periods == (4, 5, 6)
    assert desk.find(**SPLIT, periods=5) is None


def test_the_notice_of_a_block_offer_counts_from_the_first_hour_of_a_split(desk):
    desk.block(1, dict.fromkeys(range(1, 7), (5, 10)), notice_ns=2 * HOUR)
    assert desk.find(**SPLIT, periods=2).periods == (3, 4)
    assert desk.find(**SPLIT, periods=5) is None


def test_a_split_never_pays_more_than_its_limit(desk):
    desk.asks(1, [5, 1, 9, 1, 2], 10)
    assert desk.find(**SPLIT, periods=3, budget_micro=40).compute_micro == 40
    assert desk.find(**SPLIT, periods=3, budget_micro=39) is None
    assert desk.find(**SPLIT, periods=3, min_run=2, budget_micro=110).periods == (2, 3, 4)
    assert desk.find(**SPLIT, periods=3, min_run=2, budget_micro=109) is None


# --- spread ---


def test_a_spread_takes_what_the_cheaper_site_has_and_the_rest_from_another(desk):
    desk.ask(1, 1, 5, 6, site=11)
    desk.ask(1, 1, 7, 8, site=12)
    assert told(desk.find(**SPREAD)) == (1, 30 + 28, (11, 6), (12, 4))
    assert desk.find() is None


def test_one_site_is_enough_for_a_spread_where_it_is_cheaper(desk):
    desk.ask(1, 1, 5, 6, site=11)
    desk.ask(1, 1, 7, 8, site=12)
    desk.ask(1, 1, 4, 10, site=13)
    assert told(desk.find(**SPREAD)) == (1, 40, (13, 10))


def test_the_lots_of_each_site_are_the_same_in_every_hour(desk):
    """Site 11 has 8, then 5: it gives 5 in both."""
    desk.ask(1, 1, 5, 8, site=11)
    desk.ask(1, 2, 5, 5, site=11)
    desk.asks(1, [7, 7], 8, site=12)
    assert told(desk.find(**SPREAD, periods=2)) == (1, 50 + 70, (11, 5), (12, 5))
    assert desk.find(**SPREAD, periods=2, lots=14) is None


def test_lots_move_to_the_other_site_where_the_next_price_begins(desk):
    """3 at 5, then at 9; the other one 4 at 6, then at 8: 3 + 7 costs 15 + 24 + 24, 6 + 4 costs 15 + 27 + 24."""
    desk.ask(1, 1, 5, 3, site=11)
    desk.ask(1, 1, 9, 3, site=11)
    desk.ask(1, 1, 6, 4, site=12)
    desk.ask(1, 1, 8, 5, site=12)
    assert told(desk.find(**SPREAD)) == (1, 63, (11, 3), (12, 7))
    assert told(desk.find(**SPREAD, lots=13)) == (1, 15 + 9 + 24 + 40, (11, 4), (12, 9))


def test_of_equally_cheap_divisions_the_first_site_gives_least(desk):
    desk.ask(1, 1, 5, 8, site=11)
    desk.ask(1, 1, 5, 8, site=12)
    assert told(desk.find(**SPREAD)) == (1, 50, (11, 2), (12, 8))


def test_two_families_of_one_site_are_no_pair(desk):
    desk.family(2, latency_class=1)
    desk.ask(1, 1, 5, 6, site=11)
    desk.ask(2, 1, 5, 6, site=11)
    assert desk.find(**SPREAD) is None
    desk.ask(2, 1, 9, 6, site=12)
    assert told(desk.find(**SPREAD)) == (1, 30 + 36, (11, 6), (12, 4))


def test_two_chips_are_no_pair(desk):
    desk.family(2, chip=2)
    desk.ask(1, 1, 5, 6, site=11)
    desk.ask(2, 1, 5, 6, site=12)
    assert desk.find(**SPREAD, chips=((1, PPM), (2, PPM))) is None


@pytest.mark.parametrize("near, far_off", [(11, 12), (12, 11)])
def test_a_pair_has_the_round_trip_of_its_farther_site(desk, near, far_off):
    desk.family(2, latency_class=1)
    desk.reach(9, 1, 30)
    desk.reach(9, 1, 50, latency_class=1)
    desk.ask(1, 1, 5, 6, site=near)
    desk.ask(2, 1, 5, 6, site=far_off)
    route = desk.find(**SPREAD, access_region=9)
    assert (told(route), route.rtt_us) == ((1, 50, (11, 4), (12, 6)), 50)
    desk.ask(1, 1, 5, 6, site=13)  # with the near one: as cheap, and nearer
    route = desk.find(**SPREAD, access_region=9)
    assert (told(route), route.rtt_us) == ((1, 50, (near, 4), (13, 6)), 30)


def test_of_a_single_site_and_a_pair_at_one_cost_the_first_source_decides(desk):
    desk.ask(1, 1, 5, 10, site=11)
    desk.ask(1, 1, 5, 8, site=12)
    assert told(desk.find(**SPREAD)) == (1, 50, (11, 10))  # same first source: nothing comes before a second one
    desk.ask(1, 1, 5, 8, site=10)
    assert told(desk.find(**SPREAD)) == (1, 50, (10, 8), (11, 2))


def test_pairs_are_made_of_the_sixteen_cheapest_sources_only(desk):
    """Fifteen sites of one lot and two of nine: each pair with a large one would do, if it is among the sixteen."""
    for number in range(15):
        desk.ask(1, 1, 1 + number, 1, site=20 + number)
    desk.ask(1, 1, 50, 9, site=50)
    assert told(desk.find(**SPREAD)) == (1, 1 + 450, (20, 1), (50, 9))
    desk.ask(1, 1, 49, 1, site=51)
    assert desk.find(**SPREAD) is None
    desk.do(Op.CANCEL, account=20, order_id=1)
    assert told(desk.find(**SPREAD)) == (1, 2 + 450, (21, 1), (50, 9))


def test_the_sixteen_are_chosen_for_each_start_and_by_the_whole_run(desk):
    for number in range(16):
        desk.asks(1, [1, 90], 1, site=20 + number)
    desk.asks(1, [2, 2], 9, site=50)
    assert told(desk.find(**SPREAD, periods=2)) == (1, 9 * 4 + 91, (20, 1), (50, 9))
    assert desk.find(**SPREAD, end_period=2) is None


def test_a_single_site_need_not_be_among_the_sixteen(desk):
    for number in range(16):
        desk.ask(1, 1, 1, 1, site=20 + number)
    desk.ask(1, 1, 50, 10, site=50)
    assert told(desk.find(**SPREAD)) == (1, 500, (50, 10))


def test_a_block_offer_may_be_half_of_a_pair_if_its_least_lots_are_met(desk):
    desk.ask(1, 1, 5, 8, site=11)
    desk.block(1, {1: (6, 9)}, site=12, least=(4, 1))
    assert told(desk.find(**SPREAD)) == (1, 30 + 24, (11, 6), (12, 4))
    assert told(desk.find(**SPREAD, lots=15)) == (1, 40 + 42, (11, 8), (12, 7))
    assert desk.find(**SPREAD, lots=18) is None
    assert desk.find(**SPREAD, lots=10).parts[1].block_id == 2


def test_a_spread_keeps_the_minimum_of_an_ask(desk):
    """Site 12 sells six or more: site 11 gives what leaves it so many."""
    desk.ask(1, 1, 5, 8, site=11)
    desk.ask(1, 1, 6, 6, site=12, flags=OrderFlag.MIN_QTY, aux=6)
    assert told(desk.find(**SPREAD)) == (1, 20 + 36, (11, 4), (12, 6))


def test_both_halves_of_a_task_without_checkpoints_are_indivisible(desk):
    desk.ask(1, 1, 5, 6, site=11, flags=OrderFlag.INDIVISIBLE)
    desk.ask(1, 1, 5, 6, site=12)
    assert desk.find(**SPREAD, flags=TaskFlag.INDIVISIBLE) is None
    desk.ask(1, 1, 9, 6, site=13, flags=OrderFlag.INDIVISIBLE)
    assert told(desk.find(**SPREAD, flags=TaskFlag.INDIVISIBLE)) == (1, 30 + 36, (11, 6), (13, 4))


def test_data_move_once_for_each_region_of_a_pair(far):
    far.link(3, 1, price=10)
    far.link(3, 2, price=20)
    far.ask(1, 1, 5, 6, site=11)
    far.ask(2, 1, 5, 6, site=12)
    route = far.find(**SPREAD, **with_data(1000))
    assert (route.compute_micro, route.moving_micro) == (50, 30)
    far.ask(1, 1, 7, 6, site=13)
    route = far.find(**SPREAD, **with_data(1000))
    assert (told(route), route.moving_micro) == ((1, 30 + 28 + 10, (11, 6), (13, 4)), 10)


def test_a_pair_starts_when_the_data_are_in_both_regions(far):
    far.link(3, 1)
    far.link(3, 2, capacity_mb=100)
    far.asks(1, [5, 5, 5, 5], 6, site=11)
    far.asks(2, [5, 5, 5, 5], 6, site=12)
    assert told(far.find(**SPREAD, **with_data(100)))[0] == 1
    assert told(far.find(**SPREAD, **with_data(201)))[0] == 3


def test_neither_late_data_nor_notice_bring_a_source_into_the_sixteen(far):
    """Sixteen cheap sources that cannot be used in time keep their places; so time alone makes no pair possible."""
    for number in range(8):
        far.ask(2, 1, 1, 9, site=20 + number)
        far.block(1, {1: (1, 9)}, site=30 + number, notice_ns=9 * HOUR)
    far.link(3, 2, capacity_mb=1)
    far.link(3, 1)
    far.ask(1, 1, 5, 6, site=50)
    far.ask(1, 1, 5, 6, site=51)
    assert far.find(**SPREAD, **with_data(50)) is None
    far.do(Op.CANCEL, account=20, order_id=1)
    far.do(Op.CANCEL, account=21, order_id=3)
    assert told(far.find(**SPREAD, **with_data(50))) == (1, 50, (50, 4), (51, 6))


# --- bulk ---


def bought(route):
    """(period, site, lots) of every leg in order."""
    return [(period, part.account, part.lots) for period, part in zip(route.periods, route.parts, strict=True)]


def test_a_bulk_task_takes_the_cheapest_asks_of_all_sites_and_hours_first(far):
    far.ask(1, 2, 7, 4, site=11)
    far.ask(1, 1, 5, 3, site=12)
    far.ask(2, 3, 6, 2, site=13)
    far.ask(2, 1, 9, 9, site=11)
    route = far.find(**BULK)
    assert bought(route) == [(1, 12, 3), (3, 13, 2), (2, 11, 4), (1, 11, 1)]
    assert (route.first_period, route.compute_micro, route.lot_periods) == (1, 15 + 12 + 28 + 9, 10)


def test_a_bulk_task_wants_its_lots_times_its_hours(desk):
    desk.asks(1, [5, 6], 20)
    assert bought(desk.find(**BULK, lots=5, periods=6)) == [(1, 11, 20), (2, 11, 10)]


@pytest.mark.parametrize("tie", range(7))
def test_of_equally_dear_asks_the_order_is_that_of_rt2(engine_class, tie):
    """Price, place of the chip, round trip, hour, region, site, id: equal before the tie, the other way round behind it."""
    desk = Desk(that_knows_tasks(engine_class))
    one, other = ([1] * tie + [better] + [3 - better] * (6 - tie) for better in (1, 2))
    for family, wins in ((1, one), (2, other)):
        _, chip, rtt_us, _, region, _, _ = wins
        desk.family(family, chip, region, latency_class=family)
        desk.reach(9, region, rtt_us, latency_class=family)
    for family, (price, _, _, period, _, site, order) in ((1, one), (2, other)):
        desk.ask(family, period, price, 1, site=10 + site, order_id=100 + order)
    route = desk.find(**BULK, lots=2, access_region=9, chips=((1, PPM), (2, PPM)))
    assert [part.family for part in route.parts] == [1, 2]


def test_asks_of_one_site_hour_and_price_go_by_their_ids(desk):
    desk.ask(1, 1, 5, 4, order_id=20)
    desk.ask(1, 1, 5, 4, order_id=10)
    assert [part.ask_id for part in desk.find(**BULK, lots=6).parts] == [10, 20]


def test_what_a_bulk_task_has_bought_costs_at_most_its_share_of_the_limit(desk):
    """100 for ten: 4 at 8 leave 8 of the share, which pay 2 more for each of four at 12; nothing is left for those at 20."""
    for price in (8, 12, 20):
        desk.ask(1, 1, price, 4)
    route = desk.find(**BULK, budget_micro=100)
    assert (bought(route), route.compute_micro) == ([(1, 11, 4), (1, 11, 4)], 80)
    route = desk.find(**BULK, budget_micro=99)  # 39.6 for four: 76 / 21 lots more at 12
    assert (bought(route), route.compute_micro) == ([(1, 11, 4), (1, 11, 3)], 68)
    assert desk.find(**BULK, budget_micro=79) is None


def test_moving_the_data_must_pay_off_within_what_is_bought(far):
    """20 for the data: two at 5 make 30 of a share of 20; with five at 8 it is 70 of 70."""
    far.link(3, 1, price=20)
    far.ask(1, 1, 5, 2)
    assert far.find(**BULK, **with_data(1000, budget_micro=100)) is None
    far.ask(1, 1, 8, 4)
    assert far.find(**BULK, **with_data(1000, budget_micro=100)) is None
    far.ask(1, 2, 8, 1)
    route = far.find(**BULK, **with_data(1000, budget_micro=100))
    assert (route.lot_periods, route.compute_micro, route.moving_micro) == (7, 50, 20)


def test_lots_that_lead_out_of_the_share_again_are_left(far):
    """The data cost 4, five at 3 make it 19 of 20: less than a lot at 6 fits in. With 45, 3.5 more pay for two of them."""
    far.link(3, 1, price=4)
    far.ask(1, 1, 3, 5)
    far.ask(1, 1, 6, 5)
    route = far.find(**BULK, **with_data(1000, budget_micro=40))  # 4 each
    assert (route.lot_periods, route.compute_micro) == (5, 15)
    route = far.find(**BULK, **with_data(1000, budget_micro=45))
    assert (route.lot_periods, route.compute_micro) == (7, 27)  # 31 of 31.5


def test_a_first_fill_is_not_below_the_least_one(desk):
    desk.ask(1, 1, 5, 6)
    assert desk.find(**BULK, min_fill=7) is None
    assert bought(desk.find(**BULK, min_fill=6)) == [(1, 11, 6)]


def test_later_fills_may_be_smaller_than_the_least_first_one(desk):
    desk.ask(1, 1, 5, 6)
    events = desk.buy(**BULK, order_id=900, min_fill=6)
    assert [(e.qty, e.leaves) for e in events if e.kind == Kind.TASK_FILLED] == [(6, 4)]
    desk.ask(1, 2, 5, 1)
    events = desk.do(Op.DRAIN)
    assert [(e.qty, e.leaves) for e in events if e.kind == Kind.TASK_FILLED] == [(1, 3)]
    assert desk.engine.task(900).filled == 7


def test_a_bulk_task_buys_no_more_on_grid_power_than_it_may(desk):
    desk.family(2, power=Power.GREEN)
    desk.ask(1, 1, 5, 8, site=11)
    desk.ask(1, 1, 6, 8, site=12)
    desk.ask(2, 1, 9, 5, site=13)
    assert bought(desk.find(**BULK, max_grid=9)) == [(1, 11, 8), (1, 12, 1), (1, 13, 1)]
    assert bought(desk.find(**BULK, max_grid=3)) == [(1, 11, 3), (1, 13, 5)]
    assert bought(desk.find(**BULK)) == [(1, 11, 8), (1, 12, 2)]
    assert bought(desk.find(**BULK, flags=TaskFlag.GREEN)) == [(1, 13, 5)]


def test_grid_power_is_counted_over_all_fills(desk):
    desk.family(2, power=Power.GREEN)
    desk.ask(1, 1, 5, 2, site=11)
    desk.buy(**BULK, order_id=900, max_grid=3)
    desk.ask(1, 2, 5, 4, site=11)
    desk.ask(2, 2, 9, 2, site=13)
    trades = [(e.qty, e.price) for e in desk.do(Op.DRAIN) if e.kind == Kind.TRADE]
    assert trades == [(1, 5), (2, 9)]


def test_a_bulk_task_passes_over_asks_with_a_minimum(desk):
    desk.ask(1, 1, 5, 20, site=11, flags=OrderFlag.MIN_QTY, aux=11)
    desk.ask(1, 1, 6, 4, site=12, flags=OrderFlag.MIN_QTY, aux=4)
    desk.ask(1, 1, 7, 10, site=13)
    assert bought(desk.find(**BULK)) == [(1, 13, 10)]


def test_block_offers_are_not_for_bulk_tasks(desk):
    desk.block(1, {1: (5, 10)})
    assert desk.find(**BULK) is None


def test_every_plan_with_data_goes_to_one_region_and_the_next_one_follows(far):
    far.link(3, 1, price=1)
    far.link(3, 2, price=2)
    far.ask(1, 1, 5, 4)
    far.ask(2, 1, 5, 5)
    route = far.find(**BULK, **with_data(1000))
    assert (route.parts[0].family, route.lot_periods, route.moving_micro) == (2, 5, 2)
    events = far.buy(**BULK, **with_data(1000))
    told_moves = [(e.book, e.qty) for e in events if e.kind == Kind.DATA_MOVED]
    fills = [(e.book >> 20, e.qty, e.leaves) for e in events if e.kind == Kind.TASK_FILLED]
    assert (told_moves, fills) == ([(2, 2), (1, 1)], [(2, 5, 5), (1, 4, 1)])


def test_of_regions_that_give_as_much_the_cheaper_one_is_taken_then_the_first(far):
    far.link(3, 1, price=7)
    far.link(3, 2, price=2)
    far.ask(1, 1, 5, 4)
    far.ask(2, 1, 6, 4)
    assert far.find(**BULK, **with_data(1000)).parts[0].family == 2  # 24 + 2 against 20 + 7
    far.link(3, 1, price=6)
    assert far.find(**BULK, **with_data(1000)).parts[0].family == 1


def test_data_that_are_there_are_not_moved_again(far):
    far.link(3, 1, price=50)
    far.ask(1, 1, 5, 4)
    far.buy(**BULK, **with_data(1000), order_id=900)
    far.ask(1, 2, 5, 2)
    events = far.do(Op.DRAIN)
    assert [e.qty for e in events if e.kind == Kind.TASK_FILLED] == [2]
    assert not [e for e in events if e.kind == Kind.DATA_MOVED]
    assert far.engine.task(900).spent_micro == 50 + 30


def test_data_on_their_way_are_not_there_before_they_arrive(far):
    """201 MB at 100 an hour are there from hour 3 on; an ask in hour 2 that comes a moment later is too early."""
    far.link(3, 1, capacity_mb=100)
    far.ask(1, 3, 5, 4)
    far.buy(**BULK, **with_data(201), order_id=900)
    assert far.engine.task(900).filled == 4
    far.ask(1, 2, 5, 2)
    far.do(Op.DRAIN)
    assert far.engine.task(900).filled == 4
    restored = type(far.engine).restore(far.engine.snapshot())
    assert restored.state_hash() == far.engine.state_hash()
    far.engine = restored
    far.ask(1, 4, 5, 2)
    far.do(Op.DRAIN)
    assert far.engine.task(900).filled == 6


def test_a_bulk_task_takes_its_data_to_eight_regions_at_most(desk):
    for region in range(1, 10):
        if region > 1:
            desk.family(region, region=region)
        desk.link(20, region)
    wanted = {"data_mb": 1, "data_region": 20, "lots": 100}
    desk.ask(1, 1, 5, 1)
    desk.buy(**BULK, **wanted, order_id=900)
    for region in range(2, 10):
        desk.ask(region, 1, 5, 1)
        desk.do(Op.DRAIN)
        assert desk.engine.task(900).filled == min(region, 8)
    desk.ask(1, 2, 5, 1)
    desk.do(Op.DRAIN)
    assert desk.engine.task(900).filled == 9


def test_the_largest_bulk_task_is_reckoned_exactly(desk):
    """10^15 lot-periods for 10^18: a price of 1,000 is just its share, 1,001 is not, and 999 pays for some of those."""
    whole = {"lots": 10**12, "periods": 1000, "budget_micro": MAX_MONEY_MICRO // 4, "tif": TimeInForce.IOC}
    desk.ask(1, 1, 1001, 10**12)
    assert desk.find(**BULK, **whole) is None
    desk.ask(1, 2, 1000, 10**12)
    assert bought(desk.find(**BULK, **whole)) == [(2, 11, 10**12)]
    desk.ask(1, 3, 999, 7)
    assert bought(desk.find(**BULK, **whole)) == [(3, 11, 7), (2, 11, 10**12), (1, 11, 7)]
