"""The clocks a venue can run by: real time, a market day in compressed time, or none but the commands."""

import time
from collections.abc import Callable


class SystemClock:
    """The machine's time, UTC."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970; goes where the machine's clock is set."""
        return time.time_ns()


class CompressedClock:
    """Venue time that runs `speed` times as fast as real time, from `start_ns` on.

    After a restart it is given the venue's own time as start: what passed meanwhile did not happen in the venue.
    """

    def __init__(self, start_ns: int, speed: int, read_ns: Callable[[], int] = time.monotonic_ns) -> None:
        if speed < 1:
            raise ValueError(f"speed is a whole number from 1, not {speed}")
        self._start_ns, self._speed, self._read_ns = start_ns, speed, read_ns
        self._began_ns: int | None = None

    def start(self) -> None:
        """From now on it runs; a second call changes nothing."""
        if self._began_ns is None:
            self._began_ns = self._read_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970; start_ns until `start` was called."""
        if self._began_ns is None:
            return self._start_ns
        return self._start_ns + (self._read_ns() - self._began_ns) * self._speed


class ManualClock:
    """Never ahead of the venue: its time moves by AdvanceTime commands from outside and by nothing else."""

    def now_ns(self) -> int:
        """Always 0."""
        return 0
