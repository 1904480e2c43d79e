"""A snapshot brought up to date from deltas, of what stands on the wire: no venue is needed for it.

Deltas are merged by the table that the venue merges by; here the result is made a snapshot again: what is told to be gone
is taken out, and the rest put in the order in which the venue tells it.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from exchange.protocol.merging import DATA, MERGES

GONE = "0"  # cards, or card-hours, of what is no more


class _Message(msgspec.Struct):
    """A snapshot or a delta, as far as it matters here."""

    data: msgspec.Raw


_read = msgspec.msgpack.Decoder(_Message).decode
_DECODERS = {channel: msgspec.msgpack.Decoder(type_).decode for channel, type_ in DATA.items()}


def data_of(channel: str, payload: bytes) -> Any:
    """The data of a message in MessagePack, as its struct with plain maps inside."""
    return _DECODERS[channel](_read(payload).data)


def merge(channel: str, payloads: list[bytes]) -> Any:
    """The data of several deltas, oldest first, as the data of one."""
    joined = MERGES[channel]
    assert joined is not None, channel
    return joined([data_of(channel, payload) for payload in payloads])


def fold(channel: str, base: Any, payloads: list[bytes]) -> Any:
    """The data of a snapshot with deltas behind it, as the data of a snapshot."""
    joined = MERGES[channel]
    assert joined is not None, channel
    merged = joined([base, *(data_of(channel, payload) for payload in payloads)])
    tidy = _TIDIES.get(channel)
    return merged if tidy is None else tidy(merged)


def _tidy_rows(price: int) -> Callable[[Any], Any]:
    """Of rows with the price at this place and the cards behind it; those of one price keep their order."""

    def side(rows: Sequence[Any], is_bids: bool) -> tuple[Any, ...]:
        there = [row for row in rows if row[price + 1] != GONE]
        return tuple(sorted(there, key=lambda row: -Decimal(row[price]) if is_bids else Decimal(row[price])))

    return lambda data: msgspec.structs.replace(data, bids=side(data.bids, True), asks=side(data.asks, False))


def _tidy_items(is_gone: Callable[[Any], bool], *order: str) -> Callable[[Any], Any]:
    def tidy(data: Any) -> Any:
        there = [item for item in data.items if not is_gone(item)]
        return msgspec.structs.replace(data, items=tuple(sorted(there, key=lambda item: [item[name] for name in order])))

    return tidy


def _is_priceless(item: Any) -> bool:
    """Nothing is known of an instrument any more."""
    return not item["trades"] and not any(item[name] for name in ("bid", "ask", "last", "fix"))


_TIDIES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("depth", "depth10", "depth50"), _tidy_rows(0)),
    "orders": _tidy_rows(1),
    "curve": _tidy_items(lambda item: item["price"] is None, "period_start"),
    "prices": _tidy_items(_is_priceless, "period_start"),
    "demand": _tidy_items(lambda item: item["card_hours"] == GONE),
    "candles": _tidy_items(lambda item: item["is_final"], "start"),
}
