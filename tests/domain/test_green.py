"""Green power: no Wh is used twice, and none comes out of nothing, whatever is issued, offered, sold, withdrawn or settled."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st
from worlds import CLASSES, World, found, live

from exchange.domain import commands as c
from exchange.domain.checks import check_venue
from exchange.domain.commands_delivery import DeclareFailure
from exchange.domain.commands_green import IssueCertificates
from exchange.domain.commands_settlement import BustTrade, BuyIn
from exchange.domain.events import OfferSkipped, Refused, Settled
from exchange.domain.events_green import CertificatesClosed, CertificatesIssued
from exchange.domain.green import load_wh
from exchange.domain.venue import Venue
from exchange.projections.tape import instrument_parts


def issue_some(world: World, rng: Random, name: str) -> None:
    """Certificates for a site's owner in its region: sometimes plenty, sometimes hardly enough for a lot."""
    site = rng.choice(sorted(world.sites))
    start = worlds.a_period(world, rng, 0, 4)
    wh = tuple(rng.choice((0, 17, 350, 1_400, 7_000, 100_000, 100_000)) for _ in range(rng.randint(2, 12)))
    world.do(IssueCertificates(world.sites[site], name, world.site_region[site], start, wh, "modelled", "drawn"))


def green_world(seed: int, steps: int = 90) -> World:
    """A world of green families alone that is run to the end of its last obligation."""
    rng = Random(seed)
    world = found(rng, green=True)
    for family in list(world.venue.state.families):
        world.do(c.ListFamily(family.chip, family.region, family.latency_class, "green"))
    for region in sorted(world.venue.state.catalogue.regions):
        for chip in sorted(world.venue.state.catalogue.chips):
            for name in CLASSES:
                world.do(c.ListFamily(chip, region, name, "green"))
    for number in range(20):
        issue_some(world, rng, f"first{number}")
    turn = iter(range(10**6))
    for number in range(steps):
        if rng.random() < 0.25:
            issue_some(world, rng, f"c{number}")
        one_more(world, rng, next(turn))
        if rng.random() < 0.15 and world.venue.state.obligations:
            break_one(world, rng)
    for _ in range(40):
        world.do(c.AdvanceTime(world.now_ns + world.period_ns))
        worlds.deliver_and_settle(world, rng)
    assert not world.venue.state.obligations
    return world


def break_one(world: World, rng: Random) -> None:
    """Something sold is declared failing and bought in, or busted."""
    number = rng.choice(sorted(world.venue.state.obligations))
    if rng.random() < 0.3:
        world.do(BustTrade(number, "a mistake"))
        return
    world.do(DeclareFailure(world.venue.state.obligations[number].seller, number))
    world.do(BuyIn(number))


def one_more(world: World, rng: Random, number: int) -> None:
    """One drawn command of the kind that `worlds.live` sends, under a name of its own."""
    draw, name = rng.random(), f"n{number}"
    if draw < 0.4:
        command = worlds.an_offer(world, rng, name)
    elif draw < 0.62:
        command = worlds.a_task(world, rng, name)
    elif draw < 0.7:
        command = worlds.a_bid(world, rng, name)
    elif draw < 0.84:
        command = worlds.a_moment(world, rng)
    else:
        command = worlds.a_change(world, rng, name)
    if command is not None:
        world.do(command)
        if isinstance(command, c.AdvanceTime):
            worlds.deliver_and_settle(world, rng)


def books(world: World) -> tuple[Counter, Counter, Counter, Counter]:
    """Issued, retired, told as retired and told as unused by (holder, region, period start), from events alone."""
    issued, retired, told, unused = Counter(), Counter(), Counter(), Counter()
    for event in (event for events in world.history for event in events):
        if isinstance(event, CertificatesIssued):
            for place, wh in enumerate(event.wh):
                issued[event.participant, event.region, event.period_start_ns + place * world.period_ns] += wh
        elif isinstance(event, Settled):
            retired[event.seller, instrument_parts(event.instrument).region, event.period_start_ns] += event.green_wh
        elif isinstance(event, CertificatesClosed):
            key = (event.participant, event.region, event.period_start_ns)
            told[key] += event.retired_wh
            unused[key] += event.unused_wh
    return issued, retired, told, unused


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 4 else pytest.mark.slow) for n in range(24)])
def test_every_wh_that_was_issued_is_retired_once_or_void(seed: int) -> None:
    world = green_world(seed)
    issued, retired, told, unused = books(world)
    assert +retired == +told
    closed = {key for key in issued if key in told or key in unused}
    assert {key: issued[key] for key in closed if issued[key]} == {
        key: told[key] + unused[key] for key in closed if issued[key]
    }
    assert all(retired[key] <= issued[key] for key in retired), "more was retired than issued"
    still = world.venue.state.certificates
    assert all(held.pledged_wh == 0 for held in still.values()), "nothing is open any more"


@pytest.mark.slow
def test_the_worlds_of_this_file_show_what_they_are_about() -> None:
    sums: Counter = Counter()
    for seed in range(8):
        world = green_world(seed)
        for event in (event for events in world.history for event in events):
            if isinstance(event, Refused):
                sums[event.reason] += 1
            elif isinstance(event, OfferSkipped):
                sums["skipped " + event.reason] += 1
            elif isinstance(event, Settled):
                green = instrument_parts(event.instrument).power == "green"
                sums["green" if green else "grid"] += 1
                assert (event.green_wh > 0) == (green and event.delivered_lots > 0), event
                assert event.green_wh <= event.load_wh + 1 or event.green_wh == 0, event
    assert sums["CERTIFICATES"] > 10 and sums["skipped CERTIFICATES"] > 0
    assert sums["green"] > 20 and sums["grid"] > 0, sums


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_a_snapshot_has_the_certificates(seed: int, steps: int) -> None:
    rng = Random(seed)
    world = found(rng, green=True, check=False)
    for number in range(4):
        issue_some(world, rng, f"c{number}")
    live(world, rng, steps)
    again = Venue.restore(world.venue.snapshot())
    assert again.state.certificates == world.venue.state.certificates
    assert sorted(again.certificate_ends) == sorted(world.venue.certificate_ends)
    assert {key for _, key in again.certificate_ends} == again.state.certificates.keys()
    assert again.state_hash() == world.venue.state_hash()
    again.check()


@given(st.integers(1, 3001), st.integers(1, 50), st.sampled_from((15, 30, 60)), st.sampled_from((1, 10, 100)), st.data())
def test_parts_of_an_ask_add_up_to_its_pledge(watts: int, lots: int, period_min: int, lots_per_card: int, data) -> None:
    whole = left = load_wh(watts, lots, period_min, lots_per_card)
    parts, open_lots = [], lots
    while open_lots:
        sold = data.draw(st.integers(1, open_lots))
        open_lots -= sold
        rest = load_wh(watts, open_lots, period_min, lots_per_card)
        parts.append(left - rest)
        left = rest
        assert 0 <= parts[-1] <= load_wh(watts, sold, period_min, lots_per_card)
    assert sum(parts) == whole and left == 0


@pytest.mark.parametrize("name", ["free_wh", "pledged_wh", "retired_wh"])
def test_a_wh_too_many_or_too_few_is_noticed(name: str) -> None:
    rng = Random(1)
    world = found(rng, green=True)
    issue_some(world, rng, "c")
    held = next(iter(world.venue.state.certificates.values()))
    for by in (1, -2):
        setattr(held, name, getattr(held, name) + by)
        with pytest.raises(AssertionError):
            check_venue(world.venue)
