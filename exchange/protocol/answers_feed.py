"""Answers about the feed itself."""

from exchange.protocol.answers import Answer


class FeedAddresses(Answer, frozen=True, kw_only=True):
    """Where market data is served beside the main address: sockets (ws://…) of feed workers; empty where there are none."""

    epoch: int
    seq: int
    workers: tuple[str, ...]


class HistoryFile(Answer, frozen=True, kw_only=True):
    """A day of a channel as Parquet: `running` with the percent of the journal that was read, `ready` with what is in it, or
    `failed`. A ready one is at /v1/history/{day}/{channel}/file."""

    day: str
    channel: str
    status: str
    percent: int
    messages: int
    size: int
    problem: str


class FeedIntegrity(Answer, frozen=True, kw_only=True):
    """What the main address counts of its sockets since the start of this epoch; `connections` are those of now."""

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
