"""For the venue's tests: worlds, the brute force and the scenario runner are importable by name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
