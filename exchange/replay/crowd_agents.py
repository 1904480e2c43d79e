"""The demo's providers at work: an agent for everybody of the crowd whose cards somebody bought with a work to run."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clients import AsyncClient
from clients.agent import Agent
from clients.runner import LocalRunner
from exchange.protocol.measures import Measures
from exchange.replay.sessions import Sessions

MOST = 32  # agents at a time
LINGER_S = 60.0  # so long an agent stays when there is nothing left to do
MEMORY_MB, PROCESSES = 512, 64
ACCESS = "the demo's agent runs your work on the machine of the server and returns its output"
TOLD = ("started", "ended", "broken", "refused", "fault")


@dataclass(slots=True)
class _Seat:
    client: AsyncClient
    agent: Agent
    task: "asyncio.Task[None]"
    busy_s: float


class CrowdAgents:
    """Starts them when they are needed and lets them go again; each acts with its provider's own key."""

    def __init__(
        self, url: str, sessions: Sessions, measures: Measures, programs: tuple[str, ...], say: Callable[[str], None]
    ) -> None:  # fmt: skip
        """programs: that work may run; none of them = it is returned with exit code 126."""
        self._url, self._sessions, self._measures, self._say = url, sessions, measures, say
        self._runner = LocalRunner(programs, memory_mb=MEMORY_MB, processes=PROCESSES, stop_within_s=1)
        self._seats: dict[str, _Seat] = {}
        self.people: set[str] = set()  # whom the crowd plays; other providers bring agents of their own

    async def look(self, start_ns: int, period_ns: int) -> None:
        """Whose work runs in the period that begins then, or in the next one, gets an agent."""
        for moment_ns in (start_ns, start_ns + period_ns):
            for due in await self._sessions.operator.due(self._measures.time_text(moment_ns)):
                if due.has_work and due.seller in self.people:
                    await self._seat(due.seller)
        for name in [name for name, seat in self._seats.items() if not self._is_wanted(seat)]:
            await self._leave(name)

    async def close(self) -> None:
        """Ends all of them; what they run is stopped."""
        await asyncio.gather(*(self._leave(name) for name in list(self._seats)))

    async def _seat(self, name: str) -> None:
        seat = self._seats.get(name)
        if seat is not None:
            seat.busy_s = time.monotonic()
            return
        if len(self._seats) >= MOST:
            return  # the next look may find room
        await self._sessions.of(name)  # that there is a key
        client = AsyncClient(self._url, self._sessions.known[name])
        agent = Agent(client, self._runner, access=ACCESS, needs_work=True, on_event=self._teller(name))
        task = asyncio.create_task(agent.run(), name=f"agent of {name}")
        self._seats[name] = _Seat(client, agent, task, time.monotonic())

    def _is_wanted(self, seat: _Seat) -> bool:
        if seat.task.done():
            return False
        if not seat.agent.is_idle:
            seat.busy_s = time.monotonic()
        return time.monotonic() - seat.busy_s < LINGER_S

    async def _leave(self, name: str) -> None:
        seat = self._seats.pop(name)
        seat.task.cancel()
        (why,) = await asyncio.gather(seat.task, return_exceptions=True)
        if isinstance(why, Exception):
            self._say(f"agent of {name} has ended: {why}")
        await seat.client.close()

    def _teller(self, name: str) -> Callable[[str, dict[str, Any]], None]:
        def tell(what: str, about: dict[str, Any]) -> None:
            if what in TOLD:
                facts = " ".join(f"{key}={value}" for key, value in about.items() if key not in ("lease", "work"))
                self._say(f"agent of {name}: {what} lease {about.get('lease', '')} {facts}".rstrip())

        return tell
