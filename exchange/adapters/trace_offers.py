"""Offers that meet a trace's demand, priced from public price lists (docs/guides/alibaba_trace.md, "Supply").

How many cards of a chip stand in the market follows the demand; who sells them, where and at what price
follows the lists and the seed. Draws belong to a provider and a chip, so that neither the order of lists nor
of lines matters.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exchange.adapters.draws import Draws
from exchange.adapters.market_files import DEFAULT_VENUE, OfferRow
from exchange.adapters.price_lists import PriceLists, Quote, read_price_lists
from exchange.adapters.reference_prices import LIST_PRICE_MILLI_USD, USD_RATE_PPM, to_tick
from exchange.adapters.rows import Problem
from exchange.adapters.trace_alibaba import DEFAULT_SEED, Demand
from exchange.domain.commands import PlaceOffer, SetVenue
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE, PPM, div_ceil

DEFAULT_SUPPLY_PERMILLE = 1_150
LARGEST_SITE_PERMILLE = 400
MOST_PART = 5  # of what is left, a seller after the first takes at most a fifth

# Chip -> the listed chips its price is taken from, in this order, each with parts per thousand of that price.
PRICE_SOURCES: dict[str, tuple[tuple[str, int], ...]] = {
    "T4": (("T4", 1_000), ("V100M16", 450)),
    "P100": (("P100", 1_000), ("V100M16", 900)),
    "V100M16": (("V100M16", 1_000),),
    "V100M32": (("V100M32", 1_000), ("V100M16", 1_100)),
    "A10": (("A10", 1_000), ("T4", 1_900)),
    "G2": (("A10", 1_000), ("T4", 1_900), ("V100M16", 850)),
    "G3": (("A100-SXM-80", 1_000),),
}
UNLISTED = ("K920",)  # no list has it: sold by anybody around the reference price

CLUSTERS = (
    ("hebei-zhangjiakou", 2), ("yangtze-green-zone", 1), ("yangtze-wuhu", 2), ("guangdong-shaoguan", 2),
    ("sichuan-tianfu", 2), ("chongqing", 1), ("neimenggu-horinger", 2), ("guizhou-guian", 3),
    ("gansu-qingyang", 3), ("ningxia-zhongwei", 3),
)  # fmt: skip
EDGES = (("hubei-wuhan", 5), ("hubei-yichang", 2), ("hubei-xiangyang", 2), ("hubei-jingzhou", 1))
GREEN_REGIONS = (
    "hebei-zhangjiakou",
    "neimenggu-horinger",
    "guizhou-guian",
    "gansu-qingyang",
    "ningxia-zhongwei",
)

# Parts per thousand of the price by hour of the venue's day (UTC+8): cheap nights, dear afternoons and
# evenings.
HOUR_SHAPE = (800,) * 7 + (900,) + (1_050,) * 4 + (1_000,) * 2 + (1_100,) * 5 + (1_150,) * 4 + (900,)
LOCAL_OFFSET_NS = 8 * NS_PER_HOUR


@dataclass(frozen=True, slots=True)
class OfferRows:
    """Offers by submit time and id; what could not be read; list entries skipped, by reason; chips without a price."""

    rows: tuple[OfferRow, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[tuple[str, int], ...]
    unlisted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seller:
    provider: str
    price_micro: int
    site: str
    region: str
    latency_class: str
    power: str
    indivisible_ok: bool


def import_price_lists(
    paths: Iterable[Path],
    demand: Demand,
    seed: int = DEFAULT_SEED,
    *,
    venue: SetVenue = DEFAULT_VENUE,
    usd_rate_ppm: int = USD_RATE_PPM,
    supply_permille: int = DEFAULT_SUPPLY_PERMILLE,
) -> OfferRows:
    """Standing offers over the demand's whole window; a chip that nobody lists is told and not offered."""
    lists = read_price_lists(paths)
    unlisted: list[str] = []
    rows: list[OfferRow] = []
    for chip, first, others in _supply(demand, venue, supply_permille):
        sellers = _sellers(chip, lists, seed, usd_rate_ppm)
        if not sellers:
            unlisted.append(chip)
            continue
        for seller, cards in _split(chip, first, others, sellers, seed):
            rows += _offers(chip, seller, cards, demand, seed, venue)
    rows.sort(key=lambda row: (row.submit_ns, row.command.offer_id))
    return OfferRows(tuple(rows), lists.problems, lists.skipped, tuple(unlisted))


def _supply(demand: Demand, venue: SetVenue, supply_permille: int) -> list[tuple[str, int, int]]:
    """(chip, cards of the largest site, cards of all others) for every chip that is asked for."""
    period_ns = venue.period_min * NS_PER_MINUTE
    busy_periods = max(1, div_ceil(demand.last_submit_ns - demand.busy_start_ns, period_ns))
    named = dict(demand.largest_lots)
    supply = []
    for chip, lot_periods in demand.lot_periods:
        lots = div_ceil(lot_periods * supply_permille, busy_periods * 1_000)
        first = div_ceil(
            max(named.get(chip, 0), lots * LARGEST_SITE_PERMILLE // 1_000, 1), venue.lots_per_card
        )
        others = div_ceil(lots * (1_000 - LARGEST_SITE_PERMILLE), 1_000 * venue.lots_per_card)
        supply.append((chip, first, others))
    return supply


def _sellers(chip: str, lists: PriceLists, seed: int, usd_rate_ppm: int) -> list[_Seller]:
    """Everybody who lists the chip or a neighbour: first whose price is the lower median, then in a drawn order."""
    listed: dict[str, dict[str, Quote]] = {}
    for quote in lists.quotes:
        listed.setdefault(quote.provider, {})[quote.chip] = quote
    sellers = []
    for provider, quotes in sorted(listed.items()):
        price_usd = _price_usd(chip, provider, quotes, seed)
        if price_usd:
            sellers.append(_seller(provider, price_usd * usd_rate_ppm // PPM, seed))
    sellers.sort(key=lambda seller: (seller.price_micro, seller.provider))
    middle = sellers[(len(sellers) - 1) // 2 : (len(sellers) + 1) // 2]
    others = [seller for seller in sellers if seller not in middle]
    others.sort(
        key=lambda seller: (Draws(seed, "rank", seller.provider, chip).below(1 << 40), seller.provider)
    )
    return middle + others


def _price_usd(chip: str, provider: str, quotes: dict[str, Quote], seed: int) -> int:
    if chip in UNLISTED:
        spread = Draws(seed, "unlisted", provider, chip).between(800, 1_200)
        return LIST_PRICE_MILLI_USD[chip] * spread
    for source, permille in PRICE_SOURCES.get(chip, ((chip, 1_000),)):
        if source in quotes:
            return quotes[source].price_micro_usd * permille // 1_000
    return 0


def _seller(provider: str, price_micro: int, seed: int) -> _Seller:
    """A provider has one site; its place, class and power belong to the provider, not to the chip."""
    draws = Draws(seed, "site", provider)
    is_edge, edge, cluster = draws.chance(35), draws.weighted(EDGES), draws.weighted(CLUSTERS)
    is_best_effort, is_green, indivisible_ok = draws.chance(35), draws.chance(40), draws.chance(30)
    region = edge if is_edge else cluster
    latency_class = "L5" if is_edge else "BE" if is_best_effort else "L10"
    return _Seller(
        provider=provider,
        price_micro=price_micro,
        site=f"{provider.removeprefix('provider-')}-{region}"[:36].rstrip("-"),
        region=region,
        latency_class=latency_class,
        power="green" if is_green and region in GREEN_REGIONS else "grid",
        indivisible_ok=indivisible_ok,
    )


def _split(
    chip: str, first: int, others: int, sellers: list[_Seller], seed: int
) -> list[tuple[_Seller, int]]:
    """Whole cards per seller: the first has the largest site, the next ones drawn parts until all is handed out."""
    parts, left = [(sellers[0], first)], others
    for place, seller in enumerate(sellers[1:], start=2):
        drawn = Draws(seed, "cards", seller.provider, chip).between(1, max(1, div_ceil(left, MOST_PART)))
        cards = left if place == len(sellers) else min(left, drawn)
        if cards:
            parts.append((seller, cards))
        left -= cards
    return parts


def _offers(
    chip: str, seller: _Seller, cards: int, demand: Demand, seed: int, venue: SetVenue
) -> list[OfferRow]:
    """One standing offer, or where there are three cards and more a base and a dearer or block step."""
    draws = Draws(seed, "offer", seller.provider, chip)
    is_shaped, is_block, min_hours = draws.chance(60), draws.chance(15), draws.between(2, 6)
    steps = [(cards, 1_000)] if cards < 3 else [(cards - cards // 3, 1_000), (cards // 3, 1_080)]
    rows = []
    for step, (step_cards, permille) in enumerate(steps, start=1):
        lots = step_cards * venue.lots_per_card
        price_micro = to_tick(seller.price_micro * permille // 1_000, venue.tick_micro)
        offer = PlaceOffer(
            participant=seller.provider,
            offer_id=f"{chip}-{step}",
            site=seller.site,
            chip=chip,
            latency_class=seller.latency_class,
            power=seller.power,
            lots=lots,
            start_ns=demand.start_ns,
            end_ns=demand.end_ns,
            price_micro=price_micro,
            period_prices_micro=hour_prices(price_micro, demand.start_ns, demand.end_ns, venue)
            if is_shaped
            else (),
            min_lots=div_ceil(lots, 2) if is_block and step == len(steps) else 1,
            min_periods=div_ceil(min_hours * 60, venue.period_min) if is_block and step == len(steps) else 1,
            indivisible_ok=seller.indivisible_ok,
        )
        rows.append(OfferRow(demand.start_ns, offer, seller.region, "", 0))
    return rows


def hour_prices(price_micro: int, start_ns: int, end_ns: int, venue: SetVenue) -> tuple[int, ...]:
    """A price for every period of a window by HOUR_SHAPE, in whole ticks."""
    by_hour = [to_tick(price_micro * permille // 1_000, venue.tick_micro) for permille in HOUR_SHAPE]
    step_ns = venue.period_min * NS_PER_MINUTE
    return tuple(
        by_hour[(at_ns + LOCAL_OFFSET_NS) // NS_PER_HOUR % 24] for at_ns in range(start_ns, end_ns, step_ns)
    )
