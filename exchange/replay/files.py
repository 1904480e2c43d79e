"""A market day from files: our own tasks.csv and offers.csv, or a public trace and public price lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from exchange.adapters.offer_rows import last_end_ns
from exchange.adapters.power_prices import power_of_day, read_power_prices
from exchange.adapters.price_lists import PRICE_LIST_KINDS
from exchange.adapters.reference_prices import USD_RATE_PPM
from exchange.adapters.rows import Problem
from exchange.adapters.sniff import sniff
from exchange.adapters.trace_alibaba import (
    CPU_CHIP,
    DEFAULT_CARDS,
    DEFAULT_EPOCH_NS,
    DEFAULT_SEED,
    Demand,
    demand_of,
    import_trace,
)
from exchange.adapters.trace_offers import DEFAULT_SUPPLY_PERMILLE, import_price_lists
from exchange.domain.commands import (
    AddSite,
    AttestCapacity,
    LoadCatalogue,
    SetPowerPrices,
    SetTariff,
    SetVenue,
)
from exchange.replay.green import backed
from exchange.replay.market_day import (
    MarketDay,
    buyers,
    emergency_buyers,
    families_of,
    participant_commands,
    pieces_of,
    providers,
    timed_rows,
    waste_of,
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
    power_paths: tuple[tuple[str, Path], ...] = ()  # (region, hourly power prices)


@dataclass(slots=True)
class _Read:
    """What has been read so far."""

    tasks: list[TaskRow] = field(default_factory=list)
    offers: list[OfferRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    demand: Demand | None = None
    has_lists: bool = False


def market_day_from_files(
    tasks_path: Path,
    offer_paths: Sequence[Path],
    options: FileOptions | None = None,
    catalogue: LoadCatalogue | None = None,
    tariff: SetTariff | None = None,
) -> tuple[MarketDay | None, list[Problem]]:
    """(day, problems): bad rows are left out and told; None where no task or no offer is left to run."""
    options, catalogue, tariff = (
        options or FileOptions(),
        catalogue or load_catalogue(),
        tariff or load_tariff(),
    )
    read = _Read()
    _read_tasks(tasks_path, options, catalogue, read)
    _read_offers(offer_paths, options, catalogue, read)
    _tell_ignored(options, read)
    if not read.tasks or not read.offers:
        return None, read.problems
    venue = options.venue
    start_ns, end_ns = window(read.tasks, read.offers, venue)
    sites, attestations = _sites(read, options, catalogue, start_ns, end_ns)
    deposits = buyers((row.command.task for row in read.tasks), venue, tariff)
    if options.deposit_micro:
        deposits = dict.fromkeys(deposits, whole_yuan(options.deposit_micro))
    worth = providers((row.command for row in read.offers), venue)
    day = MarketDay(
        settings=venue,
        catalogue=catalogue,
        tariff=tariff,
        participants=participant_commands(deposits, worth, emergency_buyers(read.tasks)),
        sites=sites,
        attestations=attestations,
        families=families_of(read.offers),
        rows=timed_rows(read.offers, read.tasks, _power(options, catalogue, read, start_ns, end_ns)),
        outages=(),
        start_ns=start_ns,
        end_ns=end_ns,
        waste=waste_of(read.tasks),
        pieces=pieces_of(read.tasks),
        notes=tuple(read.notes),
    )
    return backed(day), read.problems


def _power(
    options: FileOptions, catalogue: LoadCatalogue, read: _Read, start_ns: int, end_ns: int
) -> list[tuple[int, SetPowerPrices]]:
    """When the power prices of a region's file are told; a series of another year is moved to this one's days."""
    told: list[tuple[int, SetPowerPrices]] = []
    known = {region.code for region in catalogue.regions}
    for region, path in options.power_paths:
        hours, problems = read_power_prices(path, options.usd_rate_ppm)
        read.problems += problems
        if region not in known:
            read.problems.append(Problem(path.name, 0, "", "unknown_code", f"region {region[:40]!r} is not in the catalogue"))
            continue
        commands, moved_days = power_of_day(hours, region, start_ns, end_ns, options.venue)
        if moved_days:
            read.notes.append(f"power prices of {region}: those of {path.name}, moved by {moved_days} days")
        told += commands
    return told


def _read_tasks(path: Path, options: FileOptions, catalogue: LoadCatalogue, read: _Read) -> None:
    kind = sniff(path)
    if isinstance(kind, Problem):
        read.problems.append(kind)
    elif kind == "tasks":
        read.tasks, problems = read_tasks(path, options.venue, catalogue)
        read.problems += problems
    elif kind == "alibaba_pods":
        _read_trace(path, options, read)
    else:
        read.problems.append(_other_kind(path, kind, "tasks.csv or a pod list of the Alibaba trace"))


def _read_trace(path: Path, options: FileOptions, read: _Read) -> None:
    trace = import_trace(
        path,
        options.nodes_path,
        options.seed,
        options.epoch_ns,
        venue=options.venue,
        piece_periods=options.piece_periods,
        usd_rate_ppm=options.usd_rate_ppm,
    )
    read.tasks, read.demand = list(trace.rows), trace.demand
    read.problems += trace.problems
    read.notes.append(
        f"trace: {trace.pods} pods as {len(trace.rows)} tasks; {trace.long_pods} pods outlast the horizon and are"
        f" bought in pieces of at most {options.piece_periods} periods; {trace.cpu_pods} without GPU buy"
        f" {CPU_CHIP}; prices, deadlines, places and data are drawn with seed {options.seed}"
    )


def _read_offers(paths: Sequence[Path], options: FileOptions, catalogue: LoadCatalogue, read: _Read) -> None:
    lists: list[Path] = []
    for path in paths:
        kind = sniff(path)
        if isinstance(kind, Problem):
            read.problems.append(kind)
        elif kind in PRICE_LIST_KINDS:
            lists.append(path)
        elif kind == "offers":
            rows, problems = read_offers(path, options.venue, catalogue)
            read.offers += rows
            read.problems += problems
        else:
            read.problems.append(_other_kind(path, kind, "offers.csv or price lists"))
    read.has_lists = bool(lists)
    if lists and read.tasks:
        _read_lists(lists, options, read)


def _read_lists(paths: list[Path], options: FileOptions, read: _Read) -> None:
    imported = import_price_lists(
        paths,
        read.demand or demand_of(read.tasks, DEFAULT_CARDS, options.venue),
        options.seed,
        venue=options.venue,
        usd_rate_ppm=options.usd_rate_ppm,
        supply_permille=options.supply_permille,
    )
    read.offers += imported.rows
    read.problems += imported.problems
    if imported.unlisted:
        _tell_unlisted(paths, imported.unlisted, read)
    skipped = ", ".join(f"{count} {reason}" for reason, count in imported.skipped)
    read.notes.append(
        f"price lists: {len(imported.rows)} standing offers at {options.supply_permille} offered card-hours to 1000"
        f" asked; entries left out: {skipped}"
    )


def _tell_unlisted(paths: list[Path], chips: tuple[str, ...], read: _Read) -> None:
    """A chip without a price is no bad row; where that leaves nothing to offer, it is the reason."""
    lists = ", ".join(path.name for path in paths)
    message = f"has no price for {', '.join(chips)} nor a chip that stands for it; nothing of that is offered"
    if read.offers:
        read.notes.append(f"{lists} {message}")
    else:
        read.problems.append(Problem(lists, 0, "", "missing", message))


def _tell_ignored(options: FileOptions, read: _Read) -> None:
    """Options that were given and do nothing with these files."""
    defaults, is_trace = FileOptions(), read.demand is not None
    ignored = [
        option
        for option, is_given, is_used in (
            ("--epoch", options.epoch_ns != defaults.epoch_ns, is_trace),
            ("--nodes", options.nodes_path is not None, is_trace),
            ("--usd-rate", options.usd_rate_ppm != defaults.usd_rate_ppm, is_trace or read.has_lists),
            ("--supply-ratio", options.supply_permille != defaults.supply_permille, read.has_lists),
        )
        if is_given and not is_used
    ]
    if ignored:
        verb = "is" if len(ignored) == 1 else "are"
        read.notes.append(f"{', '.join(ignored)} {verb} for traces and price lists: ignored with these files")


def _other_kind(path: Path, kind: str, wanted: str) -> Problem:
    return Problem(path.name, 1, "", "unknown_header", f"is a file of kind {kind}; give {wanted}")


def _sites(
    read: _Read, options: FileOptions, catalogue: LoadCatalogue, start_ns: int, end_ns: int
) -> tuple[tuple[AddSite, ...], tuple[AttestCapacity, ...]]:
    """Sites and capacity from sites.csv where given (offers of other sites are told), else what the offers need."""
    implied, needed = sites_from_offers(read.offers)
    if options.sites_path is None:
        return implied, needed
    rows, problems = read_sites(options.sites_path, options.venue, catalogue)
    last_ns = max(end_ns, *(last_end_ns(row.command) for row in read.offers))
    sites, attestations, conflicts = sites_from_file(rows, start_ns, last_ns)
    read.problems += [*problems, *conflicts]
    for site in implied:
        if site not in sites:
            message = (
                f"site {site.site} of {site.participant} in {site.region} is offered but not listed; add it"
            )
            read.problems.append(Problem(options.sites_path.name, 0, "site", "unknown_code", message))
    return sites, attestations
