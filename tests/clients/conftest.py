"""For the SDK's tests: helpers of this folder importable by name, and one live exchange per test process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from live_market import LiveMarket, live_market  # noqa: E402


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveMarket]:
    """A market with a manual clock, a chip, a region, a buyer and a seller; tests bring ids of their own."""
    with live_market(tmp_path_factory.mktemp("exchange") / "market") as found:
        yield found
