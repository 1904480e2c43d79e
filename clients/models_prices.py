"""What the SDK answers of prices: the structs of exchange.protocol.answers_prices with `Decimal` and `datetime`."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from clients.model import Model
from clients.models import Page
from clients.pictures import plot_curve
from clients.tables import Table


class Candle(Model, frozen=True, kw_only=True):
    """What traded from `start` up to `end`, of whatever hours it was for; prices in yuan per card-hour.

    is_final: no later trade can change it. A stretch without trades has no candle.
    """

    start: datetime
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    card_hours: Decimal
    trades: int
    is_final: bool


class CandlePage(Page, frozen=True, kw_only=True):
    """A page of candles; one with a next_cursor may have fewer than `limit`."""

    items: tuple[Candle, ...]


class CurvePoint(Model, frozen=True, kw_only=True):
    """One delivery period of a forward curve; price null: it has none any more (on the socket only).

    source: fix, trades (VWAP of the recent ones), mid or ask. as_of: when the fix was set or the newest of those trades
    made; of mid and ask when they were found so. per_pflops_hour is for display: nothing is settled by it.
    """

    instrument: str
    period_start: datetime
    price: Decimal | None
    source: str
    grade: str  # of a fix
    as_of: datetime | None
    per_pflops_hour: Decimal | None


class Curve(Table, frozen=True, kw_only=True):
    """The forward curve of a family as it was last looked at, at most a second ago; periods without a price are left out."""

    seq: int
    epoch: int
    ts: datetime
    ts_ns: int
    family: str
    items: tuple[CurvePoint, ...]

    def plot(self, ax: Any = None) -> Any:
        """A price per delivery period; the matplotlib axes."""
        return plot_curve(self.family, self.items, ax)


class IndexPoint(Model, frozen=True, kw_only=True):
    """The index of a chip at one delivery period, in a region or (region "") the whole country; for display.

    chip "": of every chip of family ai, which is told per PFLOPS-hour only. grade: the lowest among its fixes. card_hours:
    what its instruments had traded when their fixes were set.
    """

    chip: str
    region: str
    period_start: datetime
    price: Decimal | None
    per_pflops_hour: Decimal | None
    card_hours: Decimal
    instruments: int
    grade: str


class IndexPage(Page, frozen=True, kw_only=True):
    """A page of an index."""

    items: tuple[IndexPoint, ...]


class InstrumentPrice(Model, frozen=True, kw_only=True):
    """Prices of one instrument on the socket's channel `prices`; null where there is none.

    vwap, card_hours and trades are of all its trades so far.
    """

    instrument: str
    period_start: datetime
    bid: Decimal | None
    bid_cards: Decimal | None
    ask: Decimal | None
    ask_cards: Decimal | None
    mid: Decimal | None
    last: Decimal | None
    last_cards: Decimal | None
    last_ts: datetime | None
    vwap: Decimal | None
    card_hours: Decimal
    trades: int
    fix: Decimal | None
    grade: str
