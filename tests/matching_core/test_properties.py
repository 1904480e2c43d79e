"""What must hold for any commands: money is conserved, refusals change nothing, fees do not depend on the split."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_core.enums import Bucket, Kind, Op, Side, TimeInForce

REFUSALS = (Kind.REJECTED, Kind.DENIED)
ENDS = (Kind.CANCELED, Kind.EXPIRED)


def total_of_balances(engine):
    return sum(sum(engine.balance(account)) for account in range(4) if engine.balance(account))


@pytest.mark.parametrize("flavour", range(4))
@settings(max_examples=8, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_money_is_conserved_and_a_refused_command_changes_nothing(engine_class, stream, flavour, seed):
    check_funds, listed_only = stream.FLAVOURS[flavour]
    engine = engine_class(30, check_funds=check_funds, listed_only=listed_only)
    chance = random.Random(seed)
    for fields in stream.opening():
        engine.submit(**fields)
    for _ in range(60):
        before = engine.state_hash()
        live = {order.order_id: order.account for book in engine.books() for order in engine.orders(book)}
        rules = getattr(engine_class, "RULES_VERSION", 1)
        events = engine.submit(**stream.command(chance, engine.now_ns, live, rules))
        engine.check()
        assert total_of_balances(engine) == 0
        if any(event.kind in REFUSALS for event in events):
            assert len(events) == 1
            assert engine.state_hash() == before


def funded(engine_class, fee_ppm, value_micro=1):
    engine = engine_class(check_funds=True)
    for account in (1, 2):
        engine.submit(Op.OPEN_ACCOUNT, account=account, book=account)
    engine.submit(Op.TRANSFER, account=0, book=1, qty=10**15)
    engine.submit(Op.TRANSFER, account=0, book=1, order_type=Bucket.HELD, qty=10**15)
    engine.submit(Op.SET_FEE, side=0, price=fee_ppm)
    engine.submit(Op.LIST_BOOK, book=1, price=value_micro)
    return engine


def sell_in_pieces(engine, price, pieces, first_id=100):
    """Each piece is sold as an order that takes what it finds, or rests."""
    events = []
    for i, lots in enumerate(pieces):
        events += engine.submit(
            Op.NEW, side=Side.SELL, book=1, account=2, order_id=first_id + i, price=price, qty=lots
        )
        engine.check()
    return events


@settings(max_examples=40)
@given(
    fee_ppm=st.integers(0, 1_000_000),
    value_micro=st.integers(1, 1000),
    price=st.integers(1, 10_000),
    pieces=st.lists(st.integers(1, 50), min_size=1, max_size=8),
)
def test_the_fee_does_not_depend_on_how_a_purchase_is_split_into_fills(
    engine_class, fee_ppm, value_micro, price, pieces
):
    lots = sum(pieces)
    split = funded(engine_class, fee_ppm, value_micro)
    split.submit(Op.NEW, side=Side.BUY, book=1, account=1, order_id=1, price=price, qty=lots)
    fills = [e for e in sell_in_pieces(split, price, pieces) if e.kind == Kind.POSTED]
    notional = price * lots * value_micro
    assert sum(fill.qty for fill in fills) == notional
    assert sum(fill.price for fill in fills) == -(-fee_ppm * notional // 1_000_000)
    whole = funded(engine_class, fee_ppm, value_micro)
    whole.submit(Op.NEW, side=Side.BUY, book=1, account=1, order_id=1, price=price, qty=lots)
    sell_in_pieces(whole, price, [lots])
    assert split.balance(1) == whole.balance(1)


@settings(max_examples=30)
@given(fee_ppm=st.integers(0, 1_000_000), legs=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_the_fee_of_a_task_does_not_depend_on_its_legs(engine_class, fee_ppm, legs):
    engine = funded(engine_class, fee_ppm)
    paid = fees = 0
    for i, lots in enumerate(legs):
        sell_in_pieces(engine, 7, [lots], first_id=100 + i)
        events = engine.submit(
            Op.TAKE, book=1, account=1, aux=2, order_id=500 + i, price=7, qty=lots, client_ref=paid
        )
        paid += sum(event.qty for event in events if event.kind == Kind.POSTED)
        fees += sum(event.price for event in events if event.kind == Kind.POSTED)
        engine.check()
    assert paid == 7 * sum(legs)
    assert fees == -(-fee_ppm * paid // 1_000_000)


@settings(max_examples=40)
@given(
    fee_ppm=st.integers(0, 1_000_000),
    limit=st.integers(50, 99),
    better=st.integers(0, 40),
    lots=st.integers(1, 60),
    pieces=st.lists(st.integers(1, 20), max_size=5),
    amended=st.one_of(st.none(), st.tuples(st.integers(1, 120), st.integers(1, 80))),
    tif=st.sampled_from([TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD]),
)
def test_the_hold_is_zero_when_an_order_has_ended(
    engine_class, fee_ppm, limit, better, lots, pieces, amended, tif
):
    engine = funded(engine_class, fee_ppm)
    wealth = sum(engine.balance(1))
    sell_in_pieces(engine, limit - better, pieces)
    held_before = engine.balance(1)[Bucket.HELD]
    engine.submit(
        Op.NEW, side=Side.BUY, book=1, account=1, order_id=1, price=limit, qty=lots, tif=tif, expiry_ns=5
    )
    if amended and engine.order(1):
        engine.submit(Op.AMEND, account=1, order_id=1, price=amended[0], qty=amended[1])
    engine.check()
    if engine.order(1):
        hold = engine.order(1).hold_micro
        assert engine.balance(1)[Bucket.HELD] == held_before + hold
        freed = engine.submit(Op.ADVANCE_TIME, aux=5) or engine.submit(Op.CANCEL, account=1, order_id=1)
        assert freed[-1].kind in ENDS and freed[-1].contra_leaves == hold
    assert engine.balance(1)[Bucket.HELD] == held_before
    assert sum(engine.balance(1)) == wealth
