"""One run from a market day to a folder of results: journal, prices, ledger, statements, summary."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matching_core
from exchange.adapters.exporters import export_all
from exchange.adapters.exporters.export import BooksDiffer
from exchange.adapters.exporters.summary import SUMMARY_FILE, SUMMARY_SCHEMA, totals, write_json
from exchange.adapters.exporters.writing import text_cell, write_rows
from exchange.adapters.rows import Problem
from exchange.app import OtherInputs, Run, open_folder
from exchange.domain.commands import PlaceOffer, SubmitTask
from exchange.domain.units import div_half_even, format_scaled
from exchange.projections import Projections
from exchange.replay.comparison import compare
from exchange.replay.driver import Driver, Progress
from exchange.replay.market_day import MarketDay
from exchange.replay.view import VenueView

ORDER_FILE, REFUSED_FILE = "run.json", "refused.csv"


class Faulty(Exception):
    """The results of a run contradict its journal: a fault of CPX."""

    exit_code = 70


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, as kept in run.json: enough to type it again, and to tell whether a resumed run is the same."""

    command: str = ""  # as typed: every option that is not at its default
    settings: dict[str, str] = field(default_factory=dict)  # option -> value, of those that decide what happens
    inputs: tuple[dict[str, str], ...] = ()  # {"file": name, "sha256": hex}, in the order they were given

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"command": self.command, "settings": self.settings, "inputs": list(self.inputs)}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how to run; shortfall_ppm = how many of a million deliveries fall short without an outage."""

    out: Path
    seed: int = 1
    shortfall_ppm: int = 2000
    name: str = "replay"
    order: Order = field(default_factory=Order)
    left_out: tuple[Problem, ...] = ()  # rows that were left out, for refused.csv
    with_rivals: bool = False  # also run the rivals on the same day


def run_day(day: MarketDay, options: RunOptions, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
    """Runs or resumes; writes every result file; the summary as written to summary.json."""
    started = time.perf_counter()
    projections = Projections()
    run = open_folder(options.out, [projections.on_command])
    try:
        keep_order(options, is_resumed=run.resumed_commands > 0)
        _write_left_out(options)
        driver = Driver(day, VenueView(run.venue), run.submit, seed=options.seed, shortfall_ppm=options.shortfall_ppm)
        for progress in driver.run():
            on_progress(progress)
        run.finish()
        run.venue.check()
        traded_s = time.perf_counter() - started
        balances = venue_balances(run)
        waste = wasted(day, projections, run.venue.settings.lots_per_card)
        projections.tasks.tell_rounding({key: format_scaled(value, 1000, 0) for key, value in waste.items()})
        _export(run, projections, options.out, balances)
    finally:
        run.close()
    summary = summarise(day, options, run, driver, projections, balances)
    summary["rounding_waste_card_hours"] = format_scaled(sum(waste.values()), 1000, 1)
    if options.with_rivals:
        summary["rivals"] = compare(day, projections, options.out)
    summary["market_s"] = round(traded_s, 3)
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    summary["tasks_per_s"] = round(summary["tasks"] / traded_s, 1)
    write_json(options.out / SUMMARY_FILE, summary)
    return summary


def _export(run: Run, projections: Projections, out: Path, balances: dict[str, tuple[int, ...]]) -> None:
    stopped = [text for text in run.problems if not text.startswith("no snapshot")]
    if stopped:
        raise Faulty("; ".join(stopped))
    try:
        export_all(projections, out, balances)
    except BooksDiffer as error:
        raise Faulty(f"the books do not agree with the venue: {error}. This is a fault of CPX; please report it") from error


def wasted(day: MarketDay, projections: Projections, lots_per_card: int) -> dict[tuple[str, str], int]:
    """(participant, task) -> what it bought beyond its use because of whole periods and lots, thousandths of a card-hour.

    Filled tasks only: what was not bought is not wasted. Rounded here once, so that rows add up to their sum.
    """
    filled = {
        (record.task.participant, record.task.client_order_id)
        for record in projections.tasks.records
        if record.status == "filled"
    }
    rounded = {
        (participant, task): div_half_even(lot_minutes * 1000, 60 * lots_per_card)
        for participant, task, lot_minutes in day.waste
        if (participant, task) in filled
    }
    return {key: value for key, value in rounded.items() if value}


def venue_balances(run: Run) -> dict[str, tuple[int, ...]]:
    """The five purses of every account, from the core."""
    venue = run.venue
    return {name: tuple(venue.core.balance(account)) for account, name in enumerate(venue.state.accounts)}


def summarise(
    day: MarketDay,
    options: RunOptions,
    run: Run,
    driver: Driver,
    projections: Projections,
    balances: dict[str, tuple[int, ...]],
) -> dict[str, Any]:
    """What a run came to; money as decimal yuan, no wall-clock in it but the three figures added later."""
    return {
        "schema": SUMMARY_SCHEMA,
        "name": options.name,
        "command": options.order.command,
        "inputs": list(options.order.inputs),
        "seed": options.seed,
        "engine": matching_core.IMPLEMENTATION,
        "offers": sum(isinstance(row.command, PlaceOffer) for row in day.rows),
        "offers_refused_by_reason": dict(sorted(driver.offers_refused.items())),
        "tasks": sum(isinstance(row.command, SubmitTask) for row in day.rows),
        **_sources(day, projections),
        **totals(projections, balances),
        "rounding_waste_card_hours": "",  # its place in the file; told by the caller
        "commands": run.seq,
        "resumed_commands": run.resumed_commands,
        "state_hash": f"{run.venue.state_hash():016x}",
        "notes": [*day.notes, *_left_out_note(options), *run.problems],
    }


def _left_out_note(options: RunOptions) -> list[str]:
    count = len(options.left_out)
    return [f"{count_of(count, 'bad row')} left out: see {REFUSED_FILE}"] if count else []


def count_of(count: int, noun: str) -> str:
    """`1 bad row`, `2 bad rows`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _sources(day: MarketDay, projections: Projections) -> dict[str, int]:
    """Rows of the source, where a long one became several tasks: filled when all of its pieces are."""
    origin = {(participant, task): first for participant, task, first in day.pieces}
    is_filled: dict[tuple[str, str], bool] = {}
    for record in projections.tasks.records:
        participant, task = record.task.participant, record.task.client_order_id
        key = (participant, origin.get((participant, task), task))
        is_filled[key] = is_filled.get(key, True) and record.status == "filled"
    filled = sum(is_filled.values())
    return {
        "source_tasks": len(is_filled), "source_filled": filled, "source_unfilled": len(is_filled) - filled,
    }  # fmt: skip


# --- what was asked for ---


def keep_order(options: RunOptions, *, is_resumed: bool) -> None:
    """Writes run.json at the start of a run; OtherInputs where a resumed one was asked for something else."""
    path = options.out / ORDER_FILE
    kept = read_order(path) if is_resumed else None
    if kept is None:
        write_json(path, options.order.plain())
        return
    changed = differences(kept, options.order)
    if changed:
        again = f"; it was started as: ./cpx {kept.command}" if kept.command else ""
        raise OtherInputs(
            f"{options.out} was made from other inputs: {'; '.join(changed)}. Resume with the same ones, "
            f"or choose another --out{again}"
        )


def read_order(path: Path) -> Order | None:
    """What run.json says; None where there is none or it cannot be understood."""
    try:
        found = json.loads(path.read_bytes())
        inputs = tuple({"file": str(item["file"]), "sha256": str(item["sha256"])} for item in found["inputs"])
        settings = {str(key): str(value) for key, value in found["settings"].items()}
        return Order(str(found["command"]), settings, inputs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def differences(kept: Order, given: Order) -> list[str]:
    """What is not as it was, in words: options by name, files by their content."""
    changed = [
        f"{option} was {kept.settings.get(option) or 'not given'} and is {given.settings.get(option) or 'not given'}"
        for option in sorted(kept.settings.keys() | given.settings.keys())
        if kept.settings.get(option) != given.settings.get(option)
    ]
    before = {item["sha256"]: item["file"] for item in kept.inputs}
    after = {item["sha256"]: item["file"] for item in given.inputs}
    gone = [name for digest, name in before.items() if digest not in after]
    come = [name for digest, name in after.items() if digest not in before]
    changed += [f"{name} has changed" for name in gone if name in come]
    changed += [f"{name} is missing" for name in gone if name not in come]
    changed += [f"{name} is new" for name in come if name not in gone]
    return changed


def _write_left_out(options: RunOptions) -> None:
    """refused.csv: what was left out and why; none where nothing was."""
    path = options.out / REFUSED_FILE
    if not options.left_out:
        path.unlink(missing_ok=True)
        return
    cells = ((text_cell(p.file), p.line, text_cell(p.column), p.code, text_cell(p.message)) for p in options.left_out)
    write_rows(path, [("file", "row", "column", "code", "message"), *cells])
