"""`cpx follow`: something placed, live until its end; with --explain also why it waits, whenever that changes."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import typer

from exchange.cli.market import (
    JSON_SCHEMA,
    SAID_NO,
    AsJson,
    Market,
    Participant,
    Secret,
    Url,
    amount,
    market,
    print_table,
)
from exchange.cli.market_buy import reason_lines
from exchange.cli.running import INTERRUPTED, fail

follow_command = typer.Typer(add_completion=False)

ASK_EVERY_S = 5.0  # why a task waits may change without the task


@follow_command.command()
def follow(
    name: str = typer.Argument(..., metavar="ID", help="Your id of a task, an order or an offer."),
    why: bool = typer.Option(False, "--explain", help="Also say why a task waits and what would fill it, when that changes."),
    participant: Participant = None,
    url: Url = None,
    key: Secret = None,
    as_json: AsJson = False,
    calls: bool = typer.Option(False, "--http", help="Also print every HTTP call that is made, on stderr."),
) -> None:
    """Follow a task, an order or an offer until it ends: one line a change, with --json one object a line.

    Ends with 0 when all of it was filled, else with 1. Ctrl-C stops the following, not the task.

    Examples: cpx follow train-042 --explain    cpx follow night-shift --json
    """
    with market(url, key, calls) as venue:
        last: dict[str, Any] | None = None
        reason: dict[str, Any] | None = None
        try:
            for step in _steps(venue, name, participant, ASK_EVERY_S if why else None):
                reason = _reason_now(venue, step, participant) if why else None
                if as_json:
                    _print_line(step, reason, is_new=last is None or not _is_same(last, step, reason))
                else:
                    _show(venue, last, step, reason)
                last = {**step, "reason": reason}
                sys.stdout.flush()
        except KeyboardInterrupt:
            fail(f"no longer followed; {name} goes on: ./cpx follow {name}, or ./cpx cancel {name}", INTERRUPTED)
        if last is not None and last["status"] != "filled" and last["filled"] != last["asked"]:
            raise typer.Exit(SAID_NO)


def _steps(venue: Market, name: str, participant: str | None, every_s: float | None) -> Iterator[dict[str, Any]]:
    """Each change of the row; with every_s the last row again after so long, so that its reason is looked at again."""
    if every_s is None:
        yield from venue.follow(name, participant)
        return
    told: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for step in venue.follow(name, participant):
                told.put(step)
            told.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            told.put(error)

    threading.Thread(target=read, daemon=True, name="follow").start()
    last: dict[str, Any] | None = None
    while True:
        try:
            step = told.get(timeout=every_s)
        except queue.Empty:
            if last is not None:
                yield last
            continue
        if step is None:
            return
        if isinstance(step, BaseException):
            raise step
        last = step
        yield step


def _reason_now(venue: Market, step: dict[str, Any], participant: str | None) -> dict[str, Any] | None:
    """Why a waiting task is not filled, asked anew; at its end what its row says; None for what has no reason."""
    row = step["row"]
    if step["what"] != "task":
        return None
    terms = row.get("terms")
    if step["is_final"] or terms is None:
        return _of_row(row)
    from clients.build import steps_left
    from clients.errors import Rejected

    given = {name: value for name, value in terms.items() if name != "participant"}
    if given.get("steps"):
        given["steps"] = steps_left(given["steps"], int(venue.ask("venue")["ts_ns"]))
    try:
        quote = venue.ask("preview_task", participant=participant, **given)
    except Rejected:  # what waits may be too late to be asked for anew
        return _of_row(row)
    return {"reason": quote["why_not"], "binding": quote["binding"], "relaxations": quote["relaxations"]}


def _of_row(row: dict[str, Any]) -> dict[str, Any] | None:
    return {name: row[name] for name in ("reason", "binding", "relaxations")} if row["reason"] else None


def _is_same(last: dict[str, Any], step: dict[str, Any], reason: dict[str, Any] | None) -> bool:
    return last["row"] == step["row"] and last["reason"] == reason


def _print_line(step: dict[str, Any], reason: dict[str, Any] | None, *, is_new: bool) -> None:
    if is_new:
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "follow", **step, "reason": reason}, ensure_ascii=False))


def _show(venue: Market, last: dict[str, Any] | None, step: dict[str, Any], reason: dict[str, Any] | None) -> None:
    """What is new: the state, then the reason."""
    if last is None or last["row"] != step["row"]:
        now = datetime.fromisoformat(venue.ask("venue")["ts"]).astimezone(venue.time.zone)
        typer.echo(f"{now:%m-%d %H:%M:%S}  {_state(step)}")
    if reason is not None and (last is None or last["reason"] != reason):
        shape = (step["row"].get("terms") or {}).get("shape", "")
        rows = reason_lines(reason, venue.time, shape) or [("not now", "but it would fill at the next try")]
        print_table("", ("", ""), [(f"  {what}", text) for what, text in rows])


def _state(step: dict[str, Any]) -> str:
    """waiting: 0 of 48 card-hours; filled: 48 of 48 card-hours for 252.10 yuan, from A910B/…"""
    row = step["row"]
    text = f"{row.get('ending') if step['is_final'] and row.get('ending') not in (None, 'complete') else step['status']}: "
    text += f"{step['filled']} of {step['asked']} {step['unit']}"
    if step["what"] == "task" and Decimal(step["filled"]):
        parts = [(row["compute"], "yuan"), (row["moving"], "moving data"), (row["fee"], "fee")]
        text += " for " + " + ".join(f"{amount(cost)} {word}" for cost, word in parts if Decimal(cost))
        text += f", from {row['instrument']}" if row["instrument"] else ""
    return text
