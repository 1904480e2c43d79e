"""U11: what calls tell meanwhile: who speaks, when, in which order; and both engines alike while time moves."""

import random

import pytest

from matching_core.enums import BookRule, Kind, MassFilter, Op, OrderFlag, OrderType, Phase, Side, TiePolicy
from matching_core.limits import MAX_PRICE_TICKS

BOOKS = (7, 3, 4_000_000_000, 11, 0, 64, 5)  # opened in this order, told in that of their numbers


@pytest.fixture(scope="module")
def call_class(engine_class):
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no calls yet")
    return engine_class


def told(events):
    """(book, price, volume, surplus) of what the calls say, and nothing is said after that."""
    spoken = [event.kind == Kind.INDICATIVE for event in events]
    assert spoken == sorted(spoken)
    return [
        (event.book, event.price, event.qty, event.leaves) for event in events if event.kind == Kind.INDICATIVE
    ]


class Calls:
    """Some books in a call, each with an interval."""

    def __init__(self, engine_class, intervals):
        self.engine = engine_class()
        self.order_id = 0
        self.engine.submit(Op.ADVANCE_TIME, aux=1_000)
        for book, interval_ns in intervals.items():
            self.engine.submit(Op.SET_BOOK, book=book, aux=interval_ns)
            self.engine.submit(Op.SET_PHASE, book=book, aux=Phase.AUCTION)

    def new(self, book, side, price, qty, account=0):
        self.order_id += 1
        return told(self.engine.submit(Op.NEW, book=book, side=side, price=price, qty=qty, account=account,
                                       order_id=self.order_id))  # fmt: skip

    def cross(self, book, qty=5, account=0):
        """A crossed pair: from now on the book would trade qty lots at 100."""
        return self.new(book, Side.BUY, 100, qty, account) + self.new(book, Side.SELL, 100, qty, account)

    def at(self, now_ns):
        return told(self.engine.submit(Op.ADVANCE_TIME, aux=now_ns))


def test_a_call_speaks_at_once_and_then_waits_until_its_interval_is_over(call_class):
    calls = Calls(call_class, {1: 50})
    assert calls.cross(1) == [(1, 100, 5, 0)]
    assert calls.cross(1) == []
    assert calls.at(1_049) == []
    assert calls.at(1_050) == [(1, 100, 10, 0)]
    assert calls.at(1_200) == []
    assert calls.cross(1) == [(1, 100, 10, 5)]
    assert calls.at(1_250) == [(1, 100, 15, 0)]


def test_figures_that_are_back_where_they_were_when_the_interval_is_over_are_no_news(call_class):
    calls = Calls(call_class, {1: 50})
    calls.cross(1)
    calls.new(1, Side.BUY, 100, 3)
    calls.engine.submit(Op.CANCEL, order_id=calls.order_id)
    assert calls.at(1_100) == []
    assert calls.new(1, Side.BUY, 100, 3) == [(1, 100, 5, 3)]


def test_calls_wait_each_for_its_own_interval(call_class):
    calls = Calls(call_class, {1: 50, 2: 0, 3: 20, 4: 90})
    for book in (3, 1, 4, 2):
        assert calls.cross(book) == [(book, 100, 5, 0)]
        calls.cross(book)
    assert calls.at(1_010) == []
    assert calls.at(1_020) == [(3, 100, 10, 0)]
    assert calls.at(1_070) == [(1, 100, 10, 0)]
    assert calls.at(1_090) == [(4, 100, 10, 0)]
    assert calls.cross(2) == [(2, 100, 10, 5), (2, 100, 15, 0)]


def test_all_that_one_command_has_changed_is_told_by_book_number(call_class):
    calls = Calls(call_class, dict.fromkeys(BOOKS, 0))
    for qty, book in enumerate(BOOKS, start=1):
        calls.cross(book, qty, account=9)
    swept = told(calls.engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=9))
    assert swept == [(book, 0, 0, 0) for book in sorted(BOOKS)]


def test_all_whose_interval_is_over_at_one_moment_speak_by_book_number(call_class):
    calls = Calls(call_class, {book: 10 + place for place, book in enumerate(BOOKS)})
    for book in BOOKS:
        calls.cross(book)
        calls.cross(book)
    assert calls.at(1_013) == [(book, 100, 10, 0) for book in sorted(BOOKS[:4])]
    assert calls.at(2_000) == [(book, 100, 10, 0) for book in sorted(BOOKS[4:])]


def test_a_shorter_interval_lets_a_waiting_call_speak_at_once(call_class):
    calls = Calls(call_class, {1: 500, 2: 500})
    for book in (1, 2):
        calls.cross(book)
        calls.cross(book)
    assert calls.at(1_100) == []
    assert told(calls.engine.submit(Op.SET_BOOK, book=2, aux=100)) == [(2, 100, 10, 0)]
    assert calls.at(1_500) == [(1, 100, 10, 0)]


def test_a_new_reference_or_rule_is_news_without_any_order(call_class):
    calls = Calls(call_class, {1: 0})
    calls.new(1, Side.BUY, 110, 5)
    assert calls.new(1, Side.SELL, 100, 5) == [(1, 110, 5, 0)]
    assert told(calls.engine.submit(Op.SET_REFERENCE, book=1, price=103)) == [(1, 103, 5, 0)]
    assert told(calls.engine.submit(Op.SET_BOOK, book=1, flags=BookRule.LIMITS_ONLY)) == [(1, 100, 5, 0)]
    assert told(calls.engine.submit(Op.SET_BOOK, book=1, order_type=TiePolicy.MIDPOINT)) == [(1, 105, 5, 0)]


def test_a_call_that_ends_while_it_waits_is_forgotten_and_the_next_one_begins_anew(call_class):
    calls = Calls(call_class, {1: 500, 2: 500})
    for book in (1, 2):
        calls.cross(book)
        calls.new(book, Side.BUY, 99, 1)
    calls.engine.submit(Op.SET_PHASE, book=1, aux=Phase.HALTED)
    calls.engine.check()
    assert calls.at(2_000) == []
    assert told(calls.engine.submit(Op.SET_PHASE, book=1, aux=Phase.AUCTION)) == [(1, 100, 5, 0)]
    calls.engine.check()


def test_a_book_that_closes_in_the_middle_of_its_call_says_nothing_more(call_class):
    engine = call_class()
    for book in (1, 2):
        engine.submit(Op.LIST_BOOK, book=book, price=1, expiry_ns=100 if book == 1 else 0)
        engine.submit(Op.SET_PHASE, book=book, aux=Phase.AUCTION)
        for side in Side:
            engine.submit(Op.NEW, book=book, side=side, price=100, qty=5, order_id=2 * book + side)
    engine.check()
    events = engine.submit(Op.ADVANCE_TIME, aux=100)
    assert told(events) == [] and engine.books() == [2]
    assert told(engine.submit(Op.CANCEL, order_id=4)) == [(2, 0, 0, 0)]
    engine.check()


def test_a_restored_call_goes_on_where_it_waited(call_class):
    calls = Calls(call_class, {1: 50, 2: 70})
    for book in (2, 1):
        calls.cross(book)
        calls.cross(book)
    calls.engine = call_class.restore(calls.engine.snapshot())
    assert told(calls.engine.submit(200)) == []
    assert calls.at(1_060) == [(1, 100, 10, 0)]
    assert calls.at(1_070) == [(2, 100, 10, 0)]


# --- both engines, command by command ---


class Twins:
    """Both engines under the same commands; the events of every one are equal."""

    def __init__(self, classes):
        self.classes = classes
        self.engines = [engine_class(200) for engine_class in classes]
        self.n_told = 0

    def submit(self, op, **fields):
        first, second = (engine.submit(op, **fields) for engine in self.engines)
        assert first == second, (op, fields)
        self.n_told += len(told(first))

    def swap(self):
        """Each goes on from what the other one wrote."""
        blobs = [engine.snapshot() for engine in self.engines]
        assert blobs[0] == blobs[1]
        self.engines = [each.restore(blob) for each, blob in zip(self.classes, reversed(blobs), strict=True)]

    def check(self):
        for engine in self.engines:
            engine.check()


def one_order(chance, book, order_id):
    side, qty = chance.choice(list(Side)), chance.randrange(1, 30)
    fields = {"book": book, "side": side, "order_id": order_id, "qty": qty, "price": chance.randrange(95, 106),
              "account": chance.randrange(4)}  # fmt: skip
    worst = chance.choice((fields["price"], MAX_PRICE_TICKS if side == Side.BUY else 1))
    market = {"order_type": OrderType.MARKET, "flags": OrderFlag.AUCTION_ONLY, "price": worst}
    iceberg = {"flags": OrderFlag.ICEBERG, "aux": chance.randrange(1, qty + 1)}
    return fields | chance.choice(({}, {}, {}, market, iceberg, {"flags": OrderFlag.AUCTION_ONLY}))


def one_command(chance, now_ns):
    """(op, fields): orders mostly; now and then time, rules, phases and sweeps over all books."""
    book, order_id = chance.choice(BOOKS), chance.randrange(1, 120)
    mine = {"order_id": order_id, "account": chance.randrange(4)}
    rules = {"aux": chance.choice((0, 5, 20, 300)), "flags": chance.randrange(16), "order_type": chance.randrange(3),
             "price": chance.choice((0, 20_000))}  # fmt: skip
    return chance.choice((
        *[(Op.NEW, one_order(chance, book, order_id))] * 8,
        *[(Op.ADVANCE_TIME, {"aux": now_ns + chance.choice((0, 1, 3, 8, 40))})] * 3,
        (Op.CANCEL, mine),
        (Op.AMEND, mine | {"price": chance.randrange(95, 106), "qty": chance.randrange(1, 30)}),
        (Op.REDUCE, mine | {"qty": chance.randrange(1, 5)}),
        (Op.SET_BOOK, {"book": book} | rules),
        (Op.SET_REFERENCE, {"book": book, "price": chance.choice((0, 97, 100, 104))}),
        (Op.SET_PHASE, {"book": book, "aux": chance.choice((Phase.AUCTION, Phase.AUCTION, Phase.HALTED))}),
        (Op.UNCROSS, {"book": book, "aux": chance.choice((Phase.OPEN, Phase.CLOSED))}),
        (Op.MASS_CANCEL, {"flags": chance.choice((MassFilter.ACCOUNT, MassFilter.SIDE)), "account": book % 4}),
        (200, {}),
    ))  # fmt: skip


def run_twins(twins, seed, count):
    chance = random.Random(seed)
    for book in BOOKS:
        twins.submit(Op.SET_BOOK, book=book, aux=chance.choice((0, 5, 20, 300)))
        twins.submit(Op.SET_PHASE, book=book, aux=Phase.AUCTION)
    for _ in range(count):
        op, fields = one_command(chance, twins.engines[0].now_ns)
        twins.submit(op, **fields)
        if op in (Op.UNCROSS, Op.SET_PHASE):  # most books stay in calls
            twins.submit(Op.SET_PHASE, book=fields["book"], aux=Phase.AUCTION)
        if chance.random() < 0.01:
            twins.swap()
    twins.check()
    twins.swap()


@pytest.mark.parametrize("seed", range(8))
def test_both_engines_speak_of_the_same_calls_at_the_same_moments(reference_class, compiled_class, seed):
    if getattr(compiled_class, "RULES_VERSION", 1) < 2:
        pytest.skip("the compiled engine has no calls yet")
    twins = Twins((reference_class, compiled_class))
    run_twins(twins, seed, 300)
    assert twins.n_told > 20


@pytest.mark.soak
def test_both_engines_speak_of_the_same_calls_for_a_hundred_thousand_commands(reference_class, compiled_class):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    run_twins(Twins((reference_class, compiled_class)), seed, 100_000)
