"""A statement as one plain table, made once: every file format is a translation of it and adds nothing.

Amounts are whole micro-yuan and quantities whole millionths of card-hours, so that the lines of every format add up to
closing minus opening. A line leads back to its trade, the last reading and the last fix of its instrument.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.domain.state import SYSTEM_ACCOUNTS
from exchange.domain.units import MICRO, format_scaled
from exchange.ports_statements import DueFacts

NO_FACTS = DueFacts(0)
PAYOUT = "payout"  # the line of an obligation that its quantity and power stand on, once


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line; amount_micro above 0 came in. Texts are "" and numbers 0 where the line is about no obligation.

    card_hours_micro, load_wh and green_wh are those of the obligation and stand on its payout alone: they may be added up.
    """

    line_id: str
    time_ns: int
    time: str
    kind: str
    what: str
    counterparty: str
    amount_micro: int
    reference: str
    obligation_id: int
    trade_id: str
    instrument: str
    period_start_ns: int = 0
    period_end_ns: int = 0
    price_micro: int = 0
    card_hours_micro: int = 0
    load_wh: int = 0
    green_wh: int = 0
    reading: int = 0
    fix_micro: int = 0

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Chip, region, latency class and power of the instrument."""
        chip, region, latency_class, power = (*self.instrument.split("/"), "", "", "", "")[:4]
        return chip, region, latency_class, power

    @property
    def card_hours(self) -> str:
        """As text; "" where the line has none."""
        return format_scaled(self.card_hours_micro, MICRO, 1) if self.card_hours_micro else ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A participant's day; purses are (cash, held, escrow, margin, bond). hash "" = the day is not over, or was quiet."""

    venue: str
    time_zone: str
    participant: str
    day: str
    from_ns: int
    to_ns: int
    is_final: bool
    opening: tuple[int, ...]
    lines: tuple[SheetLine, ...]
    closing: tuple[int, ...]
    hash: str = ""
    previous_hash: str = ""
    confirmed: str = ""

    @property
    def opening_micro(self) -> int:
        """All purses at the day's start."""
        return sum(self.opening)

    @property
    def closing_micro(self) -> int:
        """All purses at the day's end."""
        return sum(self.closing)

    @property
    def lines_micro(self) -> int:
        """Sum of the lines."""
        return sum(line.amount_micro for line in self.lines)

    @property
    def is_system(self) -> bool:
        """Whether it is an account of the exchange itself."""
        return self.participant in SYSTEM_ACCOUNTS

    def check(self) -> None:
        """AssertionError where opening + lines is not the closing."""
        assert self.opening_micro + self.lines_micro == self.closing_micro, (self.participant, self.day)


def facts_for(facts: Mapping[int, DueFacts], obligation_id: int) -> DueFacts:
    """What is known of an obligation; nothing of none."""
    return facts.get(obligation_id, NO_FACTS)
