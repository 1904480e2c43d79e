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
        projections.tasks.tell_rounding(rounding_texts(day, run.venue.settings.lots_per_card))
        export_all(projections, options.out, balances)
    finally:
        run.close()
    if run.problems:
        raise RuntimeError("; ".join(run.problems))
    summary = summarise(day, options, run, driver, projections, balances)
    summary["market_s"] = round(traded_s, 3)
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    summary["tasks_per_s"] = round(summary["tasks"] / traded_s, 1)
    target = options.out / "summary.json"
    partial = target.with_suffix(".tmp")
    partial.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(target)
    return summary


def rounding_texts(day: MarketDay, lots_per_card: int) -> dict[tuple[str, str], str]:
    """What whole periods and lots make each task pay for beyond its use, in words."""
    return {
        (participant, task): f"{format_scaled(div_floor(lot_minutes * 1000, 60 * lots_per_card), 1000, 0)} card-hours unused"
        for participant, task, lot_minutes in day.waste
    }


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
    settled = projections.settlement_totals()
    per_hour = 60 * run.venue.settings.lots_per_card
    waste = sum(lot_minutes for *_, lot_minutes in day.waste)
    return {
        "schema": SUMMARY_SCHEMA,
        "name": options.name,
        "command": options.command,
        "seed": options.seed,
        "engine": matching_core.IMPLEMENTATION,
        "offers": sum(isinstance(row.command, PlaceOffer) for row in day.rows),
        "offers_refused_by_reason": dict(sorted(driver.offers_refused.items())),
        "tasks": sum(isinstance(row.command, SubmitTask) for row in day.rows),
        **projections.tasks.totals(),
        **_sources(day, projections),
        "trades": projections.tape.count,
        "notional": format_micro(projections.tape.notional_micro),
        "rounding_waste_card_hours": format_scaled(div_floor(waste * 1000, per_hour), 1000, 1),
        **{key: format_micro(value) if key != "obligations" else value for key, value in settled.items()},
        "ledger_sum": sum(sum(purses) for purses in balances.values()),
        "commands": run.seq,
        "resumed_commands": run.resumed_commands,
        "state_hash": f"{run.venue.state_hash():016x}",
        "notes": list(day.notes),
    }


def _sources(day: MarketDay, projections: Projections) -> dict[str, int]:
    """Rows of the source, where a long one became several tasks: filled when all of its pieces are."""
    origin = dict(day.pieces)
    is_filled: dict[str, bool] = {}
    for record in projections.tasks.records:
        task = record.task.client_order_id
        name = origin.get(task, task)
        is_filled[name] = is_filled.get(name, True) and record.status == "filled"
    filled = sum(is_filled.values())
    return {
        "source_tasks": len(is_filled), "source_filled": filled, "source_unfilled": len(is_filled) - filled,
    }  # fmt: skip
