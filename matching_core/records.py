"""The 64-byte Command and Event records: the one definition of their layout.

Little endian, no padding. `COMMAND` and `EVENT` are `struct.Struct`; `COMMAND_DTYPE` and `EVENT_DTYPE` are the numpy
dtypes of the same layout (None where numpy is not installed); `include/matching_core.h` mirrors both for C.
"""

import struct
from typing import NamedTuple

COMMAND_FIELDS = (
    ("op", "u1"), ("side", "u1"), ("order_type", "u1"), ("tif", "u1"), ("stp", "u1"), ("flags", "u1"),
    ("reserved", "<u2"), ("book", "<u4"), ("account", "<u4"), ("order_id", "<u8"), ("price", "<i8"),
    ("qty", "<i8"), ("aux", "<i8"), ("expiry_ns", "<i8"), ("client_ref", "<u8"),
)  # fmt: skip
EVENT_FIELDS = (
    ("seq", "<u8"), ("kind", "u1"), ("side", "u1"), ("reason", "u1"), ("flags", "u1"), ("book", "<u4"),
    ("order_id", "<u8"), ("contra_id", "<u8"), ("price", "<i8"), ("qty", "<i8"), ("leaves", "<i8"),
    ("contra_leaves", "<i8"),
)  # fmt: skip

COMMAND = struct.Struct("<6BHIIQqqqqQ")
EVENT = struct.Struct("<Q4BIQQqqqq")
RECORD_SIZE = 64
assert COMMAND.size == EVENT.size == RECORD_SIZE


class Command(NamedTuple):
    """One command for the core. price in ticks, qty in lots, aux by op (see `Op`), expiry_ns in ns since 1970."""

    op: int
    side: int = 0
    order_type: int = 0
    tif: int = 0
    stp: int = 0
    flags: int = 0
    reserved: int = 0
    book: int = 0
    account: int = 0
    order_id: int = 0
    price: int = 0
    qty: int = 0
    aux: int = 0
    expiry_ns: int = 0
    client_ref: int = 0

    def pack(self) -> bytes:
        """The 64 bytes of this command; struct.error where a value does not fit its field."""
        return COMMAND.pack(*self)


class Event(NamedTuple):
    """One event of the core; fields by kind are listed in docs/rules/core_records.md."""

    seq: int
    kind: int
    side: int
    reason: int
    flags: int
    book: int
    order_id: int
    contra_id: int
    price: int
    qty: int
    leaves: int
    contra_leaves: int

    def pack(self) -> bytes:
        """The 64 bytes of this event."""
        return EVENT.pack(*self)


def unpack_commands(buffer) -> list[Command]:
    """Commands of a C-contiguous buffer whose length is a multiple of 64 bytes."""
    return [Command._make(fields) for fields in COMMAND.iter_unpack(buffer)]


def unpack_events(buffer) -> list[Event]:
    """Events of a C-contiguous buffer whose length is a multiple of 64 bytes."""
    return [Event._make(fields) for fields in EVENT.iter_unpack(buffer)]


try:
    import numpy as _numpy
except ImportError:
    COMMAND_DTYPE = EVENT_DTYPE = None
else:
    COMMAND_DTYPE = _numpy.dtype(list(COMMAND_FIELDS))
    EVENT_DTYPE = _numpy.dtype(list(EVENT_FIELDS))
    assert COMMAND_DTYPE.itemsize == EVENT_DTYPE.itemsize == RECORD_SIZE
    assert COMMAND_DTYPE.names == Command._fields and EVENT_DTYPE.names == Event._fields
