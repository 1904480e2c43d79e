"""`cpx report DIR --live`: the report files of a running exchange, made there, fetched through the SDK into a folder."""

from __future__ import annotations

import json
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.cli.market import market
from exchange.cli.running import CANNOT_CREATE, DATA_ERROR, fail, note

if TYPE_CHECKING:
    from clients.models_operator import Report

ASK_EVERY_S = 0.2
SUMMARY, STATEMENTS = "summary.json", "statements.zip"


def fetch(folder: Path, url: str | None, key: str | None, explain: bool) -> None:
    """Has the exchange write its report and puts every file of it into the folder, the summary last.

    Exit 73 where the folder holds something else than an earlier fetch, 65 where the exchange could not write the report.
    """
    _check_place(folder)
    with market(url, key, explain) as venue:
        note("the exchange writes its report …")
        report = venue.client.start_report()
        while report.status == "running":
            time.sleep(ASK_EVERY_S)
            report = venue.client.report(report.report_id)
        if report.status != "ready":
            fail(f"the exchange could not write its report: {report.problem}", DATA_ERROR)
        files = {name: venue.client.report_file(report.report_id, name) for name in _in_order(report)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _keep(folder, name, content)
    except OSError as error:
        fail(f"{folder} cannot be written ({error.strerror or error}): choose another folder", CANNOT_CREATE)
    note(f"{len(files)} files in {folder}, as of command {report.seq:,}")


def _in_order(report: Report) -> list[str]:
    """The summary last: a folder that has it has everything."""
    return sorted(report.files, key=lambda name: (name == SUMMARY, name))


def _check_place(folder: Path) -> None:
    """An empty or new folder, or one that an earlier fetch has filled."""
    if not folder.exists():
        return
    if not folder.is_dir():
        fail(f"{folder} is a file: name a folder", CANNOT_CREATE)
    if not any(folder.iterdir()):
        return
    try:
        is_live = json.loads((folder / SUMMARY).read_bytes()).get("name") == "live"
    except (OSError, ValueError, AttributeError):
        is_live = False
    if not is_live:
        fail(f"{folder} holds something else than a report of a live exchange: name another folder", CANNOT_CREATE)


def _keep(folder: Path, name: str, content: bytes) -> None:
    """One file; statements come packed and lie unpacked, as after a run from files."""
    if name == STATEMENTS:
        with zipfile.ZipFile(BytesIO(content)) as packed:
            packed.extractall(folder / "statements")
        return
    partial = folder / f"{name}.tmp"
    partial.write_bytes(content)
    partial.replace(folder / name)
