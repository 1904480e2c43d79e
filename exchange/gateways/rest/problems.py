"""Answers of the REST door as bytes: what was asked for, or a problem (RFC 9457)."""

from collections.abc import Mapping

from starlette.responses import Response

from exchange.protocol import strict_json
from exchange.protocol.errors import DOOR_RULES, DoorError, DoorReason

JSON = "application/json"
PROBLEM = "application/problem+json"


class Answer(Response):
    """Bytes that are JSON already."""

    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = JSON) -> None:
        if headers:
            super().__init__(body, status, headers, kind)
            return
        self.status_code, self.body, self.background = status, body, None  # as the library does, at a third of its cost
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", kind.encode("ascii"))]


def problem(error: DoorError, trace_id: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to a request that is turned away."""
    more = dict(headers or {})
    if error.retry_after_s:
        more["retry-after"] = str(error.retry_after_s)
    status = DOOR_RULES[error.reason].status
    if status == 401:
        more["www-authenticate"] = "Bearer"
    if error.reason is DoorReason.BODY_TOO_LARGE:
        more["connection"] = "close"  # the rest of the body is not read
    return Answer(strict_json.encode(error.problem(trace_id)), status, more, PROBLEM)
