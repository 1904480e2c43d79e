"""Candles between their rows and the projection, and the tables' answers about candles and indices."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from exchange.adapters.tables import TABLES
from exchange.ports_history import Window
from exchange.ports_prices import CandleRow, PrintRow, WeighedFixRow
from exchange.projections.candles import MINUTES, STORED, Candle

MINUTES_OF = {interval: MINUTES[interval] for interval in STORED}
INTERVAL_OF = {minutes: interval for interval, minutes in MINUTES_OF.items()}
_CANDLES, _FIXES, _TRADES = TABLES["candles"], TABLES["fixes"], TABLES["trades"]
_COLUMNS = (
    "start_ns", "open_micro", "high_micro", "low_micro", "close_micro", "lots", "weighted", "trades", "first_seq",
    "first_place", "last_seq", "last_place",
)  # fmt: skip
_WEIGHTED = _COLUMNS.index("weighted")


def candle_of_row(row: RowMapping) -> Candle:
    """The candle that a row of the table holds."""
    return Candle(
        row["start_ns"], row["open_micro"], row["high_micro"], row["low_micro"], row["close_micro"], row["lots"],
        int(row["weighted"]), row["trades"], (row["first_seq"], row["first_place"]), (row["last_seq"], row["last_place"]),
    )  # fmt: skip


def candle_starts(
    connection: Connection, interval_min: int, window: Window, limit: int, **equal: str
) -> list[int]:
    """The newest starts of candles that begin within the window, newest first."""
    start = _CANDLES.c.start_ns
    asked = _of_candles(select(start), interval_min, window, equal).distinct().order_by(start.desc()).limit(limit)
    return list(connection.execute(asked).scalars())


def candle_rows(connection: Connection, interval_min: int, window: Window, **equal: str) -> list[CandleRow]:
    """Every candle that begins within the window."""
    columns = [_CANDLES.c[name] for name in _COLUMNS]
    asked = _of_candles(select(*columns), interval_min, window, equal).order_by(_CANDLES.c.start_ns, _CANDLES.c.family)
    found = []
    for row in connection.execute(asked):
        values = list(row)
        values[_WEIGHTED] = int(values[_WEIGHTED])
        found.append(CandleRow(*values))
    return found


def _of_candles(asked: Select[Any], interval_min: int, window: Window, equal: dict[str, str]) -> Select[Any]:
    where = [_CANDLES.c[name] == value for name, value in equal.items() if value]
    start = _CANDLES.c.start_ns
    return asked.where(_CANDLES.c.interval_min == interval_min, start >= window.from_ns, start < window.to_ns, *where)


def print_rows(connection: Connection, window: Window, **equal: str) -> list[PrintRow]:
    """The trades within a short window, in no order."""
    columns = [_TRADES.c[name] for name in ("ts_ns", "seq", "place", "price_micro", "lots")]
    # The index over time is the right one: a name that is put together is not looked for in the indexes over names.
    where = [_TRADES.c[name].concat("") == value for name, value in equal.items() if value]
    asked = select(*columns).where(_TRADES.c.ts_ns >= window.from_ns, _TRADES.c.ts_ns < window.to_ns, *where)
    return [PrintRow(*row) for row in connection.execute(asked)]


# --- indices ---


def fixed_periods(
    connection: Connection, chips: Sequence[str], region: str, first: str, before: str, limit: int
) -> list[str]:
    """Codes of periods with a fix, newest first: codes of one venue are in order of time."""
    period = _FIXES.c.period
    asked = select(period).where(_FIXES.c.chip.in_(chips), *((_FIXES.c.region == region,) if region else ()))
    if first:
        asked = asked.where(period >= first)
    if before:
        asked = asked.where(period < before)
    return list(connection.execute(asked.distinct().order_by(period.desc()).limit(limit)).scalars())


def weighed_fixes(
    connection: Connection, chips: Sequence[str], region: str, periods: Sequence[str]
) -> list[WeighedFixRow]:
    """The last fix of every instrument, and what it had traded before that."""
    where: list[ColumnElement[bool]] = [_FIXES.c.chip.in_(chips), _FIXES.c.period.in_(periods)]
    if region:
        where.append(_FIXES.c.region == region)
    newest = select(func.max(_FIXES.c.seq)).where(*where).group_by(_FIXES.c.instrument)
    traded = (
        select(func.coalesce(func.sum(_TRADES.c.lots), 0))
        .where(_TRADES.c.instrument == _FIXES.c.instrument, _TRADES.c.seq < _FIXES.c.seq)
        .correlate(_FIXES).scalar_subquery()
    )  # fmt: skip
    columns = (_FIXES.c.instrument, _FIXES.c.period, _FIXES.c.price_micro, _FIXES.c.grade, traded)
    asked = select(*columns).where(_FIXES.c.seq.in_(newest)).order_by(_FIXES.c.period.desc(), _FIXES.c.instrument)
    return [WeighedFixRow(*row[:4], int(row[4])) for row in connection.execute(asked)]
