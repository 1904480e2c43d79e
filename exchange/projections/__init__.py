"""Read models made only from applied commands and their events: drop them, replay, get the same ones."""

from exchange.projections.bundle import Projections

__all__ = ["Projections"]
