"""The figures of `cpx bench core` as pictures: ratios beside goals and peers, times of single commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, PLAIN_PAGES, PEER, PUBLISHED, GOAL = "#1f5f8b", "#8fb8d4", "#b0a18a", "#d8cfc0", "#c0392b"
BAR_WIDTH = 0.2
PERCENTILES = (("p50_ns", "p50"), ("p99_ns", "p99"), ("p99_9_ns", "p99.9"), ("max_ns", "slowest"))


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Writes a PNG for every picture whose figures were measured."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    groups = {
        key: {row["what"]: row for row in rows if row["value"] is not None} for key, rows in result["groups"].items()
    }
    made = []
    if groups.get("ratio"):
        made.append(_ratios(groups, result, folder / "core_ratios.png"))
    if groups.get("single"):
        made.append(_single(groups["single"], result, folder / "core_single.png"))
    return made


def _ratios(groups: dict[str, Any], result: dict[str, Any], path: Path) -> Path:
    """ns over floor: ours with and without huge pages, orderly-chaos in the same run, CppTrader as published."""
    from matplotlib.figure import Figure

    ours = groups["ratio"]
    flows = list(ours)
    series = (
        ("engine", OURS, {flow: ours[flow]["value"] for flow in flows}),
        ("engine, no huge pages", PLAIN_PAGES, {flow: row["value"] for flow, row in groups.get("plain_pages", {}).items()}),
        ("orderly-chaos, same run", PEER, _over_floor(groups.get("peer", {}), ours)),
        ("CppTrader, published ns", PUBLISHED, _over_floor(groups.get("cpp_trader", {}), ours)),
    )
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, (label, color, values) in enumerate(series):
        shown = [flow for flow in flows if flow in values]
        at = [flows.index(flow) + BAR_WIDTH * (place - 1.5) for flow in shown]
        bars = axes.bar(at, [values[flow] for flow in shown], BAR_WIDTH, label=label, color=color)
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=2)
    for place, key in enumerate(("ratio", "plain_pages")):
        shown = [flow for flow in flows if flow in groups.get(key, {})]
        left = [flows.index(flow) + BAR_WIDTH * (place - 2) for flow in shown]
        goals = [groups[key][flow]["must"] for flow in shown]
        lines = axes.hlines(goals, left, [x + BAR_WIDTH for x in left], colors=GOAL, linewidth=2)
        if place == 0:
            lines.set_label("goal")
    axes.set_xticks(range(len(flows)), flows)
    axes.set_ylabel("ns a command ÷ floor")
    axes.legend(frameon=False)
    return _save(figure, axes, "Matching core beside the least any engine must do", result, path)


def _over_floor(peers: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    return {flow: row["peer_ns"] / ours[flow]["floor_ns"] for flow, row in peers.items() if flow in ours}


def _single(rows: dict[str, Any], result: dict[str, Any], path: Path) -> Path:
    """Times of single commands by flow, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for flow, row in rows.items():
        axes.plot([name for _, name in PERCENTILES], [row[key] for key, _ in PERCENTILES], marker="o", label=flow)
    axes.axhline(next(iter(rows.values()))["must"], color=GOAL, linewidth=1, linestyle="--", label="goal for p99.9")
    axes.set_yscale("log")
    axes.set_ylabel("ns")
    axes.legend(frameon=False)
    return _save(figure, axes, "Single commands, batches of one, timed in C", result, path)


def _save(figure: Any, axes: Any, title: str, result: dict[str, Any], path: Path) -> Path:
    axes.set_title(f"{title}\n{result['machine']}, commit {result['commit']}, {result['count']:,} commands", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    return path
