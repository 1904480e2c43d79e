"""Questions to the live venue, between two frames: what is listed, what stands in the books, what a task would get.

Every function reads and changes nothing. What belongs to one participant is in `exchange.engine.own_queries`.
"""

from typing import Any, NamedTuple

from exchange.domain.commands import Task, TaskChip
from exchange.domain.instrument import Family, book_id, is_instrument_open
from exchange.domain.preview import Quote, preview
from exchange.domain.reasons import Refusal
from exchange.domain.routing import Eligible, eligible_families
from exchange.domain.tasks import LANES
from exchange.domain.units import div_half_even
from exchange.domain.venue import Venue
from exchange.engine.own_queries import (
    account_answer,
    accounts,
    activity,
    due,
    holds,
    obligation_parties,
    open_lot_periods,
    participants,
    sites,
    state,
    unsold,
    user_data,
)
from exchange.protocol import answers as a
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid
from exchange.protocol.present import relaxed

__all__ = [
    "Moment", "account_answer", "accounts", "activity", "catalogue", "depth", "due", "families", "family_answer", "holds",
    "lane", "obligation_parties", "open_lot_periods", "participants", "quote", "sites", "state", "unsold", "user_data",
    "venue_answer",
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
                price_per_gb=m.yuan(link.price_micro_per_gb), mbit_per_s=link.mbit_per_s,
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


def lane(v: Venue, at: Moment, m: Measures, asked: r.LaneView) -> a.Lane:
    """DI5: the asks of every eligible book and block offer in one period, cheapest first; DoorError for a bad need."""
    start_ns, period = _open_period(v, m, asked.period_start)
    rows: list[tuple[tuple[Any, ...], a.LaneLevel]] = []
    for eligible in eligible_families(v, _need(v, m, asked, start_ns)):
        rows += _of_book(v, m, eligible, period, asked.levels) + _of_blocks(v, m, eligible, period)
    rows.sort(key=lambda row: row[0])
    items = tuple(level for _, level in rows[: asked.levels])
    return a.Lane(period_start=m.time_text(start_ns), items=items, **at.stamp(m))


def _open_period(v: Venue, m: Measures, text: str) -> tuple[int, int]:
    start_ns = m.time_ns(text, "period_start")
    grid = v.periods
    period = grid.at(start_ns)
    if grid.start(period) != start_ns:
        near = f"{m.time_text(grid.start(period))} and {m.time_text(grid.start(period + 1))}"
        raise invalid("period_start", f"{text} is not the start of a period", f"the nearest are {near}")
    if not is_instrument_open(grid, period, v.now_ns, v.settings.horizon_periods):
        first, last = grid.first_open(v.now_ns), grid.at(v.now_ns) + v.settings.horizon_periods
        span = f"{m.time_text(grid.start(first))} to {m.time_text(grid.start(last))}"
        raise invalid("period_start", f"{text} is closed or not listed yet", f"open are {span}")
    return start_ns, period


def _need(v: Venue, m: Measures, asked: r.LaneView, start_ns: int) -> Task:
    """The smallest task that says what the view asks for."""
    known = v.state.catalogue
    if asked.access_region not in known.regions:
        raise invalid("access_region", f"region {asked.access_region[:36]!r} is not in the catalogue")
    if not asked.chips:
        raise invalid("chips", "no chip is named", "name at least one")
    for place, chip in enumerate(asked.chips):
        if chip not in known.chips:
            raise invalid(f"chips[{place}]", f"chip {chip[:36]!r} is not in the catalogue")
    latency_us = m.latency_us(asked.max_latency_ms, "max_latency_ms") if asked.max_latency_ms is not None else 0
    green_ppm = m.ppm(asked.min_green, "min_green") if asked.min_green is not None else 0
    if asked.max_latency_ms is not None and latency_us <= 0:
        raise invalid("max_latency_ms", "the limit is not above 0", "leave it out for any")
    if green_ppm < 0:
        raise invalid("min_green", "the share is below 0")
    return Task(
        participant="", client_order_id="", access_region=asked.access_region, max_latency_us=latency_us,
        chips=tuple(TaskChip(chip) for chip in dict.fromkeys(asked.chips)), lots=1, periods=1,
        earliest_start_ns=start_ns, deadline_ns=start_ns + v.periods.period_ns, min_green_ppm=green_ppm,
    )  # fmt: skip


def _of_book(v: Venue, m: Measures, e: Eligible, period: int, levels: int) -> list[tuple[tuple[Any, ...], a.LaneLevel]]:
    _, asks = v.core.depth(book_id(e.family, period), levels)
    instrument = v.instrument_code(e.family, period)
    return [
        (
            (ticks, e.chip_place, e.rtt_us, instrument, ""),
            _lane_level(v, m, ticks, lots, instrument, "", 1, e.rtt_us),
        )
        for ticks, lots, _ in asks
    ]


def _of_blocks(v: Venue, m: Measures, e: Eligible, period: int) -> list[tuple[tuple[Any, ...], a.LaneLevel]]:
    """MB1: residues of block offers stand outside the books; an ask with an order is in its book already."""
    instrument, rows = v.instrument_code(e.family, period), []
    for number in v.family_blocks.get(e.family, ()):
        offer = v.state.offers[number]
        ask = offer.open.get(period)
        if ask is not None and ask.order_id == 0:
            ticks = offer.price_ticks(period)
            least = min(offer.min_lots, ask.lots)
            level = _lane_level(v, m, ticks, ask.lots, instrument, offer.site, least, e.rtt_us)
            rows.append(((ticks, e.chip_place, e.rtt_us, instrument, offer.site, number), level))
    return rows


def _lane_level(
    v: Venue, m: Measures, ticks: int, lots: int, instrument: str, site: str, least: int, rtt_us: int
) -> a.LaneLevel:
    return a.LaneLevel(
        price=m.yuan(ticks * v.settings.tick_micro), cards=m.cards_text(lots), instrument=instrument, site=site,
        is_block=bool(site), min_cards=m.cards_text(least), rtt_ms=m.ms_text(rtt_us),
    )  # fmt: skip


# --- previews ---


def quote(v: Venue, at: Moment, m: Measures, task: Task) -> a.Quote:
    """What a task would get now; DoorError REFUSED, the venue's reason in `limit`, where it would be refused as it stands."""
    try:
        found = preview(v, task)
    except Refusal as no:
        raise DoorError(DoorReason.REFUSED, no.message, limit=no.reason.name, hint=no.hint) from None
    is_block = found.fills and task.shape == "block"
    end_ns = found.start_ns + task.periods * v.periods.period_ns
    return a.Quote(
        fills=found.fills, total=m.yuan(found.total_micro), compute=m.yuan(found.compute_micro),
        moving=m.yuan(found.moving_micro), fee=m.yuan(found.fee_micro), per_card_hour=_per_card_hour(found, m),
        hold=m.yuan(found.hold_micro), budget=m.yuan(found.budget_micro), free=m.yuan(found.free_micro),
        site=found.site, instrument=found.instrument, start=m.time_text(found.start_ns) if found.fills else None,
        end=m.time_text(end_ns) if is_block else None,
        cards=m.cards_text(found.lot_periods // task.periods) if is_block else "",
        card_hours=m.card_hours_text(found.lot_periods), why_not=found.explanation.reason,
        binding=found.explanation.binding, relaxations=relaxed(found.explanation), as_of=m.time_text(at.now_ns),
        as_of_ns=str(at.now_ns), seq=at.seq,
    )  # fmt: skip


def _per_card_hour(found: Quote, m: Measures) -> str:
    """Delivered, without the fee: what the cap speaks of."""
    if not found.lot_periods:
        return ""
    delivered = (found.compute_micro + found.moving_micro) * 60 * m.settings.lots_per_card
    return m.yuan(div_half_even(delivered, found.lot_periods * m.settings.period_min))
