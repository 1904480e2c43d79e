"""The bundled demo: one market day of eight hubs and Hubei's edge sites, made from a seed; all of it invented.

About 120 providers with 250 offers, 200 buyers with 2,500 tasks over 24 hours, and a few sites that break.
The same seed gives the same day on every machine.
"""

from exchange.adapters.catalogue_files import load_catalogue, load_tariff
from exchange.adapters.draws import Draws
from exchange.adapters.market_files import TaskRow, sites_from_offers
from exchange.domain.commands import AnnounceOutage, AttestCapacity, SetTariff, SetVenue
from exchange.domain.units import NS_PER_HOUR, NS_PER_SECOND
from exchange.replay.demo_buyers import demo_tasks
from exchange.replay.demo_providers import Provider, attested_lots, demo_offers, demo_sellers
from exchange.replay.green import backed
from exchange.replay.market_day import (
    MarketDay,
    Outage,
    buyers,
    emergency_buyers,
    families_of,
    participant_commands,
    providers,
    timed_rows,
    waste_of,
    whole_yuan,
    window,
)

DEMO_SEED = 1
DEMO_TASKS = 2_500
DEMO_START_NS = 1_795_449_600 * NS_PER_SECOND  # 2026-11-24T00:00:00+08:00
DEMO_VENUE = SetVenue(name="CPX demo day", green_needs_certificates=True)

HUB_OUTAGES, OTHER_OUTAGES, ANNOUNCED = 3, 2, 2
NOTICE_HOURS = 3
POOR_BUYERS_PERCENT, POOR_SHARE_PERMILLE = 8, 120
POOR_PROVIDERS_PERCENT = 5


def market_day(
    seed: int = DEMO_SEED,
    tasks: int = DEMO_TASKS,
    start_ns: int = DEMO_START_NS,
    venue: SetVenue = DEMO_VENUE,
) -> MarketDay:
    """The demo's market day; `tasks` scales demand, and hubs' supply with it."""
    tariff = load_tariff()
    task_rows = demo_tasks(seed, start_ns, tasks, venue)
    sellers = demo_sellers(seed)
    offer_rows = demo_offers(seed, sellers, task_rows, start_ns, venue)
    by_code = {seller.code: seller for seller in sellers}
    outages, announcements = _outages(seed, sellers, start_ns)
    sites, needed = sites_from_offers(offer_rows)
    owner_of = {site.site: by_code[site.participant] for site in sites}
    day_start_ns, day_end_ns = window(task_rows, offer_rows, venue)
    day = MarketDay(
        settings=venue,
        catalogue=load_catalogue(),
        tariff=tariff,
        participants=participant_commands(
            _deposits(seed, task_rows, venue, tariff),
            _worth(seed, providers((row.command for row in offer_rows), venue)),
            emergency_buyers(task_rows),
        ),
        sites=sites,
        attestations=tuple(_attest(seed, word, owner_of[word.site], venue) for word in needed),
        families=families_of(offer_rows),
        rows=timed_rows(offer_rows, task_rows, announcements),
        outages=outages,
        start_ns=min(start_ns, day_start_ns),
        end_ns=day_end_ns,
        waste=waste_of(task_rows),
        notes=(f"the bundled demo, seed {seed}: all participants, tasks, offers and prices are invented",),
    )
    return backed(day) if venue.green_needs_certificates else day


def _deposits(seed: int, tasks: list[TaskRow], venue: SetVenue, tariff: SetTariff) -> dict[str, int]:
    """Most buyers can pay for all they ask; some bring a fraction and will be refused."""
    deposits = {}
    for buyer, need in buyers((row.command.task for row in tasks), venue, tariff).items():
        draws = Draws(seed, "purse", buyer)
        is_poor, permille = draws.chance(POOR_BUYERS_PERCENT), draws.between(800, 1_500)
        deposits[buyer] = whole_yuan(need * (POOR_SHARE_PERMILLE if is_poor else permille) // 1_000)
    return deposits


def _worth(seed: int, worth: dict[str, int]) -> dict[str, int]:
    """What providers secure; a few bring a tenth, so that their sales stop when margin is short (HM5)."""
    return {
        provider: amount // 10 if Draws(seed, "purse", provider).chance(POOR_PROVIDERS_PERCENT) else amount
        for provider, amount in worth.items()
    }


def _attest(seed: int, word: AttestCapacity, owner: Provider, venue: SetVenue) -> AttestCapacity:
    lots = attested_lots(seed, owner, word.lots, venue)
    return AttestCapacity(word.site, word.chip, lots, word.start_ns, word.end_ns)


def _outages(
    seed: int, sellers: list[Provider], start_ns: int
) -> tuple[tuple[Outage, ...], list[tuple[int, AnnounceOutage]]]:
    """Sites that fail for two to four hours in the day's second half; the first ones say so three hours ahead."""
    drawn = sorted(
        sellers, key=lambda seller: (Draws(seed, "outage", seller.code).below(1 << 40), seller.code)
    )
    hubs = [seller for seller in drawn if seller.kind == "hub"]
    others = [seller for seller in drawn if seller.kind in ("edge", "campus")]
    outages, announcements = [], []
    for place, seller in enumerate(hubs[:HUB_OUTAGES] + others[:OTHER_OUTAGES]):
        draws = Draws(seed, "outage-window", seller.code)
        first_ns = start_ns + draws.between(8, 20) * NS_PER_HOUR
        last_ns = first_ns + draws.between(2, 4) * NS_PER_HOUR
        told_ns = first_ns - NOTICE_HOURS * NS_PER_HOUR if place < ANNOUNCED else 0
        outages.append(Outage(seller.site, first_ns, last_ns, told_ns))
        if told_ns:
            announcements.append((told_ns, AnnounceOutage(seller.code, seller.site, first_ns, last_ns)))
    return tuple(outages), announcements
