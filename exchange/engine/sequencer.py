"""The single writer: number, make durable, apply, hand out. In this order, one frame after the other.

Rules it keeps: no answer and no event before its command is durable; a fault of ours in `apply` halts the venue for
good, because the state behind it is no longer a function of the log; a failing sink stops alone.

`Sequencer.submit` takes the steps one after the other; `exchange.engine.writer` takes the same steps for many callers at
once, the disk's part in a thread.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from exchange.domain.commands import AdvanceTime, SettlePeriod
from exchange.engine.collecting import uncollected
from exchange.engine.journal import Record, make_record, split_into_frames
from exchange.engine.snapshot import NO_HASH, SnapshotRefused
from exchange.ports import CommandLog, Envelope, Sink, SnapshotStore, VenueLike
from exchange.protocol.codec import NO_KEY, event_bytes

Submission = Any  # a command, or (command, Envelope)
# Gets (seq, ts_ns, record, event_bytes) of every applied command, in order: what a sink gets, as bytes.
RecordSink = Callable[[int, int, Record, bytes], None]


@dataclass(slots=True)
class Answer:
    """The result of one command: its number in the journal, everything that followed from it, the venue's time after it."""

    seq: int
    events: Sequence[Any]
    ts_ns: int = field(default=0, compare=False)


class VenueHalted(Exception):
    """The venue stopped because of a fault of ours; commands with no answer in `answers` are unknown, not refused.

    is_definite: this command was never given to the log and will never be executed.
    """

    exit_code = 70

    def __init__(self, message: str, answers: Sequence[Answer] = (), *, is_definite: bool = False) -> None:
        super().__init__(message)
        self.answers = list(answers)
        self.is_definite = is_definite


@dataclass(slots=True)
class Batch:
    """The commands of one frame, and, once they are applied, what came of each."""

    records: Sequence[Record]
    commands: Sequence[Any]
    ts_ns: int  # log time of the frame
    answers: list[Answer] = field(default_factory=list)
    event_blobs: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Machine:
    """A venue, the number of its last command, and the running hash of all its events (NO_HASH: not kept)."""

    venue: VenueLike
    seq: int = 0
    event_hash: bytes = blake2b(b"", digest_size=16).digest()
    event_blob: bytes = b""  # the last command's events as bytes

    def apply(self, record: Record, command: Any) -> Sequence[Any]:
        """The next command; VenueHalted if it raises."""
        if type(command) is SettlePeriod:
            with uncollected():
                return self._apply(record, command)
        return self._apply(record, command)

    def _apply(self, record: Record, command: Any) -> Sequence[Any]:
        seq, header = self.seq + 1, record.header
        key = header.idem_key
        try:
            has_key = key != NO_KEY
            events = self.venue.apply(
                seq, command, idem_key=key if has_key else b"", body_hash=record.body_hash if has_key else b"",
                valid_until_ns=header.valid_until_ns,
            )  # fmt: skip
            self.event_blob = event_bytes(events)
            if self.event_hash != NO_HASH:
                self._hash(seq)
        except Exception as error:
            what = f"{type(command).__name__} at seq {seq} raised {type(error).__name__}: {error}"
            raise VenueHalted(
                f"the venue stopped: {what}. This is a fault of CPX; please report it"
            ) from error
        self.seq = seq
        return events

    def _hash(self, seq: int) -> None:
        told = self.event_hash + seq.to_bytes(8, "little") + self.event_blob
        self.event_hash = blake2b(told, digest_size=16).digest()


class Sequencer:
    """Feeds one venue from one log. Not thread-safe: one caller, or a queue in front."""

    def __init__(
        self,
        venue: VenueLike,
        log: CommandLog,
        sinks: Iterable[Sink] = (),
        *,
        first_seq: int = 1,
        event_hash: bytes | None = None,
        snapshots: SnapshotStore | None = None,
    ) -> None:
        """The venue must hold everything up to first_seq - 1, and the log must go on there; else ValueError.

        The number is the caller's word, not the log's: a venue that is behind its log would otherwise leave
        snapshots of a state that never was.
        event_hash is the running hash so far; without one it is kept from the first command on, or not at all.
        """
        if first_seq != log.next_seq:
            raise ValueError(f"the venue expects seq {first_seq} next, the log {log.next_seq}")
        self._machine = Machine(venue, first_seq - 1)
        if event_hash is not None or first_seq > 1:
            self._machine.event_hash = event_hash or NO_HASH
        self._log = log
        self._sinks = list(sinks)
        self._record_sinks: list[RecordSink] = []
        self._snapshots = snapshots
        self._halted = ""
        self.problems: list[str] = []

    @property
    def venue(self) -> VenueLike:
        """The live venue, for questions between two submits."""
        return self._machine.venue

    @property
    def seq(self) -> int:
        """Number of the last applied command."""
        return self._machine.seq

    @property
    def event_hash(self) -> bytes:
        """Running hash over every event so far; zeros if it is not kept."""
        return self._machine.event_hash

    @property
    def log(self) -> CommandLog:
        """The log behind it, for its numbers."""
        return self._log

    @property
    def halted(self) -> str:
        """Why the venue stopped, or "" while it runs."""
        return self._halted

    def add_sink(self, sink: Sink) -> None:
        """From the next command on, this one is told too."""
        self._sinks.append(sink)

    def add_record_sink(self, sink: RecordSink) -> None:
        """As `add_sink`, for one that takes the bytes which are there anyway instead of objects."""
        self._record_sinks.append(sink)

    def submit(self, submissions: Iterable[Submission]) -> list[Answer]:
        """One answer per command, in order; all of them are durable.

        CodecError: a command has no bytes; none of the list was taken. VenueHalted: some may be in the log.
        """
        self.refuse_if_halted()
        commands: list[Any] = []
        records: list[Record] = []
        for submission in submissions:
            command, envelope = submission if isinstance(submission, tuple) else (submission, Envelope())
            records.append(make_record(command, envelope))
            commands.append(command)
        answers: list[Answer] = []
        for frame in split_into_frames(records):
            done = len(answers)
            batch = self.batch(frame, commands[done : done + len(frame)])
            try:
                self._run(batch)
            except VenueHalted as halt:
                halt.answers = answers + batch.answers
                raise
            answers += batch.answers
        return answers

    def checkpoint(self) -> bool:
        """Takes a snapshot now; False (and a line in `problems`) where it did not come to count."""
        self.refuse_if_halted()
        taken = self.take_snapshot()
        return taken is not None and self.keep_snapshot(taken)

    def close(self) -> None:
        """Clean shutdown: a last snapshot, unless the venue halted; then the folder is free for others."""
        try:
            if not self._halted and self.seq:
                self.checkpoint()
        finally:
            self.close_log()

    def refuse_if_halted(self) -> None:
        """VenueHalted where no command is taken."""
        if self._halted:
            raise VenueHalted(f"the venue takes no commands: {self._halted}", is_definite=True)

    def halt(self, why: str) -> None:
        """Takes nothing more from now on; the first reason stands."""
        self._halted = self._halted or why

    # --- the steps ---

    def batch(self, records: Sequence[Record], commands: Sequence[Any]) -> Batch:
        """A frame of these commands; to be made when no other one is being written."""
        clocks = [command.now_ns for command in commands if type(command) is AdvanceTime]
        return Batch(records, commands, max(self._log.ts_ns, self.venue.now_ns, *clocks))

    def write(self, batch: Batch) -> None:
        """Makes a frame durable; touches nothing but the log, so that another thread may do it."""
        self._log.append(batch.records, batch.ts_ns)

    def apply(self, batch: Batch) -> None:
        """Applies a durable frame; VenueHalted if a command raises, with the answers before it in the batch."""
        machine, venue = self._machine, self._machine.venue
        for record, command in zip(batch.records, batch.commands, strict=True):
            events = machine.apply(record, command)
            batch.answers.append(Answer(machine.seq, events, venue.now_ns))
            batch.event_blobs.append(machine.event_blob)

    def hand_out(self, batch: Batch) -> None:
        """Tells each sink of an applied frame, one sink after the other; one that raises is told nothing more."""
        answers = batch.answers
        told = [
            (answer.seq, answer.ts_ns, command, answer.events)
            for answer, command in zip(answers, batch.commands, strict=False)
        ]
        self._hand_out(self._sinks, told)
        told = [
            (answer.seq, answer.ts_ns, record, blob)
            for answer, record, blob in zip(answers, batch.records, batch.event_blobs, strict=False)
        ]
        self._hand_out(self._record_sinks, told)

    def take_snapshot(self) -> Any:
        """The venue as it is now, for `keep_snapshot`, when all that is in the log is applied; None if it gives none."""
        if self._snapshots is None:
            return None
        log, machine = self._log, self._machine
        try:
            return self._snapshots.take(
                machine.venue,
                seq=machine.seq,
                epoch=log.epoch,
                chain=log.chain,
                event_hash=machine.event_hash,
            )
        except SnapshotRefused as error:
            self.problems.append(f"no snapshot at seq {machine.seq}: {error}")
            return None

    def keep_snapshot(self, taken: Any) -> bool:
        """Writes and proves a snapshot, in any thread; False (and a line in `problems`) where it did not come to count."""
        assert self._snapshots is not None
        try:
            self._snapshots.keep(taken)
        except (SnapshotRefused, OSError) as error:
            # Only a later start gets slower: the journal holds everything.
            self.problems.append(f"no snapshot at seq {taken.point.seq}: {error}")
            return False
        return True

    def close_log(self) -> None:
        """Frees the folder without another snapshot."""
        self.halt("closed")
        self._log.close()

    def _run(self, batch: Batch) -> None:
        # Set before and cleared after: also a KeyboardInterrupt in between leaves a venue that must not go on.
        self._halted = f"stopped in the frame after seq {self.seq}"
        try:
            self.write(batch)
            self.apply(batch)
        except VenueHalted as halt:
            self._halted = str(halt)
            raise
        self._halted = ""
        self.hand_out(batch)
        if self._log.is_full:
            self.checkpoint()
            self._halted = "stopped while a new segment was made"
            self._log.roll()
            self._halted = ""

    def _hand_out(self, sinks: list[Any], told: list[tuple[int, int, Any, Any]]) -> None:
        for sink in list(sinks):
            seq = 0
            try:
                for seq, ts_ns, what, came in told:
                    sink(seq, ts_ns, what, came)
            except Exception as error:  # noqa: BLE001 - a sink is a copy: it can be made again from the journal
                sinks.remove(sink)
                name = getattr(sink, "__qualname__", type(sink).__name__)
                self.problems.append(f"{name} stopped at seq {seq}: {type(error).__name__}: {error}")
