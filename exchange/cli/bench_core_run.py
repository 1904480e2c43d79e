"""What the figures of `cpx bench core` share: flows as files, compiled programs, fresh processes, turns.

Every figure on the engine is measured in a fresh process (`bench_core_child.py`), so that none sees another's memory.
Floor, engine and engine without huge pages take turns, since a machine does not keep its speed for minutes.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import typer

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "tests" / "bench"
PROFILES = ("mixed", "deep", "sweep", "wide")
SEED, PASSES = 7, 3
COLUMNS = ("op", "side", "tif", "book", "order_id", "price", "qty")
NO_HUGE_PAGES = 41  # PR_SET_THP_DISABLE
PEER_INSTALL = "orderly-chaos is not installed: ./cpx bench core does it (sudo apt install g++), or pip install orderly-chaos"
NO_COMPILER = "no C compiler here: sudo apt install gcc"

Row = dict[str, Any]


class Unmeasured(Exception):
    """A figure that cannot be had here, and why."""


@dataclass(frozen=True)
class Flow:
    """One order flow as files: 32-byte records for floor and peer, the core's 64-byte commands."""

    name: str
    records: Path
    commands: Path
    count: int


@dataclass(frozen=True)
class Turns:
    """What one flow took in every round: medians of the passes, ns per command; no plain_pages where not asked or possible."""

    floor: list[float]
    engine: list[float]
    plain_pages: list[float]
    last: Row  # the rest of what the engine's process said last

    def ratio(self, times: list[float]) -> Row:
        """Medians, their ratio, and how far the ratios of single rounds lie apart."""
        ratios = [ns / floor for ns, floor in zip(times, self.floor, strict=True)]
        ns, floor = median(times), median(self.floor)
        return {
            "ns": round(ns, 2), "floor_ns": round(floor, 3), "ratio": round(ns / floor, 3),
            "lowest": round(min(ratios), 3), "highest": round(max(ratios), 3),
        }  # fmt: skip


@dataclass
class Run:
    """One run of the benchmark: its sizes, its scratch folder, and what several figures need made once."""

    folder: Path
    count: int
    rounds: int
    profiles: tuple[str, ...] = PROFILES
    _flows: dict[str, Flow] = field(default_factory=dict)
    _turns: dict[str, Turns] = field(default_factory=dict)

    def flow(self, profile: str) -> Flow:
        """One of the four flows."""
        return self._flow(profile, lambda: _module("flow").generate(profile, self.count, SEED), self.count)

    def growing(self, count: int) -> Flow:
        """A flow with a tenth as many resting orders as commands, and ten of them to a book."""
        sizes = (max(1, count // 100), count // 10)
        return self._flow(f"growth-{count}", lambda: _module("growth").generate(count, SEED, *sizes), count)

    def _flow(self, name: str, generate: Callable[[], Any], count: int) -> Flow:
        if name not in self._flows:
            say(f"{name}: {count:,} commands are being made …")
            records = generate()
            flow = Flow(name, self.folder / f"{name}.flow", self.folder / f"{name}.commands", count)
            records.tofile(flow.records)
            _commands(records).tofile(flow.commands)
            self._flows[name] = flow
        return self._flows[name]

    def turns(self, profile: str) -> Turns:
        """Floor, engine and engine without huge pages on one of the four flows, in turns."""
        if profile not in self._turns:
            self._turns[profile] = self.measure_turns(self.flow(profile), with_plain_pages=True)
        return self._turns[profile]

    def measure_turns(self, flow: Flow, with_plain_pages: bool = False) -> Turns:
        """The same, not remembered, for any flow."""
        turns = Turns([], [], [], {})
        for turn in range(self.rounds):
            say(f"{flow.name}: round {turn + 1} of {self.rounds}")
            turns.floor.append(median(self.floor_ns(flow)))
            found = child("process", flow.commands, PASSES)
            turns.engine.append(median(found.pop("ns")))
            turns.last.update(found)
            if with_plain_pages and sys.platform == "linux":
                found = child("process", flow.commands, PASSES, huge_pages=False)
                if found["huge_pages"] is False:
                    turns.plain_pages.append(median(found["ns"]))
        return turns

    def floor_ns(self, flow: Flow) -> list[float]:
        """ns per command of every pass of the floor program."""
        lines = run_program([str(self.program("floor", "-w")), str(flow.records)]).splitlines()
        return [1000 / float(line.split()[-2]) for line in lines]  # it says millions a second, to more digits

    def program(self, name: str, *flags: str) -> Path:
        """A C program of tests/bench, compiled once a run."""
        compiler, source, program = shutil.which("cc") or shutil.which("gcc"), BENCH / f"{name}.c", self.folder / name
        if not source.exists():
            raise Unmeasured(f"tests/bench/{name}.c is not there")
        if compiler is None:
            raise Unmeasured(NO_COMPILER)
        if not program.exists():
            words = [compiler, "-O3", "-march=native", str(source), "-o", str(program), *flags]
            made = subprocess.run(words, capture_output=True, text=True)
            if made.returncode:
                raise Unmeasured(f"{shlex.join(words)}: {_last_line(made.stderr)}")
        return program

    @cached_property
    def peer_library(self) -> Path:
        """The compiled library that orderly-chaos installs, built with its own flags."""
        spec = importlib.util.find_spec("orderly_chaos")
        if spec is None or spec.origin is None:
            raise Unmeasured(PEER_INSTALL)
        found = sorted(Path(spec.origin).parent.glob("lib_orderly_chaos*.so"))
        if not found:
            raise Unmeasured("the installed orderly-chaos has no compiled library")
        return found[0]


def say(text: str) -> None:
    """Progress, on stderr."""
    typer.echo(text, err=True)


def child(figure: str, *words: object, huge_pages: bool = True) -> Row:
    """What `bench_core_child.py` says of one figure in a process of its own."""
    command = [sys.executable, "-P", "-m", "exchange.cli.bench_core_child", figure, *map(str, words)]
    found: Row = json.loads(run_program(command, None if huge_pages else _refuse_huge_pages))
    return found


def run_program(
    command: list[str], prepare: Callable[[], None] | None = None, environment: dict[str, str] | None = None
) -> str:
    """What a program wrote; Unmeasured with its last words where it failed."""
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, preexec_fn=prepare, env=environment)
    if ended.returncode:
        raise Unmeasured(_last_line(ended.stderr) or f"{command[0]} ended with {ended.returncode}")
    return ended.stdout


def _refuse_huge_pages() -> None:
    """In the new process, before its program starts: it inherits this."""
    ctypes.CDLL(None).prctl(NO_HUGE_PAGES, 1, 0, 0, 0)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _module(name: str) -> Any:
    """A flow generator of tests/bench, which is no package."""
    spec = importlib.util.spec_from_file_location(f"cpx_bench_{name}", BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _commands(records: Any) -> Any:
    """A flow's 32-byte records as the core's 64-byte ones."""
    import numpy as np

    from matching_core import COMMAND_DTYPE

    commands = np.zeros(len(records), COMMAND_DTYPE)
    for name in COLUMNS:
        commands[name] = records[name]
    return commands
