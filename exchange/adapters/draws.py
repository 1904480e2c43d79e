"""Seeded draws that are the same on every machine and do not depend on the order of rows.

A draw belongs to a key (say, a pod's name), not to a place in a sequence: reading the rows backwards changes
nothing.
"""

import random
from typing import TypeVar

X = TypeVar("X")


class Draws:
    """The stream of draws of one key under one seed, integers only."""

    def __init__(self, seed: int, *key: str | int) -> None:
        # A str seed goes through SHA-512, not through hash(): PYTHONHASHSEED has no say.
        self._random = random.Random("|".join((str(seed), *(str(part) for part in key))))

    def below(self, limit: int) -> int:
        """An integer in [0, limit); for limits below 2^30 the modulo favours no value by more than 2^-34."""
        return self._random.getrandbits(64) % limit

    def between(self, lowest: int, highest: int) -> int:
        """An integer in [lowest, highest]."""
        return lowest + self.below(highest - lowest + 1)

    def chance(self, percent: int) -> bool:
        """True in so many of a hundred draws."""
        return self.below(100) < percent

    def weighted(self, choices: tuple[tuple[X, int], ...]) -> X:
        """One of the choices, each with its integer weight."""
        place = self.below(sum(weight for _, weight in choices))
        for choice, weight in choices:
            place -= weight
            if place < 0:
                return choice
        raise AssertionError("weights do not cover the draw")

    def from_quantiles(self, quantiles: tuple[int, ...]) -> int:
        """A value whose distribution has these equally spaced quantiles, straight lines in between."""
        steps = len(quantiles) - 1
        step, within = divmod(self.below(steps * 1_000), 1_000)
        low, high = quantiles[step], quantiles[step + 1]
        return low + (high - low) * within // 1_000
