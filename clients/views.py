"""Lane views, the demand table, curves and prices: once now, then at each look of the exchange at which they differ.

The socket's own numbers say whether anything was missed. While a view is not provably current nothing is told; it heals by
itself, and the next thing told is the newest state.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any, NamedTuple

from clients.core import Core
from clients.errors import CpxError
from clients.frames import to_html
from clients.model import Model, read_model
from clients.models import DemandCell, LaneLevel
from clients.models_prices import Candle, CurvePoint, InstrumentPrice
from clients.pictures import plot_curve

LOOK_AGAIN_S = 5.0


class LaneLook(NamedTuple):
    """A lane view at one moment, cheapest first; epoch and seq count its looks."""

    topic: str
    epoch: int
    seq: int
    levels: tuple[LaneLevel, ...]


class DemandLook(NamedTuple):
    """The demand table at one moment; epoch and seq count its looks."""

    epoch: int
    seq: int
    cells: tuple[DemandCell, ...]


class CurveLook(NamedTuple):
    """A forward curve at one moment, by delivery period; epoch and seq count its looks."""

    family: str
    epoch: int
    seq: int
    points: tuple[CurvePoint, ...]

    def plot(self, ax: Any = None) -> Any:
        """A price per delivery period; the matplotlib axes."""
        return plot_curve(self.family, self.points, ax)

    def _repr_html_(self) -> str:
        return to_html(CurvePoint, self.points, self.family)


class PricesLook(NamedTuple):
    """Prices of an instrument, or of all of a family by delivery period, at one moment; epoch and seq count the looks.

    `changed` are those that are new or differ since the look before.
    """

    topic: str
    epoch: int
    seq: int
    prices: tuple[InstrumentPrice, ...]
    changed: tuple[InstrumentPrice, ...]


class Status(Model, frozen=True, kw_only=True):
    """How an instrument trades: open, halted or closed, for what reason, since when and until when."""

    state: str
    reason: str  # "" | GATE | FAULT
    since: datetime
    until: datetime | None
    period_start: datetime
    period_end: datetime


class CandlesLook(NamedTuple):
    """The candles that have changed since the look before: the one that is open and, once, what has ended."""

    topic: str
    epoch: int
    seq: int
    candles: tuple[Candle, ...]


class _Watch:
    """What a channel has told so far, in its own words; `take` works in the data of a message."""

    def __init__(self, take: Callable[[Any, bool], None]) -> None:
        self._take = take
        self.event = asyncio.Event()
        self.place: tuple[int, int] | None = None
        self.has_ended = False

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        """Replaces everything."""
        self._take(data, True)
        self.place = (epoch, seq)
        self.event.set()

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """What has changed."""
        self._take(data, False)
        self.place = (epoch, seq)
        self.event.set()

    def on_end_unseen(self) -> None:
        """It has ended while we were away."""
        self.has_ended = True

    def on_change(self) -> None:
        """It became current, or no longer is, or has ended."""
        self.event.set()


async def _looks(core: Core, channel: str, topic: str, watch: _Watch) -> AsyncGenerator[tuple[int, int]]:
    """The place of each new state, while it is current; ends with the channel."""
    feed = core.feed
    subscription = feed.follow(channel, topic, watch)
    if subscription.chain.epoch is not None:
        feed.ask_anew(subscription)  # somebody follows it already, and its snapshot came before us
    told: tuple[int, int] | None = None
    try:
        while True:
            fault: CpxError | None = feed.failed or subscription.error
            if fault is not None:
                raise fault
            watch.event.clear()
            if subscription.chain.is_current and not feed.trouble and watch.place not in (None, told):
                assert watch.place is not None
                told = watch.place
                yield told
                continue
            if subscription.chain.state.name == "CLOSED" or watch.has_ended:
                return
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await watch.event.wait()
            except TimeoutError:
                continue
    finally:
        feed.unfollow(subscription, watch)


async def follow_lane(core: Core, topic: str) -> AsyncGenerator[LaneLook]:
    """See Market.follow_lane."""
    levels: tuple[LaneLevel, ...] = ()

    def take(data: Any, is_whole: bool) -> None:
        nonlocal levels
        levels = tuple(read_model(LaneLevel, each) for each in data["items"])

    async for epoch, seq in _looks(core, "lane", topic, _Watch(take)):
        yield LaneLook(topic, epoch, seq, levels)


async def follow_demand(core: Core, chip: str | None, access_region: str | None) -> AsyncGenerator[DemandLook]:
    """See Market.follow_demand."""
    cells: dict[Any, DemandCell] = {}

    def take(data: Any, is_whole: bool) -> None:
        if is_whole:
            cells.clear()
        for each in data["items"]:
            cell = read_model(DemandCell, each)
            place = (cell.chip, cell.access_region, cell.latency_class, cell.deadline_hours, cell.price)
            cells[place] = cell
            if not cell.card_hours:
                del cells[place]

    last: tuple[DemandCell, ...] | None = None
    async for epoch, seq in _looks(core, "demand", "", _Watch(take)):
        mine = tuple(
            cells[place] for place in sorted(cells)
            if chip in (None, cells[place].chip) and access_region in (None, cells[place].access_region)
        )  # fmt: skip
        if mine != last:
            last = mine
            yield DemandLook(epoch, seq, mine)


async def follow_curve(core: Core, family: str) -> AsyncGenerator[CurveLook]:
    """See Market.follow_curve."""
    points: dict[str, CurvePoint] = {}

    def take(data: Any, is_whole: bool) -> None:
        if is_whole:
            points.clear()
        for each in data["items"]:
            point = read_model(CurvePoint, each)
            points[point.instrument] = point
            if point.price is None:
                del points[point.instrument]

    async for epoch, seq in _looks(core, "curve", family, _Watch(take)):
        yield CurveLook(family, epoch, seq, tuple(points[code] for code in sorted(points)))


async def follow_prices(core: Core, topic: str) -> AsyncGenerator[PricesLook]:
    """See Market.follow_prices."""
    prices: dict[str, InstrumentPrice] = {}

    def take(data: Any, is_whole: bool) -> None:
        if is_whole:
            prices.clear()
        for each in data["items"]:
            price = read_model(InstrumentPrice, each)
            prices[price.instrument] = price
            if price.bid is None and price.ask is None and price.last is None and price.fix is None:
                del prices[price.instrument]

    told: dict[str, InstrumentPrice] = {}
    async for epoch, seq in _looks(core, "prices", topic, _Watch(take)):
        now = tuple(prices[code] for code in sorted(prices))
        changed = tuple(price for price in now if told.get(price.instrument) != price)
        told = dict(prices)
        yield PricesLook(topic, epoch, seq, now, changed)


async def follow_status(core: Core, instrument: str) -> AsyncGenerator[Status]:
    """See Market.follow_status."""
    found: list[Status] = []

    def take(data: Any, is_whole: bool) -> None:
        found[:] = [read_model(Status, data)]

    async for _ in _looks(core, "status", instrument, _Watch(take)):
        yield found[0]


async def follow_candles(core: Core, topic: str) -> AsyncGenerator[CandlesLook]:
    """See Market.follow_candles."""
    news: dict[datetime, Candle] = {}

    def take(data: Any, is_whole: bool) -> None:
        for each in data["items"]:
            candle = read_model(Candle, each)
            news[candle.start] = candle

    async for epoch, seq in _looks(core, "candles", topic, _Watch(take)):
        told = tuple(news[start] for start in sorted(news))
        news.clear()
        yield CandlesLook(topic, epoch, seq, told)
