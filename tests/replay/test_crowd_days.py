"""The endless market of a demo server: each day has names of its own, and the scenarios come again after a week."""

import pytest

from exchange.domain.commands import AddSite, AnnounceOutage, Deposit, PlaceOffer, PostBond, SubmitTask
from exchange.domain.units import NS_PER_DAY
from exchange.replay.crowd_days import WEEK, CrowdPlan, crowd_day, money_commands
from exchange.replay.crowd_maker import FAMILIES, HOURS, below_ask, maker_setup, round_of
from exchange.replay.scenario import DEMO_START_NS, DEMO_VENUE, market_day

pytestmark = pytest.mark.slow  # a live exchange, or a market day

PLAN = CrowdPlan(1, 40, DEMO_VENUE, DEMO_START_NS)


def commands(day, *kinds):
    return [row.command for row in day.rows if isinstance(row.command, kinds)]


def test_the_first_day_is_the_bundled_one():
    assert crowd_day(PLAN, 0) == market_day(1, 40, DEMO_START_NS, DEMO_VENUE)


def test_the_next_day_is_the_next_seed_a_day_later_under_its_own_names():
    first, second = crowd_day(PLAN, 0), crowd_day(PLAN, 1)
    plain = market_day(2, 40, DEMO_START_NS + NS_PER_DAY, DEMO_VENUE)
    assert [row.time_ns for row in second.rows] == [row.time_ns for row in plain.rows]
    assert [task.task.lots for task in commands(second, SubmitTask)] == [task.task.lots for task in commands(plain, SubmitTask)]
    for kind, name in ((PlaceOffer, lambda c: (c.participant, c.offer_id)), (SubmitTask, lambda c: c.task.client_order_id)):
        assert not {name(c) for c in commands(first, kind)} & {name(c) for c in commands(second, kind)}
    assert not {site.site for site in first.sites} & {site.site for site in second.sites}


def test_every_offer_and_outage_is_of_a_site_of_the_same_day():
    for number in (1, 6, 7, 8):
        day = crowd_day(PLAN, number)
        sites = {site.site for site in day.sites}
        assert all(isinstance(site, AddSite) and len(site.site) <= 36 for site in day.sites)
        assert {c.site for c in commands(day, PlaceOffer)} <= sites
        suffix = f".{number % WEEK}" if number % WEEK else ""
        broken = {c.site for c in commands(day, AnnounceOutage)} | {o.site for o in day.outages}
        assert broken and all(name.endswith(suffix) and "." in name or not suffix for name in broken)
        assert {word.site for word in day.attestations} <= sites


def test_after_a_week_the_first_sites_come_again_with_new_offers():
    first, again = crowd_day(PLAN, 0), crowd_day(PLAN, WEEK)
    assert {site.site for site in first.sites} == {site.site for site in again.sites}
    assert not {c.offer_id for c in commands(first, PlaceOffer)} & {c.offer_id for c in commands(again, PlaceOffer)}


def test_money_comes_in_for_every_day():
    money = money_commands(crowd_day(PLAN, 3))
    assert {type(command) for command in money} == {Deposit, PostBond}
    assert {command.reference for command in money if isinstance(command, Deposit)} == {"day 3"}


def test_the_day_of_a_time():
    assert [PLAN.day_at(DEMO_START_NS + hours * NS_PER_DAY // 24) for hours in (-5, 0, 23, 24, 49)] == [0, 0, 0, 1, 2]
    assert PLAN.start_ns(2) == DEMO_START_NS + 2 * NS_PER_DAY


def test_the_market_makers_quotes_never_cross_and_are_whole_ticks():
    from exchange.domain.instrument import Periods
    from exchange.domain.units import NS_PER_MINUTE

    grid = Periods(60 * NS_PER_MINUTE, 5 * NS_PER_MINUTE)
    for number in range(1, 30):
        quotes = round_of(1, DEMO_VENUE, grid, number, DEMO_START_NS)
        assert len(quotes) == len(FAMILIES) * HOURS
        for each in quotes:
            assert 0 < each.bid_micro < each.ask_micro
            assert each.bid_micro % DEMO_VENUE.tick_micro == 0 == each.ask_micro % DEMO_VENUE.tick_micro
            assert grid.gate(each.period) > DEMO_START_NS
            assert len(each.instrument(grid)) <= 80
    assert round_of(1, DEMO_VENUE, grid, 3, DEMO_START_NS) == round_of(1, DEMO_VENUE, grid, 3, DEMO_START_NS)


def test_the_maker_bids_below_what_somebody_asks():
    assert below_ask(5_000_000, None, 10_000) == 5_000_000
    assert below_ask(5_000_000, "5.00", 10_000) == 4_990_000
    assert below_ask(5_000_000, "6.00", 10_000) == 5_000_000
    assert below_ask(5_000_000, "0.01", 10_000) == 0


def test_the_venue_takes_the_set_up_of_the_market_maker_and_of_days():
    from exchange.domain.commands import AdvanceTime
    from exchange.domain.events import Refused
    from exchange.domain.venue import Venue

    venue = Venue()
    first, later = crowd_day(PLAN, 0), crowd_day(PLAN, 1)
    head = (first.settings, first.catalogue, first.tariff)
    maker = maker_setup(DEMO_VENUE, DEMO_START_NS)
    everything = (AdvanceTime(DEMO_START_NS), *head, *maker, *first.setup()[3:], *later.setup()[3:])
    for seq, command in enumerate(everything, 1):
        refused = [event for event in venue.apply(seq, command) if isinstance(event, Refused)]
        assert {event.reason for event in refused} <= {"ALREADY_EXISTS", "DUPLICATE_ID"}, (command, refused)
