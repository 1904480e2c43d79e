"""What can be asked about statements beside the statement itself."""

from typing import Annotated

from msgspec import Meta

from exchange.protocol.fields import Cursor, Id, Page
from exchange.protocol.requests import Body, Date

FORMATS = (
    "json", "csv", "parquet", "html", "pdf", "xlsx", "focus-csv", "focus-parquet", "beancount", "camt053", "invoice",
)  # fmt: skip
LANGUAGES = ("en", "zh")
Format = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,20}$(?!\n)", description=", ".join(FORMATS))]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}$(?!\n)", description="of html and pdf: en or zh")]
Percent = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$(?!\n)", description="tax rate of the invoice lines in percent", examples=["6"]),
]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="`hash` of the statement that is confirmed")]
LineId = Annotated[str, Meta(pattern=r"^[0-9]{1,16}-[0-9]{1,9}$(?!\n)", description="`line_id` of a line")]


class StatementFileOf(Body, frozen=True, kw_only=True):
    """The statement of one day as a file."""

    day: Date
    format: Format
    language: Language = "en"
    tax: Percent = "6"
    participant: Id | None = None


class StatementLineOf(Body, frozen=True, kw_only=True):
    """Trade, readings and fix behind one line of a day."""

    day: Date
    line_id: LineId
    participant: Id | None = None


class StatementDaysOf(Body, frozen=True, kw_only=True):
    """Days that are over, oldest first, with their hashes."""

    limit: Page = 100
    cursor: Cursor | None = None
    participant: Id | None = None


class StatementConfirmed(Body, frozen=True, kw_only=True):
    """The participant agrees with the statement of a day, named by its hash; again changes nothing."""

    day: Date
    hash: Hash
    participant: Id | None = None
