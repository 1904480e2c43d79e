"""The snapshot image: sections of fixed-width rows in canonical order, each with its CRC; the state hash is over them.

Rules kept here: equal logical state gives equal bytes, whichever engine wrote them; a damaged or cut blob is refused
by name; META (sequence counter, order capacity) travels in the blob but is no part of the state hash.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from struct import Struct
from zlib import crc32

MAGIC = b"CPXCORE\x00"
VERSION = 1
_HEADER = Struct("<8sII")  # magic, version, number of sections
_SECTION = Struct("<4sIQ")  # tag, bytes per row, number of rows; then the rows, then the CRC-32 of all three
_CRC = Struct("<I")

ROWS = {  # canonical order of the sections, and of the rows in each
    "META": Struct("<QQ"),  # next seq, max_orders
    "CORE": Struct("<qII4I"),  # now_ns, check_funds, listed_only, fee tables in ppm
    "BOOK": Struct(
        "<IIqqq"
    ),  # listed books by id: book, capacity group, value_micro, max order qty or 0, gate_ns or 0
    "ACCT": Struct("<II5q"),  # accounts by id: account, firm, purses in Bucket order
    "CAPA": Struct("<IIqq"),  # by (account, group), never all zero: account, group, attested, sold
    "POSN": Struct("<IIqq"),  # by (account, book), never all zero: account, book, bought, sold
    "ORDR": Struct(
        "<QQqqqqqIIIBBH"
    ),  # walk by book id, bids then asks, best to worst, FIFO; fields: ORDER_FIELDS
}
ORDER_FIELDS = (
    "order_id", "client_ref", "price", "qty", "leaves", "expiry_ns", "done_micro", "book", "account", "fee_ppm",
    "side", "tif", "zero",
)  # fmt: skip


def pack(rows: Mapping[str, Iterable[tuple]]) -> dict[str, bytes]:
    """Sections of rows given as tuples."""
    return {tag: b"".join(ROWS[tag].pack(*row) for row in lines) for tag, lines in rows.items()}


def encode(sections: dict[str, bytes]) -> bytes:
    """The blob of these sections; O(bytes)."""
    parts = [_HEADER.pack(MAGIC, VERSION, len(ROWS))]
    for tag, row in ROWS.items():
        head = _SECTION.pack(tag.encode(), row.size, len(sections[tag]) // row.size)
        parts += [head, sections[tag], _CRC.pack(crc32(sections[tag], crc32(head)))]
    return b"".join(parts)


def decode(blob) -> dict[str, bytes]:
    """The sections of a blob; ValueError naming the first thing that is wrong. O(bytes)."""
    view = memoryview(blob).cast("B")
    if len(view) < _HEADER.size:
        raise ValueError("snapshot is shorter than its header")
    magic, version, count = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise ValueError("not a snapshot of the matching core")
    if version != VERSION or count != len(ROWS):
        raise ValueError(f"snapshot version {version} with {count} sections is not supported")
    sections = {}
    at = _HEADER.size
    for tag, row in ROWS.items():
        sections[tag], at = _read_section(view, at, tag, row.size)
    if at != len(view):
        raise ValueError(f"snapshot has {len(view) - at} bytes too many")
    return sections


def _read_section(view: memoryview, at: int, tag: str, row_size: int) -> tuple[bytes, int]:
    start = at + _SECTION.size
    if start > len(view):
        raise ValueError(f"snapshot ends before section {tag}")
    found, size, rows = _SECTION.unpack_from(view, at)
    if found != tag.encode() or size != row_size:
        raise ValueError(f"snapshot has no section {tag} of {row_size}-byte rows where one is due")
    end = start + size * rows
    if end + _CRC.size > len(view):
        raise ValueError(f"snapshot ends inside section {tag}")
    if crc32(view[at:end]) != _CRC.unpack_from(view, end)[0]:
        raise ValueError(f"snapshot section {tag} is damaged: its checksum differs")
    return bytes(view[start:end]), end + _CRC.size


def digest(sections: dict[str, bytes]) -> int:
    """The unsigned 64-bit state hash: BLAKE2b-8 over every section but META; O(bytes)."""
    state = blake2b(digest_size=8)
    for tag, row in ROWS.items():
        if tag != "META":
            state.update(_SECTION.pack(tag.encode(), row.size, len(sections[tag]) // row.size))
            state.update(sections[tag])
    return int.from_bytes(state.digest(), "little")
