"""A rule broken in one line is noticed: each patch of canaries/ makes the stories of the rule in its name fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matching_core

pytestmark = pytest.mark.slow  # each breakage is a copy of the engine and a process

HERE = Path(__file__).resolve().parent
PACKAGE = Path(matching_core.__file__).resolve().parent
CANARIES = sorted((HERE / "canaries").glob("*.patch"))


def copy_of_the_package(folder):
    """The reference engine alone, as plain Python."""
    shutil.copytree(PACKAGE, folder / "matching_core", ignore=shutil.ignore_patterns("*.so", "*.pyx", "__pycache__"))
    return folder


def apply(patch, folder):
    """Apply a unified diff of one file whose hunks stand in it exactly once."""
    head, *hunks = re.split(r"^@@.*@@.*\n", patch, flags=re.M)
    path = folder / re.search(r"^\+\+\+ b/(\S+)", head, flags=re.M)[1]
    text = path.read_text(encoding="utf-8")
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(before) == 1 and before != after, f"{path.name} has no such lines: make the patch again"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def play(folder, rules):
    """The stories of these rules on the engine in that folder."""
    path = os.pathsep.join((str(folder), str(HERE)))  # the story words lie beside core_story.py
    environment = os.environ | {"PYTHONPATH": path, "CPX_ENGINE": "reference", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(HERE / "core_story.py"), *rules]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def rule_of(path):
    return path.stem.partition("_")[0]


def test_there_are_enough_canaries_and_the_whole_engine_passes_their_stories(tmp_path):
    assert len(CANARIES) >= 10
    done = play(copy_of_the_package(tmp_path), {rule_of(path) for path in CANARIES})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", CANARIES, ids=lambda path: path.stem)
def test_a_broken_rule_is_noticed(tmp_path, path):
    folder = copy_of_the_package(tmp_path)
    apply(path.read_text(encoding="utf-8"), folder)
    done = play(folder, [rule_of(path)])
    assert done.returncode == 1, f"nobody noticed: {done.stdout}{done.stderr}"
    assert re.match(rf"\S*\b{rule_of(path)}\b|\S*_{rule_of(path)}\b|\S*{rule_of(path)}_", done.stdout), done.stdout
