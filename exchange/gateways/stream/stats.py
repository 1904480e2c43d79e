"""What the socket's door counts of itself: for the metrics, and for whoever judges the feed."""

from dataclasses import dataclass


@dataclass(slots=True)
class StreamStats:
    """Since the start, but `connections`, which are those of now."""

    connections: int = 0
    opened: int = 0
    refused: int = 0  # handshakes
    messages: int = 0  # sent
    lagged: int = 0  # connections ended because their clients did not read
    snapshots: int = 0  # put into an outbox
    merged: int = 0  # messages that say several steps at once
    resumed: int = 0  # subscriptions that went on where their clients had stopped
    resumes_too_old: int = 0  # asked for steps that are kept no more, or of another epoch: a snapshot instead
