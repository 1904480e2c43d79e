"""A market day from files: our own tasks.csv and offers.csv, or a public trace and public price lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.adapters.catalogue_files import load_catalogue, load_tariff
from exchange.adapters.market_files import (
    DEFAULT_VENUE,
    OfferRow,
    TaskRow,
    read_offers,
    read_sites,
    read_tasks,
    sites_from_file,
    sites_from_offers,
)
from exchange.adapters.price_lists import PRICE_LIST_KINDS
from exchange.adapters.reference_prices import USD_RATE_PPM
from exchange.adapters.rows import Problem
from exchange.adapters.sniff import sniff
from exchange.adapters.trace_alibaba import (
    DEFAULT_CARDS,
    DEFAULT_EPOCH_NS,
    DEFAULT_SEED,
    demand_of,
    import_trace,
)
from exchange.adapters.trace_offers import DEFAULT_SUPPLY_PERMILLE, import_price_lists
from exchange.domain.commands import AddSite, AttestCapacity, LoadCatalogue, SetTariff, SetVenue
from exchange.replay.market_day import (
    MarketDay,
    buyers,
    families_of,
    participant_commands,
    providers,
    timed_rows,
    whole_yuan,
    window,
)


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How files are read. deposit_micro > 0 gives every buyer that much instead of what its budgets need."""

    venue: SetVenue = DEFAULT_VENUE
    seed: int = DEFAULT_SEED
    epoch_ns: int = DEFAULT_EPOCH_NS
    usd_rate_ppm: int = USD_RATE_PPM
    supply_permille: int = DEFAULT_SUPPLY_PERMILLE
    piece_periods: int = 72
    deposit_micro: int = 0
    nodes_path: Path | None = None  # the trace's node list
    sites_path: Path | None = None  # what is attested; without it the offers' own need


def market_day_from_files(
    tasks_path: Path,
    offer_paths: Sequence[Path],
    options: FileOptions | None = None,
    catalogue: LoadCatalogue | None = None,
    tariff: SetTariff | None = None,
) -> tuple[MarketDay | None, list[Problem]]:
    """(day, problems): bad rows are left out and told; None where no task or no offer is left to run."""
    options = options or FileOptions()
    catalogue = catalogue or load_catalogue()
    tasks, problems = _read_tasks(tasks_path, options, catalogue)
    offers, offer_problems = _read_offers(offer_paths, tasks, options, catalogue)
    problems += offer_problems
    if not tasks or not offers:
        return None, problems
    start_ns, end_ns = window(tasks, offers, options.venue)
    sites, attestations = _sites(offers, options, catalogue, start_ns, end_ns, problems)
    tariff = tariff or load_tariff()
    deposits = buyers((row.command.task for row in tasks), options.venue, tariff)
    if options.deposit_micro:
        deposits = dict.fromkeys(deposits, whole_yuan(options.deposit_micro))
    worth = providers((row.command for row in offers), options.venue)
    day = MarketDay(
        settings=options.venue,
        catalogue=catalogue,
        tariff=tariff,
        participants=participant_commands(deposits, worth),
        sites=sites,
        attestations=attestations,
        families=families_of(offers),
        rows=timed_rows(offers, tasks),
        outages=(),
        start_ns=start_ns,
        end_ns=end_ns,
    )
    return day, problems


def _read_tasks(
    path: Path, options: FileOptions, catalogue: LoadCatalogue
) -> tuple[list[TaskRow], list[Problem]]:
    kind = sniff(path)
    if isinstance(kind, Problem):
        return [], [kind]
    if kind == "tasks":
        return read_tasks(path, options.venue, catalogue)
    if kind == "alibaba_pods":
        trace = import_trace(
            path,
            options.nodes_path,
            options.seed,
            options.epoch_ns,
            venue=options.venue,
            piece_periods=options.piece_periods,
            usd_rate_ppm=options.usd_rate_ppm,
        )
        return list(trace.rows), list(trace.problems)
    return [], [_other_kind(path, kind, "tasks.csv or a pod list of the Alibaba trace")]


def _read_offers(
    paths: Sequence[Path], tasks: list[TaskRow], options: FileOptions, catalogue: LoadCatalogue
) -> tuple[list[OfferRow], list[Problem]]:
    offers: list[OfferRow] = []
    problems: list[Problem] = []
    lists: list[Path] = []
    for path in paths:
        kind = sniff(path)
        if isinstance(kind, Problem):
            problems.append(kind)
        elif kind in PRICE_LIST_KINDS:
            lists.append(path)
        elif kind == "offers":
            rows, found = read_offers(path, options.venue, catalogue)
            offers += rows
            problems += found
        else:
            problems.append(_other_kind(path, kind, "offers.csv or price lists"))
    if lists:
        imported = import_price_lists(
            lists,
            demand_of(tasks, DEFAULT_CARDS, options.venue),
            options.seed,
            venue=options.venue,
            usd_rate_ppm=options.usd_rate_ppm,
            supply_permille=options.supply_permille,
        )
        offers += imported.rows
        problems += imported.problems
    return offers, problems


def _other_kind(path: Path, kind: str, wanted: str) -> Problem:
    return Problem(path.name, 1, "", "unknown_header", f"is a file of kind {kind}; give {wanted}")


def _sites(
    offers: list[OfferRow],
    options: FileOptions,
    catalogue: LoadCatalogue,
    start_ns: int,
    end_ns: int,
    problems: list[Problem],
) -> tuple[tuple[AddSite, ...], tuple[AttestCapacity, ...]]:
    """Sites and capacity from sites.csv where given (offers of other sites are told), else what the offers need."""
    implied, needed = sites_from_offers(offers)
    if options.sites_path is None:
        return implied, needed
    rows, found = read_sites(options.sites_path, options.venue, catalogue)
    last_ns = max(end_ns, *(row.command.end_ns for row in offers))
    sites, attestations, conflicts = sites_from_file(rows, start_ns, last_ns)
    problems += [*found, *conflicts]
    known = set(sites)
    for site in implied:
        if site not in known:
            message = (
                f"site {site.site} of {site.participant} in {site.region} is offered but not listed; add it"
            )
            problems.append(Problem(options.sites_path.name, 0, "site", "unknown_code", message))
    return sites, attestations
