"""Report runs of a live exchange: each a process of its own that reads the journal beside the writer.

    DIR/reports/<report id>/              the files
    DIR/reports/<report id>/report.json   how it went; without it the run was cut off
"""

import json
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from exchange.ports_access import ReportRow
from exchange.protocol.errors import DoorError, DoorReason

FOLDER, STATUS_FILE = "reports", "report.json"
AT_ONCE = 2
KEPT = 20  # finished runs; the oldest goes when another begins
LONGEST_RUN_S = 3600
RETRY_AFTER_S = 5
_ID = re.compile(r"r[0-9]{12}-[0-9a-f]{8}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(slots=True)
class _Running:
    seq: int
    process: subprocess.Popen[str]
    watcher: Thread | None = None


class ReportRuns:
    """The report runs of one folder; a `Reports`."""

    def __init__(self, folder: Path, at_once: int = AT_ONCE) -> None:
        self._folder, self._at_once = folder, at_once
        self._lock = Lock()
        self._running: dict[str, _Running] = {}
        self._is_closed = False

    def start(self, seq: int) -> ReportRow:
        """Begins a run over everything up to seq, which must be durable; DoorError TOO_MANY_REQUESTS where enough run."""
        with self._lock:
            if self._is_closed:
                raise DoorError(DoorReason.SHUTTING_DOWN)
            if len(self._running) >= self._at_once:
                detail = f"{self._at_once} reports are being made already"
                raise DoorError(
                    DoorReason.TOO_MANY_REQUESTS, detail, limit="reports_at_once", retry_after_s=RETRY_AFTER_S
                )
            report_id = f"r{seq:012d}-{secrets.token_hex(4)}"
            out = self._place(report_id)
            out.mkdir(parents=True)
            command = [sys.executable, "-m", "exchange.adapters.report_job", str(self._folder), str(out), str(seq)]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                errors="replace",
            )  # fmt: skip
            run = self._running[report_id] = _Running(seq, process)
            run.watcher = Thread(target=self._watch, args=(report_id, run), name=report_id, daemon=True)
            run.watcher.start()
            self._forget_oldest()
        return ReportRow(report_id, "running", (), seq)

    def find(self, report_id: str) -> ReportRow | None:
        """How far a run is; None where there is none of that name."""
        if not _ID.fullmatch(report_id):
            return None
        with self._lock:
            run = self._running.get(report_id)
            if run is not None:
                return ReportRow(report_id, "running", (), run.seq)
            out = self._place(report_id)
            if not out.is_dir():
                return None
            try:
                told = json.loads((out / STATUS_FILE).read_text(encoding="utf-8"))
            except FileNotFoundError:
                return ReportRow(report_id, "failed", (), int(report_id[1:13]), "the exchange ended before the report did")
        return ReportRow(report_id, told["status"], tuple(told["files"]), told["seq"], told["problem"])

    def file(self, report_id: str, name: str) -> Path | None:
        """Where a file of a finished run is; None for everything that its `files` do not name."""
        row = self.find(report_id)
        if row is None or name not in row.files:
            return None
        return self._place(report_id) / name

    def close(self) -> None:
        """Ends what still runs, and waits until it has."""
        with self._lock:
            self._is_closed = True
            running = list(self._running.values())
        for run in running:
            run.process.kill()
        for run in running:
            if run.watcher is not None:
                run.watcher.join()

    def _watch(self, report_id: str, run: _Running) -> None:
        try:
            _, complaint = run.process.communicate(timeout=LONGEST_RUN_S)
        except subprocess.TimeoutExpired:
            run.process.kill()
            _, complaint = run.process.communicate()
            complaint += f"it took longer than {LONGEST_RUN_S} s"
        with self._lock:
            try:
                self._tell(report_id, run, complaint.strip())
            finally:  # where even that cannot be written, the run counts as cut off
                del self._running[report_id]

    def _tell(self, report_id: str, run: _Running, complaint: str) -> None:
        out = self._place(report_id)
        is_ready = run.process.returncode == 0
        names = sorted(path.name for path in out.iterdir() if path.is_file() and _NAME.fullmatch(path.name))
        last_line = complaint.splitlines()[-1] if complaint else f"the process ended with {run.process.returncode}"
        told: dict[str, Any] = {
            "status": "ready" if is_ready else "failed",
            "seq": run.seq,
            "files": names if is_ready else [],
            "problem": "" if is_ready else last_line[:500],
        }
        partial = out / f".{STATUS_FILE}"
        partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        partial.replace(out / STATUS_FILE)

    def _forget_oldest(self) -> None:
        finished = [
            path
            for path in (self._folder / FOLDER).iterdir()
            if path.is_dir() and _ID.fullmatch(path.name) and path.name not in self._running
        ]
        for path in sorted(finished, key=lambda path: path.stat().st_mtime_ns)[: -KEPT or None]:
            shutil.rmtree(path)

    def _place(self, report_id: str) -> Path:
        return self._folder / FOLDER / report_id
