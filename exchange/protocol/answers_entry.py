"""Answers of order entry to many orders at once."""

from msgspec import Struct

from exchange.protocol.answers import Ack
from exchange.protocol.errors import Problem


class BatchItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one entry: an ack, or the error for which it was turned away."""

    ack: Ack | None = None
    error: Problem | None = None


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """One item for each entry, in their order."""

    items: tuple[BatchItem, ...]
