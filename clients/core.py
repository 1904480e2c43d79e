"""What all methods of the clients stand on: a call, its answer as a model, a refusal as an exception, pages as iterators."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from clients import (
    models,
    models_delivery,
    models_entry,
    models_green,
    models_operator,
    models_prices,
    models_statements,
)
from clients.attempts import Attempts, Fault
from clients.build import Call, args_of, call_of, needs_moment, operation_of
from clients.clock import VenueClock
from clients.errors import CpxError, ExchangeError, OrderStatusUnknown, PermissionDenied, class_of, said
from clients.feed import Feed, Wire
from clients.levels import Measures
from clients.model import Model, read_model
from clients.session import OnRequest, RestTransport
from clients.settings import find_access
from clients.times import NS_PER_S, rfc3339
from exchange.protocol.operations import OPERATIONS, Operation

ModelT = TypeVar("ModelT", bound=Model)
Transport = Literal["rest", "socket"]
VALID_FOR_S = 86_400
PAGE = 500
_REFUSED = ("REJECTED", "DENIED")


class _Sender(Protocol):
    """Something that carries a call there and its answer back."""

    was_connected: bool

    async def send(self, call: Call) -> Any:
        """The decoded answer; NotSent, Lost or Turned."""


def _answers() -> dict[str, type[Model]]:
    """Operation -> the model of its answer."""
    rooms = (models, models_delivery, models_entry, models_green, models_operator, models_prices, models_statements)
    found = {}
    for name, operation in OPERATIONS.items():
        kind = operation.answer.__name__
        model = next((getattr(room, kind) for room in rooms if hasattr(room, kind)), None)
        if model is not None:  # a test tells which are missing
            found[name] = model
    return found


ANSWERS = _answers()


def refusal(operation: Operation, ack: models.Ack) -> CpxError:
    """The exception of an ack that says no."""
    kind = class_of(ack.code, ack.reason)
    first = f"this is the first answer to this id, of {rfc3339(ack.ts_ns)}: to try again use a new id" if ack.replayed else ""
    text = said(f"{operation.name} was {ack.status.lower()}", ack.message, ack.hint, first) + f" [{ack.reason}]"
    return kind(text, code=ack.code, reason=ack.reason, hint=ack.hint, ack=ack)


def _text(time_ns: int | None) -> str | None:
    return None if time_ns is None else rfc3339(time_ns)


def _is_too_far(error: CpxError) -> bool:
    """Whether an exchange of another time turned it away, as valid_until is too far ahead for it."""
    cause = error.__cause__ if isinstance(error, OrderStatusUnknown) else error
    return isinstance(cause, CpxError) and cause.reason == "VALID_UNTIL_TOO_FAR"


class Core:
    """A client without its named methods; for one event loop, safe for many tasks."""

    def __init__(
        self, url: str | None = None, key: str | None = None, *, session: Transport = "rest", participant: str | None = None,
        timeout_s: float = 10, patience_s: float = 15, staleness_s: float = 3, valid_for_s: int | None = VALID_FOR_S,
        on_request: OnRequest | None = None, wire: Wire = "json", cancel_on_disconnect: bool = False,
    ) -> None:  # fmt: skip
        """Address and key: arguments, CPX_URL and CPX_KEY, or client.toml.

        session: what requests go over. participant: whom to act for with a key of the operator. timeout_s: for one
        attempt; patience_s: for all attempts of a call. staleness_s: so long may the socket be silent. valid_for_s: a
        command that comes later than this (by the venue's clock) is not executed; None = whenever it comes.
        on_request: told every REST request as it is sent. wire: json or msgpack, of the socket. cancel_on_disconnect: plain
        orders placed over the socket are taken back by the exchange when that ends, however it does.
        """
        if cancel_on_disconnect and session != "socket":
            raise TypeError('cancel_on_disconnect is about orders placed over the socket: add session="socket"')
        access = find_access(url, key)
        self.url, self.participant = access.url, participant
        self._patience_s, self._valid_for_s = patience_s, valid_for_s
        self.clock = VenueClock()
        self.rest = RestTransport(access.url, access.key, timeout_s=timeout_s, on_request=on_request)
        self.feed = Feed(
            access.url, access.key, timeout_s=timeout_s, staleness_s=staleness_s, on_time=self.clock.hear, wire=wire,
            cancel_on_disconnect=cancel_on_disconnect,
        )  # fmt: skip
        self._measures: Measures | None = None
        self._sender: _Sender = self.feed if session == "socket" else self.rest
        self._has_clock = True

    async def ask(self, name: str, kind: type[ModelT], given: dict[str, Any]) -> ModelT:
        """The answer of an operation that is no command."""
        operation = operation_of(name)
        args = await self.args(operation, given)
        return read_model(kind, await self._attempt(call_of(operation, args)))

    async def pages(self, name: str, kind: type[ModelT], given: dict[str, Any]) -> AsyncGenerator[ModelT]:
        """All rows of a list, page by page as they are needed; `limit` = rows per page."""
        cursor = None
        given = {"limit": PAGE, **{key: value for key, value in given.items() if value is not None}}
        while True:
            page: Any = await self.ask(name, ANSWERS[name], {**given, "cursor": cursor})
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def do(
        self, name: str, given: dict[str, Any], *, idempotency_key: str | None = None, is_checked: bool = True
    ) -> models.Ack:
        """The ack of a command; a refusal raises unless is_checked is False."""
        operation = operation_of(name)
        return await self.submit(operation, await self.args(operation, given), idempotency_key, is_checked)

    async def submit(
        self, operation: Operation, args: Struct, idempotency_key: str | None = None, is_checked: bool = True
    ) -> models.Ack:
        """The same for args that are made already."""
        begun_ns, until_ns = self.clock.local_ns, await self._valid_until_ns()
        call = call_of(operation, args, idempotency_key=idempotency_key, valid_until=_text(until_ns))
        attempts = self._attempts(call)
        try:
            ack = read_model(models.Ack, await self._attempt(call, attempts))
        except (ExchangeError, OrderStatusUnknown) as error:
            if until_ns is None or not _is_too_far(error):
                raise
            try:
                await self.learn_clock()
            except CpxError as fault:
                raise error from fault
            call = call._replace(valid_until=self._until(begun_ns))
            attempts = self._attempts(call, is_unknown=isinstance(error, OrderStatusUnknown))
            ack = read_model(models.Ack, await self._attempt(call, attempts))
        else:
            if ack.reason == "EXPIRED_COMMAND" and await self._was_misled(begun_ns, until_ns, attempts):
                # Nothing was executed and the id is free: once more, by the right clock.
                call = call._replace(valid_until=self._until(begun_ns))
                ack = read_model(models.Ack, await self._attempt(call))
        self.clock.hear(ack.ts_ns)
        if is_checked and ack.status in _REFUSED:
            raise refusal(operation, ack)
        return ack

    async def args(self, operation: Operation, given: dict[str, Any]) -> Struct:
        """The args struct of an operation, relative times counted from the venue's clock."""
        if self.participant is not None and given.get("participant") is None and operation.owner == "own":
            given = {**given, "participant": self.participant}
        moment = None
        if needs_moment(given):
            await self.learn_clock()
            moment = self.clock.now
        return args_of(operation, given, moment)

    async def learn_clock(self) -> models.Venue:
        """Asks the venue what time it is."""
        venue = await self.ask("venue", models.Venue, {})
        self.clock.learn(venue)
        return venue

    async def measures(self) -> Measures | None:
        """Tick and lot of the venue, which never change, asked over the socket; None where it has no settings yet."""
        if self._measures is None:
            call = call_of(OPERATIONS["venue"], args_of(OPERATIONS["venue"], {}, None))
            try:
                venue = read_model(models.Venue, await self._retry(self._attempts(call), lambda: self.feed.send(call)))
            except ExchangeError as error:
                if error.reason != "REFUSED":
                    raise
                return None
            self._measures = Measures(venue.tick, venue.lot)
        return self._measures

    async def _valid_until_ns(self) -> int | None:
        if self._valid_for_s is None or not self._has_clock:
            return None
        if not self.clock.is_set:
            try:
                await self.learn_clock()
            except PermissionDenied:  # a key that may trade and not read: the exchange's own limit on age must do
                self._has_clock = False
                return None
            except ExchangeError as error:
                if error.reason != "REFUSED":
                    raise
                return None  # a venue without settings has no clock yet
        return self.clock.now.now_ns + self._valid_for_s * NS_PER_S

    async def _was_misled(self, begun_ns: int, until_ns: int | None, attempts: Attempts) -> bool:
        """Whether a command that came too late was too late already when it was asked for, since our clock was wrong.

        begun_ns by our own clock. What became too late on its way stays so. A clock that is moved by hand says nothing of
        when it was moved: there only an answer to the first attempt counts.
        """
        if until_ns is None:
            return False
        try:
            await self.learn_clock()
        except CpxError:
            return False  # the answer that is here stands
        if self.clock.stands_still and attempts.faults:
            return False
        return self.clock.at_ns(begun_ns) > until_ns

    def _until(self, begun_ns: int) -> str | None:
        """valid_until of what was asked for at begun_ns of our own clock."""
        assert self._valid_for_s is not None
        return _text(self.clock.at_ns(begun_ns) + self._valid_for_s * NS_PER_S)

    def _attempts(self, call: Call, *, is_unknown: bool = False) -> Attempts:
        return Attempts(
            call, patience_s=self._patience_s, was_connected=self._sender.was_connected, is_unknown=is_unknown
        )  # fmt: skip

    async def _attempt(self, call: Call, attempts: Attempts | None = None) -> Any:
        """The decoded answer of a call."""
        return await self._retry(attempts or self._attempts(call), lambda: self._sender.send(call))

    async def _retry(self, attempts: Attempts, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What `send` brings, tried as often as clients.attempts allows."""
        started_s = time.monotonic()
        while True:
            try:
                return await send()
            except Fault as fault:
                wait_s = attempts.after(fault, time.monotonic() - started_s, random.random())
            await asyncio.sleep(wait_s)

    async def download(self, name: str, args: dict[str, Any], path: str) -> bytes:
        """A file that an operation has told of, from its address; always over REST."""
        call = call_of(OPERATIONS[name], args_of(OPERATIONS[name], args))
        attempts = Attempts(call, patience_s=self._patience_s, was_connected=self.rest.was_connected)
        found: bytes = await self._retry(attempts, lambda: self.rest.download(path))
        return found

    async def shut(self) -> None:
        """Closes socket and connections."""
        await self.feed.close()
        await self.rest.close()
