"""A statement for people: one HTML file that loads nothing, and PDF set by typst with a font that comes with the package."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import as_file, files
from typing import Any

from exchange.adapters.exporters.sheet_tables import PURSES, needed
from exchange.adapters.exporters.sheet_words import label, line_words
from exchange.adapters.exporters.writing import yuan_cell
from exchange.projections.sheets import Sheet

MOST_TAGGED = 1_000  # lines: tags are what a screen reader reads, and half the time and size of a long document
LINE_COLUMNS = ("time", "what", "counterparty", "instrument", "card_hours", "price", "amount")
_RIGHT = frozenset(("card_hours", "price", "amount"))
_STYLE = """
body{font:14px/1.5 "Noto Sans SC","PingFang SC","Microsoft YaHei",system-ui,sans-serif;color:#1a1a1a;max-width:1100px;
margin:2rem auto;padding:0 1rem}
h1{font-size:22px;margin:0 0 .2rem}table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{padding:.3rem .5rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.m{color:#666}code{font-size:12px;word-break:break-all}tfoot td,tr.t td{font-weight:600;border-top:2px solid #444}
@media (prefers-color-scheme:dark){body{background:#121212;color:#eee}th,td{border-color:#333}.m{color:#999}}
"""


def contents(sheet: Sheet, language: str) -> dict[str, Any]:
    """All texts of the page, amounts as decimal yuan."""

    def say(name: str) -> str:
        return label(name, language)

    purses = zip(PURSES, sheet.opening, sheet.closing, strict=True)
    return {
        "language": language, "title": say("title"), "venue": sheet.venue,
        "head": [
            [say("participant"), sheet.participant], [say("day"), f"{sheet.day} ({sheet.time_zone})"],
            ["", say("final" if sheet.is_final else "open")],
        ],
        "sums": [
            [say("opening"), yuan_cell(sheet.opening_micro)], [say("lines"), yuan_cell(sheet.lines_micro)],
            [say("closing"), yuan_cell(sheet.closing_micro)],
        ],
        "purse_columns": [say("purse"), say("opening"), say("closing")],
        "purses": [
            *([say(name), yuan_cell(opening), yuan_cell(closing)] for name, opening, closing in purses),
            [say("total"), yuan_cell(sheet.opening_micro), yuan_cell(sheet.closing_micro)],
        ],
        "columns": [say(name) for name in LINE_COLUMNS],
        "lines": [
            [
                line.time[:19].replace("T", " "), line_words(line.kind, line.what, line.amount_micro > 0, language),
                line.counterparty, line.instrument, line.card_hours, yuan_cell(line.price_micro) if line.price_micro else "",
                yuan_cell(line.amount_micro), line.line_id, line.trade_id, line.reference,
            ]
            for line in sheet.lines
        ],
        "total": [say("lines"), yuan_cell(sheet.lines_micro)], "none": say("none"),
        "proof": [
            [say("hash"), sheet.hash or say("open")], [say("previous"), sheet.previous_hash or "—"],
            [say("confirmed"), sheet.confirmed or say("unconfirmed")],
        ],
        "page": say("page"),
    }  # fmt: skip


def html_page(sheet: Sheet, language: str) -> bytes:
    """The page; every text that came from outside is escaped."""
    c = contents(sheet, language)
    head = "".join(f"<span class=m>{escape(name)}</span> {escape(value)} &nbsp; " for name, value in c["head"])
    parts = [
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(c['title'])} {escape(sheet.participant)} {sheet.day}</title><style>{_STYLE}</style>",
        f"<h1>{escape(c['title'])}</h1><p class=m>{escape(c['venue'])}</p><p>{head}</p>",
        _html_table(c["purse_columns"], c["purses"], numbers={1, 2}),
    ]
    lines = [[*row[:7]] for row in c["lines"]]
    ids = [f"{label('line', language)} {row[7]} · {label('trade', language)} {row[8]} · {row[9]}" for row in c["lines"]]
    numbers = {place for place, name in enumerate(LINE_COLUMNS) if name in _RIGHT}
    if lines:
        lines.append([c["total"][0], *[""] * (len(LINE_COLUMNS) - 2), c["total"][1]])
        parts.append(_html_table(c["columns"], lines, numbers=numbers, hints=ids))
    else:
        parts.append(f"<p>{escape(c['none'])}</p>")
    parts += [f"<p class=m>{escape(name)}<br><code>{escape(value)}</code></p>" for name, value in c["proof"]]
    return ("\n".join(parts) + "\n</html>\n").encode("utf-8", "backslashreplace")


def _html_table(columns: list[str], rows: list[list[str]], *, numbers: set[int], hints: list[str] | None = None) -> str:
    """A table whose last row is the total; a hint is what a row leads to."""

    def cell(tag: str, place: int, text: str) -> str:
        kind = " class=n" if place in numbers else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    made = ["<table><thead><tr>", *(cell("th", place, text) for place, text in enumerate(columns)), "</tr></thead><tbody>"]
    for number, row in enumerate(rows):
        is_last = number == len(rows) - 1
        hint = f' title="{escape(hints[number])}"' if hints and number < len(hints) else ""
        made.append(f"<tr{' class=t' if is_last else ''}{hint}>")
        made += [cell("td", place, text) for place, text in enumerate(row)]
        made.append("</tr>")
    return "".join([*made, "</tbody></table>"])


def pdf_pages(sheet: Sheet, language: str) -> bytes:
    """The pages as PDF; the same sheet gives the same bytes. Seconds where there are thousands of lines."""
    try:
        import typst
    except ImportError as error:
        raise needed("typst", error) from error
    data = files("exchange.data")
    told = {"contents": json.dumps(contents(sheet, language), ensure_ascii=False), "day": sheet.day}
    with as_file(data.joinpath("statement.typ")) as template, as_file(data.joinpath("fonts")) as fonts:
        return typst.compile(
            template, font_paths=[fonts], ignore_system_fonts=True, sys_inputs=told, format="pdf",
            pdf_tags=len(sheet.lines) <= MOST_TAGGED,
        )  # fmt: skip
