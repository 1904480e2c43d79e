"""Writes the report files of a journal up to a seq, beside a writer that goes on: a process of its own, started by
`exchange.adapters.report_runs`.

The journal is read without a lock. That is safe up to a seq that is durable: what is on the disk there never changes.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from exchange.adapters.exporters import export_all
from exchange.adapters.exporters.summary import SUMMARY_FILE, SUMMARY_SCHEMA, totals, write_json
from exchange.adapters.journal_file import read_commands
from exchange.domain.events import OfferPlaced
from exchange.domain.venue import Venue
from exchange.engine.sequencer import Machine
from exchange.projections import Projections

STATEMENTS = "statements"


def write_reports(folder: Path, out: Path, until_seq: int) -> None:
    """Every report file as of a seq, summary.json last; statements, of which there can be thousands, as one zip file.

    JournalError where the journal is damaged before that seq, BooksDiffer where ledger and venue disagree.
    """
    venue, projections, offers = Venue(), Projections(), 0
    machine = Machine(venue)
    if until_seq > 0:
        for logged in read_commands(folder):
            events = machine.apply(logged.record, logged.command)
            projections.on_command(logged.seq, venue.now_ns, logged.command, events)
            offers += sum(isinstance(event, OfferPlaced) for event in events)
            if logged.seq >= until_seq:
                break
    balances = {name: tuple(venue.core.balance(account)) for account, name in enumerate(venue.state.accounts)}
    export_all(projections, out, balances)
    state_hash = f"{venue.state_hash():016x}"
    head = {"schema": SUMMARY_SCHEMA, "name": "live", "offers": offers, "tasks": len(projections.tasks.records)}
    figures = totals(projections, balances)
    write_json(out / SUMMARY_FILE, {**head, **figures, "commands": machine.seq, "state_hash": state_hash})
    if (out / STATEMENTS).is_dir():
        zip_folder(out / STATEMENTS, out / f"{STATEMENTS}.zip")
        shutil.rmtree(out / STATEMENTS)


def zip_folder(folder: Path, target: Path) -> None:
    """All files of a folder in one zip file, in order, with names below the folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            packed.write(path, path.relative_to(folder).as_posix())


if __name__ == "__main__":
    write_reports(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
