"""The clocks."""

from __future__ import annotations

import time

import pytest

from exchange.adapters.clock import CompressedClock, ManualClock, SystemClock


def test_the_system_clock_is_the_machines():
    before = time.time_ns()
    assert before <= SystemClock().now_ns() <= time.time_ns()


def test_compressed_time_stands_until_it_is_started_and_then_runs_faster():
    real = [7_000]
    clock = CompressedClock(1_000_000, 60, lambda: real[0])
    real[0] += 500
    assert clock.now_ns() == 1_000_000
    clock.start()
    assert clock.now_ns() == 1_000_000
    real[0] += 1_000
    assert clock.now_ns() == 1_060_000
    clock.start()
    assert clock.now_ns() == 1_060_000, "a second start changes nothing"
    real[0] += 1
    assert clock.now_ns() == 1_060_060


def test_compressed_time_goes_on_from_the_venues_own_time():
    real = [0]
    first = CompressedClock(5, 1000, lambda: real[0])
    first.start()
    real[0] = 10
    again = CompressedClock(first.now_ns(), 1000, lambda: real[0])
    real[0] = 10_000_000
    again.start()
    assert again.now_ns() == 10_005


def test_a_speed_below_one_is_refused():
    with pytest.raises(ValueError, match="from 1, not 0"):
        CompressedClock(0, 0)


def test_real_monotonic_time_is_the_default():
    clock = CompressedClock(0, 2)
    before = time.monotonic_ns()
    clock.start()
    started = time.monotonic_ns()
    assert clock.now_ns() <= 2 * (time.monotonic_ns() - before)
    now_ns = clock.now_ns()
    assert now_ns <= 2 * (time.monotonic_ns() - before)
    assert started >= before


def test_the_manual_clock_is_never_ahead():
    assert ManualClock().now_ns() == 0
