"""`cpx market prices | candles | curve | indices`: what is published of prices, as tables, JSON or a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.market import (
    JSON_SCHEMA,
    AsJson,
    Explain,
    Limit,
    Market,
    Secret,
    Url,
    amount,
    market,
    print_json,
    print_table,
)
from exchange.cli.market_terms import wire
from exchange.cli.moments import moment, shown
from exchange.cli.running import CANNOT_CREATE, NO_INPUT, USAGE, fail, note

if TYPE_CHECKING:
    from exchange.cli.moments import VenueTime

market_command = typer.Typer(
    no_args_is_help=True, add_completion=False, help="What is published of prices: live, candles, forward curve, indices."
)

NO_MATPLOTLIB = 69
PNG_START = b"\x89PNG\r\n\x1a\n"
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Also draw it, as a PNG (needs matplotlib).", show_default=False),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, live over the socket; Ctrl-C stops.")]


@market_command.command()
def prices(
    topic: str = typer.Argument(..., metavar="INSTRUMENT|FAMILY", help="chip/region/class/power/hour, or without the hour."),
    watch: Watch = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Best prices, last trade, VWAP and fix of an instrument, or of every hour of a family.

    Examples: cpx market prices A910B/gansu-qingyang/L10/grid    cpx market prices A910B/gansu-qingyang/L10/grid -w --json
    """
    with market(url, key, explain) as venue:
        known = topic if topic.count("/") > 3 or topic.endswith("/*") else f"{topic}/*"
        looks = venue.looks(venue.client.follow_prices(known))
        if watch:
            _watch(looks, "prices", as_json, lambda look: _show_prices(venue, look["topic"], look["changed"]))
            return
        look = next(looks)
        if as_json:
            print_json("prices", prices=look)
            return
        _show_prices(venue, topic, look["prices"])
        if look["prices"]:
            busiest = max(look["prices"], key=lambda each: each["trades"])
            venue.suggest("market", "candles", "--instrument", busiest["instrument"])


def _show_prices(venue: Market, title: str, found: list[dict[str, Any]]) -> None:
    columns = ("hour", ">bid", ">cards", ">ask", ">cards", ">last", ">VWAP", ">card-h", ">trades", ">fix", "grade")
    rows = [
        (
            shown(each["period_start"], venue.time), each["bid"] or "", each["bid_cards"] or "", each["ask"] or "",
            each["ask_cards"] or "", each["last"] or "", each["vwap"] or "", amount(each["card_hours"]), str(each["trades"]),
            each["fix"] or "", each["grade"],
        )
        for each in found
    ]  # fmt: skip
    print_table(f"{title}, yuan per card-hour", columns, rows)
    if not rows:
        note("nothing stands in these books, and nothing traded: another family, see ./cpx instruments")


@market_command.command()
def candles(
    interval: str = typer.Argument("1h", help="1m, 5m, 15m, 1h, 4h or 1d."),
    instrument: str | None = typer.Option(None, "--instrument", help="Of one instrument.", show_default=False),
    family: str | None = typer.Option(None, "--family", help="Of a family, whatever hour is traded.", show_default=False),
    chip: str | None = typer.Option(None, "--chip", help="Of a chip, in --region or everywhere.", show_default=False),
    region: str | None = typer.Option(None, "--region", help="With --chip.", show_default=False),
    begin: str | None = typer.Option(None, "--from", help="That begin from then on: today, or a time.", show_default=False),
    end: str | None = typer.Option(None, "--to", help="That begin before then.", show_default=False),
    limit: Limit = 48,
    plot: Plot = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Candles, newest last: open, high, low, close, VWAP and volume; a stretch without trades has none.

    Examples: cpx market candles 15m --chip A910B    cpx market candles 1h --family A910B/gansu-qingyang/L10/grid --plot day.png
    """
    if [instrument, family, chip].count(None) != 2:
        fail("candles are of one thing: give --instrument, --family or --chip", USAGE)
    _check_plot(plot)
    with market(url, key, explain) as venue:
        found = venue.rows(
            "candles", limit, interval=interval, instrument=instrument, family=family, chip=chip, region=region,
            from_time=_moment(venue, begin, "--from"), to_time=_moment(venue, end, "--to"),
        )[::-1]  # fmt: skip
        title = f"{instrument or family or chip}{f' in {region}' if region else ''}, {interval} candles, yuan per card-hour"
        if as_json:
            print_json("candles", interval=interval, items=found)
        else:
            _show_candles(venue.time, title, found)
        if plot is not None:
            _draw("candles", plot, found, title, venue.time)


def _moment(venue: Market, text: str | None, option: str) -> str | None:
    return None if text is None else wire(moment(text, venue.time, option))


def _show_candles(at: VenueTime, title: str, found: list[dict[str, Any]]) -> None:
    columns = ("from", ">open", ">high", ">low", ">close", ">VWAP", ">card-h", ">trades", "")
    rows = [
        (
            shown(each["start"], at), each["open"], each["high"], each["low"], each["close"], each["vwap"],
            amount(each["card_hours"]), str(each["trades"]), "" if each["is_final"] else "open",
        )
        for each in found
    ]  # fmt: skip
    print_table(title, columns, rows)
    if not rows:
        note("nothing traded then: another span, or a longer one")


@market_command.command()
def curve(
    family: str = typer.Argument(..., help="chip/region/class/power, as `cpx instruments` lists them."),
    watch: Watch = False,
    plot: Plot = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """The forward curve: one price per delivery hour, from the fix, else recent trades, else the middle, else the best ask.

    Examples: cpx market curve A910B/gansu-qingyang/L10/grid    cpx market curve A910B/gansu-qingyang/L10/grid --plot curve.png
    """
    if watch and plot is not None:
        fail("a picture is of one look: --plot or --watch, not both", USAGE)
    _check_plot(plot)
    with market(url, key, explain) as venue:
        if watch:
            looks = venue.looks(venue.client.follow_curve(family))
            _watch(looks, "curve", as_json, lambda look: _show_curve(venue.time, family, look["points"]))
            return
        found = venue.ask("curve", family=family)
        if as_json:
            print_json("curve", curve=found)
        else:
            _show_curve(venue.time, family, found["items"])
        if plot is not None:
            _draw("curve", plot, found["items"], f"{family}: forward curve, yuan per card-hour", venue.time)
        now = venue.time.now
        ahead = [  # a fixed hour's book is closed, or about to
            point for point in found["items"]
            if point["source"] != "fix" and datetime.fromisoformat(point["period_start"]) > now
        ]  # fmt: skip
        if ahead and not as_json:
            cheapest = min(ahead, key=lambda point: Decimal(point["price"]))
            venue.suggest("book", cheapest["instrument"])


def _show_curve(at: VenueTime, family: str, points: list[dict[str, Any]]) -> None:
    columns = ("delivery", ">yuan/card-h", "from", "as of", ">yuan/PFLOPS-h")
    rows = [
        (
            shown(each["period_start"], at), each["price"], f"{each['source']} {each['grade']}".strip(),
            shown(each["as_of"], at), each["per_pflops_hour"] or "",
        )
        for each in points
    ]  # fmt: skip
    print_table(f"{family}: forward curve", columns, rows)
    if not rows:
        note("no hour of it has a fix, a trade or an ask: see ./cpx instruments for other families")


@market_command.command()
def indices(
    chip: str | None = typer.Argument(None, help="A chip; without one all of family ai, per PFLOPS-hour.", show_default=False),
    region: str | None = typer.Option(None, "--region", help="Of this region; by default of the country.", show_default=False),
    hour: str | None = typer.Option(None, "--hour", help="Of one delivery hour: the time it begins.", show_default=False),
    limit: Limit = 24,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """The index of a chip by delivery hour, from the fixes, weighted by what traded; for display, nothing is settled by it.

    Examples: cpx market indices A910B    cpx market indices A910B --region gansu-qingyang    cpx market indices --json
    """
    with market(url, key, explain) as venue:
        start = _moment(venue, hour, "--hour")
        found = venue.rows("indices", limit, chip=chip, region=region, period_start=start)[::-1]
        if as_json:
            print_json("indices", items=found)
            return
        rows = [
            (
                shown(each["period_start"], venue.time), each["price"] or "", each["per_pflops_hour"] or "",
                amount(each["card_hours"]), str(each["instruments"]), each["grade"],
            )
            for each in found
        ]  # fmt: skip
        columns = ("delivery", ">yuan/card-h", ">yuan/PFLOPS-h", ">card-h traded", ">fixes", "lowest grade")
        print_table(f"index of {chip or 'all ai chips'} in {region or 'the country'}", columns, rows)
        if not rows:
            none = "no hour has a fix here yet: the first is set just before a gate"
            note(none if hour is None else "that hour has no fix here: one is set just before its gate")


# --- live, and pictures ---


def _watch(looks: Iterator[dict[str, Any]], kind: str, as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    """Every look until Ctrl-C."""
    try:
        for look in looks:
            if as_json:
                typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": kind, kind: look}, ensure_ascii=False))
            else:
                show(look)
            sys.stdout.flush()
    except KeyboardInterrupt:
        note("stopped")


def _check_plot(path: Path | None) -> None:
    """Before anything is asked: a file that is no picture is kept (exit code 73), and only PNGs are made (2)."""
    if path is None:
        return
    if path.suffix.lower() != ".png":
        fail(f"the picture is a PNG: let the name end in .png, not {path.name!r}", USAGE)
    try:
        is_other = path.exists() and not (path.is_file() and path.read_bytes()[:8] == PNG_START)
    except OSError as error:
        fail(f"the picture cannot be written: {error}", CANNOT_CREATE)
    if is_other:
        fail(f"{path} is there and no PNG, so it is kept: name another file, or move this one away", CANNOT_CREATE)


def _draw(what: str, path: Path, rows: list[dict[str, Any]], title: str, at: VenueTime) -> None:
    """The picture, and where it is; exit codes 66 nothing to draw, 69 no matplotlib, 73 it cannot be written."""
    if not rows:
        fail("there is nothing to draw", NO_INPUT)
    try:
        from exchange.cli.price_plots import draw_candles, draw_curve
    except ImportError:
        fail("--plot needs matplotlib (extra dev): .venv/bin/pip install matplotlib", NO_MATPLOTLIB)
    when, draw = ("start", draw_candles) if what == "candles" else ("period_start", draw_curve)
    times = [datetime.fromisoformat(row[when]).astimezone(at.zone) for row in rows]
    png = draw(rows, times, title, str(at.zone))
    try:
        path.write_bytes(png)
    except OSError as error:
        fail(f"the picture cannot be written: {error}", CANNOT_CREATE)
    note(f"drawn: {path}")
