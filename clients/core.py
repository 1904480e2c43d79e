"""What all methods of the clients stand on: a call, its answer as a model, a refusal as an exception, pages as iterators."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

from msgspec import Struct

from clients import models, models_delivery, models_operator
from clients.attempts import Attempts, Fault
from clients.build import Call, args_of, call_of, needs_moment, operation_of
from clients.clock import VenueClock
from clients.errors import CpxError, ExchangeError, PermissionDenied, class_of, said
from clients.feed import Feed
from clients.model import Model, read_model
from clients.session import OnRequest, RestTransport
from clients.settings import find_access
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
    rooms = (models, models_delivery, models_operator)
    found = {}
    for name, operation in OPERATIONS.items():
        kind = operation.answer.__name__
        found[name] = next(getattr(room, kind) for room in rooms if hasattr(room, kind))
    return found


ANSWERS = _answers()


def refusal(operation: Operation, ack: models.Ack) -> CpxError:
    """The exception of an ack that says no."""
    kind = class_of(ack.code, ack.reason)
    text = said(f"{operation.name} was {ack.status.lower()}", ack.message, ack.hint) + f" [{ack.reason}]"
    return kind(text, code=ack.code, reason=ack.reason, hint=ack.hint, ack=ack)


class Core:
    """A client without its named methods; for one event loop, safe for many tasks."""

    def __init__(
        self, url: str | None = None, key: str | None = None, *, session: Transport = "rest", participant: str | None = None,
        timeout_s: float = 10, patience_s: float = 15, staleness_s: float = 3, valid_for_s: int | None = VALID_FOR_S,
        on_request: OnRequest | None = None,
    ) -> None:  # fmt: skip
        """Address and key: arguments, CPX_URL and CPX_KEY, or client.toml.

        session: what requests go over. participant: whom to act for with a key of the operator. timeout_s: for one
        attempt; patience_s: for all attempts of a call. staleness_s: so long may the socket be silent. valid_for_s: a
        command that comes later than this (by the venue's clock) is not executed; None = whenever it comes.
        on_request: told every REST request as it is sent.
        """
        access = find_access(url, key)
        self.url, self.participant = access.url, participant
        self._patience_s, self._valid_for_s = patience_s, valid_for_s
        self.clock = VenueClock()
        self.rest = RestTransport(access.url, access.key, timeout_s=timeout_s, on_request=on_request)
        self.feed = Feed(
            access.url, access.key, timeout_s=timeout_s, staleness_s=staleness_s, on_time=self.clock.hear
        )  # fmt: skip
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
        valid_until = await self._valid_until()
        call = call_of(operation, args, idempotency_key=idempotency_key, valid_until=valid_until)
        ack = read_model(models.Ack, await self._attempt(call))
        if ack.reason == "EXPIRED_COMMAND" and valid_until is not None:
            # Our idea of the venue's time was too old. Nothing was executed and the id is free: once more, by its clock.
            await self.learn_clock()
            call = call._replace(valid_until=await self._valid_until())
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

    async def _valid_until(self) -> str | None:
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
        return self.clock.after_s(self._valid_for_s)

    async def _attempt(self, call: Call) -> Any:
        """The decoded answer of a call."""
        return await self._retry(call, self._sender, lambda: self._sender.send(call))

    async def _retry(self, call: Call, sender: _Sender, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What `send` brings, tried as often as clients.attempts allows."""
        attempts = Attempts(call, patience_s=self._patience_s, was_connected=sender.was_connected)
        started_s = time.monotonic()
        while True:
            try:
                return await send()
            except Fault as fault:
                wait_s = attempts.after(fault, time.monotonic() - started_s, random.random())
            await asyncio.sleep(wait_s)

    async def download_report(self, report_id: str, file: str) -> bytes:
        """A file of a report run; always over REST."""
        path = f"/v1/reports/{quote(report_id, safe='')}/files/{quote(file, safe='')}"
        call = call_of(OPERATIONS["report"], args_of(OPERATIONS["report"], {"report_id": report_id}))
        found: bytes = await self._retry(call, self.rest, lambda: self.rest.download(path))
        return found

    async def shut(self) -> None:
        """Closes socket and connections."""
        await self.feed.close()
        await self.rest.close()
