"""What the reference engine's own structure must satisfy (C3, C4, C10), then the invariants that both engines share."""

from collections import Counter
from itertools import pairwise

from ..enums import MassFilter, OrderFlag, Phase, Side
from ..invariants import Money, check_capacity, check_money, check_orders, need
from ..views import Order
from . import audit_tasks
from .state import Rules


def check(engine) -> None:
    """Raise AssertionError naming the first broken invariant; O(state)."""
    _check_books(engine)
    orders = [order for book in engine.books() for order in engine.orders(book)]
    halted = {key for key, book in engine.open_books.items() if book.rules.phase != Phase.OPEN}
    check_orders(orders, engine.now_ns, halted)
    _check_calls(engine, orders)
    accounts = engine.ledger.accounts
    market = engine.market
    check_money(
        orders,
        {key: Money(tuple(entry.purses), entry.order_holds) for key, entry in accounts.items()},
        [(task.terms.account, task.held_micro) for task in market.tasks.values()],
    )
    if engine.check_funds:
        capacities = {
            key: (line.attested, line.open, line.sold) for key, line in engine.ledger.capacities.items()
        }
        asks = {key: [ask.order_id for ask in line.asks] for key, line in engine.ledger.positions.items()}
        groups = {key: book.group for key, book in engine.open_books.items()}
        check_capacity(orders, groups, capacities, asks, audit_tasks.residues(market))
    audit_tasks.check(engine)


def _check_books(engine) -> None:
    linked: Counter = Counter()
    for book in engine.open_books.values():
        is_state = book.listed or book.is_set_up or not book.is_empty
        need(is_state, f"counters: unlisted book {book.book} is kept without orders")
        need(
            book.gate_ns == 0 or book.gate_ns > engine.now_ns, f"T5: book {book.book} is open after its gate"
        )
        for side in Side:
            for key, level in book.sides[side].items():
                _check_level(book, side, abs(key), level)
                linked.update(level.keys())
    need(linked == Counter(engine.live.keys()), "C4: live ids and linked orders differ")
    need(len(engine.live) <= engine.max_orders, "counters: more live orders than max_orders")


def _check_calls(engine, orders: list[Order]) -> None:
    calls = {key for key, book in engine.open_books.items() if book.rules.phase == Phase.AUCTION}
    need(calls == engine.calls, "H1: the list of calls differs from the phases of the books")
    for order in orders:
        need(not order.flags & OrderFlag.AUCTION_ONLY or order.book in calls, f"T4: order {order.order_id} is not in a call")
        # without funds an account may be opened, and so join a killed firm, after its orders have come
        is_killed = (int(MassFilter.ACCOUNT), order.account) in engine.ledger.killed
        is_killed = is_killed or (engine.check_funds and engine.is_blocked(order.account))
        need(not is_killed, f"X3: order {order.order_id} is of a killed account")
    for book in engine.open_books.values():
        need(book.is_set_up or book.rules == Rules(), f"B4: book {book.book} has rules that nobody set")


def _check_level(book, side: Side, price: int, level) -> None:
    need(bool(level), f"C3: book {book.book} keeps the empty level {price}")
    need(
        all(a.stamp < b.stamp for a, b in pairwise(level.values())), f"C10: stamps at {price} do not increase"
    )
    for order_id, order in level.items():
        is_here = (order.book, order.side, order.price) == (book.book, side, price)
        need(is_here and order.order_id == order_id, f"C3: order {order_id} stands in the wrong place")
