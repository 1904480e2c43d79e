"""A venue of a few lines, and journals written with it: what the engine promises holds for any deterministic venue."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.adapters.journal_file import Disk, open_sequencer
from exchange.domain.commands import AdvanceTime, Deposit, SubmitTask, Task, TaskChip, Withdraw

# The venue's own deliberate fault, for tests of what a fault of ours does.
POISON = Withdraw("poison", 1)


@dataclass(frozen=True)
class Paid:
    """What the toy reports."""

    participant: str
    balance_micro: int


class ToyVenue:
    """Balances, a clock, a table of idempotency keys; total but for POISON."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.balances: dict[str, int] = {}
        self.keys: dict[bytes, bytes] = {}
        self.mixed = 0

    def apply(
        self,
        seq: int,
        command: Any,
        *,
        idem_key: bytes = b"",
        body_hash: bytes = b"",
        valid_until_ns: int = 0,
    ) -> list[Any]:
        if command == POISON:
            raise ZeroDivisionError("a fault of ours")
        if valid_until_ns and valid_until_ns < self.now_ns:
            return []
        # Order matters: equal hashes then mean the same commands in the same order.
        self.mixed = (self.mixed * 31 + int.from_bytes(body_hash[:4], "little")) & (2**64 - 1)
        if isinstance(command, AdvanceTime):
            self.now_ns = max(self.now_ns, command.now_ns)
            return []
        if any(idem_key):
            self.keys[idem_key] = body_hash
        if isinstance(command, Deposit):
            balance = self.balances.get(command.participant, 0) + command.amount_micro
            self.balances[command.participant] = balance
            return [Paid(command.participant, balance)]
        return []

    def snapshot(self) -> bytes:
        state = (self.now_ns, self.mixed, sorted(self.balances.items()), sorted(self.keys.items()))
        return repr(state).encode()

    @classmethod
    def restore(cls, blob: bytes) -> ToyVenue:
        venue = cls()
        venue.now_ns, venue.mixed, balances, keys = ast.literal_eval(blob.decode())
        venue.balances, venue.keys = dict(balances), dict(keys)
        return venue

    def state_hash(self) -> int:
        return int.from_bytes(hashlib.blake2b(self.snapshot(), digest_size=8).digest(), "little")

    def check(self) -> None:
        assert all(balance >= 0 for balance in self.balances.values()), "a balance is negative"


class Aborted(Exception):
    """Stands for the end of the process."""


def abort(message: str) -> Any:
    raise Aborted(message)


def open_toy(folder: Path, sinks=(), **settings: Any):
    """(sequencer, what recovery found) of a run folder with the toy venue."""
    return open_sequencer(folder, ToyVenue, ToyVenue.restore, sinks, abort=abort, **settings)


def task(number: int) -> SubmitTask:
    """A task whose encoding is of a real one's size."""
    return SubmitTask(
        Task(
            "B1",
            f"order-{number}",
            "gz",
            20_000,
            (TaskChip("H800"),),
            10,
            4,
            1_790_000_000_000_000_000,
            2**62,
        )
    )


def some_commands(count: int, start: int = 0) -> list[Any]:
    """Commands of three kinds, different for different numbers."""
    made: list[Any] = []
    for number in range(start, start + count):
        made.append(
            (AdvanceTime(1000 + number), Deposit(f"P{number % 5}", number + 1), task(number))[number % 3]
        )
    return made


def write_journal(
    folder: Path, frames: list[list[Any]], *, keep_snapshots: bool = False, **settings: Any
) -> ToyVenue:
    """Writes one frame per list and closes; the venue as it was then."""
    sequencer, _ = open_toy(folder, **settings)
    for commands in frames:
        sequencer.submit(commands)
    sequencer.close()
    if not keep_snapshots:
        for path in (folder / "snapshots").glob("*"):
            path.unlink()
    return sequencer.venue


def segments(folder: Path) -> list[Path]:
    """The segment files in order."""
    return sorted((folder / "journal").glob("*.wal"))


class FaultyDisk(Disk):
    """Fails the named call from its nth use on, and counts the calls."""

    def __init__(self, call: str = "", nth: int = 1, error: OSError | None = None, chunk: int = 0) -> None:
        self.counts: dict[str, int] = {}
        self._call, self._nth, self._error, self._chunk = call, nth, error, chunk

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        if name == self._call and self.counts[name] >= self._nth:
            assert self._error is not None
            raise self._error

    def pwrite(self, fd, data, offset):
        self._count("pwrite")
        return Disk.pwrite(fd, data[: self._chunk] if self._chunk else data, offset)

    def fdatasync(self, fd):
        self._count("fdatasync")
        Disk.fdatasync(fd)

    def fsync(self, fd):
        self._count("fsync")
        Disk.fsync(fd)

    def ftruncate(self, fd, length):
        self._count("ftruncate")
        Disk.ftruncate(fd, length)

    def replace(self, source, target):
        self._count("replace")
        Disk.replace(source, target)
