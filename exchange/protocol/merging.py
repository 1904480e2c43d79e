"""Several messages of one channel as one, for a late reader: by channel, on what is sent as well as on what a feed keeps.

The data of a message may be its struct of protocol.stream, or the same read from a frame with plain maps inside.
"""

from collections.abc import Callable, Sequence
from typing import Any

from exchange.protocol import stream as s

Merge = Callable[[list[Any]], Any]  # the data of several messages, oldest first, as the data of one

NOTHING = (0, "0")  # lots or cards of what is gone


def _get(thing: Any, name: str) -> Any:
    return thing[name] if type(thing) is dict else getattr(thing, name)


def newest(steps: list[Any]) -> Any:
    """Each message says all: the last one."""
    return steps[-1]


def merge_levels(steps: list[Any]) -> Any:
    """Changes of a book: the last word on each price."""
    bids: dict[Any, Any] = {}
    asks: dict[Any, Any] = {}
    for step in steps:
        bids.update(step.bids)
        asks.update(step.asks)
    return type(steps[-1])(bids=tuple(bids.items()), asks=tuple(asks.items()), checksum=steps[-1].checksum)


def merge_orders(steps: list[Any]) -> Any:
    """Changes of orders: what is gone first, then the last word on each other, in the order in which they came."""
    bids = fold_rows([row for step in steps for row in step.bids])
    asks = fold_rows([row for step in steps for row in step.asks])
    return type(steps[-1])(bids=bids, asks=asks, checksum=steps[-1].checksum)


def fold_rows(rows: Sequence[Any]) -> tuple[Any, ...]:
    """Rows (order, price, size) that do the same to a book as all of these."""
    gone: dict[Any, Any] = {}
    left: dict[Any, Any] = {}
    for row in rows:
        if row[2] in NOTHING:
            left.pop(row[0], None)
            gone[row[0]] = row
        else:
            left[row[0]] = row
    return (*gone.values(), *left.values())


def _last_words(*names: str) -> Merge:
    """The last word on each item; names: what tells one item from another."""

    def merge(steps: list[Any]) -> Any:
        items = {tuple([_get(item, name) for name in names]): item for step in steps for item in step.items}
        return type(steps[-1])(items=tuple(items.values()))

    return merge


merge_instruments = _last_words("family")
merge_named = _last_words("instrument")
merge_cells = _last_words("chip", "access_region", "latency_class", "deadline_hours", "price")
merge_candles = _last_words("start")

MERGES: dict[str, Merge | None] = {
    "instruments": merge_instruments, "status": newest, "top": newest, "depth": merge_levels, "depth10": merge_levels,
    "depth50": merge_levels, "orders": merge_orders, "trades": None, "candles": merge_candles, "prices": merge_named,
    "curve": merge_named, "lane": newest, "demand": merge_cells, "user": None,
}  # fmt: skip

DATA: dict[str, type[Any]] = {
    "instruments": s.InstrumentsData, "status": s.StatusData, "top": s.TopData, "depth": s.DepthData, "depth10": s.DepthData,
    "depth50": s.DepthData, "orders": s.OrdersData, "trades": s.TradesData, "candles": s.CandlesData, "prices": s.PricesData,
    "curve": s.CurveData, "lane": s.LaneData, "demand": s.DemandData, "user": s.UserData,
}  # fmt: skip
