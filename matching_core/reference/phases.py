"""The session of a book: which phase may follow which, what a call is called, and when it may end.

Rules kept here: H1 (only commands move a book on, and B3 where a taker does), H2 (a book comes to OPEN only through an
uncross), H3 (a call has the end that was drawn for it; the core draws nothing), T4, EM1.
"""

from ..enums import CallKind, Kind, Op, Phase, RejectReason
from ..records import Command
from . import auction
from .bits import ALL_CALL_FLAGS
from .book import Book

_IDLE = (Phase.PRE_OPEN, Phase.HALTED, Phase.CANCEL_ONLY, Phase.CLOSED)
_NEXT = {  # what SET_PHASE may do; OPEN, and CLOSED after a call, come from UNCROSS
    Phase.PRE_OPEN: (Phase.AUCTION, Phase.HALTED, Phase.CANCEL_ONLY, Phase.CLOSED),
    Phase.AUCTION: (Phase.AUCTION, Phase.HALTED, Phase.CANCEL_ONLY),
    Phase.OPEN: (Phase.AUCTION, *_IDLE),
    Phase.HALTED: (Phase.AUCTION, Phase.CANCEL_ONLY, Phase.CLOSED),
    Phase.CANCEL_ONLY: (Phase.AUCTION, Phase.HALTED, Phase.CLOSED),
    Phase.CLOSED: (Phase.PRE_OPEN, Phase.AUCTION, Phase.HALTED),
}
_AFTER_UNCROSS = (Phase.OPEN, Phase.CLOSED)


def handlers(engine) -> dict:
    """Op -> what applies it."""
    return {Op.SET_PHASE: lambda c: _set_phase(engine, c), Op.UNCROSS: lambda c: _uncross(engine, c)}


def _set_phase(engine, c: Command) -> None:
    book = engine.book_of(c.book)
    if book is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if reason := _why_phase_rejected(engine, c, book):
        engine.reject(c, reason)
        return
    _move(engine, book, c.aux, c.flags, c.expiry_ns if c.aux == Phase.AUCTION else 0)


def _why_phase_rejected(engine, c: Command, book: Book) -> int:
    is_call = c.aux == Phase.AUCTION
    if c.reserved or not Phase.PRE_OPEN <= c.aux <= Phase.CLOSED or c.flags & ~(ALL_CALL_FLAGS if is_call else 0):
        return RejectReason.INVALID_FIELD
    if is_call and c.expiry_ns and c.expiry_ns <= engine.now_ns:
        return RejectReason.INVALID_EXPIRY
    is_next = c.aux in _NEXT[Phase(book.rules.phase)] and not book.rules.is_gated
    return 0 if is_next else RejectReason.PHASE


def _uncross(engine, c: Command) -> None:
    """End a call: trade at one price, then go to the phase of aux; H4 may extend the call instead."""
    book = engine.book_of(c.book)
    if book is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if c.reserved or c.flags or c.aux not in _AFTER_UNCROSS:
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    if book.rules.phase != Phase.AUCTION or engine.now_ns < book.rules.call_end_ns:
        engine.reject(c, RejectReason.PHASE)
        return
    engine.market.mark(c.book)  # RT4
    if auction.uncross(engine, book):
        _move(engine, book, c.aux)


def call_volatility(engine, book: Book) -> None:
    """B3: a taker would have printed outside the dynamic band; the venue may set the end of this call later."""
    _move(engine, book, Phase.AUCTION, CallKind.VOLATILITY)


def gate(engine, book: Book) -> None:
    """EM1: from now on this is the emergency book, until its end."""
    _enter(engine, book, Phase.CANCEL_ONLY, 0, 0)
    book.rules.is_gated = 1
    book.gate_ns = book.rules.end_ns


def _move(engine, book: Book, phase: int, call: int = 0, call_end_ns: int = 0) -> None:
    before = book.rules.phase
    engine.set_up(book)
    engine.market.mark(book.book)  # RT4
    if before == Phase.AUCTION and phase != Phase.AUCTION:
        auction.end_call_orders(engine, book)
    _enter(engine, book, phase, call, call_end_ns)
    engine.emit(Kind.PHASE_SET, book=book.book, contra_id=call, price=phase, qty=before, leaves=call_end_ns)


def _enter(engine, book: Book, phase: int, call: int, call_end_ns: int) -> None:
    rules = book.rules
    if phase == Phase.AUCTION:
        engine.calls.add(book.book)
    else:
        engine.calls.discard(book.book)
        auction.forget(rules)
    rules.phase, rules.call, rules.call_end_ns = phase, call, call_end_ns
