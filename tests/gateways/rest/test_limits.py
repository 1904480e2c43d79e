"""Budgets: what is let through, what is not, and that nothing grows without end."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.gateways.limits import Bucket, DoorBudgets, DoorLimits, WrongKeys, limits_answer
from exchange.ports_access import Principal
from exchange.protocol.errors import DoorReason
from exchange.protocol.operations import OPERATIONS

DOCS = Path(__file__).resolve().parents[3] / "docs" / "protocol"
SECOND = 1_000_000_000
BUYER = Principal("k1", "buyer", frozenset(("read", "trade")))


class Clock:
    def __init__(self):
        self.now_ns = 5 * SECOND

    def __call__(self):
        return self.now_ns


def budgets(**limits):
    clock = Clock()
    return DoorBudgets(DoorLimits(**limits), clock), clock


def test_a_burst_passes_and_one_more_is_told_when_to_come_back():
    made, clock = budgets(order_rate=10, order_burst=20)
    order = OPERATIONS["place_order"]
    assert [made.take(BUYER, order) for _ in range(20)] == [None] * 20
    refused = made.take(BUYER, order)
    assert (refused.reason, refused.limit, refused.retry_after_s) == (
        DoorReason.TOO_MANY_REQUESTS,
        "order_rate",
        1,
    )
    clock.now_ns += SECOND
    assert [made.take(BUYER, order) is None for _ in range(11)] == [True] * 10 + [False]


def test_an_amended_offer_costs_a_token_for_each_of_its_hours():
    made, clock = budgets(offer_hour_rate=100, offer_hour_burst=400)
    assert [made.take_hours(BUYER, 168) is None for _ in range(3)] == [True, True, False]
    refused = made.take_hours(BUYER, 168)
    assert (refused.reason, refused.limit, refused.retry_after_s) == (DoorReason.TOO_MANY_REQUESTS, "offer_hour_rate", 2)
    clock.now_ns += 4 * SECOND
    assert made.take_hours(BUYER, 5_000) is None, "more than a burst is let through when the bucket is full"
    assert made.take_hours(BUYER, 1) is not None and made.take_hours(BUYER, 0) is None
    assert made.take_hours(Principal("k2", "", frozenset()), 10**9) is None, "the operator has no budget"


def test_reads_orders_and_participants_do_not_share():
    made, _ = budgets(order_rate=1, order_burst=1, read_rate=1, read_burst=1)
    other = Principal("k9", "other", frozenset(("read", "trade")))
    for who in (BUYER, other):
        for name in ("place_order", "depth"):
            assert made.take(who, OPERATIONS[name]) is None
            assert made.take(who, OPERATIONS[name]) is not None


def test_many_keys_of_a_participant_are_one_budget():
    made, _ = budgets(order_burst=2)
    taken = [made.take(Principal(f"k{n}", "buyer", frozenset()), OPERATIONS["submit_task"]) for n in range(3)]
    assert [each is None for each in taken] == [True, True, False]


@pytest.mark.parametrize("name", ["cancel_order", "cancel_task", "withdraw_offer"])
def test_what_takes_back_is_never_limited(name):
    made, _ = budgets(order_rate=1, order_burst=1, read_rate=1, read_burst=1)
    made.take(BUYER, OPERATIONS["place_order"])
    assert all(made.take(BUYER, OPERATIONS[name]) is None for _ in range(1000))
    assert made.room(BUYER, OPERATIONS[name]) is None


def test_the_operator_is_not_limited():
    made, _ = budgets(order_burst=1)
    operator = Principal("op", "", frozenset(("operate",)))
    assert all(made.take(operator, OPERATIONS["deposit"]) is None for _ in range(1000))


@given(st.lists(st.integers(0, 3 * SECOND), max_size=80), st.integers(1, 20), st.integers(1, 20))
def test_never_more_than_burst_and_rate_allow_in_any_window(pauses, rate, burst):
    bucket, now_ns, passed = Bucket("b", rate, burst), 0, []
    for pause in pauses:
        now_ns += pause
        room = bucket.room("x", now_ns)
        wait_ns = bucket.take("x", now_ns)
        assert (room.left > 0) == (wait_ns == 0)
        if wait_ns == 0:
            passed.append(now_ns)
        else:
            assert bucket.take("x", now_ns) == wait_ns  # a refusal costs nothing
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window_ns = passed[last] - passed[first]
            assert last - first + 1 <= burst + window_ns * rate // SECOND + 1


def test_a_refused_request_may_come_back_after_the_wait():
    bucket = Bucket("b", 3, 1)
    assert bucket.take("x", 100) == 0
    wait_ns = bucket.take("x", 100)
    assert wait_ns and bucket.take("x", 100 + wait_ns - 1) > 0 and bucket.take("x", 100 + wait_ns) == 0


def test_buckets_are_bounded_and_full_ones_forgotten():
    bucket = Bucket("b", 1, 2, max_buckets=100)
    assert all(bucket.take(f"a{n}", 10 * SECOND) == 0 for n in range(100))
    shared = [bucket.take(f"b{n}", 10 * SECOND) for n in range(50)]
    assert [wait == 0 for wait in shared[:3]] == [True, True, False] and len(bucket) <= 101
    assert bucket.take("late", 30 * SECOND) == 0 and len(bucket) == 1


def test_wrong_keys_get_slower_by_doubling_up_to_an_hour():
    strikes, now_ns = WrongKeys(5), SECOND
    assert [strikes.strike("1.2.3.4", now_ns) for _ in range(5)] == [0] * 5
    waits = []
    for _ in range(9):
        waits.append(strikes.strike("1.2.3.4", now_ns) // SECOND)
        now_ns += waits[-1] * SECOND
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert strikes.strike("1.2.3.4", now_ns - SECOND) > 0, "in silence nothing is counted"
    assert strikes.strike("5.6.7.8", now_ns) == 0
    assert strikes.strike("1.2.3.4", now_ns + 7300 * SECOND) == 0, "forgotten"


def test_addresses_with_wrong_keys_are_bounded():
    strikes = WrongKeys(1, max_addresses=50)
    for n in range(1000):
        strikes.strike(f"10.0.{n // 256}.{n % 256}", SECOND)
    assert len(strikes) <= 51


def test_a_right_key_is_not_stopped_by_wrong_ones():
    made, _ = budgets(wrong_keys=1)
    assert made.wrong_key("a") is None
    assert made.wrong_key("a").retry_after_s == 60
    assert made.take(BUYER, OPERATIONS["depth"]) is None


@pytest.mark.parametrize("value", [0, -1, "5", 1.5])
def test_a_limit_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="order_rate"):
        DoorLimits(order_rate=value)


def test_the_docs_have_every_limit_with_its_default_and_no_other():
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| ([^|]+) \| ([^|]+) \|$", text, re.M)
    wanted = [
        (each.name, str(each.value), each.unit, each.meaning) for each in limits_answer(DoorLimits()).items
    ]
    assert rows == wanted and len(wanted) == len(fields(DoorLimits))
