"""Answers about the feed itself."""

from exchange.protocol.answers import Answer


class FeedAddresses(Answer, frozen=True, kw_only=True):
    """Where market data is served beside the main address: sockets (ws://…) of feed workers; empty where there are none."""

    epoch: int
    seq: int
    workers: tuple[str, ...]
