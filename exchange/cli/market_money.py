"""`cpx statement`: a day of one's account; `cpx keys`: who may do what at the doors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exchange.cli import statement_proof as proof
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
from exchange.protocol.requests_statements import FORMATS

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
    format: str | None = typer.Option(None, "--format", help=f"Save it as a file: {', '.join(FORMATS)}.", show_default=False),
    language: str = typer.Option("en", help="Of html, pdf and xlsx: en or zh."),
    tax: str = typer.Option("6", metavar="PERCENT", help="Tax rate of the invoice lines."),
    line: str | None = typer.Option(
        None, "--line", metavar="LINE", help="Trade, readings and fix of one line.", show_default=False
    ),
    confirm: str | None = typer.Option(
        None, "--confirm", metavar="HASH", help="Confirm the day with this hash.", show_default=False
    ),
    verify: bool = typer.Option(False, "--verify", help="Make every hash again, of the exchange or of --folder."),
    folder: Path | None = typer.Option(
        None, "--folder", metavar="DIR", help="Where statements are saved as JSON.", show_default=False
    ),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    explain: Explain = False,
) -> None:
    """Your account on one day: opening, every line, closing, to the last unit; as a file, confirmed, checked.

    Examples: cpx statement today    cpx statement 2026-11-24 --csv -o statement.csv
    cpx statement yesterday --format pdf --language zh    cpx statement 2026-11-24 --line 4711-0
    cpx statement 2026-11-24 --confirm HASH    cpx statement --verify    cpx statement --verify --folder kept
    """
    _check_options(as_csv, as_json, out, [format, line, confirm, verify or None], folder, verify)
    if folder is not None:
        proof.show_checked(proof.verify_folder(folder), as_json)
        return
    with market(url, key, explain) as venue:
        if verify:
            proof.show_checked(proof.verify_server(venue, participant), as_json)
            return
        asked: dict[str, Any] = {"day": day_of(day, venue.time, "DAY").isoformat(), "participant": participant}
        if format is not None:
            proof.save_as(venue, {**asked, "format": format, "language": language, "tax": tax}, out)
            return
        if line is not None:
            proof.show_line(venue, {**asked, "line_id": line}, as_json)
            return
        if confirm is not None:
            proof.confirm(venue, {**asked, "hash": confirm}, as_json)
            return
        found = venue.ask("statement", **asked)
        if not (as_csv or as_json):
            _show_statement(venue, found, participant)
    if as_json:
        content = {"schema": JSON_SCHEMA, "kind": "statement", "statement": found}
        _put(out, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    elif as_csv:
        _put(out, _csv(found))


def _check_options(
    as_csv: bool, as_json: bool, out: Path | None, ways: list[Any], folder: Path | None, verify: bool
) -> None:
    """Ends with USAGE where options contradict each other."""
    chosen = [each for each in ways if each is not None]
    if len(chosen) > 1:
        fail("--format, --line, --confirm, --verify: one of them", USAGE)
    if as_csv and (as_json or chosen):
        fail("--csv or --json, one of them" if as_json else "--csv is a way of its own: leave the other out", USAGE)
    if folder is not None and not verify:
        fail("--folder is for --verify", USAGE)
    if out is not None and not (as_csv or as_json or ways[0]):
        fail("-o writes --csv, --json or --format: say which", USAGE)
    if out is not None and out.is_dir() and not ways[0]:
        fail(f"{out} is a folder: name a file in -o", CANNOT_CREATE)


def _put(out: Path | None, text: str) -> None:
    """To the screen, or whole or not at all into a file."""
    if out is None:
        typer.echo(text, nl=False)
    else:
        proof.write_whole(out, text.encode("utf-8"))


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
            line["line_id"], shown(line["ts"], at), line["what"], line["counterparty"], amount(line["amount"]),
            line["reference"], line["instrument"],
        )
        for line in found["lines"]
    ]  # fmt: skip
    print_table("", ("line", "when", "what", "with", ">amount", "for", "instrument"), rows)
    if found["hash"]:
        note(f"hash {found['hash']}" + (f", confirmed {found['confirmed']}" if found["confirmed"] else ""))
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
