"""The invariants that both engines must keep, over plain data; each failure is an AssertionError that names its rule.

Each engine checks its own structure (C3, C4, C10) itself and hands over what it believes about orders, money and
capacity; these functions work it out again from the live orders.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from .enums import Bucket, OrderFlag, OrderType, Side, TimeInForce
from .limits import MAX_MONEY_MICRO, MAX_SELLS_PER_BOOK, OUTSIDE_ACCOUNT
from .views import Order

_STAYING = (TimeInForce.GTC, TimeInForce.DAY)


class Money(NamedTuple):
    """One account as an engine keeps it: purses in micro-yuan, and how much of HELD its open buys reserve."""

    purses: tuple[int, ...]
    order_holds: int


def need(condition: bool, broken: str) -> None:
    """AssertionError unless the condition holds; works where `assert` is compiled away."""
    if not condition:
        raise AssertionError(broken)


def check_orders(orders: Iterable[Order], now_ns: int, halted: Collection[int] = ()) -> None:
    """C1, C2, T1, IC1, MQ2 over all live orders, given book by book in walk order; halted books may be crossed.

    An order with a minimum may stand across those it would not trade with; it is not displayed.
    """
    best_bid: dict[int, int] = {}
    for order in orders:
        need(
            1 <= order.leaves <= order.qty,
            f"C2: order {order.order_id} has leaves {order.leaves} of {order.qty}",
        )
        is_gtd = order.tif == TimeInForce.GTD
        need(is_gtd or order.tif in _STAYING, f"I2: order {order.order_id} rests though it may not")
        need(is_gtd == (order.expiry_ns > 0), f"T1: order {order.order_id} has the wrong kind of expiry")
        need(not is_gtd or order.expiry_ns > now_ns, f"T1: order {order.order_id} has outlived its expiry")
        is_for_call = bool(order.flags & OrderFlag.AUCTION_ONLY)
        need(order.order_type == OrderType.LIMIT or is_for_call, f"M1: market order {order.order_id} rests")
        if order.flags & OrderFlag.ICEBERG:
            is_fair = 1 <= order.shown <= min(order.aux, order.leaves)
            need(is_fair, f"IC1: order {order.order_id} shows {order.shown} of {order.leaves}")
        if order.book in halted or order.flags & OrderFlag.MIN_QTY:
            continue
        if order.side == Side.BUY:
            best_bid[order.book] = max(order.price, best_bid.get(order.book, 0))
        else:
            need(order.price > best_bid.get(order.book, 0), f"C1: book {order.book} is crossed")


def check_money(
    orders: Iterable[Order], accounts: Mapping[int, Money], tasks: Iterable[tuple[int, int]] = ()
) -> None:
    """HM1, HM2 and balances: holds are those of open buys and tasks, no purse is below zero, everything sums to 0.

    tasks: (account, hold) of each waiting one.
    """
    holds: dict[int, int] = defaultdict(int)
    for order in orders:
        holds[order.account] += order.hold_micro
    for account, hold_micro in tasks:
        holds[account] += hold_micro
    for account, money in accounts.items():
        need(
            money.order_holds == holds[account], f"HM2: holds of account {account} differ from its open buys"
        )
        held = money.purses[Bucket.HELD]
        need(money.order_holds <= held, f"HM2: account {account} holds less than its open buys need")
        for bucket, purse in zip(Bucket, money.purses, strict=True):
            is_outside_cash = account == OUTSIDE_ACCOUNT and bucket == Bucket.CASH
            need(purse >= 0 or is_outside_cash, f"balance: {bucket.name} of account {account} is below zero")
        is_outside = account == OUTSIDE_ACCOUNT
        need(is_outside or sum(money.purses) <= MAX_MONEY_MICRO, f"balance: account {account} owns too much")
    need(
        sum(sum(money.purses) for money in accounts.values()) == 0,
        "balance: the sum of all balances is not 0",
    )


def check_capacity(
    orders: Iterable[Order],
    groups: Mapping[int, int],
    capacities: Mapping[tuple[int, int], tuple[int, int, int]],
    asks: Mapping[tuple[int, int], list[int]],
    residues: Iterable[tuple[int, int, int]] = (),
) -> None:
    """RT1: open capacity is that of the live sells and block offers of a funded engine, the lists of sells those of its orders.

    groups: book -> capacity group or 0. capacities: (account, group) -> (attested, open, sold). asks: (account, book)
    -> ids of its live sells. residues: (account, book, lots) of block offers.
    """
    opened: dict[tuple[int, int], int] = defaultdict(int)
    live: dict[tuple[int, int], list[int]] = defaultdict(list)
    for order in orders:
        if order.side == Side.SELL:
            live[order.account, order.book].append(order.order_id)
            if groups[order.book]:
                opened[order.account, groups[order.book]] += order.leaves
    for account, book, lots in residues:
        if groups[book]:
            opened[account, groups[book]] += lots
    for key, (attested, is_open, sold) in capacities.items():
        need(is_open == opened.pop(key, 0), f"RT1: open capacity of {key} differs from its live sells")
        need(sold >= 0 and is_open + sold <= attested, f"RT1: {key} has sold more than attested")
    need(not opened, f"RT1: live sells without capacity: {dict(opened)}")
    for key, ids in asks.items():
        need(sorted(ids) == sorted(live.pop(key, [])), f"RT1: the list of live sells of {key} is wrong")
        need(len(ids) <= MAX_SELLS_PER_BOOK, f"RT1: {key} has {len(ids)} live sells")
    need(not live, f"RT1: live sells in no list: {dict(live)}")
