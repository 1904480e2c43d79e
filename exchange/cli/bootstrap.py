"""First start: makes .venv beside ./cpx, installs, builds the extension, then hands over to the real CLI.

Rules this file keeps: it runs on the bare Python that the launcher found (standard library only, nothing
else of ours); later starts only compare stamps and cost a few milliseconds; the stamp goes away before
anything in .venv changes and is written last, so an install that was killed is made anew by the next
start; the user sees one line per step, pip's own words are in .venv/cpx-install.log; a failure is one
line with the command that mends it and exit code 69 (EX_UNAVAILABLE), never a traceback.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sys
import time
from types import TracebackType

EXIT_UNAVAILABLE = 69
ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD_TOOLS = ("setuptools", "cython", "wheel")
# These commands need the extra `dev` (pytest, numpy, matplotlib); a plain user never waits for it.
DEV_COMMANDS = frozenset({"test", "soak", "bench"})
# A whole demo day, reference engine over compiled engine, rounded: most of it is neither engine's.
REFERENCE_SLOWDOWN = 3
# A change in one of these makes every extension stale.
SHARED_SOURCES = ("matching_core/*.px[di]", "matching_core/*.h", "matching_core/include/*.h", "setup.py")
MEND_ENGINE = "sudo apt install gcc python3-dev && ./cpx doctor"


class Trouble(Exception):
    """An expected failure: what is missing, and the command that mends it."""

    def __init__(self, missing: str, mend: str) -> None:
        super().__init__(f"{missing}; mend with: {mend}")


class Place:
    """The files of one clone that this launcher reads and writes."""

    def __init__(self, root: str = ROOT) -> None:
        self.root = root
        self.venv = os.path.join(root, ".venv")
        self.python = os.path.join(self.venv, "bin", "python")
        self.log = os.path.join(self.venv, "cpx-install.log")
        self.stamp = os.path.join(self.venv, "cpx-stamp.json")
        self.dev_stamp = os.path.join(self.venv, "cpx-stamp-dev.json")
        self.peers_stamp = os.path.join(self.venv, "cpx-stamp-bench.json")
        self.dev_unfinished = os.path.join(self.venv, "cpx-dev-unfinished")
        self.lock = os.path.join(root, ".venv.lock")

    def find(self, *patterns: str) -> list[str]:
        base = glob.escape(self.root)
        return sorted(path for pattern in patterns for path in glob.glob(os.path.join(base, pattern)))


# --- stamps: what should be installed, what is ------------------------------------------------------------


def digest(paths: list[str]) -> str:
    """Hash of names and contents; a missing file counts as empty."""
    state = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = b""
        state.update(f"{os.path.basename(path)}:{len(content)}\n".encode())
        state.update(content)
    return state.hexdigest()[:32]


def python_id() -> str:
    """The Python as far as installed packages depend on it: implementation, minor version, machine."""
    return f"{sys.implementation.cache_tag}-{os.uname().machine}"


def wanted(place: Place) -> dict[str, object]:
    """The stamp that a finished install of the present sources would have."""
    shared = place.find(*SHARED_SOURCES)
    return {
        "root": place.root,
        "python": python_id(),
        "project": digest([os.path.join(place.root, name) for name in ("pyproject.toml", "constraints.txt")]),
        "extensions": {
            os.path.basename(path)[: -len(".pyx")]: digest([path, *shared])
            for path in place.find("matching_core/*.pyx")
        },
    }


def read_json(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: str, value: dict[str, object]) -> None:
    """Atomically: a reader sees the old stamp or the new one, never half of it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(path + ".new", path)


def stale_part(place: Place, want: dict[str, object], retry: bool = False) -> str:
    """What has to be made: "venv", "project", "extensions" or "" for nothing. retry: also what failed."""
    have = read_json(place.stamp)
    if not os.path.exists(place.python) or any(have.get(key) != want[key] for key in ("root", "python")):
        return "venv"
    if have.get("project") != want["project"]:
        return "project"
    if have.get("extensions") != want["extensions"] or engine_can_be_mended(have, retry):
        return "extensions"
    return ""


def needs_dev(arguments: list[str]) -> bool:
    """Whether the command needs the packages for tests; nobody who only asks for help waits for them."""
    asks_only = len(arguments) == 1 and arguments[0] == "bench"
    return arguments[:1] != [] and arguments[0] in DEV_COMMANDS and not asks_only and not {"-h", "--help"} & {*arguments}


def dev_is_stale(place: Place, want: dict[str, object]) -> bool:
    return read_json(place.dev_stamp).get("project") != want["project"]


def needs_peers(arguments: list[str]) -> bool:
    """Whether the command compares the engine with others, which nothing else installs."""
    return arguments[:2] == ["bench", "core"] and needs_dev(arguments)


def peers_are_stale(place: Place, want: dict[str, object]) -> bool:
    return read_json(place.peers_stamp).get("project") != want["project"]


# --- what the compiler needs ------------------------------------------------------------------------------


def compiler_command() -> str:
    import shlex
    import sysconfig

    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    return words[0] if words else "cc"


def missing_for_engine() -> list[str]:
    """Of C compiler and Python headers, those that are not on this machine."""
    import shutil
    import sysconfig

    missing = []
    if shutil.which(compiler_command()) is None:
        missing.append("C compiler (gcc)")
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        missing.append("Python headers (python3-dev)")
    return missing


def engine_can_be_mended(have: dict[str, object], retry: bool) -> bool:
    """True where the last build lacked a tool that is here now, or failed and is asked for again."""
    if have.get("missing"):
        return not missing_for_engine()
    return retry and bool(have.get("failed"))


# --- words to the user, all on stderr ---------------------------------------------------------------------


def say(text: str) -> None:
    sys.stderr.write(f"cpx: {text}\n")
    sys.stderr.flush()


def warn_reference_engine(reason: str, mend: str = MEND_ENGINE) -> None:
    say(
        "warning: reference engine (plain Python) in use, "
        f"about {REFERENCE_SLOWDOWN} times slower on the demo: {reason}; mend with: {mend}"
    )


class Steps:
    """Runs the commands of an install: output to the log, one line per step, a spinner only on a terminal."""

    def __init__(self, place: Place, lock_fd: int) -> None:
        self.place = place
        self.lock_fd = lock_fd
        self.environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
        }
        self.environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USER": "0"}

    def run(self, title: str, command: list[str], **more_environment: str) -> bool:
        """True if the command ended well."""
        import subprocess

        started = time.monotonic()
        with open(self.place.log, "ab") as log:
            log.write(f"\n=== {title}: {' '.join(command)}\n".encode())
            log.flush()
            child = subprocess.Popen(
                command,
                cwd=self.place.root,
                env=self.environment | more_environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The child shares the lock: if this process is killed, the next start waits for the child.
                pass_fds=(self.lock_fd,),
            )
            try:
                self._wait(child, title, started)
            except KeyboardInterrupt:
                child.terminate()
                child.wait()
                raise
        verdict = "" if child.returncode == 0 else "  failed"
        say(f"{title:<46} {time.monotonic() - started:6.1f} s{verdict}")
        return child.returncode == 0

    def _wait(self, child, title: str, started: float) -> None:  # child: subprocess.Popen, imported late
        import subprocess

        spin = sys.stderr.isatty()
        turn = 0
        while True:
            try:
                child.wait(timeout=0.1 if spin else None)
                break
            except subprocess.TimeoutExpired:
                turn += 1
                sys.stderr.write(f"\rcpx: {title:<46} {time.monotonic() - started:6.1f} s {'|/-'[turn % 3]}")
                sys.stderr.flush()
        if spin:
            sys.stderr.write("\r\033[K")

    def pip(self, title: str, *arguments: str, **more_environment: str) -> bool:
        command = [self.place.python, "-I", "-m", "pip", *arguments]
        return self.run(title, command, **more_environment)

    def last_words(self) -> str:
        try:
            with open(self.place.log, "rb") as log:
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return text[text.rfind("\n=== ") :]


# --- the steps --------------------------------------------------------------------------------------------


def base_python() -> str:
    """The Python outside any virtual environment, so that .venv may be removed while we run."""
    return getattr(sys, "_base_executable", None) or sys.executable


def make_venv(place: Place, steps: Steps) -> None:
    import importlib.util
    import shutil

    if os.path.islink(place.venv) or os.path.isfile(place.venv):
        os.unlink(place.venv)
    elif os.path.isdir(place.venv):
        shutil.rmtree(place.venv)
    os.mkdir(place.venv)
    title = "virtual environment .venv"
    specs = [importlib.util.find_spec(name) for name in ("venv", "ensurepip")]
    has_venv = all(spec and spec.origin for spec in specs)  # no origin: an empty folder of that name
    if has_venv and steps.run(title, [base_python(), "-I", "-m", "venv", place.venv]):
        return
    if not has_venv and shutil.which("virtualenv"):
        command = ["virtualenv", "--quiet", "--clear", "--python", base_python(), place.venv]
        if steps.run(title + " (virtualenv)", command):
            return
    short = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if has_venv:
        raise explained(place, steps, "the virtual environment could not be made")
    raise Trouble(
        "Python's venv module is missing (ensurepip)", f"sudo apt install python3-venv  # or {short}"
    )


def install_packages(place: Place, steps: Steps) -> None:
    requirements = [*BUILD_TOOLS, *project_table(place)["dependencies"]]
    if not steps.pip("packages", "install", "--prefer-binary", *constraint(place), *requirements):
        raise explained(place, steps, "packages could not be installed")
    # The compiler has its own step, so that a machine without one gets a complete install all the same.
    arguments = ("install", "--no-deps", "--no-build-isolation", "--editable", ".")
    if not steps.pip("the project itself (editable)", *arguments, CPX_PURE="1"):
        raise explained(place, steps, "the project could not be installed")


def install_dev(place: Place, steps: Steps, want: dict[str, object]) -> None:
    # A killed run may have left half a package that pip takes for whole.
    force = ["--force-reinstall"] if os.path.exists(place.dev_unfinished) else []
    with open(place.dev_unfinished, "wb"):
        pass
    requirements = project_table(place)["optional-dependencies"]["dev"]
    arguments = ["install", "--prefer-binary", *force, *constraint(place), *requirements]
    if not steps.pip("packages for tests", *arguments):
        raise explained(place, steps, "packages for tests could not be installed")
    write_json(place.dev_stamp, {"project": want["project"]})
    os.unlink(place.dev_unfinished)


def install_peers(place: Place, steps: Steps, want: dict[str, object]) -> None:
    """Never a reason to stop: without its peer the benchmark says so and measures the rest."""
    requirements = project_table(place)["optional-dependencies"]["bench"]
    # Whole, whatever a killed run has left.
    how = ("install", "--prefer-binary", "--no-deps", "--force-reinstall", "--retries", "1")
    if steps.pip("peers for the benchmark", *how, *constraint(place), *requirements):
        write_json(place.peers_stamp, {"project": want["project"]})


def constraint(place: Place) -> list[str]:
    return ["--constraint", os.path.join(place.root, "constraints.txt")]


def project_table(place: Place) -> dict:
    import tomllib

    with open(os.path.join(place.root, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["project"]


def explained(place: Place, steps: Steps, what: str) -> Trouble:
    """The failed step in the user's terms, from what it wrote into the log."""
    words = steps.last_words().lower()
    log = os.path.relpath(place.log, place.root)
    again = " ".join(["./cpx", *sys.argv[1:2]])
    if "no space left" in words:
        return Trouble(f"{what}: the disk is full", f"free some space, then {again}")
    if any(sign in words for sign in ("permission denied", "read-only file system")):
        return Trouble(f"{what}: no right to write here (see {log})", f"chown -R $(id -u) . && {again}")
    network_signs = (
        "connectionerror", "newconnection", "name resolution", "name or service", "unreachable", "timed out",
        "connection refused", "connection broken", "sslerror", "proxyerror", "502 ", "503 ", "403 client",
    )  # fmt: skip
    if any(sign in words for sign in network_signs):
        return Trouble(
            f"{what}: the package index cannot be reached (see {log})",
            f"{again}  when the network is back, or PIP_INDEX_URL=<your mirror> {again}",
        )
    if "ensurepip" in words:
        return Trouble(f"{what}: Python's ensurepip is incomplete", "sudo apt install python3-venv")
    return Trouble(f"{what} (see {log})", again)


def build_outputs(place: Place, name: str) -> list[str]:
    return place.find(
        f"matching_core/{name}.*.so",
        f"build/lib*/matching_core/{name}.*.so",
        f"build/cython-release/matching_core/{name}.c",
    )


def built_in_place(place: Place, name: str) -> bool:
    import sysconfig

    return os.path.exists(
        os.path.join(place.root, "matching_core", name + (sysconfig.get_config_var("EXT_SUFFIX") or ".so"))
    )


def build_extensions(place: Place, steps: Steps, stamp: dict[str, object]) -> None:
    """Compiles what changed; afterwards an extension is either of the present source or not there at all."""
    want: dict[str, str] = stamp["extensions"]  # type: ignore[assignment]
    have = read_json(place.stamp).get("extensions")
    have = have if isinstance(have, dict) else {}
    leftover = {os.path.basename(path).split(".")[0] for path in place.find("matching_core/*.so")}
    changed = [name for name in {*want, *leftover} if have.get(name) != want.get(name) or name not in want]
    if have:
        # Stamp without the changed ones first: a kill from here on makes the next start build them again.
        kept = {name: value for name, value in have.items() if name not in changed}
        write_json(place.stamp, read_json(place.stamp) | {"extensions": kept})
    for path in [path for name in changed for path in build_outputs(place, name)]:
        os.unlink(path)
    missing = missing_for_engine() if want else []
    stamp["missing"] = missing
    if not want:
        return
    if missing:
        warn_reference_engine("no " + " and no ".join(missing))
        return
    parallel = ["--parallel", str(os.cpu_count() or 1)]
    steps.run("compiled engine", [place.python, "-P", "setup.py", "build_ext", "--inplace", *parallel])
    failed = sorted(name for name in want if not built_in_place(place, name))
    stamp["failed"] = failed
    if failed:
        log = os.path.relpath(place.log, place.root)
        warn_reference_engine(f"{', '.join(failed)} did not compile", f"less {log}, then ./cpx doctor")


# --- putting it together ----------------------------------------------------------------------------------


class Lock:
    """One preparing process per clone; the others wait, then find the work done."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1

    def __enter__(self) -> int:
        import fcntl

        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is preparing .venv; waiting for it")
            fcntl.flock(self.fd, fcntl.LOCK_EX)
        return self.fd

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self.fd)


def prepare(place: Place, arguments: list[str], lock_fd: int) -> None:
    command = arguments[0] if arguments else ""
    want = wanted(place)
    part = stale_part(place, want, retry=command == "doctor")
    steps = Steps(place, lock_fd)
    if part in ("venv", "project"):
        if part == "venv":
            say("preparing .venv (once, about half a minute)")
            make_venv(place, steps)
        else:
            say("the project's settings changed: installing again")
            os.unlink(place.stamp)
        install_packages(place, steps)
        part = "extensions"
    if part == "extensions":
        build_extensions(place, steps, want)
        write_json(place.stamp, want)
    if needs_dev(arguments) and dev_is_stale(place, want):
        install_dev(place, steps, want)
    if needs_peers(arguments) and peers_are_stale(place, want):
        install_peers(place, steps, want)


def start(arguments: list[str], place: Place) -> None:
    command = arguments[0] if arguments else ""
    want = wanted(place)
    is_stale = (
        stale_part(place, want, retry=command == "doctor") != ""
        or (needs_dev(arguments) and dev_is_stale(place, want))
        or (needs_peers(arguments) and peers_are_stale(place, want))
    )
    if is_stale:
        with Lock(place.lock) as lock_fd:
            prepare(place, arguments, lock_fd)
    # -P: a folder named exchange in the caller's directory must not be taken for ours.
    os.execv(place.python, [place.python, "-P", "-m", "exchange.cli", *arguments])


def say_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say(f"unexpected {kind.__name__}: {error}; please report it; CPX_TRACEBACK=1 ./cpx ... shows where")


def main(arguments: list[str]) -> int:
    if not os.environ.get("CPX_TRACEBACK"):
        sys.excepthook = say_unexpected
    if sys.version_info < (3, 11):  # noqa: UP036 - who runs this file by hand may have an older one
        say("needs Python 3.11 or newer; mend with: sudo apt install python3 (or set CPX_PYTHON)")
        return EXIT_UNAVAILABLE
    try:
        start(arguments, Place())
    except Trouble as trouble:
        say(str(trouble))
    except KeyboardInterrupt:
        say("interrupted; the next start carries on")
        return 130
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or '.venv'}"
        say(f"{what}; mend with: make {ROOT} writable, then start again")
    return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
