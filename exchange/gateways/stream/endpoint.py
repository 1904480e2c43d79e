"""The ASGI callable of /v1/stream: who may connect, how many, and the heartbeat of all.

Pure ASGI, so that no middleware stands between a handshake and the market; once it is accepted, frames go straight from
the protocol to the connection. Run uvicorn with `ws=StreamProtocol`, `ws_max_size=limits.frame_bytes`, pings each 20 s and
no compression: a compressed socket costs hundreds of KiB.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, MutableMapping
from functools import partial
from random import randrange
from time import monotonic_ns, time_ns
from typing import Any
from urllib.parse import urlsplit

from exchange.engine.feed_source import FeedSource
from exchange.gateways.access import Access
from exchange.gateways.dispatch import Dispatcher
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.stream.connection import Connection
from exchange.gateways.stream.ledger import Ledgers
from exchange.gateways.stream.session import HEARTBEAT_S, Session
from exchange.gateways.stream.stats import StreamStats
from exchange.gateways.stream.transport import WIRE
from exchange.ports_access import Principal
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import encode_as
from exchange.protocol.stream import CLOSE_FAULT, CLOSE_GOING_AWAY, ServerShutdown
from exchange.protocol.strict_json import encode

Scope = MutableMapping[str, Any]
COME_BACK_MS = 1_000  # a restart takes no less
COME_BACK_SPREAD_MS = 10_000  # and they shall not all come at once


class StreamDoor:
    """All sockets of one exchange; the object itself is the ASGI callable. Lives on the writer's loop."""

    def __init__(
        self, dispatcher: Dispatcher, access: Access, budgets: DoorBudgets, limits: DoorLimits, market: FeedSource, *,
        allowed_origins: Collection[str] = (), now_ns: Callable[[], int] = monotonic_ns,
        server_ts_ns: Callable[[], int] = time_ns, stats: StreamStats | None = None,
    ) -> None:  # fmt: skip
        """allowed_origins: of browsers, beside the server's own, as in the header Origin."""
        self.dispatcher, self.limits, self.market = dispatcher, limits, market
        self.stats = stats or StreamStats()
        self.now_ns, self.server_ts_ns = now_ns, server_ts_ns
        self._access, self._budgets = access, budgets
        self._allowed_origins = frozenset(allowed_origins)
        self._connections: dict[int, Connection] = {}
        self._ledgers = Ledgers(limits.sessions)
        self._to_flush: list[Connection] = []  # at the end of the loop's turn
        self._of_key: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()  # sockets that have not logged in, by address
        self._is_closing = False
        self._beating: asyncio.TimerHandle | None = None
        market.on_fault = self.end_all

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """One connection, from handshake to end."""
        connect = await receive()
        if connect["type"] != "websocket.connect":
            return
        refusal = self._refuse(scope)
        if refusal is not None:
            self.stats.refused += 1
            await _send_refusal(refusal, scope, send)
            return
        wire = scope.get("extensions", {}).get(WIRE)
        assert wire is not None, "the server must be run with ws=StreamProtocol"
        address = _address(scope)
        self._strangers[address] += 1
        self.stats.connections += 1
        try:
            await send({"type": "websocket.accept"})
        except OSError:
            self._no_stranger(address)  # gone in the handshake
            self.stats.connections -= 1
            return
        session = Session(self._access, self._budgets, self.limits, address, partial(self._admit, address), self._ledgers)
        self.stats.opened += 1
        number = self.stats.opened
        connection = self._connections[number] = Connection(self, session, number, wire)
        wire.attach(connection, self.limits.frame_bytes)
        self._keep_beating()
        if not wire.is_open:
            connection.on_lost()

    def has_something(self, connection: Connection) -> None:
        """Its `flush` is called at the end of the loop's turn, with all others'."""
        self._to_flush.append(connection)
        if len(self._to_flush) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    @property
    def is_behind(self) -> bool:
        """Whether any client has something yet to take."""
        return any(connection.is_waiting for connection in self._connections.values())

    @property
    def has_followers(self) -> bool:
        """Whether anybody follows anything but heartbeats."""
        return any(connection.outbox.subscriptions for connection in self._connections.values())

    def end_all(self) -> None:
        """After a fault of ours in the feeds: nobody may take silence for a quiet market."""
        for connection in list(self._connections.values()):
            connection.close(CLOSE_FAULT, "INTERNAL")

    def shut_down(self) -> None:
        """Before the server stops: everybody is told to come back later, and nobody is let in."""
        self._is_closing = True
        for connection in list(self._connections.values()):
            told = ServerShutdown(
                at_ns=str(self.server_ts_ns()), reconnect_to=None,
                reconnect_after_ms=COME_BACK_MS + randrange(COME_BACK_SPREAD_MS),
            )  # fmt: skip
            connection.close(CLOSE_GOING_AWAY, "SHUTTING_DOWN", encode_as(connection.session.fmt, told))

    # --- who may connect ---

    def _refuse(self, scope: Scope) -> DoorError | None:
        if scope.get("query_string"):  # addresses are logged on the way, so a key must never be in one
            return DoorError(DoorReason.INVALID_FIELD, "this address takes no query: log in with the first frame")
        if self._is_closing:
            return DoorError(DoorReason.SHUTTING_DOWN, retry_after_s=1)
        if self.stats.connections >= self.limits.connections:
            return DoorError(DoorReason.TOO_MANY_CONNECTIONS, limit="connections", retry_after_s=1)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"origin", b"host")}
        origin = headers.get(b"origin")
        is_welcome = origin is None or origin in self._allowed_origins or _host_of(origin) == headers.get(b"host", "") != ""
        if not is_welcome:
            return DoorError(DoorReason.WRONG_SCOPE, "pages of other sites may not connect", field="origin", hint="see Origin")
        if self._strangers[_address(scope)] >= self.limits.logins_at_once:
            detail = "too many sockets of this address have not logged in yet"
            return DoorError(DoorReason.TOO_MANY_CONNECTIONS, detail, limit="logins_at_once", retry_after_s=1)
        return self._budgets.take_keyless(_address(scope))  # given back at the login

    def _admit(self, address: str, principal: Principal) -> DoorError | None:
        if self._of_key[principal.key_id] >= self.limits.connections_per_key:
            others = [
                str(each.number) for each in self._connections.values()
                if each.session.principal is not None and each.session.principal.key_id == principal.key_id
            ]  # fmt: skip
            detail = f"this key has {len(others)} connections: sessions {', '.join(others[:20])}"
            return DoorError(DoorReason.TOO_MANY_CONNECTIONS, detail, limit="connections_per_key")
        self._of_key[principal.key_id] += 1
        self._no_stranger(address)
        self._budgets.keyless_no_more(address)
        return None

    def _no_stranger(self, address: str) -> None:
        self._strangers[address] -= 1
        if not self._strangers[address]:
            del self._strangers[address]

    def forget(self, connection: Connection) -> None:
        """It has ended."""
        del self._connections[connection.number]
        self.stats.connections -= 1
        principal = connection.session.principal
        if principal is None:
            self._no_stranger(connection.address)
        else:
            self._of_key[principal.key_id] -= 1
            if not self._of_key[principal.key_id]:
                del self._of_key[principal.key_id]

    # --- heartbeat ---

    def _keep_beating(self) -> None:
        if self._beating is None:
            self._beating = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def _beat(self) -> None:
        self._beating = None
        self.market.look()
        for connection in list(self._connections.values()):
            connection.beat()
        if self._connections:
            self._keep_beating()


def _host_of(origin: str) -> str:
    """Host and port of an Origin header; "" where it is no address at all."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _send_refusal(no: DoorError, scope: Scope, send: Any) -> None:
    """A problem instead of a handshake, where the server can send one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": no.reason.name})
        return
    problem = no.problem()
    headers = [(b"content-type", b"application/problem+json")]
    if no.retry_after_s:
        headers.append((b"retry-after", str(no.retry_after_s).encode()))
    await send({"type": "websocket.http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode(problem)})
