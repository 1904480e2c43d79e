"""An order joins the book, shrinks, and leaves it; whatever the reason, its cover and its place go with it.

Rules kept here: AM2 and IC5 (fewer lots in the same place; what is hidden goes first), IC2 and IC4 (which slice of an
iceberg stands in the queue), HM3 and ST3 (whoever leaves frees what he held, in one event), RT4 (what may suit a
waiting task is marked).
"""

from ..enums import BookRule, Kind, Side
from .bits import KEPT_PRIORITY, MIN_QTY
from .book import Book
from .cover import hold, reserve
from .state import LiveOrder


def rest(engine, order: LiveOrder, book: Book, taken: int = 0) -> None:
    """Queue what is left of an order after it has taken so many lots; an iceberg says which slice it shows."""
    enter(engine, order, book)
    if order.side == Side.SELL:
        engine.market.mark(book.book)  # RT4
    if order.is_iceberg:
        used = 0 if book.rules.flags & BookRule.FRESH_PEAK else taken % order.aux
        order.shown = min(order.aux - used, order.leaves)
        _tell_slice(engine, order)


def enter(engine, order: LiveOrder, book: Book) -> None:
    """Queue an order at the tail of its level and make it known by its id."""
    order.stamp = engine.next_stamp()
    engine.open_books[book.book] = book
    engine.live[order.order_id] = order
    book.add(order)
    if engine.check_funds and order.side == Side.SELL:
        engine.ledger.position(order.account, book.book).asks.append(order)


def unrest(engine, order: LiveOrder, book: Book) -> None:
    """Take an order out of its queue; nothing is freed."""
    _mark_less(engine, order, book)
    del engine.live[order.order_id]
    book.remove(order)
    if engine.check_funds and order.side == Side.SELL:
        asks = engine.ledger.position(order.account, book.book).asks
        asks[:] = [ask for ask in asks if ask is not order]


def _mark_less(engine, order: LiveOrder, book: Book) -> None:
    """RT4: a sell that shrinks, trades or leaves, as long as tasks wait."""
    if order.side == Side.SELL and engine.market.tasks:
        asks = engine.ledger.position(order.account, book.book).asks
        engine.market.mark_less(book.book, any(ask.flags & MIN_QTY for ask in asks))


def after_fill(engine, order: LiveOrder, book: Book, lots: int) -> None:
    """A resting order has traded so many lots: it goes when filled, and an iceberg shows its next slice (IC2)."""
    if order.leaves == 0:
        unrest(engine, order, book)
        return
    _mark_less(engine, order, book)
    if order.is_iceberg:
        order.shown -= lots
        if order.shown <= 0:
            replenish(engine, order, book)


def replenish(engine, order: LiveOrder, book: Book) -> None:
    """IC2: the next slice stands at the tail with a new stamp."""
    book.remove(order)
    order.stamp = engine.next_stamp()
    order.shown = min(order.aux, order.leaves)
    book.add(order)
    _tell_slice(engine, order)


def _tell_slice(engine, order: LiveOrder) -> None:
    engine.tell(Kind.REPLENISHED, order, qty=order.shown, leaves=order.leaves)


def shrink(engine, order: LiveOrder, book: Book, leaves: int, flags: int = 0) -> None:
    """Fewer open lots, or as many, in the same place of the queue; what an iceberg hides goes first (IC5)."""
    hold_before, lots_before = hold(engine, order, book), order.leaves
    order.qty -= order.leaves - leaves
    if leaves < lots_before and order.order_id in engine.live:
        _mark_less(engine, order, book)
    order.leaves = leaves
    order.shown = min(order.shown, leaves)
    reserve(engine, order, book, hold_before, lots_before)
    engine.tell(Kind.REPLACED, order, flags=KEPT_PRIORITY | flags, qty=order.qty, leaves=leaves,
                contra_leaves=hold(engine, order, book))  # fmt: skip


def discard(engine, order: LiveOrder, book: Book, reason: int) -> None:
    """Cancel what is left of an order that does not rest."""
    _release(engine, order, book, Kind.CANCELED, reason)
    close_if_idle(engine, book)


def withdraw(engine, order: LiveOrder, kind: int, reason: int) -> None:
    """Take a resting order out and free what it held; one event."""
    book = engine.open_books[order.book]
    unrest(engine, order, book)
    _release(engine, order, book, kind, reason)
    close_if_idle(engine, book)


def _release(engine, order: LiveOrder, book: Book, kind: int, reason: int) -> None:
    freed, lots = hold(engine, order, book), order.leaves
    order.leaves = 0
    reserve(engine, order, book, freed, lots)
    engine.tell(kind, order, reason=reason, qty=lots, leaves=0, contra_leaves=freed)


def close_if_idle(engine, book: Book) -> None:
    """An unlisted book without orders is no part of the state, unless it was set up."""
    if not book.listed and not book.is_set_up and book.is_empty:
        engine.open_books.pop(book.book, None)
        engine.market.dirty.discard(book.book)
