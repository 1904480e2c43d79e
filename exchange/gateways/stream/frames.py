"""WebSocket frames as this door sends and takes them: no extensions, never masked on the way out, one frame a message."""

from collections.abc import Callable

from websockets.frames import apply_mask

from exchange.protocol.formats import JSON, MSGPACK

TEXT, BINARY = 0x81, 0x82  # first byte of a whole message in one frame
FORMAT_OF = {TEXT: JSON, BINARY: MSGPACK}
MASKED = 0x80

_FIRST = {JSON: TEXT, MSGPACK: BINARY}
_SHORT = {fmt: tuple(bytes((first, length)) for length in range(126)) for fmt, first in _FIRST.items()}
_MEDIUM = {fmt: bytes((first, 126)) for fmt, first in _FIRST.items()}
_LONG = {fmt: bytes((first, 127)) for fmt, first in _FIRST.items()}

unmasked: Callable[[bytes, bytes], bytes] = apply_mask


def frame(fmt: int, payload: bytes) -> bytes:
    """A message in one frame."""
    length = len(payload)
    if length < 126:
        return _SHORT[fmt][length] + payload
    if length < 65_536:
        return b"%b%b%b" % (_MEDIUM[fmt], length.to_bytes(2), payload)
    return b"%b%b%b" % (_LONG[fmt], length.to_bytes(8), payload)


def payload_of(framed: bytes) -> bytes:
    """What a frame of `frame` holds."""
    length = framed[1]
    return framed[2:] if length < 126 else framed[4:] if length == 126 else framed[10:]
