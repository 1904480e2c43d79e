"""What `cpx green supply` was asked for as a supply, and its hours as a file or a picture."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from exchange.adapters.green_series import GridSupply, MeasuredSupply, read_series
from exchange.adapters.green_solar import ZHONGWEI, ZHONGWEI_SITE, Array, Site, SolarSupply
from exchange.adapters.green_wind import Turbines, WindSupply
from exchange.cli.running import CANNOT_CREATE, USAGE, fail
from exchange.domain.units import NS_PER_HOUR, UnitError, format_scaled, format_time, parse_time_ns
from exchange.ports_green import GreenSupply

UNAVAILABLE = 69
PNG_START = b"\x89PNG\r\n\x1a\n"


class Wanted(NamedTuple):
    """The options that say what stands there."""

    zhongwei: bool = False
    solar: str | None = None
    ghi: float | None = None
    tilt: float | None = None
    losses: float | None = None
    wind: bool = False
    mean_speed: float = 7.0
    seed: int = 1
    series: Path | None = None
    modelled: bool = False
    kw: float | None = None


def supply_of(wanted: Wanted) -> GreenSupply:
    """The supply; exit code 2 where the options do not make one, SupplyMissing where a file does not."""
    kinds = [wanted.zhongwei, wanted.solar is not None, wanted.wind, wanted.series is not None and not wanted.wind]
    if sum(kinds) != 1:
        fail("say where the power comes from: one of --zhongwei, --solar, --wind, --series", USAGE)
    if wanted.zhongwei:
        return SolarSupply(ZHONGWEI_SITE, _changed(ZHONGWEI, wanted))
    if wanted.solar is not None:
        return _solar(wanted)
    return _wind(wanted) if wanted.wind else _from_file(wanted)


def _changed(array: Array, wanted: Wanted) -> Array:
    given = {"kw": wanted.kw, "tilt": wanted.tilt, "losses": wanted.losses}
    return replace(array, **{name: value for name, value in given.items() if value is not None})


def _solar(wanted: Wanted) -> GreenSupply:
    latitude, _, longitude = (wanted.solar or "").partition(",")
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        place = (91.0, 0.0)
    if not (-90 <= place[0] <= 90 and -180 <= place[1] <= 180):
        fail(f"--solar {(wanted.solar or '')[:40]!r} is no place: write it as 37.5,105.2", USAGE)
    if wanted.ghi is None or wanted.ghi <= 0:
        fail("--solar needs --ghi, kWh/m2 on level ground in a year: atlases and yearbooks publish it", USAGE)
    return SolarSupply(Site(*place, wanted.ghi), _changed(Array(_size(wanted)), wanted))


def _wind(wanted: Wanted) -> GreenSupply:
    turbines = Turbines(_size(wanted))
    if wanted.losses is not None:
        turbines = replace(turbines, losses=wanted.losses)
    if wanted.series is None:
        return WindSupply(turbines, wanted.seed, wanted.mean_speed)
    found, kind = read_series(wanted.series)
    if kind != "wind":
        fail(f"{wanted.series} has no wind speeds: a header hour,wind_m_s", USAGE)
    return WindSupply(turbines, speeds=tuple(value / 1000 for value in found.values), first_ns=found.start_ns)


def _from_file(wanted: Wanted) -> GreenSupply:
    assert wanted.series is not None
    found, kind = read_series(wanted.series)
    if kind == "wind":
        fail(f"{wanted.series} has wind speeds: say --wind and --kw as well", USAGE)
    is_hours, kind = kind == "kwh", "modelled" if wanted.modelled else "metered"
    if is_hours:
        return MeasuredSupply(wanted.series.name, found, kind)
    return GridSupply(wanted.series.name, found, int(_size(wanted)), kind)


def _size(wanted: Wanted) -> float:
    if wanted.kw is None:
        fail("--kw is needed: the size of the plant or of the contract", USAGE)
    if not 0 < wanted.kw < float("inf"):
        fail(f"--kw {wanted.kw:g} is no size: a plant or contract has more than 0 kW", USAGE)
    return wanted.kw


def first_hour(text: str) -> int:
    """An RFC 3339 time that is the start of an hour, ns; exit code 2 for anything else."""
    try:
        start_ns = parse_time_ns(text)
    except UnitError as error:
        fail(f"--start: {error}", USAGE)
    if start_ns % NS_PER_HOUR:
        fail(f"--start {text} is not the start of an hour", USAGE)
    return start_ns


def hourly_csv(start_ns: int, figures: list[int]) -> str:
    """hour,kwh: what --series reads again."""
    rows = (f"{format_time(start_ns + n * NS_PER_HOUR)},{format_scaled(wh, 1000, 0)}\n" for n, wh in enumerate(figures))
    return "hour,kwh\n" + "".join(rows)


def draw(path: Path, title: str, start_ns: int, figures: list[int]) -> None:
    """Hours as a line, days as bars where there are many; exit code 69 without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        fail("--plot needs matplotlib (extra dev): `.venv/bin/pip install matplotlib`", UNAVAILABLE)
    if path.suffix != ".png":
        fail(f"--plot {path}: the name of a picture ends in .png", USAGE)
    if path.exists() and not (path.is_file() and path.read_bytes()[:8] == PNG_START):
        fail(f"{path} is there and no PNG, so it is kept: name another file", CANNOT_CREATE)
    matplotlib.use("Agg")
    from matplotlib import pyplot

    is_long = len(figures) > 14 * 24
    step = 24 if is_long else 1
    sums = [sum(figures[n : n + step]) / 1e6 for n in range(0, len(figures), step)]
    figure, axes = pyplot.subplots(figsize=(11, 4), layout="constrained")
    axes.bar(range(len(sums)), sums, width=1.0)
    unit = "day" if is_long else "hour"
    axes.set(title=title, xlabel=f"{unit}s from {format_time(start_ns)}", ylabel=f"MWh a {unit}")
    axes.grid(alpha=0.3)
    made = BytesIO()
    figure.savefig(made, format="png", dpi=110)
    pyplot.close(figure)
    try:
        path.write_bytes(made.getvalue())
    except OSError as error:
        fail(f"{path} cannot be written ({error.strerror}): choose another --plot", CANNOT_CREATE)
