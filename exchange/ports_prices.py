"""What the past holds of prices, as rows: trades as candles and the board need them, candles, fixes with their weights."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TapeRow:
    """A trade as the board of prices needs it."""

    ts_ns: int
    obligation_id: int
    instrument: str
    price_micro: int
    lots: int


@dataclass(frozen=True, slots=True)
class CandleRow:
    """A candle of one family; weighted = sum of price x lots. (seq, place) of its first and last trade tell pieces apart."""

    start_ns: int
    open_micro: int
    high_micro: int
    low_micro: int
    close_micro: int
    lots: int
    weighted: int
    trades: int
    first_seq: int
    first_place: int
    last_seq: int
    last_place: int


@dataclass(frozen=True, slots=True)
class PrintRow:
    """A trade as a candle needs it."""

    ts_ns: int
    seq: int
    place: int
    price_micro: int
    lots: int


@dataclass(frozen=True, slots=True)
class WeighedFixRow:
    """The last fix of an instrument, and the lots it had traded before."""

    instrument: str
    period: str
    price_micro: int
    grade: str
    lots: int
