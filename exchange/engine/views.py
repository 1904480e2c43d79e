"""Channels that are looked at instead of being told of every step: at most once a second, and only what has changed.

`MarketData` is given the channels when it is made, since what they show is made of read models, a floor above the engine.
All views are looked at together. A view that nobody follows any more is forgotten at the next look, but for the one of a
channel without topics; a later one of the same name counts on from above, so no number ever means two things.
"""

from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Any, NamedTuple, Protocol

from exchange.engine.feeds import Feed, Merge, Shelf
from exchange.protocol.errors import DoorError, DoorReason

LOOK_NS = 1_000_000_000  # between two looks


class View(Protocol):
    """One topic of such a channel; on the writer's loop only, between two frames."""

    @property
    def period(self) -> int | None:
        """The delivery period with whose gate it ends; None = it stays."""
        ...

    def look(self, touched: set[int]) -> Any:
        """What has changed since the last look, as the data of a delta; None where nothing has.

        touched: the books that may have changed since then.
        """
        ...

    def everything(self) -> Any:
        """All of it as of the last look, as the data of a snapshot."""
        ...


class ViewChannel(Protocol):
    """A channel of views; `most` of them are open at the same time."""

    @property
    def name(self) -> str:
        """As in protocol.stream."""
        ...

    @property
    def merge(self) -> Merge:
        """For a late reader."""
        ...

    @property
    def most(self) -> int:
        """Views that are open at the same time."""
        ...

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Takes down what a command may have changed; called for every command, so it must be cheap."""
        ...

    def open(self, topic: str) -> View:
        """The view of a topic, as of now; DoorError NOT_FOUND where there is none."""
        ...


class Place(NamedTuple):
    """Command number and venue's time of a look."""

    seq: int
    ts_ns: int


class _Open(NamedTuple):
    view: View
    feed: Feed


class Views:
    """All views that are open, with their feeds."""

    def __init__(
        self, channels: Sequence[ViewChannel], epoch: int, shelf: Shelf, clock: Callable[[], int] = monotonic_ns
    ) -> None:
        """clock: counts nanoseconds and never goes back."""
        self._channels = {channel.name: channel for channel in channels}
        self._epoch, self._shelf, self._clock = epoch, shelf, clock
        self._open: dict[tuple[str, str], _Open] = {}
        self._first_seq: dict[str, int] = {}  # of the next feed of a channel
        self._touched: set[int] = set()
        self._looked_at_ns = clock()
        self.place = Place(0, 0)  # of the last look

    def __contains__(self, channel: str) -> bool:
        return channel in self._channels

    def on_command(self, command: Any, events: Sequence[Any]) -> None:
        """Takes down what a command may have changed."""
        for channel in self._channels.values():
            channel.on_command(command, events)

    def on_touched(self, books: set[int]) -> None:
        """Books that may have changed."""
        if self._open:
            self._touched |= books

    def open(self, channel: str, topic: str, place: Place) -> Feed:
        """The feed of a view, which is opened where it is not yet; DoorError NOT_FOUND, TOO_MANY_SUBSCRIPTIONS."""
        found = self._open.get((channel, topic))
        if found is not None:
            return found.feed
        source = self._channels[channel]
        if sum(name == channel for name, _ in self._open) >= source.most:
            told = f"{source.most} views of channel {channel} are followed by all together, and no more can be"
            raise DoorError(DoorReason.TOO_MANY_SUBSCRIPTIONS, told, limit=channel)
        view = source.open(topic)
        feed = Feed(channel, topic, self._epoch, self._shelf, source.merge)
        feed.seq = self._first_seq.get(channel, 0)
        self._open[channel, topic] = _Open(view, feed)
        if len(self._open) == 1:
            self._looked_at_ns, self.place = self._clock(), place
        return feed

    def period_of(self, channel: str, topic: str) -> int | None:
        """The period with whose gate an open view ends."""
        return self._open[channel, topic].view.period

    def everything(self, channel: str, topic: str) -> Any:
        """The data of a snapshot; None where the view has been closed."""
        found = self._open.get((channel, topic))
        return None if found is None else found.view.everything()

    def is_due(self) -> bool:
        """Whether the last look is a second ago."""
        return bool(self._open) and self._clock() - self._looked_at_ns >= LOOK_NS

    def look(self, place: Place) -> None:
        """Looks at every view now, and publishes what has changed."""
        touched, self._touched = self._touched, set()
        self._looked_at_ns, self.place = self._clock(), place
        for (channel, topic), one in list(self._open.items()):
            if topic and not one.feed.listeners:
                self.close(channel, topic)
            else:
                self._publish(one, touched, place)

    def end(self, channel: str, topic: str, place: Place) -> None:
        """Looks at a view once more and ends it: its gate has closed."""
        found = self._open.get((channel, topic))
        if found is not None:
            self._publish(found, self._touched, place)
            self.close(channel, topic)

    def _publish(self, one: _Open, touched: set[int], place: Place) -> None:
        data = one.view.look(touched)
        if data is not None:
            one.feed.publish(place.ts_ns, data, 1 + len(data.items))

    def close(self, channel: str, topic: str) -> None:
        """Ends a view: nobody follows it, or its gate has closed."""
        found = self._open.pop((channel, topic), None)
        if found is not None:
            self._first_seq[channel] = max(self._first_seq.get(channel, 0), found.feed.seq + 1)
            found.feed.close()
