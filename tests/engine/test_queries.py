"""Questions to the live venue: what they say is what the venue holds, at any moment of a morning."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from morning import morning

from exchange.domain import commands as c
from exchange.domain.units import MICRO, parse_micro
from exchange.domain.venue import Venue
from exchange.engine import queries as q
from exchange.engine.queries import Moment
from exchange.protocol import requests as r
from exchange.protocol.codec import idem_key
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.strict_json import encode
from exchange.protocol.to_command import terms_of

sys.path.append(str(Path(__file__).resolve().parents[1] / "projections"))

import small_days as days  # noqa: E402

pytestmark = pytest.mark.slow  # a live exchange, or a market day

CODE = "H800/g/L10/grid/20261123T0"


def played(count: int | None = None) -> Venue:
    """The morning's venue after so many commands, with the keys that a journal would give them."""
    venue = Venue()
    for seq, command in enumerate(morning()[:count], 1):
        key = idem_key(command)
        venue.apply(seq, command, idem_key=key if any(key) else b"", body_hash=b"h")
    return venue


@pytest.fixture(scope="module")
def venue() -> Venue:
    """As the morning ends, with waiting tasks, resting bids and open offers."""
    return played()


@pytest.fixture(scope="module")
def m(venue: Venue) -> Measures:
    return Measures(venue.settings)


def at(v: Venue) -> Moment:
    return Moment(2, 77, v.now_ns)


def small() -> days.Day:
    """P1 sells 64 cards at 8.00 through the books, P2 30 at 7.50 as blocks of 10 cards and 2 hours."""
    day = days.open_day()
    block = days.offer("P2", "blk", 300, 7, min_lots=100, min_periods=2)
    day.do(days.offer("P1", "o1", 640, 8), block)
    return day


def refused(call, *args) -> DoorError:
    with pytest.raises(DoorError) as caught:
        call(*args)
    return caught.value


HOURLY = Measures(c.SetVenue("test"))


def test_holds_add_up_to_what_is_held_at_any_moment():
    commands = morning()
    venue, kinds = Venue(), set()
    for seq, command in enumerate(commands, 1):
        venue.apply(seq, command)
        if seq % 40 == 0 or seq == len(commands):
            m = Measures(venue.settings)
            for name in venue.state.participants:
                told = q.holds(venue, name, m)
                assert sum(parse_micro(item.amount) for item in told.items) == parse_micro(told.held), (seq, name)
                kinds |= {item.kind for item in told.items}
    assert kinds == {"task", "order"}


def test_accounts_page_by_page_are_all_purses_and_sum_to_nothing(venue, m):
    seen, first = [], 0
    while True:
        items, first = q.accounts(venue, first, 7, 77, m)
        seen += items
        if not first:
            break
        assert len(items) == 7
    assert sum(parse_micro(each.total) for each in seen) == 0
    assert [each.participant for each in seen] == [*venue.state.accounts[:4], *venue.state.participants]
    purses = venue.core.balance(venue.account(seen[9].participant))
    told = (seen[9].cash, seen[9].held, seen[9].escrow, seen[9].margin, seen[9].bond)
    assert tuple(map(parse_micro, told)) == purses
    assert refused(q.account_answer, venue, "nobody", 1, m).reason == DoorReason.NOT_FOUND


def test_families_page_by_page_in_order_with_filters(venue, m):
    def pages(**filters):
        found, after = [], 0
        while True:
            items, after = q.families(venue, m, r.Instruments(limit=3, **filters), after)
            found += items
            if not after:
                return found

    everything = pages()
    assert [each.family for each in everything] == [family.code for family in venue.state.families]
    one = everything[4]
    assert pages(chip=one.chip, region=one.region) == [x for x in everything if (x.chip, x.region) == (one.chip, one.region)]
    assert pages(chip="none") == []
    grid = venue.periods
    assert grid.parse(one.first_period) == grid.first_open(venue.now_ns)
    assert venue.open_instrument(f"{one.family}/{one.last_period}")
    assert one.periods == grid.parse(one.last_period) - grid.parse(one.first_period) + 1


def test_depth_is_the_book(venue, m):
    book = next(number for number in sorted(venue.listed_books) if all(venue.core.depth(number, 1)))
    code = venue.instrument_code(book >> 20, book & (1 << 20) - 1)
    told = q.depth(venue, at(venue), m, code, 1000)
    bids, asks = venue.core.depth(book, 1000)
    tick, lot = venue.settings.tick_micro, 10
    for side, levels in ((told.bids, bids), (told.asks, asks)):
        assert [(parse_micro(p) // tick, parse_micro(n) * lot // MICRO) for p, n in side] == [x[:2] for x in levels]
    assert (told.epoch, told.seq, told.ts_ns) == (2, 77, str(venue.now_ns))
    assert q.depth(venue, at(venue), m, code, 1).asks == told.asks[:1]
    assert refused(q.depth, venue, at(venue), m, "x/y/L1/grid/20261124T08", 5).reason == DoorReason.NOT_FOUND
    assert refused(q.depth, venue, at(venue), m, code[:-11] + "20200101T00", 5).reason == DoorReason.NOT_FOUND


def test_a_quote_is_what_the_task_then_costs():
    day = small()
    v, task = day.venue, days.task("t1", data_mb=2_000, data_region="w").task
    before = v.state_hash()
    quote = q.quote(v, at(v), HOURLY, task)
    assert v.state_hash() == before
    filled = next(event for event in day.do(c.SubmitTask(task)) if type(event).__name__ == "TaskFilled")
    assert (parse_micro(quote.compute), parse_micro(quote.moving), parse_micro(quote.fee)) == (
        filled.compute_micro, filled.moving_micro, filled.fee_micro,
    )  # fmt: skip
    assert (quote.fills, quote.site, quote.instrument, quote.cards) == (True, filled.site, filled.instrument, "64")
    assert HOURLY.time_ns(quote.end) - HOURLY.time_ns(quote.start) == 6 * days.H
    parts = parse_micro(quote.compute) + parse_micro(quote.moving)
    assert parse_micro(quote.total) == parts + parse_micro(quote.fee)
    assert abs(parse_micro(quote.per_card_hour) * 64 * 6 - parts) <= 64 * 6 // 2


def test_a_quote_that_does_not_fill_says_why_and_a_bad_task_is_refused():
    v = small().venue
    quote = q.quote(v, at(v), HOURLY, days.task("t1", price_cap_micro=5 * MICRO).task)
    assert (quote.fills, quote.why_not, quote.start, quote.per_card_hour) == (False, "OVER_BUDGET", None, "")
    assert quote.relaxations and quote.binding
    error = refused(q.quote, v, at(v), HOURLY, days.task("t1", access_region="x").task)
    assert (error.reason, error.limit) == (DoorReason.REFUSED, "UNKNOWN_REGION")
    assert "x" in error.detail


def test_unsold_hours_count_down_and_end():
    day = small()
    v = day.venue
    hours = q.unsold(v, "P1", "o1", HOURLY).items
    assert [x.cards for x in hours] == ["64"] * 12 and all(x.is_listed for x in hours)
    assert hours[0].instrument == f"{CODE}1" and hours[0].period_start == "2026-11-23T01:00:00Z"
    day.do(c.PlaceOrder("B1", "b", f"{CODE}1", "buy", 8 * MICRO, 100))
    assert [x.cards for x in q.unsold(v, "P1", "o1", HOURLY).items][:2] == ["54", "64"]
    assert q.open_lot_periods(v, "P1", "o1") == 540 + 11 * 640
    for who in ("P2", "nobody"):
        assert refused(q.unsold, v, who, "o1", HOURLY).reason == DoorReason.NOT_FOUND
    day.do(c.WithdrawOffer("P1", "o1"))
    assert refused(q.unsold, v, "P1", "o1", HOURLY).reason == DoorReason.NOT_FOUND
    assert q.open_lot_periods(v, "P1", "o1") == 0


def test_hours_that_are_not_listed_yet_are_unsold_too():
    day = days.open_day()
    day.do(days.offer("P1", "long", 10, 8, start_ns=days.T0 + 160 * days.H, end_ns=days.T0 + 180 * days.H))
    hours = q.unsold(day.venue, "P1", "long", HOURLY).items
    assert len(hours) == 20 and {x.is_listed for x in hours} == {True, False}
    assert q.open_lot_periods(day.venue, "P1", "long") == 200


def test_what_is_open_of_everybody_is_all_that_is_open(venue, m):
    tasks = orders = offers = 0
    for name in venue.state.participants:
        mine = q.user_data(venue, name, 2, 77, m)
        encode(mine)
        assert {x.participant for x in (*mine.tasks, *mine.orders, *mine.offers, mine.account)} == {name}
        tasks, orders, offers = tasks + len(mine.tasks), orders + len(mine.orders), offers + len(mine.offers)
        for each in mine.tasks:
            entry = venue.state.tasks[venue.task_numbers[name, each.client_order_id]]
            assert each.deadline == terms_of(entry.task, m).deadline
            command = morning()[each.seq - 1]
            assert type(command) is c.SubmitTask and command.task == entry.task
        for each in mine.orders:
            placed = morning()[each.seq - 1]
            assert (placed.participant, placed.client_order_id) == (name, each.client_order_id)
            assert placed.instrument == each.instrument
        for each in mine.offers:
            assert morning()[each.seq - 1].offer_id == each.offer_id
    state = venue.state
    assert (tasks, orders, offers) == (len(state.tasks), len(state.bids), len(state.offers))
    assert min(tasks, orders, offers) > 0
    activity = q.activity(venue, 77)
    assert (activity.tasks, activity.orders, activity.offers) == (tasks, orders, offers)
    assert activity.seq == 77
    assert q.state(venue, 78).state_hash == f"{venue.state_hash():016x}" and q.state(venue, 78).seq == 78
    assert int(activity.earliest_death_ns) == min(venue.core.task(number).dies_ns for number in state.tasks)
    assert refused(q.user_data, venue, "nobody", 2, 77, m).reason == DoorReason.NOT_FOUND


def test_participants_and_sites_page_by_page(venue, m):
    found, after = [], 0
    while True:
        items, after = q.participants(venue, after, 10)
        found += items
        if not after:
            break
    assert [x.participant for x in found] == list(venue.state.participants)
    sites, after = [], 0
    while True:
        items, after = q.sites(venue, "", after, 10, m)
        sites += items
        if not after:
            break
    assert {x.site for x in sites} == set(venue.state.sites) and len(sites) == len(venue.state.sites)
    owner = sites[3].participant
    assert {x.participant for x in q.sites(venue, owner, 0, 10, m)[0]} == {owner}
    assert parse_micro(sites[3].capacity[0].cards) * 10 == venue.state.sites[sites[3].site].attestations[0].lots * MICRO


def test_what_is_due(venue, m):
    period = min(venue.obligations_of_period)
    told = q.due(venue, m.time_text(venue.periods.start(period)), m)
    assert [x.obligation_id for x in told.items] == sorted(venue.obligations_of_period[period])
    owed = venue.state.obligations[told.items[0].obligation_id]
    assert (told.items[0].buyer, told.items[0].seller, told.items[0].site) == (owed.buyer, owed.seller, owed.site)
    assert q.obligation_parties(venue, owed.number) == (owed.buyer, owed.seller)
    assert q.obligation_parties(venue, 10**9) is None
    assert refused(q.due, venue, m.time_text(venue.now_ns + 7), m).field == "period_start"


def test_the_venue_and_its_catalogue(venue, m):
    told = q.venue_answer(venue, at(venue), m, "manual", "1")
    assert (told.tick, told.lot, told.period_min, told.clock) == ("0.01", "0.1", 60, "manual")
    assert told.fee_standard == m.ppm_text(venue.tariff.fee_standard_ppm)
    catalogue = q.catalogue(venue, m)
    known = venue.state.catalogue
    assert (len(catalogue.chips), len(catalogue.regions), len(catalogue.links)) == (
        len(known.chips), len(known.regions), len(known.links),
    )  # fmt: skip
    assert len(catalogue.reach) == sum(map(len, known.reach.values()))
    assert q.venue_answer(_bare(), at(venue), m, "manual", "1").fee_standard == "0"


def _bare() -> Venue:
    bare = Venue()
    bare.apply(1, c.AdvanceTime(days.T0))
    bare.apply(2, c.SetVenue("bare"))
    return bare


def test_no_question_changes_the_venue(venue, m):
    before = venue.state_hash()
    name = next(iter(venue.state.participants))
    q.accounts(venue, 0, 100, 1, m)
    q.holds(venue, name, m)
    q.user_data(venue, name, 1, 1, m)
    q.activity(venue, 1)
    family = venue.state.families[0]
    q.depth(venue, at(venue), m, f"{family.code}/{q.family_answer(venue, family, m).first_period}", 10)
    venue.check()
    assert venue.state_hash() == before
