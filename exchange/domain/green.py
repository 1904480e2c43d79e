"""Green power: certificates in Wh per holder, region and period (market.md 5).

Issued by the operator; pledged by every open ask of a green family and by what was sold out of it; retired by what was
delivered; free again where lots leave the market or are not delivered. A Wh is in one of these places and no other, so
it is never used twice. An ask and what is sold out of it share one pledge, which is rounded up once: however an ask is
split, its parts add up.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from exchange.domain.commands_green import IssueCertificates
from exchange.domain.events_green import CertificatesClosed, CertificatesIssued
from exchange.domain.reasons import Refusal, VenueReason
from exchange.domain.state import Ask, Certificates, Obligation, Offer
from exchange.domain.units import NS_PER_MINUTE, div_ceil

if TYPE_CHECKING:
    from exchange.domain.venue import Venue

MAX_PERIODS = 1024  # of one command
MAX_WH = 10**12  # of one period: 1 TWh
MAX_SOURCE = 200
KINDS = ("metered", "modelled")
Key = tuple[str, str, int]  # holder, region, period


def load_wh(watts: int, lots: int, period_min: int, lots_per_card: int) -> int:
    """What lots of a chip use in a period by the catalogue's watts, in Wh rounded up."""
    return div_ceil(lots * watts * period_min, 60 * lots_per_card)


def issue(v: Venue, command: IssueCertificates) -> None:
    """IssueCertificates: for periods that can still be offered, each batch once."""
    v.participant(command.participant)
    v.known_region(command.region)
    v.text(command.certificate_id, "certificate_id")
    v.text(command.source, "source", longest=MAX_SOURCE)
    if command.kind not in KINDS:
        raise Refusal(VenueReason.INVALID_SETTING, f"kind {command.kind[:10]!r} is none of {', '.join(KINDS)}")
    if command.certificate_id in v.state.certificate_ids:
        message = f"certificates {command.certificate_id} are issued already"
        raise Refusal(VenueReason.DUPLICATE_ID, message, "each batch is issued once")
    first = _first_period(v, command)
    _check_figures(v, command, first)
    for place, wh in enumerate(command.wh):
        if wh:
            key = (command.participant, command.region, first + place)
            held = v.state.certificates.get(key)
            if held is None:
                held = v.state.certificates[key] = Certificates()
                heappush(v.certificate_ends, (key[2], key))
            held.issued_wh += wh
            held.free_wh += wh
    v.state.certificate_ids[command.certificate_id] = first + len(command.wh)
    v.emit(CertificatesIssued(
        command.participant, command.certificate_id, command.region, command.start_ns, command.wh, command.kind,
        command.source,
    ))  # fmt: skip


def _first_period(v: Venue, command: IssueCertificates) -> int:
    is_time = 0 <= command.start_ns <= v.last_time_ns()
    if not is_time or command.start_ns % v.periods.period_ns or not 0 < len(command.wh) <= MAX_PERIODS:
        raise Refusal(
            VenueReason.INVALID_WINDOW, f"certificates are issued for 1 to {MAX_PERIODS} whole periods",
            f"start on a multiple of {v.settings.period_min} minutes",
        )  # fmt: skip
    first = v.periods.at(command.start_ns)
    if first < v.periods.first_open(v.state.now_ns):
        message = f"the gate of {v.periods.code(max(0, first))} has closed: nothing can be offered there any more"
        raise Refusal(VenueReason.INVALID_WINDOW, message, "issue certificates before the gate")
    return first


def _check_figures(v: Venue, command: IssueCertificates, first: int) -> None:
    if not any(command.wh) or min(command.wh) < 0:
        raise Refusal(VenueReason.INVALID_QTY, "Wh are 0 or more, and not 0 throughout")
    for place, wh in enumerate(command.wh):
        held = v.state.certificates.get((command.participant, command.region, first + place), Certificates())
        if held.issued_wh + wh > MAX_WH:
            message = f"more than {MAX_WH} Wh of one participant in {v.periods.code(first + place)}"
            raise Refusal(VenueReason.INVALID_QTY, message)


# --- offering ---


def needs(v: Venue, family: int) -> bool:
    """Whether offers of a family must be backed."""
    return v.settings.green_needs_certificates and v.state.families[family - 1].power == "green"


def need_wh(v: Venue, family: int, lots: int) -> int:
    """What lots of a family pledge for one period; 0 where nothing is needed."""
    if not lots or not needs(v, family):
        return 0
    watts = v.state.catalogue.chips[v.state.families[family - 1].chip].watts
    return load_wh(watts, lots, v.settings.period_min, v.settings.lots_per_card)


def _key(v: Venue, holder: str, family: int, period: int) -> Key:
    return holder, v.state.families[family - 1].region, period


def free_wh(v: Venue, holder: str, family: int, period: int) -> int:
    """Certificates that a holder has left in the region of a family."""
    held = v.state.certificates.get(_key(v, holder, family, period))
    return held.free_wh if held else 0


def covers(v: Venue, offer: Offer, period: int, lots: int) -> bool:
    """Whether a period of an offer may have so many lots, counting what it has pledged already."""
    open_ask = offer.open.get(period)
    pledged = open_ask.green_wh if open_ask else 0
    return need_wh(v, offer.family, lots) - pledged <= free_wh(v, offer.participant, offer.family, period)


def require(v: Venue, offer: Offer, period: int, lots: int) -> None:
    """Refusal unless certificates cover a period of an offer."""
    if not covers(v, offer, period, lots):
        need, region = need_wh(v, offer.family, lots), v.state.families[offer.family - 1].region
        free = free_wh(v, offer.participant, offer.family, period)
        raise Refusal(
            VenueReason.CERTIFICATES,
            f"{need} Wh of green power in {v.periods.code(period)}: {free} Wh of {offer.participant} in {region} are free",
            "have certificates issued, offer less, or offer grid",
        )  # fmt: skip


def pledge(v: Venue, offer: Offer, period: int, ask: Ask) -> None:
    """Brings the pledge of an ask to what its open lots need."""
    need = need_wh(v, offer.family, ask.lots)
    freed = ask.green_wh - need
    if freed:
        held = v.state.certificates[_key(v, offer.participant, offer.family, period)]
        assert held.free_wh + freed >= 0, (offer, period, held)
        held.free_wh += freed
        held.pledged_wh -= freed
        ask.green_wh = need


def sell(v: Venue, offer: Offer, period: int, ask: Ask) -> int:
    """An ask has sold lots: their part of its pledge goes with them, and is returned."""
    sold = ask.green_wh - need_wh(v, offer.family, ask.lots)
    ask.green_wh -= sold
    return sold


# --- delivery ---


def settle(v: Venue, due: Obligation, delivered_lots: int) -> tuple[int, int]:
    """An obligation ends: (Wh used by what was delivered, Wh of certificates retired for it); the rest of its pledge is free.

    Where only twelfths of a period were bought (EM2), what was paid tells which part of the period was used.
    """
    if not delivered_lots:
        release(v, due, due.green_wh)
        return 0, 0
    family, settings = v.state.families[due.family - 1], v.settings
    full_micro = due.price_ticks * due.lots * v.value_micro
    watt_lots = delivered_lots * v.state.catalogue.chips[family.chip].watts
    load = div_ceil(watt_lots * settings.period_min * due.cost_micro, 60 * settings.lots_per_card * full_micro)
    if not due.green_wh:
        return load, 0
    held = v.state.certificates[due.seller, family.region, due.period]
    used = div_ceil(due.green_wh * delivered_lots * due.cost_micro, due.lots * full_micro)
    held.pledged_wh -= due.green_wh
    held.retired_wh += used
    held.free_wh += due.green_wh - used
    due.green_wh = 0
    return load, used


def release(v: Venue, due: Obligation, wh: int) -> None:
    """A part of an obligation's pledge is free again: so many of its lots are owed no more."""
    if wh:
        held = v.state.certificates[due.seller, v.state.families[due.family - 1].region, due.period]
        held.pledged_wh -= wh
        held.free_wh += wh
        due.green_wh -= wh


def can_carry(v: Venue, due: Obligation, period: int, lots: int) -> bool:
    """Whether lots of an obligation may run in another period: green ones must be backed there too."""
    return need_wh(v, due.family, lots) <= free_wh(v, due.seller, due.family, period)


def carry(v: Venue, due: Obligation, period: int, lots: int) -> None:
    """Certificates of another period are pledged for lots that will run there instead; `can_carry` said that they are free."""
    if need := need_wh(v, due.family, lots):
        held = v.state.certificates[_key(v, due.seller, due.family, period)]
        held.free_wh -= need
        held.pledged_wh += need


def forget_past(v: Venue, before_ns: int) -> None:
    """Periods that are over, and whose window has ended: what is left of them is void, and told."""
    window_ns = v.settings.dispute_min * NS_PER_MINUTE
    first = v.periods.at(v.state.now_ns - window_ns)
    if first <= v.periods.at(before_ns - window_ns) or not (v.state.certificates or v.state.certificate_ids):
        return
    state, over = v.state, []
    while v.certificate_ends and v.certificate_ends[0][0] < first:
        over.append(heappop(v.certificate_ends)[1])
    for key in sorted(over):
        if state.certificates[key].pledged_wh:
            heappush(v.certificate_ends, (key[2], key))
            continue
        held = state.certificates.pop(key)
        holder, region, period = key
        v.emit(CertificatesClosed(
            holder, region, v.periods.start(period), held.issued_wh, held.retired_wh, held.free_wh,
        ))  # fmt: skip
    state.certificate_ids = {name: end for name, end in state.certificate_ids.items() if end > first}
