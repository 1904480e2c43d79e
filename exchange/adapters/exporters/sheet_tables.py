"""A statement as a table: CSV, Parquet, a workbook."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from exchange.adapters.exporters.sheet_words import label, line_words
from exchange.adapters.exporters.writing import text_cell, yuan_cell
from exchange.domain.units import MICRO
from exchange.ports_statements import NotInstalled
from exchange.projections.sheets import Sheet, SheetLine

EXACT_MICRO = 10**15  # a workbook keeps 15 digits of a number
PURSES = ("cash", "held", "escrow", "margin", "bond")
COLUMNS = (
    "line_id,time,kind,what,counterparty,amount,reference,obligation_id,trade_id,reading,fix,instrument,card_hours,price,"
    "load_wh,green_wh"
).split(",")


def needed(module: str, error: ImportError) -> NotInstalled:
    """What to say where an optional package is missing."""
    return NotInstalled(f"{module} is not installed: pip install 'cpx-exchange[reports]' ({error})")


def csv_rows(sheet: Sheet) -> Iterator[Sequence[object]]:
    """Opening, a row per line, closing, hash; the amounts of the rows in between add up."""
    yield COLUMNS
    yield _edge("opening", sheet.opening_micro)
    for line in sheet.lines:
        yield (
            line.line_id, line.time, line.kind, line.what, text_cell(line.counterparty), yuan_cell(line.amount_micro),
            text_cell(line.reference), line.obligation_id or "", line.trade_id, line.reading or "",
            yuan_cell(line.fix_micro) if line.fix_micro else "", text_cell(line.instrument), line.card_hours,
            yuan_cell(line.price_micro) if line.price_micro else "", line.load_wh or "", line.green_wh or "",
        )  # fmt: skip
    yield _edge("closing", sheet.closing_micro)


def _edge(kind: str, micro: int) -> Sequence[object]:
    return "", "", kind, f"{kind} balance", "", yuan_cell(micro), *[""] * (len(COLUMNS) - 6)


def parquet_table(sheet: Sheet) -> bytes:
    """A row per line; amount exact as decimal and as micro-yuan; opening, closing and hash as metadata of the file."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needed("pyarrow", error) from error
    yuan = pa.decimal128(24, 6)
    kinds: list[tuple[str, Any, list[Any]]] = [
        ("participant", pa.string(), [sheet.participant for _ in sheet.lines]),
        ("day", pa.string(), [sheet.day for _ in sheet.lines]),
        ("line_id", pa.string(), [line.line_id for line in sheet.lines]),
        ("time", pa.timestamp("ns", tz="UTC"), [line.time_ns for line in sheet.lines]),
        *((name, pa.string(), [getattr(line, name) for line in sheet.lines]) for name in ("kind", "what", "counterparty")),
        ("amount", yuan, [_decimal(line.amount_micro) for line in sheet.lines]),
        ("amount_micro", pa.int64(), [line.amount_micro for line in sheet.lines]),
        *((name, pa.string(), [getattr(line, name) for line in sheet.lines]) for name in ("reference", "trade_id")),
        ("obligation_id", pa.int64(), [line.obligation_id or None for line in sheet.lines]),
        ("reading", pa.int64(), [line.reading or None for line in sheet.lines]),
        ("instrument", pa.string(), [line.instrument for line in sheet.lines]),
        *(
            (name, pa.string(), [line.parts[place] for line in sheet.lines])
            for place, name in enumerate(("chip", "region", "latency_class", "power"))
        ),
        ("period_start", pa.timestamp("ns", tz="UTC"), [line.period_start_ns or None for line in sheet.lines]),
        ("card_hours", yuan, [_decimal(line.card_hours_micro) for line in sheet.lines]),
        ("price", yuan, [_decimal(line.price_micro) if line.price_micro else None for line in sheet.lines]),
        ("fix", yuan, [_decimal(line.fix_micro) if line.fix_micro else None for line in sheet.lines]),
        ("load_wh", pa.int64(), [line.load_wh for line in sheet.lines]),
        ("green_wh", pa.int64(), [line.green_wh for line in sheet.lines]),
    ]
    told = {
        "cpx.opening": yuan_cell(sheet.opening_micro), "cpx.closing": yuan_cell(sheet.closing_micro), "cpx.hash": sheet.hash,
        "cpx.previous_hash": sheet.previous_hash, "cpx.venue": sheet.venue, "cpx.participant": sheet.participant,
        "cpx.day": sheet.day,
    }  # fmt: skip
    schema = pa.schema([(name, kind) for name, kind, _ in kinds], metadata=told)
    table = pa.table([pa.array(values, type=kind) for _, kind, values in kinds], schema=schema)
    made = io.BytesIO()
    pq.write_table(table, made, compression="zstd")
    return made.getvalue()


def _decimal(micro: int) -> Any:
    from decimal import Decimal

    return Decimal(micro).scaleb(-6)


def xlsx_book(sheet: Sheet, language: str) -> bytes:
    """A sheet of purses and one of lines; the sum under the lines is a formula as well."""
    try:
        import xlsxwriter
    except ImportError as error:
        raise needed("xlsxwriter", error) from error
    made = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(made, options)
    created = datetime.fromtimestamp(sheet.to_ns // 10**9, UTC)
    book.set_properties({"title": f"{sheet.participant} {sheet.day}", "created": created})
    _purse_sheet(book, sheet, language)
    _line_sheet(book, sheet, language)
    book.close()
    return made.getvalue()


def _purse_sheet(book: Any, sheet: Sheet, language: str) -> None:
    page, bold = book.add_worksheet(label("title", language)), book.add_format({"bold": True})
    money = book.add_format({"num_format": "#,##0.00####"})
    page.set_column(0, 0, 30)
    page.set_column(1, 2, 24)
    head = (
        ("participant", sheet.participant), ("day", sheet.day), ("zone", sheet.time_zone), ("hash", sheet.hash),
        ("previous", sheet.previous_hash), ("confirmed", sheet.confirmed or label("unconfirmed", language)),
    )  # fmt: skip
    for number, (name, value) in enumerate([("title", sheet.venue), *head]):
        page.write_string(number, 0, label(name, language), bold)
        page.write_string(number, 1, value)
    first = len(head) + 2
    for column, name in enumerate(("purse", "opening", "closing")):
        page.write_string(first, column, label(name, language), bold)
    rows = [*zip(PURSES, sheet.opening, sheet.closing, strict=True), ("total", sheet.opening_micro, sheet.closing_micro)]
    for number, (name, opening, closing) in enumerate(rows, first + 1):
        page.write_string(number, 0, label(name, language))
        _money(page, number, 1, opening, money)
        _money(page, number, 2, closing, money)


def _line_sheet(book: Any, sheet: Sheet, language: str) -> None:
    page, bold = book.add_worksheet(label("lines", language)), book.add_format({"bold": True})
    money = book.add_format({"num_format": "#,##0.00####"})
    names = ("line", "time", "what", "counterparty", "instrument", "card_hours", "price", "amount", "reference", "trade")
    for column, name in enumerate(names):
        page.write_string(0, column, label(name, language), bold)
    page.set_column(0, len(names) - 1, 20)
    page.freeze_panes(1, 0)
    for number, line in enumerate(sheet.lines, 1):
        words = line_words(line.kind, line.what, line.amount_micro > 0, language)
        texts = {0: line.line_id, 1: line.time, 2: words, 3: line.counterparty, 4: line.instrument}
        texts |= {8: line.reference, 9: line.trade_id}
        for column, text in texts.items():
            page.write_string(number, column, text)
        _measures(page, number, line, money)
    end = len(sheet.lines) + 1
    page.write_string(end, 2, label("lines", language), bold)
    if any(abs(line.amount_micro) >= EXACT_MICRO for line in sheet.lines):  # texts, which a formula would leave out
        _money(page, end, 7, sheet.lines_micro, money)
    elif sheet.lines:
        page.write_formula(end, 7, f"=SUM(H2:H{end})", money, sheet.lines_micro / MICRO)


def _measures(page: Any, number: int, line: SheetLine, money: Any) -> None:
    if line.card_hours_micro:
        _money(page, number, 5, line.card_hours_micro, money)
    if line.price_micro:
        _money(page, number, 6, line.price_micro, money)
    _money(page, number, 7, line.amount_micro, money)


def _money(page: Any, row: int, column: int, micro: int, money: Any) -> None:
    """A number, which a workbook keeps to 15 digits; what is larger is a text with every digit."""
    if abs(micro) < EXACT_MICRO:
        page.write_number(row, column, micro / MICRO, money)
    else:
        page.write_string(row, column, yuan_cell(micro))
