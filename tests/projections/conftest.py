"""For the tests of read models: the builder of small days is importable by name; one full day is driven once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_days import Day, full_day  # noqa: E402


@pytest.fixture(scope="session")
def day() -> Day:
    """A full day; tests only read it."""
    return full_day()
