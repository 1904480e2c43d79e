"""The venue's feeds as a worker has them: each comes over the link once, whoever and however many follow it here.

A feed is asked for when its first reader comes and given back when the last one has been gone for a while. Its past, its
snapshot and both formats are kept and made here, so no client of a worker costs the venue anything.
"""

from asyncio import Future, gather, get_running_loop
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from exchange.engine.feed_source import NotYet, OnOpened, market_stopped
from exchange.engine.feeds import Feed, Shelf
from exchange.protocol import stream as s
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.formats import MSGPACK, encode_again
from exchange.workers import frames as f
from exchange.workers.folding import data_of, fold, merge

ROOM_UNITS = 400_000  # of past of all feeds together; a unit is UNIT_BYTES
UNIT_BYTES = 256
FOLD_AT = 256  # steps behind a snapshot before it is brought up to date
IDLE_S = 10  # a feed that nobody follows is kept for so long
REFUSED_S = 1.0  # so long a refusal stands without another question
MOST_REFUSED = 1024
PRIVATE = "user"


class MirrorFeed(Feed):
    """A feed whose steps come as deltas in MessagePack: the data of a step is the whole delta."""

    __slots__ = ("_base", "_unfolded", "idle_s", "number")

    def __init__(self, opened: f.Opened, epoch: int, shelf: Shelf) -> None:
        joined = partial(merge, opened.channel) if opened.is_merged else None
        super().__init__(opened.channel, opened.name, epoch, shelf, joined)
        self.number, self.idle_s = opened.number, 0
        self._base: Any = data_of(opened.channel, opened.snapshot)
        self._unfolded: list[bytes] = []
        self.seq = opened.seq - len(opened.past)
        for ts_ns, delta in opened.past:
            self.publish(ts_ns, delta, 1 + len(delta) // UNIT_BYTES)

    def step(self, seq: int, ts_ns: int, delta: bytes) -> None:
        """The venue's next step."""
        assert seq == self.seq + 1, f"{self.channel} {self.name}: step {seq} behind {self.seq}"
        if self.merge is not None:
            self._unfolded.append(delta)
            if len(self._unfolded) >= FOLD_AT:
                self.everything()
        self.publish(ts_ns, delta, 1 + len(delta) // UNIT_BYTES)

    def everything(self) -> Any:
        """The data of a snapshot as of the last step."""
        if self._unfolded:
            steps, self._unfolded = self._unfolded, []
            self._base = fold(self.channel, self._base, steps)
        return self._base

    def delta_payload(self, prev_seq: int, seq: int, ts_ns: int, data: Any, fmt: int) -> bytes:
        """A delta of this feed: as it came, or made of several."""
        if type(data) is bytes:
            return data if fmt == MSGPACK else encode_again(fmt, data)
        return super().delta_payload(prev_seq, seq, ts_ns, data, fmt)


class MirrorMarket:
    """A `FeedSource` over the link. On the worker's loop only."""

    def __init__(self, hello: f.Hello, write: Callable[[bytes], None], room: int = ROOM_UNITS) -> None:
        """write: sends a frame to the venue."""
        self.epoch, self.seq = hello.epoch, hello.seq
        self.on_fault: Callable[[], None] | None = None
        self._is_broken = False  # the venue tells nothing more: what is here must not be told as if the market were quiet
        self._now_ns, self._main_url = hello.ts_ns, hello.main_url
        self._write, self._shelf = write, Shelf(room)
        self._feeds: dict[tuple[str, str], MirrorFeed] = {}
        self._numbered: dict[int, MirrorFeed] = {}
        self._asked: dict[int, tuple[tuple[str, str], Future[None]]] = {}
        self._waiting: dict[tuple[str, str], Future[None]] = {}
        self._refused: dict[tuple[str, str], tuple[DoorError, float]] = {}
        self._names: dict[tuple[str, str], tuple[tuple[str, ...], float]] = {}
        self._joining: dict[str, dict[OnOpened, tuple[str, str]]] = {}  # by family; channel, and what is behind a code
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._feeds)

    # --- asked by the door ---

    @property
    def now_ns(self) -> int:
        """The venue's time, as it last said."""
        return self._now_ns

    def feed(self, channel: str, name: str) -> Feed:
        """The feed of a channel; NotYet while the venue has not answered, DoorError where it has said no."""
        if channel == PRIVATE:
            raise feed_only(self._main_url)
        self._refuse_if_broken()
        topic = (channel, name)
        known = self._feeds.get(topic)
        if known is not None:
            known.idle_s = 0
            return known
        refused = self._refused.get(topic)
        if refused is not None and get_running_loop().time() < refused[1]:
            raise refused[0]
        siblings = next((names for (of, _), (names, _) in self._names.items() if of == channel and name in names), (name,))
        raise NotYet(self._fetch([(channel, each) for each in siblings]))

    def expand(self, channel: str, pattern: str) -> tuple[str, ...]:
        """The names that a pattern stands for now; NotYet, DoorError as `feed`."""
        self._refuse_if_broken()
        topic, now_s = (channel, pattern), get_running_loop().time()
        known = self._names.get(topic)
        if known is not None and now_s < known[1]:
            return known[0]
        refused = self._refused.get(topic)
        if refused is not None and now_s < refused[1]:
            raise refused[0]
        raise NotYet(self._waiting.get(topic) or self._ask(f.EXPAND, topic))

    def join(self, channel: str, pattern: str, listener: OnOpened) -> None:
        """`listener(family, codes)` is called with the codes of instruments that open from now on; `expand` came first."""
        family, _, tail = pattern.rpartition("/*")
        self._joining.setdefault(family, {})[listener] = (channel, tail)

    def leave(self, channel: str, pattern: str, listener: OnOpened) -> None:
        """The end of `join`."""
        self._joining.get(pattern.rpartition("/*")[0], {}).pop(listener, None)

    def snapshot_payload(self, feed: Feed, fmt: int) -> bytes:
        """Everything of a feed as of its seq, made once in a format for everybody who asks at the same seq."""
        assert isinstance(feed, MirrorFeed)
        return feed.snapshot_payload((feed.seq, feed.is_closed), fmt, partial(self._snapshot, feed))

    def look(self) -> None:
        """Once a second: gives back what nobody has followed for a while."""
        for topic, feed in list(self._feeds.items()):
            feed.idle_s = 0 if feed.listeners else feed.idle_s + 1
            if feed.idle_s > IDLE_S:
                self._forget(topic, feed)
                self._write(f.frame(f.DROP, feed.number))

    # --- told by the venue ---

    def on_opened(self, opened: f.Opened) -> None:
        """What was asked for."""
        feed = MirrorFeed(opened, self.epoch, self._shelf)
        self._feeds[opened.channel, opened.name] = self._numbered[opened.number] = feed
        self._answered(opened.number)

    def on_refused(self, refused: f.Refused) -> None:
        """What was asked for is not to be had."""
        number = refused.number
        no = DoorError(
            DoorReason(refused.reason), refused.detail, field=refused.field, limit=refused.limit, hint=refused.hint,
            retry_after_s=refused.retry_after_s,
        )  # fmt: skip
        if len(self._refused) >= MOST_REFUSED:
            self._refused.clear()
        self._refused[self._asked[number][0]] = (no, get_running_loop().time() + REFUSED_S)
        self._answered(number)

    def on_step(self, number: int, seq: int, ts_ns: int, delta: bytes) -> None:
        """A feed has a step more; nothing where it has been given back meanwhile."""
        feed = self._numbered.get(number)
        if feed is not None:
            feed.step(seq, ts_ns, delta)

    def on_ended(self, number: int) -> None:
        """A feed has no more steps."""
        feed = self._numbered.get(number)
        self._names.clear()  # a gate: what a pattern stood for a moment ago is not all there any more
        if feed is not None:
            self._forget((feed.channel, feed.name), feed)
            feed.close()

    def on_names(self, told: f.Names) -> None:
        """What a pattern stands for."""
        if len(self._names) >= MOST_REFUSED:
            self._names.clear()
        self._names[self._asked[told.number][0]] = (tuple(told.names), get_running_loop().time() + REFUSED_S)
        self._answered(told.number)

    def on_news(self, news: f.News) -> None:
        """Instruments of a family that somebody has asked about have opened."""
        self._names.clear()
        for listener, (channel, tail) in self._joining.get(news.family, {}).items():
            ready = self._fetch([(channel, f"{code}{tail}") for code in news.codes])
            ready.add_done_callback(partial(self._tell, listener, news))

    def _tell(self, listener: OnOpened, news: f.News, _: "Future[Any]") -> None:
        """The feeds of what has opened are here: whoever still wants to know is told."""
        if listener in self._joining.get(news.family, ()):
            listener(news.family, tuple(news.codes))

    def on_broken(self) -> None:
        """A fault in the venue's market data: whoever listens is sent away, and whoever comes back hears BEHIND."""
        self._is_broken = True
        if self.on_fault is not None:
            self.on_fault()

    def on_place(self, place: f.Place) -> None:
        """How far the venue is."""
        self.seq, self._now_ns = place.seq, place.ts_ns

    # --- inside ---

    def _refuse_if_broken(self) -> None:
        if self._is_broken:
            raise market_stopped()

    def _fetch(self, topics: Sequence[tuple[str, str]]) -> "Future[Any]":
        """Asks for the feeds that are not here; done when all of them are answered."""
        missing = [self._waiting.get(each) or self._ask(f.FOLLOW, each) for each in topics if each not in self._feeds]
        return missing[0] if len(missing) == 1 else gather(*missing)

    def _ask(self, kind: int, topic: tuple[str, str]) -> "Future[None]":
        ready: Future[None] = get_running_loop().create_future()
        self._waiting[topic] = ready
        self._last_number += 1
        self._asked[self._last_number] = (topic, ready)
        self._write(f.frame(kind, f.Ask(self._last_number, *topic)))
        return ready

    def _forget(self, topic: tuple[str, str], feed: MirrorFeed) -> None:
        del self._feeds[topic], self._numbered[feed.number]

    def _answered(self, number: int) -> None:
        topic, ready = self._asked.pop(number)
        del self._waiting[topic]
        if not ready.done():
            ready.set_result(None)

    def _snapshot(self, feed: MirrorFeed) -> s.Snapshot:
        return s.Snapshot(
            channel=feed.channel, instrument=feed.name, epoch=self.epoch, seq=feed.seq, ts_ns=str(self._now_ns),
            data=feed.everything(),
        )  # fmt: skip


def feed_only(main_url: str) -> DoorError:
    """What is not market data is to be had at the main address."""
    return DoorError(DoorReason.FEED_ONLY, f"this address serves market data only; everything else is at {main_url}")
