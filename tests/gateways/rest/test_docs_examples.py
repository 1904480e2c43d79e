"""The examples of docs/protocol, run in a shell against a live server, answer what the pages show."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from world import environment, running_world

PAGES = Path(__file__).resolve().parents[3] / "docs" / "protocol"
BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.S)


def examples(page="rest.md"):
    """(shell lines, answers shown) in the order of the page; answers of the pages that show some."""
    found = []
    for kind, text in BLOCK.findall((PAGES / page).read_text(encoding="utf-8")):
        if kind == "sh":
            found.append((text, []))
        elif found:
            found[-1][1].append(json.loads(text))
    return found


def run(shell, world):
    """What a shell writes that stops at the first command that fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell], capture_output=True, text=True, timeout=60, env=environment(world)
    )
    assert done.returncode == 0, (shell, done.stderr)
    return answers(done.stdout)


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
            told = run(shell, world)
            assert len(told) == len(shown), (shell, told)
            for one_shown, one_told in zip(shown, told, strict=True):
                assert not differs(one_shown, one_told), (shell, differs(one_shown, one_told), one_told)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
def test_the_key_that_the_page_on_keys_makes_is_one(tmp_path):
    ((shell, shown),) = examples("keys.md")
    assert not shown
    with running_world(tmp_path / "exchange") as world:
        (refused,) = run(shell, world)
        assert (refused["reason"], refused["field"]) == ("INVALID_FIELD", "participant")
        world.do("add_participant", participant="acme", firm="acme")
        (made,) = run(shell, world)
        assert (made["participant"], made["scopes"], made["label"]) == ("acme", ["read", "trade"], "training cluster")
        assert made["secret"].startswith(f"cpx_{made['key_id']}_")
        assert world.do("account", made["secret"])["participant"] == "acme"
        world.do("revoke_key", key_id=made["key_id"])
        assert world.ask("account", made["secret"]).reason == "WRONG_KEY"


def test_every_page_with_commands_for_a_shell_is_run_here():
    assert {page.name for page in PAGES.glob("*.md") if "```sh" in page.read_text(encoding="utf-8")} == {"rest.md", "keys.md"}


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
