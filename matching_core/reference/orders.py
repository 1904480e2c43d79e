"""What participants ask for: NEW, CANCEL, REDUCE, REPLACE, AMEND, and every reason to say no.

Rules kept here: checks go in the numeric order of RejectReason, then of DenyReason, and only then does anything
change (C8, AM6). The id finds the order; its account must match; side, account and flags never change (AM5, AM8).
"""

from copy import copy

from ..enums import (
    BookRule,
    CancelReason,
    Kind,
    Op,
    OrderType,
    Phase,
    RejectReason,
    Side,
    StpMode,
    TimeInForce,
)
from ..limits import MAX_MONEY_MICRO, MAX_ORDER_ID, MAX_PRICE_TICKS, MAX_QTY_LOTS, MAX_SLICES
from ..records import Command
from . import bands
from .bits import (
    ALL_CALLS,
    ALL_FLAGS,
    AUCTION_ONLY,
    HIDDEN,
    ICEBERG,
    INDIVISIBLE,
    MIN_QTY,
    NO_CANCEL,
    POST_ONLY,
    SLID,
    STANDBY,
)
from .book import Book
from .cover import hold, reserve, why_denied
from .matching import first_tradable, work
from .queue import shrink, unrest, withdraw
from .state import RESTING, LiveOrder, Rules

_WITH_AUX = ICEBERG | MIN_QTY | AUCTION_ONLY
_FOR_RESTING = POST_ONLY | ICEBERG | STANDBY


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {Op.NEW: new, Op.CANCEL: cancel, Op.REDUCE: reduce, Op.REPLACE: replace, Op.AMEND: amend}
    return {op: (lambda c, apply=apply: apply(engine, c)) for op, apply in table.items()}


# --- NEW ---


def new(engine, c: Command) -> None:
    """Apply NEW: ACCEPTED and what follows from it, or one refusal."""
    book = engine.book_of(c.book)
    if book is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if reason := _why_new_rejected(engine, c, book):
        engine.reject(c, reason)
        return
    order = _order_of(engine, c)
    slid = 0
    if c.flags & POST_ONLY and book.rules.phase == Phase.OPEN:
        if not _keep_passive(order, book):
            engine.reject(c, RejectReason.WOULD_TRADE)
            return
        slid = SLID if order.price != c.price else 0
    if reason := why_denied(engine, order, book, hold_before=0, lots_before=0):
        engine.deny(c, reason)
        return
    reserve(engine, order, book, hold_before=0, lots_before=0)
    is_hidden = order.may_rest and order.displayed < order.leaves
    engine.tell(Kind.ACCEPTED, order, flags=slid | (HIDDEN if is_hidden else 0), qty=order.qty,
                leaves=order.leaves, contra_leaves=hold(engine, order, book))  # fmt: skip
    work(engine, order, book)


def _order_of(engine, c: Command) -> LiveOrder:
    expiry_ns = c.expiry_ns if c.tif == TimeInForce.GTD else 0
    fee_ppm = engine.fees_ppm[0] if engine.check_funds and c.side == Side.BUY else 0
    aux = c.aux if c.flags & _WITH_AUX else 0
    return LiveOrder(c.order_id, c.book, c.side, c.account, c.price, c.qty, c.qty, c.client_ref, c.tif, expiry_ns,
                     fee_ppm, order_type=c.order_type, flags=c.flags, stp=c.stp, aux=aux)  # fmt: skip


def _keep_passive(order: LiveOrder, book: Book) -> bool:
    """PO1: whether the order would rest, if need be one tick behind where the book slides and that price is fair."""
    maker = first_tradable(order, book)
    if maker is None:
        return True
    if not book.rules.flags & BookRule.SLIDE:
        return False
    order.price = maker.price - 1 if order.side == Side.BUY else maker.price + 1
    is_fair = 1 <= order.price <= MAX_PRICE_TICKS and not bands.is_limit_outside(order.price, book.rules)
    return is_fair and order.price * order.qty * book.value_micro <= MAX_MONEY_MICRO


def _why_new_rejected(engine, c: Command, book: Book) -> int:
    if reason := why_id_rejected(engine, c):
        return reason
    if not _is_offered(c, book):
        return RejectReason.INVALID_FIELD
    if not 1 <= c.price <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if not 1 <= c.qty <= book.max_lots or not _is_aux_fair(c):
        return RejectReason.INVALID_QTY
    if c.price * c.qty * book.value_micro > MAX_MONEY_MICRO:
        return RejectReason.INVALID_NOTIONAL
    if c.tif == TimeInForce.GTD and c.expiry_ns <= engine.now_ns:
        return RejectReason.INVALID_EXPIRY
    if not _is_taken_now(c, book.rules):
        return RejectReason.PHASE
    if engine.is_id_taken(c.order_id):
        return RejectReason.DUPLICATE_ID
    if len(engine.live) >= engine.max_orders:
        return RejectReason.BOOK_FULL
    if c.order_type == OrderType.LIMIT and bands.is_limit_outside(c.price, book.rules):
        return RejectReason.PRICE_BAND
    return 0


def _is_offered(c: Command, book: Book) -> bool:
    """Whether type, time in force and flags exist and go together (PO3, IC6, T4, EM1, BB1)."""
    if c.side > Side.SELL or c.order_type > OrderType.MARKET or c.tif > TimeInForce.DAY:
        return False
    if c.flags & ~ALL_FLAGS or c.stp > StpMode.DECREMENT:
        return False
    is_resting_limit = c.order_type == OrderType.LIMIT and c.tif in RESTING
    if c.flags & _FOR_RESTING and not is_resting_limit:
        return False
    if c.flags & ICEBERG and c.flags & MIN_QTY:
        return False
    if c.flags & STANDBY and (c.side != Side.SELL or not book.rules.end_ns):
        return False
    if c.flags & INDIVISIBLE and c.side != Side.SELL:
        return False
    if c.flags & AUCTION_ONLY:
        is_alone = c.flags == AUCTION_ONLY and 0 <= c.aux <= ALL_CALLS
        return is_alone and c.tif in RESTING
    return c.order_type == OrderType.LIMIT or c.tif in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)


def _is_aux_fair(c: Command) -> bool:
    """IC6, MQ1: peak and minimum are 1 to the total; an iceberg has at most MAX_SLICES slices."""
    if not c.flags & (ICEBERG | MIN_QTY):
        return True
    return 1 <= c.aux <= c.qty and (not c.flags & ICEBERG or c.qty <= c.aux * MAX_SLICES)


def _is_taken_now(c: Command, rules: Rules) -> bool:
    """H1, M4, T4: which orders a phase takes."""
    if rules.phase == Phase.OPEN:
        return not c.flags & AUCTION_ONLY
    if rules.phase != Phase.AUCTION or c.tif not in RESTING or c.flags & MIN_QTY:
        return False
    if c.flags & AUCTION_ONLY:
        return not c.aux or bool(c.aux & rules.call)
    return c.order_type == OrderType.LIMIT


def why_id_rejected(engine, c: Command) -> int:
    """What every operation on an order must satisfy."""
    if engine.check_funds and not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    if c.reserved or not 1 <= c.order_id <= MAX_ORDER_ID:
        return RejectReason.INVALID_FIELD
    return 0


def why_order_op_rejected(engine, c: Command) -> int:
    """As why_id_rejected, for operations that take no flags."""
    if reason := why_id_rejected(engine, c):
        return reason
    return RejectReason.INVALID_FIELD if c.flags or c.stp else 0


# --- CANCEL, REDUCE, REPLACE, AMEND ---


def cancel(engine, c: Command) -> None:
    """Apply CANCEL; X4: allowed in every phase but the no-cancel tail of a call."""
    if reason := why_order_op_rejected(engine, c) or _why_not_mine(engine, c):
        engine.reject(c, reason)
        return
    order = engine.live[c.order_id]
    if is_no_cancel(engine.open_books[order.book].rules):
        engine.reject(c, RejectReason.PHASE)
        return
    withdraw(engine, order, Kind.CANCELED, CancelReason.ASKED)


def is_no_cancel(rules: Rules) -> bool:
    """X4: whether this is the tail of a call in which orders stay as they are."""
    return rules.phase == Phase.AUCTION and bool(rules.call & NO_CANCEL)


def reduce(engine, c: Command) -> None:
    """Apply REDUCE: fewer open lots in the same place."""
    if reason := why_order_op_rejected(engine, c) or why_qty_invalid(c) or _why_not_mine(engine, c):
        engine.reject(c, reason)
        return
    order = engine.live[c.order_id]
    book = engine.open_books[order.book]
    if c.qty >= order.leaves:
        engine.reject(c, RejectReason.INVALID_QTY)
    elif is_no_cancel(book.rules):
        engine.reject(c, RejectReason.PHASE)
    else:
        shrink(engine, order, book, leaves=c.qty)


def replace(engine, c: Command) -> None:
    """Apply REPLACE: new price, new open quantity, always a new place."""
    if reason := _why_change_rejected(engine, c):
        engine.reject(c, reason)
        return
    _requeue(engine, c, engine.live[c.order_id], leaves=c.qty)


def amend(engine, c: Command) -> None:
    """Apply AMEND: new price, new total; AM1-AM4 say what becomes of its place."""
    if reason := _why_change_rejected(engine, c):
        engine.reject(c, reason)
        return
    order = engine.live[c.order_id]
    leaves = c.qty - (order.qty - order.leaves)
    if leaves <= 0:
        withdraw(engine, order, Kind.CANCELED, CancelReason.AMENDED)  # AM4
    elif c.price == order.price and leaves <= order.leaves:
        shrink(engine, order, engine.open_books[order.book], leaves)  # AM2, AM3
    else:
        _requeue(engine, c, order, leaves)  # AM1


def _why_change_rejected(engine, c: Command) -> int:
    """REPLACE and AMEND: what holds for any price and quantity, then what needs the order and its book."""
    if reason := why_order_op_rejected(engine, c):
        return reason
    if not 1 <= c.price <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if reason := why_qty_invalid(c) or _why_not_mine(engine, c):
        return reason
    order = engine.live[c.order_id]
    book = engine.open_books[order.book]
    filled = order.qty - order.leaves
    leaves = c.qty if c.op == Op.REPLACE else c.qty - filled
    is_too_many_slices = order.is_iceberg and filled + leaves > order.aux * MAX_SLICES
    if filled + leaves > book.max_lots or is_too_many_slices:
        return RejectReason.INVALID_QTY
    if order.done_micro + c.price * max(leaves, 0) * book.value_micro > MAX_MONEY_MICRO:
        return RejectReason.INVALID_NOTIONAL
    if book.rules.phase not in (Phase.OPEN, Phase.AUCTION) or is_no_cancel(book.rules):
        return RejectReason.PHASE
    is_new_limit = c.price != order.price and order.order_type == OrderType.LIMIT and leaves > 0
    if is_new_limit and bands.is_limit_outside(c.price, book.rules):
        return RejectReason.PRICE_BAND
    return 0


def _why_not_mine(engine, c: Command) -> int:
    order = engine.live.get(c.order_id)
    return 0 if order and order.account == c.account else RejectReason.UNKNOWN_ORDER


def _requeue(engine, c: Command, order: LiveOrder, leaves: int) -> None:
    """The order leaves its place and meets the book as a taker with its new price and open quantity."""
    book = engine.open_books[order.book]
    hold_before, lots_before = hold(engine, order, book), order.leaves
    wanted = copy(order)
    wanted.price, wanted.leaves, wanted.qty = c.price, leaves, order.qty - order.leaves + leaves
    is_passive = order.flags & POST_ONLY and book.rules.phase == Phase.OPEN
    if is_passive and first_tradable(wanted, book):
        engine.reject(c, RejectReason.WOULD_TRADE)  # PO5: it never slides
        return
    if reason := why_denied(engine, wanted, book, hold_before, lots_before):
        engine.deny(c, reason)
        return
    unrest(engine, order, book)
    reserve(engine, wanted, book, hold_before, lots_before)
    engine.tell(Kind.REPLACED, wanted, qty=wanted.qty, leaves=leaves, contra_leaves=hold(engine, wanted, book))
    work(engine, wanted, book)


def why_qty_invalid(c: Command) -> int:
    """INVALID_QTY unless the quantity is 1 to MAX_QTY_LOTS."""
    return 0 if 1 <= c.qty <= MAX_QTY_LOTS else RejectReason.INVALID_QTY
