"""The forward curve and candles as pictures; importing this needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

SOURCES = (
    ("fix", "fix", "#1f5f8b", "o"), ("trades", "VWAP of recent trades", "#2e8b57", "s"),
    ("mid", "middle of the book", "#b8860b", "D"), ("ask", "best ask", "#999999", "v"),
)  # fmt: skip
UP, DOWN, VWAP, VOLUME = "#3a9188", "#d1703d", "#1b1b1b", "#8fb8d4"  # neither red nor green: not everywhere they mean the same
DPI = 120
BODY = 0.7  # of the interval


def draw_curve(rows: Sequence[dict[str, Any]], times: Sequence[datetime], title: str, zone: str) -> bytes:
    """The PNG of a forward curve: a line where hours follow each other, a mark by source."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    axes = figure.subplots()
    prices = [float(row["price"]) for row in rows]
    step = _step(times)
    start = 0
    for end in range(1, len(times) + 1):
        if end == len(times) or times[end] - times[end - 1] > step:
            axes.plot(date2num(times[start:end]), prices[start:end], color="#cccccc", linewidth=1, zorder=1)
            start = end
    for source, label, color, marker in SOURCES:
        places = [place for place, row in enumerate(rows) if row["source"] == source]
        if places:
            at = date2num([times[place] for place in places])
            axes.scatter(at, [prices[place] for place in places], s=18, color=color, marker=marker, label=label, zorder=2)
    axes.set_ylabel("yuan per card-hour")
    axes.set_xlabel(f"delivery hour, {zone}")
    axes.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, -0.14), fontsize=9)
    _room_above_and_below(axes, prices)
    return _png(figure, [axes], title, times)


def draw_candles(rows: Sequence[dict[str, Any]], times: Sequence[datetime], title: str, zone: str) -> bytes:
    """The PNG of candles: body, shadow and VWAP above, card-hours below; gaps where nothing traded."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    ends = [datetime.fromisoformat(row["end"]) for row in rows]
    at = [float(date2num(time + (end - time) / 2)) for time, end in zip(times, ends, strict=True)]
    widths = [BODY * (end - time) / timedelta(days=1) for time, end in zip(times, ends, strict=True)]
    first, high, low, last, vwap = (
        [float(row[name]) for row in rows] for name in ("open", "high", "low", "close", "vwap")
    )
    thinnest = (max(high) - min(low) or max(high)) / 250  # a body without height is a line that can be seen
    for place, x in enumerate(at):
        color = UP if last[place] >= first[place] else DOWN
        top.vlines(x, low[place], high[place], color=color, linewidth=1)
        height = max(abs(last[place] - first[place]), thinnest)
        top.bar(x, height, widths[place], bottom=(first[place] + last[place] - height) / 2, color=color)
    left, right = ([x + side * width / 2 for x, width in zip(at, widths, strict=True)] for side in (-1, 1))
    top.hlines(vwap, left, right, color=VWAP, linewidth=1.5, zorder=3)
    top.set_ylabel("yuan per card-hour")
    marks = [Patch(color=UP, label="rose"), Patch(color=DOWN, label="fell"), Line2D([], [], color=VWAP, label="VWAP")]
    top.legend(handles=marks, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), fontsize=9)
    _room_above_and_below(top, [*high, *low])
    bottom.bar(at, [float(row["card_hours"]) for row in rows], widths, color=VOLUME)
    bottom.set_ylabel("card-hours")
    bottom.set_xlabel(f"time of trading, {zone}")
    return _png(figure, [top, bottom], title, times)


def _step(times: Sequence[datetime]) -> timedelta:
    """The shortest distance of two points: a period."""
    return min((later - time for time, later in zip(times, times[1:], strict=False)), default=timedelta(hours=1))


def _room_above_and_below(axes: Axes, prices: Sequence[float]) -> None:
    low, high = min(prices), max(prices)
    room = (high - low) * 0.08 or high * 0.05 or 1.0
    axes.set_ylim(low - room, high + room)


def _png(figure: Figure, all_axes: Sequence[Axes], title: str, times: Sequence[datetime]) -> bytes:
    all_axes[0].set_title(title, fontsize=10, loc="left")
    locator = AutoDateLocator(tz=times[0].tzinfo)
    for axes in all_axes:
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=times[0].tzinfo))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    made = BytesIO()
    figure.savefig(made, format="png", dpi=DPI)
    return made.getvalue()
