"""Certificates behind a market day: exactly what its green offers need, from the first hour that can be offered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.domain.commands import PlaceOffer
from exchange.domain.events import OfferSkipped, Refused
from exchange.domain.venue import Venue
from exchange.replay.green import SOURCE, backed, certificates_of, from_now, grid_of
from exchange.replay.scenario import DEMO_START_NS, market_day

HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def day():
    return market_day(1, 60)


def play(day) -> list:
    """The events of the day's set-up and of its offers, each at its time."""
    from exchange.domain.commands import AdvanceTime

    venue, events = Venue(), []
    commands = [AdvanceTime(day.start_ns), *day.setup()]
    for row in day.rows:
        if isinstance(row.command, PlaceOffer):
            commands += [AdvanceTime(max(row.time_ns, day.start_ns)), row.command]
    for seq, command in enumerate(commands, 1):
        events += venue.apply(seq, command)
    venue.check()
    return events


def test_every_green_offer_of_the_demo_is_covered_and_not_one_wh_is_too_many(day) -> None:
    assert day.settings.green_needs_certificates and day.certificates
    events = play(day)
    assert not [event for event in events if isinstance(event, Refused) and event.reason == "CERTIFICATES"]
    assert not [event for event in events if isinstance(event, OfferSkipped) and event.reason == "CERTIFICATES"]
    less = tuple(replace(each, wh=tuple(max(0, wh - 1) for wh in each.wh)) for each in day.certificates)
    events = play(replace(day, certificates=less))
    assert [event for event in events if isinstance(event, Refused) and event.reason == "CERTIFICATES"]


def test_without_certificates_the_green_offers_are_refused(day) -> None:
    greens = [row for row in day.rows if isinstance(row.command, PlaceOffer) and row.command.power == "green"]
    refused = [event for event in play(replace(day, certificates=())) if isinstance(event, Refused)]
    assert len(greens) == len([event for event in refused if event.reason == "CERTIFICATES"]) > 0


def test_standing_offers_are_covered_to_a_horizon_behind_the_day(day) -> None:
    rows = tuple(
        row._replace(command=replace(row.command, end_ns=0, period_prices_micro=()))
        if isinstance(row.command, PlaceOffer) and row.command.power == "green" else row
        for row in day.rows
    )  # fmt: skip
    standing = certificates_of(replace(day, rows=rows))
    grid = grid_of(day.settings)
    ends = {grid.at(each.start_ns) + len(each.wh) for each in standing}
    assert ends == {grid.first_from(day.end_ns) + day.settings.horizon_periods}


def test_batches_have_names_of_their_own_and_say_what_they_are(day) -> None:
    names = [each.certificate_id for each in day.certificates]
    later = market_day(1, 60, DEMO_START_NS + 24 * HOUR)
    assert len(set(names) | {each.certificate_id for each in later.certificates}) == len(names) + len(later.certificates)
    assert all(len(name) <= 36 and each.source == SOURCE for name, each in zip(names, day.certificates, strict=True))
    assert backed(day) == day


def test_of_a_batch_that_comes_late_what_can_still_be_offered_is_left(day) -> None:
    batch = max(day.certificates, key=lambda each: len(each.wh))
    later = from_now(batch, day.settings, batch.start_ns + HOUR + 1)
    assert later is not None and later.start_ns == batch.start_ns + 2 * HOUR and later.wh == batch.wh[2:]
    assert from_now(batch, day.settings, batch.start_ns - HOUR) == batch
    assert from_now(batch, day.settings, batch.start_ns + 5_000 * HOUR) is None
