"""`take_touched` names every book whose resting orders have changed, so that a feed need not look at the others."""

from __future__ import annotations

import random

import pytest

from exchange.domain import commands as c
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.sequencer import Answer
from exchange.replay.driver import Driver
from exchange.replay.scenario import market_day
from exchange.replay.view import VenueView

pytestmark = pytest.mark.slow  # a live exchange, or a market day


class Watcher:
    """A venue that compares the depth of all books before and after each command."""

    def __init__(self) -> None:
        self.venue, self.seq, self.changed, self.named = Venue(), 0, 0, 0
        self.desk = Desk(self.venue)
        self.depths: dict[int, object] = {}

    def submit(self, commands):
        return [self.apply(command) for command in commands]

    def apply(self, command):
        is_stop = self.desk.ends_frame(command)
        self.seq += 1
        events = self.venue.apply(self.seq, command)
        core = self.venue.core
        depths = {book: core.depth(book, 1000) for book in core.books()}
        nothing: tuple[list, list] = ([], [])
        changed = {
            book for book in self.depths.keys() | depths.keys()
            if tuple(self.depths.get(book, nothing)) != tuple(depths.get(book, nothing))
        }  # fmt: skip
        touched = self.venue.take_touched()
        assert changed <= touched, (command, events)
        assert self.venue.take_touched() == set(), "each change is told once"
        self.changed += len(changed)
        self.named += len(touched)
        self.depths = depths
        for follows in self.desk.due(self.venue.now_ns) if is_stop else ():
            self.apply(follows)
        return Answer(self.seq, events)


def test_every_changed_book_of_a_market_morning_is_named():
    watcher = Watcher()
    for _ in Driver(market_day(1, 25), VenueView(watcher.venue), watcher.submit, seed=1, shortfall_ppm=0).run():
        if watcher.seq > 700:
            break
    assert watcher.changed > 1000
    assert watcher.named < 2 * watcher.changed, "hardly any book is named in vain"


def test_plain_orders_name_their_book():
    hour = 3_600_000_000_000
    start = 497_000 * hour
    watcher = Watcher()
    chip = c.Chip("H800", "ai", 989_000_000, 80, 700)
    watcher.submit([
        c.AdvanceTime(start), c.SetVenue("small", horizon_periods=8),
        c.LoadCatalogue((chip,), (c.Region("gz", "G", "gui", "cluster", 0, 0),), (c.Reach("gz", "gz", "L10", 900),), ()),
        c.SetTariff(1, 0, 5_000, 4_000, 10_000, ()), c.ListFamily("H800", "gz", "L10", "grid"),
        c.AddParticipant("B1", "FB"), c.Deposit("B1", 10**12), c.AddParticipant("P1", "FP"), c.Deposit("P1", 10**12),
        c.AddSite("P1-gz", "P1", "gz"), c.AttestCapacity("P1-gz", "H800", 2000, start, start + 9 * hour),
    ])  # fmt: skip
    assert watcher.changed == 0
    instruments = [f"H800/gz/L10/grid/{watcher.venue.periods.code(watcher.venue.periods.at(start) + n)}" for n in (2, 3)]
    generator = random.Random(5)
    for number in range(150):
        kind = generator.randrange(5)
        name, price = f"o{generator.randrange(number + 1)}", generator.randrange(5, 15) * 1_000_000
        if kind < 3:
            tif = generator.choice(("GTC", "IOC", "FOK"))
            watcher.apply(
                c.PlaceOrder("B1", f"o{number}", generator.choice(instruments), "buy", price, generator.randrange(1, 30), tif)
            )
        elif kind == 3:
            watcher.apply(c.CancelOrder("B1", name))
        else:
            first = start + generator.randrange(2, 4) * hour
            watcher.apply(
                c.PlaceOffer("P1", f"f{number}", "P1-gz", "H800", "L10", "grid", 20, first, first + hour, price)
            )
    watcher.apply(c.AdvanceTime(start + 6 * hour))
    assert watcher.changed > 60 and not any(any(sides) for sides in watcher.depths.values())


def test_it_is_no_part_of_the_state():
    venue = Venue()
    before = venue.state_hash(), venue.snapshot()
    venue.touched.add(5)
    assert (venue.state_hash(), venue.snapshot()) == before
    assert Venue.restore(before[1]).touched == set()
