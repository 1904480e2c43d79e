"""What books and orders cost in memory, and that memory goes back: measured on the resident set of a child process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,  # each measurement fills an engine in a process of its own
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident set is read from /proc"),
]

HUGE_PAGE = 2 * 1024 * 1024
IDLE_BOOK_BYTES = 256
THIN_BOOK_BYTES = 4096
PASSING_BOOK_BYTES = 16
RESTING_ORDER_BYTES = 128


def measured(compiled_class, what, size):
    """The figures of one measurement; the child finds the package where this process has found it."""
    script = Path(__file__).parent / "memory_use.py"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONMALLOC": "malloc"}
    done = subprocess.run(
        [sys.executable, str(script), what, str(size)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_idle_book_costs_four_cache_lines_at_most(compiled_class):
    assert measured(compiled_class, "idle_books", 200_000)["bytes_each"] <= IDLE_BOOK_BYTES


def test_a_book_that_nobody_listed_costs_nothing_when_its_order_has_gone(compiled_class):
    assert measured(compiled_class, "passing_books", 800_000)["bytes_each"] <= PASSING_BOOK_BYTES


def test_a_book_with_one_order_on_each_side_costs_a_page_at_most(compiled_class):
    assert measured(compiled_class, "thin_books", 40_000)["bytes_each"] <= THIN_BOOK_BYTES


def test_a_resting_order_costs_two_cache_lines_at_most(compiled_class):
    assert measured(compiled_class, "resting_orders", 400_000)["bytes_each"] <= RESTING_ORDER_BYTES


def check_mass_expiry(compiled_class, size):
    figures = measured(compiled_class, "mass_expiry", size)
    assert figures["growth"] >= 64 * size  # else nothing was measured
    assert figures["left"] <= figures["growth"] // 5 + HUGE_PAGE


def check_rolling_week(compiled_class, size):
    figures = measured(compiled_class, "rolling_week", size)
    assert figures["end"] <= figures["half"] * 103 // 100 + HUGE_PAGE


def test_memory_goes_back_when_all_orders_have_expired(compiled_class):
    check_mass_expiry(compiled_class, 500_000)


def test_books_that_are_listed_and_retired_leave_nothing_behind(compiled_class):
    check_rolling_week(compiled_class, 100_000)


@pytest.mark.soak
def test_memory_goes_back_when_a_million_orders_have_expired(compiled_class):
    check_mass_expiry(compiled_class, 1_000_000)


@pytest.mark.soak
def test_a_million_books_that_are_listed_and_retired_leave_nothing_behind(compiled_class):
    check_rolling_week(compiled_class, 1_000_000)
