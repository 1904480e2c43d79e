"""The REST door as one FastAPI app, made from the table of operations: a route that is not there does not exist.

A request is answered in this order: path, key, budget, scope, args, operation. Answers are written by msgspec from the
structs of the wire; nothing is validated twice.
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Match, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.gateways.access import Access, Route, verify_complete
from exchange.gateways.limits import DoorBudgets, DoorLimits
from exchange.gateways.rest import asyncapi, docs_page
from exchange.gateways.rest.door import VISIT, Door, Visit
from exchange.gateways.rest.metrics import CONTENT_TYPE, Metrics
from exchange.gateways.rest.openapi import document
from exchange.gateways.rest.problems import JSON, Answer, problem
from exchange.gateways.rest.reading import Reader, one_header
from exchange.ports_access import FeedHistory, Principal, Reports
from exchange.protocol import strict_json
from exchange.protocol.answers_statements import StatementFile
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.operations import OPEN, OPERATIONS, OTHER_ROUTES, Operation

TITLE, SUMMARY = "CPX", "The open exchange for computing power"
STREAM_PATH = "/v1/stream"
NOBODY = Principal("", "nobody", frozenset())  # only ever given to what needs no key; not "", which is the operator

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Runs(Protocol):
    """What carries operations out: the dispatcher of both doors."""

    def run(
        self, principal: Principal, operation: Operation, args: Any, *,
        idempotency_key: str | None = None, valid_until: str | None = None, is_counted: bool = False,
    ) -> Awaitable[Any]: ...  # fmt: skip


class _HandlerRoute(APIRoute):
    """A FastAPI route whose endpoint takes the request and gives the response: nothing to solve, nothing to convert."""

    def get_route_handler(self) -> Handler:
        """The endpoint itself."""
        return self.endpoint


class _Doors(FastAPI):
    """The app, with the socket and the operations at fixed addresses beside it: what FastAPI and Starlette wrap around a
    route costs more than most of them."""

    stream: ASGIApp | None = None
    door: ASGIApp | None = None  # for what is in `fixed`
    fixed: Mapping[tuple[str, bytes], Handler] = MappingProxyType({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one socket."""
        if self.stream is not None and scope["type"] == "websocket" and scope["path"] == STREAM_PATH:
            await self.stream(scope, receive, send)
        elif self.door is not None and scope["type"] == "http" and _fixed_address(scope) in self.fixed:
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _fixed_address(scope: Scope) -> tuple[str, bytes]:
    return scope["method"], scope.get("raw_path") or b""


class _Fixed:
    """An ASGI app of handlers at fixed addresses."""

    def __init__(self, handlers: Mapping[tuple[str, bytes], Handler]) -> None:
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handlers[_fixed_address(scope)](Request(scope, receive))
        await response(scope, receive, send)


class _Socket:
    """An ASGI app as a route's endpoint (a bare function would be taken for another kind of endpoint)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@cache
def _policy(name: str, burst: int, rate: int) -> bytes:
    return f'"{name}";q={burst};w={-(-burst // rate)}'.encode("ascii")


class _Gate:
    """Who a request comes from, and whether he may ask now."""

    def __init__(self, access: Access, budgets: DoorBudgets) -> None:
        self._access, self._budgets = access, budgets

    def enter(self, request: Request, operation: Operation) -> Principal:
        """DoorError NO_KEY, WRONG_KEY, TOO_MANY_REQUESTS or WRONG_SCOPE."""
        principal = self.principal(request, operation.scope)
        if principal is NOBODY:
            return principal
        refusal = self._budgets.take(principal, operation)
        visit: Visit = request.scope[VISIT]
        room = self._budgets.room(principal, operation)
        if room is not None:
            visit.headers.append((b"ratelimit-policy", _policy(room.name, room.burst, room.rate)))
            visit.headers.append((b"ratelimit", f'"{room.name}";r={room.left};t={room.whole_s}'.encode("ascii")))
        if refusal is not None:
            raise refusal
        self._access.check(principal, operation)
        return principal

    def check_scope(self, principal: Principal, scope: str) -> None:
        """DoorError WRONG_SCOPE."""
        self._access.check_scope(principal, scope)

    def principal(self, request: Request, scope: str) -> Principal:
        """The holder of the key shown; NOBODY where none is shown and none needed."""
        address = request.client.host if request.client else ""
        told = one_header(request.scope, b"authorization")
        if told is None:
            refusal = self._budgets.take_keyless(address)
            if refusal is not None:
                raise refusal
            if scope == OPEN:
                return NOBODY
            raise DoorError(DoorReason.NO_KEY)
        kind, _, secret = told.partition(" ")
        try:
            return self._access.authenticate(secret.strip() if kind.lower() == "bearer" else "")
        except DoorError:
            refusal = self._budgets.wrong_key(address)
            if refusal is not None:
                raise refusal from None
            raise


def build_app(
    dispatcher: Runs,
    access: Access,
    metrics: Metrics,
    *,
    limits: DoorLimits,
    budgets: DoorBudgets,
    reports: Reports,
    history: FeedHistory,
    version: str = "0",
    stream: ASGIApp | None = None,
    stream_operations: Iterable[str] | None = None,
) -> FastAPI:
    """The app. stream: an ASGI app for sockets at /v1/stream, stream_operations: every operation it knows.

    PermissionTableError where a door and the permission table disagree.
    """
    app = _Doors(
        title=TITLE, version=version, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, debug=False
    )
    gate = _Gate(access, budgets)
    fixed: dict[tuple[str, bytes], Handler] = {}
    for operation in OPERATIONS.values():
        handler = _endpoint(operation, dispatcher, gate, limits)
        endpoint = _add(app, operation.method, operation.path, operation.name, handler)
        if "{" not in operation.path:
            fixed[operation.method, operation.path.encode("ascii")] = endpoint
    for (method, path), name, handler in _others(gate, metrics, reports, history, version):
        _add(app, method, path, name, handler)
    if stream is not None:
        app.router.routes.append(WebSocketRoute(STREAM_PATH, _Socket(stream), name="stream"))  # for the permission table
        app.stream = stream
    app.add_exception_handler(HTTPException, _not_routed(app, gate))
    app.add_middleware(Door, metrics=metrics, limits=limits)
    app.fixed, app.door = fixed, Door(_Fixed(fixed), metrics, limits)
    verify_complete(routes_of(app), stream_operations if stream is not None else None)
    return app


def routes_of(app: FastAPI) -> list[Route]:
    """(method, path) of everything the app answers."""
    found: list[Route] = []
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            found.append(("WEBSOCKET", route.path))
        else:
            methods = getattr(route, "methods", None) or {"*"}
            found += [(method, getattr(route, "path", "?")) for method in sorted(methods)]
    return found


def _add(app: FastAPI, method: str, path: str, name: str, handler: Handler) -> Handler:
    """A route; what answers at it."""

    async def endpoint(request: Request) -> Response:
        request.scope[VISIT].operation = name
        return await handler(request)

    app.router.add_api_route(
        path, endpoint, methods=[method], name=name, operation_id=name, include_in_schema=False,
        response_model=None, route_class_override=_HandlerRoute,
    )  # fmt: skip
    return endpoint


def _endpoint(operation: Operation, dispatcher: Runs, gate: _Gate, limits: DoorLimits) -> Handler:
    """Carries one operation out."""
    reader = Reader(operation, limits)
    is_page = "next_cursor" in operation.answer.__struct_fields__
    is_health = operation.name == "health"
    is_file = operation.answer is StatementFile

    async def handler(request: Request) -> Response:
        principal = gate.enter(request, operation)
        args = await reader.args(request.scope, request.receive)
        key = one_header(request.scope, b"idempotency-key")
        until = one_header(request.scope, b"cpx-valid-until")
        answer = await dispatcher.run(
            principal, operation, args, idempotency_key=key, valid_until=until, is_counted=True
        )  # fmt: skip
        headers = {"link": _next_link(request, answer.next_cursor)} if is_page and answer.next_cursor else None
        if is_file and one_header(request.scope, b"accept") != JSON:
            return _file(answer)
        status = 503 if is_health and answer.status != "ok" else 200
        return Answer(strict_json.encode(answer), status, headers)

    return handler


def _file(answer: StatementFile) -> Response:
    """The file itself; who asks for JSON gets the operation's answer."""
    headers = {"content-disposition": f'attachment; filename="{answer.filename}"'}
    return Answer(b64decode(answer.content_base64), 200, headers, answer.content_type)


def _next_link(request: Request, cursor: str) -> str:
    query = request.scope["query_string"].decode("ascii")
    pairs = [(name, text) for name, text in parse_qsl(query, keep_blank_values=True) if name != "cursor"]
    return f'<{request.scope["path"]}?{urlencode([*pairs, ("cursor", cursor)])}>; rel="next"'


def _others(
    gate: _Gate, metrics: Metrics, reports: Reports, history: FeedHistory, version: str
) -> list[tuple[Route, str, Handler]]:
    """What is not an operation: metrics, the API's description, report files, history files."""
    described = msgspec.json.encode(document(TITLE, version, SUMMARY))
    socket_described = msgspec.json.encode(asyncapi.document(TITLE, version, SUMMARY))

    def guarded(route: Route, handler: Handler) -> Handler:
        scope = OTHER_ROUTES.get(route, "operate")  # one that is missing there stops the start, below

        async def endpoint(request: Request) -> Response:
            principal = gate.principal(request, scope)
            gate.check_scope(principal, scope)
            return await handler(request)

        return endpoint

    async def metrics_text(_request: Request) -> Response:
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(_request: Request) -> Response:
        return Answer(described)

    async def asyncapi_document(_request: Request) -> Response:
        return Answer(socket_described)

    async def docs(_request: Request) -> Response:
        return docs_page.page()

    async def docs_file(request: Request) -> Response:
        found = docs_page.asset(request.path_params["file"])
        if found is None:
            raise DoorError(DoorReason.NOT_FOUND, "the page has no such file")
        return found

    async def report_file(request: Request) -> Response:
        name = request.path_params["file"]
        path = reports.file(request.path_params["report_id"], name)
        if path is None:
            raise DoorError(DoorReason.NOT_FOUND, "no such report file")
        return FileResponse(path, filename=name)

    async def history_file(request: Request) -> Response:
        day, channel = request.path_params["day"], request.path_params["channel"]
        path = history.file(day, channel)
        if path is None:
            hint = f"ask GET /v1/history/{day[:10]}/{channel[:16]} until it is ready"
            raise DoorError(DoorReason.NOT_FOUND, "this file is not made", hint=hint)
        return FileResponse(path, filename=path.name, media_type="application/vnd.apache.parquet")

    handlers: dict[Route, tuple[str, Handler]] = {
        ("GET", "/metrics"): ("metrics", metrics_text),
        ("GET", "/openapi.json"): ("openapi", openapi),
        ("GET", "/asyncapi.json"): ("asyncapi", asyncapi_document),
        ("GET", "/docs"): ("docs", docs),
        ("GET", "/docs/{file}"): ("docs_file", docs_file),
        ("GET", "/v1/reports/{report_id}/files/{file}"): ("report_file", report_file),
        ("GET", "/v1/history/{day}/{channel}/file"): ("history_file", history_file),
    }
    return [(route, name, guarded(route, handler)) for route, (name, handler) in handlers.items()]


def _not_routed(app: FastAPI, gate: _Gate) -> Callable[[Request, Exception], Response]:
    """What Starlette turns away: addresses that are none, and methods an address does not take. Asking counts as well."""

    def answer(request: Request, error: Exception) -> Response:
        gate.principal(request, OPEN)
        trace_id = request.scope[VISIT].trace_id
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404:
            return problem(DoorError(DoorReason.NOT_FOUND, "there is nothing at this address"), trace_id)
        if status == 405:
            allowed = ", ".join(sorted(_methods_of(app, request.scope)))
            return problem(DoorError(DoorReason.METHOD_NOT_ALLOWED), trace_id, {"allow": allowed})
        raise error

    return answer


def _methods_of(app: FastAPI, scope: Scope) -> set[str]:
    """The methods of an address: where a fixed one and one with an id in it both fit, those of the fixed one."""
    fitting = [each for each in app.routes if isinstance(each, APIRoute) and each.matches(scope)[0] is not Match.NONE]
    fixed = [route for route in fitting if "{" not in route.path]
    return {method for route in fixed or fitting for method in route.methods or ()}
