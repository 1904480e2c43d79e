"""The exchange beside its rivals: a table for a terminal, and a chart by chip from rivals.csv."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from exchange.adapters.exporters.results import Results

WORDS = {
    "exchange": "this exchange",
    "nearest": "first fit in the nearest region",
    "cheapest_hour": "cheapest hour only",
}
HEAD = ("", "filled", "of all", "card-hours", "yuan each", "moving data", "same tasks: yuan each")


def rivals_cells(rivals: list[dict[str, Any]]) -> list[list[str]]:
    """A row of texts a way."""
    return [
        [
            WORDS[row["way"]], f"{row['filled']:,}", f"{row['fill_rate']} %", row["card_hours"], _cents(row["price"]),
            _cents(row["moving"]), f"{_cents(row['common_price'])} ({row['common_tasks']:,})",
        ]
        for row in rivals
    ]  # fmt: skip


def _cents(yuan: str) -> str:
    """Three decimals, for people; the files have every digit."""
    whole, _, rest = yuan.partition(".")
    return f"{whole}.{rest[:3].ljust(3, '0')}" if whole else "-"


def rivals_table(rivals: list[dict[str, Any]]) -> Table:
    """What each way came to on the same day; prices delivered, without fees."""
    from rich.table import Table

    table = Table(title="The same day, given out in other ways (delivered prices without fees)", title_justify="left")
    for place, name in enumerate(HEAD):
        table.add_column(name, justify="right" if place else "left")
    for cells in rivals_cells(rivals):
        table.add_row(*cells)
    return table


def by_chip(results: Results) -> tuple[list[str], dict[str, Counter[tuple[str, str]]]]:
    """(chips by tasks, way -> counts): tasks and filled ones, and cost and card-hours of tasks that all ways filled."""
    from exchange.adapters.exporters.results import micro

    counts: dict[str, Counter[tuple[str, str]]] = {way: Counter() for way in WORDS}
    chips: Counter[str] = Counter()
    for row in results.rows("rivals.csv"):
        chip = row["chip"]
        chips[chip] += 1
        is_common = all(row[f"{way}_card_hours"] for way in WORDS)
        for way in WORDS:
            counts[way][chip, "filled"] += bool(row[f"{way}_card_hours"])
            if is_common:
                counts[way][chip, "cost"] += micro(row[f"{way}_delivered"])
                counts[way][chip, "hours"] += micro(row[f"{way}_card_hours"])
    for way in WORDS:
        counts[way].update({(chip, "tasks"): number for chip, number in chips.items()})
    return sorted(chips, key=lambda chip: (-chips[chip], chip)), counts


def draw_rivals(results: Results, path: Path) -> str:
    """Writes the chart: fill rate by chip, and the delivered price on tasks that all ways filled; where it is."""
    from matplotlib.figure import Figure

    chips, counts = by_chip(results)
    figure = Figure(figsize=(11, 7), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    width = 0.8 / len(WORDS)
    for number, (way, words) in enumerate(WORDS.items()):
        found = counts[way]
        places = [chip + (number - 1) * width for chip in range(len(chips))]
        top.bar(places, [100 * found[chip, "filled"] / found[chip, "tasks"] for chip in chips], width, label=words)
        prices = [found[chip, "cost"] / found[chip, "hours"] if found[chip, "hours"] else 0.0 for chip in chips]
        bottom.bar(places, prices, width, label=words)
    top.set(ylabel="tasks filled, %", ylim=(0, 100), title="The same tasks and offers, given out in three ways")
    bottom.set(ylabel="yuan a card-hour, delivered", xticks=range(len(chips)), xticklabels=chips)
    bottom.set(xlabel="first chip of the task; prices over the tasks that all three ways filled")
    for axes in (top, bottom):
        axes.grid(alpha=0.3, axis="y")
        axes.set_axisbelow(True)
    top.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, format="png", dpi=110)
    return str(path)
