"""What statements need beside the tables: facts of obligations, the chain of hashes with its confirmations, files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class DueFacts:
    """Where a line leads: trade_seq 0 = no trade, reading 0 = none came, fix_micro 0 = the instrument has no fix."""

    obligation_id: int
    trade_seq: int = 0
    trade_place: int = 0
    period_start_ns: int = 0
    period_end_ns: int = 0
    load_wh: int = 0
    green_wh: int = 0
    reading: int = 0
    fix_micro: int = 0

    @property
    def trade_id(self) -> str:
        """As the public tape names it."""
        return f"{self.trade_seq}-{self.trade_place}" if self.trade_seq else ""


class ChainRow(NamedTuple):
    """A day that is over: its hash covers that of the day before with activity. confirmed_ns 0 = not confirmed."""

    participant: str
    day: str
    previous_hash: str
    hash: str
    confirmed_ns: int = 0


class Chains(Protocol):
    """Where hashes and confirmations are kept; they survive a restart. Any thread may call."""

    def last(self, participant: str) -> ChainRow | None:
        """The newest day of a participant's chain."""
        ...

    def find(self, participant: str, day: str) -> ChainRow | None:
        """One day of the chain."""
        ...

    def add(self, row: ChainRow) -> None:
        """The next day of a chain; one that is there already stays as it is."""
        ...

    def confirm(self, participant: str, day: str, confirmed_ns: int) -> ChainRow:
        """Notes that the participant agrees with a day; the first time counts."""
        ...

    def days(self, participant: str, after: str, limit: int) -> Sequence[ChainRow]:
        """A participant's days in order, those behind `after`."""
        ...

    def confirmed(self, after: tuple[str, str], limit: int) -> Sequence[ChainRow]:
        """Everybody's confirmed days by (participant, day), those behind `after`."""
        ...


class MadeFile(NamedTuple):
    """A file of a statement."""

    filename: str
    content_type: str
    content: bytes


class NotInstalled(Exception):
    """A format needs an optional package that is not there; the message says how to install it."""
