"""What must hold for any stream of commands with every operation and flag, told from the events alone."""

import random
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_core.enums import EventFlag, Kind, Op, OrderFlag, OrderType, Side, TimeInForce
from matching_core.records import Command

pytestmark = pytest.mark.slow  # streams of random commands

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def rules_class(engine_class):
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no later rules yet")
    return engine_class


@dataclass
class Told:
    """One order as the events tell it."""

    book: int
    side: int
    price: int
    asked: int  # total, as asked for last
    leaves: int
    is_hidden: bool
    filled: int = 0
    gone: int = 0  # cancelled or expired
    shown: int = 0  # of an iceberg


class Reader:
    """A book as a reader of events would keep it."""

    def __init__(self):
        self.orders = {}

    def read(self, events):
        for event in events:
            told = getattr(self, f"on_{Kind(event.kind).name.lower()}", None)
            if told:
                told(event)

    def on_accepted(self, e):
        self.orders[e.order_id] = Told(e.book, e.side, e.price, e.qty, e.leaves, bool(e.flags & EventFlag.HIDDEN))

    def on_trade(self, e):
        assert e.qty > 0  # C7
        maker = self.orders[e.contra_id]
        assert e.flags & EventFlag.AUCTION or e.price == maker.price  # C6
        parties = [(maker, e.contra_leaves)]
        if not e.flags & EventFlag.TAKE:
            parties.append((self.orders[e.order_id], e.leaves))
        for order, leaves in parties:
            assert order.leaves - e.qty == leaves >= 0
            order.leaves = leaves
            order.filled += e.qty
            order.shown -= e.qty

    def on_replenished(self, e):
        order = self.orders[e.order_id]
        order.is_hidden, order.shown = True, e.qty
        assert 1 <= e.qty <= e.leaves == order.leaves

    def on_replaced(self, e):
        order = self.orders[e.order_id]
        order.price, order.asked, order.leaves = e.price, e.qty, e.leaves
        order.shown = min(order.shown, e.leaves) if e.flags & EventFlag.KEPT_PRIORITY else 0

    def on_canceled(self, e):
        order = self.orders[e.order_id]
        order.gone, order.leaves = e.qty, 0

    on_expired = on_canceled

    def compare(self, engine):
        """C2, C3, C4, IC1: what the events add up to is what the engine has."""
        for order in self.orders.values():
            assert order.asked == order.filled + order.leaves + order.gone
        open_now = {number: order for number, order in self.orders.items() if order.leaves}
        live = {order.order_id: order for book in engine.books() for order in engine.orders(book)}
        assert set(live) == set(open_now)
        levels = defaultdict(lambda: [0, 0])
        for number, order in open_now.items():
            view = live[number]
            assert (view.price, view.qty, view.leaves) == (order.price, order.asked, order.leaves)
            shown = max(order.shown, 0) if order.is_hidden else order.leaves
            if shown:
                levels[order.book, order.side, order.price][0] += shown
                levels[order.book, order.side, order.price][1] += 1
        depth = {
            (book, side, price): [lots, n]
            for book in engine.books() for side in Side for price, lots, n in engine.depth(book, 100)[side]
        }  # fmt: skip
        assert depth == dict(levels)


def check_command(fields, events, engine):
    """What one NEW may not do, whatever the book looks like."""
    mine = [e for e in events if e.kind == Kind.TRADE and not e.flags & EventFlag.TAKE]
    lots = sum(e.qty for e in mine)
    prices = [e.price if e.side == Side.BUY else -e.price for e in mine]
    assert prices == sorted(prices)  # C5: from the best price on
    if fields["op"] != Op.NEW or events[0].kind != Kind.ACCEPTED:
        return
    if fields["tif"] == TimeInForce.FOK:
        assert lots in (0, fields["qty"])  # F1
    if fields["tif"] in (TimeInForce.IOC, TimeInForce.FOK):
        assert engine.order(fields["order_id"]) is None  # I2
    if fields["flags"] & OrderFlag.POST_ONLY:
        assert lots == 0  # PO1
    if fields["flags"] & OrderFlag.MIN_QTY:
        assert lots == 0 or lots >= fields["aux"]  # MQ1
    if fields["order_type"] == OrderType.MARKET and not fields["flags"] & OrderFlag.AUCTION_ONLY:
        assert engine.order(fields["order_id"]) is None  # M1


def run(rules_class, stream, flavour, seed, count):
    check_funds, listed_only = stream.FLAVOURS[flavour]
    engine = rules_class(30, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    reader = Reader()
    for fields in stream.opening():
        engine.submit(**fields)
    for _ in range(count):
        live = {order.order_id: order.account for book in engine.books() for order in engine.orders(book)}
        fields = stream.command(chance, engine.now_ns, live, rules=2)
        before = engine.state_hash()
        events = engine.submit(**fields)
        reader.read(events)
        engine.check()
        reader.compare(engine)
        check_command(fields, events, engine)
        if any(event.kind in (Kind.REJECTED, Kind.DENIED) for event in events):
            assert len(events) == 1 and engine.state_hash() == before  # C8
    return engine


@pytest.mark.parametrize("flavour", range(4))
@settings(max_examples=15, derandomize=True)
@given(seed=SEEDS)
def test_the_events_of_any_stream_add_up_to_the_state(rules_class, stream, flavour, seed):
    run(rules_class, stream, flavour, seed, 60)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", range(4))
def test_the_events_of_a_long_stream_add_up_to_the_state(rules_class, stream, flavour):
    run(rules_class, stream, flavour, 7_000 + flavour, 1_500)


@pytest.mark.soak
@pytest.mark.parametrize("flavour", range(4))
def test_the_events_of_fifty_thousand_commands_add_up_to_the_state(rules_class, stream, flavour):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    run(rules_class, stream, flavour, seed, 12_500)


@settings(max_examples=60)
@given(seed=SEEDS, qty=st.integers(1, 40), price=st.integers(94, 107), side=st.sampled_from(Side), stp=st.integers(0, 4))
def test_fill_or_kill_and_minimum_know_exactly_what_would_trade(rules_class, stream, seed, qty, price, side, stp):
    """F1, MQ1: the same order as IOC tells how much trades; FOK and minimum must not think otherwise."""
    chance = random.Random(seed)
    engine = rules_class()
    for fields in stream.opening():
        engine.submit(**fields)
    engine.submit(Op.SET_BANDS, book=2, qty=chance.choice((0, 0, 30_000)))
    engine.submit(Op.SET_REFERENCE, book=2, price=chance.choice((0, 100)))
    for number in range(1, 25):
        flags = chance.choice((0, 0, OrderFlag.ICEBERG, OrderFlag.MIN_QTY))
        lots = chance.randrange(1, 12)
        engine.submit(Op.NEW, book=2, order_id=number, side=1 - side, account=chance.choice((1, 2, 2, 3)), qty=lots,
                      price=chance.randrange(96, 106), flags=flags, aux=chance.randrange(1, lots + 1))  # fmt: skip
    blob = engine.snapshot()

    def traded(tif, minimum=0):
        twin = rules_class.restore(blob)
        flags = OrderFlag.MIN_QTY if minimum else 0
        events = twin.submit(Op.NEW, book=2, order_id=99, side=side, account=1, price=price, qty=qty, tif=tif, stp=stp,
                             flags=flags, aux=minimum)  # fmt: skip
        twin.check()
        return sum(event.qty for event in events if event.kind == Kind.TRADE)

    lots = traded(TimeInForce.IOC)
    assert traded(TimeInForce.FOK) == (lots if lots == qty else 0)
    if lots:
        assert traded(TimeInForce.IOC, minimum=lots) == lots
    if lots < qty:
        assert traded(TimeInForce.IOC, minimum=lots + 1) == 0


@settings(max_examples=40)
@given(flavour=st.integers(0, 3), seed=SEEDS)
def test_a_restart_in_the_middle_changes_nothing_that_follows(rules_class, stream, flavour, seed):
    check_funds, listed_only = stream.FLAVOURS[flavour]
    engine = rules_class(30, check_funds=check_funds, listed_only=listed_only)
    twin = rules_class(30, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    for fields in stream.opening():
        assert engine.submit(**fields) == twin.submit(**fields)
    for i in range(50):
        live = {order.order_id: order.account for book in engine.books() for order in engine.orders(book)}
        fields = stream.command(chance, engine.now_ns, live, rules=2)
        assert engine.submit(**fields) == twin.submit(**fields), fields
        if i % 9 == 0:
            twin = rules_class.restore(twin.snapshot())
    assert engine.snapshot() == twin.snapshot()


RAW = st.builds(
    Command,
    op=st.one_of(st.sampled_from(sorted(Op)), st.integers(0, 255)),
    side=st.integers(0, 3), order_type=st.integers(0, 3), tif=st.integers(0, 6), stp=st.integers(0, 6),
    flags=st.one_of(st.integers(0, 32), st.integers(0, 255)), reserved=st.sampled_from([0, 0, 0, 0, 1]),
    book=st.integers(0, 2), account=st.integers(0, 3), order_id=st.integers(0, 5),
    price=st.one_of(st.integers(97, 103), st.sampled_from([0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])),
    qty=st.one_of(st.integers(0, 9), st.sampled_from([-1, 2**31, 2**53 - 1, 10**12, 2**63 - 1])),
    aux=st.one_of(st.integers(0, 5), st.sampled_from([-1, 2**31, 2**53, 2**63 - 1, -(2**63)])),
    expiry_ns=st.one_of(st.integers(0, 20), st.sampled_from([-1, 2**63 - 1])), client_ref=st.sampled_from([0, 1, 2**64 - 1]),
)  # fmt: skip


@settings(max_examples=200)
@given(flavour=st.integers(0, 3), commands=st.lists(RAW, max_size=30))
def test_no_raw_record_breaks_an_invariant(rules_class, stream, flavour, commands):
    check_funds, listed_only = stream.FLAVOURS[flavour]
    engine = rules_class(6, check_funds=check_funds, listed_only=listed_only)
    for fields in stream.opening():
        engine.submit(**fields)
    for command in commands:
        before = engine.state_hash()
        events = list(engine.process(command.pack()))
        engine.check()
        if any(event.kind in (Kind.REJECTED, Kind.DENIED) for event in events):
            assert len(events) == 1 and engine.state_hash() == before
    assert rules_class.restore(engine.snapshot()).state_hash() == engine.state_hash()
