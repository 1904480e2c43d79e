"""`cpx report`: what a run came to, from the files it left; a participant's statement of a day; a price chart."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from io import BytesIO
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from exchange.cli.market import Explain, Secret, Url

if TYPE_CHECKING:
    from rich.console import Console

    from exchange.adapters.exporters.results import Results

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
DAMAGED, NOT_FOUND, UNAVAILABLE, CANNOT_WRITE = 65, 66, 69, 73
TOP = 12  # rows of a long table that are shown
NO_LIMIT = 100_000  # columns where the output is no terminal: every line as wide as its content
PNG_START = b"\x89PNG\r\n\x1a\n"
CHIPS_IN_PLOT = 8

# Keys of summary.json in words; a key that is not here is shown with blanks for underscores.
WORDS = {
    "name": "kind of run",
    "engine": "matching engine",
    "filled": "tasks filled whole",
    "partly": "tasks filled in part",
    "unfilled": "tasks not filled",
    "waiting": "of these, still waiting at the end",
    "source_tasks": "tasks in the input (a long one is bought in pieces)",
    "source_filled": "tasks in the input of which every piece was filled",
    "source_unfilled": "tasks in the input of which a piece was not filled",
    "notional": "value of all trades (price x card-hours), yuan",
    "rounding_waste_card_hours": "card-hours bought beyond use, by whole lots and periods",
    "ledger_sum": "sum of all accounts (must be 0), micro-yuan",
    "commands": "commands in the journal",
    "resumed_commands": "commands taken from an interrupted run",
    "state_hash": "hash of the venue's state at the end",
    "market_s": "time the market took on this machine, seconds",
    "wall_s": "time in all on this machine, seconds",
    "tasks_per_s": "tasks per second on this machine",
}
NO_QUANTITY = frozenset(("name", "command", "seed", "engine", "state_hash"))

command = typer.Typer()


@command.command()
def report(
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="The folder of a finished run, or with --live where to put the report."
    ),
    day: str = typer.Option("", help="A venue day, YYYY-MM-DD: its accounts, or the statement of that day."),
    participant: str = typer.Option(
        "", help="Show this participant's statement, of the last day without --day."
    ),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of tables."),
    plot: Path | None = typer.Option(
        None, metavar="FILE.png", help="Also draw price and volume by hour of the day; replaces a PNG only."
    ),
    rivals_plot: Path | None = typer.Option(
        None, metavar="FILE.png", help="Also draw a run made with --rivals beside its rivals; replaces a PNG only."
    ),
    failures_plot: Path | None = typer.Option(
        None, metavar="FILE.png", help="Also draw what was not delivered, and the green share; replaces a PNG only."
    ),
    live: bool = typer.Option(False, "--live", help="First fetch the report of a running exchange into DIR."),
    url: Url = None,
    key: Secret = None,
    explain: Explain = False,
) -> None:
    """Show what a run, or with --live an exchange so far, came to: fills, prices, why tasks stayed unfilled, statements.

    Examples: cpx report cpx-demo    cpx report today --live    cpx report today --participant NAME

    Exit codes: 0 fine, 2 no such option or day, 65 a file is damaged, 66 nothing there of that run, participant or day,
    69 --plot without matplotlib or no exchange answers, 73 the chart or folder cannot be written, 77 the key may not.
    """
    from exchange.adapters.exporters.results import Damaged, NotFound, Results

    check_day(day)
    check_plot(plot)
    check_plot(rivals_plot)
    check_plot(failures_plot)
    if live:
        from exchange.cli.report_live import fetch

        fetch(folder, url, key, explain)
    elif url or key or explain:
        raise typer.BadParameter("these belong to --live", param_hint="--url, --key, --explain")
    try:
        results = Results(folder)
        content = gather(results, day, participant)
        if plot is not None:
            content["plot"] = draw(results, plot)
        if rivals_plot is not None:
            content["rivals_plot"] = draw_beside_rivals(results, rivals_plot)
        if failures_plot is not None:
            content["failures_plot"] = draw_what_failed(results, failures_plot)
    except NotFound as error:
        fail(NOT_FOUND, str(error))
    except KeyError as error:
        fail(DAMAGED, f"a file in {folder} is not as a run leaves it: it has no column {error}")
    except (Damaged, UnicodeDecodeError) as error:
        fail(DAMAGED, f"a file in {folder} is not as a run leaves it: {error}")
    except OSError as error:
        fail(NOT_FOUND, f"cannot be read: {error}")
    if as_json:
        put(json.dumps({"schema": JSON_SCHEMA, **content}, indent=2, ensure_ascii=False) + "\n")
    else:
        put(for_people(content))


def check_day(day: str) -> None:
    """Exit 2 where it is no day of the calendar."""
    try:
        if day and date.fromisoformat(day).isoformat() != day:
            raise ValueError(day)
    except ValueError:
        raise typer.BadParameter(f"{day!r} is no day; write it like 2026-11-23", param_hint="--day") from None


def check_plot(path: Path | None) -> None:
    """Exit 2 where the name does not end in .png, 73 where something else than a PNG has it already."""
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(
            f"the chart is a PNG: let the name end in .png, not {path.name!r}", param_hint="--plot"
        )
    try:
        if not path.exists():
            return
        is_png = path.is_file() and _begins_with(path, PNG_START)
    except OSError as error:
        fail(CANNOT_WRITE, f"the chart cannot be written: {error}")
    if not is_png:
        fail(CANNOT_WRITE, f"{path} is there and no PNG, so it is kept: name another file, or move this one away")


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def put(text: str) -> None:
    """Writes to stdout; a reader that has seen enough (`| head`) ends the command as if all was read."""
    try:
        typer.echo(text, nl=False)  # flushes
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def fail(code: int, message: str) -> NoReturn:
    """One line on stderr and out."""
    typer.echo(f"cpx report: {message}", err=True)
    raise typer.Exit(code)


def gather(results: Results, day: str, participant: str) -> dict[str, Any]:
    """What the report shows, as plain data; which parts depends on what was asked."""
    if participant:
        return {"folder": str(results.folder), "statement": results.statement(participant, day)}
    if day:
        return {"folder": str(results.folder), "day": day, "accounts": accounts_of_day(results, day)}
    index = results.accounts()
    return {
        "folder": str(results.folder),
        "summary": results.summary,
        "fill_by_chip": results.fill_by_chip(),
        "prices": results.prices(),
        "unfilled": results.unfilled(),
        "settlement": results.settlement(),
        "statements": {
            "folder": str(results.folder / "statements"),
            "files": sum(bool(row["file"]) for row in index),
            "days": sorted({row["day"] for row in index}),
        },
    }


def accounts_of_day(results: Results, day: str) -> list[dict[str, str]]:
    """The index rows of a day, largest turnover first."""
    from exchange.adapters.exporters.results import NotFound, micro

    rows = results.accounts(day=day)
    if not rows:
        days = sorted({row["day"] for row in results.accounts()})
        between = f"; there are statements from {days[0]} to {days[-1]}" if days else ""
        raise NotFound(f"nothing happened on {day}{between}")
    return sorted(rows, key=lambda row: (-abs(micro(row["lines"])), row["account"]))


# --- for people ---------------------------------------------------------------------------------------------


def for_people(content: dict[str, Any]) -> str:
    """Tables as wide as the terminal (COLUMNS, where set), plain columns that are never broken elsewhere."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False)
    if not is_terminal:
        console = Console(highlight=False, width=NO_LIMIT, no_color=True, force_terminal=False)
    with console.capture() as captured:
        show(console, content)
    text = captured.get()
    return text if is_terminal else "".join(f"{row.rstrip()}\n" for row in text.splitlines())


def show(console: Console, content: dict[str, Any]) -> None:
    """The tables that belong to what was asked."""
    if "statement" in content:
        show_statement(console, content["statement"])
    elif "accounts" in content:
        columns = ("account", "opening", "lines", "closing", "free", "held", "escrow", "margin", "bond")
        title = f"Accounts on {content['day']}, yuan"
        table(
            console, title, columns, [[row[name] for name in columns] for row in content["accounts"]], names=1
        )
    else:
        show_run(console, content)
    for name in ("plot", "rivals_plot", "failures_plot"):
        if name in content:
            line(console, f"Chart: {content[name]}")


def show_run(console: Console, content: dict[str, Any]) -> None:
    """The whole report of a run."""
    show_summary(console, content["summary"], content["settlement"])
    if "rivals" in content["summary"]:
        from exchange.cli.report_rivals import HEAD, rivals_cells

        title = "The same day, given out in other ways (delivered prices without fees)"
        table(console, title, HEAD, rivals_cells(content["summary"]["rivals"]), names=1)
    fill = content["fill_by_chip"]
    columns = "chip tasks filled partly unfilled fill_rate card_hours_asked card_hours_bought".split()
    title = "Tasks by first chip (hours bought count there even on another chip the task accepts)"
    table(console, title, columns, [[row[name] for name in columns] for row in fill], names=1)
    prices = content["prices"]
    columns = ["chip", "region", "low", "vwap", "high", "card_hours", "trades"]
    rows = prices["by_chip_and_region"]
    title = "Prices by chip and region, yuan per card-hour"
    table(console, title, columns, [[row[name] for name in columns] for row in rows], names=2)
    national = [name for name in columns if name != "region"]
    title = "Prices by chip, all regions"
    table(console, title, national, [[row[name] for name in national] for row in prices["by_chip"]], names=1)
    show_unfilled(console, content["unfilled"])
    show_settlement(console, content["settlement"])
    show_green(console, content["summary"].get("green", {}))
    if content["summary"].get("failures", {}).get("obligations"):
        from exchange.cli.report_failures import failure_rows

        rows = failure_rows(content["summary"]["failures"], content["summary"]["green"])
        table(console, "What was not delivered", ("", ""), rows, names=1, top=0)
    show_statements_place(console, content["folder"], content["statements"])


def show_summary(console: Console, summary: dict[str, Any], settlement: dict[str, Any]) -> None:
    """Every plain value of summary.json that no later table repeats."""
    repeated = {"schema", "damages_cut", *settlement}
    rows = [
        [WORDS.get(key) or key.replace("_", " "), value if key in NO_QUANTITY else grouped(value)]
        for key, value in summary.items()
        if isinstance(value, int | float | str) and value != "" and key not in repeated
    ]
    table(console, "Run", ("", ""), rows, names=2, top=0)
    for note in summary.get("notes") or ():
        line(console, f"note: {note}")


def show_unfilled(console: Console, unfilled: list[dict[str, Any]]) -> None:
    """Why tasks were not filled whole, and which single change would have been the cheapest."""
    rows = []
    for item in unfilled:
        changes = sorted(item["cheapest_change"].items(), key=lambda pair: (-pair[1], pair[0]))
        rows.append(
            [item["in_words"], ", ".join(f"{name} ({n:,})" for name, n in changes) or "-", item["tasks"]]
        )
    table(console, "Tasks not filled whole", ("why", "cheapest single change", "tasks"), rows, names=2)


def show_settlement(console: Console, settlement: dict[str, Any]) -> None:
    """Obligations by status and sums."""
    statuses = ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in settlement["by_status"].items())
    rows = [
        ("obligations settled", f"{settlement['obligations']:,} ({statuses})" if statuses else "0"),
        ("compute paid by buyers", settlement["paid"]),
        ("  of which to the hosts", settlement["to_host"]),
        ("  of which region shares", settlement["region_share"]),
        ("  of which green shares", settlement["green_share"]),
        ("moving data", settlement["moving"]),
        ("exchange fees", settlement["fee"]),
        ("refunded to buyers", settlement["refund"]),
        ("damages to buyers", settlement["damages"]),
        ("damages nobody could pay", settlement["cut"]),
    ]
    table(console, "Settlement, yuan", ("", ""), rows, names=1, top=0)


def show_green(console: Console, green: dict[str, Any]) -> None:
    """Green share by region, greenest Wh first; nothing where nothing was green."""
    if green.get("green_wh"):
        regions = sorted(green["regions"].items(), key=lambda item: (-item[1]["green_wh"], -item[1]["load_wh"], item[0]))
        rows = [["all", green], *regions]
        cells = [[name, use["load_wh"], use["green_wh"], use["share"]] for name, use in rows]
        table(console, "Green power", ("region", "used, Wh", "green, Wh", "share"), cells, names=1)


def show_statements_place(console: Console, folder: str, statements: dict[str, Any]) -> None:
    """Where the statements are and how to read one."""
    days = statements["days"]
    span = f", {days[0]} to {days[-1]}" if days else ""
    line(console, f"{statements['files']:,} statements in {statements['folder']}{span}; index.csv lists them.")
    line(console, f"One of them: cpx report {folder} --participant NAME [--day YYYY-MM-DD]")


def show_statement(console: Console, statement: dict[str, Any]) -> None:
    """Head and lines of one statement."""
    head = [
        [row[0], grouped(row[1]) if row[2:] == ["yuan"] or row[0] == "number of lines" else row[1], *row[2:]]
        for row in statement["head"]
    ]
    table(console, "", ("", "", ""), [row + [""] * (3 - len(row)) for row in head], names=3, top=0)
    columns = (
        "time", "what", "counterparty", "obligation", "reference", "instrument", "cards", "card_hours", "price",
        "amount_yuan",
    )  # fmt: skip
    rows = [[row["time"][11:19], *(row[name] for name in columns[1:])] for row in statement["lines"]]
    table(console, "Lines, by the venue's time of day", columns, rows, names=6, top=0)
    others = [day for day in statement["days"] if ["day", day] != statement["head"][2][:2]]
    if others:
        line(console, f"Other days: {', '.join(others)} (--day)")
    line(console, f"File: {statement['file']}")


def table(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    names: int,
    top: int = TOP,
) -> None:
    """A table; the first `names` columns are text, the others numbers, in threes; more than `top` rows are cut (told)."""
    from rich import box
    from rich.table import Table

    rows = list(rows)
    shown = rows[:top] if top else rows
    made = Table(
        title=safe(title) or None, title_justify="left", show_header=any(columns),
        box=box.SIMPLE_HEAD if console.is_terminal else None,
    )  # fmt: skip
    for place, column in enumerate(columns):
        is_text = place < names
        made.add_column(
            column.replace("_", " "), justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    for row in shown:
        made.add_row(*(safe(str(cell) if n < names else grouped(cell)) for n, cell in enumerate(row)))
    console.print(made)
    if len(shown) < len(rows):
        line(console, f"  and {len(rows) - len(shown):,} more")
    elif not rows:
        line(console, "  none")
    console.print()


def grouped(cell: object) -> str:
    """A number with commas between thousands; anything else as it is."""
    found = re.fullmatch(r"(-?)(\d+)(\.\d+)?( %)?", str(cell), re.ASCII)
    return f"{found[1]}{int(found[2]):,}{found[3] or ''}{found[4] or ''}" if found else str(cell)


def line(console: Console, text: str) -> None:
    """One line as it is."""
    console.print(safe(text), soft_wrap=True)


def safe(text: str) -> str:
    """A text that neither the terminal nor the table takes for a command."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "?" for c in text))


# --- the chart ----------------------------------------------------------------------------------------------


def draw(results: Results, path: Path) -> str:
    """Writes the chart; where it is."""
    try:
        import matplotlib
    except ImportError:
        fail(UNAVAILABLE, "--plot needs matplotlib (extra dev): `.venv/bin/pip install matplotlib`")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    chips, value, volume = by_hour(results)
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(11, 7), sharex=True, layout="constrained")
    floor, highest = [0.0] * 24, 0.0
    for chip in chips:
        pairs = [(value[chip, hour], volume[chip, hour]) for hour in range(24)]
        averages = [
            cost / card_hours if card_hours else nan for cost, card_hours in pairs
        ]  # nan: a gap, no line
        highest = max([highest, *(average for average in averages if average == average)])
        top.plot(range(24), averages, marker="o", label=chip)
        heights = [volume[chip, hour] / 1e6 for hour in range(24)]
        bottom.bar(range(24), heights, bottom=floor, label=chip)
        floor = [low + more for low, more in zip(floor, heights, strict=True)]
    top.set(
        ylabel="average price, yuan per card-hour",
        title=f"{results.folder.resolve().name}: by hour of delivery",
    )
    top.set_ylim(0, 1.08 * highest or 1.0)
    xlabel = "hour of the day of delivery, time zone of the venue"
    bottom.set(xlabel=xlabel, ylabel="card-hours traded", xticks=range(24))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    if chips:
        top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    made = BytesIO()
    figure.savefig(made, format="png", dpi=110)
    pyplot.close(figure)
    try:
        path.write_bytes(made.getvalue())
    except OSError as error:
        fail(CANNOT_WRITE, f"the chart cannot be written: {error}")
    return str(path)


def draw_beside_rivals(results: Results, path: Path) -> str:
    """Writes the chart of `report_rivals`; where it is."""
    from exchange.cli.report_rivals import draw_rivals

    if "rivals" not in results.summary:
        fail(NOT_FOUND, f"{results.folder} was run without --rivals: run `cpx replay --rivals ...`")
    return _drawn(draw_rivals, results, path)


def draw_what_failed(results: Results, path: Path) -> str:
    """Writes the chart of `report_failures`; where it is."""
    from exchange.cli.report_failures import draw_failures

    if "failures" not in results.summary:
        fail(NOT_FOUND, f"{results.folder} was made by an older cpx: run it again")
    return _drawn(draw_failures, results, path)


def _drawn(drawing: Callable[[Results, Path], str], results: Results, path: Path) -> str:
    try:
        return drawing(results, path)
    except ImportError:
        fail(UNAVAILABLE, "a chart needs matplotlib (extra dev): `.venv/bin/pip install matplotlib`")
    except OSError as error:
        fail(CANNOT_WRITE, f"the chart cannot be written: {error}")


def by_hour(results: Results) -> tuple[list[str], Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """(chips by volume, price x card-hours, card-hours) by chip and hour of delivery; rare chips are put together."""
    from exchange.adapters.exporters.results import micro

    value: Counter[tuple[str, int]] = Counter()
    volume: Counter[tuple[str, int]] = Counter()
    totals: Counter[str] = Counter()
    trades = [
        (row["chip"], int(row["delivery_start"][11:13]), micro(row["card_hours"]), micro(row["cost"]))
        for row in results.rows("trades.csv")
    ]
    for chip, _, card_hours, _ in trades:
        totals[chip] += card_hours
    ranked = sorted(totals, key=lambda chip: (-totals[chip], chip))
    kept = ranked[:CHIPS_IN_PLOT] if len(ranked) > CHIPS_IN_PLOT + 1 else ranked
    for chip, hour, card_hours, cost in trades:
        name = chip if chip in kept else "other chips"
        value[name, hour] += cost
        volume[name, hour] += card_hours
    return kept + (["other chips"] if len(kept) < len(ranked) else []), value, volume
