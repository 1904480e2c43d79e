"""`cpx market-report`: the market report of each day of a run, made again from its journal: JSON, HTML and PDF with plots."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.cli.running import CANNOT_CREATE, NO_INPUT, fail, note
from exchange.cli.verify import progress_bar

if TYPE_CHECKING:
    from exchange.projections import Projections
    from exchange.projections.market_day import MarketDay

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
OUT_FOLDER = "market"
DAYS_NAMED = 10

command = typer.Typer(add_completion=False)


@command.command()
def market_report(
    folder: Path = typer.Argument(
        ..., metavar="FOLDER", help="A run folder (with journal/ in it), or a copy of a live exchange's."
    ),
    day: str = typer.Option("", help="Only this venue day, YYYY-MM-DD; by default every day of the run."),
    out: Path | None = typer.Option(None, metavar="DIR", help="Where the files go; by default FOLDER/market."),
    as_json: bool = typer.Option(False, "--json", "-j", help="The figures as one JSON object on stdout; no file is written."),
) -> None:
    """Write the market report of each day for the operator: volumes, prices, utilization, unfilled demand, shortfalls.

    Examples: cpx market-report cpx-demo    cpx market-report cpx-demo --day 2026-11-24 --out reports

    Exit codes: 0 done, 2 no such option, 66 no such folder, journal or day, 70 the venue itself stopped (a fault of CPX), 73 in
    use by a running venue (copy the folder), or the files cannot be written, 78 damaged.
    """
    from exchange.adapters.exporters.market_figures import figures
    from exchange.projections.market_day import market_days

    _check_day(day)
    projections = _replay(folder, is_quiet=as_json)
    days = market_days(projections)
    if not days:
        fail(f"nothing has happened yet in {folder}: there is no day to report on", NO_INPUT)
    wanted = [made for each, made in days.items() if not day or each.isoformat() == day]
    if not wanted:
        fail(f"nothing happened on {day}; there are reports for {_named(list(days))}", NO_INPUT)
    if as_json:
        found = [figures(projections.calendar, made) for made in wanted]
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "market_days", "days": found}, indent=2, ensure_ascii=False))
        return
    target = out if out is not None else folder / OUT_FOLDER
    try:
        _write(projections, target, wanted)
    except OSError as error:
        fail(f"{target} cannot be written ({error.strerror or error}): name another folder with --out", CANNOT_CREATE)


def _check_day(day: str) -> None:
    try:
        if day and date.fromisoformat(day).isoformat() != day:
            raise ValueError(day)
    except ValueError:
        raise typer.BadParameter(f"{day!r} is no day; write it like 2026-11-24", param_hint="--day") from None


def _named(days: list[date]) -> str:
    texts = [each.isoformat() for each in days]
    if len(texts) <= DAYS_NAMED:
        return ", ".join(texts)
    return f"{len(texts)} days from {texts[0]} to {texts[-1]}"


def _write(projections: Projections, target: Path, wanted: list[MarketDay]) -> None:
    from importlib.util import find_spec

    from exchange.adapters.exporters.market_pages import write_market_day

    with_pdf = find_spec("typst") is not None
    with _progress("writing", len(wanted), is_quiet=False) as advance:
        for made in wanted:
            paths = write_market_day(projections.calendar, target, made, with_pdf=with_pdf)
            advance(1)
            for path in paths:
                typer.echo(path)
    if not with_pdf:
        note("no PDF: typst is not installed; `pip install 'cpx-exchange[reports]'` brings it")


def _replay(folder: Path, *, is_quiet: bool) -> Projections:
    """The read models of every command of a journal; each way to fail is an exit code and a line."""
    from exchange.adapters.journal_reader import held_journal
    from exchange.domain.venue import Venue
    from exchange.engine.journal import JournalError
    from exchange.engine.recovery import decode_frame
    from exchange.engine.sequencer import Machine, VenueHalted
    from exchange.projections import Projections

    if not folder.is_dir():
        fail(f"there is no folder {folder}: `./cpx demo --out {folder}` makes a run to report on", NO_INPUT)
    venue, projections = Venue(), Projections()
    machine = Machine(venue)
    try:
        with held_journal(folder) as reader, _progress("replaying", reader.total_bytes, is_quiet=is_quiet) as advance:
            for frame in reader.frames():
                for logged in decode_frame(frame):
                    events = machine.apply(logged.record, logged.command)
                    projections.on_command(logged.seq, venue.now_ns, logged.command, events)
                advance(frame.length)
    except (JournalError, VenueHalted) as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        fail(f"cannot be read: {error}", NO_INPUT)
    return projections


@contextmanager
def _progress(doing: str, total: int, *, is_quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line every quarter elsewhere; on stderr."""
    from rich.console import Console

    done = quarter = 0

    def step(count: int) -> None:
        nonlocal done, quarter
        done += count
        if 4 * done // max(1, total) > quarter:
            quarter = 4 * done // max(1, total)
            note(f"{doing}: {25 * quarter} %")

    if is_quiet:
        yield lambda count: None
    elif Console(stderr=True).is_terminal:
        with progress_bar(total, True, doing) as advance:
            yield advance
    else:
        yield step
