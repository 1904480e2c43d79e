"""What time it is at the venue: its clock may be the system's, run faster, or stand still until the operator moves it."""

import time
from collections.abc import Callable
from decimal import Decimal

from clients.models import Venue
from clients.times import NS_PER_S, Moment


class VenueClock:
    """The venue's time, estimated between what the exchange says; it never says a time that the venue has passed."""

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._zone = ""
        self._speed = Decimal(0)
        self._heard_ns = 0
        self._heard_at_ns = 0

    @property
    def is_set(self) -> bool:
        """Whether `learn` was called."""
        return bool(self._zone)

    def learn(self, venue: Venue) -> None:
        """Takes over kind, speed, zone and time; a manual clock stands still."""
        self._zone = venue.time_zone
        self._speed = {"system": Decimal(1), "manual": Decimal(0)}.get(venue.clock, venue.speed)
        self._heard_ns = 0
        self.hear(venue.ts_ns)

    def hear(self, ts_ns: int) -> None:
        """The exchange has said the time."""
        if ts_ns > self._heard_ns:
            self._heard_ns, self._heard_at_ns = ts_ns, self._monotonic_ns()

    @property
    def stands_still(self) -> bool:
        """Whether only the operator moves it, so that nothing but an answer says when it was moved."""
        return not self._speed

    @property
    def local_ns(self) -> int:
        """Our own clock, for `at_ns`."""
        return self._monotonic_ns()

    @property
    def now(self) -> Moment:
        """The venue's time now; only when it is set."""
        return Moment(self.at_ns(self._monotonic_ns()), self._zone)

    def seconds(self, venue_ns: int) -> float:
        """How long a stretch of the venue's time takes by our own clock; not where it stands still."""
        return float(venue_ns / self._speed / NS_PER_S)

    def at_ns(self, local_ns: int) -> int:
        """The venue's time at a moment of our own clock, as far as is known now; the moment may have passed."""
        return self._heard_ns + int((local_ns - self._heard_at_ns) * self._speed)
