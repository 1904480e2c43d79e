"""A small exchange's depth channel with a bad wire in between, in memory: what the book is compared with.

The wire may lose, double and reorder messages, the exchange may merge steps, restart and forget its past. Everything the
exchange ever was is kept in `truth` by (epoch, seq).
"""

from __future__ import annotations

import threading
from decimal import Decimal
from itertools import zip_longest
from typing import Any
from zlib import crc32

import msgspec

from clients.book import AsyncBook
from clients.levels import Measures
from clients.models import Level
from clients.subscriptions import Subscription, Subscriptions
from exchange.protocol.stream import Delta, Heartbeat, Snapshot, Subscribed

NAME = "A910B/gansu-qingyang/L10/grid/20261124T08"
MEASURES = Measures(Decimal(1), Decimal(1))
Truth = tuple[tuple[Level, ...], tuple[Level, ...]]


class World:
    """Exchange, wire and the reading side; it is the book's feed as well."""

    def __init__(self, kept: int = 4) -> None:
        self.failed = None
        self.trouble = ""
        self.staleness_s = 3.0
        self.lock = threading.RLock()
        self.kept = kept  # steps that a resume can reach back to
        self.epoch, self.seq = 1, 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.past: list[tuple[int, Any]] = []
        self.truth: dict[tuple[int, int], Truth] = {}
        self.wire: list[Any] = []
        self.sent_seq: int | None = None  # of the subscription at the exchange; None = it has none
        self.asks_made = self.resumes = 0
        self.subscriptions = Subscriptions(self.ask)
        self.keep_truth()
        self.others: list[AsyncBook] = []
        self.book = AsyncBook(self, NAME, "depth", MEASURES)  # type: ignore[arg-type]

    # --- the exchange ---

    def keep_truth(self) -> None:
        def side(levels: dict[int, int], *, best_last: bool) -> tuple[Level, ...]:
            return tuple(Level(Decimal(p), Decimal(levels[p])) for p in sorted(levels, reverse=best_last))

        self.truth[self.epoch, self.seq] = (side(self.bids, best_last=True), side(self.asks, best_last=False))

    def trade(self, is_bid: bool, price: int, cards: int, *, is_sent: bool = True) -> None:
        """One change of one level; bids are below 10, asks above."""
        side, price = (self.bids, price) if is_bid else (self.asks, price + 10)
        if side.get(price, 0) == cards:
            return
        if cards:
            side[price] = cards
        else:
            side.pop(price)
        self.seq += 1
        pairs = ((str(price), str(cards)),)
        self.past = [*self.past, (self.seq, (pairs if is_bid else (), () if is_bid else pairs))][-self.kept :]
        self.keep_truth()
        if is_sent:
            self.send_what_is_new()

    def send_what_is_new(self) -> None:
        """All steps that were not sent, as one delta; a snapshot where they are no longer there."""
        if self.sent_seq is None or self.sent_seq == self.seq:
            return
        missed = [data for seq, data in self.past if seq > self.sent_seq]
        if len(missed) < self.seq - self.sent_seq:
            self.send_snapshot()
            return
        bids, asks = dict(p for data in missed for p in data[0]), dict(p for data in missed for p in data[1])
        data = {"bids": tuple(bids.items()), "asks": tuple(asks.items()), "checksum": self.checksum()}
        self.wire.append(
            Delta(
                channel="depth", instrument=NAME, epoch=self.epoch, seq=self.seq, prev_seq=self.sent_seq, ts_ns="0", data=data
            )
        )
        self.sent_seq = self.seq

    def send_snapshot(self) -> None:
        """Everything as it is now."""
        data = {
            "bids": tuple((str(p), str(c)) for p, c in self.bids.items()),
            "asks": tuple((str(p), str(c)) for p, c in self.asks.items()),
            "checksum": self.checksum(),
        }
        self.wire.append(
            Snapshot(channel="depth", instrument=NAME, epoch=self.epoch, seq=self.seq, ts_ns="0", data=data)
        )
        self.sent_seq = self.seq

    def checksum(self) -> int:
        """Of the book as it is, by the rule of the protocol's page."""
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        words = [f"{price}:{cards}" for pair in zip_longest(bids, asks) for price, cards in filter(None, pair)]
        return crc32(":".join(words).encode())

    def corrupt(self) -> None:
        """A number of the next message is another one when it arrives."""
        for place, message in enumerate(self.wire):
            data = getattr(message, "data", None)
            for side in ("bids", "asks"):
                if data and data[side] and data[side][0][1] != "0":
                    (price, cards), *rest = data[side]
                    changed = {**data, side: ((price, str(int(cards) + 1)), *rest)}
                    self.wire[place] = msgspec.structs.replace(message, data=changed)
                    return

    def beat(self) -> None:
        """A heartbeat, behind everything that was sent."""
        seqs = {} if self.sent_seq is None else {f"depth {NAME}": self.sent_seq}
        queued = int(self.sent_seq is not None and self.sent_seq < self.seq)
        self.wire.append(
            Heartbeat(epoch=self.epoch, seq=0, ts_ns="0", server_ts_ns="0", seqs=seqs, queued=queued)
        )

    def restart(self) -> None:
        """SIGKILL and a new start: the book comes back, the channel's numbers and past do not."""
        self.epoch, self.seq, self.past = self.epoch + 1, 0, []
        self.keep_truth()
        self.disconnect()

    def fail_over(self) -> None:
        """Another epoch on the same connection: the numbers begin again, and steps follow on them."""
        self.epoch, self.seq, self.past = self.epoch + 1, 0, []
        if self.sent_seq is not None:
            self.sent_seq = 0
        self.keep_truth()

    def disconnect(self) -> None:
        """The connection is cut and made anew."""
        self.wire.clear()
        self.sent_seq = None
        self.subscriptions.lost("disconnected")
        for subscription in self.subscriptions:
            self.ask(subscription)

    # --- the book's feed ---

    def follow(self, channel: str, name: str, listener: Any) -> Subscription:
        subscription, is_new = self.subscriptions.add(channel, name, listener)
        if is_new:
            self.ask(subscription)
        return subscription

    def watch_again(self) -> None:
        """Somebody else watches the same book, on the same subscription."""
        self.others.append(AsyncBook(self, NAME, "depth", MEASURES))  # type: ignore[arg-type]

    def ask_anew(self, subscription: Subscription) -> None:
        subscription.chain.forget("asked anew")
        self.ask(subscription)

    def ask(self, subscription: Subscription) -> None:
        """The request reaches the exchange at once; its answer takes the wire."""
        self.asks_made += 1
        wanted = subscription.request()
        since = wanted.from_seq
        is_resumed = wanted.epoch == self.epoch and since is not None and 0 <= self.seq - since <= len(self.past)
        told = Subscribed(
            channel="depth", instrument=NAME, epoch=self.epoch, seq=self.seq, is_resumed=is_resumed
        )  # fmt: skip
        self.resumes += is_resumed
        self.wire.append(told)
        if is_resumed and since is not None:
            self.sent_seq = since
            self.send_what_is_new()
        else:
            self.send_snapshot()

    # --- the reading side ---

    def deliver(self, place: int = 0) -> None:
        """One message arrives."""
        if not self.wire:
            return
        message = self.wire.pop(place % len(self.wire))
        kind = type(message)
        if kind is Subscribed:
            for subscription in self.subscriptions:
                self.subscriptions.on_subscribed(subscription, message)
        elif kind is Snapshot:
            self.subscriptions.on_snapshot(message)
        elif kind is Delta:
            self.subscriptions.on_delta(message)
        else:
            self.subscriptions.on_heartbeat(message)

    def deliver_all(self) -> None:
        """Everything that is on the wire, in order."""
        while self.wire:
            self.deliver()
