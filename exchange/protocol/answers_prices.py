"""What the doors answer of prices beside the fixes: candles, the forward curve, indices, live prices of instruments."""

from exchange.protocol.answers import Answer, Page


class Candle(Answer, frozen=True, kw_only=True):
    """What traded from `start` up to `end`, of whatever hours it was for; prices in yuan per card-hour.

    is_final: no later trade can change it. A stretch without trades has no candle.
    """

    start: str
    end: str
    open: str
    high: str
    low: str
    close: str
    vwap: str
    card_hours: str
    trades: int
    is_final: bool


class CandlePage(Page, frozen=True, kw_only=True):
    """A page of candles; one with a next_cursor may have fewer than `limit`."""

    items: tuple[Candle, ...]


class CurvePoint(Answer, frozen=True, kw_only=True):
    """One delivery period of a forward curve; price null: it has none any more (on the socket only).

    source: fix, trades (VWAP of the recent ones), mid or ask. as_of: when the fix was set or the newest of those trades
    made; of mid and ask when they were found so. per_pflops_hour is for display: nothing is settled by it.
    """

    instrument: str
    period_start: str
    price: str | None
    source: str
    grade: str  # of a fix
    as_of: str | None
    per_pflops_hour: str | None


class Curve(Answer, frozen=True, kw_only=True):
    """The forward curve of a family as it was last looked at, at most a second ago; periods without a price are left out."""

    seq: int
    epoch: int
    ts: str
    ts_ns: str
    family: str
    items: tuple[CurvePoint, ...]


class IndexPoint(Answer, frozen=True, kw_only=True):
    """The index of a chip at one delivery period, in a region or (region "") the whole country; for display.

    chip "": of every chip of family ai, which is told per PFLOPS-hour only. grade: the lowest among its fixes. card_hours:
    what its instruments had traded when their fixes were set.
    """

    chip: str
    region: str
    period_start: str
    price: str | None
    per_pflops_hour: str | None
    card_hours: str
    instruments: int
    grade: str


class IndexPage(Page, frozen=True, kw_only=True):
    """A page of an index."""

    items: tuple[IndexPoint, ...]


class InstrumentPrice(Answer, frozen=True, kw_only=True):
    """Prices of one instrument on the socket's channel `prices`; null where there is none.

    vwap, card_hours and trades are of all its trades so far.
    """

    instrument: str
    period_start: str
    bid: str | None
    bid_cards: str | None
    ask: str | None
    ask_cards: str | None
    mid: str | None
    last: str | None
    last_cards: str | None
    last_ts: str | None
    vwap: str | None
    card_hours: str
    trades: int
    fix: str | None
    grade: str
