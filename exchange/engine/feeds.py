"""Numbered streams of messages, each with as much of its past as there is room for.

A feed belongs to one (channel, name). Its messages count 1, 2, 3, … in an epoch; each is encoded at most once in a format,
when somebody first needs it, for everybody. A reader is a place in a feed and nothing more, so a slow one costs no memory:
what it has missed it takes from here, piece by piece or, where the channel allows it, as one merged message.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from exchange.protocol.formats import FORMATS, encode_again, encode_as
from exchange.protocol.stream import Delta

Merge = Callable[[list[Any]], Any]  # the data of several messages, oldest first, as the data of one
Render = Callable[[Any], Any]  # the data as a feed keeps it, as it is sent

MERGED_KEPT = 64  # different places of late readers of one feed between two of its steps


class Message:
    """One step of a feed. `frames`: a slot for each format, where a door keeps the frame it has made of the payload."""

    __slots__ = ("_payloads", "data", "frames", "seq", "ts_ns")

    def __init__(self, seq: int, ts_ns: int, data: Any) -> None:
        self.seq, self.ts_ns, self.data = seq, ts_ns, data
        self._payloads: list[bytes | None] = [None] * len(FORMATS)
        self.frames: list[bytes | None] = [None] * len(FORMATS)

    def payload(self, feed: "Feed", fmt: int) -> bytes:
        """What is sent in a format, the same for all."""
        made = self._payloads[fmt]
        if made is None:
            other = self._payloads[1 - fmt]
            if other is not None:
                made = encode_again(fmt, other)
            else:
                made = feed.delta_payload(self.seq - 1, self.seq, self.ts_ns, self.data, fmt)
                if feed.merge is None:
                    self.data = None  # the payload says it all
            self._payloads[fmt] = made
        return made


class Listener(Protocol):
    """Somebody who reads a feed; told on the loop, in the middle of the market's work: he only takes a note."""

    def on_message(self, message: Message) -> None:
        """The feed has one message more."""
        ...

    def on_closed(self) -> None:
        """The feed will never have another message."""
        ...


class Shelf:
    """The past of many feeds together: at most `room` units (a message and each thing in it is one), oldest out first."""

    def __init__(self, room: int) -> None:
        self.room, self.used = room, 0
        self._order: deque[tuple[Feed, int]] = deque()

    def put(self, feed: "Feed", message: Message, units: int) -> None:
        """Keeps a message of a feed as long as there is room for it."""
        feed.kept.append(message)
        self._order.append((feed, units))
        self.used += units
        while self.used > self.room:
            oldest, freed = self._order.popleft()
            oldest.kept.popleft()
            self.used -= freed


class Feed:
    """One stream. `merge` is there where a late reader may get several steps as one; `render` where the data that is kept
    is not yet what is sent."""

    __slots__ = (
        "_merged", "_shelf", "_snapshots", "channel", "epoch", "is_closed", "kept", "listeners", "merge", "name", "render",
        "seq",
    )  # fmt: skip

    def __init__(
        self, channel: str, name: str, epoch: int, shelf: Shelf, merge: Merge | None = None, render: Render | None = None
    ) -> None:
        self.channel, self.name, self.epoch, self.merge, self.render = channel, name, epoch, merge, render
        self.seq = 0
        self.kept: deque[Message] = deque()  # the newest messages, without a hole
        self.listeners: dict[Listener, None] = {}  # a set that keeps the order
        self.is_closed = False
        self._shelf = shelf
        self._merged: dict[tuple[int, int], bytes] = {}  # by (seq, format), of the present step
        self._snapshots: dict[int, tuple[Any, bytes]] = {}  # by format: what it is of, and its payload

    def publish(self, ts_ns: int, data: Any, units: int) -> None:
        """The next step."""
        assert not self.is_closed, self.name
        self.seq += 1
        message = Message(self.seq, ts_ns, data)
        if self._merged:
            self._merged.clear()
        self._shelf.put(self, message, 1 + units)
        for listener in list(self.listeners):
            listener.on_message(message)

    def close(self) -> None:
        """No more steps; every listener is told and forgotten."""
        self.is_closed = True
        listeners, self.listeners = self.listeners, {}
        for listener in listeners:
            listener.on_closed()

    def reaches_back_to(self, seq: int) -> bool:
        """Whether everything after `seq` is still here."""
        return 0 <= self.seq - seq <= len(self.kept)

    def after(self, seq: int) -> Message:
        """The message that follows on `seq`; it must be there."""
        return self.kept[seq - self.seq]

    def merged_payload(self, seq: int, fmt: int) -> bytes:
        """Everything after `seq` as one message; it must be there, and the feed must be one that merges."""
        made = self._merged.get((seq, fmt))
        if made is None:
            assert self.merge is not None
            missed = [self.kept[place] for place in range(seq - self.seq, 0)]
            data = self.merge([message.data for message in missed])
            made = self.delta_payload(seq, self.seq, missed[-1].ts_ns, data, fmt)
            if len(self._merged) < MERGED_KEPT:
                self._merged[seq, fmt] = made
        return made

    def delta_payload(self, prev_seq: int, seq: int, ts_ns: int, data: Any, fmt: int) -> bytes:
        """A delta of this feed."""
        return encode_as(
            fmt,
            Delta(
                channel=self.channel, instrument=self.name, epoch=self.epoch, seq=seq, prev_seq=prev_seq,
                ts_ns=str(ts_ns), data=data if self.render is None else self.render(data),
            ),
        )  # fmt: skip

    def snapshot_payload(self, of: Any, fmt: int, make: Callable[[], Any]) -> bytes:
        """A snapshot, made anew where the last one in this format was of something else; `of` is its feed's seq at least."""
        known = self._snapshots.get(fmt)
        if known is None or known[0] != of:
            known = self._snapshots[fmt] = (of, encode_as(fmt, make()))
        return known[1]
