"""`cpx replay`: other people's tasks and offers through a real venue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.cli.running import (
    DATA_ERROR,
    NO_INPUT,
    USAGE,
    Engine,
    Via,
    check_via,
    choose_engine,
    fail,
    interruptible,
    note,
    order_of,
    run_and_show,
)

if TYPE_CHECKING:
    from exchange.adapters.rows import Problem
    from exchange.replay.files import FileOptions
    from exchange.replay.market_day import MarketDay

SHOWN_PROBLEMS = 20
HEADER_CODES = frozenset({"empty_file", "unknown_header", "missing_column", "unknown_column", "duplicate_column"})
FIRST_EPOCH_YEAR, LAST_EPOCH_YEAR = 2020, 2100
MAX_USD_RATE, MAX_SUPPLY_RATIO, MAX_DEPOSIT = 1_000_000, 1_000_000, 4_000_000_000
command = typer.Typer(add_completion=False)


@command.command()
def replay(
    ctx: typer.Context,
    tasks: Path = typer.Option(..., help="tasks.csv, or a pod list of the Alibaba 2023 GPU trace."),
    offers: list[Path] = typer.Option(..., help="offers.csv, a price list, or a folder of them; may be given again."),
    out: str = typer.Option(..., metavar="DIR", help="Folder for the results."),
    seed: int = typer.Option(1, min=0, help="For everything that files leave open (see docs/guides)."),
    catalogue: Path | None = typer.Option(None, help="Folder of catalogue files; by default the bundled one."),
    sites: Path | None = typer.Option(None, help="sites.csv with attested capacity; by default what the offers need."),
    power: list[str] = typer.Option([], metavar="REGION=FILE", help="Hourly power prices of a region; may be given again."),
    nodes: Path | None = typer.Option(None, help="Node list of the trace: which chips there are how many of."),
    period_min: int = typer.Option(60, help="Delivery period in minutes: 60, 30 or 15."),
    epoch: str = typer.Option("", help="When the trace's second 0 is, RFC 3339."),
    usd_rate: str = typer.Option("", help="Yuan for one US dollar in price lists."),
    supply_ratio: str = typer.Option("", help="Offered card-hours to demanded ones, for price lists."),
    deposit: str = typer.Option("", help="Yuan that every buyer brings; by default enough for his budgets."),
    shortfall_ppm: int = typer.Option(2000, min=0, max=1_000_000, help="Deliveries of a million that fall short."),
    skip_bad_rows: bool = typer.Option(False, "--skip-bad-rows", help="Leave bad rows out (they go to refused.csv)."),
    engine: Engine | None = typer.Option(None, help="Matching engine; by default the compiled one where it is built."),
    resume: bool = typer.Option(False, "--resume", help="Go on with a run that was interrupted; same files and options."),
    force: bool = typer.Option(False, "--force", help="Replace a former run in the folder; other files in it stay."),
    via: Via = typer.Option(Via.files, help="sockets: through a server, every participant with his own key; same results."),
    rivals: bool = typer.Option(False, "--rivals", help="Also run two simpler ways on the same files, and compare."),
    as_json: bool = typer.Option(False, "--json", "-j", help="The summary as JSON on stdout, nothing else."),
) -> None:
    """Run a market on files: tasks and offers in, trades, prices, settlement, ledger and statements out.

    Exit codes: 0 done, 65 bad rows (each named; --skip-bad-rows goes on), --resume with other inputs, or a set-up that the
    venue refuses, 66 a file is missing or cannot be read, 73 folder in use or not empty, 75 the disk failed, 78 journal
    damaged, 130 interrupted.
    """
    from exchange.cli.folders import chosen_folder, prepare_folder

    check_via(via, resume=resume)
    folder = chosen_folder(out, "", resume=resume, force=force)
    options = _file_options(seed, period_min, epoch, usd_rate, supply_ratio, deposit, nodes, sites)
    options = replace(options, power_paths=_power_files(power))
    choose_engine(engine)
    inputs = _inputs(tasks, offers, catalogue, (sites, nodes, *(path for _, path in options.power_paths)))
    from exchange.replay.run import RunOptions

    with interruptible("nothing has begun yet; start again"):
        day, problems = _read(tasks, _offer_files(offers), options, catalogue, skip_bad_rows)
    try:
        order = order_of(ctx, folder, inputs)
    except OSError as error:
        fail(f"{error.filename} cannot be read ({error.strerror})", NO_INPUT)
    prepare_folder(folder, resume=resume, force=force, inputs=inputs)
    run_options = RunOptions(folder, seed, shortfall_ppm, "replay", order, tuple(problems), with_rivals=rivals)
    run_and_show(day, run_options, as_json=as_json, via=via)


# --- files ---


def _inputs(tasks: Path, offers: list[Path], catalogue: Path | None, others: tuple[Path | None, ...]) -> list[Path]:
    """Every file that is read, in the order of the command line; exit 66 where one is not there or not a file."""
    if catalogue is not None and not catalogue.is_dir():
        fail(f"{catalogue} is no folder: give the folder of the catalogue files", NO_INPUT)
    inside = sorted(catalogue.glob("*.csv")) if catalogue else []
    files = [tasks, *_offer_files(offers), *(path for path in others if path), *inside]
    for path in files:
        if path.is_dir():
            fail(f"{path} is a folder: name the file in it", NO_INPUT)
        if not path.exists():
            fail(f"{path} does not exist: check the path", NO_INPUT)
    return files


def _power_files(power: list[str]) -> tuple[tuple[str, Path], ...]:
    """(region, file) of each --power; a usage error where one is not written so."""
    for text in power:
        region, mark, path = text.partition("=")
        if not (region and mark and path):
            fail(f"--power {text[:80]}: write REGION=FILE, like gansu-qingyang=power.csv", USAGE)
    return tuple((region, Path(path)) for region, _, path in (text.partition("=") for text in power))


def _offer_files(offers: list[Path]) -> list[Path]:
    """Files as given; a folder stands for its CSV and JSON files by name."""
    found: list[Path] = []
    for path in offers:
        try:
            inside = sorted(p for p in path.iterdir() if p.suffix in (".csv", ".json")) if path.is_dir() else [path]
        except OSError as error:
            fail(f"{path} cannot be read ({error.strerror}): check its permissions", NO_INPUT)
        if not inside:
            fail(f"{path} holds no .csv or .json file: name the files", NO_INPUT)
        found += inside
    return found


def _read(
    tasks: Path, offers: list[Path], options: FileOptions, catalogue: Path | None, skip_bad_rows: bool
) -> tuple[MarketDay, list[Problem]]:
    """The day, and what was left out of it; ends here where a file cannot be used."""
    from exchange.adapters.catalogue_files import BUNDLED, load_catalogue, load_tariff
    from exchange.adapters.rows import DataError
    from exchange.replay.files import market_day_from_files

    folder = catalogue or BUNDLED
    try:
        day, problems = market_day_from_files(tasks, offers, options, load_catalogue(folder), load_tariff(folder))
    except DataError as error:
        day, problems = None, list(error.problems)
    _tell(problems, skip_bad_rows and day is not None)
    if day is None:
        fail("no task or no offer is left to run: mend the files", DATA_ERROR)
    for text in day.notes:
        note(f"note: {text}")
    return day, problems


def _tell(problems: list[Problem], go_on: bool) -> None:
    """Every bad row is named; without leave to go on the run ends here, before anything is written."""
    from exchange.replay.run import count_of

    for problem in problems[:SHOWN_PROBLEMS]:
        note(str(problem))
    if len(problems) > SHOWN_PROBLEMS:
        note(f"… and {len(problems) - SHOWN_PROBLEMS} more")
    unreadable = [problem.file for problem in problems if problem.code == "unreadable"]
    if unreadable:
        fail(f"{unreadable[0]} cannot be read: check the path and its permissions", NO_INPUT)
    if not problems or go_on:
        return
    headers = sum(problem.code in HEADER_CODES for problem in problems)
    if headers:
        fail("a file cannot be taken for what it should be: mend its header", DATA_ERROR)
    what = count_of(len(problems), "bad row")
    it = "it" if len(problems) == 1 else "them"
    fail(f"{what}; mend {it}, or leave {it} out with --skip-bad-rows", DATA_ERROR)


# --- options ---


def _file_options(
    seed: int, period_min: int, epoch: str, usd_rate: str, supply_ratio: str, deposit: str,
    nodes: Path | None, sites: Path | None,
) -> FileOptions:  # fmt: skip
    """The options as integers; a value that cannot be is a usage error of one line."""
    from exchange.domain.units import MICRO, PPM
    from exchange.replay.files import FileOptions

    if period_min not in (15, 30, 60):
        fail(f"--period-min {period_min}: give 60, 30 or 15", USAGE)
    chosen = FileOptions(seed=seed, nodes_path=nodes, sites_path=sites)
    chosen = replace(chosen, venue=replace(chosen.venue, period_min=period_min))
    if epoch:
        chosen = replace(chosen, epoch_ns=_epoch_ns(epoch))
    if usd_rate:
        chosen = replace(chosen, usd_rate_ppm=_positive("--usd-rate", usd_rate, PPM, MAX_USD_RATE))
    if supply_ratio:
        chosen = replace(chosen, supply_permille=_positive("--supply-ratio", supply_ratio, 1000, MAX_SUPPLY_RATIO))
    if deposit:
        chosen = replace(chosen, deposit_micro=_positive("--deposit", deposit, MICRO, MAX_DEPOSIT))
    return chosen


def _positive(option: str, text: str, scale: int, highest: int) -> int:
    """A decimal above 0 and at most `highest`, as an integer of 1/scale units."""
    from exchange.domain.units import UnitError, parse_scaled

    try:
        value = parse_scaled(text, scale, option)
    except UnitError as error:
        fail(str(error), USAGE)
    if not 0 < value <= highest * scale:
        fail(f"{option} {text[:40]}: give a number above 0 and at most {highest:,}", USAGE)
    return value


def _epoch_ns(text: str) -> int:
    from exchange.adapters.rows import CellError, parse_time_ns

    lowest, highest = (parse_time_ns(f"{year}-01-01T00:00:00Z") for year in (FIRST_EPOCH_YEAR, LAST_EPOCH_YEAR + 1))
    try:
        epoch_ns = parse_time_ns(text)
    except CellError as error:
        fail(f"--epoch: {error}", USAGE)
    if not lowest <= epoch_ns < highest or epoch_ns % 10**9:
        span = f"{FIRST_EPOCH_YEAR} to {LAST_EPOCH_YEAR}"
        fail(f"--epoch {text}: give a whole second in the years {span}, like 2026-01-05T00:00:00+08:00", USAGE)
    return epoch_ns
