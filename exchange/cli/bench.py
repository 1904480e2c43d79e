"""`cpx bench`: figures as ratios against a floor or a peer measured in the same run; never part of a test."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import typer

from exchange.cli.bench_gateway import gateway

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ROOT / "tests" / "bench"
PROFILES = ("mixed", "deep", "sweep", "wide")
SEED, BATCH, PASSES = 7, 4096, 3
# ns per command ÷ floor that the core is to reach (design: matching core §5, "must")
GOALS = {"mixed": 2.75, "deep": 2.75, "sweep": 3.3, "wide": 4.0}

DAY_LINES = (
    ("engine", "engine", ""), ("tasks", "tasks", ""), ("filled", "filled", "tasks"), ("trades", "trades", ""),
    ("commands", "commands", ""), ("market_s", "market", "s"), ("wall_s", "with files and snapshot", "s"),
    ("tasks_per_s", "tasks a second", "1/s"), ("commands_per_s", "commands a second", "1/s"),
)  # fmt: skip

command = typer.Typer(no_args_is_help=True, add_completion=False)
command.command()(gateway)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        model = f"{names[0]} x {len(names)}" if names else model
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"machine": model, "python": platform.python_version(), "commit": commit.stdout.strip() or "unknown"}


def _flow_module() -> Any:
    path = FLOWS / "flow.py"
    if not path.exists():
        typer.echo("cpx: bench core needs the clone (tests/bench is not there): run it from a clone", err=True)
        raise typer.Exit(66)
    spec = importlib.util.spec_from_file_location("cpx_bench_flow", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _floor_ns(folder: Path, flow_file: Path) -> float | None:
    """Median ns per command of the floor program; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    program = folder / "floor"
    if not program.exists():
        source = str(FLOWS / "floor.c")
        subprocess.run([compiler, "-O3", "-march=native", "-w", source, "-o", str(program)], check=True)
    lines = subprocess.run([str(program), str(flow_file)], capture_output=True, text=True, check=True).stdout
    return median(float(line.split()[2]) for line in lines.splitlines())


def _commands(flow: Any) -> Any:
    """The flow's 32-byte records as the core's 64-byte ones."""
    import numpy as np

    from matching_core import COMMAND_DTYPE

    records = np.zeros(len(flow), COMMAND_DTYPE)
    for name in ("op", "side", "tif", "book", "order_id", "price", "qty"):
        records[name] = flow[name]
    return records


def _engine_ns(records: Any) -> tuple[float, int]:
    """(median ns per command over a few passes, trades)."""
    from matching_core import Engine

    times, events = [], 0
    for _ in range(PASSES):
        engine = Engine(max_orders=2 * len(records))
        started = time.perf_counter_ns()
        events = 0
        for first in range(0, len(records), BATCH):
            events += len(engine.process(records[first : first + BATCH], first + 1))
        times.append((time.perf_counter_ns() - started) / len(records))
    return median(times), events


@command.command()
def core(
    count: int = typer.Option(2_000_000, min=1000, help="Commands per flow."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Four order flows through the matching engine, against the least any engine must do, in the same run."""
    import matching_core

    flow_module = _flow_module()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for profile in PROFILES:
            typer.echo(f"{profile}: {count:,} commands …", err=True)
            flow = flow_module.generate(profile, count, SEED)
            flow_file = Path(name) / f"{profile}.bin"
            flow.tofile(flow_file)
            floor = _floor_ns(Path(name), flow_file)
            ns, events = _engine_ns(_commands(flow))
            ratio = round(ns / floor, 2) if floor else None
            row = {"flow": profile, "ns": round(ns, 1), "floor_ns": floor, "ratio": ratio, "goal": GOALS[profile]}
            rows.append(row | {"events": events})
    result = {"bench": "core", "engine": matching_core.IMPLEMENTATION, "count": count, **machine(), "flows": rows}
    _show(result, rows, as_json)


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


def _show(result: dict[str, Any], rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_title(result))
    for key in rows[0]:
        table.add_column(key, justify="right")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    Console().print(table)
