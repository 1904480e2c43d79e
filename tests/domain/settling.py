"""Small markets in which everything goes wrong: hours fail, readings come late or never, sellers cannot pay.

A list of (what, number) makes one; the number seeds whatever has to be chosen. `Audit` reads the events alone and knows at any
time what every purchase has come to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from scenario import Teller
from worlds import HOUR, MINUTE, SECOND, YUAN, World

from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain import events_settlement as es
from exchange.domain.buy_in import is_curable
from exchange.domain.instrument import capacity_group

FAMILIES = ("H800/guian/L10/grid", "H800/guian/L10/green", "H800/wuhan/L5/grid", "H800/qingyang/L10/grid",
            "A910B/guian/L10/grid")  # fmt: skip
SITES = {"guian": ("g1", "g2", "g4", "g5"), "wuhan": ("w1",), "qingyang": ("q1",)}
WHAT = (
    "offer", "offer", "offer", "standby", "standby", "task", "task", "task", "bulk", "bid", "clock", "clock", "hour", "hour",
    "fail", "fail", "fail now", "fail now", "outage", "curtail", "bust", "adjust", "fix", "reading", "readings", "odd reading",
    "dispute", "countersign", "withdraw", "deposit", "bond", "desk",
)  # fmt: skip


def found(lots_per_card: int = 1, engine: type | None = None) -> World:
    """The market of the stories, and two providers who have next to nothing."""
    teller = Teller(engine)
    teller.tell(f"world dispute 30 fee 5000 lots {lots_per_card}")
    for line in ("participant P4 'firm P4' 70", "site g4 P4 guian", "participant P5 'firm B1' 400", "site g5 P5 guian"):
        teller.tell(line)
    teller.tell("deposit fund 3")
    return teller.world


@dataclass
class Market:
    """A world and whether its desk is at work."""

    world: World
    count: int = 0
    is_desk_on: bool = True

    def do(self, what: str, seed: int) -> None:
        """One thing that happens, and what the desk makes of it."""
        self.count += 1
        rng, name = Random(seed), f"n{self.count}"
        made = getattr(self, "_" + what.replace(" ", "_"))(rng, name)
        for command in made if isinstance(made, list) else [made]:
            if command is not None:
                self.world.do(command)
        if self.is_desk_on:
            self.cure()

    def cure(self) -> None:
        """As the desk does it."""
        venue = self.world.venue
        for number in sorted(venue.state.failing):
            if is_curable(venue, number):
                events = self.world.do(c.BuyIn(number))
                assert not isinstance(events[0], e.Refused), events

    def end(self) -> None:
        """Until everything is settled."""
        for _ in range(60):
            if not self.world.venue.state.obligations:
                break
            self.do("hour", 0)
        assert not self.world.venue.state.obligations and not self.world.venue.state.repairs

    # --- who offers, who buys ---

    def _start(self, rng: Random) -> int:
        return (self.world.now_ns // HOUR + rng.randint(1, 4)) * HOUR

    def _offer(self, rng: Random, name: str, standby: bool = False) -> c.PlaceOffer:
        family = rng.choice(FAMILIES)
        chip, region, latency_class, power = family.split("/")
        site, start = rng.choice(SITES[region]), self._start(rng)
        return c.PlaceOffer(
            self.world.sites[site], name, site, chip, latency_class, power, rng.choice((1, 4, 6, 10, 12)), start,
            start + rng.randint(1, 4) * HOUR, rng.choice((700, 800, 800, 900, 1100)) * 10_000,
            indivisible_ok=rng.random() < 0.4, standby=standby,
        )  # fmt: skip

    def _standby(self, rng: Random, name: str) -> c.PlaceOffer:
        return self._offer(rng, name, standby=True)

    def _task(self, rng: Random, name: str, shape: str = "") -> c.SubmitTask:
        shape = shape or rng.choice(("block", "block", "block", "split", "spread"))
        chips = rng.choice((("H800",), ("H800", "A910B"), ("A910B", "H800")))
        factor = 500_000 if shape != "bulk" and rng.random() < 0.3 else 1_000_000
        lots, periods, start = rng.choice((1, 3, 4, 6, 8)), rng.randint(1, 3), self._start(rng)
        data_mb = rng.choice((0, 0, 2_000, 5_000, 20_000))
        is_whole = shape in ("block", "split") and rng.random() < 0.2
        accepted = tuple(c.TaskChip(chip, 1_000_000 if place == 0 else factor) for place, chip in enumerate(chips))
        return c.SubmitTask(c.Task(
            rng.choice(("B1", "B2", "P3")), name, "wuhan", rng.choice((0, 10_000, 10_000)), accepted, lots, periods, start,
            start + (periods + rng.choice((0, 0, 1, 4))) * HOUR, budget_micro=rng.choice((9, 12, 20)) * lots * periods * YUAN,
            data_mb=data_mb, data_region="wuhan", lane=rng.choice(("standard", "economy")), shape=shape,
            allowed_regions=rng.choice(((), (), ("guian",), ("guian", "wuhan"))), checkpoint="none" if is_whole else "hourly",
            on_break="abandon" if shape != "bulk" and rng.random() < 0.2 else "continue",
        ))  # fmt: skip

    def _bulk(self, rng: Random, name: str) -> c.SubmitTask:
        return self._task(rng, name, "bulk")

    def _bid(self, rng: Random, name: str) -> c.PlaceOrder:
        code = f"{rng.choice(FAMILIES)}/{self.world.venue.periods.code(self.world.venue.periods.at(self._start(rng)))}"
        price = rng.choice((800, 900, 1100)) * 10_000
        return c.PlaceOrder(rng.choice(("B1", "B2")), name, code, "buy", price, rng.choice((1, 4, 7)))

    # --- what goes wrong ---

    def _due(self, rng: Random):
        dues = self.world.venue.state.obligations
        return dues[rng.choice(sorted(dues))] if dues else None

    def _fail(self, rng: Random, name: str):
        due = self._due(rng)
        return due and c.DeclareFailure(due.seller, due.number)

    def _fail_now(self, rng: Random, name: str) -> list:
        """What runs breaks."""
        venue = self.world.venue
        running = sorted(venue.obligations_of_period.get(venue.periods.at(self.world.now_ns), ()))
        dues = [venue.state.obligations[number] for number in running]
        return [c.DeclareFailure(due.seller, due.number) for due in dues if rng.random() < 0.6]

    def _outage(self, rng: Random, name: str) -> c.AnnounceOutage:
        site, start = rng.choice(sorted(self.world.sites)), self._start(rng) - HOUR
        return c.AnnounceOutage(self.world.sites[site], site, start, start + rng.randint(1, 3) * HOUR)

    def _curtail(self, rng: Random, name: str) -> c.OrderCurtailment:
        region, start = rng.choice(("", "", "guian", "wuhan")), self._start(rng) - HOUR
        site = "" if region else rng.choice(sorted(self.world.sites))
        return c.OrderCurtailment(region, site, start, start + rng.randint(1, 90) * MINUTE, "order")

    def _bust(self, rng: Random, name: str):
        number = rng.randint(1, 40) if rng.random() < 0.3 else 0
        due = self._due(rng)
        return c.BustTrade(number or due.number, "wrong") if number or due else None

    def _adjust(self, rng: Random, name: str):
        due = self._due(rng)
        return due and c.AdjustTrade(due.number, rng.choice((1, 600, 850, 1500)) * 10_000, "wrong")

    def _fix(self, rng: Random, name: str):
        due = self._due(rng)
        if due is None:
            return None
        price = rng.choice((500, 800, 900, 1300, 2500)) * 10_000
        return c.SetFix(self.world.venue.instrument_code(due.family, due.period), price, rng.choice("ABC"), "x")

    # --- what is said of deliveries ---

    def _reading(self, rng: Random, name: str):
        due = self._due(rng)
        return due and c.SubmitReading(due.seller, due.number, due.reading.number + 1, rng.choice((due.lots, due.lots // 2)))

    def _readings(self, rng: Random, name: str) -> list:
        """Most of what runs or has run is read, mostly in full."""
        venue = self.world.venue
        dues, now_ns = sorted(venue.state.obligations.items()), self.world.now_ns
        running = [due for _, due in dues if venue.periods.start(due.period) <= now_ns]
        return [
            c.SubmitReading(due.seller, due.number, due.reading.number + 1, due.lots if rng.random() < 0.8 else due.lots // 2)
            for due in running if rng.random() < 0.9
        ]  # fmt: skip

    def _odd_reading(self, rng: Random, name: str) -> list:
        """The same again, one out of order, one above what was sold, one of somebody else."""
        due = self._due(rng)
        if due is None:
            return []
        last = due.reading.number
        return [
            c.SubmitReading(due.seller, due.number, last, due.lots), c.SubmitReading(due.seller, due.number, last - 1, 0),
            c.SubmitReading(due.seller, due.number, last + 1, due.lots + 1),
            c.SubmitReading("P3", due.number, last + 1, due.lots),
        ]  # fmt: skip

    def _dispute(self, rng: Random, name: str):
        due = self._due(rng)
        return due and c.DisputeReading(due.buyer, due.number, rng.randint(0, due.lots))

    def _countersign(self, rng: Random, name: str):
        due = self._due(rng)
        return due and c.CountersignReading(due.buyer, due.number, due.reading.number)

    # --- money and time ---

    def _withdraw(self, rng: Random, name: str) -> c.Withdraw:
        who = rng.choice(("P1", "P2", "P4", "B1"))
        free = self.world.venue.core.balance(self.world.venue.account(who))[0]
        return c.Withdraw(who, max(1, free - rng.choice((0, 1, 5 * YUAN))))

    def _deposit(self, rng: Random, name: str) -> c.Deposit:
        return c.Deposit(rng.choice(("P1", "P2", "P4", "P5", "B1", "fund")), rng.choice((1, 10, 500)) * YUAN)

    def _bond(self, rng: Random, name: str) -> c.PostBond:
        return c.PostBond(rng.choice(("P1", "P4")), rng.choice((1, 20)) * YUAN)

    def _desk(self, rng: Random, name: str) -> None:
        self.is_desk_on = rng.random() < 0.8

    def _clock(self, rng: Random, name: str) -> c.AdvanceTime:
        return c.AdvanceTime(self.world.now_ns + rng.choice((SECOND, 7 * MINUTE, 20 * MINUTE, 40 * MINUTE)))

    def _hour(self, rng: Random, name: str) -> list:
        """To the next hour; most of what ran is read, and what is ready is settled, sometimes tried twice."""
        venue = self.world.venue
        self.world.do(c.AdvanceTime((self.world.now_ns // HOUR + 1) * HOUR))
        for command in self._readings(rng, name):
            self.world.do(command)
        ended_ns = self.world.now_ns - 30 * MINUTE
        ready = [p for p in sorted(venue.obligations_of_period) if venue.periods.start(p + 1) <= ended_ns]
        return [c.SettlePeriod(venue.periods.start(period)) for period in [*ready, *ready[:1]]]


@dataclass
class Audit:
    """What every purchase (buyer, his own name for it) has come to, from the events alone."""

    paid_in: Counter = field(default_factory=Counter)  # for its trades, and by failed sellers for its covers
    came_out: Counter = field(default_factory=Counter)  # pay, fees, moving, refunds, busts
    purchase: dict = field(default_factory=dict)  # obligation -> its purchase
    traded: dict = field(default_factory=dict)  # obligation -> Traded
    ended: Counter = field(default_factory=Counter)
    cost: Counter = field(default_factory=Counter)  # what lies in escrow for an obligation, without fee and moving
    lots: Counter = field(default_factory=Counter)
    paid: Counter = field(default_factory=Counter)  # to the seller's side of an obligation, by moves
    damages: Counter = field(default_factory=Counter)  # obligation -> told
    layers: Counter = field(default_factory=Counter)  # (obligation, layer) -> moved
    sold: Counter = field(default_factory=Counter)  # (site, instrument's chip, period start) -> lots
    seen: Counter = field(default_factory=Counter)  # kinds of things that happened

    def read(self, world: World) -> Audit:
        """Everything that a world has reported so far."""
        for events in world.history:
            moving = {(x.participant, x.client_order_id): x.moving_micro for x in events if isinstance(x, e.TaskFilled)}
            covers = {number for x in events if isinstance(x, es.BoughtIn) for number in x.covers}
            for key in moving:
                self.paid_in[key] += sum(
                    x.moving_micro for x in events if isinstance(x, e.TaskFilled) and (x.participant, x.client_order_id) == key
                )
            for event in events:
                self.seen[type(event).__name__] += 1
                self._take(world, event, covers)
        return self

    def _take(self, world: World, event, covers: set[int]) -> None:
        match event:
            case e.Traded():
                number, key = event.obligation_id, (event.buyer, event.task)
                self.purchase[number], self.traded[number] = key, event
                self.cost[number], self.lots[number] = event.cost_micro, event.lots
                self._sell(world, number, event.instrument, event.period_start_ns, event.lots)
                if number not in covers:
                    self.paid_in[key] += event.cost_micro + event.fee_micro
            case e.MadeUp():
                first = event.instead_of
                self.purchase[event.obligation_id], self.traded[event.obligation_id] = self.purchase[first], self.traded[first]
                self.lots[event.obligation_id] = event.lots
                self._sell(world, event.obligation_id, event.instrument, event.period_start_ns, event.lots)
            case es.BoughtIn():
                self.seen["twelfths"] += event.twelfths < 12
                self.seen["moved"] += event.moving_micro > 0
            case es.BuyInEnded():
                key = self.purchase[event.obligation_id]
                self.paid_in[key] += event.margin_micro
                self.came_out[key] += event.refund_micro
                self.seen[f"buy-in {event.reason}"] += 1
                self.seen["margin"] += event.margin_micro > 0
                self.seen["refund"] += event.refund_micro > 0
            case es.TradeBusted():
                self.ended[event.obligation_id] += 1
                self.came_out[self.purchase[event.obligation_id]] += event.cost_micro + event.fee_micro + event.moving_micro
                if event.period_start_ns - 5 * MINUTE > world.now_ns:
                    self._sell(world, event.obligation_id, event.instrument, event.period_start_ns, -event.lots)
            case es.TradeAdjusted():
                self.seen["dearer" if event.price_micro > event.before_micro else "cheaper"] += 1
            case e.Settled():
                self._settled(event)
            case e.Moved():
                self._moved(event)

    def _sell(self, world: World, number: int, instrument: str, start_ns: int, lots: int) -> None:
        self.sold[self.traded[number].site, instrument.split("/")[0], start_ns] += lots

    def _settled(self, event: e.Settled) -> None:
        number = event.obligation_id
        self.ended[number] += 1
        self.seen[event.status] += 1
        self.seen["cut"] += event.damages_cut_micro > 0
        self.came_out[self.purchase[number]] += event.paid_micro + event.fee_micro + event.moving_micro + event.refund_micro
        self.damages[number] += event.damages_micro
        kept = event.lots - event.lost_lots - event.made_up_lots
        if kept == 0 or event.status == "covered":
            assert (event.paid_micro, event.fee_micro) == (0, 0), event  # nobody is paid for what was lost or went elsewhere
        if event.lost_lots == 0:
            assert (event.refund_micro, event.damages_micro, event.damages_cut_micro) == (0, 0, 0), event

    def _moved(self, event: e.Moved) -> None:
        if event.kind == "adjust":
            number = int(event.reference.split(":")[1])
            change = event.amount_micro if event.to_bucket == "escrow" else -event.amount_micro
            self.paid_in[self.purchase[number]] += change
        if event.kind in ("payout", "share"):
            self.paid[int(event.reference.split(":")[1])] += event.amount_micro
        if event.kind == "damages":
            layer = "fund" if event.from_account == "fund" else event.from_bucket
            self.layers[int(event.reference.split(":")[1]), layer] += event.amount_micro

    def check(self, world: World) -> None:
        """What must hold when everything is settled."""
        assert dict.fromkeys(self.purchase, 1) == dict(self.ended)  # each ended exactly once
        assert +self.paid_in == +self.came_out
        for number, owed in self.damages.items():
            assert owed == sum(self.layers[number, layer] for layer in ("margin", "cash", "bond", "fund")), number
        assert sum(self.layers.values()) == sum(self.damages.values())
        for (name, bucket), amount in world.ledger.items():
            assert bucket != "escrow" or amount == 0, (name, amount)

    def check_capacity(self, world: World) -> None:
        """The core counts as sold just what was sold there, in every hour that can still be offered."""
        venue = world.venue
        for (site, chip, start_ns), lots in self.sold.items():
            period = venue.periods.at(start_ns)
            if venue.periods.gate(period) > world.now_ns:
                group = capacity_group(venue.state.catalogue.chip_numbers[chip], period)
                counted = venue.core.capacity(venue.state.sites[site].account, group)[2]
                assert counted == lots - self.given_back(world, site, chip, start_ns), (site, chip, start_ns)

    @staticmethod
    def given_back(world: World, site: str, chip: str, start_ns: int) -> int:
        """Lots of blocks that were abandoned while their hour could still be sold (BB3)."""
        total, traded = 0, {}
        for events in world.history:
            for event in events:
                if isinstance(event, e.Traded):
                    traded[event.obligation_id] = event
                if isinstance(event, e.Settled) and event.status == "void" and event.period_start_ns == start_ns:
                    fact = traded[event.obligation_id]
                    total += event.lots * (fact.site == site and fact.instrument.split("/")[0] == chip)
        return total
