"""RT2 by trying everything: every start on every site and in every block offer, written from the rules alone.

It reads what anybody may look at (live offers, asks of a site, log time) and the catalogue rows the world was made of;
it shares no code with the venue's routing. Slow on purpose: no window slides here, every run is priced anew.
"""

from __future__ import annotations

from dataclasses import dataclass

PPM = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@dataclass(frozen=True, order=True)
class Choice:
    """One way to run a whole task. The fields stand in the order of RT2, so the least Choice is the right one."""

    cost_micro: int  # delivered: compute and moving the data
    chip_place: int
    rtt_us: int
    start_ns: int
    region: str
    site: str
    stamp: int  # MB2
    offer: int = 0  # 0 = plain asks
    moving_micro: int = 0
    lots: int = 0
    family: int = 0
    legs: tuple = ()  # (start_ns, offer_id, lots, price_ticks) as they must be bought


def best(world, task, limit_micro: int | None = None) -> Choice | None:
    """The least of all choices within the limit; None where nothing can be bought."""
    found = min(choices(world, task), default=None)
    return found if found is not None and (limit_micro is None or found.cost_micro <= limit_micro) else None


def choices(world, task):
    """Every feasible way to run the task, dear ones included."""
    for place, item in enumerate(task.chips):
        lots = -(-task.lots * PPM // item.factor_ppm)
        for family in world.venue.state.families:
            if family.chip == item.chip:
                yield from _in_family(world, task, family, place, lots)


def _in_family(world, task, family, place: int, lots: int):
    if task.allowed_regions and family.region not in task.allowed_regions:
        return
    if task.min_green_ppm and family.power != "green":
        return
    classes = ("L1", "L5", "L7", "L10", "BE")
    not_faster = classes[classes.index(family.latency_class) :]
    times = [world.rtt_us.get((task.access_region, family.region, name)) for name in not_faster]
    rtt_us = next(
        (time for time in times if time is not None), None
    )  # what is sold faster serves a slower pair
    if rtt_us is None or (task.max_latency_us and rtt_us > task.max_latency_us):
        return
    moving = _moving(world, task, family.region)
    if moving is None:
        return
    moving_micro, delay_ns = moving
    length = world.period_ns
    now = world.now_ns
    start_ns = -(-max(task.earliest_start_ns, now + delay_ns) // length) * length
    while start_ns + task.periods * length <= task.deadline_ns:
        if start_ns - world.gate_ns > now:
            run = [start_ns + hour * length for hour in range(task.periods)]
            for site, owner in sorted(world.sites.items()):
                if (
                    world.firms[owner] != world.firms[task.participant]
                    and world.site_region[site] == family.region
                ):
                    for cost, stamp, offer, legs in _at_site(world, task, family, site, run, lots):
                        yield Choice(cost + moving_micro, place, rtt_us, start_ns, family.region, site, stamp, offer,
                                     moving_micro, lots, family.number, legs)  # fmt: skip
        start_ns += length


def _moving(world, task, region: str):
    if not task.data_mb:
        return 0, 0
    link = world.links.get((task.data_region, region))
    if link is None:
        return (0, 0) if region == task.data_region else None
    price_micro_per_gb, mbit_per_s = link
    return -(-task.data_mb * price_micro_per_gb // 1000), -(-task.data_mb * 8 * SECOND // mbit_per_s)


def _at_site(world, task, family, site: str, run: list[int], lots: int):
    plain = _plain(world, task, family, site, run, lots)
    if plain is not None:
        yield plain
    for offer in world.venue.state.offers.values():
        is_block = offer.min_lots > 1 or offer.min_periods > 1
        if is_block and offer.site == site and offer.family == family.number:
            block = _block(world, task, offer, run, lots)
            if block is not None:
                yield block


def _plain(world, task, family, site: str, run: list[int], lots: int):
    cost, legs, stamp = 0, [], None
    for start_ns in run:
        left = lots
        for ticks, there, order_id in world.venue.site_asks(
            site, family.number, world.venue.periods.at(start_ns)
        ):
            offer = world.owner_of_ask(order_id)
            stamp = offer.stamp if stamp is None else stamp
            taken = min(left, there)
            if taken and task.checkpoint == "none" and not offer.indivisible_ok:
                return None
            if taken:
                cost += taken * ticks * world.lot_tick_micro
                legs.append((start_ns, offer.offer_id, taken, ticks))
            left -= taken
        if left:
            return None
    return cost, stamp, 0, tuple(legs)


def _block(world, task, offer, run: list[int], lots: int):
    """MB2, MB3: at least the minimum, or all there is, in lots and in hours."""
    if task.checkpoint == "none" and not offer.indivisible_ok:
        return None
    if run[0] - offer.notice_min * MINUTE <= world.now_ns:
        return None
    residue = {}
    for period, ask in offer.open.items():
        if not ask.order_id:
            residue[world.venue.periods.start(period)] = ask.lots
    if any(residue.get(start_ns, 0) < lots for start_ns in run):
        return None
    least = min(residue[start_ns] for start_ns in run)
    if lots < offer.min_lots and lots < least:
        return None
    # hours of the offer that are not listed yet will be left when they are
    left = set(residue) | {world.venue.periods.start(period) for period in range(offer.next_period, offer.end_period)}
    has_more = run[0] - world.period_ns in left or run[-1] + world.period_ns in left
    if len(run) < offer.min_periods and has_more:
        return None
    ticks = [offer.price_ticks(world.venue.periods.at(start_ns)) for start_ns in run]
    legs = tuple((start_ns, offer.offer_id, lots, price) for start_ns, price in zip(run, ticks, strict=True))
    return sum(ticks) * lots * world.lot_tick_micro, offer.stamp, offer.number, legs
