"""A book that somebody follows, with its channels: top, depth and its shorter forms, and the orders themselves.

Every channel is told from one image of the book, which takes in the core's events; a channel nobody asked for costs nothing.
What a feed keeps is in ticks and lots; prices and cards are written when a message is first sent.
"""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from exchange.engine.book_image import WORST, BookImage, BookSide, Levels, OrderRow, Window
from exchange.engine.feeds import Feed
from exchange.protocol import stream as s
from exchange.protocol.checksum import ORDERS, orders_checksum
from exchange.protocol.measures import Measures
from exchange.protocol.merging import fold_rows

DEPTHS = {"depth": 1000, "depth10": 10, "depth50": 50}  # levels of each side
BOOK_CHANNELS = frozenset((*DEPTHS, "top", "orders"))
REF_BYTES = 8

Top = tuple[Levels, Levels]


class LevelSteps(NamedTuple):
    """What changed in one step of a depth channel."""

    bids: Levels
    asks: Levels
    checksum: int


class OrderSteps(NamedTuple):
    """What changed in one step of the orders channel."""

    bids: tuple[OrderRow, ...]
    asks: tuple[OrderRow, ...]
    checksum: int


class Refs:
    """Names of orders in an epoch that tell nothing of whose they are, nor which belong together."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __call__(self, order_id: int) -> str:
        """The same for the same order."""
        return blake2b(order_id.to_bytes(8), key=self._secret, digest_size=REF_BYTES).hexdigest()


class BookTexts:
    """Writes what books tell as it is sent."""

    def __init__(self, measures: Measures, refs: Refs) -> None:
        self.refs = refs
        self._measures, self._tick_micro = measures, measures.settings.tick_micro

    def price(self, ticks: int) -> str:
        """Yuan per card-hour."""
        return self._measures.yuan(ticks * self._tick_micro)

    def levels(self, levels: Levels) -> tuple[tuple[str, str], ...]:
        """(price, cards)."""
        cards = self._measures.cards_text
        return tuple([(self.price(ticks), cards(lots)) for ticks, lots in levels])

    def _orders(self, rows: tuple[OrderRow, ...]) -> tuple[tuple[str, str, str], ...]:
        cards = self._measures.cards_text
        return tuple([(self.refs(order_id), self.price(ticks), cards(lots)) for order_id, ticks, lots in rows])

    def depth_data(self, step: LevelSteps) -> s.DepthData:
        """Of a step, or of everything."""
        return s.DepthData(bids=self.levels(step.bids), asks=self.levels(step.asks), checksum=step.checksum)

    def orders_data(self, step: OrderSteps) -> s.OrdersData:
        """Of a step, or of everything."""
        return s.OrdersData(bids=self._orders(step.bids), asks=self._orders(step.asks), checksum=step.checksum)

    def nothing(self, channel: str) -> Any:
        """All of a book whose gate has closed."""
        if channel == "top":
            return self.top_data(((), ()))
        return self.orders_data(OrderSteps((), (), 0)) if channel == "orders" else self.depth_data(LevelSteps((), (), 0))

    def top_data(self, top: Top) -> s.TopData:
        """Of the best level of each side, if there is one."""
        bid, ask = self.levels(top[0]), self.levels(top[1])
        return s.TopData(
            bid=bid[0][0] if bid else None, bid_cards=bid[0][1] if bid else None,
            ask=ask[0][0] if ask else None, ask_cards=ask[0][1] if ask else None,
        )  # fmt: skip


class FollowedBook:
    """A book as the feeds last told of it."""

    def __init__(self, number: int, instrument: str, image: BookImage, texts: BookTexts) -> None:
        self.number, self.instrument, self.image = number, instrument, image
        self.feeds: dict[str, Feed] = {}
        self._texts = texts
        self._depths: list[tuple[Feed, Window, Window]] = []
        self._top: Top = self._best()
        self._checksum = 0  # of the orders
        self._counted: tuple[int, int] | tuple[()] = ()  # the last level of each side of which it is
        self._refs: dict[int, str] = {}  # of orders that counted in a checksum

    def add(self, feed: Feed) -> None:
        """One of its channels; told from the next step on."""
        self.feeds[feed.channel] = feed
        if feed.channel in DEPTHS:
            most = DEPTHS[feed.channel]
            feed.render = self._texts.depth_data
            self._depths.append((feed, Window(self.image.bids, -1, most), Window(self.image.asks, 1, most)))
        elif feed.channel == "top":
            feed.render = self._texts.top_data
            self._top = self._best()
        else:
            feed.render = self._texts.orders_data
            self._counted = ()

    def step(self, events: list[Any], now_ns: int) -> None:
        """Tells what changed since the last time, where anything has."""
        image = self.image
        image.take(events)
        if not image.is_changed:
            return
        checksum = image.checksum
        for feed, bid_window, ask_window in self._depths:
            bids, asks = bid_window.changes(), ask_window.changes()
            if bids or asks:
                feed.publish(now_ns, LevelSteps(bids, asks, checksum), len(bids) + len(asks))
        if "top" in self.feeds:
            self._step_top(now_ns)
        if "orders" in self.feeds:
            self._step_orders(now_ns)
        image.forget_changes()

    def close(self, events: list[Any], now_ns: int) -> None:
        """The gate has closed: whatever is left is not to be traded here."""
        self.image.take(events)
        self.image.clear()
        self.step([], now_ns)

    def everything(self, channel: str) -> Any:
        """The data of a snapshot."""
        image = self.image
        if channel == "top":
            return self._texts.top_data(self._best())
        if channel == "orders":
            bids, asks = tuple(image.bids.in_priority()), tuple(image.asks.in_priority())
            return self._texts.orders_data(OrderSteps(bids, asks, self._orders_checksum()))
        most = DEPTHS[channel]
        return self._texts.depth_data(LevelSteps(image.bids.levels(most), image.asks.levels(most), image.checksum))

    def _best(self) -> Top:
        return self.image.bids.levels(1), self.image.asks.levels(1)

    def _step_top(self, now_ns: int) -> None:
        top = self._best()
        if top != self._top:
            self._top = top
            self.feeds["top"].publish(now_ns, top, 1)

    def _step_orders(self, now_ns: int) -> None:
        bids, asks = _told(self.image.bids), _told(self.image.asks)
        if bids or asks:
            for order_id, _, lots in (*bids, *asks):
                if not lots:
                    self._refs.pop(order_id, None)
            step = OrderSteps(bids, asks, self._orders_checksum())
            self.feeds["orders"].publish(now_ns, step, len(bids) + len(asks))

    def _orders_checksum(self) -> int:
        """Made anew only where a level has changed in which an order counts; to be asked once a step."""
        image = self.image
        if not self._counted or image.bids.reaches(self._counted[0]) or image.asks.reaches(self._counted[1]):
            bids, asks = list(self._first(image.bids)), list(self._first(image.asks))
            self._checksum = orders_checksum(bids, asks)
            self._counted = (
                -bids[-1][1] if len(bids) == ORDERS else WORST, asks[-1][1] if len(asks) == ORDERS else WORST
            )  # fmt: skip
        return self._checksum

    def _first(self, side: BookSide) -> Iterator[tuple[str, int, int]]:
        for order_id, ticks, lots in islice(side.in_priority(), ORDERS):
            ref = self._refs.get(order_id)
            if ref is None:
                ref = self._refs[order_id] = self._texts.refs(order_id)
            yield ref, ticks, lots


def _told(side: BookSide) -> tuple[OrderRow, ...]:
    """The rows of one step, without orders that came and went in it."""
    return tuple([row for row in fold_rows(side.rows) if row[2] or side.existed[row[0]]])
