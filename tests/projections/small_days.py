"""A venue driven through small days: shorts, refunds, damages, block offers, bulk tasks, data that moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain.events import Traded
from exchange.domain.units import MICRO, NS_PER_HOUR, NS_PER_SECOND
from exchange.domain.venue import Venue
from exchange.projections import Projections

H = NS_PER_HOUR
T0 = 1_795_392_000 * NS_PER_SECOND  # 2026-11-23 00:00 UTC, 08:00 in Shanghai
CATALOGUE = c.LoadCatalogue(
    (c.Chip("H800", "ai", 990_000, 80, 700), c.Chip("A910B", "ai", 320_000, 64, 400)),
    (c.Region("w", "Wuhan", "", "edge", 0, 0), c.Region("g", "Guian", "g", "cluster", 0, 0)),
    (c.Reach("w", "w", "L1", 800), c.Reach("w", "g", "L10", 9_800), c.Reach("g", "g", "L1", 900)),
    (c.Link("w", "g", 100_000, 10_000),),
)
TARIFF = c.SetTariff(
    1, 0, 5_000, 2_500, 10_000,
    (
        c.Share("compute", "region:{host}", 10_001), c.Share("green", "power:{host}", 20_003),
        c.Share("moving", "region:{host}", 300_007),
    ),
)  # fmt: skip


@dataclass
class Day:
    """A venue and the projections that have seen every command."""

    venue: Venue = field(default_factory=Venue)
    projections: Projections = field(default_factory=Projections)
    history: list[tuple[int, int, Any, list[Any]]] = field(default_factory=list)

    def do(self, *commands: Any) -> list[Any]:
        """Applies commands; all their events. Money and books are checked after each."""
        found = []
        for command in commands:
            seq = len(self.history) + 1
            events = self.venue.apply(seq, command)
            self.venue.check()
            self.history.append((seq, self.venue.now_ns, command, events))
            self.projections.on_command(*self.history[-1])
            found += events
        return found

    def balances(self) -> dict[str, tuple[int, ...]]:
        """The venue's own word on every account."""
        return {name: tuple(self.venue.core.balance(n)) for n, name in enumerate(self.venue.state.accounts)}

    def trades(self) -> list[Traded]:
        """Every trade so far."""
        return [event for *_, events in self.history for event in events if type(event) is Traded]


def open_day(settings: c.SetVenue | None = None, tariff: c.SetTariff = TARIFF) -> Day:
    """A venue with two hosts (P1 in g, P2 in w), two buyers, money, sites and capacity; nothing offered yet."""
    day = Day()
    day.do(c.AdvanceTime(T0), settings or c.SetVenue("test"), CATALOGUE, tariff)
    for family in (("H800", "g", "L10", "grid"), ("H800", "g", "L10", "green"), ("H800", "w", "L1", "grid")):
        day.do(c.ListFamily(*family))
    for name in ("B1", "b1", "P1", "P2"):
        day.do(c.AddParticipant(name, f"firm of {name}", may_use_emergency=True), c.Deposit(name, 10**12, f"wire {name}"))
    day.do(c.AddSite("s1", "P1", "g"), c.AddSite("s2", "P2", "w"))
    for site in ("s1", "s2"):
        day.do(c.AttestCapacity(site, "H800", 1_000, T0, T0 + 200 * H))
    day.do(c.AdvanceTime(T0 + 1))
    return day


def offer(
    provider: str, name: str, lots: int, price: int, *, power: str = "grid", **more: Any
) -> c.PlaceOffer:
    """An offer over hours 1 to 12 at a price in whole yuan."""
    site, latency_class = ("s1", "L10") if provider == "P1" else ("s2", "L1")
    window = {"start_ns": T0 + H, "end_ns": T0 + 13 * H, **more}
    return c.PlaceOffer(
        provider, name, site, "H800", latency_class, power, lots, price_micro=price * MICRO, **window
    )


def task(name: str, buyer: str = "B1", **more: Any) -> c.SubmitTask:
    """64 cards for 6 hours from Wuhan within 10 ms, at most 9 yuan a card-hour."""
    terms: dict[str, Any] = {
        "participant": buyer, "client_order_id": name, "access_region": "w", "max_latency_us": 10_000,
        "chips": (c.TaskChip("H800"),), "lots": 640, "periods": 6, "earliest_start_ns": T0,
        "deadline_ns": T0 + 12 * H, "price_cap_micro": 9 * MICRO,
    }  # fmt: skip
    return c.SubmitTask(c.Task(**(terms | more)))


def run_hours(
    day: Day, first: int, end: int, failing: tuple[int, ...] = (), partial: tuple[int, ...] = ()
) -> None:
    """Hours first ... end - 1: fix, delivery (nothing in failing hours, a third in partial ones), settlement."""
    venue = day.venue
    for hour in range(first, end):
        code = day.venue.periods.code(venue.periods.at(T0 + hour * H))
        day.do(c.SetFix(f"H800/g/L10/grid/{code}", 9 * MICRO, "A", "x"))
        day.do(c.AdvanceTime(max(T0 + (hour + 1) * H, venue.now_ns)))
        for number in sorted(venue.obligations_of_period.get(venue.periods.at(T0 + hour * H), ())):
            due = venue.state.obligations[number]
            lots = 0 if hour in failing else due.lots // 3 if hour in partial else due.lots
            day.do(c.SubmitReading(due.seller, number, 1, lots))
    for hour in range(first, end):
        day.do(c.AdvanceTime(max(T0 + (hour + 2) * H, venue.now_ns)), c.SettlePeriod(T0 + hour * H))


def run_promptly(day: Day, first: int, end: int, failing: tuple[int, ...] = ()) -> None:
    """Hours first ... end - 1, each settled as soon as its dispute window is over, so that lots can be made up."""
    venue = day.venue
    for hour in range(first, end + 1):
        day.do(c.AdvanceTime(T0 + (hour + 1) * H))
        for number in sorted(venue.obligations_of_period.get(venue.periods.at(T0 + hour * H), ())):
            due = venue.state.obligations[number]
            day.do(c.SubmitReading(due.seller, number, 1, due.lots // 4 if hour in failing else due.lots))
        if hour > first:
            day.do(c.SettlePeriod(T0 + (hour - 1) * H))


def made_up_day() -> Day:
    """A block whose third hour comes short, is made up in hour 7, where it comes short again, and again in hour 8."""
    day = open_day()
    day.do(offer("P1", "o1", 640, 8, end_ns=T0 + 7 * H), task("t1"))
    run_promptly(day, 1, 12, failing=(3, 7))
    return day


def cured_day() -> Day:
    """Hours that fail are bought in: before their gate, after a wait, while they run; trades are corrected, sites curtailed."""
    day = open_day()
    day.do(offer("P1", "o1", 220, 8, end_ns=T0 + 3 * H), offer("P1", "o4", 100, 8, start_ns=T0 + 3 * H))
    day.do(offer("P2", "o2", 100, 9), offer("P2", "o3", 100, 10, standby=True))
    day.do(task("t1", lots=100, deadline_ns=T0 + 7 * H), task("t2", "b1", lots=120, periods=2, deadline_ns=T0 + 3 * H))
    first, second = ([n for n, due in day.venue.state.obligations.items() if due.client_id == name] for name in ("t1", "t2"))
    day.do(cd.GiveAccess("P1", str(first[0]), "ssh there"), cd.ReturnResult("P1", str(first[0]), 0, "half done", False))
    day.do(cd.DeclareFailure("P1", first[0]), c.BuyIn(first[0]))  # covered
    day.do(cd.DeclareFailure("P1", second[0]), c.BuyIn(second[0]))  # too many cards: waits, to the gate
    day.do(cd.DeclareFailure("P1", first[3]), c.BuyIn(first[3]), c.BustTrade(first[4], "fat finger"))
    day.do(c.AdjustTrade(first[5], 7 * MICRO, "fat finger"), c.OrderCurtailment("", "s1", T0 + 9 * H, T0 + 10 * H, "order 7"))
    day.do(c.OrderCurtailment("g", "", T0 + 2 * H, T0 + 3 * H, "order 8"), c.AdvanceTime(T0 + 3 * H + H // 4))
    day.do(cd.DeclareFailure("P1", first[2]), c.BuyIn(first[2]))  # of the running hour
    run_hours(day, 1, 8)
    day.do(c.AdvanceTime(T0 + 40 * H))
    return day


def full_day() -> Day:
    """Everything at once; past midnight of the venue (16:00 UTC), so that statements have two days."""
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), offer("P2", "o2", 640, 9))
    day.do(c.PostBond("P1", 5 * MICRO), c.Deposit("fund", 7 * MICRO, "=cmd()|calc"))
    day.do(task("t1", on_break="abandon"))  # P1, broken in hour 3
    day.do(
        task("t2", buyer="b1", data_mb=1_234_567, data_region="w", deadline_ns=T0 + 13 * H)
    )  # with data to move
    day.do(task("t3"), task("t4", shape="bulk", lots=100))  # the first waits, the second is filled
    day.do(task("t5", buyer="b1", shape="bulk", lots=2_000, periods=9, price_cap_micro=8_500_000))  # partly
    day.do(offer("P1", "og", 100, 7, power="green", start_ns=T0 + 2 * H))
    day.do(offer("P1", "o3", 200, 7, min_lots=100, min_periods=4))  # refused: more than s1 has
    day.do(offer("P2", "o4", 300, 8, min_lots=100, min_periods=4))  # block offer
    day.do(c.AdvanceTime(T0 + 2 * NS_PER_SECOND))
    day.do(
        task("t6", lots=150, periods=4),
        task("t7", buyer="nobody"),
        task("t8", lots=30, periods=2, min_green_ppm=1),
    )
    day.do(c.PlaceOrder("B1", "b1", "H800/g/L10/grid/20261123T05", "buy", 6 * MICRO, 10))
    day.do(task("=2+5", lots=10, periods=1, price_cap_micro=MICRO), task("gone", price_cap_micro=MICRO))
    day.do(c.CancelTask("B1", "gone"), c.WithdrawOffer("P2", "o2"))
    run_hours(day, 1, 13, failing=(3,), partial=(5,))
    day.do(c.AdvanceTime(T0 + 17 * H), c.Withdraw("P2", 3 * MICRO, "to bank"), c.AdvanceTime(T0 + 40 * H))
    return day


def told_day() -> Day:
    """A lease whose work is dispatched, whose buyer is told how to reach it and what came of it, and one hour that fails."""
    day = open_day()
    day.do(offer("P1", "o1", 640, 8), task("t1", work="make all"))
    first = min(note.first for note in day.venue.state.leases.values())
    day.do(
        cd.SetMeter("P1", "s1", "", 60), cd.GiveAccess("P1", str(first), "ssh there"),
        cd.ReturnResult("P1", str(first), 0, "all made", True), cd.DeclareFailure("P1", first + 1),
    )  # fmt: skip
    return day
