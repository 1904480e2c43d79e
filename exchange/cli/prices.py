"""`cpx prices`: proves the published fixes from the journal alone, and shows what one of them was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from exchange.cli.prices_show import explained, show_explained, show_proof, summary_of
from exchange.cli.verify import progress_bar

if TYPE_CHECKING:
    from exchange.domain.venue import Venue
    from exchange.engine.fix_proof import FixProof
    from exchange.engine.fixer import Work

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
DIFFERS, NOTHING = 1, 66

command = typer.Typer(no_args_is_help=True, add_completion=False)

Folder = typer.Argument(..., metavar="FOLDER", help="A run folder (with journal/ in it), or a copy of a live exchange's.")


@command.command()
def recompute(
    folder: Path = Folder,
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Make every published fix again from the journal and compare price, grade and hash of the inputs.

    Example: cpx prices recompute cpx-demo

    Exit codes: 0 all are proven, or set by hand and listed so, 1 one is not, 66 nothing there, 70 the venue itself stopped
    (a fault of CPX), 73 in use by a running venue: copy the folder, 78 damaged.
    """
    proof, venue, _ = _replay(folder, lambda proof: False, show_progress=not as_json)
    if as_json:
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "proof", **summary_of(proof, venue)}, indent=2))
    else:
        show_proof(proof, venue, str(folder))
    raise typer.Exit(1 if proof.differences else 0)


@command.command()
def explain(
    folder: Path = Folder,
    instrument: str = typer.Argument(..., help="chip/region/class/power/hour of a fix in the journal."),
    text: bool = typer.Option(
        False, "--text", help="Only the canonical text of the inputs: piped to `b2sum -l 128` it gives the hash."
    ),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of tables."),
) -> None:
    """Show what one fix was made from: trades, pairs with their cap, weights, the curve, the index.

    Example: cpx prices explain cpx-demo A910B/gansu-qingyang/L10/grid/20261124T08

    Exit codes: 0 the fix is shown and proven, 1 it is not what the journal gives, or was set by hand, 66 there is no such
    fix or journal, 70 the venue itself stopped, 73 in use by a running venue: copy the folder, 78 damaged.
    """
    from exchange.domain.fix_text import canonical_text

    found: list[Work] = []

    def is_it(proof: FixProof) -> bool:
        if proof.last is not None and proof.last.command.instrument == instrument:
            found.append(proof.last)
        is_hand = any(each.command.instrument == instrument for each in proof.by_hand)
        return bool(found) or is_hand or any(each.instrument == instrument for each in proof.differences)

    proof, venue, _ = _replay(folder, is_it, show_progress=not (as_json or text))
    if not found:
        if any(each.instrument == instrument for each in proof.differences):
            _fail(DIFFERS, f"the fix of {instrument[:80]} is not what the journal gives: see ./cpx prices recompute")
        for own in proof.by_hand:
            if own.command.instrument == instrument:
                _fail(DIFFERS, f"the fix of {instrument[:80]} was set by hand ({own.command.inputs_hash}): nothing explains it")
        _fail(NOTHING, f"the journal holds no fix of {instrument[:80]}")
    work = found[0]
    if text:
        typer.echo(canonical_text(work.inputs, work.found), nl=False)
    elif as_json:
        typer.echo(json.dumps({"schema": JSON_SCHEMA, "kind": "fix", "fix": explained(work, venue)}, indent=2))
    else:
        show_explained(work, venue)


def _replay(
    folder: Path, is_enough: Callable[[FixProof], bool], *, show_progress: bool
) -> tuple[FixProof, Venue, int]:
    """Every command of a journal on an empty venue, up to where it is enough; each failure is an exit code and a line."""
    from exchange.adapters.journal_reader import held_journal
    from exchange.domain.venue import Venue
    from exchange.engine.fix_proof import FixProof
    from exchange.engine.journal import JournalError
    from exchange.engine.recovery import decode_frame
    from exchange.engine.sequencer import Machine, VenueHalted

    venue = Venue()
    proof, machine = FixProof(venue), Machine(venue)
    try:
        with held_journal(folder) as reader, progress_bar(reader.total_bytes, show_progress) as advance:
            for frame in reader.frames():
                for logged in decode_frame(frame):
                    is_stop = proof.before(logged.seq, logged.command)
                    events = machine.apply(logged.record, logged.command)
                    proof.after(logged.seq, venue.now_ns, logged.command, events, is_stop)
                    if is_enough(proof):
                        return proof, venue, machine.seq
                advance(frame.length)
    except (JournalError, VenueHalted) as error:
        _fail(error.exit_code, str(error))
    except OSError as error:
        _fail(NOTHING, f"cannot be read: {error}")
    return proof, venue, machine.seq


def _fail(code: int, message: str) -> Any:
    typer.echo(f"cpx: {message}", err=True)
    raise typer.Exit(code)
