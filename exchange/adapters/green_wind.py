"""Wind: a power curve over hourly wind speeds, given or drawn from a seed (no library needed).

The curve is the usual one of a pitch-controlled turbine: nothing below cut-in, between cut-in and rated speed as the cube
of the speed, rated power up to cut-out, nothing beyond. Drawn speeds have a Rayleigh distribution of the wanted mean and
go on from hour to hour (autoregressive); the same seed gives the same year.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import log, pi, sqrt
from random import Random
from statistics import NormalDist

from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND
from exchange.ports_green import SupplyMissing

PERSISTENCE = 0.95  # of one hour's wind in the next
_LEAST = 1e-12


@dataclass(frozen=True)
class Turbines:
    """A wind farm; the speeds are a common turbine's, losses those of wake, availability and cables."""

    kw: float
    cut_in: float = 3.0  # m/s at the hub
    rated: float = 12.0
    cut_out: float = 25.0
    losses: float = 0.12

    def watts(self, speed: float) -> float:
        """Output at a wind speed."""
        if not self.cut_in <= speed < self.cut_out:
            return 0.0
        part = (min(speed, self.rated) ** 3 - self.cut_in**3) / (self.rated**3 - self.cut_in**3)
        return 1000 * self.kw * part * (1 - self.losses)


def drawn_speeds(seed: int, year: int, mean_speed: float, hours: int) -> list[float]:
    """The first hours of a year, m/s."""
    draws, normal = Random(f"wind {seed} {year}"), NormalDist()
    state, speeds = draws.gauss(0, 1), []
    for _ in range(hours):
        chance = min(max(normal.cdf(state), _LEAST), 1 - _LEAST)
        speeds.append(2 * mean_speed / sqrt(pi) * sqrt(-log(1 - chance)))
        state = PERSISTENCE * state + sqrt(1 - PERSISTENCE**2) * draws.gauss(0, 1)
    return speeds


@dataclass(frozen=True)
class WindSupply:
    """A `GreenSupply` of one farm: over given speeds from a whole hour on, or over drawn ones."""

    turbines: Turbines
    seed: int = 1
    mean_speed: float = 7.0
    speeds: tuple[float, ...] = ()
    first_ns: int = 0  # where the given speeds begin
    kind: str = field(default="modelled", init=False)

    @property
    def source(self) -> str:
        """In one line."""
        t = self.turbines
        drawn = f"drawn speeds, mean {self.mean_speed:g}, seed {self.seed}"
        speeds = f"{len(self.speeds)} given speeds" if self.speeds else drawn
        return f"wind model: {t.kw:g} kW, {t.cut_in:g}/{t.rated:g}/{t.cut_out:g} m/s, losses {t.losses:g}, {speeds}"

    def hours_wh(self, start_ns: int, hours: int) -> list[int]:
        """Wh of each hour, rounded to the nearest."""
        if start_ns % NS_PER_HOUR:
            raise ValueError("hours begin on the hour")
        return [round(self.turbines.watts(speed)) for speed in self._speeds(start_ns, hours)]

    def _speeds(self, start_ns: int, hours: int) -> Sequence[float]:
        if self.speeds:
            first = (start_ns - self.first_ns) // NS_PER_HOUR
            found = self.speeds[first : first + hours] if first >= 0 else ()
            if len(found) < hours:
                raise SupplyMissing(f"the wind series has {len(found)} of the {hours} hours asked for")
            return found
        year = datetime.fromtimestamp(start_ns // NS_PER_SECOND, UTC).year
        first_ns = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_SECOND
        before = (start_ns - first_ns) // NS_PER_HOUR
        return drawn_speeds(self.seed, year, self.mean_speed, before + hours)[before:]
