"""What the SDK answers of many orders at once, and of where the feed is; like clients.models."""

from clients.attempts import error_of
from clients.errors import CpxError
from clients.model import Model
from clients.models import Ack
from exchange.protocol.errors import Problem


class BatchItem(Model, frozen=True, kw_only=True):
    """What came of one entry of a batch: an ack (which may be a refusal), or the error for which it was turned away."""

    ack: Ack | None = None
    error: Problem | None = None

    @property
    def fault(self) -> CpxError | None:
        """The exception of an entry that was turned away."""
        return None if self.error is None else error_of(self.error)


class BatchAnswer(Model, frozen=True, kw_only=True):
    """One item for each entry, in their order."""

    items: tuple[BatchItem, ...]


class FeedAddresses(Model, frozen=True, kw_only=True):
    """Where market data is served beside the main address; empty where it is served there alone."""

    epoch: int
    seq: int
    workers: tuple[str, ...]


class HistoryFile(Model, frozen=True, kw_only=True):
    """A day of a channel as Parquet: `running` with the percent of the journal that was read, `ready`, or `failed`."""

    day: str
    channel: str
    status: str
    percent: int
    messages: int
    size: int
    problem: str


class FeedIntegrity(Model, frozen=True, kw_only=True):
    """What the main address counts of its sockets since it started; `connections` are those of now."""

    epoch: int
    seq: int
    connections: int
    opened: int
    refused: int
    messages: int
    snapshots: int
    merged: int
    resumed: int
    resumes_too_old: int
    lagged: int
