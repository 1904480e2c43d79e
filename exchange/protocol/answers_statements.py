"""What the doors answer about statements: days with their hashes, what is behind a line, files, confirmations."""

from exchange.protocol.answers import Answer, Page
from exchange.protocol.answers_delivery import StatementLine

FILE_TYPES = (
    "text/csv", "application/vnd.apache.parquet", "text/html", "application/pdf", "text/plain", "application/xml",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)  # fmt: skip


class StatementDay(Answer, frozen=True, kw_only=True):
    """A day that is over in a participant's chain."""

    participant: str
    day: str
    previous_hash: str
    hash: str
    confirmed: str | None


class StatementDays(Page, frozen=True, kw_only=True):
    """Days of one participant, oldest first; or the confirmed days of everybody."""

    items: tuple[StatementDay, ...]


class LineTrade(Answer, frozen=True, kw_only=True):
    """The trade behind a line."""

    trade_id: str
    ts: str
    instrument: str
    period_start: str
    cards: str
    price: str
    cost: str
    buyer: str
    seller: str
    site: str
    tariff_version: int


class LineReading(Answer, frozen=True, kw_only=True):
    """A word on what was delivered."""

    seq: int
    ts: str
    number: int
    delivered_cards: str
    is_countersigned: bool
    is_disputed: bool


class LineFix(Answer, frozen=True, kw_only=True):
    """The last fix of the instrument."""

    seq: int
    ts: str
    price: str
    grade: str
    inputs_hash: str


class LineDetail(Answer, frozen=True, kw_only=True):
    """A line of a statement with everything it comes from; null and empty where there is nothing of the kind."""

    participant: str
    day: str
    line: StatementLine
    trade: LineTrade | None
    readings: tuple[LineReading, ...]
    fix: LineFix | None


class StatementFile(Answer, frozen=True, kw_only=True):
    """A statement as a file; over REST without `accept: application/json` its bytes alone are the answer."""

    filename: str
    content_type: str
    content_base64: str
