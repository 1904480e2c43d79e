"""Self-trade prevention: what happens when an order's next maker is of the same firm.

Rules kept here: ST0 (the taker's mode decides, else the book's; no firm = off), ST1 (only when the maker's turn has
come), ST2 (a cancelled taker is gone), ST3 (a cancelled maker is told and freed like any other).
"""

from ..enums import CancelReason, Kind, StpMode
from .bits import SELF_TRADE
from .book import Book
from .queue import discard, shrink, withdraw
from .state import LiveOrder


def mode_of(taker: LiveOrder, book: Book) -> int:
    """The StpMode that a taker has in this book."""
    return taker.stp or book.rules.stp


def are_one_firm(engine, one: LiveOrder, other: LiveOrder) -> bool:
    """Whether both accounts are open and of the same firm; firm 0 is nobody's."""
    firm = engine.firm(one.account)
    return bool(firm) and firm == engine.firm(other.account)


def meet(engine, taker: LiveOrder, maker: LiveOrder, book: Book, mode: int) -> None:
    """Apply the mode to a taker and its own maker; the taker goes on if it has lots left."""
    lots = min(taker.leaves, maker.leaves)
    if mode == StpMode.CANCEL_OLDEST or mode == StpMode.CANCEL_BOTH:
        withdraw(engine, maker, Kind.CANCELED, CancelReason.SELF_TRADE)
    elif mode == StpMode.DECREMENT:
        if maker.leaves == lots:
            withdraw(engine, maker, Kind.CANCELED, CancelReason.SELF_TRADE)
        else:
            shrink(engine, maker, book, maker.leaves - lots, SELF_TRADE)
    if mode == StpMode.DECREMENT and taker.leaves > lots:
        shrink(engine, taker, book, taker.leaves - lots, SELF_TRADE)
    elif mode != StpMode.CANCEL_OLDEST:
        discard(engine, taker, book, CancelReason.SELF_TRADE)
