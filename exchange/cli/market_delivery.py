"""`cpx delivery agent | dispatches | access | result | meter | fail | probe`: what a provider runs and tells the buyer."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.delivery_agent import agent
from exchange.cli.market import (
    AsJson,
    Explain,
    Limit,
    Participant,
    Secret,
    Url,
    Yes,
    ask_leave,
    decimal_text,
    market,
    print_json,
    print_table,
)
from exchange.cli.moments import shown
from exchange.cli.running import CANNOT_CREATE, NO_INPUT, USAGE, fail, note

delivery_command = typer.Typer(
    no_args_is_help=True, add_completion=False,
    help="What a provider has to run, and an agent that runs it; access, results, meters, failures, probes.",
)  # fmt: skip

delivery_command.command("agent")(agent)

MAX_OUTPUT = 16_000
Lease = Annotated[str, typer.Argument(metavar="LEASE", help="As `cpx leases` and `dispatches` name it.")]
Obligation = Annotated[int, typer.Argument(metavar="OBLIGATION", min=0, help="One hour of a lease, as `dispatches` names it.")]


@delivery_command.command()
def dispatches(
    limit: Limit = 50,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What you have to run: leases of tasks of which something is not settled yet, oldest first.

    Examples: cpx delivery dispatches    cpx delivery dispatches --json
    """
    with market(url, key, explain) as venue:
        found = venue.rows("dispatches", limit, participant=participant)
        if as_json:
            print_json("dispatches", items=found)
            return
        if not found:
            note("nothing to run")
            return
        columns = ("lease", "for", "site", "chip", ">cards", ">hours", "from", "failing", "access", "data", "work")
        rows = [
            (
                row["lease_id"], row["counterparty"], row["site"], row["chip"], row["hours"][0]["cards"],
                str(len(row["hours"])), shown(row["hours"][0]["period_start"], venue.time),
                str(sum(1 for hour in row["hours"] if hour["failing"])),
                "given" if row["has_access"] else "", f"{row['data_gb']} GB {row['data_region']}" if row["data_region"] else "",
                row["work"],
            )
            for row in found
        ]  # fmt: skip
        print_table("dispatches", columns, rows)
        waiting = next((row for row in found if not row["has_access"]), None)
        if waiting:
            venue.suggest("delivery", "access", waiting["lease_id"], "ssh …", participant=participant)


@delivery_command.command()
def access(
    lease: Lease,
    text: str = typer.Argument(..., metavar="TEXT", help="How to reach the cards, at most 1,000 characters; - = from stdin."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Tell the buyer of a lease, and nobody else, how to reach the cards; a later word replaces an earlier one.

    Examples: cpx delivery access 17 "ssh -p 2201 job@gz-1.example"    cpx delivery access 17 - < access.txt
    """
    words = sys.stdin.read() if text == "-" else text
    with market(url, key, explain) as venue:
        done = venue.ask("give_access", lease_id=lease, access=words, participant=participant)
        _say(done, as_json, f"the buyer of lease {lease} can read it with: cpx leases --lease {lease}")


@delivery_command.command()
def result(
    lease: Lease,
    exit_code: int = typer.Option(
        ..., "--exit-code", min=-255, max=255, help="Of the work; 0 = it went well, below 0 a signal ended it."
    ),
    output: str = typer.Option("", "--output", help="What it has put out."),
    file: Path | None = typer.Option(None, "--file", help="Its output is in this file; the last 16,000 characters are sent."),
    part: bool = typer.Option(False, "--part", help="There is more to come."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Return what the work of a lease has put out, for its buyer alone.

    Examples: cpx delivery result 17 --exit-code 0 --file run.log    cpx delivery result 17 --exit-code 0 --output "epoch 1"
    """
    if file is not None and output:
        fail("--output and --file say the same twice: give one of them", USAGE)
    try:
        text = file.read_text("utf-8", errors="replace")[-MAX_OUTPUT:] if file is not None else output
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", NO_INPUT)
    with market(url, key, explain) as venue:
        done = venue.ask(
            "return_result", lease_id=lease, exit_code=exit_code, output=text, is_final=not part, participant=participant
        )
        _say(done, as_json, f"the buyer of lease {lease} can read it with: cpx leases --lease {lease}")


@delivery_command.command()
def meter(
    site: str = typer.Argument(..., metavar="SITE"),
    heartbeat: int = typer.Option(0, "--heartbeat", min=0, help="Seconds between readings of a running hour; 0 = one in all."),
    public_key: str = typer.Option("", "--public-key", help="Ed25519, 64 hex digits: readings are signed with it."),
    new_key: Path | None = typer.Option(None, "--new-key", help="Make a key; its secret goes into this new file."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What a site's meter does: who signs its readings, from now on; how often it reports, of what is sold from now on.

    Examples: cpx delivery meter zw-1 --heartbeat 60 --new-key zw-1.meter    cpx delivery meter zw-1
    """
    if new_key is not None:
        if public_key:
            fail("--public-key and --new-key: give one of them", USAGE)
        public_key = _make_key(new_key)
    with market(url, key, explain) as venue:
        done = venue.ask("set_meter", site=site, public_key=public_key, heartbeat_s=heartbeat, participant=participant)
        beat = f"every {heartbeat} s" if heartbeat else "once an hour"
        _say(done, as_json, f"the meter of {site} reports {beat}, {'signed' if public_key else 'unsigned'}")


def _make_key(path: Path) -> str:
    """A new key's public half; the secret half in a file that only its owner reads."""
    from clients.meters import MeterKey

    made = MeterKey()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(made.secret + "\n")
    except OSError as error:
        fail(f"{path} cannot be made: {error.strerror}", CANNOT_CREATE)
    return made.public_key


@delivery_command.command("fail")
def declare_failure(
    obligation: Obligation,
    yes: Yes = False,
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Say that you will not deliver one hour of a lease; this cannot be taken back, and it costs damages.

    Examples: cpx delivery fail 21    cpx delivery fail 21 --yes --json
    """
    ask_leave(yes, f"obligation {obligation} will not be delivered: sure?", "nothing is declared")
    with market(url, key, explain) as venue:
        done = venue.ask("declare_failure", obligation_id=obligation, participant=participant)
        _say(done, as_json, f"obligation {obligation} is failing; its capacity stays locked")


@delivery_command.command()
def probe(
    name: str = typer.Argument(..., metavar="PROBE", help="Which probe it was."),
    obligation: Obligation = ...,  # type: ignore[assignment]
    cards: str = typer.Argument(..., metavar="CARDS", help="How many it saw delivered over the hour."),
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """What a network probe saw of an hour, after its end; with a key of the operator.

    Examples: cpx delivery probe probe-gz 21 64    cpx delivery probe probe-gz 21 60 --json
    """
    seen = decimal_text("CARDS", cards, "cards")
    with market(url, key, explain) as venue:
        done = venue.ask("probe_reading", probe=name, obligation_id=obligation, delivered_cards=seen)
        _say(done, as_json, f"noted: {name} saw {seen} cards of obligation {obligation}")


def _say(done: dict[str, object], as_json: bool, text: str) -> None:
    if as_json:
        print_json("ack", ack=done)
        return
    note(text)
