"""Questions to the live venue, between two frames: what is listed, what stands in the books, what a task would get.

Every function reads and changes nothing. What belongs to one participant is in `exchange.engine.own_queries`.
"""

from typing import Any, NamedTuple

from exchange.domain.commands import Task
from exchange.domain.instrument import Family, book_id
from exchange.domain.preview import Quote, preview
from exchange.domain.reasons import Refusal
from exchange.domain.task_terms import LANES
from exchange.domain.units import div_half_even
from exchange.domain.venue import Venue
from exchange.engine.dispatch_queries import dispatches, meter_of
from exchange.engine.green_queries import certificates, is_settled
from exchange.engine.own_queries import (
    account_answer,
    accounts,
    activity,
    due,
    holds,
    obligation_parties,
    open_hours,
    open_lot_periods,
    participants,
    sites,
    state,
    task_terms,
    unsold,
    user_data,
)
from exchange.protocol import answers as a
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.present import parts_told, relaxed

__all__ = [
    "Moment", "account_answer", "accounts", "activity", "catalogue", "certificates", "depth", "dispatches", "due", "families",
    "family_answer", "holds", "is_settled", "meter_of", "obligation_parties", "open_hours", "open_lot_periods", "participants",
    "quote", "sites", "state", "task_terms", "unsold", "user_data", "venue_answer",
]  # fmt: skip

UNIT = "yuan per card-hour"


class Moment(NamedTuple):
    """What an answer is stamped with: epoch, number of the last command, the venue's time."""

    epoch: int
    seq: int
    now_ns: int

    def stamp(self, m: Measures) -> dict[str, Any]:
        """The fields of an answer."""
        return {"epoch": self.epoch, "seq": self.seq, "ts": m.time_text(self.now_ns), "ts_ns": str(self.now_ns)}


def venue_answer(v: Venue, at: Moment, m: Measures, clock: str, speed: str) -> a.Venue:
    """Measures, clock and fees; before the first tariff the fees are 0."""
    settings = v.settings
    standard, economy, emergency = (v.lane_fee_ppm(lane) if v.state.tariffs else 0 for lane in LANES)
    return a.Venue(
        name=settings.name, time_zone=settings.time_zone, period_min=settings.period_min, gate_min=settings.gate_min,
        horizon_periods=settings.horizon_periods, tick=m.yuan(settings.tick_micro), lot=m.cards_text(1), unit=UNIT,
        release_min=settings.release_min, dispute_min=settings.dispute_min, clock=clock, speed=speed,
        families=len(v.state.families), tariff_version=v.state.tariff_version,
        fee_standard=m.ppm_text(standard), fee_economy=m.ppm_text(economy), fee_emergency=m.ppm_text(emergency),
        **at.stamp(m),
    )  # fmt: skip


def catalogue(v: Venue, m: Measures) -> a.Catalogue:
    """All of the catalogue, in the order it was loaded."""
    known = v.state.catalogue
    return a.Catalogue(
        chips=tuple(
            a.Chip(
                code=chip.code, family=chip.family, fp16_pflops=m.ppm_text(chip.fp16_gflops),
                memory_gb=chip.memory_gb, watts=chip.watts, note=chip.note,
            )
            for chip in known.chips.values()
        ),
        regions=tuple(
            a.Region(
                code=region.code, name=region.name, hub=region.hub, kind=region.kind,
                longitude=m.ms_text(region.longitude_mdeg), latitude=m.ms_text(region.latitude_mdeg),
            )
            for region in known.regions.values()
        ),
        reach=tuple(
            a.Reach(access_region=access, host_region=host, latency_class=name, rtt_ms=m.ms_text(rtt_us))
            for access, row in known.reach.items()
            for (host, name), rtt_us in row.items()
        ),
        links=tuple(
            a.Link(
                from_region=link.from_region, to_region=link.to_region,
                price_per_gb=m.yuan(link.price_micro_per_gb), mbit_per_s=link.mbit_per_s, mb_per_hour=link.mb_per_hour,
            )
            for link in known.links.values()
        ),
    )  # fmt: skip


# --- instruments and books ---


def family_answer(v: Venue, family: Family, m: Measures) -> a.Family:
    """A family and the periods that can be traded now."""
    grid = v.periods
    first, last = grid.first_open(v.now_ns), grid.at(v.now_ns) + v.settings.horizon_periods
    return a.Family(
        family=family.code, chip=family.chip, region=family.region, latency_class=family.latency_class,
        power=family.power, first_period=grid.code(first), last_period=grid.code(last), periods=max(0, last - first + 1),
        tick=m.yuan(v.settings.tick_micro), lot=m.cards_text(1),
    )  # fmt: skip


def families(v: Venue, m: Measures, asked: r.Instruments, after: int) -> tuple[tuple[a.Family, ...], int]:
    """(families numbered above `after` that fit, number of the last one where there are more, else 0)."""
    found: list[Family] = []
    for family in v.state.families[after:]:
        wanted = (asked.chip, asked.region, asked.latency_class, asked.power)
        have = (family.chip, family.region, family.latency_class, family.power)
        if all(want is None or want == has for want, has in zip(wanted, have, strict=True)):
            if len(found) == asked.limit:
                return tuple(family_answer(v, each, m) for each in found), found[-1].number
            found.append(family)
    return tuple(family_answer(v, each, m) for each in found), 0


def depth(v: Venue, at: Moment, m: Measures, instrument: str, levels: int) -> a.Depth:
    """A book now; DoorError NOT_FOUND for an instrument that is unknown or closed."""
    try:
        family, period = v.open_instrument(instrument)
    except Refusal as no:
        raise DoorError(DoorReason.NOT_FOUND, no.message, field="instrument", hint=no.hint) from None
    bids, asks = v.core.depth(book_id(family, period), levels)
    return a.Depth(instrument=instrument, bids=_levels(v, m, bids), asks=_levels(v, m, asks), **at.stamp(m))


def _levels(v: Venue, m: Measures, side: list[tuple[int, int, int]]) -> tuple[a.Level, ...]:
    tick = v.settings.tick_micro
    return tuple((m.yuan(ticks * tick), m.cards_text(lots)) for ticks, lots, _ in side)


# --- previews ---


def quote(v: Venue, at: Moment, m: Measures, task: Task) -> a.Quote:
    """What a task would get now; DoorError REFUSED, the venue's reason in `limit`, where it would be refused as it stands."""
    try:
        found = preview(v, task)
    except Refusal as no:
        raise DoorError(DoorReason.REFUSED, no.message, limit=no.reason.name, hint=no.hint) from None
    is_run = found.fills and task.shape in ("block", "spread")  # hours one after the other
    end_ns = found.start_ns + task.periods * v.periods.period_ns
    return a.Quote(
        fills=found.fills, total=m.yuan(found.total_micro), compute=m.yuan(found.compute_micro),
        moving=m.yuan(found.moving_micro), fee=m.yuan(found.fee_micro), per_card_hour=_per_card_hour(found, m),
        hold=m.yuan(found.hold_micro), budget=m.yuan(found.budget_micro), free=m.yuan(found.free_micro),
        site=found.site, instrument=found.instrument, start=m.time_text(found.start_ns) if found.fills else None,
        end=m.time_text(end_ns) if is_run else None,
        cards=m.cards_text(found.lot_periods // task.periods) if found.fills and task.shape != "bulk" else "",
        card_hours=m.card_hours_text(found.lot_periods), why_not=found.explanation.reason,
        binding=found.explanation.binding, relaxations=relaxed(found.explanation), as_of=m.time_text(at.now_ns),
        as_of_ns=str(at.now_ns), seq=at.seq, parts=parts_told(found.parts, m),
    )  # fmt: skip


def _per_card_hour(found: Quote, m: Measures) -> str:
    """Delivered, without the fee: what the cap speaks of."""
    if not found.lot_periods:
        return ""
    delivered = (found.compute_micro + found.moving_micro) * 60 * m.settings.lots_per_card
    return m.yuan(div_half_even(delivered, found.lot_periods * m.settings.period_min))


def is_order_open(v: Venue, participant: str, client_order_id: str) -> bool:
    """Whether a plain order of this name rests in a book, or waits as one that takes better."""
    key = (participant, client_order_id)
    if key in v.bid_ids:
        return True
    number = v.task_numbers.get(key)
    return number is not None and not v.state.tasks[number].task.access_region


def firm_of(v: Venue, participant: str) -> str:
    """The firm of a participant; where there is none of that name, the name."""
    known = v.state.participants.get(participant)
    return participant if known is None else v.state.firms[known.firm]
