"""What was for sale: of every region and delivery period the lots attested, sold, and left unsold when their gate closed.

Offered is what was sold and what was left; lots that were taken back before (withdrawn, paused, curtailed, an outage,
margin) count apart. A busted trade was not sold. Lots made up in a later hour were never offered in it and are no part.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from exchange.domain.commands import AddSite, AttestCapacity
from exchange.domain.events import OfferEnded, OfferPlaced, Refused
from exchange.domain.units import NS_PER_MINUTE
from exchange.projections.calendar import Calendar
from exchange.projections.tape import Tape, instrument_parts

AT_GATE = ("gate", "notice")  # reasons of OfferEnded: it stood there until nobody could buy it any more


@dataclass(slots=True)
class Capacity:
    """Lots, summed over periods: attested by the operator, sold, left unsold, taken back before the gate."""

    attested_lots: int = 0
    sold_lots: int = 0
    unsold_lots: int = 0
    taken_back_lots: int = 0

    def add(self, other: "Capacity") -> None:
        """Takes another one in."""
        self.attested_lots += other.attested_lots
        self.sold_lots += other.sold_lots
        self.unsold_lots += other.unsold_lots
        self.taken_back_lots += other.taken_back_lots

    @property
    def offered_lots(self) -> int:
        """What could be bought to the end."""
        return self.sold_lots + self.unsold_lots


class Supply:
    """Follows sites, attestations and offers; what was sold is on the tape."""

    def __init__(self, calendar: Calendar, tape: Tape) -> None:
        self._calendar, self._tape = calendar, tape
        self._now_ns = 0
        self._region: dict[str, str] = {}  # site -> its region
        self._offer_region: dict[tuple[str, str], str] = {}  # of the last offer of that name
        self._words: dict[tuple[str, str], list[AttestCapacity]] = {}  # site, chip -> in order, the last one counts
        self._ended: Counter[tuple[bool, str, int]] = Counter()  # at its gate, region, start of the period -> lots

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Any) -> None:
        """Takes in what came to the market and what left it; O(events)."""
        self._now_ns = ts_ns
        if type(command) is AddSite and type(events[0]) is not Refused:
            self._region[command.site] = command.region
        elif type(command) is AttestCapacity and type(events[0]) is not Refused:
            self._words.setdefault((command.site, command.chip), []).append(command)
        for event in events:
            if type(event) is OfferEnded:
                region = self._offer_region[event.participant, event.offer_id]
                self._ended[event.reason in AT_GATE, region, event.period_start_ns] += event.lots
            elif type(event) is OfferPlaced:
                self._offer_region[event.participant, event.offer_id] = event.region

    def by_day(self, days: Iterable[date]) -> dict[date, dict[str, Capacity]]:
        """Day of delivery -> region -> sums over its periods whose gate has closed, in order.

        Of these days and every other on which an offer ended. O(trades and ends, and days x periods x attestations).
        """
        end_ns = self._now_ns + self._calendar.settings.gate_min * NS_PER_MINUTE + 1
        found: dict[date, dict[str, Capacity]] = {day: {} for day in days}

        def place(period_ns: int, region: str) -> Capacity:
            return found.setdefault(self._calendar.day(period_ns), {}).setdefault(region, Capacity())

        for trade in self._tape.trades:
            fact = trade.fact
            if fact.period_start_ns < end_ns and fact.obligation_id not in self._tape.busted:
                place(fact.period_start_ns, instrument_parts(fact.instrument).region).sold_lots += fact.lots
        for (is_at_gate, region, period_ns), lots in self._ended.items():
            if period_ns < end_ns and is_at_gate:
                place(period_ns, region).unsold_lots += lots
            elif period_ns < end_ns:
                place(period_ns, region).taken_back_lots += lots
        for day, of_regions in found.items():
            periods = self._periods(*self._calendar.day_span(day), end_ns)
            for (site, _), words in self._words.items():
                if lots := sum(self._attested(words, period_ns) for period_ns in periods):
                    of_regions.setdefault(self._region[site], Capacity()).attested_lots += lots
        return {day: dict(sorted(found[day].items())) for day in sorted(found)}

    def _periods(self, start_ns: int, day_end_ns: int, end_ns: int) -> range:
        period_ns = self._calendar.settings.period_min * NS_PER_MINUTE
        return range(-(-start_ns // period_ns) * period_ns, min(day_end_ns, end_ns), period_ns)

    @staticmethod
    def _attested(words: list[AttestCapacity], period_ns: int) -> int:
        return next((word.lots for word in reversed(words) if word.start_ns <= period_ns < word.end_ns), 0)
