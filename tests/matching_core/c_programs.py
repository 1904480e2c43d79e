"""C programs on the C face, for tests: compiled as programs that start Python, or as libraries that Python loads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matching_core
from matching_core import c_flags

PACKAGES = Path(matching_core.__file__).resolve().parents[1]
LOADER = """
import ctypes, sys
words = [word.encode() for word in sys.argv[1:]]
sys.exit(ctypes.CDLL(sys.argv[1]).main(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None)))
"""
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def compiled(source, target, link):
    """What the compiler says to a C file; skips where this machine cannot compile it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    flags = c_flags.compile_flags()
    if not any(Path(flag.removeprefix("-I"), "Python.h").exists() for flag in flags):
        pytest.skip("no Python.h: python3-dev is missing")
    command = [compiler, "-std=gnu11", "-O1", *WARNINGS, *flags, "-o", str(target), str(source), "-pthread", *link]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def build_program(source, target):
    """The command that runs a C file as a program of its own, or None where Python is no library to link with."""
    done = compiled(source, target, c_flags.link_flags())
    if done.returncode and "-lpython" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return [str(target)]


def build_library(source, target):
    """The command that runs a C file inside Python."""
    done = compiled(source, target, ["-shared", "-fPIC"])
    assert done.returncode == 0, done.stderr
    return [sys.executable, "-c", LOADER, str(target)]


def build(source, target):
    """As a program where that can be, else as a library."""
    return build_program(source, target) or build_library(source, target)


def environment(**changes):
    """What a program needs to find the packages under test: those of this virtual environment, ours first."""
    found = dict(os.environ) | {"PYTHONPATH": str(PACKAGES)} | changes
    found.pop("VIRTUAL_ENV", None)
    return found | ({"VIRTUAL_ENV": sys.prefix} if sys.prefix != sys.base_prefix else {})


def run(command, *words, **changes):
    """What the program says, and how it ends."""
    words = [*command, *map(str, words)]
    return subprocess.run(words, env=environment(**changes), capture_output=True, text=True, check=False, timeout=120)
