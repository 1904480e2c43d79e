"""Files that are whole or not there, and cells that a spreadsheet takes for what they are.

A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does one that begins with an
apostrophe: the way back is always to drop one.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from exchange.domain.units import format_micro

# The same amounts and codes come again and again in a run; the text of each is made once while it is remembered.
yuan_cell = lru_cache(1 << 16)(format_micro)

FORMULA_STARTS = (
    "=+-@\uff1d\uff0b\uff0d\uff20"  # the last four are full-width: some spreadsheets read them alike
)


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file that appears under its name only when everything is written; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """A CSV file of these rows; the path."""
    with whole_file(path) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def write_small(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    """Like `write_rows`, from memory; a file that holds these bytes already is left alone (many are, after a resume)."""
    made = io.StringIO(newline="")
    csv.writer(made, lineterminator="\n").writerows(rows)
    text = made.getvalue()
    if path.is_file() and path.read_bytes() == text.encode("utf-8", "backslashreplace"):
        return path
    with whole_file(path) as file:
        file.write(text)
    return path


def text_cell(text: str) -> str:
    """A text from outside as a cell that no spreadsheet runs."""
    start = text.lstrip()[:1]
    if start and start in FORMULA_STARTS or text[:1] in ("'", "\t", "\r", "\n"):
        return "'" + text
    return text


def cell_text(cell: str) -> str:
    """The text that `text_cell` made a cell from."""
    return cell[1:] if cell.startswith("'") else cell
