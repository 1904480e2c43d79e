"""`cpx bench core`: the matching engine beside a floor and a peer of the same run, and its goals as met or missed."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

from exchange.cli import bench_core_figures as figures
from exchange.cli.bench_core_run import BENCH, PASSES, PROFILES, SEED, Run, say
from exchange.cli.bench_tables import Group, show

QUICKER = 10  # --quick has so much less to do
NO_INPUT, MISSED = 66, 1  # exit codes
HEAD = (
    "{engine} engine · {machine} · Python {python} · commit {commit} · huge pages: {huge_pages}",
    "{command} · {count:,} commands a flow, rounds: {rounds}, passes in each: {passes}, medians",
)


TIMES = (("ns", "ns"), ("floor_ns", "floor ns"), ("value", "ratio"), ("lowest", "lowest"), ("highest", "highest"))
GROUPS = (
    Group("ratio", "ns a command over the floor, batches of 4,096", figures.ratios,
          (*TIMES, ("trades", "trades"), ("resting", "resting"), ("huge_mib", "huge MiB"))),
    Group("plain_pages", "The same without huge pages", figures.plain_pages, TIMES),
    Group("cpp_trader", "CppTrader's published ns over ours (orientation: not of this run)", figures.cpp_trader,
          (("peer_ns", "CppTrader ns"), ("ns", "ns"), ("value", "times"))),
    Group("peer", "orderly-chaos' ns over ours, its C functions called from C", figures.peer,
          (("peer_ns", "orderly-chaos ns"), ("ns", "ns"), ("value", "times"), ("trades", "trades"))),
    Group("submit", "Commands a second, one call each from Python", figures.submit,
          (("value", "a second"), ("peer_per_s", "orderly-chaos"), ("calls", "calls"))),
    Group("single", "Batches of one, timed in C, ns; the goal is for p99.9", figures.single,
          (("p50_ns", "p50"), ("p99_ns", "p99"), ("p99_9_ns", "p99.9"), ("max_ns", "slowest"),
           ("timer_overhead_ns", "timer itself"))),
    Group("growth", "ns over floor at ten times commands, resting orders and books, over the same at a tenth", figures.growth,
          (("small_commands", "commands"), ("small_resting", "resting"), ("small_ratio", "ratio"),
           ("large_commands", "commands"), ("large_resting", "resting"), ("large_ratio", "ratio"), ("value", "growth"))),
    Group("order_bytes", "Resident bytes for each resting order, all in", figures.order_bytes,
          (("value", "bytes"), ("plain_pages", "without huge pages"), ("resting", "resting"), ("mib", "MiB"))),
    Group("book_bytes", "Resident bytes a book, all in", figures.book_bytes,
          (("value", "bytes"), ("plain_pages", "without huge pages"), ("books", "books"), ("mib", "MiB"))),
    Group("replay", "Commands a second out of a file, reading included", figures.replay, (("value", "a second"),)),
    Group("image", "Seconds to write and to restore a snapshot", figures.image,
          (("value", "seconds"), ("orders", "orders"), ("mib", "MiB"))),
)  # fmt: skip


def core(
    count: int = typer.Option(2_000_000, min=1000, help="Commands a flow; the other figures grow and shrink with it."),
    rounds: int = typer.Option(3, min=1, help="Floor and engine take turns so often; medians count."),
    only: list[str] = typer.Option([], help=f"This flow alone ({', '.join(PROFILES)}); may be given again."),
    group: list[str] = typer.Option([], help="These figures alone, by their key in --json; may be given again."),
    quick: bool = typer.Option(False, "--quick", help="A tenth of the commands, one round: to see whether it runs."),
    plots: Path | None = typer.Option(None, file_okay=False, help="Folder for the figures as PNG."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 1 where a goal is missed."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the tables."),
) -> None:
    """Four order flows through the matching engine beside a floor and a peer of the same run; goals met or missed."""
    if not (BENCH / "flow.py").exists():
        typer.echo("cpx: bench core needs the clone (tests/bench is not there): run it from a clone", err=True)
        raise typer.Exit(NO_INPUT)
    profiles = _chosen("flow", only, PROFILES)
    groups = _chosen("figure", group, tuple(one.key for one in GROUPS))
    if quick:
        count, rounds = max(1000, count // QUICKER), 1
    with tempfile.TemporaryDirectory() as folder:
        result = _measure(Run(Path(folder), count, rounds, profiles), groups)
    if plots is not None:
        from exchange.cli.bench_core_plots import draw

        for path in draw(result, plots):
            say(f"drawn: {path}")
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show(result, GROUPS, HEAD)
    if strict and result["missed"]:
        raise typer.Exit(MISSED)


def _chosen(what: str, named: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Those that were named, in our order; all where none was."""
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise typer.BadParameter(f"no {what} {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(name for name in known if name in named or not named)


def _measure(run: Run, keys: tuple[str, ...]) -> dict[str, Any]:
    """Everything, with what it was measured on and which goals were missed."""
    import matching_core
    from exchange.cli.bench import machine

    if matching_core.IMPLEMENTATION != "compiled":
        say("warning: this is the reference engine (plain Python), for which the goals are not meant; see cpx doctor")
    found = {}
    for one in GROUPS:
        if one.key in keys:
            say(one.title)
            found[one.key] = one.measure(run)
    missed = [f"{key}: {row['what']}" for key, rows in found.items() for row in rows if row["met"] is False]
    return {
        "bench": "core", "engine": matching_core.IMPLEMENTATION, **machine(), "huge_pages": _huge_pages(),
        "command": shlex.join(["cpx", *sys.argv[1:]]), "count": run.count, "rounds": run.rounds, "passes": PASSES,
        "seed": SEED, "groups": found, "missed": missed,
    }  # fmt: skip


def _huge_pages() -> str:
    """What the system gives huge pages to: always, madvise (who asks) or never."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    words = setting.read_text().split() if setting.exists() else []
    return next((word.strip("[]") for word in words if word.startswith("[")), "unknown")
