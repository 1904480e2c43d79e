"""How a book trades: rules, bands, reference and fix. All of them are commands, so a replay finds the same book (B4)."""

from ..enums import FixGrade, Kind, Op, RejectReason, StpMode, TiePolicy
from ..limits import MAX_PRICE_TICKS, PPM
from ..records import Command
from .bits import ALL_RULES
from .book import Book


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {
        Op.SET_BOOK: (_why_rules_rejected, _set_rules),
        Op.SET_BANDS: (_why_bands_rejected, _set_bands),
        Op.SET_REFERENCE: (_why_reference_rejected, _set_reference),
        Op.SET_FIX: (_why_fix_rejected, _set_fix),
    }
    return {op: (lambda c, why=why, then=then: _apply(engine, c, why, then)) for op, (why, then) in table.items()}


def _apply(engine, c: Command, why_rejected, then) -> None:
    book = engine.book_of(c.book)
    if book is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
    elif reason := (RejectReason.INVALID_FIELD if c.reserved else why_rejected(engine, c, book)):
        engine.reject(c, reason)
    else:
        engine.set_up(book)
        then(engine, c, book)


def _why_rules_rejected(engine, c: Command, book: Book) -> int:
    if c.flags & ~ALL_RULES or c.stp > StpMode.DECREMENT or c.order_type > TiePolicy.MIDPOINT or c.aux < 0:
        return RejectReason.INVALID_FIELD
    if not 0 <= c.price <= PPM:
        return RejectReason.INVALID_PRICE
    if not 0 <= c.qty <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_QTY
    is_end_fair = c.expiry_ns > max(engine.now_ns, book.gate_ns) and book.gate_ns
    if c.expiry_ns and not is_end_fair:
        return RejectReason.INVALID_EXPIRY
    return RejectReason.PHASE if book.rules.is_gated else 0


def _set_rules(engine, c: Command, book: Book) -> None:
    rules = book.rules
    rules.flags, rules.stp, rules.tie_policy, rules.cap_ppm = c.flags, c.stp, c.order_type, c.price
    rules.collar_ticks, rules.interval_ns, rules.end_ns = c.qty, c.aux, c.expiry_ns
    engine.emit(Kind.BOOK_SET, side=c.stp, flags=c.flags, book=c.book, order_id=c.order_type, contra_id=c.aux,
                price=c.price, qty=c.qty, leaves=c.expiry_ns)  # fmt: skip


def _why_bands_rejected(engine, c: Command, book: Book) -> int:
    if not 0 <= c.aux <= PPM:
        return RejectReason.INVALID_FIELD
    if not 0 <= c.price <= PPM:
        return RejectReason.INVALID_PRICE
    return 0 if 0 <= c.qty <= PPM else RejectReason.INVALID_QTY


def _set_bands(engine, c: Command, book: Book) -> None:
    book.rules.static_ppm, book.rules.dynamic_ppm, book.rules.corridor_ppm = c.price, c.qty, c.aux
    engine.market.mark(c.book)  # RT4
    engine.emit(Kind.BANDS_SET, book=c.book, price=c.price, qty=c.qty, leaves=c.aux)


def _why_reference_rejected(engine, c: Command, book: Book) -> int:
    return 0 if 0 <= c.price <= MAX_PRICE_TICKS else RejectReason.INVALID_PRICE


def _set_reference(engine, c: Command, book: Book) -> None:
    book.rules.reference = c.price
    engine.market.mark(c.book)  # RT4
    engine.emit(Kind.REFERENCE_SET, book=c.book, price=c.price)


def _why_fix_rejected(engine, c: Command, book: Book) -> int:
    if not FixGrade.A <= c.side <= FixGrade.C:
        return RejectReason.INVALID_FIELD
    return 0 if 1 <= c.price <= MAX_PRICE_TICKS else RejectReason.INVALID_PRICE


def _set_fix(engine, c: Command, book: Book) -> None:
    book.rules.fix, book.rules.grade, book.rules.fix_hash = c.price, c.side, c.client_ref
    engine.emit(Kind.FIX_SET, side=c.side, book=c.book, contra_id=c.client_ref, price=c.price)
