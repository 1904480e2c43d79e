"""`cpx instruments`, `orders`, `tasks`, `offers`, `leases`: what there is, one table each, and a next command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from exchange.cli.market import (
    AsJson,
    Explain,
    Limit,
    Market,
    Participant,
    Secret,
    Url,
    amount,
    market,
    print_json,
    print_table,
)
from exchange.cli.moments import shown
from exchange.cli.running import NO_INPUT, fail, note

ALL_ROWS = 100_000
SHOWN_CHIPS = 4  # of a task, in a table
instruments_command = typer.Typer(add_completion=False)
orders_command = typer.Typer(add_completion=False)
tasks_command = typer.Typer(add_completion=False)
offers_command = typer.Typer(add_completion=False)
leases_command = typer.Typer(add_completion=False)


@instruments_command.command()
def instruments(
    chip: str | None = typer.Option(None, help="Only this chip.", show_default=False),
    region: str | None = typer.Option(None, help="Only this region.", show_default=False),
    latency_class: str | None = typer.Option(None, "--class", help="L1, L5, L7, L10 or BE.", show_default=False),
    power: str | None = typer.Option(None, help="grid or green.", show_default=False),
    limit: Limit = 1000,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What can be traded: families (chip, region, latency class, power) and their open delivery hours.

    Examples: cpx instruments --chip A910B    cpx instruments --region gansu-qingyang --json
    """
    with market(url, key, explain) as venue:
        wanted = {"chip": chip, "region": region, "latency_class": latency_class, "power": power}
        found = venue.rows("instruments", limit, **wanted)
        if as_json:
            print_json("instruments", items=found)
            return
        rows = [(row["family"], row["first_period"], row["last_period"], str(row["periods"])) for row in found]
        _show("families", ("family", "first hour, UTC", "last hour, UTC", ">hours"), rows, "no family is listed like that")
        if found:
            venue.suggest("book", f"{found[0]['family']}/{found[0]['first_period']}")


@orders_command.command()
def orders(
    status: str | None = typer.Option(None, help="live, filled, canceled or expired.", show_default=False),
    only_open: bool = typer.Option(False, "--open", help="The same as --status live."),
    limit: Limit = 50,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Your plain orders in single books, newest first.

    Examples: cpx orders --open    cpx orders --status filled --limit 10
    """
    with market(url, key, explain) as venue:
        wanted = {"status": "live" if only_open else status, "participant": participant}
        found = venue.rows("orders", limit, **wanted)
        if as_json:
            print_json("orders", items=found)
            return
        columns = ("id", "status", "instrument", ">price, yuan/card-h", ">cards", ">filled", "when")
        rows = [
            (
                row["client_order_id"], row["status"], row["instrument"], row["price"], row["cards"], row["filled_cards"],
                shown(row["ts"], venue.time),
            )
            for row in found
        ]  # fmt: skip
        _show("orders", columns, rows, "no orders")
        _suggest_for(venue, found, "live", "cancel", participant)


@tasks_command.command()
def tasks(
    status: str | None = typer.Option(None, help="waiting, filled, partly or unfilled.", show_default=False),
    limit: Limit = 50,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Your tasks and what became of them, newest first.

    Examples: cpx tasks    cpx tasks --status unfilled --json
    """
    with market(url, key, explain) as venue:
        found = venue.rows("tasks", limit, status=status, participant=participant)
        if as_json:
            print_json("tasks", items=found)
            return
        columns = ("id", "status", "chips", ">cards", ">hours", ">filled card-h", ">compute", "where or why not", "deadline")
        rows = [
            (
                row["client_order_id"], row["status"], _chips(row["chips"]), row["cards"], row["hours"],
                row["filled_card_hours"], amount(row["compute"]), row["instrument"] or row["message"] or row["reason"],
                shown(row["deadline"], venue.time),
            )
            for row in found
        ]  # fmt: skip
        _show("tasks", columns, rows, "no tasks")
        _suggest_for(venue, found, "waiting", "cancel", participant)


@offers_command.command()
def offers(
    status: str | None = typer.Option(None, help="open or ended.", show_default=False),
    limit: Limit = 50,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Your offers: what is sold of them and what is still open, newest first.

    Examples: cpx offers --status open    cpx offers --json
    """
    with market(url, key, explain) as venue:
        found = venue.rows("offers", limit, status=status, participant=participant)
        if as_json:
            print_json("offers", items=found)
            return
        columns = ("id", "status", "site", "family", ">cards", ">hours", ">sold card-h", ">open card-h", "since")
        rows = [
            (
                row["offer_id"], row["status"], row["site"],
                f"{row['chip']}/{row['region']}/{row['latency_class']}/{row['power']}", row["cards"], str(row["periods"]),
                row["sold_card_hours"], row["open_card_hours"], shown(row["ts"], venue.time),
            )
            for row in found
        ]  # fmt: skip
        _show("offers", columns, rows, "no offers")
        _suggest_for(venue, found, "open", "cancel", participant)


@leases_command.command()
def leases(
    status: str | None = typer.Option(None, help="open or ended.", show_default=False),
    lease: str | None = typer.Option(None, "--lease", help="Only this one: its access and its output.", show_default=False),
    limit: Limit = 50,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What you bought: cards over hours at a site, purchase by purchase, newest first.

    Examples: cpx leases --status open    cpx leases --lease 17    cpx leases --json
    """
    with market(url, key, explain) as venue:
        found = venue.rows("leases", ALL_ROWS if lease else limit, status=status, participant=participant)
        if lease:
            found = [row for row in found if row["lease_id"] == lease]
            if not found:
                fail(f"there is no lease {lease[:36]} of yours; see cpx leases", NO_INPUT)
        if as_json:
            print_json("leases", items=found)
            return
        columns = ("lease", "state", "site", "family", ">cards", ">hours", ">cost, yuan", "start", "end", "for")
        rows = [
            (
                row["lease_id"], row["state"], row["site"], row["family"], row["cards"], row["hours"], amount(row["cost"]),
                shown(row["start"], venue.time), shown(row["end"], venue.time), row["client_order_id"],
            )
            for row in found
        ]  # fmt: skip
        _show("leases", columns, rows, "no leases")
        if lease:
            _tell(found[0])
        elif found:
            told = next((row for row in found if row["accesses"] or row["results"]), None)
            words = ("leases", "--lease", told["lease_id"]) if told else ("statement", "today")
            venue.suggest(*words, participant=participant)


def _tell(lease: dict[str, Any]) -> None:
    """What the sellers of a lease have told its buyer."""
    for row in lease["accesses"]:
        typer.echo(f"access, by {row['seller']}:\n{row['access']}")
    for row in lease["results"]:
        ended = "" if row["is_final"] else ", not the last word"
        typer.echo(f"output, by {row['seller']}, exit code {row['exit_code']}{ended}:\n{row['output']}")
    if not lease["accesses"] and not lease["results"]:
        note("nothing has been told of it yet")


def _chips(codes: Sequence[str]) -> str:
    """The first ones, and how many more."""
    return ",".join(codes[:SHOWN_CHIPS]) + (f" and {len(codes) - SHOWN_CHIPS} more" if len(codes) > SHOWN_CHIPS else "")


def _show(title: str, columns: tuple[str, ...], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if rows:
        print_table(title, columns, rows)
    else:
        note(nothing)


def _suggest_for(
    venue: Market, found: list[dict[str, Any]], status: str, command: str, participant: str | None
) -> None:
    """The command on the first row that it would do something for."""
    for row in found:
        if row["status"] == status:
            venue.suggest(command, row.get("client_order_id") or row["offer_id"], participant=participant)
            return
