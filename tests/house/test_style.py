"""House style as a test: sizes, words, errors, and nothing in the tree that ties it to one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("matching_core", "exchange", "clients")
MAX_LINES = {".py": 500, ".pyi": 500, ".pyx": 700, ".pxd": 700}
MAY_PRINT = "exchange/cli/"
TEXT_SUFFIXES = frozenset(
    ".py .pyi .pyx .pxd .h .c .md .txt .toml .cfg .ini .json .csv .yml .yaml .sh .html .css .js .ts .tsx".split()
)
SKIPPED_FOLDERS = frozenset(
    ".git .venv build dist node_modules __pycache__ .pytest_cache .hypothesis .mypy_cache .ruff_cache".split()
)
# In pieces, so that this file does not complain of itself.
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:" + "|".join(("home", "work", "root")) + r")/[\w.]")
ADDRESS = re.compile(
    r"https?:|\bwww\.|\.(?:org|com|net|cn|io)\b|--(?:extra-)?index-url|--find-links|--hash", re.I
)


def sources(*suffixes: str) -> list[Path]:
    found = [path for top in OURS for suffix in suffixes for path in (ROOT / top).rglob(f"*{suffix}")]
    return sorted(path for path in found if not SKIPPED_FOLDERS & set(path.parts))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tracked_text_files() -> list[Path]:
    """What git tracks or would track; without git (an unpacked archive) every text file of the tree."""
    try:
        asked = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        listed = asked.stdout.decode().split("\0") if asked.returncode == 0 else []
    except OSError:
        listed = []
    paths = [ROOT / name for name in listed if name] or list(ROOT.rglob("*"))
    return [
        path
        for path in paths
        if path.is_file()
        and not path.is_symlink()
        and not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts)
        and (path.suffix in TEXT_SUFFIXES or not path.suffix)
    ]


# --- the checkers: each returns complaints -----------------------------------------------------------------


def size_complaints(suffix: str, text: str) -> list[str]:
    lines = text.count("\n")
    return [f"{lines} lines, at most {MAX_LINES[suffix]}"] if lines > MAX_LINES[suffix] else []


def bare_except_complaints(text: str) -> list[str]:
    handlers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    return [f"{node.lineno}: bare except" for node in handlers if node.type is None] + [
        f"{node.lineno}: swallows every error"
        for node in handlers
        if isinstance(node.type, ast.Name)
        and node.type.id in ("Exception", "BaseException")
        and all(isinstance(step, ast.Pass) for step in node.body)
    ]


def print_complaints(text: str) -> list[str]:
    return [
        f"{node.lineno}: print()"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def docstring_complaints(path: Path, text: str) -> list[str]:
    is_private = path.stem.startswith("_") and path.stem not in ("__init__", "__main__")
    if is_private or not text.strip():
        return []
    return [] if ast.get_docstring(ast.parse(text)) else ["public module without a docstring"]


def machine_path_complaints(text: str) -> list[str]:
    return [
        f"{number}: machine path {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for match in MACHINE_PATH.finditer(line)
    ]


def pin_complaints(text: str) -> list[str]:
    complaints = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if ADDRESS.search(line):
            complaints.append(f"{number}: address or hash")
        elif words and not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_]+", words):
            complaints.append(f"{number}: not a pin: {words}")
    return complaints


def gather(paths: list[Path], check) -> str:
    return "\n".join(
        f"{shown(path)}: {complaint}" for path in paths for complaint in check(path, path.read_text("utf-8"))
    )


# --- the tests -------------------------------------------------------------------------------------------


def test_a_module_stays_readable_in_ten_minutes() -> None:
    assert not gather(sources(*MAX_LINES), lambda path, text: size_complaints(path.suffix, text))


def test_no_error_is_swallowed_unseen() -> None:
    assert not gather(sources(".py"), lambda _path, text: bare_except_complaints(text))


def test_only_the_command_line_prints() -> None:
    paths = [path for path in sources(".py") if not shown(path).startswith(MAY_PRINT)]
    assert not gather(paths, lambda _path, text: print_complaints(text))


def test_every_public_module_says_what_it_is() -> None:
    assert not gather(sources(".py"), docstring_complaints)


def test_no_file_names_a_folder_of_somebody_s_machine() -> None:
    assert not gather(tracked_text_files(), lambda _path, text: machine_path_complaints(text))


def test_constraints_are_pins_and_nothing_else() -> None:
    assert pin_complaints((ROOT / "constraints.txt").read_text("utf-8")) == []


def test_tests_are_no_packages() -> None:
    """With an __init__.py, tests/matching_core would be imported in place of the package of that name."""
    assert [shown(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def test_every_package_of_ours_is_one_and_gets_installed() -> None:
    """A folder of modules without __init__.py works from the clone and is missing from the wheel."""
    folders = {path.parent for path in sources(".py", ".pyx")}
    assert [shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_each_dependency_has_earned_its_line() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(n for extra in project["optional-dependencies"].values() for n in extra),
    ]
    names = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in wanted}
    reasons = (ROOT / "docs/decisions/dependencies.md").read_text("utf-8").lower()
    pins = (ROOT / "constraints.txt").read_text("utf-8").lower()
    assert [name for name in sorted(names) if f"`{name}`" not in reasons] == []
    assert [name for name in sorted(names) if f"\n{name.replace('_', '-')}==" not in "\n" + pins] == []


@pytest.mark.parametrize(
    "bad", ["try:\n    x\nexcept:\n    raise", "try:\n    x\nexcept Exception:\n    pass"]
)
def test_the_except_checker_sees(bad: str) -> None:
    assert bare_except_complaints(bad)
    assert not bare_except_complaints("try:\n    x\nexcept ValueError:\n    raise")


def test_the_other_checkers_see() -> None:
    assert size_complaints(".py", "x\n" * 501) and not size_complaints(".pyx", "x\n" * 700)
    assert print_complaints("def f():\n    print(1)") and not print_complaints("'print(1)'")
    assert docstring_complaints(Path("a.py"), "x = 1") and not docstring_complaints(Path("_a.py"), "x = 1")
    for folder in ("home", "work", "root"):
        assert machine_path_complaints(f"see /{folder}/me/file")
    assert not machine_path_complaints("GET /v1/work/items, ~/work/x, docs/home/page, exchange/root/a")
    assert (
        pin_complaints("a==1 --hash=sha256:00") and pin_complaints("a>=1") and pin_complaints("--index-url x")
    )
    assert pin_complaints("a @ https://b") and not pin_complaints("# made by pip\na-b==1.2.post1\n")
