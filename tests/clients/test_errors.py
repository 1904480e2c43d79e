"""Every code that the exchange can answer has one class, and a message that says what to do."""

from __future__ import annotations

import pytest
from live_market import LiveMarket

from clients import errors as e
from clients.attempts import error_of
from clients.core import refusal
from clients.errors import BY_STAGE, CpxError, class_of
from clients.model import read_model
from clients.models import Ack
from exchange.domain.reasons import TaskReason, VenueReason, wire_code
from exchange.protocol.errors import DOOR_RULES, DoorError, DoorReason
from exchange.protocol.operations import OPERATIONS
from matching_core.enums import DenyReason, RejectReason

pytestmark = pytest.mark.slow  # a live exchange, or a market day


def test_every_reason_of_core_and_venue_has_its_own_line_in_the_map() -> None:
    for kind in (RejectReason, DenyReason, VenueReason, TaskReason):
        for reason in kind:
            assert reason.name in BY_STAGE[wire_code(reason) // 100][0], reason.name


@pytest.mark.parametrize("reason", list(DoorReason), ids=lambda reason: reason.name)
def test_every_door_reason_is_an_exception_that_says_the_hint(reason: DoorReason) -> None:
    error = error_of(DoorError(reason, "what happened", field="cards", retry_after_s=3).problem("tr-1"))
    assert type(error) is BY_STAGE[7][0][reason.name] is not CpxError
    assert DOOR_RULES[reason].hint in str(error) and "cards: what happened" in str(error) and reason.name in str(error)
    assert (error.code, error.field, error.trace_id) == (700 + reason, "cards", "tr-1")
    assert (error.retryable, error.definite) == (DOOR_RULES[reason].retryable, DOOR_RULES[reason].definite)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (331, "INSUFFICIENT_FUNDS", e.InsufficientFunds), (201, "INSUFFICIENT_FUNDS", e.InsufficientFunds),
        (321, "INVALID_PRICE", e.InvalidOrder), (317, "UNKNOWN_ORDER", e.OrderNotFound),
        (315, "UNKNOWN_INSTRUMENT", e.UnknownInstrument),
        (710, "KEY_REUSED", e.KeyReused), (320, "DUPLICATE_ID", e.DuplicateId), (332, "SALES_STOPPED", e.Denied),
        (716, "TOO_MANY_REQUESTS", e.RateLimited), (714, "OUTCOME_UNKNOWN", e.OrderStatusUnknown),
        (606, "EXPIRED", e.NotFilled),
        (303, "EXPIRED_COMMAND", e.Expired), (399, "OF_NEXT_YEAR", e.Rejected), (299, "OF_NEXT_YEAR", e.Denied),
        (799, "OF_NEXT_YEAR", e.ExchangeError), (950, "OF_NEXT_YEAR", e.ExchangeError),
    ],
)  # fmt: skip
def test_a_code_finds_its_class(code: int, reason: str, kind: type[CpxError]) -> None:
    assert class_of(code, reason) is kind


def test_the_tree_has_the_branches_that_programs_catch() -> None:
    assert issubclass(e.InsufficientFunds, e.Denied) and issubclass(e.InvalidOrder, e.Rejected)
    assert issubclass(e.OrderNotFound, e.NotFound) and issubclass(e.KeyReused, e.DuplicateId)
    for kind in (e.RequestTimeout, e.OrderStatusUnknown, e.ExchangeNotAvailable, e.RateLimited, e.StaleBook):
        assert issubclass(kind, e.NetworkError) and not issubclass(kind, e.ExchangeError)
    for kind in (e.AuthenticationError, e.PermissionDenied, e.NotFound, e.Rejected, e.DuplicateId):
        assert issubclass(kind, e.ExchangeError) and not issubclass(kind, e.NetworkError)


def test_a_refusal_carries_the_ack_and_the_venue_s_words() -> None:
    raw = {
        "seq": 4, "epoch": 1, "ts": "2026-11-24T00:00:00Z", "ts_ns": "1", "status": "DENIED", "code": 331,
        "reason": "INSUFFICIENT_FUNDS", "message": "needs 10 yuan", "hint": "deposit 3 yuan",
    }  # fmt: skip
    error = refusal(OPERATIONS["place_order"], read_model(Ack, raw))
    assert isinstance(error, e.InsufficientFunds) and error.ack.seq == 4
    assert "needs 10 yuan" in str(error) and "deposit 3 yuan" in str(error)


def test_the_catalogue_of_a_live_exchange_has_no_code_without_a_class_of_its_own(market: LiveMarket) -> None:
    entries = market.operator.errors()
    assert len(entries) > 80
    for entry in entries:
        assert entry.reason in BY_STAGE[entry.code // 100][0], entry
        assert issubclass(class_of(entry.code, entry.reason), CpxError)
