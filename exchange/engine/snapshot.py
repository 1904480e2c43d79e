"""The bytes of a snapshot: a header that ties it to one point of one journal, sections, and a hash over all of it.

A snapshot only saves time: the journal is the truth. So anything wrong with one is a reason to use another, and only
a sound snapshot that contradicts the journal is an alarm.
"""

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from zlib import crc32

FORMAT_VERSION = 1
MAGIC = b"CPXSNP\r\n"
VENUE_SECTION = b"VENU"
NO_HASH = bytes(16)
MAX_SECTIONS = 64

_HEADER = Struct("<8sHHI16sQQ16sqQ16s16s64sI")
_CRC = Struct("<I")
_SECTION = Struct("<4sQI")
_TRAILER_SIZE = 32


class SnapshotRefused(Exception):
    """This snapshot does not count: damaged, of another format, or it does not load to the state it was taken of."""


@dataclass(frozen=True, slots=True)
class SnapshotPoint:
    """Where in which history a snapshot was taken, by which build, and what must come out of loading it."""

    exchange_id: bytes
    seq: int
    epoch: int
    chain: bytes
    ts_ns: int
    state_hash: int
    event_hash: bytes = NO_HASH
    config_hash: bytes = NO_HASH
    build: str = ""
    shard: int = 0


def snapshot_name(seq: int) -> str:
    """File name of the snapshot taken after this command."""
    return f"{seq:020d}.snap"


def build_snapshot(point: SnapshotPoint, venue_blob: bytes) -> bytes:
    """The whole file."""
    sections = [(VENUE_SECTION, venue_blob)]
    head = _HEADER.pack(
        MAGIC, FORMAT_VERSION, 0, point.shard, point.exchange_id, point.seq, point.epoch, point.chain, point.ts_ns,
        point.state_hash, point.event_hash, point.config_hash, point.build.encode("ascii", "replace")[:64],
        len(sections),
    )  # fmt: skip
    parts = [head, _CRC.pack(crc32(head))]
    for tag, content in sections:
        parts += [_SECTION.pack(tag, len(content), crc32(content)), content]
    whole = b"".join(parts)
    return whole + blake2b(whole, digest_size=_TRAILER_SIZE).digest()


def parse_snapshot(data: bytes, name: str) -> tuple[SnapshotPoint, bytes]:
    """(point, venue blob) of a snapshot file; SnapshotRefused if any byte of it is not as it was written."""
    end = len(data) - _TRAILER_SIZE
    if end < _HEADER.size + _CRC.size or data[:8] != MAGIC:
        raise SnapshotRefused(f"{name} is no snapshot")
    if blake2b(data[:end], digest_size=_TRAILER_SIZE).digest() != data[end:]:
        raise SnapshotRefused(f"{name} is damaged (hash)")
    (
        _, version, _, shard, exchange_id, seq, epoch, chain, ts_ns, state_hash, event_hash, config_hash, build, count,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    if version != FORMAT_VERSION:
        raise SnapshotRefused(f"{name} has format {version}, this release reads {FORMAT_VERSION}")
    if _CRC.unpack_from(data, _HEADER.size)[0] != crc32(data[: _HEADER.size]) or count > MAX_SECTIONS:
        raise SnapshotRefused(f"{name} is damaged (header)")
    if snapshot_name(seq) != name:
        raise SnapshotRefused(f"{name} holds the state after seq {seq}: renamed?")
    sections = _parse_sections(data[:end], _HEADER.size + _CRC.size, count, name)
    if VENUE_SECTION not in sections:
        raise SnapshotRefused(f"{name} has no venue in it")
    text = build.rstrip(b"\0").decode("ascii", "replace")
    point = SnapshotPoint(
        exchange_id, seq, epoch, chain, ts_ns, state_hash, event_hash, config_hash, text, shard
    )  # fmt: skip
    return point, sections[VENUE_SECTION]


def _parse_sections(data: bytes, at: int, count: int, name: str) -> dict[bytes, bytes]:
    sections: dict[bytes, bytes] = {}
    for _ in range(count):
        if at + _SECTION.size > len(data):
            raise SnapshotRefused(f"{name} ends inside a section")
        tag, length, crc = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        content = data[at : at + length]
        if len(content) != length or crc32(content) != crc or tag in sections:
            raise SnapshotRefused(f"{name} is damaged (section {tag!r})")
        sections[tag] = content
        at += length
    if at != len(data):
        raise SnapshotRefused(f"{name} holds bytes that belong to no section")
    return sections
