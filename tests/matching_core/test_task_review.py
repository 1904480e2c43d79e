"""What a review found: rings of different length, a snapshot that owes more than 64 bits hold, sums of all money."""

import random

import pytest
from task_market import Terms
from task_words import pack

from matching_core import image
from matching_core.enums import Kind, Op, OrderFlag, Shape, TimeInForce
from matching_core.limits import MAX_MONEY_MICRO, PPM

HOUR = 3_600 * 10**9
BUYER, FAR, SITE = 1, 2, 3
PLAIN = Terms(order_id=1, account=BUYER, lane=0, shape=0, tif=0, max_class=4, flags=0, access_region=0, budget_micro=100,
              lots=1, periods=1, valid_until_ns=0, client_ref=0, data_region=0, max_rtt_us=0, min_run=0, first_period=0,
              end_period=2, data_mb=0, min_fill=0, max_grid=0, chips=((1, PPM),))  # fmt: skip


class Desk:
    """One engine with a family and some accounts; hours begin at 0 and have no gate."""

    def __init__(self, engine_class):
        if engine_class.RULES_VERSION < 3:
            pytest.skip("needs an engine with rules version 3")
        self.engine = engine_class(check_funds=True)
        self.next_id = 1
        for account in range(1, 7):
            self.do(Op.OPEN_ACCOUNT, account=account)
            self.do(Op.TRANSFER, book=account, qty=10**12)
        self.do(Op.SET_GRID, aux=HOUR, qty=1_000, client_ref=1_000)
        self.do(Op.LIST_FAMILY, book=1, account=1, aux=1)

    def do(self, op, **fields):
        """Kinds of the events of one command."""
        return [Kind(event.kind) for event in self.engine.submit(op, **fields)]

    def sell(self, account, period, price, lots, **fields):
        """A new ask; its id."""
        self.next_id += 1
        self.do(Op.NEW, side=1, account=account, order_id=self.next_id, book=1 << 20 | period, price=price, qty=lots, **fields)
        return self.next_id

    def task(self, **fields):
        """The events of a new task."""
        self.next_id += 1
        records = pack(Op.TASK, PLAIN._replace(order_id=self.next_id, **fields))
        return [Kind(event.kind) for event in self.engine.process(records, 10**6 + 100 * self.next_id)]


def test_an_ask_is_seen_that_came_after_time_had_moved_and_before_any_search(engine_class):
    """One site asks far ahead, so the family looks further than the other site does."""
    desk = Desk(engine_class)
    desk.sell(FAR, 700, price=10, lots=1)
    desk.sell(SITE, 50, price=9, lots=1)
    assert Kind.TASK_FILLED not in desk.task(tif=TimeInForce.IOC, first_period=40, end_period=60, budget_micro=1)
    desk.do(Op.ADVANCE_TIME, aux=100 * HOUR + 1)
    desk.sell(SITE, 300, price=9, lots=1)  # 200 hours ahead, but 300 from where the last search stood
    assert Kind.TASK_FILLED in desk.task(first_period=290, end_period=310)


@pytest.mark.parametrize("shape", [Shape.SPREAD, Shape.BULK])
def test_the_first_ask_of_a_family_is_seen_that_came_long_after_it_was_listed(engine_class, shape):
    """Nothing was to be had when the chip was asked for, and that is not remembered for longer than it holds."""
    desk = Desk(engine_class)
    desk.do(Op.ADVANCE_TIME, aux=1_000 * HOUR)
    question = pack(Op.TASK, PLAIN._replace(shape=shape, lots=4, first_period=1_005, end_period=1_020))
    assert desk.engine.find_task(question) is None
    desk.sell(FAR, 1_011, price=9, lots=2)
    desk.sell(SITE, 1_011, price=10, lots=2)
    route = desk.engine.find_task(question)
    assert route is not None
    assert (route.lot_periods, route.compute_micro) == (4, 38)


@pytest.mark.parametrize("seed", range(40))
def test_questions_are_answered_alike_however_far_ahead_sites_ask_and_time_moves(reference_class, compiled_class, seed):
    """Asks around the lengths of rings, leaps of the clock, few searches."""
    chance = random.Random(seed)
    desks = [Desk(each) for each in (reference_class, compiled_class)]
    now, hot, asks = 0, 10, []
    for _ in range(200):
        turn = chance.random()
        if turn < 0.12:
            now += chance.choice((1, 60, 100, 200, 255, 256, 257, 512, 1024))
            hot = now + chance.choice((chance.randrange(256), chance.randrange(256), chance.randrange(1024), 255, 511, 1022))
            both(desks, lambda desk, to=now * HOUR: desk.do(Op.ADVANCE_TIME, aux=to))
        elif turn < 0.8:
            ask = (chance.choice((2, 3, 4, 5)), hot + chance.randrange(4), chance.choice((7, 8, 9)), chance.choice((1, 3, 9)))
            asks.append((both(desks, lambda desk, ask=ask: desk.sell(*ask)), ask[0], ask[1]))
        elif turn < 0.85 and asks:
            ask_id, account, period = asks.pop(chance.randrange(len(asks)))
            both(desks, lambda desk, n=ask_id, a=account, p=period: desk.do(Op.CANCEL, order_id=n, account=a, book=1 << 20 | p))
        else:
            lots, periods = chance.choice((1, 2, 3, 5, 9)), chance.choice((1, 1, 2, 3))
            terms = PLAIN._replace(shape=chance.choice((0, 0, 1, 2, 3)), lots=lots, periods=periods, order_id=10**6,
                                   budget_micro=lots * periods * 9, first_period=hot, end_period=hot + 300)  # fmt: skip
            both(desks, lambda desk, terms=terms: answer(desk.engine, terms))
    assert desks[0].engine.state_hash() == desks[1].engine.state_hash()


def both(desks, act):
    """What both engines say."""
    first, second = (act(desk) for desk in desks)
    assert first == second
    return first


def answer(engine, terms):
    """What `find_task` says, or why it does not."""
    try:
        return engine.find_task(pack(Op.TASK, terms))
    except ValueError as refusal:
        return str(refusal)


def test_a_snapshot_whose_tasks_hold_more_than_there_is_is_refused(engine_class):
    """Nineteen holds whose sum is just 2^64 are not the hold of nobody."""
    desk = Desk(engine_class)
    desk.task()
    sections = image.decode(desk.engine.snapshot())
    layout = image.TASK_ROWS["TASK"]
    row = dict(zip(image.TASK_FIELDS, next(layout.iter_unpack(sections["TASK"])), strict=True))
    budgets = [10**18] * 18 + [2**64 - 18 * 10**18]
    rows = [row | {"order_id": 100 + at, "budget_micro": each, "limit_micro": each} for at, each in enumerate(budgets)]
    sections["TASK"] = b"".join(layout.pack(*each.values()) for each in rows)
    sections["TSKC"] = b"".join(image.TASK_ROWS["TSKC"].pack(each["order_id"], 1, PPM) for each in rows)
    with pytest.raises(ValueError, match="snapshot"):
        engine_class.restore(image.encode(sections))


def test_a_question_with_all_the_money_adds_up(engine_class):
    """Runs of which each hour costs nearly all the money there is, behind asks whose minimum is not met."""
    desk = Desk(engine_class)
    lots = 4 * 10**6
    for period, cost in ((5, 10**17), (6, 38 * 10**17), (7, 399 * 10**16), (8, 39 * 10**17)):
        if period < 8:
            desk.sell(SITE, period, price=1, lots=2 * lots, flags=OrderFlag.MIN_QTY, aux=2 * lots)
        desk.sell(SITE, period, price=cost // lots, lots=lots)
    terms = PLAIN._replace(order_id=10**6, budget_micro=10**18, lots=lots, periods=3, first_period=5, end_period=9)
    assert desk.engine.find_task(pack(Op.TASK, terms), MAX_MONEY_MICRO) is None
    one = desk.engine.find_task(pack(Op.TASK, terms._replace(periods=1, first_period=8)), MAX_MONEY_MICRO)
    assert one is not None
    assert one.compute_micro == 39 * 10**17
