"""Candles: any way to cut a tape makes the same ones, short ones make the long ones, and the VWAP lies inside."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_days import T0, Day, H

from exchange.domain.commands import SetVenue
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.projections.candles import (
    DAY,
    INTERVALS,
    STORED,
    Candle,
    Candles,
    Grid,
    OpenCandles,
    candle_of,
    merged,
)

SHANGHAI = Grid.of(SetVenue("test"))
ZONES = ("Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "America/Santiago", "UTC")
DAYS_NS = 40 * 24 * H
prints = st.lists(st.tuples(st.integers(0, DAYS_NS), st.integers(1, 2**53), st.integers(1, 10**9)), min_size=1, max_size=60)


def tape(raw: list[tuple[int, int, int]]) -> list[tuple[int, tuple[int, int], int, int]]:
    """(time, id, price, lots) in the order of trading; four trades a command."""
    return [(T0 + ts, (n // 4, n % 4), price, lots) for n, (ts, price, lots) in enumerate(sorted(raw))]


def drawn(trades: Any, interval: str, grid: Grid = SHANGHAI) -> list[Candle]:
    return merged((candle_of(grid.start_ns(interval, ts), at, price, lots) for ts, at, price, lots in trades), interval, grid)


def by_hand(trades: Any, interval: str, grid: Grid = SHANGHAI) -> list[Candle]:
    """The definition, in other words than the code's."""
    groups: dict[int, list[Any]] = {}
    for trade in trades:
        groups.setdefault(grid.start_ns(interval, trade[0]), []).append(trade)
    found = []
    for start, group in sorted(groups.items()):
        prices = [price for _, _, price, _ in group]
        found.append(Candle(
            start, prices[0], max(prices), min(prices), prices[-1], sum(lots for *_, lots in group),
            sum(price * lots for _, _, price, lots in group), len(group), group[0][1], group[-1][1],
        ))  # fmt: skip
    return found


@given(prints, st.sampled_from(sorted(INTERVALS)), st.integers(0, 2**32), st.sampled_from(ZONES))
def test_any_split_of_the_tape_makes_the_same_candles(raw: Any, interval: str, seed: int, zone: str) -> None:
    grid, trades, chance = Grid.of(SetVenue("test", zone)), tape(raw), random.Random(seed)
    pieces: list[list[Any]] = [[] for _ in range(4)]
    for trade in trades:
        chance.choice(pieces).append(trade)
    chance.shuffle(pieces)
    candles = [candle for piece in pieces for candle in drawn(piece, interval, grid)]
    assert merged(candles, interval, grid) == drawn(trades, interval, grid) == by_hand(trades, interval, grid)


@given(prints, st.sampled_from(ZONES))
def test_candles_of_one_minute_make_all_longer_ones(raw: Any, zone: str) -> None:
    grid, trades = Grid.of(SetVenue("test", zone)), tape(raw)
    minutes = drawn(trades, "1m", grid)
    for interval in INTERVALS:
        assert merged(minutes, interval, grid) == by_hand(trades, interval, grid), interval
    quarters = merged(minutes, "15m", grid)
    assert merged(quarters, "4h", grid) == by_hand(trades, "4h", grid)


@given(prints, st.sampled_from(sorted(INTERVALS)))
def test_open_close_and_vwap_lie_between_low_and_high(raw: Any, interval: str) -> None:
    for candle in drawn(tape(raw), interval):
        inside = (candle.open_micro, candle.close_micro, candle.vwap_micro)
        assert all(candle.low_micro <= price <= candle.high_micro for price in inside)


@given(prints)
def test_candles_that_are_kept_trade_by_trade_are_those_of_the_whole_tape(raw: Any) -> None:
    trades = tape(raw)
    kept, found = OpenCandles(SHANGHAI), {}
    for ts, at, price, lots in trades:
        changed = kept.add("F", ts, at, price, lots)
        assert [interval for interval, _ in changed] == list(STORED)
        found |= {(interval, candle.start_ns): candle for interval, candle in changed}
    for interval in STORED:
        mine = [candle for (kind, _), candle in sorted(found.items()) if kind == interval]
        assert mine == by_hand(trades, interval)


def test_a_day_is_the_venues_and_has_as_many_hours_as_it_has() -> None:
    def at(zone: str, *when: int) -> int:
        return int(datetime(*when, tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp()) * NS_PER_SECOND  # type: ignore[arg-type]

    start = at("Asia/Shanghai", 2026, 11, 24)
    assert SHANGHAI.start_ns(DAY, start) == start == SHANGHAI.start_ns(DAY, start + 24 * H - 1)
    assert SHANGHAI.end_ns(DAY, start) == start + 24 * H == SHANGHAI.first_from(DAY, start + 1)
    berlin = Grid.of(SetVenue("test", "Europe/Berlin"))
    winter = at("Europe/Berlin", 2026, 10, 25)
    assert berlin.end_ns(DAY, winter) - winter == 25 * H
    assert SHANGHAI.start_ns("4h", at("UTC", 2026, 11, 24, 7, 59)) == at("UTC", 2026, 11, 24, 4)


def test_a_stretch_without_trades_has_no_candle() -> None:
    trades = tape([(0, 5, 1), (10 * NS_PER_MINUTE, 7, 1)])
    assert [candle.start_ns - T0 for candle in drawn(trades, "5m")] == [0, 10 * NS_PER_MINUTE]


def test_the_events_of_a_day_make_the_candles_of_its_tape(day: Day) -> None:
    candles = Candles()
    for seq, ts_ns, command, events in day.history:
        candles.on_command(seq, ts_ns, command, events)
    trades = day.projections.tape.trades
    assert len(trades) > 20
    for family in {trade.fact.instrument.rpartition("/")[0] for trade in trades}:
        mine = [
            (trade.time_ns, (trade.seq, trade.index), trade.fact.price_micro, trade.fact.lots) for trade in trades
            if trade.fact.instrument.startswith(f"{family}/")
        ]  # fmt: skip
        for interval in STORED:
            kept = [candles.all[key] for key in sorted(candles.all) if key[:2] == (family, interval)]
            assert kept == by_hand(mine, interval)


@pytest.mark.parametrize("interval", STORED)
def test_what_is_stored_is_enough_for_what_is_made_of_it(interval: str) -> None:
    assert all(INTERVALS[longer] % INTERVALS[interval] == 0 for longer in INTERVALS if INTERVALS[longer] > INTERVALS[interval])
