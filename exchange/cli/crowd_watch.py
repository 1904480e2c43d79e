"""The demo's participants as `cpx serve --demo` keeps them: a process that is started again when it ends by itself."""

from __future__ import annotations

import asyncio
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from exchange.cli.running import USAGE, note
from exchange.replay.crowd import NO_PERMISSION, OTHER_VENUE

STARTS, WITHIN_S = 4, 60.0  # at most so many starts in so long
FIRST_WAIT_S = 1.0
STOP_S = 10.0
STDERR = 2  # stdout is for the server's own result
FOR_GOOD = (USAGE, OTHER_VENUE, NO_PERMISSION)  # it has said why, and would only say it again


class CrowdWatch:
    """One process; `start` it, and `stop` it at the end. Every unexpected end is told on stderr."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], is_wanted: Callable[[], bool], *,
        first_wait_s: float = FIRST_WAIT_S, starts: int = STARTS, within_s: float = WITHIN_S,
    ) -> None:  # fmt: skip
        """is_wanted: whether the server goes on, so that an end is none that was meant."""
        self._command, self._environment = list(command), dict(environment)
        self._is_wanted = is_wanted
        self._first_wait_s, self._most, self._within_s = first_wait_s, starts, within_s
        self._started_s: deque[float] = deque(maxlen=starts)
        self._process: subprocess.Popen[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """On the running event loop."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Asks the process to end, after STOP_S with force; whatever went wrong with watching it is raised here."""
        assert self._watching is not None, "it was not started"
        self._watching.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await self._watching
        finally:
            await self._end()

    async def _watch(self) -> None:
        """Runs it, again and again, until cancelled or until that is of no use."""
        while True:
            why = await self._run()
            await asyncio.sleep(self._first_wait_s)
            if not self._is_wanted():
                return
            if why is None:
                note("cpx: the demo's participants have ended for good: nobody trades by himself any more")
                return
            wait_s = self._wait_s()
            when = f" in {wait_s:.0f} s" if wait_s else ""
            note(f"cpx: the demo's participants have ended by themselves ({why}); started again{when}")
            await asyncio.sleep(wait_s)
            if not self._is_wanted():
                return

    async def _run(self) -> str | None:
        """One life of the process, and how it ended; None where another one would end the same way."""
        self._started_s.append(asyncio.get_running_loop().time())
        try:
            # In a group of its own: Ctrl-C is for the server alone, which ends this one in its own time.
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=STDERR, process_group=0
            )
        except OSError as error:  # no memory or no process left for it: that may change
            return f"cannot be started: {error.strerror or error}"
        code = await asyncio.to_thread(self._process.wait)
        return None if code in FOR_GOOD else f"exit code {code}" if code >= 0 else f"signal {-code}"

    def _wait_s(self) -> float:
        """How long until one more start is not one too many."""
        if len(self._started_s) < self._most:
            return 0.0
        return max(0.0, self._started_s[0] + self._within_s - asyncio.get_running_loop().time())

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
