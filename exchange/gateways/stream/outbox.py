"""What waits to be sent to one client, without I/O and within bounds.

Answers are kept as they are and never dropped; the endpoint stops reading from a client that does not fetch his. Of the
channels only the place in each feed is kept. `top`, `depth` and `instruments` are behind when they are behind: what was
missed goes out as one message. `trades` and `user` are never merged: who has too many of them waiting, and in three seconds
does not fetch as many as waited at their beginning, is `lagged` and ends. One large batch ends nobody who reads.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from exchange.engine.feeds import Feed, Message, to_text
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream.session import Topic
from exchange.protocol import stream as s

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
            self._burden(1, len(message.text(self.feed)))
        self.outbox.mark(self)

    def on_closed(self) -> None:
        """The feed has ended."""
        self.outbox.mark(self)

    def next_text(self) -> str:
        """What comes next; "" if nothing does."""
        feed = self.feed
        if self.needs_snapshot or (feed.merge is not None and not feed.reaches_back_to(self.sent_seq)):
            self.needs_snapshot = False
            self.sent_seq = self.base = feed.seq
            return self.outbox.snapshot_text(feed)
        if self.sent_seq == feed.seq:
            return self._closing_text() if feed.is_closed else ""
        if not feed.reaches_back_to(self.sent_seq):
            self.outbox.lag()
            return ""
        if feed.merge is not None and feed.seq - self.sent_seq > MERGE_FROM:
            text = feed.merged_text(self.sent_seq)
            self.sent_seq = feed.seq
            return text
        text = feed.after(self.sent_seq).text(feed)
        self.sent_seq += 1
        if feed.merge is None and self.sent_seq > self.base:
            self._burden(-1, -len(text))
        return text

    @property
    def has_more(self) -> bool:
        """Whether `next_text` has something."""
        return not self.is_ended and (self.needs_snapshot or self.sent_seq < self.feed.seq or self.feed.is_closed)

    def end(self) -> None:
        """Nothing of it is sent any more."""
        self.is_ended = True
        self.feed.listeners.pop(self, None)
        self._burden(-self.waiting, -self.waiting_bytes)

    def _closing_text(self) -> str:
        feed = self.feed
        self.outbox.drop(Topic(feed.channel, feed.name))
        return to_text(s.Closed(channel=feed.channel, instrument=feed.name, epoch=feed.epoch, seq=feed.seq))

    def _burden(self, messages: int, size: int) -> None:
        self.waiting += messages
        self.waiting_bytes += size
        self.outbox.burden(messages, size)


class Outbox:
    """Everything for one client; `take` gives it text by text."""

    def __init__(
        self, limits: DoorLimits, wake: Callable[[], None], snapshot_text: Callable[[Feed], str],
        heartbeat: Callable[[dict[str, int], int], s.Heartbeat], on_dropped: Callable[[Topic], None],
        on_end: Callable[[], None],
    ) -> None:  # fmt: skip
        """wake: called when there is something to take; heartbeat: makes one of (seqs, queued); on_end: called once."""
        self.snapshot_text = snapshot_text
        self.subscriptions: dict[Topic, Subscription] = {}
        self.end: tuple[int, str] | None = None  # close code and reason, once all is taken
        self.has_lagged = False
        self.on_their_way = 0  # answers that are to come
        self.has_heartbeat = False
        self._limits, self._wake, self._heartbeat = limits, wake, heartbeat
        self._on_dropped, self._on_end = on_dropped, on_end
        self._queue: deque[str | Subscription | None] = deque()  # None: a heartbeat
        self._is_beating = False
        self._answers = self._answer_bytes = 0
        self._waiting = self._waiting_bytes = 0  # trades and user messages
        self._to_fetch = 0  # of those: how many are left of what were too many at a look; 0 where there was nothing to see
        self._late_s = 0  # since that look

    def __len__(self) -> int:
        return self._answers + self._waiting + sum(sub.has_more for sub in self.subscriptions.values() if sub.feed.merge)

    # --- in ---

    def put(self, text: str) -> None:
        """An answer; never dropped."""
        self._queue.append(text)
        self._answers += 1
        self._answer_bytes += len(text)
        self._wake()

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
                self.put(to_text(lagged))
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

    def take(self) -> str | None:
        """The next text to send; None if there is none now."""
        while self._queue:
            entry = self._queue.popleft()
            if type(entry) is str:
                self._answers -= 1
                self._answer_bytes -= len(entry)
                return entry
            if entry is None:
                self._is_beating = False
                text = self._beat_text()
            else:
                text = self._next_of(entry)
            if text:
                return text
        return None

    def _next_of(self, subscription: Any) -> str:
        subscription.is_queued = False
        if subscription.is_ended:
            return ""
        text: str = subscription.next_text()
        if subscription.has_more:  # behind the others: one busy feed does not hold them up
            self.mark(subscription)
        return text

    def _beat_text(self) -> str:
        if not self.has_heartbeat:
            return ""
        seqs = {
            f"{topic.channel} {topic.name}".rstrip(): subscription.sent_seq
            for topic, subscription in self.subscriptions.items()
            if not subscription.needs_snapshot
        }
        return to_text(self._heartbeat(seqs, len(self)))
