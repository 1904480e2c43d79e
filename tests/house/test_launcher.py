"""./cpx on machines that lack something: one line of what and how to mend it, never a traceback."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.cli import bootstrap
from exchange.cli.bootstrap import Place, Trouble

ROOT = Path(__file__).resolve().parents[2]
CPX = ROOT / "cpx"
BOOTSTRAP = ROOT / "exchange/cli/bootstrap.py"
SHELL_TOOLS = ("sh", "dirname", "readlink")


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CPX_", "PYTHON"))}
    return subprocess.run(
        command, env=kept | environment, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    """A clone with nothing but the launcher, in a folder with a space, without .venv."""
    clone = tmp_path / "a clone"
    (clone / "exchange/cli").mkdir(parents=True)
    shutil.copy2(CPX, clone / "cpx")
    shutil.copy2(BOOTSTRAP, clone / "exchange/cli/bootstrap.py")
    return clone


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH folder with a shell's tools only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in SHELL_TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def is_one_line_without_traceback(text: str) -> bool:
    return text.count("\n") == 1 and text.startswith("cpx: ") and "Traceback" not in text


# --- the shell part ----------------------------------------------------------------------------------------


def test_the_launcher_is_plain_sh_and_executable() -> None:
    assert CPX.read_text().startswith("#!/bin/sh\n")
    assert os.access(CPX, os.X_OK)
    assert run(["sh", "-n", str(CPX)]).returncode == 0


def test_without_any_python_it_names_the_package(bare_clone: Path, bare_path: Path) -> None:
    done = run([str(bare_clone / "cpx"), "demo"], PATH=str(bare_path))
    assert done.returncode == 69
    assert is_one_line_without_traceback(done.stderr)
    assert "sudo apt install python3" in done.stderr


def test_a_python_that_is_too_old_or_a_dead_shim_is_passed_over(bare_clone: Path, bare_path: Path) -> None:
    write_program(bare_path / "python3", 'case "$*" in *version_info*) exit 1;; esac; echo wrong')
    write_program(bare_path / "python3.13", "echo 'command not found' >&2; exit 127")
    write_program(bare_path / "python3.12", 'case "$*" in *version_info*) exit 0;; esac; printf "[%s]" "$@"')
    done = run([str(bare_clone / "cpx"), "report", "two words", ""], PATH=str(bare_path))
    bootstrap_path = bare_clone / "exchange/cli/bootstrap.py"
    assert done.stdout == f"[-I][-S][{bootstrap_path}][report][two words][]"


def test_a_wrong_cpx_python_is_said_and_not_worked_around(bare_clone: Path) -> None:
    done = run([str(bare_clone / "cpx")], CPX_PYTHON="/nowhere/python3")
    assert done.returncode == 69
    assert is_one_line_without_traceback(done.stderr)


def test_it_works_through_a_link_from_another_folder(
    bare_clone: Path, bare_path: Path, tmp_path: Path
) -> None:
    write_program(bare_path / "python3", 'case "$*" in *version_info*) exit 0;; esac; printf "%s" "$3"')
    (tmp_path / "link").symlink_to(bare_clone / "cpx")
    done = run([str(tmp_path / "link")], PATH=str(bare_path))
    assert done.stdout == str(bare_clone / "exchange/cli/bootstrap.py")


# --- the Python part: what it is allowed to need -----------------------------------------------------------


def test_bootstrap_needs_the_standard_library_only() -> None:
    for node in ast.walk(ast.parse(BOOTSTRAP.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names


# --- stamps --------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A clone whose .venv is finished and up to date."""
    root = tmp_path / "clone"
    for name, text in {
        "pyproject.toml": "[project]",
        "setup.py": "",
        "constraints.txt": "a==1",
        "matching_core/book.pyx": "x = 1",
        "matching_core/task.pyx": "x = 2",
        "matching_core/types.pxd": "y",
        "matching_core/include/matching_core.h": "z",
        ".venv/bin/python": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    made = Place(str(root))
    bootstrap.write_json(made.stamp, bootstrap.wanted(made))
    return made


def stale_after(place: Place, file: str, text: str = "changed") -> str:
    Path(place.root, file).write_text(text)
    return bootstrap.stale_part(place, bootstrap.wanted(place))


def test_nothing_is_made_when_nothing_changed(place: Place) -> None:
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == ""


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("pyproject.toml", "project"),
        ("constraints.txt", "project"),
        ("setup.py", "extensions"),
        ("matching_core/book.pyx", "extensions"),
        ("matching_core/new.pyx", "extensions"),
        ("matching_core/types.pxd", "extensions"),
        ("matching_core/include/matching_core.h", "extensions"),
        ("README.md", ""),
    ],
)
def test_a_changed_file_makes_its_part_stale(place: Place, file: str, part: str) -> None:
    assert stale_after(place, file) == part


def test_only_the_changed_extension_is_built_again(place: Place) -> None:
    before = bootstrap.wanted(place)["extensions"]
    Path(place.root, "matching_core/book.pyx").write_text("x = 3")
    after = bootstrap.wanted(place)["extensions"]
    assert isinstance(before, dict) and isinstance(after, dict)
    assert before["book"] != after["book"] and before["task"] == after["task"]


def test_a_moved_clone_and_a_broken_venv_are_made_anew(place: Place, tmp_path: Path) -> None:
    moved = Place(shutil.copytree(place.root, tmp_path / "elsewhere"))
    assert bootstrap.stale_part(moved, bootstrap.wanted(moved)) == "venv"
    Path(place.python).unlink()
    Path(place.python).symlink_to("/nowhere/python3")
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == "venv"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"root": 1}'])
def test_a_half_written_stamp_means_made_anew(place: Place, text: str) -> None:
    Path(place.stamp).write_text(text)
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == "venv"


def test_a_venv_of_another_python_is_made_anew(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "python_id", lambda: "cpython-999-abacus")
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == "venv"


def test_the_tests_packages_have_their_own_stamp(place: Place) -> None:
    want = bootstrap.wanted(place)
    assert bootstrap.dev_is_stale(place, want)
    bootstrap.write_json(place.dev_stamp, {"project": want["project"]})
    assert not bootstrap.dev_is_stale(place, want)
    assert stale_after(place, "constraints.txt") == "project"
    assert bootstrap.dev_is_stale(place, bootstrap.wanted(place))


@pytest.mark.parametrize("command", ["bench", "test", "soak"])
def test_who_only_asks_for_help_does_not_wait_for_packages(command: str) -> None:
    assert bootstrap.needs_dev([command, "day"])
    assert not bootstrap.needs_dev([command, "--help"]) and not bootstrap.needs_dev([command, "-h"])
    assert not bootstrap.needs_dev(["bench", "day", "--help"])
    assert bootstrap.needs_dev([command]) == (command != "bench")  # without a word, bench shows its help
    assert not bootstrap.needs_dev([]) and not bootstrap.needs_dev(["demo"])


# --- the engine: no compiler, no headers -----------------------------------------------------------------


class NoSteps(bootstrap.Steps):
    """Runs nothing; remembers what it was asked for."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, -1)
        self.titles: list[str] = []

    def run(self, title: str, command: list[str], **more_environment: str) -> bool:
        self.titles.append(title)
        return False


def test_without_compiler_the_reference_engine_is_announced_and_mended_later(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("book", "gone"):
        Path(place.root, f"matching_core/{name}.cpython-311-x.so").write_text("built from older sources")
    Path(place.stamp).write_text(json.dumps(bootstrap.wanted(place) | {"extensions": {}}))
    monkeypatch.setenv("CC", "no-such-compiler")
    stamp, steps = bootstrap.wanted(place), NoSteps(place)
    bootstrap.build_extensions(place, steps, stamp)
    words = capsys.readouterr().err
    assert is_one_line_without_traceback(words)
    assert "reference engine" in words and "sudo apt install gcc python3-dev && ./cpx doctor" in words
    assert steps.titles == []
    assert place.find("matching_core/*.so") == [], "an engine built from other sources must not stay"

    bootstrap.write_json(place.stamp, stamp)
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == ""
    monkeypatch.setattr(bootstrap, "missing_for_engine", list)
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == "extensions"


def test_without_headers_the_warning_names_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _name: "/nowhere")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    bootstrap.build_extensions(place, NoSteps(place), bootstrap.wanted(place))
    assert "no Python headers (python3-dev)" in capsys.readouterr().err


def test_what_did_not_compile_is_tried_again_by_doctor_only(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "missing_for_engine", list)
    stamp = bootstrap.wanted(place)
    bootstrap.build_extensions(place, NoSteps(place), stamp)
    assert "book, task did not compile" in capsys.readouterr().err
    bootstrap.write_json(place.stamp, stamp)
    assert bootstrap.stale_part(place, bootstrap.wanted(place)) == ""
    assert bootstrap.stale_part(place, bootstrap.wanted(place), retry=True) == "extensions"


# --- installs that cannot go through -----------------------------------------------------------------------


def test_without_ensurepip_it_names_the_debian_package(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(Trouble, match="sudo apt install python3-venv"):
        bootstrap.make_venv(place, NoSteps(place))


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("NewConnectionError: [Errno 111] Connection refused", "the package index cannot be reached"),
        ("Temporary failure in name resolution", "PIP_INDEX_URL"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("PermissionError: [Errno 13] Permission denied: 'x'", "no right to write here"),
        ("The virtual environment was not created because ensurepip is not available", "python3-venv"),
        ("something nobody thought of", "cpx-install.log"),
    ],
)
def test_a_failed_step_is_told_in_the_users_terms(place: Place, log: str, words: str) -> None:
    Path(place.log).write_text(f"\n=== an earlier step\nNo space left\n=== packages: pip install\n{log}\n")
    trouble = str(bootstrap.explained(place, NoSteps(place), "packages could not be installed"))
    assert words in trouble and "mend with: " in trouble
    assert "\n" not in trouble


def test_our_own_fault_is_one_line_too(bare_clone: Path) -> None:
    text = BOOTSTRAP.read_text()
    broken = text.replace("def start(", "def start(*_):\n    1 // 0\n\n\ndef unused(", 1)
    (bare_clone / "exchange/cli/bootstrap.py").write_text(broken)
    done = run([str(bare_clone / "cpx")], CPX_PYTHON=sys.executable)
    assert done.returncode != 0
    assert is_one_line_without_traceback(done.stderr) and "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_a_failed_install_exits_69_with_a_log(bare_clone: Path) -> None:
    (bare_clone / "pyproject.toml").write_text(
        '[project]\ndependencies = ["cpx-no-such-thing @ file:///nowhere/x"]'
    )
    (bare_clone / "constraints.txt").write_text("")
    (bare_clone / "matching_core").mkdir()
    # --no-index: fails at once and asks no registry.
    done = run(
        [str(bare_clone / "cpx"), "demo"], CPX_PYTHON=sys.executable, PIP_NO_INDEX="1", PIP_FIND_LINKS=""
    )
    assert done.returncode == 69
    assert "Traceback" not in done.stderr
    assert "mend with: ./cpx demo" in done.stderr.splitlines()[-1]
    assert "nowhere" in (bare_clone / ".venv/cpx-install.log").read_text()


# --- for real, with packages ------------------------------------------------------------------------------


def real_clone(folder: Path) -> Path:
    clone = folder / "a real clone"
    (clone / "matching_core").mkdir(parents=True)
    for name in ("pyproject.toml", "setup.py", "constraints.txt", "cpx", "LICENSE"):
        shutil.copy2(ROOT / name, clone / name)
    (clone / "README.md").write_text("CPX\n")
    shutil.copytree(
        ROOT / "exchange/cli", clone / "exchange/cli", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy2(ROOT / "exchange/__init__.py", clone / "exchange/__init__.py")
    (clone / "matching_core/one.pyx").write_text("def answer():\n    return 42\n")
    (clone / "matching_core/__init__.py").write_text(
        "try:\n    from matching_core.one import answer\n    IMPLEMENTATION = 'compiled'\n"
        "except ImportError:\n    IMPLEMENTATION = 'reference'\n"
    )
    return clone


def engine(clone: Path, **environment: str) -> str:
    done = run([str(clone / "cpx"), "doctor", "--json"], **environment)
    if "package index cannot be reached" in done.stderr:
        pytest.skip("no package index from here")
    assert "Traceback" not in done.stderr, done.stderr
    checks = json.loads(done.stdout)["checks"]
    return next(check["detail"] for check in checks if check["name"] == "engine")


@pytest.mark.slow
def test_a_killed_install_a_missing_compiler_and_a_moved_clone_are_all_repaired(tmp_path: Path) -> None:
    clone = real_clone(tmp_path)
    killed = subprocess.Popen(
        [str(clone / "cpx"), "doctor"],
        env=os.environ | {"CPX_PYTHON": sys.executable},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stderr is not None
    for line in killed.stderr:
        if "virtual environment" in line:  # the step after it, the packages, has just begun
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (clone / ".venv/cpx-stamp.json").exists()

    assert engine(clone, CC="no-such-compiler").startswith("reference")
    assert engine(clone) == "compiled"
    (clone / "matching_core/one.pyx").write_text("def answer(:\n")
    assert engine(clone).startswith("reference")
    (clone / "matching_core/one.pyx").write_text("def answer():\n    return 43\n")
    assert engine(clone) == "compiled"

    moved = clone.rename(tmp_path / "moved away")
    assert engine(moved) == "compiled"
    assert str(moved) in (moved / ".venv/cpx-stamp.json").read_text()
