"""Certificates behind a market day: whatever its green offers need, issued before the day begins.

A day from files or from a seed says which offers are green, not which plant stands behind them, so the issuer here has
exactly enough. Real supply comes by `cpx green supply --issue`.
"""

from collections import Counter
from dataclasses import replace

from exchange.domain.commands import PlaceOffer, SetVenue
from exchange.domain.commands_green import IssueCertificates
from exchange.domain.green import MAX_PERIODS, load_wh
from exchange.domain.instrument import Periods
from exchange.domain.units import NS_PER_MINUTE, NS_PER_SECOND
from exchange.replay.market_day import MarketDay

SOURCE = "as much as the day's green offers need"


def backed(day: MarketDay) -> MarketDay:
    """The same day in a venue whose green offers need certificates, with the certificates they need."""
    return replace(day, settings=replace(day.settings, green_needs_certificates=True), certificates=certificates_of(day))


def certificates_of(day: MarketDay) -> tuple[IssueCertificates, ...]:
    """For every holder and region one figure a period, from the first hour that can be offered to a horizon behind the day."""
    grid = grid_of(day.settings)
    first, last = grid.first_open(day.start_ns), grid.first_from(day.end_ns) + day.settings.horizon_periods
    changes: dict[tuple[str, str], Counter[int]] = {}
    regions = {site.site: site.region for site in day.sites}
    watts = {chip.code: chip.watts for chip in day.catalogue.chips}
    for row in day.rows:
        offer = row.command
        if isinstance(offer, PlaceOffer) and offer.power == "green" and offer.site in regions and offer.chip in watts:
            need = load_wh(watts[offer.chip], offer.lots, day.settings.period_min, day.settings.lots_per_card)
            change = changes.setdefault((offer.participant, regions[offer.site]), Counter())
            change[max(first, grid.at(offer.start_ns))] += need
            change[min(last, grid.first_from(offer.end_ns)) if offer.end_ns else last] -= need
    found: list[IssueCertificates] = []
    for (holder, region), change in sorted(changes.items()):
        for start, wh in _runs(change, first, last):
            name = f"green-{day.start_ns // NS_PER_SECOND}-{len(found) + 1}"
            found.append(IssueCertificates(holder, name, region, grid.start(start), wh, "modelled", SOURCE))
    return tuple(found)


def _runs(change: Counter[int], first: int, last: int) -> list[tuple[int, tuple[int, ...]]]:
    """(first period, figures) of at most MAX_PERIODS each, from the first period with anything to the last."""
    figures, now = [], 0
    for period in range(first, last):
        now += change[period]
        figures.append(now)
    runs = []
    for place in range(0, len(figures), MAX_PERIODS):
        wh = figures[place : place + MAX_PERIODS]
        used = [number for number, each in enumerate(wh) if each]
        if used:
            runs.append((first + place + used[0], tuple(wh[used[0] : used[-1] + 1])))
    return runs


def from_now(command: IssueCertificates, settings: SetVenue, now_ns: int) -> IssueCertificates | None:
    """What of it can still be issued; None where every gate has closed."""
    grid = grid_of(settings)
    passed = max(0, grid.first_open(now_ns) - grid.at(command.start_ns))
    left = command.wh[passed:]
    if not any(left):
        return None
    return replace(command, start_ns=grid.start(grid.at(command.start_ns) + passed), wh=left)


def grid_of(settings: SetVenue) -> Periods:
    """Periods of a venue with these settings."""
    return Periods(settings.period_min * NS_PER_MINUTE, settings.gate_min * NS_PER_MINUTE)
