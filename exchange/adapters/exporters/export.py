"""Everything a run leaves for people, in one call."""

from pathlib import Path

from exchange.adapters.exporters.beancount_file import write_ledger
from exchange.adapters.exporters.csv_files import write_csv_files
from exchange.projections import Projections


class BooksDiffer(Exception):
    """The ledger rebuilt from the events is not what the venue's own balances say: nothing was written."""


def export_all(
    projections: Projections, out_dir: Path | str, venue_balances: dict[str, tuple[int, ...]]
) -> list[Path]:
    """Writes every CSV and ledger.beancount into a folder; the files written, in order.

    venue_balances: account -> (cash, held, escrow, margin, bond) in micro-yuan, from the core. BooksDiffer where the
    events do not lead there (the projections missed commands, or the venue moved money without saying so). OSError where
    a file cannot be written, as the system said it; files written before it are whole.
    """
    projections.ledger.check()
    differences = projections.ledger.differences(venue_balances)
    if differences:
        more = f"; and {len(differences) - 5} more" if differences[5:] else ""
        raise BooksDiffer("; ".join(differences[:5]) + more)
    folder = Path(out_dir)
    files = write_csv_files(projections, folder)
    files.append(write_ledger(projections, folder / "ledger.beancount", venue_balances))
    return files
