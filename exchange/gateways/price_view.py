"""Candles and indices as answers, made from the tables; each function runs in a worker thread and never sees the venue.

Candles of a family or a chip at 15 minutes and longer come of the candles that are stored; all others are drawn from the
trades themselves, newest first, some MOST_TRADES at most for one page: a page may then be shorter than was asked for, and
its cursor goes on.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from exchange.gateways.cursors import bad_cursor, cursor_of, keys_of
from exchange.ports_history import ALWAYS, MAX_LIMIT, History, Window
from exchange.ports_prices import CandleRow
from exchange.projections.candle_channel import candle_answer
from exchange.projections.candles import INTERVALS, MINUTES, SOURCE, Candle, Grid, Place, candle_of, merged
from exchange.projections.indices import Codes, Index, WeighedFix, index_of
from exchange.projections.tape import instrument_parts
from exchange.protocol import answers_prices as p
from exchange.protocol import requests as r
from exchange.protocol.measures import Measures, invalid

MOST_TRADES = 100_000
SHORTEST = "15m"  # of the candles that are stored
_SUBJECTS = ("instrument", "family", "chip")


class Subject(NamedTuple):
    """What candles are of; the names that are not given are ""."""

    instrument: str = ""
    family: str = ""
    chip: str = ""
    region: str = ""


def window_of(asked: Any, m: Measures) -> Window:
    """from_time and to_time of a question; DoorError where they are turned round."""
    window = Window(
        m.time_ns(asked.from_time, "from_time") if asked.from_time else ALWAYS.from_ns,
        m.time_ns(asked.to_time, "to_time") if asked.to_time else ALWAYS.to_ns,
    )
    if window.from_ns >= window.to_ns:
        raise invalid("to_time", f"{asked.to_time} is not later than from_time {asked.from_time}")
    return window


# --- candles ---


def subject_of(asked: r.Candles) -> Subject:
    """What a question about candles is about; DoorError unless it is exactly one thing and an interval."""
    if asked.interval not in INTERVALS:
        raise invalid("interval", f"{asked.interval} is none of {', '.join(INTERVALS)}")
    given = [name for name in _SUBJECTS if getattr(asked, name) is not None]
    if len(given) != 1:
        told = f"{' and '.join(given)} are given" if given else "nothing is named"
        raise invalid(given[1] if given else "instrument", told, f"name exactly one of {', '.join(_SUBJECTS)}")
    if asked.region is not None and asked.chip is None:
        raise invalid("region", f"a region goes with a chip, not with {given[0]}", f"{given[0]} names its region already")
    return Subject(asked.instrument or "", asked.family or "", asked.chip or "", asked.region or "")


def candle_page(history: History, asked: r.Candles, subject: Subject, now_ns: int, m: Measures) -> p.CandlePage:
    """Candles, newest first; now_ns: the venue's time, at which the newest one may still be open."""
    interval, grid = asked.interval, Grid.of(m.settings)
    window = window_of(asked, m)
    keys = keys_of("candles", asked.cursor, 1)
    first_ns = grid.first_from(interval, window.from_ns) if asked.from_time else 0
    end_ns = grid.first_from(interval, window.to_ns) if asked.to_time else ALWAYS.to_ns
    if keys is not None:
        if grid.start_ns(interval, keys[0]) != keys[0]:
            raise bad_cursor()  # of another interval
        end_ns = min(end_ns, keys[0])
    inside = Window(first_ns, end_ns)
    draw = _from_trades if subject.instrument else _from_stored if interval in SOURCE else _from_tape
    found, has_more = draw(history, subject, interval, grid, inside, asked.limit)
    items = tuple(candle_answer(candle, interval, grid, now_ns, m) for candle in found)
    return p.CandlePage(items=items, next_cursor=cursor_of("candles", found[-1].start_ns) if has_more else None)


def _from_stored(
    history: History, subject: Subject, interval: str, grid: Grid, window: Window, limit: int
) -> tuple[list[Candle], bool]:
    """The newest `limit` candles, newest first, and whether there are more."""
    source = SOURCE[interval]
    minutes = MINUTES[source]
    pieces = MINUTES[interval] // minutes  # of which one candle has at most
    named = {"family": subject.family, "chip": subject.chip, "region": subject.region}
    starts = history.candle_starts(minutes, **named, window=window, limit=limit * pieces)
    whole = sorted({grid.start_ns(interval, start_ns) for start_ns in starts}, reverse=True)
    if not whole:
        return [], False
    shown = whole[:limit]
    rows = history.candles(minutes, **named, window=Window(shown[-1], window.to_ns))
    found = merged((_from_row(row) for row in rows), interval, grid)[::-1]
    has_more = len(whole) > limit or len(starts) == limit * pieces
    if has_more and not found:  # all that is in them was busted
        return _from_stored(history, subject, interval, grid, Window(window.from_ns, shown[-1]), limit)
    return found, has_more


def _from_row(row: CandleRow) -> Candle:
    return Candle(
        row.start_ns, row.open_micro, row.high_micro, row.low_micro, row.close_micro, row.lots, row.weighted, row.trades,
        (row.first_seq, row.first_place), (row.last_seq, row.last_place),
    )  # fmt: skip


def _from_tape(
    history: History, subject: Subject, interval: str, grid: Grid, window: Window, limit: int
) -> tuple[list[Candle], bool]:
    """The same out of the trades of a family or chip, of one stored candle after the other: those say when there are any."""
    named = {"chip": subject.chip, "region": subject.region, "latency_class": "", "power": ""}
    if subject.family:
        parts = instrument_parts(f"{subject.family}/")
        named = {"chip": parts.chip, "region": parts.region, "latency_class": parts.latency_class, "power": parts.power}
    from_ns = grid.start_ns(SHORTEST, window.from_ns)
    stored = {"family": subject.family, "chip": subject.chip, "region": subject.region}
    # Of the newest and the oldest one nothing may lie within the window.
    starts = history.candle_starts(MINUTES[SHORTEST], **stored, window=Window(from_ns, window.to_ns), limit=limit + 2)
    candles: dict[int, Candle] = {}
    read = 0
    for place, start_ns in enumerate(starts):
        end_ns = min(start_ns + INTERVALS[SHORTEST], window.to_ns)
        rows = history.prints(Window(max(start_ns, window.from_ns), end_ns), **named)
        for row in rows:
            _take(candles, grid.start_ns(interval, row.ts_ns), (row.seq, row.place), row.price_micro, row.lots)
        read += len(rows)
        if len(candles) >= limit or read >= MOST_TRADES and candles:
            return _newest(candles)[:limit], len(candles) > limit or place + 1 < len(starts)
    has_more = len(starts) == limit + 2  # all that is in some of them was busted
    if has_more and not candles:
        return _from_tape(history, subject, interval, grid, Window(window.from_ns, starts[-1]), limit)
    return _newest(candles), has_more


def _from_trades(
    history: History, subject: Subject, interval: str, grid: Grid, window: Window, limit: int
) -> tuple[list[Candle], bool]:
    """The same out of the trades of an instrument; the oldest candle is shown only where all its trades were read."""
    candles: dict[int, Candle] = {}
    before, read = None, 0
    while len(candles) <= limit and (read < MOST_TRADES or len(candles) < 2):
        rows = history.instrument_prints(subject.instrument, window, before, MAX_LIMIT)
        for row in rows:
            _take(candles, grid.start_ns(interval, row.ts_ns), (row.seq, row.place), row.price_micro, row.lots)
        if len(rows) < MAX_LIMIT:
            return _newest(candles)[:limit], len(candles) > limit
        before, read = (rows[-1].seq, rows[-1].place), read + len(rows)
    return _newest(candles)[: min(limit, len(candles) - 1)], True


def _take(candles: dict[int, Candle], start_ns: int, place: Place, price_micro: int, lots: int) -> None:
    one = candle_of(start_ns, place, price_micro, lots)
    if start_ns in candles:
        candles[start_ns].merge(one)
    else:
        candles[start_ns] = one


def _newest(candles: dict[int, Candle]) -> list[Candle]:
    return [candles[start_ns] for start_ns in sorted(candles, reverse=True)]


# --- indices ---


def index_page(history: History, asked: r.Indices, chips: Mapping[str, int], codes: Codes, m: Measures) -> p.IndexPage:
    """An index by delivery period, newest first; chips: those it is of, with the gflops of a card."""
    first, before = _bounds(asked, codes, m)
    keys = keys_of("indices", asked.cursor, 1)
    if keys is not None:
        edge = codes.of_start(keys[0])
        if edge is None:
            raise bad_cursor()
        before = min(before, edge) if before else edge
    names, region = sorted(chips), asked.region or ""
    periods = history.fixed_periods(names, region, first=first, before=before, limit=asked.limit)
    found: dict[str, list[WeighedFix]] = {period: [] for period in periods}
    for row in history.weighed_fixes(names, region, periods) if periods else ():
        found[row.period].append(WeighedFix(row.instrument, row.price_micro, row.grade, row.lots))
    items = tuple(_index(asked, codes.start_ns(period), index_of(fixes, chips), m) for period, fixes in found.items())
    more = cursor_of("indices", codes.start_ns(periods[-1])) if len(periods) == asked.limit else None
    return p.IndexPage(items=items, next_cursor=more)


def _bounds(asked: r.Indices, codes: Codes, m: Measures) -> tuple[str, str]:
    """The codes of the first period that is asked for and of the one behind the last; "" = no bound."""
    if asked.period_start is not None:
        if asked.from_time or asked.to_time:
            raise invalid("period_start", "one period and a span of time are both given", "leave one of them out")
        start_ns = m.time_ns(asked.period_start, "period_start")
        code, (below, above) = codes.of_start(start_ns), codes.around(start_ns)
        if code is None:
            near = f"the nearest are {m.time_text(below)} and {m.time_text(above)}"
            raise invalid("period_start", f"{asked.period_start} is not the start of a period", near)
        return code, codes.first_from(above)
    window = window_of(asked, m)
    first = codes.first_from(window.from_ns) if asked.from_time else ""
    return first, codes.first_from(window.to_ns) if asked.to_time else ""


def _index(asked: r.Indices, start_ns: int, index: Index, m: Measures) -> p.IndexPoint:
    return p.IndexPoint(
        chip=asked.chip or "", region=asked.region or "", period_start=m.time_text(start_ns),
        price=m.yuan(index.price_micro) if asked.chip else None,
        per_pflops_hour=m.yuan(index.per_pflops_hour_micro) if index.per_pflops_hour_micro else None,
        card_hours=m.card_hours_text(index.lots), instruments=index.instruments, grade=index.grade,
    )  # fmt: skip
