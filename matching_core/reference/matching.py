"""The taker meets the book in continuous trading: what it may fill, what it fills, and what becomes of the rest.

Rules kept here: C5, C6 (best price, then first come, at the maker's price), F1-F4, MQ1, MQ2, IC3, M1, ST1, B3. A maker is
looked at in this order: is it within the limit, would its minimum be met, is it of the same firm, may it print. Before
anything trades, `executable` goes the same way without touching the book; both must always agree.
"""

from collections.abc import Iterable

from ..enums import CancelReason, Kind, OrderType, Phase, Side, StpMode, TimeInForce
from . import bands, phases, stp
from .book import Book, crosses
from .cover import hold, settle
from .queue import after_fill, close_if_idle, discard, rest
from .state import LiveOrder


def work(engine, order: LiveOrder, book: Book) -> None:
    """Trade what crosses; then rest, or cancel what may not rest. The order is in no queue yet."""
    if book.rules.phase != Phase.OPEN:  # a call collects
        rest(engine, order, book)
        return
    if reason := _why_not_at_all(engine, order, book):
        if reason == CancelReason.MIN_QTY and order.may_rest:
            rest(engine, order, book)
        else:
            discard(engine, order, book, reason)
        return
    filled_before = order.qty - order.leaves
    is_stopped = _match(engine, order, book)
    if order.leaves == 0:
        close_if_idle(engine, book)
    elif order.may_rest:
        rest(engine, order, book, taken=order.qty - order.leaves - filled_before)
    else:
        discard(engine, order, book, _why_over(order, is_stopped))
    if is_stopped:
        phases.call_volatility(engine, book)


def _why_not_at_all(engine, order: LiveOrder, book: Book) -> int:
    """F1, MQ1: 0, or why nothing of the order may trade now."""
    if order.tif == TimeInForce.FOK and executable(engine, order, book) < order.leaves:
        return CancelReason.FOK
    if order.minimum and executable(engine, order, book) < order.minimum:
        return CancelReason.MIN_QTY
    return 0


def _why_over(order: LiveOrder, is_stopped: bool) -> int:
    if is_stopped:
        return CancelReason.BAND
    return CancelReason.NO_LIQUIDITY if order.order_type == OrderType.MARKET else CancelReason.IOC


def _match(engine, taker: LiveOrder, book: Book) -> bool:
    """Trade while a maker is there; whether the dynamic band stopped it (B3)."""
    limit, mode = bands.worst_price(taker, book), stp.mode_of(taker, book)
    base = bands.dynamic_base(book.rules)  # as it was before this command: a sweep cannot carry its own band along
    passed: set[int] = set()
    while taker.leaves and (maker := book.next_maker(1 - taker.side, limit, passed)):
        if min(taker.leaves, maker.leaves) < maker.minimum:
            passed.add(maker.order_id)
        elif mode and stp.are_one_firm(engine, taker, maker):
            stp.meet(engine, taker, maker, book, mode)
        elif not bands.may_print(maker.price, base, book.rules):
            return True
        else:
            _trade(engine, taker, maker, book, min(taker.leaves, maker.front))
    return False


def executable(engine, taker: LiveOrder, book: Book) -> int:
    """How many lots `_match` would trade now; O(makers). Hidden slices follow once every maker of a level had its turn."""
    limit, mode = bands.worst_price(taker, book), stp.mode_of(taker, book)
    base = bands.dynamic_base(book.rules)
    missing, traded = taker.leaves, 0
    for key, level in book.sides[1 - taker.side].items():
        if missing == 0 or not crosses(1 - taker.side, abs(key), limit):
            break
        hidden = 0
        for maker in level.values():
            if missing == 0:
                break
            if min(missing, maker.leaves) < maker.minimum:
                continue
            if mode and stp.are_one_firm(engine, taker, maker):
                if mode in (StpMode.CANCEL_NEWEST, StpMode.CANCEL_BOTH):
                    return traded
                missing -= min(missing, maker.leaves) if mode == StpMode.DECREMENT else 0
                continue
            if not bands.may_print(maker.price, base, book.rules):
                return traded
            lots = min(missing, maker.front)
            missing, traded, hidden = missing - lots, traded + lots, hidden + maker.leaves - maker.front
        lots = min(missing, hidden)
        missing, traded = missing - lots, traded + lots
    return traded


def first_tradable(order: LiveOrder, book: Book) -> LiveOrder | None:
    """PO1: the first maker that the order would trade with, whoever owns it; None if it would rest."""
    makers: Iterable[LiveOrder] = book.walk_side(1 - order.side)
    for maker in makers:
        if not crosses(1 - order.side, maker.price, order.price):
            return None
        if min(order.leaves, maker.leaves) >= maker.minimum:
            return maker
    return None


def _trade(engine, taker: LiveOrder, maker: LiveOrder, book: Book, lots: int) -> None:
    """One fill at the maker's price, and the money and capacity that move with it."""
    buy, sell = (taker, maker) if taker.side == Side.BUY else (maker, taker)
    hold_before = hold(engine, buy, book)
    taker.leaves -= lots
    maker.leaves -= lots
    engine.emit(Kind.TRADE, side=taker.side, book=book.book, order_id=taker.order_id, contra_id=maker.order_id,
                price=maker.price, qty=lots, leaves=taker.leaves, contra_leaves=maker.leaves)  # fmt: skip
    settle(engine, book, buy, sell, maker.price, lots, hold_before)
    if book.is_set_up:
        if book.rules.dynamic_ppm and book.rules.last != maker.price:
            engine.market.mark(book.book)  # RT4: the band moves
        book.rules.last = maker.price
    after_fill(engine, maker, book, lots)
