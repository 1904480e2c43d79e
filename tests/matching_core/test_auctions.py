"""Calls against published answers, and against an auctioneer that tries every tick."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_core.enums import BookRule, EventFlag, Kind, Op, OrderFlag, OrderType, Phase, Side, TiePolicy
from matching_core.limits import MAX_PRICE_TICKS

POLICIES = {  # name in the vectors -> fields of SET_BOOK
    "four_step": {},
    "limit_prices_only_nearest_reference": {"flags": BookRule.LIMITS_ONLY},
    "limit_prices_only_nearest_reference_tie_high": {"flags": BookRule.LIMITS_ONLY},
    "mean_of_tied_limits": {"order_type": TiePolicy.MIDPOINT},
    "four_step_pressure_band_5pct": {"order_type": TiePolicy.CAPPED_PRESSURE, "price": 50_000},
}


@pytest.fixture(scope="module")
def auction_class(engine_class):
    if getattr(engine_class, "RULES_VERSION", 1) < 2:
        pytest.skip("this engine has no calls yet")
    return engine_class


def call(auction_class, orders, reference=0, **rules):
    """An engine in a call with these orders: (side, price, qty, fields)."""
    engine = auction_class()
    engine.submit(Op.SET_BOOK, **rules)
    engine.submit(Op.SET_REFERENCE, price=reference)
    engine.submit(Op.SET_PHASE, aux=Phase.AUCTION)
    for number, (side, price, qty, fields) in enumerate(orders, start=1):
        events = engine.submit(Op.NEW, side=side, price=price, qty=qty, order_id=number, **fields)
        assert events[0].kind == Kind.ACCEPTED, events
    return engine


def at_market(side, qty):
    worst = MAX_PRICE_TICKS if side == Side.BUY else 1
    return (side, worst, qty, {"order_type": OrderType.MARKET, "flags": OrderFlag.AUCTION_ONLY})


def result_of(engine):
    """(price, volume, surplus) of the uncross, and its events."""
    engine.check()
    events = engine.submit(Op.UNCROSS, aux=Phase.OPEN)
    engine.check()
    (uncrossed,) = [event for event in events if event.kind == Kind.UNCROSSED]
    return (uncrossed.price, uncrossed.qty, uncrossed.leaves), events


def orders_of(vector):
    tick = vector["tick"]
    orders = [(Side.BUY, price // tick, qty, {}) for price, qty in vector["bids"]]
    orders += [(Side.SELL, price // tick, qty, {}) for price, qty in vector["asks"]]
    markets = {Side.BUY: vector["market_bid"], Side.SELL: vector["market_ask"]}
    return orders + [at_market(side, qty) for side, qty in markets.items() if qty]


def agrees(vector, found, expect):
    """Whether price, volume and surplus are as published, where they are."""
    price, volume, surplus = found
    tick = vector["tick"]
    wanted = expect.get("price")
    if isinstance(wanted, list):
        assert wanted[0] <= price * tick <= wanted[1], (vector["id"], found)
    elif "price" in expect:
        assert (price * tick or None) == wanted, (vector["id"], found)
    if "price_range" in expect:
        assert expect["price_range"][0] <= price * tick <= expect["price_range"][1], (vector["id"], found)
    assert volume == expect.get("volume", volume), (vector["id"], found)
    if isinstance(expect.get("surplus"), int):
        assert surplus == expect["surplus"], (vector["id"], found)
    assert abs(surplus) == expect.get("surplus_min", abs(surplus)), (vector["id"], found)


def test_every_published_auction_has_its_published_answer(auction_class, shared_data):
    vectors = json.loads((shared_data / "acceptance" / "auction_vectors.json").read_text())["vectors"]
    assert len(vectors) > 20 and {vector["policy"] for vector in vectors} == set(POLICIES)
    for vector in vectors:
        reference = (vector["reference"] or 0) // vector["tick"]
        for expect, rules in (
            (vector["expect"], POLICIES[vector["policy"]]), (vector["plain_four_step_tick_grid"], {})
        ):  # fmt: skip
            found, _ = result_of(call(auction_class, orders_of(vector), reference, **rules))
            agrees(vector, found, expect)


# --- against every tick ---


def try_every_tick(orders, reference):
    """U2-U7 as they are written down, one tick after the other: (price, volume, surplus)."""

    def crossing(side, price):
        return sum(
            qty for each, limit, qty, _ in orders if each == side and (limit >= price if side == Side.BUY else limit <= price)
        )

    limits = [price for _, price, _, fields in orders if not fields.get("order_type")]
    ticks = range(min(limits), max(limits) + 1) if limits else [reference] if reference else []
    found = [(price, crossing(Side.BUY, price), crossing(Side.SELL, price)) for price in ticks]
    volume = max((min(bid, ask) for _, bid, ask in found), default=0)
    if volume == 0:
        return 0, 0, 0
    found = [each for each in found if min(each[1:]) == volume]
    least = min(abs(bid - ask) for _, bid, ask in found)
    tied = [(price, bid - ask) for price, bid, ask in found if abs(bid - ask) == least]
    if all(surplus > 0 for _, surplus in tied):
        price, surplus = tied[-1]
    elif all(surplus < 0 for _, surplus in tied):
        price, surplus = tied[0]
    else:
        near = reference or tied[-1][0]
        price, surplus = min(tied, key=lambda each: (abs(each[0] - near), -each[0]))
    return price, volume, surplus


@st.composite
def auctions(draw):
    """Up to 30 orders around one price: limits, icebergs, a few market orders."""
    orders = []
    for _ in range(draw(st.integers(0, 30))):
        side, qty = draw(st.sampled_from(Side)), draw(st.integers(1, 40))
        kind = draw(st.sampled_from(["limit"] * 6 + ["iceberg", "market", "worst"]))
        price = draw(st.integers(90, 110))
        if kind == "market":
            orders.append(at_market(side, qty))
        elif kind == "worst":
            orders.append((side, price, qty, {"order_type": OrderType.MARKET, "flags": OrderFlag.AUCTION_ONLY}))
        elif kind == "iceberg":
            peak = draw(st.integers(1, qty))
            orders.append((side, price, qty, {"flags": OrderFlag.ICEBERG, "aux": peak}))
        else:
            orders.append((side, price, qty, {}))
    return orders


def check_allocation(orders, found, events):
    """U8: one price, nobody beyond his limit, one side at the price done, better prices before worse ones."""
    price, volume, _ = found
    trades = [event for event in events if event.kind == Kind.TRADE]
    assert all(trade.price == price and trade.qty > 0 and trade.flags & EventFlag.AUCTION for trade in trades)
    assert sum(trade.qty for trade in trades) == volume
    filled = dict.fromkeys(range(1, len(orders) + 1), 0)
    for trade in trades:
        filled[trade.order_id] += trade.qty
        filled[trade.contra_id] += trade.qty
    for side in Side:
        sign = 1 if side == Side.BUY else -1
        mine = [(sign * limit, filled[i], qty) for i, (each, limit, qty, _) in enumerate(orders, 1) if each == side]
        assert sum(lots for _, lots, _ in mine) == volume
        assert all(lots <= qty and (lots == 0 or limit >= sign * price) for limit, lots, qty in mine)
        short = max((limit for limit, lots, qty in mine if lots < qty), default=None)
        assert all(lots == 0 for limit, lots, _ in mine if short is not None and limit < short)


def check_auction(auction_class, orders, reference):
    engine = call(auction_class, orders, reference)
    found, events = result_of(engine)
    assert found == try_every_tick(orders, reference)
    check_allocation(orders, found, events)
    bid, _, ask, _ = engine.top(0)
    assert bid == 0 or ask == 0 or bid < ask  # U10
    return found


@settings(max_examples=150)
@given(orders=auctions(), reference=st.sampled_from([0, 0, 85, 95, 100, 101, 115]))
def test_no_tick_gives_more_and_every_tie_is_broken_as_written(auction_class, orders, reference):
    check_auction(auction_class, orders, reference)


@settings(max_examples=60)
@given(orders=auctions(), seed=st.integers(0, 2**16), scale=st.integers(2, 1000))
def test_neither_arrival_nor_scale_moves_the_price(auction_class, orders, seed, scale):
    found, _ = result_of(call(auction_class, orders, 100))
    shuffled = list(orders)
    random.Random(seed).shuffle(shuffled)
    assert result_of(call(auction_class, shuffled, 100))[0] == found  # U12
    larger = [(side, price, qty * scale, {**fields, "aux": fields["aux"] * scale} if "aux" in fields else fields)
              for side, price, qty, fields in orders]  # fmt: skip
    price, volume, surplus = result_of(call(auction_class, larger, 100))[0]
    assert (price, volume, surplus) == (found[0], found[1] * scale, found[2] * scale)  # U13


@settings(max_examples=60)
@given(orders=auctions(), reference=st.integers(90, 110))
def test_where_only_limits_count_the_price_is_a_limit_and_no_other_limit_trades_more(auction_class, orders, reference):
    (price, volume, surplus), _ = result_of(call(auction_class, orders, reference, flags=BookRule.LIMITS_ONLY))
    limits = {price for _, price, _, fields in orders if not fields.get("order_type")} or {reference}
    figures = {}
    for limit in limits:
        bid = sum(qty for side, worst, qty, _ in orders if side == Side.BUY and worst >= limit)
        ask = sum(qty for side, worst, qty, _ in orders if side == Side.SELL and worst <= limit)
        figures[limit] = (min(bid, ask), -abs(bid - ask), bid - ask)
    best = max(each[:2] for each in figures.values())
    if best[0] == 0:
        assert (price, volume, surplus) == (0, 0, 0)
    else:
        assert figures[price] == (*best, surplus) and volume == best[0]


def test_the_middle_of_tied_limits_is_measured_where_it_lies(auction_class):
    orders = [(Side.BUY, 120, 5, {}), (Side.BUY, 100, 2, {}), (Side.SELL, 90, 5, {}), (Side.SELL, 110, 2, {})]
    engine = call(auction_class, orders, flags=BookRule.LIMITS_ONLY, order_type=TiePolicy.MIDPOINT)
    assert result_of(engine)[0] == (105, 5, 0)  # at 100 two more are bid, at 110 two more are offered


def test_market_orders_that_join_between_two_tied_limits_are_in_the_volume(auction_class):
    joining = {"order_type": OrderType.MARKET, "flags": OrderFlag.AUCTION_ONLY}
    orders = [(Side.BUY, 120, 5, {}), (Side.SELL, 90, 5, {}), (Side.BUY, 105, 3, joining), (Side.SELL, 105, 3, joining)]
    engine = call(auction_class, orders, flags=BookRule.LIMITS_ONLY, order_type=TiePolicy.MIDPOINT)
    found, events = result_of(engine)
    assert found == (105, 8, 0)
    assert sum(event.qty for event in events if event.kind == Kind.TRADE) == 8


@pytest.mark.soak
def test_no_tick_gives_more_in_ten_thousand_auctions(auction_class):
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(10_000):
        orders = []
        for _ in range(chance.randrange(31)):
            side, price, qty = chance.choice(list(Side)), chance.randrange(90, 111), chance.randrange(1, 40)
            fields = chance.choice(({}, {}, {"flags": OrderFlag.ICEBERG, "aux": chance.randrange(1, qty + 1)}))
            orders.append(chance.choice(((side, price, qty, fields),) * 5 + (at_market(side, qty),)))
        check_auction(auction_class, orders, chance.choice((0, 95, 100, 120)))


# --- the two engines, under every rule ---


def any_order(chance, base, width, order_id):
    """A limit order, an iceberg, an order for the call, or a market order with a near or a far worst price."""
    side, qty = chance.choice(list(Side)), chance.choice((1, 2, 5, chance.randrange(1, 40)))
    price = max(1, base + chance.randrange(-width, width + 1))
    worst = chance.choice((price, MAX_PRICE_TICKS if side == Side.BUY else 1))
    fields = {"side": side, "qty": qty, "price": price, "order_id": order_id, "account": chance.randrange(1, 4)}
    return fields | chance.choice((
        {}, {}, {}, {"flags": OrderFlag.ICEBERG, "aux": chance.randrange(1, qty + 1)}, {"flags": OrderFlag.AUCTION_ONLY},
        {"flags": OrderFlag.AUCTION_ONLY, "order_type": OrderType.MARKET, "price": worst},
    ))  # fmt: skip


def any_auction(chance):
    """The commands of one call and of the tries to end it, as (op, fields)."""
    base, width = chance.choice((3, 100, 100, 5_000)), chance.choice((3, 10, 30, 400))
    for account in (1, 2, 3):
        yield Op.OPEN_ACCOUNT, {"account": account, "book": account % 2 + 1}
        yield Op.TRANSFER, {"account": 0, "book": account, "qty": 10**9}
    yield Op.SET_FEE, {"price": 1_234}
    yield Op.SET_BOOK, {"flags": chance.randrange(16), "order_type": chance.choice(list(TiePolicy)),
                        "price": chance.choice((0, 10_000, 50_000, 200_000))}  # fmt: skip
    yield Op.SET_REFERENCE, {"price": chance.choice((0, max(1, base + chance.randrange(-width, width + 1))))}
    yield Op.SET_BANDS, {"aux": chance.choice((0, 0, 20_000))}
    yield Op.SET_PHASE, {"aux": Phase.AUCTION}
    for order_id in range(1, chance.randrange(2, 32)):
        yield Op.NEW, any_order(chance, base, width, order_id)
    for _ in range(3):
        yield Op.UNCROSS, {"aux": chance.choice((Phase.OPEN, Phase.CLOSED))}


def check_twin_auction(classes, seed):
    chance = random.Random(seed)
    engines = [engine_class(64, check_funds=seed % 3 == 0) for engine_class in classes]
    for op, fields in any_auction(chance):
        first, second = (engine.submit(op, **fields) for engine in engines)
        assert first == second, (seed, op, fields)
        if first[-1].kind == Kind.PHASE_SET and op == Op.UNCROSS:
            told = next(event.qty for event in first if event.kind == Kind.UNCROSSED)
            assert told == sum(event.qty for event in first if event.kind == Kind.TRADE), (seed, fields)
    engines[1].check()
    assert engines[0].snapshot() == engines[1].snapshot()


@pytest.fixture(scope="module")
def twin_classes(reference_class, compiled_class):
    if getattr(compiled_class, "RULES_VERSION", 1) < 2:
        pytest.skip("the compiled engine has no calls yet")
    return reference_class, compiled_class


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
def test_both_engines_hold_the_same_auction_under_any_rules(twin_classes, seed):
    check_twin_auction(twin_classes, seed)


@pytest.mark.soak
def test_both_engines_hold_the_same_ten_thousand_auctions(twin_classes):
    start = random.SystemRandom().randrange(2**32)
    print(f"seeds from {start}")
    for seed in range(start, start + 10_000):
        check_twin_auction(twin_classes, seed)
