"""For all tests: where the shared test data is, and how hypothesis behaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: a busy machine is no failure. CI repeats the same examples, so that a red run can be repeated.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("soak", settings.get_profile("default"), max_examples=2_000)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=25)
if os.environ.get("CPX_SOAK"):
    settings.load_profile("soak")
elif os.environ.get("CPX_QUICK"):
    settings.load_profile("quick")
elif os.environ.get("CI"):
    settings.load_profile("ci")
else:
    settings.load_profile("default")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The quick run does not even import a module that is slow as a whole: a third of its time went there."""
    if not os.environ.get("CPX_QUICK") or collection_path.suffix != ".py":
        return None
    return True if "\npytestmark = pytest.mark.slow" in collection_path.read_text(encoding="utf-8") else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public traces and acceptance vectors; a user's machine has only the project."""
    path = Path(os.environ.get("CPX_TEST_DATA") or ROOT.parent / "shared")
    if not path.is_dir():
        pytest.skip(f"no shared test data at {path}: set CPX_TEST_DATA to its folder")
    return path.resolve()
