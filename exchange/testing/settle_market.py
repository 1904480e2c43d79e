"""A market of any size for settlement: plain bids and block tasks over two days of hours, readings of all kinds, from a seed.

Every hour goes the same way: trade, fix, clock, readings of the hour before, clock, settlement of the hour before. So what
is open at a time is a few hours' worth, however many trades there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from exchange.domain import commands as c
from exchange.domain.events import Refused, Traded
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from exchange.domain.venue import Venue

SEED = 20_261_123
T0 = 1_795_363_200 * NS_PER_SECOND  # 2026-11-23T00:00+08:00, a midnight of the venue
YUAN = 1_000_000
HOSTS = ("wuhan", "guian", "zhongwei", "ulanqab")
CHIPS, POWERS = ("H800", "A910B"), ("grid", "green")
SITES_A_REGION, BUYERS = 3, 96
GATE_MIN, DISPUTE_MIN, BLOCK_HOURS = 5, 10, 4
FRAME = 500  # commands

Submit = Callable[[Sequence[Any]], Sequence[Sequence[Any]]]  # commands -> events of each


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: commands to submit, and whether they settle an hour."""

    hour: int
    commands: list[Any]
    is_settlement: bool = False


class Market:
    """`steps` yields what is to be submitted; `take` must have the events of each command before the next step is asked for."""

    def __init__(self, venue: Venue, trades: int, hours: int = 48, seed: int = SEED) -> None:
        self.trades = 0
        self._venue, self._rng, self._hours = venue, Random(seed), hours
        self._goal = [trades * (hour + 1) // hours for hour in range(hours)]
        self._a_book = -(-trades // (hours * len(HOSTS) * len(CHIPS) * len(POWERS)))  # trades in a book, about
        self._number = 0

    def take(self, events: Sequence[Any]) -> None:
        """Counts the trades; AssertionError where something of the script is refused."""
        for event in events:
            kind = type(event)
            assert kind is not Refused, event
            self.trades += kind is Traded

    def steps(self) -> Iterator[Step]:
        """The whole script."""
        yield Step(0, list(self._set_up()))
        for hour in range(self._hours + 1):
            start_ns = T0 + (hour + 1) * NS_PER_HOUR
            if hour < self._hours:
                yield from self._trade(hour, start_ns)
            yield Step(hour, [c.AdvanceTime(start_ns + NS_PER_MINUTE)])
            if hour:
                readings = list(self._readings(start_ns - NS_PER_HOUR))
                yield from (Step(hour - 1, readings[at : at + FRAME]) for at in range(0, len(readings), FRAME))
            yield Step(hour, [c.AdvanceTime(start_ns + DISPUTE_MIN * NS_PER_MINUTE)])
            if hour:
                yield Step(hour - 1, [c.SettlePeriod(start_ns - NS_PER_HOUR)], is_settlement=True)

    # --- the script ---

    def _set_up(self) -> Iterator[Any]:
        end_ns, rng = T0 + (self._hours + BLOCK_HOURS + 2) * NS_PER_HOUR, self._rng
        yield c.AdvanceTime(T0)
        yield c.SetVenue("bench", gate_min=GATE_MIN, dispute_min=DISPUTE_MIN, lots_per_card=1)
        regions = tuple(c.Region(name, name, "", "cluster", 0, 0) for name in HOSTS)
        reach = tuple(c.Reach(a, b, "L10", 9000) for a in HOSTS for b in HOSTS)
        links = tuple(c.Link(a, b, 20_000, 10_000) for a in HOSTS for b in HOSTS if a != b)
        yield c.LoadCatalogue(tuple(c.Chip(code, "ai", 990_000, 80, 700) for code in CHIPS), regions, reach, links)
        shares = (
            c.Share("compute", "region:{host}", 10_000), c.Share("green", "green-fund", 5_000),
            c.Share("moving", "region:{host}", 50_000),
        )  # fmt: skip
        yield c.SetTariff(1, 0, 5000, 2500, 10_000, shares)
        for host in HOSTS:
            yield from (c.ListFamily(chip, host, "L10", power) for chip in CHIPS for power in POWERS)
        for number in range(BUYERS):
            yield c.AddParticipant(f"B{number}", f"buyer {number}")
            yield c.Deposit(f"B{number}", 10**7 * YUAN)
        lots = 8 * self._a_book + 1000  # one site of three meets most of what is asked for, the dearer ones the rest
        for place, host in enumerate(HOSTS):
            for number in range(SITES_A_REGION):
                name, site = f"P{place}-{number}", f"{host}-{number}"
                yield c.AddParticipant(name, f"provider {name}")
                yield c.Deposit(name, 10**8 * YUAN)
                yield c.PostBond(name, 10**6 * YUAN)
                yield c.AddSite(site, name, host)
                yield from (c.AttestCapacity(site, chip, 5 * lots, T0, end_ns) for chip in CHIPS)
        yield c.AdvanceTime(T0 + NS_PER_SECOND)
        for place, host in enumerate(HOSTS):
            for number in range(SITES_A_REGION):
                for chip in CHIPS:
                    for power in POWERS:
                        prices = tuple(rng.randint(800, 1200) * 10_000 for _ in range(self._hours + BLOCK_HOURS))
                        yield c.PlaceOffer(
                            f"P{place}-{number}", f"o-{chip}-{power}", f"{host}-{number}", chip, "L10", power, 2 * lots,
                            T0 + NS_PER_HOUR, T0 + (self._hours + BLOCK_HOURS + 1) * NS_PER_HOUR, 0, prices,
                            indivisible_ok=True,
                        )  # fmt: skip

    def _trade(self, hour: int, start_ns: int) -> Iterator[Step]:
        rng, n_hour = self._rng, self._goal[hour] - (self._goal[hour - 1] if hour else 0)
        yield Step(hour, [c.AdvanceTime(start_ns - 20 * NS_PER_MINUTE)])
        if hour % BLOCK_HOURS == 0:
            hours = min(BLOCK_HOURS, self._hours - hour)
            tasks = [self._task(start_ns, hours, hour + hours < self._hours) for _ in range(n_hour // 2)]
            yield from (Step(hour, tasks[at : at + FRAME]) for at in range(0, len(tasks), FRAME))
        done = len(self._venue.obligations_of_period.get(self._venue.periods.at(start_ns), ()))
        while done < n_hour:
            yield Step(hour, [self._bid(start_ns) for _ in range(min(FRAME, n_hour - done))])
            done = len(self._venue.obligations_of_period[self._venue.periods.at(start_ns)])
        yield Step(hour, [c.AdvanceTime(start_ns - GATE_MIN * NS_PER_MINUTE - NS_PER_SECOND)])
        code = self._venue.periods.code(self._venue.periods.at(start_ns))
        yield Step(hour, [
            c.SetFix(f"{chip}/{host}/L10/{power}/{code}", rng.randint(850, 1150) * 10_000, "A", "bench")
            for host in HOSTS for chip in CHIPS for power in POWERS
        ])  # fmt: skip

    def _bid(self, start_ns: int) -> c.PlaceOrder:
        rng = self._rng
        self._number += 1
        code = self._venue.periods.code(self._venue.periods.at(start_ns))
        instrument = f"{rng.choice(CHIPS)}/{rng.choice(HOSTS)}/L10/{rng.choice(POWERS)}/{code}"
        return c.PlaceOrder(
            f"B{rng.randrange(BUYERS)}", f"b{self._number}", instrument, "buy", 13 * YUAN, rng.randint(1, 8), "IOC"
        )

    def _task(self, start_ns: int, hours: int, is_longer: bool) -> c.SubmitTask:
        rng = self._rng
        self._number += 1
        is_moving, breaks = rng.random() < 0.5, rng.random()
        spare = int(0.5 < breaks < 0.7 and is_longer)  # an hour more than it needs: what fails may be made up
        return c.SubmitTask(c.Task(
            f"B{rng.randrange(BUYERS)}", f"t{self._number}", rng.choice(HOSTS), 10_000, (c.TaskChip(rng.choice(CHIPS)),),
            rng.randint(1, 4), hours, start_ns, start_ns + (hours + spare) * NS_PER_HOUR, price_cap_micro=20 * YUAN,
            data_mb=100 if is_moving else 0, data_region=rng.choice(HOSTS) if is_moving else "", is_immediate=True,
            checkpoint="none" if breaks < 0.1 else "hourly", on_break="abandon" if breaks > 0.9 else "continue",
        ))  # fmt: skip

    def _readings(self, start_ns: int) -> Iterator[Any]:
        """98 in a hundred in full, 1 short, half a one missing, half a one disputed; one in twenty is countersigned."""
        venue, rng = self._venue, self._rng
        for number in sorted(venue.obligations_of_period.get(venue.periods.at(start_ns), ())):
            due, kind = venue.state.obligations[number], rng.random()
            if kind > 0.995:
                continue
            lots = rng.randrange(due.lots) if 0.98 < kind <= 0.99 else due.lots
            yield c.SubmitReading(due.seller, number, 1, lots)
            if kind > 0.99:
                yield c.DisputeReading(due.buyer, number, rng.randrange(due.lots))
            elif kind < 0.05:
                yield c.CountersignReading(due.buyer, number, 1)
