"""What `demo` and `replay` share: the out folder, the engine, the progress line, the summary on the screen."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from exchange.replay.driver import Progress
    from exchange.replay.market_day import MarketDay
    from exchange.replay.run import RunOptions

DATA_ERROR, NO_INPUT, CANNOT_CREATE = 65, 66, 73
RESULTS = ("journal", "snapshots", "statements")


class Engine(StrEnum):
    """Which matching engine runs."""

    reference = "reference"
    compiled = "compiled"


def choose_engine(engine: Engine | None) -> None:
    """Before matching_core is imported: takes the engine asked for, and says so where only the slow one is there."""
    if engine is not None:
        os.environ["CPX_ENGINE"] = engine.value
    try:
        import matching_core
    except ImportError as error:
        fail(f"{error}", 69)
    if engine is None and matching_core.IMPLEMENTATION == "reference":
        note(
            "warning: the plain Python engine is in use, many times slower; "
            "mend: sudo apt install gcc python3-dev && ./cpx doctor"
        )


def note(text: str) -> None:
    """Chatter goes to stderr; stdout is for results."""
    typer.echo(text, err=True)


def fail(text: str, code: int) -> NoReturn:
    """One line that says what to do next, and the exit code."""
    note(f"cpx: {text}")
    raise typer.Exit(code)


def prepare_folder(out: Path, *, resume: bool, force: bool) -> None:
    """A folder that is new, empty, or told to be continued or replaced; otherwise exit 73."""
    if out.exists() and not out.is_dir():
        fail(f"{out} is a file: choose another --out", CANNOT_CREATE)
    if not out.exists() or not any(out.iterdir()) or resume:
        return
    is_run = (out / "journal").is_dir()
    if not force:
        how = "--resume goes on with it, --force replaces it" if is_run else "it is not empty"
        fail(f"{out} holds files already ({how}); or choose another --out", CANNOT_CREATE)
    if not is_run:
        fail(f"{out} is no run folder, so it is not replaced: choose another --out", CANNOT_CREATE)
    shutil.rmtree(out)


def free_folder(name: str) -> Path:
    """`name`, or the first of name-2, name-3 … that does not exist yet."""
    candidate, number = Path(name), 1
    while candidate.exists():
        number += 1
        candidate = Path(f"{name}-{number}")
    return candidate


@contextmanager
def progress_line(show: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line every tenth elsewhere; on stderr."""
    if not show:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as advance:
            yield advance
    else:
        yield _plain_steps()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("market", total=None)

        def advance(progress: Progress) -> None:
            text = f"market {market_time(progress.now_ns)}"
            bar.update(task, completed=progress.rows_done, total=progress.rows_total, description=text)

        yield advance


def _plain_steps() -> Callable[[Progress], None]:
    last = -1

    def advance(progress: Progress) -> None:
        nonlocal last
        tenth = 10 * progress.rows_done // max(1, progress.rows_total)
        if tenth != last:
            last = tenth
            note(f"market {market_time(progress.now_ns)}: {progress.rows_done} of {progress.rows_total} rows")

    return advance


def market_time(now_ns: int) -> str:
    """The market's own time, UTC, to the minute."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")


def run_and_show(day: MarketDay, options: RunOptions, *, as_json: bool) -> None:
    """Runs, then prints the summary; faults of files end with a sentence and their own exit code."""
    from exchange.app import OtherInputs
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import VenueHalted
    from exchange.replay.run import run_day

    try:
        with progress_line(show=not as_json) as advance:
            summary = run_day(day, options, advance)
    except (JournalError, VenueHalted, OtherInputs) as error:
        fail(str(error), error.exit_code)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        show_summary(summary, options.out)


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
    typer.echo(f"state hash {summary['state_hash']} · engine {summary['engine']} · {summary['wall_s']} s")
    others = "prices.csv, outcomes.csv, unfilled.csv, settlement.csv, statements/, ledger.beancount"
    typer.echo(f"\nLook at   {out / 'trades.csv'}, {others}")
    typer.echo(f"Read      ./cpx report {out}")
    typer.echo(f"Check     ./cpx verify {out}")


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    tasks = max(1, summary["tasks"])
    filled = summary["filled"]
    lines = [
        ("offers", f"{summary['offers']:,}"),
        ("tasks", f"{summary['tasks']:,}"),
        ("filled", f"{filled:,} ({100 * filled // tasks} %)"),
        *([("partly filled (bulk)", f"{summary['partly']:,}")] if summary["partly"] else []),
        ("unfilled", f"{summary['unfilled']:,}"),
    ]
    lines += [(f"  {reason}", f"{count:,}") for reason, count in summary["unfilled_by_reason"].items()]
    lines += [
        ("trades", f"{summary['trades']:,}"),
        ("notional, yuan", summary["notional"]),
        ("paid to providers and shares, yuan", summary["paid"]),
        ("refunds to buyers, yuan", summary["refund"]),
        ("damages to buyers, yuan", summary["damages"]),
        ("ledger sum, micro-yuan", str(summary["ledger_sum"])),
    ]
    return lines
