"""What can go wrong, as a tree: ExchangeError (the exchange said no) and NetworkError (it could not be asked, or not in time).

Every code of /v1/errors has one class; the message says what to do next. A program catches the branch it can act on:
`InsufficientFunds`, `InvalidOrder`, `RateLimited`, `OrderStatusUnknown`, or all of it as `CpxError`.
"""

from typing import Any


class CpxError(Exception):
    """Base of all errors of the SDK.

    code, reason: as in /v1/errors (0 and "" where the exchange did not answer); field: which one; hint: what to do next;
    retryable: the same request may succeed later; definite: it was not executed and never will be; ack: the answer of
    the venue where it was one; acks: of several commands, the answers to those that were executed.
    """

    acks: tuple[Any, ...] = ()

    def __init__(
        self, message: str, *, code: int = 0, reason: str = "", field: str = "", hint: str = "",
        retryable: bool = False, definite: bool = True, trace_id: str = "", retry_after_s: int = 0, ack: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.code, self.reason, self.field, self.hint = code, reason, field, hint
        self.retryable, self.definite, self.trace_id = retryable, definite, trace_id
        self.retry_after_s, self.ack = retry_after_s, ack


class ConfigError(CpxError):
    """No address or key is known: arguments, CPX_URL and CPX_KEY, or the client.toml of the user."""


# --- the exchange answered ---


class ExchangeError(CpxError):
    """The exchange was asked and said no; nothing was executed unless `definite` is False."""


class BadAnswer(ExchangeError):
    """The answer could not be understood: this SDK and that exchange are of different times."""


class ServerFault(ExchangeError):
    """A fault of the exchange; report it with its trace_id."""


class AuthenticationError(ExchangeError):
    """The key is missing, unknown, revoked or expired."""


class PermissionDenied(ExchangeError):
    """The key has not the scope this needs."""


class NotFound(ExchangeError):
    """There is no such thing, or it is not yours."""


class OrderNotFound(NotFound):
    """No such live order, task or offer of yours."""


class UnknownInstrument(NotFound):
    """The book, family or catalogue entry is not there, or its gate has closed."""


class InvalidRequest(ExchangeError):
    """The request itself is wrong, whatever the market does; the field is named."""


class DuplicateId(ExchangeError):
    """The id is taken."""


class KeyReused(DuplicateId):
    """The id was used before with other content; nothing was executed."""


class NotSupported(ExchangeError):
    """This exchange, or the state it is in, does not do that."""


class Rejected(ExchangeError):
    """The venue refused for what the request says."""


class InvalidOrder(Rejected):
    """Price, size, window, shape or another term does not fit the rules."""


class Expired(Rejected):
    """valid_until had passed before it was its turn."""


class Denied(Rejected):
    """The venue refused for what the participant has: money, margin, capacity, room."""


class InsufficientFunds(Denied):
    """Free cash does not cover the hold, margin or amount: deposit, or ask for less."""


class NotFilled(ExchangeError):
    """A task ended without being filled; its reason and the change that would fill it are in the message."""


# --- the exchange could not be asked ---


class NetworkError(CpxError):
    """No answer, or not the one hoped for; asking again later may help."""


class RequestTimeout(NetworkError):
    """No answer in time to something that can be asked again, or that was never sent."""


class ExchangeNotAvailable(NetworkError):
    """The exchange cannot be reached, is going down, is behind, has too much to do or has stopped."""


class RateLimited(NetworkError):
    """Too much at once; retry_after says how many seconds to wait."""

    @property
    def retry_after(self) -> int:
        """Seconds."""
        return self.retry_after_s


class OrderStatusUnknown(NetworkError):
    """It is unknown whether a command was executed, and asking again did not help.

    Call the same method with the same id and terms when the exchange is back: it is executed once.
    """


class StaleBook(NetworkError):
    """The local book is not provably that of the exchange now; it heals by itself, `ready()` waits for it."""


_DOOR: dict[str, type[CpxError]] = {
    "MALFORMED_JSON": InvalidRequest,
    "INVALID_FIELD": InvalidRequest,
    "BODY_TOO_LARGE": InvalidRequest,
    "UNSUPPORTED_MEDIA_TYPE": InvalidRequest,
    "NO_KEY": AuthenticationError,
    "WRONG_KEY": AuthenticationError,
    "WRONG_SCOPE": PermissionDenied,
    "NOT_FOUND": NotFound,
    "METHOD_NOT_ALLOWED": NotSupported,
    "KEY_REUSED": KeyReused,
    "IDEMPOTENCY_KEY_MISSING": InvalidRequest,
    "BUSY": ExchangeNotAvailable,
    "HALTED": ExchangeNotAvailable,
    "OUTCOME_UNKNOWN": OrderStatusUnknown,
    "BEHIND": ExchangeNotAvailable,
    "TOO_MANY_REQUESTS": RateLimited,
    "TOO_MANY_SUBSCRIPTIONS": RateLimited,
    "TOO_MANY_CONNECTIONS": RateLimited,
    "UNKNOWN_OPERATION": NotSupported,
    "UNKNOWN_CHANNEL": NotSupported,
    "NOT_LOGGED_IN": AuthenticationError,
    "BAD_CURSOR": InvalidRequest,
    "CLOCK_NOT_MANUAL": NotSupported,
    "INTERNAL": ServerFault,
    "SLOW_CONSUMER": RateLimited,
    "SHUTTING_DOWN": ExchangeNotAvailable,
    "VALID_UNTIL_TOO_FAR": InvalidRequest,
    "REFUSED": InvalidOrder,
    "BAD_SIGNATURE": InvalidRequest,
    "SESSION_TAKEN": NotSupported,
    "FEED_ONLY": NotSupported,
    "READ_ONLY": NotSupported,
}
_ORDER = (
    "INCOMPLETE INVALID_PRICE INVALID_QTY INVALID_NOTIONAL INVALID_EXPIRY INVALID_WINDOW INVALID_LATENCY INVALID_SHAPE "
    "INVALID_LANE INVALID_MONEY INVALID_BUDGET INVALID_READING UNSIGNED_READING INVALID_TEXT INVALID_FIELD NOT_ENOUGH_DEPTH "
    "PRICE_BAND WOULD_TRADE MIXED_INDIVISIBLE"
)
_VENUE: dict[str, type[CpxError]] = {
    **dict.fromkeys(_ORDER.split(), InvalidOrder),
    **dict.fromkeys("UNKNOWN_BOOK UNKNOWN_INSTRUMENT UNKNOWN_CHIP UNKNOWN_REGION UNKNOWN_CLASS UNKNOWN_POWER".split(),
                    UnknownInstrument),
    **dict.fromkeys("UNKNOWN_ORDER UNKNOWN_TASK UNKNOWN_OFFER".split(), OrderNotFound),
    **dict.fromkeys("UNKNOWN_ACCOUNT UNKNOWN_PARTICIPANT UNKNOWN_SITE UNKNOWN_OBLIGATION".split(), NotFound),
    **dict.fromkeys("DUPLICATE_ID ALREADY_EXISTS ALREADY_CONFIGURED".split(), DuplicateId),
    **dict.fromkeys("UNKNOWN_OP PHASE NOT_CONFIGURED NOT_DUE".split(), NotSupported),
    **dict.fromkeys("CAPACITY TOO_MANY_SELLS TOO_MANY_WAITING TOO_MANY_KEYS SALES_STOPPED BALANCE_OVERFLOW BLOCKED "
                    "BOOK_FULL VENUE_FULL CERTIFICATES".split(), Denied),
    **dict.fromkeys("TIME_BACKWARDS INVALID_SETTING INVALID_CATALOGUE".split(), InvalidRequest),
    "INSUFFICIENT_FUNDS": InsufficientFunds,
    "KEY_REUSED": KeyReused,
    "EXPIRED_COMMAND": Expired,
}  # fmt: skip
_TASK: dict[str, type[CpxError]] = dict.fromkeys("NO_REACH NO_TIME NO_DEPTH OVER_BUDGET CANCELED EXPIRED".split(), NotFilled)
BY_STAGE: dict[int, tuple[dict[str, type[CpxError]], type[CpxError]]] = {
    1: (_VENUE, Rejected), 2: (_VENUE, Denied), 3: (_VENUE, Rejected), 6: (_TASK, NotFilled), 7: (_DOOR, ExchangeError),
}  # fmt: skip


def class_of(code: int, reason: str) -> type[CpxError]:
    """The one class of a code; a reason of a newer exchange gets the class of its stage."""
    known, otherwise = BY_STAGE.get(code // 100, ({}, ExchangeError))
    return known.get(reason, otherwise)


def said(*parts: str) -> str:
    """Parts of a message, those that say nothing left out: `what: detail; hint`."""
    seen: list[str] = []
    for part in parts:
        if part and part not in seen:
            seen.append(part)
    return "; ".join(seen)
