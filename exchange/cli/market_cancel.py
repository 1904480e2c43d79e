"""`cpx cancel`: takes back what has not traded yet."""

from __future__ import annotations

from typing import Any

import typer

from exchange.cli.market import (
    AsJson,
    Explain,
    Market,
    Participant,
    Secret,
    Url,
    Yes,
    ask_leave,
    market,
    print_json,
)
from exchange.cli.running import DATA_ERROR, NO_INPUT, USAGE, fail, note

cancel_command = typer.Typer(add_completion=False)


@cancel_command.command()
def cancel(
    name: str | None = typer.Argument(None, metavar="ID", help="Your id of a waiting task, a live order or an open offer."),
    everything: bool = typer.Option(False, "--all", help="All waiting tasks and live orders; offers stay."),
    participant: Participant = None,
    yes: Yes = False,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Take back what has not traded yet: a task, an order or an offer; what was bought stays bought.

    Examples: cpx cancel train-042    cpx cancel --all --yes
    """
    if (name is None) == (not everything):
        fail("say what: an ID, or --all", USAGE)
    with market(url, key, explain) as venue:
        targets = _targets(venue, name, participant)
        if everything and targets:
            ask_leave(yes, f"cancel {len(targets)} of them?", "nothing was canceled")
        done: list[dict[str, Any]] = []
        refused = 0
        try:
            for operation, field, reference in targets:
                send = venue.attempt if everything else venue.ask
                ack = send(operation, **{field: reference}, participant=participant)
                done.append({"operation": operation, "id": reference, "ack": ack})
                is_refused = ack["status"] in ("REJECTED", "DENIED")
                refused += is_refused
                if not as_json:
                    typer.echo(f"{reference}: " + (f"not canceled: {ack['message']}" if is_refused else ack["status"].lower()))
        finally:  # also where one of them fails: those before it are canceled
            if as_json:
                print_json("cancel", items=done)
        if refused:
            fail(f"{refused} of {len(done)} were not canceled: ./cpx tasks and ./cpx orders say what they became", DATA_ERROR)
        if not done and not as_json:
            note("nothing waits and nothing is live")


def _targets(venue: Market, name: str | None, participant: str | None) -> list[tuple[str, str, str]]:
    """(operation, name of its id, id) of what can be taken back; exit code 66 where an id names nothing that is open."""
    kinds = (
        ("tasks", "waiting", "cancel_task", "client_order_id"), ("orders", "live", "cancel_order", "client_order_id"),
        ("offers", "open", "withdraw_offer", "offer_id"),
    )  # fmt: skip
    found = []
    for listing, status, operation, field in kinds if name is not None else kinds[:2]:
        rows = venue.rows(listing, 100_000, status=status, participant=participant)
        found += [(operation, field, row[field]) for row in rows if name in (None, row[field])]
    if name is not None and not found:
        fail(f"nothing of yours under the id {name!r} waits or is open: see ./cpx tasks, orders, offers", NO_INPUT)
    return found
