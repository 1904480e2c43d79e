"""Plots as SVG texts that stand in a page or in a PDF: bars by hour, price panels, bars with names.

Text takes the colour of the page (currentColor). Every bar and point tells its value as a <title>, which browsers show.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

FONT = "Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
BLUE, PALE, ORANGE, GREY = "#2b6ca3", "#a9c9e2", "#c9702b", "#9a9a9a"
WIDTH = 460
HOURS = 24


class Bar(NamedTuple):
    """A named bar: its length, the part of it that is full, what is written at its end."""

    name: str
    value: float
    text: str
    full: float | None = None  # None: all of it


class HourPrice(NamedTuple):
    """Prices of one hour."""

    hour: int
    low: float
    vwap: float
    high: float


def ticks(highest: float, lowest: float = 0.0, most: int = 5) -> list[float]:
    """Round numbers from at or below the lowest to at or above the highest; lowest < highest."""
    rough = (highest - lowest) / (most - 1)
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= rough * 0.999999)
    first, last = floor(lowest / step + 1e-9), -floor(-highest / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def hour_bars(values: Sequence[float], texts: Sequence[str], name: str) -> str:
    """A bar for each hour of the day, those of nothing without height."""
    left, right, top, bottom, height = 54, 6, 12, 26, 230
    marks = ticks(max(values) or 1.0)
    width, deep = WIDTH - left - right, height - top - bottom
    step = width / len(values)
    made = _grid(marks, left, left + width, top, deep)
    for hour, (value, text) in enumerate(zip(values, texts, strict=True)):
        tall = deep * value / marks[-1]
        x, y = left + (hour + 0.12) * step, top + deep - tall
        made.append(
            f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{tall:.1f}" fill="{BLUE}"><title>'
            f'{hour:02}:00 — {escape(text)}</title></rect>'
        )
        if hour % 3 == 0:
            made.append(_text(left + (hour + 0.5) * step, height - 8, f"{hour:02}", anchor="middle"))
    return _svg(made, height, name)


def price_panels(panels: Sequence[tuple[str, Sequence[HourPrice]]], name: str) -> str:
    """A small panel per chip, two in a row: VWAP as a line where hours follow each other, low to high as a band."""
    wide, tall = WIDTH / 2, 140
    made: list[str] = []
    for place, (title, prices) in enumerate(panels):
        made += _panel(title, prices, place % 2 * wide, place // 2 * tall, wide, tall)
    return _svg(made, tall * -(-len(panels) // 2), name)


def _panel(
    title: str, prices: Sequence[HourPrice], x0: float, y0: float, wide: float, tall: float
) -> list[str]:
    left, right, top, bottom = x0 + 40, x0 + wide - 10, y0 + 26, y0 + tall - 24
    low, high = min(price.low for price in prices), max(price.high for price in prices)
    room = (high - low) * 0.05 or high * 0.1 or 1.0
    marks = ticks(high + room, max(0.0, low - room), 4)
    step = (right - left) / HOURS

    def x(hour: float) -> float:
        return left + (hour + 0.5) * step

    def y(price: float) -> float:
        return bottom - (bottom - top) * (price - marks[0]) / (marks[-1] - marks[0])

    made = [_text(left, y0 + 16, title, weight="600"), *_grid(marks, left, right, top, bottom - top)]
    for each in prices:
        tip = f"{each.hour:02}:00 — {each.low:g} / {each.vwap:g} / {each.high:g}"
        made.append(
            f'<rect class="band" x="{x(each.hour) - step * 0.42:.1f}" y="{y(each.high):.1f}" width="{step * 0.84:.1f}" '
            f'height="{max(1.0, y(each.low) - y(each.high)):.1f}" fill="{PALE}"><title>{tip}</title></rect>'
        )
    for run in _runs(prices):
        points = " ".join(f"{x(each.hour):.1f},{y(each.vwap):.1f}" for each in run)
        made.append(f'<polyline class="vwap" points="{points}" fill="none" stroke="{BLUE}" stroke-width="1.6"/>')
        made += [f'<circle cx="{x(each.hour):.1f}" cy="{y(each.vwap):.1f}" r="2.2" fill="{BLUE}"/>' for each in run]
    made += [_text(x(hour), y0 + tall - 10, f"{hour:02}", anchor="middle", size=10) for hour in range(0, HOURS, 6)]
    return made


def _runs(prices: Sequence[HourPrice]) -> list[list[HourPrice]]:
    found: list[list[HourPrice]] = []
    for each in prices:
        if found and found[-1][-1].hour + 1 == each.hour:
            found[-1].append(each)
        else:
            found.append([each])
    return found


def name_bars(bars: Sequence[Bar], name: str, color: str = BLUE) -> str:
    """A bar under each name, the value to the right of the name; the longest is as long as the plot."""
    row, left, right = 29, 2, 2
    longest = max(bar.value for bar in bars) or 1.0
    width = WIDTH - left - right
    made: list[str] = []
    for place, bar in enumerate(bars):
        y, long = place * row, width * bar.value / longest
        full = long if bar.full is None else width * bar.full / longest
        made.append(_text(left, y + 13, fitting(bar.name, width - text_width(bar.text) - 12)))
        made.append(_text(WIDTH - right, y + 13, bar.text, anchor="end"))
        if bar.full is not None:
            made.append(f'<rect x="{left}" y="{y + 18}" width="{long:.1f}" height="7" fill="{PALE}"/>')
        made.append(
            f'<rect class="bar" x="{left}" y="{y + 18}" width="{full:.1f}" height="7" fill="{color}">'
            f"<title>{escape(bar.name)} — {escape(bar.text)}</title></rect>"
        )
    return _svg(made, row * len(bars) + 2, name)


def text_width(text: str, size: int = 12) -> float:
    """About how wide a text is set, rather more: signs outside ASCII are as wide as high."""
    return sum(size * (0.5 if sign.isascii() else 1.0) for sign in text)


def fitting(text: str, room: float) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if text_width(text) <= room:
        return text
    while text and text_width(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _grid(marks: Sequence[float], left: float, right: float, top: float, deep: float) -> list[str]:
    made, places = [], _places(marks)
    for mark in marks:
        y = top + deep * (1 - (mark - marks[0]) / (marks[-1] - marks[0]))
        made.append(
            f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GREY}" stroke-opacity="0.45" '
            f'stroke-width="0.7"/>'
        )
        made.append(_text(left - 6, y + 4, f"{mark:,.{places}f}", anchor="end", size=10))
    return made


def _places(marks: Sequence[float]) -> int:
    """Decimals that tell the marks apart."""
    step = marks[1] - marks[0]
    return next((places for places in range(6) if abs(round(step, places) - step) < step * 1e-6), 6)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _svg(parts: Sequence[str], height: float, name: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(name)}" font-family="{FONT}">'
    )
    return "\n".join([head, *parts, "</svg>"])
