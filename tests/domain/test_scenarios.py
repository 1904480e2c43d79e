"""Every rule in force has a story, and every story comes out the same on both engines."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest
from scenario import Story, play, read_stories

import matching_core

ROOT = Path(__file__).resolve().parents[2]
STORIES = read_stories(ROOT / "tests" / "scenarios" / "venue")
IN_FORCE = re.compile(r"^- \*\*([A-Z]+\d+)\*\*", re.M)


def engines() -> list:
    marks = ()
    if importlib.util.find_spec("matching_core.engine") is None:
        marks = pytest.mark.skip(reason="the compiled engine is not built: run ./cpx build")
    return [pytest.param("reference", id="reference"), pytest.param("compiled", id="compiled", marks=marks)]


def engine_of(name: str) -> type:
    if name == "reference":
        return matching_core.ReferenceEngine
    return importlib.import_module("matching_core.engine").Engine


def rules_in_force() -> list[str]:
    """What docs/rules/market.md and settlement.md list under 'In force'."""
    found = []
    for name in ("market.md", "settlement.md"):
        text = (ROOT / "docs" / "rules" / name).read_text("utf-8")
        found += IN_FORCE.findall(text.partition("## In force")[2].partition("\n## ")[0])
    return found


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_story_goes_as_written(story: Story, engine: str) -> None:
    play(story, engine_of(engine))


def test_every_rule_in_force_has_a_story() -> None:
    rules = rules_in_force()
    assert len(rules) > 30
    told = {story.rule for story in STORIES}
    assert [rule for rule in rules if rule not in told] == []
    assert sorted(told - set(rules)) == []


def test_every_rule_is_listed_once_and_every_story_has_its_own_name() -> None:
    assert [rule for rule, count in Counter(rules_in_force()).items() if count > 1] == []
    assert [name for name, count in Counter(story.name for story in STORIES).items() if count > 1] == []


def test_a_story_that_goes_another_way_is_noticed() -> None:
    lines = (
        (1, "offer P1 o1 g1 H800/L10/grid 64 @ 8.00 01-07 -> placed o1 6h"),
        (2, "bid B1 b H800/guian/L10/grid@01 1 @ 8 -> "),
    )
    with pytest.raises(AssertionError, match="trade b o1 1 @ 8.00 h01"):
        play(Story("made up", "RT4", "a trade that nobody expects", lines))
    with pytest.raises(AssertionError, match="refused UNKNOWN_OFFER"):
        play(Story("made up", "RT4", "a refusal that nobody expects", ((1, "withdraw-offer P1 none"),)))
