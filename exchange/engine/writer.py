"""The live writer: many callers on one loop, one venue, frames made durable in a thread while the one before is applied.

    submit -> inbox -> frame -> write and sync (thread) -> apply -> sinks -> answers -> after_batch     (all else: the loop)

The next frame collects while one is being synced, and may be synced while one is applied; applying and handing out
stay in order, and nothing is handed out before it is on the disk. Three things cut or head a frame:

* the clock: a frame that is built when the clock is ahead of the venue begins with an AdvanceTime, so that what came
  later is dated later; a tick each second does the same for a quiet venue;
* the desk (`exchange.engine.desk`): nothing stands behind a command that may call for the desk in its frame, and what
  the desk says then is the very next thing in the log;
* limits: 1,024 commands, 256 KiB.

What takes back (`CANCELS`) has a lane of its own: where more waits than one frame takes, it goes ahead of everything but
earlier commands of the same participant, and it is still taken when the inbox is full.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from exchange.domain.commands import (
    AdvanceTime,
    AmendTask,
    CancelOrder,
    CancelTask,
    SubmitTask,
    WithdrawOffer,
)
from exchange.domain.events import Refused
from exchange.engine.journal import MAX_FRAME_BODY, MAX_FRAME_COMMANDS, Record, make_record
from exchange.engine.sequencer import Answer, Batch, Sequencer, VenueHalted
from exchange.engine.writer_stats import WriterStats
from exchange.ports import Clock, DeskLike, Envelope, VenueLike

INBOX_LIMIT = 65_536
CANCELS = frozenset((CancelOrder, CancelTask, WithdrawOffer))
CANCEL_ROOM = 8_192  # so many of them are taken beyond the limit of the inbox
TICK_S = 1.0
CLOCK_STEP_NS = 10_000_000  # a frame gets an AdvanceTime of its own when the venue is this far behind the clock
CLOCK_SIZE = make_record(AdvanceTime(0)).size  # bytes of a frame
SNAPSHOT_WAIT_S = 30.0
SNAPSHOT_POLL_S = 0.05

_OF_TASKS = (SubmitTask, AmendTask)
_LEAST_PART = 8  # commands; a smaller part of the inbox is not worth a frame of its own

OnAnswer = Callable[[Answer | VenueHalted], None]


class Busy(Exception):
    """The inbox is full: this command was not taken and will never be executed; send it again later."""


class _Entry(NamedTuple):
    command: Any
    record: Record
    on_answer: OnAnswer | None
    is_of_desk: bool = False
    number: int = 0  # its place among all that came into the inbox; 0 = it came from elsewhere


@dataclass(slots=True)
class _Flight:
    """A frame on its way."""

    entries: list[_Entry]
    batch: Batch
    ends_at_stop: bool  # the desk is to be asked before anything else is put behind it


class Writer:
    """The only one that changes the venue. `start` it on a running loop; every call is made on that loop."""

    def __init__(
        self,
        sequencer: Sequencer,
        *,
        desk: DeskLike | None = None,
        clock: Clock | None = None,
        after_batch: Iterable[Callable[[int], None]] = (),
        may_snapshot: Callable[[int], bool] = lambda seq: True,
        on_halt: Callable[[str], None] | None = None,
        inbox_limit: int = INBOX_LIMIT,
        tick_s: float = TICK_S,
        snapshot_wait_s: float = SNAPSHOT_WAIT_S,
    ) -> None:
        """The sequencer is the writer's alone from here on; `close` closes it.

        after_batch: called with the last seq after every frame that was applied and handed out, before the next one is.
        may_snapshot: a snapshot at this seq is written once this says yes, or not at all after snapshot_wait_s.
        on_halt: called once, with the reason, when the venue stops because of a fault.
        """
        self._sequencer, self._log = sequencer, sequencer.log
        self._desk, self._clock = desk, clock
        self._after_batch = list(after_batch)
        self._may_snapshot, self._on_halt = may_snapshot, on_halt
        self._inbox_limit, self._tick_s, self._snapshot_wait_s = inbox_limit, tick_s, snapshot_wait_s
        self._inbox: deque[_Entry] = deque()
        self._lane: deque[_Entry] = deque()  # what takes back and has nothing of its participant before it
        self._came = self._taken = 0  # numbers: of the last that came into the inbox, of the last that left it
        self._newest: dict[str, int] = {}  # participant -> number of his last command in the inbox, or of one before
        self._flights: list[_Flight] = []  # in order; the first is durable or being written
        self._desk_left = 0  # commands of the desk at the head of the inbox
        self._ticked_ns = 0  # the last time that the clock was put into a frame
        self._is_tick_due = self._is_closing = False
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []  # the writer, then the ticker
        self._keeping: asyncio.Task[None] | None = None
        self.stats = WriterStats()

    # --- what it says of itself ---

    @property
    def venue(self) -> VenueLike:
        """The live venue, to be read between two frames: that is, by any code on the loop."""
        return self._sequencer.venue

    @property
    def now_ns(self) -> int:
        """Log time."""
        return self.venue.now_ns

    @property
    def seq(self) -> int:
        """Number of the last applied command."""
        return self._sequencer.seq

    @property
    def durable_seq(self) -> int:
        """Number of the last command on the disk."""
        return self._log.next_seq - 1

    @property
    def epoch(self) -> int:
        """Raised by one each time the log is opened."""
        return self._log.epoch

    @property
    def waiting(self) -> int:
        """Commands that are taken and in no frame yet."""
        return len(self._inbox) + len(self._lane)

    @property
    def halted(self) -> str:
        """Why no command is taken, or "" while they are."""
        return self._sequencer.halted or ("closed" if self._is_closing else "")

    @property
    def problems(self) -> list[str]:
        """What went wrong beside the venue, in words."""
        return self._sequencer.problems

    # --- for callers ---

    async def start(self) -> None:
        """Begins with what the desk has left to do from before the start."""
        assert self._loop is None, "started twice"
        self._loop = asyncio.get_running_loop()
        if self._desk is not None:
            self._put_first(self._ask_desk(None))
        self._tasks.append(self._loop.create_task(self._run(), name="writer"))
        if self._clock is not None:
            self._tasks.append(self._loop.create_task(self._tick_forever(), name="ticker"))

    def submit_nowait(self, command: Any, envelope: Envelope, on_answer: OnAnswer) -> None:
        """Takes a command; on_answer is called on the loop when it is durable and applied, or with VenueHalted.

        Raises only what is definite, so that the command will never be executed: CodecError (it has no bytes), Busy (the
        inbox is full), VenueHalted (the venue takes no commands). A VenueHalted given to on_answer is not: see its
        `is_definite`.
        """
        if self._is_closing or self._sequencer.halted:
            raise VenueHalted(f"the venue takes no commands: {self.halted}", is_definite=True)
        inbox, waiting, is_cancel = self._inbox, self.waiting, type(command) in CANCELS
        if waiting >= self._inbox_limit + (CANCEL_ROOM if is_cancel else 0):
            self.stats.busy += 1
            raise Busy(f"{waiting:,} commands wait; this one was not taken")
        record, who = make_record(command, envelope), _whose(command)
        if is_cancel and len(inbox) >= MAX_FRAME_COMMANDS and self._newest.get(who, 0) <= self._taken:
            self._lane.append(_Entry(command, record, on_answer))
        else:
            self._came += 1
            self._newest[who] = self._came
            inbox.append(_Entry(command, record, on_answer, False, self._came))
        self._wake.set()

    async def submit(self, command: Any, envelope: Envelope = Envelope()) -> Answer:
        """As `submit_nowait`, waiting for the answer; a caller that gives up waiting does not take the command back."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def settle(result: Answer | VenueHalted) -> None:
            if answered.done():
                return
            if isinstance(result, VenueHalted):
                answered.set_exception(result)
            else:
                answered.set_result(result)

        self.submit_nowait(command, envelope, settle)
        return await answered

    def tick(self) -> None:
        """Brings the venue to the clock now; the ticker calls this each tick_s."""
        self._is_tick_due = self._clock is not None
        self._wake.set()

    async def close(self) -> None:
        """Takes nothing more, finishes what it has, leaves a last snapshot, frees the folder."""
        if self._sequencer.halted == "closed":
            return
        self._is_closing = True
        for ticker in self._tasks[1:]:
            ticker.cancel()
        self._wake.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._refuse_inbox(self.halted)  # of a writer that was never started
        try:
            await asyncio.to_thread(self._thread.shutdown)  # after a halt a frame may still be under way
            if self._keeping is not None:
                await self._keeping
            if not self._sequencer.halted and self.seq:
                await self._checkpoint()
        finally:
            self._sequencer.close_log()

    # --- the loop ---

    async def _run(self) -> None:
        """Until closed and empty, or halted."""
        try:
            while True:
                durable = self._flights[0] if self._flights else None
                writing = self._begin_next(durable)
                if durable is not None:
                    self._apply(durable)
                if writing is not None:
                    await writing
                elif not self._flights and self._log.is_full:
                    await self._roll()
                elif not self._flights and not self.waiting and not self._is_tick_due:
                    if self._is_closing:
                        return
                    self._wake.clear()
                    await self._wake.wait()
        except BaseException as error:  # noqa: BLE001 - told to every waiting caller and to on_halt; nothing runs on
            self._halt(error)
            if not isinstance(error, Exception):
                raise

    def _begin_next(self, durable: _Flight | None) -> "asyncio.Future[None] | None":
        """Starts to write the next frame, where there is one that may be written now."""
        if self._log.is_full or (durable is not None and durable.ends_at_stop):
            return None
        flight = self._collect()
        if flight is None:
            return None
        self._flights.append(flight)
        assert self._loop is not None
        return self._loop.run_in_executor(self._thread, self._write, flight.batch)

    def _write(self, batch: Batch) -> None:
        began = time.perf_counter_ns()
        self._sequencer.write(batch)
        self.stats.append.add(time.perf_counter_ns() - began)

    def _collect(self) -> _Flight | None:
        """The next frame: what the desk has left to do, the clock, the cancels' lane, then the rest of the inbox."""
        entries: list[_Entry] = []
        size, ends_at_stop, is_clock_read = 0, False, False
        desk, most = self._desk, self._most()
        while not ends_at_stop and len(entries) < most:
            clock, queue = None, self._lane if self._lane and not self._desk_left else self._inbox
            if not self._desk_left and not is_clock_read:
                # What fills a frame by itself goes without: behind a fast clock it would never find room.
                is_alone = bool(queue) and queue[0].record.size + CLOCK_SIZE > MAX_FRAME_BODY
                is_clock_read, clock = True, None if is_alone else self._clock_command()
            if clock is not None:
                entry = _Entry(clock, make_record(clock), None)
            elif queue and (not entries or size + queue[0].record.size <= MAX_FRAME_BODY):
                entry = queue.popleft()
                self._desk_left -= entry.is_of_desk
                self._taken = entry.number or self._taken
            else:
                break
            entries.append(entry)
            size += entry.record.size
            ends_at_stop = desk is not None and desk.ends_frame(entry.command)
        if not self._inbox:
            self._newest.clear()
        if not entries:
            return None
        batch = self._sequencer.batch([entry.record for entry in entries], [entry.command for entry in entries])
        return _Flight(entries, batch, ends_at_stop)

    def _most(self) -> int:
        """How many commands the next frame takes. Where nothing is on its way and applying takes as long as syncing, half of
        what waits: one half is synced while the other is applied."""
        part = self.waiting // 2
        if self._flights or self._desk_left or part < _LEAST_PART or self.waiting > MAX_FRAME_COMMANDS:
            return MAX_FRAME_COMMANDS
        stats = self.stats
        if not stats.commands or not stats.append.count:
            return MAX_FRAME_COMMANDS
        apply_us, sync_us = stats.apply.total_us / stats.commands, stats.append.total_us / stats.append.count
        return part if self.waiting * apply_us >= sync_us else MAX_FRAME_COMMANDS

    def _clock_command(self) -> AdvanceTime | None:
        """The clock, at most up to the desk's next stop, where it is to stand before what comes next."""
        if self._clock is None:
            return None
        now_ns = self._clock.now_ns()
        here_ns = max(self.venue.now_ns, self._ticked_ns)
        to_ns = now_ns if self._desk is None else min(now_ns, self._desk.next_stop(here_ns))
        is_tick, self._is_tick_due = self._is_tick_due, self._is_tick_due and to_ns < now_ns
        if to_ns <= here_ns or not (is_tick or (self.waiting and to_ns - here_ns >= CLOCK_STEP_NS)):
            return None
        self._ticked_ns = to_ns
        return AdvanceTime(to_ns)

    def _apply(self, flight: _Flight) -> None:
        """Applies a durable frame and hands out what came of it."""
        began = time.perf_counter_ns()
        sequencer, batch = self._sequencer, flight.batch
        sequencer.apply(batch)
        follow: list[_Entry] = []
        if self._desk is not None:
            for command, answer in zip(batch.commands, batch.answers, strict=True):
                self._desk.on_command(answer.seq, answer.ts_ns, command, answer.events)
            if flight.ends_at_stop:
                last = flight.entries[-1]
                follow = self._ask_desk(self._answer_after(last.on_answer, batch.answers[-1]))
        # From here on nothing raises: each of these commands is answered for exactly once.
        self._flights.pop(0)
        self._put_first(follow)
        sequencer.hand_out(batch)
        answered = len(flight.entries) - bool(follow)
        for entry, answer in zip(flight.entries[:answered], batch.answers, strict=False):
            self._tell(entry.on_answer, answer)
        self._run_after_batch()
        self._note_refusals(flight)
        self.stats.frames += 1
        self.stats.commands += len(batch.commands)
        self.stats.apply.add(time.perf_counter_ns() - began)

    def _ask_desk(self, on_answer: OnAnswer | None) -> list[_Entry]:
        """What the desk does now; on_answer is to be called when the last of it is applied."""
        assert self._desk is not None
        due = self._desk.due(self.venue.now_ns)
        entries = [_Entry(command, make_record(command), None, True) for command in due]
        return [*entries[:-1], entries[-1]._replace(on_answer=on_answer)] if entries else []

    def _put_first(self, entries: list[_Entry]) -> None:
        self._inbox.extendleft(reversed(entries))
        self._desk_left += len(entries)

    @staticmethod
    def _answer_after(on_answer: OnAnswer | None, answer: Answer) -> OnAnswer | None:
        """Gives a caller an answer only when what the desk made of it has come through as well."""
        if on_answer is None:
            return None
        return lambda result: on_answer(result if isinstance(result, VenueHalted) else answer)

    def _note_refusals(self, flight: _Flight) -> None:
        for entry, answer in zip(flight.entries, flight.batch.answers, strict=True):
            refused = answer.events[0] if entry.is_of_desk and answer.events else None
            if isinstance(refused, Refused):
                what = f"{refused.command} of the desk was refused at seq {answer.seq}"
                self.problems.append(f"{what}: {refused.message} ({refused.reason})")

    def _tell(self, on_answer: OnAnswer | None, result: Answer | VenueHalted) -> None:
        """Calls back; a caller's own fault is reported and harms nobody else."""
        if on_answer is None:
            return
        try:
            on_answer(result)
        except Exception as error:  # noqa: BLE001 - told to the loop's handler
            context = {"message": "a caller failed in its own answer", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _run_after_batch(self) -> None:
        for callback in list(self._after_batch):
            try:
                callback(self.seq)
            except Exception as error:  # noqa: BLE001 - like a sink: it stops alone, and is reported
                self._after_batch.remove(callback)
                name = getattr(callback, "__qualname__", type(callback).__name__)
                self.problems.append(f"{name} stopped at seq {self.seq}: {type(error).__name__}: {error}")

    async def _tick_forever(self) -> None:
        while True:
            self.tick()
            await asyncio.sleep(self._tick_s)

    def _halt(self, error: BaseException) -> None:
        """Stops for good; whoever waits is told: unknown for what may be in the log, never executed for the rest."""
        why = str(error) if isinstance(error, VenueHalted) else f"{type(error).__name__}: {error}"
        self._sequencer.halt(why)
        for flight in self._flights:
            for entry in flight.entries:
                self._tell(entry.on_answer, VenueHalted(why))
        self._flights.clear()
        self._refuse_inbox(why)
        if self._on_halt is not None:
            self._on_halt(why)

    def _refuse_inbox(self, why: str) -> None:
        while self.waiting:
            entry = (self._inbox or self._lane).popleft()
            # What waits for an answer behind the desk's commands is itself in the log already.
            self._tell(entry.on_answer, VenueHalted(why, is_definite=not entry.is_of_desk))

    # --- segments and snapshots ---

    async def _roll(self) -> None:
        """A new segment, and a snapshot of the moment between the two, written while the venue goes on."""
        assert self._loop is not None
        if self._keeping is None or self._keeping.done():
            taken = self._take_snapshot()
            if taken is not None:
                self._keeping = self._loop.create_task(self._keep(taken, self.seq), name="snapshot")
        else:
            self.problems.append(f"no snapshot at seq {self.seq}: the one before is still being written")
        await self._loop.run_in_executor(self._thread, self._log.roll)

    async def _checkpoint(self) -> None:
        taken = self._take_snapshot()
        if taken is not None:
            await self._keep(taken, self.seq)

    def _take_snapshot(self) -> Any:
        began = time.perf_counter_ns()
        is_collecting = gc.isenabled()
        gc.disable()  # so many small lists would start full collections, which take longer than the snapshot itself
        try:
            taken = self._sequencer.take_snapshot()
        finally:
            if is_collecting:
                gc.enable()
        self.stats.snapshot.add(time.perf_counter_ns() - began)
        return taken

    async def _keep(self, taken: Any, seq: int) -> None:
        """Writes and proves a snapshot in a thread of its own, once it may exist."""
        deadline = time.monotonic() + self._snapshot_wait_s
        while not self._may_snapshot(seq):
            if time.monotonic() >= deadline:
                self.problems.append(f"no snapshot at seq {seq}: what copies the events is behind")
                return
            await asyncio.sleep(SNAPSHOT_POLL_S)
        await asyncio.to_thread(self._sequencer.keep_snapshot, taken)


def _whose(command: Any) -> str:
    """The participant whose things a command is about; "" where it names none."""
    name = command.task.participant if type(command) in _OF_TASKS else getattr(command, "participant", "")
    return name if isinstance(name, str) else ""
