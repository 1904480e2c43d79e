"""The agent of a provider: it runs what buyers send with their tasks, tells them how to reach it, and reads the meter.

For every dispatch: access to the buyer at once, the work started with its first hour, a reading at every heartbeat and at
the end of each hour, and the output when the work has ended or its last hour is over. A lease-hour that breaks is declared,
so that the exchange buys in without waiting for silence. An agent that was away reads the list of dispatches: what ran
before is broken (a process dies with its agent), what has not begun is run.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, cast

from clients.build import new_id
from clients.errors import CpxError, ExchangeError, NetworkError, ServerFault
from clients.events import DispatchUpdate, FailureUpdate
from clients.leased import Hour, Lease
from clients.live import Resync
from clients.meters import MeterKey
from clients.models_delivery import Dispatch
from clients.runner import NotRunnable, Runner, Running
from clients.times import NS_PER_S
from clients.trading import AsyncClient

TICK_S = 0.25  # the longest that a moment of the venue is slept over where its clock is moved by hand
RETRY_S = 1.0
FIRST_LISTS_S, LIST_EVERY_S = (0.0, 1.0), 30.0  # what comes while the socket is being subscribed stands in the second one
SURE_FOR_S = 5.0  # a time of the venue that was slept for is asked once more where it was last heard longer ago
LEAVE_WITHIN_S = 3.0  # so long the exchange is told of what breaks when we go
BEATS_A_HEARTBEAT = 2  # so often in each: one that is late is no silence
LATE_PARTS = 12  # an hour that is taken up later than this part of it is lost
BROKEN = "broken"  # what an hour is called that cannot be delivered any more

Teller = Callable[[str, dict[str, Any]], None]


class Agent:
    """One provider at work; `run` goes on until it is cancelled."""

    def __init__(
        self, client: AsyncClient, runner: Runner, *, meters: Mapping[str, MeterKey | None] | None = None, heartbeat_s: int = 0,
        participant: str | None = None, access: str = "the agent runs your work and returns its output",
        on_event: Teller = lambda what, about: None, needs_work: bool = False,
    ) -> None:  # fmt: skip
        """client: of the provider, with the scopes read and provide.

        meters: site -> the key that signs its readings, None = unsigned; these are told their heartbeat_s at the start.
        access: what buyers are told. on_event: told what happens, by a word and its facts. needs_work: leases without work
        are left to somebody else.
        """
        self._client, self._runner, self._participant = client, runner, participant
        self._meters, self._heartbeat_s = dict(meters or {}), heartbeat_s
        self._access, self._tell, self._needs_work = access, on_event, needs_work
        self._leases: dict[tuple[str, str], Lease] = {}
        self._lot, self._period_ns = Decimal(0), 0
        self._heard_s = float("-inf")

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to run now or later, as far as is known."""
        return not self._leases

    async def run(self) -> None:
        """Until it is cancelled; an exchange that is away is waited for. Any other CpxError ends it."""
        try:
            while True:
                try:
                    if not self._period_ns:
                        await self._begin()
                    await self._follow()
                except (CpxError, BaseExceptionGroup) as error:
                    cause = _cause(error)
                    if not isinstance(cause, NetworkError | ServerFault):
                        raise cause from None
                    self._tell("waits", {"why": str(cause)})
                    await asyncio.sleep(RETRY_S)
        finally:
            await self._end()

    async def _begin(self) -> None:
        await self._learn()
        for site, key in self._meters.items():
            await self._client.set_meter(
                site, public_key=key.public_key if key else "", heartbeat_s=self._heartbeat_s, participant=self._participant
            )  # fmt: skip
        venue = await self._client.venue()
        self._lot, self._period_ns = venue.lot, venue.period_min * 60 * NS_PER_S
        self._tell("ready", {"sites": sorted(self._meters), "heartbeat_s": self._heartbeat_s})

    async def _follow(self) -> None:
        """Dispatches and failures as they are told, and the list of dispatches: at once, soon, and now and then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._read_lists())
            group.create_task(self._watch_clock())

    async def _listen(self) -> None:
        events = cast("AsyncGenerator[object]", self._client.events(self._participant))
        async with contextlib.aclosing(events):
            async for event in events:
                if isinstance(event, Resync):
                    await self._learn()
                    await self._read_list()
                elif isinstance(event, DispatchUpdate):
                    self._take(event)
                elif isinstance(event, FailureUpdate) and event.side == "sell":
                    self._note_failure(event.obligation_id, event.reason)

    async def _read_lists(self) -> None:
        for pause_s in itertools.chain(FIRST_LISTS_S, itertools.repeat(LIST_EVERY_S)):
            await asyncio.sleep(pause_s)
            await self._learn()
            await self._read_list()

    async def _read_list(self) -> None:
        async for row in self._client.dispatches(participant=self._participant):
            self._take(row)

    async def _watch_clock(self) -> None:
        """A clock that is moved by hand is asked all the time while somebody waits for it."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._client.clock.stands_still and self._leases:
                await self._learn()

    # --- what is to be run ---

    def _take(self, told: Dispatch | DispatchUpdate) -> None:
        """A dispatch, of the list or as it was told."""
        if self._needs_work and not told.work:
            return
        if isinstance(told, DispatchUpdate):
            self._client.clock.hear(told.ts_ns)
        now_ns, key = self._now_ns(), (told.lease_id, told.site)
        lease = self._leases.get(key)
        if lease is None:
            lease = Lease(told.lease_id, told.site, told.chip, told.work, told.data_region, told.data_gb, told.counterparty)
            lease.take(told)
            if lease.next_start(now_ns, self._period_ns) is None:
                return  # over, or lost: nothing of it can be run any more
            self._leases[key] = lease
            about = {"lease": lease.lease_id, "site": lease.site, "buyer": lease.buyer, "hours": len(lease.hours)}
            self._tell("leased", {**about, "work": lease.work})
        elif lease.take(told):
            lease.news.set()
        if lease.serving is None or lease.serving.done():
            lease.serving = asyncio.create_task(self._serve(lease))
            lease.serving.add_done_callback(self._tell_fault)

    def _note_failure(self, obligation_id: int, reason: str) -> None:
        for lease in self._leases.values():
            hour = lease.hours.get(obligation_id)
            if hour is not None:
                if not hour.failing:
                    self._tell("failing", {"lease": lease.lease_id, "obligation": obligation_id, "reason": reason})
                hour.failing = reason
                lease.news.set()

    def _tell_fault(self, task: "asyncio.Task[None]") -> None:
        """What should not have happened; the lease is taken up again with the next list."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell("fault", {"why": f"{type(error).__name__}: {error}"})

    # --- one lease ---

    async def _serve(self, lease: Lease) -> None:
        """From now to the end of its last hour; whatever is refused is told and does not end the others."""
        opening = asyncio.create_task(self._open(lease))  # beside the start of the work: that is what is waited for
        try:
            while True:
                while (start_ns := lease.next_start(self._now_ns(), self._period_ns)) is not None:
                    if await self._until(lease, start_ns) and await self._begin_period(lease, start_ns):
                        await self._meter(lease, start_ns)
                await self._finish(lease)
                if lease.next_start(self._now_ns(), self._period_ns) is None:
                    break
            await opening
        finally:
            opening.cancel()
            if lease.next_start(self._now_ns(), self._period_ns) is None and lease.running is None:
                self._leases.pop((lease.lease_id, lease.site), None)

    async def _open(self, lease: Lease) -> None:
        if not lease.has_access:
            await self._do(lease, "give_access", lease_id=lease.lease_id, access=self._access)
            lease.has_access = True

    async def _begin_period(self, lease: Lease, start_ns: int) -> bool:
        """Whether a period can be delivered: the work runs, or has run to its end."""
        for hour in lease.open_at(start_ns):
            if not hour.has_begun and (why := self._is_lost(lease, hour)):
                await self._break(lease, hour, why)
            hour.has_begun = True
        hours = lease.open_at(start_ns)
        if not hours or not lease.work or lease.running is not None or lease.is_finished or lease.is_done:
            return bool(hours)
        try:
            running = await self._runner.start(lease.lease_id, lease.work, lease.environment(hours))
        except NotRunnable as no:
            lease.is_done = True
            await self._return(lease, no.exit_code, str(no), is_final=True)
        except OSError as error:
            for hour in hours:
                await self._break(lease, hour, f"its work cannot be started: {error}")
            return False
        else:
            lease.running, lease.is_cut = running, False
            self._tell("started", {"lease": lease.lease_id, "site": lease.site, "work": lease.work})
            lease.result = asyncio.create_task(self._watch(lease, running))
            lease.result.add_done_callback(self._tell_fault)
        return True

    def _is_lost(self, lease: Lease, hour: Hour) -> str:
        """Why an hour that we take up now cannot be delivered whole; "" where it can, as cards without work can."""
        if not lease.work or lease.is_finished or lease.is_done:
            return ""
        late_ns = self._now_ns() - max(hour.start_ns, hour.known_ns)
        if hour.reading or hour.was_served and late_ns > 0:
            return "it had begun with an agent that is gone"
        return "the agent came too late for it" if late_ns > self._period_ns // LATE_PARTS else ""

    async def _watch(self, lease: Lease, running: Running) -> None:
        """Returns the output when the work ends; where it ended by itself its hours go on, they are the buyer's."""
        code = await running.wait()
        lease.running = None
        lease.is_done |= not lease.is_cut
        is_final = lease.is_done or self._now_ns() >= lease.end_ns(self._period_ns)
        await self._return(lease, code, running.output(), is_final=is_final)

    async def _finish(self, lease: Lease) -> None:
        """Nothing is left to deliver: work that still runs is stopped, and its output returned."""
        if lease.running is not None:
            lease.is_cut = True
            await lease.running.stop()
        if lease.result is not None:
            await lease.result

    async def _return(self, lease: Lease, code: int, output: str, *, is_final: bool) -> None:
        if not lease.is_finished:
            lease.is_finished = is_final
            given = {"lease_id": lease.lease_id, "exit_code": code, "output": output, "is_final": is_final}
            await self._do(lease, "return_result", **given)
            self._tell("ended", {"lease": lease.lease_id, "exit_code": code, "is_final": is_final})

    async def _break(self, lease: Lease, hour: Hour, why: str) -> None:
        hour.failing = BROKEN
        self._tell(BROKEN, {"lease": lease.lease_id, "obligation": hour.obligation_id, "why": why})
        await self._do(lease, "declare_failure", obligation_id=hour.obligation_id)

    # --- the meter ---

    async def _meter(self, lease: Lease, start_ns: int) -> None:
        """Readings from the start of a period to its end; the last ones speak for all of it."""
        end_ns = start_ns + self._period_ns
        next_ns = start_ns
        while hours := lease.open_at(start_ns):
            now_ns = self._now_ns()
            step_ns = self._step_ns(lease)
            if now_ns >= end_ns or step_ns and now_ns >= next_ns:
                next_ns = now_ns + step_ns
                for hour in hours:
                    await self._read(lease, hour)
            if now_ns >= end_ns:
                return
            await self._until(lease, min(end_ns, next_ns) if step_ns else end_ns)

    def _step_ns(self, lease: Lease) -> int:
        """The venue's time between two readings; 0 where one at the end says all."""
        own_s = self._heartbeat_s if lease.site in self._meters else 0
        beat_s = min((each for each in (own_s, lease.heartbeat_s) if each), default=0)
        return beat_s * NS_PER_S // BEATS_A_HEARTBEAT

    async def _read(self, lease: Lease, hour: Hour) -> None:
        key = self._meters.get(lease.site)
        if lease.site not in self._meters and lease.is_signed:
            return  # somebody else's meter
        hour.reading = number = hour.reading + 1  # used up, whatever becomes of it
        signature = ""
        if key is not None:
            signature = key.sign(lease.site, hour.obligation_id, number=number, delivered_cards=hour.cards, lot=self._lot)
        await self._do(
            lease, "submit_reading", obligation_id=hour.obligation_id, number=number, delivered_cards=hour.cards,
            signature=signature,
        )  # fmt: skip

    # --- the exchange and its clock ---

    async def _do(self, lease: Lease, operation: str, **given: Any) -> bool:
        """A command of ours; whether it was done. What is refused is told; an exchange that is away is waited for."""
        key = new_id()  # the same for each try: it is executed once
        given = {**given, "participant": self._participant}
        while True:
            try:
                ack = await self._client.try_command(operation, idempotency_key=key, **given)
            except (NetworkError, ServerFault) as error:
                self._tell("waits", {"why": str(error)})
                await asyncio.sleep(RETRY_S)
                continue
            except ExchangeError as error:
                why = str(error)
            else:
                if ack.status not in ("REJECTED", "DENIED"):
                    return True
                why = ack.message
            self._tell("refused", {"lease": lease.lease_id, "operation": operation, "why": why})
            return False

    def _now_ns(self) -> int:
        return self._client.clock.now.now_ns

    async def _learn(self) -> None:
        """Asks what time it is; a venue that was away may be earlier than we thought."""
        self._client.clock.learn(await self._client.venue())
        self._heard_s = asyncio.get_running_loop().time()

    async def _until(self, lease: Lease, at_ns: int) -> bool:
        """Sleeps until a time of the venue; False where something else has happened to the lease before."""
        has_slept = False
        while not lease.news.is_set():
            left_ns = at_ns - self._now_ns()
            if left_ns <= 0:
                if not has_slept or asyncio.get_running_loop().time() - self._heard_s < SURE_FOR_S:
                    return True
                await self._learn_at_last()
                continue
            has_slept = True
            clock = self._client.clock
            left_s = TICK_S if clock.stands_still else min(LIST_EVERY_S, clock.seconds(left_ns))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lease.news.wait(), left_s)
        lease.news.clear()
        return False

    async def _learn_at_last(self) -> None:
        while True:
            try:
                return await self._learn()
            except CpxError as error:
                self._tell("waits", {"why": str(error)})
                await asyncio.sleep(RETRY_S)

    # --- the end ---

    async def _end(self) -> None:
        """We go: what runs is stopped, so its hours are broken; what is left of the readings falls silent."""
        serving = [lease.serving for lease in self._leases.values() if lease.serving is not None]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.gather(*(self._leave(lease) for lease in self._leases.values()), return_exceptions=True)

    async def _leave(self, lease: Lease) -> None:
        if lease.running is None:
            return
        lease.is_cut = True
        now_ns = self._now_ns()
        hours = [hour for hour in lease.hours.values() if hour.start_ns <= now_ns < hour.start_ns + self._period_ns]
        broken = [self._break(lease, hour, "the agent ends") for hour in hours if not hour.failing]
        await asyncio.gather(_soon(*broken), lease.running.stop())
        if lease.result is not None:
            await _soon(lease.result)


async def _soon(*work: Awaitable[None]) -> None:
    """What is worth waiting for a little."""
    with contextlib.suppress(CpxError, TimeoutError):
        await asyncio.wait_for(asyncio.gather(*work), LEAVE_WITHIN_S)


def _cause(error: BaseException) -> BaseException:
    """The first of a group; its other members were cancelled, or say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.asynccontextmanager
async def working(agent: Agent) -> AsyncIterator["asyncio.Task[None]"]:
    """The agent beside something else; it ends with the block."""
    task = asyncio.create_task(agent.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
