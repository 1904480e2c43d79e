"""A small market with a desk: six families of two regions, three buyers, three providers, random orders from a seed."""

from __future__ import annotations

import random

from exchange.domain import commands as c
from exchange.domain.events import Refused, Traded
from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk

T0 = 1_795_392_000 * NS_PER_SECOND  # 2026-11-23T00:00Z
YUAN = 1_000_000
FAMILIES = (("H800", "L5", "grid"), ("H800", "L10", "grid"), ("A910B", "L5", "grid"))


class Street:
    """A venue with a desk, and everything that it was told; one lot is one card."""

    def __init__(self, **settings) -> None:
        self.venue, self.log, self.trades = Venue(), [], []
        self.desk = Desk(self.venue)
        regions = (c.Region("wuhan", "wuhan", "", "edge", 0, 0), c.Region("guian", "guian", "", "cluster", 0, 0))
        chips = tuple(c.Chip(code, "ai", 990_000, 80, 700) for code in ("H800", "A910B"))
        classes, hosts = (("L5", 4000), ("L10", 9000)), ("wuhan", "guian")
        reach = tuple(c.Reach("wuhan", host, name, us) for host in hosts for name, us in classes)
        sites = ("g1", "g2", "g3", "q1", "q2", "q3")
        for command in (
            c.AdvanceTime(T0), c.SetVenue("street", lots_per_card=1, **settings), c.LoadCatalogue(chips, regions, reach, ()),
            c.SetTariff(1, 0, 5000, 2500, 10_000, ()),
            *(c.ListFamily(chip, region, latency, power) for region in ("wuhan", "guian") for chip, latency, power in FAMILIES),
            *(order for name in ("B1", "B2", "B3", "P1", "P2", "P3") for order in (
                c.AddParticipant(name, f"firm {name}"), c.Deposit(name, 10**7 * YUAN))),
            *(order for name in sites for order in (
                c.AddSite(name, f"P{name[1]}", "wuhan" if name[0] == "g" else "guian"),
                c.AttestCapacity(name, "H800", 5000, T0, T0 + 240 * NS_PER_HOUR),
                c.AttestCapacity(name, "A910B", 5000, T0, T0 + 240 * NS_PER_HOUR))),
            c.AdvanceTime(T0),
        ):  # fmt: skip
            events = self.do(command)
            assert not isinstance(events[0] if events else None, Refused), events

    def do(self, command) -> list:
        """A command and what the desk makes of it."""
        is_stop = self.desk.ends_frame(command)
        events = self._apply(command)
        if is_stop:
            for follows in self.desk.due(self.venue.now_ns):
                assert not any(isinstance(event, Refused) for event in self._apply(follows)), follows
        return events

    def _apply(self, command) -> list:
        self.log.append(command)
        events = self.venue.apply(len(self.log), command)
        self.desk.on_command(len(self.log), self.venue.now_ns, command, events)
        self.trades += [(self.venue.now_ns, event) for event in events if isinstance(event, Traded)]
        return events

    def clock(self, until_ns: int) -> None:
        """The clock, stop by stop, as a live venue's."""
        while self.venue.now_ns < until_ns:
            self.do(c.AdvanceTime(min(until_ns, self.desk.next_stop(self.venue.now_ns))))

    def restarted(self) -> Desk:
        """A desk on a venue out of a snapshot, told the trades that a start reads back."""
        desk = Desk(Venue.restore(self.venue.snapshot()))
        since_ns = desk.since_ns()
        desk.remember([(time_ns, trade) for time_ns, trade in self.trades if time_ns >= since_ns])
        return desk

    def hour(self, number: int) -> str:
        """The code of an hour from the start on."""
        grid = self.venue.periods
        return grid.code(grid.at(T0 + number * NS_PER_HOUR))

    def some_orders(self, rng: random.Random) -> None:
        """Now and then an offer over some hours and bids that meet it."""
        now_hour = (self.venue.now_ns - T0) // NS_PER_HOUR
        seller, site = rng.choice((("P1", "1"), ("P2", "2"), ("P3", "3")))
        chip, latency, power = rng.choice((*FAMILIES[:1] * 3, *FAMILIES))
        region = rng.choice(("wuhan", "guian"))
        first = now_hour + rng.choice((1, 1, 2, 3, 4, 6))
        number, micro = len(self.log), rng.randint(700, 900) * 10_000
        self.do(c.PlaceOffer(
            seller, f"o{number}", f"{'g' if region == 'wuhan' else 'q'}{site}", chip, latency, power, rng.randint(5, 60),
            T0 + first * NS_PER_HOUR, T0 + (first + rng.randint(1, 3)) * NS_PER_HOUR, micro,
        ))  # fmt: skip
        for place in range(rng.randint(1, 3)):
            code = f"{chip}/{region}/{latency}/{power}/{self.hour(first)}"
            buyer, lots = rng.choice(("B1", "B2", "B3")), rng.randint(1, 30)
            self.do(c.PlaceOrder(buyer, f"b{number}-{place}", code, "buy", micro + 500_000, lots, "IOC"))

    @property
    def outside(self) -> list:
        """What others than the desk have sent."""
        return [command for command in self.log if not isinstance(command, c.SetFix | c.SettlePeriod)]


def busy_street(seed: int, hours: int, **settings) -> Street:
    """So many hours of trading."""
    street, rng = Street(**settings), random.Random(seed)
    while street.venue.now_ns < T0 + hours * NS_PER_HOUR:
        street.some_orders(rng)
        street.clock(street.venue.now_ns + rng.randint(1, 6) * 60 * NS_PER_SECOND)
    return street
