"""`cpx bench`: figures as ratios against a floor or a peer measured in the same run; never part of a test."""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import typer

from exchange.cli.bench_core import core
from exchange.cli.bench_emergency import emergency
from exchange.cli.bench_feed import feed
from exchange.cli.bench_gateway import gateway
from exchange.cli.bench_settle import settle
from exchange.cli.bench_tasks import tasks as tasks_bench

ROOT = Path(__file__).resolve().parents[2]

DAY_LINES = (
    ("engine", "engine", ""), ("tasks", "tasks", ""), ("filled", "filled", "tasks"), ("trades", "trades", ""),
    ("commands", "commands", ""), ("market_s", "market", "s"), ("wall_s", "with files and snapshot", "s"),
    ("tasks_per_s", "tasks a second", "1/s"), ("commands_per_s", "commands a second", "1/s"),
)  # fmt: skip

command = typer.Typer(no_args_is_help=True, add_completion=False)
command.command()(core)
command.command()(gateway)
command.command()(feed)
command.command()(settle)
command.command("tasks")(tasks_bench)
command.command()(emergency)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = f"{names[0]} x {len(names)}" if names else model
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"machine": model, "python": platform.python_version(), "commit": commit.stdout.strip() or "unknown"}


@command.command()
def day(
    tasks: int = typer.Option(2500, min=1, help="Tasks of the bundled day."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """The bundled market day on a real journal: tasks and commands a second, all in."""
    from exchange.replay.run import RunOptions, run_day
    from exchange.replay.scenario import market_day

    with tempfile.TemporaryDirectory() as name:
        summary = run_day(market_day(1, tasks), RunOptions(Path(name) / "run", 1, name="bench"), lambda progress: None)
    keys = ("engine", "tasks", "filled", "trades", "commands", "market_s", "wall_s", "tasks_per_s")
    row = {key: summary[key] for key in keys}
    row["commands_per_s"] = round(summary["commands"] / summary["market_s"])
    result = {"bench": "day", **machine(), **row}
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show_lines(result, DAY_LINES)


def show_lines(result: dict[str, Any], lines: tuple[tuple[str, str, str], ...]) -> None:
    """One figure a line with its unit, so that any terminal shows it whole."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_title(result), title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("unit")
    for key, words, unit in lines:
        value = result[key]
        table.add_row(words, f"{value:,}" if isinstance(value, int | float) else str(value), unit)
    Console().print(table)


def _title(result: dict[str, Any]) -> str:
    return f"{result['bench']} · {result['machine']} · commit {result['commit']}"
