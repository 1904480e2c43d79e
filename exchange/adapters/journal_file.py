"""The journal and its snapshots as files: one writer by flock, every frame synced before it is answered for.

    DIR/journal/<first seq>.wal   segments      DIR/journal/lock   who writes here
    DIR/snapshots/<seq>.snap      the newest three

After an error from write or sync nothing is known about the file any more: the process ends at once (exit
code 75) and the same descriptor is never synced again, because a second sync may report success for lost
pages.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from exchange.engine.journal import (
    BLOCK,
    NO_CHAIN,
    JournalError,
    JournalInUse,
    Record,
    SegmentHeader,
    build_frame,
    build_segment_header,
    segment_name,
)
from exchange.engine.recovery import (
    Empty,
    LogEnd,
    LoggedCommand,
    LogReader,
    Recovered,
    Restore,
    load_snapshot,
    recover,
)
from exchange.engine.sequencer import Sequencer
from exchange.engine.snapshot import NO_HASH, SnapshotPoint, SnapshotRefused, build_snapshot, snapshot_name
from exchange.ports import Sink, VenueLike

ABORT_CODE = 75
SEGMENT_BYTES = 64 * 1024 * 1024
SNAPSHOTS_KEPT = 3
_SEGMENT_NAME = re.compile(r"\d{20}\.wal", re.ASCII)
_SNAPSHOT_NAME = re.compile(r"\d{20}\.snap", re.ASCII)

Abort = Callable[[str], NoReturn]


class Disk:
    """The calls that change files, in one place so that tests can make each of them fail."""

    pwrite = staticmethod(os.pwrite)
    fdatasync = staticmethod(os.fdatasync)
    fsync = staticmethod(os.fsync)
    ftruncate = staticmethod(os.ftruncate)
    replace = staticmethod(os.replace)

    def write_all(self, fd: int, data: bytes, offset: int) -> None:
        """Every byte, however few the system takes at a time; OSError otherwise."""
        rest = memoryview(data)
        while rest:
            written = self.pwrite(fd, rest, offset)
            if written <= 0:
                raise OSError("write took no bytes")
            rest, offset = rest[written:], offset + written

    def sync_folder(self, folder: Path) -> None:
        """Makes names in this folder durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.fsync(fd)
        finally:
            os.close(fd)

    def make_folder(self, folder: Path) -> None:
        """The folder and those above it, durable."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            self.sync_folder(folder.parent)

    def write_file(self, path: Path, data: bytes) -> None:
        """A file that is there whole or not at all: tmp, write, fsync, rename, fsync of the folder."""
        temporary = path.with_name(path.name + ".tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            self.write_all(fd, data, 0)
            self.fsync(fd)
        finally:
            os.close(fd)
        self.replace(temporary, path)
        self.sync_folder(path.parent)


def abort_process(message: str) -> NoReturn:
    """Ends the process without another write to any file of ours."""
    os.write(2, f"cpx: {message}\n".encode())
    os._exit(ABORT_CODE)


class Places(NamedTuple):
    """Where the files of one run are."""

    run: Path
    journal: Path
    snapshots: Path


def locate(folder: Path | str) -> Places:
    """The places of a run folder, or of the journal folder inside one."""
    folder = Path(folder)
    is_journal = not (folder / "journal").is_dir() and (folder.name == "journal" or any(folder.glob("*.wal")))
    run = folder.absolute().parent if is_journal else folder
    return Places(run, folder if is_journal else folder / "journal", run / "snapshots")


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment on disk, for reading."""

    path: Path
    size: int

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        with self.path.open("rb", buffering=0) as file:
            return _read_fully(file.fileno(), offset, length)


def _read_fully(fd: int, offset: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(fd, length, offset)):
        parts.append(part)
        offset, length = offset + len(part), length - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One snapshot on disk, for reading."""

    path: Path

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    @property
    def seq(self) -> int:
        """Number of the last command in it."""
        return int(self.path.stem)

    def read(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()


def list_segments(journal: Path) -> list[SegmentFile]:
    """The segments of a journal folder in order; JournalError for a .wal file with a name that is none."""
    paths = sorted(journal.glob("*.wal"))
    for path in paths:
        if not _SEGMENT_NAME.fullmatch(path.name):
            # Leaving it out could make the journal shorter without anybody noticing.
            repair = "give it its name back (20 digits: the first seq), or move it away"
            raise JournalError("this is no name of a segment", segment=path.name, repair=repair)
    return [SegmentFile(path, path.stat().st_size) for path in paths]


def list_snapshots(snapshots: Path) -> list[SnapshotFile]:
    """The snapshots of a folder, oldest first."""
    return [
        SnapshotFile(path) for path in sorted(snapshots.glob("*.snap")) if _SNAPSHOT_NAME.fullmatch(path.name)
    ]


def read_commands(folder: Path | str) -> Iterator[LoggedCommand]:
    """Every command of a journal as (seq, ts_ns, command, header); takes no lock and changes nothing."""
    return LogReader(list_segments(locate(folder).journal)).commands()


class Lock:
    """At most one writer per journal, and no reader beside it; the system frees it when the process ends."""

    def __init__(self, journal: Path, *, shared: bool = False) -> None:
        """JournalInUse if another process holds it. A shared lock makes no file."""
        path = journal / "lock"
        self._fd = -1
        if shared and not path.exists():
            return
        self._fd = os.open(path, os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise JournalInUse(
                f"{journal} is in use by process {holder}: stop that process, or choose another folder"
            ) from None
        if not shared:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets go; the file stays, since removing it would let two writers hold two different files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class JournalFile:
    """The log of one venue, open for append; a CommandLog."""

    def __init__(
        self,
        journal: Path,
        lock: Lock,
        end: LogEnd | None,
        identity: SegmentHeader | None,
        segment_bytes: int,
        disk: Disk,
        abort: Abort,
    ) -> None:
        """Use `open_log` or `open_sequencer`. Without an end a first segment is made."""
        self._journal, self._lock, self._disk, self._abort = journal, lock, disk, abort
        self._segment_bytes = segment_bytes
        self._is_usable = True
        self._fd = -1
        self.epoch = (end.epoch if end else 0) + 1
        self.next_seq = end.next_seq if end else 1
        self.chain = end.chain if end else NO_CHAIN
        self.ts_ns = end.ts_ns if end else 0
        self.torn_bytes = end.torn_bytes if end else 0
        if end is None or identity is None:
            self._header = SegmentHeader(os.urandom(16), 1, self.epoch, self._draw_salt())
            self._guard("make the first segment", lambda: self._start_segment(self._header))
        else:
            self._header = identity
            self._guard("prepare the last segment", lambda: self._continue_segment(end))

    @property
    def exchange_id(self) -> bytes:
        """16 random bytes, drawn when the journal was made, in every segment and snapshot of it."""
        return self._header.exchange_id

    @property
    def is_full(self) -> bool:
        """True when the segment has reached its size."""
        return self._offset >= self._segment_bytes

    def append(self, records: Sequence[Record], ts_ns: int) -> None:
        """One frame, durable on return; on an error the process ends with exit code 75."""
        frame, chain = build_frame(records, self.next_seq, self.epoch, ts_ns, self._header.salt, self.chain)
        self._guard(f"write seq {self.next_seq}", lambda: self._write_frame(frame))
        self._offset += len(frame)
        self.next_seq += len(records)
        self.chain, self.ts_ns = chain, ts_ns

    def roll(self) -> None:
        """Goes on in a new segment; on an error the process ends with exit code 75."""
        header = SegmentHeader(self.exchange_id, self.next_seq, self.epoch, self._draw_salt(), self.chain)
        self._guard("make a new segment", lambda: self._start_segment(header))

    def close(self) -> None:
        """Closes the file and lets go of the folder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._is_usable = False
        self._lock.release()

    def _guard(self, what: str, action: Callable[[], None]) -> None:
        if not self._is_usable:
            raise RuntimeError("this log is closed or has failed; it takes nothing more")
        self._is_usable = False  # until the action is through: an interrupt in between leaves an unknown file
        try:
            action()
        except OSError as error:
            place = self._journal / segment_name(self._header.first_seq)
            self._abort(
                f"cannot {what} ({place}): {error}. Nothing unanswered is counted as done. Check the disk "
                "(space, quota, health), then start again: the journal is read anew from the disk"
            )
        self._is_usable = True

    def _write_frame(self, frame: bytes) -> None:
        self._disk.write_all(self._fd, frame, self._offset)
        self._disk.fdatasync(self._fd)

    def _start_segment(self, header: SegmentHeader) -> None:
        path = self._journal / segment_name(header.first_seq)
        self._disk.write_file(path, build_segment_header(header))
        previous, self._fd = self._fd, os.open(path, os.O_WRONLY)
        self._header, self._offset = header, BLOCK
        if previous >= 0:
            os.close(previous)

    def _continue_segment(self, end: LogEnd) -> None:
        path = self._journal / segment_name(self._header.first_seq)
        self._fd = os.open(path, os.O_RDWR)
        self._offset = end.offset
        if end.torn_bytes:
            # Never answered, so not needed; kept all the same, in case it was no torn write but a dying disk.
            torn = _read_fully(self._fd, end.offset, end.torn_bytes)
            self._disk.write_file(self._journal / f"{end.next_seq:020d}.torn", torn)
        self._disk.ftruncate(self._fd, end.offset)
        # What was read may so far be in memory only; nothing may be built on it before it is on the disk.
        self._disk.fsync(self._fd)

    @staticmethod
    def _draw_salt() -> int:
        return int.from_bytes(os.urandom(8), "little")


class SnapshotFolder:
    """Keeps the newest snapshots of one venue; a SnapshotStore."""

    def __init__(
        self,
        folder: Path,
        exchange_id: bytes,
        restore: Restore,
        *,
        build: str = "",
        config_hash: bytes = NO_HASH,
        keep: int = SNAPSHOTS_KEPT,
        disk: Disk | None = None,
    ) -> None:
        self._folder, self._exchange_id, self._restore = folder, exchange_id, restore
        self._build, self._config_hash, self._keep = build, config_hash, keep
        self._disk = disk or Disk()

    def take(self, venue: VenueLike, *, seq: int, epoch: int, chain: bytes, event_hash: bytes) -> "TakenSnapshot":
        """The venue as it is now, in memory."""
        try:
            blob = venue.snapshot()
        except Exception as error:
            raise SnapshotRefused(f"the venue gives no snapshot: {type(error).__name__}: {error}") from error
        point = SnapshotPoint(
            self._exchange_id, seq, epoch, chain, venue.now_ns, venue.state_hash(), event_hash, self._config_hash,
            self._build,
        )  # fmt: skip
        return TakenSnapshot(point, blob)

    def keep(self, taken: "TakenSnapshot") -> None:
        """Writes a snapshot; it gets its name only when a fresh venue loaded from the file gives the very same one."""
        path = self._folder / snapshot_name(taken.point.seq)
        self._disk.make_folder(self._folder)
        unproven = self._folder / "unproven"
        self._disk.write_file(unproven, build_snapshot(taken.point, taken.blob))
        machine, _ = load_snapshot(_Unproven(unproven, path.name, taken.point.seq), self._restore)
        if machine.venue.snapshot() != taken.blob:  # the state hash leaves idempotency keys out
            raise SnapshotRefused(f"{path.name} does not load to what it was taken of")
        self._disk.replace(unproven, path)
        self._disk.sync_folder(self._folder)
        for old in list_snapshots(self._folder)[: -self._keep]:
            old.path.unlink()


class TakenSnapshot(NamedTuple):
    """A snapshot that is in memory only."""

    point: SnapshotPoint
    blob: bytes


@dataclass(frozen=True, slots=True)
class _Unproven:
    path: Path
    name: str
    seq: int

    def read(self) -> bytes:
        return self.path.read_bytes()


def open_log(
    folder: Path | str,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    disk: Disk | None = None,
    abort: Abort = abort_process,
) -> JournalFile:
    """The journal of a run folder, checked as a whole and open after its last valid frame; made if there
    is none.
    """
    disk = disk or Disk()
    places, lock = _take(folder, disk)
    try:
        segments = list_segments(places.journal)
        if not segments:
            return JournalFile(places.journal, lock, None, None, segment_bytes, disk, abort)
        reader = LogReader(segments)
        for _ in reader.frames():
            pass
        return JournalFile(places.journal, lock, reader.end, reader.headers[-1], segment_bytes, disk, abort)
    except BaseException:
        lock.release()
        raise


def open_sequencer(
    folder: Path | str,
    empty: Empty,
    restore: Restore,
    sinks: Iterable[Sink] = (),
    *,
    on_replay: Sink | None = None,
    not_after: int | None = None,
    segment_bytes: int = SEGMENT_BYTES,
    build: str = "",
    config_hash: bytes = NO_HASH,
    disk: Disk | None = None,
    abort: Abort = abort_process,
) -> tuple[Sequencer, Recovered | None]:
    """A sequencer that goes on where the run folder ends, and what recovery found (None for a new folder).

    not_after: no snapshot beyond this seq is used, so that on_replay gets every command after it at least.
    JournalError (exit codes 73, 78) or VenueHalted (70) where it must not go on; then nothing has been changed.
    """
    disk = disk or Disk()
    places, lock = _take(folder, disk)
    try:
        segments, snapshots = list_segments(places.journal), list_snapshots(places.snapshots)
        found = None
        if segments:
            found = recover(LogReader(segments), snapshots, empty, restore, on_replay, not_after)
        elif snapshots:
            repair = "put the journal back from a copy, or move the snapshots away to begin anew"
            raise JournalError("there are snapshots but no journal", seq=snapshots[-1].seq, repair=repair)
        end, identity = (found.end, found.identity) if found else (None, None)
        log = JournalFile(places.journal, lock, end, identity, segment_bytes, disk, abort)
    except BaseException:
        lock.release()
        raise
    store = SnapshotFolder(
        places.snapshots, log.exchange_id, restore, build=build, config_hash=config_hash, disk=disk
    )  # fmt: skip
    venue = found.venue if found else empty()
    event_hash = found.machine.event_hash if found else None
    sequencer = Sequencer(
        venue, log, sinks, first_seq=log.next_seq, event_hash=event_hash, snapshots=store
    )  # fmt: skip
    return sequencer, found


def _take(folder: Path | str, disk: Disk) -> tuple[Places, Lock]:
    places = locate(folder)
    disk.make_folder(places.journal)
    lock = Lock(places.journal)
    for leftover in places.journal.glob("*.tmp"):
        leftover.unlink()  # a segment that never got its name holds nothing
    return places, lock
