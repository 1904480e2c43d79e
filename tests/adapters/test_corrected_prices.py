"""Published prices leave busted trades out and take the new price of adjusted ones, whatever they are read from."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored import Sample, feed, filled

from exchange.adapters.history import History
from exchange.adapters.store import Store
from exchange.domain import commands as c
from exchange.domain.events import Traded
from exchange.domain.events_settlement import TradeAdjusted, TradeBusted
from exchange.gateways import price_view
from exchange.projections.board import Board
from exchange.projections.candle_channel import candle_answer
from exchange.projections.candles import INTERVALS, Candle, Grid, candle_of, merged
from exchange.projections.tape import Tape, Trade, instrument_parts
from exchange.protocol import requests as r
from exchange.protocol.measures import Measures

pytestmark = pytest.mark.slow  # a market day


def corrections_of(trades: list[Trade], seq: int, ts_ns: int) -> list[tuple]:
    """As applied commands: every third trade is busted and every fifth adjusted; first all of one quarter of an hour go."""
    grid_ns = INTERVALS["15m"]
    stretch = trades[len(trades) // 2].time_ns // grid_ns
    applied = []
    for place, trade in enumerate(trades):
        f = trade.fact
        about = (f.obligation_id, f.buyer, f.seller, f.instrument, f.period_start_ns, f.lots)
        if place % 3 == 0 or trade.time_ns // grid_ns == stretch:
            event: TradeBusted | TradeAdjusted = TradeBusted(*about, f.price_micro, f.cost_micro, f.fee_micro, 0, "wrong")
            command: c.BustTrade | c.AdjustTrade = c.BustTrade(f.obligation_id, "wrong")
        elif place % 5 == 0:
            event = TradeAdjusted(*about, f.price_micro, 2 * f.price_micro, f.cost_micro, f.fee_micro, "wrong")
            command = c.AdjustTrade(f.obligation_id, 2 * f.price_micro, "wrong")
        else:
            continue
        applied.append((seq + len(applied) + 1, ts_ns, command, [event]))
    return applied


def price_now(trade: Trade, corrections: dict[int, int]) -> int:
    return corrections.get(trade.fact.obligation_id, trade.fact.price_micro)


def drawn(trades: list[Trade], corrections: dict[int, int], grid: Grid, interval: str, **parts: str) -> list[Candle]:
    """The definition: candles of what is left of the tape, newest first."""
    pieces = [
        candle_of(grid.start_ns(interval, t.time_ns), (t.seq, t.index), price, t.fact.lots)
        for t in trades if (price := price_now(t, corrections))
        and all(getattr(instrument_parts(t.fact.instrument), name) == value for name, value in parts.items())
    ]  # fmt: skip
    return merged(pieces, interval, grid)[::-1]


def test_candles_board_and_price_rows_follow_corrections(sample: Sample, tmp_path: Path) -> None:
    cut = next(place for place, (_, _, command, _) in enumerate(sample.applied) if type(command) is c.SettlePeriod)
    applied = sample.applied[:cut]
    tape, board = Tape(), Board()
    for item in applied:
        tape.on_command(*item)
        board.on_command(*item)
    last_seq, last_ns = applied[-1][0], applied[-1][1]
    corrected = corrections_of(tape.trades, last_seq, last_ns)
    prices = {item[3][0].obligation_id: getattr(item[3][0], "price_micro", 0) for item in corrected}
    prices |= {item[3][0].obligation_id: 0 for item in corrected if type(item[3][0]) is TradeBusted}
    assert 0 in prices.values() and any(prices.values())
    store = filled(f"sqlite:///{tmp_path}/a.db", applied)
    feed(store, corrected)
    for item in corrected:
        board.on_command(*item)
    try:
        _check_candles(store, tape, prices, sample, last_ns)
        _check_board(store, board)
    finally:
        store.close()


def _check_candles(store: Store, tape: Tape, prices: dict[int, int], sample: Sample, now_ns: int) -> None:
    history, m, grid = History(store), Measures(sample.venue.settings), Grid.of(sample.venue.settings)
    parts = instrument_parts(tape.trades[0].fact.instrument)._asdict()
    family = {name: value for name, value in parts.items() if name != "period"}
    subjects = (
        ({"instrument": "/".join(parts.values())}, parts), ({"family": "/".join(family.values())}, family),
        ({"chip": parts["chip"]}, {"chip": parts["chip"]}),
    )  # fmt: skip
    for interval in INTERVALS:
        for asked, of in subjects:
            whole = drawn(tape.trades, prices, grid, interval, **of)
            wanted = [candle_answer(candle, interval, grid, now_ns, m) for candle in whole]
            for limit in (1, 3, 1000):
                found, cursor = [], None
                while not found or cursor:
                    one = r.Candles(interval=interval, limit=limit, cursor=cursor, **asked)
                    page = price_view.candle_page(history, one, price_view.subject_of(one), now_ns, m)
                    found += page.items
                    cursor = page.next_cursor
                    if not found and not cursor:
                        break
                assert found == wanted, (interval, asked, limit)


def _check_board(store: Store, board: Board) -> None:
    """What a server that starts anew reads back is what one that saw it all knows."""
    with store.reader.connect():
        rows = History(store).tape_of_open(0, 0)
    known: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        known.setdefault(row.instrument, []).append((row.price_micro, row.lots))
    n_compared = 0
    for instrument, trades in known.items():
        family, _, period = instrument.rpartition("/")
        marks = board.marks(family, period)
        if marks is not None:
            n_compared += 1
            assert (marks.lots, marks.trades) == (sum(lots for _, lots in trades), len(trades))
            assert marks.weighted == sum(price * lots for price, lots in trades)
    assert n_compared > 3


def test_the_price_file_leaves_busted_trades_out() -> None:
    from exchange.projections.calendar import Calendar
    from exchange.projections.prices import price_rows

    tape, calendar = Tape(), Calendar()
    calendar.configure(c.SetVenue("test"))
    code = "H800/guian/L10/grid/20261123T05"

    def sold(number: int, price_micro: int, lots: int) -> Traded:
        return Traded(number, "B1", "P1", "g1", code, 0, lots, price_micro, lots * price_micro, 0, "t", "o", False, 1)

    tape.on_command(1, 0, None, [sold(1, 8_000_000, 10), sold(2, 9_000_000, 10), sold(3, 7_000_000, 10)])
    about = ("B1", "P1", code, 0, 10)
    tape.on_command(2, 1, None, [TradeBusted(2, *about, 9_000_000, 0, 0, 0, "x")])
    tape.on_command(3, 1, None, [TradeAdjusted(3, *about, 7_000_000, 6_000_000, 0, 0, "x")])
    for row in price_rows(tape, calendar):
        found = row.prices
        assert (found.low_micro, found.high_micro, found.vwap_micro) == (6_000_000, 8_000_000, 7_000_000), row.scope
        assert (found.last_micro, found.trades, found.lots) == (6_000_000, 2, 20)
