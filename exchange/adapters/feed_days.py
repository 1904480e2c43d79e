"""Days of feed channels as Parquet files of a live exchange, each made once by a process of its own beside the writer.

    DIR/history/<day>-<channel>.parquet

A day that is over never changes, so a file that is there is right. The journal is read without a lock, up to a seq that is
durable: what is on the disk there stays as it is.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

from exchange.ports_access import HistoryRow
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.stream import RECORDED

FOLDER = "history"
AT_ONCE = 2
KEPT = 400  # files; the one that was not asked for the longest goes
RETRY_AFTER_S = 2
NOTHING = 66  # exit code of a job that found no such day
MOST_REMEMBERED = 256  # days without a file
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(slots=True)
class _Job:
    process: subprocess.Popen[str]
    percent: int = 0
    watcher: Thread | None = None


class FeedDays:
    """The history files of one folder; a `FeedHistory`."""

    def __init__(self, folder: Path, at_once: int = AT_ONCE) -> None:
        self._folder, self._at_once = folder, at_once
        self._lock = Lock()
        self._jobs: dict[Path, _Job] = {}
        self._messages: dict[Path, int] = {}
        self._ended: dict[Path, HistoryRow] = {}  # without a file
        self._is_closed = False

    def look(self, day: str, channel: str, seq: int) -> HistoryRow:
        """How far the file is; where nobody makes it, it is begun. DoorError TOO_MANY_REQUESTS."""
        path = self._place(day, channel)
        assert path is not None, (day, channel)
        with self._lock:
            job = self._jobs.get(path)
            if job is not None:
                return HistoryRow("running", job.percent)
            if path.is_file():
                return HistoryRow("ready", 100, self._count(path), path.stat().st_size)
            ended = self._ended.get(path)
            if ended is not None:
                if ended.status == "failed":
                    del self._ended[path]  # the next question tries again
                return ended
            self._begin(path, day, channel, seq)
        return HistoryRow("running")

    def file(self, day: str, channel: str) -> Path | None:
        """Where a finished file is; None where it was not made, and for names that are none."""
        path = self._place(day, channel)
        return path if path is not None and path.is_file() else None

    def close(self) -> None:
        """Ends what still runs, and waits until it has."""
        with self._lock:
            self._is_closed = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.process.kill()
        for job in jobs:
            if job.watcher is not None:
                job.watcher.join()

    def _place(self, day: str, channel: str) -> Path | None:
        if channel not in RECORDED or not _DAY.fullmatch(day):
            return None
        return self._folder / FOLDER / f"{day}-{channel}.parquet"

    def _begin(self, path: Path, day: str, channel: str, seq: int) -> None:
        if self._is_closed:
            raise DoorError(DoorReason.SHUTTING_DOWN)
        if len(self._jobs) >= self._at_once:
            detail = f"{self._at_once} days of history are being made already"
            raise DoorError(
                DoorReason.TOO_MANY_REQUESTS, detail, limit="history_at_once", retry_after_s=RETRY_AFTER_S
            )
        words = [str(self._folder), day, channel, str(path), str(seq)]
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange.adapters.feed_job", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        job = self._jobs[path] = _Job(process)
        job.watcher = Thread(target=self._watch, args=(path, job), name=path.name, daemon=True)
        job.watcher.start()

    def _watch(self, path: Path, job: _Job) -> None:
        """Reads how far it is until it ends; the last line is what went wrong, if anything did."""
        line = ""
        assert job.process.stdout is not None
        with job.process.stdout:
            for told in job.process.stdout:
                line = told.strip() or line
                if line.isdigit():
                    job.percent = int(line)
        code = job.process.wait()
        with self._lock:
            del self._jobs[path]
            if code == 0:
                self._forget_oldest()
                return
            if len(self._ended) >= MOST_REMEMBERED:
                self._ended.clear()
            status = "none" if code == NOTHING else "failed"
            self._ended[path] = HistoryRow(status, problem=(line or f"the process ended with {code}")[:500])

    def _count(self, path: Path) -> int:
        count = self._messages.get(path)
        if count is None:
            from exchange.adapters.feed_files import messages_in

            count = self._messages[path] = messages_in(path)
        return count

    def _forget_oldest(self) -> None:
        found = sorted((self._folder / FOLDER).glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        for path in found[: -KEPT or None]:
            path.unlink()
            self._messages.pop(path, None)
