"""The outermost layer of the REST door: pure ASGI, around every HTTP request; sockets pass untouched.

It gives each request a trace id, settles the path, adds security headers, counts, and turns whatever is raised inside into
a problem: what we foresaw by its reason, anything else into INTERNAL with the trace id, and one line in the log. Neither
the log nor the answer ever holds a secret or a stack trace.
"""

import json
import logging
import secrets
from time import perf_counter_ns
from traceback import format_tb
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.gateways.limits import DoorLimits
from exchange.gateways.rest.metrics import Metrics
from exchange.gateways.rest.problems import problem
from exchange.gateways.rest.reading import ClientGone, routable_path
from exchange.protocol.errors import DoorError, DoorReason

LOG = logging.getLogger("cpx.rest")
VISIT = "cpx.visit"
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
)
NOWHERE = "/\x1f"  # no route has it
API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Visit:
    """What is known of a request while it is answered."""

    __slots__ = ("headers", "is_started", "operation", "status", "trace_id")

    def __init__(self) -> None:
        self.trace_id = secrets.token_hex(8)
        self.operation = "other"  # a name of the table, so that metrics stay few
        self.status = 0
        self.is_started = False
        self.headers: list[tuple[bytes, bytes]] = []  # added to the answer, whatever it will be


class Door:
    """The ASGI app around the FastAPI app."""

    def __init__(self, app: ASGIApp, metrics: Metrics, limits: DoorLimits) -> None:
        self._app, self._metrics, self._limits = app, metrics, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; never raises for anything that a client sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_ns = perf_counter_ns()
        visit = scope[VISIT] = Visit()

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.is_started, visit.status = True, message["status"]
                headers = message["headers"] = [*message.get("headers", ()), *visit.headers, *ALWAYS]
                headers.append((b"x-trace-id", visit.trace_id.encode("ascii")))
                if not any(name == API_POLICY[0] for name, _ in headers):
                    headers.append(API_POLICY)
            await send(message)

        try:
            await self._answer(scope, receive, send_more, visit)
        finally:
            self._metrics.seen(visit.operation, visit.status, perf_counter_ns() - started_ns)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        try:
            self._settle_path(scope)
            await self._app(scope, receive, send)
        except DoorError as error:
            visit.trace_id = error.trace_id or visit.trace_id  # one name for a fault that is in the log already
            if error.reason is DoorReason.INTERNAL:
                LOG.error(_log_line(error, scope, visit))
            await problem(error, visit.trace_id)(scope, receive, send)
        except ClientGone:
            visit.status = 499
        except Exception as error:
            LOG.error(_log_line(error, scope, visit))
            if visit.is_started:  # too late to say it: the connection breaks off, so that nobody takes half for all
                raise
            fault = DoorError(DoorReason.INTERNAL)
            await problem(fault, visit.trace_id)(scope, receive, send)

    def _settle_path(self, scope: Scope) -> None:
        raw = scope.get("raw_path") or scope["path"].encode("utf-8")
        if len(raw) + len(scope["query_string"]) > self._limits.target_bytes:
            detail = f"path and query have more than {self._limits.target_bytes} bytes"
            raise DoorError(DoorReason.BODY_TOO_LARGE, detail, limit="target_bytes")
        scope["path"] = routable_path(raw) or NOWHERE


def _log_line(error: Exception, scope: Scope, visit: Visit) -> str:
    """One JSON line; the frames of the stack without the values in them."""
    told: dict[str, Any] = {
        "trace_id": visit.trace_id,
        "operation": visit.operation,
        "method": scope["method"],
        "error": type(error).__name__,
        "message": str(error)[:500],
        "stack": "".join(format_tb(error.__traceback__))[-4000:],
    }
    return json.dumps(told)
