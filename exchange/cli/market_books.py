"""`cpx book`: one book, once or live; `cpx curve`: the forward curve by delivery hour as a picture."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import typer

from exchange.cli.drawing import Hour, can_draw, draw
from exchange.cli.market import AsJson, Explain, Market, Secret, Url, market, print_json, print_table
from exchange.cli.moments import day as day_of
from exchange.cli.running import NO_INPUT, USAGE, fail, note

book_command = typer.Typer(add_completion=False)
curve_command = typer.Typer(add_completion=False)

MAX_BOOKS = 1_000  # that one picture asks for
BAR = 20  # letters of the widest level
DEFAULT_COLUMNS = 100


@book_command.command()
def book(
    instrument: str = typer.Argument(..., help="chip/region/class/power/hour, as `cpx instruments` lists them."),
    levels: int = typer.Option(10, min=1, max=1000, help="Price levels a side."),
    watch: bool = typer.Option(False, "--watch", "-w", help="Go on showing it, live over the socket; Ctrl-C stops."),
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Price levels of one book: who would sell on top, who would buy below.

    Examples: cpx book A910B/gansu-qingyang/L10/grid/20261124T08    cpx book A910B/gansu-qingyang/L10/grid/20261124T08 --watch
    """
    with market(url, key, explain) as venue:
        if watch:
            _watch(venue, instrument, levels, as_json=as_json)
            return
        depth = venue.ask("depth", instrument=instrument, levels=levels)
        if as_json:
            print_json("book", book=depth)
            return
        for line in book_lines(depth):
            typer.echo(line)
        best = depth["asks"][0] if depth["asks"] else None
        if best:
            venue.suggest("buy", best[1], "--instrument", instrument, "--cap", best[0])


def book_lines(depth: dict[str, Any], note_text: str = "") -> list[str]:
    """Asks from the dearest down, the gap, bids; a bar for the cards of each level."""
    levels = [*depth["asks"], *depth["bids"]]
    most = max((Decimal(cards) for _, cards in levels), default=Decimal(1)) or Decimal(1)
    wide = max((len(price) for price, _ in levels), default=5), max((len(cards) for _, cards in levels), default=5)
    mark = "█" if can_draw(sys.stdout.encoding) else "#"
    lines = [f"{depth['instrument']}  seq {depth['seq']}{note_text}", f"{'yuan/card-h':>{wide[0] + 6}}  {'cards':>{wide[1]}}"]

    def line(side: str, price: str, cards: str) -> str:
        return f"{side:<5} {price:>{wide[0]}}  {cards:>{wide[1]}}  {mark * max(1, int(Decimal(cards) * BAR / most))}".rstrip()

    lines += [line("ask", price, cards) for price, cards in reversed(depth["asks"])] or ["ask   nobody offers"]
    lines.append("-" * (wide[0] + wide[1] + 8))
    return lines + ([line("bid", price, cards) for price, cards in depth["bids"]] or ["bid   nobody bids"])


def _watch(venue: Market, instrument: str, levels: int, *, as_json: bool) -> None:
    """Every change until Ctrl-C: one redrawn picture on a terminal, one line (or JSON object) a change elsewhere."""
    try:
        if not as_json and sys.stdout.isatty():
            _watch_on_terminal(venue, instrument, levels)
            return
        for depth in venue.watch_book(instrument, levels):
            if as_json:
                print_json_line(depth)
            else:
                typer.echo(one_line(depth))
            sys.stdout.flush()
    except KeyboardInterrupt:
        note("stopped")


def _watch_on_terminal(venue: Market, instrument: str, levels: int) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), auto_refresh=False, transient=False) as live:
        for depth in venue.watch_book(instrument, levels):
            state = "  live" if depth["is_live"] else "  STALE: reconnecting"
            live.update(Text("\n".join(book_lines(depth, state))), refresh=True)


def print_json_line(depth: dict[str, Any]) -> None:
    """One object a line, as a stream is read."""
    import json

    typer.echo(json.dumps({"schema": 1, "kind": "book", "book": depth}, ensure_ascii=False))


def one_line(depth: dict[str, Any]) -> str:
    """The best of both sides."""
    ask = " x ".join(reversed(depth["asks"][0])) if depth["asks"] else "-"
    bid = " x ".join(reversed(depth["bids"][0])) if depth["bids"] else "-"
    stale = "" if depth["is_live"] else "  stale"
    return f"{depth['instrument']}  seq {depth['seq']}  bid {bid}  ask {ask}{stale}"


# --- the forward curve ---


@curve_command.command()
def curve(
    chip: str | None = typer.Option(None, help="Only this chip.", show_default=False),
    region: str | None = typer.Option(None, help="Only this region.", show_default=False),
    latency_class: str | None = typer.Option(None, "--class", help="L1, L5, L7, L10 or BE.", show_default=False),
    power: str | None = typer.Option(None, help="grid or green.", show_default=False),
    day: str | None = typer.Option(None, help="today, tomorrow or a date; by default the next 24 hours.", show_default=False),
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """The forward curve: the best ask and the best bid of every delivery hour, cheapest family first.

    Examples: cpx curve --region gansu-qingyang    cpx curve --chip A910B --day tomorrow    cpx curve --chip L40S --json
    """
    if chip is None and region is None:
        fail("a curve is of something: give --chip or --region", USAGE)
    with market(url, key, explain) as venue:
        wanted = {"chip": chip, "region": region, "latency_class": latency_class, "power": power}
        families = venue.rows("instruments", 1000, **wanted)
        if not families:
            fail("no family is listed like that: see ./cpx instruments", NO_INPUT)
        periods = _periods(venue, families[0], day)
        if len(families) * len(periods) > MAX_BOOKS:
            fail(f"{len(families)} families over {len(periods)} hours are too many: say --chip, --region or --class", USAGE)
        hours = [_best(venue, [family["family"] for family in families], start, code) for start, code in periods]
        if as_json:
            print_json("curve", families=[family["family"] for family in families], hours=hours)
            return
        _show_curve(venue, families, hours)


def _periods(venue: Market, family: dict[str, Any], day: str | None) -> list[tuple[datetime, str]]:
    """(start, code) of the open periods of a day of the venue, or of the next 24 hours."""
    step = timedelta(minutes=venue.venue["period_min"])
    first, last = period_start(family["first_period"]), period_start(family["last_period"])
    if day is None:
        begin, end = first, first + timedelta(hours=24)
    else:
        at = venue.time
        begin = datetime.combine(day_of(day, at, "--day"), datetime.min.time(), at.zone).astimezone(UTC)
        end = begin + timedelta(days=1)
    starts = [first + step * count for count in range(int((last - first) / step) + 1)]
    found = [(start, period_code(start, family["first_period"])) for start in starts if begin <= start < end]
    if not found:
        fail(f"no hour of {day} is open: trading goes from {family['first_period']} to {family['last_period']} (UTC)", NO_INPUT)
    return found


def period_start(code: str) -> datetime:
    """The UTC start in a period code such as 20261124T08 or 20261124T0830."""
    return datetime.strptime(code.ljust(13, "0"), "%Y%m%dT%H%M").replace(tzinfo=UTC)


def period_code(start: datetime, like: str) -> str:
    """The code of a start, as long as the code of another period of the venue."""
    return start.strftime("%Y%m%dT%H%M")[: len(like)]


def _best(venue: Market, families: Sequence[str], start: datetime, code: str) -> dict[str, Any]:
    """The best ask and bid among some families in one period, and where the ask stands."""
    best: dict[str, Any] = {"period_start": start.isoformat().replace("+00:00", "Z"), "period": code}
    best |= {"ask": None, "ask_cards": None, "ask_family": None, "bid": None, "bid_cards": None}
    for family in families:
        depth = venue.ask("depth", instrument=f"{family}/{code}", levels=1)
        for price, cards in depth["asks"]:
            if best["ask"] is None or Decimal(price) < Decimal(best["ask"]):
                best |= {"ask": price, "ask_cards": cards, "ask_family": family}
        for price, cards in depth["bids"]:
            if best["bid"] is None or Decimal(price) > Decimal(best["bid"]):
                best |= {"bid": price, "bid_cards": cards}
    return best


def _show_curve(venue: Market, families: list[dict[str, Any]], hours: list[dict[str, Any]]) -> None:
    zone = venue.time.zone
    points = []
    for hour in hours:
        local = datetime.fromisoformat(hour["period_start"]).astimezone(zone)
        ask, bid = (None if hour[side] is None else Decimal(hour[side]) for side in ("ask", "bid"))
        points.append(Hour(f"{local:%H}", f"{local:%m-%d}", ask, bid))
    is_plain = not can_draw(sys.stdout.encoding)
    width = shutil.get_terminal_size((DEFAULT_COLUMNS, 24)).columns if sys.stdout.isatty() else DEFAULT_COLUMNS
    name = families[0]["family"] if len(families) == 1 else f"{len(families)} families"
    lines = draw(points, width=width, is_plain=is_plain)
    if not lines:
        fail(f"nobody offers or bids in these hours of {name}: try another --day, or ./cpx instruments", NO_INPUT)
    key_text = "A ask, B bid, X both" if is_plain else "● ask  ○ bid  ◆ both"
    typer.echo(f"{name}: yuan per card-hour by delivery hour ({venue.venue['time_zone']})   {key_text}")
    for line in lines:
        typer.echo(line)
    cheapest = min((hour for hour in hours if hour["ask"]), key=lambda hour: Decimal(hour["ask"]), default=None)
    if cheapest:
        instrument = f"{cheapest['ask_family']}/{cheapest['period']}"
        print_table("", ("cheapest hour", ">ask", ">cards"), [(instrument, cheapest["ask"], cheapest["ask_cards"])])
        venue.suggest("book", instrument)
