"""Opaque cursors: where a page goes on, bound to the operation that it came from."""

import base64
import binascii

from exchange.protocol.errors import DoorError, DoorReason

Keyset = tuple[int, ...]
_LARGEST = 1 << 63


def cursor_of(operation: str, *keys: int) -> str:
    """Text for a client to send back as it is."""
    plain = ":".join((operation, *map(str, keys)))
    return base64.urlsafe_b64encode(plain.encode("ascii")).decode("ascii").rstrip("=")


def keys_of(operation: str, cursor: str | None, count: int) -> Keyset | None:
    """The keyset, None where there is no cursor; DoorError BAD_CURSOR for one that this operation did not give."""
    if cursor is None:
        return None
    name, *texts = _plain(cursor).split(":")
    if name != operation or len(texts) != count:
        raise bad_cursor()
    keys = tuple(_number(text) for text in texts)
    if cursor_of(operation, *keys) != cursor:  # one form only: no padding, no spare bits
        raise bad_cursor()
    return keys


def text_cursor_of(operation: str, key: str) -> str:
    """As `cursor_of`, for a list that is in order of a text."""
    return base64.urlsafe_b64encode(f"{operation}:{key}".encode("ascii")).decode("ascii").rstrip("=")


def text_of(operation: str, cursor: str | None) -> str:
    """The text of a cursor, "" where there is none; DoorError BAD_CURSOR."""
    if cursor is None:
        return ""
    name, _, key = _plain(cursor).partition(":")
    if name != operation or text_cursor_of(operation, key) != cursor:
        raise bad_cursor()
    return key


def bad_cursor() -> DoorError:
    """BAD_CURSOR, to be raised."""
    return DoorError(DoorReason.BAD_CURSOR, field="cursor")


def _plain(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise bad_cursor() from None


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or not -_LARGEST <= int(text) < _LARGEST:
        raise bad_cursor()
    return int(text)
