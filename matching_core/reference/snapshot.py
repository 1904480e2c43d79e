"""Snapshot, restore and state hash of the reference engine: rows of `image` from the state, and back.

Rules kept here: rows are in canonical order, empty records are left out, a restore is all or nothing.
"""

from itertools import pairwise

from .. import image, loading
from ..enums import Side, TimeInForce
from ..limits import MAX_FEE_PPM, MAX_MONEY_MICRO, MAX_ORDER_ID, MAX_PRICE_TICKS
from .book import Book
from .state import Account, Capacity, LiveOrder


def write(engine) -> bytes:
    """The blob of an engine."""
    return image.encode(_sections(engine))


def state_hash(engine) -> int:
    """The hash of an engine's logical state."""
    return image.digest(_sections(engine))


def _sections(engine) -> dict[str, bytes]:
    listed = [book for _, book in sorted(engine.open_books.items()) if book.listed]
    return image.pack({
        "META": [(engine.next_seq, engine.max_orders)],
        "CORE": [(engine.now_ns, engine.check_funds, engine.listed_only, *engine.fees_ppm)],
        "BOOK": [(book.book, book.group, book.value_micro, book.max_order, book.gate_ns) for book in listed],
        "ACCT": [(account, entry.firm, *entry.purses) for account, entry in sorted(engine.ledger.accounts.items())],
        "CAPA": engine.ledger.capacity_rows(),
        "POSN": engine.ledger.position_rows(),
        "ORDR": [_order_row(order) for book in engine.books() for order in engine.open_books[book].walk()],
    })  # fmt: skip


def _order_row(o: LiveOrder) -> tuple:
    return (o.order_id, o.client_ref, o.price, o.qty, o.leaves, o.expiry_ns, o.done_micro, o.book, o.account,
            o.fee_ppm, o.side, o.tif, 0)  # fmt: skip


def read(engine_class, blob):
    """The engine of a blob; ValueError naming what is wrong with it."""
    rows = loading.read(blob)
    engine = engine_class(rows.max_orders, check_funds=rows.check_funds, listed_only=rows.listed_only)
    engine.next_seq, engine.now_ns, engine.fees_ppm = rows.next_seq, rows.now_ns, rows.fees_ppm
    for book, group, value_micro, max_order, gate_ns in rows.books:
        engine.open_books[book] = Book(book, value_micro, max_order, group, gate_ns)
        engine.open_books[book].listed = True
    for account, firm, *purses in rows.accounts:
        engine.ledger.accounts[account] = Account(firm, purses)
    for account, group, attested, sold in rows.capacities:
        engine.ledger.capacities[account, group] = Capacity(attested, 0, sold)
    for account, book, bought, sold in rows.positions:
        record = engine.ledger.position(account, book)
        record.bought, record.sold = bought, sold
    _read_orders(engine, rows.orders)
    try:
        engine.check()
    except AssertionError as broken:
        raise ValueError(f"snapshot breaks an invariant: {broken}") from None
    return engine


def _read_orders(engine, rows: bytes) -> None:
    """Orders rest one by one in the order of the walk, which gives back their places in the queues."""
    keys = []
    for row in image.ROWS["ORDR"].iter_unpack(rows):
        fields = dict(zip(image.ORDER_FIELDS, row, strict=True))
        loading.need(fields.pop("zero") == 0, "has padding that is not zero")
        order = LiveOrder(**fields)
        loading.need(_is_order_fair(engine, order), f"has order {order.order_id} with a field out of range")
        keys.append((order.book, order.side, order.price if order.side == Side.SELL else -order.price))
        book = engine.book_of(order.book)
        if engine.check_funds and order.side == Side.BUY:
            engine.ledger.accounts[order.account].order_holds += order.hold_micro(book.value_micro)
        elif engine.check_funds:
            is_covered = not book.group or engine.ledger.has_room(order.account, book.group, order.leaves)
            loading.need(is_covered, f"has order {order.order_id} without capacity")
            engine.ledger.resize_open(order.account, book.group, order.leaves)
        engine.rest(order, book)
    loading.need(all(low <= high for low, high in pairwise(keys)), "has orders out of order")


def _is_order_fair(engine, o: LiveOrder) -> bool:
    book = engine.book_of(o.book)
    if book is None or o.order_id in engine.live or not 1 <= o.order_id <= MAX_ORDER_ID or o.side > Side.SELL:
        return False
    if not (1 <= o.price <= MAX_PRICE_TICKS and 1 <= o.leaves <= o.qty <= book.max_lots):
        return False
    if o.tif not in (TimeInForce.GTC, TimeInForce.GTD) or (o.tif == TimeInForce.GTC) != (o.expiry_ns == 0):
        return False
    if o.expiry_ns < 0 or o.done_micro < 0 or o.fee_ppm > MAX_FEE_PPM:
        return False
    if engine.check_funds and not engine.ledger.may_trade(o.account):
        return False
    is_funded_buy = engine.check_funds and o.side == Side.BUY
    if not is_funded_buy and (o.done_micro or o.fee_ppm):
        return False
    return o.done_micro + o.price * o.leaves * book.value_micro <= MAX_MONEY_MICRO
