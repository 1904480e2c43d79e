"""For the tests of feed workers: a running exchange, and the helpers beside them importable by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from feed_place import Place, start  # noqa: E402


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """For tests that leave everything running."""
    yield from start(tmp_path_factory.mktemp("workers"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Place]:
    """For tests that end something."""
    yield from start(tmp_path)
