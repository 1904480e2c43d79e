"""BB2, the first cure: lots that failed run in a later period of the same site, at the same price, inside the deadline.

Only leases that go on after a break are cured so; the first period behind the lease in which the site has attested lots
that are neither offered nor sold, and no announced outage, is taken. Buy-in is the next cure and not in force yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exchange.domain import green, leases, money
from exchange.domain.books import adjust_sold, ensure_book, ensure_capacity
from exchange.domain.delivery import accepted_lots
from exchange.domain.events import MadeUp
from exchange.domain.outages import is_out
from exchange.domain.repairs import close
from exchange.domain.settlement import Line
from exchange.domain.state import Obligation, Reading

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


@dataclass(frozen=True, slots=True)
class Cure:
    """Where the failed lots of an obligation run instead; the capacity is taken already."""

    period: int
    lots: int


def find(v: Venue, period: int) -> dict[int, Cure]:
    """Cures for the short obligations of a period, by number; takes the capacity."""
    cures = {}
    for number in sorted(v.obligations_of_period.get(period, ())):
        due = v.state.obligations[number]
        failed = due.lots - accepted_lots(due)
        if failed and _is_curable(v, due):
            later = _take_period(v, due, failed)
            if later is not None:
                cures[number] = Cure(later, failed)
    return cures


def _is_curable(v: Venue, due: Obligation) -> bool:
    is_whole = due.cost_micro == due.lots * due.price_ticks * v.value_micro  # EM2: twelfths of a period are not made up
    return is_whole and due.checkpoint == "hourly" and due.on_break == "continue"


def whole_period(v: Venue, due: Obligation) -> int | None:
    """A later period for all lots of an obligation that will not be delivered; its capacity is taken already."""
    return _take_period(v, due, due.lots) if _is_curable(v, due) else None


def move(v: Venue, due: Obligation, period: int) -> None:
    """An obligation that will not be delivered goes to a later period as it is, before anything of it is settled."""
    line = Line(
        due.number, "made_up", 0, 0, 0, 0, 0, 0, 0, due.lots, carried_cost_micro=due.cost_micro,
        carried_fee_micro=due.fee_micro,
    )  # fmt: skip
    number = v.state.next_number
    moving, due.cost_micro, due.fee_micro, due.moving_micro = due.moving_micro, 0, 0, 0
    close(v, due, "made_up")
    carry(v, due, line, period)
    v.state.obligations[number].moving_micro = moving


def _take_period(v: Venue, due: Obligation, lots: int) -> int | None:
    lease_end = max(v.state.obligations[n].period for n in v.obligations_of_lease[due.lease]) + 1
    first = max(lease_end, v.periods.first_open(v.state.now_ns))
    chip, site = v.state.families[due.family - 1].chip, v.state.sites[due.site]
    for period in range(first, min(due.last_period + 1, v.state.listed_end)):
        attested, open_lots, sold = v.capacity_of(site, chip, period)
        if attested - open_lots - sold < lots or is_out(v, site, period) or not green.can_carry(v, due, period, lots):
            continue
        ensure_book(v, due.family, period)
        ensure_capacity(v, due.site, chip, period)
        if adjust_sold(v, due, chip, period, lots):
            green.carry(v, due, period, lots)
            return period
    return None


def carry(v: Venue, due: Obligation, line: Line, period: int) -> None:
    """The new obligation, with the money that stayed in escrow for it; secured anew (HM5)."""
    number = v.take_number()
    made_up = replace(
        due, number=number, lease=due.lease if due.lease > 0 else -number, period=period, lots=line.made_up_lots,
        cost_micro=line.carried_cost_micro, fee_micro=line.carried_fee_micro, moving_micro=0, margin_micro=0,
        instead_of=due.number, reading=Reading(), green_wh=green.need_wh(v, due.family, line.made_up_lots),
        is_bought_in=False, is_cover=False, cover_ref_micro=0,
    )  # fmt: skip
    v.state.obligations[number] = made_up
    v.index_obligation(made_up)
    money.mark_obligation(v, made_up, money.known_fix(v, made_up.family, v.book_of(made_up)))
    instrument = v.instrument_code(made_up.family, period)
    v.emit(MadeUp(number, due.number, due.buyer, due.seller, instrument, v.periods.start(period), made_up.lots))
    leases.follow(v, made_up, due)
