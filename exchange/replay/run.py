"""One run from a market day to a folder of results: journal, prices, ledger, statements, summary."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matching_core
from exchange.adapters.exporters import export_all
from exchange.app import Run, open_folder
from exchange.domain.commands import PlaceOffer, SubmitTask
from exchange.domain.units import div_floor, format_micro, format_scaled
from exchange.projections import Projections
from exchange.replay.driver import Driver, Progress
from exchange.replay.market_day import MarketDay

SUMMARY_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where and how to run; shortfall_ppm = how many of a million deliveries fall short without an outage."""

    out: Path
    seed: int = 1
    shortfall_ppm: int = 2000
    name: str = "replay"
    command: str = ""  # as typed, for the summary


def run_day(day: MarketDay, options: RunOptions, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
    """Runs or resumes; writes every result file; the summary as written to summary.json."""
    started = time.perf_counter()
    projections = Projections()
    run = open_folder(options.out, [projections.on_command])
    try:
        driver = Driver(day, run.venue, run.submit, seed=options.seed, shortfall_ppm=options.shortfall_ppm)
        for progress in driver.run():
            on_progress(progress)
        run.venue.check()
        traded_s = time.perf_counter() - started
        balances = venue_balances(run)
        export_all(projections, options.out, balances)
    finally:
        run.close()
    if run.problems:
        raise RuntimeError("; ".join(run.problems))
    summary = summarise(day, options, run, projections, balances)
    summary["market_s"] = round(traded_s, 3)
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    summary["tasks_per_s"] = round(summary["tasks"] / traded_s, 1)
    target = options.out / "summary.json"
    partial = target.with_suffix(".tmp")
    partial.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(target)
    return summary


def venue_balances(run: Run) -> dict[str, tuple[int, ...]]:
    """The five purses of every account, from the core."""
    venue = run.venue
    return {name: tuple(venue.core.balance(account)) for account, name in enumerate(venue.state.accounts)}


def summarise(
    day: MarketDay, options: RunOptions, run: Run, projections: Projections, balances: dict[str, tuple[int, ...]]
) -> dict[str, Any]:
    """What a run came to; money as decimal yuan, no wall-clock in it but the three figures added later."""
    tasks = projections.tasks.totals()
    tape = projections.tape
    settled = projections.settlement_totals()
    return {
        "schema": SUMMARY_SCHEMA,
        "name": options.name,
        "command": options.command,
        "seed": options.seed,
        "engine": matching_core.IMPLEMENTATION,
        "offers": sum(isinstance(command, PlaceOffer) for _, command in day.rows),
        "tasks": sum(isinstance(command, SubmitTask) for _, command in day.rows),
        **tasks,
        "trades": tape.count,
        "notional": format_micro(tape.notional_micro),
        "rounding_waste_card_hours": format_scaled(
            div_floor(day.waste_lot_minutes * 1000, 60 * run.venue.settings.lots_per_card), 1000, 1
        ),
        **{key: format_micro(value) if key != "obligations" else value for key, value in settled.items()},
        "ledger_sum": sum(sum(purses) for purses in balances.values()),
        "commands": run.seq,
        "resumed_commands": run.resumed_commands,
        "state_hash": f"{run.venue.state_hash():016x}",
        "notes": day.notes,
    }
