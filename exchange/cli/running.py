"""What `demo` and `replay` share: the out folder, the engine, the progress line, the summary on the screen."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from exchange.cli.bootstrap import MEND_ENGINE, REFERENCE_SLOWDOWN

if TYPE_CHECKING:
    from exchange.replay.driver import Progress
    from exchange.replay.market_day import MarketDay
    from exchange.replay.run import Order, RunOptions

USAGE, DATA_ERROR, NO_INPUT, CANNOT_CREATE, NO_ROOM, INTERRUPTED = 2, 65, 66, 73, 75, 130
# Options that say where and how a run shows itself, not what is run.
NOT_TYPED_AGAIN = ("resume", "force", "as_json", "via")
WITHOUT_EFFECT = (*NOT_TYPED_AGAIN, "out", "engine", "skip_bad_rows", "rivals")


class Engine(StrEnum):
    """Which matching engine runs."""

    reference = "reference"
    compiled = "compiled"


class Via(StrEnum):
    """How commands get to the venue; the results are the same."""

    files = "files"
    sockets = "sockets"


def check_via(via: Via, *, resume: bool) -> None:
    """Exit code 2 where a run through sockets is to be resumed: what is missing of it runs from the files."""
    if via is Via.sockets and resume:
        fail("a run through sockets goes on without them: leave --via out, the result is the same", USAGE)


def choose_engine(engine: Engine | None) -> None:
    """Before matching_core is imported: takes the engine asked for, and says so where only the slow one is there."""
    if engine is not None:
        os.environ["CPX_ENGINE"] = engine.value
    try:
        import matching_core
    except ImportError as error:
        fail(f"{error}", 69)
    if engine is None and matching_core.IMPLEMENTATION == "reference":
        is_chosen = os.environ.get("CPX_ENGINE") == "reference"
        mend = "unset CPX_ENGINE" if is_chosen else MEND_ENGINE
        slower = f"about {REFERENCE_SLOWDOWN} times slower on the demo"
        note(f"warning: the plain Python engine is in use, {slower}; mend: {mend}")


def note(text: str) -> None:
    """Chatter goes to stderr; stdout is for results."""
    typer.echo(text, err=True)


def fail(text: str, code: int) -> NoReturn:
    """One line that says what to do next, and the exit code."""
    note(f"cpx: {text}")
    raise typer.Exit(code)


def order_of(ctx: typer.Context, out: Path, inputs: Iterable[Path]) -> Order:
    """What was asked for, from the command line as it was understood; `out` is the folder that was chosen."""
    from exchange.replay.run import Order

    words, settings = [str(ctx.info_name)], {"command": str(ctx.info_name)}
    for option in ctx.command.params:
        name = option.name or ""
        if name not in ctx.params:
            continue
        value = out if name == "out" else ctx.params[name]
        if name not in WITHOUT_EFFECT and isinstance(value, int | str):  # files are compared by what they hold
            settings[option.opts[0]] = str(value)
        if name not in NOT_TYPED_AGAIN and value != option.default and value is not None:
            words += _typed(option.opts[0], value)
    return Order(shlex.join(words), settings, tuple({"file": str(path), "sha256": sha256(path)} for path in inputs))


def _typed(option: str, value: object) -> list[str]:
    if value is True:
        return [option]
    values = value if isinstance(value, list) else [value]
    return [word for item in values for word in (option, item.value if isinstance(item, Engine) else str(item))]


def sha256(path: Path) -> str:
    """Of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def progress_line(show: bool, time_zone: str) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line every tenth elsewhere; on stderr, with the venue's own time."""
    if not show:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar(time_zone) as advance:
            yield advance
    else:
        yield _plain_steps(time_zone)


@contextmanager
def _bar(time_zone: str) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("market", total=None)

        def advance(progress: Progress) -> None:
            text = f"market {market_time(progress.now_ns, time_zone)}"
            bar.update(task, completed=progress.rows_done, total=progress.rows_total, description=text)

        yield advance


def _plain_steps(time_zone: str) -> Callable[[Progress], None]:
    last = -1

    def advance(progress: Progress) -> None:
        nonlocal last
        tenth = 10 * progress.rows_done // max(1, progress.rows_total)
        if tenth != last:
            last = tenth
            note(f"market {market_time(progress.now_ns, time_zone)}: {progress.rows_done} of {progress.rows_total} rows")

    return advance


def market_time(now_ns: int, time_zone: str) -> str:
    """The venue's time with its offset, to the minute; UTC where this machine does not know the zone."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    try:
        zone = ZoneInfo(time_zone)
    except (OSError, ValueError, KeyError):
        return datetime.fromtimestamp(now_ns // 10**9, UTC).isoformat(" ", "minutes")
    return datetime.fromtimestamp(now_ns // 10**9, zone).isoformat(" ", "minutes")


@contextmanager
def interruptible(again: str) -> Iterator[None]:
    """Ctrl-C ends with one line that says how to go on, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        fail(f"interrupted; {again}", INTERRUPTED)


def run_and_show(day: MarketDay, options: RunOptions, *, as_json: bool, via: Via = Via.files) -> None:
    """Runs, then prints the summary; faults of files and disks end with a sentence and their own exit code."""
    with interruptible(f"what is done is kept, go on with: ./cpx {options.order.command} --resume"):
        summary = _run(day, options, via, show=not as_json)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        show_summary(summary, options.out)


def _run(day: MarketDay, options: RunOptions, via: Via, *, show: bool) -> dict[str, Any]:
    if via is Via.sockets:
        return _run_via_sockets(day, options, show=show)
    return _run_from_files(day, options, show=show)


def _run_via_sockets(day: MarketDay, options: RunOptions, *, show: bool) -> dict[str, Any]:
    """Through a server of its own; then what the files' run can end with counts here too, for it checks the journal."""
    from clients.errors import CpxError
    from exchange.replay.remote import run_via_sockets
    from exchange.testing.server import ServerDied

    try:
        return _run_from_files(day, options, show=show, run_day=run_via_sockets)
    except (CpxError, ServerDied) as error:
        fail(f"the run through sockets failed: {error}", 70)


def _run_from_files(
    day: MarketDay, options: RunOptions, *, show: bool, run_day: Callable[..., dict[str, Any]] | None = None
) -> dict[str, Any]:
    from exchange.app import OtherInputs
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import VenueHalted
    from exchange.replay.driver import DayRefused
    from exchange.replay.run import Faulty
    from exchange.replay.run import run_day as run_from_files

    try:
        with progress_line(show, day.settings.time_zone) as advance:
            return (run_day or run_from_files)(day, options, advance)
    except (JournalError, VenueHalted, OtherInputs, DayRefused, Faulty) as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        again = "the journal keeps what is done; --resume goes on when the disk has room"
        fail(f"a file of the run cannot be written or read ({what}): {again}", NO_ROOM)


def show_summary(summary: dict[str, Any], out: Path) -> None:
    """The table a person reads first, then where to look."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{summary['name']}: what the market day came to", show_header=False)
    table.add_column("what", style="bold")
    table.add_column("figure", justify="right")
    for label, figure in _lines(summary):
        table.add_row(label, figure)
    console.print(table)
    if "rivals" in summary:
        from exchange.cli.report_rivals import rivals_table

        console.print(rivals_table(summary["rivals"]))
    typer.echo(f"state hash {summary['state_hash']} · engine {summary['engine']} · {summary['wall_s']} s")
    others = "prices.csv, outcomes.csv, settlement.csv, failures.csv, statements/, ledger.beancount"
    typer.echo(f"\nLook at   {out / 'trades.csv'}, {others}")
    typer.echo(f"Read      ./cpx report {out}")
    typer.echo(f"Check     ./cpx verify {out}")


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    tasks = max(1, summary["tasks"])
    filled = summary["filled"]
    lines = [
        ("offers", f"{summary['offers']:,}"),
        ("tasks", f"{summary['tasks']:,}"),
        ("filled", f"{filled:,} ({percent(filled, tasks)} %)"),
        *([("partly filled (bulk)", f"{summary['partly']:,}")] if summary["partly"] else []),
        ("unfilled", f"{summary['unfilled']:,}"),
    ]
    lines += [(f"  {reason}", f"{count:,}") for reason, count in summary["unfilled_by_reason"].items()]
    lines += [
        ("trades", f"{summary['trades']:,}"),
        ("notional, yuan", yuan(summary["notional"])),
        ("paid to providers and shares, yuan", yuan(summary["paid"])),
        ("refunds to buyers, yuan", yuan(summary["refund"])),
        ("damages to buyers, yuan", yuan(summary["damages"])),
        ("ledger sum, micro-yuan", str(summary["ledger_sum"])),
    ]
    return lines


def percent(part: int, whole: int) -> int:
    """Whole percent, halves up."""
    return (200 * part + whole) // (2 * whole)


def yuan(amount: str) -> str:
    """Decimal yuan with a comma between thousands."""
    whole, point, rest = amount.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{rest}"
