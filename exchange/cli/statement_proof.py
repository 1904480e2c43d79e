"""`cpx statement` beyond one look: files in every format, what is behind a line, confirming a day, checking the chain."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import typer

from exchange.cli.market import Market, amount, print_json, print_table
from exchange.cli.moments import shown
from exchange.cli.running import CANNOT_CREATE, DATA_ERROR, NO_INPUT, fail, note
from exchange.protocol.statement_hash import statement_hash


class Checked(NamedTuple):
    """A day of a chain and what is wrong with it; "" = nothing."""

    participant: str
    day: str
    hash: str
    confirmed: str
    problem: str


def write_whole(out: Path, content: bytes) -> None:
    """A file that appears whole or not at all; exit 73 where it cannot be written."""
    partial = out.with_name(f".{out.name}.tmp")
    try:
        partial.write_bytes(content)
        partial.replace(out)
    except OSError as error:
        with suppress(OSError):  # what is in the way of the file may be in the way of this one
            partial.unlink(missing_ok=True)
        fail(f"{out} cannot be written ({error.strerror}): choose another -o", CANNOT_CREATE)
    note(f"written to {out}")


def save_as(venue: Market, asked: dict[str, Any], out: Path | None) -> None:
    """The day in a format, into -o, a folder, or under the name that the exchange gives it."""
    made = venue.ask("statement_file", **asked)
    target = Path(made["filename"]) if out is None else out / made["filename"] if out.is_dir() else out
    write_whole(target, b64decode(made["content_base64"]))


def show_line(venue: Market, asked: dict[str, Any], as_json: bool) -> None:
    """What a line comes from."""
    found = venue.ask("statement_line", **asked)
    if as_json:
        print_json("statement_line", detail=found)
        return
    at, line = venue.time, found["line"]
    told = (line["what"], line["counterparty"], amount(line["amount"]), line["reference"], line["instrument"])
    title = f"line {line['line_id']} of {found['participant']} on {found['day']}"
    print_table(title, ("what", "with", ">amount", "for", "instrument"), [told])
    if trade := found["trade"]:
        sums = (trade["cards"], amount(trade["price"]), amount(trade["cost"]))
        row = (shown(trade["ts"], at), trade["buyer"], trade["seller"], *sums)
        print_table(f"trade {trade['trade_id']}", ("when", "buyer", "seller", ">cards", ">price", ">cost"), [row])
    if words := found["readings"]:
        print_table(f"readings of obligation {line['obligation_id']}", ("when", ">number", ">cards delivered", "state"), [
            (shown(each["ts"], at), str(each["number"]), each["delivered_cards"], _word_state(each)) for each in words
        ])  # fmt: skip
    if fix := found["fix"]:
        print_table(f"last fix of {line['instrument']}", ("when", ">price", "grade", "inputs"), [
            (shown(fix["ts"], at), amount(fix["price"]), fix["grade"], fix["inputs_hash"])
        ])  # fmt: skip
    if not (found["trade"] or found["readings"]):
        note("no trade is behind this line")


def _word_state(reading: dict[str, Any]) -> str:
    return "disputed" if reading["is_disputed"] else "countersigned" if reading["is_countersigned"] else ""


def confirm(venue: Market, asked: dict[str, Any], as_json: bool) -> None:
    """Says yes to a day, named by its hash."""
    told = venue.ask("confirm_statement", **asked)
    if as_json:
        print_json("confirmation", **told)
    else:
        typer.echo(f"{told['participant']} confirmed {told['day']} at {shown(told['confirmed'], venue.time)}: {told['hash']}")


def verify_server(venue: Market, participant: str | None) -> Iterator[Checked]:
    """Every day of a participant's chain, its hash made again from the statement that the exchange shows."""
    previous = ""
    for row in venue.rows("statement_days", 100_000, participant=participant):
        found = venue.ask("statement", day=row["day"], participant=participant)
        problem = _wrong(found, row["hash"], row["previous_hash"])
        if not problem and row["previous_hash"] != previous:
            problem = "it does not follow the day before it"
        previous = row["hash"]
        yield Checked(found["participant"], row["day"], row["hash"], row["confirmed"] or "", problem)


def verify_folder(folder: Path) -> Iterator[Checked]:
    """Every statement that was saved as JSON in a folder; neighbours must follow each other."""
    previous: dict[str, str] = {}
    seen: dict[tuple[str, str], str] = {}
    for found in sorted(_saved(folder), key=lambda each: (each["participant"], each["day"])):
        who, problem = found["participant"], ""
        if found["hash"] and seen.get((who, found["day"])) == found["hash"]:
            previous[who] = found["previous_hash"]  # the same day saved twice
        seen[who, found["day"]] = found["hash"]
        if not found["hash"]:
            problem = "it was saved before its day was over"
        else:
            problem = _wrong(found, found["hash"], found["previous_hash"])
        if not problem and who in previous and found["previous_hash"] != previous[who]:
            problem = "it does not follow the file before it: a day is missing, or was changed"
        previous[who] = found["hash"]
        yield Checked(who, found["day"], found["hash"], found["confirmed"] or "", problem)


def _wrong(found: dict[str, Any], told: str, previous: str) -> str:
    return "" if statement_hash(found, previous) == told else "its content does not give its hash"


def _saved(folder: Path) -> Iterator[dict[str, Any]]:
    """The statements in a folder, of `--format json` and of `--json -o`."""
    names = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not names:
        fail(f"{folder} has no statement saved as JSON: ./cpx statement DAY --format json -o {folder}", NO_INPUT)
    for path in names:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found = found.get("statement", found)
            statement_hash(found, "")
            yield {"confirmed": None, **found, "hash": found["hash"], "previous_hash": found["previous_hash"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            fail(f"{path} is no statement saved as JSON ({type(error).__name__}: {error})", DATA_ERROR)


def show_checked(rows: Iterable[Checked], as_json: bool) -> None:
    """Each day with its state; exit 65 where one is wrong."""
    found = list(rows)
    wrong = [each for each in found if each.problem]
    if as_json:
        print_json("verified", is_good=not wrong, days=[each._asdict() for each in found])
    else:
        print_table("statements", ("participant", "day", "hash", "confirmed", ""), [
            (each.participant, each.day, each.hash[:16], each.confirmed or "no", each.problem or "good") for each in found
        ])  # fmt: skip
    if wrong:
        fail(f"{wrong[0].participant} on {wrong[0].day}: {wrong[0].problem}", DATA_ERROR)
    note(f"{len(found)} days, every hash is right")
