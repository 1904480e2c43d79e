"""tasks.csv, offers.csv and sites.csv as typed commands with submit times (docs/guides/files.md).

A row becomes the command that a participant would have sent (`task_rows`, `offer_rows`); a bad row becomes a Problem and
the others go on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exchange.adapters.known_names import Known, account_of
from exchange.adapters.market_cells import DEFAULT_VENUE, lots_of
from exchange.adapters.offer_rows import OFFER_COLUMNS, OfferRow, last_end_ns, offer_row
from exchange.adapters.rows import Cells, Columns, Problem, read_records
from exchange.adapters.task_rows import ANY_LATENCY_US, TASK_COLUMNS, TaskRow, task_row
from exchange.domain.commands import AddSite, AttestCapacity, LoadCatalogue, SetVenue

R = TypeVar("R")

__all__ = (
    "ANY_LATENCY_US", "DEFAULT_VENUE", "OFFER_COLUMNS", "SITE_COLUMNS", "TASK_COLUMNS", "OfferRow", "SiteRow", "TaskRow",
    "iter_offers", "iter_tasks", "read_offers", "read_sites", "read_tasks", "sites_from_file", "sites_from_offers",
    "split_problems",
)  # fmt: skip

SITE_COLUMNS = Columns(("site", "account", "region", "chip", "cards"))


@dataclass(frozen=True, slots=True)
class SiteRow:
    """So many lots of a chip stand at a site of an account."""

    site: str
    account: str
    region: str
    chip: str
    lots: int
    file: str = ""
    line: int = 0


def iter_tasks(
    path: Path, venue: SetVenue = DEFAULT_VENUE, catalogue: LoadCatalogue | None = None
) -> Iterator[TaskRow | Problem]:
    """Streams tasks.csv in file order; codes are checked against a catalogue only where one is given."""
    known = Known(catalogue)
    first_line: dict[tuple[str, str], int] = {}
    for found in read_records(path, TASK_COLUMNS, lambda cells: task_row(cells, venue, known)):
        if isinstance(found, Problem):
            yield found
            continue
        task = found.value.command.task
        first = first_line.setdefault((task.participant, task.client_order_id), found.line)
        if first == found.line:
            yield found.value
        else:
            yield _second(
                found.file, found.line, "task_id", f"{task.client_order_id} of {task.participant}", first
            )


def read_tasks(
    path: Path, venue: SetVenue = DEFAULT_VENUE, catalogue: LoadCatalogue | None = None
) -> tuple[list[TaskRow], list[Problem]]:
    """tasks.csv whole: (rows, problems), both in file order; never raises for what a file holds."""
    return split_problems(iter_tasks(path, venue, catalogue))


def iter_offers(
    path: Path, venue: SetVenue = DEFAULT_VENUE, catalogue: LoadCatalogue | None = None
) -> Iterator[OfferRow | Problem]:
    """Streams offers.csv in file order; a site keeps the account and region of its first row."""
    known = Known(catalogue)
    first_line: dict[tuple[str, str], int] = {}
    site_facts: dict[str, tuple[str, str, int]] = {}
    for found in read_records(path, OFFER_COLUMNS, lambda cells: offer_row(cells, venue, known)):
        if isinstance(found, Problem):
            yield found
            continue
        offer = found.value.command
        first = first_line.setdefault((offer.participant, offer.offer_id), found.line)
        account, region, line = site_facts.setdefault(
            offer.site, (offer.participant, found.value.region, found.line)
        )
        if first != found.line:
            yield _second(
                found.file, found.line, "offer_id", f"{offer.offer_id} of {offer.participant}", first
            )
        elif (account, region) != (offer.participant, found.value.region):
            yield _moved(found.file, found.line, AddSite(offer.site, account, region), f" since line {line}")
        else:
            yield found.value


def read_offers(
    path: Path, venue: SetVenue = DEFAULT_VENUE, catalogue: LoadCatalogue | None = None
) -> tuple[list[OfferRow], list[Problem]]:
    """offers.csv whole: (rows, problems), both in file order; never raises for what a file holds."""
    return split_problems(iter_offers(path, venue, catalogue))


def read_sites(
    path: Path, venue: SetVenue = DEFAULT_VENUE, catalogue: LoadCatalogue | None = None
) -> tuple[list[SiteRow], list[Problem]]:
    """sites.csv whole: what stands where, for attestation; (rows, problems) in file order."""
    known = Known(catalogue)
    found = read_records(path, SITE_COLUMNS, lambda cells: _site_row(cells, venue, known))
    return split_problems(row if isinstance(row, Problem) else row.value for row in found)


def split_problems(found: Iterable[R | Problem]) -> tuple[list[R], list[Problem]]:
    """Rows and problems of one stream, each in the order they came."""
    rows: list[R] = []
    problems: list[Problem] = []
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
        else:
            rows.append(item)
    return rows, problems


def sites_from_offers(offers: Iterable[OfferRow]) -> tuple[tuple[AddSite, ...], tuple[AttestCapacity, ...]]:
    """The sites that offers imply, and as capacity the most lots that they need of a chip at any one time."""
    sites: dict[str, AddSite] = {}
    changes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in offers:
        offer = row.command
        sites.setdefault(offer.site, AddSite(offer.site, offer.participant, row.region))
        changes.setdefault((offer.site, offer.chip), []).extend(
            ((offer.start_ns, offer.lots), (last_end_ns(offer), -offer.lots))
        )
    attestations = []
    for (site, chip), steps in sorted(changes.items()):
        steps.sort()  # at one instant what ends comes before what starts
        level = peak = 0
        for _, lots in steps:
            level += lots
            peak = max(peak, level)
        attestations.append(AttestCapacity(site, chip, peak, steps[0][0], steps[-1][0]))
    return tuple(sites[site] for site in sorted(sites)), tuple(attestations)


def sites_from_file(
    rows: Iterable[SiteRow], start_ns: int, end_ns: int
) -> tuple[tuple[AddSite, ...], tuple[AttestCapacity, ...], tuple[Problem, ...]]:
    """Sites and capacity as sites.csv states them, for a window; a site with two owners or places is a Problem."""
    sites: dict[str, AddSite] = {}
    capacity: dict[tuple[str, str], AttestCapacity] = {}
    problems = []
    for row in rows:
        site = sites.setdefault(row.site, AddSite(row.site, row.account, row.region))
        if site != AddSite(row.site, row.account, row.region):
            problems.append(_moved(row.file, row.line, site))
        elif (row.site, row.chip) in capacity:
            message = f"{row.chip} at {row.site} is stated twice; keep one line with all its cards"
            problems.append(Problem(row.file, row.line, "chip", "duplicate", message))
        else:
            capacity[row.site, row.chip] = AttestCapacity(row.site, row.chip, row.lots, start_ns, end_ns)
    return tuple(sites.values()), tuple(capacity.values()), tuple(problems)


def _second(file: str, line: int, column: str, what: str, first: int) -> Problem:
    message = f"{what} stands already in line {first}; give it another id"
    return Problem(file, line, column, "duplicate", message)


def _moved(file: str, line: int, site: AddSite, since: str = "") -> Problem:
    owner = f"{site.participant} in {site.region}{since}"
    message = f"site {site.site} belongs to {owner}; a site has one owner and place"
    return Problem(file, line, "site", "conflict", message)


def _site_row(cells: Cells, venue: SetVenue, known: Known) -> SiteRow:
    return SiteRow(
        site=cells.code("site"),
        account=account_of(cells),
        region=known.check(cells.code("region"), known.hosts, "region", "region that hosts"),
        chip=known.check(cells.code("chip"), known.chips, "chip", "chip"),
        lots=lots_of(cells, "cards", venue),
        file=cells.file,
        line=cells.line,
    )
