"""What a door sees of the engine: send a command, read the live venue, ask how far it is. Nothing is decided here."""

from typing import Any

from exchange.engine.sequencer import Answer, VenueHalted
from exchange.engine.writer import Busy, OnAnswer, Writer, WriterStats
from exchange.ports import Envelope

__all__ = ["Answer", "Busy", "Envelope", "Handle", "OnAnswer", "VenueHalted", "WriterStats"]


class Handle:
    """The one way from a door to the venue; for code on the writer's own loop only."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def submit(self, command: Any, envelope: Envelope = Envelope()) -> Answer:
        """The answer, once the command is durable and applied; what it raises is said at `Writer.submit`."""
        return await self._writer.submit(command, envelope)

    def submit_nowait(self, command: Any, envelope: Envelope, on_answer: OnAnswer) -> None:
        """As `submit`, with a callback on the loop; what it raises is said at `Writer.submit_nowait`."""
        self._writer.submit_nowait(command, envelope, on_answer)

    @property
    def venue(self) -> Any:
        """The live venue, for reading: always the state after a whole frame, never in the middle of one."""
        return self._writer.venue

    @property
    def now_ns(self) -> int:
        """Log time."""
        return self._writer.venue.now_ns

    @property
    def seq(self) -> int:
        """Number of the last applied command."""
        return self._writer.seq

    @property
    def durable_seq(self) -> int:
        """Number of the last command on the disk; never below `seq`."""
        return self._writer.durable_seq

    @property
    def epoch(self) -> int:
        """Raised by one at each start."""
        return self._writer.epoch

    @property
    def halted(self) -> str:
        """Why the venue takes no commands, or "" while it does."""
        return self._writer.halted

    @property
    def waiting(self) -> int:
        """Commands that are taken and in no frame yet."""
        return self._writer.waiting

    @property
    def stats(self) -> WriterStats:
        """Counters since the start."""
        return self._writer.stats

    @property
    def problems(self) -> list[str]:
        """What went wrong beside the venue: a stopped sink, a snapshot that did not come to count."""
        return self._writer.problems
