"""The demo's providers: owners of a few cards, municipal edge sites, campuses with idle machines, hub data centres.

Small providers bring what they have; hubs bring what is missing to a stated ratio of supply to demand per
chip, so that the market is neither empty nor flooded under any seed. Draws belong to a provider's code.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.adapters.draws import Draws
from exchange.adapters.market_files import OfferRow, TaskRow
from exchange.adapters.reference_prices import list_price_micro, to_tick
from exchange.adapters.trace_offers import GREEN_REGIONS, hour_prices
from exchange.domain.commands import PlaceOffer, SetVenue
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, div_ceil

SUPPLY_PERMILLE = 1_400

OWNERS, EDGES, CAMPUSES, HUBS_PER_CLUSTER = 40, 30, 20, 3
EDGE_CITIES = (
    ("hubei-wuhan", 6), ("hubei-yichang", 3), ("hubei-xiangyang", 3), ("hubei-jingzhou", 2), ("hubei-huangshi", 2),
    ("hubei-shiyan", 1), ("hubei-jingmen", 1), ("hubei-huanggang", 1), ("hubei-xiaogan", 1), ("hubei-suizhou", 1),
)  # fmt: skip
EDGE_CHIPS = (("L40S", 4), ("A10", 4), ("T4", 3), ("A910B", 2))
CAMPUS_CHIPS = (("A100-SXM-80", 3), ("K920", 3), ("A910B", 2), ("RTX4090", 2))
# Cluster -> price level per thousand: land, wind and sun are cheap in the west.
CLUSTERS = (
    ("hebei-zhangjiakou", 900), ("yangtze-green-zone", 1_080), ("yangtze-wuhu", 980), ("guangdong-shaoguan", 1_020),
    ("sichuan-tianfu", 930), ("chongqing", 960), ("neimenggu-horinger", 830), ("guizhou-guian", 850),
    ("gansu-qingyang", 790), ("ningxia-zhongwei", 770),
)  # fmt: skip
# What the three data centres of every cluster have; the super computers stand in two of the clusters.
HUB_CHIPS = (
    ("A910B", "K920"),
    ("H800", "RTX4090", "L40S"),
    ("H100-SXM-80", "A100-SXM-80", "MI300X", "T4", "A10"),
)
SUPER_CLUSTERS = ("yangtze-wuhu", "guangdong-shaoguan")
GREEN_MARKUP_PERMILLE = 1_030


@dataclass(frozen=True, slots=True)
class Provider:
    """A seller with one site."""

    code: str
    kind: str  # owner | edge | campus | hub
    region: str
    chips: tuple[str, ...]
    level_permille: int  # of the reference price
    indivisible_ok: bool

    @property
    def site(self) -> str:
        """The code of its only site."""
        return f"site-{self.code}"


def demo_sellers(seed: int) -> list[Provider]:
    """All 120 providers, small ones first, then by code."""
    owners = [
        _small(seed, "owner", number, (("RTX4090", 1),), (750, 1_100)) for number in range(1, OWNERS + 1)
    ]
    edges = [_small(seed, "edge", number, EDGE_CHIPS, (950, 1_300)) for number in range(1, EDGES + 1)]
    campuses = [
        _small(seed, "campus", number, CAMPUS_CHIPS, (850, 1_150)) for number in range(1, CAMPUSES + 1)
    ]
    hubs = [
        _hub(seed, cluster, level, number)
        for cluster, level in CLUSTERS
        for number in range(HUBS_PER_CLUSTER)
    ]
    return owners + edges + campuses + hubs


def _small(
    seed: int, kind: str, number: int, chips: tuple[tuple[str, int], ...], level: tuple[int, int]
) -> Provider:
    code = f"{kind}-{number:03d}"
    draws = Draws(seed, "provider", code)
    region, chip = draws.weighted(EDGE_CITIES), draws.weighted(chips)
    return Provider(code, kind, region, (chip,), draws.between(*level), draws.chance(30))


def _hub(seed: int, cluster: str, level: int, number: int) -> Provider:
    code = f"hub-{cluster}-{number + 1}"
    draws = Draws(seed, "provider", code)
    chips = HUB_CHIPS[number]
    if cluster in SUPER_CLUSTERS and number == 0:
        chips = (*chips, "SW26010P")
    return Provider(code, "hub", cluster, chips, level * draws.between(930, 1_080) // 1_000, draws.chance(40))


def demo_offers(
    seed: int, sellers: list[Provider], tasks: list[TaskRow], start_ns: int, venue: SetVenue
) -> list[OfferRow]:
    """About 250 offers, in order of (time, provider, id): half stand at the start, the others come during the day."""
    small = [
        row
        for seller in sellers
        if seller.kind != "hub"
        for row in _small_offers(seed, seller, start_ns, venue)
    ]
    hubs = [seller for seller in sellers if seller.kind == "hub"]
    missing = _missing(tasks, small)
    weights = {chip: sum(_size(seed, hub) for hub in hubs if chip in hub.chips) for chip in missing}
    large = []
    for hub in hubs:
        for chip in hub.chips:
            if missing.get(chip):
                share = div_ceil(missing[chip] * _size(seed, hub), weights[chip])
                large += _hub_offers(seed, hub, chip, share, start_ns, venue)
    rows = small + large
    rows.sort(key=lambda row: (row.submit_ns, row.command.participant, row.command.offer_id))
    return rows


def _size(seed: int, hub: Provider) -> int:
    """A hub's weight among hubs with the same chip: the largest offers sixteen times what the smallest does."""
    return Draws(seed, "size", hub.code).between(1, 16)


def attested_lots(seed: int, seller: Provider, needed_lots: int, venue: SetVenue) -> int:
    """Capacity of a site's chip: what is offered; a hub has thousands of cards, most of them sold elsewhere."""
    if seller.kind != "hub":
        return needed_lots
    cards = Draws(seed, "capacity", seller.code).between(2_000, 9_000)
    return max(needed_lots, cards * venue.lots_per_card)


def _missing(tasks: list[TaskRow], small: Iterable[OfferRow]) -> dict[str, int]:
    """Lot-periods per chip that hubs must bring; a task counts for its accepted chips in equal parts."""
    wanted: dict[str, int] = {}
    for row in tasks:
        task = row.command.task
        for chip in task.chips:
            part = div_ceil(task.lots * task.periods, len(task.chips))
            wanted[chip.chip] = wanted.get(chip.chip, 0) + part
    left = {chip: lot_periods * SUPPLY_PERMILLE // 1_000 for chip, lot_periods in sorted(wanted.items())}
    for offer in (row.command for row in small):
        if offer.chip in left:
            hours = (offer.end_ns - offer.start_ns) // NS_PER_HOUR
            left[offer.chip] = max(left[offer.chip] // 4, left[offer.chip] - offer.lots * hours)
    return left


def _small_offers(seed: int, seller: Provider, start_ns: int, venue: SetVenue) -> list[OfferRow]:
    """One offer of an owner or edge site, two of a campus: a base and a dearer rest."""
    draws = Draws(seed, "offer", seller.code)
    most = {"owner": (1, 4), "edge": (2, 16), "campus": (2, 16)}[seller.kind]
    cards, is_near = draws.between(*most), draws.chance(25)
    latency_class = "L1" if is_near and seller.kind == "edge" else "L5"
    if seller.kind != "campus":
        return [_offer(draws, seller, 1, latency_class, "grid", cards, 1_000, start_ns, venue)]
    half = max(1, cards // 2)
    return [
        _offer(draws, seller, 1, latency_class, "grid", half, 1_000, start_ns, venue),
        _offer(draws, seller, 2, "L5", "grid", half, 1_120, start_ns, venue),
    ]


def _hub_offers(
    seed: int, seller: Provider, chip: str, lot_periods: int, start_ns: int, venue: SetVenue
) -> list[OfferRow]:
    """A chip of a hub: plain offers within 10 ms, the last cards dearer, and a best-effort one, often a block."""
    draws = Draws(seed, "offer", seller.code, chip)
    hours = 30
    cards = max(2, div_ceil(lot_periods, hours * venue.lots_per_card) * draws.between(800, 1_200) // 1_000)
    is_green, is_block = draws.chance(60) and seller.region in GREEN_REGIONS, draws.chance(60)
    near, last = cards // 2, cards // 8
    power, markup = ("green", GREEN_MARKUP_PERMILLE) if is_green else ("grid", 1_000)
    offers = [_offer(draws, seller, 1, "L10", "grid", max(1, near - last), 1_060, start_ns, venue, chip)]
    offers.append(
        _offer(draws, seller, 2, "BE", power, cards - near, markup, start_ns, venue, chip, is_block)
    )
    if last:
        offers.append(_offer(draws, seller, 3, "L10", "grid", last, 1_150, start_ns, venue, chip))
    return offers


def _offer(
    draws: Draws,
    seller: Provider,
    number: int,
    latency_class: str,
    power: str,
    cards: int,
    markup_permille: int,
    start_ns: int,
    venue: SetVenue,
    chip: str = "",
    is_block: bool = False,
) -> OfferRow:
    chip = chip or seller.chips[0]
    submit_ns, first_ns, last_ns = _window(draws, start_ns, venue)
    price = list_price_micro(chip) * seller.level_permille // 1_000 * markup_permille // 1_000
    price_micro = to_tick(price, venue.tick_micro)
    is_shaped, min_hours = draws.chance(50), draws.between(2, 6)
    offer = PlaceOffer(
        participant=seller.code,
        offer_id=f"{chip}-{number}",
        site=seller.site,
        chip=chip,
        latency_class=latency_class,
        power=power,
        lots=cards * venue.lots_per_card,
        start_ns=first_ns,
        end_ns=last_ns,
        price_micro=price_micro,
        period_prices_micro=hour_prices(price_micro, first_ns, last_ns, venue) if is_shaped else (),
        min_lots=max(1, cards // 4) * venue.lots_per_card if is_block else 1,
        min_periods=div_ceil(min_hours * 60, venue.period_min) if is_block else 1,
        indivisible_ok=seller.indivisible_ok,
    )
    return OfferRow(submit_ns, offer, seller.region, "", 0)


def _window(draws: Draws, start_ns: int, venue: SetVenue) -> tuple[int, int, int]:
    """(submit, first, end): half are in at the start for 30 to 48 hours, the others come within 14 hours
    for 12 to 36.
    """
    is_early, later_ms = draws.chance(50), draws.below(14 * 3_600_000)
    long_hours, short_hours = draws.between(30, 48), draws.between(12, 36)
    submit_ns = start_ns + (draws.below(60_000) if is_early else later_ms) * 1_000_000
    period_ns = venue.period_min * NS_PER_MINUTE
    first_ns = div_ceil(submit_ns + venue.gate_min * NS_PER_MINUTE + 1, period_ns) * period_ns
    return submit_ns, first_ns, first_ns + (long_hours if is_early else short_hours) * NS_PER_HOUR
