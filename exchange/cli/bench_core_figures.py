"""The figures of `cpx bench core`, one function each: it measures, and answers rows with value, goals and verdict."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from exchange.cli.bench_core_run import (
    BENCH,
    PASSES,
    PROFILES,
    ROOT,
    SEED,
    Row,
    Run,
    Unmeasured,
    child,
    run_program,
    say,
)

GROWTH_STEP = 10  # the large flow is so many times the small one
SINGLE_TIMES = ("p50_ns", "p99_ns", "p99_9_ns", "max_ns", "timer_overhead_ns")


@dataclass(frozen=True)
class Bar:
    """What a figure is to reach: must, and where there is one, stretch."""

    must: float
    stretch: float | None = None
    is_least: bool = False  # at least, not at most

    def is_met(self, value: float | None, goal: float | None) -> bool | None:
        """None where there is no such value or no such goal."""
        if value is None or goal is None:
            return None
        return value >= goal if self.is_least else value <= goal


# Matching core design, section 5: must and stretch
RATIOS = {"mixed": Bar(2.75, 2.3), "deep": Bar(2.75, 2.4), "sweep": Bar(3.3, 2.8), "wide": Bar(4.0, 3.3)}
RATIOS_PLAIN_PAGES = {"mixed": Bar(3.5), "deep": Bar(3.6), "sweep": Bar(4.2), "wide": Bar(5.5)}
# ns per command of CppTrader on the same flows, -O3 -march=native, taken on the design's own machine, and how often faster
CPP_TRADER_NS = {"mixed": 148, "deep": 195, "sweep": 129, "wide": 345}
CPP_TRADER = {
    "mixed": Bar(4.2, is_least=True), "deep": Bar(5.5, is_least=True),
    "sweep": Bar(3.2, is_least=True), "wide": Bar(6.0, is_least=True),
}  # fmt: skip
SUBMIT_PER_S = Bar(1_000_000, is_least=True)
SINGLE_P99_9_NS = Bar(2000)
GROWTH = Bar(1.3)
ORDER_BYTES = {"mixed": Bar(128), "deep": Bar(128), "sweep": Bar(128), "wide": Bar(256)}
BOOK_BYTES = {"idle": Bar(256), "thin": Bar(4096)}
REPLAY_PER_S = Bar(5_000_000, is_least=True)
IMAGE_S = Bar(1)


def row(what: str, value: float | None, bar: Bar | None, note: str = "", **details: Any) -> Row:
    """One line of a table: the figure, its goals, whether they are met (None: not measured, or no goal)."""
    if bar is None:
        judged: Row = dict.fromkeys(("must", "stretch", "bound", "met", "stretch_met"))
    else:
        judged = {
            "must": bar.must, "stretch": bar.stretch, "bound": "at least" if bar.is_least else "at most",
            "met": bar.is_met(value, bar.must), "stretch_met": bar.is_met(value, bar.stretch),
        }  # fmt: skip
    return {"what": what, **details, "value": value, **judged, "note": note}


# --- the figures --------------------------------------------------------------------------------------------


def ratios(run: Run) -> list[Row]:
    """ns per command over the floor's, and whether the trades are the agreed ones."""
    return [_over_flows(run, profile, RATIOS, _ratio) for profile in run.profiles]


def plain_pages(run: Run) -> list[Row]:
    """The same in a process that gets no huge pages."""
    return [_over_flows(run, profile, RATIOS_PLAIN_PAGES, _plain_ratio) for profile in run.profiles]


def cpp_trader(run: Run) -> list[Row]:
    """How often CppTrader's published time is ours: orientation, since it was taken at another time."""
    return [_over_flows(run, profile, CPP_TRADER, _cpp_trader) for profile in run.profiles]


def peer(run: Run) -> list[Row]:
    """How often orderly-chaos' time is ours, by its library's C functions: no bar, a neighbour in the same run."""
    return [_over_flows(run, profile, {}, _peer) for profile in run.profiles]


def submit(run: Run) -> list[Row]:
    """One call a command from Python, ours and orderly-chaos'."""
    return [_over_flows(run, profile, dict.fromkeys(PROFILES, SUBMIT_PER_S), _submit) for profile in run.profiles]


def single(run: Run) -> list[Row]:
    """Batches of one, timed in C: how long the slowest of a thousand takes."""
    return [_over_flows(run, profile, dict.fromkeys(PROFILES, SINGLE_P99_9_NS), _single) for profile in run.profiles]


def growth(run: Run) -> list[Row]:
    """ns over floor with ten times the commands, resting orders and books, over the same at a tenth."""
    return [_guarded("ratio of ratios", GROWTH, partial(_growth, run))]


def order_bytes(run: Run) -> list[Row]:
    """Memory of an engine after a flow, per order that rests in it."""
    return [_over_flows(run, profile, ORDER_BYTES, _order_bytes) for profile in run.profiles]


def book_bytes(run: Run) -> list[Row]:
    """Memory of an engine per book, where books are idle or thin."""
    return [_guarded(state, bar, partial(_book_bytes, run, state, bar)) for state, bar in BOOK_BYTES.items()]


def replay(run: Run) -> list[Row]:
    """Commands a second out of a file."""
    return [_over_flows(run, profile, dict.fromkeys(PROFILES, REPLAY_PER_S), _replay) for profile in run.profiles]


def image(run: Run) -> list[Row]:
    """Seconds to write and to read the snapshot of many resting orders."""
    n_orders = run.count // 2
    say(f"snapshot of {n_orders:,} orders")
    try:
        found = child("snapshot", n_orders, PASSES)
    except Unmeasured as why:
        return [row(what, None, IMAGE_S, str(why)) for what in ("snapshot", "restore")]
    note = "" if found["is_equal"] else "the restored engine differs"
    details = {"orders": n_orders, "mib": round(found["mib"], 1)}
    return [
        row(what, round(median(found[f"{what}_s"]), 4), IMAGE_S, note, **details) for what in ("snapshot", "restore")
    ]


# --- one row of each ----------------------------------------------------------------------------------------


def _over_flows(run: Run, profile: str, bars: dict[str, Bar], measure: Callable[[Run, str, Bar | None], Row]) -> Row:
    bar = bars.get(profile)
    return _guarded(profile, bar, partial(measure, run, profile, bar))


def _guarded(what: str, bar: Bar | None, measure: Callable[[], Row]) -> Row:
    """The row, or one that says why there is none."""
    try:
        return measure()
    except Unmeasured as why:
        return row(what, None, bar, str(why))


def _ratio(run: Run, profile: str, bar: Bar | None) -> Row:
    turns = run.turns(profile)
    figures = turns.ratio(turns.engine)
    details = {name: turns.last[name] for name in ("events", "trades", "rejected", "resting")}
    huge_mib = turns.last["huge_mib"]
    is_agreed = _agrees(profile, run.count, details)
    note = "trades differ from tests/bench/golden.json" if is_agreed is False else ""
    return row(
        profile, figures.pop("ratio"), bar, note, **figures, **details,
        huge_mib=None if huge_mib is None else round(huge_mib), is_agreed=is_agreed,
    )  # fmt: skip


def _plain_ratio(run: Run, profile: str, bar: Bar | None) -> Row:
    turns = run.turns(profile)
    if len(turns.plain_pages) < len(turns.floor):
        raise Unmeasured("this system does not let a process refuse huge pages")
    figures = turns.ratio(turns.plain_pages)
    return row(profile, figures.pop("ratio"), bar, **figures)


def _cpp_trader(run: Run, profile: str, bar: Bar | None) -> Row:
    ns = median(run.turns(profile).engine)
    published = CPP_TRADER_NS[profile]
    return row(profile, round(published / ns, 2), bar, "published figure", ns=round(ns, 2), peer_ns=published)


def _peer(run: Run, profile: str, bar: Bar | None) -> Row:
    program, library = run.program("peer", "-ldl"), run.peer_library
    flow, turns = run.flow(profile), run.turns(profile)
    found = [json.loads(run_program([str(program), str(library), str(flow.records), str(PASSES)])) for _ in range(run.rounds)]
    peer_ns, ns = median(ns for run_of in found for ns in run_of["ns"]), median(turns.engine)
    outcome = ("trades", "rejected", "resting")
    differs = [name for name in outcome if found[0][name] != turns.last[name]]
    note = f"differs from ours in {', '.join(differs)}" if differs else ""
    details = {"peer_ns": round(peer_ns, 2), "ns": round(ns, 2), "trades": found[0]["trades"]}
    return row(profile, round(peer_ns / ns, 2), bar, note, **details)


def _submit(run: Run, profile: str, bar: Bar | None) -> Row:
    file, calls = run.flow(profile).commands, max(1000, run.count // 4)
    say(f"{profile}: {calls:,} single calls from Python")
    ours = median(child("submit", file, calls, PASSES)["per_s"])
    try:
        run.peer_library  # noqa: B018 - says why where there is none
        peer, note = round(median(child("peer_calls", file, calls, PASSES)["per_s"])), ""
    except Unmeasured as why:
        peer, note = None, str(why)
    return row(profile, round(ours), bar, note, peer_per_s=peer, calls=calls)


def _single(run: Run, profile: str, bar: Bar | None) -> Row:
    flags = run_program([sys.executable, "-P", "-m", "matching_core.c_flags"]).split()
    command = [str(run.program("latency", *flags)), str(run.flow(profile).commands), str(2 * run.count)]
    # The program starts a Python of its own, which is to find the engine of this one.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": os.pathsep.join(paths)}
    say(f"{profile}: single commands in C")
    found = [json.loads(run_program(command, environment=environment)) for _ in range(run.rounds)]
    figures = {name: round(median(one[name] for one in found), 1) for name in SINGLE_TIMES}
    return row(profile, figures["p99_9_ns"], bar, **figures)


def _growth(run: Run) -> Row:
    large = GROWTH_STEP * run.count // 2
    sizes = (large // GROWTH_STEP, large)
    found = [run.measure_turns(run.growing(count)) for count in sizes]
    figures = [turns.ratio(turns.engine) for turns in found]
    details = {
        f"{size}_{name}": value
        for size, count, turns, figure in zip(("small", "large"), sizes, found, figures, strict=True)
        for name, value in {
            "commands": count, "resting": turns.last["resting"], "ns": figure["ns"],
            "floor_ns": figure["floor_ns"], "ratio": figure["ratio"],
        }.items()
    }  # fmt: skip
    return row("ratio of ratios", round(figures[1]["ratio"] / figures[0]["ratio"], 3), GROWTH, **details)


def _order_bytes(run: Run, profile: str, bar: Bar | None) -> Row:
    return row(profile, **_bytes_each("resting", "memory", run.flow(profile).commands), bar=bar)


def _book_bytes(run: Run, state: str, bar: Bar) -> Row:
    n_books = run.count // 20
    return row(state, **_bytes_each("books", "books", n_books, state), bar=bar)


def _bytes_each(item: str, figure: str, *words: object) -> Row:
    """Memory that the engine's process gained, per item, of which it says how many; huge pages round it up, which counts."""
    found, plain = child(figure, *words), child(figure, *words, huge_pages=False)
    number, rss = max(1, found[item]), found["rss"]
    details = {item: found[item], "mib": round(rss / 2**20, 1), "plain_pages": round(plain["rss"] / number, 1)}
    return {"value": round(rss / number, 1), **details}


def _replay(run: Run, profile: str, bar: Bar | None) -> Row:
    return row(profile, round(median(child("replay", run.flow(profile).commands, PASSES)["per_s"])), bar)


def _agrees(profile: str, count: int, outcome: Row) -> bool | None:
    """Whether trades, rejects and resting orders are those two other engines agreed on; None where nobody asked them."""
    for golden in json.loads((BENCH / "golden.json").read_text())["flows"]:
        if (golden["profile"], golden["count"], golden["seed"]) == (profile, count, SEED):
            wanted = (golden["fills"], golden["rejected"], golden["resting"])
            return wanted == (outcome["trades"], outcome["rejected"], outcome["resting"])
    return None
