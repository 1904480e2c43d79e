"""OrderCurtailment: an authority orders a site, or all sites of a region, to stop in a window (BB6).

What was sold there before is settled as any other obligation, with readings, make-up hours, refunds and the rise of the
price, but owes no lambda. What is still offered leaves the market, and nothing is offered there any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import money
from exchange.domain.buy_in import call_off
from exchange.domain.commands_settlement import OrderCurtailment
from exchange.domain.events_settlement import Curtailed, CurtailmentOrdered
from exchange.domain.outages import is_curtailed
from exchange.domain.placing import forget_if_over, take_out
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Curtailment

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_CURTAILMENTS = 1000  # that have not passed


def order(v: Venue, command: OrderCurtailment) -> None:
    """OrderCurtailment: from the running period on; of what has ended, readings decide, and no later word."""
    v.require_settings()
    _check(v, command)
    state = v.state
    start_ns = max(command.start_ns, v.periods.start(v.periods.at(state.now_ns)))
    new = Curtailment(command.region, command.site, start_ns, command.end_ns, state.next_number)
    state.curtailments = [*_living(v), new]
    hit = _obligations(v, command)
    v.emit(CurtailmentOrdered(
        command.region, command.site, command.start_ns, command.end_ns, command.reference, len(hit),
    ))  # fmt: skip
    for number in hit:
        due = state.obligations[number]
        v.emit(Curtailed(
            number, due.buyer, due.seller, v.instrument_code(due.family, due.period), v.periods.start(due.period), due.lots,
            command.reference,
        ))  # fmt: skip
    for number in hit:
        _call_off(v, number)
    _close_market(v, command)


def _call_off(v: Venue, number: int) -> None:
    """A buy-in that waits for it ends: it would spend the margin of a seller who does as he was told."""
    if number in v.repair_of:
        due = v.state.obligations[number]
        call_off(v, due)
        money.mark_obligation(v, due, money.known_fix(v, due.family, v.book_of(due)))  # as at a gate (HM5)


def _check(v: Venue, command: OrderCurtailment) -> None:
    if bool(command.region) == bool(command.site):
        raise Refusal(VenueReason.UNKNOWN_SITE, "a curtailment is of one region or of one site", "name one of the two")
    if command.region:
        v.known_region(command.region)
    elif command.site not in v.state.sites:
        raise Refusal(VenueReason.UNKNOWN_SITE, f"site {command.site[:36]!r} is unknown")
    is_time = v.is_time(command.start_ns) and v.is_time(command.end_ns)
    if not is_time or command.end_ns <= command.start_ns or command.end_ns <= v.state.now_ns:
        raise Refusal(VenueReason.INVALID_WINDOW, "the window is empty, has passed or is out of range")
    v.text(command.reference, "reference", longest=64)
    if len(_living(v)) >= MAX_CURTAILMENTS:
        raise Refusal(VenueReason.INVALID_WINDOW, f"{MAX_CURTAILMENTS} curtailments have not passed yet")


def _living(v: Venue) -> list[Curtailment]:
    """Those that meet a period that is not settled yet, or to come."""
    settled_ns = v.periods.start(v.state.settled_end)
    return [item for item in v.state.curtailments if item.end_ns > settled_ns]


def _is_meant(v: Venue, command: OrderCurtailment, site: str) -> bool:
    return command.site == site if command.site else v.state.sites[site].region == command.region


def _obligations(v: Venue, command: OrderCurtailment) -> list[int]:
    """Unsettled ones of these sites whose period meets the window and has not ended."""
    grid, found = v.periods, []
    for period in sorted(v.obligations_of_period):
        starts, ends = grid.start(period), grid.start(period + 1)
        if starts < command.end_ns and command.start_ns < ends and ends > v.state.now_ns:
            numbers = sorted(v.obligations_of_period[period])
            found += [number for number in numbers if _is_meant(v, command, v.state.obligations[number].site)]
    return found


def _close_market(v: Venue, command: OrderCurtailment) -> None:
    for name in sorted(v.state.sites):
        if _is_meant(v, command, name):
            site = v.state.sites[name]
            for offer in v.offers_of_site(name):
                for period in sorted(period for period in offer.open if is_curtailed(v, site, period)):
                    take_out(v, offer, period, "curtailed")
                forget_if_over(v, offer)
