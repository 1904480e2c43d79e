"""X2, X3, T2, T3, T5 on many books: what a sweep ends and in which order, and books that come and go for weeks."""

import random

import pytest

from matching_core.enums import (
    Bucket,
    CancelReason,
    DenyReason,
    ExpireReason,
    Kind,
    MassFilter,
    Op,
    OrderFlag,
    Phase,
    Side,
    TimeInForce,
)
from matching_core.records import Command

BOOKS = (7, 2**32 - 1, 3, 128, 64, 70_000, 0)
ACCOUNTS = range(1, 7)
FIRMS = (1, 2, 1, 3, 2, 1)
FILTERS = range(16)


@pytest.fixture(scope="module")
def sweep_class(engine_class):
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no sweeps yet")
    return engine_class


def opening():
    """Accounts of three firms."""
    return [Command(Op.OPEN_ACCOUNT, account=account, book=firm) for account, firm in zip(ACCOUNTS, FIRMS, strict=True)]


def resting(r, order_ids):
    """Orders that never meet, several to a level; most without extras."""
    for order_id in order_ids:
        side = r.randrange(2)
        flags, aux = r.choice(((0, 0), (0, 0), (0, 0), (OrderFlag.ICEBERG, 3)))
        yield Command(
            Op.NEW, side=side, book=r.choice(BOOKS), account=r.choice(ACCOUNTS), order_id=order_id,
            price=r.randrange(101, 180) if side == Side.SELL else r.randrange(90, 94), qty=r.randrange(1, 9),
            tif=r.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY)), flags=flags, aux=aux,
        )  # fmt: skip


def sweeping(r):
    """One command that ends many orders."""
    fields = {"book": r.choice(BOOKS), "account": r.choice(ACCOUNTS)}
    if r.random() < 0.7:
        flags = r.choice(FILTERS[1:])
        return Command(Op.MASS_CANCEL, flags=flags, aux=r.randrange(1, 5), side=r.randrange(2), **fields)
    return Command(Op.SESSION_CLOSE, flags=r.choice((0, MassFilter.BOOK)), **fields)


def holes(r, live):
    """Cancels of a third of the orders, so that new ones get slots that lie before those of older ones."""
    for order_id, account in r.sample(sorted(live.items()), len(live) // 3):
        yield Command(Op.CANCEL, order_id=order_id, account=account)


def live_orders(engine):
    """Every order in walk order."""
    return [order for book in engine.books() for order in engine.orders(book)]


def is_meant(engine, c, order):
    """What the flags of a sweep say about an order."""
    if c.op == Op.SESSION_CLOSE and order.tif != TimeInForce.DAY:
        return False
    asked = {
        MassFilter.ACCOUNT: order.account == c.account, MassFilter.FIRM: engine.firm(order.account) == c.aux,
        MassFilter.BOOK: order.book == c.book, MassFilter.SIDE: order.side == c.side,
    }  # fmt: skip
    return all(is_met for bit, is_met in asked.items() if c.flags & bit)


def apply(engine, commands):
    return list(engine.process(b"".join(c.pack() for c in commands)))


@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_ends_what_it_names_in_walk_order_and_nothing_else(sweep_class, seed):
    r = random.Random(seed)
    engine = sweep_class(max_orders=2_000)
    apply(engine, opening())
    next_id = 1
    for _ in range(12):
        apply(engine, resting(r, range(next_id, next_id + 150)))
        next_id += 150
        apply(engine, holes(r, {order.order_id: order.account for order in live_orders(engine)}))
        apply(engine, resting(r, range(next_id, next_id + 50)))
        next_id += 50
        c = sweeping(r)
        before = live_orders(engine)
        ended = [order for order in before if is_meant(engine, c, order)]
        *events, total = apply(engine, [c])
        assert [(event.order_id, event.qty) for event in events] == [(order.order_id, order.leaves) for order in ended]
        assert (total.qty, total.leaves) == (len(ended), sum(order.leaves for order in ended))
        assert live_orders(engine) == [order for order in before if order not in ended]
        engine.check()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_funded", [False, True])
def test_both_engines_sweep_the_same(compiled_class, reference_class, seed, is_funded):
    if getattr(compiled_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no sweeps yet")
    r = random.Random(seed)
    engines = [engine_class(max_orders=1_000, check_funds=is_funded) for engine_class in (compiled_class, reference_class)]
    commands = opening()
    if is_funded:
        commands += [Command(Op.TRANSFER, account=0, book=account, qty=10**6) for account in ACCOUNTS]
        commands += [Command(Op.LIST_BOOK, book=book, price=1 + book % 3, aux=1) for book in BOOKS]
        commands += [Command(Op.SET_CAPACITY, account=account, aux=1, qty=1_000) for account in ACCOUNTS]
    next_id = 1
    for _ in range(20):
        commands += resting(r, range(next_id, next_id + 60))
        next_id += 60
        flags, account, firm = r.choice((MassFilter.ACCOUNT, MassFilter.FIRM)), r.choice(ACCOUNTS), r.randrange(1, 5)
        commands += [
            sweeping(r),
            sweeping(r),
            Command(Op.KILL, flags=flags, account=account, aux=firm),
            Command(Op.NEW, book=3, account=account, order_id=next_id + 10**6, price=90, qty=1),
            Command(Op.LIFT, flags=flags, account=account, aux=firm),
        ]
    blob = b"".join(c.pack() for c in commands)
    assert bytes(engines[0].process(blob)) == bytes(engines[1].process(blob))
    assert engines[0].snapshot() == engines[1].snapshot()


def test_who_is_killed_outlives_a_restart_and_a_lift_takes_out_one_entry(sweep_class):
    r = random.Random(5)
    engine = sweep_class()
    apply(engine, opening())
    killed = set()
    for step in range(200):
        kind = r.choice((MassFilter.ACCOUNT, MassFilter.FIRM))
        who = r.randrange(1, 5)
        op = r.choice((Op.KILL, Op.LIFT))
        fields = {"account": who} if kind == MassFilter.ACCOUNT else {"aux": who}
        told = engine.submit(op, flags=kind, **fields)[-1]
        is_lift_refused = op == Op.LIFT and (kind, who) not in killed
        assert told.kind == (Kind.REJECTED if is_lift_refused else Kind.KILLED if op == Op.KILL else Kind.LIFTED)
        killed = killed | {(kind, who)} if op == Op.KILL else killed - {(kind, who)}
        if step % 10 == 0:
            blob = engine.snapshot()
            engine = sweep_class.restore(blob)
            assert engine.snapshot() == blob
        for account, firm in zip(ACCOUNTS, FIRMS, strict=True):
            is_blocked = (MassFilter.ACCOUNT, account) in killed or (MassFilter.FIRM, firm) in killed
            assert engine.is_blocked(account) == is_blocked
    assert killed


def test_a_kill_reaches_every_book_in_every_phase(sweep_class):
    engine = sweep_class()
    apply(engine, opening())
    for book, phase in enumerate(Phase):
        engine.submit(Op.NEW, book=book, account=1, order_id=2 * book + 1, price=5, qty=book + 1)
        engine.submit(Op.NEW, book=book, account=2, order_id=2 * book + 2, price=5, qty=1)
        if phase != Phase.OPEN:
            assert engine.submit(Op.SET_PHASE, book=book, aux=phase)[0].kind == Kind.PHASE_SET
    events = [event for event in engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=1) if event.kind != Kind.INDICATIVE]
    assert [(event.kind, event.reason, event.book) for event in events[:-1]] == [
        (Kind.CANCELED, CancelReason.KILLED, book) for book in range(len(Phase))
    ]
    assert (events[-1].kind, events[-1].qty, events[-1].leaves) == (Kind.KILLED, 6, 21)
    assert [order.account for order in live_orders(engine)] == [2] * len(Phase)


def test_a_killed_account_takes_nothing_until_it_is_lifted_and_its_funds_are_looked_at_first(sweep_class):
    engine = sweep_class(check_funds=True)
    apply(engine, [
        *opening(),
        Command(Op.TRANSFER, account=0, book=1, order_type=Bucket.HELD, qty=90),
        Command(Op.LIST_BOOK, price=1, aux=1),
        Command(Op.SET_CAPACITY, account=2, aux=1, qty=50),
        Command(Op.NEW, side=Side.SELL, account=2, order_id=1, price=10, qty=6, flags=OrderFlag.MIN_QTY, aux=4),
        Command(Op.NEW, side=Side.SELL, account=2, order_id=2, price=12, qty=30, flags=OrderFlag.ICEBERG, aux=3),
    ])  # fmt: skip
    leg = {"op": Op.TAKE, "account": 1, "aux": 2, "order_id": 9, "price": 12}
    engine.submit(Op.KILL, flags=MassFilter.ACCOUNT, account=1)
    assert [engine.submit(qty=9, **leg)[0].reason, engine.submit(qty=8, **leg)[0].reason] == [
        DenyReason.INSUFFICIENT_FUNDS, DenyReason.BLOCKED,
    ]  # fmt: skip
    engine.submit(Op.LIFT, flags=MassFilter.ACCOUNT, account=1)
    told = engine.submit(qty=3, **leg)
    assert [(event.contra_id, event.qty) for event in told if event.kind == Kind.TRADE] == [(2, 3)]
    told = engine.submit(qty=5, **leg)
    assert [(event.contra_id, event.qty) for event in told if event.kind == Kind.TRADE] == [(1, 5)]
    assert engine.site_asks(2, 0) == [(10, 1, 1), (12, 27, 2)]
    engine.check()


def test_one_step_in_time_ends_orders_first_and_then_books_by_id(sweep_class):
    r = random.Random(6)
    engine = sweep_class(max_orders=1_000)
    gates = {book: r.randrange(10, 40) for book in r.sample(range(500), 60)}
    apply(engine, [Command(Op.LIST_BOOK, book=book, price=1, expiry_ns=gate) for book, gate in gates.items()])
    for order_id in range(1, 400):
        fields = {"tif": TimeInForce.GTD, "expiry_ns": r.randrange(1, 50)} if r.random() < 0.5 else {}
        engine.submit(Op.NEW, book=r.choice(sorted(gates)), order_id=order_id, price=r.randrange(1, 9), qty=1, **fields)
    now = 0
    while now < 45:
        now += r.randrange(1, 9)
        before = live_orders(engine)
        late = [order.order_id for order in before if 0 < order.expiry_ns <= now]
        closing = sorted(book for book in engine.books() if gates[book] <= now)
        told = [(ExpireReason.GTD, order_id) for order_id in late]
        for book in closing:
            here = [order.order_id for order in before if order.book == book]
            told += [*((ExpireReason.GATE, order_id) for order_id in here if order_id not in late), (0, 0)]
        events = engine.submit(Op.ADVANCE_TIME, aux=now)
        assert [(event.reason, event.order_id) for event in events] == told
        assert [event.book for event in events if event.kind == Kind.BOOK_CLOSED] == closing
        engine.check()
    assert engine.books() == []


@pytest.mark.slow
def test_books_come_and_go_for_weeks_and_leave_nothing_behind(sweep_class):
    """20,000 books of 168 hours each, 24 new ones an hour: the hour of the week is their group, some live on for two."""
    engine = sweep_class(max_orders=4_000, check_funds=True)
    apply(engine, [Command(Op.OPEN_ACCOUNT, account=1, book=1)])
    hours, a_week = 833, 168
    for hour in range(1, hours + 1):
        group = 1 + hour % a_week
        first = hour * 24
        closed = [event.book for event in engine.submit(Op.ADVANCE_TIME, aux=hour) if event.kind == Kind.BOOK_CLOSED]
        assert engine.capacity(1, group) == (0, 0, 0)
        due = [book for ended, picked in ((hour - a_week, range(1, 24)), (hour - a_week - 2, range(1))) if ended > 0
               for book in (ended * 24 + at for at in picked)]  # fmt: skip
        assert closed == sorted(due)
        apply(engine, [Command(Op.LIST_BOOK, book=first + at, price=1, aux=group if at else 0, expiry_ns=hour + a_week)
                       for at in range(24)])  # fmt: skip
        apply(engine, [
            Command(Op.SET_CAPACITY, account=1, aux=group, qty=50),
            Command(Op.SET_BOOK, book=first, expiry_ns=hour + a_week + 2),
            Command(Op.NEW, side=Side.SELL, book=first, account=1, order_id=2 * hour, price=9, qty=5, flags=OrderFlag.STANDBY),
            Command(Op.NEW, side=Side.SELL, book=first + 5, account=1, order_id=2 * hour + 1, price=9, qty=5),
        ])  # fmt: skip
        assert engine.capacity(1, group) == (50, 5, 0)
    assert engine.books() == [
        *range((hours - a_week - 1) * 24, (hours - a_week + 1) * 24, 24), *range((hours - a_week + 1) * 24, (hours + 1) * 24),
    ]  # fmt: skip
    assert len(engine.snapshot()) < 2_000_000
    engine.check()
