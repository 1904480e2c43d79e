"""The bytes of the journal: segment headers and batch frames, built and read without touching a file.

A frame is one group commit: built whole, written whole, found valid or not valid as a whole. Reading never trusts a
length before it is checked against a limit, and tells two faults apart: `Unreadable` (these bytes are no frame, as
after a crash in the middle of a write) and `JournalError` (they are a frame, but not the one that belongs here).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple
from zlib import crc32

from exchange.ports import Envelope
from exchange.protocol import codec

FORMAT_VERSION = 1
CRC_ZLIB = 1
HASH_BLAKE2B_128 = 1
BLOCK = 4096  # frames and headers fill whole blocks: a block that was answered for is never written again
MAX_FRAME_COMMANDS = 1024
MAX_FRAME_BODY = 256 * 1024  # of a group of commands; a single larger one gets a frame of its own
NO_CHAIN = bytes(16)
RECORD_SIZE = 64

SEGMENT_MAGIC = b"CPXWAL\r\n"  # the line end shows a copy that was treated as text
_SEGMENT = Struct("<8sHBBI16sQQQ16s")
_SEGMENT_CRC = Struct("<I")
FRAME_MAGIC = 0x4D465043  # "CPFM"
_FRAME_START = Struct("<II")
_FRAME = Struct("<IIQIIQqQQ16s")
_TRAILER = Struct("<16sII")
_HEADER = Struct("<IHHQQ16sq")
assert _HEADER.size == 48 and _FRAME.size == 72 and _TRAILER.size == 24

_NO_ENVELOPE = Envelope()
_PER_RECORD = _HEADER.size + RECORD_SIZE
_OVERHEAD = _FRAME.size + _TRAILER.size
MAX_FRAME = -(-(_OVERHEAD + _PER_RECORD + codec.MAX_BLOB) // BLOCK) * BLOCK


class JournalError(Exception):
    """The journal is not what it should be: says where (seq, segment, offset) and what can be done."""

    exit_code = 78

    def __init__(
        self, message: str, *, seq: int = 0, segment: str = "", offset: int = 0, repair: str = ""
    ) -> None:
        place = f" [seq {seq}, {segment or 'segment'} at byte {offset}]" if seq or segment else ""
        super().__init__(f"{message}{place}" + (f"; {repair}" if repair else ""))
        self.seq, self.segment, self.offset, self.repair = seq, segment, offset, repair


class JournalInUse(JournalError):
    """Another process holds the folder."""

    exit_code = 73


class JournalMissing(JournalError):
    """There is no journal where one was asked for."""

    exit_code = 66


class Unreadable(Exception):
    """The bytes here are no frame."""


class Header(NamedTuple):
    """The 48 bytes in front of each command; length counts the blob, `type` and `schema` are the codec's."""

    length: int
    type: int
    schema: int
    account: int
    session: int
    idem_key: bytes
    valid_until_ns: int


class Record(NamedTuple):
    """One command in the journal: header, core record (zeros for a typed one), blob (empty for a core one)."""

    header: Header
    core: bytes
    blob: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes of a frame's body."""
        return _PER_RECORD + len(self.blob)

    @property
    def body_hash(self) -> bytes:
        """16 bytes that are equal for equal commands."""
        return codec.content_hash(self.header.type, self.blob or self.core)

    def command(self) -> Any:
        """The command itself; codec.CodecError where it cannot be read."""
        return codec.decode(self.header.type, self.header.schema, self.core, self.blob)


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first block of a segment; salt and exchange id are drawn outside, by whoever makes the file."""

    exchange_id: bytes  # 16 bytes, the same in every segment of one venue
    first_seq: int
    epoch: int
    salt: int
    prev_chain: bytes = NO_CHAIN
    shard: int = 0


class Frame(NamedTuple):
    """One valid frame and where it lies."""

    first_seq: int
    epoch: int
    ts_ns: int
    records: list[Record]
    chain: bytes
    offset: int
    length: int

    @property
    def last_seq(self) -> int:
        """Number of the frame's last command."""
        return self.first_seq + len(self.records) - 1


class Expected(NamedTuple):
    """What the next frame must continue."""

    seq: int
    salt: int
    chain: bytes
    epoch: int
    ts_ns: int


def make_record(command: Any, envelope: Envelope | None = None) -> Record:
    """A command as a record; codec.CodecError where command or envelope do not fit."""
    envelope = envelope or _NO_ENVELOPE
    number, schema, core, blob = codec.encode(command)
    key = codec.idem_key(command) if envelope.idem_key is None else envelope.idem_key
    header = Header(len(blob), number, schema, envelope.account, envelope.session, key, envelope.valid_until_ns)
    try:
        _HEADER.pack(*header)
    except (StructError, TypeError) as error:
        raise codec.CodecError(f"the envelope does not fit: {error}") from error
    if len(key) != len(codec.NO_KEY):
        raise codec.CodecError("the envelope does not fit: an idempotency key has 16 bytes")
    return Record(header, core, blob)


def segment_name(first_seq: int) -> str:
    """File name of the segment that begins with this command."""
    return f"{first_seq:020d}.wal"


def chain_after(prev_chain: bytes, body: bytes) -> bytes:
    """The running hash over all commands: equal chains mean equal histories."""
    hasher = blake2b(prev_chain, digest_size=16)
    hasher.update(body)
    return hasher.digest()


def build_segment_header(header: SegmentHeader) -> bytes:
    """The 4 KiB at the head of a segment."""
    fields = _SEGMENT.pack(
        SEGMENT_MAGIC, FORMAT_VERSION, CRC_ZLIB, HASH_BLAKE2B_128, header.shard, header.exchange_id,
        header.first_seq, header.epoch, header.salt, header.prev_chain,
    )  # fmt: skip
    block = fields.ljust(BLOCK - _SEGMENT_CRC.size, b"\0")
    return block + _SEGMENT_CRC.pack(crc32(block))


def parse_segment_header(block: bytes, name: str) -> SegmentHeader:
    """Reads a segment's head and holds it against the file's name; JournalError if it is damaged, foreign or newer."""

    def refuse(message: str) -> JournalError:
        return JournalError(message, segment=name, repair="put this segment back from a copy")

    if len(block) < BLOCK:
        raise refuse(f"the segment header has {len(block)} of {BLOCK} bytes")
    magic, version, crc_id, hash_id, shard, exchange_id, first_seq, epoch, salt, prev_chain = (
        _SEGMENT.unpack_from(block)
    )
    if magic != SEGMENT_MAGIC:
        raise refuse("not a CPX segment")
    (crc,) = _SEGMENT_CRC.unpack_from(block, BLOCK - _SEGMENT_CRC.size)
    if crc != crc32(block[: BLOCK - _SEGMENT_CRC.size]):
        raise refuse("the segment header is damaged (CRC)")
    if version != FORMAT_VERSION or (crc_id, hash_id) != (CRC_ZLIB, HASH_BLAKE2B_128):
        message = (
            f"format version {version} (CRC {crc_id}, hash {hash_id}), this release reads {FORMAT_VERSION}"
        )
        raise JournalError(message, segment=name, repair="use the release that wrote it, or a newer one")
    if segment_name(first_seq) != name:
        raise refuse(f"the segment begins with seq {first_seq}, its name says otherwise: renamed?")
    return SegmentHeader(exchange_id, first_seq, epoch, salt, prev_chain, shard)


def build_frame(
    records: Sequence[Record], first_seq: int, epoch: int, ts_ns: int, salt: int, prev_chain: bytes
) -> tuple[bytes, bytes]:
    """(frame, chain after it). The writer syncs each frame before the next, so all before first_seq is durable."""
    body = b"".join(
        [_HEADER.pack(*record.header) for record in records]
        + [record.core for record in records]
        + [record.blob for record in records]
    )
    total = -(-(_OVERHEAD + len(body)) // BLOCK) * BLOCK
    if not records or len(records) > MAX_FRAME_COMMANDS or total > MAX_FRAME:
        raise ValueError(f"a frame of {len(records)} commands and {total} bytes")
    chain = chain_after(prev_chain, body)
    start = _FRAME.pack(
        FRAME_MAGIC, total, first_seq, len(records), 0, epoch, ts_ns, salt, first_seq - 1, prev_chain
    )  # fmt: skip
    covered = (start + body).ljust(total - _TRAILER.size, b"\0") + chain
    return covered + crc32(covered).to_bytes(4, "little") + total.to_bytes(4, "little"), chain


def split_into_frames(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Groups of at most 1,024 commands and 256 KiB; a single larger command stands alone."""
    start = size = 0
    for index, record in enumerate(records):
        is_full = index - start == MAX_FRAME_COMMANDS or size + record.size > MAX_FRAME_BODY
        if is_full and index > start:
            yield records[start:index]
            start, size = index, 0
        size += record.size
    if start < len(records):
        yield records[start:]


def frame_length(start: bytes) -> int:
    """Length that the first bytes of a frame claim; Unreadable if it is none that a frame can have."""
    if len(start) < _FRAME.size:
        raise Unreadable("too few bytes for a frame")
    magic, total = _FRAME_START.unpack_from(start)
    if magic != FRAME_MAGIC:
        raise Unreadable("no frame begins here")
    if not BLOCK <= total <= MAX_FRAME or total % BLOCK:
        raise Unreadable(f"a frame cannot have {total} bytes")
    return total


def frame_salt(start: bytes) -> int:
    """Salt in the first bytes of a frame."""
    return _FRAME.unpack_from(start)[7]


def frame_successor(frame: bytes) -> tuple[int, bytes, int]:
    """(seq, chain) with which an intact frame is continued, and its log time."""
    _, _, first_seq, count, _, _, ts_ns, _, _, _ = _FRAME.unpack_from(frame)
    return first_seq + count, _TRAILER.unpack_from(frame, len(frame) - _TRAILER.size)[0], ts_ns


def is_intact(frame: bytes) -> bool:
    """True if these bytes, exactly, are a frame whose checksum holds, whatever journal it belongs to."""
    try:
        if frame_length(frame) != len(frame):
            return False
    except Unreadable:
        return False
    _, crc, total = _TRAILER.unpack_from(frame, len(frame) - _TRAILER.size)
    return total == len(frame) and crc == crc32(frame[:-8])


def parse_frame(frame: bytes, expected: Expected, segment: str, offset: int) -> Frame:
    """One frame, checked against what must come next; Unreadable or JournalError as the module says."""
    if not is_intact(frame):
        raise Unreadable("the frame's checksum does not hold")
    _, _, first_seq, count, flags, epoch, ts_ns, salt, durable_seq, prev_chain = _FRAME.unpack_from(frame)
    if salt != expected.salt:
        raise Unreadable("a frame of another segment")

    def refuse(message: str) -> JournalError:
        return damaged(message, expected.seq, segment, offset)

    if first_seq != expected.seq:
        raise refuse(f"the frame begins with seq {first_seq} where {expected.seq} must come")
    if prev_chain != expected.chain:
        raise refuse("the frame does not continue the hash chain: a frame is missing or was moved")
    if epoch < expected.epoch or ts_ns < expected.ts_ns:
        raise refuse(f"epoch {epoch} or log time {ts_ns} goes backwards")
    if flags or durable_seq >= first_seq or not 1 <= count <= MAX_FRAME_COMMANDS:
        raise refuse(f"flags {flags}, count {count}, durable seq {durable_seq} are not of this format")
    try:
        records, body_end = _parse_body(frame, count)
    except ValueError as error:
        raise refuse(str(error)) from error
    (chain, _, _) = _TRAILER.unpack_from(frame, len(frame) - _TRAILER.size)
    if chain != chain_after(prev_chain, frame[_FRAME.size : body_end]):
        raise refuse("the frame's hash is not that of its commands")
    return Frame(first_seq, epoch, ts_ns, records, chain, offset, len(frame))


def damaged(message: str, seq: int, segment: str, offset: int) -> JournalError:
    """A refusal that names the place and the choice a person has."""
    repair = (
        "put the segment back from a copy; or, to give up every command from this one on, keep a copy of the folder, "
        f"cut {segment} to {offset} bytes (truncate -s {offset}) and move later segments and snapshots away"
    )
    return JournalError(message, seq=seq, segment=segment, offset=offset, repair=repair)


def _parse_body(frame: bytes, count: int) -> tuple[list[Record], int]:
    limit = len(frame) - _TRAILER.size
    cores = _FRAME.size + count * _HEADER.size
    blob_at = cores + count * RECORD_SIZE
    if blob_at > limit:
        raise ValueError(f"{count} commands do not fit the frame")
    records = []
    for index in range(count):
        header = Header._make(_HEADER.unpack_from(frame, _FRAME.size + index * _HEADER.size))
        blob_end = blob_at + header.length
        if blob_end > limit:
            raise ValueError(f"command {index} of the frame reaches beyond its end")
        core = cores + index * RECORD_SIZE
        records.append(Record(header, frame[core : core + RECORD_SIZE], frame[blob_at:blob_end]))
        blob_at = blob_end
    if frame.count(0, blob_at, limit) != limit - blob_at:
        raise ValueError("something is written between the commands and the frame's end")
    return records, blob_at
