"""Whether to send a request again: the rules, without I/O and without a clock.

1. What cannot be repeated (a new key, a report run) is sent once.
2. A command always carries an id, so it may be sent again: the exchange executes one id once.
3. What got lost on the way may have been executed. From then on only an answer to that id settles it: a door that says
   "not executed" to a later attempt says nothing of the first. If patience ends first: OrderStatusUnknown.
4. Somebody who never reached the exchange is told at once; somebody who did is given time for its restart.
5. Retry-After is obeyed; all other waits double, with a random part, so that many clients do not come back together.
"""

from clients.build import Call
from clients.errors import (
    CpxError,
    ExchangeNotAvailable,
    KeyReused,
    OrderStatusUnknown,
    RequestTimeout,
    ServerFault,
    class_of,
    said,
)
from exchange.protocol.errors import Problem

FIRST_WAIT_S = 0.05
MAX_WAIT_S = 2.0
MAX_FAULTS = 2  # answers "a fault of ours" before it is given up


class Fault(Exception):
    """Why an attempt brought no result."""


class Turned(Fault):
    """A door turned it away."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


class NotSent(Fault):
    """It certainly did not reach the exchange."""


class Lost(Fault):
    """It may have reached the exchange, and no answer came."""


def error_of(problem: Problem) -> CpxError:
    """The exception of a problem."""
    what = f"{problem.field}: {problem.detail}" if problem.field and problem.detail else problem.detail or problem.field
    return class_of(problem.code, problem.reason)(
        said(problem.title, what, problem.hint) + f" [{problem.reason}]",
        code=problem.code, reason=problem.reason, field=problem.field, hint=problem.hint, retryable=problem.retryable,
        definite=problem.definite, trace_id=problem.trace_id, retry_after_s=problem.retry_after_s,
    )  # fmt: skip


class Attempts:
    """The history of one call; `after` says how long to wait before the next attempt, or raises what the caller gets."""

    def __init__(self, call: Call, *, patience_s: float, was_connected: bool, is_unknown: bool = False) -> None:
        """is_unknown: something sent earlier under the same id may have been executed."""
        self.faults = 0  # attempts that brought no result
        self._call = call
        self._patience_s = patience_s
        self._was_connected = was_connected
        self._is_unknown = is_unknown
        self._server_faults = 0
        self._wait_s = FIRST_WAIT_S

    def after(self, fault: Fault, elapsed_s: float, draw: float) -> float:
        """Seconds to wait, given a random number from 0 to 1; CpxError where it is not sent again."""
        self.faults += 1
        if isinstance(fault, Turned):
            return self._turned(fault.problem, elapsed_s, draw)
        if isinstance(fault, NotSent):
            if not self._is_unknown and not self._was_connected:
                raise ExchangeNotAvailable(
                    said(f"the exchange cannot be reached ({fault})", "check the address (CPX_URL), and that it runs"),
                    retryable=True,
                ) from fault
        else:
            self._was_connected = True
            if not self._call.is_repeatable:
                raise RequestTimeout(
                    f"no answer to {self._call.operation.name} ({fault}), and it cannot be asked twice; "
                    "look whether it was done before doing it again", definite=False,
                ) from fault  # fmt: skip
            self._is_unknown = self._is_unknown or self._call.may_execute
        return self._again(fault, elapsed_s, draw)

    def _turned(self, problem: Problem, elapsed_s: float, draw: float) -> float:
        self._was_connected = True
        error = error_of(problem)
        is_fault = isinstance(error, ServerFault)
        self._server_faults += is_fault
        if not problem.definite and self._call.may_execute:
            self._is_unknown = True
        may_help = problem.retryable or (is_fault and self._server_faults <= MAX_FAULTS)
        if may_help and self._call.is_repeatable:
            return self._again(error, elapsed_s, draw, at_least_s=problem.retry_after_s)
        # An id that stands for something else cannot have been executed for this.
        if self._is_unknown and not isinstance(error, KeyReused):
            raise self._unknown(error) from error
        raise error

    def _again(self, cause: Exception, elapsed_s: float, draw: float, at_least_s: float = 0) -> float:
        wait_s = max(at_least_s, self._wait_s * (0.5 + draw / 2))
        self._wait_s = min(MAX_WAIT_S, 2 * self._wait_s)
        if elapsed_s + wait_s <= self._patience_s:
            return wait_s
        if self._is_unknown:
            raise self._unknown(cause) from cause
        if isinstance(cause, CpxError):
            raise cause
        if isinstance(cause, NotSent):
            raise ExchangeNotAvailable(f"out of reach for {elapsed_s:.0f} s ({cause})", retryable=True) from cause
        name = self._call.operation.name
        raise RequestTimeout(f"no answer to {name} within {elapsed_s:.0f} s ({cause})", retryable=True) from cause

    def _unknown(self, cause: Exception) -> OrderStatusUnknown:
        return OrderStatusUnknown(
            f"it is unknown whether {self._call.operation.name} {self._call.identity!r} was executed ({cause}); "
            "call it again with the same id and terms when the exchange is back: it is executed once",
            retryable=True, definite=False,
        )  # fmt: skip
