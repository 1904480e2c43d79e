"""The tape and the prices made from it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_days import T0, Day, H, offer, open_day, task

from exchange.domain import commands as c
from exchange.domain.units import MICRO, NS_PER_MINUTE
from exchange.projections.prices import SCOPES, PriceRow, Prices, price_rows
from exchange.projections.tape import instrument_parts


def rows_of(day: Day, scope: str) -> list[PriceRow]:
    return [row for row in price_rows(day.projections.tape, day.projections.calendar) if row.scope == scope]


def test_the_tape_holds_every_trade_once_and_in_order(day: Day) -> None:
    tape = day.projections.tape
    assert [trade.fact for trade in tape.trades] == day.trades()
    ids = [(trade.seq, trade.index) for trade in tape.trades]
    assert ids == sorted(set(ids)) and tape.count == len(ids) > 50
    assert tape.notional_micro == sum(trade.cost_micro for trade in day.trades())
    assert any(trade.fact.is_block for trade in tape.trades)


def test_the_trades_of_a_command_are_numbered_from_nought(day: Day) -> None:
    for trade in day.projections.tape.trades:
        if trade.index:
            assert (trade.seq, trade.index - 1) in {(t.seq, t.index) for t in day.projections.tape.trades}


def test_prices_agree_with_a_plain_count(day: Day) -> None:
    for row in price_rows(day.projections.tape, day.projections.calendar):
        mine = []
        for trade in day.projections.tape.trades:
            parts = instrument_parts(trade.fact.instrument)
            day_text = day.projections.calendar.day(trade.time_ns).isoformat()
            facts = (parts.chip, parts.region, parts.latency_class, parts.power, parts.period, day_text)
            wanted = (row.chip, row.region, row.latency_class, row.power, row.period, row.day)
            if all(want in ("", fact) for want, fact in zip(wanted, facts, strict=True)):
                mine.append(trade.fact)
        p = row.prices
        assert p.trades == len(mine) and p.lots == sum(fact.lots for fact in mine)
        if mine:
            prices = [fact.price_micro for fact in mine]
            assert (p.first_micro, p.last_micro, p.low_micro, p.high_micro) == (
                prices[0], prices[-1], min(prices), max(prices),
            )  # fmt: skip
            assert p.vwap_micro == round(Fraction(sum(f.price_micro * f.lots for f in mine), p.lots))
        else:
            assert row.fix_micro and p.vwap_micro == 0
    assert {row.scope for row in price_rows(day.projections.tape, day.projections.calendar)} == set(SCOPES)


@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(1, 10**9)), min_size=1, max_size=20))
def test_vwap_is_rounded_half_to_even(trades: list[tuple[int, int]]) -> None:
    prices = Prices()
    for price, lots in trades:
        prices.add(price, lots)
    assert prices.vwap_micro == round(Fraction(sum(p * n for p, n in trades), sum(n for _, n in trades)))
    assert prices.low_micro <= prices.vwap_micro <= prices.high_micro


def test_the_last_fix_and_its_grade_stand_beside_the_instrument(day: Day) -> None:
    found = {
        row.period: row for row in rows_of(day, "instrument") if (row.region, row.power) == ("g", "grid")
    }
    assert found["20261123T05"].fix_micro == 9 * MICRO and found["20261123T05"].grade == "A"
    assert all(row.fix_micro == 0 for row in rows_of(day, "instrument") if row.region == "w")


def test_a_fix_without_a_trade_is_shown_too() -> None:
    day = open_day()
    day.do(c.SetFix("H800/w/L1/grid/20261123T07", 3 * MICRO, "C", "x"))
    (row,) = price_rows(day.projections.tape, day.projections.calendar)
    assert (row.period, row.fix_micro, row.grade, row.prices.trades) == ("20261123T07", 3 * MICRO, "C", 0)


def test_the_national_price_of_a_chip_covers_all_regions(day: Day) -> None:
    (row,) = rows_of(day, "chip")
    assert row.chip == "H800"
    assert row.prices.trades == day.projections.tape.count


@pytest.mark.parametrize(
    ("period_min", "lots_per_card", "cards", "card_hours"),
    [(60, 10, "0.7", "0.7"), (15, 100, "0.07", "0.0175"), (30, 1, "7", "3.5")],
)
def test_cards_and_card_hours_follow_the_settings(
    period_min: int, lots_per_card: int, cards: str, card_hours: str
) -> None:
    settings = c.SetVenue("x", period_min=period_min, lots_per_card=lots_per_card, tick_micro=60_000)
    calendar = open_day(settings).projections.calendar
    assert calendar.cards_text(7) == cards and calendar.card_hours_text(7) == card_hours


def test_quarter_hours_trade_and_are_told_apart() -> None:
    day = open_day(c.SetVenue("x", period_min=15))
    quarter = 15 * NS_PER_MINUTE
    day.do(
        offer("P1", "o", 40, 8),
        task("t", lots=40, periods=3, earliest_start_ns=T0 + H, deadline_ns=T0 + 2 * H),
    )
    assert [instrument_parts(t.instrument).period for t in day.trades()] == [
        "20261123T0100", "20261123T0115", "20261123T0130",
    ]  # fmt: skip
    assert [t.period_start_ns for t in day.trades()] == [T0 + H, T0 + H + quarter, T0 + H + 2 * quarter]
    assert day.projections.tasks.per_card_hour(day.projections.tasks.records[0]) == 8 * MICRO


def test_an_instrument_code_always_comes_apart() -> None:
    assert instrument_parts("a/b/c/L1/grid/20261123T01") == ("a", "b/c", "L1", "grid", "20261123T01")
