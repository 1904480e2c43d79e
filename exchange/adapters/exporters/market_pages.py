"""The market report of a day: JSON with every figure, an HTML page in English and in Chinese that loads nothing, PDF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from exchange.adapters.exporters.market_figures import figures, is_quiet
from exchange.adapters.exporters.market_plots import (
    ORANGE,
    Bar,
    HourPrice,
    hour_bars,
    name_bars,
    price_panels,
)
from exchange.adapters.exporters.market_words import LANGUAGES, label, reason_words
from exchange.adapters.exporters.sheet_tables import needed
from exchange.adapters.exporters.summary import write_json
from exchange.adapters.exporters.writing import whole_file
from exchange.projections.calendar import Calendar
from exchange.projections.market_day import MarketDay

MOST_BARS, MOST_PANELS = 24, 4
_STYLE = """
body{font:14px/1.5 "Noto Sans SC","PingFang SC","Microsoft YaHei",system-ui,sans-serif;color:#1a1a1a;max-width:1480px;
margin:2rem auto;padding:0 1rem}
h1{font-size:22px;margin:0}h2{font-size:15px;margin:0 0 .4rem}.m{color:#666}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}.tiles div{flex:1 1 140px;border:1px solid #ddd;padding:.5rem .8rem}
.tiles b{display:block;font-size:20px;font-variant-numeric:tabular-nums}
.plots,.tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:1.6rem 2rem;margin:1.4rem 0}
svg{width:100%;height:auto}section{min-width:0;overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{padding:.25rem .5rem;border-bottom:1px solid #ddd;text-align:left}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (prefers-color-scheme:dark){body{background:#121212;color:#eee}th,td,.tiles div{border-color:#333}.m{color:#999}}
"""


def number(text: str, places: int) -> str:
    """A decimal text with commas between thousands, half to even on so many places."""
    return f"{Decimal(text).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):,f}"


def percent(share: str) -> str:
    """A share as percent with one decimal; a dash where there is none."""
    return f"{number(str(Decimal(share) * 100), 1)} %" if share else "—"


def contents(found: dict[str, Any], language: str) -> dict[str, Any]:
    """All texts, tables and plots of the page, from the figures of a day."""

    def say(name: str, **parts: object) -> str:
        return label(name, language, **parts)

    short = sum(Decimal(found["shortfalls"][name]) for name in ("made_up", "bought_in", "in_cash"))
    return {
        "language": language, "title": say("title"), "venue": found["venue"],
        "day": f"{found['day']} ({found['time_zone']})", "note": say("note", day=found["day"]), "page": say("page"),
        "quiet": say("quiet") if is_quiet(found) else "",
        "tiles": [
            [say("trades"), f"{found['trades']:,}"], [say("card_hours"), number(found["card_hours"], 1)],
            [say("notional"), number(found["notional"], 2)], [say("utilization"), percent(found["capacity"]["utilization"])],
            [say("unfilled_demand"), number(found["demand"]["unfilled"], 1)], [say("short"), number(str(short), 1)],
        ],
        "plots": [] if is_quiet(found) else _plots(found, language),
        "tables": [] if is_quiet(found) else _tables(found, language),
    }  # fmt: skip


# --- plots: title, SVG, or the words that stand in its place ---


def _plots(found: dict[str, Any], language: str) -> list[dict[str, str]]:
    def say(name: str) -> str:
        return label(name, language)

    def plot(title: str, svg: str, instead: str, hint: str = "") -> dict[str, str]:
        return {"title": say(title), "svg": svg, "instead": "" if svg else say(instead), "hint": hint if svg else ""}

    hours, panels = found["hours"], _panels(found)
    names = ("made_up", "bought_in", "in_cash")
    short = [Bar(say(name), float(text), number(text, 1)) for name in names if Decimal(text := found["shortfalls"][name])]
    unfilled = [
        Bar(reason_words(row["reason"], row["in_words"], language), float(row["card_hours"]), number(row["card_hours"], 1))
        for row in found["unfilled"]
    ]
    volumes = [Bar(row["region"], float(row["card_hours"]), number(row["card_hours"], 1)) for row in found["regions"]]
    by_hour = hour_bars(
        [float(row["card_hours"]) for row in hours], [number(row["card_hours"], 1) for row in hours], say("volume_by_hour")
    )
    return [
        plot("volume_by_hour", by_hour if found["trades"] else "", "no_trade"),
        plot("price_by_hour", price_panels(panels, say("price_by_hour")) if panels else "", "no_trade", say("price_legend")),
        plot("volume_by_region", _named(volumes, "volume_by_region", language), "no_trade"),
        plot("utilization_by_region", _named(_used(found), "utilization_by_region", language), "no_offer"),
        plot(
            "unfilled_by_reason", _named(unfilled, "unfilled_by_reason", language, ORANGE),
            "no_unfilled" if any(found["tasks"].values()) else "no_task",
        ),
        plot(
            "shortfalls", _named(short, "shortfalls", language, ORANGE),
            "no_shortfall" if found["settled"]["obligations"] else "no_delivery",
        ),
    ]  # fmt: skip


def _panels(found: dict[str, Any]) -> list[tuple[str, list[HourPrice]]]:
    return [
        (
            chip["chip"],
            [HourPrice(row["hour"], float(row["low"]), float(row["vwap"]), float(row["high"])) for row in chip["hours"]],
        )
        for chip in found["chips"][:MOST_PANELS]
    ]


def _named(bars: list[Bar], title: str, language: str, *color: str) -> str:
    """The first bars, and the others as one; "" where there is none."""
    if len(bars) > MOST_BARS + 1:
        rest = bars[MOST_BARS:]
        total = sum(bar.value for bar in rest)
        full = None if rest[0].full is None else sum(bar.full or 0.0 for bar in rest)
        bars = [*bars[:MOST_BARS], Bar(label("others", language, count=len(rest)), total, number(str(total), 1), full)]
    return name_bars(bars, label(title, language), *color) if bars else ""


def _used(found: dict[str, Any]) -> list[Bar]:
    rows = sorted(found["capacity"]["regions"], key=lambda row: (-Decimal(row["offered"]), row["region"]))
    return [
        Bar(
            row["region"], float(row["offered"]),
            f"{percent(row['utilization'])} · {number(row['sold'], 1)} / {number(row['offered'], 1)}", float(row["sold"]),
        )
        for row in rows if Decimal(row["offered"])
    ]  # fmt: skip


# --- tables: title, columns, rows; the first `names` columns are text ---


def _tables(found: dict[str, Any], language: str) -> list[dict[str, Any]]:
    def say(name: str) -> str:
        return label(name, language)

    def table(title: str, columns: Sequence[str], names: int, rows: list[list[str]], instead: str) -> dict[str, Any]:
        return {
            "title": say(title), "columns": [say(name) for name in columns], "names": names, "rows": rows,
            "instead": "" if rows else say(instead),
        }  # fmt: skip

    def prices(row: dict[str, Any]) -> list[str]:
        return [number(row["card_hours"], 1), f"{row['trades']:,}", *(number(row[name], 4) for name in ("vwap", "low", "high"))]

    priced = ("card_hours", "trades", "vwap", "low", "high")
    parts = ("attested", "offered", "sold", "unsold", "taken_back")
    capacity = [
        [row["region"], *(number(row[name], 1) for name in parts), percent(row["utilization"])]
        for row in found["capacity"]["regions"]
    ]
    fixes = [
        [
            row["chip"], row["region"], ", ".join(f"{grade} {count}" for grade, count in row["grades"].items()),
            *(number(row[name], 4) for name in ("index", "low", "high")), f"{row['fixes']:,}",
        ]
        for row in found["fixes"]
    ]  # fmt: skip
    unfilled = [
        [reason_words(row["reason"], row["in_words"], language), f"{row['tasks']:,}", number(row["card_hours"], 1)]
        for row in found["unfilled"]
    ]
    by_chip, by_region = ([[row[name], *prices(row)] for row in found[f"{name}s"]] for name in ("chip", "region"))
    return [
        table("prices_by_chip", ("chip", *priced), 1, by_chip, "no_trade"),
        table("prices_by_region", ("region", *priced), 1, by_region, "no_trade"),
        table("fixes_by_chip", ("chip", "region", "grades", "index", "low", "high", "fixes"), 3, fixes, "no_fix"),
        table("capacity_by_region", ("region", *parts, "utilization"), 1, capacity, "no_offer"),
        table(
            "unfilled", ("reason", "tasks", "card_hours"), 1, unfilled,
            "no_unfilled" if any(found["tasks"].values()) else "no_task",
        ),
        table("deliveries", ("figure", "value"), 1, _delivered(found, language), "no_delivery"),
    ]  # fmt: skip


def _delivered(found: dict[str, Any], language: str) -> list[list[str]]:
    short, demand, green = found["shortfalls"], found["demand"], found["green"]
    rows = [
        *((f"tasks_{status}", f"{count:,}") for status, count in found["tasks"].items()),
        ("asked", number(demand["asked"], 1)), ("bought", number(demand["bought"], 1)), ("busted", f"{found['busted']:,}"),
        ("obligations", f"{found['settled']['obligations']:,}"),
        *((name, number(short[name], 1)) for name in ("card_hours_owed", "made_up", "bought_in", "in_cash")),
        *((name, number(short[name], 2)) for name in ("refund", "damages", "damages_cut")),
        *((name, f"{short[name]:,}") for name in ("buyers", "buyers_made_whole")), ("green", percent(green["share"])),
    ]  # fmt: skip
    return [[label(name, language), text] for name, text in rows]


# --- files ---


def html_page(found: dict[str, Any], language: str) -> bytes:
    """The page; every text that came from outside is escaped."""
    c = contents(found, language)
    tiles = "".join(f"<div><span class=m>{escape(name)}</span><b>{escape(value)}</b></div>" for name, value in c["tiles"])
    made = [
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(c['title'])} {found['day']}</title><style>{_STYLE}</style>",
        f"<h1>{escape(c['title'])} {escape(c['day'])}</h1><p class=m>{escape(c['venue'])}</p>",
        f'<div class="tiles">{tiles}</div>',
    ]
    if c["quiet"]:
        made.append(f"<p>{escape(c['quiet'])}</p>")
    made.append('<div class="plots">')
    for plot in c["plots"]:
        below = f"<p class=m>{escape(plot['instead'] or plot['hint'])}</p>" if plot["instead"] or plot["hint"] else ""
        made.append(f"<section><h2>{escape(plot['title'])}</h2>{plot['svg']}{below}</section>")
    made.append('</div><div class="tables">')
    made += [f"<section><h2>{escape(table['title'])}</h2>{_html_table(table)}</section>" for table in c["tables"]]
    made.append(f"</div><p class=m>{escape(c['note'])}</p>")
    return ("\n".join(made) + "\n</html>\n").encode("utf-8", "backslashreplace")


def _html_table(table: dict[str, Any]) -> str:
    if not table["rows"]:
        return f"<p class=m>{escape(table['instead'])}</p>"

    def row(tag: str, cells: list[str]) -> str:
        kinds = ["" if place < table["names"] else " class=n" for place in range(len(cells))]
        return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(kinds, cells, strict=True))

    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in table["rows"])
    return f"<table><thead><tr>{row('th', table['columns'])}</tr></thead><tbody>{body}</tbody></table>"


def pdf_pages(found: dict[str, Any], language: str) -> bytes:
    """The pages as PDF; the same figures give the same bytes. NotInstalled without typst."""
    try:
        import typst
    except ImportError as error:
        raise needed("typst", error) from error
    data = files("exchange.data")
    told = {"contents": json.dumps(contents(found, language), ensure_ascii=False), "day": found["day"]}
    with as_file(data.joinpath("market_day.typ")) as template, as_file(data.joinpath("fonts")) as fonts:
        return typst.compile(template, font_paths=[fonts], ignore_system_fonts=True, sys_inputs=told, format="pdf")


def write_market_day(calendar: Calendar, folder: Path, day: MarketDay, *, with_pdf: bool) -> list[Path]:
    """The files of a day, each whole or not there: JSON, HTML and with_pdf PDF in every language; their paths.

    NotInstalled where PDF is asked for without typst, before anything is written.
    """
    found = figures(calendar, day)
    pdfs = {language: pdf_pages(found, language) for language in LANGUAGES} if with_pdf else {}
    name = f"market-{day.day.isoformat()}"
    made = [folder / f"{name}.json"]
    write_json(made[0], found)
    for language in LANGUAGES:
        made.append(folder / f"{name}.{language}.html")
        with whole_file(made[-1]) as file:
            file.write(html_page(found, language).decode("utf-8"))
    for language, content in pdfs.items():
        made.append(folder / f"{name}.{language}.pdf")
        _write_bytes(made[-1], content)
    return made


def _write_bytes(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".tmp")
    partial.write_bytes(content)
    partial.replace(path)
