"""Where a subscription stands in its channel: which message comes next, and whether what we have is provably current.

A state machine without I/O. The rules:

1. A snapshot replaces everything, unless it is older than what is known of the same epoch.
2. A delta is applied only if its prev_seq is our seq, in our epoch. One we have had is passed over; any other is a gap.
3. From a gap, a disconnect or silence on, nothing is current; the subscription is asked for again, from our place on. What
   still comes of the old subscription is passed over until the new one is answered.
4. After a resume the missed messages come first. It is current again once it is where the exchange said the channel was.
5. Every heartbeat says how far we should be. Further than we are: not current; still so at the next one: a gap. Somebody
   who asked or catches up, and gets nothing for three heartbeats, asks again.
"""

from enum import Enum

MAX_BEATS = 3


class Verdict(Enum):
    """What to do with a message."""

    APPLY = "apply"
    IGNORE = "ignore"
    GAP = "gap"  # something is missing: ask again


class State(Enum):
    """Where the subscription stands."""

    OUT = "not subscribed"
    ASKED = "subscribing"
    WAITING = "waiting for a snapshot"
    CATCHING_UP = "catching up"
    LIVE = "live"
    BEHIND = "behind the heartbeat"
    CLOSED = "closed"


class Chain:
    """The place of one subscription: epoch and seq of the last message that was applied."""

    def __init__(self) -> None:
        self.state = State.OUT
        self.epoch: int | None = None
        self.seq = 0
        self.why = "not subscribed yet"  # why it is not current
        self._target: int | None = None
        self._beats = 0

    @property
    def is_current(self) -> bool:
        """Whether everything that the exchange has said so far is in what we have."""
        return self.state in (State.LIVE, State.CLOSED)

    def lost(self, why: str) -> None:
        """The connection is gone, or mute."""
        if self.state is not State.CLOSED:
            self._to(State.OUT, why)

    def forget(self, why: str) -> None:
        """What we have is wrong, whatever its number: only a new snapshot helps."""
        self.epoch, self.seq = None, 0
        self._to(State.OUT, why)

    def ask(self) -> tuple[int, int] | None:
        """The subscription is being asked for: (epoch, seq) to go on from, or None for a snapshot."""
        self._to(State.ASKED, self.why if self.state is State.OUT else "a message is missing")
        return None if self.epoch is None else (self.epoch, self.seq)

    def subscribed(self, epoch: int, seq: int, is_resumed: bool) -> Verdict:
        """The exchange has answered."""
        if self.state is not State.ASKED:
            return Verdict.IGNORE
        if not is_resumed:
            self._to(State.WAITING, "the snapshot is not here yet")
            return Verdict.IGNORE
        if epoch != self.epoch:
            return self._gap("resumed in another epoch")
        if seq == self.seq:
            self._to(State.LIVE, "")
        elif seq > self.seq:
            self._to(State.CATCHING_UP, "missed messages are on their way")
            self._target = seq
        return Verdict.IGNORE  # a seq behind us answers an older request of ours; the right answer is still to come

    def snapshot(self, epoch: int, seq: int) -> Verdict:
        """Everything as of seq."""
        if self.state in (State.OUT, State.ASKED, State.CLOSED):
            return Verdict.IGNORE
        if self.epoch is not None and (epoch < self.epoch or (epoch == self.epoch and seq < self.seq)):
            return Verdict.IGNORE
        self.epoch, self.seq = epoch, seq
        self._to(State.LIVE, "")
        return Verdict.APPLY

    def delta(self, epoch: int, seq: int, prev_seq: int) -> Verdict:
        """The step from prev_seq to seq."""
        if self.state in (State.OUT, State.ASKED, State.WAITING, State.CLOSED):
            return Verdict.IGNORE
        if epoch == self.epoch and seq <= self.seq:
            return Verdict.IGNORE
        if epoch != self.epoch or prev_seq != self.seq or seq <= prev_seq:
            return self._gap(f"message {self.seq + 1} did not come")
        self.seq = seq
        self._beats = 0
        if self._target is not None and self.seq >= self._target:
            self._to(State.LIVE, "")
        return Verdict.APPLY

    def heartbeat(self, epoch: int, seq: int | None) -> Verdict:
        """The exchange has sent us everything up to seq (None: it does not know the subscription)."""
        if self.state in (State.OUT, State.CLOSED):
            return Verdict.IGNORE
        if self.state in (State.ASKED, State.WAITING):
            return self._waited("the subscription was not answered")
        if epoch != self.epoch:
            return self._gap("the exchange has restarted")
        if self.state is State.LIVE:
            if seq is None or seq > self.seq:
                self._to(State.BEHIND, f"the exchange is at message {seq}, we are at {self.seq}")
                self._target, self._beats = seq, 1
            return Verdict.IGNORE
        return self._waited(f"message {self.seq + 1} did not come", after=2 if self.state is State.BEHIND else MAX_BEATS)

    def closed(self) -> Verdict:
        """The channel has ended for good, at the place where we are."""
        if self.state in (State.OUT, State.ASKED):
            return Verdict.IGNORE
        self._to(State.CLOSED, "")
        return Verdict.APPLY

    def refused(self) -> None:
        """There is no such channel any more."""
        self._to(State.CLOSED, "")

    def _waited(self, why: str, after: int = MAX_BEATS) -> Verdict:
        self._beats += 1
        return self._gap(why) if self._beats >= after else Verdict.IGNORE

    def _gap(self, why: str) -> Verdict:
        self._to(State.OUT, why)
        return Verdict.GAP

    def _to(self, state: State, why: str) -> None:
        self.state, self.why, self._target, self._beats = state, why, None, 0
