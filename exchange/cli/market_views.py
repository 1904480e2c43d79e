"""`cpx lane`: what a need could use in one hour; `cpx demand`: what waiting tasks would buy. Once, or live."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer

from exchange.cli.market import (
    JSON_SCHEMA,
    AsJson,
    Explain,
    Market,
    Secret,
    Url,
    amount,
    decimal_text,
    market,
    print_json,
    print_table,
)
from exchange.cli.market_terms import wire
from exchange.cli.market_windows import period_start
from exchange.cli.running import note

lane_command = typer.Typer(add_completion=False)
demand_command = typer.Typer(add_completion=False)


@lane_command.command()
def lane(
    hour: str = typer.Argument("next", help="Start of the delivery hour: 22:00, +3h, 2026-11-24T22:00:00+08:00; or `next`."),
    access: str = typer.Option(..., "--access", help="Region from which it is used."),
    chips: str = typer.Option(..., "--chip", help="Accepted chips: A910B,H800."),
    latency: str | None = typer.Option(None, "--latency", help="Round trip at most, ms.", show_default=False),
    green: bool = typer.Option(False, "--green", help="Green power only."),
    levels: int = typer.Option(20, min=1, max=1000, help="Levels at most."),
    watch: bool = typer.Option(False, "--watch", "-w", help="Go on showing it, live over the socket; Ctrl-C stops."),
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Everything a need could use in one hour, books and block offers together, cheapest first; moving data not counted.

    Examples: cpx lane --access hubei-wuhan --chip A910B,H800 --latency 10    cpx lane 22:00 --access hubei-wuhan --chip H800 -w
    """
    with market(url, key, explain) as venue:
        need: dict[str, Any] = {
            "access_region": access, "chips": [text for text in chips.split(",") if text],
            "period_start": _period(venue, hour), "min_green": "1" if green else None,
            "max_latency_ms": None if latency is None else decimal_text("--latency", latency, "ms"),
        }  # fmt: skip
        if watch:
            _watch(venue, venue.client.follow_lane(**need), "lane", as_json, lambda look: _show_lane(look, levels))
            return
        found = venue.ask("lane", levels=levels, **need)
        if as_json:
            print_json("lane", lane=found)
            return
        _show_lane({"topic": found["topic"], "levels": found["items"]}, levels)
        best = found["items"][0] if found["items"] else None
        if best and not best["is_block"]:
            venue.suggest("buy", best["cards"], "--instrument", best["instrument"], "--cap", best["price"], "--or-better")
        elif best:
            size = (best["min_cards"], "--hours", best["min_hours"])
            venue.suggest("buy", *size, "--chip", chips, "--access", access, "--cap", best["price"])


def _period(venue: Market, text: str) -> str:
    """The start of a period of the venue; `next` = the first that is still open."""
    minutes = venue.venue["period_min"]
    if text != "next":
        return wire(period_start(venue, text, "HOUR"))
    now_ns, gate_ns = int(venue.venue["ts_ns"]), venue.venue["gate_min"] * 60 * 10**9
    period_ns = minutes * 60 * 10**9
    start_ns = -(-(now_ns + gate_ns + 1) // period_ns) * period_ns
    return wire(datetime.fromtimestamp(start_ns // 10**9, venue.time.zone))


def _show_lane(look: dict[str, Any], levels: int) -> None:
    columns = (">yuan/card-h", ">cards", ">up to here", "from", "what", ">ms")
    rows = [
        (each["price"], each["cards"], each["total_cards"], each["instrument"], _what(each), each["rtt_ms"])
        for each in look["levels"][:levels]
    ]
    print_table(look["topic"], columns, rows)
    if not rows:
        note("nobody offers anything that fits: another hour, more ms, or another chip")


def _what(level: dict[str, Any]) -> str:
    if not level["is_block"]:
        return "book"
    return f"block of {level['site']}, at least {level['min_cards']} cards x {level['min_hours']} h"


@demand_command.command()
def demand(
    chip: str | None = typer.Option(None, "--chip", help="Only this chip.", show_default=False),
    access: str | None = typer.Option(None, "--access", help="Only what is used from this region.", show_default=False),
    watch: bool = typer.Option(False, "--watch", "-w", help="Go on showing it, live over the socket; Ctrl-C stops."),
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What waiting tasks would buy, in card-hours by chip, region, class, deadline and price; each line is of 3 firms or more.

    Examples: cpx demand --chip A910B    cpx demand --access hubei-wuhan --watch --json
    """
    with market(url, key, explain) as venue:
        if watch:
            stream = venue.client.follow_demand(chip=chip, access_region=access)
            _watch(venue, stream, "demand", as_json, lambda look: _show_demand(look["cells"]))
            return
        found = venue.ask("demand", chip=chip, access_region=access)
        if as_json:
            print_json("demand", demand=found)
            return
        _show_demand(found["items"])
        if found["items"]:
            best = max(found["items"], key=lambda cell: Decimal(cell["price"]))
            words = ("sell", "CARDS", "--site", "SITE", "--chip", best["chip"], "--standing", "--price", best["price"])
            venue.suggest(*words, "--class", best["latency_class"])


def _show_demand(cells: list[dict[str, Any]]) -> None:
    columns = ("chip", "used from", "class", ">within h", ">yuan/card-h, at least", ">card-hours")
    rows = [
        (
            each["chip"], each["access_region"], each["latency_class"], str(each["deadline_hours"]), each["price"],
            amount(each["card_hours"]),
        )
        for each in cells
    ]  # fmt: skip
    print_table("demand that waits", columns, rows)
    if not rows:
        note("nothing waits of which as much may be told: less than three firms in every cell")


def _watch(
    venue: Market, stream: Iterator[Any], kind: str, as_json: bool, show: Callable[[dict[str, Any]], None]
) -> None:
    """Every look until Ctrl-C, or until the view ends with its gate."""
    try:
        for look in venue.looks(stream):
            if as_json:
                typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": kind, kind: look}, ensure_ascii=False))
            else:
                show(look)
            sys.stdout.flush()
    except KeyboardInterrupt:
        note("stopped")
