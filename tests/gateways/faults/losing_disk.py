"""`cpx` on a disk that keeps nothing before it is synced, and takes its time for that: kill -9 becomes a power cut."""

import os
import time

from exchange.adapters.journal_file import Disk
from exchange.cli.main import app

SYNC_S = 0.015  # long against everything else that happens to a frame, so that most kills fall into it

_waiting: dict[int, list[tuple[bytes, int]]] = {}  # by descriptor, what has been written and is in no file yet


def _pwrite(fd: int, data: bytes, offset: int) -> int:
    _waiting.setdefault(fd, []).append((bytes(data), offset))
    return len(data)


def _fsync(fd: int) -> None:
    for data, offset in _waiting.pop(fd, ()):
        if os.pwrite(fd, data, offset) != len(data):
            raise OSError("the disk takes no more")
    os.fsync(fd)


def _fdatasync(fd: int) -> None:
    time.sleep(SYNC_S)
    _fsync(fd)


if __name__ == "__main__":
    Disk.pwrite, Disk.fsync, Disk.fdatasync = map(staticmethod, (_pwrite, _fsync, _fdatasync))  # type: ignore[assignment]
    app(prog_name="cpx")
