"""Single legs: TAKE buys from the asks of one account, whole or not at all, paid from HELD; and what it would cost.

Rules kept here: K2 (a leg is one command), the best ask of that account first, then first come (C5 among its own);
everybody else's orders are passed over and keep their priority. The fee continues from what the task has paid in
earlier legs, so the split into legs does not matter.
"""

from ..enums import DenyReason, EventFlag, Kind, RejectReason, Side, TimeInForce
from ..limits import FEE_TABLES, MAX_MONEY_MICRO, MAX_PRICE_TICKS
from ..records import Command
from .asks import walk_asks
from .book import Book
from .orders import why_order_op_rejected, why_qty_invalid
from .queue import after_fill, close_if_idle
from .state import LiveOrder, fee_micro


def take(engine, c: Command) -> None:
    """Apply TAKE: a TRADE and a POSTED per fill, or one refusal."""
    book = engine.book_of(c.book)
    if book is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if reason := _why_take_rejected(engine, c, book):
        engine.reject(c, reason)
        return
    fills = walk_asks(engine.ledger.asks(c.aux, c.book), c.price, c.qty)
    if fills is None:
        engine.reject(c, RejectReason.NOT_ENOUGH_DEPTH)
        return
    leg = LiveOrder(c.order_id, c.book, Side.BUY, c.account, c.price, c.qty, c.qty, c.client_ref, TimeInForce.IOC,
                    0, engine.fees_ppm[c.order_type], done_micro=c.client_ref)  # fmt: skip
    cost = sum(ask.price * lots for ask, lots in fills) * book.value_micro
    fee = fee_micro(leg.fee_ppm, leg.done_micro + cost) - fee_micro(leg.fee_ppm, leg.done_micro)
    if cost + fee > engine.ledger.free_held(c.account):
        engine.deny(c, DenyReason.INSUFFICIENT_FUNDS)
        return
    if engine.ledger.is_blocked(c.account):
        engine.deny(c, DenyReason.BLOCKED)
        return
    for ask, lots in fills:
        _fill(engine, leg, ask, book, lots)


def _why_take_rejected(engine, c: Command, book: Book) -> int:
    if engine.check_funds and not engine.ledger.may_trade(c.aux):
        return RejectReason.UNKNOWN_ACCOUNT
    if reason := why_order_op_rejected(engine, c):
        return reason
    if not engine.check_funds or c.side != Side.BUY or c.order_type >= FEE_TABLES:
        return RejectReason.INVALID_FIELD
    if not 1 <= c.price <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if reason := why_qty_invalid(c):
        return reason
    if c.price * c.qty * book.value_micro + c.client_ref > MAX_MONEY_MICRO:
        return RejectReason.INVALID_NOTIONAL
    if not book.rules.is_takeable:
        return RejectReason.PHASE
    return RejectReason.DUPLICATE_ID if engine.is_id_taken(c.order_id) else 0


def _fill(engine, leg: LiveOrder, ask: LiveOrder, book: Book, lots: int) -> None:
    leg.leaves -= lots
    ask.leaves -= lots
    cost = ask.price * lots * book.value_micro
    fee = engine.ledger.post(leg, cost)
    about = {"side": Side.BUY, "flags": EventFlag.TAKE, "book": book.book, "order_id": leg.order_id}
    engine.emit(Kind.TRADE, contra_id=ask.order_id, price=ask.price, qty=lots, leaves=leg.leaves,
                contra_leaves=ask.leaves, **about)  # fmt: skip
    engine.emit(Kind.POSTED, contra_id=leg.account, price=fee, qty=cost, contra_leaves=ask.account, **about)
    engine.ledger.count_trade(leg.account, ask.account, book.book, book.group, lots)
    after_fill(engine, ask, book, lots)
    close_if_idle(engine, book)


def walk_cost(engine, account: int, book: int, qty: int) -> int:
    """Micro-yuan to buy qty from one account's asks in a book; -1 where it does not offer so much."""
    found = engine.open_books.get(book)
    is_open = found and found.rules.is_takeable and qty > 0
    fills = walk_asks(engine.ledger.asks(account, book), MAX_PRICE_TICKS, qty) if is_open else None
    return -1 if fills is None else sum(ask.price * lots for ask, lots in fills) * found.value_micro
