"""Candles and indices out of the tables are those that a journal's events make, however the rows came to be there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import small_days
from postgres_server import Server, why_not
from stored import EXCHANGE_ID, Sample, feed, filled

from exchange.adapters.candle_rows import MINUTES_OF
from exchange.adapters.history import History
from exchange.adapters.store import Store
from exchange.domain import commands as c
from exchange.domain.units import MICRO, NS_PER_HOUR, div_half_even
from exchange.gateways import price_view
from exchange.gateways.price_view import Subject
from exchange.ports_history import Window
from exchange.projections.candle_channel import candle_answer
from exchange.projections.candles import INTERVALS, STORED, Candle, Candles, Grid, candle_of, merged
from exchange.projections.indices import Codes, Indices, PublishedPrices
from exchange.projections.tape import instrument_parts
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures

pytestmark = pytest.mark.slow  # a live exchange, or a market day


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """One server for this module."""
    running = Server()
    yield running
    running.close()


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can run"))],
)
def history(sample: Sample, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[History]:
    """The sample day on either database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('prices')}/a.db"
    else:
        url = request.getfixturevalue("postgres").fresh_url()
    store = filled(url, sample.applied)
    yield History(store)
    store.close()


@pytest.fixture(scope="module")
def rebuilt(sample: Sample) -> PublishedPrices:
    """Everything that is published, from the journal alone."""
    found = PublishedPrices()
    for applied in sample.applied:
        found.on_command(*applied)
    return found


@pytest.fixture
def m(sample: Sample) -> Measures:
    """The day's measures."""
    return Measures(sample.venue.settings)


def stored(history: History) -> dict[tuple[str, str, int], Candle]:
    from exchange.adapters.candle_rows import candle_of_row
    from exchange.adapters.tables import TABLES

    found = {}
    with history._reading() as connection:
        for row in connection.execute(TABLES["candles"].select()).mappings():
            interval = next(name for name, minutes in MINUTES_OF.items() if minutes == row["interval_min"])
            found[row["family"], interval, row["start_ns"]] = candle_of_row(row)
    return found


def families(sample: Sample) -> list[str]:
    return sorted({trade.fact.instrument.rpartition("/")[0] for trade in sample.projections.tape.trades})


def busiest_chip(sample: Sample) -> str:
    chips = [instrument_parts(trade.fact.instrument).chip for trade in sample.projections.tape.trades]
    return max(sorted(set(chips)), key=chips.count)


def drawn(sample: Sample, grid: Grid, interval: str, **parts: str) -> list[Candle]:
    """Candles of the whole tape, newest first; parts: chip, region, … of the instruments that count."""
    trades = [
        trade for trade in sample.projections.tape.trades
        if all(getattr(instrument_parts(trade.fact.instrument), name) == value for name, value in parts.items() if value)
    ]  # fmt: skip
    pieces = (
        candle_of(grid.start_ns(interval, t.time_ns), (t.seq, t.index), t.fact.price_micro, t.fact.lots) for t in trades
    )
    return merged(pieces, interval, grid)[::-1]


def shown(sample: Sample, candles: list[Candle], interval: str, m: Measures, now_ns: int) -> list[Any]:
    grid = Grid.of(sample.venue.settings)
    return [candle_answer(candle, interval, grid, now_ns, m) for candle in candles]


def pages(history: History, asked: r.Candles, m: Measures, now_ns: int, limit: int) -> list[Any]:
    """Every candle that the door gives, page by page."""
    found, cursor = [], None
    for _ in range(10_000):
        one = r.Candles(**{name: getattr(asked, name) for name in asked.__struct_fields__} | {"limit": limit, "cursor": cursor})
        page = price_view.candle_page(history, one, price_view.subject_of(one), now_ns, m)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("it never ends")


def test_the_rows_are_the_candles_that_the_events_make(history: History, rebuilt: PublishedPrices) -> None:
    assert len(rebuilt.candles.all) > 20
    assert stored(history) == rebuilt.candles.all


def test_rows_do_not_depend_on_how_often_the_process_began_anew(sample: Sample, rebuilt: PublishedPrices, tmp_path) -> None:
    url, half = f"sqlite:///{tmp_path}/b.db", len(sample.applied) // 2
    for some in (sample.applied[: half - 7], sample.applied[half - 7 : half], sample.applied[half:]):
        store = Store.open(url, EXCHANGE_ID)
        feed(store, some, every=11)
        store.close()
    store = Store.open(url, EXCHANGE_ID)
    assert stored(History(store)) == rebuilt.candles.all
    store.close()


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("limit", [3, 1000])
def test_pages_of_candles_are_the_whole_tape(history: History, sample: Sample, m: Measures, interval: str, limit: int) -> None:
    grid, now_ns = Grid.of(sample.venue.settings), sample.venue.now_ns
    tape = sample.projections.tape.trades
    instrument = max({t.fact.instrument for t in tape}, key=lambda code: sum(t.fact.instrument == code for t in tape))
    parts = instrument_parts(instrument)._asdict()
    subjects: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"instrument": instrument}, parts),
        ({"family": instrument.rpartition("/")[0]}, parts | {"period": ""}),
        ({"chip": parts["chip"], "region": parts["region"]}, {"chip": parts["chip"], "region": parts["region"]}),
        ({"chip": parts["chip"]}, {"chip": parts["chip"]}),
    ]
    for asked, of in subjects:
        wanted = drawn(sample, grid, interval, **of)
        assert wanted
        found = pages(history, r.Candles(interval=interval, **asked), m, now_ns, limit)
        assert found == shown(sample, wanted, interval, m, now_ns), asked


def test_a_page_that_reads_no_more_than_it_may_is_short_and_goes_on(
    history: History, sample: Sample, m: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_view, "MOST_TRADES", 20)
    monkeypatch.setattr(price_view, "MAX_LIMIT", 7)
    now_ns, grid = sample.venue.now_ns, Grid.of(sample.venue.settings)
    chip = busiest_chip(sample)
    for interval in ("1m", "5m"):
        wanted = shown(sample, drawn(sample, grid, interval, chip=chip), interval, m, now_ns)
        assert sum(candle.trades for candle in wanted) > 60 and max(candle.trades for candle in wanted) > 7
        first = price_view.candle_page(history, r.Candles(interval=interval, chip=chip), Subject(chip=chip), now_ns, m)
        assert len(first.items) < len(wanted) and first.next_cursor
        assert pages(history, r.Candles(interval=interval, chip=chip), m, now_ns, 100) == wanted


def test_a_span_of_time_has_the_candles_that_begin_in_it(history: History, sample: Sample, m: Measures) -> None:
    now_ns, chip = sample.venue.now_ns, busiest_chip(sample)
    for interval in ("1m", "15m", "1h"):
        everything = pages(history, r.Candles(interval=interval, chip=chip), m, now_ns, 1000)
        assert len(everything) > 4
        starts = sorted(m.time_ns(candle.start) for candle in everything)
        low, high = starts[len(starts) // 4] + 1, starts[-1 - len(starts) // 4] + 1
        asked = r.Candles(interval=interval, chip=chip, from_time=m.time_text(low), to_time=m.time_text(high))
        wanted = [candle for candle in everything if low <= m.time_ns(candle.start) < high]
        assert pages(history, asked, m, now_ns, 7) == wanted


def test_the_newest_candle_is_final_when_its_time_is_over(history: History, sample: Sample, m: Measures) -> None:
    family = families(sample)[0]
    asked = r.Candles(interval="1h", family=family)
    newest = pages(history, asked, m, 0, 10)[0]
    end_ns = m.time_ns(newest.end)
    assert not newest.is_final and m.time_ns(newest.start) == end_ns - NS_PER_HOUR
    assert not pages(history, asked, m, end_ns - 1, 10)[0].is_final and pages(history, asked, m, end_ns, 10)[0].is_final


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"interval": "2h", "chip": "H800"}, "interval"), ({"interval": "1h"}, "instrument"),
        ({"interval": "1h", "chip": "H800", "family": "x"}, "chip"),
        ({"interval": "1h", "family": "x", "region": "y"}, "region"),
        ({"interval": "1h", "instrument": "x", "family": "y"}, "family"),
    ],
)  # fmt: skip
def test_a_question_about_nothing_or_two_things_is_refused(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(DoorError) as caught:
        price_view.subject_of(r.Candles(**asked))
    assert (caught.value.reason, caught.value.field) == (DoorReason.INVALID_FIELD, field)


def test_times_that_are_turned_round_and_foreign_cursors_are_refused(history: History, sample: Sample, m: Measures) -> None:
    family, now_ns = families(sample)[0], sample.venue.now_ns
    back = r.Candles(interval="1h", family=family, from_time="2026-11-24T00:00:00Z", to_time="2026-11-23T00:00:00Z")
    with pytest.raises(DoorError) as caught:
        price_view.candle_page(history, back, Subject(family=family), now_ns, m)
    assert caught.value.field == "to_time"
    one = r.Candles(interval="15m", family=family, limit=1)
    first = price_view.candle_page(history, one, Subject(family=family), now_ns, m)
    for interval, cursor in (("1d", first.next_cursor), ("15m", "Zm9v")):
        with pytest.raises(DoorError) as caught:
            asked = r.Candles(interval=interval, family=family, cursor=cursor)
            price_view.candle_page(history, asked, Subject(family=family), now_ns, m)
        assert caught.value.reason == DoorReason.BAD_CURSOR


# --- indices ---


def index_pages(history: History, asked: dict[str, Any], sample: Sample, m: Measures, limit: int) -> list[Any]:
    chips = {code: chip.fp16_gflops for code, chip in sample.venue.state.catalogue.chips.items()}
    wanted = {asked["chip"]: chips[asked["chip"]]} if "chip" in asked else chips
    found, cursor = [], None
    while True:
        one = r.Indices(**asked, limit=limit, cursor=cursor)
        page = price_view.index_page(history, one, wanted, Codes(sample.venue.periods), m)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def by_definition(sample: Sample, code: str, chip: str, region: str) -> tuple[int, int, int]:
    """(price, lots, instruments) of an index, in other words than the code's; every fix of the day came before its gate."""
    weight = weighted = traded = count = 0
    for instrument, fix in sample.projections.tape.fixes.items():
        parts = instrument_parts(instrument)
        if (parts.period, parts.chip) != (code, chip) or region not in ("", parts.region):
            continue
        at = max(seq for seq, _, command, events in sample.applied if fix in events)
        lots = sum(t.fact.lots for t in sample.projections.tape.trades if t.fact.instrument == instrument and t.seq < at)
        weight += lots or 1
        weighted += fix.price_micro * (lots or 1)
        traded += lots
        count += 1
    return div_half_even(weighted, weight), traded, count


def test_an_index_is_the_mean_of_the_fixes_by_what_was_traded(history: History, sample: Sample, m: Measures) -> None:
    fixes = sample.projections.tape.fixes
    chip = instrument_parts(max(fixes, key=lambda code: sum(other.startswith(code[:4]) for other in fixes))).chip
    regions = sorted({instrument_parts(code).region for code in fixes if instrument_parts(code).chip == chip})
    assert len(regions) > 1
    for region in ("", *regions):
        asked = {"chip": chip} | ({"region": region} if region else {})
        found = index_pages(history, asked, sample, m, 1000)
        assert found and found == index_pages(history, asked, sample, m, 2)
        for point in found:
            code = sample.venue.periods.code(sample.venue.periods.at(m.time_ns(point.period_start)))
            price, lots, count = by_definition(sample, code, chip, region)
            assert (point.price, point.card_hours, point.instruments) == (m.yuan(price), m.card_hours_text(lots), count)
            gflops = sample.venue.state.catalogue.chips[chip].fp16_gflops
            assert abs(m.money_micro(point.per_pflops_hour) - price * 1_000_000 // gflops) <= 1_000_000 // gflops + 1


def test_indices_out_of_the_tables_are_those_of_the_journal(
    history: History, sample: Sample, rebuilt: PublishedPrices, m: Measures
) -> None:
    chips = {code: chip.fp16_gflops for code, chip in sample.venue.state.catalogue.chips.items()}
    points = index_pages(history, {}, sample, m, 1000)
    assert len(points) == len(rebuilt.indices.fixes) > 3
    for point in points:
        code = sample.venue.periods.code(sample.venue.periods.at(m.time_ns(point.period_start)))
        index = rebuilt.indices.index(chips, "", code, chips)
        assert index is not None and point.price is None
        told = (point.per_pflops_hour, point.instruments, point.grade, point.card_hours)
        per_pflops = m.yuan(index.per_pflops_hour_micro) if index.per_pflops_hour_micro else None
        assert told == (per_pflops, index.instruments, index.grade, m.card_hours_text(index.lots))
    assert any(point.per_pflops_hour for point in points)


def test_only_trades_before_the_last_fix_weigh_also_in_the_tables(tmp_path: Any) -> None:
    day = small_days.open_day()
    code = "H800/g/L10/grid/20261123T05"

    def bid(name: str, lots: int) -> c.PlaceOrder:
        return c.PlaceOrder("B1", name, code, "buy", 8 * MICRO, lots)

    def fix(price: int) -> c.SetFix:
        return c.SetFix(code, price * MICRO, "A", "00")

    day.do(small_days.offer("P1", "o1", 640, 8), bid("b1", 30), fix(7), bid("b2", 20), fix(6), bid("b3", 500))
    day.do(c.SetFix(code.replace("L10/grid", "L10/green"), 9 * MICRO, "C", "00"))
    history = History(filled(f"sqlite:///{tmp_path}/small.db", day.history))
    assert [(row.price_micro, row.lots) for row in history.weighed_fixes(["H800"], "", ["20261123T05"])] == [
        (9 * MICRO, 0), (6 * MICRO, 50),
    ]  # fmt: skip
    page = price_view.index_page(
        history, r.Indices(chip="H800"), {"H800": 990_000}, Codes(day.venue.periods), Measures(day.venue.settings)
    )
    (point,) = page.items
    assert (point.price, point.card_hours, point.instruments) == ("6.058824", "5", 2), "309 yuan by 51 lots"
    rebuilt = Indices()
    for applied in day.history:
        rebuilt.on_command(*applied)
    index = rebuilt.index(["H800"], "", "20261123T05", {"H800": 990_000})
    assert index is not None and Measures(day.venue.settings).yuan(index.price_micro) == point.price


def test_one_period_and_a_span_of_periods(history: History, sample: Sample, m: Measures) -> None:
    everything = index_pages(history, {}, sample, m, 1000)
    starts = [point.period_start for point in everything]
    assert starts == sorted(starts, reverse=True) and len(starts) > 4
    assert index_pages(history, {"period_start": starts[2]}, sample, m, 5) == everything[2:3]
    assert index_pages(history, {"from_time": starts[3], "to_time": starts[1]}, sample, m, 5) == everything[2:4]
    for bad in ({"period_start": "2026-11-24T00:30:00Z"}, {"period_start": starts[0], "from_time": starts[1]}):
        with pytest.raises(DoorError) as caught:
            index_pages(history, bad, sample, m, 5)
        assert caught.value.field == "period_start"


def test_the_board_reads_back_every_trade_that_is_still_to_be_delivered(history: History, sample: Sample) -> None:
    tape = sample.projections.tape.trades
    at = tape[len(tape) // 2].fact.period_start_ns
    found = history.tape_of_open(0, at)
    assert [(row.ts_ns, row.instrument, row.price_micro, row.lots) for row in found] == [
        (t.time_ns, t.fact.instrument, t.fact.price_micro, t.fact.lots) for t in tape if t.fact.period_start_ns >= at
    ]
    late = tape[-1].time_ns
    assert all(row.ts_ns >= late for row in history.tape_of_open(late, 0))
    assert history.candle_starts(15, window=Window(0, 1)) == []


def test_projections_of_prices_need_no_more_than_the_events(sample: Sample) -> None:
    candles, indices = Candles(), Indices()
    for seq, ts_ns, command, events in sample.applied:
        candles.on_command(seq, ts_ns, command, events)
        indices.on_command(seq, ts_ns, command, events)
    assert {interval for _, interval, _ in candles.all} == set(STORED) and indices.fixes
