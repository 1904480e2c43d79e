"""`cpx bench tasks`: tasks over many books, against a floor of the same run and against the goals of the design."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import typer

from exchange.cli.bench_core_figures import Bar
from exchange.cli.bench_core_run import BENCH, Row, Unmeasured, run_program, say
from exchange.cli.bench_tables import Group, show

NO_INPUT, MISSED = 66, 1
PER_CHIP = 4096  # RT8
BLOCK_P50_US, BLOCK_P99_US = Bar(50), Bar(200)
UNRELATED, DRAIN_US, STORM_SHARE, WAITING_BYTES = Bar(1.1), Bar(1000), Bar(0.05), Bar(400)


def child(figure: str, *words: object) -> Row:
    """What `bench_tasks_child.py` says of one figure in a process of its own."""
    command = [sys.executable, "-P", "-m", "exchange.cli.bench_tasks_child", figure, *map(str, words)]
    found: Row = json.loads(run_program(command))
    return found


def _row(what: str, value: float | None, bar: Bar | None = None, note: str = "", **more: Any) -> Row:
    must = bar.must if bar else None
    return {
        "what": what, "value": None if value is None else round(value, 3), "must": must, "stretch": None,
        "bound": "at most", "met": bar.is_met(value, must) if bar else None, "stretch_met": None, "note": note, **more,
    }  # fmt: skip


def _times(what: str, found: Row, p50: Bar | None = None, p99: Bar | None = None, floor_us: float = 0) -> list[Row]:
    ratio = {"floor_ratio": round(found["p50_us"] / floor_us, 2)} if floor_us else {}
    note = f"{found['filled']} of {found['n']} filled" if "filled" in found else ""
    return [
        _row(f"{what}, median", found["p50_us"], p50, note, **ratio),
        _row(f"{what}, p99", found["p99_us"], p99),
    ]


def _block(count: int) -> list[Row]:
    found = child("block", count, "usual")
    flat = child("block", max(20, count // 10), "flat")
    rows = _times("block over 10,752 books of 20 levels", found, BLOCK_P50_US, BLOCK_P99_US, found["floor_us"])
    rows += _times("the same where every site asks the same (adversary, no bar)", flat, floor_us=flat["floor_us"])
    return [*rows, _row("floor: one addition over the best prices", found["floor_us"])]


def _shapes(count: int) -> list[Row]:
    found = child("shapes", max(10, count // 20))
    return [row for name, figures in found.items() for row in _times(name, figures)]


def _many(count: int) -> list[Row]:
    found = child("many_books", max(10, count // 5))
    rows = _times(f"block over two of eight chips, {found['books']:,} live books", found)
    return [*rows, _row("memory of that market, MiB", found["mib"], None, f"{found['bytes_a_book']:.0f} bytes a book")]


def _unrelated(count: int) -> list[Row]:
    found = child("unrelated", PER_CHIP, max(20, count // 5))
    note = f"{found['waiting_ns']:.0f} ns an order against {found['none_ns']:.0f} with none"
    return [_row(f"unrelated order with {found['waiting']:,} waiting tasks, ratio to none", found["ratio"], UNRELATED, note)]


def _drain(count: int) -> list[Row]:
    found = child("drain", PER_CHIP, 100, max(20, count // 5))
    return _times(f"drain that wakes {found['woken']} of {found['waiting']:,}", found, DRAIN_US)


def _storm(count: int) -> list[Row]:
    found = child("storm", PER_CHIP, max(20, count // 5))
    rows = _times("168 hours re-priced and drained", found)
    note = f"{found['waiting']:,} tasks wait; {found['fills']} filled"
    return [*rows, _row("share of a core at 50 times a second", found["share"], STORM_SHARE, note)]


def _memory(count: int) -> list[Row]:
    found = child("waiting_memory", max(2_000, 20 * count))
    return [_row("bytes a waiting task", found["bytes"], WAITING_BYTES, f"of {found['tasks']:,}")]


VALUE = (("value", "value"),)
GROUPS = (
    Group("block", "A block task, submitted and filled, µs", _block, (*VALUE, ("floor_ratio", "÷ floor"))),
    Group("shapes", "The other shapes in the same market, µs", _shapes, VALUE),
    Group("many", "Many books, µs", _many, VALUE),
    Group("unrelated", "Orders that no task cares for", _unrelated, VALUE),
    Group("drain", "Drains, µs", _drain, VALUE),
    Group("storm", "A storm of re-pricing, µs", _storm, VALUE),
    Group("memory", "Memory", _memory, VALUE),
)
KEYS = tuple(group.key for group in GROUPS)
HEAD = ("{engine} engine · {machine} · Python {python} · commit {commit} · {command}",)


def tasks(
    count: int = typer.Option(1_000, min=20, help="Block tasks; the other figures grow and shrink with it."),
    group: list[str] = typer.Option([], help=f"These figures alone ({', '.join(KEYS)}); may be given again."),
    quick: bool = typer.Option(False, "--quick", help="A tenth of it: to see whether it runs."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 1 where a goal is missed."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the tables."),
) -> None:
    """Tasks over many books: search and fill, drains, re-pricing, memory; goals met or missed."""
    if not (BENCH / "task_market.py").exists():
        typer.echo("cpx: bench tasks needs the clone (tests/bench is not there): run it from a clone", err=True)
        raise typer.Exit(NO_INPUT)
    unknown = sorted(set(group) - set(KEYS))
    if unknown:
        raise typer.BadParameter(f"no figure {', '.join(unknown)}; there are {', '.join(KEYS)}")
    result = _measure(max(20, count // 10) if quick else count, [one for one in GROUPS if one.key in group or not group])
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show(result, GROUPS, HEAD)
    if strict and result["missed"]:
        raise typer.Exit(MISSED)


def _measure(count: int, groups: list[Group]) -> dict[str, Any]:
    import matching_core
    from exchange.cli.bench import machine

    if matching_core.IMPLEMENTATION != "compiled":
        say("warning: this is the reference engine (plain Python), for which the goals are not meant; see cpx doctor")
    found: dict[str, list[Row]] = {}
    for one in groups:
        say(one.title)
        try:
            found[one.key] = one.measure(count)
        except Unmeasured as why:
            found[one.key] = [_row(one.title, None, note=str(why))]
    missed = [f"{key}: {row['what']}" for key, rows in found.items() for row in rows if row["met"] is False]
    return {
        "bench": "tasks", "engine": matching_core.IMPLEMENTATION, **machine(), "count": count,
        "command": shlex.join(["cpx", *sys.argv[1:]]), "groups": found, "missed": missed,
    }  # fmt: skip
