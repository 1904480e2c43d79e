"""In which state a lease is, by its hours."""

import pytest

from exchange.projections.lease_states import hour_state, lease_state


@pytest.mark.parametrize(
    ("status", "failing", "delivered", "start", "state"),
    [
        ("open", "", 0, 11, "sold"), ("open", "", 0, 10, "delivering"), ("open", "", 0, 5, "delivering"),
        ("open", "outage", 0, 11, "failed"), ("open", "silent", 0, 5, "failed"), ("delivered", "", 9, 5, "delivered"),
        ("short", "", 4, 5, "short"), ("short", "", 0, 5, "failed"), ("short", "declared", 0, 5, "failed"),
        ("void", "", 0, 11, "void"), ("made_up", "silent", 0, 5, "made_up"), ("covered", "outage", 0, 5, "covered"),
        ("busted", "", 0, 5, "busted"),
    ],
)  # fmt: skip
def test_an_hour(status: str, failing: str, delivered: int, start: int, state: str) -> None:
    assert hour_state(status, failing, delivered, start, 10) == state


@pytest.mark.parametrize(
    ("hours", "state"),
    [
        ("sold sold", "sold"), ("sold failed", "sold"), ("delivered sold", "delivering"), ("delivering sold", "delivering"),
        ("failed delivering", "delivering"), ("delivered delivered", "delivered"), ("delivered made_up", "delivered"),
        ("covered delivered", "delivered"), ("covered covered", "covered"), ("made_up", "made_up"), ("void void", "void"),
        ("failed void void", "failed"), ("failed failed", "failed"), ("delivered failed", "short"), ("delivered void", "short"),
        ("short", "short"), ("covered failed", "short"), ("busted busted", "busted"), ("busted delivered", "delivered"),
        ("busted sold", "sold"),
    ],
)  # fmt: skip
def test_a_lease(hours: str, state: str) -> None:
    assert lease_state(hours.split()) == state
    assert lease_state(reversed(hours.split())) == state
