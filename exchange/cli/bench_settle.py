"""`cpx bench settle`: hours of trades with readings settled, rows and statements written; the pure function alone beside it."""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from exchange.cli.bench_core_figures import Bar
from exchange.cli.bench_core_run import ROOT, Row, Unmeasured, say
from exchange.cli.bench_tables import Group, show

HOURS, PURE_LINES, MISSED = 48, 1_000_000, 1
LARGE = 1_000_000  # trades that the goals of time and memory are for
PURE_PER_S, SETTLE_S, RSS_MIB = Bar(300_000, is_least=True), Bar(180), Bar(1024)
SERVER = ROOT / "tests" / "adapters" / "postgres_server.py"
HEAD = ("{machine} · Python {python} · commit {commit} · {command}",)
TIMES = (
    ("value", "all, s"), ("domain", "domain, s"), ("journal", "journal, s"), ("database", "database, s"),
    ("statements", "statements, s"), ("cpu", "processor, s"), ("us_a_line", "µs a line"),
    ("to_first", "a line, to the first row"),
)  # fmt: skip
GROUP_OF = {"pure": (("value", "lines/s"),), "memory": (("value", "MiB"),)}
TITLES = {
    "pure": "The pure function alone, leases in, lines out", "sqlite": "On SQLite, one process",
    "postgres": "On PostgreSQL, on this machine, reached by its socket, without fsync", "memory": "Memory at its highest",
}  # fmt: skip


def settle(
    trades: str = typer.Option("10000,100000,1000000", help="Sizes of the market, one after the other."),
    postgres: bool = typer.Option(False, "--postgres", help="The same on a PostgreSQL server that is started for it."),
    hours: int = typer.Option(HOURS, min=4, help="Delivery hours that the trades are spread over."),
    strict: bool = typer.Option(False, "--strict", help="Exit with 1 where a goal is missed."),
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the tables."),
) -> None:
    """Settlement of many trades: the pure function, the run with database and statements, memory; goals met or missed."""
    try:
        sizes = [int(size.replace("_", "")) for size in trades.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{trades!r} is no list of whole numbers, such as 10000,100000") from None
    if min(sizes) < 100:
        raise typer.BadParameter("a market has 100 trades at least")
    result = _measure(sizes, hours, postgres)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show(result, [Group(key, TITLES[key], lambda size: [], GROUP_OF.get(key, TIMES)) for key in result["groups"]], HEAD)
    if strict and result["missed"]:
        raise typer.Exit(MISSED)


def _measure(sizes: list[int], hours: int, postgres: bool) -> dict[str, Any]:
    from exchange.cli.bench import machine

    say(TITLES["pure"])
    found = child(["pure", str(min(PURE_LINES, 10 * max(sizes)))], None)
    groups = {"pure": [_row(f"{found['lines']:,} lines", round(found["lines_per_s"]), PURE_PER_S)]}
    memory: list[Row] = []
    groups["sqlite"] = _runs(sizes, hours, None, memory)
    if postgres:
        try:
            with _server() as server:
                groups["postgres"] = _runs(sizes, hours, server, memory)
        except Unmeasured as why:
            groups["postgres"] = [_row(TITLES["postgres"], None, note=str(why))]
    groups["memory"] = memory
    missed = [f"{key}: {row['what']}" for key, rows in groups.items() for row in rows if row["met"] is False]
    return {
        "bench": "settle", **machine(), "hours": hours, "command": shlex.join(["cpx", *sys.argv[1:]]), "groups": groups,
        "missed": missed,
    }  # fmt: skip


def _runs(sizes: list[int], hours: int, server: Any, memory: list[Row]) -> list[Row]:
    """A row a size; its memory goes into the other list."""
    rows: list[Row] = []
    for size in sizes:
        where = "SQLite" if server is None else "PostgreSQL"
        say(f"{size:,} trades on {where}")
        with tempfile.TemporaryDirectory(prefix="cpx-bench-") as folder, _bar(hours) as tell:
            url = server.fresh_url() if server is not None else ""
            found = child(["run", str(size), str(hours), folder, url], tell)
        rows.append(_time_row(found, SETTLE_S if found["trades"] >= LARGE else None, rows))
        bar = RSS_MIB if found["trades"] >= LARGE else None
        memory.append(_row(f"{found['trades']:,} trades on {where}", round(found["rss_mib"], 1), bar))
        if server is not None:
            memory.append(_row("its server, the largest process", round(_server_mib(server), 1)))
    return rows


def _time_row(found: Row, bar: Bar | None, rows: list[Row]) -> Row:
    """Times of one run, and those of a line against the first run's."""
    us_a_line = 1e6 * found["settle_s"] / found["lines"]
    parts = {name: round(found[f"{name}_s"], 2) for name in ("domain", "journal", "database", "statements", "cpu")}
    return _row(
        f"{found['lines']:,} lines, {found['statements']:,} statement lines", round(found["settle_s"], 2), bar, **parts,
        us_a_line=round(us_a_line, 1), to_first=round(us_a_line / rows[0]["us_a_line"], 2) if rows else 1.0,
        trades=found["trades"], lines=found["lines"], statement_lines=found["statements"], wall_s=round(found["wall_s"], 1),
    )  # fmt: skip


def _row(what: str, value: float | None, bar: Bar | None = None, note: str = "", **more: Any) -> Row:
    must = bar.must if bar else None
    return {
        "what": what, "value": value, "must": must, "stretch": None,
        "bound": "at least" if bar and bar.is_least else "at most", "met": bar.is_met(value, must) if bar else None,
        "stretch_met": None, "note": note, **more,
    }  # fmt: skip


def child(words: list[str], tell: Callable[[str], None] | None) -> Row:
    """What `bench_settle_child.py` says in a process of its own; Unmeasured with its last words where it failed."""
    command = [sys.executable, "-P", "-m", "exchange.cli.bench_settle_child", *words]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stderr is not None and running.stdout is not None
        for line in running.stderr:
            last = line.strip() or last
            if tell is not None and line.startswith("hour "):
                tell(line)
        said = running.stdout.read()
    if running.returncode:
        raise Unmeasured(last or f"the process ended with {running.returncode}")
    found: Row = json.loads(said)
    return found


@contextmanager
def _bar(hours: int) -> Iterator[Callable[[str], None]]:
    """Shows which hour is at hand, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("hours"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("hours", total=hours)
        yield lambda line: bar.update(task, completed=int(line.split()[1]))


@contextmanager
def _server() -> Iterator[Any]:
    """The PostgreSQL server of the tests, for as long as it is needed."""
    if not SERVER.exists():
        raise Unmeasured("this needs the clone (tests/adapters is not there)")
    spec = importlib.util.spec_from_file_location("cpx_bench_postgres", SERVER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if why := module.why_not():
        raise Unmeasured(why)
    server = module.Server()
    try:
        yield server
    finally:
        server.close()


def _server_mib(server: Any) -> float:
    """The most memory that one of its processes has had, shared memory included."""
    first = (server.folder / "data" / "postmaster.pid").read_text().split()[0]
    highest = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if first in (status.parent.name, fields["PPid"].strip()) and "VmHWM" in fields:
            highest = max(highest, int(fields["VmHWM"].split()[0]) / 1024)
    return highest
