"""Obligations of which it is known now that they will not be delivered: told at once, so that a cure need not wait.

`State.failing` says why, by number: outage (its site announced one), silent (its meter fell silent while it ran) or
declared (the provider's own word). A failing obligation keeps its capacity locked (BB6) and stays what it is for
settlement: an unsettled one of which nothing counts as delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain.commands_delivery import DeclareFailure
from exchange.domain.events_delivery import DeliveryFailed
from exchange.domain.reasons import Refusal, VenueReason

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

REASONS = ("outage", "silent", "declared")


def mark(v: Venue, number: int, reason: str) -> bool:
    """Marks an unsettled obligation and reports it; False where it is marked already, or its reading stands (RD1)."""
    due = v.state.obligations[number]
    assert reason in REASONS, reason
    if number in v.state.failing or due.reading.is_countersigned:
        return False
    v.state.failing[number] = reason
    due.reading.is_final = False  # nothing of it counts, whatever was read before
    v.emit(DeliveryFailed(
        number, due.buyer, due.seller, v.instrument_code(due.family, due.period), v.periods.start(due.period), due.lots, reason,
    ))  # fmt: skip
    return True


def mark_site(v: Venue, site: str, start_ns: int, end_ns: int) -> None:
    """An announced outage: everything unsettled that the site owes in its window and whose period has not ended."""
    for period in sorted(v.obligations_of_period):
        starts, ends = v.periods.start(period), v.periods.start(period + 1)
        if starts < end_ns and start_ns < ends and ends > v.state.now_ns:
            for number in sorted(v.obligations_of_period[period]):
                if v.state.obligations[number].site == site:
                    mark(v, number, "outage")


def declare(v: Venue, command: DeclareFailure) -> None:
    """DeclareFailure: before its period has ended; the capacity stays locked, and it cannot be taken back."""
    due = v.state.obligations.get(command.obligation_id)
    if due is None or due.seller != command.participant:
        who = command.participant[:36]
        raise Refusal(VenueReason.UNKNOWN_OBLIGATION, f"{who} has no open obligation {command.obligation_id}")
    if v.periods.start(due.period + 1) <= v.state.now_ns:
        raise Refusal(VenueReason.NOT_DUE, "its period has ended: the reading says what was delivered")
    if not mark(v, due.number, "declared"):
        raise Refusal(VenueReason.INVALID_READING, "it is failing already, or the buyer has countersigned its reading")
