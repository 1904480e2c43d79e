"""`cpx doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from exchange import __version__
from exchange.cli import bootstrap

JSON_SCHEMA = 1  # raised when a key of --json changes its meaning
MIB = 1024 * 1024
MIN_FREE_MIB = 500
FSYNC_APPENDS = 50
FSYNC_BLOCK = bytes(4096)
SLOW_FSYNC_P99_US = 50_000
EXTRAS = {"dev": ("pytest", "pytest-xdist", "hypothesis", "numpy")}


@dataclass(frozen=True)
class Check:
    """One line of the table. state: "ok", "warn" (works, but less well) or "failed" (not usable)."""

    name: str
    state: str
    detail: str
    mend: str = ""


def data_dir() -> Path:
    """Where a venue keeps its journal unless told --data: CPX_DATA, else the user's data folder."""
    chosen = os.environ.get("CPX_DATA")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(base) / "cpx"


def nearest_folder(path: Path) -> Path:
    """The folder itself or the nearest one above it that exists, so that looking makes nothing."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def check_python() -> Check:
    detail = f"{platform.python_version()} ({sys.implementation.name}, {platform.machine()})"
    state = "ok" if sys.version_info >= (3, 11) else "failed"
    return Check("python", state, detail, "" if state == "ok" else "sudo apt install python3")


def check_venv() -> Check:
    place = bootstrap.Place()
    if sys.prefix == sys.base_prefix:
        return Check("virtual environment", "warn", "not in one", "start by ./cpx")
    if os.path.realpath(sys.prefix) != os.path.realpath(place.venv):
        return Check("virtual environment", "ok", f"{sys.prefix} (your own)")
    return Check("virtual environment", "ok", ".venv beside ./cpx")


def check_packages() -> Check:
    missing = []
    for requirement in importlib.metadata.requires("cpx-exchange") or []:
        name = requirement.split(";")[0].strip()
        if "extra ==" not in requirement and not is_installed(name):
            missing.append(name)
    if missing:
        return Check("packages", "failed", f"missing: {', '.join(missing)}", "rm -r .venv && ./cpx doctor")
    return Check("packages", "ok", f"cpx-exchange {__version__} and what it needs")


def is_installed(requirement: str) -> bool:
    name = requirement
    for mark in "<>=!~[ ":
        name = name.split(mark)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_compiler() -> Check:
    command = bootstrap.compiler_command()
    found = shutil.which(command)
    if found is None:
        return Check("C compiler", "warn", f"{command} not found", "sudo apt install gcc")
    return Check("C compiler", "ok", found)


def check_headers() -> Check:
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not os.path.exists(header):
        return Check("Python headers", "warn", f"{header} not found", "sudo apt install python3-dev")
    return Check("Python headers", "ok", header)


def check_engine() -> Check:
    try:
        import matching_core
    except ImportError as error:
        return Check("engine", "failed", f"cannot be imported: {error}", "rm -r .venv && ./cpx doctor")
    implementation = getattr(matching_core, "IMPLEMENTATION", None)
    if implementation is None:
        return Check(
            "engine", "failed", "matching_core has no IMPLEMENTATION", "git status  # is the clone whole?"
        )
    if "reference" in str(implementation):
        detail = f"{implementation}: plain Python, about {bootstrap.REFERENCE_SLOWDOWN} times slower on the demo"
        chosen = os.environ.get("CPX_ENGINE") == "reference"
        return Check("engine", "warn", detail, "unset CPX_ENGINE" if chosen else bootstrap.MEND_ENGINE)
    return Check("engine", "ok", str(implementation))


def check_data_dir() -> Check:
    path = data_dir()
    folder = nearest_folder(path)
    if os.access(folder, os.W_OK | os.X_OK):
        return Check("data folder", "ok", str(path))
    return Check("data folder", "failed", f"{folder} is not writable", "CPX_DATA=/your/folder ./cpx ...")


def check_disk() -> Check:
    free_mib = shutil.disk_usage(nearest_folder(data_dir())).free // MIB
    if free_mib < MIN_FREE_MIB:
        return Check("free disk", "warn", f"{free_mib} MiB", "CPX_DATA=/a/larger/disk ./cpx ...")
    return Check("free disk", "ok", f"{free_mib} MiB")


def fsync_latencies_us(folder: Path) -> list[int]:
    """Sorted times of single 4 KiB appends, each made durable, as the journal does it."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".cpx-doctor-") as file:
        for _ in range(FSYNC_APPENDS):
            started_ns = time.perf_counter_ns()
            file.write(FSYNC_BLOCK)
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter_ns() - started_ns) // 1000)
    return sorted(taken)


def check_fsync() -> Check:
    try:
        taken_us = fsync_latencies_us(nearest_folder(data_dir()))
    except OSError as error:
        return Check("fsync", "failed", f"{error.strerror}", "CPX_DATA=/your/folder ./cpx ...")
    p50, p99 = taken_us[len(taken_us) // 2], taken_us[-1 - len(taken_us) // 100]
    detail = f"p50 {p50} us, p99 {p99} us ({FSYNC_APPENDS} appends of 4 KiB)"
    if p99 > SLOW_FSYNC_P99_US:
        return Check("fsync", "warn", detail, "a local disk; every answer waits for one fsync")
    return Check("fsync", "ok", detail)


def check_extras() -> Iterator[Check]:
    for extra, names in EXTRAS.items():
        missing = [name for name in names if not is_installed(name)]
        if missing:
            mend = "./cpx test" if extra == "dev" else f"pip install 'cpx-exchange[{extra}]'"
            yield Check(f"extra [{extra}]", "ok", "not installed (only needed for tests)", mend)
        else:
            yield Check(f"extra [{extra}]", "ok", "active")


def all_checks() -> list[Check]:
    singles: list[Callable[[], Check]] = [
        check_python, check_venv, check_packages, check_compiler, check_headers, check_engine,
        check_data_dir, check_disk, check_fsync,
    ]  # fmt: skip
    return [*(check() for check in singles), *check_extras()]


def show_table(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table

    colour = {"ok": "green", "warn": "yellow", "failed": "red"}
    table = Table(title=f"CPX {__version__}", title_justify="left", expand=False)
    for heading in ("what", "state", "found", "mend"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        state = f"[{colour[check.state]}]{check.state}[/]"
        table.add_row(escaped(check.name), state, escaped(check.detail), escaped(check.mend))
    Console(highlight=False).print(table)


def escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


command = typer.Typer(add_completion=False)


@command.command()
def doctor(
    as_json: bool = typer.Option(False, "--json", "-j", help="One JSON object instead of the table."),
) -> None:
    """Show what this machine has, what is missing, and the command that mends it.

    Exit code 0 if CPX is usable here (a slower engine is usable), 1 if not.
    """
    checks = all_checks()
    is_usable = all(check.state != "failed" for check in checks)
    if as_json:
        answer = {"schema": JSON_SCHEMA, "usable": is_usable, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(answer, indent=2))
    else:
        show_table(checks)
        typer.echo("usable" if is_usable else "not usable: see the lines in state 'failed'")
    raise typer.Exit(0 if is_usable else 1)
