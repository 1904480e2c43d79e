"""What the server and the process that writes the database say to each other: frames over a pair of sockets.

    server -> process   HELLO (which database), then APPLIED for every command, HURRY when somebody waits for rows
    process -> server   STATUS: how far the tables are, and what is wrong

Both ends are of one release and trust each other: what is told here never leaves the machine and is never kept.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from exchange.engine.journal import Record
from exchange.protocol.codec import decode, events_from_bytes

HELLO, APPLIED, HURRY, STATUS = 1, 2, 3, 4
_HEAD = Struct("<IB")  # length of what follows the head, kind
_APPLIED = Struct("<QqHH64sI")  # seq, ts_ns, type, schema, core record, length of the blob; then blob, then events
_STATUS = Struct("<Q?")  # offset, nothing more will be written; then the problem
_HURRY_FRAME = _HEAD.pack(0, HURRY)


class Hello(NamedTuple):
    """Which database, and whose."""

    url: str
    exchange_id: bytes


class Status(NamedTuple):
    """How far the tables are; problem "" while all is well, is_final: nothing more will be written."""

    offset: int
    is_final: bool
    problem: str


def hello_frame(hello: Hello) -> bytes:
    """The first frame of the server."""
    return _frame(HELLO, msgspec.msgpack.encode(hello))


def hello_of(body: bytes) -> Hello:
    """What a HELLO says."""
    return msgspec.msgpack.decode(body, type=Hello)


def applied_frame(seq: int, ts_ns: int, record: Record, event_blob: bytes) -> bytes:
    """An applied command, of bytes that are there already."""
    header, core, blob = record
    length = _APPLIED.size + len(blob) + len(event_blob)
    fixed = _APPLIED.pack(seq, ts_ns, header.type, header.schema, core, len(blob))
    return b"".join((_HEAD.pack(length, APPLIED), fixed, blob, event_blob))


def applied_of(body: bytes) -> tuple[int, int, Any, Sequence[Any]]:
    """(seq, ts_ns, command, events); CodecError where the two ends are not of one release."""
    seq, ts_ns, number, schema, core, length = _APPLIED.unpack_from(body)
    end = _APPLIED.size + length
    return seq, ts_ns, decode(number, schema, core, body[_APPLIED.size : end]), events_from_bytes(body[end:])


def hurry_frame() -> bytes:
    """Somebody waits for what came before this."""
    return _HURRY_FRAME


def status_frame(status: Status) -> bytes:
    """The word of the process."""
    return _frame(STATUS, _STATUS.pack(status.offset, status.is_final) + status.problem.encode())


def status_of(body: bytes) -> Status:
    """What a STATUS says."""
    offset, is_final = _STATUS.unpack_from(body)
    return Status(offset, is_final, body[_STATUS.size :].decode())


def _frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(len(body), kind) + body


class Frames:
    """Cuts a stream of bytes into (kind, body)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Every frame that is complete now."""
        rest, at = self._rest, 0
        rest += data
        while len(rest) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(rest, at)
            end = at + _HEAD.size + length
            if end > len(rest):
                break
            yield kind, bytes(rest[at + _HEAD.size : end])
            at = end
        del rest[:at]
