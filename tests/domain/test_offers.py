"""Offers over time: long and standing block offers, prices that follow power, and what the core holds of them."""

from __future__ import annotations

from random import Random

import pytest
from scenario import Teller
from worlds import HOUR, T0, YUAN, World, a_change, a_moment, an_offer, found, some_power_prices

import matching_core
from exchange.domain import commands as c
from exchange.domain import events as e
from exchange.domain.state import STANDING_END
from exchange.domain.venue import Venue

WATTS = 1000


def told(world: World, kind: type) -> list:
    """All events of a kind so far."""
    return [event for events in world.history for event in events if isinstance(event, kind)]


def a_market(horizon: int = 24, **settings) -> World:
    """The stories' world with another horizon."""
    teller = Teller()
    teller.tell(f"world horizon {horizon} " + " ".join(f"{name} {value}" for name, value in settings.items()))
    return teller.world


def an_hour(world: World, hour: int) -> int:
    """The period of an hour of the first day."""
    return world.venue.periods.at(T0 + hour * HOUR)


def test_a_block_offer_longer_than_the_core_looks_moves_on_with_its_residues() -> None:
    world = a_market(horizon=1000, release=-1)
    world.do(c.AttestCapacity("g1", "H800", 640, T0, T0 + 3000 * HOUR))
    world.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 8, T0 + 2 * HOUR, T0 + 2000 * HOUR, 8 * YUAN, (), 4, 2))
    venue = world.venue
    (offer,) = venue.state.offers.values()
    first_id = offer.block_id
    assert offer.block_end == an_hour(world, 2) + 1024
    task = c.Task("B1", "t1", "wuhan", 10_000, (c.TaskChip("H800"),), 5, 2, T0 + 26 * HOUR, T0 + 28 * HOUR, 9 * YUAN)
    world.do(c.SubmitTask(task))
    world.do(c.AdvanceTime(T0 + 25 * HOUR))  # h1025 is listed: the last of the first block, and more are to come
    assert offer.block_id != first_id
    view = venue.core.block_offer(offer.block_id)
    assert (view.first_period, view.end_period) == (an_hour(world, 26), an_hour(world, 26) + 1024)
    assert view.residues[:3] == tuple((an_hour(world, 26 + n), 800, lots) for n, lots in enumerate((3, 3, 8)))
    assert venue.core.block_offer(first_id) is None and venue.block_owner == {offer.block_id: offer.number}
    world.do(c.SubmitTask(c.Task(
        "B1", "t2", "wuhan", 10_000, (c.TaskChip("H800"),), 4, 3, T0 + 1022 * HOUR, T0 + 1026 * HOUR, 9 * YUAN,
    )))  # fmt: skip
    assert told(world, e.TaskFilled)[-1].client_order_id == "t2"


def test_a_standing_block_offer_lives_on_for_months() -> None:
    world = a_market(horizon=100, release=-1)
    world.do(c.AttestCapacity("g1", "H800", 640, T0, T0 + 3000 * HOUR))
    world.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 8, T0 + 2 * HOUR, 0, 8 * YUAN, (), 4, 2))
    (offer,) = world.venue.state.offers.values()
    blocks = set()
    for hour in range(24, 2500, 96):
        world.do(c.AdvanceTime(T0 + hour * HOUR))
        blocks.add(offer.block_id)
        assert len(offer.open) == 100 and offer.end_period == STANDING_END
        assert len(world.venue.core.block_offer(offer.block_id).residues) == 100
    assert len(blocks) == 3
    world.do(c.WithdrawOffer("P1", "o1"))
    assert not world.venue.state.offers and not world.venue.block_owner


def test_a_jump_of_the_clock_over_hours_that_were_never_listed_ends_the_block_in_the_core_too() -> None:
    teller = Teller(matching_core.ReferenceEngine)
    teller.tell("world horizon 4 release -1")
    world = teller.world
    teller.tell("offer P1 o1 g1 H800/L10/grid 8 @ 8.00 02-12 min 4x2")
    assert len(world.venue.core.market.blocks) == 1
    assert teller.tell("clock 20") == "ended o1 8 h02-04 gate"
    assert not world.venue.state.offers and not world.venue.core.market.blocks


def test_an_offer_that_follows_power_ends_with_its_last_gate_though_it_never_had_a_price() -> None:
    world = a_market()
    world.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 8, T0 + 2 * HOUR, T0 + 4 * HOUR, 0, price_base_micro=YUAN,
                          watts_per_card=WATTS))  # fmt: skip
    (offer,) = world.venue.state.offers.values()
    assert offer.unpriced == {an_hour(world, 2), an_hour(world, 3)} and not offer.open
    world.do(c.SetPowerPrices("guian", T0, (YUAN,) * 3))
    assert (offer.unpriced, {p: ask.price_ticks for p, ask in offer.open.items()}) == (
        {an_hour(world, 3)}, {an_hour(world, 2): 200},
    )  # fmt: skip
    world.do(c.AdvanceTime(T0 + 2 * HOUR))
    assert world.venue.state.offers and not offer.open
    world.do(c.AdvanceTime(T0 + 3 * HOUR))
    assert not world.venue.state.offers and not world.venue.state.power_prices
    assert [(x.period_start_ns, x.reason) for x in told(world, e.OfferEnded)] == [(T0 + 2 * HOUR, "gate")]
    assert [(x.period_start_ns, x.reason) for x in told(world, e.OfferSkipped)] == [(T0 + 3 * HOUR, "NO_POWER_PRICE")]


def test_an_hour_is_priced_by_the_power_price_of_its_own_region_and_period_only() -> None:
    world = a_market()
    world.do(c.SetPowerPrices("qingyang", T0 + 2 * HOUR, (9 * YUAN,)))
    world.do(c.SetPowerPrices("guian", T0 + 3 * HOUR, (2 * YUAN,)))
    world.do(c.PlaceOffer("P1", "o1", "g1", "H800", "L10", "grid", 8, T0 + 2 * HOUR, T0 + 4 * HOUR, 0, price_base_micro=YUAN,
                          watts_per_card=WATTS))  # fmt: skip
    (offer,) = world.venue.state.offers.values()
    assert {period: ask.price_ticks for period, ask in offer.open.items()} == {an_hour(world, 3): 300}


def test_who_may_use_the_emergency_lane_survives_a_restart() -> None:
    world = a_market()
    world.do(c.AllowEmergency("P1", True))
    world.do(c.AllowEmergency("B1", False))
    again = Venue.restore(world.venue.snapshot(), engine=type(world.venue.core))
    allowed = {name for name, item in again.state.participants.items() if item.may_use_emergency}
    assert allowed == {"B2", "P1"}


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 6 else pytest.mark.slow) for n in range(60)])
def test_core_and_venue_agree_on_every_offer_whatever_happens(seed: int) -> None:
    """`World.do` checks them after every command; here the core must not keep a block that the venue has forgotten."""
    rng = Random(seed)
    world = found(rng, matching_core.ReferenceEngine)
    for number in range(50):
        draw = rng.random()
        if draw < 0.35:
            command = an_offer(world, rng, f"n{number}")
        elif draw < 0.5:
            command = some_power_prices(world, rng)
        elif draw < 0.75:
            command = a_moment(world, rng)
        else:
            command = a_change(world, rng, f"n{number}")
        if command is None:
            continue
        world.do(command)
        blocks = {offer.block_id for offer in world.venue.state.offers.values() if offer.block_id}
        assert set(world.venue.core.market.blocks) == blocks == set(world.venue.block_owner), command
    copy = Venue.restore(world.venue.snapshot(), engine=matching_core.ReferenceEngine)
    assert (copy.state_hash(), copy.block_owner) == (world.venue.state_hash(), world.venue.block_owner)


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 4 else pytest.mark.slow) for n in range(30)])
def test_running_hours_are_bought_settled_and_shared_out_to_the_last_unit(seed: int) -> None:
    """Emergency tasks at odd moments, deliveries that fall short: twelfths, standby halves and refunds add up (EM2, EM5)."""
    rng = Random(seed)
    world = a_market()
    for name, site, is_standby in (("P1", "g1", True), ("P2", "g2", rng.random() < 0.5)):
        prices = tuple(rng.randint(500, 1500) * 10_000 for _ in range(5))
        world.do(c.PlaceOffer(
            name, "o", site, "H800", "L10", "grid", 40, T0 + HOUR, T0 + 6 * HOUR, YUAN, prices, standby=is_standby,
        ))  # fmt: skip
    for number in range(25):
        world.do(c.AdvanceTime(world.now_ns + rng.randint(1, 1200) * 10**9))
        if world.now_ns >= T0 + 6 * HOUR:
            break
        hours = rng.choice((1, 1, 2))
        world.do(c.SubmitTask(c.Task(
            "B1", f"t{number}", "wuhan", 10_000, (c.TaskChip("H800"),), rng.randint(1, 9), hours, T0,
            (world.now_ns // HOUR + rng.randint(hours, 3)) * HOUR, 20 * YUAN, lane="emergency",
        )))  # fmt: skip
        for due in list(world.venue.state.obligations.values()):
            if world.venue.periods.start(due.period) <= world.now_ns and due.reading.number == 0:
                world.do(c.SubmitReading(due.seller, due.number, 1, rng.choice((due.lots, rng.randint(0, due.lots)))))
    trades = {event.obligation_id: event for event in told(world, e.Traded)}
    parts = [event for event in trades.values() if event.cost_micro < event.price_micro * event.lots]
    assert trades and (parts or seed >= 4)
    for trade in trades.values():
        full = trade.price_micro * trade.lots
        assert trade.cost_micro in {full * twelfths // 12 for twelfths in range(1, 13)}
    world.do(c.AdvanceTime(T0 + 9 * HOUR))
    for hour in range(1, 8):
        world.do(c.SettlePeriod(T0 + hour * HOUR))
    settled = {event.obligation_id: event for event in told(world, e.Settled)}
    assert settled.keys() == trades.keys()
    to_seller = {m.reference: m.amount_micro for m in told(world, e.Moved) if m.kind == "standby_fee"}
    for number, line in settled.items():
        trade, kept = trades[number], line.lots - line.lost_lots
        assert line.paid_micro == trade.cost_micro * kept // line.lots
        assert line.paid_micro + line.fee_micro + line.refund_micro == trade.cost_micro + trade.fee_micro
        assert to_seller.get(f"obligation:{number}", 0) in (0, line.fee_micro // 2)
        if trade.seller == "P1":
            assert to_seller.get(f"obligation:{number}", 0) == line.fee_micro // 2
    for name in ("B1", "P1", "P2"):
        assert world.venue.core.balance(world.venue.account(name))[1:4] == (0, 0, 0)
