"""From files back to a venue: what of the journal is valid, which snapshot to start from, what to refuse.

One fault is legal: the last frame of the last segment may be torn, since its commands were never answered. Everything
else that is not exactly what was written is refused; the log never becomes silently shorter.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from exchange.engine.journal import (
    BLOCK,
    MAX_FRAME,
    NO_CHAIN,
    Expected,
    Frame,
    Header,
    JournalError,
    JournalMissing,
    Record,
    SegmentHeader,
    Unreadable,
    damaged,
    frame_length,
    frame_salt,
    frame_successor,
    is_intact,
    parse_frame,
    parse_segment_header,
)
from exchange.engine.sequencer import Machine, VenueHalted
from exchange.engine.snapshot import SnapshotPoint, SnapshotRefused, parse_snapshot
from exchange.ports import SegmentSource, Sink, SnapshotSource, VenueLike
from exchange.protocol.codec import CodecError

READ_AHEAD = 1024 * 1024
Empty = Callable[[], VenueLike]
Restore = Callable[[bytes], VenueLike]


class LogEnd(NamedTuple):
    """Where the journal ends and how to go on: after the last valid frame, which is at `offset` of the last segment."""

    next_seq: int
    chain: bytes
    epoch: int
    ts_ns: int
    offset: int
    torn_bytes: int  # of a frame that was being written at the end; never answered


class LoggedCommand(NamedTuple):
    """One command as the journal has it."""

    seq: int
    ts_ns: int
    command: Any
    record: Record  # to apply it by: key and valid_until are in its header, not in the command

    @property
    def header(self) -> Header:
        """What stands in front of it."""
        return self.record.header


class LogReader:
    """Reads the segments of one journal in order; `end` is known once `frames` has run to its end."""

    def __init__(self, segments: Sequence[SegmentSource]) -> None:
        """JournalMissing without segments, JournalError where one is missing, foreign, renamed, damaged or newer."""
        if not segments:
            raise JournalMissing("there is no journal here")
        self._segments = sorted(segments, key=lambda segment: segment.name)
        self.headers = [
            parse_segment_header(segment.read(0, BLOCK), segment.name) for segment in self._segments
        ]
        self.end: LogEnd | None = None
        self._window = (-1, 0, b"")  # segment, offset, bytes: most frames are small, most reads are large
        self._check_headers()

    @property
    def total_bytes(self) -> int:
        """Size of all segments."""
        return sum(segment.size for segment in self._segments)

    def frames(self, from_index: int = 0) -> Iterator[Frame]:
        """Every valid frame from this segment on; JournalError at the first that is not what must come next.

        Of the segments before it only the ends are looked at: cheap proof that none of them is missing or cut.
        """
        for index in range(from_index - 1):
            self._check_end(index)
        first = self.headers[from_index]
        ts_ns = self._check_end(from_index - 1) if from_index else 0
        expected = Expected(first.first_seq, first.salt, first.prev_chain, first.epoch, ts_ns)
        offset = torn = 0
        for index in range(from_index, len(self._segments)):
            segment, header = self._segments[index], self.headers[index]
            self._check_joint(index, expected)
            expected = expected._replace(salt=header.salt, epoch=max(header.epoch, expected.epoch))
            offset = BLOCK
            while offset < segment.size:
                try:
                    frame = self._read_frame(index, offset, expected)
                except Unreadable as error:
                    torn = self._legal_tail(index, offset, expected, str(error))
                    break
                yield frame
                expected = Expected(frame.last_seq + 1, header.salt, frame.chain, frame.epoch, frame.ts_ns)
                offset += frame.length
        self.end = LogEnd(expected.seq, expected.chain, expected.epoch, expected.ts_ns, offset, torn)

    def commands(self) -> Iterator[LoggedCommand]:
        """Every command from the first on; JournalError also where a sound frame holds an unknown command."""
        for frame in self.frames():
            yield from decode_frame(frame)

    def segment_with(self, seq: int) -> int:
        """Index of the segment in which this command is or will be written."""
        return max(index for index, header in enumerate(self.headers) if header.first_seq <= max(seq, 1))

    def _check_end(self, index: int) -> int:
        """Log time of a segment's last frame; JournalError if that frame does not lead to the next segment."""
        segment, header, following = self._segments[index], self.headers[index], self.headers[index + 1]
        length = int.from_bytes(segment.read(max(segment.size - 4, 0), 4), "little")
        fits = BLOCK <= length <= min(MAX_FRAME, segment.size - BLOCK)
        frame = segment.read(segment.size - length, length) if fits else b""
        if is_intact(frame) and frame_salt(frame) == header.salt:
            next_seq, chain, ts_ns = frame_successor(frame)
            if (next_seq, chain) == (following.first_seq, following.prev_chain):
                return ts_ns
        message = "the segment does not end where the next one begins: it was cut or damaged"
        raise JournalError(
            message,
            seq=following.first_seq - 1,
            segment=segment.name,
            offset=max(segment.size - length, BLOCK) if fits else segment.size,
            repair="put this segment back from a copy",
        )

    def _check_headers(self) -> None:
        first = self.headers[0]
        if first.first_seq != 1 or first.prev_chain != NO_CHAIN:
            raise self._refuse_segment(
                0, f"the journal begins with seq {first.first_seq}: its first segment is missing"
            )
        for index, header in enumerate(self.headers[1:], start=1):
            if (header.exchange_id, header.shard) != (first.exchange_id, first.shard):
                raise self._refuse_segment(index, "this segment belongs to another venue")
            if header.epoch < self.headers[index - 1].epoch:
                raise self._refuse_segment(index, "this segment is older than the one before it")

    def _check_joint(self, index: int, expected: Expected) -> None:
        header = self.headers[index]
        if header.first_seq != expected.seq:
            message = f"seq {expected.seq} to {header.first_seq - 1} are missing before this segment"
            if header.first_seq < expected.seq:
                message = (
                    f"this segment begins with seq {header.first_seq}, which the one before it holds already"
                )
            raise self._refuse_segment(index, message, expected.seq)
        if header.prev_chain != expected.chain or header.epoch < expected.epoch:
            raise self._refuse_segment(
                index, "this segment does not continue the one before it", expected.seq
            )

    def _refuse_segment(self, index: int, message: str, seq: int = 0) -> JournalError:
        repair = "put the right segments back from a copy"
        return JournalError(message, seq=seq, segment=self._segments[index].name, repair=repair)

    def _read_frame(self, index: int, offset: int, expected: Expected) -> Frame:
        length = frame_length(self._read(index, offset, BLOCK))
        return parse_frame(self._read(index, offset, length), expected, self._segments[index].name, offset)

    def _read(self, index: int, offset: int, length: int) -> bytes:
        held, start, window = self._window
        if held != index or offset < start or offset + length > start + len(window):
            start, window = offset, self._segments[index].read(offset, max(length, READ_AHEAD))
            self._window = (index, start, window)
        return window[offset - start : offset - start + length]

    def _legal_tail(self, index: int, offset: int, expected: Expected, why: str) -> int:
        """Bytes of the torn last frame (0: only unused space follows); JournalError if more than that is wrong."""
        segment = self._segments[index]
        if index < len(self._segments) - 1:
            raise damaged(why, expected.seq, segment.name, offset)
        claimed, position, dirty_end = MAX_FRAME, offset, offset
        while position < segment.size:
            block = segment.read(position, BLOCK)
            if not block:
                break  # the file has become shorter meanwhile
            try:
                length, salt = frame_length(block), frame_salt(block)
            except Unreadable:
                length, salt = 0, None
            if salt == expected.salt:
                if position > offset:
                    message = f"{why}, and another frame follows at byte {position}: this is no torn write"
                    raise damaged(message, expected.seq, segment.name, offset)
                claimed = length
            elif salt is not None and is_intact(segment.read(position, length)):
                position += length  # left from an earlier use of this space: another salt, so never ours
                continue
            if block.count(0) != len(block):
                dirty_end = position + len(block)
            position += len(block)
        if dirty_end - offset > claimed:
            message = f"{why}, and {dirty_end - offset} bytes follow: more than one torn write leaves"
            raise damaged(message, expected.seq, segment.name, offset)
        return dirty_end - offset


def decode_frame(frame: Frame) -> Iterator[LoggedCommand]:
    """The commands of a frame; JournalError where one cannot be read."""
    for index, record in enumerate(frame.records):
        seq = frame.first_seq + index
        try:
            command = record.command()
        except CodecError as error:
            repair = "use the release that wrote it, or a newer one"
            raise JournalError(str(error), seq=seq, offset=frame.offset, repair=repair) from error
        yield LoggedCommand(seq, frame.ts_ns, command, record)


@dataclass(slots=True)
class Recovered:
    """A venue brought up to the end of its journal."""

    machine: Machine
    end: LogEnd
    identity: SegmentHeader  # of the last segment
    snapshot_seq: int = 0  # 0: replayed from empty
    replayed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def venue(self) -> VenueLike:
        """The venue itself."""
        return self.machine.venue


def recover(
    reader: LogReader,
    snapshots: Iterable[SnapshotSource],
    empty: Empty,
    restore: Restore,
    on_replay: Sink | None = None,
    not_after: int | None = None,
) -> Recovered:
    """The newest sound snapshot, then every later command; on_replay gets what is applied after the snapshot.

    not_after: snapshots beyond this seq are not used, because a sink has to hear of what came between.
    JournalError for any damage but a torn tail, VenueHalted if a command raises or the venue's own check fails.
    """
    notes: list[str] = []
    snapshots = list(snapshots)
    usable = [source for source in snapshots if not_after is None or source.seq <= not_after]
    found = _newest_sound(reader, usable, restore, notes)
    if found is None:
        machine, point, start = Machine(empty()), None, 0
    else:
        machine, point = found
        start = reader.segment_with(point.seq + 1)
    replayed = 0
    if point is not None and reader.headers[start].first_seq == point.seq + 1:
        _check_meets(point, point.seq, reader.headers[start].prev_chain)
    for frame in reader.frames(start):
        if point is not None and frame.first_seq <= point.seq:
            if frame.last_seq >= point.seq:
                _check_meets(point, frame.last_seq, frame.chain)
            continue
        replayed += apply_frame(machine, frame, on_replay)
    end = reader.end
    assert end is not None
    newest_seq = point.seq if point is not None else 0
    if not_after is not None:  # what may not be used still proves how far the journal once was
        newest_seq = max([newest_seq, *(source.seq for source in snapshots)])
    if newest_seq >= end.next_seq:
        raise _regression(newest_seq, end)
    if end.torn_bytes:
        notes.append(
            f"torn tail of {end.torn_bytes} bytes after seq {end.next_seq - 1}: never answered, dropped"
        )
    check_venue(machine)
    return Recovered(machine, end, reader.headers[-1], point.seq if point else 0, replayed, notes)


def apply_frame(machine: Machine, frame: Frame, on_replay: Sink | None = None) -> int:
    """Applies every command of a frame; the number of them."""
    for record, logged in zip(frame.records, decode_frame(frame), strict=True):
        events = machine.apply(record, logged.command)
        if on_replay is not None:
            on_replay(logged.seq, machine.venue.now_ns, logged.command, events)
    return len(frame.records)


def check_venue(machine: Machine) -> None:
    """The venue's invariants; VenueHalted where one is broken."""
    try:
        machine.venue.check()
    except AssertionError as error:
        message = (
            f"after seq {machine.seq} an invariant of the venue is broken: {error}. This is a fault of CPX"
        )
        raise VenueHalted(message) from error


def load_snapshot(source: SnapshotSource, restore: Restore) -> tuple[Machine, SnapshotPoint]:
    """The venue a snapshot holds; SnapshotRefused unless it loads to exactly the state it was taken of."""
    try:
        point, blob = parse_snapshot(source.read(), source.name)
    except OSError as error:
        raise SnapshotRefused(f"{source.name} cannot be read: {error}") from error
    try:
        venue = restore(blob)
        state_hash = venue.state_hash()
    except Exception as error:
        raise SnapshotRefused(f"{source.name} cannot be loaded: {type(error).__name__}: {error}") from error
    if state_hash != point.state_hash:
        raise SnapshotRefused(f"{source.name} loads to state {state_hash:016x}, not {point.state_hash:016x}")
    return Machine(venue, point.seq, point.event_hash), point


def _newest_sound(
    reader: LogReader, snapshots: Iterable[SnapshotSource], restore: Restore, notes: list[str]
) -> tuple[Machine, SnapshotPoint] | None:
    for source in sorted(snapshots, key=lambda source: source.seq, reverse=True):
        try:
            machine, point = load_snapshot(source, restore)
        except SnapshotRefused as error:
            notes.append(f"{error}; an older one is used")
            continue
        first = reader.headers[0]
        if (point.exchange_id, point.shard) != (first.exchange_id, first.shard):
            raise JournalError(
                f"snapshot {source.name} belongs to another venue", seq=point.seq, repair="move it away"
            )
        return machine, point
    return None


def _check_meets(point: SnapshotPoint, seq: int, chain: bytes) -> None:
    if (seq, chain) != (point.seq, point.chain):
        raise JournalError(
            "the snapshot and the journal tell different histories",
            seq=point.seq,
            repair="put both back from a copy; if the journal is known to be right, move the snapshot away",
        )


def _regression(snapshot_seq: int, end: LogEnd) -> JournalError:
    return JournalError(
        f"the journal ends with seq {end.next_seq - 1}, but a snapshot was taken after seq {snapshot_seq}: "
        "answered commands are missing",
        seq=end.next_seq,
        repair="put the missing segments back from a copy; or, to give those commands up, move the snapshot away",
    )
