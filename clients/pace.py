"""How often to knock: frames a second while it goes well, and how long to wait before the next connection."""

import random
import time
from collections.abc import Callable

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 5.0


class Pace:
    """Keeps to so many frames a second, as the exchange asks for; nobody waits while there is room."""

    def __init__(self) -> None:
        self.rate, self._burst, self._room, self._at = 0, 0.0, 0.0, 0.0

    def allow(self, rate: int, burst: int) -> None:
        """From now on this much; 0 = no limit."""
        self.rate, self._burst = rate, burst * 0.9  # a little less than allowed: clocks differ
        self._room, self._at = self._burst, time.monotonic()

    def wait_s(self) -> float:
        """Takes one place; seconds until it is its turn."""
        if not self.rate:
            return 0.0
        now = time.monotonic()
        self._room = min(self._burst, self._room + (now - self._at) * self.rate) - 1
        self._at = now
        return max(0.0, -self._room / self.rate)


class Backoff:
    """Waits that double, by a random part less, so that clients that were cut off together do not come back together."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """draw: a random number from 0 to 1."""
        self._draw = draw
        self._delay_s = FIRST_DELAY_S

    def reset(self) -> None:
        """It went well: the next wait is a short one again."""
        self._delay_s = FIRST_DELAY_S

    def next_s(self) -> float:
        """Seconds to wait now."""
        wait_s = self._delay_s * (0.5 + self._draw() / 2)
        self._delay_s = min(MAX_DELAY_S, 2 * self._delay_s)
        return wait_s
