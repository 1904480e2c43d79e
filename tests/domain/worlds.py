"""Small random worlds: a seed gives a catalogue, firms, sites and a stream of commands; every step is checked.

A world keeps its own books beside the venue's: the catalogue rows as given, and a ledger rebuilt from the Moved
events alone. `World.do` applies one command and checks the venue, the ledger and, where asked, that a refusal
changed nothing.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from random import Random

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain.events import Moved, Refused, TaskAccepted, TaskAmended, Traded
from exchange.domain.reasons import TaskReason, VenueReason
from exchange.domain.venue import Venue

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
T0 = 1_795_392_000 * SECOND  # 2026-11-23T00:00Z
YUAN = 1_000_000
CODES = {300 + reason.value: reason.name for reason in VenueReason}
TASK_REASONS = {reason.name for reason in TaskReason}
CLASSES = ("L1", "L5", "L10", "BE")
PPM = 1_000_000
BUCKETS = ("cash", "held", "escrow", "margin", "bond")


@dataclass
class World:
    """A venue and everything an outsider knows about it."""

    venue: Venue
    check: bool = True
    log: list = field(default_factory=list)  # commands as applied
    history: list = field(default_factory=list)  # their events
    rtt_us: dict = field(default_factory=dict)  # (access, host, class) -> us
    links: dict = field(default_factory=dict)  # (from, to) -> (micro-yuan per GB, Mbit/s, MB per hour; 0 = any)
    firms: dict = field(default_factory=dict)  # participant -> firm
    sites: dict = field(default_factory=dict)  # site -> participant
    site_region: dict = field(default_factory=dict)
    ledger: Counter = field(default_factory=Counter)  # (account, bucket) -> micro-yuan, from Moved alone
    line: list = field(default_factory=list)  # (participant, client id) of tasks, first come first (RT5, RT8)
    settings: c.SetVenue | None = None

    @property
    def now_ns(self) -> int:
        """Log time."""
        return self.venue.now_ns

    @property
    def period_ns(self) -> int:
        """Length of a delivery period."""
        return self.settings.period_min * MINUTE

    @property
    def gate_ns(self) -> int:
        """How long before its start a period closes."""
        return self.settings.gate_min * MINUTE

    @property
    def lot_tick_micro(self) -> int:
        """What one lot costs for one period at a price of one tick."""
        return self.settings.tick_micro * self.settings.period_min // 60 // self.settings.lots_per_card

    def do(self, command, **about) -> list:
        """Applies a command and looks at everything afterwards."""
        before = self.venue.state_hash() if self.check else 0
        events = self.venue.apply(len(self.log) + 1, command, **about)
        self.log.append(command)
        self.history.append(tuple(events))
        self._learn(command, events)
        if self.check:
            self.look(command, events, before)
        return events

    def _learn(self, command, events) -> None:
        if any(isinstance(event, Refused) for event in events):
            return
        match command:
            case c.SetVenue():
                self.settings = command
            case c.LoadCatalogue():
                self.rtt_us = {
                    (r.access_region, r.host_region, r.latency_class): r.rtt_us for r in command.reach
                }
                self.links = {
                    (r.from_region, r.to_region): (r.price_micro_per_gb, r.mbit_per_s, r.mb_per_hour)
                    for r in command.links
                }
            case c.AddParticipant():
                self.firms[command.participant] = command.firm
            case c.AddSite():
                self.sites[command.site] = command.participant
                self.site_region[command.site] = command.region
        for event in events:
            if isinstance(event, TaskAccepted) or (isinstance(event, TaskAmended) and not event.keeps_place):
                key = (event.participant, event.client_order_id)
                self.line = [*(other for other in self.line if other != key), key]
            if isinstance(event, Moved):
                self.ledger[event.from_account, event.from_bucket] -= event.amount_micro
                self.ledger[event.to_account, event.to_bucket] += event.amount_micro

    def look(self, command, events, before: int) -> None:
        """The promises that hold after every command whatsoever."""
        if any(isinstance(event, Refused) for event in events):
            assert len(events) == 1, events
            assert CODES[events[0].code] == events[0].reason, events
            assert self.venue.state_hash() == before, (command, events)
        self.venue.check()
        self.look_at_ledger()

    def look_at_ledger(self) -> None:
        """The double entries alone give every purse, and everything sums to zero."""
        total = 0
        for account, name in enumerate(self.venue.state.accounts):
            purses = self.venue.core.balance(account)
            total += sum(purses)
            assert tuple(purses) == tuple(self.ledger[name, bucket] for bucket in BUCKETS), (name, purses)
        assert total == 0

    def fork(self) -> World:
        """A copy that goes its own way, made by snapshot and restore."""
        venue = Venue.restore(self.venue.snapshot(), engine=type(self.venue.core))
        kept = {
            name: dict(getattr(self, name)) for name in ("rtt_us", "links", "firms", "sites", "site_region")
        }
        return replace(
            self,
            venue=venue,
            log=list(self.log),
            history=list(self.history),
            ledger=Counter(self.ledger),
            line=list(self.line),
            **kept,
        )

    def link_load(self, from_region: str, to_region: str, start_ns: int) -> int:
        """RT7: MB promised on a link in the period that starts then."""
        numbers = self.venue.state.catalogue.region_numbers
        period = self.venue.periods.at(start_ns)
        return self.venue.core.link_load(numbers[from_region], numbers[to_region], period)

    def twelfths(self, task: c.Task, start_ns: int) -> int:
        """EM2: whole twelfths left of a period, for who buys in the emergency lane; all of it for others."""
        if task.lane != "emergency":
            return 12
        return min(12, (start_ns + self.period_ns - self.now_ns) * 12 // self.period_ns)

    def owner_of_ask(self, order_id: int):
        """The offer that a live ask belongs to."""
        for offer in self.venue.state.offers.values():
            for ask in offer.open.values():
                if ask.order_id == order_id:
                    return offer
        raise AssertionError(f"ask {order_id} belongs to no offer")


# --- making a world ---------------------------------------------------------------------------------------


def found(
    rng: Random, engine: type | None = None, *, check: bool = True, shuffle: Random | None = None, green: bool = False,
) -> World:  # fmt: skip
    """Settings, catalogue, tariff, families, firms, sites and capacity of one small world."""
    world = World(Venue(max_orders=5_000, engine=engine), check=check)
    do = world.do
    do(c.AdvanceTime(T0))
    do(c.SetVenue(
        "small", period_min=rng.choice((60, 60, 30, 15)), gate_min=rng.choice((0, 5, 5, 10)),
        horizon_periods=rng.choice((8, 10, 12)),
        lots_per_card=rng.choice((1, 10)), release_min=rng.choice((-1, -1, 0, 15, 60)), dispute_min=rng.choice((0, 15)),
        max_waiting_per_firm=rng.choice((3, 200)), green_needs_certificates=green,
    ))  # fmt: skip
    chips = [f"CHIP{n}" for n in range(rng.randint(1, 3))]
    regions = [f"region{n}" for n in range(rng.randint(1, 4))]
    do(_catalogue(rng, chips, regions, shuffle))
    fee = rng.choice((0, 5_000, 12_345))
    do(c.SetTariff(1, 0, fee, fee // 2, fee * 2, (
        c.Share("compute", "hub:{host}", 10_000), c.Share("green", "power:{host}", 20_000),
        c.Share("moving", "carrier", 300_000),
    )))  # fmt: skip
    _list_families(world, rng, chips, regions)
    for number in range(rng.randint(3, 5)):
        alpha_ppm = rng.choice((0, 0, 100_000, 1_000_000))
        do(c.AddParticipant(f"p{number}", f"firm{rng.randint(0, 3)}", alpha_ppm, may_use_emergency=rng.random() < 0.8))
        do(c.Deposit(f"p{number}", rng.choice((20, 400, 10**6, 10**6, 10**6)) * YUAN))
    do(c.Deposit("fund", 5 * YUAN))
    for region in regions:
        for number in range(rng.randint(1, 2)):
            do(c.AddSite(f"{region}-{'ab'[number]}", rng.choice(sorted(world.firms)), region))
    for site in world.sites:
        for chip in chips:
            do(c.AttestCapacity(site, chip, rng.choice((8, 40, 100)), T0, T0 + 48 * HOUR))
    do(c.AdvanceTime(T0))  # lists the first periods
    return world


def _catalogue(rng: Random, chips: list[str], regions: list[str], shuffle: Random | None) -> c.LoadCatalogue:
    reach, links = [], []
    for access in regions:
        for host in regions:
            times = sorted(rng.choice((1, 3, 4, 5, 8, 9, 20)) * 1000 for _ in CLASSES)
            for name, rtt_us in zip(CLASSES, times, strict=True):
                if rng.random() < 0.9:
                    reach.append(c.Reach(access, host, name, rtt_us))
            if rng.random() < 0.85:
                price, speed = rng.choice((0, 50_000, 1_000_000)), rng.choice((20, 1000, 100_000))
                links.append(c.Link(access, host, price, speed, rng.choice((0, 0, 0, 600, 5000))))
    rows = (
        [c.Chip(code, "ai", 500_000 * (n + 1), 80, 700) for n, code in enumerate(chips)],
        [c.Region(code, code, "", "cluster", 0, 0) for code in regions],
        reach,
        links,
    )
    for table in rows:
        if shuffle:
            shuffle.shuffle(table)
    return c.LoadCatalogue(*map(tuple, rows))


def _list_families(world: World, rng: Random, chips: list[str], regions: list[str]) -> None:
    pairs = sorted({(host, name) for _, host, name in world.rtt_us})
    every = [(chip, *pair, power) for chip in chips for pair in pairs for power in ("grid", "green")]
    if not every:
        return
    for place in rng.sample(every, min(len(every), rng.randint(2, 6))):
        world.do(c.ListFamily(*place))


# --- what happens in it -----------------------------------------------------------------------------------


def a_period(world: World, rng: Random, low: int = -1, high: int = 9) -> int:
    """The start of a period near now."""
    return (world.now_ns // world.period_ns + rng.randint(low, high)) * world.period_ns


def a_price(rng: Random) -> int:
    """Few prices, so that ties are common."""
    return rng.choice((700, 800, 800, 850, 900, 900, 1000)) * 10_000


def an_offer(world: World, rng: Random, name: str) -> c.PlaceOffer | None:
    """An offer of some site that could be real."""
    families = world.venue.state.families
    family = rng.choice(families) if families else None
    sites = [site for site, region in sorted(world.site_region.items()) if family and region == family.region]
    if not sites:
        return None
    site = rng.choice(sites)
    edge = world.settings.horizon_periods  # what is listed ends there, and some offers reach beyond
    start = a_period(world, rng, 0, 4) if rng.random() < 0.85 else a_period(world, rng, edge - 1, edge)
    periods = rng.choice((1, 2, 4, 6, 8, 12))
    lots, is_block = rng.choice((1, 2, 5, 8, 9)), rng.random() < 0.4
    prices = tuple(a_price(rng) for _ in range(periods)) if rng.random() < 0.3 else ()
    standby = rng.random() < 0.15
    offer = c.PlaceOffer(
        world.sites[site], name, site, family.chip, family.latency_class, family.power, lots, start,
        start + periods * world.period_ns, a_price(rng), prices, rng.randint(1, lots) if is_block else 1,
        rng.randint(1, min(3, periods)) if is_block else 1, site.endswith("a") if rng.random() < 0.9 else rng.random() < 0.5,
        0 if standby else rng.choice((0, 0, 0, 0, 25, 90)), standby,
    )  # fmt: skip
    kind = rng.random()
    if kind < 0.08:  # it stands, with one price or one for each period of a day
        per_day = 24 * HOUR // world.period_ns
        daily = tuple(rng.choice((0, a_price(rng))) for _ in range(per_day)) if prices else ()
        offer = replace(offer, end_ns=0, period_prices_micro=daily)
    if 0.04 < kind < 0.16:
        watts = rng.choice((1, 700, 1000, 3001))
        offer = replace(offer, price_micro=0, period_prices_micro=(), price_base_micro=a_price(rng), watts_per_card=watts)
    return offer


def some_power_prices(world: World, rng: Random) -> c.SetPowerPrices:
    """What power costs somewhere in the next periods; now and then it costs less than nothing."""
    region = rng.choice(sorted(world.venue.state.catalogue.regions))
    prices = tuple(rng.choice((0, 300_000, 300_000, 512_345, 900_000, -80_000)) for _ in range(rng.randint(1, 8)))
    return c.SetPowerPrices(region, a_period(world, rng, -1, 6), prices)


def a_task(world: World, rng: Random, name: str) -> c.SubmitTask:
    """A task that some world may or may not be able to run."""
    chips = sorted(world.venue.state.catalogue.chips)
    regions = sorted(world.venue.state.catalogue.regions)
    lots, periods = rng.choice((1, 2, 2, 3, 4, 8)), rng.choice((1, 1, 2, 3, 4))
    shape = rng.choice(("block",) * 14 + ("bulk",) * 3 + ("split",) * 2 + ("spread",) * 2)
    factors = (1_000_000,) if shape == "bulk" else (1_000_000, 1_000_000, 1_500_000, 700_000)
    has_cap = rng.random() < 0.7
    is_plain = shape in ("bulk", "spread") or rng.random() < 0.75
    price = a_price(rng) + rng.choice((0, 500_000, 2_000_000, 5_000_000))
    start = rng.choice(
        (0, T0, world.now_ns, a_period(world, rng, -1, 5), a_period(world, rng, -1, 5) + 7 * MINUTE)
    )
    whole = price * lots * periods * world.settings.period_min // 60 // world.settings.lots_per_card
    lane = rng.choice(("standard",) * 5 + ("economy",) * 2 + ("emergency",))
    task = c.Task(
        rng.choice(sorted(world.firms)), name, rng.choice(regions), rng.choice((0, 0, 0, 4000, 5000, 9000)),
        tuple(c.TaskChip(chip, rng.choice(factors)) for chip in rng.sample(chips,
        rng.randint((len(chips) + 1) // 2, len(chips)))),
        lots, periods, start, a_period(world, rng, 3, 14) + rng.choice((0, 0, 11 * MINUTE)),
        price_cap_micro=price if has_cap else 0, budget_micro=0 if has_cap else max(1, whole + rng.choice((-1, 0, 0, 99))),
        data_mb=rng.choice((0, 0, 0, 0, 0, 1, 700, 20_000)), data_region=rng.choice(regions),
        lane=lane, shape=shape,
        allowed_regions=tuple(rng.sample(regions, rng.randint(1, len(regions)))) if rng.random() < 0.2 else (),
        min_green_ppm=rng.choice((0, 0, 0, 0, 300_000)), checkpoint="hourly" if is_plain else "none",
        on_break=rng.choice(("continue", "abandon")) if shape != "bulk" else "continue",
        valid_until_ns=rng.choice((0, 0, 0, world.now_ns + 95 * MINUTE)),
        min_fill=rng.choice((0, 0, 1, 3)) if shape == "bulk" and lots * periods >= 3 else 0,
        min_run=rng.choice((0, 1, 2)) if shape == "split" and periods >= 2 else 0,
        is_immediate=rng.random() < 0.08, slowest_class=rng.choice(("",) * 8 + ("L5", "L10")),
    )  # fmt: skip
    if shape != "bulk" and rng.random() < 0.1:
        task = _in_pflops(world, rng, task, whole)
    return c.SubmitTask(_with_steps(world, rng, task) if lane == "economy" and rng.random() < 0.5 else task)


def _in_pflops(world: World, rng: Random, task: c.Task, budget: int) -> c.Task:
    """The same in PFLOPS-hours, over its chips or any, a little less than whole cards sometimes."""
    hours_times_60 = task.periods * world.settings.period_min
    whole = task.lots * 1000 * hours_times_60 // (60 * world.settings.lots_per_card)
    chips = tuple(c.TaskChip(item.chip) for item in task.chips) if rng.random() < 0.6 else ()
    return replace(task, lots=0, pflops_milli_hours=max(1, whole - rng.choice((0, 0, 1, 20))), chips=chips,
                   price_cap_micro=0, budget_micro=max(1, budget * rng.choice((1, 2, 3))))  # fmt: skip


def _with_steps(world: World, rng: Random, task: c.Task) -> c.Task:
    """RT9: up to the task's own limit in one to three steps."""
    limit = task.price_cap_micro or task.budget_micro
    ahead = sorted(rng.sample(range(1, 9), rng.randint(1, 3)))
    limits = [*sorted(max(1, limit * rng.choice((70, 80, 90, 95)) // 100) for _ in ahead), limit]
    times = [0, *(world.now_ns + place * 17 * MINUTE for place in ahead)]
    return replace(task, steps=tuple(c.TaskStep(at, most) for at, most in zip(times, limits, strict=True)))


def an_amended_task(world: World, rng: Random, task: c.Task) -> c.AmendTask:
    """Other terms for a task that waits."""
    other = a_task(world, rng, task.client_order_id).task
    pieces = (
        {"lots": max(1, task.lots - rng.randint(0, 2))}, {"deadline_ns": other.deadline_ns}, {"max_latency_us": 4000},
        {"chips": task.chips[:1]}, {"valid_until_ns": other.valid_until_ns}, {"lane": other.lane, "steps": ()},
        {"lots": other.lots, "periods": other.periods},
        {"price_cap_micro": task.price_cap_micro * rng.choice((9, 10, 12)) // 10, "steps": ()}
        if task.price_cap_micro else {"budget_micro": max(1, task.budget_micro * rng.choice((9, 12)) // 10), "steps": ()},
    )  # fmt: skip
    return c.AmendTask(replace(task, **rng.choice(pieces)))


def a_bid(world: World, rng: Random, name: str) -> c.PlaceOrder | None:
    """A plain bid in some book."""
    if not world.venue.state.families:
        return None
    family = rng.choice(world.venue.state.families)
    code = f"{family.code}/{world.venue.periods.code(world.venue.periods.at(a_period(world, rng, 0, 6)))}"
    tif = rng.choice(("GTC", "GTC", "GTD", "IOC", "FOK"))
    expiry = world.now_ns + 50 * MINUTE if tif == "GTD" else 0
    return c.PlaceOrder(
        rng.choice(sorted(world.firms)), name, code, "buy", a_price(rng), rng.choice((1, 2, 5)), tif, expiry,
        or_better=tif in ("GTC", "IOC") and rng.random() < 0.3,
    )  # fmt: skip


def a_change(world: World, rng: Random, name: str):
    """Something that is not an entry: amend, withdraw, cancel, fix, reading, dispute, money, a new catalogue."""
    state = world.venue.state
    things = []
    if state.offers:
        offer = rng.choice(list(state.offers.values()))
        things += [
            c.AmendOffer(offer.participant, offer.offer_id, rng.choice((1, 3, 5, offer.lots)), a_price(rng)),
            c.AmendOffer(offer.participant, offer.offer_id, rng.choice((1, 3, 5, offer.lots)), a_price(rng)),
            c.WithdrawOffer(offer.participant, offer.offer_id),
        ]
        per_day = 24 * HOUR // world.period_ns
        n_prices = per_day if offer.is_standing else offer.end_period - offer.start_period
        least = 0 if offer.is_standing else 1
        each = tuple(rng.choice((least * a_price(rng), a_price(rng))) for _ in range(n_prices))
        things.append(c.AmendOffer(offer.participant, offer.offer_id, offer.lots, 0, each))
        if offer.follows_power:
            lots = rng.choice((3, offer.lots))
            things.append(c.AmendOffer(offer.participant, offer.offer_id, lots, 0, (), a_price(rng), 500))
    if state.tasks:
        task = rng.choice(list(state.tasks.values())).task
        things.append(c.CancelTask(task.participant, task.client_order_id))
        things += [an_amended_task(world, rng, task)] * 3
    if state.bids:
        bid = rng.choice(list(state.bids.values()))
        things.append(c.AmendOrder(bid.participant, bid.client_order_id, a_price(rng), rng.randint(1, 6)))
        things.append(c.CancelOrder(bid.participant, bid.client_order_id))
    if state.obligations:
        due = rng.choice(list(state.obligations.values()))
        code = world.venue.instrument_code(due.family, due.period)
        things.append(c.SetFix(code, a_price(rng) + rng.choice((0, 3 * YUAN)), rng.choice("ABC"), "hash"))
        things.append(c.DisputeReading(due.buyer, due.number, rng.randint(0, due.lots)))
        things.append(c.CountersignReading(due.buyer, due.number, due.reading.number))
        things += some_delivery(world, rng, due)
    things += [some_power_prices(world, rng), some_power_prices(world, rng)]
    site = rng.choice(sorted(world.sites))
    start = a_period(world, rng, 0, 6)
    things.append(c.AnnounceOutage(world.sites[site], site, start, start + world.period_ns))
    who = rng.choice(sorted(world.firms))
    things.append(c.Deposit(who, rng.choice((1, 100, 10_000)) * YUAN, name))
    things.append(c.Withdraw(who, rng.choice((1, 50, 300)) * YUAN, name))
    things.append(c.PostBond(who, rng.choice((1, 7)) * YUAN))
    if rng.random() < 0.2:
        things.append(_catalogue(rng, sorted(state.catalogue.chips), sorted(state.catalogue.regions), None))
        things[-1] = c.LoadCatalogue(tuple(state.catalogue.chips.values()), *[
            getattr(things[-1], part) for part in ("regions", "reach", "links")
        ])  # fmt: skip
    return rng.choice(things)


def some_delivery(world: World, rng: Random, due) -> list:
    """What may be said of an obligation beside its reading, and a meter for what is sold from now on."""
    note = world.venue.state.leases.get(due.lease)
    lease = str(note.first if note else due.number)
    return [
        cd.SetMeter(world.sites[due.site], due.site, "", rng.choice((0, 60, 600, world.period_ns // SECOND // 3))),
        cd.ProbeReading("probe", due.number, rng.randint(0, due.lots)),
        cd.DeclareFailure(due.seller, due.number) if rng.random() < 0.3 else cd.GiveAccess(due.seller, lease, "here"),
        cd.ReturnResult(due.seller, lease, 0, "done", rng.random() < 0.3),
    ]


def deliver_and_settle(world: World, rng: Random) -> None:
    """Readings for hours that run or have run, then every settlement that is due."""
    venue = world.venue
    for number in sorted(venue.state.obligations):
        due = venue.state.obligations.get(number)
        if due and venue.periods.start(due.period) <= world.now_ns and rng.random() < 0.85:
            good = rng.choice((due.lots, due.lots, due.lots, rng.randint(0, due.lots)))
            world.do(c.SubmitReading(due.seller, number, due.reading.number + 1, good))
            if rng.random() < 0.3:
                world.do(c.CountersignReading(due.buyer, number, due.reading.number))
    ready = world.now_ns - world.settings.dispute_min * MINUTE - world.period_ns
    for period in sorted({due.period for due in venue.state.obligations.values()}):
        if venue.periods.start(period) <= ready:
            world.do(c.SettlePeriod(venue.periods.start(period)))


def a_moment(world: World, rng: Random) -> c.AdvanceTime:
    """The clock, by a little or by hours."""
    steps = (0, 0, SECOND, MINUTE, 20 * MINUTE, world.period_ns, world.period_ns, 3 * world.period_ns)
    return c.AdvanceTime(world.now_ns + rng.choice(steps))


def live(world: World, rng: Random, steps: int, on_task=None, on_time=None) -> World:
    """Runs a founded world; `on_task` stands in for entering a task, `on_time` for moving the clock."""
    for number in range(steps):
        name = f"n{number}"
        draw = rng.random()
        if draw < 0.36 or number < 4:
            command = an_offer(world, rng, name)
        elif draw < 0.64:
            command = a_task(world, rng, name)
        elif draw < 0.72:
            command = a_bid(world, rng, name)
        elif draw < 0.86:
            command = a_moment(world, rng)
        else:
            command = a_change(world, rng, name)
        if command is None:
            continue
        if on_task and isinstance(command, c.SubmitTask):
            on_task(command)
        elif on_time and isinstance(command, c.AdvanceTime):
            on_time(command)
        else:
            world.do(command)
        if isinstance(command, c.AdvanceTime):
            deliver_and_settle(world, rng)
    return world


def run(
    seed: int, steps: int, engine: type | None = None, *, check: bool = False, shuffle: Random | None = None
) -> World:
    """A whole world from one seed."""
    rng = Random(seed)
    return live(found(rng, engine, check=check, shuffle=shuffle), rng, steps)


def digest(world: World) -> str:
    """Everything that was reported, and the state it led to."""
    text = "\n".join(repr(events) for events in world.history) + f"\n{world.venue.state_hash():016x}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


def trades(world: World) -> list[Traded]:
    """All trades of a world in order."""
    return [event for events in world.history for event in events if isinstance(event, Traded)]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{seed} {digest(run(seed, 60))}\n" for seed in map(int, sys.argv[1:])))
