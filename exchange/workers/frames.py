"""What the venue and a feed worker say to each other: MessagePack behind a length and a kind, over a pair of sockets.

    venue -> worker   HELLO, then OPENED, NAMES, KEY or REFUSED for what was asked, STEP and ENDED of feeds, NEWS, KEY_ENDED,
                      PLACE four times a second and behind steps, BROKEN where market data has stopped, GOODBYE at its end
    worker -> venue   READY, FOLLOW, DROP, FIND_KEY, EXPAND, COUNTS once a second

A worker numbers what it asks; the number of a FOLLOW is that of the feed. Both ends are of one release and trust each other.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any, NamedTuple, TypeVar

import msgspec

HELLO, OPENED, REFUSED, STEP, ENDED, KEY, KEY_ENDED, PLACE, BROKEN, GOODBYE, NAMES, NEWS = range(1, 13)
READY, FOLLOW, DROP, FIND_KEY, EXPAND, COUNTS = range(21, 27)

_HEAD = Struct("<IB")  # length of what follows the head, kind
_STEP = Struct("<IQQ")  # feed, seq, venue's time; then the delta as MessagePack
_PLACE = Struct("<QQQ")  # seq, venue's time, the sender's monotonic clock

T = TypeVar("T")


class Hello(NamedTuple):
    """The venue's first word; main_url: where orders are taken."""

    epoch: int
    seq: int
    ts_ns: int
    main_url: str
    limits: dict[str, int]


class Opened(NamedTuple):
    """A feed as it is: its snapshot, and its newest steps (venue's time, delta) for those who resume."""

    number: int
    channel: str
    name: str
    seq: int
    is_merged: bool
    snapshot: bytes
    past: list[tuple[int, bytes]]


class Refused(NamedTuple):
    """A question that was turned away, as the fields of a DoorError."""

    number: int
    reason: int
    detail: str
    field: str
    limit: str
    hint: str
    retry_after_s: int


class Ask(NamedTuple):
    """FOLLOW and EXPAND."""

    number: int
    channel: str
    name: str


class Names(NamedTuple):
    """What a pattern stands for now."""

    number: int
    names: list[str]


class News(NamedTuple):
    """Instruments of a family that have opened; told once somebody has expanded a pattern of it."""

    family: str
    codes: list[str]


class FindKey(NamedTuple):
    """Whose secret is this?"""

    number: int
    secret: str


class Key(NamedTuple):
    """Whose it is; key_id "" = nobody's."""

    number: int
    key_id: str
    participant: str
    scopes: list[str]


class Counts(NamedTuple):
    """What a worker counts of itself; lag_us: the longest that a PLACE took to it in the last second."""

    connections: int = 0
    opened: int = 0
    messages: int = 0
    lagged: int = 0
    feeds: int = 0
    lag_us: int = 0


class Place(NamedTuple):
    """How far the venue is."""

    seq: int
    ts_ns: int
    sent_ns: int


def frame(kind: int, said: Any = None) -> bytes:
    """A frame of one of the tuples above, of a number, or of nothing."""
    body = b"" if said is None else msgspec.msgpack.encode(said)
    return _HEAD.pack(len(body), kind) + body


def said(body: bytes, type_: type[T]) -> T:
    """What such a frame says."""
    return msgspec.msgpack.decode(body, type=type_)


def step_frame(number: int, seq: int, ts_ns: int, payload: bytes) -> bytes:
    """A step of a feed, of bytes that are there already."""
    return _HEAD.pack(_STEP.size + len(payload), STEP) + _STEP.pack(number, seq, ts_ns) + payload


def step_of(body: bytes) -> tuple[int, int, int, bytes]:
    """(feed, seq, venue's time, delta)."""
    number, seq, ts_ns = _STEP.unpack_from(body)
    return number, seq, ts_ns, body[_STEP.size :]


def place_frame(place: Place) -> bytes:
    """How far the venue is."""
    return _HEAD.pack(_PLACE.size, PLACE) + _PLACE.pack(*place)


def place_of(body: bytes) -> Place:
    """What such a frame says."""
    return Place(*_PLACE.unpack(body))


class Frames:
    """Cuts a stream of bytes into (kind, body)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Every frame that is complete now."""
        rest, at = self._rest, 0
        rest += data
        try:
            while len(rest) - at >= _HEAD.size:
                length, kind = _HEAD.unpack_from(rest, at)
                end = at + _HEAD.size + length
                if end > len(rest):
                    break
                body = bytes(rest[at + _HEAD.size : end])
                at = end
                yield kind, body
        finally:
            del rest[:at]
