"""Subscriptions to a family as a whole: one for each of its open instruments, and for those that open later."""

from collections.abc import Callable, Sequence
from functools import partial

from exchange.engine.feed_source import FeedSource
from exchange.gateways.limits import DoorLimits
from exchange.gateways.stream.outbox import Outbox
from exchange.gateways.stream.session import HEARTBEAT, Session, Topic
from exchange.protocol.errors import DoorError, DoorReason

Joined = Callable[[str, Sequence[str]], None]


class Patterns:
    """Those of one connection."""

    __slots__ = ("_followed", "_limits", "_market", "_no_room", "_outbox", "_session")

    def __init__(
        self, market: FeedSource, session: Session, outbox: Outbox, limits: DoorLimits, no_room: Callable[[DoorError], None]
    ) -> None:
        """no_room: told when an instrument that opens cannot join."""
        self._market, self._session, self._outbox, self._limits = market, session, outbox, limits
        self._no_room = no_room
        self._followed: dict[Topic, Joined] = {}

    def __contains__(self, pattern: Topic) -> bool:
        return pattern in self._followed

    def watch(self, pattern: Topic) -> int:
        """Subscribes to all of it and answers to how many; DoorError, and then to none; NotYet."""
        names = self._market.expand(*pattern)
        topics = [Topic(pattern.channel, name) for name in names]
        self._require_room(topics)
        feeds = [self._market.feed(*topic) for topic in topics]
        for topic, feed in zip(topics, feeds, strict=True):
            self._outbox.watch(topic, feed, None)
            self._session.topics.add(topic)
        if pattern not in self._followed:
            joined = self._followed[pattern] = partial(self._join, pattern)
            self._market.join(*pattern, joined)
        return len(topics)

    def unwatch(self, pattern: Topic) -> int:
        """Ends all of it; how many subscriptions those were."""
        self._market.leave(*pattern, self._followed.pop(pattern))
        family, _, tail = pattern.name.rpartition("/*")
        gone = [
            topic for topic in self._session.topics
            if topic.channel == pattern.channel and topic.name.startswith(f"{family}/") and topic.name.endswith(tail)
        ]  # fmt: skip
        for topic in gone:
            self._outbox.drop(topic)
        return len(gone)

    def end(self) -> None:
        """The connection has ended."""
        while self._followed:
            pattern, joined = self._followed.popitem()
            self._market.leave(*pattern, joined)

    def _join(self, pattern: Topic, family: str, codes: Sequence[str]) -> None:
        """Instruments have opened."""
        tail = pattern.name.rpartition("/*")[2]
        topics = [Topic(pattern.channel, f"{code}{tail}") for code in codes]
        try:
            self._require_room(topics)
            for topic in topics:
                self._outbox.watch(topic, self._market.feed(*topic), None)
                self._session.topics.add(topic)
        except DoorError as no:
            self._no_room(no)

    def _require_room(self, topics: Sequence[Topic]) -> None:
        known = self._session.topics
        more = sum(topic not in known for topic in topics)
        counted = len(known) - (HEARTBEAT in known)
        if more and counted + more > self._limits.subscriptions:
            detail = f"{more} more than the {counted} there are"
            raise DoorError(DoorReason.TOO_MANY_SUBSCRIPTIONS, detail, limit="subscriptions")
