"""The short way of what was delivered in full, and sales that are looked up, say what the long way says."""

from __future__ import annotations

from random import Random

from exchange.domain import settlement as s
from exchange.domain.settle_memo import Memo
from exchange.domain.venue import Venue
from exchange.testing.settle_market import Market


def test_a_lease_delivered_in_full_comes_to_the_same_line_by_line(monkeypatch):
    rng = Random(3)
    for _ in range(300):
        dues = []
        for number in range(rng.randint(1, 4)):
            lots, cost = rng.randint(1, 9), rng.randint(1, 10**9)
            dues.append(s.Due(number, 7, lots, lots, cost, rng.randint(0, 10**6), rng.randint(0, 99), 5, 9, 9, 100_000))
        lease = s.Lease(1, 7, rng.choice(("hourly", "none")), rng.choice(("continue", "abandon")), tuple(dues), 99, 5)
        short = s.settle(lease)
        with monkeypatch.context() as patched:
            patched.setattr(s, "is_whole", lambda due, period: False)
            assert s.settle(lease) == short and len(short) == len(dues)


def test_later_sales_of_a_firm_are_found_as_by_looking_at_all():
    venue = Venue()
    market, looked, found = Market(venue, 400, 6), 0, 0
    for seq, command in enumerate((command for step in market.steps() for command in step.commands), 1):
        venue.apply(seq, command)
        if seq % 50:
            continue
        memo, dues = Memo(venue), venue.state.obligations.values()
        for due in dues:
            later = [
                other.price_ticks for other in dues
                if other.period == due.period and other.family == due.family and other.number > due.number
                and venue.state.participants[other.seller].firm == venue.state.participants[due.seller].firm
            ]  # fmt: skip
            assert memo.highest_later(due) == max(later, default=0)
            looked, found = looked + 1, found + bool(later)
    assert looked > 100 and found > 50
