"""Figures with goals as tables: in the terminal's width there, else plain columns that are never broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import Console

NO_LIMIT = 100_000  # columns, where there is no terminal
Row = dict[str, Any]


class Group(NamedTuple):
    """Figures of one kind: a table on the screen, a list in --json."""

    key: str
    title: str
    measure: Callable[[Any], list[Row]]
    columns: tuple[tuple[str, str], ...]  # key of a row, heading


def show(result: dict[str, Any], groups: Sequence[Group], head: Sequence[str]) -> None:
    """The lines of `head` filled in from the result, a table a group, and how many goals were met."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    console = Console(highlight=False, markup=False)
    if not is_terminal:
        console = Console(highlight=False, markup=False, width=NO_LIMIT, no_color=True)
    with console.capture() as captured:
        for line in head:
            console.print(line.format(**result))
        _show_all(console, result, groups)
    text = captured.get()
    typer.echo(text if is_terminal else "\n".join(line.rstrip() for line in text.splitlines()))


def _show_all(console: Console, result: dict[str, Any], groups: Sequence[Group]) -> None:
    for group in groups:
        if group.key in result["groups"]:
            console.print()
            _show_group(console, group, result["groups"][group.key])
    judged = [row for rows in result["groups"].values() for row in rows if row["met"] is not None]
    skipped = [row for rows in result["groups"].values() for row in rows if row["value"] is None]
    met = len(judged) - len(result["missed"])
    console.print()
    console.print(f"{met} of {len(judged)} goals met, {len(result['missed'])} missed, {len(skipped)} figures not measured")


def _show_group(console: Console, group: Group, rows: list[Row]) -> None:
    from rich import box
    from rich.table import Table

    console.print(group.title)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None)
    table.add_column("")
    for _, heading in (*group.columns, ("", "goal")):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in rows:
        table.add_row(row["what"], *(_cell(row.get(key)) for key, _ in group.columns), _goal(row), _verdict(row))
    console.print(table)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _goal(row: Row) -> str:
    if row["must"] is None:
        return "-"
    stretch = "" if row["stretch"] is None else f" / {_cell(row['stretch'])}"
    return f"{'>=' if row['bound'] == 'at least' else '<='} {_cell(row['must'])}{stretch}"


def _verdict(row: Row) -> str:
    if row["value"] is None:
        return f"not measured: {row['note']}"
    words = {None: "-", True: "met", False: "missed"}[row["met"]]
    words += ", stretch too" if row["stretch_met"] else ""
    return f"{words} ({row['note']})" if row["note"] else words
