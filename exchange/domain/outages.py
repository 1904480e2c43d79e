"""Windows in which a site will not deliver: what its provider announced, and what an authority has ordered (BB6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.domain.state import Curtailment, Obligation, Site

if TYPE_CHECKING:
    from exchange.domain.venue import Venue


def is_out(v: Venue, site: Site, period: int) -> bool:
    """Whether an announced outage or an ordered curtailment of a site meets a period."""
    return is_announced(v, site, period) or is_curtailed(v, site, period)


def is_announced(v: Venue, site: Site, period: int) -> bool:
    """Whether an announced outage of a site meets a period."""
    start, end = v.periods.start(period), v.periods.start(period + 1)
    return any(outage.start_ns < end and start < outage.end_ns for outage in site.outages)


def is_curtailed(v: Venue, site: Site, period: int) -> bool:
    """Whether an ordered curtailment of a site meets a period."""
    return any(_meets(v, order, site, period) for order in v.state.curtailments)


def is_excused(v: Venue, due: Obligation) -> bool:
    """Whether an obligation was sold before a curtailment that meets it was ordered: it owes no lambda."""
    site = v.state.sites[due.site]
    return any(due.number < order.next_number and _meets(v, order, site, due.period) for order in v.state.curtailments)


def _meets(v: Venue, order: Curtailment, site: Site, period: int) -> bool:
    is_here = order.site == site.name if order.site else order.region == site.region
    return is_here and order.start_ns < v.periods.start(period + 1) and v.periods.start(period) < order.end_ns
