"""After the trade: readings, disputes, outages and fixes (RD1, HM5, DI4's entry into the venue)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain import failing, meters, money
from exchange.domain.commands import AnnounceOutage, CountersignReading, DisputeReading, SetFix, SubmitReading
from exchange.domain.commands_delivery import ProbeReading
from exchange.domain.events import Acknowledged, FixSet, ReadingTaken
from exchange.domain.fix_memory import NEIGHBOURS
from exchange.domain.instrument import book_id
from exchange.domain.offers import price_to_ticks
from exchange.domain.outages import is_announced, is_excused
from exchange.domain.placing import forget_if_over, take_out, tell_family_fix
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Fix, Obligation, Outage
from exchange.domain.units import NS_PER_MINUTE

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_OUTAGES = 100  # announced and not settled, per site


def _obligation(v: Venue, number: int, participant: str, role: str) -> Obligation:
    """An open obligation of this participant; a foreign one answers like an unknown one."""
    found = v.state.obligations.get(number)
    if found is None or getattr(found, role) != participant:
        raise Refusal(VenueReason.UNKNOWN_OBLIGATION, f"{participant[:36]} has no open obligation {number}")
    return found


def _window_end_ns(v: Venue, obligation: Obligation) -> int:
    return v.periods.start(obligation.period + 1) + v.settings.dispute_min * NS_PER_MINUTE


def take_reading(v: Venue, command: SubmitReading) -> None:
    """SubmitReading: from the period's start to the window's end; one per obligation, the highest number counts."""
    due = _obligation(v, command.obligation_id, command.participant, "seller")
    now_ns, old = v.state.now_ns, due.reading
    if not v.periods.start(due.period) <= now_ns <= _window_end_ns(v, due):
        raise Refusal(VenueReason.INVALID_READING, "readings are taken from the period's start to the window's end")
    if not 0 <= command.delivered_lots <= due.lots:
        raise Refusal(VenueReason.INVALID_READING, f"{command.delivered_lots} lots delivered of {due.lots} sold")
    if old.is_countersigned:
        raise Refusal(VenueReason.INVALID_READING, "the buyer has countersigned the last reading: it stands")
    meters.check_reading(v, due, command.delivered_lots, command.signature)
    if not old.number < command.number < 1 << 53:
        raise Refusal(VenueReason.INVALID_READING, f"number {command.number} is not above the last one, {old.number}")
    old.number, old.delivered_lots = command.number, command.delivered_lots
    old.at_ns, old.is_final = now_ns, meters.is_final(v, due)
    _report(v, due)


def countersign(v: Venue, command: CountersignReading) -> None:
    """CountersignReading: the buyer agrees with the last reading, until the window's end; a dispute of his ends."""
    due = _obligation(v, command.obligation_id, command.participant, "buyer")
    if v.state.now_ns > _window_end_ns(v, due):
        raise Refusal(VenueReason.INVALID_READING, "the window has ended: the reading counts unless it was disputed")
    if command.number <= 0 or command.number != due.reading.number:
        raise Refusal(VenueReason.INVALID_READING, f"number {command.number} is not the last reading's, {due.reading.number}")
    if due.number in v.state.failing:
        raise Refusal(VenueReason.INVALID_READING, f"the obligation has failed ({v.state.failing[due.number]})")
    due.reading.is_countersigned, due.reading.disputed_lots = True, -1
    _report(v, due)


def dispute(v: Venue, command: DisputeReading) -> None:
    """DisputeReading: the buyer's own figure, until the window's end; a countersigned reading cannot be disputed."""
    due = _obligation(v, command.obligation_id, command.participant, "buyer")
    if not v.periods.start(due.period) <= v.state.now_ns <= _window_end_ns(v, due):
        raise Refusal(VenueReason.INVALID_READING, "the dispute window is not open")
    if due.reading.is_countersigned or not 0 <= command.delivered_lots <= due.lots:
        raise Refusal(VenueReason.INVALID_READING, "the reading is countersigned, or the figure is above what was sold")
    due.reading.disputed_lots = command.delivered_lots
    _report(v, due)


def probe(v: Venue, command: ProbeReading) -> None:
    """ProbeReading: after the period, until the window's end; as much as the reading says countersigns it, else less counts."""
    v.text(command.probe, "probe")
    due = v.state.obligations.get(command.obligation_id)
    if due is None:
        raise Refusal(VenueReason.UNKNOWN_OBLIGATION, f"there is no open obligation {command.obligation_id}")
    if not v.periods.start(due.period + 1) <= v.state.now_ns <= _window_end_ns(v, due):
        raise Refusal(VenueReason.INVALID_READING, "a probe speaks between the period's end and the window's end")
    if not 0 <= command.delivered_lots <= due.lots:
        raise Refusal(VenueReason.INVALID_READING, f"{command.delivered_lots} lots delivered of {due.lots} sold")
    if due.number in v.state.failing or due.reading.is_countersigned:
        raise Refusal(VenueReason.INVALID_READING, "it has failed, or the buyer has countersigned its reading")
    due.reading.probe_lots = command.delivered_lots
    _report(v, due)


def _report(v: Venue, due: Obligation) -> None:
    reading = due.reading
    is_agreed = reading.is_countersigned or _is_probed(due)
    is_disputed = reading.disputed_lots >= 0 or 0 <= reading.probe_lots < reading.delivered_lots
    v.emit(ReadingTaken(due.number, reading.number, reading.delivered_lots, is_agreed, is_disputed))


def _is_probed(due: Obligation) -> bool:
    """Whether a network probe has countersigned the last reading."""
    return due.reading.number > 0 and due.reading.probe_lots >= due.reading.delivered_lots


def accepted_lots(due: Obligation) -> int:
    """RD1: a countersigned or undisputed reading counts; against a dispute the probe's figure, else the lower; none is 0.

    One that does not speak for the whole period counts only where it is countersigned; of a failing obligation nothing.
    """
    reading = due.reading
    if reading.number == 0:
        return 0
    if reading.is_countersigned or _is_probed(due):
        return reading.delivered_lots
    if not reading.is_final:
        return 0
    if reading.probe_lots >= 0:
        return reading.probe_lots  # less than the reading says
    if reading.disputed_lots < 0:
        return reading.delivered_lots
    return min(reading.delivered_lots, reading.disputed_lots)


def announce_outage(v: Venue, command: AnnounceOutage) -> None:
    """AnnounceOutage: lowers lambda (BB6) for periods whose gate is still ahead; what was sold in its window is failing."""
    site = v.own_site(command.site, command.participant)
    if not (v.is_time(command.start_ns) and v.is_time(command.end_ns)) or command.end_ns <= command.start_ns:
        raise Refusal(VenueReason.INVALID_WINDOW, "the outage's window is empty or out of range")
    if command.end_ns <= v.state.now_ns:
        raise Refusal(VenueReason.INVALID_WINDOW, "the outage has passed")
    settled_ns = v.periods.start(v.state.settled_end)
    known = [outage for outage in site.outages if outage.end_ns > settled_ns]  # older ones decide nothing any more
    if len(known) >= MAX_OUTAGES:
        raise Refusal(VenueReason.INVALID_WINDOW, f"{MAX_OUTAGES} outages of this site are announced already")
    known.append(Outage(command.start_ns, command.end_ns, v.state.now_ns, v.state.next_number))
    site.outages = known
    v.emit(Acknowledged("AnnounceOutage", command.site))
    failing.mark_site(v, command.site, command.start_ns, command.end_ns)
    for offer in v.offers_of_site(command.site):
        for period in sorted(period for period in offer.open if v.is_repaired(period) and is_announced(v, site, period)):
            take_out(v, offer, period, "outage")  # as at the start of a buy-in: a cover from there would fail too
        forget_if_over(v, offer)


def lambda_ppm(v: Venue, due: Obligation) -> int:
    """BB6: the smaller lambda where an outage over the period was announced after the sale and before its gate."""
    if is_excused(v, due):
        return 0
    start, end, gate = v.periods.start(due.period), v.periods.start(due.period + 1), v.periods.gate(due.period)
    for outage in v.state.sites[due.site].outages:
        is_in_time = due.number < outage.next_number and outage.announced_ns < gate
        if outage.start_ns < end and start < outage.end_ns and is_in_time:
            return v.settings.lambda_announced_ppm
    return v.settings.lambda_ppm


def set_fix(v: Venue, command: SetFix) -> None:
    """SetFix: stored for the instrument, and every open obligation in it is re-marked (HM5)."""
    family, period = v.instrument(command.instrument)
    if command.grade not in ("A", "B", "C"):
        raise Refusal(VenueReason.INVALID_SETTING, f"grade {command.grade[:10]!r} is none of A, B, C")
    if period < v.state.settled_end:
        raise Refusal(VenueReason.NOT_DUE, "this period is settled")
    v.text(command.inputs_hash, "inputs_hash", longest=64)
    price_to_ticks(v, command.price_micro)
    fix, book = Fix(command.price_micro, command.grade), book_id(family, period)
    state = v.state
    state.fixes[book] = state.last_fix[family] = fix
    if command.grade != "C":
        state.last_firm_fix[family] = fix
        tell_family_fix(v, family)
    state.fix_memory.note(
        family, state.families[family - 1].region, period, state.now_ns, command.price_micro, command.grade,
        ask_ticks=v.core.top(book)[2], tick_micro=v.settings.tick_micro,
        keep_from=v.periods.first_open(state.now_ns) - NEIGHBOURS - 1,
    )  # fmt: skip
    v.emit(FixSet(command.instrument, command.price_micro, command.grade, command.inputs_hash))
    sellers: set[str] = set()
    for number in sorted(v.obligations_of_period.get(period, ())):
        due = state.obligations[number]
        if due.family == family:
            money.mark_obligation(v, due, fix.price_micro)
            sellers.add(due.seller)
    for name in sorted(sellers & v.short):
        money.top_up(v, name)  # a lower fix may leave nothing short
