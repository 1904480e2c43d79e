"""Green shares: min(load, green) hour by hour, by buyer, venue day and region, and the same from rows in any pieces."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.commands import SetVenue
from exchange.domain.events import Settled
from exchange.projections.calendar import Calendar
from exchange.projections.green import Green, Hour, Use, shares

T0 = 1_795_449_600 * 10**9  # 2026-11-24T00:00:00+08:00
H = 3600 * 10**9
LINE = Settled(1, T0, "B", "P", "H800/guian/L10/green/20261123T16", 1, 1, 0, "delivered", 1, 0, 0, 0, 0, 0)


def green_of(*lines: tuple[str, str, int, int, int]) -> Green:
    """(buyer, region, hour, load, green) as settled lines."""
    calendar = Calendar()
    calendar.configure(SetVenue("v"))
    found = Green(calendar)
    for buyer, region, hour, load, green in lines:
        code = f"H800/{region}/L10/green/20261123T16"
        line = replace(LINE, buyer=buyer, instrument=code, period_start_ns=T0 + hour * H, load_wh=load, green_wh=green)
        found.on_command(1, T0, None, [line])
    return found


def test_a_surplus_of_one_hour_covers_no_other_hour() -> None:
    found = green_of(("B", "guian", 0, 100, 100), ("B", "guian", 1, 100, 0), ("B", "guian", 2, 100, 250))
    assert found.total() == Use(300, 200) and found.total().share == "0.666667"


def test_an_hour_s_obligations_are_put_together_first() -> None:
    found = green_of(("B", "guian", 0, 100, 130), ("B", "guian", 0, 100, 60))
    assert found.total() == Use(200, 190)


def test_days_are_the_venue_s_and_regions_and_buyers_stand_apart() -> None:
    found = green_of(
        ("B", "guian", -1, 10, 10), ("B", "guian", 0, 20, 5), ("B", "qingyang", 23, 30, 0), ("A", "guian", 24, 40, 40)
    )
    first, second, third = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)
    assert found.by_day() == {
        (first, "B", "guian"): Use(10, 10), (second, "B", "guian"): Use(20, 5), (second, "B", "qingyang"): Use(30, 0),
        (third, "A", "guian"): Use(40, 40),
    }  # fmt: skip
    assert found.by_region() == {"guian": Use(70, 55), "qingyang": Use(30, 0)}


def test_nothing_delivered_has_no_share() -> None:
    assert green_of().total().share == "" and green_of(("B", "guian", 0, 0, 0)).by_day() == {}


uses = st.tuples(
    st.sampled_from("AB"), st.sampled_from(("guian", "qingyang")), st.integers(0, 3), st.integers(1, 99), st.integers(0, 120)
)


@given(st.lists(uses, max_size=12), st.randoms(use_true_random=False))
def test_rows_in_any_order_and_pieces_give_the_same(lines, rng) -> None:
    rows = [(Hour(buyer, region, T0 + hour * H), Use(load, green)) for buyer, region, hour, load, green in lines]
    rng.shuffle(rows)
    wanted = {(buyer, region): use for (_, buyer, region), use in green_of(*lines).by_day().items()}
    assert shares(rows) == wanted
    for use in wanted.values():
        assert 0 <= use.green_wh <= use.load_wh and 0 <= float(use.share) <= 1


@pytest.mark.parametrize(("load", "green", "share"), [(3, 1, "0.333333"), (8, 1, "0.125"), (1, 1, "1.0"), (7, 0, "0.0")])
def test_a_share_as_text(load: int, green: int, share: str) -> None:
    assert Use(load, green).share == share
