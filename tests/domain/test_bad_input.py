"""Whatever anybody sends: an answer, never a crash; and a refusal is one event with a known code that changes nothing."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario import Teller
from worlds import CODES, HOUR, MINUTE, T0, YUAN, World

from exchange.domain import commands as c
from exchange.domain import commands_delivery as cd
from exchange.domain.events import Refused, TaskEnded, TaskWaiting
from exchange.domain.reasons import VenueReason
from exchange.domain.venue import Venue

INTEGERS = (
    0, 1, -1, 2, 7, 999, 2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**62 + 1, 2**63 - 1, 2**63, 2**64,
    10**19, -(2**63), -(2**63) - 1, T0, T0 + 1, T0 - HOUR, T0 + 3 * HOUR, T0 + 4 * HOUR, T0 + 4 * HOUR + 1,
    T0 + 10**6 * HOUR, 10_001,
)  # fmt: skip
TEXTS = (
    "", " ", "x" * 36, "x" * 37, "x" * 5000, "武汉", "a\nb", "a\x00b", "\ud800", "B1", "B2", "P1", "P2",
    "fund", "exchange", "outside",
    "site:g1", "g1", "w1", "o1", "t1", "b1", "H800", "A910B", "guian", "wuhan", "L10", "grid", "green",
    "emergency", "economy", "bulk",
    "split", "none", "abandon", "sell", "GTD", "IOC", "FOK", "A", "moving", "region:{host}", "H800/guian/L10/grid/20261123T05",
    "H800/guian/L10/grid/20261123T99", "H800/guian/L10/grid/99991231T23",
    "H800/guian/L10/grid/19700101T00", "///", "1e9", "NaN",
)  # fmt: skip


@cache
def town_blob() -> tuple:
    """A small living world: offers, a block, waiting tasks, a bid, obligations before and after delivery, a dispute."""
    teller = Teller()
    for line in (
        "offer P1 o1 g1 H800/L10/grid 64 @ 8.00 01-13", "offer P2 o2 g2 H800/L10/grid 64 @ 8.20 01-13 min 8x2 indivisible",
        "offer P2 o3 w1 H800/L5/grid 20 @ 9.50 01-13 notice 30", "task B1 t0 H800 8 x 6 cap 9.00 abandon",
        "bid B2 b0 H800/guian/L10/grid@02 4 @ 8.00", "bid B2 b2 H800/guian/L10/grid@03 2 @ 8.00",
        "bid B2 b1 H800/guian/L10/grid@05 4 @ 7.50",
        "fix H800/guian/L10/grid@05 8.50 B", "clock 02:10", "task B1 t1 H800 99 x 2 cap 9.00 data 5",
        "task B2 t1 H800|A910B 99 x 2 budget 4000 bulk", "reading t0@01 5", "dispute t0@01 4", "fail b2@03",
        "outage P1 g1 06-08", "bond P2 100",
        "deposit fund 50", "tariff 2 from 27 fee 6000 compute:hub:{host}=10000",
    ):  # fmt: skip
        assert "refused" not in teller.tell(line), line
    world = teller.world
    return world.venue.snapshot(), world


def town(check: bool = True) -> World:
    """A fresh copy of the town."""
    blob, world = town_blob()
    return replace(world.fork(), venue=Venue.restore(blob), check=check)


def good_commands() -> dict[type, object]:
    """One command of every type that the town takes as it stands."""
    obligation = min(town_blob()[1].venue.state.obligations)
    state = town_blob()[1].venue.state
    hour = T0 + 5 * HOUR
    later = min(
        n
        for n, due in state.obligations.items()
        if town_blob()[1].venue.periods.start(due.period) == T0 + 2 * HOUR
    )
    lease = str(state.leases[state.obligations[later].lease].first)
    instrument = "H800/guian/L10/grid/20261123T05"
    task = c.Task("B2", "new", "wuhan", 10_000, (c.TaskChip("H800"),), 4, 2, T0, T0 + 12 * HOUR, 9 * YUAN)
    every = [
        c.AdvanceTime(T0 + 3 * HOUR), c.LoadCatalogue(
            tuple(state.catalogue.chips.values()), tuple(state.catalogue.regions.values()),
            tuple(c.Reach(a, h, k, us) for a, row in state.catalogue.reach.items() for (h, k), us in row.items()),
            tuple(state.catalogue.links.values()),
        ),
        c.SetTariff(3, T0 + 30 * HOUR, 1, 2, 3, (c.Share("compute", "hub:{host}", 5),)),
        c.ListFamily("A910B", "guian", "BE", "green"),
        c.AddParticipant("new", "new firm", 400_000), c.Deposit("B1", YUAN, "ref"), c.Withdraw("B1", YUAN, "ref"),
        c.PostBond("P1", YUAN), c.AddSite("new", "P1", "guian"), c.AttestCapacity("g1", "H800", 700, T0, T0 + 24 * HOUR),
        c.PlaceOffer("P1", "new", "g1", "H800", "L10", "grid", 4, hour, hour + 2 * HOUR, 8 * YUAN,
        (8 * YUAN, 9 * YUAN), 2, 1, False, 30),
        c.AmendOffer("P1", "o1", 60, 8 * YUAN), c.WithdrawOffer("P1", "o1"), c.SubmitTask(task), c.CancelTask("B1", "t1"),
        c.PlaceOrder("B1", "new", instrument, "buy", 8 * YUAN, 3, "GTD", T0 + 4 * HOUR, ""),
        c.AmendOrder("B2", "b1", 7 * YUAN, 9), c.CancelOrder("B2", "b1"), c.SubmitReading("P1", later, 1, 3),
        c.CountersignReading("B1", obligation, 1),
        cd.SetMeter("P1", "g1", "cd" * 32, 60), cd.DeclareFailure("P1", later), cd.GiveAccess("P1", lease, "ssh there"),
        cd.ReturnResult("P1", lease, 0, "done", True), cd.ProbeReading("probe", obligation, 3),
        c.DisputeReading("B1", obligation, 3), c.AnnounceOutage("P1", "g1", hour, hour + HOUR),
        c.SetFix(instrument, 8 * YUAN, "A", "hash"), c.AllowEmergency("P1", True), c.CancelAfter("B1", 60),
        c.SetPowerPrices("guian", hour, (500_000, -20_000)),
        c.BuyIn(next(n for n in state.failing if state.obligations[n].client_id == "b2")),
        c.OrderCurtailment("", "g1", hour, hour + HOUR, "order 7"),
        c.IssueCertificates("P1", "c1", "guian", hour, (500, 0), "modelled", "made up"),
        c.BustTrade(later, "typed wrong"), c.AdjustTrade(later, 7 * YUAN, "typed wrong"),
        c.AmendTask(replace(next(iter(state.tasks.values())).task, price_cap_micro=8 * YUAN)),
    ]  # fmt: skip
    return {type(command): command for command in every}


def hostile(value) -> list:
    """Values of the same kind that nobody honest would send, and some that are merely wrong here."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [*INTEGERS, value + 1, value - 1, value * 1000 + 1]
    if isinstance(value, str):
        return list(TEXTS)
    if isinstance(value, tuple):
        inner = (
            [replace(value[0], **change) for change in changes_of(value[0])]
            if value and is_dataclass(value[0])
            else []
        )
        if value and not inner:
            inner = hostile(value[0])
        return [(), value + value, value[:1] * 70, *((item, *value[1:]) for item in inner)]
    if is_dataclass(value):
        return [replace(value, **change) for change in changes_of(value)]
    raise TypeError(value)


def changes_of(value) -> list[dict]:
    """Every field of a dataclass in turn, with every hostile value."""
    found = []
    for field in fields(value):
        now = getattr(value, field.name)
        kinds = ((),) if now == () else (now,)
        for kind in kinds:
            found += [
                {field.name: bad}
                for bad in (hostile(kind) if kind != () else [("x",), ("guian", "guian"), (0,), (-1, 1)])
            ]
    return found


def assert_answered(world: World, command) -> list:
    """One answer: a refusal with a code (World.do checks that nothing changed), or events of a command applied."""
    events = world.do(command)
    refused = [event for event in events if isinstance(event, Refused)]
    assert not refused or (
        len(events) == 1 and refused[0].command == type(command).__name__ and refused[0].message
    )
    return events


def fits(command) -> bool:
    """Whether the values have the types the fields declare (the codec lets nothing else through)."""

    def ok(value, kind) -> bool:
        origin = get_origin(kind)
        if origin is tuple:
            return isinstance(value, tuple) and all(ok(item, get_args(kind)[0]) for item in value)
        if origin is UnionType:
            return any(ok(value, item) for item in get_args(kind))
        if is_dataclass(kind):
            return isinstance(value, kind) and all(
                ok(getattr(value, f.name), get_type_hints(kind)[f.name]) for f in fields(kind)
            )
        return type(value) is kind

    return ok(command, type(command))


@pytest.mark.slow
def test_the_town_takes_every_good_command() -> None:
    commands = good_commands()
    assert set(c.COMMAND_TYPES.values()) - set(commands) == {c.SetVenue, c.SettlePeriod}
    for command in commands.values():
        assert not any(isinstance(event, Refused) for event in assert_answered(town(), command)), command
    world = town()
    world.do(c.AdvanceTime(T0 + 3 * HOUR))
    assert not any(isinstance(event, Refused) for event in assert_answered(world, c.SettlePeriod(T0 + HOUR)))


WIDE = (c.LoadCatalogue, c.SubmitTask, c.PlaceOffer, c.PlaceOrder, c.SetTariff)  # many fields: not in the quick run


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in WIDE else (), id=kind.__name__) for kind in good_commands()]
)
def test_hostile_values_in_every_field_are_answered(kind: type) -> None:
    good = good_commands()[kind]
    tried = refused = 0
    world = town()
    for change in changes_of(good):
        command = replace(good, **change)
        if not fits(command):
            continue
        events = assert_answered(world, command)
        tried += 1
        if len(events) == 1 and isinstance(events[0], Refused):
            refused += 1
        else:
            world = town()
    assert tried >= 5
    assert refused >= tried // 3 or kind in (c.Deposit, c.Withdraw, c.LoadCatalogue)


@pytest.mark.parametrize("name", [field.name for field in fields(c.SetVenue)])
def test_hostile_settings_are_refused_or_workable(name: str) -> None:
    good = c.SetVenue("venue")
    for bad in hostile(getattr(good, name)):
        world = World(Venue(max_orders=100))
        world.do(c.AdvanceTime(T0))
        events = assert_answered(world, replace(good, **{name: bad}))
        if not isinstance(events[0], Refused):
            world.do(c.AdvanceTime(T0 + HOUR))
            assert assert_answered(world, good)[0].reason == "ALREADY_CONFIGURED"


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ({"gate_min": 60, "horizon_periods": 1}, {"gate_min": 59}),
        ({"gate_min": 45, "horizon_periods": 3, "period_min": 15, "tick_micro": 600_000}, {"gate_min": 44}),
        ({"idempotency_retention_ns": HOUR - 1}, {"idempotency_retention_ns": HOUR}),
    ],
)
def test_settings_under_which_nothing_trades_or_keys_go_at_once_are_refused(bad: dict, good: dict) -> None:
    world = World(Venue(max_orders=100))
    world.do(c.AdvanceTime(T0))
    assert world.do(c.SetVenue("venue", **bad))[0].reason == "INVALID_SETTING"
    assert not isinstance(world.do(c.SetVenue("venue", **bad | good))[0], Refused)


def test_every_command_is_answered_by_a_venue_that_has_no_settings() -> None:
    commands = [*good_commands().values(), c.SettlePeriod(T0), c.SettlePeriod(-1)]
    for command in commands:
        world = World(Venue(max_orders=100))
        events = assert_answered(world, command)
        if not isinstance(command, c.AdvanceTime | c.LoadCatalogue):
            assert isinstance(events[0], Refused), command


def test_every_command_is_answered_by_a_venue_that_has_settings_only() -> None:
    for now in (None, T0):
        for command in [*good_commands().values(), c.SettlePeriod(T0), c.SettlePeriod(-1)]:
            world = World(Venue(max_orders=100))
            if now:
                world.do(c.AdvanceTime(now))
            world.do(c.SetVenue("venue"))
            assert_answered(world, command)
            world.do(c.AdvanceTime(T0 + HOUR))


def refusals() -> list:
    """(what somebody does, the code) for mistakes that people make."""
    good = good_commands()
    offer, bid, reading = good[c.PlaceOffer], good[c.PlaceOrder], good[c.SubmitReading]
    catalogue = good[c.LoadCatalogue]
    task = good[c.SubmitTask].task

    def t(**changes) -> c.SubmitTask:
        return c.SubmitTask(replace(task, **changes))

    return [
        (replace(offer, price_micro=8_005_000, period_prices_micro=()), "INVALID_PRICE"),
        (replace(offer, period_prices_micro=(8 * YUAN, 8_005_000)), "INVALID_PRICE"),
        (replace(offer, period_prices_micro=(8 * YUAN,)), "INVALID_PRICE"),
        (replace(offer, price_micro=0, period_prices_micro=()), "INVALID_PRICE"),
        (replace(offer, lots=577, min_lots=1), "CAPACITY"),
        (replace(offer, offer_id="o1"), "DUPLICATE_ID"),
        (replace(offer, participant="P2"), "UNKNOWN_SITE"),
        (replace(offer, participant="nobody"), "UNKNOWN_PARTICIPANT"),
        (replace(offer, chip="H100"), "UNKNOWN_INSTRUMENT"),
        (replace(offer, end_ns=T0 + 6 * HOUR + 1), "INVALID_WINDOW"),
        (replace(offer, start_ns=T0, end_ns=T0 + HOUR, period_prices_micro=()), "INVALID_WINDOW"),
        (replace(offer, min_lots=5), "INVALID_QTY"),
        (replace(offer, lots=-4), "INVALID_QTY"),
        (replace(offer, notice_min=-1), "INVALID_WINDOW"),
        (replace(offer, end_ns=0), "INVALID_PRICE"),
        (replace(offer, end_ns=T0 + 10**6 * HOUR, period_prices_micro=()), "INVALID_WINDOW"),
        (replace(offer, end_ns=0, period_prices_micro=(0,) * 24), "INVALID_PRICE"),
        (replace(offer, period_prices_micro=(8 * YUAN, 0)), "INVALID_PRICE"),
        (replace(offer, standby=True), "INVALID_WINDOW"),
        (replace(offer, standby=True, notice_min=0, period_prices_micro=(8 * YUAN, 17_010_000)), "INVALID_PRICE"),
        (replace(offer, watts_per_card=700), "INVALID_PRICE"),
        (replace(offer, price_micro=0, period_prices_micro=(), price_base_micro=YUAN), "INVALID_PRICE"),
        (replace(offer, price_micro=0, period_prices_micro=(), watts_per_card=1_000_001), "INVALID_PRICE"),
        (replace(offer, price_micro=10**16, period_prices_micro=(), lots=640), "INVALID_QTY"),
        (c.AmendOffer("P1", "o1", 60, 0, (), YUAN, 700), "INVALID_PRICE"),
        (c.AmendOffer("P1", "o1", 60, 0, (8 * YUAN,) * 11), "INVALID_PRICE"),
        (c.SetPowerPrices("mars", T0 + 5 * HOUR, (1,)), "UNKNOWN_REGION"),
        (c.SetPowerPrices("guian", T0 + 5 * HOUR, ()), "INVALID_WINDOW"),
        (c.SetPowerPrices("guian", T0 + 5 * HOUR, (1,) * 1025), "INVALID_WINDOW"),
        (c.SetPowerPrices("guian", T0 + 5 * HOUR + 1, (1,)), "INVALID_WINDOW"),
        (c.SetPowerPrices("guian", T0 + 5 * HOUR, (1, -1_000_000_001)), "INVALID_PRICE"),
        (c.AllowEmergency("nobody", True), "UNKNOWN_PARTICIPANT"),
        (replace(catalogue, links=(c.Link("wuhan", "guian", 1, 1, -1),)), "INVALID_CATALOGUE"),
        (replace(catalogue, reach=(c.Reach("wuhan", "guian", "L10", 10**9 + 1),)), "INVALID_CATALOGUE"),
        (replace(offer, offer_id="编号"), "INVALID_TEXT"),
        (c.AmendOffer("P2", "o1", 4, 8 * YUAN), "UNKNOWN_OFFER"),
        (c.AmendOffer("P1", "o1", 641, 8 * YUAN), "CAPACITY"),
        (c.WithdrawOffer("P2", "o1"), "UNKNOWN_OFFER"),
        (c.CancelTask("B2", "t0"), "UNKNOWN_TASK"),
        (c.CancelOrder("B1", "b1"), "UNKNOWN_ORDER"),
        (c.AmendOrder("B1", "b1", 7 * YUAN, 9), "UNKNOWN_ORDER"),
        (c.AmendOrder("B2", "b1", 7 * YUAN, 10**9), "INSUFFICIENT_FUNDS"),
        (replace(bid, side="sell", site="g1"), "INVALID_SHAPE"),
        (replace(bid, instrument="H800/guian/L10/grid/20261123T02"), "UNKNOWN_INSTRUMENT"),
        (replace(bid, instrument="H800/guian/L10/grid/20271123T02"), "UNKNOWN_INSTRUMENT"),
        (replace(bid, lots=10**9), "INSUFFICIENT_FUNDS"),
        (replace(bid, lots=10**18), "INVALID_QTY"),
        (replace(bid, expiry_ns=0), "INVALID_WINDOW"),
        (replace(bid, tif="DAY", expiry_ns=0), "INVALID_SHAPE"),
        (replace(bid, client_order_id="b1", participant="B2"), "DUPLICATE_ID"),
        (t(client_order_id="t1", participant="B1"), "DUPLICATE_ID"),
        (t(chips=()), "UNKNOWN_CHIP"),
        (t(chips=(c.TaskChip("H800"),) * 2), "UNKNOWN_CHIP"),
        (t(chips=tuple(c.TaskChip(f"H{n}") for n in range(10_000))), "UNKNOWN_CHIP"),
        (t(chips=(c.TaskChip("H800", 999),)), "INVALID_QTY"),
        (t(lots=0), "INVALID_QTY"),
        (t(lots=1_000_001), "INVALID_QTY"),
        (t(lots=100_000, periods=9), "INSUFFICIENT_FUNDS"),
        (t(deadline_ns=T0 + 2 * HOUR), "INVALID_WINDOW"),
        (t(deadline_ns=T0 + 4 * HOUR), "INVALID_WINDOW"),
        (t(deadline_ns=T0 + 10**5 * HOUR), "INVALID_WINDOW"),
        (t(valid_until_ns=T0), "INVALID_WINDOW"),
        (t(max_latency_us=-1), "INVALID_LATENCY"),
        (t(lane="fast"), "INVALID_LANE"),
        (t(shape="circle"), "INVALID_SHAPE"),
        (t(shape="bulk", checkpoint="none"), "INVALID_SHAPE"),
        (t(min_fill=1), "INVALID_SHAPE"),
        (t(budget_micro=1), "INVALID_BUDGET"),
        (t(price_cap_micro=0), "INVALID_BUDGET"),
        (t(price_cap_micro=-1), "INVALID_BUDGET"),
        (t(price_cap_micro=0, budget_micro=-5), "INVALID_BUDGET"),
        (t(access_region="mars"), "UNKNOWN_REGION"),
        (t(allowed_regions=("guian", "mars")), "UNKNOWN_REGION"),
        (t(data_mb=1, data_region="mars"), "UNKNOWN_REGION"),
        (t(data_mb=-1, data_region="wuhan"), "INVALID_QTY"),
        (t(min_green_ppm=1_000_001), "INVALID_QTY"),
        (t(participant="nobody"), "UNKNOWN_PARTICIPANT"),
        (replace(reading, participant="P2"), "UNKNOWN_OBLIGATION"),
        (replace(reading, delivered_lots=99), "INVALID_READING"),
        (replace(reading, number=0), "INVALID_READING"),
        (replace(good[c.DisputeReading], participant="B2"), "UNKNOWN_OBLIGATION"),
        (replace(good[c.CountersignReading], participant="P1"), "UNKNOWN_OBLIGATION"),
        (replace(good[c.CountersignReading], number=7), "INVALID_READING"),
        (c.Withdraw("B1", 10**6 * YUAN), "INSUFFICIENT_FUNDS"),
        (c.PostBond("B1", 10**6 * YUAN), "INSUFFICIENT_FUNDS"),
        (c.Deposit("B1", 0), "INVALID_MONEY"),
        (c.Deposit("B1", 10**19), "INVALID_MONEY"),
        (c.Deposit("exchange", 1), "UNKNOWN_PARTICIPANT"),
        (c.AddParticipant("B1", "firm"), "DUPLICATE_ID"),
        (c.AddParticipant("outside", "firm"), "DUPLICATE_ID"),
        (c.AddParticipant("site:g1", "firm"), "DUPLICATE_ID"),
        (c.AddSite("g1", "P1", "guian"), "DUPLICATE_ID"),
        (c.AttestCapacity("g1", "H800", 1, T0, T0 + 24 * HOUR), "CAPACITY"),
        (c.AttestCapacity("nowhere", "H800", 1, T0, T0 + 24 * HOUR), "UNKNOWN_SITE"),
        (c.AdvanceTime(T0), "TIME_BACKWARDS"),
        (c.SetTariff(2, T0 + 99 * HOUR, 0, 0, 0, ()), "INVALID_SETTING"),
        (c.SetTariff(3, T0 + 99 * HOUR, 0, 0, 0, (c.Share("compute", "x", 600_000), c.Share("green", "y",
        600_000))), "INVALID_SETTING"),
        (c.SetFix("H800/guian/L10/grid/20261123T05", 8 * YUAN, "D", "h"), "INVALID_SETTING"),
        (c.SettlePeriod(T0 + HOUR), "NOT_DUE"),
        (c.SettlePeriod(T0 + HOUR + 1), "INVALID_WINDOW"),
        (c.SetVenue("again"), "ALREADY_CONFIGURED"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "reason"), refusals(), ids=[f"{r}-{n}" for n, (_, r) in enumerate(refusals())]
)
def test_a_mistake_is_named(command, reason: str) -> None:
    (refused,) = assert_answered(town(), command)
    assert (refused.reason, refused.code) == (reason, 300 + VenueReason[reason])


def test_a_deadline_before_the_data_can_be_there_ends_the_task_at_once_and_frees_its_hold() -> None:
    world = town()
    before = tuple(world.venue.core.balance(world.venue.account("B2")))
    task = replace(
        good_commands()[c.SubmitTask].task, data_mb=10**8, data_region="wuhan", allowed_regions=("guian",)
    )
    events = world.do(c.SubmitTask(task))
    assert isinstance(events[-1], TaskEnded) and events[-1].explanation.reason == "NO_TIME"
    assert tuple(world.venue.core.balance(world.venue.account("B2"))) == before


def test_a_task_for_ten_thousand_cards_is_bought_like_any_other() -> None:
    """Price times quantity must never leave the money type on the way, however large a legal task is."""
    teller = Teller()
    teller.tell("world lots 100 money 9000000")
    teller.world.do(c.AttestCapacity("g1", "H800", 1_000_000, T0, T0 + 24 * HOUR))
    told = (
        teller.tell("offer P1 o1 g1 H800/L10/grid 10000 @ 8.00 01-05"),
        teller.tell("task B1 t1 H800 10000 x 4 by 06 cap 8.00"),
    )
    assert told[1] == "trade t1 o1 10000 @ 8.00 h01-04; filled t1 at g1 h01 cost 320000.00 fee 1600.00"


def test_the_dearest_ask_that_can_be_placed_can_be_bought() -> None:
    world = town()
    world.do(c.Deposit("B1", 10**15))
    world.do(c.Deposit("P1", 10**15))
    hour = T0 + 5 * HOUR
    for lots, price in ((1, 10**8 * YUAN), (100, YUAN)):
        world.do(
            c.PlaceOffer("P1", f"dear {lots}", "g1", "A910B", "L10", "grid", lots, hour, hour + HOUR, price)
        )
    task = c.Task(
        "B1",
        "dear",
        "wuhan",
        0,
        (c.TaskChip("A910B"),),
        101,
        1,
        T0,
        T0 + 9 * HOUR,
        budget_micro=10**14 + 100 * YUAN,
    )
    assert [e.lots for e in world.do(c.SubmitTask(task)) if hasattr(e, "obligation_id")] == [100, 1]


def test_a_participant_and_a_site_never_share_an_account() -> None:
    world = town()
    world.do(c.AddParticipant("site:x", "firm"))
    world.do(c.Deposit("site:x", 5 * YUAN))
    assert world.do(c.AddSite("x", "P1", "guian"))[0].reason == "DUPLICATE_ID"


def test_codes_that_would_blur_instrument_names_are_no_codes() -> None:
    state = town_blob()[1].venue.state.catalogue
    for code in ("", "A/B", "x" * 37, "芯片", "a\tb"):
        chips = (*state.chips.values(), c.Chip(code, "ai", 1, 1, 1))
        command = replace(good_commands()[c.LoadCatalogue], chips=chips)
        assert assert_answered(town(), command)[0].reason == "INVALID_CATALOGUE"
        regions = (*state.regions.values(), c.Region(code, "name", "", "cluster", 0, 0))
        command = replace(good_commands()[c.LoadCatalogue], regions=regions)
        assert assert_answered(town(), command)[0].reason == "INVALID_CATALOGUE"


def test_time_stays_where_periods_have_numbers() -> None:
    for period_min in (60, 30, 15):
        world = World(Venue(max_orders=100))
        assert world.do(c.AdvanceTime(HOUR))[0].reason == "INVALID_WINDOW"
        world.do(c.AdvanceTime(T0))
        world.do(c.SetVenue("venue", period_min=period_min, tick_micro=600_000))
        last = world.venue.last_time_ns()
        assert world.do(c.AdvanceTime(last + 1))[0].reason in ("INVALID_WINDOW", "TIME_BACKWARDS")
        assert not world.do(c.AdvanceTime(last))


def test_a_fee_that_rises_while_a_task_waits_is_not_the_task_s() -> None:
    world = town()
    task = replace(good_commands()[c.SubmitTask].task, lots=99, deadline_ns=T0 + 40 * HOUR)
    assert isinstance(world.do(c.SubmitTask(task))[-1], TaskWaiting)
    world.do(c.CancelOrder("B2", "b1"))
    cash = world.venue.core.balance(world.venue.account("B2"))[0]
    world.do(c.Withdraw("B2", cash))
    events = world.do(c.AdvanceTime(T0 + 27 * HOUR))
    assert not [e for e in events if isinstance(e, TaskEnded) and e.client_order_id == "new"]
    waiting = world.venue.core.task(world.venue.task_numbers["B2", "new"])
    assert (world.venue.tariff.version, waiting.fee_ppm) == (2, 5_000)  # the fee of its entry; its hold covers it


# --- random commands ---------------------------------------------------------------------------------------

NAMES = st.sampled_from(TEXTS)
TIMES = range(T0 - HOUR, T0 + 20 * HOUR, 30 * MINUTE)
PRICES = range(0, 12 * YUAN, YUAN // 2)
NUMBERS = st.one_of(
    st.sampled_from(INTEGERS), st.integers(-5, 200), st.sampled_from(TIMES), st.sampled_from(PRICES)
)


def values(kind):
    """Any value of a field's type; good ones are likely enough that commands get through."""
    if kind is int:
        return NUMBERS
    if kind is str:
        return NAMES
    if kind is bool:
        return st.booleans()
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items()})


@st.composite
def nearly_good(draw):
    """A good command with a few fields changed."""
    good = draw(st.sampled_from(list(good_commands().values())))
    if isinstance(good, c.SubmitTask):
        names = draw(st.lists(st.sampled_from([f.name for f in fields(c.Task)]), max_size=4, unique=True))
        return c.SubmitTask(
            replace(good.task, **{name: draw(values(get_type_hints(c.Task)[name])) for name in names})
        )
    names = draw(st.lists(st.sampled_from([f.name for f in fields(good)]), max_size=3, unique=True))
    return replace(good, **{name: draw(values(get_type_hints(type(good))[name])) for name in names})


ANY_COMMAND = st.one_of(
    nearly_good(), nearly_good(), st.sampled_from(list(c.COMMAND_TYPES.values())).flatmap(values)
)


@pytest.mark.slow
@given(st.lists(ANY_COMMAND, max_size=12))
def test_no_row_of_commands_whatsoever_breaks_the_venue(commands: list) -> None:
    world = town()
    for command in commands:
        assert_answered(world, command)
    assert set(CODES) == {300 + reason for reason in VenueReason}
