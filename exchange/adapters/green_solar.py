"""Sun: a fixed array by PVWatts' method, over a year's radiation that somebody has published (needs the extra `green`).

The sun's place is computed (pvlib). Radiation on the ground is a clear sky's, times one factor: the one with which the
year adds up to the published sum; where hours of sunshine are published as well, it is the mean of two skies, clear for that
part of the daylight and evenly clouded for the rest. What falls on the tilted array, the warmth of the cells, losses and
inverter follow PVWatts. There is no weather in it: every day is the average day of its season.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND
from exchange.ports_green import SupplyMissing

HOURS_OF_YEAR = 8760
MJ_PER_KWH = 3.6


@dataclass(frozen=True)
class Site:
    """Where an array stands, and what is known of the sun there."""

    latitude: float  # degrees north
    longitude: float  # degrees east
    ghi_kwh_m2: float  # radiation on the level ground in a year
    sunshine_h: float = 0.0  # hours of sunshine in a year; 0 = one even sky
    coldest_c: float = 10.0  # mean of the coldest month
    warmest_c: float = 10.0  # mean of the warmest month


@dataclass(frozen=True)
class Array:
    """What stands there; the defaults are PVWatts' (standard module, fixed, open rack)."""

    kw: float  # nameplate, direct current
    tilt: float | None = None  # degrees; None = the latitude
    azimuth: float = 180.0
    losses: float = 0.14
    gamma: float = -0.0037  # power per degree above 25
    dc_to_ac: float = 1.2
    inverter: float = 0.96


# The plant at Zhongwei, every figure from a source that does not know its output (docs/guides/green.md names them).
ZHONGWEI_SITE = Site(37.5, 105.2, ghi_kwh_m2=(4947 + 6102) / 2 / MJ_PER_KWH, coldest_c=-7.9, warmest_c=23.5)
ZHONGWEI = Array(kw=500_000)
ZHONGWEI_SUNSHINE_H = 2_900.0
ZHONGWEI_PUBLISHED_GWH = 970.0


@dataclass(frozen=True)
class SolarSupply:
    """A `GreenSupply` of one array."""

    site: Site
    array: Array
    kind: str = field(default="modelled", init=False)

    @property
    def source(self) -> str:
        """In one line."""
        s, a = self.site, self.array
        return (
            f"solar model: {a.kw:g} kW at {s.latitude:g} N {s.longitude:g} E, tilt {self.tilt:g}, losses {a.losses:g}, "
            f"{s.ghi_kwh_m2:.0f} kWh/m2 a year"
        )

    @property
    def tilt(self) -> float:
        """Degrees from level."""
        return abs(self.site.latitude) if self.array.tilt is None else self.array.tilt

    def hours_wh(self, start_ns: int, hours: int) -> list[int]:
        """Wh of each hour, rounded to the nearest."""
        return [round(watts) for watts in self._watts(_middles(start_ns, hours))] if hours else []

    @cached_property
    def clearness(self) -> float:
        """What of a clear sky's radiation comes to the ground over a year."""
        return self.site.ghi_kwh_m2 / (float(self._clear_year.sum()) / 1000)

    @cached_property
    def skies(self) -> tuple[tuple[float, float], ...]:
        """(part of the time, part of a clear sky's radiation): one even sky, or a clear and a clouded one."""
        if not self.site.sunshine_h:
            return ((1.0, self.clearness),)
        sunny = self.site.sunshine_h / int((self._clear_year > 0).sum())
        if not 0 < sunny < min(1.0, self.clearness):
            raise SupplyMissing("so many hours of sunshine do not go with so much radiation: leave them out")
        return (sunny, 1.0), (1 - sunny, (self.clearness - sunny) / (1 - sunny))

    @cached_property
    def _clear_year(self) -> Any:
        return _clear_sky(self._sun(_middles(_year_start_ns(2025), HOURS_OF_YEAR)).apparent_zenith)

    def _sun(self, times: list[int]) -> Any:
        return _sun_over(self.site.latitude, self.site.longitude, times[0], len(times))

    def _watts(self, times: list[int]) -> Any:
        sun, air = self._sun(times), self._air(times)
        return sum(part * self._under(sun, air, factor) for part, factor in self.skies)

    def _under(self, sun: Any, air: Any, factor: float) -> Any:
        """What the array gives under one sky, W."""
        pvlib, _ = _libraries()
        array = self.array
        ghi = _clear_sky(sun.apparent_zenith) * factor
        split = pvlib.irradiance.erbs(ghi, sun.zenith, sun.index)
        on_array = pvlib.irradiance.get_total_irradiance(
            self.tilt, array.azimuth, sun.apparent_zenith, sun.azimuth, split["dni"], ghi, split["dhi"],
            dni_extra=pvlib.irradiance.get_extra_radiation(sun.index), model="haydavies",
        )["poa_global"].fillna(0.0)  # fmt: skip
        cells = pvlib.temperature.faiman(on_array, air)
        rated = pvlib.pvsystem.pvwatts_dc(on_array, cells, 1000 * array.kw, array.gamma) * (1 - array.losses)
        limit = 1000 * array.kw / array.dc_to_ac / array.inverter
        return pvlib.inverter.pvwatts(rated, limit, eta_inv_nom=array.inverter).clip(lower=0.0).fillna(0.0)

    def _air(self, times: list[int]) -> Any:
        """Air in the shade: a wave over the year between the two means, coldest in mid-January; no days and nights."""
        from math import cos, pi

        import numpy

        site = self.site
        middle, swing = (site.coldest_c + site.warmest_c) / 2, (site.warmest_c - site.coldest_c) / 2
        sign = -1 if site.latitude >= 0 else 1
        year_s = 365.25 * 86_400
        offset_s = 15 * 86_400
        return numpy.array([middle + sign * swing * cos(2 * pi * ((each - offset_s) % year_s) / year_s) for each in times])


@lru_cache(maxsize=8)
def _sun_over(latitude: float, longitude: float, first_s: int, hours: int) -> Any:
    """The sun's place every hour from a moment on; kept, since most of the time goes there."""
    pvlib, pandas = _libraries()
    index = pandas.to_datetime([first_s + 3600 * hour for hour in range(hours)], unit="s", utc=True)
    return pvlib.solarposition.get_solarposition(index, latitude, longitude)


def _clear_sky(zenith: Any) -> Any:
    pvlib, _ = _libraries()
    return pvlib.clearsky.haurwitz(zenith)["ghi"]


def _libraries() -> tuple[Any, Any]:
    try:
        import pandas
        import pvlib
    except ImportError:
        message = "the sun's model needs pvlib (extra green): `.venv/bin/pip install pvlib`"
        raise SupplyMissing(message) from None
    return pvlib, pandas


def _middles(start_ns: int, hours: int) -> list[int]:
    """The middle of each hour, in seconds since 1970."""
    if start_ns % NS_PER_HOUR:
        raise ValueError("hours begin on the hour")
    return [start_ns // NS_PER_SECOND + 3600 * hour + 1800 for hour in range(hours)]


def _year_start_ns(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_SECOND
