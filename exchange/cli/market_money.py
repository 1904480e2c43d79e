"""`cpx statement`: a day of one's account; `cpx keys`: who may do what at the doors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    amount,
    market,
    print_json,
    print_table,
)
from exchange.cli.market_terms import wire
from exchange.cli.moments import VenueTime, moment, shown, venue_time
from exchange.cli.moments import day as day_of
from exchange.cli.running import CANNOT_CREATE, NO_INPUT, USAGE, fail, note

if TYPE_CHECKING:
    from exchange.adapters.keys import KeyFile
    from exchange.ports_access import KeyRow

statement_command = typer.Typer(add_completion=False)
keys_command = typer.Typer(add_completion=False)

PURSES = ("cash", "held", "escrow", "margin", "bond", "total")
LINE = ("seq", "ts", "what", "counterparty", "amount", "reference", "obligation_id", "instrument")
DEFAULT_SCOPES = "read,trade"


@statement_command.command()
def statement(
    day: str = typer.Argument("today", help="today, yesterday or a date like 2026-11-24."),
    out: Path | None = typer.Option(None, "--out", "-o", metavar="FILE", help="Write it there instead of to the screen."),
    as_csv: bool = typer.Option(False, "--csv", help="The lines as CSV."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Your account on one day: opening, every line, closing, to the last unit.

    Examples: cpx statement today    cpx statement 2026-11-24 --csv -o statement.csv
    """
    if as_csv and as_json:
        fail("--csv or --json, one of them", USAGE)
    if out is not None and not (as_csv or as_json):
        fail("-o writes --csv or --json: say which", USAGE)
    if out is not None and out.is_dir():
        fail(f"{out} is a folder: name a file in -o", CANNOT_CREATE)
    with market(url, key, explain) as venue:
        date = day_of(day, venue.time, "DAY").isoformat()
        found = venue.ask("statement", day=date, participant=participant)
        if not (as_csv or as_json):
            _show_statement(venue, found, participant)
    if as_json:
        content = {"schema": JSON_SCHEMA, "kind": "statement", "statement": found}
        _put(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    elif as_csv:
        _put(out, _csv(found))


def _put(out: Path | None, text: str) -> None:
    """To the screen, or whole or not at all into a file."""
    if out is None:
        typer.echo(text, nl=False)
        return
    partial = out.with_name(f".{out.name}.tmp")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):  # what is in the way of the file may be in the way of this one
            partial.unlink(missing_ok=True)
        fail(f"{out} cannot be written ({error.strerror}): choose another -o", CANNOT_CREATE)
    note(f"written to {out}")


def _csv(found: dict[str, Any]) -> str:
    """The lines, with opening and closing as first and last row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LINE)
    writer.writerow(["", "", "opening", "", found["opening"]["total"], "", "", ""])
    for line in found["lines"]:
        writer.writerow([_cell(line[name]) for name in LINE])
    writer.writerow(["", "", "closing", "", found["closing"]["total"], "", "", ""])
    return text.getvalue()


def _cell(value: Any) -> str:
    """As text; what a spreadsheet would take for a formula is kept from being one."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "@", "\t") else text


def _show_statement(venue: Market, found: dict[str, Any], participant: str | None) -> None:
    at = venue.time
    final = "" if found["is_final"] else ", the day is not over"
    purses = [(name, amount(found["opening"][name]), amount(found["closing"][name])) for name in PURSES]
    print_table(f"{found['participant']} on {found['day']}{final}, yuan", ("purse", ">opening", ">closing"), purses)
    if not found["lines"]:
        note("no line: no money came or went on that day")
        return
    rows = [
        (
            shown(line["ts"], at), line["what"], line["counterparty"], amount(line["amount"]), line["reference"],
            line["instrument"],
        )
        for line in found["lines"]
    ]  # fmt: skip
    print_table("", ("when", "what", "with", ">amount", "for", "instrument"), rows)
    file = f"statement-{found['day']}.csv"
    venue.suggest("statement", found["day"], "--csv", "-o", file, participant=participant)


# --- keys ---


class KeyAction(StrEnum):
    """What to do with keys."""

    list = "list"
    add = "add"
    revoke = "revoke"


@keys_command.command()
def keys(
    action: KeyAction = typer.Argument(KeyAction.list, help="list, add or revoke."),
    key_id: str | None = typer.Argument(None, metavar="[KEY_ID]", help="Which key to revoke."),
    participant: str | None = typer.Option(None, help="Whose key; without one it is the operator's.", show_default=False),
    scopes: str = typer.Option(DEFAULT_SCOPES, help="read, trade, provide, operate: with commas between."),
    label: str = typer.Option("", help="What it is for, in your words."),
    expires: str | None = typer.Option(None, help="Until when it opens: +90d or a date.", show_default=False),
    folder: Path | None = typer.Option(
        None, "--folder", metavar="DIR", help="Directly in an exchange's folder, without asking a server.", show_default=False
    ),
    limit: Limit = 1000,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Make, list and end the keys with which programs come in; a secret is shown once, when it is made.

    Examples: cpx keys    cpx keys add --participant film-studio --scopes read,trade    cpx keys revoke k3f9a2
    cpx keys add --participant film-studio --folder cpx-data
    """
    wanted = [scope for scope in scopes.split(",") if scope]
    if (action is KeyAction.revoke) != (key_id is not None):
        fail("revoke needs the key's id (see ./cpx keys), list and add take none", USAGE)
    if folder is not None:
        items, secret = _in_folder(folder, action, key_id or "", participant, wanted, label, expires)
    else:
        with market(url, key, explain) as venue:
            secret = ""
            if action is KeyAction.list:
                items = venue.rows("keys", limit)
            elif action is KeyAction.revoke:
                items = [venue.ask("revoke_key", key_id=key_id)]
            else:
                until = None if expires is None else wire(moment(expires, real_time(), "--expires"))
                made = venue.ask("create_key", scopes=wanted, participant=participant, label=label or None, expires=until)
                secret = made.pop("secret")
                items = [made]
    _show_keys(action, items, secret, as_json)


def _show_keys(action: KeyAction, items: list[dict[str, Any]], secret: str, as_json: bool) -> None:
    if as_json:
        print_json("keys", items=[{**item, "secret": secret} if secret else item for item in items])
        return
    rows = [
        (
            item["key_id"], item["participant"] or "(operator)", ",".join(item["scopes"]), item["label"],
            item["expires"] or "never", "revoked" if item["is_revoked"] else "",
        )
        for item in items
    ]  # fmt: skip
    print_table("keys", ("key", "whose", "scopes", "label", "expires", ""), rows)
    if secret:
        typer.echo(secret)
        note("this secret is shown once: put it into CPX_KEY or ~/.config/cpx/client.toml")
    elif action is KeyAction.list:
        note("a new one: ./cpx keys add --participant NAME --scopes read,trade; to end one: ./cpx keys revoke KEY")


def real_time() -> VenueTime:
    """Keys live in real time, whatever the venue's clock says."""
    import time

    return venue_time(time.time_ns(), "UTC")


def _in_folder(
    folder: Path, action: KeyAction, key_id: str, participant: str | None, scopes: list[str], label: str, expires: str | None
) -> tuple[list[dict[str, Any]], str]:
    """The same on the key file itself; a running server sees it at once."""
    from sqlalchemy.exc import DatabaseError

    from exchange.adapters.keys import FILE, KeyFile
    from exchange.protocol.operations import SCOPES

    if not (folder / FILE).exists() and not (folder / "journal").is_dir():
        fail(f"{folder} is no folder of an exchange: give the one that ./cpx serve was started with", NO_INPUT)
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        fail(f"--scopes {','.join(unknown) or '(none)'}: there are {', '.join(SCOPES)}", USAGE)
    until = 0 if expires is None else int(moment(expires, real_time(), "--expires").timestamp()) * 10**9
    try:
        store = KeyFile(folder)
        try:
            found, secret = _do(store, action, key_id, (participant or "", scopes, label, until))
        finally:
            store.close()
    except (OSError, DatabaseError) as error:
        fail(f"the keys in {folder} cannot be used ({error}): check {folder / FILE}", NO_INPUT)
    if found is None:
        fail(f"there is no key {key_id[:40]!r} in {folder}: see ./cpx keys --folder {folder}", NO_INPUT)
    return [_plain_key(row) for row in found], secret


def _do(
    store: KeyFile, action: KeyAction, key_id: str, terms: tuple[str, list[str], str, int]
) -> tuple[Sequence[KeyRow] | None, str]:
    """(keys, secret of a new one); None where there is no key to revoke."""
    if action is KeyAction.list:
        return store.list(), ""
    if action is KeyAction.revoke:
        row = store.revoke(key_id)
        return (None if row is None else [row]), ""
    made, secret = store.create(*terms)
    return [made], secret


def _plain_key(row: KeyRow) -> dict[str, Any]:
    """As the server would answer."""
    from exchange.domain.units import format_time

    return {
        "key_id": row.key_id, "participant": row.participant, "scopes": list(row.scopes), "label": row.label,
        "created": format_time(row.created_ns), "expires": format_time(row.expires_ns) if row.expires_ns else None,
        "is_revoked": row.is_revoked,
    }  # fmt: skip
