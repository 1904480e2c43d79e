"""BustTrade and AdjustTrade: a trade is undone, or given another price, by compensating entries (never by taking any back).

Only while its obligation is unsettled, so that all its money still lies in the buyer's escrow and the seller's margin. A
trade that stands in for a failed hour is neither busted nor adjusted: it is settled, or fails in its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import green, money
from exchange.domain.books import adjust_sold
from exchange.domain.buy_in import call_off
from exchange.domain.commands_settlement import AdjustTrade, BustTrade
from exchange.domain.events_settlement import TradeAdjusted, TradeBusted
from exchange.domain.offers import price_to_ticks
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Obligation
from exchange.domain.units import div_ceil, div_floor
from matching_core.limits import MAX_MONEY_MICRO

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

CASH, ESCROW, MARGIN = money.CASH, money.ESCROW, money.MARGIN


def _trade(v: Venue, number: int, reason: str) -> Obligation:
    """The unsettled obligation of a trade that can be corrected."""
    v.text(reason, "reason", longest=64)
    due = v.state.obligations.get(number)
    if due is None:
        message = f"obligation {number} is unknown, busted or settled"
        raise Refusal(VenueReason.UNKNOWN_OBLIGATION, message, "what is settled is corrected by payments")
    if due.instead_of:
        message = f"obligation {number} stands in for {due.instead_of}: it was made by a cure, not by a trade of its own"
        raise Refusal(VenueReason.INVALID_SHAPE, message)
    return due


def _others(v: Venue, due: Obligation) -> list[Obligation]:
    """What else is unsettled of the same block, or was bought with it in one step of a bulk task that moved data; by number."""
    numbers = sorted(v.obligations_of_lease[due.lease])
    if due.lease < 0 and due.lease_moving_micro:
        numbers = [number for number, other in sorted(v.state.obligations.items()) if _is_of_step(v, due, other)]
    return [v.state.obligations[number] for number in numbers if number != due.number]


def _is_of_step(v: Venue, due: Obligation, other: Obligation) -> bool:
    """Whether the data was moved once for both of two parts of a bulk task (BB4)."""
    families = v.state.families
    return (
        (other.task, other.made_ns, other.is_cover) == (due.task, due.made_ns, False)
        and (other.lease_lots, other.lease_moving_micro) == (due.lease_lots, due.lease_moving_micro)
        and families[other.family - 1].region == families[due.family - 1].region
    )


def bust(v: Venue, command: BustTrade) -> None:
    """BustTrade: cost, fee and margin go back, the lots may be sold again; once, since nothing is left of it."""
    due = _trade(v, command.obligation_id, command.reason)
    others = _others(v, due)
    if due.checkpoint == "none" and any(other.period < v.state.settled_end for other in [due, *others]):
        message = "hours of this block without checkpoints have run: it is decided as a whole"
        raise Refusal(VenueReason.NOT_DUE, message, "bust it before its first hour is settled")
    call_off(v, due)
    moving = _pass_on_moving(due, others)
    reference = f"bust:{due.number}"
    for amount in (due.cost_micro, due.fee_micro, moving):
        money.move(v, (due.buyer, ESCROW), (due.buyer, CASH), amount, "bust", reference)
    money.move(v, (due.seller, MARGIN), (due.seller, CASH), due.margin_micro, "bust", reference)
    green.settle(v, due, 0)
    if v.periods.gate(due.period) > v.state.now_ns:
        is_freed = adjust_sold(v, due, v.state.families[due.family - 1].chip, due.period, -due.lots)
        assert is_freed, due
    v.state.fix_memory.correct(due.number, 0, v.state.now_ns)
    v.emit(TradeBusted(
        due.number, due.buyer, due.seller, v.instrument_code(due.family, due.period), v.periods.start(due.period), due.lots,
        due.price_ticks * v.settings.tick_micro, due.cost_micro, due.fee_micro, moving, command.reason,
    ))  # fmt: skip
    v.forget_obligation(due)
    money.top_up(v, due.seller)


def _pass_on_moving(due: Obligation, others: list[Obligation]) -> int:
    """What moving the data cost stays with the block while anything of it is left; what comes back to the buyer."""
    size = due.lease_lots, due.lease_moving_micro
    for other in others:
        if not other.is_cover and (other.lease_lots, other.lease_moving_micro) == size:  # covers have a size of their own
            other.lease_lots = max(other.lots, other.lease_lots - due.lots)
    if not others:
        return due.moving_micro
    others[0].moving_micro += due.moving_micro
    return 0


def adjust(v: Venue, command: AdjustTrade) -> None:
    """AdjustTrade: cost and fee follow the price, the buyer pays or gets the difference, the margin is marked anew (HM5)."""
    due = _trade(v, command.obligation_id, command.reason)
    ticks, before = price_to_ticks(v, command.price_micro), due.price_ticks
    if due.is_adjusted:
        raise Refusal(VenueReason.DUPLICATE_ID, f"obligation {due.number} has been adjusted: that is done once", "bust it")
    if due.number in v.repair_of:
        raise Refusal(VenueReason.NOT_DUE, f"a buy-in waits for obligation {due.number}", "bust it, or wait until it has ended")
    cost = div_floor(due.cost_micro * ticks, before)
    fee = div_ceil(due.fee_micro * ticks, before)
    if cost <= 0 or cost > MAX_MONEY_MICRO // 4:
        raise Refusal(VenueReason.INVALID_PRICE, "at this price the trade would cost nothing, or more than money can hold")
    more = cost + fee - due.cost_micro - due.fee_micro
    money.require_cash(v, due.buyer, more, "the higher price")
    who, reference = due.buyer, f"adjust:{due.number}"
    source, target = ((who, CASH), (who, ESCROW)) if more > 0 else ((who, ESCROW), (who, CASH))
    money.move(v, source, target, abs(more), "adjust", reference)
    due.price_ticks, due.cost_micro, due.fee_micro, due.is_adjusted = ticks, cost, fee, True
    v.state.fix_memory.correct(due.number, ticks, v.state.now_ns)
    tick_micro = v.settings.tick_micro
    v.emit(TradeAdjusted(
        due.number, due.buyer, due.seller, v.instrument_code(due.family, due.period), v.periods.start(due.period), due.lots,
        before * tick_micro, ticks * tick_micro, cost, fee, command.reason,
    ))  # fmt: skip
    money.mark_obligation(v, due, money.known_fix(v, due.family, v.book_of(due)))
    money.top_up(v, due.seller)
