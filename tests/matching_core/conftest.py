"""Both engines under every test; one alone where CPX_ENGINE asks for it."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from matching_core import ReferenceEngine

TESTS = Path(__file__).resolve().parent.parent
sys.path.append(str(TESTS / "matching_core"))

try:
    from matching_core.engine import Engine as CompiledEngine
except ImportError:
    CompiledEngine = None


def _engine(name):
    if name == "reference":
        return ReferenceEngine
    if os.environ.get("CPX_ENGINE") == "reference":
        pytest.skip("CPX_ENGINE=reference: only the reference engine is tested")
    if CompiledEngine is None:
        pytest.skip("the compiled engine is not built: run ./cpx build")
    return CompiledEngine


# Whoever asks for one engine has had the other: the debug build and the reference are not tested once more each.
ASKED = os.environ.get("CPX_ENGINE", "")


@pytest.fixture(scope="session", params=[ASKED] if ASKED in ("reference", "compiled") else ["reference", "compiled"])
def engine_class(request):
    """Each engine in turn."""
    return _engine(request.param)


@pytest.fixture(scope="session")
def compiled_class():
    """The compiled engine alone."""
    return _engine("compiled")


@pytest.fixture(scope="session")
def reference_class():
    """The reference engine alone."""
    return ReferenceEngine


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def flow():
    """The order-flow generator of tests/bench."""
    pytest.importorskip("numpy")
    return _load("cpx_bench_flow", TESTS / "bench" / "flow.py")


@pytest.fixture(scope="session")
def stream():
    """The random command stream of this folder."""
    return _load("cpx_command_stream", Path(__file__).parent / "stream.py")
