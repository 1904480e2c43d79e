"""tasks.csv, offers.csv and sites.csv as typed commands with submit times (docs/guides/files.md).

A row becomes the command that a participant would have sent; a bad row becomes a Problem and the others go
on. Quantities are rounded here and nowhere else: hours up to whole periods (the waste is told), cards never
(they must be whole lots).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exchange.adapters.catalogue_files import LANES
from exchange.adapters.known_names import Known, account_of
from exchange.adapters.rows import CellError, Cells, Columns, Problem, check_code, read_records, shown
from exchange.domain.commands import (
    AddSite,
    AttestCapacity,
    LoadCatalogue,
    PlaceOffer,
    SetVenue,
    SubmitTask,
    Task,
    TaskChip,
)
from exchange.domain.instrument import LATENCY_CLASSES, POWERS
from exchange.domain.units import (
    MICRO,
    NS_PER_DAY,
    NS_PER_MINUTE,
    PPM,
    UnitError,
    div_ceil,
    div_floor,
    format_micro,
    parse_scaled,
)

R = TypeVar("R")

DEFAULT_VENUE = SetVenue(name="cpx")

MAX_CARDS = 10_000_000
MAX_HOURS = 8_784
MAX_PRICE_MICRO = 1_000_000 * MICRO
MAX_BUDGET_MICRO = 1_000_000_000_000 * MICRO
MAX_DATA_MB = 10**12
MAX_CHIPS = 16
MIN_FACTOR_PPM, MAX_FACTOR_PPM = PPM // 1_000, 1_000 * PPM
ANY_LATENCY_US, MAX_LATENCY_US = 0, 1_000_000
MAX_NOTICE_MIN = 7 * 24 * 60
MAX_OFFER_NS = 400 * NS_PER_DAY
MAX_DEADLINE_NS = 3650 * NS_PER_DAY  # after submit_time; the venue refuses more

TASK_COLUMNS = Columns(
    required=(
        "task_id", "submit_time", "account", "access_region", "max_latency_ms", "chips", "cards", "hours",
        "earliest_start", "deadline", "price_cap", "data_gb", "data_region", "lane", "shape", "min_green",
    ),
    optional=(
        "budget", "min_run", "min_fill", "allowed_regions", "checkpoint", "on_break", "steps", "valid_until",
    ),
)  # fmt: skip
OFFER_COLUMNS = Columns(
    required=(
        "offer_id", "submit_time", "account", "site", "chip", "region", "latency_class", "power", "cards",
        "start", "end", "price", "min_cards", "min_hours",
    ),
    optional=("standby", "indivisible_ok", "notice_min", "price_base", "kw_per_card", "hour_prices"),
)  # fmt: skip
SITE_COLUMNS = Columns(("site", "account", "region", "chip", "cards"))


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as its buyer sends it at submit_ns; waste is paid for and not used, because hours are rounded up."""

    submit_ns: int
    command: SubmitTask
    file: str
    line: int
    waste_lot_minutes: int


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer as its provider sends it at submit_ns; the region belongs to its site."""

    submit_ns: int
    command: PlaceOffer
    region: str
    file: str
    line: int


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
    for found in read_records(path, TASK_COLUMNS, lambda cells: _task_row(cells, venue, known)):
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
    for found in read_records(path, OFFER_COLUMNS, lambda cells: _offer_row(cells, venue, known)):
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
            ((offer.start_ns, offer.lots), (offer.end_ns, -offer.lots))
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


def _task_row(cells: Cells, venue: SetVenue, known: Known) -> TaskRow:
    submit_ns = cells.time_ns("submit_time")
    earliest_ns = cells.time_ns_or("earliest_start", submit_ns)
    deadline_ns = _after(cells, "deadline", max(submit_ns, earliest_ns), "submit_time and earliest_start")
    if deadline_ns > submit_ns + MAX_DEADLINE_NS:
        raise CellError("deadline", "too_large", "lies more than ten years (3650 days) after submit_time; take an earlier one")
    lots = _lots(cells, "cards", venue)
    periods, waste = _periods_and_waste(cells, lots, venue)
    cap_micro, budget_micro = _cap_or_budget(cells)
    data_mb = cells.scaled_or("data_gb", 1_000, 0, MAX_DATA_MB, 0)
    _refuse_unsupported(
        cells, "min_run", "run lengths belong to shape split, which this venue does not trade"
    )
    _refuse_unsupported(cells, "steps", "step lists are not taken yet; give one price_cap")
    task = Task(
        participant=account_of(cells),
        client_order_id=cells.code("task_id"),
        access_region=known.check(cells.code("access_region"), known.regions, "access_region", "region"),
        max_latency_us=cells.scaled_or("max_latency_ms", 1_000, 0, MAX_LATENCY_US, ANY_LATENCY_US),
        chips=_chips(cells, known),
        lots=lots,
        periods=periods,
        earliest_start_ns=earliest_ns,
        deadline_ns=deadline_ns,
        price_cap_micro=cap_micro,
        budget_micro=budget_micro,
        data_mb=data_mb,
        data_region=_data_region(cells, data_mb, known),
        lane=cells.choice("lane", LANES, "standard"),
        shape=_shape(cells),
        allowed_regions=tuple(
            known.check(code, known.regions, "allowed_regions", "region")
            for code in cells.codes("allowed_regions")
        ),
        min_green_ppm=cells.scaled_or("min_green", PPM, 0, PPM, 0),
        checkpoint=cells.choice("checkpoint", ("hourly", "none"), "hourly"),
        on_break=cells.choice("on_break", ("continue", "abandon"), "continue"),
        valid_until_ns=_after(cells, "valid_until", submit_ns, "submit_time")
        if cells.text("valid_until")
        else 0,
        min_fill=_min_fill(cells, lots * periods, venue),
    )
    return TaskRow(submit_ns, SubmitTask(task), cells.file, cells.line, waste)


def _offer_row(cells: Cells, venue: SetVenue, known: Known) -> OfferRow:
    submit_ns = cells.time_ns("submit_time")
    start_ns = _period_start(cells, "start", venue)
    end_ns = _period_start(cells, "end", venue)
    if end_ns <= max(start_ns, submit_ns):
        raise CellError("end", "time_order", f"{cells.text('end')} must lie after start and submit_time")
    if end_ns - start_ns > MAX_OFFER_NS:
        raise CellError(
            "end",
            "too_large",
            f"the window is longer than {MAX_OFFER_NS // NS_PER_DAY} days; split the offer",
        )
    periods = (end_ns - start_ns) // (venue.period_min * NS_PER_MINUTE)
    lots = _lots(cells, "cards", venue)
    min_lots, min_periods = _minimum_block(cells, lots, periods, venue)
    if cells.flag("standby"):
        raise CellError(
            "standby", "unsupported", "standby asks are not taken from files yet; leave the cell empty"
        )
    for column in ("price_base", "kw_per_card"):
        _refuse_unsupported(cells, column, "work the prices out and give them as hour_prices")
    offer = PlaceOffer(
        participant=account_of(cells),
        offer_id=cells.code("offer_id"),
        site=cells.code("site"),
        chip=known.check(cells.code("chip"), known.chips, "chip", "chip"),
        latency_class=cells.choice("latency_class", LATENCY_CLASSES),
        power=cells.choice("power", POWERS),
        lots=lots,
        start_ns=start_ns,
        end_ns=end_ns,
        price_micro=_price(cells, "price", cells.required("price"), venue),
        period_prices_micro=_period_prices(cells, periods, venue),
        min_lots=min_lots,
        min_periods=min_periods,
        indivisible_ok=cells.flag("indivisible_ok"),
        notice_min=cells.scaled_or("notice_min", 1, 0, MAX_NOTICE_MIN, 0),
    )
    region = known.check(cells.code("region"), known.hosts, "region", "region that hosts")
    known.check_reached(region, offer.latency_class)
    return OfferRow(submit_ns, offer, region, cells.file, cells.line)


def _site_row(cells: Cells, venue: SetVenue, known: Known) -> SiteRow:
    return SiteRow(
        site=cells.code("site"),
        account=account_of(cells),
        region=known.check(cells.code("region"), known.hosts, "region", "region that hosts"),
        chip=known.check(cells.code("chip"), known.chips, "chip", "chip"),
        lots=_lots(cells, "cards", venue),
        file=cells.file,
        line=cells.line,
    )


def _lots(cells: Cells, column: str, venue: SetVenue) -> int:
    micro = cells.scaled(column, MICRO, 1, MAX_CARDS * MICRO)
    lots, rest = divmod(micro * venue.lots_per_card, MICRO)
    if rest:
        message = (
            f"{shown(cells.text(column))} cards are not whole lots; a lot is 1/{venue.lots_per_card} card"
        )
        raise CellError(column, "not_whole_lots", message)
    return lots


def _periods_and_waste(cells: Cells, lots: int, venue: SetVenue) -> tuple[int, int]:
    """Hours as whole periods, rounded up, and the lot-minutes paid for beyond them, rounded down."""
    micro_hours = cells.scaled("hours", MICRO, 1, MAX_HOURS * MICRO)
    periods = div_ceil(micro_hours * 60, venue.period_min * MICRO)
    return periods, div_floor(lots * (periods * venue.period_min * MICRO - micro_hours * 60), MICRO)


def _cap_or_budget(cells: Cells) -> tuple[int, int]:
    has_cap, has_budget = bool(cells.text("price_cap")), bool(cells.text("budget"))
    if has_cap and has_budget:
        raise CellError("budget", "conflict", "price_cap and budget are both filled; give one of them")
    if has_budget:
        return 0, cells.scaled("budget", MICRO, 1, MAX_BUDGET_MICRO)
    return cells.scaled("price_cap", MICRO, 1, MAX_PRICE_MICRO), 0


def _chips(cells: Cells, known: Known) -> tuple[TaskChip, ...]:
    chips: list[TaskChip] = []
    for part in cells.required("chips").split("|"):
        code, star, factor = part.strip().partition("*")
        known.check(check_code(code.strip(), "chips"), known.chips, "chips", "chip")
        chips.append(TaskChip(code.strip(), _factor(factor.strip()) if star else PPM))
    if len({chip.chip for chip in chips}) != len(chips):
        raise CellError(
            "chips",
            "duplicate",
            f"{shown(cells.text('chips'))} names a chip twice; name each once, best first",
        )
    if len(chips) > MAX_CHIPS:
        raise CellError("chips", "too_large", f"names {len(chips)} chips; at most {MAX_CHIPS}")
    return tuple(chips)


def _factor(text: str) -> int:
    try:
        factor_ppm = parse_scaled(text, PPM, "factor")
    except UnitError as error:
        raise CellError("chips", "number", str(error)) from None
    if not MIN_FACTOR_PPM <= factor_ppm <= MAX_FACTOR_PPM:
        message = f"factor {shown(text)} must lie between 0.001 and {MAX_FACTOR_PPM // PPM}"
        raise CellError("chips", "too_small" if factor_ppm < MIN_FACTOR_PPM else "too_large", message)
    return factor_ppm


def _shape(cells: Cells) -> str:
    shape = cells.choice("shape", ("block", "bulk", "split", "spread"), "block")
    if shape in ("split", "spread"):
        raise CellError("shape", "unsupported", f"shape {shape} is not traded here yet; use block or bulk")
    return shape


def _data_region(cells: Cells, data_mb: int, known: Known) -> str:
    region = known.check(cells.code_or_empty("data_region"), known.regions, "data_region", "region")
    if data_mb and not region:
        raise CellError(
            "data_region", "missing", "is empty though data_gb is above 0; say where the data lies"
        )
    return region


def _min_fill(cells: Cells, wanted: int, venue: SetVenue) -> int:
    """The least first fill of a bulk task: card-hours in the file, lot-periods, rounded up, in the command."""
    micro_card_hours = cells.scaled_or("min_fill", MICRO, 0, MAX_CARDS * MAX_HOURS * MICRO, 0)
    if micro_card_hours and cells.text("shape") != "bulk":
        raise CellError("min_fill", "conflict", "min_fill belongs to shape bulk; leave it empty")
    lot_periods = div_ceil(micro_card_hours * venue.lots_per_card * 60, venue.period_min * MICRO)
    if lot_periods > wanted:
        raise CellError("min_fill", "too_large", "min_fill is more than cards x hours")
    return lot_periods


def _minimum_block(cells: Cells, lots: int, periods: int, venue: SetVenue) -> tuple[int, int]:
    min_lots = _lots(cells, "min_cards", venue) if cells.text("min_cards") else 1
    micro_hours = cells.scaled_or("min_hours", MICRO, 1, MAX_HOURS * MICRO, 1)
    min_periods = div_ceil(micro_hours * 60, venue.period_min * MICRO)
    if min_lots > lots:
        raise CellError("min_cards", "conflict", f"min_cards is more than the {lots} lots offered")
    if min_periods > periods:
        raise CellError("min_hours", "conflict", f"min_hours is longer than the window of {periods} periods")
    return min_lots, min_periods


def _period_prices(cells: Cells, periods: int, venue: SetVenue) -> tuple[int, ...]:
    text = cells.text("hour_prices")
    if not text:
        return ()
    prices = tuple(_price(cells, "hour_prices", part.strip(), venue) for part in text.split("|"))
    if len(prices) != periods:
        message = f"gives {len(prices)} prices for a window of {periods} periods; give one each, between bars"
        raise CellError("hour_prices", "conflict", message)
    return prices


def _price(cells: Cells, column: str, text: str, venue: SetVenue) -> int:
    one = Cells({column: text}, cells.file, cells.line)
    price_micro = one.scaled(column, MICRO, 1, MAX_PRICE_MICRO)
    if price_micro % venue.tick_micro:
        message = (
            f"{shown(text)} is off the tick; a price is a multiple of {format_micro(venue.tick_micro)} yuan"
        )
        raise CellError(column, "off_tick", message)
    return price_micro


def _period_start(cells: Cells, column: str, venue: SetVenue) -> int:
    time_ns = cells.time_ns(column)
    if time_ns % (venue.period_min * NS_PER_MINUTE):
        message = f"{shown(cells.text(column))} is not the start of a {venue.period_min}-minute period (UTC)"
        raise CellError(column, "not_whole_periods", message)
    return time_ns


def _after(cells: Cells, column: str, other_ns: int, others: str) -> int:
    time_ns = cells.time_ns(column)
    if time_ns <= other_ns:
        raise CellError(column, "time_order", f"{cells.text(column)} must lie after {others}")
    return time_ns


def _refuse_unsupported(cells: Cells, column: str, hint: str) -> None:
    if cells.text(column):
        raise CellError(column, "unsupported", f"{column} is not taken yet: {hint}")
