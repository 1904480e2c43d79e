"""Candles between their rows and the projection, and the tables' answers about candles and indices."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select, tuple_

from exchange.adapters.tables import TABLES
from exchange.domain.units import NS_PER_HOUR
from exchange.ports_history import ALWAYS, Window
from exchange.ports_prices import CandleRow, PrintRow, TapeRow, WeighedFixRow
from exchange.projections.candles import MINUTES, STORED, Candle, candle_of
from exchange.projections.tape import instrument_parts

MINUTES_OF = {interval: MINUTES[interval] for interval in STORED}
INTERVAL_OF = {minutes: interval for interval, minutes in MINUTES_OF.items()}
_CANDLES, _FIXES, _TRADES = TABLES["candles"], TABLES["fixes"], TABLES["trades"]
_CORRECTIONS = TABLES["corrections"]
PRICE = func.coalesce(_CORRECTIONS.c.price_micro, _TRADES.c.price_micro)  # of a trade as it was corrected; 0 = busted
LONGEST_NS = 25 * NS_PER_HOUR  # of a candle that is stored: a day on which the clocks go back
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
    """Every candle that begins within the window, as the trades in it were corrected; none where all were busted."""
    columns = [_CANDLES.c[name] for name in _COLUMNS]
    asked = _of_candles(select(*columns, _CANDLES.c.family), interval_min, window, equal)
    corrected = _corrected_seqs(connection, window, equal)
    found = []
    for *values, family in connection.execute(asked.order_by(_CANDLES.c.start_ns, _CANDLES.c.family)).all():
        values[_WEIGHTED] = int(values[_WEIGHTED])
        row = CandleRow(*values)
        if any(row.first_seq <= seq <= row.last_seq for seq in corrected.get(family, ())):
            drawn = _drawn_anew(connection, family, row)
            found += [drawn] if drawn else []
        else:
            found.append(row)
    return found


def _corrected_seqs(connection: Connection, window: Window, equal: dict[str, str]) -> dict[str, list[int]]:
    """Where the corrected trades of families stand that were made in a window, or not long behind it."""
    where = [_CORRECTIONS.c[name] == value for name, value in equal.items() if value]
    made_ns, until_ns = _CORRECTIONS.c.trade_ns, min(window.to_ns, ALWAYS.to_ns - LONGEST_NS) + LONGEST_NS
    asked = select(_CORRECTIONS.c.family, _CORRECTIONS.c.trade_seq).where(made_ns >= window.from_ns, made_ns < until_ns)
    found: dict[str, list[int]] = {}
    for family, seq in connection.execute(asked.where(*where)):
        found.setdefault(family, []).append(seq)
    return found


def _drawn_anew(connection: Connection, family: str, row: CandleRow) -> CandleRow | None:
    """A candle out of its trades, as they were corrected; None where all were busted."""
    columns = [_TRADES.c[name] for name in ("seq", "place")]
    within = (_TRADES.c.seq >= row.first_seq, _TRADES.c.seq <= row.last_seq, *_of_family(family))
    asked = corrected(select(*columns, PRICE, _TRADES.c.lots), *within).order_by(*columns)
    drawn = None
    for seq, place, price_micro, lots in connection.execute(asked):
        if not (row.first_seq, row.first_place) <= (seq, place) <= (row.last_seq, row.last_place):
            continue  # of the same command, in another candle
        if drawn is None:
            drawn = candle_of(row.start_ns, (seq, place), price_micro, lots)
        else:
            drawn.add((seq, place), price_micro, lots)
    if drawn is None:
        return None
    return CandleRow(
        row.start_ns, drawn.open_micro, drawn.high_micro, drawn.low_micro, drawn.close_micro, drawn.lots, drawn.weighted,
        drawn.trades, *drawn.first, *drawn.last,
    )  # fmt: skip


def _of_family(family: str) -> list[ColumnElement[bool]]:
    parts = instrument_parts(f"{family}/")
    return [_TRADES.c[name] == getattr(parts, name) for name in ("chip", "region", "latency_class", "power")]


def corrected(asked: Select[Any], *where: ColumnElement[bool]) -> Select[Any]:
    """Trades as they were corrected: PRICE is what they have now, and busted ones are left out."""
    joined = _TRADES.outerjoin(_CORRECTIONS, _CORRECTIONS.c.obligation_id == _TRADES.c.obligation_id)
    return asked.select_from(joined).where(PRICE > 0, *where)


def _of_candles(asked: Select[Any], interval_min: int, window: Window, equal: dict[str, str]) -> Select[Any]:
    where = [_CANDLES.c[name] == value for name, value in equal.items() if value]
    start = _CANDLES.c.start_ns
    return asked.where(_CANDLES.c.interval_min == interval_min, start >= window.from_ns, start < window.to_ns, *where)


def print_rows(connection: Connection, window: Window, **equal: str) -> list[PrintRow]:
    """The trades within a short window as they were corrected, in no order."""
    columns = [*(_TRADES.c[name] for name in ("ts_ns", "seq", "place")), PRICE, _TRADES.c.lots]
    # The index over time is the right one: a name that is put together is not looked for in the indexes over names.
    where = [_TRADES.c[name].concat("") == value for name, value in equal.items() if value]
    asked = corrected(select(*columns), _TRADES.c.ts_ns >= window.from_ns, _TRADES.c.ts_ns < window.to_ns, *where)
    return [PrintRow(*row) for row in connection.execute(asked)]


def instrument_prints(
    connection: Connection, instrument: str, window: Window, before: tuple[int, int] | None, limit: int
) -> list[PrintRow]:
    """The newest trades of an instrument as they were corrected, newest first; before: (seq, place) of one that is known."""
    keys = (_TRADES.c.seq, _TRADES.c.place)
    asked = corrected(
        select(_TRADES.c.ts_ns, *keys, PRICE, _TRADES.c.lots), _TRADES.c.instrument == instrument,
        _TRADES.c.ts_ns >= window.from_ns, _TRADES.c.ts_ns < window.to_ns,
    )  # fmt: skip
    if before is not None:
        asked = asked.where(tuple_(*keys) < before)
    asked = asked.order_by(*(key.desc() for key in keys)).limit(limit)
    return [PrintRow(*row) for row in connection.execute(asked)]


def tape_rows(connection: Connection, ts_ns: int, period_from_ns: int) -> list[TapeRow]:
    """The trades from a time on that deliver from period_from_ns on, as they were corrected, in order."""
    columns = [_TRADES.c[name] for name in ("ts_ns", "obligation_id", "instrument")]
    asked = corrected(
        select(*columns, PRICE, _TRADES.c.lots), _TRADES.c.ts_ns >= ts_ns, _TRADES.c.period_start_ns >= period_from_ns,
    )  # fmt: skip
    return [TapeRow(*row) for row in connection.execute(asked.order_by(_TRADES.c.seq, _TRADES.c.place))]


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
