"""The single writer: number, make durable, apply, hand out. In this order, one frame after the other.

Rules it keeps: no answer and no event before its command is durable; a fault of ours in `apply` halts the venue for
good, because the state behind it is no longer a function of the log; a failing sink stops alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from exchange.domain.commands import AdvanceTime
from exchange.engine.journal import Record, make_record, split_into_frames
from exchange.engine.snapshot import NO_HASH, SnapshotRefused
from exchange.ports import CommandLog, Envelope, Sink, SnapshotStore, VenueLike
from exchange.protocol.codec import NO_KEY, event_bytes

Submission = Any  # a command, or (command, Envelope)


class Answer(NamedTuple):
    """The result of one command: its number in the journal and everything that followed from it."""

    seq: int
    events: Sequence[Any]


class VenueHalted(Exception):
    """The venue stopped because of a fault of ours; commands with no answer in `answers` are unknown, not refused."""

    exit_code = 70

    def __init__(self, message: str, answers: Sequence[Answer] = ()) -> None:
        super().__init__(message)
        self.answers = list(answers)


@dataclass(slots=True)
class Machine:
    """A venue, the number of its last command, and the running hash of all its events (NO_HASH: not kept)."""

    venue: VenueLike
    seq: int = 0
    event_hash: bytes = blake2b(b"", digest_size=16).digest()

    def apply(self, record: Record, command: Any) -> Sequence[Any]:
        """The next command; VenueHalted if it raises."""
        seq = self.seq + 1
        key = record.header.idem_key
        try:
            events = self.venue.apply(
                seq,
                command,
                idem_key=b"" if key == NO_KEY else key,
                body_hash=record.body_hash,
                valid_until_ns=record.header.valid_until_ns,
            )
            if self.event_hash != NO_HASH:
                self._hash(seq, events)
        except Exception as error:
            what = f"{type(command).__name__} at seq {seq} raised {type(error).__name__}: {error}"
            raise VenueHalted(
                f"the venue stopped: {what}. This is a fault of CPX; please report it"
            ) from error
        self.seq = seq
        return events

    def _hash(self, seq: int, events: Sequence[Any]) -> None:
        hasher = blake2b(self.event_hash, digest_size=16)
        hasher.update(seq.to_bytes(8, "little"))
        hasher.update(event_bytes(events))
        self.event_hash = hasher.digest()


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
    def halted(self) -> str:
        """Why the venue stopped, or "" while it runs."""
        return self._halted

    def submit(self, submissions: Iterable[Submission]) -> list[Answer]:
        """One answer per command, in order; all of them are durable.

        CodecError: a command has no bytes; none of the list was taken. VenueHalted: some may be in the log.
        """
        self._refuse_if_halted()
        commands: list[Any] = []
        records: list[Record] = []
        for submission in submissions:
            command, envelope = submission if isinstance(submission, tuple) else (submission, Envelope())
            records.append(make_record(command, envelope))
            commands.append(command)
        answers: list[Answer] = []
        for frame in split_into_frames(records):
            done = len(answers)
            self._run_frame(frame, commands[done : done + len(frame)], answers)
        return answers

    def checkpoint(self) -> bool:
        """Takes a snapshot now; False (and a line in `problems`) where it did not come to count."""
        self._refuse_if_halted()
        if self._snapshots is None:
            return False
        log, machine = self._log, self._machine
        try:
            self._snapshots.save(
                machine.venue,
                seq=machine.seq,
                epoch=log.epoch,
                chain=log.chain,
                event_hash=machine.event_hash,
            )
        except (SnapshotRefused, OSError) as error:
            # Only a later start gets slower: the journal holds everything.
            self.problems.append(f"no snapshot at seq {machine.seq}: {error}")
            return False
        return True

    def close(self) -> None:
        """Clean shutdown: a last snapshot, unless the venue halted; then the folder is free for others."""
        try:
            if not self._halted and self.seq:
                self.checkpoint()
        finally:
            self._halted = self._halted or "closed"
            self._log.close()

    def _refuse_if_halted(self) -> None:
        if self._halted:
            raise VenueHalted(f"the venue takes no commands: {self._halted}")

    def _run_frame(self, records: Sequence[Record], commands: Sequence[Any], answers: list[Answer]) -> None:
        # Set before and cleared after: also a KeyboardInterrupt in between leaves a venue that must not go on.
        self._halted = f"stopped in the frame after seq {self.seq}"
        times: list[int] = []
        done = len(answers)
        try:
            self._log.append(records, self._frame_time(commands))
            for record, command in zip(records, commands, strict=True):
                events = self._machine.apply(record, command)
                times.append(self.venue.now_ns)
                answers.append(Answer(self.seq, events))
        except VenueHalted as halt:
            self._halted = str(halt)
            halt.answers = answers
            raise
        self._halted = ""
        for ts_ns, command, answer in zip(times, commands, answers[done:], strict=True):
            self._hand_out(answer, ts_ns, command)
        if self._log.is_full:
            self.checkpoint()
            self._halted = "stopped while a new segment was made"
            self._log.roll()
            self._halted = ""

    def _frame_time(self, commands: Sequence[Any]) -> int:
        clocks = [command.now_ns for command in commands if type(command) is AdvanceTime]
        return max(self._log.ts_ns, self.venue.now_ns, *clocks)

    def _hand_out(self, answer: Answer, ts_ns: int, command: Any) -> None:
        for sink in list(self._sinks):
            try:
                sink(answer.seq, ts_ns, command, answer.events)
            except Exception as error:  # noqa: BLE001 - a sink is a copy: it can be made again from the journal
                self._sinks.remove(sink)
                name = getattr(sink, "__qualname__", type(sink).__name__)
                self.problems.append(f"{name} stopped at seq {answer.seq}: {type(error).__name__}: {error}")
