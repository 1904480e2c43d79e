"""Indices: fixes weighed by what traded before them, the documented example to the unit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from small_days import Day

from exchange.domain.commands import SetFix
from exchange.domain.events import FixSet, Traded
from exchange.domain.units import MICRO, format_micro
from exchange.projections.indices import Indices, PublishedPrices, WeighedFix, index_of
from exchange.projections.tape import instrument_parts

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "price_views.md"
CODE = "H800/{}/L10/grid/20261124T08"


def traded(code: str, lots: int) -> Traded:
    return Traded(1, "B", "P", "s", code, 0, lots, MICRO, 1, 0, "t", "o", False, 1)


def fixed(code: str, price: int, grade: str = "A") -> FixSet:
    return FixSet(code, price * MICRO, grade, "00")


def indices(*events: Any) -> Indices:
    """Each event of a command of its own."""
    found = Indices()
    for seq, event in enumerate(events, 1):
        found.on_command(seq, seq, SetFix("", 0, "", ""), [event])
    return found


def test_the_example_of_the_guide_is_what_the_code_makes() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\.\d\d) \| ([ABC]) \| (\d+) \| (\d+) \|$", text, re.M)
    assert len(rows) == 3
    fixes = [WeighedFix(CODE.format(n), int(price.replace(".", "")) * 10_000, grade, int(lots))
             for n, (price, grade, lots, _) in enumerate(rows)]  # fmt: skip
    index = index_of(fixes, {"H800": 990_000})
    (shown,) = re.findall(r"= \*\*(\d\.\d{6})\*\*, grade ([ABC]), (\d+) card-hours of three instruments", text)
    assert shown == (format_micro(index.price_micro), index.grade, str(index.lots // 10))
    assert index.instruments == 3 and index.per_pflops_hour_micro == 5_312_476  # 2109 yuan / (401 x 0.99 PFLOPS)


def test_only_what_traded_before_the_last_fix_weighs() -> None:
    one, two = CODE.format("a"), CODE.format("b")
    found = indices(
        traded(one, 30), fixed(one, 4), fixed(two, 8, "C"), traded(two, 1000), traded(one, 10), fixed(one, 5), traded(one, 500)
    )  # fmt: skip
    index = found.index(["H800"], "", "20261124T08", {"H800": 1})
    assert index is not None and index.price_micro == 5_073_171  # 208 yuan by 41 lots
    assert (index.lots, index.instruments, index.grade) == (40, 2, "C")
    region = found.index(["H800"], "b", "20261124T08", {"H800": 1})
    assert region is not None and (region.price_micro, region.instruments) == (8 * MICRO, 1)
    assert found.index(["H800"], "", "20261124T09", {}) is None and found.index(["A910B"], "", "20261124T08", {}) is None


def test_several_chips_have_an_index_per_pflops_hour_only_and_none_where_a_power_is_not_known() -> None:
    found = indices(fixed("H800/a/L1/grid/20261124T08", 10), fixed("A910B/a/L1/grid/20261124T08", 4))
    both = found.index(["H800", "A910B"], "a", "20261124T08", {"H800": 1_000_000, "A910B": 400_000})
    assert both is not None and (both.price_micro, both.per_pflops_hour_micro) == (0, 10 * MICRO)
    dark = found.index(["H800", "A910B"], "a", "20261124T08", {"H800": 1_000_000})
    assert dark is not None and dark.per_pflops_hour_micro == 0


fixes = st.lists(
    st.tuples(st.integers(1, 10**12), st.sampled_from("ABC"), st.integers(0, 10**9)), min_size=1, max_size=30
).map(lambda raw: [WeighedFix(CODE.format(n), price, grade, lots) for n, (price, grade, lots) in enumerate(raw)])


@given(fixes, st.randoms(use_true_random=False))
def test_an_index_lies_between_its_fixes_whatever_their_order(some: list[WeighedFix], chance: Any) -> None:
    index = index_of(some, {"H800": 990_000})
    prices = [fix.price_micro for fix in some]
    assert min(prices) <= index.price_micro <= max(prices)
    assert index.grade == max(fix.grade for fix in some)
    mixed = list(some)
    chance.shuffle(mixed)
    assert index_of(mixed, {"H800": 990_000}) == index


def test_everything_published_is_rebuilt_from_the_events_of_a_day(day: Day) -> None:
    found = PublishedPrices()
    for seq, ts_ns, command, events in day.history:
        found.on_command(seq, ts_ns, command, events)
    fixes = day.projections.tape.fixes
    assert {code for of in found.indices.fixes.values() for code in of} == set(fixes) and fixes
    for code in fixes:
        parts = instrument_parts(code)
        index = found.indices.index([parts.chip], parts.region, parts.period, {"H800": 990_000})
        assert index is not None
        if index.instruments == 1:
            assert index.price_micro == fixes[code].price_micro
    assert found.candles.all
