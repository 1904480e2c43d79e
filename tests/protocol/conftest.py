"""For the tests of the wire: a market day that is driven once, importable by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "projections"):
    sys.path.append(str(folder))

from demo_sample import Sample, run_sample  # noqa: E402


@pytest.fixture(scope="session")
def sample() -> Sample:
    """A demo day of 150 tasks; tests only read it."""
    return run_sample()
