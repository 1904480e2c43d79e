"""The ledger and the statements: money is neither made nor lost, and every day adds up."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_days import (
    T0,
    TARIFF,
    Day,
    H,
    full_day,
    made_up_day,
    offer,
    open_day,
    run_hours,
    task,
)

from exchange.domain import commands as c
from exchange.domain.events import Acknowledged, Moved, Settled
from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.domain.units import MICRO, NS_PER_SECOND, PPM
from exchange.projections import Projections
from exchange.projections.calendar import Calendar, CalendarError
from exchange.projections.ledger import BUCKETS, EMPTY, Ledger
from exchange.projections.statements import Statement, delivered_prices, statements


def statements_of(day: Day) -> list[Statement]:
    p = day.projections
    return list(statements(p.ledger, p.tape, p.deliveries))


def settled(day: Day) -> list[Settled]:
    return [event for *_, events in day.history for event in events if type(event) is Settled]


# --- balances ---------------------------------------------------------------------------------------------


def test_after_every_command_the_moves_lead_to_the_venue_s_balances() -> None:
    class Watched(Day):
        def do(self, *commands):  # type: ignore[no-untyped-def]
            events = []
            for command in commands:
                events += super().do(command)
                assert self.projections.ledger.differences(self.balances()) == []
                self.projections.ledger.check()
            return events

    day = open_day()
    watched = Watched(day.venue, day.projections, day.history)
    watched.do(
        offer("P1", "o1", 640, 8),
        task("t1", on_break="abandon"),
        task("t2", "b1", data_mb=999, data_region="w"),
    )
    watched.do(
        c.PlaceOrder("B1", "x", "H800/g/L10/grid/20261123T05", "buy", 6 * MICRO, 10), c.CancelOrder("B1", "x")
    )
    run_hours(watched, 1, 13, failing=(3,))


def test_a_full_day_ends_with_the_venue_s_balances(day: Day) -> None:
    assert day.projections.ledger.differences(day.balances()) == []


def test_a_balance_the_venue_moved_silently_is_seen(day: Day) -> None:
    balances = day.balances()
    cash, *others = balances["P1"]
    assert day.projections.ledger.differences(balances | {"P1": (cash + 1, *others)}) != []
    assert day.projections.ledger.differences(balances | {"nobody": (0, 0, 1, 0, 0)}) != []


def test_a_purse_below_zero_stops_the_ledger() -> None:
    projections = Projections()
    projections.on_command(1, 0, c.SetVenue("x"), [Acknowledged("SetVenue", "x")])
    projections.on_command(2, 0, c.Deposit("A", 5), [Moved("A", "cash", "B", "cash", 5, "payout", "")])
    with pytest.raises(AssertionError):
        projections.ledger.check()


names = st.sampled_from(["outside", "exchange", "A", "B", "C"])
moves = st.tuples(names, st.sampled_from(BUCKETS), names, st.sampled_from(BUCKETS), st.integers(1, 10**18))


@given(st.lists(st.tuples(st.integers(0, 40), st.lists(moves, max_size=6)), max_size=12))
def test_any_moves_give_days_that_add_up(commands) -> None:  # type: ignore[no-untyped-def]
    calendar = Calendar()
    calendar.on_command(1, 0, c.SetVenue("x"), [Acknowledged("SetVenue", "x")])
    ledger, projections = Ledger(calendar), Projections()
    ledger.check = lambda: None  # type: ignore[method-assign]  # free moves overdraw purses; only the sum holds
    model: Counter[tuple[str, str]] = Counter()
    now = T0
    for seq, (hours, steps) in enumerate(commands):
        now += hours * H
        events = [Moved(*step, "payout", "") for step in steps]
        for source, from_bucket, target, to_bucket, amount in steps:
            model[source, from_bucket] -= amount
            model[target, to_bucket] += amount
        ledger.on_command(seq, now, None, events)
    for name in ("outside", "exchange", "A", "B", "C"):
        assert ledger.balance(name) == tuple(model[name, bucket] for bucket in BUCKETS)
    found = list(statements(ledger, projections.tape, projections.deliveries))  # asserts opening + lines = closing
    last: dict[str, tuple[int, ...]] = {}
    per_day: Counter[date] = Counter()
    for statement in found:
        assert statement.opening == last.get(statement.account, EMPTY)
        last[statement.account] = statement.closing
        per_day[statement.day] += statement.lines_micro
    assert not any(per_day.values())
    assert all(ledger.balance(name) == closing for name, closing in last.items())
    for entry in ledger.entries():
        assert sum(amount for *_, amount in entry.postings) == 0
        assert all(amount for *_, amount in entry.postings)


# --- statements -------------------------------------------------------------------------------------------


def test_opening_and_lines_make_the_closing_and_the_next_day_opens_with_it(day: Day) -> None:
    last: dict[str, tuple[int, ...]] = {}
    found = statements_of(day)
    for statement in found:
        assert statement.opening_micro + statement.lines_micro == statement.closing_micro
        assert statement.opening == last.get(statement.account, EMPTY)
        last[statement.account] = statement.closing
    balances = day.balances()
    assert {name: purses for name, purses in balances.items() if any(purses)} == {
        name: purses for name, purses in last.items() if any(purses)
    }
    assert len({statement.day for statement in found}) == 2


def test_every_account_with_a_move_has_a_statement_that_day(day: Day) -> None:
    calendar = day.projections.calendar
    wanted = {
        (name, calendar.day(ts))
        for _, ts, _, events in day.history
        for event in events
        if type(event) is Moved
        for name in (event.from_account, event.to_account)
    }
    assert {(statement.account, statement.day) for statement in statements_of(day)} == wanted


def test_the_lines_of_all_accounts_cancel_out_every_day(day: Day) -> None:
    sums: Counter[date] = Counter()
    for statement in statements_of(day):
        sums[statement.day] += statement.lines_micro
    assert len(sums) == 2 and not any(sums.values())


def test_money_set_aside_is_no_line_but_shows_in_the_closing() -> None:
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), task("t1"), task("waits", lots=640, price_cap_micro=MICRO))
    buyer = next(statement for statement in statements_of(day) if statement.account == "B1")
    seller = next(statement for statement in statements_of(day) if statement.account == "P1")
    assert [line.what for line in buyer.lines] == ["deposit"]
    cash, held, escrow, margin, bond = buyer.closing
    assert (held, escrow, margin, bond) == (385_920_000, 3_087_360_000, 0, 0)
    assert cash + held + escrow == 10**12 == buyer.closing_micro
    assert seller.closing[3] > 0 and seller.closing_micro == 10**12


def test_a_statement_names_the_task_to_the_buyer_and_the_offer_to_the_seller_only(day: Day) -> None:
    found = statements_of(day)
    obligation = day.trades()[0].obligation_id
    lines = {s.account: line for s in found for line in s.lines if line.obligation == obligation}
    assert lines["B1"].reference == "task t1" and lines["P1"].reference == "offer o1"
    assert lines["region:g"].reference == "" == lines["exchange"].reference
    assert all(line.counterparty and line.instrument for line in lines.values())


def test_a_depositor_cannot_put_his_money_under_somebody_s_obligation() -> None:
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), task("t1"))
    number = day.trades()[0].obligation_id
    day.do(c.Deposit("P2", MICRO, f"obligation:{number}"), c.Withdraw("P2", MICRO, f"obligation:{number}"))
    seller = next(statement for statement in statements_of(day) if statement.account == "P2")
    assert {line.obligation for line in seller.lines} == {0}
    assert seller.lines[-1].reference == f"obligation:{number}" and seller.lines[-1].amount_micro == -MICRO
    assert delivered_prices(day.projections.ledger, day.projections.tape) == {}


def test_a_day_ends_at_midnight_of_the_venue() -> None:
    for zone, offset in (("Asia/Shanghai", 16), ("UTC", 24), ("America/New_York", 5)):
        day = open_day(c.SetVenue("test", time_zone=zone))
        day.do(c.AdvanceTime(T0 + offset * H - 1), c.Deposit("B1", 3))
        day.do(c.AdvanceTime(T0 + offset * H), c.Deposit("B1", 4))
        mine = [statement for statement in statements_of(day) if statement.account == "B1"]
        assert [line.amount_micro for line in mine[-1].lines] == [4], zone
        assert (mine[-1].day - mine[-2].day).days == 1


def test_days_of_23_and_25_hours_are_days() -> None:
    calendar = Calendar()
    calendar.on_command(1, 0, c.SetVenue("x", time_zone="Europe/Berlin"), [Acknowledged("SetVenue", "x")])
    for noon, hours in ((1_774_778_400, 23), (1_792_925_999, 25), (1_795_392_000, 24)):
        end = calendar.day_end_ns(noon * NS_PER_SECOND)
        assert calendar.day(end) > calendar.day(end - 1) == calendar.day(noon * NS_PER_SECOND)
        assert calendar.day(end - hours * H) == calendar.day(end - 1) > calendar.day(end - hours * H - 1)


def test_a_time_zone_that_does_not_exist_is_said_at_once() -> None:
    with pytest.raises(CalendarError, match="Mars/Phobos"):
        Projections().on_command(
            1, 0, c.SetVenue("x", time_zone="Mars/Phobos"), [Acknowledged("SetVenue", "x")]
        )


def test_a_refused_setting_changes_nothing(day: Day) -> None:
    other = full_day()
    other.do(c.SetVenue("second", time_zone="UTC"))
    assert other.projections.calendar.settings.name == "test"
    other.do(c.AdvanceTime(other.venue.now_ns + 1))


# --- delivered prices (CA3) -------------------------------------------------------------------------------


def test_the_parts_of_a_delivered_price_add_up_to_what_was_settled(day: Day) -> None:
    parts = delivered_prices(day.projections.ledger, day.projections.tape)
    assert len(settled(day)) > 50
    for item in settled(day):
        found = parts.get(item.obligation_id)
        total = item.paid_micro + item.fee_micro + item.moving_micro
        assert (found.total if found else 0) == total
        if found:
            assert (found.compute + found.region + found.green, found.fee, found.moving) == (
                item.paid_micro, item.fee_micro, item.moving_micro,
            )  # fmt: skip


def test_a_delivered_hour_costs_what_the_trade_said(day: Day) -> None:
    parts = delivered_prices(day.projections.ledger, day.projections.tape)
    trades = {trade.obligation_id: trade for trade in day.trades()}
    delivered = [item for item in settled(day) if item.status == "delivered" and item.obligation_id in trades]
    for item in delivered:
        trade = trades[item.obligation_id]
        assert parts[item.obligation_id].total == trade.cost_micro + trade.fee_micro + item.moving_micro
    assert any(item.moving_micro for item in delivered)


def test_a_made_up_hour_is_paid_under_its_own_obligation_and_the_sum_is_the_trade_s() -> None:
    day = made_up_day()
    tape, parts = day.projections.tape, delivered_prices(day.projections.ledger, day.projections.tape)
    chain = [
        item
        for item in settled(day)
        if tape.by_obligation[item.obligation_id].fact.period_start_ns == T0 + 3 * H
    ]
    assert [item.status for item in chain] == ["made_up", "made_up", "delivered"]
    assert sum(item.lots - item.lost_lots - item.made_up_lots for item in chain) == 640
    fact = tape.by_obligation[chain[0].obligation_id].fact
    assert sum(parts[item.obligation_id].total for item in chain) == fact.cost_micro + fact.fee_micro
    assert parts[chain[-1].obligation_id].region == chain[-1].paid_micro * TARIFF.shares[0].ppm // PPM
    lines = {line.obligation: line for s in statements_of(day) if s.account == "B1" for line in s.lines}
    assert [lines[item.obligation_id].instrument for item in chain] == [item.instrument for item in chain]
    assert len({item.instrument for item in chain}) == 3
    assert {lines[item.obligation_id].reference for item in chain} == {"task t1"}
    assert day.projections.ledger.differences(day.balances()) == []


def test_region_and_green_shares_are_told_apart_by_the_tariff_of_the_trade(day: Day) -> None:
    parts = delivered_prices(day.projections.ledger, day.projections.tape)
    seen = set()
    for item in settled(day):
        if item.paid_micro == 0:
            continue
        found, is_green = parts[item.obligation_id], "/green/" in item.instrument
        assert found.region == item.paid_micro * TARIFF.shares[0].ppm // PPM
        assert found.green == (item.paid_micro * TARIFF.shares[1].ppm // PPM if is_green else 0)
        seen.add(is_green)
    assert seen == {True, False}


def test_what_a_buyer_reads_on_an_obligation_is_its_delivered_price_and_his_damages(day: Day) -> None:
    parts = delivered_prices(day.projections.ledger, day.projections.tape)
    paid: Counter[int] = Counter()
    for statement in statements_of(day):
        if statement.account in ("B1", "b1"):
            for line in statement.lines:
                paid[line.obligation] += line.amount_micro if line.obligation else 0
    for item in settled(day):
        total = parts[item.obligation_id].total if item.obligation_id in parts else 0
        assert paid[item.obligation_id] == item.damages_micro - total
    assert any(item.damages_micro for item in settled(day))


def test_a_buyer_who_is_a_recipient_of_shares_still_reads_the_whole_price() -> None:
    tariff = c.SetTariff(1, 0, 5_000, 2_500, 10_000, (c.Share("compute", "B1", 100_000),))
    day = open_day(tariff=tariff)
    day.do(offer("P1", "o1", 640, 8), task("t1", periods=1))
    run_hours(day, 1, 2)
    (item,) = settled(day)
    found = delivered_prices(day.projections.ledger, day.projections.tape)[item.obligation_id]
    assert found.total == item.paid_micro + item.fee_micro
    assert day.projections.ledger.differences(day.balances()) == []
    buyer = next(statement for statement in statements_of(day) if statement.account == "B1")
    assert buyer.closing_micro == 10**12 - found.total + found.region


# --- quantities and prices --------------------------------------------------------------------------------


def test_lots_times_price_of_a_line_is_the_compute_and_its_shares(day: Day) -> None:
    paid = {item.obligation_id: item.paid_micro for item in settled(day)}
    lots_lost = {item.obligation_id: item.lost_lots for item in settled(day)}
    seen = set()
    for statement in statements_of(day):
        for line in statement.lines:
            assert bool(line.price_micro) == bool(line.obligation)
            if line.what.startswith("damages"):
                assert line.lots == lots_lost[line.obligation] > 0
            elif line.obligation:
                assert line.lots * line.price_micro == 10 * paid[line.obligation]
            seen.add(line.what)
    assert {"damages received", "compute delivered, net of shares", "moving data, to the network"} <= seen


def test_what_is_paid_for_is_what_was_neither_lost_nor_put_off(day: Day) -> None:
    for whole in (day, made_up_day()):
        tape = whole.projections.tape
        for item in settled(whole):
            kept = item.lots - item.lost_lots - item.made_up_lots
            assert 10 * item.paid_micro == kept * tape.by_obligation[item.obligation_id].fact.price_micro
            assert item.delivered_lots >= kept  # what the guide says of delivered + lost + made_up


def test_lots_that_ran_may_be_lost_with_those_that_failed() -> None:
    day = open_day()
    day.do(offer("P1", "o1", 30, 8), task("t", on_break="abandon", lots=30, periods=2))
    run_hours(day, 1, 3, partial=(1,))
    found = [(item.status, item.delivered_lots, item.lost_lots, item.paid_micro) for item in settled(day)]
    assert found == [("short", 10, 30, 0), ("void", 0, 30, 0)]


def test_only_the_four_system_accounts_are_not_participants(day: Day) -> None:
    assert {s.account for s in statements_of(day) if s.is_system} == set(SYSTEM_ACCOUNTS)
