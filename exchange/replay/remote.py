"""A market day through the doors: a real server in a process of its own, every participant on a socket with his own key.

The commands and their order are those of the file replay: the next one is sent when the one before is answered. When the
day is over the server stops, and the ordinary replay runs over its journal: it compares every command there with what the
day says, and writes the same result files.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from clients import AsyncClient
from clients.errors import ExchangeError
from clients.twin import Runner
from exchange.adapters.exporters.summary import SUMMARY_FILE, write_json
from exchange.domain.commands import SubmitTask
from exchange.domain.events import Refused
from exchange.domain.venue import reference_of
from exchange.protocol.measures import Measures
from exchange.protocol.operations import OPERATIONS
from exchange.protocol.to_command import from_command
from exchange.replay.driver import DayRefused, Driver, Progress
from exchange.replay.market_day import MarketDay
from exchange.replay.run import Faulty, RunOptions, keep_order, run_day
from exchange.replay.sessions import TOO_LONG_FOR_A_FRAME, Sessions
from exchange.replay.view import Due, OpenWork
from exchange.testing.server import Server

NO_LIMIT = 1_000_000  # the day's rows are all there at once: whoever sends them is no flood
SERVER_OPTIONS = ("--clock", "manual", "--allow-reference") + tuple(
    word
    for name in ("order_rate", "order_burst", "read_rate", "read_burst", "frame_rate", "frame_burst")
    for word in ("--limit", f"{name}={NO_LIMIT}")
)
LABEL = "replay"
WINDOW = 64  # requests of one session under way


class RemoteAnswer(NamedTuple):
    """What the driver reads of an answer: the refusal, where it was one."""

    events: Sequence[Any]


class Request(NamedTuple):
    """A command, and what it is at the doors."""

    command: Any
    operation: str
    arguments: Any


class RemoteMarket:
    """Sends commands of the venue through the doors, and asks there what the driver wants to know (a View)."""

    def __init__(self, sessions: Sessions, measures: Measures) -> None:
        self._sessions, self._measures = sessions, measures
        self._runner = Runner()

    def submit(self, commands: Sequence[Any]) -> list[RemoteAnswer]:
        """One answer per command, in order; each is sent when the one before is answered."""
        return self._runner.run(self._submit(commands))

    def due_in(self, period_start_ns: int) -> list[Due]:
        """Every open obligation of the period that starts then, by number."""
        found = self._runner.run(self._sessions.operator.due(self._measures.time_text(period_start_ns)))
        lots = self._measures.lots
        return [Due(due.obligation_id, due.seller, due.buyer, due.site, lots(format(due.cards, "f"))) for due in found]

    def open_work(self) -> OpenWork:
        """What is open now."""
        found = self._runner.run(self._sessions.operator.activity())
        return OpenWork(
            bool(found.obligations), bool(found.orders), bool(found.tasks), bool(found.offers),
            found.earliest_death_ns or 0,
        )  # fmt: skip

    def state_hash(self) -> str:
        """Of the venue behind the doors, hexadecimal."""
        return self._runner.run(self._sessions.operator.state()).state_hash

    def close(self) -> None:
        """Closes every session."""
        self._runner.run(self._sessions.close())
        self._runner.stop()

    async def _submit(self, commands: Sequence[Any]) -> list[RemoteAnswer]:
        """What stands together and comes from one participant goes out at once, in order; else one waits for the other."""
        answers: list[RemoteAnswer] = []
        requests = [Request(command, *from_command(command, self._measures)) for command in commands]
        for (who, _), together in groupby(requests, key=session_of):
            group = list(together)
            client = await self._sessions.for_operation(who, group[0].operation)
            for begin in range(0, len(group), WINDOW):
                sent = [self._send(client, request) for request in group[begin : begin + WINDOW]]
                answers += await asyncio.gather(*sent)
        return answers

    async def _send(self, client: AsyncClient, request: Request) -> RemoteAnswer:
        command, operation, arguments = request
        try:
            ack = await client.try_command(operation, **msgspec.structs.asdict(arguments))
        except ExchangeError as error:
            what = f"{type(command).__name__} {reference_of(command)}".rstrip()
            raise DayRefused(f"a door refused {what}: {error}; mend the inputs") from error
        if ack.status not in ("REJECTED", "DENIED"):
            return RemoteAnswer(())
        told = Refused(type(command).__name__, reference_of(command), ack.code, ack.reason, ack.message, ack.hint)
        return RemoteAnswer((told,))


def session_of(request: Request) -> tuple[str, bool]:
    """(participant, whether it needs REST): requests of one such session keep their order by themselves."""
    return sender(request.operation, request.command), request.operation in TOO_LONG_FOR_A_FRAME


def sender(operation: str, command: Any) -> str:
    """Whose key a command comes with: his own, or "" for the operator."""
    if OPERATIONS[operation].scope == "operate":
        return ""
    name: str = command.task.participant if type(command) is SubmitTask else command.participant
    return name


def run_via_sockets(day: MarketDay, options: RunOptions, on_progress: Callable[[Progress], None]) -> dict[str, Any]:
    """Runs a day through a server on the folder; writes every result file; the summary as written to summary.json.

    Faulty where the server's journal or state is not what the day says; CpxError where the doors fail.
    """
    started = time.perf_counter()
    keep_order(options, is_resumed=False)
    server = Server(options.out, SERVER_OPTIONS, log=options.out / "serve.log").start()
    try:
        market = RemoteMarket(Sessions(server.url, server.operator_key, label=LABEL, valid_for_s=None), Measures(day.settings))
        try:
            driver = Driver(day, market, market.submit, seed=options.seed, shortfall_ppm=options.shortfall_ppm)
            for progress in driver.run():
                on_progress(progress)
            state_hash = market.state_hash()
        finally:
            market.close()
    finally:
        code = server.stop()
    if code != 0:
        raise Faulty(f"the server ended with code {code}: {server.log[-500:].strip()}")
    traded_s = time.perf_counter() - started
    summary = run_day(day, options, lambda _: None)
    if summary["resumed_commands"] != summary["commands"] or summary["state_hash"] != state_hash:
        raise Faulty(
            f"the server came to {summary['resumed_commands']} commands and state {state_hash}, the day has "
            f"{summary['commands']} and {summary['state_hash']}: this is a fault of CPX, please report it"
        )
    summary |= {"via": "sockets", "resumed_commands": 0, "market_s": round(traded_s, 3)}
    summary |= {"wall_s": round(time.perf_counter() - started, 3), "tasks_per_s": round(summary["tasks"] / traded_s, 1)}
    write_json(options.out / SUMMARY_FILE, summary)
    return summary
