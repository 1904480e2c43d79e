"""Snapshot, restore and state hash of the reference engine: rows of `image` from the state, and back.

Rules kept here: rows are in canonical order, empty records are left out, a restore is all or nothing.
"""

from dataclasses import asdict
from itertools import pairwise

from .. import image, loading
from ..enums import OrderFlag, OrderType, Phase, Side, StpMode, TimeInForce
from ..limits import MAX_FEE_PPM, MAX_MONEY_MICRO, MAX_ORDER_ID, MAX_PRICE_TICKS, MAX_QTY_LOTS, MAX_SLICES
from . import snapshot_tasks
from .bits import ALL_CALLS, ALL_FLAGS
from .book import Book
from .queue import enter
from .state import RESTING, Account, Capacity, LiveOrder, Rules


def write(engine) -> bytes:
    """The blob of an engine."""
    return image.encode(_sections(engine))


def state_hash(engine) -> int:
    """The hash of an engine's logical state."""
    return image.digest(_sections(engine))


def _sections(engine) -> dict[str, bytes]:
    listed = [book for _, book in sorted(engine.open_books.items()) if book.listed]
    orders = [order for book in engine.books() for order in engine.open_books[book].walk()]
    return image.pack({
        "META": [(engine.next_seq, engine.max_orders)],
        "CORE": [(engine.now_ns, engine.check_funds, engine.listed_only, *engine.fees_ppm)],
        "BOOK": [(book.book, book.group, book.value_micro, book.max_order, book.gate_ns) for book in listed],
        "ACCT": [(account, entry.firm, *entry.purses) for account, entry in sorted(engine.ledger.accounts.items())],
        "CAPA": engine.ledger.capacity_rows(),
        "POSN": engine.ledger.position_rows(),
        "ORDR": [_order_row(order) for order in orders],
        "RULE": [_rule_row(book) for _, book in sorted(engine.open_books.items()) if book.is_set_up],
        "ORDX": [(order.order_id, order.aux, order.shown) for order in orders if order.aux],
        "KILL": sorted(engine.ledger.killed),
        **snapshot_tasks.sections(engine.market),
    })  # fmt: skip


def _order_row(o: LiveOrder) -> tuple:
    return (o.order_id, o.client_ref, o.price, o.qty, o.leaves, o.expiry_ns, o.done_micro, o.book, o.account,
            o.fee_ppm, o.side, o.tif, o.flags | o.order_type << image.TYPE_SHIFT | o.stp << image.STP_SHIFT)  # fmt: skip


def _rule_row(book: Book) -> tuple:
    values = asdict(book.rules) | {"zero": 0}
    return (book.book, *(values[name] for name in image.RULE_FIELDS))


def read(engine_class, blob):
    """The engine of a blob; ValueError naming what is wrong with it."""
    rows = loading.read(blob, engine_class.RULES_VERSION)
    engine = engine_class(rows.max_orders, check_funds=rows.check_funds, listed_only=rows.listed_only)
    engine.next_seq, engine.now_ns, engine.fees_ppm = rows.next_seq, rows.now_ns, rows.fees_ppm
    for book, group, value_micro, max_order, gate_ns in rows.books:
        engine.open_books[book] = Book(book, value_micro, max_order, group, gate_ns)
        engine.open_books[book].listed = True
    for number, *values in rows.rules:
        _read_rules(engine, number, values)
    engine.ledger.killed = set(rows.killed)
    for account, firm, *purses in rows.accounts:
        engine.ledger.accounts[account] = Account(firm, purses)
    for account, group, attested, sold in rows.capacities:
        engine.ledger.capacities[account, group] = Capacity(attested, 0, sold)
    for account, book, bought, sold in rows.positions:
        record = engine.ledger.position(account, book)
        record.bought, record.sold = bought, sold
    _read_orders(engine, rows.orders, rows.extras)
    snapshot_tasks.read(engine, rows.tables)
    try:
        engine.check()
    except AssertionError as broken:
        raise ValueError(f"snapshot breaks an invariant: {broken}") from None
    return engine


def _read_rules(engine, number: int, values: list[int]) -> None:
    fields = dict(zip(image.RULE_FIELDS, values, strict=True))
    del fields["zero"]
    book = engine.book_of(number)
    engine.set_up(book)
    book.rules = Rules(**fields)
    if book.rules.phase == Phase.AUCTION:
        engine.calls.add(number)


def _read_orders(engine, rows: bytes, extras: dict[int, tuple[int, int]]) -> None:
    """Orders rest one by one in the order of the walk, which gives back their places in the queues."""
    keys = []
    with_extras = []
    for row in image.ROWS["ORDR"].iter_unpack(rows):
        fields = dict(zip(image.ORDER_FIELDS, row, strict=True))
        marks = fields.pop("marks")
        order = LiveOrder(**fields, flags=marks & 0xFF, order_type=marks >> image.TYPE_SHIFT & 0xF,
                          stp=marks >> image.STP_SHIFT)  # fmt: skip
        if order.order_id in extras:
            order.aux, order.shown = extras[order.order_id]
            with_extras.append(order.order_id)
            loading.need(order.aux != 0, f"has an empty extra row of order {order.order_id}")
        loading.need(_is_order_fair(engine, order), f"has order {order.order_id} with a field out of range")
        keys.append((order.book, order.side, order.price if order.side == Side.SELL else -order.price))
        book = engine.book_of(order.book)
        if engine.check_funds and order.side == Side.BUY:
            engine.ledger.accounts[order.account].order_holds += order.hold_micro(book.value_micro)
        elif engine.check_funds:
            is_covered = not book.group or engine.ledger.has_room(order.account, book.group, order.leaves)
            loading.need(is_covered, f"has order {order.order_id} without capacity")
            engine.ledger.resize_open(order.account, book.group, order.leaves)
        enter(engine, order, book)
    loading.need(all(low <= high for low, high in pairwise(keys)), "has orders out of order")
    loading.need(with_extras == list(extras), "has extra rows of no order or out of order")


def _is_order_fair(engine, o: LiveOrder) -> bool:
    book = engine.book_of(o.book)
    if book is None or o.order_id in engine.live or not 1 <= o.order_id <= MAX_ORDER_ID or o.side > Side.SELL:
        return False
    if not (1 <= o.price <= MAX_PRICE_TICKS and 1 <= o.leaves <= o.qty <= book.max_lots):
        return False
    if o.tif not in RESTING or (o.tif != TimeInForce.GTD) != (o.expiry_ns == 0):
        return False
    if o.expiry_ns < 0 or o.done_micro < 0 or o.fee_ppm > MAX_FEE_PPM or not _are_marks_fair(o):
        return False
    if engine.check_funds and not engine.ledger.may_trade(o.account):
        return False
    is_funded_buy = engine.check_funds and o.side == Side.BUY
    if not is_funded_buy and (o.done_micro or o.fee_ppm):
        return False
    return o.done_micro + o.price * o.leaves * book.value_micro <= MAX_MONEY_MICRO


def _are_marks_fair(o: LiveOrder) -> bool:
    """Whether type, flags and what belongs to them could have come from a NEW; `check()` looks at the rest."""
    if o.order_type > OrderType.MARKET or o.stp > StpMode.DECREMENT or o.flags & ~ALL_FLAGS:
        return False
    if o.order_type == OrderType.MARKET and not o.is_for_call:
        return False
    if o.is_for_call:
        return o.flags == OrderFlag.AUCTION_ONLY and 0 <= o.aux <= ALL_CALLS and o.shown == 0
    if o.flags & (OrderFlag.STANDBY | OrderFlag.INDIVISIBLE) and o.side != Side.SELL:
        return False
    if o.is_iceberg:
        is_peak_fair = o.aux <= MAX_QTY_LOTS and o.qty <= o.aux * MAX_SLICES
        return not o.flags & OrderFlag.MIN_QTY and is_peak_fair and 1 <= o.shown <= min(o.aux, o.leaves)
    is_aux_fair = 1 <= o.aux <= MAX_QTY_LOTS if o.flags & OrderFlag.MIN_QTY else o.aux == 0
    return is_aux_fair and o.shown == 0
