"""The forward curve as letters: in its place, within its width, and plain where the terminal is."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.drawing import HEIGHT, Hour, can_draw, draw

PRICE = st.one_of(st.none(), st.integers(1, 10**7).map(lambda cents: Decimal(cents) / 100))
HOURS = st.lists(st.builds(Hour, st.just("08"), st.sampled_from(["11-24", "11-25"]), PRICE, PRICE), min_size=1, max_size=168)


def hour(label, ask, bid, day="11-24"):
    return Hour(label, day, Decimal(ask) if ask else None, Decimal(bid) if bid else None)


def test_a_curve_of_three_hours():
    drawn = draw([hour("08", "6.00", "4.00"), hour("09", "5.00", None), hour("10", "5.00", "5.00")], width=40, is_plain=True)
    assert drawn[0] == "6.00 | A"
    assert drawn[HEIGHT - 1] == "4.00 | B"
    assert [line for line in drawn if "X" in line] == [line for line in drawn if "A  X" in line] != []
    assert [line.split() for line in drawn[HEIGHT + 1 :]] == [["08", "09", "10"], ["11-24"]]


def test_one_price_only_stands_in_the_middle():
    drawn = draw([hour("08", "5.20", None)], width=40, is_plain=True)
    assert sum("A" in line for line in drawn) == 1


def test_no_price_is_no_picture():
    assert draw([hour("08", None, None)], width=80, is_plain=False) == []


@given(HOURS, st.integers(40, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal_and_every_shown_price_has_its_mark(hours, width, is_plain):
    drawn = draw(hours, width=width, is_plain=is_plain)
    if not drawn:
        return
    assert max(map(len, drawn[:HEIGHT])) <= width
    assert len(drawn) == HEIGHT + 3
    if is_plain:
        assert "".join(drawn).isascii()
    marks = sum(line.count(mark) for line in drawn[:HEIGHT] for mark in ("ABX" if is_plain else "●○◆"))
    assert marks >= sum(1 for h in hours[: (width - 14) // 3] if h.ask is not None or h.bid is not None)


def test_what_a_terminal_can_show():
    assert can_draw("utf-8") and not can_draw("ascii") and not can_draw(None) and not can_draw("no-such-code")
