"""What the writer counts of itself, for metrics: whole microseconds, no dependency."""

from bisect import bisect_left
from dataclasses import dataclass, field

# About a quarter between bounds: fine enough to read a median from. 20 us to 10 s.
BOUNDS_US = tuple(round(20 * 1.25**step) for step in range(60))


@dataclass(slots=True)
class Histogram:
    """How often something took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_US) + 1))  # the last: above every bound
    count: int = 0
    total_us: int = 0
    longest_us: int = 0

    def add(self, duration_ns: int) -> None:
        """One more, in nanoseconds."""
        duration_us = duration_ns // 1000
        self.counts[bisect_left(BOUNDS_US, duration_us)] += 1
        self.count += 1
        self.total_us += duration_us
        self.longest_us = max(self.longest_us, duration_us)

    def quantile_us(self, permille: int) -> int:
        """A bound that so many of a thousand did not exceed; 0 where nothing was counted."""
        wanted, run = -(-self.count * permille // 1000), 0
        for place, count in enumerate(self.counts):
            run += count
            if run >= wanted and count:
                return min(BOUNDS_US[place], self.longest_us) if place < len(BOUNDS_US) else self.longest_us
        return 0


@dataclass(slots=True)
class WriterStats:
    """Since the start of the writer."""

    frames: int = 0
    commands: int = 0
    busy: int = 0  # submits refused because the inbox was full
    append: Histogram = field(default_factory=Histogram)  # write and sync of a frame
    apply: Histogram = field(default_factory=Histogram)  # apply and hand-out of a frame
    snapshot: Histogram = field(default_factory=Histogram)  # the part of a snapshot for which the loop stands still

    @property
    def append_p50_us(self) -> int:
        """Median of write and sync."""
        return self.append.quantile_us(500)

    @property
    def append_p99_us(self) -> int:
        """99 of 100 frames were on the disk within this."""
        return self.append.quantile_us(990)
