"""/v1/errors: every code with what it means and what to do, from the enums, the doors' rules and the words for people."""

from exchange.projections.words import meaning_of
from exchange.protocol.answers_operator import ErrorEntry, Errors
from exchange.protocol.errors import DOOR_RULES, DoorReason
from exchange.protocol.reason_codes import KEY_REUSED_BY_VENUE, REASON_CODES, ReasonCode

_HINTS = {
    "core": "mend what the message names, then send it under a new id",
    "risk": "mend what the message names, then send it under a new id",
    "venue": "mend what the message names, then send it under a new id: the old id keeps its answer",
    "task": "see the relaxations: each of them alone would fill it",
}


def errors_answer() -> Errors:
    """The whole catalogue, by code."""
    return Errors(items=tuple(_entry(code) for code in REASON_CODES))


def _entry(code: ReasonCode) -> ErrorEntry:
    if code.stage == "door":
        rule = DOOR_RULES[DoorReason[code.name]]
        return ErrorEntry(
            code=code.code, reason=code.name, stage=code.stage, status=rule.status, retryable=rule.retryable,
            definite=rule.definite, title=rule.title, hint=rule.hint,
        )  # fmt: skip
    status = 409 if code.code == KEY_REUSED_BY_VENUE else 200
    return ErrorEntry(
        code=code.code, reason=code.name, stage=code.stage, status=status, retryable=False, definite=True,
        title=meaning_of(code.code), hint=_HINTS[code.stage],
    )  # fmt: skip
