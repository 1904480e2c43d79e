"""Plots of a book, a curve and a statement, with matplotlib where it is installed."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from clients.frames import MissingLibrary

if TYPE_CHECKING:
    from clients.models import Level
    from clients.models_delivery import Statement
    from clients.models_prices import CurvePoint

MOVES = 12  # as many bars as a page has room for


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingLibrary("matplotlib is not installed: pip install matplotlib", name="matplotlib") from None
    return Figure(figsize=(8, 4), layout="constrained").subplots()  # no window: a notebook shows `ax.figure`


def plot_depth(title: str, bids: Sequence["Level"], asks: Sequence["Level"], ax: Any = None) -> Any:
    """Cards that can be had up to each price, both sides; the matplotlib axes."""
    ax = _axes(ax)
    for levels, colour, name in ((bids, "tab:green", "bids"), (asks, "tab:red", "asks")):
        prices, sums, total = [], [], Decimal(0)
        for level in levels:
            total += level.cards
            prices.append(float(level.price))
            sums.append(float(total))
        ax.step(prices, sums, where="post", color=colour, label=name)
        ax.fill_between(prices, sums, step="post", color=colour, alpha=0.2)
    ax.set(title=title, xlabel="yuan per card-hour", ylabel="cards")
    ax.legend()
    return ax


def plot_curve(title: str, points: Sequence["CurvePoint"], ax: Any = None) -> Any:
    """A price per delivery period, coloured by where it comes from; the matplotlib axes."""
    ax = _axes(ax)
    known = [point for point in points if point.price is not None]
    for source in sorted({point.source for point in known}):
        of_it = [point for point in known if point.source == source]
        ax.plot([point.period_start for point in of_it], [float(point.price or 0) for point in of_it], "o", label=source)
    ax.step([point.period_start for point in known], [float(point.price or 0) for point in known], where="post", alpha=0.4)
    ax.set(title=title, xlabel="delivery", ylabel="yuan per card-hour")
    ax.tick_params("x", rotation=45)
    if known:
        ax.legend()
    return ax


def plot_statement(statement: "Statement", ax: Any = None) -> Any:
    """From the opening total to the closing one, by what the money was for; the matplotlib axes."""
    ax = _axes(ax)
    moved: dict[str, Decimal] = {}
    for line in statement.lines:
        moved[line.what] = moved.get(line.what, Decimal(0)) + line.amount
    largest = sorted(moved, key=lambda what: -abs(moved[what]))
    bars = {what: moved[what] for what in largest[:MOVES]}
    if rest := [moved[what] for what in largest[MOVES:]]:
        bars["other"] = sum(rest, Decimal(0))
    colours = ["tab:green" if amount >= 0 else "tab:red" for amount in bars.values()]
    ax.barh(list(bars), [float(amount) for amount in bars.values()], color=colours)
    ax.invert_yaxis()
    totals = f"opening {statement.opening.total}, closing {statement.closing.total}"
    ax.set(title=f"{statement.participant}, {statement.day}: {totals}", xlabel="yuan")
    return ax
