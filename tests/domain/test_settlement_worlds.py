"""Whatever goes wrong after the trade, money adds up to the last unit: random markets, and every one of them audited."""

from __future__ import annotations

import importlib.util
from collections import Counter
from random import Random

import pytest
import settling
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World

import matching_core
from exchange.domain.venue import Venue
from exchange.protocol.codec import decode, encode

STEPS = st.lists(st.tuples(st.sampled_from(settling.WHAT), st.integers(0, 999)), min_size=20, max_size=90)
HAPPENS = (  # each of these must have come about somewhere
    "BoughtIn", "BuyInWaits", "buy-in bought", "buy-in gate", "buy-in none", "buy-in stopped", "covered", "made_up", "short",
    "void", "delivered", "margin", "refund", "twelfths", "moved", "TradeBusted", "TradeAdjusted", "dearer", "cheaper",
    "Curtailed", "cut", "MarginShort",
)  # fmt: skip


def lived(steps, lots_per_card: int = 1, engine: type | None = None) -> tuple[World, settling.Audit]:
    """A market run through these steps and to its end; every command of it was checked by `World.do`."""
    market = settling.Market(settling.found(lots_per_card, engine))
    for what, seed in steps:
        market.do(what, seed)
    settling.Audit().read(market.world).check_capacity(market.world)
    market.end()
    audit = settling.Audit().read(market.world)
    audit.check(market.world)
    return market.world, audit


def drawn(seed: int, length: int = 90) -> list[tuple[str, int]]:
    """Steps from one number."""
    rng = Random(seed)
    return [(rng.choice(settling.WHAT), rng.randrange(10**6)) for _ in range(length)]


def restored(world: World, every: int) -> Venue:
    """The commands once more, through the journal's bytes, in a venue that dies every so often and comes back."""
    venue = Venue(max_orders=10_000, engine=type(world.venue.core))
    for place, (command, events) in enumerate(zip(world.log, world.history, strict=True)):
        if place % every == every - 1:
            blob = venue.snapshot()
            venue = Venue.restore(blob, engine=type(world.venue.core))
            assert venue.snapshot() == blob
        assert tuple(venue.apply(place + 1, decode(*encode(command)))) == events, (place, command)
    return venue


@pytest.mark.slow
@settings(max_examples=12)
@given(STEPS, st.sampled_from((1, 10)))
def test_money_adds_up_whatever_goes_wrong(steps, lots_per_card: int) -> None:
    lived(steps, lots_per_card)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_market_that_is_killed_anywhere_goes_on_with_the_same_bytes(seed: int) -> None:
    world, _ = lived(drawn(seed))
    for every in (1, 7):
        venue = restored(world, every)
        assert venue.state_hash() == world.venue.state_hash()
        assert venue.snapshot() == world.venue.snapshot()


@pytest.mark.skipif(importlib.util.find_spec("matching_core.engine") is None, reason="the compiled engine is not built")
@pytest.mark.parametrize("seed", range(2))
def test_both_engines_cure_alike(seed: int) -> None:
    slow, _ = lived(drawn(seed), engine=matching_core.ReferenceEngine)
    fast, _ = lived(drawn(seed))
    assert fast.log == slow.log and fast.history == slow.history
    assert fast.venue.state_hash() == slow.venue.state_hash()


@pytest.mark.slow
def test_the_markets_know_everything_that_can_happen() -> None:
    seen: Counter = Counter()
    for seed in range(80):
        seen += lived(drawn(seed))[1].seen
    assert [what for what in HAPPENS if not seen[what]] == [], seen


def test_an_audit_that_misses_a_yuan_is_noticed() -> None:
    world, audit = lived(drawn(1))
    number = next(number for number, amount in audit.damages.items() if amount)
    audit.layers[number, "margin"] += 1
    with pytest.raises(AssertionError):
        audit.check(world)


@pytest.mark.soak
def test_two_thousand_markets_add_up() -> None:
    for seed in range(10_000, 12_000):
        world, _ = lived(drawn(seed, 110), (1, 10)[seed % 2])
        if seed % 10 == 0:
            assert restored(world, 1 + seed % 13).snapshot() == world.venue.snapshot()
