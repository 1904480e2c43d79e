"""Block offers: capacity that is sold in blocks of a least size, kept beside the books.

Rules kept here: MB1 (a block offer is no ask), MB3, MB4 (what is left in a period ends at its gate), RT1 (residues count
as open capacity), RT4 (a change marks the books of what is left).
"""

from ..enums import CancelReason, DenyReason, ExpireReason, Kind, MassFilter, Op, RejectReason, Side
from ..limits import (
    MAX_MONEY_MICRO,
    MAX_ORDER_ID,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    MAX_WALK_PERIODS,
    PERIOD_BITS,
)
from ..records import Command
from ..views import BlockView
from .bits import BLOCK, INDIVISIBLE
from .book import Book
from .market import BlockOffer, book_of, family_of, period_of


def handlers(engine) -> dict:
    """Op -> what applies it."""
    table = {Op.BLOCK_OPEN: _open, Op.BLOCK_SET: _set, Op.BLOCK_CLOSE: _close}
    return {op: (lambda c, apply=apply: apply(engine, c)) for op, apply in table.items()}


# --- commands ---


def _open(engine, c: Command) -> None:
    if reason := _why_open_rejected(engine, c):
        engine.reject(c, reason)
        return
    if engine.ledger.is_blocked(c.account):
        engine.deny(c, DenyReason.BLOCKED)
        return
    first = period_of(c.book)
    engine.market.blocks[c.order_id] = BlockOffer(
        c.order_id, c.account, family_of(c.book), first, c.price, first, c.qty, c.aux, c.expiry_ns, c.client_ref, c.flags
    )
    engine.emit(Kind.BLOCK_OPENED, side=Side.SELL, book=c.book, order_id=c.order_id, contra_id=c.client_ref, price=c.price,
                qty=c.qty, leaves=c.aux, contra_leaves=c.expiry_ns)  # fmt: skip


def _why_open_rejected(engine, c: Command) -> int:
    if family_of(c.book) not in engine.market.families:
        return RejectReason.UNKNOWN_BOOK
    if reason := _why_id_rejected(engine, c):
        return reason
    first = period_of(c.book)
    is_length_fair = first < c.price <= min(first + MAX_WALK_PERIODS, 1 << PERIOD_BITS)
    if c.flags & ~INDIVISIBLE or not is_length_fair or not 1 <= c.aux <= MAX_WALK_PERIODS:
        return RejectReason.INVALID_FIELD
    if not 1 <= c.qty <= MAX_QTY_LOTS:
        return RejectReason.INVALID_QTY
    if c.expiry_ns < 0:
        return RejectReason.INVALID_EXPIRY
    return RejectReason.DUPLICATE_ID if engine.is_id_taken(c.order_id) else 0


def _why_id_rejected(engine, c: Command) -> int:
    if engine.check_funds and not engine.ledger.may_trade(c.account):
        return RejectReason.UNKNOWN_ACCOUNT
    is_fair = engine.check_funds and not c.reserved and 1 <= c.order_id <= MAX_ORDER_ID
    return 0 if is_fair else RejectReason.INVALID_FIELD


def _mine(engine, c: Command) -> BlockOffer | None:
    offer = engine.market.blocks.get(c.order_id)
    return offer if offer and offer.account == c.account else None


def _set(engine, c: Command) -> None:
    book = engine.open_books.get(c.book)
    if book is None or not book.listed:
        engine.reject(c, RejectReason.UNKNOWN_BOOK)
        return
    if reason := _why_set_rejected(engine, c, book):
        engine.reject(c, reason)
        return
    offer, period = engine.market.blocks[c.order_id], period_of(c.book)
    _, lots = offer.residues.get(period, (0, 0))
    if book.group and not engine.ledger.has_room(offer.account, book.group, c.qty - lots):
        engine.deny(c, DenyReason.CAPACITY)
        return
    _keep(engine, offer, period, c.price, c.qty)
    offer.next_period = max(offer.next_period, period + 1)
    engine.market.mark_residues(offer)
    engine.emit(Kind.BLOCK_CHANGED, book=c.book, order_id=c.order_id, contra_id=offer.client_ref,
                price=c.price if c.qty else 0, qty=c.qty, leaves=lots)  # fmt: skip
    close_if_over(engine, offer)


def _why_set_rejected(engine, c: Command, book: Book) -> int:
    if reason := _why_id_rejected(engine, c):
        return reason
    offer = _mine(engine, c)
    is_inside = offer and offer.first_period <= period_of(c.book) < offer.end_period
    if offer and not (is_inside and family_of(c.book) == offer.family):
        return RejectReason.INVALID_FIELD
    if c.qty > 0 and not 1 <= c.price <= MAX_PRICE_TICKS:
        return RejectReason.INVALID_PRICE
    if not 0 <= c.qty <= book.max_lots:
        return RejectReason.INVALID_QTY
    if c.qty and c.price * c.qty * book.value_micro > MAX_MONEY_MICRO:
        return RejectReason.INVALID_NOTIONAL
    if book.rules.is_gated:
        return RejectReason.PHASE
    return 0 if offer else RejectReason.UNKNOWN_ORDER


def _close(engine, c: Command) -> None:
    reason = _why_id_rejected(engine, c) or (0 if _mine(engine, c) else RejectReason.UNKNOWN_ORDER)
    if reason:
        engine.reject(c, reason)
        return
    _withdraw(engine, engine.market.blocks[c.order_id], CancelReason.ASKED)


# --- what happens to residues ---


def _keep(engine, offer: BlockOffer, period: int, price: int, lots: int) -> None:
    """A residue as it is from now on; RT1: open capacity follows."""
    _, before = offer.residues.pop(period, (0, 0))
    if lots:
        offer.residues[period] = (price, lots)
    group = engine.open_books[book_of(offer.family, period)].group
    if lots < before:
        engine.market.mark_less(book_of(offer.family, period))
    if lots != before:
        engine.ledger.resize_open(offer.account, group, lots - before)


def take(engine, offer: BlockOffer, period: int, lots: int) -> int:
    """A task has bought so many lots; returns what is left. Open capacity is counted with the trade."""
    price, before = offer.residues.pop(period)
    engine.market.mark_less(book_of(offer.family, period))
    if before > lots:
        offer.residues[period] = (price, before - lots)
    return before - lots


def close_if_over(engine, offer: BlockOffer) -> bool:
    """Forget an offer in which nothing is left; whether it went."""
    if offer.is_over:
        del engine.market.blocks[offer.order_id]
        engine.emit(Kind.BLOCK_CLOSED, order_id=offer.order_id, contra_id=offer.client_ref)
    return offer.is_over


def _end(engine, offer: BlockOffer, period: int, kind: int, reason: int) -> None:
    price, lots = offer.residues[period]
    _keep(engine, offer, period, 0, 0)
    engine.emit(kind, side=Side.SELL, reason=reason, flags=BLOCK, book=book_of(offer.family, period),
                order_id=offer.order_id, contra_id=offer.client_ref, price=price, qty=lots)  # fmt: skip


def _withdraw(engine, offer: BlockOffer, reason: int) -> None:
    for period in sorted(offer.residues):
        _end(engine, offer, period, Kind.CANCELED, reason)
    del engine.market.blocks[offer.order_id]
    engine.emit(Kind.BLOCK_CLOSED, order_id=offer.order_id, contra_id=offer.client_ref)


def kill(engine, who: tuple[int, int]) -> None:
    """X3: the block offers of an account or firm, by id."""
    for _, offer in sorted(engine.market.blocks.items()):
        if who[1] == (offer.account if who[0] == MassFilter.ACCOUNT else engine.firm(offer.account)):
            _withdraw(engine, offer, CancelReason.KILLED)


def expire(engine, book: int) -> None:
    """MB4: at the gate of a book what block offers have left there ends; a shorter run may now take the whole rest."""
    family, period = family_of(book), period_of(book)
    for _, offer in sorted(engine.market.blocks.items()):
        if offer.family == family and period in offer.residues:
            _end(engine, offer, period, Kind.EXPIRED, ExpireReason.GATE)
            if not close_if_over(engine, offer):
                engine.market.mark_residues(offer)


def view(offer: BlockOffer) -> BlockView:
    """What is told about a block offer when asked."""
    residues = tuple((period, *residue) for period, residue in sorted(offer.residues.items()))
    return BlockView(offer.order_id, offer.account, offer.family, offer.first_period, offer.end_period, offer.next_period,
                     offer.min_lots, offer.min_periods, offer.notice_ns, offer.flags, residues)  # fmt: skip
