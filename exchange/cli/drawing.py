"""A price chart by delivery hour out of letters, for a terminal of any width and for plain text files."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

HEIGHT = 12  # rows of the plot
SYMBOLS = ("●", "○", "◆")  # ask, bid, both in one cell
PLAIN_SYMBOLS = ("A", "B", "X")


class Hour(NamedTuple):
    """Best prices for one delivery period, yuan per card-hour; None where a side is empty."""

    label: str  # hour of the day, two characters
    day: str  # shown where it changes
    ask: Decimal | None
    bid: Decimal | None


def can_draw(encoding: str | None) -> bool:
    """Whether the output takes more than ASCII."""
    try:
        "".join(SYMBOLS).encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def draw(hours: Sequence[Hour], *, width: int, is_plain: bool) -> list[str]:
    """The lines of the chart, none wider than `width` where that is at least 20; empty where there is no price at all."""
    prices = [price for hour in hours for price in (hour.ask, hour.bid) if price is not None]
    if not prices:
        return []
    low, high = min(prices), max(prices)
    names = [f"{_at(low, high, row):.2f}" if high > low or row == HEIGHT // 2 else "" for row in range(HEIGHT)]
    margin = max(map(len, names)) + 2
    step = max(1, min(3, (width - margin) // max(1, len(hours))))
    shown = hours[: max(1, (width - margin) // step)]
    symbols = PLAIN_SYMBOLS if is_plain else SYMBOLS
    grid = [[" "] * (step * len(shown)) for _ in range(HEIGHT)]
    for place, hour in enumerate(shown):
        column = step * place + step // 2
        rows = [None if price is None else _row(price, low, high) for price in (hour.ask, hour.bid)]
        for side, row in enumerate(rows):
            if row is not None:
                grid[row][column] = symbols[2] if rows[0] == rows[1] else symbols[side]
    edge = "|" if is_plain else "│"
    lines = [f"{names[row]:>{margin - 2}} {edge}{''.join(grid[row])}".rstrip() for row in reversed(range(HEIGHT))]
    return lines + _axis(shown, step, margin, is_plain)


def _at(low: Decimal, high: Decimal, row: int) -> Decimal:
    return low + (high - low) * row / (HEIGHT - 1)


def _row(price: Decimal, low: Decimal, high: Decimal) -> int:
    if high == low:
        return HEIGHT // 2
    return int(((price - low) * (HEIGHT - 1) / (high - low)).quantize(Decimal(1), ROUND_HALF_UP))


def _axis(hours: Sequence[Hour], step: int, margin: int, is_plain: bool) -> list[str]:
    """The line, the hours as far apart as they can be read, and the day where it changes."""
    corner, dash = ("+", "-") if is_plain else ("└", "─")
    every = -(-3 // step)
    labels, days, day = "", "", ""
    for place, hour in enumerate(hours):
        column = step * place
        if place % every == 0:
            labels = labels.ljust(column) + hour.label
        if hour.day != day:
            day = hour.day
            if len(days) <= column:
                days = days.ljust(column) + day
    before = " " * margin
    return [" " * (margin - 1) + corner + dash * (step * len(hours)), before + labels, before + days]
