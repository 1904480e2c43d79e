"""Faults of the live server; helpers beside the tests, the small market of the REST tests and the PostgreSQL server of
the adapters' tests are importable by name."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "rest")]
sys.path.append(str(HERE.parents[1] / "adapters"))
