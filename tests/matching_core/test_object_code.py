"""What the compilers have made of the engine: no call into Python from any command, and the prefetches are still there."""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import matching_core

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GENERATED = ROOT / "build" / "cython-release" / "matching_core" / "engine.c"
SOURCES = sorted((ROOT / "matching_core").glob("*.p[xy][dx]"))
WITH_PYTHON = {  # the border; commands run through all the others
    "engine", "events", "snapshot", "snapshot_rows", "snapshot_market", "restore", "restore_market", "c_face",
}  # fmt: skip
HOT = {"plain", "ladder", "directory", "book", "batch"}  # what nearly every command runs through
FUNCTION = re.compile(r"^static [^\n;]*\b__pyx_f_13matching_core_(\w+)\([^;\n]*\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
PYTHON_CALL = re.compile(r"\b(?:_?Py[A-Z]?\w*|__Pyx_\w+|__pyx_pw_\w+|__pyx_pf_\w+)\s*\(")
PREFETCH = re.compile(r"\tprefetch\w*\s")
PREFETCHES = 4  # of the loop over a batch: page entry, book, order, leaf; a level's and those of the walk come on top


def module_and_name(mangled):
    """("plain", "plain_match") of "5plain_plain_match"."""
    length = re.match(r"\d+", mangled)[0]
    rest = mangled[len(length) :]
    return rest[: int(length)], rest[int(length) + 1 :]


def python_calls(text, modules):
    """Every (module, function, call) of these modules in generated C that is a call into Python."""
    found = []
    for function in FUNCTION.finditer(text):
        module, name = module_and_name(function[1])
        if module in modules:
            found += [(module, name, call.strip("( ")) for call in PYTHON_CALL.findall(COMMENT.sub("", function[2]))]
    return found


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The C of the engine as the release build makes it: that of the last build, or made again where it is older."""
    if GENERATED.exists() and GENERATED.stat().st_mtime >= max(path.stat().st_mtime for path in SOURCES):
        return GENERATED.read_text(encoding="utf-8")
    pytest.importorskip("Cython")
    made = tmp_path_factory.mktemp("c") / "engine.c"
    directives = ("boundscheck=False", "wraparound=False", "cdivision=True", "initializedcheck=True")
    chosen = [word for each in directives for word in ("-X", each)]
    command = [sys.executable, "-m", "cython", "-3", *chosen, "-o", str(made), str(ROOT / "matching_core" / "engine.pyx")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return made.read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_command_calls_into_python(generated):
    names = [module_and_name(function[1]) for function in FUNCTION.finditer(generated)]
    modules = {path.stem for path in SOURCES} - WITH_PYTHON
    found = {module for module, _name in names} & modules
    assert found >= HOT and len(names) > 150  # else nothing was looked at
    assert python_calls(generated, modules) == []


def test_a_call_into_python_would_be_seen():
    text = "static CYTHON_INLINE int __pyx_f_13matching_core_5plain_plain(int a) {\n  /* Py_INCREF(a) */\n  %s\n}\n"
    assert python_calls(text % "return a;", HOT) == []
    assert python_calls(text % "__Pyx_RaiseZeroDivision();", HOT) == [("plain", "plain", "__Pyx_RaiseZeroDivision")]
    assert python_calls(text % "x = PyLong_FromLong (a);", HOT) == [("plain", "plain", "PyLong_FromLong")]
    assert python_calls(text % "Py_DECREF(x);", {"ladder"}) == []


def object_code(library):
    """Function -> its lines of disassembly."""
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(library)], capture_output=True, text=True, check=True)
    functions, lines = {}, []
    for line in listing.stdout.splitlines():
        if line.endswith(">:"):
            lines = functions.setdefault(line.split("<")[-1][:-2], [])
        lines.append(line)
    return functions


@pytest.mark.slow
def test_the_loop_over_a_batch_still_fetches_ahead(compiled_class):
    if platform.machine() != "x86_64" or shutil.which("objdump") is None:
        pytest.skip("reads x86-64 object code with objdump")
    folder = Path(matching_core.__file__).resolve().parent
    if folder != ROOT / "matching_core":
        pytest.skip("the debug build is not made for speed")
    library = next(folder.glob("engine.*.so"))
    fetching = {
        name: sum(bool(PREFETCH.search(line)) for line in lines) for name, lines in object_code(library).items() if lines
    }
    best = max(fetching, key=fetching.get)
    assert fetching[best] >= PREFETCHES, {name: count for name, count in fetching.items() if count}
    assert "batch" in best or "engine" in best, best  # the loop, or what it was inlined into
