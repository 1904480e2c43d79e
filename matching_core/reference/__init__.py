"""The same engine in plain Python on sortedcontainers: rulebook, oracle and fallback of the compiled one."""

from .engine import Engine

__all__ = ["Engine"]
