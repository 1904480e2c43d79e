"""CSV rows with errors that a person can act on: what is wrong, where, and what would be right.

Rules kept here:
1. One record is one line. A quoted cell may hold commas and doubled quotes, never a line break.
2. Nothing that a file holds raises out of a reader: a line becomes a value or a Problem (its first fault).
3. Everything is bounded: a line has at most MAX_LINE_BYTES, a file at most MAX_PROBLEMS before reading stops.
4. Numbers are decimal text read into integers; times are RFC 3339 with an offset. No float, no locale.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from exchange.domain import units
from exchange.domain.units import UnitError, parse_scaled

T = TypeVar("T")

MAX_LINE_BYTES = 65_536
MAX_PROBLEMS = 10_000
MAX_CODE_LENGTH = 36

PROBLEM_CODES = {
    "unreadable": "the file cannot be opened or read",
    "empty_file": "the file has no header line",
    "unknown_header": "the header is none that is known",
    "missing_column": "the header lacks a column that every row needs",
    "unknown_column": "the header names a column that this kind of file does not have",
    "duplicate_column": "the header names a column twice",
    "too_many_problems": "reading stopped after so many bad lines",
    "line_too_long": "the line is longer than a record can be",
    "encoding": "the line is not UTF-8",
    "nul": "the line holds a NUL byte",
    "quotes": "a quoted cell does not end where it should",
    "cell_count": "the line has more or fewer cells than the header",
    "missing": "a cell that must be filled is empty",
    "code": "the cell is not written like a code",
    "reserved": "the name belongs to the exchange itself",
    "unknown_code": "the code is not in the catalogue",
    "number": "the cell is not a decimal number that fits",
    "too_small": "the number is below what makes sense",
    "too_large": "the number is above what the venue can hold",
    "off_tick": "the price is not a whole number of ticks",
    "not_whole_lots": "the cards are not a whole number of lots",
    "not_whole_periods": "the time is not the start of a period",
    "time": "the cell is not an RFC 3339 time with an offset",
    "time_order": "one time lies before another that it must follow",
    "choice": "the cell is none of the words allowed there",
    "duplicate": "the same thing is said twice",
    "conflict": "two cells or two rows contradict each other",
    "json": "the file is not JSON of the expected shape",
    "not_monotone": "a slower latency class is promised faster than a quicker one",
}

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]*", re.ASCII)
_CELL = r'(?:"(?:[^"]|"")*"|[^",]*)'
_QUOTED_LINE = re.compile(f"{_CELL}(?:,{_CELL})*")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: `line` counts from 1 (the header), 0 means the file as a whole."""

    file: str
    line: int
    column: str
    code: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.column}: {self.message}" if self.column else f"{where}: {self.message}"


class DataError(ValueError):
    """A file that must be whole is not; `problems` lists everything found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        shown = [str(problem) for problem in problems[:20]]
        if len(problems) > len(shown):
            shown.append(f"… and {len(problems) - len(shown)} more")
        super().__init__("\n".join(shown))


class CellError(ValueError):
    """A cell that cannot be read; the reader turns it into a Problem of its line."""

    def __init__(self, column: str, code: str, message: str) -> None:
        self.column, self.code, self.message = column, code, message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Columns:
    """The header of one kind of file; `is_closed` refuses columns that are neither required nor optional."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    is_closed: bool = True


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A value with the place it was read from."""

    value: T
    file: str
    line: int


def parse_time_ns(text: str, column: str = "time") -> int:
    """RFC 3339 text with Z or an offset as ns since 1970 UTC; CellError(time) for anything else."""
    try:
        return units.parse_time_ns(text)
    except UnitError as error:
        raise CellError(column, "time", str(error)) from None


def shown(text: str) -> str:
    """A cell as it may stand in a message: quoted, at most 40 characters, control characters escaped."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def check_code(text: str, column: str) -> str:
    """The text if it is written like a code; CellError(code) otherwise."""
    if len(text) > MAX_CODE_LENGTH or _CODE.fullmatch(text) is None:
        right = f"1 to {MAX_CODE_LENGTH} of A-Z a-z 0-9 . _ : -, a letter or digit first"
        raise CellError(column, "code", f"{shown(text)} is not a code: {right}")
    return text


class Cells:
    """One record: its cells by column, read by methods that raise CellError and say what would be right."""

    __slots__ = ("_by_column", "file", "line")

    def __init__(self, by_column: dict[str, str], file: str = "", line: int = 0) -> None:
        self._by_column = by_column
        self.file = file
        self.line = line

    def text(self, column: str) -> str:
        """The cell without outer spaces; "" where the cell or its column is absent."""
        return self._by_column.get(column, "")

    def required(self, column: str) -> str:
        """The cell; CellError(missing) where it is empty."""
        text = self.text(column)
        if not text:
            raise CellError(column, "missing", "is empty and must be filled")
        return text

    def code(self, column: str) -> str:
        """A code that must be there."""
        return check_code(self.required(column), column)

    def code_or_empty(self, column: str) -> str:
        """A code, or "" where the cell is empty."""
        text = self.text(column)
        return check_code(text, column) if text else ""

    def codes(self, column: str) -> tuple[str, ...]:
        """Codes between bars (a|b), each once; () where the cell is empty."""
        text = self.text(column)
        found = tuple(check_code(part.strip(), column) for part in text.split("|")) if text else ()
        if len(set(found)) != len(found):
            raise CellError(column, "duplicate", f"{shown(text)} names a code twice; name each once")
        return found

    def choice(self, column: str, allowed: tuple[str, ...], default: str = "") -> str:
        """One of the allowed words, the default where the cell is empty and a default is given."""
        text = self.text(column) or default
        if text not in allowed:
            raise CellError(column, "choice", f"{shown(text)} is none of {', '.join(allowed)}")
        return text

    def flag(self, column: str) -> bool:
        """yes or no (also true/false, 1/0); False where the cell is empty."""
        return self.choice(column, ("yes", "no", "true", "false", "1", "0"), "no") in ("yes", "true", "1")

    def scaled(self, column: str, scale: int, lowest: int, highest: int) -> int:
        """A decimal as an integer of 1/scale units within [lowest, highest], both in those units."""
        text = self.required(column)
        try:
            value = parse_scaled(text, scale, "value")
        except UnitError as error:
            raise CellError(column, "number", str(error)) from None
        if value < lowest:
            floor = "above 0" if lowest == 1 else f"at least {lowest // scale}"
            raise CellError(column, "too_small", f"{shown(text)} is too small; it must be {floor}")
        if value > highest:
            raise CellError(column, "too_large", f"{shown(text)} is too large; at most {highest // scale}")
        return value

    def scaled_or(self, column: str, scale: int, lowest: int, highest: int, default: int) -> int:
        """As `scaled`, and the default where the cell is empty."""
        return self.scaled(column, scale, lowest, highest) if self.text(column) else default

    def time_ns(self, column: str) -> int:
        """An RFC 3339 time that must be there, as ns since 1970 UTC."""
        return parse_time_ns(self.required(column), column)

    def time_ns_or(self, column: str, default: int) -> int:
        """As `time_ns`, and the default where the cell is empty."""
        return self.time_ns(column) if self.text(column) else default


def read_records(path: Path, columns: Columns, build: Callable[[Cells], T]) -> Iterator[Placed[T] | Problem]:
    """Streams a file's records through `build`; a bad line is a Problem, a bad header ends the reading."""
    name = path.name
    lines = read_lines(path)
    header = next(
        lines, Problem(name, 0, "", "empty_file", f"has no header; it should be {','.join(columns.required)}")
    )
    if isinstance(header, Problem):
        yield header
        return
    names = header[1]
    faults = list(header_problems(name, names, columns))
    yield from faults
    if faults:
        return
    bad = 0
    for found in lines:
        outcome = found if isinstance(found, Problem) else _build_record(name, names, found, build)
        yield outcome
        bad += isinstance(outcome, Problem)
        if bad >= MAX_PROBLEMS:
            yield Problem(
                name,
                outcome.line,
                "",
                "too_many_problems",
                f"reading stopped after {bad} bad lines; mend these first",
            )
            return


def _build_record(
    name: str, names: list[str], found: tuple[int, list[str]], build: Callable[[Cells], T]
) -> Placed[T] | Problem:
    line, cells = found
    if len(cells) != len(names):
        return Problem(
            name, line, "", "cell_count", f"has {len(cells)} cells where the header has {len(names)}"
        )
    try:
        return Placed(build(Cells(dict(zip(names, cells, strict=True)), name, line)), name, line)
    except CellError as error:
        return Problem(name, line, error.column, error.code, error.message)


def header_problems(name: str, names: list[str], columns: Columns) -> Iterator[Problem]:
    """What is wrong with a header, one Problem each."""
    for column in columns.required:
        if column not in names:
            message = f"the header lacks {column}; it needs {','.join(columns.required)}"
            yield Problem(name, 1, column, "missing_column", message)
    known = columns.required + columns.optional
    for index, column in enumerate(names):
        if column in names[:index]:
            yield Problem(
                name,
                1,
                shown(column),
                "duplicate_column",
                "stands twice in the header; name each column once",
            )
        elif columns.is_closed and column not in known:
            message = f"is no column of this kind of file; known are {','.join(known)}"
            yield Problem(name, 1, shown(column), "unknown_column", message)


def read_lines(path: Path) -> Iterator[tuple[int, list[str]] | Problem]:
    """The file's lines as (line number, trimmed cells); blank ones are skipped, bad ones are Problems."""
    name = path.name
    try:
        with path.open("rb") as file:
            yield from _split_lines(name, file)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
        reason = getattr(error, "strerror", None) or "not a usable path"
        yield Problem(name, 0, "", "unreadable", f"cannot be read ({reason}); give the path of a CSV file")


def _split_lines(name: str, file: BinaryIO) -> Iterator[tuple[int, list[str]] | Problem]:
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE_BYTES)
            yield Problem(
                name, number, "", "line_too_long", f"is longer than {MAX_LINE_BYTES} bytes; shorten its cells"
            )
            continue
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        parsed = _split_cells(name, number, raw.rstrip(b"\r\n"))
        if parsed is not None:
            yield parsed


def _split_cells(name: str, number: int, raw: bytes) -> tuple[int, list[str]] | Problem | None:
    if not raw.strip():
        return None
    if b"\0" in raw:
        return Problem(name, number, "", "nul", "holds a NUL byte; save the file as plain UTF-8 text")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(
            name, number, "", "encoding", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        )
    if '"' in text and _QUOTED_LINE.fullmatch(text) is None:
        message = 'a quote stands where none may; write "a, ""b"" c" and keep a cell on one line'
        return Problem(name, number, "", "quotes", message)
    try:
        cells = next(csv.reader([text], strict=True))
    except csv.Error as error:
        return Problem(name, number, "", "quotes", f"{error}; end lines with a line feed")
    return number, [cell.strip() for cell in cells]
