"""The snapshot image: sections of fixed-width rows in canonical order, each with its CRC; the state hash is over them.

Rules kept here: equal logical state gives equal bytes, whichever engine wrote them; a damaged or cut blob is refused
by name; META (sequence counter, order capacity) travels in the blob but is no part of the state hash. The sections of
later rules are there only when one of them has a row, so a state that does not use them keeps its bytes and its hash.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from struct import Struct
from zlib import crc32

MAGIC = b"CPXCORE\x00"
VERSION = 1
RULES_VERSION = 2  # of blobs with RULE_ROWS
TASKS_VERSION = 3  # of blobs with TASK_ROWS and all others
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
    "side", "tif", "marks",
)  # fmt: skip
TYPE_SHIFT, STP_SHIFT = 8, 12  # marks = OrderFlag | order_type << 8 | stp << 12

RULE_ROWS = {  # canonical order, as above
    "RULE": Struct("<I8B5I11qQ"),  # books that were set up, by id: the book, then RULE_FIELDS
    "ORDX": Struct("<Qqq"),  # orders with an aux, in walk order: order_id, aux, shown
    "KILL": Struct("<II"),  # ascending: MassFilter.ACCOUNT or FIRM, account or firm
}
RULE_FIELDS = (
    "flags", "tie_policy", "stp", "phase", "call", "is_gated", "grade", "zero", "extensions", "cap_ppm", "static_ppm",
    "dynamic_ppm", "corridor_ppm", "collar_ticks", "reference", "last", "call_end_ns", "end_ns", "fix", "interval_ns",
    "told_price", "told_volume", "told_surplus", "told_ns", "fix_hash",
)  # fmt: skip

TASK_ROWS = {  # canonical order, as above; every key ascending where nothing else is said
    "GRID": Struct("<qqqII"),  # at most one: origin_ns, period_ns, gate_ns, most waiting tasks a firm, a chip
    "FAML": Struct("<IIIBBH"),  # families: family, chip, region, latency class, power, 0
    "RCHS": Struct("<IIIi"),  # reach: access region, host region, latency class; round trip in us
    "LINK": Struct("<IIqqq"),  # links: from, to; micro-yuan per GB, Mbit/s, MB per period or 0
    "LNKU": Struct("<IIIIq"),  # promised: from, to, period; 0, MB
    "BLKO": Struct("<QQIIIIIIqqq"),  # block offers: BLOCK_FIELDS
    "BLKR": Struct("<QIIqq"),  # their residues: offer id, period; 0, price, lots
    "TASK": Struct("<QQ12q9I8B"),  # waiting tasks by stamp: TASK_FIELDS
    "TSKC": Struct("<QII"),  # by stamp, then as listed: task id, chip, factor_ppm
    "TSKR": Struct("<QII"),  # regions that tasks are kept to: task id, region; 0
    "TSKS": Struct("<Qqq"),  # steps: task id, at_ns; budget_micro
    "TSKM": Struct("<QII"),  # regions with a bulk task's data: task id, region; first period with it
    "DIRT": Struct("<I"),  # dirty books
    "DRNF": Struct("<I"),  # families of the pass at hand
}
BLOCK_FIELDS = (
    "order_id", "client_ref", "account", "family", "first_period", "end_period", "next_period", "flags", "min_lots",
    "min_periods", "notice_ns",
)  # fmt: skip
TASK_FIELDS = (
    "order_id", "client_ref", "budget_micro", "limit_micro", "lots", "data_mb", "min_fill", "max_grid", "valid_until_ns",
    "dies_ns", "filled", "grid_filled", "spent_micro", "notional_micro", "account", "access_region", "data_region",
    "max_rtt_us", "first_period", "end_period", "periods", "min_run", "fee_ppm", "lane", "shape", "tif", "max_class",
    "flags", "woken", "next_step", "zero",
)  # fmt: skip

_WITH_RULES = ROWS | RULE_ROWS
_ALL = _WITH_RULES | TASK_ROWS
_LAYOUTS = {VERSION: ROWS, RULES_VERSION: _WITH_RULES, TASKS_VERSION: _ALL}


def pack(rows: Mapping[str, Iterable[tuple]]) -> dict[str, bytes]:
    """Sections of rows given as tuples."""
    return {tag: b"".join(_ALL[tag].pack(*row) for row in lines) for tag, lines in rows.items()}


def _version(sections: Mapping[str, bytes]) -> int:
    """The version whose sections this state needs: the later ones only if one of them has a row."""
    if any(sections.get(tag) for tag in TASK_ROWS):
        return TASKS_VERSION
    return RULES_VERSION if any(sections.get(tag) for tag in RULE_ROWS) else VERSION


def encode(sections: Mapping[str, bytes]) -> bytes:
    """The blob of these sections; O(bytes)."""
    version = _version(sections)
    layout = _LAYOUTS[version]
    parts = [_HEADER.pack(MAGIC, version, len(layout))]
    for tag, row in layout.items():
        body = sections.get(tag, b"")
        head = _SECTION.pack(tag.encode(), row.size, len(body) // row.size)
        parts += [head, body, _CRC.pack(crc32(body, crc32(head)))]
    return b"".join(parts)


def decode(blob) -> dict[str, bytes]:
    """The sections of a blob; ValueError naming the first thing that is wrong. O(bytes)."""
    view = memoryview(blob).cast("B")
    if len(view) < _HEADER.size:
        raise ValueError("snapshot is shorter than its header")
    magic, version, count = _HEADER.unpack_from(view)
    if magic != MAGIC:
        raise ValueError("not a snapshot of the matching core")
    layout = _LAYOUTS.get(version)
    if layout is None or count != len(layout):
        raise ValueError(f"snapshot version {version} with {count} sections is not supported")
    sections = {}
    at = _HEADER.size
    for tag, row in layout.items():
        sections[tag], at = _read_section(view, at, tag, row.size)
    if at != len(view):
        raise ValueError(f"snapshot has {len(view) - at} bytes too many")
    if version != _version(sections):
        raise ValueError(f"snapshot of version {version} has no rows of its later sections")
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


def digest(sections: Mapping[str, bytes]) -> int:
    """The unsigned 64-bit state hash: BLAKE2b-8 over every section but META; O(bytes)."""
    state = blake2b(digest_size=8)
    for tag, row in _LAYOUTS[_version(sections)].items():
        if tag != "META":
            body = sections.get(tag, b"")
            state.update(_SECTION.pack(tag.encode(), row.size, len(body) // row.size))
            state.update(body)
    return int.from_bytes(state.digest(), "little")
