"""The socket: one connection that logs in, comes back by itself and goes on where it was.

Subscriptions survive a disconnect: each is asked for again from its place on. Requests do not: who waits for an answer is
told that it is lost, and clients.attempts decides. Silence for longer than `staleness_s` (heartbeats come each second)
counts as a disconnect; what comes late is kept, but nothing is current while it is late (clients.freshness). Reconnects wait
longer each time, by a random part, so that clients do not come back as a herd.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed, WebSocketException

from clients.attempts import Fault, Lost, NotSent, Turned, error_of
from clients.build import Call, frame_of
from clients.chain import State
from clients.errors import AuthenticationError, BadAnswer, CpxError, ExchangeNotAvailable, PermissionDenied
from clients.freshness import Freshness
from clients.pace import Backoff, Pace
from clients.session import checked_url, is_this_machine
from clients.subscriptions import Listener, Subscription, Subscriptions
from exchange.protocol.stream import (
    Closed,
    Delta,
    Failure,
    Heartbeat,
    Lagged,
    Pong,
    Result,
    ServerShutdown,
    Snapshot,
    Subscribed,
    Unsubscribe,
    Welcome,
)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
Wire = Literal["json", "msgpack"]
_KINDS = Result | Failure | Snapshot | Delta | Heartbeat | Lagged | Closed | ServerShutdown
_DECODERS: dict[str, Any] = {"json": msgspec.json.Decoder(_KINDS), "msgpack": msgspec.msgpack.Decoder(_KINDS)}
_ENCODE: dict[str, Callable[[Any], bytes]] = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}


def socket_url(url: str) -> str:
    """Where the socket of an exchange is."""
    return "ws" + checked_url(url).removeprefix("http") + "/v1/stream"


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


class Feed:
    """One socket session of one key. For one event loop; started by its first use."""

    def __init__(
        self, url: str, key: str, *, timeout_s: float, staleness_s: float,
        on_time: Callable[[int], None] | None = None, backoff: Backoff | None = None, wire: Wire = "json",
        cancel_on_disconnect: bool = False,
    ) -> None:  # fmt: skip
        """on_time: told the venue's time (ns) whenever the exchange says it; backoff: how long between connections.

        wire: how messages are written, both ways. cancel_on_disconnect: the exchange takes back what was placed over a
        connection when it ends.
        """
        self.url = socket_url(url)
        self._timeout_s, self.staleness_s = timeout_s, staleness_s
        self._decode, self._encode, self._is_text = _DECODERS[wire].decode, _ENCODE[wire], wire == "json"
        self._login = {"key": key, **({"cancel_on_disconnect": True} if cancel_on_disconnect else {})}
        self._away_s: float | None = None  # when the exchange said that it goes down: how long to wait
        self._on_time = on_time or (lambda _ts_ns: None)
        self._task: asyncio.Task[None] | None = None
        self._connection: ws.ClientConnection | None = None
        self._is_open = asyncio.Event()  # logged in, or failed for good
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._asked: dict[int, Subscription] = {}
        self._number = 0
        self._pace, self._backoff = Pace(), backoff or Backoff()
        self._freshness = Freshness(staleness_s)
        self._has_trouble = False  # when its listeners were told last
        self._may_be_silent = False  # no heartbeat was granted
        self.subscriptions = Subscriptions(self._ask)
        self.lock = threading.RLock()  # held while a message is worked in: looks from other threads see all of it or nothing
        self.last_heard_s = 0.0
        self.problem: Exception = ExchangeNotAvailable("not connected yet")
        self.failed: CpxError | None = None  # why it will not come back
        self._tasks: set[asyncio.Task[None]] = set()
        self.welcome: Welcome | None = None
        self.was_connected = False
        self.connections = 0  # made so far

    # --- use ---

    @property
    def is_live(self) -> bool:
        """Whether it is logged in, and what comes is of now."""
        return self._connection is not None and self.welcome is not None and not self.trouble

    @property
    def is_silent(self) -> bool:
        """Whether the exchange should have been heard of and was not."""
        is_open = self.welcome is not None and not self._may_be_silent
        return is_open and time.monotonic() - self.last_heard_s > self.staleness_s

    @property
    def trouble(self) -> str:
        """Why nothing that came over this connection is provably current; "" where all is well."""
        return self._freshness.trouble

    def start(self) -> None:
        """Connects, and from then on comes back whenever it is cut off."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="cpx-feed")
            self._task.add_done_callback(self._ended)

    async def send(self, call: Call) -> Any:
        """The decoded result of a call; NotSent, Lost or Turned, or why the feed has ended for good.

        Calls made one after the other are sent in that order.
        """
        connection = self._connection if self._is_open.is_set() else None
        if connection is None or self.welcome is None:
            connection = await self._opened()
        wait_s = self._pace.wait_s()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        number = self._next()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    await connection.send(self._encode(frame_of(call, number)), text=self._is_text)
                except ConnectionClosed as fault:
                    raise Lost(f"the connection has closed: {fault}") from fault
                return await future
        except TimeoutError as fault:
            raise Lost(f"no answer within {self._timeout_s} s") from fault
        finally:
            self._pending.pop(number, None)

    def follow(self, channel: str, name: str, listener: Listener) -> Subscription:
        """Subscribes; the listener is called from now on."""
        self.start()
        subscription, is_new = self.subscriptions.add(channel, name, listener)
        if is_new and self.welcome is not None:
            self._ask(subscription)
        return subscription

    def unfollow(self, subscription: Subscription, listener: Listener) -> None:
        """The listener is not called any more; the last one ends the subscription."""
        if not self.subscriptions.remove(subscription, listener) or self.welcome is None:
            return
        name = subscription.name or None
        is_user = subscription.channel == "user"
        self._post(
            "unsubscribe",
            Unsubscribe(
                channel=subscription.channel, instrument=None if is_user else name, participant=name if is_user else None
            ),
        )

    def ask_again(self, subscription: Subscription) -> None:
        """Asks for a subscription that is out of step."""
        subscription.tell_change()
        self._ask(subscription)

    def ask_anew(self, subscription: Subscription) -> None:
        """Asks for a snapshot in place of what is missing."""
        subscription.chain.forget("a new snapshot was asked for")
        self.ask_again(subscription)

    async def close(self) -> None:
        """Ends the session."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._drop("closed by the client")

    async def _opened(self) -> ws.ClientConnection:
        """The connection once it is logged in; NotSent where it does not come in time."""
        self.start()
        try:
            async with asyncio.timeout(self._timeout_s):
                while self.failed is None:
                    await self._is_open.wait()
                    if self._connection is not None and self.welcome is not None:
                        return self._connection
                    if self.failed is None and not self.was_connected:
                        raise NotSent(str(self.problem)) from self.problem
        except TimeoutError:
            raise NotSent(str(self.problem)) from self.problem
        assert self.failed is not None
        raise self.failed

    # --- the connection ---

    async def _run(self) -> None:
        while self.failed is None:
            started_s = time.monotonic()
            try:
                async with ws.connect(
                    self.url, compression=None, max_size=MAX_MESSAGE_BYTES, open_timeout=self._timeout_s, close_timeout=1,
                    proxy=None if is_this_machine(self.url) else True, user_agent_header="cpx-sdk",
                ) as connection:  # fmt: skip
                    await self._session(connection)
            except Turned as fault:
                self.problem = error_of(fault.problem)
                if isinstance(self.problem, AuthenticationError | PermissionDenied):
                    self.failed = self.problem
            except (OSError, WebSocketException, Fault) as fault:
                self.problem = fault
            self._drop(f"disconnected: {self.problem}")
            if self.failed is not None:
                return
            if not self.was_connected:
                self._is_open.set()  # who waits for the very first connection is told that it did not come
            if time.monotonic() - started_s > self.staleness_s:
                self._backoff.reset()
            told_s, self._away_s = self._away_s, None
            await asyncio.sleep(self._backoff.next_s() if told_s is None else told_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The feed will not come back: everybody who waits is told why."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.failed = BadAnswer(f"a message of the exchange could not be handled: {fault!r}")
            self.failed.__cause__ = fault
            self._drop(str(self.failed))
        if self.failed is not None:
            self._is_open.set()
            self.subscriptions.lost(str(self.failed))

    async def _session(self, connection: ws.ClientConnection) -> None:
        """From login to the end of the connection."""
        await connection.send(self._encode({"op": "login", "id": 0, "args": self._login}), text=self._is_text)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = self._decode(_bytes(await connection.recv()))
        except TimeoutError:
            raise Lost("no answer to the login") from None
        if isinstance(answer, Failure):
            raise Turned(answer.error)
        if isinstance(answer, ServerShutdown):
            self._obey(answer)
            raise Lost("the exchange went down during the login")
        welcome = msgspec.convert(answer.result, Welcome)
        self._heard()
        self._connection, self._may_be_silent = connection, False
        self._freshness.begin()
        self.subscriptions.own = welcome.participant
        self._on_time(int(welcome.ts_ns))
        limits = welcome.limits if welcome.participant else {}
        self._pace.allow(limits.get("frame_rate", 0), limits.get("frame_burst", 0))
        self.welcome, self.was_connected = welcome, True
        self.connections += 1
        self._is_open.set()
        self._post("subscribe", {"channel": "heartbeat"}, self._on_heartbeat_answered)  # first: nothing is current without
        self._ask_for_time()
        for subscription in self.subscriptions:
            if subscription.chain.state is not State.CLOSED:
                self._ask(subscription)
        watchdog = asyncio.create_task(self._watch(connection))
        try:
            async for text in connection:
                self._heard()
                with self.lock:
                    self._on_message(text)
            raise Lost("the exchange has closed the connection")
        finally:
            watchdog.cancel()

    async def _watch(self, connection: ws.ClientConnection) -> None:
        """Cuts a connection that has gone mute; a loop that was blocked by somebody else is no silence."""
        tick_s = self.staleness_s / 4
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(tick_s)
            was_blocked = time.monotonic() - before_s > 2 * tick_s
            self._tell_trouble()
            if self.is_silent and not was_blocked:
                self.subscriptions.lost(f"nothing was heard for {self.staleness_s} s")
                connection.transport.abort()
                return

    def _drop(self, why: str) -> None:
        """What a lost connection means for everybody."""
        self._connection = self.welcome = None
        self._is_open.clear()
        pending, self._pending = self._pending, {}
        self._asked.clear()
        for future in pending.values():
            if not future.done():
                future.set_exception(Lost(why))
        self.subscriptions.lost(why)

    # --- messages ---

    def _heard(self) -> None:
        self.last_heard_s = time.monotonic()

    def _on_message(self, text: str | bytes) -> None:
        try:
            message = self._decode(_bytes(text))
        except msgspec.ValidationError:
            return  # a kind of message of a newer exchange
        kind = type(message)
        if kind is Delta:
            self.subscriptions.on_delta(message)
        elif kind is Result:
            self._on_answer(message.id, message.result, None)
        elif kind is Failure:
            self._on_answer(message.id, None, message)
        elif kind is Snapshot:
            self.subscriptions.on_snapshot(message)
        elif kind is Heartbeat:
            self._on_time(int(message.ts_ns))
            self._freshness.beat(int(message.server_ts_ns), message.queued)
            self._ask_for_time()
            self.subscriptions.on_heartbeat(message)
            self._tell_trouble()
        elif kind is Closed:
            self.subscriptions.on_closed(message)
        elif kind is ServerShutdown:
            self._obey(message)
        elif kind is Lagged:
            self.subscriptions.lost("we read too slowly")

    def _obey(self, message: ServerShutdown) -> None:
        self._away_s = max(0, message.reconnect_after_ms) / 1000

    def _on_answer(self, number: Any, result: Any, failure: Failure | None) -> None:
        subscription = self._asked.pop(number, None)
        if subscription is not None:
            if failure is None:
                self.subscriptions.on_subscribed(subscription, msgspec.convert(result, Subscribed))
            else:
                self._on_refused(subscription, error_of(failure.error))
            return
        future = self._pending.pop(number, None)
        if future is not None and not future.done():
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(Turned(failure.error))

    def _on_refused(self, subscription: Subscription, error: CpxError) -> None:
        self.subscriptions.on_refused(subscription, error)
        if subscription.chain.state is State.OUT:
            wait_s = max(1, error.retry_after_s) * (1 + random.random())  # not all of them at the same moment
            asyncio.get_running_loop().call_later(wait_s, self._ask_if_out, subscription, self.connections)

    def _ask_if_out(self, subscription: Subscription, connection: int) -> None:
        with self.lock:
            is_same = connection == self.connections and self.welcome is not None  # a new one has asked for everything anyway
            if is_same and subscription.listeners and subscription.chain.state is State.OUT:
                self._ask(subscription)

    def _on_heartbeat_answered(self, future: asyncio.Future[Any]) -> None:
        fault = None if future.cancelled() else future.exception()
        if isinstance(fault, Turned):
            # A key without the scope read gets none; then only the library's own pings tell that the connection is dead.
            self._may_be_silent = True
            self._freshness.refuse(str(error_of(fault.problem)))
            self._tell_trouble()

    def _ask_for_time(self) -> None:
        """Asks what time it is there, where that is not known well enough."""
        if not self._freshness.must_ask:
            return
        asked_ns = self._freshness.ask()

        def answered(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is None:
                with self.lock:
                    self._freshness.answer(asked_ns, int(msgspec.convert(future.result(), Pong).server_ts_ns))
                    self._tell_trouble()

        self._post("ping", {}, answered)

    def _tell_trouble(self) -> None:
        """Tells everybody when what they have is no longer provably current, or is again."""
        has_trouble = bool(self.trouble)
        if has_trouble != self._has_trouble:
            self._has_trouble = has_trouble
            for subscription in self.subscriptions:
                subscription.tell_change()

    def _ask(self, subscription: Subscription) -> None:
        """Asks for a subscription, from its place on."""
        if self.welcome is None:
            return
        number = self._post("subscribe", subscription.request())
        self._asked[number] = subscription

    def _post(self, op: str, args: Any, on_done: Callable[[asyncio.Future[Any]], None] | None = None) -> int:
        """Sends a request of the session's own, in order, without waiting for anything."""
        number = self._next()
        if on_done is not None:
            future = self._pending[number] = asyncio.get_running_loop().create_future()
            future.add_done_callback(on_done)
        frame = self._encode({"op": op, "id": number, "args": args})
        task = asyncio.get_running_loop().create_task(self._push(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return number

    async def _push(self, frame: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):  # the reading side is told as well
                await self._connection.send(frame, text=self._is_text)

    def _next(self) -> int:
        self._number += 1
        return self._number
