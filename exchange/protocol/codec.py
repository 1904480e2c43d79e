"""Commands as bytes and back: exact types, one encoding per command, nothing that a float or a clock could change.

`AdvanceTime` travels as a 64-byte core record, every other command as MessagePack (docs/decisions/0002). A command
that would not come back from its own bytes unchanged is refused here, before it gets a number in the journal.
"""

import re
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from exchange.domain import events as happened
from exchange.domain import events_delivery, events_green, events_settlement
from exchange.domain.commands import COMMAND_TYPES, AdvanceTime, PlaceOffer, PlaceOrder, SubmitTask
from matching_core.enums import Op
from matching_core.records import COMMAND, RECORD_SIZE, Command

MAX_BLOB = 16 * 1024 * 1024  # one command; the largest honest one is a catalogue of some hundred KiB
NO_KEY = bytes(16)
NO_CORE_RECORD = bytes(RECORD_SIZE)
ADVANCE_TIME_TYPE = 1
# Raised by one when the fields of a command change.
SCHEMAS = dict.fromkeys(COMMAND_TYPES, 1) | dict.fromkeys((2, 3, 6, 12, 13, 17, 20, 26), 2) | {15: 3}
# (type, older schema) -> fields that it did not have, by their path: such a blob is read as if they had their defaults.
ADDED: dict[tuple[int, int], tuple[str, ...]] = {
    (15, 2): ("task.work",),
    (26, 1): ("task.work",),
    (20, 1): ("signature",),
    (2, 1): ("green_needs_certificates", "fix_min_lots", "fix_half_spread_ppm"),
}

_INT64 = range(-(2**63), 2**63)
# MessagePack writes numbers of 2^63 and above with the byte CF and a first digit of at least 80; dates start with
# CF too, so only this pattern tells whether a blob needs the slow walk.
_MAYBE_ABOVE_INT64 = re.compile(rb"\xcf[\x80-\xff]", re.DOTALL)
_TYPE_OF_CLASS = {cls: number for number, cls in COMMAND_TYPES.items()}
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODERS: dict[int, msgspec.msgpack.Decoder[Any]] = {
    number: msgspec.msgpack.Decoder(cls, strict=True) for number, cls in COMMAND_TYPES.items()
}
_EVENT_TYPES: tuple[type, ...] = (
    happened.Refused, happened.Replayed, happened.Acknowledged, happened.Moved, happened.OfferPlaced,
    happened.OfferSkipped, happened.OfferEnded, happened.OrderChanged, happened.Traded, happened.TaskAccepted,
    happened.TaskAmended, happened.TaskStepped, happened.TaskFilled, happened.TaskWaiting, happened.TaskEnded,
    happened.ReadingTaken, happened.FixSet,
    happened.MarginShort, happened.Settled, happened.MadeUp, happened.PeriodSettled,
    events_delivery.DeliveryFailed, events_delivery.Dispatched, events_delivery.AccessGiven, events_delivery.ResultReturned,
    events_green.CertificatesIssued, events_green.CertificatesClosed, events_settlement.BuyInWaits,
    events_settlement.BoughtIn, events_settlement.BuyInEnded, events_settlement.CurtailmentOrdered,
    events_settlement.Curtailed, events_settlement.TradeBusted, events_settlement.TradeAdjusted,
)  # fmt: skip
_EVENT_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    cls.__name__: msgspec.msgpack.Decoder(cls, strict=True) for cls in _EVENT_TYPES
}
_EVENT_LIST = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])


class CodecError(ValueError):
    """A command that has no bytes, or bytes that are no command; nothing was logged or changed."""


class Encoded(NamedTuple):
    """One command as it lies in the journal: number and schema of its type, core record, blob (one of two is empty)."""

    type: int
    schema: int
    core: bytes
    blob: bytes


def encode(command: Any) -> Encoded:
    """The bytes of a command; CodecError where a field has the wrong type or does not fit 64 bits."""
    number = _TYPE_OF_CLASS.get(type(command))
    if number is None:
        raise CodecError(f"{type(command).__name__} is not a command")
    if number == ADVANCE_TIME_TYPE:
        core, blob = _clock_record(command.now_ns), b""
    else:
        core, blob = NO_CORE_RECORD, _to_blob(command)
    encoded = Encoded(number, SCHEMAS[number], core, blob)
    # Whatever is written must come back as it was: 1 for True, [] for () would replay as something else.
    if number != ADVANCE_TIME_TYPE and _read_back(number, blob) != command:
        raise CodecError(
            f"{type(command).__name__} does not survive its own encoding: a field has the wrong type"
        )
    return encoded


def _read_back(number: int, blob: bytes) -> Any:
    """What was just written, read; that it is in its canonical form goes without saying."""
    try:
        command = _DECODERS[number].decode(blob)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CodecError(f"{COMMAND_TYPES[number].__name__} cannot be read: {error}") from error
    if _MAYBE_ABOVE_INT64.search(blob):
        _refuse_above_int64(COMMAND_TYPES[number].__name__, msgspec.to_builtins(command))
    return command


def decode(type: int, schema: int, core: bytes, blob: bytes) -> Any:
    """The command of these bytes; CodecError for anything that `encode` would not have written."""
    cls = COMMAND_TYPES.get(type)
    if cls is None:
        raise CodecError(f"command type {type} is unknown: written by a newer release?")
    if schema != SCHEMAS[type] and (type, schema) not in ADDED:
        raise CodecError(f"{cls.__name__} in schema {schema}, this release reads {SCHEMAS[type]}")
    if type == ADVANCE_TIME_TYPE:
        return _from_clock_record(core, blob)
    if core != NO_CORE_RECORD:
        raise CodecError(f"{cls.__name__} comes with a core record")
    return _from_blob(type, schema, cls.__name__, blob)


def body_hash(encoded: Encoded) -> bytes:
    """16 bytes that tell whether two commands under one idempotency key are the same command."""
    return content_hash(encoded.type, encoded.blob or encoded.core)


def content_hash(number: int, content: bytes) -> bytes:
    """As `body_hash`, of a command's number and its blob or core record."""
    return blake2b(number.to_bytes(2, "little") + content, digest_size=16).digest()


def idem_key(command: Any) -> bytes:
    """16 bytes made from participant and client id, zeros for a command that creates nothing under a client id."""
    if isinstance(command, PlaceOrder):
        participant, client_id = command.participant, command.client_order_id
    elif isinstance(command, SubmitTask):
        participant, client_id = command.task.participant, command.task.client_order_id
    elif isinstance(command, PlaceOffer):
        # Offers have names of their own: the prefix keeps offer "7" apart from order "7".
        participant, client_id = command.participant, f"\x01{command.offer_id}"  # no client id has such a character
    else:
        return NO_KEY
    return blake2b(f"{participant}\0{client_id}".encode(), digest_size=16).digest()


def event_bytes(events: Any) -> bytes:
    """Canonical bytes of a list of events: class name and fields in order, so that equal bytes mean equal events."""
    return _ENCODER.encode([(type(event).__name__, event) for event in events])


def events_from_bytes(blob: bytes) -> list[Any]:
    """The events that `event_bytes` wrote; CodecError for anything else."""
    try:
        events = [_EVENT_DECODERS[name].decode(raw) for name, raw in _EVENT_LIST.decode(blob)]
    except KeyError as error:
        raise CodecError(f"event {error} is unknown: written by a newer release?") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CodecError(f"these bytes are no events: {error}") from error
    if event_bytes(events) != blob:
        raise CodecError("these bytes are events, but not in their one canonical form")
    return events


def _clock_record(now_ns: Any) -> bytes:
    if type(now_ns) is not int or now_ns not in _INT64:
        raise CodecError(f"AdvanceTime.now_ns must be a 64-bit integer, not {now_ns!r:.40}")
    return Command(op=Op.ADVANCE_TIME, aux=now_ns).pack()


def _from_clock_record(core: bytes, blob: bytes) -> AdvanceTime:
    if blob:
        raise CodecError("AdvanceTime comes with a blob")
    if len(core) != RECORD_SIZE:
        raise CodecError(f"a core record has {RECORD_SIZE} bytes, not {len(core)}")
    command = AdvanceTime(Command._make(COMMAND.unpack(core)).aux)
    if _clock_record(command.now_ns) != core:
        raise CodecError("AdvanceTime uses fields that it does not have")
    return command


def _to_blob(command: Any) -> bytes:
    try:
        blob = _ENCODER.encode(command)
    except (TypeError, OverflowError, UnicodeError, RecursionError) as error:
        raise CodecError(f"{type(command).__name__} cannot be written: {error}") from error
    if len(blob) > MAX_BLOB:
        raise CodecError(f"{type(command).__name__} needs {len(blob):,} bytes, at most {MAX_BLOB:,} fit")
    return blob


def _from_blob(number: int, schema: int, name: str, blob: bytes) -> Any:
    if len(blob) > MAX_BLOB:
        raise CodecError(f"{name} of {len(blob):,} bytes, at most {MAX_BLOB:,} are read")
    try:
        command = _DECODERS[number].decode(blob)
        canonical = _ENCODER.encode(command)
        if schema != SCHEMAS[number]:
            canonical = _without(command, ADDED[number, schema])
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"{name} cannot be read: {error}") from error
    if canonical != blob:
        raise CodecError(
            f"{name} is not in its one canonical form (unknown, doubled or reordered fields, long numbers)"
        )
    if _MAYBE_ABOVE_INT64.search(blob):
        _refuse_above_int64(name, msgspec.to_builtins(command))
    return command


def _without(command: Any, paths: tuple[str, ...]) -> bytes:
    """The bytes of a command as a release wrote them that did not know these fields."""
    plain = msgspec.to_builtins(command)
    for path in paths:
        *parents, name = path.split(".")
        place = plain
        for parent in parents:
            place = place[parent]
        place.pop(name, None)
    return msgspec.msgpack.encode(plain)


def _refuse_above_int64(name: str, value: Any) -> None:
    if isinstance(value, int) and value not in _INT64:
        raise CodecError(f"{name} holds {value}, which does not fit 64 bits")
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _refuse_above_int64(name, item)
