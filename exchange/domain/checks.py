"""Invariants of the venue, checked on demand: after every step in tests, after recovery, at the end of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exchange.domain.instrument import book_id
from exchange.domain.state import SYSTEM_ACCOUNTS
from matching_core.enums import Bucket

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def check_venue(v: Venue) -> None:
    """AssertionError naming what is broken; money first."""
    _check_money(v)
    _check_offers(v)
    _check_tasks(v)
    _check_keys(v)


def _check_money(v: Venue) -> None:
    """Escrow and margin are exactly what open obligations, asks and bonds say; holds what bids and tasks say."""
    escrow: Counter[str] = Counter()
    margin: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for due in v.state.obligations.values():
        escrow[due.buyer] += due.cost_micro + due.fee_micro + due.moving_micro
        margin[due.seller] += due.margin_micro
    for offer in v.state.offers.values():
        margin[offer.participant] += sum(ask.margin_micro for ask in offer.open.values())
    for entry in v.state.tasks.values():
        held[entry.task.participant] += entry.held_micro
    for bid in v.state.bids.values():
        held[bid.participant] += v.core.order(bid.order_id).hold_micro
    total = 0
    for account, name in enumerate(v.state.accounts):
        purses = v.core.balance(account)
        total += sum(purses)
        assert account == 0 or min(purses) >= 0, (name, purses)
        assert purses[Bucket.ESCROW] == escrow[name], ("escrow", name, purses, escrow[name])
        assert purses[Bucket.MARGIN] == margin[name], ("margin", name, purses, margin[name])
        assert purses[Bucket.HELD] == held[name], ("held", name, purses, held[name])
    assert total == 0, ("ledger", total)
    assert v.state.accounts[: len(SYSTEM_ACCOUNTS)] == list(SYSTEM_ACCOUNTS)


def _check_offers(v: Venue) -> None:
    """Every live ask of the core belongs to one period of one offer, with the same lots, and the other way round."""
    found = 0
    for number, offer in v.state.offers.items():
        assert offer.open or offer.next_period < offer.end_period, offer
        for period, ask in offer.open.items():
            if not ask.order_id:
                assert offer.is_block, (offer, period)
                continue
            order = v.core.order(ask.order_id)
            assert order is not None and order.leaves == ask.lots, (offer, period, order)
            assert order.book == book_id(offer.family, period), (offer, period, order)
            assert v.ask_owner[ask.order_id] == (number, period)
            found += 1
    assert found == len(v.ask_owner)
    assert found + len(v.state.bids) == v.core.n_orders


def _check_tasks(v: Venue) -> None:
    """The waiting list and its indexes agree."""
    assert len(v.task_numbers) == len(v.state.tasks) == len(v.task_families)
    for entry in v.state.tasks.values():
        assert entry.dies_ns > v.now_ns, entry
        assert entry.spent_micro <= entry.budget_micro, entry


def _check_keys(v: Venue) -> None:
    """Every idempotency key counts for its owner, oldest first."""
    assert +v.keys_of == Counter(key.owner for key in v.keys.used.values()), v.keys_of
