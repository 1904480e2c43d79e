"""For the engine's tests: the toy venue is importable by name, and small journals are one call."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
