"""When a request is sent again, and what a caller is told when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from clients.attempts import Attempts, Fault, Lost, NotSent, Turned
from clients.build import Call, args_of, call_of, operation_of
from clients.errors import (
    ExchangeNotAvailable,
    InvalidRequest,
    KeyReused,
    NetworkError,
    OrderStatusUnknown,
    RateLimited,
    RequestTimeout,
    ServerFault,
)
from exchange.protocol.errors import DoorError, DoorReason


def call(name: str, **given: Any) -> Call:
    operation = operation_of(name)
    return call_of(operation, args_of(operation, given))


BUY = call("place_order", client_order_id="o-1", instrument="a/b/c/d/e", price=1, cards=1)
READ = call("account")
NEW_KEY = call("create_key", scopes=["read"])


def turned(reason: DoorReason, retry_after_s: int = 0) -> Turned:
    return Turned(DoorError(reason, retry_after_s=retry_after_s).problem())


def history(what: Call, *faults: Fault, was_connected: bool = True, patience_s: float = 1000) -> list[float]:
    attempts = Attempts(what, patience_s=patience_s, was_connected=was_connected)
    return [attempts.after(fault, 0.0, 1.0) for fault in faults]


def test_waits_double_to_a_limit_and_have_a_random_part() -> None:
    waits = history(BUY, *[Lost("cut")] * 8)
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert Attempts(BUY, patience_s=9, was_connected=True).after(Lost("cut"), 0, 0.0) == 0.025


def test_a_lost_order_is_sent_again_and_in_the_end_its_state_is_unknown() -> None:
    with pytest.raises(OrderStatusUnknown, match="'o-1'.*same id") as caught:
        history(BUY, Lost("cut"), patience_s=0)
    assert not caught.value.definite and caught.value.retryable


def test_a_lost_read_is_asked_again_and_in_the_end_a_timeout() -> None:
    assert history(READ, Lost("cut")) == [0.05]
    with pytest.raises(RequestTimeout):
        history(READ, Lost("cut"), patience_s=0)


def test_what_cannot_be_repeated_is_sent_once() -> None:
    with pytest.raises(RequestTimeout, match="look whether") as caught:
        history(NEW_KEY, Lost("cut"))
    assert not caught.value.definite
    with pytest.raises(ExchangeNotAvailable):
        history(NEW_KEY, turned(DoorReason.BUSY))


def test_who_never_reached_the_exchange_is_told_at_once() -> None:
    with pytest.raises(ExchangeNotAvailable, match="CPX_URL"):
        history(BUY, NotSent("refused"), was_connected=False)


def test_who_had_a_connection_is_given_time_for_a_restart() -> None:
    assert len(history(BUY, NotSent("refused"), NotSent("refused"))) == 2
    with pytest.raises(ExchangeNotAvailable):
        history(BUY, NotSent("refused"), patience_s=0)


def test_after_a_loss_a_later_attempt_that_was_not_sent_settles_nothing() -> None:
    with pytest.raises(OrderStatusUnknown):
        attempts = Attempts(BUY, patience_s=1, was_connected=False)
        attempts.after(Lost("cut"), 0, 1)
        attempts.after(NotSent("refused"), 0, 1)
        attempts.after(NotSent("refused"), 2, 1)


@pytest.mark.parametrize("reason", [DoorReason.WRONG_KEY, DoorReason.HALTED, DoorReason.INVALID_FIELD])
def test_after_a_loss_a_door_that_says_not_executed_settles_nothing(reason: DoorReason) -> None:
    with pytest.raises(OrderStatusUnknown):
        history(BUY, Lost("cut"), turned(reason))
    with pytest.raises(OrderStatusUnknown):
        history(BUY, turned(DoorReason.OUTCOME_UNKNOWN), turned(reason))


def test_what_may_have_been_executed_before_these_attempts_stays_unknown_too() -> None:
    attempts = Attempts(BUY, patience_s=9, was_connected=True, is_unknown=True)
    with pytest.raises(OrderStatusUnknown):
        attempts.after(turned(DoorReason.WRONG_KEY), 0, 1)
    assert attempts.faults == 1


def test_an_id_that_stands_for_something_else_was_not_executed_for_this() -> None:
    with pytest.raises(KeyReused):
        history(BUY, Lost("cut"), turned(DoorReason.KEY_REUSED))


def test_a_mistake_is_told_at_once() -> None:
    with pytest.raises(InvalidRequest):
        history(BUY, turned(DoorReason.INVALID_FIELD))


def test_retry_after_is_obeyed_or_told() -> None:
    assert history(BUY, turned(DoorReason.TOO_MANY_REQUESTS, 7)) == [7]
    with pytest.raises(RateLimited) as caught:
        history(BUY, turned(DoorReason.TOO_MANY_REQUESTS, 7), patience_s=6)
    assert caught.value.retry_after == 7


def test_busy_is_asked_again_and_halted_is_not() -> None:
    assert len(history(READ, turned(DoorReason.BUSY), turned(DoorReason.SHUTTING_DOWN))) == 2
    with pytest.raises(ExchangeNotAvailable, match="stopped"):
        history(READ, turned(DoorReason.HALTED))


def test_a_fault_of_the_exchange_is_tried_twice_more() -> None:
    with pytest.raises(ServerFault):
        history(READ, *[turned(DoorReason.INTERNAL)] * 3)
    with pytest.raises(NetworkError):  # for an order the fault may have come after its execution
        history(BUY, *[turned(DoorReason.INTERNAL)] * 3)
