"""The writer's counters."""

from __future__ import annotations

import random

import pytest

from exchange.engine.writer_stats import BOUNDS_US, Histogram


def test_bounds_rise_and_span_what_disks_do():
    assert list(BOUNDS_US) == sorted(set(BOUNDS_US))
    assert BOUNDS_US[0] <= 20 and BOUNDS_US[-1] >= 10_000_000


@pytest.mark.parametrize("permille", [1, 500, 990, 1000])
def test_a_quantile_is_at_most_a_quarter_above_the_true_one(permille):
    generator = random.Random(permille)
    histogram = Histogram()
    values = [generator.randrange(30, 200_000) for _ in range(999)]
    for value in values:
        histogram.add(value * 1000 + 999)
    true = sorted(values)[-(-len(values) * permille // 1000) - 1]
    assert true <= histogram.quantile_us(permille) <= true * 5 // 4 + 1
    assert (histogram.count, histogram.total_us, histogram.longest_us) == (999, sum(values), max(values))


def test_nothing_counted_is_nothing_said_and_the_longest_is_never_exceeded():
    histogram = Histogram()
    assert histogram.quantile_us(500) == 0
    histogram.add(10**13)
    assert histogram.quantile_us(1) == histogram.longest_us == 10**10
