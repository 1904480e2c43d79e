"""`cpx test`: all tests on the compiled engine, then the engine's on its debug build and the reference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer

from exchange.cli import bootstrap

ROOT = Path(bootstrap.ROOT)
REPORTS = ROOT / "build" / "test-reports"
DEBUG_LIB = ROOT / "build" / "debug"
DEBUG_TMP = ROOT / "build" / "debug-tmp"
DEBUG_STAMP = ROOT / "build" / "debug.stamp"
CORE_TESTS = "tests/matching_core"
RULE_TESTS = (CORE_TESTS, "tests/domain/test_scenarios.py")  # every numbered rule, core and venue
# They break copies of the reference engine in processes of their own: the same in every run, so in the first alone.
CANARIES = f"--ignore={CORE_TESTS}/test_canaries.py"
NOT_SLOW = ("-m", "not soak and not slow")
NO_TESTS_COLLECTED = 5  # pytest's exit code
# The core comes in its debug build from here; the parts around it stay in place.
DEBUG_SOURCES = ("matching_core/*.pyx", *bootstrap.SHARED_SOURCES)


@dataclass(frozen=True)
class Outcome:
    """The counts of one run of pytest."""

    title: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: int = 0
    note: str = ""

    def line(self) -> str:
        if self.note:
            return f"{self.title:<18} {self.note}"
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{self.title:<18} {counts} in {self.seconds} s"


def pytest_environment(**changes: str) -> dict[str, str]:
    """For pytest: the present folder stays off the import path, so that the debug build can come first.

    Bytecode is kept even where the user's shell says otherwise: tests start hundreds of processes.
    """
    ours = ("PYTHONPATH", "CPX_ENGINE", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    return environment | {"PYTHONSAFEPATH": "1"} | changes


def implementation(environment: Mapping[str, str]) -> str:
    """What `import matching_core` gives in that environment; "" if it cannot be imported or tells nothing."""
    code = "import matching_core; print(matching_core.IMPLEMENTATION)"
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def read_counts(report: Path) -> tuple[int, int, int]:
    """(passed, failed, skipped) of a JUnit report; errors count as failed."""
    tests = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(tests - failed - skipped, 0), failed, skipped


def run_pytest(title: str, arguments: list[str], environment: Mapping[str, str]) -> Outcome:
    """One run; its output goes straight to the user."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{title.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    typer.echo(f"== {title}: {implementation(environment) or 'no engine yet'}")
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_family=xunit2"]
    code = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=False).returncode
    seconds = round(time.monotonic() - started)
    if code == NO_TESTS_COLLECTED:
        return Outcome(title, note="no tests collected")
    try:
        passed, failed, skipped = read_counts(report)
    except (OSError, ElementTree.ParseError):
        passed, failed, skipped = 0, 0, 0
    if code != 0 and failed == 0:
        failed = 1  # pytest itself broke: never let that read as green
    return Outcome(title, passed, failed, skipped, seconds)


def build_debug() -> str:
    """Builds the core with bounds checks and assertions into build/debug; returns "" or what went wrong."""
    place = bootstrap.Place()
    sources = place.find(*DEBUG_SOURCES)
    stamp = bootstrap.digest(sources) + bootstrap.python_id()
    if not (DEBUG_STAMP.exists() and DEBUG_STAMP.read_text() == stamp):
        DEBUG_STAMP.unlink(missing_ok=True)
        for folder in (DEBUG_LIB, DEBUG_TMP, ROOT / "build" / "cython-debug"):
            shutil.rmtree(folder, ignore_errors=True)
    for old in DEBUG_LIB.rglob("*.py"):
        old.unlink()  # copied again below; a module deleted from the sources must not live on here
    log_path = ROOT / "build" / "debug.log"
    log_path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(DEBUG_TMP)]
    command += ["--build-lib", str(DEBUG_LIB), "--parallel", str(os.cpu_count() or 1)]
    environment = pytest_environment(CPX_DEBUG="1")
    with log_path.open("wb") as log:
        built = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
    modules = {path.name.split(".")[0] for path in DEBUG_LIB.glob("matching_core/*.so")}
    missing = {Path(path).stem for path in place.find("matching_core/*.pyx")} - modules
    if built.returncode or missing:
        return "debug build failed, see build/debug.log"
    DEBUG_STAMP.write_text(stamp)
    return ""


def run_debug_engine(arguments: list[str]) -> Outcome:
    """On the debug build alone: what is tested on the reference engine as well is not tested there again."""
    title = "debug engine"
    if not bootstrap.Place().find("matching_core/*.pyx"):
        return Outcome(title, note="skipped: no compiled engine in this version yet")
    if bootstrap.missing_for_engine():
        return Outcome(title, note=f"skipped: no {' and no '.join(bootstrap.missing_for_engine())}")
    typer.echo("== building the debug engine")
    problem = build_debug()
    if problem:
        return Outcome(title, failed=1, note=problem)
    return run_pytest(title, arguments, pytest_environment(PYTHONPATH=str(DEBUG_LIB), CPX_ENGINE="compiled"))


def core_runs(arguments: list[str], with_debug: bool, with_reference: bool) -> list[Outcome]:
    if not (ROOT / CORE_TESTS).is_dir():
        return [Outcome("engine tests", note=f"skipped: {CORE_TESTS} does not exist yet")]
    outcomes = []
    if with_debug:
        outcomes.append(run_debug_engine(arguments))
    if with_reference:
        # Every slow test takes its engines by name, so the whole run has had them on the reference.
        short = [*arguments, *NOT_SLOW]
        outcomes.append(run_pytest("reference engine", short, pytest_environment(CPX_ENGINE="reference")))
    return outcomes


def compiled_engine_is_missing() -> bool:
    """Where it can be built (and always in CI) a silent fall back to the reference engine is a failure."""
    is_required = os.environ.get("CPX_REQUIRE_COMPILED", "") not in ("", "0")
    place = bootstrap.Place()
    names = [Path(path).stem for path in place.find("matching_core/*.pyx")]
    if not names or (bootstrap.missing_for_engine() and not is_required):
        return False
    if not all(bootstrap.built_in_place(place, name) for name in names):
        return True
    return implementation(pytest_environment()) in ("", "reference")


def workers(arguments: list[str]) -> list[str]:
    """Two a core for whole runs, since half of the tests wait for servers; one where the user chose (prints, --pdb)."""
    return [] if arguments else ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "worksteal"]


def sum_up(outcomes: list[Outcome]) -> int:
    """Prints the closing lines; returns the exit code."""
    typer.echo("")
    for outcome in outcomes:
        typer.echo(outcome.line())
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    skipped = sum(outcome.skipped for outcome in outcomes)
    typer.echo(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


command = typer.Typer(add_completion=False)


@command.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(
    ctx: typer.Context,
    quick: bool = typer.Option(False, "--quick", help="Leave out the slow tests and the other engines."),
    debug_engine: bool | None = typer.Option(
        None, "--debug-engine/--no-debug-engine", help="Also on the debug build.  [default: unless --quick]"
    ),
) -> None:
    """Run the tests. What is not listed here goes to pytest, e.g. `cpx test tests/house -k floors`.

    The full run is three: all tests, on both engines, then the rules' tests on the compiled engine's debug
    build (bounds checks, assertions) and the quick ones of them with the reference engine chosen from
    outside. Naming tests yourself runs only those.
    """
    arguments = list(ctx.args)
    is_whole = not quick and not arguments
    chosen = list(NOT_SLOW) if quick else []
    environment = pytest_environment(CPX_QUICK="1") if quick else pytest_environment()
    outcomes = [run_pytest("all", [*workers(arguments), *chosen, *arguments], environment)]
    if compiled_engine_is_missing():
        outcomes.append(Outcome("compiled engine", failed=1, note="not built: see .venv/cpx-install.log"))
    with_debug = is_whole if debug_engine is None else debug_engine
    if with_debug or is_whole:
        core_arguments = [*workers(arguments), *chosen, *(arguments or (*RULE_TESTS, CANARIES))]
        outcomes += core_runs(core_arguments, with_debug, with_reference=is_whole)
    raise typer.Exit(sum_up(outcomes))
