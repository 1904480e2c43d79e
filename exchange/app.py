"""Puts the exchange together: the only module that names concrete adapters."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matching_core
from exchange.adapters.journal_file import JournalFile, SnapshotFolder, locate, open_log, read_commands
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.recovery import LoggedCommand
from exchange.engine.sequencer import Answer, Machine, Sequencer
from exchange.ports import Sink


class OtherInputs(Exception):
    """The journal in this folder was made from other files, settings or seed than the ones given now."""

    exit_code = 65


def open_folder(folder: Path, sinks: Iterable[Sink] = ()) -> "Run":
    """A run folder, new or one that a killed run left behind; JournalError where its journal must not be continued."""
    log = open_log(folder)
    logged = list(read_commands(folder)) if log.next_seq > 1 else []
    return Run(folder, log, logged, tuple(sinks))


class Run:
    """A venue on a folder: commands that the journal holds already are answered from it, later ones are appended.

    Whoever drives a run sends the same commands again from the first on; one that differs is `OtherInputs`. The desk
    adds its own between them, at the same places as it does in a live venue.
    """

    def __init__(self, folder: Path, log: JournalFile, logged: Sequence[LoggedCommand], sinks: tuple[Sink, ...]) -> None:
        self.venue = Venue()
        self.resumed_commands = len(logged)
        self._desk = Desk(self.venue)
        self._folder, self._log, self._logged, self._sinks = folder, log, logged, (self._desk.on_command, *sinks)
        self._machine = Machine(self.venue)
        self._sequencer: Sequencer | None = None

    def submit(self, commands: Sequence[Any]) -> list[Answer]:
        """One answer per command; durable when this returns, with what the desk makes of them."""
        answers: list[Answer] = []
        begin = 0
        while begin < len(commands):
            ends = (place + 1 for place in range(begin, len(commands)) if self._desk.ends_frame(commands[place]))
            end = next(ends, 0)
            answers += self._pass_on(commands[begin : end or len(commands)])
            if end:
                self._pass_on(self._desk.due(self.venue.now_ns))
            begin = end or len(commands)
        return answers

    def _pass_on(self, commands: Sequence[Any]) -> list[Answer]:
        answers = []
        done = 0
        while done < len(commands) and self._machine.seq < len(self._logged):
            answers.append(self._answer_from_log(commands[done]))
            done += 1
        if done < len(commands):
            answers += self._live().submit(commands[done:])
        return answers

    def _answer_from_log(self, command: Any) -> Answer:
        logged = self._logged[self._machine.seq]
        if logged.command != command:
            raise OtherInputs(
                f"command {logged.seq} in the journal of {self._folder} is {_short(logged.command)}, the inputs now say "
                f"{_short(command)}: resume with the same files, options and seed, or choose another --out"
            )
        events = self._machine.apply(logged.record, command)
        for sink in self._sinks:
            sink(self._machine.seq, self.venue.now_ns, command, events)
        return Answer(self._machine.seq, events, self.venue.now_ns)

    def _live(self) -> Sequencer:
        if self._sequencer is None:
            store = SnapshotFolder(
                locate(self._folder).snapshots, self._log.exchange_id, Venue.restore, build=matching_core.IMPLEMENTATION
            )
            self._sequencer = Sequencer(
                self.venue, self._log, self._sinks, first_seq=self._machine.seq + 1,
                event_hash=self._machine.event_hash, snapshots=store,
            )  # fmt: skip
        return self._sequencer

    def finish(self) -> None:
        """To be called when every command has been sent: OtherInputs where the journal holds more than those."""
        if self._machine.seq < len(self._logged):
            raise OtherInputs(
                f"the journal of {self._folder} holds {len(self._logged)} commands, the inputs now make only "
                f"{self._machine.seq}: resume with the same files, options and seed, or choose another --out"
            )

    @property
    def seq(self) -> int:
        """Number of the last applied command."""
        return self._sequencer.seq if self._sequencer else self._machine.seq

    @property
    def problems(self) -> list[str]:
        """What went wrong beside the venue: a stopped sink, a snapshot that did not come to count."""
        return self._sequencer.problems if self._sequencer else []

    def close(self) -> None:
        """Lets the folder go; with a last snapshot where everything in the journal has been applied."""
        if self._sequencer or self._machine.seq == len(self._logged):
            self._live().close()
        else:
            self._log.close()


def _short(command: Any) -> str:
    text = repr(command)
    return text if len(text) <= 120 else text[:117] + "..."
