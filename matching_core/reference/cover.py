"""What an order needs behind it: money for a buy, capacity for a sell; and the money side of a fill.

Rules kept here: HM2 (holds are on the total, IC7; a market buy holds at its worst price, M3), RT1, X3 (who is blocked).
"""

from ..enums import Bucket, DenyReason, Kind, Side
from ..limits import MAX_SELLS_PER_BOOK
from .book import Book
from .state import LiveOrder


def hold(engine, order: LiveOrder, book: Book) -> int:
    """HM2: micro-yuan in HELD for this order; 0 for sells and where funds are not checked."""
    return order.hold_micro(book.value_micro) if engine.check_funds else 0


def why_denied(engine, wanted: LiveOrder, book: Book, hold_before: int, lots_before: int) -> int:
    """0, or the smallest DenyReason of what the order wants above what it has."""
    if engine.check_funds and (reason := _why_not_covered(engine, wanted, book, hold_before, lots_before)):
        return reason
    return DenyReason.BLOCKED if engine.ledger.is_blocked(wanted.account) else 0


def _why_not_covered(engine, wanted: LiveOrder, book: Book, hold_before: int, lots_before: int) -> int:
    if wanted.side == Side.BUY:
        cash = engine.ledger.accounts[wanted.account].purses[Bucket.CASH]
        return DenyReason.INSUFFICIENT_FUNDS if hold(engine, wanted, book) - hold_before > cash else 0
    if book.group and not engine.ledger.has_room(wanted.account, book.group, wanted.leaves - lots_before):
        return DenyReason.CAPACITY
    is_one_more = lots_before == 0 and wanted.may_rest
    if is_one_more and len(engine.ledger.asks(wanted.account, book.book)) >= MAX_SELLS_PER_BOOK:
        return DenyReason.TOO_MANY_SELLS
    return 0


def reserve(engine, order: LiveOrder, book: Book, hold_before: int, lots_before: int) -> None:
    """Bring hold or open capacity to what the order needs now."""
    if not engine.check_funds:
        return
    if order.side == Side.BUY:
        engine.ledger.resize_hold(order.account, hold(engine, order, book) - hold_before)
    else:
        engine.ledger.resize_open(order.account, book.group, order.leaves - lots_before)


def settle(
    engine, book: Book, buy: LiveOrder, sell: LiveOrder, price: int, lots: int, hold_before: int, flags: int = 0
) -> None:
    """HM2: cost and fee of a fill go from HELD to ESCROW, the rest of its hold is freed; told right after the TRADE."""
    if not engine.check_funds:
        return
    cost = price * lots * book.value_micro
    fee = engine.ledger.post(buy, cost)
    freed = hold_before - cost - fee - hold(engine, buy, book)
    engine.ledger.accounts[buy.account].order_holds -= cost + fee
    engine.ledger.resize_hold(buy.account, -freed)
    engine.emit(Kind.POSTED, side=Side.BUY, flags=flags, book=book.book, order_id=buy.order_id, contra_id=buy.account,
                price=fee, qty=cost, leaves=freed, contra_leaves=sell.account)  # fmt: skip
    engine.ledger.count_trade(buy.account, sell.account, book.book, book.group, lots)
