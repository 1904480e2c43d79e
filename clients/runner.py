"""Runs the work of a lease as a local process: for so long, with so much memory, in its own folder and a clean environment.

Nothing here is a jail: who may send work decides what runs on this machine, as the user that the agent runs as. So a runner
runs only the programs it was told to allow, and never through a shell.
"""

import asyncio
import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

MAX_OUTPUT = 16_000  # characters of the result that a buyer is sent: the last ones
NOT_ALLOWED, NOT_FOUND = 126, 127  # exit codes, as a shell has them
STOP_WITHIN_S = 5.0  # so long may work take to end when it is asked to
GUARD = Path(__file__).with_name("guard.py")
_KEPT = 4 * MAX_OUTPUT  # bytes: a character has at most four
_PART = 1 << 16
_PAUSE_S = 0.005  # between parts of a flood: whoever writes it waits, the agent does not
_DRAIN_S = 1.0
_PR_SET_DUMPABLE = 4
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Running(Protocol):
    """Work that runs, or has ended."""

    async def wait(self) -> int:
        """Its exit code, when it has ended; minus the signal where it was killed."""
        ...

    def output(self) -> str:
        """What it has put out so far: at most MAX_OUTPUT characters, the last ones."""
        ...

    async def stop(self) -> int:
        """Ends it, with everything that it has started; its exit code."""
        ...


class Runner(Protocol):
    """Where a provider's work runs. LocalRunner is one; a cluster's queue may be another."""

    async def start(self, lease_id: str, work: str, environment: Mapping[str, str]) -> Running:
        """Starts the work of a lease. NotRunnable where it never will; OSError where it cannot now."""
        ...


class NotRunnable(Exception):
    """The work cannot be run here; `exit_code` is what its buyer is told."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class LocalRunner:
    """Processes of this machine; the time limit is the caller's, who stops them."""

    def __init__(
        self, allow: Collection[str] | None, *, memory_mb: int = 1024, processes: int = 256, folder: Path | None = None,
        stop_within_s: float = STOP_WITHIN_S,
    ) -> None:  # fmt: skip
        """allow: names of programs that may run, None = any.

        memory_mb: of address space of each process, and of memory of all that one work has started together; processes: of
        one work at a time; folder: where their folders are made; stop_within_s: between asking a work to end and killing it.
        """
        self._allow = None if allow is None else frozenset(allow)
        self._limits = (str(memory_mb), str(processes), str(stop_within_s))
        self._folder, self._stop_within_s = folder, stop_within_s

    async def start(self, lease_id: str, work: str, environment: Mapping[str, str]) -> "LocalProcess":
        """Starts it in a new folder that is removed at its end; it dies with us."""
        arguments = self.arguments(work)
        folder = Path(tempfile.mkdtemp(prefix=f"cpx-{lease_id}-", dir=self._folder))
        known = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(folder)}
        guard = (sys.executable, "-I", "-S", str(GUARD), *self._limits, str(os.getpid()))
        try:
            process = await asyncio.create_subprocess_exec(
                *guard, *arguments, cwd=folder, env={**known, **environment}, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return LocalProcess(process, folder, self._stop_within_s)

    def arguments(self, work: str) -> list[str]:
        """The command of a work; NotRunnable where it cannot be read, is not allowed, or is not here."""
        try:
            arguments = shlex.split(work)
        except ValueError as error:
            raise NotRunnable(f"the work cannot be read as a command: {error}", NOT_ALLOWED) from None
        if not arguments:
            raise NotRunnable("the work names no command", NOT_ALLOWED)
        program = arguments[0]
        if self._allow is not None and program not in self._allow:
            allowed = ", ".join(sorted(self._allow)) or "nothing"
            raise NotRunnable(f"{program} is not allowed here; allowed: {allowed}", NOT_ALLOWED)
        if shutil.which(program) is None:
            raise NotRunnable(f"{program} is not here", NOT_FOUND)
        return arguments


def hide() -> None:
    """Other processes of the same user, such as the work, cannot read our memory and environment any more (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class LocalProcess:
    """One work and whatever it starts, under its guard."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, stop_within_s: float) -> None:
        self._process, self._folder, self._stop_within_s = process, folder, stop_within_s
        self._tail = bytearray()
        self._reading = asyncio.create_task(self._read())
        self._ending = asyncio.create_task(self._end())

    @property
    def pid(self) -> int:
        """Of the guard."""
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code, when it and everything it has started has ended and its output is read."""
        return await asyncio.shield(self._ending)

    def output(self) -> str:
        """The last MAX_OUTPUT characters, without colours and control characters."""
        text = _COLOUR.sub("", bytes(self._tail).decode("utf-8", errors="replace"))
        return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())[-MAX_OUTPUT:]

    async def stop(self) -> int:
        """Asks it to end, then makes it."""
        self._signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), self._stop_within_s + _DRAIN_S)
        except TimeoutError:
            self._signal(signal.SIGKILL)  # its guard: the work dies with it
            return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _end(self) -> int:
        code = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reading, _DRAIN_S)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while part := await self._process.stdout.read(_PART):
            self._tail += part
            del self._tail[:-_KEPT]
            if len(part) == _PART and self._process.returncode is None:
                await asyncio.sleep(_PAUSE_S)
