"""The server library's HTTP protocol with two promises more, to be given to uvicorn as its `http` class.

Who connects and says nothing, or says it a byte at a time, is let go; and there are never more connections than files that
this process may open, so that strangers cannot keep the journal and the database from opening theirs.
"""

import resource
from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exchange.gateways.limits import DoorLimits
from exchange.gateways.rest.problems import PROBLEM
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.strict_json import encode

FILES_OF_OUR_OWN = 128  # journal, database, keys, reports, pipes


class DoorProtocol(HttpToolsProtocol):
    """One connection, until it becomes a socket or ends; `protocol_for` makes the class with limits."""

    head_s = 0
    most = 0  # connections of all
    _late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Somebody has connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(_FULL)
            transport.close()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come; what comes after our last word is not read."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        is_answered = self.cycle is not None and self.cycle.response_complete
        if is_answered and self.timeout_keep_alive_task is None and self in self.connections:
            self._expect_head()  # the rest of a body that nobody wants any more may not take for ever either

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The headers of a request are here."""
        self._head_is_here()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_s, self.transport.abort)

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def protocol_for(limits: DoorLimits) -> type[DoorProtocol]:
    """The class for uvicorn's `http`."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    values: dict[str, Any] = {"head_s": limits.head_s, "most": most_connections(limits.tcp_connections, files)}
    return type("LimitedDoorProtocol", (DoorProtocol,), values)


def most_connections(asked: int, files: int) -> int:
    """How many connections there may be where a process may open so many files; files < 0: no limit."""
    return asked if files < 0 else max(1, min(asked, files - FILES_OF_OUR_OWN))


def _full() -> bytes:
    told = DoorError(DoorReason.TOO_MANY_CONNECTIONS, "all connections are in use", limit="tcp_connections", retry_after_s=1)
    problem = told.problem()
    body = encode(problem)
    head = (
        f"HTTP/1.1 {problem.status} Too Many Requests\r\ncontent-type: {PROBLEM}\r\ncontent-length: {len(body)}\r\n"
        f"retry-after: {problem.retry_after_s}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


_FULL = _full()
