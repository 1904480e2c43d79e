"""`cpx green`: how green deliveries were, which certificates are held, and supply hour by hour, shown or issued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli.market import (
    JSON_SCHEMA,
    AsJson,
    Explain,
    Limit,
    Market,
    Participant,
    Secret,
    Url,
    market,
    print_json,
    print_table,
)
from exchange.cli.moments import day as day_of
from exchange.cli.moments import shown as time_shown
from exchange.cli.running import CANNOT_CREATE, USAGE, fail, note

if TYPE_CHECKING:
    from exchange.ports_green import GreenSupply

command = typer.Typer(no_args_is_help=True, add_completion=False)

UNAVAILABLE = 69
PER_COMMAND = 1_024  # periods
Kw = Annotated[float | None, typer.Option("--kw", help="Size in kW: nameplate, or of the contract.", show_default=False)]


@command.command()
def share(
    day: str = typer.Argument(..., metavar="DAY", help="2026-11-24, today or yesterday."),
    limit: Limit = 1000,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """How green the settled deliveries of a day were: the sum of min(load, green) over the sum of load, hour by hour.

    Your own, by region; with an operator's key everybody's.

    Example: cpx green share 2026-11-24
    """
    with market(url, key, explain) as venue:
        date = day_of(day, venue.time, "DAY").isoformat()
        found = venue.rows("green_share", limit, day=date, participant=participant)
        if as_json:
            print_json("green_share", day=date, items=found)
            return
        rows = [
            (row["participant"], row["region"], kwh(row["load_wh"]), kwh(row["green_wh"]), percent(row["share"]))
            for row in found
        ]
        print_table(f"green power on {date}", ("buyer", "region", ">used, kWh", ">green, kWh", ">share"), rows)
        if not found:
            note("nothing that was delivered on that day is settled yet")


@command.command()
def held(
    limit: Limit = 200,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Certificates of hours that are not over: issued = free + pledged by offers and sales + retired by deliveries.

    Example: cpx green held
    """
    with market(url, key, explain) as venue:
        found = venue.rows("certificates", limit, participant=participant)
        if as_json:
            print_json("certificates", items=found)
            return
        columns = ("holder", "region", "hour", ">issued, kWh", ">free", ">pledged", ">retired")
        names = ("issued_wh", "free_wh", "pledged_wh", "retired_wh")
        at = venue.time
        rows = [
            (row["participant"], row["region"], time_shown(row["period_start"], at), *(kwh(row[name]) for name in names))
            for row in found
        ]  # fmt: skip
        print_table("certificates", columns, rows)
        if not found:
            note("no certificates of hours that are not over: ./cpx green supply --issue makes them")


@command.command()
def supply(
    zhongwei: bool = typer.Option(False, "--zhongwei", help="The 500 MW array at Zhongwei (docs/guides/green.md)."),
    solar: str | None = typer.Option(None, metavar="LAT,LON", help="An array there, degrees.", show_default=False),
    ghi: float | None = typer.Option(None, help="Its sun: kWh/m2 on level ground in a year.", show_default=False),
    tilt: float | None = typer.Option(None, help="Degrees from level; by default the latitude.", show_default=False),
    losses: float | None = typer.Option(None, help="Part lost; 0.14 by default for sun, 0.12 for wind.", show_default=False),
    wind: bool = typer.Option(False, "--wind", help="A wind farm over drawn speeds, or those of --series."),
    mean_speed: float = typer.Option(7.0, help="Mean of drawn wind speeds, m/s."),
    seed: int = typer.Option(1, help="Of drawn wind speeds: the same seed gives the same wind."),
    series: Path | None = typer.Option(
        None, metavar="FILE", help="A CSV file: hour,kwh | hour,wind_m_s | a public renewable share.", show_default=False
    ),
    modelled: bool = typer.Option(False, "--modelled", help="What --series holds was computed, not metered."),
    kw: Kw = None,
    start: str = typer.Option("2026-11-24T00:00:00Z", help="First hour, RFC 3339."),
    hours: int = typer.Option(24, min=1, max=100_000, help="How many."),
    out: Path | None = typer.Option(None, "-o", "--out", metavar="FILE", help="Write them as CSV.", show_default=False),
    plot: Path | None = typer.Option(None, metavar="FILE", help="Draw them (.png, needs matplotlib).", show_default=False),
    issue: str | None = typer.Option(None, metavar="ID", help="Issue them on an exchange under this name.", show_default=False),
    region: str | None = typer.Option(None, help="With --issue: where the power is used.", show_default=False),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Green power hour by hour, from sun, wind or a file: shown, written, drawn, or issued as certificates.

    Examples: cpx green supply --zhongwei --hours 8760 -o zhongwei.csv
    cpx green supply --series carbon.csv --kw 1000 --issue plant-1-day-1 --participant zhang --region gansu-qingyang
    """
    from exchange.cli.green_supply import Wanted, draw, first_hour, hourly_csv, supply_of
    from exchange.ports_green import SupplyMissing

    wanted = Wanted(zhongwei, solar, ghi, tilt, losses, wind, mean_speed, seed, series, modelled, kw)
    start_ns = first_hour(start)
    if issue is not None and (participant is None or region is None):
        fail("--issue needs --participant and --region: whose certificates, and where the power is used", USAGE)
    try:
        plant = supply_of(wanted)
        figures = plant.hours_wh(start_ns, hours)
    except SupplyMissing as error:
        fail(str(error), UNAVAILABLE if "pip install" in str(error) else USAGE)
    if plot is not None:
        draw(plot, plant.source, start_ns, figures)
        note(f"drawn to {plot}")
    if out is not None:
        _write(out, hourly_csv(start_ns, figures))
    if issue is not None:
        assert participant is not None and region is not None
        with market(url, key, explain) as venue:
            issue_all(venue, plant, issue, participant, region, start_ns, figures)
    _show(plant, start, figures, as_json, is_listed=out is None and plot is None and issue is None)


def issue_all(
    venue: Market, plant: GreenSupply, name: str, participant: str, region: str, start_ns: int, figures: list[int]
) -> None:
    """The hours as certificates, up to 1,024 periods a command; each batch has a number behind its name."""
    from exchange.domain.units import NS_PER_MINUTE, format_time
    from exchange.ports_green import per_period

    if not any(figures):
        fail("nothing is issued: there is no power in these hours; another --start, or more --hours", USAGE)
    minutes = int(venue.venue["period_min"])
    wh = per_period(figures, minutes)
    for number, first in enumerate(range(0, len(wh), PER_COMMAND)):
        batch = wh[first : first + PER_COMMAND]
        if any(batch):
            venue.ask(
                "issue_certificates", participant=participant, certificate_id=f"{name}-{number}" if number else name,
                region=region, start=format_time(start_ns + first * minutes * NS_PER_MINUTE), wh=batch, kind=plant.kind,
                source=plant.source,
            )  # fmt: skip
    note(f"issued {kwh(sum(wh))} kWh to {participant} in {region}")


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        fail(f"{out} cannot be written ({error.strerror}): choose another -o", CANNOT_CREATE)
    note(f"written to {out}")


def _show(plant: GreenSupply, start: str, figures: list[int], as_json: bool, *, is_listed: bool) -> None:
    total = sum(figures)
    if as_json:
        content: dict[str, Any] = {"source": plant.source, "supply": plant.kind, "start": start, "total_wh": total}
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "green_supply", **content, "wh": figures}, indent=2))
        return
    if is_listed:
        shown = figures[:168]
        print_table(plant.source, (">hour", ">kWh"), [(str(number), kwh(wh)) for number, wh in enumerate(shown)])
        if len(figures) > len(shown):
            note(f"and {len(figures) - len(shown):,} more hours: write them with -o FILE")
    typer.echo(f"{len(figures):,} hours from {start}: {kwh(total)} kWh ({plant.kind})")


def kwh(wh: int) -> str:
    """Wh as kWh, with commas between thousands."""
    whole, rest = divmod(wh, 1000)
    return f"{whole:,}.{rest:03d}".rstrip("0").rstrip(".")


def percent(share: str) -> str:
    """A share as percent, to one place."""
    from decimal import Decimal

    return f"{Decimal(share) * 100:.1f} %"
