"""Which sells a task may buy from, and what buying from them takes.

Rules kept here: RT6 (own firm, bands, phases; hidden size counts), EM2, EM4, BB1, MQ2. Best price first, then first come.
"""

from ..enums import FixGrade, Lane, Phase, TaskFlag
from ..limits import MAX_PRICE_TICKS
from ..task_records import TaskTerms
from . import bands
from .bits import INDIVISIBLE
from .book import Book
from .market import book_of
from .state import LiveOrder


def takeable_book(engine, lane: int, family: int, period: int) -> Book | None:
    """The book if tasks of that lane may buy there now."""
    book = engine.open_books.get(book_of(family, period))
    if book is None:
        return None
    is_emergency = bool(book.rules.is_gated) and lane == Lane.EMERGENCY
    return book if book.rules.phase == Phase.OPEN or is_emergency else None


def sells_to(engine, seller: int, buyer: int) -> bool:
    """RT6: whether the two are of different firms; firm 0 is nobody's, but nobody buys from himself."""
    firm = engine.firm(seller)
    return seller != buyer and (not firm or firm != engine.firm(buyer))


def usable_asks(engine, terms: TaskTerms, buyer: int, seller: int, book: Book) -> list[LiveOrder]:
    """One seller's asks in a takeable book that the task may buy from, best first; minima are not looked at."""
    if not sells_to(engine, seller, buyer):
        return []
    return [ask for ask in engine.ledger.asks(seller, book.book) if _is_usable(terms, ask, book)]


def _is_usable(terms: TaskTerms, ask: LiveOrder, book: Book) -> bool:
    if terms.flags & TaskFlag.INDIVISIBLE and not ask.flags & INDIVISIBLE:
        return False
    low, high = price_edges(book)
    return low <= ask.price <= high


def price_edges(book: Book) -> tuple[int, int]:
    """RT6, B1, EM4: the lowest and the highest price that a task takes here, both inside."""
    rules = book.rules
    low, high = 1, MAX_PRICE_TICKS
    for base, ppm in ((rules.reference, rules.static_ppm), (bands.dynamic_base(rules), rules.dynamic_ppm)):
        if base and ppm:
            low, high = max(low, bands.lower_edge(base, ppm)), min(high, bands.upper_edge(base, ppm))
    if rules.is_gated and rules.grade in (FixGrade.A, FixGrade.B):
        high = min(high, 2 * rules.fix)
    return low, high


def walk_asks(asks: list[LiveOrder], worst_price: int, qty: int) -> list[tuple[LiveOrder, int]] | None:
    """Which asks a purchase of qty meets, and for how many lots; None if they offer less within the price."""
    fills = []
    for ask in asks:
        if ask.price <= worst_price and qty > 0 and min(qty, ask.leaves) >= ask.minimum:  # MQ2
            fills.append((ask, min(qty, ask.leaves)))
            qty -= fills[-1][1]
    return fills if qty == 0 else None


def twelfths(engine, terms: TaskTerms, period: int) -> int:
    """EM2: the part of a period that a purchase of this lane pays for now."""
    return engine.market.grid.twelfths(period, engine.now_ns) if terms.lane == Lane.EMERGENCY else 12


def charge(price: int, lots: int, value_micro: int, k: int = 12) -> int:
    """EM2: what one fill costs, rounded down."""
    return price * lots * value_micro * k // 12
