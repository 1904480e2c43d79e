"""Order entry of one connection: commands and batches out, answers in the order of the commands.

What a client has numbered is taken down in the ledger of its session, and survives the connection. Where it asked for that
at login, the orders it placed over this connection are canceled when the connection ends: those that still rest, and those
whose answers come later. What they have bought stays bought.
"""

import asyncio
import logging
import secrets
from collections import deque
from functools import partial
from typing import Any

from exchange.gateways import batches
from exchange.gateways.dispatch import Dispatcher, owner
from exchange.gateways.stream.outbox import Outbox
from exchange.gateways.stream.session import Call, Id, Session, failure_payload, result_payload
from exchange.ports_access import Principal
from exchange.protocol.answers import Ack
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.requests import OrderTerms, OwnOrder

AGAIN_S = 0.5  # until a cancel that found no room is tried again
ENTRIES_A_PLACE = 32  # of a batch that count as one answer on its way
FORGET_FROM = 1024  # orders that are remembered before those that have ended are looked for
_CANCEL = OPERATIONS["cancel_order"]
_RESTS = frozenset(("ACCEPTED", "WAITING", "PARTLY_FILLED"))

_LOG = logging.getLogger("cpx.stream")


class _Pending:
    """A command whose answer is to come."""

    __slots__ = ("call", "payload", "weight")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.payload = b""
        is_batch = call.operation.name in batches.BATCHES
        self.weight = 1 + len(call.args.items) // ENTRIES_A_PLACE if is_batch else 1  # of the answers on their way


class OrderEntry:
    """The commands of one connection."""

    __slots__ = ("_commands", "_dispatcher", "_is_lost", "_outbox", "_placed", "_prune_at", "_session")

    def __init__(self, session: Session, outbox: Outbox, dispatcher: Dispatcher) -> None:
        self._session, self._outbox, self._dispatcher = session, outbox, dispatcher
        self._commands: deque[_Pending] | None = None
        self._placed: dict[tuple[str, str], None] | None = None  # orders to cancel in the end: (participant, client id)
        self._prune_at = FORGET_FROM
        self._is_lost = False

    def call(self, call: Call) -> None:
        """Sends a command or a batch; its answer goes out behind those of earlier ones."""
        principal = self._session.principal
        assert principal is not None
        pending = _Pending(call)
        if self._commands is None:
            self._commands = deque()
        self._commands.append(pending)
        self._outbox.on_their_way += pending.weight
        on_done = partial(self._done, pending)
        try:
            if call.operation.name in batches.BATCHES:
                participant = owner(principal, call.operation, call.args)
                batches.send(self._dispatcher, principal, call.operation, call.args, participant, on_done)
            else:
                self._dispatcher.command_nowait(
                    principal, call.operation, call.args, on_done,
                    idempotency_key=call.idempotency_key, valid_until=call.valid_until,
                )  # fmt: skip
        except DoorError as no:
            on_done(no)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            pending.payload = fault_payload(self._session.fmt, call.operation.name, call.id)
            self._settle(call, DoorError(DoorReason.INTERNAL))
            self._send_answered()

    def on_lost(self) -> None:
        """The connection has ended."""
        self._is_lost = True
        if self._placed:
            placed, self._placed = self._placed, {}
            for who, client_order_id in placed:
                if self._dispatcher.is_open(who, client_order_id):
                    self._cancel(who, client_order_id)

    # --- answers ---

    def _done(self, pending: _Pending, result: Any) -> None:
        """An answer to a command."""
        fmt, call = self._session.fmt, pending.call
        try:
            make = failure_payload if isinstance(result, DoorError) else result_payload
            pending.payload = make(fmt, call.id, result)
            if call.n is not None:
                self._settle(call, result)
            if self._session.cancels_on_disconnect and not isinstance(result, DoorError):
                self._note_placed(call, result)
        except Exception:  # noqa: BLE001 - logged, and the client is told
            pending.payload = fault_payload(fmt, "an answer", call.id)
        self._send_answered()

    def _settle(self, call: Call, result: Any) -> None:
        if call.n is not None and self._session.ledger is not None:
            self._session.ledger.settle(call.n, result)

    def _send_answered(self) -> None:
        """What is answered goes out behind the answers to earlier commands."""
        commands, outbox = self._commands, self._outbox
        while commands and commands[0].payload:
            pending = commands.popleft()
            outbox.on_their_way -= pending.weight
            outbox.put(pending.payload)

    # --- cancel on disconnect ---

    def _note_placed(self, call: Call, result: Any) -> None:
        name = call.operation.name
        if name == "place_order":
            self._note(call.args, result)
        elif name == "place_orders":
            for entry, item in zip(call.args.items, result.items, strict=True):
                if item.ack is not None:
                    self._note(entry, item.ack, call.args.participant)

    def _note(self, args: OrderTerms, ack: Ack, named: str | None = None) -> None:
        if ack.status not in _RESTS or ack.replayed:  # a first answer told again: whoever placed it then ends it
            return
        assert self._session.principal is not None
        who = self._session.principal.participant or args.participant or named or ""
        if self._is_lost:
            if self._dispatcher.is_open(who, args.client_order_id):
                self._cancel(who, args.client_order_id)
            return
        if self._placed is None:
            self._placed = {}
        self._placed[who, args.client_order_id] = None
        if len(self._placed) >= self._prune_at:
            self._placed = {each: None for each in self._placed if self._dispatcher.is_open(*each)}
            self._prune_at = max(FORGET_FROM, 2 * len(self._placed))

    def _cancel(self, who: str, client_order_id: str) -> None:
        """Once more a little later where there is no room for it now."""
        principal: Principal | None = self._session.principal
        assert principal is not None

        def done(result: Any) -> None:
            if isinstance(result, DoorError) and result.reason is DoorReason.BUSY:
                asyncio.get_running_loop().call_later(AGAIN_S, self._cancel, who, client_order_id)

        args = OwnOrder(client_order_id=client_order_id, participant=who)
        self._dispatcher.command_nowait(principal, _CANCEL, args, done)


def fault_payload(fmt: int, what: str, request_id: Id) -> bytes:
    """INTERNAL, by the name under which the exception at hand is in the log."""
    trace_id = secrets.token_hex(8)
    _LOG.exception("%s failed, trace_id %s", what, trace_id)
    return failure_payload(fmt, request_id, DoorError(DoorReason.INTERNAL), trace_id)
