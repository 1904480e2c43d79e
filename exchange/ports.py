"""What the single writer needs from others: a venue, a log, places for snapshots and events. Shapes only, no code."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

# A sink gets (seq, ts_ns, command, events) of every applied command, in order; ts_ns is the venue's time after it.
Sink = Callable[[int, int, Any, Sequence[Any]], None]


class Envelope(NamedTuple):
    """What travels around a command: who sent it, until when it may run, its idempotency key if not the usual one."""

    idem_key: bytes | None = None  # 16 bytes; None = made from participant and client id
    valid_until_ns: int = 0  # the venue refuses the command when its time is later; 0 = always good
    account: int = 0
    session: int = 0


class Clock(Protocol):
    """Where the venue's time comes from; it only ever reaches the venue as AdvanceTime commands."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970; may jump, in both directions."""
        ...


class DeskLike(Protocol):
    """What the operator does by the clock, decided from the venue alone."""

    def ends_frame(self, command: Any) -> bool:
        """True where what stands behind this command may have to wait for commands of the desk."""
        ...

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """To be told of every applied command."""
        ...

    def due(self, now_ns: int) -> list[Any]:
        """The commands to apply next, to be asked for after each command that ends a frame."""
        ...

    def next_stop(self, now_ns: int) -> int:
        """The next moment that the clock must come to before it goes on."""
        ...


class VenueLike(Protocol):
    """The deterministic state machine: same commands in, same events and hash out, on every machine."""

    @property
    def now_ns(self) -> int:
        """Log time; moved by AdvanceTime only."""
        ...

    def apply(
        self,
        seq: int,
        command: Any,
        *,
        idem_key: bytes = b"",
        body_hash: bytes = b"",
        valid_until_ns: int = 0,
    ) -> Sequence[Any]:
        """The events of one command; refusals are events, an exception is a fault of ours and halts the process.

        idem_key is empty for a command that creates nothing under a client id; without a key there is no body_hash.
        """
        ...

    def snapshot(self) -> bytes:
        """Everything, in canonical order."""
        ...

    def state_hash(self) -> int:
        """64 bits over everything a participant could notice."""
        ...

    def check(self) -> None:
        """AssertionError where an invariant is broken."""
        ...


class CommandLog(Protocol):
    """An append-only log: what `append` has returned for survives the process and the operating system."""

    @property
    def next_seq(self) -> int:
        """Number of the next command."""
        ...

    @property
    def ts_ns(self) -> int:
        """Log time of the last frame; it never goes back."""
        ...

    @property
    def chain(self) -> bytes:
        """Hash over every command so far."""
        ...

    @property
    def epoch(self) -> int:
        """Raised by one each time the log is opened for writing."""
        ...

    @property
    def is_full(self) -> bool:
        """True when the current segment has reached its size and `roll` is due."""
        ...

    def append(self, records: Sequence[Any], ts_ns: int) -> None:
        """Writes one frame and makes it durable before returning; never returns after a failed write."""
        ...

    def roll(self) -> None:
        """Goes on in a new segment."""
        ...

    def close(self) -> None:
        """Lets go of the folder."""
        ...


class SnapshotStore(Protocol):
    """Keeps the newest snapshots."""

    def take(self, venue: VenueLike, *, seq: int, epoch: int, chain: bytes, event_hash: bytes) -> Any:
        """The venue as it is now, for `keep`; SnapshotRefused if it gives none."""
        ...

    def keep(self, taken: Any) -> None:
        """Writes, reads back, compares; SnapshotRefused or OSError if it does not count, and nothing is lost.

        May run beside the venue, in another thread; one at a time.
        """
        ...


class SnapshotSource(Protocol):
    """One snapshot for reading."""

    @property
    def name(self) -> str:
        """File name, for messages."""
        ...

    @property
    def seq(self) -> int:
        """Number of the last command in it, by its name."""
        ...

    def read(self) -> bytes:
        """All of it."""
        ...


class SegmentSource(Protocol):
    """One segment of a journal for reading."""

    @property
    def name(self) -> str:
        """File name, for messages."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`, fewer at the end."""
        ...
