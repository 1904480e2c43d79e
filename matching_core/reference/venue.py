"""What the venue sets up: time, accounts, money, fees, listings, attested capacity. Participants cannot send these."""

from ..enums import DenyReason, ExpireReason, Kind, Op, RejectReason
from ..limits import (
    BUCKETS,
    FEE_TABLES,
    MAX_FEE_PPM,
    MAX_MONEY_MICRO,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
)
from ..records import Command
from . import blocks, drains, phases, tables, waiting
from .bits import STANDBY
from .book import Book
from .queue import withdraw
from .state import Account, Capacity

_MAX_GROUP = 2**32 - 1


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {
        Op.ADVANCE_TIME: _advance_time,
        Op.OPEN_ACCOUNT: _open_account,
        Op.TRANSFER: _transfer,
        Op.SET_FEE: _set_fee,
        Op.LIST_BOOK: _list_book,
        Op.SET_CAPACITY: _set_capacity,
        Op.ADJUST_SOLD: _adjust_sold,
    }
    return {op: (lambda c, apply=apply: apply(engine, c)) for op, apply in table.items()}


# --- time ---


def _advance_time(engine, c: Command) -> None:
    """T1, T3: tasks, then orders whose time is over; T5: books whose gate has come; then what the time brings to tasks."""
    if c.reserved:
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    if c.aux < engine.now_ns:
        engine.reject(c, RejectReason.TIME_BACKWARDS)
        return
    before_ns, engine.now_ns = engine.now_ns, c.aux
    for task in waiting.due(engine, c.aux):
        waiting.expire(engine, task)
    for order in in_walk_order(engine, lambda order: 0 < order.expiry_ns <= engine.now_ns):
        withdraw(engine, order, Kind.EXPIRED, ExpireReason.GTD)
    for book in [engine.open_books[book] for book in engine.books()]:
        if 0 < book.gate_ns <= engine.now_ns:
            _close_book(engine, book)
    tables.drop_old_loads(engine)
    waiting.step(engine)
    drains.come_into_sight(engine, before_ns)


def in_walk_order(engine, is_due) -> list:
    """T3: by book id, bids then asks, best to worst, first come first."""
    if not any(is_due(order) for order in engine.live.values()):
        return []
    return [order for book in engine.books() for order in engine.open_books[book].walk() if is_due(order)]


def _close_book(engine, book: Book) -> None:
    """T5: everything expires; EM1: but where the book lives on after its gate, asks marked standby stay as they are."""
    lives_on = not book.rules.is_gated and book.rules.end_ns > engine.now_ns
    blocks.expire(engine, book.book)
    orders = list(book.walk())
    leaving = [order for order in orders if not (lives_on and order.flags & STANDBY)]
    for order in leaving:
        withdraw(engine, order, Kind.EXPIRED, ExpireReason.GATE)
    if len(leaving) < len(orders):
        phases.gate(engine, book)
        engine.emit(Kind.BOOK_GATED, book=book.book, qty=len(orders) - len(leaving), leaves=book.gate_ns)
        return
    engine.calls.discard(book.book)
    del engine.open_books[book.book]
    engine.market.dirty.discard(book.book)
    engine.ledger.drop_book(book.book)
    if book.group and not _is_group_listed(engine, book.group):
        engine.ledger.drop_group(book.group)
    engine.emit(Kind.BOOK_CLOSED, book=book.book)


def _is_group_listed(engine, group: int) -> bool:
    return any(book.group == group for book in engine.open_books.values())


# --- accounts and money ---


def _open_account(engine, c: Command) -> None:
    if c.reserved:
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    if c.account in engine.ledger.accounts:
        engine.reject(c, RejectReason.ALREADY_EXISTS)
        return
    engine.ledger.accounts[c.account] = Account(firm=c.book)
    engine.emit(Kind.ACCOUNT_OPENED, order_id=c.account, contra_id=c.book)


def _transfer(engine, c: Command) -> None:
    if reason := _why_transfer_rejected(engine, c):
        engine.reject(c, reason)
        return
    if reason := engine.ledger.why_transfer_denied(c.account, c.side, c.book, c.order_type, c.qty):
        engine.deny(c, reason)
        return
    source, target = engine.ledger.accounts[c.account].purses, engine.ledger.accounts[c.book].purses
    source[c.side] -= c.qty
    target[c.order_type] += c.qty
    engine.emit(Kind.TRANSFERRED, side=c.side, flags=c.order_type, order_id=c.account, contra_id=c.book,
                price=_as_signed(c.client_ref), qty=c.qty, leaves=source[c.side],
                contra_leaves=target[c.order_type])  # fmt: skip


def _why_transfer_rejected(engine, c: Command) -> int:
    if c.account not in engine.ledger.accounts or c.book not in engine.ledger.accounts:
        return RejectReason.UNKNOWN_ACCOUNT
    is_same_purse = (c.account, c.side) == (c.book, c.order_type)
    if c.reserved or c.side >= BUCKETS or c.order_type >= BUCKETS or is_same_purse:
        return RejectReason.INVALID_FIELD
    return 0 if 1 <= c.qty <= MAX_MONEY_MICRO else RejectReason.INVALID_QTY


def _as_signed(client_ref: int) -> int:
    """The same 64 bits as a signed number: an event's price is signed."""
    return client_ref - 2**64 if client_ref >= 2**63 else client_ref


def _set_fee(engine, c: Command) -> None:
    if c.reserved or c.side >= FEE_TABLES:
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    if not 0 <= c.price <= MAX_FEE_PPM:
        engine.reject(c, RejectReason.INVALID_PRICE)
        return
    engine.fees_ppm[c.side] = c.price
    engine.emit(Kind.FEE_SET, side=c.side, price=c.price)


# --- books and capacity ---


def _list_book(engine, c: Command) -> None:
    if reason := _why_listing_rejected(engine, c):
        engine.reject(c, reason)
        return
    book = Book(c.book, c.price, c.qty, c.aux, c.expiry_ns)
    book.listed = True
    engine.open_books[c.book] = book
    engine.emit(Kind.BOOK_LISTED, book=c.book, contra_id=c.aux, price=c.price, qty=c.qty, leaves=c.expiry_ns)


def _why_listing_rejected(engine, c: Command) -> int:
    if c.reserved or not 0 <= c.aux <= _MAX_GROUP:
        return RejectReason.INVALID_FIELD
    if not 1 <= c.price <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if not 0 <= c.qty <= MAX_QTY_LOTS:
        return RejectReason.INVALID_QTY
    if c.expiry_ns and c.expiry_ns <= engine.now_ns:
        return RejectReason.INVALID_EXPIRY
    return RejectReason.ALREADY_EXISTS if c.book in engine.open_books else 0


def _set_capacity(engine, c: Command) -> None:
    if reason := _why_capacity_rejected(engine, c):
        engine.reject(c, reason)
        return
    if not 0 <= c.qty <= MAX_QTY_LOTS:
        engine.reject(c, RejectReason.INVALID_QTY)
        return
    record = engine.ledger.capacity(c.account, c.aux)
    if c.qty < record.open + record.sold:
        engine.deny(c, DenyReason.CAPACITY)
        return
    record.attested = c.qty
    _keep_capacity(engine, c, record, Kind.CAPACITY_SET)


def _adjust_sold(engine, c: Command) -> None:
    if reason := _why_capacity_rejected(engine, c):
        engine.reject(c, reason)
        return
    if c.qty == 0 or not -MAX_QTY_LOTS <= c.qty <= MAX_QTY_LOTS:
        engine.reject(c, RejectReason.INVALID_QTY)
        return
    record = engine.ledger.capacity(c.account, c.aux)
    if record.sold + c.qty < 0 or record.open + record.sold + c.qty > record.attested:
        engine.deny(c, DenyReason.CAPACITY)
        return
    record.sold += c.qty
    _keep_capacity(engine, c, record, Kind.SOLD_ADJUSTED)


def _why_capacity_rejected(engine, c: Command) -> int:
    if not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    if c.reserved or not 1 <= c.aux <= _MAX_GROUP or not _is_group_listed(engine, c.aux):
        return RejectReason.INVALID_FIELD
    return 0


def _keep_capacity(engine, c: Command, record: Capacity, kind: int) -> None:
    engine.ledger.capacities[c.account, c.aux] = record
    engine.emit(kind, order_id=c.account, contra_id=c.aux, price=record.attested, qty=c.qty, leaves=record.open,
                contra_leaves=record.sold)  # fmt: skip
