"""What the socket's door needs of a market: the venue's own `MarketData`, or a mirror of it in another process."""

from asyncio import Future
from collections.abc import Callable
from typing import Any, Protocol

from exchange.engine.feeds import Feed
from exchange.protocol.errors import DoorError, DoorReason

OnOpened = Callable[[str, tuple[str, ...]], None]  # family, codes of instruments of it that have opened

RETRY_BROKEN_S = 10


def market_stopped() -> DoorError:
    """What everybody is told after a fault of ours in the market data: BEHIND, never what is left of it."""
    stopped = "the market data has stopped; a new start of the server mends it"
    return DoorError(DoorReason.BEHIND, stopped, retry_after_s=RETRY_BROKEN_S)


class NotYet(Exception):
    """Only a mirror raises it: the answer is on its way. Once `ready` is done, the same question is answered at once."""

    def __init__(self, ready: "Future[Any]") -> None:
        super().__init__("on its way")
        self.ready = ready


class FeedSource(Protocol):
    """Every feed of one venue in one epoch; on the loop of its door only."""

    epoch: int
    seq: int
    on_fault: Callable[[], None] | None

    @property
    def now_ns(self) -> int:
        """The venue's time."""
        ...

    def feed(self, channel: str, name: str) -> Feed:
        """The feed of a channel; DoorError NOT_FOUND, UNKNOWN_CHANNEL or BEHIND; NotYet."""
        ...

    def snapshot_payload(self, feed: Feed, fmt: int) -> bytes:
        """Everything of a feed as of its seq, in a format."""
        ...

    def expand(self, channel: str, pattern: str) -> tuple[str, ...]:
        """The names of a channel that FAMILY/* stands for now; DoorError INVALID_FIELD or NOT_FOUND; NotYet."""
        ...

    def join(self, channel: str, pattern: str, listener: OnOpened) -> None:
        """The listener is called when instruments of a pattern that was expanded open."""
        ...

    def leave(self, channel: str, pattern: str, listener: OnOpened) -> None:
        """The end of `join`."""
        ...

    def look(self) -> None:
        """To be called once a second while somebody listens."""
        ...
