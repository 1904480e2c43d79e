"""What everybody may ask: the venue, its books, trades and prices, once or as they change."""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from clients.book import AsyncBook, Book, watch
from clients.core import Core
from clients.events import PrivateEvent
from clients.live import Resync, follow_events, follow_trades, rest_filter
from clients.models import Catalogue, Demand, Depth, Family, Health, Lane, Price, Trade, Venue
from clients.models_operator import ErrorEntry, Errors, Limit, Limits
from clients.models_prices import Candle, Curve, IndexPoint
from clients.times import Number, Timely
from clients.twin import both, both_as, both_iter, both_list
from clients.views import (
    CandlesLook,
    CurveLook,
    DemandLook,
    LaneLook,
    PricesLook,
    Status,
    follow_candles,
    follow_curve,
    follow_demand,
    follow_lane,
    follow_prices,
    follow_status,
)


class Market:
    """Public questions; no method here changes anything."""

    _core: Core

    @both
    async def health(self) -> Health:
        """Whether the exchange takes commands, and how far its parts are."""
        return await self._core.ask("health", Health, {})

    @both
    async def limits(self) -> tuple[Limit, ...]:
        """Every limit of the doors."""
        return (await self._core.ask("limits", Limits, {})).items

    @both
    async def errors(self) -> tuple[ErrorEntry, ...]:
        """Every code that can be answered."""
        return (await self._core.ask("errors", Errors, {})).items

    @both
    async def venue(self) -> Venue:
        """Measures, clock and fees of the venue."""
        return await self._core.learn_clock()

    @both
    async def catalogue(self) -> Catalogue:
        """Chips, regions, reach and links."""
        return await self._core.ask("catalogue", Catalogue, {})

    @both_list
    async def instruments(
        self, *, chip: str | None = None, region: str | None = None, latency_class: str | None = None, power: str | None = None
    ) -> AsyncGenerator[Family]:
        """Listed families and the periods that can be traded now."""
        given = {"chip": chip, "region": region, "latency_class": latency_class, "power": power}
        async for family in self._core.pages("instruments", Family, given):
            yield family

    @both
    async def depth(self, instrument: str, levels: int = 10) -> Depth:
        """The price levels of one book, once; `watch_book` keeps them up to date."""
        return await self._core.ask("depth", Depth, {"instrument": instrument, "levels": levels})

    @both
    async def lane(
        self, *, access_region: str, chips: str | Sequence[str], period_start: Timely, max_latency_ms: Number | None = None,
        min_green: Number | None = None, levels: int = 20,
    ) -> Lane:  # fmt: skip
        """Everything a need could use in one period, cheapest first: books and block offers; indicative."""
        given = {
            "access_region": access_region, "chips": chips, "period_start": period_start, "max_latency_ms": max_latency_ms,
            "min_green": min_green, "levels": levels,
        }  # fmt: skip
        return await self._core.ask("lane", Lane, given)

    @both
    async def demand(self, *, chip: str | None = None, access_region: str | None = None) -> Demand:
        """What waiting tasks would buy, in cells of at least three firms each; at most a second old."""
        return await self._core.ask("demand", Demand, {"chip": chip, "access_region": access_region})

    @both_list
    async def past_trades(self, pattern: str = "*", *, after: str | None = None) -> AsyncGenerator[Trade]:
        """Public trades, newest first; after a trade id: only later ones, oldest first.

        pattern: an instrument, the beginning of one followed by /*, or *.
        """
        given, fits = rest_filter(pattern)
        async for trade in self._core.pages("trades", Trade, {**given, "after": after}):
            if fits(trade.instrument):
                yield trade

    @both_list
    async def prices(
        self, *, instrument: str | None = None, chip: str | None = None, region: str | None = None
    ) -> AsyncGenerator[Price]:
        """Fixes, newest first."""
        given = {"instrument": instrument, "chip": chip, "region": region}
        async for price in self._core.pages("prices", Price, given):
            yield price

    @both_list
    async def candles(
        self, interval: str = "1h", *, instrument: str | None = None, family: str | None = None, chip: str | None = None,
        region: str | None = None, from_time: Timely | None = None, to_time: Timely | None = None,
    ) -> AsyncGenerator[Candle]:  # fmt: skip
        """Candles, newest first, of an instrument, a family or a chip (in a region): 1m, 5m, 15m, 1h, 4h or 1d.

        A stretch in which nothing traded has none. They go back to the first trade; take as many as you need.
        """
        given = {
            "interval": interval, "instrument": instrument, "family": family, "chip": chip, "region": region,
            "from_time": from_time, "to_time": to_time,
        }  # fmt: skip
        async for candle in self._core.pages("candles", Candle, given):
            yield candle

    @both
    async def curve(self, family: str) -> Curve:
        """The forward curve of a family: a price per delivery period, with its source; at most a second old."""
        return await self._core.ask("curve", Curve, {"family": family})

    @both_list
    async def indices(
        self, chip: str | None = None, region: str | None = None, *, period_start: Timely | None = None,
        from_time: Timely | None = None, to_time: Timely | None = None,
    ) -> AsyncGenerator[IndexPoint]:  # fmt: skip
        """The index of a chip by delivery period, newest first; without a region of the whole country, for display.

        Without a chip: of all chips of family ai together, which is told per PFLOPS-hour only.
        """
        given = {
            "chip": chip, "region": region, "period_start": period_start, "from_time": from_time, "to_time": to_time,
        }  # fmt: skip
        async for point in self._core.pages("indices", IndexPoint, given):
            yield point

    # --- as it happens ---

    @both_iter
    async def follow_curve(self, family: str) -> AsyncGenerator[CurveLook]:
        """The forward curve of a family now and whenever it has changed, at most once a second."""
        async for look in follow_curve(self._core, family):
            yield look

    @both_iter
    async def follow_status(self, instrument: str) -> AsyncGenerator[Status]:
        """Whether an instrument trades, now and whenever that changes; ends with its gate."""
        async for status in follow_status(self._core, instrument):
            yield status

    @both_iter
    async def follow_candles(self, of: str, interval: str = "1m") -> AsyncGenerator[CandlesLook]:
        """The candle of an instrument or a family that is being made, as it changes, and each that has ended."""
        async for look in follow_candles(self._core, f"{of}@{interval}"):
            yield look

    @both_iter
    async def follow_prices(self, topic: str) -> AsyncGenerator[PricesLook]:
        """Best prices, last trade, VWAP and fix, now and whenever they have changed, at most once a second.

        topic: an instrument, or a family followed by /* for all of its instruments.
        """
        async for look in follow_prices(self._core, topic):
            yield look

    @both_iter
    async def follow_lane(
        self, *, access_region: str, chips: str | Sequence[str], period_start: Timely, max_latency_ms: Number | None = None,
        min_green: Number | None = None,
    ) -> AsyncGenerator[LaneLook]:  # fmt: skip
        """The lane view now and whenever it has changed, at most once a second; ends with the period's gate."""
        given = {
            "access_region": access_region, "chips": chips, "period_start": period_start, "max_latency_ms": max_latency_ms,
            "min_green": min_green, "levels": 1,
        }  # fmt: skip
        topic = (await self._core.ask("lane", Lane, given)).topic
        async for look in follow_lane(self._core, topic):
            yield look

    @both_iter
    async def follow_demand(
        self, *, chip: str | None = None, access_region: str | None = None
    ) -> AsyncGenerator[DemandLook]:
        """The demand table, or a part of it, now and whenever that has changed, at most once a second."""
        async for look in follow_demand(self._core, chip, access_region):
            yield look

    @both_as(Book)
    async def watch_book(
        self, instrument: str, timeout_s: float = 10, *, levels: Literal[10, 50] | None = None
    ) -> AsyncBook:
        """A local book that heals itself and raises StaleBook rather than show what may not be so.

        Answers once it is current: NotFound where the instrument is not open, StaleBook where it takes too long. levels: only
        the best so many of each side, for less to read.
        """
        return await watch(self._core, f"depth{levels or ''}", instrument, timeout_s)

    @both_as(Book)
    async def watch_orders(self, instrument: str, timeout_s: float = 10) -> AsyncBook:
        """The same of single orders with their place in line (`orders`); whose they are is told to nobody."""
        return await watch(self._core, "orders", instrument, timeout_s)

    @both_iter
    async def trades(self, pattern: str = "*", *, since: str | None = None) -> AsyncGenerator[Trade]:
        """Every public trade as it happens, none twice and none left out, whatever becomes of the connection.

        pattern: as in past_trades. since: begin after this trade id; without it, with the next trade.
        """
        async for trade in follow_trades(self._core, pattern, since):
            yield trade

    @both_iter
    async def events(self, participant: str | None = None) -> AsyncGenerator[PrivateEvent | Resync]:
        """What happens to one's own tasks, orders, offers and money, in order.

        After an interruption that was too long to make up for, a Resync comes first: everything that is open now.
        """
        async for event in follow_events(self._core, participant or self._core.participant or ""):
            yield event
