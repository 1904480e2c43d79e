"""The uniform-price call auction: which price, how much, and who trades with whom.

Rules kept here: U1-U13, H4, ST4. Demand and supply are steps that change only next to a price of an order, so the best
prices are found among those and their neighbours, however wide the range. Market orders bring no candidate of their
own; they count wherever their worst price allows, and rank by it, ahead of limit orders at that price. A minimum
quantity does not apply in a call: one price for all leaves no room for it.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from ..enums import BookRule, CancelReason, Kind, OrderType, Side, TiePolicy
from . import bands, stp
from .bits import AUCTION, SELF_TRADE
from .book import Book, crosses
from .cover import hold, settle
from .queue import replenish, unrest, withdraw
from .state import LiveOrder, Rules, clamp_count


class Figures(NamedTuple):
    """What a call gives: price 0 and volume 0 where nothing crosses; surplus > 0 = more was bid than offered."""

    price: int
    volume: int
    surplus: int


NOTHING = Figures(0, 0, 0)


class _Steps:
    """Lots of one side at or better than a price."""

    def __init__(self, orders: Iterable[LiveOrder], is_buy: bool):
        self.sign = -1 if is_buy else 1  # best first is ascending
        lots: dict[int, int] = {}
        for order in orders:  # best to worst
            lots[self.sign * order.price] = lots.get(self.sign * order.price, 0) + order.leaves
        self.keys = list(lots)
        self.sums = [0, *accumulate(lots.values())]

    def at(self, price: int) -> int:
        return self.sums[bisect_right(self.keys, self.sign * price)]


def figures(book: Book) -> Figures:
    """U2-U7: price, volume and surplus of an uncross now; O(orders)."""
    bids, asks = (list(book.walk_side(side)) for side in Side)
    demand, supply = _Steps(bids, True), _Steps(asks, False)
    found = [
        Figures(price, min(demand.at(price), supply.at(price)), demand.at(price) - supply.at(price))
        for price in _candidates(bids, asks, book.rules)
    ]
    volume = max((each.volume for each in found), default=0)
    if volume == 0:
        return NOTHING  # U7
    found = [each for each in found if each.volume == volume]  # U2
    least = min(abs(each.surplus) for each in found)
    found = [each for each in found if abs(each.surplus) == least]  # U3
    price = _choose(found, book.rules)  # with MIDPOINT it may lie between two limits, where market orders add volume
    volume = min(demand.at(price), supply.at(price))
    return Figures(price, clamp_count(volume), clamp_count(demand.at(price) - supply.at(price)))


def _candidates(bids: list[LiveOrder], asks: list[LiveOrder], rules: Rules) -> list[int]:
    """U1, U6, ascending. Where every tick counts: the limits and both sides of each step; between them nothing changes."""
    limits = sorted({order.price for order in (*bids, *asks) if order.order_type == OrderType.LIMIT})
    if not limits:
        return [rules.base] if rules.base else []
    if rules.flags & BookRule.LIMITS_ONLY:
        return limits
    steps = {*limits, *(order.price + 1 for order in bids), *(order.price - 1 for order in asks)}
    steps |= {order.price for order in (*bids, *asks)}
    return sorted(price for price in steps if limits[0] <= price <= limits[-1])


def _choose(tied: list[Figures], rules: Rules) -> int:
    """U4, U5: one of the prices of equal volume and surplus; where every tick counts they are a whole range."""
    low, high = tied[0].price, tied[-1].price
    is_range = not rules.flags & BookRule.LIMITS_ONLY
    is_capped = rules.tie_policy == TiePolicy.CAPPED_PRESSURE and rules.base
    if tied[-1].surplus > 0:  # surplus falls as the price rises: here all is buy pressure
        if not is_capped:
            return high
        cap = bands.upper_edge(rules.base, rules.cap_ppm)
        return max(low, min(high, cap)) if is_range else max((t.price for t in tied if t.price <= cap), default=low)
    if tied[0].surplus < 0:
        if not is_capped:
            return low
        cap = bands.lower_edge(rules.base, rules.cap_ppm)
        return min(high, max(low, cap)) if is_range else min((t.price for t in tied if t.price >= cap), default=high)
    is_lower = bool(rules.flags & BookRule.TIE_LOWER)
    if rules.tie_policy == TiePolicy.MIDPOINT:
        return (low + high + (0 if is_lower else 1)) // 2
    if not rules.base:
        return low if is_lower else high
    if is_range:
        return min(max(rules.base, low), high)
    return min((t.price for t in tied),
               key=lambda price: (abs(price - rules.base), price if is_lower else -price))  # fmt: skip


# --- the uncross ---


def uncross(engine, book: Book) -> bool:
    """Trade at one price and end the call's own orders; False where H4 extends the call instead."""
    result = figures(book)
    if _is_outside_corridor(result, book.rules):
        book.rules.extensions += 1
        engine.emit(Kind.CALL_EXTENDED, book=book.book, contra_id=book.rules.extensions, price=result.price,
                    qty=result.volume, leaves=result.surplus)  # fmt: skip
        return False
    n_trades = _trade_all(engine, book, result) if result.volume else 0
    for order in [order for order in book.walk() if order.is_iceberg and order.shown <= 0]:
        replenish(engine, order, book)
    end_call_orders(engine, book)
    engine.emit(Kind.UNCROSSED, book=book.book, order_id=n_trades, price=result.price, qty=result.volume,
                leaves=result.surplus)  # fmt: skip
    if result.volume:
        book.rules.last = result.price
    return True


def _is_outside_corridor(result: Figures, rules: Rules) -> bool:
    """H4: the corridor is as many steps wide as the call has been tried."""
    width = rules.corridor_ppm * (rules.extensions + 1)
    return bool(result.volume and width and rules.base) and not bands.is_within(result.price, rules.base, width)


def end_call_orders(engine, book: Book) -> None:
    """T4, M1: whatever takes part in this call only is cancelled with it."""
    for order in [order for order in book.walk() if order.is_for_call]:
        withdraw(engine, order, Kind.CANCELED, CancelReason.CALL_OVER)


def _trade_all(engine, book: Book, result: Figures) -> int:
    """U8: buys and sells in their order of allocation, each pair for as many lots as both have; returns the trades."""
    bids, asks = (_allocations(book, side, result.price) for side in Side)
    missing, n_trades = min(sum(part[1] for part in bids), sum(part[1] for part in asks)), 0
    i = j = 0
    while missing:
        lots = min(bids[i][1], asks[j][1])
        _trade(engine, book, bids[i][0], asks[j][0], result.price, lots)
        missing, n_trades = missing - lots, n_trades + 1
        bids[i][1] -= lots
        asks[j][1] -= lots
        i, j = i + (bids[i][1] == 0), j + (asks[j][1] == 0)
    return n_trades


def _allocations(book: Book, side: Side, price: int) -> list[list]:
    """U8, U9: [order, lots] by price, within it market orders, then what stands in the queue, then what is hidden."""
    parts: list[list] = []
    for key, level in book.sides[side].items():
        if not crosses(side, abs(key), price):
            break
        markets = [order for order in level.values() if order.order_type == OrderType.MARKET]
        limits = [order for order in level.values() if order.order_type == OrderType.LIMIT]
        parts += [[order, order.leaves] for order in markets] + [[order, order.front] for order in limits]
        parts += [[order, order.leaves - order.front] for order in limits if order.leaves > order.front]
    return parts


def _trade(engine, book: Book, buy: LiveOrder, sell: LiveOrder, price: int, lots: int) -> None:
    hold_before = hold(engine, buy, book)
    own = SELF_TRADE if stp.are_one_firm(engine, buy, sell) else 0  # ST4
    for order in (buy, sell):
        order.leaves -= lots
        order.shown -= lots if order.is_iceberg else 0
    engine.emit(Kind.TRADE, side=Side.BUY, flags=AUCTION | own, book=book.book, order_id=buy.order_id,
                contra_id=sell.order_id, price=price, qty=lots, leaves=buy.leaves,
                contra_leaves=sell.leaves)  # fmt: skip
    settle(engine, book, buy, sell, price, lots, hold_before, AUCTION)
    for order in (buy, sell):
        if order.leaves == 0:
            unrest(engine, order, book)


# --- what is said meanwhile ---


def indicate(engine) -> None:
    """U11: after every command each call tells what it would give, if that is news and the interval is over."""
    for number in sorted(engine.calls):
        book = engine.open_books[number]
        rules = book.rules
        if rules.told_ns and engine.now_ns < rules.told_ns + rules.interval_ns:
            continue
        result = figures(book)
        if result != (rules.told_price, rules.told_volume, rules.told_surplus):
            rules.told_price, rules.told_volume, rules.told_surplus = result
            rules.told_ns = engine.now_ns
            engine.emit(Kind.INDICATIVE, book=number, price=result.price, qty=result.volume,
                        leaves=result.surplus)  # fmt: skip


def forget(rules: Rules) -> None:
    """The figures of a call go with it."""
    rules.told_price = rules.told_volume = rules.told_surplus = rules.told_ns = 0
    rules.extensions = 0
