"""`cpx verify`: replays a journal from empty and holds every snapshot, and the run's summary, against the result."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from exchange.engine.recovery import LogReader
    from exchange.engine.sequencer import Machine

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
FINE, DIFFERS, NOTHING, UNAVAILABLE, DAMAGED = 0, 65, 66, 69, 78

command = typer.Typer(add_completion=False)


class Engine(StrEnum):
    """Which matching engine replays."""

    reference = "reference"
    compiled = "compiled"


@dataclass(slots=True)
class Verdict:
    """What was found; state hash and chain are hexadecimal text, as people compare them."""

    folder: str
    exit_code: int = FINE
    verdict: str = "fine"
    engine: str = ""
    segments: int = 0
    frames: int = 0
    commands: int = 0
    last_seq: int = 0
    chain: str = ""
    state_hash: str = ""
    event_hash: str = ""
    snapshots_equal: int = 0
    signatures_verified: int = 0  # of readings
    is_summary_equal: bool | None = None  # None: there is no summary with a state hash
    notes: list[str] = field(default_factory=list)

    def blame(self, exit_code: int, verdict: str) -> None:
        """Records a fault; the first one found gives verdict and exit code, all are listed."""
        self.notes.append(verdict)
        if self.exit_code == FINE:
            self.exit_code, self.verdict = exit_code, verdict


@command.command()
def verify(
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="A run folder (with journal/ in it) or a journal folder."
    ),
    engine: Engine | None = typer.Option(None, help="Replay on this engine; by default the one in use."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Check a journal and its snapshots without starting the venue; nothing is changed.

    Exit codes: 0 fine, 65 a hash differs, 66 nothing there, 69 no such engine, 70 the venue itself stopped
    (a fault of CPX), 73 in use by a running venue, 78 damaged.
    """
    if engine is not None:
        os.environ["CPX_ENGINE"] = engine.value  # read when matching_core is imported, which is below
    verdict = Verdict(str(folder))
    try:
        run(verdict, folder, engine, show_progress=not as_json)
    except ImportError as error:
        typer.echo(f"cpx: {error}", err=True)
        raise typer.Exit(UNAVAILABLE) from None
    if as_json:
        typer.echo(json.dumps({"schema": JSON_SCHEMA, **asdict(verdict)}, indent=2))
    else:
        show(verdict)
    raise typer.Exit(verdict.exit_code)


def run(verdict: Verdict, folder: Path, engine: Engine | None, *, show_progress: bool) -> None:
    """Fills in the verdict; every way to fail is an exit code and a sentence, never a traceback."""
    from exchange.adapters.journal_file import list_snapshots, locate
    from exchange.adapters.journal_reader import held_journal
    from exchange.domain.venue import Venue
    from exchange.engine.journal import JournalError
    from exchange.engine.sequencer import Machine, VenueHalted
    from matching_core import IMPLEMENTATION

    if engine is not None and engine.value != IMPLEMENTATION:
        raise ImportError(f"the {IMPLEMENTATION} engine is loaded already, not the {engine.value} one")
    verdict.engine = IMPLEMENTATION
    places = locate(folder)
    try:
        with held_journal(folder) as reader:
            verdict.segments = len(reader.headers)
            machine = Machine(Venue())
            checkpoints = load_checkpoints(
                verdict, list_snapshots(places.snapshots), reader.headers[0].exchange_id
            )
            with progress_bar(reader.total_bytes, show_progress) as advance:
                replay(verdict, reader, machine, checkpoints, advance)
            compare_summary(verdict, places.run / "summary.json")
    except (JournalError, VenueHalted) as error:
        # Worse than any difference found so far: the replay did not get to its end.
        verdict.notes.append(str(error))
        verdict.exit_code, verdict.verdict = error.exit_code, str(error)
    except OSError as error:
        verdict.exit_code, verdict.verdict = NOTHING, f"cannot be read: {error}"


def load_checkpoints(verdict: Verdict, snapshots: list[Any], exchange_id: bytes) -> dict[int, Any]:
    """What each sound snapshot claims, by seq; a damaged or foreign one is noted."""
    from exchange.engine.snapshot import SnapshotRefused, parse_snapshot

    points = {}
    for source in snapshots:
        try:
            point, _ = parse_snapshot(source.read(), source.name)
        except SnapshotRefused as error:
            verdict.blame(DAMAGED, f"snapshot {error}; a start uses an older one, so it can be removed")
            continue
        if point.exchange_id != exchange_id:
            verdict.blame(DAMAGED, f"snapshot {source.name} belongs to another venue: move it away")
            continue
        points[point.seq] = point
    return points


def replay(
    verdict: Verdict,
    reader: LogReader,
    machine: Machine,
    checkpoints: dict[int, Any],
    advance: Callable[[int], None],
) -> None:
    """Every command on an empty venue, compared at every snapshot on the way, then the venue's own check."""
    from exchange.cli.verify_signatures import Signatures
    from exchange.engine.recovery import apply_frame, check_venue

    signatures = Signatures(machine.venue)
    for frame in reader.frames():
        verdict.commands += apply_frame(machine, frame, signatures.on_command)
        verdict.frames += 1
        verdict.last_seq, verdict.chain = machine.seq, frame.chain.hex()
        point = checkpoints.pop(machine.seq, None)
        if point is not None:
            compare_snapshot(verdict, machine, point, frame.chain)
        advance(frame.length)
    verdict.signatures_verified = signatures.verified - signatures.wrong
    for wrong in signatures.named:
        verdict.blame(DIFFERS, wrong)
    verdict.state_hash = f"{machine.venue.state_hash():016x}"
    verdict.event_hash = machine.event_hash.hex()
    if reader.end is not None and reader.end.torn_bytes:
        torn = reader.end.torn_bytes
        verdict.notes.append(f"torn tail of {torn} bytes: never answered; the next start drops it")
    for seq in sorted(checkpoints):
        if seq > machine.seq:
            verdict.blame(
                DAMAGED, f"a snapshot was taken after seq {seq}: answered commands are missing at the end"
            )
        else:
            verdict.blame(DAMAGED, f"a snapshot was taken at seq {seq}, where no frame ends")
    check_venue(machine)


def compare_snapshot(verdict: Verdict, machine: Machine, point: Any, chain: bytes) -> None:
    """A snapshot's chain, state and event hash against the replay's at the same command."""
    from exchange.engine.snapshot import NO_HASH

    state = machine.venue.state_hash()
    if point.chain != chain:
        verdict.blame(DIFFERS, f"snapshot at seq {point.seq}: it was taken of another history (chain)")
    elif point.state_hash != state:
        verdict.blame(
            DIFFERS, f"snapshot at seq {point.seq}: state {point.state_hash:016x}, replay {state:016x}"
        )
    elif point.event_hash not in (NO_HASH, machine.event_hash):
        verdict.blame(DIFFERS, f"snapshot at seq {point.seq}: same state, but other events on the way")
    else:
        verdict.snapshots_equal += 1


def compare_summary(verdict: Verdict, path: Path) -> None:
    """The run's own account of its last state, if it left one."""
    if not path.is_file():
        return
    try:
        summary = json.loads(path.read_bytes())
        claimed = summary.get("state_hash") if isinstance(summary, dict) else None
    except ValueError as error:
        verdict.blame(DAMAGED, f"{path.name} is no JSON: {error}")
        return
    if claimed is None:
        return
    text = (
        f"{claimed:016x}"
        if isinstance(claimed, int)
        else str(claimed).lower().removeprefix("0x").rjust(16, "0")
    )
    verdict.is_summary_equal = text == verdict.state_hash
    if not verdict.is_summary_equal:
        verdict.blame(DIFFERS, f"{path.name} says state {text}, the replay ends with {verdict.state_hash}")


class progress_bar:  # noqa: N801 - used as a function
    """A bar over the journal's bytes on a terminal, nothing elsewhere."""

    def __init__(self, total: int, is_wanted: bool, doing: str = "replaying") -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self._progress: Any = None
        if is_wanted and console.is_terminal:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (TextColumn(doing), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=console, transient=True)
            self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Callable[[int], None]:
        if self._progress is None:
            return lambda _: None
        self._progress.start()
        return lambda count: self._progress.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def show(verdict: Verdict) -> None:
    """The table for people: facts, then notes, then one line of verdict."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    summary = {None: "none", True: "equal", False: "differs"}[verdict.is_summary_equal]
    rows = (
        ("engine", verdict.engine),
        ("segments, frames", f"{verdict.segments:,}, {verdict.frames:,}"),
        ("commands", f"{verdict.commands:,} (seq 1 to {verdict.last_seq})" if verdict.commands else "0"),
        ("chain head", verdict.chain),
        ("state hash", verdict.state_hash),
        ("event hash", verdict.event_hash),
        ("snapshots", f"{verdict.snapshots_equal} equal"),
        ("signatures", f"{verdict.signatures_verified:,} of readings verified" if verdict.signatures_verified else ""),
        ("summary", summary),
    )
    table = Table(show_header=False, box=None, title=escape(verdict.folder), title_justify="left")
    for name, value in rows:
        if value:
            table.add_row(name, value)
    console = Console(highlight=False)
    if verdict.segments:
        console.print(table)
    for note in verdict.notes:
        if note != verdict.verdict:
            console.print(f"note: {note}", markup=False, soft_wrap=True)
    colour = "green" if verdict.exit_code == FINE else "red"
    console.print(f"[{colour}]{escape(verdict.verdict)}[/]", soft_wrap=True)
