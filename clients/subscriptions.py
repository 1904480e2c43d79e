"""All subscriptions of one socket: which to ask for, and what each message does to them; without I/O.

One instrument with a gap is asked for again alone; the others go on.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from clients.chain import Chain, Verdict
from clients.errors import CpxError, NotFound
from exchange.protocol.stream import Closed, Delta, Heartbeat, Snapshot, Subscribe, Subscribed


class Listener(Protocol):
    """Somebody who follows a subscription; called on the loop, in the order of the messages."""

    def on_snapshot(self, epoch: int, seq: int, data: Any) -> None:
        """Everything as of seq; replaces what there was."""

    def on_delta(self, epoch: int, seq: int, data: Any) -> None:
        """The next step."""

    def on_end_unseen(self) -> None:
        """The channel has ended while we were away: how, we were not told."""

    def on_change(self) -> None:
        """It became current, or no longer is; it was refused, or ended."""


class Subscription:
    """One channel of one instrument or participant, and those who follow it."""

    def __init__(self, channel: str, name: str) -> None:
        self.channel, self.name = channel, name
        self.chain = Chain()
        self.listeners: list[Listener] = []
        self.error: CpxError | None = None  # why the exchange does not have it
        self.was_live = False

    def request(self) -> Subscribe:
        """What to ask for, from our place on."""
        resume = self.chain.ask()
        epoch, seq = resume if resume is not None else (None, None)
        name = self.name or None
        is_user = self.channel == "user"
        return Subscribe(
            channel=self.channel, instrument=None if is_user else name, participant=name if is_user else None,
            epoch=epoch, from_seq=seq,
        )  # fmt: skip

    def tell_change(self) -> None:
        """Tells all listeners that the state has changed."""
        for listener in list(self.listeners):
            listener.on_change()


class Subscriptions:
    """The subscriptions of one socket; `ask` is called with each that must be asked for (again)."""

    def __init__(self, ask: Callable[[Subscription], None]) -> None:
        self._ask = ask
        self._all: dict[tuple[str, str], Subscription] = {}
        self.own = ""  # the participant of the key: the exchange names it where we said nothing

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._all.values()))

    def add(self, channel: str, name: str, listener: Listener) -> tuple[Subscription, bool]:
        """The subscription, and whether it is new and must be asked for."""
        found = self._all.get((channel, name))
        is_new = found is None
        if found is None:
            found = self._all[channel, name] = Subscription(channel, name)
        found.listeners.append(listener)
        return found, is_new

    def remove(self, subscription: Subscription, listener: Listener) -> bool:
        """Whether it was the last listener, so that the subscription is to be ended."""
        if listener in subscription.listeners:
            subscription.listeners.remove(listener)
        if subscription.listeners:
            return False
        return self._all.pop((subscription.channel, subscription.name), None) is not None

    def lost(self, why: str) -> None:
        """The connection is gone, or mute: nothing is current."""
        for each in self:
            each.chain.lost(why)
            each.tell_change()

    # --- what the exchange says ---

    def on_subscribed(self, subscription: Subscription, told: Subscribed) -> None:
        """The answer to a request of ours."""
        subscription.error = None
        self._after(subscription, subscription.chain.subscribed(told.epoch, told.seq, told.is_resumed))

    def on_refused(self, subscription: Subscription, error: CpxError) -> None:
        """There is no such channel, or not for us; or no more, where there was one: it has ended while we were away.

        Where there was one, a refusal that does not last only means that it is not current: it is to be asked for again.
        """
        if subscription.was_live and error.retryable:
            subscription.chain.lost(f"refused for now: {error}")
            subscription.tell_change()
            return
        if subscription.was_live and isinstance(error, NotFound) and subscription.channel != "user":
            for listener in list(subscription.listeners):
                listener.on_end_unseen()
        else:
            subscription.error = error
        subscription.chain.refused()
        subscription.tell_change()

    def on_snapshot(self, message: Snapshot) -> None:
        """Everything of one channel."""
        for each in self._named(message.channel, message.instrument):
            verdict = each.chain.snapshot(message.epoch, message.seq)
            if verdict is Verdict.APPLY:
                for listener in list(each.listeners):
                    listener.on_snapshot(message.epoch, message.seq, message.data)
            self._after(each, verdict)

    def on_delta(self, message: Delta) -> None:
        """One step of one channel."""
        for each in self._named(message.channel, message.instrument):
            was_current = each.chain.is_current
            verdict = each.chain.delta(message.epoch, message.seq, message.prev_seq)
            if verdict is Verdict.APPLY:
                for listener in list(each.listeners):
                    listener.on_delta(message.epoch, message.seq, message.data)
            if verdict is Verdict.GAP or was_current != each.chain.is_current:
                self._after(each, verdict)

    def on_heartbeat(self, message: Heartbeat) -> None:
        """How far every subscription should be."""
        for each in self:
            was_current = each.chain.is_current
            key = f"{each.channel} {each.name or (self.own if each.channel == 'user' else '')}".rstrip()
            verdict = each.chain.heartbeat(message.epoch, message.seqs.get(key))
            if verdict is Verdict.GAP or was_current != each.chain.is_current:
                self._after(each, verdict)

    def on_closed(self, message: Closed) -> None:
        """A channel has ended for good."""
        for each in self._named(message.channel, message.instrument):
            self._after(each, each.chain.closed())

    def _named(self, channel: str, name: str) -> Iterator[Subscription]:
        names = {name, ""} if channel == "user" and name == self.own else {name}
        return iter([found for each in sorted(names) if (found := self._all.get((channel, each))) is not None])

    def _after(self, subscription: Subscription, verdict: Verdict) -> None:
        subscription.was_live = subscription.was_live or subscription.chain.is_current
        subscription.tell_change()
        if verdict is Verdict.GAP:
            self._ask(subscription)
