"""The worked examples of the guide come out line by line: pairs, running shares, price, grade, hash."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from fix_examples import PAGE, Example, read, read_examples, solve

EXAMPLES = read_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_the_example_comes_out_as_the_guide_says(example: Example) -> None:
    assert solve(example) == example.wanted


def test_the_guide_works_every_way_to_a_fix_out() -> None:
    told = {line.rsplit(" by ", 1)[1] for example in EXAMPLES for line in example.wanted if line.startswith("fix ")}
    assert told == {"trades", "day", "neighbours", "ask", "index", "thin"}


def test_thirty_sham_lots_move_the_fix_of_the_guide_by_nothing() -> None:
    def fix_of(title: str) -> str:
        (found,) = [example for example in EXAMPLES if example.title == title]
        return next(line for line in found.wanted if line.startswith("fix "))

    assert fix_of("Grade A") == fix_of("Grade A with 30 sham lots") == "fix 8.02 A by trades"


def test_an_example_with_another_price_or_size_is_noticed() -> None:
    (block,) = re.findall(r"```fix\n(Grade A\n.*?)```", PAGE.read_text("utf-8"), re.S)
    for old, new in (("8.02 x 60", "8.03 x 60"), ("8.04 x 30", "8.04 x 31"), ("N4 of M4", "N4 of N4")):
        assert old in block
        changed = read(block.replace(old, new, 1))
        assert solve(changed) != changed.wanted


def test_every_constant_of_the_guide_is_the_one_in_force() -> None:
    from exchange.domain import fix_memory, prices
    from exchange.domain.commands import SetVenue

    text, settings = PAGE.read_text("utf-8"), SetVenue("venue")
    hours = [window // prices.NS_PER_HOUR for window in (prices.GRADE_A_WINDOW_NS, prices.GRADE_B_WINDOW_NS)]
    assert f"| windows of A and B | {hours[0]} and {hours[1]} hours |" in text
    assert f"`fix_min_lots`, {settings.fix_min_lots} lots" in text
    assert f"`fix_half_spread_ppm`, {settings.fix_half_spread_ppm // 10_000} %" in text
    assert prices.MIN_FIRMS == prices.MIN_PAIRS == 3 and "| firms on each side, pairs | at least 3 |" in text
    near = fix_memory.NEIGHBOURS
    assert f"| neighbouring hours | {near} before, {near} after |" in text
    assert fix_memory.SHIFT_LIMIT_PPM == 250_000 and "at most | a quarter |" in text


@pytest.mark.slow
def test_the_table_of_self_dealing_is_what_the_simulation_prints() -> None:
    """And the simulation itself holds every market against the bound."""
    root = PAGE.parents[2]
    script = [sys.executable, str(root / "tests" / "bench" / "self_dealing.py")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(root)})
    table = [line for line in printed.stdout.splitlines() if line.startswith("|")]
    assert len(table) == 14 and "\n".join(table) in PAGE.read_text("utf-8")
