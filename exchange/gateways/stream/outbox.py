"""What waits to be sent to one client, as frames, without I/O and within bounds.

Answers are kept as they are and never dropped; the endpoint stops reading from a client that does not fetch his. Of the
channels only the place in each feed is kept. `top`, `depth` and `instruments` are behind when they are behind: what was
missed goes out as one message. `trades` and `user` are never merged: who has too many of them waiting, and in three seconds
does not fetch as many as waited at their beginning, is `lagged` and ends. One large batch ends nobody who reads.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from exchange.engine.feeds import Feed, Message
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream.frames import frame
from exchange.gateways.stream.session import Topic
from exchange.gateways.stream.stats import StreamStats
from exchange.protocol import stream as s
from exchange.protocol.formats import JSON, encode_as

MERGE_FROM = 8  # so many steps behind a feed go out one by one, more as one
LATE_S = 3  # so long a client has to fetch what was too much
MAX_ANSWERS = 256  # that may wait or be on their way before no more frames are read


class Subscription:
    """A client's place in a feed."""

    __slots__ = ("base", "feed", "is_ended", "is_queued", "needs_snapshot", "outbox", "sent_seq", "waiting", "waiting_bytes")

    def __init__(self, outbox: "Outbox", feed: Feed, from_seq: int | None) -> None:
        self.outbox, self.feed = outbox, feed
        self.needs_snapshot = from_seq is None
        self.sent_seq = feed.seq if from_seq is None else from_seq
        self.base = feed.seq  # what was there before the subscription is no burden of its client's
        self.waiting = self.waiting_bytes = 0
        self.is_queued = self.is_ended = False

    def on_message(self, message: Message) -> None:
        """The feed has a step more."""
        if self.is_ended:
            return
        if self.feed.merge is None and not self.needs_snapshot:
            self._burden(1, len(self._frame_of(message)))
        self.outbox.mark(self)

    def on_closed(self) -> None:
        """The feed has ended."""
        self.outbox.mark(self)

    def next_frame(self) -> bytes:
        """What comes next; b"" if nothing does."""
        feed, outbox = self.feed, self.outbox
        if self.needs_snapshot or (feed.merge is not None and not feed.reaches_back_to(self.sent_seq)):
            self.needs_snapshot = False
            self.sent_seq = self.base = feed.seq
            outbox.stats.snapshots += 1
            return frame(outbox.fmt, outbox.snapshot_payload(feed, outbox.fmt))
        if self.sent_seq == feed.seq:
            return self._closing_frame() if feed.is_closed else b""
        if not feed.reaches_back_to(self.sent_seq):
            outbox.lag()
            return b""
        if feed.merge is not None and feed.seq - self.sent_seq > MERGE_FROM:
            merged = frame(outbox.fmt, feed.merged_payload(self.sent_seq, outbox.fmt))
            self.sent_seq = feed.seq
            outbox.stats.merged += 1
            return merged
        following = self._frame_of(feed.after(self.sent_seq))
        self.sent_seq += 1
        if feed.merge is None and self.sent_seq > self.base:
            self._burden(-1, -len(following))
        return following

    def _frame_of(self, message: Message) -> bytes:
        """The frame of a message, the same for all of a format."""
        fmt = self.outbox.fmt
        made = message.frames[fmt]
        if made is None:
            made = message.frames[fmt] = frame(fmt, message.payload(self.feed, fmt))
        return made

    @property
    def has_more(self) -> bool:
        """Whether `next_frame` has something."""
        return not self.is_ended and (self.needs_snapshot or self.sent_seq < self.feed.seq or self.feed.is_closed)

    def end(self) -> None:
        """Nothing of it is sent any more."""
        self.is_ended = True
        self.feed.listeners.pop(self, None)
        self._burden(-self.waiting, -self.waiting_bytes)

    def _closing_frame(self) -> bytes:
        feed = self.feed
        self.outbox.drop(Topic(feed.channel, feed.name))
        return self.outbox.framed(s.Closed(channel=feed.channel, instrument=feed.name, epoch=feed.epoch, seq=feed.seq))

    def _burden(self, messages: int, size: int) -> None:
        self.waiting += messages
        self.waiting_bytes += size
        self.outbox.burden(messages, size)


class Outbox:
    """Everything for one client, in the format `fmt` of its connection; `take` gives it frame by frame."""

    __slots__ = (
        "_answer_bytes", "_answers", "_heartbeat", "_is_beating", "_late_s", "_limits", "_on_dropped", "_on_end", "_queue",
        "_to_fetch", "_waiting", "_waiting_bytes", "_wake", "end", "fmt", "has_heartbeat", "has_lagged", "on_their_way",
        "snapshot_payload", "stats", "subscriptions",
    )  # fmt: skip

    def __init__(
        self, limits: DoorLimits, wake: Callable[[], None], snapshot_payload: Callable[[Feed, int], bytes],
        heartbeat: Callable[[dict[str, int], int], s.Heartbeat], on_dropped: Callable[[Topic], None],
        on_end: Callable[[], None], stats: StreamStats,
    ) -> None:  # fmt: skip
        """wake: called when there is something to take; heartbeat: makes one of (seqs, queued); on_end: called once."""
        self.snapshot_payload, self.stats = snapshot_payload, stats
        self.fmt = JSON
        self.subscriptions: dict[Topic, Subscription] = {}
        self.end: tuple[int, str] | None = None  # close code and reason, once all is taken
        self.has_lagged = False
        self.on_their_way = 0  # answers that are to come
        self.has_heartbeat = False
        self._limits, self._wake, self._heartbeat = limits, wake, heartbeat
        self._on_dropped, self._on_end = on_dropped, on_end
        self._queue: deque[bytes | Subscription | None] = deque()  # None: a heartbeat
        self._is_beating = False
        self._answers = self._answer_bytes = 0
        self._waiting = self._waiting_bytes = 0  # trades and user messages
        self._to_fetch = 0  # of those: how many are left of what were too many at a look; 0 where there was nothing to see
        self._late_s = 0  # since that look

    def __len__(self) -> int:
        return self._answers + self._waiting + sum(sub.has_more for sub in self.subscriptions.values() if sub.feed.merge)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be taken."""
        return not self._queue

    # --- in ---

    def put(self, payload: bytes) -> None:
        """An answer; never dropped."""
        framed = frame(self.fmt, payload)
        self._queue.append(framed)
        self._answers += 1
        self._answer_bytes += len(framed)
        self._wake()

    def framed(self, message: Any) -> bytes:
        """A message in the connection's format."""
        return frame(self.fmt, encode_as(self.fmt, message))

    def watch(self, topic: Topic, feed: Feed, from_seq: int | None) -> None:
        """A subscription in place of the one of the same topic; its first message is a snapshot or what follows from_seq."""
        self.drop(topic)
        subscription = self.subscriptions[topic] = Subscription(self, feed, from_seq)
        feed.listeners[subscription] = None
        self.mark(subscription)

    def drop(self, topic: Topic) -> None:
        """Ends a subscription, if there is one."""
        subscription = self.subscriptions.pop(topic, None)
        if subscription is not None:
            subscription.end()
            self._on_dropped(topic)

    def beat(self) -> None:
        """A heartbeat, unless the last one still waits."""
        if self.has_heartbeat and not self._is_beating:
            self._is_beating = True
            self._queue.append(None)
            self._wake()

    def close(self, code: int, reason: str) -> None:
        """Nothing is put after this but answers that are on their way; the first code stands."""
        if self.end is None:
            self.end = (code, reason)
            self.has_heartbeat = False
            for topic in list(self.subscriptions):
                self.drop(topic)
            self._on_end()
            self._wake()

    def lag(self) -> None:
        """Says what was not sent, then ends."""
        if self.end is not None:
            return
        self.has_lagged = True
        for subscription in self.subscriptions.values():
            feed = subscription.feed
            if feed.merge is None and subscription.sent_seq < feed.seq and not subscription.needs_snapshot:
                lagged = s.Lagged(
                    channel=feed.channel, instrument=feed.name, epoch=feed.epoch,
                    from_seq=subscription.sent_seq + 1, to_seq=feed.seq,
                )  # fmt: skip
                self.put(encode_as(self.fmt, lagged))
        self.close(s.CLOSE_LAGGED, "SLOW_CONSUMER")

    # --- told by subscriptions ---

    def mark(self, subscription: Subscription) -> None:
        """It has something to send."""
        if not subscription.is_queued and not subscription.is_ended:
            subscription.is_queued = True
            self._queue.append(subscription)
            self._wake()

    def burden(self, messages: int, size: int) -> None:
        """So much more, or less, waits that cannot be merged."""
        self._waiting += messages
        self._waiting_bytes += size
        if messages < 0:
            self._to_fetch = max(0, self._to_fetch + messages)

    def check_reader(self) -> None:
        """Once a second: too much waits, and even what waited LATE_S ago is not fetched."""
        is_much = self._waiting > self._limits.outbound_messages or self._waiting_bytes > self._limits.outbound_bytes
        if not is_much or not self._to_fetch:
            self._to_fetch, self._late_s = self._waiting if is_much else 0, 0
            return
        self._late_s += 1
        if self._late_s >= LATE_S:
            self.lag()

    # --- out ---

    @property
    def may_read(self) -> bool:
        """Whether another frame of the client's may be read: false while his answers pile up."""
        return self._answers + self.on_their_way < MAX_ANSWERS and self._answer_bytes < self._limits.outbound_bytes

    def take(self) -> bytes | None:
        """The next frame to send; None if there is none now."""
        while self._queue:
            entry = self._queue.popleft()
            if type(entry) is bytes:
                self._answers -= 1
                self._answer_bytes -= len(entry)
                return entry
            if entry is None:
                self._is_beating = False
                framed = self._beat_frame()
            else:
                framed = self._next_of(entry)
            if framed:
                return framed
        return None

    def _next_of(self, subscription: Any) -> bytes:
        subscription.is_queued = False
        if subscription.is_ended:
            return b""
        framed: bytes = subscription.next_frame()
        if subscription.has_more:  # behind the others: one busy feed does not hold them up
            self.mark(subscription)
        return framed

    def _beat_frame(self) -> bytes:
        if not self.has_heartbeat:
            return b""
        seqs = {
            f"{topic.channel} {topic.name}".rstrip(): subscription.sent_seq
            for topic, subscription in self.subscriptions.items()
            if not subscription.needs_snapshot
        }
        return self.framed(self._heartbeat(seqs, len(self)))
