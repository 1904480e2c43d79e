"""RT2 by trying everything: every start on every site and in every block offer, written from the rules alone.

It reads what anybody may look at (live offers, asks of a site, log time, what links have promised) and the catalogue rows
the world was made of; it shares no code with the search. Slow on purpose: no window slides here, every run is priced anew.
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
    region_number: int  # in the order in which regions were loaded, by code
    account: int  # of the site: in the order of registration
    source: int  # MB2: the core's number of the block offer, or of the best ask of the first hour
    offer: int = 0  # 0 = plain asks
    moving_micro: int = 0
    lots: int = 0
    family: int = 0
    region: str = ""
    site: str = ""
    legs: tuple = ()  # (start_ns, offer_id, lots, price_ticks) as they must be bought


def best(world, task, limit_micro: int | None = None) -> Choice | None:
    """The least of all choices within the limit; None where nothing can be bought."""
    found = min(choices(world, task), default=None)
    return found if found is not None and (limit_micro is None or found.cost_micro <= limit_micro) else None


def choices(world, task):
    """Every feasible way to run the task as a block, dear ones included."""
    for place, (chip, lots) in enumerate(needs(world, task)):
        for family in world.venue.state.families:
            if family.chip == chip:
                yield from _in_family(world, task, family, place, lots)


def needs(world, task) -> list[tuple[str, int]]:
    """(chip, lots of it) in the task's order (CA4): rounded up, by its factor or its own speed."""
    if not task.pflops_milli_hours:
        return [(item.chip, -(-task.lots * PPM // item.factor_ppm)) for item in task.chips]
    known = world.venue.state.catalogue.chips
    settings = world.settings
    units = task.pflops_milli_hours * settings.lots_per_card * 60
    of_one = -(-units // (1000 * task.periods * settings.period_min))
    codes = [item.chip for item in task.chips] or sorted(code for code in known if known[code].family == "ai")
    return [(code, -(-of_one * PPM // known[code].fp16_gflops)) for code in codes]


def _in_family(world, task, family, place: int, lots: int):
    if task.allowed_regions and family.region not in task.allowed_regions:
        return
    if task.min_green_ppm and family.power != "green":
        return
    classes = ("L1", "L5", "L7", "L10", "BE")
    if task.slowest_class and classes.index(family.latency_class) > classes.index(task.slowest_class):
        return
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
    length, now = world.period_ns, world.now_ns
    is_emergency = task.lane == "emergency"
    ready_ns = now if is_emergency else now + delay_ns
    start_ns = -(-max(task.earliest_start_ns, ready_ns) // length) * length
    if is_emergency and task.earliest_start_ns <= now:
        start_ns = now // length * length
    start_ns = max(start_ns, _link_is_free_ns(world, task, family.region) or 0)
    while start_ns + task.periods * length <= task.deadline_ns:
        if is_emergency or start_ns - world.gate_ns > now:
            run = [start_ns + hour * length for hour in range(task.periods)]
            for site, owner in sorted(world.sites.items()):
                if (
                    world.firms[owner] != world.firms[task.participant]
                    and world.site_region[site] == family.region
                ):
                    yield from _at_site(world, task, family, site, run, lots, place, rtt_us, moving_micro)
        start_ns += length


def _moving(world, task, region: str):
    """(price, delay) of the data; None where it cannot get there, an emergency task's only within a minute (EM3)."""
    if not task.data_mb:
        return 0, 0
    link = world.links.get((task.data_region, region))
    if link is None:
        return (0, 0) if region == task.data_region else None
    price_micro_per_gb, mbit_per_s, _ = link
    delay_ns = -(-task.data_mb * 8 * SECOND // mbit_per_s)
    if task.lane == "emergency" and delay_ns > MINUTE:
        return None
    if _link_is_free_ns(world, task, region) is None:
        return None
    return -(-task.data_mb * price_micro_per_gb // 1000), delay_ns


def _link_is_free_ns(world, task, region: str) -> int | None:
    """RT7: from when on a run may start, by what the link has promised others; None where it is never free in time."""
    link = world.links.get((task.data_region, region)) if task.data_mb else None
    if link is None or not link[2]:
        return 0
    capacity = max(1, link[2] * world.settings.period_min // 60)
    here, rest = world.now_ns // world.period_ns, task.data_mb
    period = here
    while (period + task.periods) * world.period_ns <= task.deadline_ns or period == here:
        rest -= max(0, capacity - world.link_load(task.data_region, region, period * world.period_ns))
        if rest <= 0:
            return 0 if period == here else (period + 1) * world.period_ns
        period += 1
    return None


def _at_site(world, task, family, site: str, run: list[int], lots: int, place: int, rtt_us: int, moving_micro: int):
    found = [_plain(world, task, family, site, run, lots)]
    for offer in world.venue.state.offers.values():
        if offer.block_id and offer.site == site and offer.family == family.number:
            found.append(_block(world, task, offer, run, lots))
    state = world.venue.state
    for cost, source, offer, legs in filter(None, found):
        yield Choice(
            cost + moving_micro, place, rtt_us, run[0], state.catalogue.region_numbers[family.region],
            state.sites[site].account, source, offer, moving_micro, lots, family.number, family.region, site, legs,
        )  # fmt: skip


def _plain(world, task, family, site: str, run: list[int], lots: int):
    cost, legs, first = 0, [], None
    for start_ns in run:
        twelfths = world.twelfths(task, start_ns)
        if twelfths == 0:
            return None
        left = lots
        for ticks, there, order_id in world.venue.site_asks(
            site, family.number, world.venue.periods.at(start_ns)
        ):
            offer = world.owner_of_ask(order_id)
            if task.checkpoint == "none" and not offer.indivisible_ok:
                continue
            if start_ns - world.gate_ns <= world.now_ns and not offer.standby:
                continue
            first = order_id if first is None else first
            taken = min(left, there)
            if taken:
                cost += taken * ticks * world.lot_tick_micro * twelfths // 12
                legs.append((start_ns, offer.offer_id, taken, ticks))
            left -= taken
        if left:
            return None
    return cost, first, 0, tuple(legs)


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
    last = min(offer.end_period, offer.next_period + 1)
    left = set(residue) | {world.venue.periods.start(period) for period in range(offer.next_period, last)}
    has_more = run[0] - world.period_ns in left or run[-1] + world.period_ns in left
    if len(run) < offer.min_periods and has_more:
        return None
    ticks = [offer.price_ticks(world.venue.periods.at(start_ns)) for start_ns in run]
    legs = tuple((start_ns, offer.offer_id, lots, price) for start_ns, price in zip(run, ticks, strict=True))
    return sum(ticks) * lots * world.lot_tick_micro, offer.block_id, offer.number, legs
