"""Who may import whom, and what the pure floors may not know: docs/architecture.md as a test.

Imports inside functions and under TYPE_CHECKING count like all others: a floor that needs a look upstairs
even for a type has its type on the wrong floor.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("matching_core", "exchange", "clients")

NOUNS = ("matching_core.enums", "matching_core.limits", "matching_core.records")
FLOOR_1 = (
    "exchange.domain", "exchange.protocol", "exchange.ports", "exchange.ports_history", "exchange.ports_delivery",
    "exchange.ports_access", "exchange.ports_green", "exchange.ports_prices", "exchange.ports_statements",
    "exchange.config",
)  # fmt: skip
ALL_OF_OURS = OURS
ANY = ("*",)


@dataclass(frozen=True)
class Room:
    """A package or module, what it may import of ours (itself is always allowed) and of others."""

    name: str
    ours: tuple[str, ...]
    others: tuple[str, ...] = ()
    not_ours: tuple[str, ...] = ()


# The longest matching name decides. A new room needs a line here: that is the point of the list.
ROOMS = (
    Room("matching_core", (), ("numpy",)),
    Room("matching_core.reference", ("matching_core",), ("sortedcontainers",)),
    Room("exchange", ()),
    # domain.venue makes one function of the core and the rules around it, so domain sees the whole core.
    Room("exchange.domain", ("matching_core",)),
    Room("exchange.protocol", (*NOUNS, "exchange.domain"), ("msgspec",)),
    Room("exchange.ports", ("matching_core", *FLOOR_1)),
    Room("exchange.ports_history", ("matching_core", *FLOOR_1)),
    Room("exchange.ports_delivery", FLOOR_1),
    Room("exchange.ports_access", FLOOR_1),
    Room("exchange.ports_green", FLOOR_1),
    Room("exchange.ports_prices", FLOOR_1),
    Room("exchange.ports_statements", FLOOR_1),
    Room("exchange.config", ("matching_core", *FLOOR_1), ("pydantic", "pydantic_settings")),
    Room("exchange.data", ()),
    Room("exchange.web", ()),
    Room("exchange.engine", ("matching_core", *FLOOR_1)),
    Room("exchange.projections", ("matching_core", *FLOOR_1), ("sortedcontainers",)),
    Room(
        "exchange.adapters",
        ("matching_core", *FLOOR_1, "exchange.engine", "exchange.projections"),
        (
            "sqlmodel", "sqlalchemy", "highspy", "nats", "pvlib", "pandas", "numpy", "msgspec", "psycopg", "pyarrow", "typst",
            "xlsxwriter",
        ),
    ),
    Room(
        "exchange.gateways",
        (
            "exchange.protocol", "exchange.projections", "exchange.ports", "exchange.ports_history", "exchange.ports_delivery",
            "exchange.ports_prices", "exchange.ports_access", "exchange.ports_statements",
            "exchange.engine.handle", "exchange.engine.queries", "exchange.engine.market_data",
        ),
        ("msgspec", "cryptography"),
    ),
    Room(
        "exchange.gateways.rest",
        (
            "exchange.protocol", "exchange.ports_access", "exchange.gateways.access", "exchange.gateways.limits",
            "exchange.gateways.batches",
            "exchange.engine.handle", "exchange.engine.writer_stats",
        ),
        ("fastapi", "starlette", "msgspec", "prometheus_client", "uvicorn"),
    ),
    Room(
        "exchange.gateways.stream",
        (
            "exchange.protocol", "exchange.ports_access", "exchange.gateways.access", "exchange.gateways.dispatch",
            "exchange.gateways.batches", "exchange.gateways.limits", "exchange.engine.market_data", "exchange.engine.feeds",
            "exchange.engine.feed_source",
        ),
        ("msgspec", "uvicorn", "websockets"),
    ),
    Room(
        "exchange.workers",
        (
            "exchange.protocol", "exchange.ports_access", "exchange.gateways", "exchange.engine.feeds",
            "exchange.engine.feed_source", "exchange.engine.market_data",
        ),
        ("msgspec", "uvicorn", "uvloop"),
    ),
    Room(
        "exchange.testing",
        ("matching_core", *FLOOR_1, "exchange.engine", "exchange.projections", "exchange.adapters"),
        # Peers and generators of the benchmarks: a bare server of the same make, a bare client.
        ("uvicorn", "uvloop", "fastapi", "pydantic", "websockets"),
    ),
    # What puts the parts together; replay drives app, and only cli (and app) know it.
    Room("exchange.replay", ALL_OF_OURS, ANY, not_ours=("exchange.cli",)),
    Room("exchange.server", ALL_OF_OURS, ANY, not_ours=("exchange.cli", "exchange.replay")),
    Room("exchange.app", ALL_OF_OURS, ANY, not_ours=("exchange.cli",)),
    Room("exchange.cli", ALL_OF_OURS, ANY),
    Room(
        "clients", ("exchange.protocol",), ("websockets", "httpx2", "msgspec", "cryptography", "polars", "pandas", "matplotlib")
    ),
)

PURE = ("matching_core", "exchange.domain")
IMPURE_MODULES = frozenset(
    "time random logging asyncio os io socket threading uuid secrets pathlib subprocess multiprocessing "
    "concurrent tempfile shutil glob signal select selectors ssl http urllib sqlite3 locale warnings".split()
)
# The package's front door chooses the implementation by an environment variable; nothing behind it may.
IMPURE_ALLOWED = {"matching_core": frozenset({"os"})}
CLOCK_CALLS = frozenset({"now", "utcnow", "today"})
IMPURE_CALLS = frozenset({"open", "print", "input", "float", "hash", "id", "eval", "exec"})
DYNAMIC_IMPORTS = frozenset({"import_module", "__import__"})
# These may load by name: the command line does it so that --help stays fast.
MAY_LOAD_BY_NAME = ("exchange.cli",)


# --- reading sources ---------------------------------------------------------------------------------------


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path, module: str) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def sources(*suffixes: str) -> list[Path]:
    found = [path for top in OURS for suffix in suffixes for path in (ROOT / top).rglob(f"*{suffix}")]
    return sorted(path for path in found if "node_modules" not in path.parts)


def is_within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def room_of(module: str) -> Room | None:
    fitting = [room for room in ROOMS if is_within(module, (room.name,))]
    best = max(fitting, key=lambda room: len(room.name), default=None)
    # `exchange` itself is a room, but no shelter for rooms that nobody has put on the list.
    return None if best and best.name == "exchange" and module != "exchange" else best


def absolute(package: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, module, names) of every import statement, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, absolute(package, node), tuple(alias.name for alias in node.names)


CYTHON_IMPORT = re.compile(
    r"^\s*(?:from\s+(?P<base>[.\w]+)\s+c?import\s+\(?(?P<names>[\w\s,]*)|c?import\s+(?P<mods>[\w., ]+))", re.M
)


def cython_imported(text: str, package: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The same for .pyx and .pxd, where the compiler's own `cython`, `libc` and `cpython` do not count."""
    for match in CYTHON_IMPORT.finditer(without_words(text)):
        line = text.count("\n", 0, match.start()) + 1
        if match["base"] is not None:
            level = len(match["base"]) - len(match["base"].lstrip("."))
            node = ast.ImportFrom(module=match["base"].lstrip(".") or None, names=[], level=level)
            names = tuple(part.split()[0] for part in match["names"].split(",") if part.strip())
            found = [(absolute(package, node), names)]
        else:
            found = [(part.split()[0], ()) for part in match["mods"].split(",") if part.strip()]
        for module, names in found:
            if module.partition(".")[0] not in ("cython", "libc", "cpython", "posix"):
                yield line, module, names


STRINGS_AND_COMMENTS = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\#[^\n]*',
    re.S,
)


def without_words(text: str) -> str:
    """Source with strings and comments emptied, lines kept."""
    return STRINGS_AND_COMMENTS.sub(lambda match: "''" + "\n" * match[0].count("\n"), text)


# --- the checkers: each returns complaints -----------------------------------------------------------------


def targets(module: str, names: tuple[str, ...], path_exists: bool = True) -> list[str]:
    """`from exchange import engine` means exchange.engine where that is a module of ours."""
    if path_exists and module.partition(".")[0] in OURS and names:
        base = ROOT.joinpath(*module.split("."))
        return [
            f"{module}.{name}"
            if (base / name).is_dir() or any((base / f"{name}{end}").exists() for end in (".py", ".pyx"))
            else module
            for name in names
        ]
    return [module]


def complain_of_import(room: Room, target: str) -> str:
    """ "" if the room may import the target."""
    top = target.partition(".")[0]
    if top in OURS:
        if is_within(target, (room.name,)) and room.name != "exchange":
            return ""
        if room.name == "matching_core.reference" and target == "matching_core":
            return "imports the package's front door, which imports it"
        if is_within(target, room.not_ours) or not is_within(target, room.ours):
            return f"may not import {target}"
        return ""
    if top in sys.stdlib_module_names or room.others == ANY or top in room.others:
        return ""
    return f"may not depend on {top}"


def floor_complaints(path: Path, text: str, root: Path = ROOT) -> list[str]:
    module = module_name(path, root)
    room = room_of(module)
    if room is None:
        return [f"{module}: no room of that name; add it to ROOMS in this test and to docs/architecture.md"]
    package = package_of(path, module)
    if path.suffix == ".py":
        tree = ast.parse(text)
        found, complaints = list(imported(tree, package)), loads_by_name(module, tree)
    else:
        found, complaints = list(cython_imported(text, package)), []
    for line, source, names in found:
        for target in targets(source, names):
            complaint = complain_of_import(room, target)
            if complaint:
                complaints.append(f"{module}:{line}: {complaint}")
    return complaints


def loads_by_name(module: str, tree: ast.AST) -> list[str]:
    if is_within(module, MAY_LOAD_BY_NAME):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        f"{module}:{call.lineno}: loads a module by name, past this test"
        for call in calls
        if called_name(call) in DYNAMIC_IMPORTS
    ]


def called_name(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def purity_complaints(path: Path, text: str, root: Path = ROOT) -> list[str]:
    module = module_name(path, root)
    if path.suffix != ".py":
        return cython_purity_complaints(module, package_of(path, module), text)
    tree = ast.parse(text)
    complaints = impure_imports(module, imported(tree, package_of(path, module)))
    for node in ast.walk(tree):
        what = impurity(node)
        if what:
            complaints.append(f"{module}:{node.lineno}: {what}")  # type: ignore[attr-defined]
    return complaints


def impure_imports(module: str, found: Iterator[tuple[int, str, tuple[str, ...]]]) -> list[str]:
    allowed = IMPURE_ALLOWED.get(module, frozenset())
    return [
        f"{module}:{line}: imports {source}"
        for line, source, _names in found
        if source.partition(".")[0] in IMPURE_MODULES - allowed
    ]


def impurity(node: ast.AST) -> str:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div):
        return "true division: use a named rounding"
    if isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
        return f"float literal {node.value}"
    if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
        return "async"
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            return f"calls {node.func.id}()"
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
            return f"reads the clock by .{node.func.attr}()"
    return ""


CYTHON_IMPURITIES = {
    "true division": re.compile(r"(?<!/)/(?!/)"),
    "float literal": re.compile(r"(?<![\w.])(?:\d+\.\d*|\.\d+|\d+[eE][-+]?\d+)(?![\w])"),
    "float type": re.compile(r"\b(?:float|double)\b"),
    "calls hash() or print()": re.compile(r"(?<![\w.])(?:hash|print)\s*\("),
}


def cython_purity_complaints(module: str, package: str, text: str) -> list[str]:
    complaints = impure_imports(module, cython_imported(text, package))
    for number, line in enumerate(without_words(text).splitlines(), 1):
        complaints += [
            f"{module}:{number}: {what}" for what, sign in CYTHON_IMPURITIES.items() if sign.search(line)
        ]
        if re.search(r"\blibc\.(?:time|stdio)\b|\bposix\.", line):
            complaints.append(f"{module}:{number}: clock or I/O from C")
    return complaints


# --- the tests -------------------------------------------------------------------------------------------


def test_every_import_goes_down_the_floors() -> None:
    complaints = [
        complaint
        for path in sources(".py", ".pyx", ".pxd")
        for complaint in floor_complaints(path, path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)


def test_the_pure_floors_know_no_clock_no_io_no_float_no_chance() -> None:
    complaints = [
        complaint
        for path in sources(".py", ".pyx", ".pxd")
        if is_within(module_name(path), PURE)
        for complaint in purity_complaints(path, path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)


def test_only_the_command_line_and_the_app_know_replay() -> None:
    knowing = {room.name for room in ROOMS if not complain_of_import(room, "exchange.replay.run")}
    assert knowing == {"exchange.replay", "exchange.app", "exchange.cli"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("matching_core/book.py", "import exchange.domain"),
        ("matching_core/book.py", "import sortedcontainers"),
        ("matching_core/reference/book.py", "from ... import exchange\nfrom matching_core import Engine"),
        ("exchange/domain/task.py", "def f():\n    from exchange.engine import sequencer"),
        ("exchange/domain/task.py", "from ..adapters import tables"),
        ("exchange/domain/task.py", "import numpy"),
        ("exchange/protocol/orders.py", "from matching_core.engine import Engine"),
        ("exchange/engine/handle.py", "from exchange.projections import depth"),
        ("exchange/engine/handle.py", "from exchange import projections_no, cli"),
        ("exchange/gateways/feed.py", "from exchange.engine.journal import Journal"),
        ("exchange/gateways/feed.py", "import pydantic"),
        ("exchange/testing/fakes.py", "from exchange.gateways import rest"),
        ("exchange/adapters/tables.py", "from exchange.replay import run"),
        ("exchange/adapters/tables.py", "import importlib\nimportlib.import_module('exchange.cli')"),
        ("exchange/replay/run.py", "from exchange.cli.main import app"),
        ("exchange/attic/old.py", "x = 1"),
        ("clients/trading.py", "from exchange.domain import units"),
        ("clients/trading.py", "import pydantic"),
        ("matching_core/book.pyx", "from exchange.domain.units cimport div"),
        ("matching_core/book.pyx", "import sortedcontainers"),
    ],
)
def test_the_floor_checker_sees(file: str, text: str) -> None:
    assert floor_complaints(ROOT / file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "matching_core/reference/book.py",
            "from sortedcontainers import SortedDict\nfrom ..enums import Side",
        ),
        ("matching_core/records.py", "try:\n    import numpy\nexcept ImportError:\n    numpy = None"),
        ("exchange/domain/venue.py", "from matching_core import Engine\nfrom .units import div_floor"),
        ("exchange/engine/journal.py", "import os\nfrom exchange.domain.units import div_floor"),
        ("exchange/gateways/rest/app.py", "import fastapi\nfrom exchange.engine.handle import Handle"),
        ("exchange/replay/run.py", "from exchange.adapters import rows\nimport rich"),
        ("clients/trading.py", "import httpx2\nfrom exchange.protocol.orders import NewOrder"),
        (
            "matching_core/book.pyx",
            "from libc.stdint cimport int64_t\nfrom .types cimport Order\ncimport cython",
        ),
    ],
)
def test_the_floor_checker_lets_pass(file: str, text: str) -> None:
    assert floor_complaints(ROOT / file, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from os import path",
        "def f():\n    import random",
        "from datetime import datetime\nx = datetime.now()",
        "x = 3 / 2",
        "x = 3\nx /= 2",
        "x = 0.5",
        "x = 1e6",
        "x = float('1')",
        "x = hash('a')",
        "x = id(object())",
        "print('x')",
        "async def f(): ...",
    ],
)
def test_the_purity_checker_sees(text: str) -> None:
    assert purity_complaints(ROOT / "exchange/domain/fees.py", text)


@pytest.mark.parametrize(
    "text",
    [
        "cdef double x",
        "x = a / b",
        "x = 0.5",
        "cdef int64_t f(): return 1e6",
        "h = hash(x)",
        "import time",
        "from libc.time cimport time",
        "from posix.unistd cimport fsync",
    ],
)
def test_the_purity_checker_sees_in_cython(text: str) -> None:
    assert purity_complaints(ROOT / "matching_core/book.pyx", text)


def test_the_purity_checker_lets_integers_pass() -> None:
    python = '"""a / b at 0.5"""\nfrom datetime import datetime, UTC\nx = 7 // 2 % 3  # 1.5\ns = "1.5 / 2"\n'
    cython = "# a / b\ncdef int64_t x = a // b  # 0.5\ns = 'time / 1.5'\nx = state_hash(y)\nfor i in range(3): pass\n"
    assert purity_complaints(ROOT / "exchange/domain/fees.py", python) == []
    assert purity_complaints(ROOT / "matching_core/book.pyx", cython) == []
    assert purity_complaints(ROOT / "matching_core/__init__.py", "import os") == []
