"""The fix (DI4): the cap is true of the capped weights, the median is one, and self-dealing is worth what is stated.

The bound, in the words of the guide: as long as no honest pair has more than half of the honest lots, whatever two firms
trade with each other, a fix of grade A or B stays between the lower and the upper quartile of the honest lots.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.domain.fix_memory import INDEX_BASE, FixMemory, moved_micro, shift_ppm, shifted
from exchange.domain.fix_text import canonical_text, inputs_hash
from exchange.domain.prices import (
    FixInputs,
    Hour,
    Print,
    by_trades,
    is_broad,
    lots_of_pairs,
    lower_median,
    twice_cap,
    weights,
    without_trades,
)
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE

GATE = 1_795_392_000 * 10**9
HOURS = st.integers(1, 3 * 3600 * 10**9 - 1)
honest_print = st.builds(
    lambda ago, ticks, lots, buyer, seller: Print(GATE - ago, ticks, lots, buyer, 10 + seller),
    HOURS, st.integers(1, 2_000), st.integers(1, 500), st.integers(0, 5), st.integers(0, 5),
)  # fmt: skip
honest_flow = st.lists(honest_print, min_size=3, max_size=25)
sham_print = st.builds(
    lambda ago, ticks, lots, turned: Print(GATE - ago, ticks, lots, *((901, 900) if turned else (900, 901))),
    HOURS, st.integers(1, 50_000), st.integers(1, 10**6), st.booleans(),
)  # fmt: skip


def inputs_of(prints: list[Print], ask: int = 0, **about) -> FixInputs:
    told = tuple(sorted((replace(p, number=place + 1) for place, p in enumerate(prints)), key=lambda p: p.time_ns))
    return FixInputs("H800/w/L5/grid/20261124T08", GATE, 10_000, 30, 10_000, Hour(0, ask, told), **about)


def quantile(prints: list[Print], numerator: int, denominator: int) -> int:
    """The least price at or below which this part of all lots lies."""
    total, run = sum(p.lots for p in prints), 0
    for p in sorted(prints, key=lambda each: each.price_ticks):
        run += p.lots
        if run * denominator >= total * numerator:
            return p.price_ticks
    raise AssertionError


# --- the cap ---


@given(st.lists(st.integers(1, 10**9), min_size=3, max_size=12))
def test_no_pair_has_more_than_a_third_of_what_counts_and_the_cap_is_the_largest_such(lots):
    cap = twice_cap(lots)
    counted = [min(2 * each, cap) for each in lots]
    assert cap > 0 and 3 * max(counted) <= sum(counted)
    if cap < 2 * max(lots):
        more = Fraction(cap) + Fraction(1, 10**6)
        assert 3 * more > sum(min(Fraction(2 * each), more) for each in lots), "the cap could have been larger"


@given(st.lists(st.integers(1, 10**9), min_size=3, max_size=12))
def test_at_most_two_pairs_are_cut_of_four_or_more(lots):
    cut = sum(2 * each > twice_cap(lots) for each in lots)
    assert cut <= 2
    assert len(lots) > 3 or twice_cap(lots) == 2 * min(lots)


@pytest.mark.parametrize(
    ("lots", "twice"),
    [([40, 60, 30, 20], 90), ([40, 60, 30, 20, 30], 120), ([60, 20, 10], 20), ([10, 10, 10], 20), ([9, 9, 1, 1], 4),
     ([1, 100], 2), ([7], 14), ([1000, 60, 40, 30, 20], 150)],
)  # fmt: skip
def test_the_cap_in_worked_cases(lots, twice):
    assert twice_cap(lots) == twice


@given(honest_flow)
def test_weights_are_exact_shares_of_the_capped_lots(prints):
    given_weights, of_lot = weights(prints)
    pairs = lots_of_pairs(prints)
    cap = twice_cap(list(pairs.values()))
    for p, weight in zip(prints, given_weights, strict=True):
        assert Fraction(weight, of_lot) == Fraction(p.lots * min(2 * pairs[p.pair], cap), 2 * pairs[p.pair])


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=20))
def test_the_median_has_half_of_the_weight_on_each_side(weighted):
    found, total = lower_median(weighted), sum(weight for _, weight in weighted)
    assert 2 * sum(weight for ticks, weight in weighted if ticks <= found) >= total
    assert 2 * sum(weight for ticks, weight in weighted if ticks < found) < total


# --- who counts, and which grade ---


def broad(lots: int = 10, ago_ns: int = NS_PER_HOUR) -> list[Print]:
    return [Print(GATE - ago_ns, 800 + place, lots, place, 10 + place) for place in range(3)]


@pytest.mark.parametrize(
    "change",
    [
        lambda prints: [replace(p, buyer_firm=min(p.buyer_firm, 1)) for p in prints],  # two firms buy
        lambda prints: [replace(p, seller_firm=min(p.seller_firm, 11)) for p in prints],  # two firms sell
        lambda prints: [replace(p, lots=9) for p in prints],  # 27 lots
        lambda prints: [*prints[:2], replace(prints[2], lots=9), replace(prints[2], lots=500, seller_firm=2)],  # of one firm
        lambda prints: [*prints[:2], replace(prints[2], time_ns=GATE - 3 * NS_PER_HOUR)],  # too early by nothing
        lambda prints: [replace(prints[0], lots=10_000), *(replace(p, lots=9) for p in prints[1:])],  # 27 after the cap
    ],
)
def test_grade_a_needs_three_firms_a_side_and_enough_lots_after_the_cap(change):
    assert by_trades(inputs_of(broad())).grade == "A"
    found = by_trades(inputs_of(change(broad())))
    assert found is None or found.grade == "B"


def test_two_pairs_that_trade_both_ways_are_no_market():
    """Four firms, all of them buy and sell, but there are two pairs: neither could have less than half."""
    prints = [Print(GATE - 1, 800, 50, *firms) for firms in ((1, 2), (2, 1), (3, 4), (4, 3))]
    assert not is_broad(prints, 30)
    assert is_broad([*prints, Print(GATE - 1, 800, 50, 1, 4)], 30)


def test_a_day_is_grade_b_and_a_trade_of_exactly_24_hours_ago_is_out():
    assert by_trades(inputs_of(broad(ago_ns=4 * NS_PER_HOUR))).method == "day"
    assert by_trades(inputs_of(broad(ago_ns=24 * NS_PER_HOUR))) is None


def test_neighbours_stand_in_at_prices_moved_along_the_curve():
    near = tuple(Hour(k, 1000, (replace(p, number=9),)) for k, p in zip((-1, 1, 2), broad(), strict=True))
    found = by_trades(replace(inputs_of([], ask=900), nearby=near))
    assert (found.method, found.grade) == ("neighbours", "B")
    assert [p.price_ticks for p, _ in found.used] == [720, 721, 722]
    assert by_trades(replace(inputs_of([], ask=0), nearby=near)).price_ticks == 801, "no ask: the curve says nothing"


@pytest.mark.parametrize(
    ("there", "here", "ppm"),
    [(900, 1000, 900_000), (900, 880, 1_022_727), (900, 600, 1_250_000), (300, 900, 750_000), (0, 5, 10**6), (5, 0, 10**6)],
)
def test_the_curve_moves_a_price_by_at_most_a_quarter(there, here, ppm):
    assert shift_ppm(there, here) == ppm
    assert shifted(1, 750_000) == 1


def test_the_ask_comes_before_the_index_and_the_index_before_little_trade():
    thin = [Print(GATE - 1, 500, 5, 1, 2)]
    index = {"previous_micro": 8_000_000, "previous_level": 1_000_000, "level": 1_050_000}
    assert without_trades(inputs_of(thin, ask=850, **index)).price_ticks == 842
    assert without_trades(inputs_of(thin, **index)).price_ticks == 840
    assert without_trades(inputs_of(thin)).price_ticks == 500
    assert without_trades(inputs_of([])) is None


# --- the index ---


def test_the_index_is_the_lower_median_of_what_its_families_say():
    memory = FixMemory()
    for family, micro in ((1, 8_000_000), (2, 7_000_000), (3, 4_000_000)):
        memory.note(family, "w", 1, 1, micro, "A")
    assert memory.level("w") == INDEX_BASE, "the first fix of a family is no vote"
    memory.note(1, "w", 2, 2, 8_800_000, "A")
    memory.note(2, "w", 2, 2, 7_350_000, "B")
    assert memory.level("w") == 1_050_000
    memory.note(3, "w", 2, 2, 9_000_000, "C")
    assert memory.level("w") == 1_050_000, "grade C has no vote"
    memory.note(1, "w", 3, 3, 8_800_000, "A")
    assert memory.level("w") == 1_050_000, "family 1 has not moved since: it votes for the level as it is"
    memory.note(9, "elsewhere", 3, 3, 1_000_000, "A")
    assert memory.level("elsewhere") == INDEX_BASE


def test_a_family_votes_once_in_a_step():
    memory = FixMemory()
    for family in (1, 2, 3):
        memory.note(family, "w", 1, 1, 8_000_000, "A")
    for family, micro in ((1, 8_800_000), (1, 9_600_000), (1, 9_600_000), (2, 8_080_000), (3, 8_160_000)):
        memory.note(family, "w", 2, 2, micro, "A")
    assert memory.level("w") == 1_020_000
    memory.note(1, "w", 3, 3, 9_600_000, "A")
    assert memory.level("w") == 1_020_000, "its last word of the step counts from now on"


def test_a_family_is_moved_from_its_last_own_fix_so_that_rounding_does_not_add_up():
    memory, level = FixMemory(), INDEX_BASE
    memory.note(1, "w", 1, 1, 100_000, "C", tick_micro=10_000)
    memory.note(2, "w", 1, 1, 10_000_000, "A", tick_micro=10_000)
    for step in range(2, 12):
        memory.note(2, "w", step, step, 10_000_000 + step * 200_000, "A", tick_micro=10_000)
        moved = memory.moved(1, "w", 10_000)
        memory.note(1, "w", step, step, moved, "C", tick_micro=10_000)
        level = memory.level("w")
    assert level == 1_220_000 and moved == moved_micro(100_000, INDEX_BASE, level, 10_000) == 120_000


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 10**9), st.sampled_from("ABC")), max_size=30))
def test_a_copy_of_the_memory_goes_its_own_way_and_the_same_way(fixes):
    one = FixMemory()
    for step, (family, period, micro, grade) in enumerate(fixes):
        before = one.copy()
        other = one.copy()
        one.note(family, "w", period, step // 3, micro, grade, ask_ticks=step, keep_from=period - 1)
        assert other == before
        other.note(family, "w", period, step // 3, micro, grade, ask_ticks=step, keep_from=period - 1)
        assert one == other
        assert all(len(fixes.asks) <= 4 for fixes in one.families.values()) and one.level("w") >= 1


# --- the hash ---


@given(honest_flow, st.integers(0, 24), st.sampled_from(["price_ticks", "lots", "time_ns", "buyer_firm", "number"]))
def test_every_trade_that_counts_is_in_the_hash(prints, place, name):
    inputs = inputs_of([*prints, *broad()])
    found = by_trades(inputs)
    own = list(inputs.own.prints)
    place %= len(own)
    own[place] = replace(own[place], **{name: getattr(own[place], name) + 1})
    other = replace(inputs, own=replace(inputs.own, prints=tuple(own)))
    assert inputs_hash(inputs, found) != inputs_hash(other, found)


@pytest.mark.parametrize("name", ["instrument", "gate_ns", "tick_micro", "min_lots", "half_spread_ppm"])
def test_every_setting_is_in_the_hash(name):
    inputs = inputs_of(broad())
    value = getattr(inputs, name)
    other = replace(inputs, **{name: value + (1 if isinstance(value, int) else "x")})
    found = by_trades(inputs)
    assert inputs_hash(inputs, found) != inputs_hash(other, found)


@pytest.mark.parametrize("name", ["previous_micro", "previous_level", "level"])
def test_the_index_is_in_the_hash_of_grade_c_alone(name):
    inputs = inputs_of([], previous_micro=8_000_000, previous_level=10**6, level=10**6)
    other = replace(inputs, **{name: getattr(inputs, name) + 1})
    found, by_a = without_trades(inputs), by_trades(inputs_of(broad()))
    assert canonical_text(inputs, found) != canonical_text(other, found)
    assert canonical_text(inputs, by_a) == canonical_text(other, by_a)


def test_asks_and_neighbours_are_in_the_hash_where_they_were_looked_at():
    near = (Hour(-1, 900, tuple(broad())), Hour(1, 0, ()))
    inputs = replace(inputs_of([], ask=900), nearby=near)
    found = by_trades(inputs)
    texts = {canonical_text(each, found) for each in (
        inputs, replace(inputs, own=replace(inputs.own, ask_ticks=901)),
        replace(inputs, nearby=(replace(near[0], ask_ticks=901), near[1])),
        replace(inputs, nearby=(near[0], replace(near[1], ask_ticks=1))),
        replace(inputs, nearby=(replace(near[0], prints=near[0].prints[:2]), near[1])),
    )}  # fmt: skip
    assert len(texts) == 5


# --- self-dealing ---


@given(honest_flow, st.lists(sham_print, min_size=1, max_size=6))
def test_two_firms_that_trade_with_each_other_keep_the_fix_between_the_honest_quartiles(honest, sham):
    pairs = lots_of_pairs(honest)
    assume(2 * max(pairs.values()) <= sum(pairs.values()))
    found = by_trades(inputs_of([*honest, *sham]))
    assume(found is not None)
    assert quantile(honest, 1, 4) <= found.price_ticks <= quantile(honest, 3, 4)


@given(honest_flow, st.lists(sham_print, min_size=1, max_size=6))
def test_their_share_of_the_weight_is_at_most_a_third_whatever_the_honest_do(honest, sham):
    """And so the fix lies between the quartiles of the honest trades by the weights that they have in it."""
    found = by_trades(inputs_of([*honest, *sham]))
    assume(found is not None)
    sham_weight = sum(weight for p, weight in found.used if p.buyer_firm >= 900)
    total = sum(weight for _, weight in found.used)
    assert 3 * sham_weight <= total
    honest_weights = [replace(p, lots=weight) for p, weight in found.used if p.buyer_firm < 900]
    assert quantile(honest_weights, 1, 4) <= found.price_ticks <= quantile(honest_weights, 3, 4)


@given(honest_flow, st.integers(1, 400), st.integers(1, 5_000))
def test_three_colluding_firms_move_the_fix_no_further_than_their_share_of_what_counts(honest, lots, ticks):
    """Three firms are three pairs: no cap binds them, only the honest volume does. With share x < 1/2 the fix stays between
    the quantiles (1/2 - x) / (1 - x) and 1 / (2 (1 - x)) of the honest trades."""
    sham = [Print(GATE - NS_PER_MINUTE, ticks, lots, *firms) for firms in ((900, 901), (901, 902), (902, 900))]
    found = by_trades(inputs_of([*honest, *sham]))
    assume(found is not None)
    x = Fraction(sum(weight for p, weight in found.used if p.buyer_firm >= 900), sum(weight for _, weight in found.used))
    assume(2 * x < 1)
    low, high = (Fraction(1, 2) - x) / (1 - x), 1 / (2 * (1 - x))
    honest_weights = [replace(p, lots=weight) for p, weight in found.used if p.buyer_firm < 900]
    assert quantile(honest_weights, low.numerator, low.denominator) <= found.price_ticks
    assert found.price_ticks <= quantile(honest_weights, high.numerator, high.denominator)


def test_three_colluding_firms_carry_the_fix_when_they_trade_more_than_all_others():
    """Stated, not hidden: against three firms only honest volume helps."""
    honest = [Print(GATE - 1, 800, 50, place, 10 + place) for place in range(4)]
    sham = [Print(GATE - 1, 990, 100, *firms) for firms in ((900, 901), (901, 902), (902, 900))]
    assert by_trades(inputs_of([*honest, *sham])).price_ticks == 990
    two = [replace(p, buyer_firm=900, seller_firm=901, lots=10**6) for p in sham]
    assert by_trades(inputs_of([*honest, *two])).price_ticks == 800


@given(st.lists(sham_print, min_size=1, max_size=6))
def test_two_firms_alone_make_neither_grade_a_nor_b(sham):
    assert by_trades(inputs_of(sham)) is None
