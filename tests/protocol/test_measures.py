"""Conversions: exact, reversible, and a text that does not fit is told what would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.commands import SetVenue
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures

VENUES = [
    Measures(SetVenue("v", period_min=minutes, lots_per_card=lots)) for minutes in (15, 30, 60) for lots in (1, 10, 100)
]
HOURLY = Measures(SetVenue("v"))
QUARTERS = Measures(SetVenue("v", period_min=15, lots_per_card=100))


def refused(convert, text, field="f"):
    with pytest.raises(DoorError) as caught:
        convert(text, field)
    assert (caught.value.reason, caught.value.field) == (DoorReason.INVALID_FIELD, field)
    return caught.value


@given(st.sampled_from(VENUES), st.integers(-(10**12), 10**12))
def test_there_and_back(m, number):
    for convert, text_of in (
        (m.lots, m.cards_text), (m.periods, m.hours_text), (m.lot_periods, m.card_hours_text), (m.price_micro, m.yuan),
        (m.money_micro, m.yuan), (m.latency_us, m.ms_text), (m.data_mb, m.gb_text), (m.ppm, m.ppm_text),
    ):  # fmt: skip
        assert convert(text_of(number), "f") == number


@given(st.integers(0, 7_258_118_399 * 10**9))
def test_times_there_and_back(ns):
    assert HOURLY.time_ns(HOURLY.time_text(ns), "f") == ns


def test_examples():
    assert (HOURLY.lots("64", "f"), HOURLY.lots("0.3", "f"), HOURLY.cards_text(643)) == (640, 3, "64.3")
    assert (HOURLY.periods("8", "f"), QUARTERS.periods("0.75", "f"), QUARTERS.hours_text(3)) == (8, 3, "0.75")
    assert QUARTERS.lot_periods("0.0025", "f") == 1 and QUARTERS.card_hours_text(1) == "0.0025"
    assert (HOURLY.yuan(8_500_000), HOURLY.yuan(-1), HOURLY.price_micro("8.5", "f")) == ("8.50", "-0.000001", 8_500_000)
    assert HOURLY.time_ns("2026-11-24T12:00:00+08:00", "f") == HOURLY.time_ns("2026-11-24T04:00:00Z", "f")
    assert HOURLY.time_text(1_795_492_800_000_000_001) == "2026-11-24T04:00:00.000000001Z"


def test_what_does_not_fit_is_told_the_nearest():
    assert refused(HOURLY.lots, "1.25", "cards").hint == "the nearest are 1.2 and 1.3"
    assert refused(HOURLY.lots, "-1.25", "cards").hint == "the nearest are -1.3 and -1.2"
    assert refused(HOURLY.periods, "1.5", "hours").hint == "the nearest are 1 and 2"
    assert refused(QUARTERS.periods, "1.1", "hours").hint == "the nearest are 1 and 1.25"
    assert "8.123456, 8.123457" in refused(HOURLY.price_micro, "8.1234567", "price").hint


NO_DECIMALS = ["", "1e3", "NaN", ".5", "5.", "+1", " 1", "1\n", "1_0", "٣", "1" * 19, "0x10", "0.0000000001"]


@pytest.mark.parametrize("text", NO_DECIMALS)
def test_what_is_no_decimal(text):
    for convert in (HOURLY.lots, HOURLY.periods, HOURLY.lot_periods, HOURLY.price_micro, HOURLY.money_micro, HOURLY.ppm):
        refused(convert, text)


def test_what_64_bits_do_not_hold():
    most = "9" * 18
    refused(HOURLY.lots, most)
    refused(HOURLY.money_micro, most)
    refused(QUARTERS.lot_periods, most)


@pytest.mark.parametrize(
    "text",
    ["", "2026-11-24", "2026-11-24T12:00:00", "2026-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z",
     "1970-01-01T00:00:00+08:00", "2026-11-24T12:00:00Z\n", "2026-11-24T24:00:00Z", "2026-11-24T12:00:00.1234567890Z"],
)  # fmt: skip
def test_what_is_no_time(text):
    refused(HOURLY.time_ns, text)
