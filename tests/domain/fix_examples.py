"""The worked examples of docs/guides/prices.md: each fenced block ```fix is inputs, working and result, line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from exchange.domain.fix_memory import FixMemory
from exchange.domain.fix_text import inputs_hash
from exchange.domain.prices import FixInputs, Found, Hour, Print, by_trades, lots_of_pairs, without_trades
from exchange.domain.units import (
    MICRO,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    PPM,
    div_half_even,
    format_scaled,
    parse_scaled,
    parse_time_ns,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "prices.md"
INSTRUMENT = "H800/hubei-wuhan/L5/grid/20261124T08"
GATE_NS = parse_time_ns("2026-11-24T07:55:00Z")
TICK_MICRO, MIN_LOTS, HALF_SPREAD_PPM = 10_000, 30, 10_000
TRADE = re.compile(r"(?:hour ([+-]\d) )?-(\d+):(\d\d) (\d+\.\d\d) x (\d+) (\w+) of (\w+)")


@dataclass
class Example:
    """One block: what goes in, and the lines that must come out."""

    title: str
    inputs: FixInputs
    firms: dict[str, int]
    wanted: list[str] = field(default_factory=list)


def ticks(text: str) -> int:
    """A price of the page."""
    return parse_scaled(text, MICRO) // TICK_MICRO


def price(in_ticks: int) -> str:
    """The same the other way round."""
    return format_scaled(in_ticks * TICK_MICRO, MICRO, 2)


def read_examples() -> list[Example]:
    """Every block of the page, in order."""
    return [read(block) for block in re.findall(r"```fix\n(.*?)```", PAGE.read_text("utf-8"), re.S)]


def read(block: str) -> Example:
    """`trade`, `ask`, `previous` and `fixed` lines are inputs, `pair`, `run`, `level`, `fix` and `hash` what comes of them."""
    title, *lines = block.splitlines()
    firms: dict[str, int] = {}
    prints: dict[int, list[Print]] = {}
    asks: dict[int, int] = {}
    memory, wanted, number = FixMemory(), [], 0
    for line in lines:
        kind, _, rest = line.partition(" ")
        rest = " ".join(rest.split())
        if kind == "trade":
            found = TRADE.fullmatch(rest)
            assert found, line
            hour, hours, minutes, cost, lots, buyer, seller = found.groups()
            number += 1
            at_ns = GATE_NS - int(hours) * NS_PER_HOUR - int(minutes) * NS_PER_MINUTE
            pair = [firms.setdefault(name, len(firms) + 1) for name in (buyer, seller)]
            prints.setdefault(int(hour or 0), []).append(Print(at_ns, ticks(cost), int(lots), *pair, number))
        elif kind == "ask":
            hour, cost = rest.split()
            asks[int(hour)] = ticks(cost)
        elif kind == "fixed":  # fixed STEP FAMILY PRICE GRADE: a fix of the region, step by step
            step, family, cost, grade = rest.split()
            memory.note(int(family), "hubei", int(step), int(step), ticks(cost) * TICK_MICRO, grade, tick_micro=TICK_MICRO)
        elif line.strip():
            wanted.append(" ".join(line.split()))
    own = Hour(0, asks.get(0, 0), tuple(prints.get(0, ())))
    nearby = tuple(Hour(k, asks.get(k, 0), tuple(prints.get(k, ()))) for k in range(-3, 4) if k)
    previous_micro, then = memory.previous(1, "hubei")
    about = (previous_micro, then, memory.level("hubei"))
    inputs = FixInputs(INSTRUMENT, GATE_NS, TICK_MICRO, MIN_LOTS, HALF_SPREAD_PPM, own, nearby, *about)
    return Example(title, inputs, firms, wanted)


def solve(example: Example) -> list[str]:
    """The same lines, worked out."""
    inputs = example.inputs
    found = by_trades(inputs) or without_trades(inputs)
    assert found is not None
    told = [*_pairs(example, found), *_runs(found)]
    if found.method == "index":
        told.append(f"level {format_scaled(inputs.previous_level, PPM, 6)} then, {format_scaled(inputs.level, PPM, 6)} now")
    return [*told, f"fix {price(found.price_ticks)} {found.grade} by {found.method}", f"hash {inputs_hash(inputs, found)}"]


def _counted(weight: int, found: Found) -> str:
    return format_scaled(div_half_even(weight * 1000, found.weight_of_lot), 1000, 0)


def _percent(part: int, total: int) -> str:
    return f"{format_scaled(div_half_even(part * 10_000, total), 100, 2)} %"


def _pairs(example: Example, found: Found) -> list[str]:
    names = {number: name for name, number in example.firms.items()}
    lots, total = lots_of_pairs([told for told, _ in found.used]), sum(weight for _, weight in found.used)
    of_pair = {pair: sum(weight for told, weight in found.used if told.pair == pair) for pair in lots}
    return [
        f"pair {'+'.join(names[firm] for firm in pair)} {lots[pair]} lots, {_counted(of_pair[pair], found)} count, "
        f"{_percent(of_pair[pair], total)}"
        for pair in sorted(lots, key=lambda each: (-lots[each], each))
    ]


def _runs(found: Found) -> list[str]:
    told, run, total = [], 0, sum(weight for _, weight in found.used)
    for place, (print_, weight) in enumerate(found.used):
        run += weight
        if place + 1 == len(found.used) or found.used[place + 1][0].price_ticks != print_.price_ticks:
            told.append(f"run {price(print_.price_ticks)} {_counted(run, found)} {_percent(run, total)}")
    return told
