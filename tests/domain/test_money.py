"""Money only moves: every amount has two ends, escrow is shared out to the last unit, nobody pays for lost hours."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st
from worlds import HOUR, World, found, live

from exchange.domain import commands as c
from exchange.domain import settlement as s
from exchange.domain.events import MadeUp, Moved, Settled, Traded

PPM = 1_000_000
OUT_OF_ESCROW = {"share", "payout", "exchange_fee", "standby_fee", "moving_share", "moving_paid", "refund"}


def settled_world(seed: int, steps: int = 45) -> World:
    """A world run to the end of its last obligation."""
    rng = Random(seed)
    world = live(found(rng), rng, steps)
    for _ in range(40):
        if not world.venue.state.obligations:
            break
        world.do(c.AdvanceTime(world.now_ns + world.period_ns))
        worlds.deliver_and_settle(world, rng)
    assert not world.venue.state.obligations
    return world


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 3 else pytest.mark.slow) for n in range(20)])
def test_what_lay_in_escrow_for_an_hour_is_shared_out_to_the_last_unit(seed: int) -> None:
    world = settled_world(seed)
    flow: dict = defaultdict(lambda: defaultdict(int))
    settled, owed, root = {}, {}, {}
    for event in (event for events in world.history for event in events):
        if isinstance(event, Settled):
            settled[event.obligation_id] = event
        elif isinstance(event, Traded):
            owed[event.obligation_id], root[event.obligation_id] = event, event.obligation_id
        elif isinstance(event, MadeUp):
            root[event.obligation_id] = root[event.instead_of]
        elif (
            isinstance(event, Moved)
            and event.reference.startswith("obligation:")
            and event.from_bucket == "escrow"
        ):
            assert event.kind in OUT_OF_ESCROW
            flow[int(event.reference.split(":")[1])][event.kind] += event.amount_micro
    assert settled.keys() == root.keys()
    for number, line in settled.items():
        out = flow[number]
        assert out["payout"] + out["share"] == line.paid_micro
        assert out["exchange_fee"] + out["standby_fee"] == line.fee_micro
        assert out["moving_paid"] + out["moving_share"] == line.moving_micro
        assert out["refund"] == line.refund_micro
        if line.lost_lots == 0:
            assert (line.refund_micro, line.damages_micro) == (0, 0)
        if line.lost_lots == line.lots:
            assert (line.paid_micro, line.fee_micro) == (0, 0)
    # the delivered price of a statement: host, shares, fee, network; what came back; and what was made up later
    for number, trade in owed.items():
        chain = [settled[other] for other, first in root.items() if first == number]
        paid = sum(line.paid_micro + line.fee_micro + line.moving_micro + line.refund_micro for line in chain)
        assert paid == trade.cost_micro + trade.fee_micro + sum(line.moving_micro for line in chain)
        lost = sum(line.lost_lots for line in chain)
        assert sum(line.paid_micro for line in chain) == trade.cost_micro * (trade.lots - lost) // trade.lots
    for name in world.firms:
        cash, *others = world.venue.core.balance(world.venue.account(name))
        waiting = [n for n, entry in world.venue.state.tasks.items() if entry.task.participant == name]
        held = sum(world.venue.core.task(n).held_micro for n in waiting)
        assert others[1] == 0 and cash >= 0 and others[0] >= held


@pytest.mark.slow
def test_the_worlds_above_know_every_kind_of_ending() -> None:
    seen: dict = defaultdict(int)
    for seed in range(20):
        for events in settled_world(seed).history:
            for event in events:
                if isinstance(event, Settled):
                    seen[event.status] += 1
                    seen["damages"] += event.damages_micro > 0
                    seen["moving"] += event.moving_micro > 0
                if isinstance(event, Moved):
                    seen[event.kind] += 1
    for kind in (
        "delivered",
        "short",
        "made_up",
        "damages",
        "moving",
        "share",
        "payout",
        "refund",
        "margin_lock",
        "margin_free",
    ):
        assert seen[kind], (kind, dict(seen))


@pytest.mark.parametrize("seed", [pytest.param(n, marks=() if n < 4 else pytest.mark.slow) for n in range(10)])
def test_a_statement_opens_moves_and_closes(seed: int) -> None:
    """Per account and day: opening + lines = closing, for every day of a world's life."""
    world = settled_world(seed)
    copy = found(Random(seed), check=False)
    balances: dict = defaultdict(int)
    day, opening, lines = None, {}, defaultdict(int)
    venue = type(copy.venue)(max_orders=5_000)
    for seq, command in enumerate(world.log, 1):
        events = venue.apply(seq, command)
        today = venue.now_ns // (24 * HOUR)
        if today != day:
            for name, before in opening.items():
                assert before + lines[name] == balances[name]
            day, opening, lines = today, dict(balances), defaultdict(int)
        for event in events:
            if isinstance(event, Moved):
                for name, amount in (
                    (event.from_account, -event.amount_micro),
                    (event.to_account, event.amount_micro),
                ):
                    balances[name] += amount
                    lines[name] += amount
        for name in world.firms:
            if name in venue.account_numbers:
                assert sum(venue.core.balance(venue.account(name))) == balances[name]


def test_moves_name_two_purses_and_a_positive_amount() -> None:
    for events in settled_world(4).history:
        for event in events:
            if isinstance(event, Moved):
                assert event.amount_micro > 0
                assert (event.from_account, event.from_bucket) != (event.to_account, event.to_bucket)
                assert event.kind and {event.from_bucket, event.to_bucket} <= set(worlds.BUCKETS)


# --- settlement as a pure function -------------------------------------------------------------------------


@st.composite
def leases(draw) -> s.Lease:
    """One block, some of its hours short, one of them being settled; or what an earlier settlement has left of it."""
    checkpoint = draw(st.sampled_from(("hourly", "none")))
    on_break = draw(st.sampled_from(("continue", "abandon")))
    is_cured = (checkpoint, on_break) == ("hourly", "continue") and draw(
        st.booleans()
    )  # BB2: only what goes on
    first, periods = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    period = first if checkpoint == "hourly" else draw(st.integers(first, first + periods - 1))
    dues = []
    twelfths = 12 if is_cured else draw(st.sampled_from((12, 12, 12, 11, 5, 1)))  # EM2; what is cured was bought whole
    sellers = "a" if checkpoint == "none" else draw(st.sampled_from(("a", "ab")))  # two where it is spread
    for place in range(periods):
        for part in range(draw(st.integers(1, 2))):
            lots, price = draw(st.integers(1, 50)), draw(st.integers(1, 10**6))
            accepted = draw(st.integers(0, lots)) if draw(st.booleans()) else lots
            is_past = first + place <= period
            if checkpoint == "none" and first + place < period:
                accepted = lots  # else the block would have been settled then
            dues.append(s.Due(
                len(dues) + 1, first + place, lots, accepted if is_past else None, lots * price * twelfths // 12,
                draw(st.integers(0, lots * price)), draw(st.integers(0, 999)) if not dues else 0, price,
                draw(st.integers(0, 2 * 10**6)), draw(st.integers(price, 2 * 10**6)), draw(st.integers(0, PPM)),
                lots - accepted if is_cured and first + place == period else 0, sellers[part % len(sellers)],
            ))  # fmt: skip
    total = sum(due.lots for due in dues)
    return s.Lease(1, period, checkpoint, on_break, tuple(dues),
                   total + draw(st.integers(0, 9)), draw(st.integers(0, 10**6)))  # fmt: skip


@given(leases())
def test_escrow_is_distributed_in_full_and_lost_lots_cost_the_buyer_nothing(lease: s.Lease) -> None:
    dues = {due.number: due for due in lease.dues}
    lines = s.settle(lease)
    assert len({line.obligation for line in lines}) == len(lines)
    for line in lines:
        due = dues[line.obligation]
        carried = line.carried_cost_micro + line.carried_fee_micro
        gone = line.paid_micro + line.fee_micro + line.moving_micro + line.refund_micro
        assert gone + carried == due.cost_micro + due.fee_micro + due.moving_micro
        assert line.made_up_lots == 0 or line.carried_cost_micro == line.made_up_lots * due.price_per_lot_micro
        assert line.carried_fee_micro * due.lots <= due.fee_micro * line.made_up_lots + due.lots
        assert (
            min(
                line.paid_micro,
                line.fee_micro,
                line.moving_micro,
                line.refund_micro,
                line.damages_micro,
                line.lost_lots,
            )
            >= 0
        )
        kept = due.lots - line.lost_lots - line.made_up_lots
        assert line.paid_micro == kept * due.cost_micro // due.lots
        if due.cost_micro == due.lots * due.price_per_lot_micro:
            assert line.paid_micro == kept * due.price_per_lot_micro
        assert line.fee_micro * due.lots <= due.fee_micro * kept
        assert (
            line.damages_micro * due.lots * due.price_per_lot_micro
            <= line.lost_lots * due.cap_per_lot_micro * due.cost_micro
            + lease.moving_micro * line.lost_lots // lease.lots * due.lots * due.price_per_lot_micro
        )
        if line.lost_lots == 0:
            status = "made_up" if line.made_up_lots else "delivered"
            assert (line.status, line.refund_micro, line.damages_micro) == (status, 0, 0)


@given(leases())
def test_what_is_lost_follows_the_buyer_s_declaration(lease: s.Lease) -> None:
    here = [due for due in lease.dues if due.period == lease.period]
    failed = {due.number: lots for due in here if (lots := due.lots - due.accepted_lots - due.made_up_lots)}
    lost = s.lost_lots(lease)
    decided = {line.obligation for line in s.settle(lease)}
    this_hour = {due.number for due in here}
    whole = {due.number: due.lots for due in lease.dues}
    if not failed:
        assert lost == {}
        is_last = lease.period == max(due.period for due in lease.dues)
        assert decided == ((whole.keys() if is_last else set()) if lease.checkpoint == "none" else this_hour)
    elif lease.checkpoint == "none":
        assert lost == whole and decided == whole.keys()
    elif lease.on_break == "abandon":
        broke = {due.seller for due in here if due.number in failed}  # every due of these leases is of this hour or later
        kept = {due.number for due in here if due.seller not in broke}
        assert lost == {number: lots for number, lots in whole.items() if number not in kept}
        assert decided == whole.keys()
        payers = s.blamed(lease)
        assert all(payers[due.number] in broke for due in lease.dues if due.number in lost)
    else:
        assert lost == failed and decided == this_hour


def test_who_delivered_his_part_of_an_abandoned_spread_block_is_paid_for_it_and_owes_nothing() -> None:
    def due(number: int, period: int, lots: int, accepted: int | None, seller: str) -> s.Due:
        return s.Due(number, period, lots, accepted, lots * 800, lots * 4, 0, 800, 900, 900, 100_000, seller=seller)

    dues = (due(1, 3, 6, 6, "a"), due(2, 3, 10, 4, "b"), due(3, 4, 6, None, "a"), due(4, 4, 10, None, "b"))
    lease = s.Lease(1, 3, "hourly", "abandon", dues, 32, 0)
    assert s.lost_lots(lease) == {2: 10, 3: 6, 4: 10}
    lines = {line.obligation: line for line in s.settle(lease)}
    assert [(n, line.status, line.paid_micro, line.damages_micro) for n, line in sorted(lines.items())] == [
        (1, "delivered", 4800, 0), (2, "short", 0, 1000 + 480), (3, "void", 0, 600), (4, "void", 0, 1000),
    ]  # fmt: skip
    assert s.blamed(lease) == {1: "b", 2: "b", 3: "b", 4: "b"}


def test_two_sites_of_one_provider_are_two_parts_of_an_abandoned_spread_block() -> None:
    def due(number: int, period: int, accepted: int | None, site: str) -> s.Due:
        return s.Due(number, period, 5, accepted, 5 * 800, 5 * 4, 0, 800, 900, 900, 100_000, seller="a", site=site)

    dues = (due(1, 3, 5, "x"), due(2, 3, 0, "y"), due(3, 4, None, "x"), due(4, 4, None, "y"))
    lease = s.Lease(1, 3, "hourly", "abandon", dues, 20, 0)
    assert s.lost_lots(lease) == {2: 5, 3: 5, 4: 5}
    lines = {line.obligation: line for line in s.settle(lease)}
    assert (lines[1].status, lines[1].paid_micro, lines[1].refund_micro) == ("delivered", 4000, 0)
    assert s.blamed(lease) == {1: "a", 2: "a", 3: "a", 4: "a"}


CLAIMS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 1000)), max_size=8)


@given(
    CLAIMS,
    st.lists(st.integers(0, 500), min_size=3, max_size=3),
    st.lists(st.integers(0, 400), min_size=6, max_size=6),
    st.integers(0, 900),
)
def test_the_layers_pay_all_damages_but_the_cut_and_none_more_than_it_has(
    claims, margins, purses, fund
) -> None:
    by_lease = {(lease, name): margins[lease % 3] for name, lease, _ in claims}
    sources = {name: s.Sources(purses[2 * n], purses[2 * n + 1]) for n, name in enumerate("abc")}
    covers = s.waterfall(claims, by_lease, sources, fund)
    spent: dict = defaultdict(int)
    for (name, lease, owed), cover in zip(claims, covers, strict=True):
        layers = (cover.margin_micro, cover.payout_micro, cover.bond_micro, cover.fund_micro)
        assert min(*layers, cover.cut_micro) >= 0
        assert sum(layers) == owed - cover.cut_micro
        spent["margin", (lease, name)] += cover.margin_micro
        spent["payout", name] += cover.payout_micro
        spent["bond", name] += cover.bond_micro
        spent["fund"] += cover.fund_micro
    for lease, margin in by_lease.items():
        assert spent["margin", lease] <= margin
    for name, source in sources.items():
        assert spent["payout", name] <= source.payout_micro and spent["bond", name] <= source.bond_micro
        if any(
            cover.fund_micro or cover.cut_micro
            for (who, *_), cover in zip(claims, covers, strict=True)
            if who == name
        ):
            assert (spent["payout", name], spent["bond", name]) == (source.payout_micro, source.bond_micro)
        if spent["bond", name]:
            assert spent["payout", name] == source.payout_micro
    assert spent["fund"] <= fund
    cut = sum(cover.cut_micro for cover in covers)
    assert cut == 0 or spent["fund"] > fund - len(claims)  # the fund is used up but for roundings


def test_pay_and_bond_are_shared_pro_rata_among_the_claims_on_a_provider_and_so_is_the_cut() -> None:
    claims = [("a", 1, 300), ("a", 2, 100), ("b", 3, 50)]
    margins, sources = {(1, "a"): 0, (2, "a"): 0, (3, "b"): 0}, {"a": s.Sources(101, 100), "b": s.Sources(0, 0)}
    covers = s.waterfall(claims, margins, sources, 0)
    told = [(cover.payout_micro, cover.bond_micro, cover.cut_micro) for cover in covers]
    assert told == [(75, 75, 150), (26, 25, 49), (0, 0, 50)]
    assert s.waterfall(claims[:1], margins, sources, 0) == [s.Cover(0, 101, 100, 0, 99)]


def test_the_fund_is_shared_pro_rata() -> None:
    claims = [("a", 1, 300), ("b", 2, 100), ("b", 3, 0)]
    covers = s.waterfall(claims, {(1, "a"): 0, (2, "b"): 0, (3, "b"): 0}, {"a": s.Sources(0, 0), "b": s.Sources(0, 0)}, 101)
    assert [(cover.fund_micro, cover.cut_micro) for cover in covers] == [(75, 225), (25, 75), (0, 0)]


@given(st.integers(0, 10**12), st.lists(st.integers(1, 200_000), max_size=5))
def test_benefit_shares_and_the_rest_are_the_whole(base: int, shares: list[int]) -> None:
    parts, rest = s.split_shares(base, shares)
    assert sum(parts) + rest == base and rest >= 0
    assert all(part * PPM <= base * ppm < (part + 1) * PPM for part, ppm in zip(parts, shares, strict=True))
