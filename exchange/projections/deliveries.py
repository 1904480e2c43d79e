"""What every settled obligation came to."""

from typing import Any

from exchange.domain.events import Settled

AMOUNTS = ("paid", "fee", "moving", "refund", "damages", "damages_cut")  # of Settled, without _micro


class Deliveries:
    """Settled obligations in order of settlement, and their sums."""

    def __init__(self) -> None:
        self.settled: list[Settled] = []

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Keeps what a settlement run decided; O(events)."""
        for event in events:
            if type(event) is Settled:
                self.settled.append(event)

    def totals(self) -> dict[str, int]:
        """Number of obligations, and the sum of each of AMOUNTS in micro-yuan."""
        sums = {name: sum(getattr(item, f"{name}_micro") for item in self.settled) for name in AMOUNTS}
        return {"obligations": len(self.settled), **sums}
