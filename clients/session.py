"""REST, and the only file that knows the HTTP library: one keep-alive session, the key in a header, faults sorted by meaning.

`NotSent`: it certainly did not arrive. `Lost`: it may have. `Turned`: the exchange said no. Whether to send again is
decided in clients.attempts, not here.
"""

import shlex
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import msgspec

from clients.attempts import Lost, NotSent, Turned
from clients.build import Call, HttpRequest, http_request
from clients.errors import ConfigError
from exchange.protocol.errors import Problem

MASKED = "Bearer ***"
KEEP_ALIVE_S = 4.0  # a little less than what servers keep an idle connection
CONNECTIONS = 20


class Sent(NamedTuple):
    """A request as it was really made, the key masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    def curl(self) -> str:
        """The same request as a command line; put the key in CPX_KEY."""
        parts = ["curl", "-X", self.method, self.url]
        for name, value in self.headers.items():
            parts += ["-H", f"{name}: {value}"]
        if self.body:
            parts += ["--data-raw", self.body.decode()]
        return shlex.join(parts).replace(f"'authorization: {MASKED}'", '"authorization: Bearer $CPX_KEY"')


OnRequest = Callable[[Sent], None]


def is_this_machine(url: str) -> bool:
    """Whether an address leads to this machine, so that no proxy belongs in between."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(url: str) -> str:
    """The address without a slash at its end; ConfigError where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} is no address of an exchange; write http://HOST:PORT")
    return url.rstrip("/")


class RestTransport:
    """Calls over HTTP. One event loop; connections are opened when they are needed."""

    def __init__(self, url: str, key: str, *, timeout_s: float, on_request: OnRequest | None = None) -> None:
        self.url = checked_url(url)
        self._key = key
        self._timeout_s = timeout_s
        self._on_request = on_request
        self._http: httpx2.AsyncClient | None = None
        self.was_connected = False

    async def send(self, call: Call) -> Any:
        """The decoded answer; NotSent, Lost or Turned."""
        response = await self._exchange(http_request(call))
        if response.status_code < HTTPStatus.BAD_REQUEST:
            try:
                return msgspec.json.decode(response.content)
            except msgspec.DecodeError as fault:
                raise Lost(f"the answer is no JSON: {fault}") from fault
        raise _turned(response)

    async def download(self, path: str) -> bytes:
        """A file; NotSent, Lost or Turned."""
        response = await self._exchange(HttpRequest("GET", path, {}, b""))
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise _turned(response)
        return bytes(response.content)

    async def close(self) -> None:
        """Closes all connections; the next call opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _exchange(self, request: HttpRequest) -> httpx2.Response:
        headers = dict(request.headers)
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        url = self.url + request.target
        if self._on_request is not None:
            shown = headers | ({"authorization": MASKED} if self._key else {})
            self._on_request(Sent(request.method, url, shown, request.body))
        try:
            response = await self._open().request(request.method, url, headers=headers, content=request.body or None)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as fault:
            raise NotSent(str(fault) or type(fault).__name__) from fault
        except httpx2.TimeoutException as fault:
            raise Lost(f"no answer within {self._timeout_s} s") from fault
        except httpx2.RequestError as fault:
            raise Lost(str(fault) or type(fault).__name__) from fault
        self.was_connected = True
        return response

    def _open(self) -> httpx2.AsyncClient:
        if self._http is None:
            self._http = httpx2.AsyncClient(
                timeout=httpx2.Timeout(self._timeout_s),
                limits=httpx2.Limits(
                    max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S
                ),
                trust_env=not is_this_machine(self.url),
                headers={"accept": "application/json", "user-agent": "cpx-sdk"},
            )
        return self._http


def _turned(response: httpx2.Response) -> Turned | Lost:
    """What an HTTP error says: a Problem of ours, or something in between that spoke for the exchange."""
    status = response.status_code
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Lost(f"HTTP {status} from something between here and the exchange")
        limited = status == HTTPStatus.TOO_MANY_REQUESTS
        problem = Problem(
            type="about:blank", title=f"HTTP {status}", status=status, code=716 if limited else 0,
            reason="TOO_MANY_REQUESTS" if limited else f"HTTP_{status}", retryable=limited, definite=True,
            detail=response.text[:200],
        )  # fmt: skip
    if not problem.retry_after_s:
        after = response.headers.get("retry-after", "")
        if after.isdigit():
            problem = msgspec.structs.replace(problem, retry_after_s=int(after))
    return Turned(problem)
