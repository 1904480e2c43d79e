"""The examples of docs/protocol/rest.md, run in a shell against a live server, answer what the page shows."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from world import environment, running_world

PAGE = Path(__file__).resolve().parents[3] / "docs" / "protocol" / "rest.md"
BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.S)


def examples():
    """(shell lines, answers shown) in the order of the page."""
    found = []
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, []))
        else:
            found[-1][1].append(json.loads(text))
    return found


def differs(shown, told, place="answer"):
    """ "" where the answer has everything that the page shows; … stands for anything."""
    if shown == "…":
        return ""
    if isinstance(shown, dict) and isinstance(told, dict):
        missing = [key for key in shown if key not in told]
        if missing:
            return f"{place} has no {missing}"
        return next(filter(None, (differs(shown[key], told[key], f"{place}.{key}") for key in shown)), "")
    if isinstance(shown, list) and isinstance(told, list):
        wanted = [each for each in shown if each != "…"]
        lacking = [each for each in wanted if all(differs(each, other) for other in told)]
        if lacking or (not shown and told):
            return f"{place} is {told}, the page shows {shown}"
        return ""
    return "" if shown == told else f"{place} is {told!r}, the page shows {shown!r}"


def answers(text):
    """JSON values one after the other."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(text):
        value, place = decoder.raw_decode(text, place)
        found.append(value)
        place += len(text[place:]) - len(text[place:].lstrip())
    return found


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
def test_every_example_answers_what_the_page_shows(tmp_path):
    with running_world(tmp_path / "exchange") as world:
        for shell, shown in examples():
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", shell],
                capture_output=True,
                text=True,
                timeout=60,
                env=environment(world),
            )
            assert done.returncode == 0, (shell, done.stderr)
            told = answers(done.stdout)
            assert len(told) == len(shown), (shell, done.stdout)
            for one_shown, one_told in zip(shown, told, strict=True):
                assert not differs(one_shown, one_told), (shell, differs(one_shown, one_told), one_told)


def test_the_page_has_examples_of_the_main_paths():
    text = " ".join(shell for shell, _ in examples())
    for path in (
        "/v1/health",
        "/v1/instruments",
        "/v1/offers",
        "/v1/depth/",
        "/v1/tasks",
        "/v1/orders",
        "/v1/deposits",
        "/v1/reports",
    ):
        assert path in text, path
    assert len(examples()) >= 12 and all(shown for _, shown in examples())


def test_the_comparison_sees():
    assert (
        differs({"a": "1"}, {"a": "2"})
        and differs({"a": "…"}, {})
        and differs([{"a": 1}], [{"a": 2}])
        and differs([], [1])
    )
    assert not differs({"a": ["…", {"b": 1}]}, {"a": [{"b": 1, "c": 2}], "d": 3})
