"""Invariants of the venue, checked on demand: after every step in tests, after recovery, at the end of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exchange.domain.instrument import book_id
from exchange.domain.money import fee_micro, task_budget, with_fee
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
    for number, entry in v.state.tasks.items():
        held[entry.task.participant] += v.core.task(number).held_micro
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
        assert not offer.is_over and not offer.is_kept, offer
        for period, ask in offer.open.items():
            if not ask.order_id:
                assert offer.is_block and v.block_owner[offer.block_id] == number, (offer, period)
                assert (period, ask.price_ticks, ask.lots) in v.core.block_offer(offer.block_id).residues, (offer, period)
                continue
            order = v.core.order(ask.order_id)
            assert order is not None and order.leaves == ask.lots, (offer, period, order)
            assert order.book == book_id(offer.family, period), (offer, period, order)
            assert v.ask_owner[ask.order_id] == (number, period)
            found += 1
    assert found == len(v.ask_owner)
    assert found + len(v.state.bids) == v.core.n_orders


def _check_tasks(v: Venue) -> None:
    """The waiting list, its indexes and the core agree, and what is held is what HM1 says."""
    state = v.state
    assert sorted(state.tasks) == v.core.tasks()
    ids = {(entry.task.participant, entry.task.client_order_id): number for number, entry in state.tasks.items()}
    assert v.task_numbers == ids
    assert +v.waiting_of_firm == Counter(state.participants[name].firm for name, _ in ids)
    assert +v.waiting_of_chip == Counter(entry.task.chips[0].chip for entry in state.tasks.values())
    for number, entry in state.tasks.items():
        seen = v.core.task(number)
        assert seen.dies_ns > v.now_ns, (entry, seen)
        assert seen.spent_micro <= seen.budget_micro == task_budget(entry.task, v.settings), (entry, seen)
        assert seen.fee_ppm == getattr(v.tariff_version(entry.tariff), f"fee_{entry.task.lane}_ppm"), (entry, seen)
        held = with_fee(seen.fee_ppm, seen.budget_micro) - seen.spent_micro - fee_micro(seen.fee_ppm, seen.notional_micro)
        assert seen.held_micro == held, (entry, seen)


def _check_keys(v: Venue) -> None:
    """Every idempotency key counts for its owner, oldest first."""
    assert +v.keys_of == Counter(key.owner for key in v.keys.used.values()), v.keys_of
