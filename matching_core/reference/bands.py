"""Price bands in whole numbers: is a price within so many millionths of another one; and how far a market order goes.

Rules kept here: B1 (cross-multiplied, never divided, so an edge is exact), B2 (limits outside the static band), B3 (the
dynamic band is around the last trade before the command), M2 (a market order stops at its worst price, at the collar
and at the edge of the static band, whichever comes first).
"""

from ..enums import OrderType, Side
from ..limits import PPM
from .book import Book
from .state import LiveOrder, Rules


def is_within(price: int, base: int, ppm: int) -> bool:
    """B1: |price - base| <= base x ppm / 10^6."""
    return abs(price - base) * PPM <= base * ppm


def is_limit_outside(price: int, rules: Rules) -> bool:
    """B2: whether a limit is outside the static band; without a band or a reference none is."""
    return bool(rules.static_ppm and rules.reference) and not is_within(price, rules.reference, rules.static_ppm)


def dynamic_base(rules: Rules) -> int:
    """B3: what prints are measured from during one command: the last trade, else the reference; 0 = no band."""
    return (rules.last or rules.reference) if rules.dynamic_ppm else 0


def may_print(price: int, base: int, rules: Rules) -> bool:
    """B3: whether a trade at this price is inside the dynamic band."""
    return base == 0 or is_within(price, base, rules.dynamic_ppm)


def worst_price(order: LiveOrder, book: Book) -> int:
    """How far an order goes as a taker: its limit, or what M2 leaves of a market order's worst price."""
    rules = book.rules
    if order.order_type == OrderType.LIMIT:
        return order.price
    stops = [order.price]
    best = book.best(1 - order.side)
    is_buy = order.side == Side.BUY
    if rules.collar_ticks and best:
        stops.append(best + rules.collar_ticks if is_buy else best - rules.collar_ticks)
    if rules.static_ppm and rules.reference:
        stops.append(upper_edge(rules.reference, rules.static_ppm) if is_buy
                     else lower_edge(rules.reference, rules.static_ppm))  # fmt: skip
    return min(stops) if is_buy else max(stops)


def upper_edge(base: int, ppm: int) -> int:
    """The highest price within a band."""
    return base * (PPM + ppm) // PPM


def lower_edge(base: int, ppm: int) -> int:
    """The lowest price within a band."""
    return -(base * (ppm - PPM) // PPM)
