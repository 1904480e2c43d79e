"""Commands that end many orders at once: mass cancel, kill switch, session close.

Rules kept here: X2 (filters, T3 order, one event each and a sum), X3 (a killed account or firm is blocked until it is
lifted), X4 (a mass cancel leaves out books in the no-cancel tail of a call, a kill does not), T2.
"""

from collections.abc import Callable

from ..enums import CancelReason, ExpireReason, Kind, MassFilter, Op, RejectReason, Side, TimeInForce
from ..records import Command
from . import blocks, waiting
from .bits import ALL_FILTERS
from .orders import is_no_cancel
from .queue import withdraw
from .state import LiveOrder, clamp_count
from .venue import in_walk_order

_MAX_FIRM = 2**32 - 1


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {Op.MASS_CANCEL: _mass_cancel, Op.SESSION_CLOSE: _close_session, Op.KILL: _kill, Op.LIFT: _lift}
    return {op: (lambda c, apply=apply: apply(engine, c)) for op, apply in table.items()}


def _sweep(engine, is_due: Callable[[LiveOrder], bool], kind: int, reason: int) -> dict[str, int]:
    """End every order that is due, in T3 order; returns how many orders and lots, as fields of an event."""
    due = in_walk_order(engine, is_due)
    lots = sum(order.leaves for order in due)
    for order in due:
        withdraw(engine, order, kind, reason)
    return {"qty": len(due), "leaves": clamp_count(lots)}


def _mass_cancel(engine, c: Command) -> None:
    if reason := _why_mass_cancel_rejected(engine, c):
        engine.reject(c, reason)
        return
    fields = _sweep(engine, lambda order: _is_meant(engine, c, order), Kind.CANCELED, CancelReason.MASS)
    engine.emit(
        Kind.MASS_CANCELED,
        flags=c.flags,
        side=c.side if c.flags & MassFilter.SIDE else 0,
        book=c.book if c.flags & MassFilter.BOOK else 0,
        order_id=c.account if c.flags & MassFilter.ACCOUNT else 0,
        contra_id=c.aux if c.flags & MassFilter.FIRM else 0,
        **fields,
    )


def _is_meant(engine, c: Command, order: LiveOrder) -> bool:
    is_account = not c.flags & MassFilter.ACCOUNT or order.account == c.account
    is_firm = not c.flags & MassFilter.FIRM or engine.firm(order.account) == c.aux
    is_book = not c.flags & MassFilter.BOOK or order.book == c.book
    is_side = not c.flags & MassFilter.SIDE or order.side == c.side
    return is_account and is_firm and is_book and is_side and not is_no_cancel(engine.open_books[order.book].rules)


def _why_mass_cancel_rejected(engine, c: Command) -> int:
    if c.flags & MassFilter.BOOK and engine.book_of(c.book) is None:
        return RejectReason.UNKNOWN_BOOK
    if c.flags & MassFilter.ACCOUNT and engine.check_funds and not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    is_side_wrong = c.flags & MassFilter.SIDE and c.side > Side.SELL
    is_firm_wrong = c.flags & MassFilter.FIRM and not 1 <= c.aux <= _MAX_FIRM
    if c.reserved or c.flags & ~ALL_FILTERS or is_side_wrong or is_firm_wrong:
        return RejectReason.INVALID_FIELD
    return 0


def _close_session(engine, c: Command) -> None:
    """T2: every DAY order, or those of one book."""
    if c.flags & MassFilter.BOOK and engine.book_of(c.book) is None:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if c.reserved or c.flags & ~int(MassFilter.BOOK):
        engine.reject(c, RejectReason.INVALID_FIELD)
        return
    is_here = c.flags & MassFilter.BOOK
    fields = _sweep(engine, lambda order: order.tif == TimeInForce.DAY and (not is_here or order.book == c.book),
                    Kind.EXPIRED, ExpireReason.DAY)  # fmt: skip
    engine.emit(Kind.SESSION_CLOSED, flags=c.flags, book=c.book if is_here else 0, **fields)


def _kill(engine, c: Command) -> None:
    if reason := _why_kill_rejected(engine, c):
        engine.reject(c, reason)
        return
    who = _who(c)
    engine.ledger.killed.add(who)
    fields = _sweep(engine, lambda order: _is_of(engine, who, order), Kind.CANCELED, CancelReason.KILLED)
    waiting.kill(engine, who)
    blocks.kill(engine, who)
    engine.emit(Kind.KILLED, flags=who[0], order_id=who[1], **fields)


def _lift(engine, c: Command) -> None:
    if reason := _why_kill_rejected(engine, c):
        engine.reject(c, reason)
        return
    who = _who(c)
    if who not in engine.ledger.killed:
        engine.reject(c, RejectReason.UNKNOWN_ACCOUNT)
        return
    engine.ledger.killed.remove(who)
    engine.emit(Kind.LIFTED, flags=who[0], order_id=who[1])


def _who(c: Command) -> tuple[int, int]:
    """(MassFilter, account or firm) of a KILL or LIFT."""
    return c.flags, c.account if c.flags == MassFilter.ACCOUNT else c.aux


def _is_of(engine, who: tuple[int, int], order: LiveOrder) -> bool:
    return who[1] == (order.account if who[0] == MassFilter.ACCOUNT else engine.firm(order.account))


def _why_kill_rejected(engine, c: Command) -> int:
    if c.flags == MassFilter.ACCOUNT and engine.check_funds and not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    is_firm = c.flags == MassFilter.FIRM and 1 <= c.aux <= _MAX_FIRM
    return 0 if (c.flags == MassFilter.ACCOUNT or is_firm) and not c.reserved else RejectReason.INVALID_FIELD
