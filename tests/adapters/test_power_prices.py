"""Hourly power prices: our own files, public series, and the commands that they become."""

from pathlib import Path

import pytest

from exchange.adapters.power_prices import PowerHour, power_commands, power_of_day, read_power_prices
from exchange.adapters.rows import parse_time_ns
from exchange.domain.commands import SetPowerPrices, SetVenue
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR

T0 = parse_time_ns("2026-01-05T00:00:00Z")
PUBLIC = "Datetime (UTC),Datetime (Local),Price (USD/MWh)"


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "power.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_our_own_file_is_yuan_per_kwh_hour_by_hour(tmp_path):
    path = write(tmp_path, "hour,price_per_kwh", "2026-01-05T08:00:00+08:00,0.52", "2026-01-05T01:00:00Z,-0.013")
    assert read_power_prices(path) == ([PowerHour(T0, 520_000), PowerHour(T0 + NS_PER_HOUR, -13_000)], [])


def test_a_public_series_is_us_dollars_per_mwh_rounded_half_to_even(tmp_path):
    rows = ("40.860355", "-0.021552799999999997", "0.0005", "0.0015", "0")
    lines = [f"2024-01-01 0{n}:00:00+00:00,2024-01-01 0{n}:00:00+00:00,{price}" for n, price in enumerate(rows)]
    hours, problems = read_power_prices(write(tmp_path, PUBLIC, *lines), usd_rate_ppm=7_000_000)
    assert problems == []
    # 40.860355 USD per MWh x 7 = 0.286022485 yuan per kWh; the third is 3.5, the fourth 10.5 micro-yuan
    assert [hour.price_micro for hour in hours] == [286_022, -151, 4, 10, 0]
    assert hours[0].start_ns == parse_time_ns("2024-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("hour,price_per_kwh", "2026-01-05T00:30:00Z,1"), "not_whole_periods"),
        (("hour,price_per_kwh", "2026-01-05T00:00:00Z,1", "2026-01-05T00:00:00Z,1"), "time_order"),
        (("hour,price_per_kwh", "2026-01-05T00:00:00Z,1e3"), "number"),
        (("hour,price_per_kwh", "2026-01-05T00:00:00Z,1000.01"), "too_large"),
        (("hour,price_per_kwh", "2026-01-05T00:00:00Z,-1000.01"), "too_small"),
        ((PUBLIC, "2024-01-01 00:00:00,x,1"), "time"),
        ((PUBLIC, "2024-01-01 00:00:00+00:00,x,nan"), "number"),
        ((PUBLIC, "2024-01-01 00:00:00+00:00,x,"), "missing"),
        ((PUBLIC, "2024-01-01 00:00:00+00:00,x,999999999"), "too_large"),
        (("start,price",), "unknown_header"),
        (("site,account,region,chip,cards",), "unknown_header"),
    ],
)
def test_what_is_wrong_with_a_price_is_named(tmp_path, lines, code):
    problems = read_power_prices(write(tmp_path, *lines))[1]
    assert [problem.code for problem in problems] == [code]


def test_a_run_of_hours_is_one_command_and_a_gap_begins_another():
    hours = [PowerHour(T0 + n * NS_PER_HOUR, n) for n in (0, 1, 3)]
    assert power_commands(hours, "guian", shift_ns=NS_PER_DAY, venue=SetVenue("x", period_min=30)) == [
        SetPowerPrices("guian", T0 + NS_PER_DAY, (0, 0, 1, 1)),
        SetPowerPrices("guian", T0 + NS_PER_DAY + 3 * NS_PER_HOUR, (3, 3)),
    ]
    year = [PowerHour(T0 + n * NS_PER_HOUR, 1) for n in range(400)]
    assert [len(command.prices_micro_per_kwh) for command in power_commands(year, "guian")] == [168, 168, 64]


def test_prices_of_a_day_are_told_at_noon_of_the_day_before():
    hours = [PowerHour(T0 + n * NS_PER_HOUR, n) for n in range(72)]
    start_ns = T0 + 5 * NS_PER_HOUR
    told, moved_days = power_of_day(hours, "guian", start_ns, T0 + 60 * NS_PER_HOUR)
    assert moved_days == 0
    hour, day = NS_PER_HOUR, NS_PER_DAY
    assert [(time_ns, command.start_ns, len(command.prices_micro_per_kwh)) for time_ns, command in told] == [
        (start_ns, start_ns, 19), (T0 + 12 * hour, T0 + day, 24), (T0 + 36 * hour, T0 + 2 * day, 12),
    ]  # fmt: skip
    assert told[1][1].prices_micro_per_kwh == tuple(range(24, 48))


def test_a_series_of_another_year_is_moved_by_whole_days():
    hours = [PowerHour(T0 - 366 * NS_PER_DAY + n * NS_PER_HOUR, n % 24) for n in range(72)]
    told, moved_days = power_of_day(hours, "guian", T0 + 5 * NS_PER_HOUR, T0 + 30 * NS_PER_HOUR)
    assert moved_days == 366
    assert told[0][1].prices_micro_per_kwh == tuple(range(5, 24))


def test_a_whole_public_year_is_read(shared_data):
    hours, problems = read_power_prices(shared_data / "data" / "power" / "price_DE-LU_2024.csv")
    assert problems == [] and len(hours) == 8784
    assert min(hour.price_micro for hour in hours) < 0 < max(hour.price_micro for hour in hours)
