"""Proves the published fixes of a journal: as its commands are applied again, each SetFix is made anew and compared.

What is due is made at every stop, as the desk does. A fix that is not the one that was due there is made again from the
venue as it stands right before it: a server that was killed between two fixes of one stop makes the rest after its start.

A fix whose inputs_hash is no hash at all claims nothing: an operator has set it by hand, and it is listed as such.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exchange.domain.commands import SetFix
from exchange.domain.events import FixSet
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.fixer import Work

_HASH = re.compile(r"[0-9a-f]{32}")  # as `fix_text` makes it


@dataclass(frozen=True, slots=True)
class ByHand:
    """A fix that an operator has set himself; nothing says what it was made from but his own words."""

    seq: int
    command: SetFix


@dataclass(frozen=True, slots=True)
class Difference:
    """One fix that the journal does not prove; `published` or `recomputed` is None where there is no such fix."""

    seq: int  # of the SetFix, or of the command that came where one was due
    instrument: str
    published: SetFix | None
    recomputed: SetFix | None

    @property
    def what(self) -> tuple[str, ...]:
        """Which parts differ; `missing`: due and not published; `not due`: nothing in the journal gives this fix."""
        if self.published is None:
            return ("missing",)
        if self.recomputed is None:
            return ("not due",)
        names = {"price": "price_micro", "grade": "grade", "hash": "inputs_hash"}
        return tuple(word for word, name in names.items() if getattr(self.published, name) != getattr(self.recomputed, name))


class FixProof:
    """Follows a replay; give it every command before (`before`) and after (`after`) it is applied."""

    def __init__(self, venue: Venue) -> None:
        self._venue, self._desk = venue, Desk(venue)
        self._due: dict[str, Work] = {}  # of the last stop, not published yet
        self._next: Work | None = None  # for the SetFix that is being applied
        self.proven = 0
        self.remade = 0  # how often the rest was made after a start instead of at its stop
        self.grades: dict[str, int] = {}
        self.methods: dict[str, int] = {}
        self.by_hand: list[ByHand] = []
        self.differences: list[Difference] = []
        self.last: Work | None = None  # what the last published fix was made from, where it is proven

    def before(self, seq: int, command: Any) -> bool:
        """To be called before a command is applied; whether it will end a frame of the desk."""
        self._next = None
        if type(command) is SetFix:
            self._next = self._work(command) if _claims(command) else None
        else:
            self.differences += [Difference(seq, code, None, work.command) for code, work in self._due.items()]
            self._due.clear()
        return self._desk.ends_frame(command)

    def after(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any], is_stop: bool) -> None:
        """To be called with what came of it."""
        self._desk.on_command(seq, ts_ns, command, events)
        self.last = None
        if type(command) is SetFix and any(type(event) is FixSet for event in events):
            if _claims(command):
                self._compare(seq, command)
            else:
                self._due.pop(command.instrument, None)
                self.by_hand.append(ByHand(seq, command))
        if is_stop:
            self._due = {work.command.instrument: work for work in self._desk.fixes_due(self._venue.now_ns)}

    @property
    def cut_off(self) -> list[str]:
        """Instruments whose fix was due when the journal ended."""
        return list(self._due)

    def _work(self, command: SetFix) -> Work | None:
        """What this fix is to be held against."""
        if self._venue.state.settings is None:
            return None
        due = self._due.pop(command.instrument, None)
        if due is not None and due.command == command:
            return due
        anew = {work.command.instrument: work for work in self._desk.fixes_at_start(self._venue.now_ns)}
        other = anew.pop(command.instrument, None)
        if other is not None and other.command == command:
            self.remade += 1
            self._due = anew
            return other
        return due or other

    def _compare(self, seq: int, command: SetFix) -> None:
        work = self._next
        if work is None or work.command != command:
            self.differences.append(Difference(seq, command.instrument, command, work.command if work else None))
            return
        self.proven += 1
        self.grades[command.grade] = self.grades.get(command.grade, 0) + 1
        self.methods[work.found.method] = self.methods.get(work.found.method, 0) + 1
        self.last = work


def _claims(command: SetFix) -> bool:
    """Whether a fix says that it was made from the journal."""
    return _HASH.fullmatch(command.inputs_hash) is not None
