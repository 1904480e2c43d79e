"""Many commands in one request: read entry by entry, sent entry by entry, answered in one piece.

Each entry is a command of its own with a record and a number of its own. An entry that cannot be read or is turned away is
told as such in its place; the others are carried out as if it were not there.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from exchange.ports_access import Principal
from exchange.protocol.answers import Ack
from exchange.protocol.answers_entry import BatchAnswer, BatchItem
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import JSON, decode_as, decode_part_as
from exchange.protocol.operations import OPERATIONS, Operation
from exchange.protocol.requests import Body, OrderTerms, OwnOrder
from exchange.protocol.requests_entry import MAX_BATCH

BATCHES: dict[str, tuple[Operation, type[Any]]] = {
    "place_orders": (OPERATIONS["place_order"], OrderTerms),
    "cancel_orders": (OPERATIONS["cancel_order"], OwnOrder),
}

Result = Ack | DoorError


class Batch(NamedTuple):
    """A batch as it was read; a DoorError stands for an entry that could not be."""

    items: Sequence[Any]
    participant: str | None


class _Loose(Body, frozen=True, kw_only=True):
    """A batch whose entries are read one by one."""

    items: tuple[msgspec.Raw, ...]
    participant: Any = None


class Sends(Protocol):
    """What a dispatcher does for a batch."""

    def commands_nowait(
        self, principal: Principal, operation: Operation, args: Sequence[Any], on_done: Callable[[list[Result]], None]
    ) -> None:
        """Sends commands; on_done is called once, with the answer of each in their order."""
        ...

    def charge(self, principal: Principal, operation: Operation, count: int) -> None:
        """Takes tokens for what could not be read; DoorError where there are none."""
        ...


def read(operation: Operation, fmt: int, data: bytes | msgspec.Raw, *, is_checked: bool) -> Batch:
    """The batch; DoorError where it is none. is_checked: the bytes are part of what was read by `decode_as` already."""
    decode = decode_part_as if is_checked else decode_as
    try:
        whole = decode(fmt, data, operation.args)
        return Batch(whole.items, whole.participant)
    except DoorError as no:
        if not no.field.startswith("items["):
            raise
        told = no
    loose = decode_part_as(fmt, data, _Loose)
    named = loose.participant
    if not 0 < len(loose.items) <= MAX_BATCH or not (named is None or isinstance(named, str) and 0 < len(named) <= 36):
        raise told
    return Batch([_entry(operation, fmt, raw) for raw in loose.items], named)


def _entry(operation: Operation, fmt: int, raw: msgspec.Raw) -> Any:
    try:
        return decode_part_as(fmt, raw, BATCHES[operation.name][1])
    except DoorError as no:
        return no


def send(
    dispatcher: Sends, principal: Principal, operation: Operation, batch: Any, participant: str,
    on_done: Callable[[BatchAnswer], None],
) -> None:  # fmt: skip
    """Sends every entry that could be read; on_done is called once, when the last one is answered.

    DoorError, and nothing is sent, where there is no budget for those that could not.

    participant: whose orders these are where an entry does not say so itself.
    """
    single = BATCHES[operation.name][0]
    items = [_owned(each, participant) for each in batch.items] if not principal.participant else batch.items
    good = [each for each in items if not isinstance(each, DoorError)]
    if len(good) < len(items):
        dispatcher.charge(principal, single, len(items) - len(good))

    def answered(results: list[Result]) -> None:
        left = iter(results)
        on_done(BatchAnswer(items=tuple(_item(each if isinstance(each, DoorError) else next(left)) for each in items)))

    if good:
        dispatcher.commands_nowait(principal, single, good, answered)
    else:
        answered([])


def refuse_envelope(idempotency_key: str | None, valid_until: str | None) -> None:
    """DoorError where a batch is given what only single commands have."""
    if idempotency_key is not None or valid_until is not None:
        field = "valid_until" if idempotency_key is None else "idempotency_key"
        hint = "each entry has a name of its own; send single commands where more is needed"
        raise DoorError(DoorReason.INVALID_FIELD, "a batch has none", field=field, hint=hint)


def read_body(operation: Operation, data: bytes) -> Batch:
    """A batch over REST."""
    return read(operation, JSON, data, is_checked=False)


def _owned(entry: Any, participant: str) -> Any:
    if isinstance(entry, DoorError) or entry.participant is not None or not participant:
        return entry
    return msgspec.structs.replace(entry, participant=participant)


def _item(result: Result) -> BatchItem:
    return BatchItem(error=result.problem()) if isinstance(result, DoorError) else BatchItem(ack=result)
