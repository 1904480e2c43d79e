"""The checksum by which a client knows that the book it keeps is the exchange's: CRC32 of the best of it, in whole numbers.

Pure functions; docs/protocol/stream.md publishes the rule with examples.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from zlib import crc32

LEVELS = 10  # of each side that count in depth, depth10 and depth50
ORDERS = 25  # of each side that count in orders


def book_checksum(bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]) -> int:
    """Of levels (ticks, lots), best first: bid, ask, bid, ask, … for as long as there are any, joined by colons."""
    return _crc(f"{level[0]}:{level[1]}" for level in _turns(bids[:LEVELS], asks[:LEVELS]))


def orders_checksum(bids: Sequence[tuple[str, int, int]], asks: Sequence[tuple[str, int, int]]) -> int:
    """Of orders (order_ref, ticks, lots) in priority, as `book_checksum`."""
    return _crc(f"{order[0]}:{order[1]}:{order[2]}" for order in _turns(bids[:ORDERS], asks[:ORDERS]))


def whole(text: str, unit: str) -> int:
    """How many units a decimal text is: ticks of a price by tick, lots of cards by 1/lots_per_card; ValueError if not whole."""
    count = Decimal(text) / Decimal(unit)
    if count != count.to_integral_value():
        raise ValueError(f"{text} is no whole number of {unit}")
    return int(count)


def _turns(bids: Sequence[tuple[object, ...]], asks: Sequence[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    for bid, ask in zip_longest(bids, asks):
        if bid is not None:
            yield bid
        if ask is not None:
            yield ask


def _crc(parts: Iterable[str]) -> int:
    return crc32(":".join(parts).encode())
