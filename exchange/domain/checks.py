"""Invariants of the venue, checked on demand: after every step in tests, after recovery, at the end of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exchange.domain.green import need_wh
from exchange.domain.instrument import book_id
from exchange.domain.meters import silent_from_ns
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
    _check_certificates(v)
    _check_delivery(v)


def _check_money(v: Venue) -> None:
    """Escrow and margin are exactly what open obligations, asks and bonds say; holds what bids and tasks say."""
    escrow: Counter[str] = Counter()
    margin: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for due in v.state.obligations.values():
        escrow[due.buyer] += due.cost_micro + due.fee_micro + due.moving_micro
        margin[due.seller] += due.margin_micro
    for number, repair in v.state.repairs.items():
        due = v.state.obligations[repair.obligation]
        escrow[due.buyer] -= repair.escrow_micro - repair.released_micro
        margin[due.seller] -= repair.margin_micro
        held[due.buyer] += v.core.task(number).held_micro
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
    assert sorted([*state.tasks, *state.repairs]) == v.core.tasks()
    assert v.repair_of == {repair.obligation: number for number, repair in state.repairs.items()}
    assert state.terms.keys() == {due.task for due in state.obligations.values() if due.task}
    ids = {(entry.task.participant, entry.task.client_order_id): number for number, entry in state.tasks.items()}
    assert v.task_numbers == ids
    cured = [state.obligations[repair.obligation] for repair in state.repairs.values()]
    buyers = [name for name, _ in ids] + [due.buyer for due in cured]
    assert +v.waiting_of_firm == Counter(state.participants[name].firm for name in buyers)
    chips = [entry.task.chips[0].chip for entry in state.tasks.values()]
    assert +v.waiting_of_chip == Counter([*chips, *(state.families[due.family - 1].chip for due in cured)])
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


def _check_certificates(v: Venue) -> None:
    """No Wh is used twice: issued = free + pledged + retired, and what is pledged is what asks and obligations say."""
    pledged: Counter[tuple[str, str, int]] = Counter()
    for offer in v.state.offers.values():
        for period, ask in offer.open.items():
            assert ask.green_wh == need_wh(v, offer.family, ask.lots), ("pledge", offer, period)
            pledged[offer.participant, v.state.families[offer.family - 1].region, period] += ask.green_wh
    for due in v.state.obligations.values():
        pledged[due.seller, v.state.families[due.family - 1].region, due.period] += due.green_wh
    for key, held in v.state.certificates.items():
        parts = (held.free_wh, held.pledged_wh, held.retired_wh)
        assert min(parts) >= 0 and held.issued_wh == sum(parts), ("certificates", key, held)
        assert held.pledged_wh == pledged.pop(key, 0), ("pledged", key, held)
    assert not any(pledged.values()), ("pledged out of nothing", pledged)


def _check_delivery(v: Venue) -> None:
    """Failing obligations and notes of leases are of what is owed, and every meter that must beat is watched."""
    state = v.state
    assert state.failing.keys() <= state.obligations.keys(), state.failing
    assert state.leases.keys() <= v.obligations_of_lease.keys() and not v.ended_leases
    assert v.lease_keys == {note.first: lease for lease, note in state.leases.items()}
    told = {(seller, note.first) for note in state.leases.values() for seller in note.sellers}
    assert told == {(seller, first) for seller, firsts in v.leases_of_seller.items() for first in firsts}
    soonest: dict[int, int] = {}
    for look_ns, number in v.watched:
        soonest[number] = min(look_ns, soonest.get(number, look_ns))
    for number, due in state.obligations.items():
        if due.heartbeat_s and number not in state.failing and not due.reading.is_countersigned:
            silent_ns = silent_from_ns(v.periods, due)
            assert silent_ns >= v.periods.start(due.period + 1) or soonest[number] <= silent_ns, (due, soonest)
            assert silent_ns >= min(v.now_ns, v.periods.start(due.period + 1)), (due, silent_ns)
