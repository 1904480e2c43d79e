"""The participants of a demo server: buyers, providers and a market maker who know an address and their keys, no more.

`python -m exchange.replay.crowd --folder DIR` with CPX_URL and the operator's CPX_KEY in the environment, as
`cpx serve --demo` starts it. It plays the bundled day by the server's clock, then the next one, and so on; through
restarts of the server it waits, and it ends when whoever started it ends.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from clients.errors import AuthenticationError, CpxError, ExchangeError, NetworkError, NotFound
from clients.runner import hide
from exchange.adapters.draws import Draws
from exchange.domain.commands import AddParticipant, AddSite, AttestCapacity, Deposit, PlaceOffer, SubmitTask
from exchange.domain.instrument import Periods
from exchange.domain.units import NS_PER_HOUR, NS_PER_MINUTE
from exchange.protocol.measures import Measures
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.to_command import from_command
from exchange.replay.crowd_agents import CrowdAgents
from exchange.replay.crowd_days import CrowdPlan, crowd_day, money_commands
from exchange.replay.crowd_maker import MAKER, Maker, maker_setup
from exchange.replay.driver import COUNTERSIGNED_OF_16
from exchange.replay.green import from_now
from exchange.replay.market_day import MarketDay
from exchange.replay.remote import sender
from exchange.replay.scenario import DEMO_SEED, DEMO_TASKS, DEMO_VENUE
from exchange.replay.sessions import Sessions, read_secrets, write_secrets

STATE_FILE, SECRETS_FILE = "crowd.json", "crowd.keys"
TICK_S, MAKER_EVERY_S, AGENTS_EVERY_S = 0.25, 1.0, 1.0
AT_ONCE = 16  # participants that act at the same time
OPENS_BEFORE_NS = 2 * NS_PER_HOUR  # a day is prepared so long before it begins
LATE_PERIODS = 2  # after a pause: periods whose readings are still taken
SHORTFALL_PPM = 2_000
RETRY_FIRST_S, RETRY_MOST_S = 0.2, 5.0
KEYED = {name for name, operation in OPERATIONS.items() if operation.needs_key_header}  # what no id of its own makes once


OTHER_VENUE, NO_PERMISSION = 65, 77  # exit codes after which starting again would not help


class OtherVenue(Exception):
    """The venue behind the address is no demo."""


class Crowd:
    """Everybody; `tick` does what is due by the server's clock."""

    def __init__(
        self, sessions: Sessions, folder: Path, *, seed: int, tasks: int, agents: CrowdAgents | None = None
    ) -> None:  # fmt: skip
        """agents: who run the work that comes with tasks; without them nobody does, and such hours fall short."""
        self._sessions, self._folder, self._agents = sessions, folder, agents
        self._seed, self._tasks = seed, tasks
        self._plan: CrowdPlan | None = None
        self._days: dict[int, MarketDay] = {}  # those whose rows are not all sent
        self._next_row: dict[int, int] = {}
        self._opened = -1  # last day that is prepared
        self._next_period = 0  # the first whose readings are not sent
        self._measures = Measures(DEMO_VENUE)
        self._grid = Periods(DEMO_VENUE.period_min * NS_PER_MINUTE, DEMO_VENUE.gate_min * NS_PER_MINUTE)
        self._maker = Maker(self._call, self._measures, self._grid, seed)
        self._maker_at = self._agents_at = 0.0
        self.refused: Counter[str] = Counter()  # reason -> commands, for the log

    async def tick(self) -> None:
        """Whatever is due now; NetworkError where the server cannot be asked: the next tick goes on there."""
        if self._plan is None:
            self._plan = await self._begin()
        now_ns = await self._now_ns()
        while self._opened < self._plan.day_at(now_ns + OPENS_BEFORE_NS):
            await self._open_day(self._opened + 1)
            self._save(self._plan)
        for number in sorted(self._days):
            await self._send_rows(number, now_ns)
        await self._deliver(now_ns)
        if self._agents is not None and time.monotonic() >= self._agents_at:
            self._agents_at = time.monotonic() + AGENTS_EVERY_S
            await self._agents.look(self._grid.start(self._grid.at(now_ns)), self._grid.period_ns)
        if time.monotonic() >= self._maker_at:
            self._maker_at = time.monotonic() + MAKER_EVERY_S
            with suppress(NotFound):  # its gate closed just now
                await self._maker.step(await self._sessions.of(MAKER), now_ns)

    # --- the beginning ---

    async def _begin(self) -> CrowdPlan:
        """The plan of this folder, or a new one from now on; the venue is set up where nobody did."""
        state = self._read_state()
        if state is None:
            await self._set_up_venue()
        await self._check_measures()
        now_ns = await self._now_ns()
        self._next_period = self._grid.at(now_ns) - LATE_PERIODS
        if state is None:
            plan = CrowdPlan(self._seed, self._tasks, DEMO_VENUE, self._grid.start(self._grid.at(now_ns)))
            self._save(plan)  # before anything of a day is sent: another beginning would be other days under the same keys
            return plan
        plan = CrowdPlan(state["seed"], state["tasks"], DEMO_VENUE, state["origin_ns"])
        self._opened = state["opened"]
        for number in range(max(0, self._opened - 1), self._opened + 1):  # whose hours may still run
            self._know(await asyncio.to_thread(crowd_day, plan, number))
        for number, row in state["rows"]:
            self._days[number], self._next_row[number] = crowd_day(plan, number), row
        return plan

    def _know(self, day: MarketDay) -> None:
        if self._agents is not None:
            self._agents.people |= {MAKER} | {each.participant for each in day.participants if type(each) is AddParticipant}

    async def _check_measures(self) -> None:
        """OtherVenue where somebody set the venue up in another way: the days would not fit it."""
        found, wanted = await self._sessions.operator.venue(), DEMO_VENUE
        theirs = (found.period_min, found.gate_min, format(found.lot, "f"), format(found.tick, "f"))
        ours = (wanted.period_min, wanted.gate_min, self._measures.cards_text(1), self._measures.yuan(wanted.tick_micro))
        if theirs != ours:
            raise OtherVenue(f"{found.name} has other periods, lots or ticks than the demo: give --demo a folder of its own")

    async def _set_up_venue(self) -> None:
        """Settings, catalogue and tariff, where the venue has none; the market maker."""
        day = crowd_day(CrowdPlan(self._seed, 1, DEMO_VENUE, 0), 0)
        for command in (day.settings, day.catalogue, day.tariff):
            await self._operate(command)
        now_ns = await self._now_ns()
        for number, command in enumerate(maker_setup(DEMO_VENUE, now_ns)):
            await self._operate(command, f"crowd-setup-{number}")

    async def _open_day(self, number: int) -> None:
        """Families, participants, money, sites and capacity of a day.

        After a break all of it is sent once more: what is there already is passed over, and money has a key of its own.
        """
        assert self._plan is not None
        day = await asyncio.to_thread(crowd_day, self._plan, number)
        self._know(day)
        money = money_commands(day)
        people = [command for command in day.participants if command not in money]
        sites = [command for command in day.sites if type(command) is AddSite]
        attested = [command for command in day.attestations if type(command) is AttestCapacity]
        now_ns = await self._now_ns()
        issued = [left for each in day.certificates if (left := from_now(each, DEMO_VENUE, now_ns)) is not None]
        for group in (day.families, people, sites, attested, issued):
            await self._together([self._operate(command) for command in group])
        keyed = [(command, f"crowd-d{number}-{place}") for place, command in enumerate(money)]
        for is_deposit in (True, False):  # a bond is paid out of what was brought in
            chosen = [(command, key) for command, key in keyed if isinstance(command, Deposit) is is_deposit]
            await self._together([self._operate(command, key) for command, key in chosen])
        self._days[number], self._next_row[number] = day, 0
        self._opened = number
        say(f"day {number}: {len(day.rows)} offers, tasks and notices to come")

    # --- acting ---

    async def _send_rows(self, number: int, now_ns: int) -> None:
        """Every row that is due; each participant sends his own in order, all of them at once."""
        assert self._plan is not None
        day, begin = self._days[number], self._next_row[number]
        end = begin
        while end < len(day.rows) and day.rows[end].time_ns <= now_ns:
            end += 1
        if begin == end:
            return
        theirs: dict[str, list[Any]] = {}
        for row in day.rows[begin:end]:
            if not is_too_late(row.command, now_ns):
                theirs.setdefault(sender_of(row.command), []).append(row.command)
        await self._together([self._send_all(who, commands) for who, commands in theirs.items()])
        self._next_row[number] = end
        if end == len(day.rows):
            del self._days[number], self._next_row[number]
        self._save(self._plan)

    async def _send_all(self, who: str, commands: Iterable[Any]) -> None:
        for command in commands:
            await self._send(who, command)

    async def _operate(self, command: Any, key: str | None = None) -> None:
        """A command of a day's set-up; one that was done before a break is passed over."""
        operation, _ = from_command(command, self._measures)
        await self._send(sender(operation, command), command, key)

    async def _send(self, who: str, command: Any, key: str | None = None) -> bool:
        """Through the session of a participant; False where the exchange refuses: that is part of a market."""
        operation, arguments = from_command(command, self._measures)
        given = msgspec.structs.asdict(arguments)
        return await self._call(who, operation, idempotency_key=key if operation in KEYED else None, **given)

    async def _call(self, who: str, operation: str, *, idempotency_key: str | None = None, **arguments: Any) -> bool:
        client = await self._sessions.for_operation(who, operation)
        try:
            ack = await client.try_command(operation, idempotency_key=idempotency_key, **arguments)
        except AuthenticationError:
            if not who:
                raise
            self._sessions.forget(who, client)  # revoked: once more, with a new key
            return await self._call(who, operation, idempotency_key=idempotency_key, **arguments)
        except ExchangeError as error:
            self.refused[error.reason] += 1
            return False
        is_done = ack.status not in ("REJECTED", "DENIED")
        if not is_done:
            self.refused[ack.reason] += 1
        return is_done

    async def _together(self, work: list[Any]) -> None:
        """All of it, a few at a time; the first error ends the rest."""
        waiting = iter(work)

        async def hand() -> None:
            for job in waiting:
                await job

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(work))):
                    group.create_task(hand())
        except* CpxError as errors:
            raise errors.exceptions[0] from None
        finally:
            for job in waiting:
                job.close()

    # --- delivery ---

    async def _deliver(self, now_ns: int) -> None:
        """Meters of every period that has ended, then the buyers' word on them."""
        while self._next_period < self._grid.at(now_ns):
            start_ns = self._grid.start(self._next_period)
            found = await self._sessions.operator.due(self._measures.time_text(start_ns))
            read: dict[str, list[Any]] = {}
            agreed: dict[str, list[int]] = {}
            for due in found:
                if due.has_work:
                    continue  # whoever runs it reads its meter
                draw = Draws(self._seed, "meter", due.obligation_id).below(1 << 40)
                is_short = draw % 1_000_000 < SHORTFALL_PPM
                read.setdefault(due.seller, []).append((due.obligation_id, "0" if is_short else format(due.cards, "f")))
                if not is_short and (draw >> 24) % 16 < COUNTERSIGNED_OF_16:
                    agreed.setdefault(due.buyer, []).append(due.obligation_id)
            await self._together([self._read(who, readings) for who, readings in read.items()])
            await self._together([self._agree(who, numbers) for who, numbers in agreed.items()])
            self._next_period += 1

    async def _read(self, who: str, readings: list[tuple[int, str]]) -> None:
        for obligation_id, cards in readings:
            await self._call(who, "submit_reading", obligation_id=obligation_id, number=1, delivered_cards=cards)

    async def _agree(self, who: str, numbers: list[int]) -> None:
        for obligation_id in numbers:
            await self._call(who, "countersign_reading", obligation_id=obligation_id, number=1)

    # --- what survives a restart of the crowd ---

    def _read_state(self) -> dict[str, Any] | None:
        path = self._folder / STATE_FILE
        found = json.loads(path.read_bytes()) if path.exists() else None
        assert found is None or isinstance(found, dict), f"{path} is damaged: remove it"
        return found

    def _save(self, plan: CrowdPlan) -> None:
        """Where it is, and the keys: whole or not at all."""
        write_secrets(self._folder / SECRETS_FILE, self._sessions.known)
        state = {
            "seed": plan.seed, "tasks": plan.tasks, "origin_ns": plan.origin_ns, "opened": self._opened,
            "rows": sorted(self._next_row.items()),
        }  # fmt: skip
        path = self._folder / STATE_FILE
        partial = path.with_name(f"{path.name}.tmp")
        partial.write_text(json.dumps(state), encoding="ascii")
        partial.replace(path)

    async def _now_ns(self) -> int:
        """The venue's time."""
        return (await self._sessions.operator.health()).ts_ns


def sender_of(command: Any) -> str:
    """Whose row it is."""
    name: str = command.task.participant if type(command) is SubmitTask else command.participant
    return name


def is_too_late(command: Any, now_ns: int) -> bool:
    """Whether a row of the past would only be refused: the crowd, or the server, was away meanwhile."""
    if type(command) is SubmitTask:
        return bool(command.task.deadline_ns <= now_ns)
    return type(command) is PlaceOffer and command.start_ns <= now_ns


def say(text: str) -> None:
    """A line for the server's log."""
    sys.stderr.write(f"crowd: {text}\n")
    sys.stderr.flush()


async def play(
    url: str, operator_key: str, folder: Path, *, seed: int, tasks: int, programs: tuple[str, ...] = ()
) -> None:  # fmt: skip
    """Until cancelled; a server that is away is waited for, with longer and longer pauses. programs: that work may run."""
    secrets = read_secrets(folder / SECRETS_FILE)
    sessions = Sessions(url, operator_key, label="demo crowd", known=secrets)
    agents = CrowdAgents(url, sessions, Measures(DEMO_VENUE), programs, say)
    crowd = Crowd(sessions, folder, seed=seed, tasks=tasks, agents=agents)
    wait_s = 0.0
    try:
        while True:
            try:
                await crowd.tick()
                wait_s = 0.0
            except NetworkError as error:
                if not wait_s:
                    say(f"waits for the server: {error}")
                wait_s = min(RETRY_MOST_S, 2 * wait_s or RETRY_FIRST_S)
            await asyncio.sleep(wait_s or TICK_S)
    finally:
        await agents.close()
        await sessions.close()


async def play_while_wanted(url: str, operator_key: str, arguments: argparse.Namespace) -> None:
    """Until SIGTERM, SIGINT, or until whoever started it is gone."""
    playing = asyncio.create_task(play(
        url, operator_key, arguments.folder, seed=arguments.seed, tasks=arguments.tasks, programs=tuple(arguments.program),
    ))  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, playing.cancel)
    parent = os.getppid()
    while not playing.done():
        await asyncio.wait((playing,), timeout=1)
        if os.getppid() != parent:
            playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing


def main() -> None:
    """The command line; exit code 2 where address or key are missing."""
    parser = argparse.ArgumentParser(prog="exchange.replay.crowd", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, required=True, help="where it keeps its keys and how far it is")
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="which day comes first")
    parser.add_argument("--tasks", type=int, default=DEMO_TASKS, help="tasks a day")
    parser.add_argument("--program", action="append", default=[], help="work of tasks may run this here; none by default")
    parser.add_argument("--url", default=os.environ.get("CPX_URL", ""), help="by default CPX_URL")
    arguments = parser.parse_args()
    key = os.environ.get("CPX_KEY", "")
    if not arguments.url or not key:
        parser.error("an address (--url or CPX_URL) and the operator's key (CPX_KEY) are needed")
    hide()  # the key is not for the work that we run
    try:
        asyncio.run(play_while_wanted(arguments.url, key, arguments))
    except OtherVenue as error:
        say(str(error))
        sys.exit(OTHER_VENUE)
    except AuthenticationError as error:
        say(f"the operator's key no longer opens: {error}")
        sys.exit(NO_PERMISSION)


if __name__ == "__main__":
    main()
