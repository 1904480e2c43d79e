"""How old the newest that is known of the exchange may be, by our own clock; without I/O.

A heartbeat says the exchange's wall clock, and it comes behind everything that was sent before it. To turn that into an age
the two clocks must be compared, and a message alone cannot do it: it may have been on its way for long. A question can. The
exchange read its clock after we asked, so `asked - server_ts` is never above the true difference of the clocks, and an age
counted from it is never too small, however late the wire is. It is asked again when heartbeats look old and once a minute,
since clocks drift and are set.
"""

import time
from collections.abc import Callable

from clients.times import NS_PER_S

ASK_EVERY_NS = 60 * NS_PER_S
MAX_WAITING_BEATS = 1


class Freshness:
    """Of one connection: `trouble` says why what came over it is not provably current."""

    def __init__(self, limit_s: float, local_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """limit_s: nothing older than this is current; local_ns: our clock, which is never set."""
        self._limit_s, self._limit_ns = limit_s, int(limit_s * NS_PER_S)
        self._local_ns = local_ns
        self.begin()

    def begin(self) -> None:
        """A new connection: nothing is known of it."""
        self._refusal = ""
        self._offset_ns: int | None = None  # our clock minus the exchange's, never above the truth
        self._asked_ns: int | None = None  # not answered yet
        self._compared_ns = self._heard_ns = self._server_ts_ns = 0
        self._waiting_beats = 0

    def refuse(self, why: str) -> None:
        """There will be no heartbeats."""
        self._refusal = why

    @property
    def must_ask(self) -> bool:
        """Whether the exchange should be asked for its time."""
        now_ns = self._local_ns()
        if self._asked_ns is not None and now_ns - self._asked_ns <= self._limit_ns:
            return False
        if self._offset_ns is None or now_ns - self._compared_ns > ASK_EVERY_NS:
            return True
        return self._age_ns(self._heard_ns, self._offset_ns) > self._limit_ns // 2

    def ask(self) -> int:
        """It is being asked now; what to hand to `answer`."""
        self._asked_ns = self._local_ns()
        return self._asked_ns

    def answer(self, asked_ns: int, server_ts_ns: int) -> None:
        """What time it was there when the question of asked_ns was read."""
        now_ns = self._local_ns()
        if asked_ns == self._asked_ns:
            self._asked_ns = None
        if now_ns - asked_ns <= self._limit_ns:  # a slower answer compares too badly to be of use
            self._offset_ns, self._compared_ns = asked_ns - server_ts_ns, now_ns

    def beat(self, server_ts_ns: int, queued: int) -> None:
        """A heartbeat: all that was sent before server_ts_ns is here, and `queued` more was to be sent."""
        self._heard_ns, self._server_ts_ns = self._local_ns(), server_ts_ns
        self._waiting_beats = self._waiting_beats + 1 if queued else 0
        if self._offset_ns is None:
            return
        age_ns = self._age_ns(self._heard_ns, self._offset_ns)
        if age_ns < -self._limit_ns // 2:
            self._offset_ns = None  # a clock was set, so the comparison is worth nothing
        elif age_ns < 0:
            self._offset_ns += age_ns  # clocks drift: nothing comes before it was sent

    @property
    def trouble(self) -> str:
        """Why nothing is provably current; "" where all is well."""
        now_ns, offset_ns = self._local_ns(), self._offset_ns
        if self._refusal:
            return f"the exchange gives no heartbeat ({self._refusal})"
        if not self._heard_ns:
            return "no heartbeat has come yet"
        if now_ns - self._heard_ns > self._limit_ns:
            return f"no heartbeat was heard for {self._limit_s} s"
        if offset_ns is None:
            return "it is not known yet how old it is"
        age_ns = self._age_ns(now_ns, offset_ns)
        if age_ns > self._limit_ns:
            return f"the wire is late: the newest heartbeat is {age_ns / NS_PER_S:.1f} s old"
        if self._waiting_beats > MAX_WAITING_BEATS:
            return "more is waiting for us at the exchange than comes through"
        return ""

    def _age_ns(self, at_ns: int, offset_ns: int) -> int:
        return at_ns - self._server_ts_ns - offset_ns
