"""`cpx replay`: other people's tasks and offers through a real venue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.cli.running import (
    DATA_ERROR,
    NO_INPUT,
    Engine,
    choose_engine,
    fail,
    note,
    prepare_folder,
    run_and_show,
)

if TYPE_CHECKING:
    from exchange.adapters.rows import Problem

SHOWN_PROBLEMS = 20
command = typer.Typer()


@command.command()
def replay(
    tasks: Path = typer.Option(..., help="tasks.csv, or a pod list of the Alibaba 2023 GPU trace."),
    offers: list[Path] = typer.Option(..., help="offers.csv, a price list, or a folder of them; may be given again."),
    out: Path = typer.Option(..., help="Folder for the results."),
    seed: int = typer.Option(1, min=0, help="For everything that files leave open (see docs/guides)."),
    catalogue: Path | None = typer.Option(None, help="Folder of catalogue files; by default the bundled one."),
    sites: Path | None = typer.Option(None, help="sites.csv with attested capacity; by default what the offers need."),
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
    force: bool = typer.Option(False, "--force", help="Replace a former run in the folder."),
    as_json: bool = typer.Option(False, "--json", "-j", help="The summary as JSON on stdout, nothing else."),
) -> None:
    """Run a market on files: tasks and offers in, trades, prices, settlement, ledger and statements out.

    Exit codes: 0 done, 65 bad rows (each named; --skip-bad-rows goes on) or --resume with other inputs, 66 a file is
    missing, 73 folder in use or not empty, 75 the disk failed, 78 journal damaged.
    """
    choose_engine(engine)
    paths = _offer_files(offers)
    for path in (tasks, *paths, *(p for p in (catalogue, sites, nodes) if p)):
        if not path.exists():
            fail(f"{path} does not exist: check the path", NO_INPUT)
    from exchange.adapters.catalogue_files import BUNDLED, load_catalogue, load_tariff
    from exchange.adapters.rows import DataError
    from exchange.replay.files import market_day_from_files
    from exchange.replay.run import RunOptions

    options = _file_options(seed, period_min, epoch, usd_rate, supply_ratio, deposit, nodes, sites)
    folder = catalogue or BUNDLED
    try:
        day, problems = market_day_from_files(tasks, paths, options, load_catalogue(folder), load_tariff(folder))
    except DataError as error:
        day, problems = None, list(error.problems)
    _tell(problems, skip_bad_rows and day is not None)
    if day is None:
        fail("no task or no offer is left to run: mend the files", DATA_ERROR)
    prepare_folder(out, resume=resume, force=force)
    _write_refused(out, problems)
    typed = f"replay --tasks {tasks.name} --offers {' '.join(path.name for path in offers)} --seed {seed}"
    run_options = RunOptions(out, seed, shortfall_ppm, "replay", typed)
    run_and_show(day, run_options, as_json=as_json)


def _offer_files(offers: list[Path]) -> list[Path]:
    """Files as given; a folder stands for its CSV and JSON files by name."""
    found: list[Path] = []
    for path in offers:
        inside = sorted(p for p in path.iterdir() if p.suffix in (".csv", ".json")) if path.is_dir() else [path]
        if not inside:
            fail(f"{path} holds no .csv or .json file: name the files", NO_INPUT)
        found += inside
    return found


def _file_options(seed, period_min, epoch, usd_rate, supply_ratio, deposit, nodes, sites):  # noqa: ANN001, ANN202
    """The options as integers; a text that is no number or time ends with a sentence."""
    from dataclasses import replace

    from exchange.domain.units import MICRO, PPM, UnitError, parse_scaled
    from exchange.replay.files import FileOptions

    if period_min not in (15, 30, 60):
        fail(f"--period-min {period_min}: 60, 30 or 15", DATA_ERROR)
    defaults = FileOptions()
    try:
        return replace(
            defaults,
            seed=seed,
            venue=replace(defaults.venue, period_min=period_min),
            epoch_ns=_time_ns(epoch) if epoch else defaults.epoch_ns,
            usd_rate_ppm=parse_scaled(usd_rate, PPM, "--usd-rate") if usd_rate else defaults.usd_rate_ppm,
            supply_permille=parse_scaled(supply_ratio, 1000, "--supply-ratio") if supply_ratio else defaults.supply_permille,
            deposit_micro=parse_scaled(deposit, MICRO, "--deposit") if deposit else 0,
            nodes_path=nodes,
            sites_path=sites,
        )
    except (UnitError, ValueError) as error:
        fail(str(error), DATA_ERROR)


def _time_ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"--epoch {text} has no time zone: write it like 2026-01-05T00:00:00+08:00")
    return int(moment.timestamp()) * 10**9


def _tell(problems: list[Problem], go_on: bool) -> None:
    """Every bad row is named; without leave to go on the run ends here, before anything is written."""
    for problem in problems[:SHOWN_PROBLEMS]:
        note(str(problem))
    if len(problems) > SHOWN_PROBLEMS:
        note(f"… and {len(problems) - SHOWN_PROBLEMS} more")
    if problems and not go_on:
        fail(f"{len(problems)} bad rows; mend them, or leave them out with --skip-bad-rows", DATA_ERROR)


def _write_refused(out: Path, problems: list[Problem]) -> None:
    """refused.csv: what was left out and why."""
    import csv

    if not problems:
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / "refused.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "row", "column", "code", "message"))
        for problem in problems:
            writer.writerow((problem.file, problem.line, problem.column, problem.code, problem.message))
