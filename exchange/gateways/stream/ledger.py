"""Numbered commands: what became of each, kept by the name of a session and not by its connection.

A client that names its session at login may number its commands 1, 2, 3, …; when its connection breaks it logs in again
under the same name, reads how far the numbers came, and asks what became of those whose answers it never saw. All of it
lives in memory: after a restart of the server the numbers begin anew, and the client asks by its own order ids.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from exchange.protocol.answers import Ack
from exchange.protocol.answers_entry import BatchAnswer
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.stream import Fate, FateItem, Fates

FATES_KEPT = 1024  # of one session; an entry of a batch is one
FATES_A_PAGE = 256


class Ledger:
    """The numbered commands of one session."""

    __slots__ = ("_end", "_fates", "_kept", "last_n")

    def __init__(self) -> None:
        self.last_n = 0
        self._fates: OrderedDict[int, Fate] = OrderedDict()
        self._kept = 0  # entries in them
        self._end: Callable[[], None] | None = None  # of the connection that has the session

    @property
    def is_held(self) -> bool:
        """Whether a connection has the session now."""
        return self._end is not None

    def hold(self, end: Callable[[], None]) -> None:
        """A connection takes the session over; the one that had it is ended."""
        before, self._end = self._end, end
        if before is not None:
            before()

    def release(self, end: Callable[[], None]) -> None:
        """A connection has ended; another one may have the session already."""
        if self._end == end:
            self._end = None

    def begin(self, n: int, op: str) -> None:
        """The next number is used up; DoorError where it is not the next."""
        if n != self.last_n + 1:
            detail = f"the next number of this session is {self.last_n + 1}"
            raise DoorError(DoorReason.INVALID_FIELD, detail, field="n", hint="ask with `fate` what became of earlier ones")
        self.last_n = n
        self._keep(Fate(n=n, op=op, state="pending"))

    def settle(self, n: int, result: Any) -> None:
        """What became of a number."""
        before = self._fates.get(n)
        if before is None:
            return  # too long ago by now
        if isinstance(result, BatchAnswer):
            items = tuple(_item(each.error or each.ack) for each in result.items)
            self._keep(Fate(n=n, op=before.op, state="answered", items=items))
            return
        told = _item(result.problem() if isinstance(result, DoorError) else result)
        is_sure = not isinstance(result, DoorError) or result.problem().definite
        state = "unknown" if not is_sure else "refused" if isinstance(result, DoorError) else "answered"
        self._keep(Fate(n=n, op=before.op, state=state, seq=told.seq, status=told.status, reason=told.reason))

    def since(self, from_n: int) -> Fates:
        """What became of from_n and of what follows, as far back as it is kept."""
        first = next(iter(self._fates), self.last_n + 1)
        wanted = range(max(from_n, first), min(self.last_n, max(from_n, first) + FATES_A_PAGE - 1) + 1)
        return Fates(last_n=self.last_n, first_n=first, items=tuple(self._fates[n] for n in wanted))

    def _keep(self, fate: Fate) -> None:
        before = self._fates.get(fate.n)
        self._kept += max(1, len(fate.items)) - (max(1, len(before.items)) if before is not None else 0)
        self._fates[fate.n] = fate
        while self._kept > FATES_KEPT and len(self._fates) > 1:
            _, oldest = self._fates.popitem(last=False)
            self._kept -= max(1, len(oldest.items))


def _item(told: Any) -> FateItem:
    if isinstance(told, Ack):
        return FateItem(seq=told.seq, status=told.status, reason=told.reason)
    return FateItem(reason=told.reason)


class Ledgers:
    """Of all sessions that have a name."""

    def __init__(self, most_of_one: int) -> None:
        """most_of_one: names that are kept of one participant; beyond it the oldest that nobody uses is forgotten."""
        self._most = most_of_one
        self._of: dict[str, OrderedDict[str, Ledger]] = {}

    def open(self, participant: str, name: str) -> Ledger:
        """The ledger of a session; DoorError TOO_MANY_CONNECTIONS where all names are in use."""
        named = self._of.setdefault(participant, OrderedDict())
        found = named.get(name)
        if found is None:
            if len(named) >= self._most:
                unused = next((each for each, ledger in named.items() if not ledger.is_held), None)
                if unused is None:
                    raise DoorError(DoorReason.TOO_MANY_CONNECTIONS, "all names of sessions are in use", limit="sessions")
                del named[unused]
            found = named[name] = Ledger()
        named.move_to_end(name)
        return found
