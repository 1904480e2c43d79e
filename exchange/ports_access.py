"""What the doors need beside the engine: who asks, keys, budgets, report runs, live books. Shapes only, no code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from exchange.protocol.answers import Depth
from exchange.protocol.errors import DoorError
from exchange.protocol.operations import Operation


class Principal(NamedTuple):
    """Who asks: a key; participant "" = the operator's, which acts for anybody it names."""

    key_id: str
    participant: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as it is kept, without its secret; times are real, not the venue's; expires_ns 0 = never."""

    key_id: str
    participant: str
    scopes: tuple[str, ...]
    label: str
    created_ns: int
    expires_ns: int = 0
    is_revoked: bool = False


class Keys(Protocol):
    """Where keys are kept. Every method may be called from any thread; `find` must be cheap."""

    def create(
        self, participant: str, scopes: Sequence[str], label: str = "", expires_ns: int = 0
    ) -> tuple[KeyRow, str]:
        """A new key and its secret, which is shown this once."""
        ...

    def list(self, after: str = "", limit: int = 1000) -> Sequence[KeyRow]:
        """Keys by key_id, those behind `after`; revoked and expired ones too."""
        ...

    def revoke(self, key_id: str) -> KeyRow | None:
        """Ends a key at once; the key as it is now, None where there is none. Again changes nothing."""
        ...

    def find(self, secret: str) -> KeyRow | None:
        """The key of a secret; None where it is unknown, revoked or expired."""
        ...

    def is_alive(self, key_id: str) -> bool:
        """Whether a key that was found before still opens; asked for every frame of a socket."""
        ...


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report run: seq is the last command in it, files are names without folders, problem is for people."""

    report_id: str
    status: str  # running | ready | failed
    files: tuple[str, ...]
    seq: int
    problem: str = ""


class Reports(Protocol):
    """Where reports are made. Called from worker threads."""

    def start(self, seq: int) -> ReportRow:
        """Begins a run over everything up to seq; DoorError TOO_MANY_REQUESTS where enough run already."""
        ...

    def find(self, report_id: str) -> ReportRow | None:
        """How far a run is; None where there is none of that name."""
        ...

    def file(self, report_id: str, name: str) -> Path | None:
        """Where a file of a finished run is; None for everything that its `files` do not name."""
        ...


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A day of a channel as a file: how far it is; percent of the journal that was read, messages and bytes of a ready one."""

    status: str  # running | ready | none | failed
    percent: int = 0
    messages: int = 0
    size: int = 0
    problem: str = ""  # for people


class FeedHistory(Protocol):
    """Where days of channels are made and kept. Called from worker threads."""

    def look(self, day: str, channel: str, seq: int) -> HistoryRow:
        """How far the file is, whose making begins with the first question; the day is over by seq.

        DoorError TOO_MANY_REQUESTS where enough are being made.
        """
        ...

    def file(self, day: str, channel: str) -> Path | None:
        """Where a finished file is; None where it was not made."""
        ...


class Budgets(Protocol):
    """How often a principal may ask. On the loop only."""

    def take(self, principal: Principal, operation: Operation) -> DoorError | None:
        """None where it may, and one is used up; else what to answer, with retry_after_s."""
        ...

    def take_hours(self, principal: Principal, hours: int) -> DoorError | None:
        """The same for hours of an offer that are priced anew (RT8)."""
        ...

    def take_unreadable(self, principal: Principal, operation: Operation, count: int) -> DoorError | None:
        """The same for entries of a batch that could not be read."""
        ...

    def take_idle_cancel(self, principal: Principal) -> DoorError | None:
        """The same for a cancel of an order that is not open."""
        ...


class Depths(Protocol):
    """Live books whose seq is that of the socket's depth channel. On the loop only."""

    @property
    def is_broken(self) -> bool:
        """True after a fault of ours: nothing more is told until a new start."""
        ...

    def depth(self, instrument: str, levels: int) -> Depth:
        """A book now; DoorError NOT_FOUND for an instrument that is unknown or closed, BEHIND where it is broken."""
        ...

    def latest(self, channel: str, topic: str) -> tuple[Any, Any]:
        """(seq and ts_ns of the last look, all that the view showed); DoorError NOT_FOUND, BEHIND."""
        ...


class Stored(Protocol):
    """How far the tables are behind the market. On the loop only."""

    @property
    def offset(self) -> int:
        """Number of the last command that can be read."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing was stored lately; "" while all is well."""
        ...

    @property
    def is_behind(self) -> bool:
        """True when only a new start catches up."""
        ...

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Until everything up to seq can be read; False where that took too long."""
        ...
