"""For the tests of the REST door: `world` is importable by name, and one live server serves a whole module."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from world import World, running_world  # noqa: E402 - its folder is known only now


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running_world(tmp_path_factory.mktemp("rest") / "exchange") as made:
        assert isinstance(made, World)
        yield made
