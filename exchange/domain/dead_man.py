"""The dead man's timer: who does not say in time that he is still there has his plain orders canceled.

The deadline is a moment of log time and part of the state, so that it outlives crashes and restarts. It is reached when the
clock is: nothing trades behind it before the orders are gone. What was bought, offers and tasks stay as they are; an order
that takes better and still waits is an order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain.commands import CancelOrder
from exchange.domain.commands_safety import CancelAfter
from exchange.domain.events import Acknowledged
from exchange.domain.orders import cancel
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.units import NS_PER_SECOND

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_SECONDS = 86_400


def set_timer(v: Venue, command: CancelAfter) -> None:
    """CancelAfter: from now on, and instead of any earlier one."""
    v.participant(command.participant)
    if not 0 <= command.seconds <= MAX_SECONDS:
        raise Refusal(VenueReason.INVALID_WINDOW, f"{command.seconds} s is not within 0 and {MAX_SECONDS}")
    v.state.cancel_at_ns.pop(command.participant, None)
    if command.seconds:
        v.state.cancel_at_ns[command.participant] = v.now_ns + command.seconds * NS_PER_SECOND
    v.emit(Acknowledged("CancelAfter", command.participant))


def run_out(v: Venue) -> None:
    """The clock has moved: timers that have come to their end do what they are for, by name and by entry."""
    ended = sorted(name for name, at_ns in v.state.cancel_at_ns.items() if at_ns <= v.now_ns)
    for name in ended:
        del v.state.cancel_at_ns[name]
        waiting = [
            entry.task.client_order_id for _, entry in sorted(v.state.tasks.items())
            if entry.task.participant == name and not entry.task.access_region
        ]  # fmt: skip
        resting = [bid.client_order_id for _, bid in sorted(v.state.bids.items()) if bid.participant == name]
        for client_order_id in (*resting, *waiting):
            cancel(v, CancelOrder(name, client_order_id))


def next_end_ns(v: Venue, after_ns: int) -> int | None:
    """When the next timer ends that has not yet at after_ns."""
    return min((at_ns for at_ns in v.state.cancel_at_ns.values() if at_ns > after_ns), default=None)
