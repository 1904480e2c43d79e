"""A statement in every file format: each translates the same sheet (docs/guides/statements.md)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from exchange.adapters.exporters.csv_files import FileNames
from exchange.adapters.exporters.sheet_books import beancount_text
from exchange.adapters.exporters.sheet_camt import camt053
from exchange.adapters.exporters.sheet_focus import focus_rows, focus_table
from exchange.adapters.exporters.sheet_invoice import invoice_rows
from exchange.adapters.exporters.sheet_pages import html_page, pdf_pages
from exchange.adapters.exporters.sheet_tables import csv_rows, parquet_table, xlsx_book
from exchange.ports_statements import MadeFile
from exchange.projections.sheets import Sheet

PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    made = io.StringIO(newline="")
    # a lone carriage return is not quoted by the writer, and ends a row for many a reader
    csv.writer(made, lineterminator="\n").writerows([str(cell).replace("\r", " ") for cell in row] for row in rows)
    return made.getvalue().encode("utf-8", "backslashreplace")


Writer = Callable[[Sheet, str, int], bytes]

# format -> (ending of the name, content type, writer of (sheet, language, tax in millionths))
WRITERS: dict[str, tuple[str, str, Writer]] = {
    "csv": (".csv", CSV, lambda sheet, language, tax: _csv(csv_rows(sheet))),
    "parquet": (".parquet", PARQUET, lambda sheet, language, tax: parquet_table(sheet)),
    "html": (".html", "text/html; charset=utf-8", lambda sheet, language, tax: html_page(sheet, language)),
    "pdf": (".pdf", "application/pdf", lambda sheet, language, tax: pdf_pages(sheet, language)),
    "xlsx": (".xlsx", XLSX, lambda sheet, language, tax: xlsx_book(sheet, language)),
    "focus-csv": ("-focus.csv", CSV, lambda sheet, language, tax: _csv(focus_rows(sheet))),
    "focus-parquet": ("-focus.parquet", PARQUET, lambda sheet, language, tax: focus_table(sheet)),
    "beancount": (".beancount", "text/plain; charset=utf-8", lambda sheet, language, tax: beancount_text(sheet)),
    "camt053": ("-camt053.xml", "application/xml", lambda sheet, language, tax: camt053(sheet)),
    "invoice": ("-invoice.csv", CSV, lambda sheet, language, tax: _csv(invoice_rows(sheet, tax))),
}


def make_file(sheet: Sheet, format: str, language: str = "en", tax_ppm: int = 60_000) -> MadeFile:
    """The statement as a file; NotInstalled where a package is missing, KeyError for a format that is none."""
    ending, content_type, writer = WRITERS[format]
    sheet.check()
    name = f"statement-{FileNames().of(sheet.participant)}-{sheet.day}{ending}"
    return MadeFile(name, content_type, writer(sheet, language, tax_ppm))
