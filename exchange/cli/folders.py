"""The folder of a run: which one is meant, whether it may be used, and how a former run in it is taken away.

`--force` takes away what CPX wrote, file by file, while it holds the journal's lock; a user's own files stay.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from exchange.cli.running import CANNOT_CREATE, NO_INPUT, USAGE, fail

RESULTS = (
    "trades.csv", "prices.csv", "outcomes.csv", "unfilled.csv", "settlement.csv", "corrections.csv", "failures.csv",
    "green.csv", "ledger.beancount", "summary.json",
    "run.json", "refused.csv",
)  # fmt: skip
SERVED = (  # what the server of a run through sockets leaves beside them
    "exchange.db", "exchange.db-wal", "exchange.db-shm", "access.db", "access.db-journal", "operator.key", "serve.log",
)  # fmt: skip
JOURNAL_FILES = re.compile(r"\d{20}\.(?:wal|torn)(?:\.tmp)?", re.ASCII)
HISTORY_FILES = re.compile(r"\d{4}-\d\d-\d\d-[a-z0-9]+\.parquet(?:\.part)?", re.ASCII)
MARKET_FILES = re.compile(r"market-\d{4}-\d\d-\d\d(?:\.(?:en|zh)\.(?:html|pdf)|\.json)(?:\.tmp)?", re.ASCII)
SNAPSHOT_FILES = re.compile(r"\d{20}\.snap|unproven(?:\.tmp)?", re.ASCII)


def chosen_folder(out: str | None, default: str, *, resume: bool, force: bool) -> Path:
    """--out, or the default: a new one, with --force the first, with --resume the last that holds a run."""
    if resume and force:
        fail("--resume goes on with a run, --force replaces it: give one of them", USAGE)
    if out is not None:
        if not out.strip() or "\0" in out:
            fail("--out is empty: name a folder", USAGE)
        return Path(out)
    if force:
        return Path(default)
    if not resume:
        return free_folder(default)
    found = [path for path in Path().glob(f"{default}*") if (path / "journal").is_dir() and _number(path, default)]
    if not found:
        fail(f"there is no {default} folder here to go on with: name it with --out", NO_INPUT)
    return max(found, key=lambda path: _number(path, default))


def _number(path: Path, default: str) -> int:
    """1 for cpx-demo, 2 for cpx-demo-2; 0 for another name."""
    rest = path.name.removeprefix(default)
    if rest == "":
        return 1
    return int(rest[1:]) if re.fullmatch(r"-[1-9]\d{0,8}", rest, re.ASCII) else 0


def free_folder(name: str) -> Path:
    """`name`, or the first of name-2, name-3 … that does not exist yet."""
    candidate, number = Path(name), 1
    while candidate.exists() or candidate.is_symlink():
        number += 1
        candidate = Path(f"{name}-{number}")
    return candidate


def prepare_folder(out: Path, *, resume: bool, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Makes the folder, or takes a former run out of it with --force; exit 73 where it may not or cannot be used."""
    try:
        if out.exists() and not out.is_dir():
            fail(f"{out} is a file: choose another --out", CANNOT_CREATE)
        if out.is_dir() and _is_used(out) and not resume:
            _check_replaceable(out, force, inputs)
            clear_run(out)
        (out / "journal").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{out} cannot be made or used: {error.strerror or error}; choose another --out", CANNOT_CREATE)


def _is_used(out: Path) -> bool:
    """Whether it holds anything but the empty journal folder of a run that had not begun."""
    return any(path.name != "journal" or not path.is_dir() or any(path.iterdir()) for path in out.iterdir())


def _check_replaceable(out: Path, force: bool, inputs: Iterable[Path]) -> None:
    journal = out / "journal"
    is_run = journal.is_dir() and any(p.name == "lock" or JOURNAL_FILES.fullmatch(p.name) for p in journal.iterdir())
    if not force:
        how = "--resume goes on with it, --force replaces it" if is_run else "it is not empty"
        fail(f"{out} holds files already ({how}); or choose another --out", CANNOT_CREATE)
    if not is_run:
        fail(f"{out} is no run folder, so it is not replaced: choose another --out", CANNOT_CREATE)
    inside = [path for path in inputs if path.resolve().is_relative_to(out.resolve())]
    if inside:
        fail(f"{inside[0]} is an input and lies in {out}: move it, or choose another --out", CANNOT_CREATE)


def clear_run(out: Path) -> None:
    """Removes what a run left in its folder, nothing else; exit 73 while another process writes there.

    The journal goes last: a folder that was cleared halfway is still known as a run. Its lock file stays.
    """
    from exchange.adapters.journal_file import Lock
    from exchange.engine.journal import JournalInUse

    try:
        lock = Lock(out / "journal")
    except JournalInUse as error:
        fail(str(error), error.exit_code)
    try:
        for name in (*RESULTS, *SERVED):
            for path in (out / name, out / f"{name}.tmp", (out / name).with_suffix(".tmp")):
                _remove(path)
        _clear_statements(out / "statements")
        _clear(out / "market", MARKET_FILES)
        _clear(out / "snapshots", SNAPSHOT_FILES)
        _clear(out / "history", HISTORY_FILES)
        _clear(out / "journal", JOURNAL_FILES)
    finally:
        lock.release()


def _clear_statements(folder: Path) -> None:
    """The files that the index lists, then the index; folders that are empty by then go too."""
    index = folder / "index.csv"
    if not index.is_file():
        return
    days = set()
    for name in _listed(index):
        path = folder / name
        if re.fullmatch(r"\d{4}-\d\d-\d\d/[^/]+\.csv", name):
            _remove(path)
            days.add(path.parent)
    _remove(index)
    for place in (*days, folder):
        _remove_if_empty(place)


def _listed(index: Path) -> list[str]:
    try:
        with index.open(encoding="utf-8", errors="replace", newline="") as file:
            return [row["file"] for row in csv.DictReader(file) if row.get("file")]
    except csv.Error:
        return []  # not the index that CPX wrote: then nothing it lists is ours to remove


def _clear(folder: Path, ours: re.Pattern[str]) -> None:
    """Files of ours, newest first, so that what a kill leaves is a beginning."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in sorted(folder.iterdir(), reverse=True):
        if ours.fullmatch(path.name):
            _remove(path)
    _remove_if_empty(folder)


def _remove(path: Path) -> None:
    if path.is_file() or path.is_symlink():
        path.unlink()


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()
