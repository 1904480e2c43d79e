"""What a door may do with the engine, as a shape: send a command, read the live venue, ask how far it is.

The writer has this shape and a door is given the writer itself; what is not here, a door may not use.
"""

from typing import Any, Protocol

from exchange.engine.sequencer import Answer, VenueHalted
from exchange.engine.writer import Busy, OnAnswer
from exchange.engine.writer_stats import WriterStats
from exchange.ports import Envelope

__all__ = ["Answer", "Busy", "Envelope", "Handle", "OnAnswer", "VenueHalted", "WriterStats"]


class Handle(Protocol):
    """The one way from a door to the venue; for code on the writer's own loop only."""

    async def submit(self, command: Any, envelope: Envelope = Envelope()) -> Answer:
        """The answer, once the command is durable and applied; what it raises is said at `Writer.submit`."""
        ...

    def submit_nowait(self, command: Any, envelope: Envelope, on_answer: OnAnswer) -> None:
        """As `submit`, with a callback on the loop; what it raises is said at `Writer.submit_nowait`."""
        ...

    @property
    def venue(self) -> Any:
        """The live venue, for reading: always the state after a whole frame, never in the middle of one."""
        ...

    @property
    def now_ns(self) -> int:
        """Log time."""
        ...

    @property
    def seq(self) -> int:
        """Number of the last applied command."""
        ...

    @property
    def durable_seq(self) -> int:
        """Number of the last command on the disk; never below `seq`."""
        ...

    @property
    def epoch(self) -> int:
        """Raised by one at each start."""
        ...

    @property
    def halted(self) -> str:
        """Why the venue takes no commands, or "" while it does."""
        ...

    @property
    def waiting(self) -> int:
        """Commands that are taken and in no frame yet."""
        ...

    @property
    def stats(self) -> WriterStats:
        """Counters since the start."""
        ...

    @property
    def problems(self) -> list[str]:
        """What went wrong beside the venue: a stopped sink, a snapshot that did not come to count."""
        ...
