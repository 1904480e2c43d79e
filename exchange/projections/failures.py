"""What became of lots that were sold and not delivered: cured by a later hour, bought in, or settled in cash (BB2).

A cover or a make-up hour is an obligation of its own: where it fails too, it counts again. Hours that end because
another one of their block broke count as well, as known by their block: so the sums are those of the settlement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exchange.domain.events import Moved, Settled
from exchange.domain.events_delivery import DeliveryFailed
from exchange.domain.events_settlement import BoughtIn, BuyInEnded

SHORT, WITH_BLOCK = "reading", "block"  # how it became known: after the hour, or because another hour of its block broke
LAYERS = ("margin", "pay", "bond", "fund")  # HM6
_LAYER_OF = {"margin": "margin", "cash": "pay", "bond": "bond"}


@dataclass(slots=True)
class Failure:
    """One obligation that failed, in part or whole; lots of its period, micro-yuan."""

    obligation: int
    buyer: str = ""
    seller: str = ""
    instrument: str = ""
    known_by: str = SHORT  # outage | declared | silent | reading | block
    made_up_lots: int = 0
    bought_in_lots: int = 0
    lost_lots: int = 0
    margin_micro: int = 0  # of the seller, for covers that cost more
    refund_micro: int = 0
    damages_micro: int = 0
    cut_micro: int = 0  # damages that nobody could pay

    @property
    def failed_lots(self) -> int:
        """What was not delivered when it should have been."""
        return self.made_up_lots + self.bought_in_lots + self.lost_lots

    @property
    def is_made_whole(self) -> bool:
        """Whether the buyer got his hours elsewhere or later, or his money back with all damages due to him."""
        return self.cut_micro == 0


class Failures:
    """Every obligation that failed, and who paid the damages."""

    def __init__(self) -> None:
        self._found: dict[int, Failure] = {}
        self._is_settled: set[int] = set()
        self.settled_lots = 0  # of all obligations, covers and make-up hours included
        self.damages_by_layer: dict[str, int] = dict.fromkeys(LAYERS, 0)
        self._by_event: dict[type, Callable[[Any], None]] = {
            DeliveryFailed: self._failed, BoughtIn: self._bought_in, BuyInEnded: self._buy_in_ended, Settled: self._settled,
            Moved: self._moved,
        }  # fmt: skip

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes in what a command did; O(events)."""
        for event in events:
            take = self._by_event.get(type(event))
            if take is not None:
                take(event)

    @property
    def failures(self) -> list[Failure]:
        """Those that are decided, in order of their numbers; one whose hour was delivered after all is none."""
        return [self._found[number] for number in sorted(self._is_settled) if self._found[number].failed_lots]

    def _of(self, event: Any) -> Failure:
        found = self._found.setdefault(event.obligation_id, Failure(event.obligation_id))
        found.buyer, found.seller = event.buyer, event.seller
        return found

    def _failed(self, event: DeliveryFailed) -> None:
        found = self._of(event)
        found.instrument, found.known_by = event.instrument, event.reason

    def _bought_in(self, event: BoughtIn) -> None:
        self._of(event).bought_in_lots += event.lots

    def _buy_in_ended(self, event: BuyInEnded) -> None:
        self._of(event).margin_micro += event.margin_micro

    def _settled(self, event: Settled) -> None:
        self.settled_lots += event.lots
        if not (event.lost_lots or event.made_up_lots or event.obligation_id in self._found):
            return
        is_new = event.obligation_id not in self._found
        found = self._of(event)
        if is_new and (event.status == "void" or event.delivered_lots == event.lots):
            found.known_by = WITH_BLOCK
        found.instrument = event.instrument
        found.made_up_lots += event.made_up_lots
        found.lost_lots += event.lost_lots
        found.refund_micro += event.refund_micro
        found.damages_micro += event.damages_micro
        found.cut_micro += event.damages_cut_micro
        self._is_settled.add(event.obligation_id)

    def _moved(self, event: Moved) -> None:
        if event.kind == "damages":
            layer = "fund" if event.from_account == "fund" else _LAYER_OF[event.from_bucket]
            self.damages_by_layer[layer] += event.amount_micro
