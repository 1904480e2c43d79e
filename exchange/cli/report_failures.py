"""What was sold and not delivered, and what became of it: a table for people, and a chart by region from failures.csv."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.adapters.exporters.results import Results

CURES = {
    "made_up": "made up in a later hour", "bought_in": "bought in elsewhere", "lost": "settled in cash",
    "block": "ended with their block, settled in cash",
}  # fmt: skip
KNOWN = {
    "declared": "declared by the provider", "outage": "an announced outage", "silent": "its meter fell silent",
    "reading": "found by the reading", "block": "ended with their block",
}  # fmt: skip
LAYERS = {"margin": "the lease's margin", "pay": "the provider's pay", "bond": "his bond", "fund": "the fund"}


def failure_rows(failures: dict[str, Any], green: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person asks about failures, in the order of their course."""
    rows = [("obligations that failed", f"{failures['obligations']:,}")]
    rows += [(f"  {KNOWN[name]}", f"{count:,}") for name, count in failures["known_by"].items()]
    rows += [
        ("card-hours owed", failures["card_hours_owed"]),
        ("card-hours that failed", failures["card_hours_failed"]),
        ("  made up in a later hour", failures["card_hours_made_up"]),
        ("  bought in elsewhere", failures["card_hours_bought_in"]),
        ("  settled in cash", failures["card_hours_in_cash"]),
        ("    of these, ended with their block", failures["card_hours_of_blocks"]),
        ("margin that paid for dearer covers, yuan", failures["margin_for_covers"]),
        ("refunded, yuan", failures["refund"]),
        ("damages, yuan", failures["damages"]),
    ]
    rows += [(f"  paid by {LAYERS[name]}", amount) for name, amount in failures["damages_by_layer"].items()]
    rows += [
        ("damages nobody could pay, yuan", failures["damages_cut"]),
        ("buyers concerned", f"{failures['buyers']:,}"),
        ("  made whole", f"{failures['buyers_made_whole']:,}"),
        ("green share of all deliveries", green["share"] or "none"),
    ]
    return rows


def by_region(results: Results) -> dict[str, Counter[str]]:
    """Region -> card-hours that failed by what became of them, most first."""
    from exchange.adapters.exporters.results import micro

    found: dict[str, Counter[str]] = {}
    for row in results.rows("failures.csv"):
        hours = micro(row["card_hours_failed"])
        counts, lost = found.setdefault(row["region"], Counter()), "block" if row["known_by"] == "block" else "lost"
        for column, name in (("made_up", "made_up"), ("bought_in", "bought_in"), ("lost", lost)):
            counts[name] += hours * int(row[column]) // int(row["failed"])
    return dict(sorted(found.items(), key=lambda item: (-item[1].total(), item[0])))


def draw_failures(results: Results, path: Path) -> str:
    """Writes the chart: what became of failed card-hours, and the green share, both by region; where it is."""
    from matplotlib.figure import Figure

    failed, green = by_region(results), results.summary["green"]["regions"]
    figure = Figure(figsize=(11, 8), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    floor = [0.0] * len(failed)
    for name, words in CURES.items():
        heights = [counts[name] / 1e6 for counts in failed.values()]
        top.bar(list(failed), heights, bottom=floor, label=words)
        floor = [low + more for low, more in zip(floor, heights, strict=True)]
    shares = [100 * float(use["share"] or 0) for use in green.values()]
    bottom.bar(list(green), shares, color="tab:green")
    for place, share in enumerate(shares):
        bottom.annotate(f"{share:.0f} %", (place, share), ha="center", va="bottom")
    top.set(ylabel="card-hours that failed", title=f"{results.folder.resolve().name}: what was not delivered")
    bottom.set(ylabel="green share of deliveries, %", ylim=(0, 108), title="Covered by certificates of the same hour")
    for axes in (top, bottom):
        axes.grid(alpha=0.3, axis="y")
        axes.set_axisbelow(True)
        axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=40, ha="right")
    if failed:
        top.legend(frameon=False)
    figure.savefig(path, format="png", dpi=110)
    return str(path)
