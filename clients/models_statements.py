"""Statements as the client has them: days with their hashes, what is behind a line, files."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from decimal import Decimal

from clients.model import Model
from clients.models_delivery import StatementLine


class StatementDay(Model, frozen=True, kw_only=True):
    """A day that is over in a participant's chain."""

    participant: str
    day: str
    previous_hash: str
    hash: str
    confirmed: datetime | None


class StatementDays(Model, frozen=True, kw_only=True):
    """Days of one participant, oldest first; or the confirmed days of everybody."""

    next_cursor: str | None
    items: tuple[StatementDay, ...]


class LineTrade(Model, frozen=True, kw_only=True):
    """The trade behind a line."""

    trade_id: str
    ts: datetime
    instrument: str
    period_start: datetime
    cards: Decimal
    price: Decimal
    cost: Decimal
    buyer: str
    seller: str
    site: str
    tariff_version: int


class LineReading(Model, frozen=True, kw_only=True):
    """A word on what was delivered."""

    seq: int
    ts: datetime
    number: int
    delivered_cards: Decimal
    is_countersigned: bool
    is_disputed: bool


class LineFix(Model, frozen=True, kw_only=True):
    """The last fix of the instrument."""

    seq: int
    ts: datetime
    price: Decimal
    grade: str
    inputs_hash: str


class LineDetail(Model, frozen=True, kw_only=True):
    """A line of a statement with everything it comes from."""

    participant: str
    day: str
    line: StatementLine
    trade: LineTrade | None
    readings: tuple[LineReading, ...]
    fix: LineFix | None


class StatementFile(Model, frozen=True, kw_only=True):
    """A statement as a file."""

    filename: str
    content_type: str
    content_base64: str

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return b64decode(self.content_base64)
