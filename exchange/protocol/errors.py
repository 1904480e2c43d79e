"""Why a door says no before the venue is asked (stage 7), and the one shape of every error: RFC 9457 with a stable code.

A refusal by the venue is no error: the command was numbered, and its answer carries the venue's reason. `KEY_REUSED` is
the one exception (409), since nothing of the new command was executed.
"""

from enum import IntEnum
from typing import NamedTuple

import msgspec

STAGE = 7


class DoorReason(IntEnum):
    """Stage 7, on a Problem; wire code = 700 + value."""

    MALFORMED_JSON = 1
    INVALID_FIELD = 2
    BODY_TOO_LARGE = 3
    UNSUPPORTED_MEDIA_TYPE = 4
    NO_KEY = 5
    WRONG_KEY = 6
    WRONG_SCOPE = 7
    NOT_FOUND = 8
    METHOD_NOT_ALLOWED = 9
    KEY_REUSED = 10
    IDEMPOTENCY_KEY_MISSING = 11
    BUSY = 12
    HALTED = 13
    OUTCOME_UNKNOWN = 14
    BEHIND = 15
    TOO_MANY_REQUESTS = 16
    TOO_MANY_SUBSCRIPTIONS = 17
    TOO_MANY_CONNECTIONS = 18
    UNKNOWN_OPERATION = 19
    UNKNOWN_CHANNEL = 20
    NOT_LOGGED_IN = 21
    BAD_CURSOR = 22
    CLOCK_NOT_MANUAL = 23
    INTERNAL = 24
    SLOW_CONSUMER = 25
    SHUTTING_DOWN = 26
    VALID_UNTIL_TOO_FAR = 27
    REFUSED = 28
    BAD_SIGNATURE = 29
    FEED_ONLY = 30
    SESSION_TAKEN = 31
    READ_ONLY = 32


class DoorRule(NamedTuple):
    """What a reason means: HTTP status, whether the same request may succeed later, whether nothing was executed."""

    status: int
    retryable: bool
    definite: bool
    title: str
    hint: str


DOOR_RULES: dict[DoorReason, DoorRule] = {
    DoorReason.MALFORMED_JSON: DoorRule(
        400, False, True, "the body is not acceptable JSON",
        "send one UTF-8 JSON object without doubled keys, floats, NaN or lone surrogates",
    ),
    DoorReason.INVALID_FIELD: DoorRule(422, False, True, "a field is missing, unknown or out of range", "mend the field named"),
    DoorReason.BODY_TOO_LARGE: DoorRule(413, False, True, "the request is too large", "see /v1/limits"),
    DoorReason.UNSUPPORTED_MEDIA_TYPE: DoorRule(
        415, False, True, "the body is not JSON", "send content-type: application/json"
    ),
    DoorReason.NO_KEY: DoorRule(
        401, False, True, "a key is needed", "send authorization: Bearer <secret>; make one with cpx keys"
    ),
    DoorReason.WRONG_KEY: DoorRule(401, False, True, "the key is unknown, revoked or expired", "make a new one with cpx keys"),
    DoorReason.WRONG_SCOPE: DoorRule(403, False, True, "the key may not do this", "use a key with the scope named"),
    DoorReason.NOT_FOUND: DoorRule(404, False, True, "there is no such thing, or it is not yours", "check the name"),
    DoorReason.METHOD_NOT_ALLOWED: DoorRule(405, False, True, "this address does not take this method", "see /docs"),
    DoorReason.KEY_REUSED: DoorRule(
        409, False, True, "this id was used before with other content", "use a new id, or send the first content again"
    ),
    DoorReason.IDEMPOTENCY_KEY_MISSING: DoorRule(
        400, False, True, "an Idempotency-Key is needed here", "send a new key of 1 to 36 ASCII characters for every new intent"
    ),
    DoorReason.BUSY: DoorRule(503, True, True, "the exchange has too much to do", "send it again a little later"),
    DoorReason.HALTED: DoorRule(503, False, True, "the exchange has stopped", "wait for the operator"),
    DoorReason.OUTCOME_UNKNOWN: DoorRule(
        503, True, False, "it is unknown whether this was executed", "send the same request with the same id again"
    ),
    DoorReason.BEHIND: DoorRule(503, True, True, "the tables are behind the market", "ask again a little later"),
    DoorReason.TOO_MANY_REQUESTS: DoorRule(429, True, True, "too many requests", "wait as long as Retry-After says"),
    DoorReason.TOO_MANY_SUBSCRIPTIONS: DoorRule(
        429, False, True, "too many subscriptions on this connection", "see /v1/limits"
    ),
    DoorReason.TOO_MANY_CONNECTIONS: DoorRule(429, True, True, "too many connections", "close one first; see /v1/limits"),
    DoorReason.UNKNOWN_OPERATION: DoorRule(404, False, True, "there is no such operation", "see /docs"),
    DoorReason.UNKNOWN_CHANNEL: DoorRule(404, False, True, "there is no such channel", "see docs/protocol/stream.md"),
    DoorReason.NOT_LOGGED_IN: DoorRule(401, False, True, "log in first", 'send {"op": "login", "id": 1, "args": {"key": "…"}}'),
    DoorReason.BAD_CURSOR: DoorRule(400, False, True, "the cursor is none of ours", "use next_cursor as it came"),
    DoorReason.CLOCK_NOT_MANUAL: DoorRule(
        409, False, True, "the clock of this exchange runs by itself", "start it with --clock manual"
    ),
    DoorReason.INTERNAL: DoorRule(500, False, False, "a fault of ours", "report it with its trace_id"),
    DoorReason.SLOW_CONSUMER: DoorRule(429, True, True, "messages were not read fast enough", "connect again and resume"),
    DoorReason.SHUTTING_DOWN: DoorRule(503, True, True, "the exchange is going down", "connect again a little later"),
    DoorReason.VALID_UNTIL_TOO_FAR: DoorRule(422, False, True, "valid_until is too far ahead", "see /v1/limits"),
    DoorReason.REFUSED: DoorRule(
        422, False, True, "the venue would refuse this for what it says", "mend what the detail names"
    ),
    DoorReason.BAD_SIGNATURE: DoorRule(
        400, False, True, "the signature is not that of the site's meter", "sign the text named with the key of set_meter"
    ),
    DoorReason.SESSION_TAKEN: DoorRule(
        409, False, True, "another connection has logged in under the name of this session", "use a name for each connection"
    ),
    DoorReason.FEED_ONLY: DoorRule(
        421, False, True, "this address serves market data only", "send it to the main address, which the detail names"
    ),
    DoorReason.READ_ONLY: DoorRule(
        403, False, True, "this is a replay: the market can be watched, and nothing else", "send it to a running exchange"
    ),
}  # fmt: skip


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457, application/problem+json); definite: it was not executed and never will be."""

    type: str
    title: str
    status: int
    code: int
    reason: str
    retryable: bool
    definite: bool
    detail: str = ""
    field: str = ""
    limit: str = ""
    hint: str = ""
    retry_after_s: int = 0
    trace_id: str = ""


class DoorError(Exception):
    """A request that a door turns away; nothing was changed unless the reason says the outcome is unknown."""

    def __init__(
        self, reason: DoorReason, detail: str = "", *, field: str = "", limit: str = "", hint: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(detail or reason.name)
        self.reason, self.detail, self.field = reason, detail, field
        self.limit, self.hint, self.retry_after_s = limit, hint, retry_after_s
        self.trace_id = ""  # of a fault of ours that stands in the log already

    def problem(self, trace_id: str = "") -> Problem:
        """What is sent."""
        rule = DOOR_RULES[self.reason]
        return Problem(
            type=f"/v1/errors#{self.reason.name}", title=rule.title, status=rule.status,
            code=STAGE * 100 + self.reason.value, reason=self.reason.name, retryable=rule.retryable,
            definite=rule.definite, detail=self.detail, field=self.field, limit=self.limit,
            hint=self.hint or rule.hint, retry_after_s=self.retry_after_s, trace_id=trace_id or self.trace_id,
        )  # fmt: skip
