"""For the tests of adapters: helpers by name, and one market day that is run once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "projections", HERE.parent / "domain"):
    sys.path.append(str(folder))

pytest.register_assert_rewrite("store_contract", "link_contract", "stored")

from stored import Sample, dump, filled, run_sample  # noqa: E402


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A demo day of 150 tasks, its journal, its venue, its projections; tests only read it."""
    return run_sample(tmp_path_factory.mktemp("sample") / "day")


@pytest.fixture(scope="session")
def rows(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Every row of that day, written in one go into a file: what each way of writing has to come to."""
    store = filled(f"sqlite:///{tmp_path_factory.mktemp('rows')}/day.db", sample.applied)
    written = dump(store)
    store.close()
    return written
