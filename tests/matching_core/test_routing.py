"""Where a block runs: RT2 and its ties, the hard filters, which asks count, block offers.

Every example is small enough to be worked out by hand. `Desk.find` also sends the TASK and looks that it takes just that
route.
"""

import pytest
from route_desk import HOUR, MINUTE, PPM, Desk, that_knows_tasks, told

from matching_core.enums import Kind, Op, OrderFlag, Phase, Power, Shape, TaskFlag
from matching_core.limits import MAX_MONEY_MICRO

TWO_CHIPS = ((1, PPM), (2, PPM))


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


# --- a block ---


def test_a_block_starts_where_its_hours_together_are_cheapest(desk):
    desk.asks(1, [9, 3, 8, 4, 4, 9], 10)
    assert told(desk.find(periods=2)) == (4, 80, (11, 10))
    assert told(desk.find(periods=3)) == (2, 150, (11, 10))


def test_of_equally_cheap_starts_the_first_is_taken(desk):
    desk.asks(1, [5, 4, 4, 4, 4], 10)
    assert told(desk.find(periods=2)) == (2, 80, (11, 10))


def test_a_block_keeps_between_its_first_hour_and_its_deadline(desk):
    desk.asks(1, [1, 2, 3, 4, 5, 1], 10)
    assert told(desk.find(periods=2, first_period=2, end_period=6)) == (2, 50, (11, 10))
    assert told(desk.find(periods=2, first_period=2, end_period=4)) == (2, 50, (11, 10))
    assert told(desk.find(periods=2, first_period=3, end_period=5)) == (3, 70, (11, 10))


def test_an_hour_without_enough_lots_breaks_a_block(desk):
    desk.asks(1, [3, 3, 0, 3], 10)
    desk.ask(1, 3, 3, 9)
    assert desk.find(periods=3) is None
    assert told(desk.find(periods=4, lots=9)) == (1, 108, (11, 9))


def test_the_running_hour_cannot_be_bought_and_the_gate_closes_an_hour_before_it_starts(tasks_class):
    desk = Desk(tasks_class, gate_ns=5 * MINUTE)
    desk.family(1)
    desk.asks(1, [1, 2, 3], 10, first=0)
    assert told(desk.find()) == (1, 20, (11, 10))
    desk.clock(55 * MINUTE - 1)
    assert told(desk.find()) == (1, 20, (11, 10))
    desk.clock(55 * MINUTE)
    assert told(desk.find()) == (2, 30, (11, 10))


def test_a_site_sells_its_best_asks_first_and_the_first_come_of_one_price(desk):
    for price, lots in ((7, 4), (5, 3), (7, 9), (6, 2)):
        desk.ask(1, 1, price, lots)
    assert told(desk.find()) == (1, 15 + 12 + 28 + 7, (11, 10))
    trades = [(e.contra_id, e.price, e.qty) for e in desk.buy() if e.kind == Kind.TRADE]
    assert trades == [(2, 5, 3), (4, 6, 2), (1, 7, 4), (3, 7, 1)]


def test_two_sites_do_not_make_one_block(desk):
    desk.ask(1, 1, 5, 6, site=11)
    desk.ask(1, 1, 5, 6, site=12)
    assert desk.find() is None
    desk.ask(1, 1, 90, 4, site=12)
    assert told(desk.find()) == (1, 30 + 360, (12, 10))


def test_one_site_in_two_families_does_not_make_one_block(desk):
    desk.family(2, latency_class=1)
    desk.ask(1, 1, 5, 6)
    desk.ask(2, 1, 5, 6)
    assert desk.find() is None


def test_a_task_never_pays_more_than_its_limit(desk):
    desk.asks(1, [5, 4], 10)
    assert told(desk.find(budget_micro=40)) == (2, 40, (11, 10))
    assert desk.find(budget_micro=39) is None
    assert told(desk.find(39, budget_micro=1000)) is None
    assert told(desk.find(40, budget_micro=39)) == (2, 40, (11, 10))


# --- RT2, one tie after the other ---

TIES = ("cost", "place of the chip", "round trip", "start", "region", "site", "order id")


@pytest.mark.parametrize("tie", range(len(TIES)), ids=[tie.replace(" ", "_") for tie in TIES])
def test_the_better_candidate_is_the_first_that_differs_in_the_order_of_rt2(tasks_class, tie):
    """Equal before the tie, worse in everything behind it: the first one still wins."""
    desk = Desk(tasks_class)
    one, other = ([1] * tie + [better] + [3 - better] * (len(TIES) - tie - 1) for better in (1, 2))
    for family, wins in ((1, one), (2, other)):
        _, chip, rtt_us, _, region, _, _ = wins
        desk.family(family, chip, region, latency_class=family)
        desk.reach(9, region, rtt_us, latency_class=family)
    for family, (price, _, _, period, _, site, order) in ((1, one), (2, other)):
        desk.ask(family, period, price, 10, site=10 + site, order_id=100 + order)
    route = desk.find(access_region=9, chips=TWO_CHIPS)
    assert route.parts[0].family == 1
    price, chip, rtt_us, period, region, site, _ = one
    assert (route.compute_micro, route.chip_place, route.rtt_us, route.first_period) == (10 * price, chip - 1, rtt_us, period)
    assert route.parts[0].account == 10 + site


def test_the_order_of_the_chips_is_the_tasks_and_not_that_of_their_numbers(desk):
    desk.family(2, chip=2)
    desk.asks(1, [5], 10)
    desk.asks(2, [5], 10)
    assert desk.find(chips=((2, PPM), (1, PPM))).parts[0].family == 2
    assert desk.find(chips=((1, PPM), (2, PPM))).parts[0].family == 1


def test_of_a_block_offer_and_plain_asks_at_one_cost_the_earlier_is_taken(desk):
    desk.ask(1, 1, 5, 10)
    desk.block(1, {1: (5, 10), 2: (5, 10)})
    desk.ask(1, 2, 5, 10)
    assert desk.find().parts[0].block_id == 0
    assert desk.find(first_period=2).parts[0].block_id == 2


def test_an_ask_that_is_passed_over_gives_no_id(desk):
    """The first ask of family 2 has the least id, but asks for a reference price that is out of the band."""
    desk.family(2, latency_class=1)
    desk.ask(2, 1, 4, 10)
    desk.ask(1, 1, 5, 10)
    desk.ask(2, 1, 5, 10)
    desk.do(Op.SET_BANDS, book=2 << 20 | 1, price=100_000)
    desk.do(Op.SET_REFERENCE, book=2 << 20 | 1, price=5)
    assert desk.find().parts[0].family == 1


# --- K1 and CA4 ---


@pytest.mark.parametrize("wanted, family", [
    ({"chips": ((2, PPM),)}, {"chip": 2}),
    ({"regions": (2, 4)}, {"region": 4}),
    ({"max_class": 2}, {"latency_class": 2}),
    ({"flags": TaskFlag.GREEN}, {"power": Power.GREEN}),
    ({"access_region": 9}, {"latency_class": 1}),
    ({"access_region": 9, "max_rtt_us": 4}, {"latency_class": 1}),
], ids=["chip", "region", "class", "green", "reach", "latency"])  # fmt: skip
def test_a_hard_filter_leaves_out_what_does_not_fit(tasks_class, wanted, family):
    desk = Desk(tasks_class)
    desk.family(1, **{"chip": 1, "region": 1, "latency_class": 3, "power": Power.GRID})
    desk.asks(1, [5], 10)
    desk.reach(9, 1, 5 if "max_rtt_us" in wanted else 0, latency_class=3)
    assert desk.find(**wanted) is None
    desk.reach(9, 1, 4, latency_class=1)
    desk.family(2, **{"chip": 1, "region": 1, "latency_class": 3, "power": Power.GRID} | family)
    desk.asks(2, [50], 10)
    assert told(desk.find(**wanted)) == (1, 500, (11, 10))


def test_green_serves_grid_and_a_faster_class_a_slower_need(tasks_class):
    desk = Desk(tasks_class)
    desk.family(1, latency_class=0, power=Power.GREEN)
    desk.asks(1, [5], 10)
    assert told(desk.find(max_class=3)) == (1, 50, (11, 10))


def test_the_lots_on_a_chip_are_rounded_up(tasks_class):
    desk = Desk(tasks_class)
    desk.family(1, chip=1)
    desk.family(2, chip=2)
    desk.asks(1, [10], 100)
    desk.asks(2, [27], 4)
    chips = ((1, PPM), (2, 2_600_000))  # 10 lots are 3.85 of the faster ones
    route = desk.find(chips=chips)
    assert (told(route), route.chip_place, route.lot_periods) == ((1, 100, (11, 10)), 0, 10)
    desk.asks(2, [24], 4)
    route = desk.find(chips=chips)
    assert (told(route), route.chip_place, route.lot_periods) == ((1, 96, (11, 4)), 1, 4)


# --- RT6, MQ2, BB1: which asks count ---


def test_nobody_buys_from_his_own_firm_or_from_himself(tasks_class):
    desk = Desk(tasks_class, buyer_firm=5)
    desk.family(1)
    desk.site(12, firm=5)
    desk.site(13, firm=6)
    desk.ask(1, 1, 5, 10, site=12)
    desk.block(1, {1: (5, 10)}, site=12)
    assert desk.find() is None
    desk.ask(1, 1, 50, 10, site=13)
    assert told(desk.find()) == (1, 500, (13, 10))


def test_accounts_without_a_firm_trade_with_each_other_but_not_with_themselves(tasks_class):
    desk = Desk(tasks_class, buyer_firm=0)
    desk.family(1)
    desk.ask(1, 1, 5, 10, site=1)
    assert desk.find() is None
    desk.ask(1, 1, 50, 10, site=12)
    assert told(desk.find()) == (1, 500, (12, 10))


@pytest.mark.parametrize("phase", [Phase.AUCTION, Phase.HALTED, Phase.CANCEL_ONLY, Phase.CLOSED])
def test_only_open_books_sell(desk, phase):
    desk.asks(1, [5, 6, 5], 10)
    desk.block(1, {1: (1, 10)}, site=12)
    desk.do(Op.SET_PHASE, book=1 << 20 | 1, aux=phase)
    assert told(desk.find()) == (3, 50, (11, 10))
    assert told(desk.find(periods=2)) == (2, 110, (11, 10))


@pytest.mark.parametrize("kind", ["static", "dynamic by reference", "dynamic by last trade"])
def test_asks_on_the_edge_of_a_band_count_and_those_behind_it_do_not(desk, kind):
    """100 +- 10 %: 89 and 111 are passed over."""
    book = desk.book(1, 1)
    desk.site(BIDDER := 99)
    desk.do(Op.TRANSFER, account=0, book=BIDDER, qty=10**6)
    desk.do(Op.SET_REFERENCE, book=book, price=100 if kind != "dynamic by last trade" else 70)
    desk.ask(1, 1, 100, 1, site=12)
    if kind == "dynamic by last trade":
        desk.do(Op.NEW, side=0, book=book, account=BIDDER, order_id=10**6, price=100, qty=1)
    for price in (89, 90, 110, 111):
        desk.ask(1, 1, price, 5)
    assert told(desk.find()) == (1, 5 * 89 + 5 * 90, (11, 10))
    desk.do(Op.SET_BANDS, book=book, **{"price" if kind == "static" else "qty": 100_000})
    assert told(desk.find()) == (1, 5 * 90 + 5 * 110, (11, 10))
    assert desk.find(lots=11) is None


def test_hidden_lots_count(desk):
    desk.ask(1, 1, 5, 10, flags=OrderFlag.ICEBERG, aux=1)
    assert told(desk.find()) == (1, 50, (11, 10))


def test_an_ask_is_passed_over_where_less_than_its_minimum_is_bought(desk):
    desk.ask(1, 1, 8, 4)
    desk.ask(1, 1, 9, 4, flags=OrderFlag.MIN_QTY, aux=3)
    desk.ask(1, 1, 20, 4)
    assert told(desk.find(lots=6)) == (1, 32 + 40, (11, 6))
    assert told(desk.find(lots=7)) == (1, 32 + 27, (11, 7))
    assert told(desk.find(lots=9)) == (1, 32 + 36 + 20, (11, 9))


def test_a_task_without_checkpoints_buys_only_what_is_marked_indivisible(desk):
    desk.ask(1, 1, 5, 10)
    desk.block(1, {1: (5, 10)}, site=13)
    assert desk.find(flags=TaskFlag.INDIVISIBLE) is None
    desk.block(1, {1: (7, 10)}, site=13, flags=OrderFlag.INDIVISIBLE)
    assert told(desk.find(flags=TaskFlag.INDIVISIBLE)) == (1, 70, (13, 10))
    desk.ask(1, 1, 6, 10, flags=OrderFlag.INDIVISIBLE)
    assert told(desk.find(flags=TaskFlag.INDIVISIBLE)) == (1, 60, (11, 10))
    assert told(desk.find()) == (1, 50, (11, 10))


# --- MB2, MB3: block offers ---


def test_a_block_offer_sells_at_the_price_of_each_hour(desk):
    desk.block(1, {1: (9, 10), 2: (4, 10), 3: (5, 10)})
    assert told(desk.find(periods=2)) == (2, 90, (11, 10))
    assert told(desk.find(periods=3)) == (1, 180, (11, 10))


def test_of_equally_cheap_starts_in_a_block_offer_the_first_is_taken(desk):
    desk.block(1, {1: (9, 10), 2: (4, 10), 3: (4, 10), 4: (4, 10)})
    assert told(desk.find(periods=2)) == (2, 80, (11, 10))


def test_a_block_offer_and_plain_asks_of_one_site_are_not_mixed(desk):
    desk.ask(1, 1, 5, 10)
    desk.block(1, {2: (5, 10), 3: (5, 10)})
    assert told(desk.find(periods=2)) == (2, 100, (11, 10))
    assert desk.find(periods=3) is None


def test_a_fill_takes_the_least_lots_of_a_block_offer_or_its_whole_residue(desk):
    desk.block(1, {1: (5, 10), 2: (5, 3)}, least=(5, 1))
    assert desk.find(lots=4, end_period=2) is None
    assert told(desk.find(lots=5, end_period=2)) == (1, 25, (11, 5))
    assert desk.find(lots=2, first_period=2) is None
    assert told(desk.find(lots=3, first_period=2)) == (2, 15, (11, 3))
    assert told(desk.find(lots=3, periods=2)) == (1, 30, (11, 3))
    assert desk.find(lots=4, periods=2) is None


def test_a_fill_takes_the_least_hours_of_a_block_offer_or_all_that_are_left_there(desk):
    desk.block(1, {1: (5, 10), 2: (5, 10), 4: (5, 10), 5: (5, 10), 6: (5, 10)}, least=(1, 3))
    assert told(desk.find(periods=2)) == (1, 100, (11, 10))
    assert desk.find(periods=2, first_period=4) is None
    assert told(desk.find(periods=3)) == (4, 150, (11, 10))
    assert desk.find(periods=1) is None


def test_hours_that_are_still_to_come_are_left_over_too(desk):
    offer = desk.block(1, {1: (5, 10), 2: (5, 10)}, least=(1, 3), end=4)
    assert desk.find(periods=2) is None
    desk.do(Op.BLOCK_SET, account=11, order_id=offer, book=desk.book(1, 3), price=5, qty=0)
    assert told(desk.find(periods=2)) == (1, 100, (11, 10))


def test_a_block_offer_wants_its_notice(desk):
    desk.block(1, {period: (5 - period, 10) for period in range(1, 5)}, notice_ns=2 * HOUR)
    assert told(desk.find(end_period=4)) == (3, 20, (11, 10))
    assert desk.find(end_period=3) is None
    assert told(desk.find(periods=2)) == (3, 30, (11, 10))
    desk.clock(1)
    assert told(desk.find()) == (4, 10, (11, 10))


def test_bands_do_not_touch_block_offers(desk):
    desk.block(1, {1: (500, 10)})
    desk.do(Op.SET_BANDS, book=1 << 20 | 1, price=100_000, qty=100_000)
    desk.do(Op.SET_REFERENCE, book=1 << 20 | 1, price=5)
    assert told(desk.find()) == (1, 5000, (11, 10))


# --- what does not fit the money type ---

HUGE = {"budget_micro": MAX_MONEY_MICRO // 4}
VALUE = 10**6  # micro-yuan per tick and lot
ALL_MONEY = MAX_MONEY_MICRO // VALUE // 10  # ticks at which ten lots cost the largest sum of money


def dear_books(desk, family, count):
    for period in range(1, count + 1):
        desk.book(family, period, value=VALUE)


def test_costs_up_to_the_largest_sum_of_money_are_found_and_none_above(desk):
    dear_books(desk, 1, 3)
    desk.asks(1, [ALL_MONEY // 2, ALL_MONEY // 2, ALL_MONEY // 2 + 1], 10)
    assert desk.find(MAX_MONEY_MICRO, **HUGE, periods=2).compute_micro == MAX_MONEY_MICRO
    assert desk.find(MAX_MONEY_MICRO - 1, **HUGE, periods=2) is None
    assert desk.find(MAX_MONEY_MICRO, **HUGE, periods=2, first_period=2) is None
    assert desk.find(MAX_MONEY_MICRO, **HUGE, periods=3) is None


@pytest.mark.parametrize("shape", [Shape.BLOCK, Shape.SPLIT, Shape.SPREAD])
def test_hours_that_no_money_can_buy_do_not_spoil_the_sum_of_the_next_ones(desk, shape):
    """Six hours at the largest sum would run over 64 bits; the cheap ones behind them are found all the same."""
    dear_books(desk, 1, 6)
    desk.asks(1, [ALL_MONEY] * 6 + [2, 2, 2, 1], 10)
    assert told(desk.find(shape=shape, periods=3)) == (8 if shape != Shape.SPLIT else 7, 50, (11, 10))
    assert desk.find(shape=shape, periods=5) is None
    assert desk.find(MAX_MONEY_MICRO, **HUGE, shape=shape, periods=6) is None


def test_a_try_sees_1024_hours(desk):
    desk.ask(1, 1023, 5, 10)
    desk.ask(1, 1024, 1, 10)
    assert told(desk.find(end_period=5000)) == (1023, 50, (11, 10))
    desk.clock(HOUR)
    assert told(desk.find(end_period=5000)) == (1024, 10, (11, 10))
    assert told(desk.find(periods=2, end_period=5000)) is not None


