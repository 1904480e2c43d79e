"""A market day for the operator: its figures beside sums over the tape, made another way; busted trades do not count."""

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from small_days import T0, H, full_day, offer, open_day, task

from exchange.domain.commands import AdvanceTime
from exchange.domain.events import FixSet
from exchange.domain.events_settlement import TradeBusted
from exchange.domain.units import MICRO, div_half_even
from exchange.projections.market_day import MarketDay, market_days
from exchange.projections.supply import Capacity


@pytest.fixture(scope="module")
def run():
    return full_day().projections


def test_all_days_together_are_the_whole_run(run):
    days = list(market_days(run).values())
    assert sum(day.trades for day in days) == run.tape.count > 0
    assert sum(day.lots for day in days) == sum(trade.fact.lots for trade in run.tape.trades)
    assert sum(day.notional_micro for day in days) == run.tape.notional_micro
    assert sum(sum(day.tasks.values()) for day in days) == len(run.tasks.records)
    assert sum(sum(day.settled.values()) for day in days) == run.settlement_totals()["obligations"]
    assert sum(day.damages_micro for day in days) == run.settlement_totals()["damages"] > 0
    for day in days:
        assert day.lots == sum(p.lots for p in day.by_chip.values()) == sum(p.lots for p in day.by_hour)
    assert sum(day.green.load_wh for day in days) == run.green.total().load_wh


def test_a_busted_trade_is_not_counted():
    run = full_day().projections
    trade = run.tape.trades[0]
    day = run.calendar.day(trade.time_ns)
    before, fact = market_days(run)[day], trade.fact
    bust = TradeBusted(
        fact.obligation_id, fact.buyer, fact.seller, fact.instrument, fact.period_start_ns, fact.lots, fact.price_micro,
        fact.cost_micro, fact.fee_micro, 0, "a mistake",
    )  # fmt: skip
    run.on_command(10**6, trade.time_ns, None, [bust])
    after = market_days(run)[day]
    assert (after.trades, after.lots, after.busted) == (before.trades - 1, before.lots - fact.lots, 1)
    assert after.notional_micro == before.notional_micro - fact.cost_micro


def test_a_quiet_day_is_all_zero(run):
    quiet = MarketDay(date(2001, 1, 1))
    assert (quiet.trades, quiet.lots, quiet.notional_micro, quiet.settled_lots) == (0, 0, 0, 0)


def test_every_lot_that_was_offered_was_sold_left_or_taken_back():
    """Full day: what each offer put up over its hours, by hand, beside what Supply says of the regions."""
    run = full_day().projections
    days = list(market_days(run).values())
    found = {name: Capacity() for name in ("g", "w")}
    for day in days:
        for region, lots in day.capacity.items():
            found[region].add(lots)
    sold = Counter()
    for trade in run.tape.trades:
        sold["g" if trade.fact.site == "s1" else "w"] += trade.fact.lots
    assert {region: lots.sold_lots for region, lots in found.items()} == dict(sold)
    # o1: 640 lots over 12 hours, o3: 200 over 12, og: 100 over 11, all at s1 in g; at s2 in w o2: 640 and o4: 300 over 12
    assert found["g"].offered_lots + found["g"].taken_back_lots == 640 * 12 + 200 * 12 + 100 * 11
    assert found["w"].offered_lots + found["w"].taken_back_lots == (640 + 300) * 12
    assert found["w"].taken_back_lots == 640, "o2 was withdrawn while one hour of it was open"
    assert found["g"].attested_lots == 1_000 * sum(len(hours_of(run, day.day)) for day in days)


def hours_of(run, day):
    """Delivery hours of a day that were attested and whose gate has closed by the end of the run."""
    start, end = run.calendar.day_span(day)
    return [hour for hour in range(0, 40 + 1) if start <= T0 + hour * H < end]


def test_hours_whose_gate_is_open_are_no_part_of_the_capacity():
    """Three hours in, the hours from the fourth on can still be bought: neither sold nor left."""
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), task("t1", lots=640, periods=6))
    day.do(AdvanceTime(T0 + 3 * H))
    made = market_days(day.projections)[day.projections.calendar.day(T0)]
    gate_h = day.projections.calendar.settings.gate_min // 60
    closed = [hour for hour in range(1, 7) if hour <= 3 + gate_h]
    assert 0 < len(closed) < 6 and made.capacity["g"].sold_lots == 640 * len(closed)
    assert made.lots == 640 * 6, "the trades themselves count at once"


def test_the_fix_of_a_day_is_the_mean_of_its_fixes_by_their_lots():
    run = full_day().projections
    for hour, yuan in ((3, 20), (4, 5)):  # hours in which unlike amounts were traded
        fix = FixSet(f"H800/g/L10/grid/20261123T{hour:02}", yuan * MICRO, "B", "x")
        run.on_command(10**6 + hour, T0, None, [fix])
    for day in market_days(run):
        start, end = run.calendar.day_span(day)
        weighted = weight = 0
        lots = Counter()
        fixed = {}
        for item in run.tape.trades:
            lots[item.fact.instrument] += item.fact.lots
        for code, fix in run.tape.fixes.items():
            hour = datetime.strptime(code.rpartition("/")[2], "%Y%m%dT%H").replace(tzinfo=UTC).timestamp() * 10**9
            if start <= hour < end:
                fixed[code] = fix.price_micro
                weight += max(1, lots[code])
                weighted += max(1, lots[code]) * fix.price_micro
        if not fixed:
            assert market_days(run)[day].fixes == {}
            continue
        found = market_days(run)[day].fixes["H800", "g"]
        assert found.index.price_micro == div_half_even(weighted, weight) and found.grades == {"A": len(fixed) - 2, "B": 2}
        assert (found.low_micro, found.high_micro) == (min(fixed.values()), max(fixed.values()))


def test_tasks_that_got_less_are_counted_by_reason_in_what_they_lack(run):
    days = list(market_days(run).values())
    lacking = Counter()
    for record in run.tasks.records:
        if record.status != "filled":
            lacking[record.reason] += max(0, record.asked_lots * record.task.periods - record.lot_periods)
    found = Counter()
    for day in days:
        found.update({reason: lots for reason, (_, lots) in day.unfilled.items()})
        assert day.chip_hours.keys() == day.by_chip.keys()
    assert found == lacking and len(lacking) == 3 and max(lacking.values()) > 0
