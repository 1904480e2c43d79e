"""Where green power comes from: one port, whatever stands behind it (sun, wind, a series somebody has measured)."""

from typing import Protocol


class SupplyMissing(Exception):
    """No supply can be told: a library or an hour is missing. The message says what, and what to do."""


class GreenSupply(Protocol):
    """A plant, or a contract, and what it gives hour by hour."""

    @property
    def kind(self) -> str:
        """metered or modelled."""
        ...

    @property
    def source(self) -> str:
        """Where the figures come from and by which assumptions, for people; at most 200 ASCII characters."""
        ...

    def hours_wh(self, start_ns: int, hours: int) -> list[int]:
        """Wh of so many hours from a whole hour (UTC) on; SupplyMissing."""
        ...


def per_period(hours_wh: list[int], period_min: int) -> tuple[int, ...]:
    """Hours as periods of 15, 30 or 60 minutes, each with the same part of its hour, rounded down: never more than there is."""
    parts = 60 // period_min
    return tuple(wh // parts for wh in hours_wh for _ in range(parts))
