"""Supply of green power: sun, wind and series give the hours they say, and Zhongwei's year is what the guide states."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.adapters.green_series import GridSupply, MeasuredSupply, Series, read_series
from exchange.adapters.green_solar import (
    ZHONGWEI,
    ZHONGWEI_PUBLISHED_GWH,
    ZHONGWEI_SITE,
    ZHONGWEI_SUNSHINE_H,
    Array,
    Site,
    SolarSupply,
)
from exchange.adapters.green_wind import Turbines, WindSupply, drawn_speeds
from exchange.cli.green_supply import hourly_csv
from exchange.domain.units import NS_PER_DAY, NS_PER_HOUR, parse_time_ns
from exchange.ports_green import SupplyMissing, per_period

ROOT = Path(__file__).resolve().parents[2]
YEAR_NS = parse_time_ns("2026-01-01T00:00:00Z")
HOURS = 8760


def year_gwh(site: Site = ZHONGWEI_SITE, array: Array = ZHONGWEI) -> float:
    return sum(SolarSupply(site, array).hours_wh(YEAR_NS, HOURS)) / 1e9


# --- sun ---


def table_of_the_guide() -> dict[str, float]:
    """What docs/guides/green.md states of Zhongwei's year, million kWh by the words of the row."""
    text = (ROOT / "docs" / "guides" / "green.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| ([0-9.]+) \| [^|]*\|$", text, re.M)
    return {name: float(figure) for name, figure in rows}


@pytest.mark.slow
def test_the_guide_states_what_zhongwei_s_year_comes_to() -> None:
    pytest.importorskip("pvlib")
    high = replace(ZHONGWEI_SITE, ghi_kwh_m2=6102 / 3.6)
    ac = replace(ZHONGWEI, kw=600_000)
    assert table_of_the_guide() == {
        "as fixed above": round(year_gwh(), 1),
        "with 2,900 hours of sunshine, a clear and a clouded sky": round(
            year_gwh(replace(ZHONGWEI_SITE, sunshine_h=ZHONGWEI_SUNSHINE_H)), 1
        ),
        "least radiation of the range, 4,947 MJ": round(year_gwh(replace(ZHONGWEI_SITE, ghi_kwh_m2=4947 / 3.6)), 1),
        "most radiation of the range, 6,102 MJ": round(year_gwh(high), 1),
        "500 MW meant as alternating current, 600 MW of modules": round(year_gwh(array=ac), 1),
        "all three that help at once": round(year_gwh(replace(high, sunshine_h=ZHONGWEI_SUNSHINE_H), ac), 1),
        "published": ZHONGWEI_PUBLISHED_GWH,
    }


def test_the_difference_to_the_published_year_is_the_one_that_is_told() -> None:
    pytest.importorskip("pvlib")
    gap = year_gwh() / ZHONGWEI_PUBLISHED_GWH - 1
    assert -0.32 < gap < -0.31  # −31.7 %
    text = (ROOT / "docs" / "guides" / "green.md").read_text("utf-8")
    assert f"{abs(gap) * 100:.1f} %" in text


def test_the_sun_shines_by_day_and_the_year_adds_up_to_the_published_radiation() -> None:
    pytest.importorskip("pvlib")
    supply = SolarSupply(ZHONGWEI_SITE, ZHONGWEI)
    day = supply.hours_wh(parse_time_ns("2026-06-21T16:00:00Z"), 24)  # midnight to midnight in Shanghai, 15:00 by the sun
    assert sum(day[:5]) == 0 and sum(day[21:]) == 0 and max(day) == max(day[11:15]) > 0
    assert 0 < supply.clearness < 1 and supply.skies == ((1.0, supply.clearness),)
    assert float(supply._clear_year.sum()) / 1000 * supply.clearness == pytest.approx(ZHONGWEI_SITE.ghi_kwh_m2)
    assert max(supply.hours_wh(YEAR_NS, HOURS)) <= 500e6 / 1.2 + 1  # the inverters
    sunny, clouded = SolarSupply(replace(ZHONGWEI_SITE, sunshine_h=2_900), ZHONGWEI).skies
    assert sunny[0] * sunny[1] + clouded[0] * clouded[1] == pytest.approx(supply.clearness)
    assert len(supply.source) <= 200 and supply.source.isascii()


def test_an_array_in_the_south_looks_north_and_is_warmest_in_january() -> None:
    pytest.importorskip("pvlib")
    south = Site(-30.0, 150.0, 1_700, coldest_c=8, warmest_c=25)
    facing = {azimuth: sum(SolarSupply(south, Array(1_000, azimuth=azimuth)).hours_wh(YEAR_NS, HOURS)) for azimuth in (0, 180)}
    assert facing[0] > 1.2 * facing[180]
    air = SolarSupply(south, Array(1_000))._air([0, 182 * 86_400])
    assert air[0] > 24 and air[1] < 9


def test_hours_of_sunshine_that_do_not_go_with_the_radiation_are_no_supply() -> None:
    pytest.importorskip("pvlib")
    with pytest.raises(SupplyMissing, match="sunshine"):
        SolarSupply(replace(ZHONGWEI_SITE, sunshine_h=4_000), ZHONGWEI).hours_wh(YEAR_NS, 1)


# --- wind ---


@pytest.mark.parametrize(
    ("speed", "kw"), [(0, 0), (2.99, 0), (3, 0), (12, 880), (24.9, 880), (25, 0), (40, 0), (7.5, 880 * (7.5**3 - 27) / 1701)]
)
def test_the_power_curve(speed: float, kw: float) -> None:
    assert Turbines(1_000).watts(speed) == pytest.approx(1000 * kw)


def test_drawn_wind_has_the_mean_that_was_asked_for_and_the_seed_decides_it() -> None:
    speeds = [speed for seed in range(6) for speed in drawn_speeds(seed, 2026, 7.0, HOURS)]
    assert sum(speeds) / len(speeds) == pytest.approx(7.0, rel=0.03)
    steps = [abs(a - b) for a, b in zip(speeds, speeds[1:], strict=False)]
    assert sum(steps) / len(steps) < 1.5, "an hour's wind is much like that of the hour before"
    one, same, other = (WindSupply(Turbines(1_000), seed=seed).hours_wh(YEAR_NS, 100) for seed in (1, 1, 2))
    assert one == same != other


def test_a_window_of_the_year_has_the_hours_of_the_whole_year() -> None:
    supply = WindSupply(Turbines(1_000))
    year = supply.hours_wh(YEAR_NS, 500)
    assert supply.hours_wh(YEAR_NS + 300 * NS_PER_HOUR, 50) == year[300:350]


def test_given_speeds_are_used_where_they_are_and_missed_where_not() -> None:
    supply = WindSupply(Turbines(1_000, losses=0), speeds=(12.0, 0.0, 13.0), first_ns=YEAR_NS)
    assert supply.hours_wh(YEAR_NS, 3) == [1_000_000, 0, 1_000_000]
    for start_ns in (YEAR_NS - NS_PER_HOUR, YEAR_NS + NS_PER_HOUR):
        with pytest.raises(SupplyMissing, match="of the 3 hours"):
            supply.hours_wh(start_ns, 3)


# --- series ---


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hours.csv"
    figures = [0, 1, 1_234_567, 999]
    path.write_text(hourly_csv(YEAR_NS, figures))
    series, kind = read_series(path)
    assert kind == "kwh" and MeasuredSupply("x", series).hours_wh(YEAR_NS, 4) == figures


def test_a_series_of_another_year_counts_from_its_own_first_day() -> None:
    series = Series(YEAR_NS - 2 * NS_PER_HOUR, tuple(range(100)))
    assert series.of(YEAR_NS, 3) == [2, 3, 4]
    assert series.of(YEAR_NS + 400 * NS_PER_DAY + 5 * NS_PER_HOUR, 3) == [7, 8, 9]
    with pytest.raises(SupplyMissing, match="98 of the 99"):
        series.of(YEAR_NS + 400 * NS_PER_DAY, 99)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "known headers"), ("hour,kwh\n", "no hours"), ("hour,kwh\n2026-01-01T00:00:00Z,-1\n", "kwh"),
        ("hour,kwh\n2026-01-01T00:30:00Z,1\n", "start of an hour"),
        ("hour,kwh\n2026-01-01T00:00:00Z,1\n2026-01-01T02:00:00Z,1\n", "line 3"),
    ],
)  # fmt: skip
def test_a_series_with_a_fault_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SupplyMissing, match=words):
        read_series(path)


@pytest.mark.parametrize("zone", ["DE-LU", "US-CAL-CISO"])
def test_a_public_series_of_renewable_shares_is_a_contract(shared_data: Path, zone: str) -> None:
    path = shared_data / "data" / "power" / f"carbon_{zone}_2024_hourly.csv"
    if not path.exists():
        pytest.skip(f"no {path.name} in the shared test data")
    series, kind = read_series(path)
    assert (kind, len(series.values)) == ("share", 8_784)
    supply = GridSupply(path.name, series, 1_000)
    wh = supply.hours_wh(parse_time_ns("2024-01-01T00:00:00Z"), 8_784)
    assert wh[0] == {"DE-LU": 815_300, "US-CAL-CISO": 275_300}[zone]
    assert 0.3 < sum(wh) / 8_784 / 1e6 < 0.7
    assert supply.hours_wh(YEAR_NS, 24) == wh[:24]


def test_hours_become_periods_and_never_more_than_there_is() -> None:
    assert per_period([1_003, 4], 15) == (250, 250, 250, 250, 1, 1, 1, 1)
    assert per_period([1_003], 60) == (1_003,)
