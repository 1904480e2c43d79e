"""The kinds of text and number that a wire message may hold; money, prices and quantities are decimal strings, never floats."""

from typing import Annotated

from msgspec import Meta

# Python's $ matches before a last line feed as well; (?!\n) says that we mean the end.
MAX_ID = 36
MAX_CODE = 80
MAX_LIST = 64
MAX_PAGE = 1000

Decimal = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,9})?$(?!\n)",
        max_length=29,
        description="a decimal number as text: no exponent, at most 18 digits before and 9 after the point",
        examples=["8.50"],
    ),
]
Time = Annotated[
    str,
    Meta(
        max_length=40,
        description="RFC 3339 with Z or an offset, at most nine decimals",
        examples=["2026-11-24T12:00:00+08:00"],
    ),
]
Nanoseconds = Annotated[
    str, Meta(pattern=r"^[0-9]{1,19}$(?!\n)", description="ns since 1970 UTC, as text: it does not fit a double")
]
Id = Annotated[
    str,
    Meta(pattern=r"^[ -~]+$(?!\n)", min_length=1, max_length=MAX_ID, description="1 to 36 printable ASCII characters"),
]
Code = Annotated[str, Meta(pattern=r"^[!-~]+$(?!\n)", min_length=1, max_length=MAX_CODE, description="a code of the catalogue")]
Instrument = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]+$(?!\n)", min_length=1, max_length=MAX_CODE,
        description="chip/region/class/power/period", examples=["A910B/gansu-qingyang/L10/grid/20261124T08"],
    ),
]  # fmt: skip
Topic = Annotated[
    str,
    Meta(
        pattern=r"^[ -~]+$(?!\n)", min_length=1, max_length=3000,
        description="what a channel is about: an instrument, a pattern of instruments, or the topic of a lane view",
    ),
]  # fmt: skip
Word = Annotated[str, Meta(pattern=r"^[A-Za-z_-]+$(?!\n)", min_length=1, max_length=MAX_ID)]
Seq = Annotated[int, Meta(ge=0, lt=2**53)]
Count = Annotated[int, Meta(ge=0, lt=2**53)]
Page = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="rows per page")]
Cursor = Annotated[str, Meta(min_length=1, max_length=200, description="`next_cursor` of the page before")]
