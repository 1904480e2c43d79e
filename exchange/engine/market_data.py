"""What the market tells everybody, and each participant: books, best prices, trades, instruments, views, own events.

It runs between the venue and the doors, on the writer's loop. `on_command` is a sink and takes down trades and private
events; `after_batch` then looks at the books that changed and makes one step of each feed. A book is followed from the
first time that somebody asks for it until its gate closes, so a book nobody looks at costs nothing. REST depth comes from
here as well, with the very seq of the socket's depth channel.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic_ns
from typing import Any

from exchange.domain.events import Traded
from exchange.domain.instrument import is_instrument_open, split_book
from exchange.domain.reasons import Refusal
from exchange.domain.venue import Venue
from exchange.engine.feeds import Feed, Merge, Shelf, to_text
from exchange.engine.queries import family_answer, obligation_parties, user_data
from exchange.engine.views import Place, ViewChannel, Views
from exchange.protocol import stream as s
from exchange.protocol.answers import Depth, Family, Trade
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.present import private_events, public_trades

STEPS_KEPT = 100_000  # units of past of depth, top and instruments together
EVENTS_KEPT = 100_000  # of trades and user; some 30 MB
EVENTS_A_MESSAGE = 128  # of trades and user: none of them gets above 256 KiB
LEVELS = 1000  # of each side that the feeds and REST tell
ALL = "*"
RETRY_BROKEN_S = 10

Levels = tuple[tuple[int, int], ...]  # (ticks, lots), best first
Pairs = tuple[tuple[str, str], ...]  # (price, cards)


class FollowedBook:
    """A book as the feeds last told of it."""

    __slots__ = ("asks", "bids", "depth", "instrument", "number", "top")

    def __init__(self, number: int, instrument: str, depth: Feed) -> None:
        self.number, self.instrument, self.depth = number, instrument, depth
        self.top: Feed | None = None
        self.bids: Levels = ()
        self.asks: Levels = ()


class MarketData:
    """Every feed of one venue in one epoch."""

    def __init__(
        self, venue: Venue, epoch: int, *, steps_kept: int = STEPS_KEPT, events_kept: int = EVENTS_KEPT,
        on_fault: Callable[[], None] | None = None, channels: Sequence[ViewChannel] = (),
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:  # fmt: skip
        """on_fault: called before an exception leaves a sink, since nothing is told to anybody after it.

        channels: those that are looked at once a second, by this clock, which counts ns and never goes back.
        """
        self.epoch = epoch
        self._venue = venue
        self.on_fault = on_fault
        self._steps, self._events = Shelf(steps_kept), Shelf(events_kept)
        self._books: dict[int, FollowedBook] = {}
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._views = Views(channels, epoch, self._steps, clock)
        self._trades: dict[str, Feed] = {}  # by pattern; also in _feeds
        self._users: dict[str, Feed] = {}  # by participant; also in _feeds
        self._prints: dict[str, list[Trade]] = {}  # of this batch, by pattern
        self._of_period: dict[int, set[tuple[str, str]]] = {}  # feeds that close with a gate
        self._measures: Measures | None = None
        self._window: tuple[int, int, int] = (0, 0, 0)  # families, first and last open period, as last told
        self.seq = 0
        self.is_broken = False  # after a fault of ours: what is here is half a step, so nothing more is told of it

    # --- told by the writer ---

    def on_command(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        """Takes down what a command means to those who listen."""
        if not self.is_broken:
            self._guarded(self._views.on_command, command, events)
        if (self._users or self._trades) and not self.is_broken:
            self._guarded(self._take_down, seq, ts_ns, command, events)

    def after_batch(self, last_seq: int) -> None:
        """Makes the steps of all feeds after a frame of commands."""
        self.seq = last_seq
        touched = self._venue.take_touched()
        self._views.on_touched(touched)
        if (self._feeds or self._of_period) and not self.is_broken:
            self._guarded(self._step_all, touched)

    # --- once a second ---

    def look(self) -> None:
        """Looks at all views, and tells what has changed; to be called once a second while somebody listens."""
        if not self.is_broken:
            self._guarded(self._views.look, Place(self.seq, self._venue.now_ns))

    def latest(self, channel: str, topic: str) -> tuple[Place, Any]:
        """All of a view as of its last look, and when that was; looks again where it is more than a second ago."""
        self._refuse_if_broken()
        self.feed(channel, topic)
        if self._views.is_due():
            self.look()
            self.feed(channel, topic)  # a look forgets what nobody follows
        return self._views.place, self._views.everything(channel, topic)

    # --- asked by the doors ---

    @property
    def now_ns(self) -> int:
        """The venue's time."""
        return self._venue.now_ns

    @property
    def measures(self) -> Measures:
        """The venue's; only when it has settings."""
        if self._measures is None:
            self._measures = Measures(self._venue.settings)
        return self._measures

    def feed(self, channel: str, name: str) -> Feed:
        """The feed of a channel, made when first asked for; DoorError NOT_FOUND where there is nothing of that name.

        DoorError BEHIND where market data is broken; likewise `depth`.
        """
        self._refuse_if_broken()
        known = self._feeds.get((channel, name))
        if known is not None:
            return known
        if channel in ("depth", "top"):
            return self._follow_channel(channel, name)
        if channel == "trades":
            return self._add_trades(name)
        if channel == "user":
            if name not in self._venue.state.participants:
                raise DoorError(DoorReason.NOT_FOUND, f"participant {name[:36]!r} is unknown", field="participant")
            self._users[name] = self._add(channel, name, self._events)
            return self._users[name]
        if channel == "instruments" and not name:
            self._window = self._window_at(self._venue.now_ns)
            return self._add(channel, "", self._steps, _merge_families)
        if channel in self._views:
            return self._open_view(channel, name)
        raise DoorError(DoorReason.UNKNOWN_CHANNEL, f"channel {channel[:40]!r} is unknown", field="channel")

    def snapshot_text(self, feed: Feed) -> str:
        """Everything of a feed as of its seq, as text."""
        return to_text(
            s.Snapshot(
                channel=feed.channel, instrument=feed.name, epoch=self.epoch, seq=feed.seq,
                ts_ns=str(self._venue.now_ns), data=self._everything(feed),
            )  # fmt: skip
        )

    def depth(self, instrument: str, levels: int) -> Depth:
        """The book of an open instrument; from now on it is followed. DoorError NOT_FOUND."""
        self._refuse_if_broken()
        book = self._follow(instrument)
        now_ns = self._venue.now_ns
        return Depth(
            instrument=instrument, epoch=self.epoch, seq=book.depth.seq, ts=self.measures.time_text(now_ns),
            ts_ns=str(now_ns), bids=self._texts(book.bids[:levels]), asks=self._texts(book.asks[:levels]),
        )  # fmt: skip

    # --- feeds ---

    def _refuse_if_broken(self) -> None:
        if self.is_broken:
            stopped = "the market data has stopped; a new start of the server mends it"
            raise DoorError(DoorReason.BEHIND, stopped, retry_after_s=RETRY_BROKEN_S)

    def _add(self, channel: str, name: str, shelf: Shelf, merge: Merge | None = None) -> Feed:
        feed = self._feeds[channel, name] = Feed(channel, name, self.epoch, shelf, merge)
        return feed

    def _open_book(self, instrument: str) -> tuple[int, int]:
        """(family, period) of an instrument whose gate is ahead."""
        try:
            return self._venue.open_instrument(instrument)
        except Refusal as no:
            raise DoorError(DoorReason.NOT_FOUND, no.message, field="instrument") from None

    def _follow(self, instrument: str) -> FollowedBook:
        family, period = self._open_book(instrument)
        number = self._venue.book(family, period)
        book = self._books.get(number)
        if book is None:
            feed = self._add("depth", instrument, self._steps, _merge_depth)
            book = self._books[number] = FollowedBook(number, instrument, feed)
            book.bids, book.asks = self._levels(number)
            self._of_period.setdefault(period, set()).add(("depth", instrument))
        return book

    def _follow_channel(self, channel: str, instrument: str) -> Feed:
        book = self._follow(instrument)
        if channel == "depth":
            return book.depth
        if book.top is None:
            book.top = self._add("top", instrument, self._steps, _merge_newest)
            self._of_period[split_book(book.number)[1]].add(("top", instrument))
        return book.top

    def _open_view(self, channel: str, topic: str) -> Feed:
        feed = self._views.open(channel, topic, Place(self.seq, self._venue.now_ns))
        period = self._views.period_of(channel, topic)
        if period is not None:
            self._of_period.setdefault(period, set()).add((channel, topic))
        return feed

    def _add_trades(self, pattern: str) -> Feed:
        family, _, last = pattern.rpartition("/")
        if pattern != ALL and not (last == ALL and family in self._venue.family_numbers):
            _, period = self._open_book(pattern)
            self._of_period.setdefault(period, set()).add(("trades", pattern))
        self._trades[pattern] = self._add("trades", pattern, self._events)
        return self._trades[pattern]

    def _take_trades(self, trades: Iterable[Trade]) -> None:
        for trade in trades:
            family = trade.instrument.rpartition("/")[0]
            for pattern in (ALL, f"{family}/{ALL}", trade.instrument):
                if pattern in self._trades:
                    self._prints.setdefault(pattern, []).append(trade)

    # --- one batch ---

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        """Says so before it fails: the writer lets go of a sink that raises, and the feeds would be silent from then on."""
        try:
            work(*args)
        except Exception:
            self.is_broken = True
            if self.on_fault is not None:
                self.on_fault()
            raise

    def _take_down(self, seq: int, ts_ns: int, command: Any, events: Sequence[Any]) -> None:
        if self._trades and any(type(event) is Traded for event in events):
            self._take_trades(public_trades(seq, ts_ns, events, self.measures))
        if self._users:
            views = private_events(
                seq, ts_ns, command, events, self.measures,
                parties=partial(obligation_parties, self._venue), only=self._users.keys(),
            )  # fmt: skip
            for name, told in views.items():
                for some in _portions(told):
                    self._users[name].publish(ts_ns, s.UserData(events=some), len(some))

    def _step_all(self, touched: set[int]) -> None:
        now_ns = self._venue.now_ns
        for pattern, trades in self._prints.items():
            for some in _portions(tuple(trades)):
                self._trades[pattern].publish(now_ns, s.TradesData(items=some), len(some))
        self._prints.clear()
        for number in sorted(self._books.keys() & touched):
            self._step(self._books[number])
        self._move_window(now_ns)

    # --- books ---

    def _levels(self, number: int) -> tuple[Levels, Levels]:
        bids, asks = self._venue.core.depth(number, LEVELS)
        return tuple([(ticks, lots) for ticks, lots, _ in bids]), tuple([(ticks, lots) for ticks, lots, _ in asks])

    def _step(self, book: FollowedBook) -> None:
        """Tells what changed in a book since the last time, where anything has."""
        bids, asks = self._levels(book.number)
        if bids == book.bids and asks == book.asks:
            return
        data = s.DepthData(bids=self._changes(book.bids, bids), asks=self._changes(book.asks, asks))
        is_top_new = bids[:1] != book.bids[:1] or asks[:1] != book.asks[:1]
        book.bids, book.asks = bids, asks
        now_ns = self._venue.now_ns
        book.depth.publish(now_ns, data, len(data.bids) + len(data.asks))
        if is_top_new and book.top is not None:
            book.top.publish(now_ns, self._top(book), 1)

    def _changes(self, before: Levels, after: Levels) -> Pairs:
        if before == after:
            return ()
        same = _same_at_the_front(before, after)
        before, after = before[same:], after[same:]
        same = _same_at_the_front(before[::-1], after[::-1])
        before, after = before[: len(before) - same], after[: len(after) - same]
        old, new = dict(before), dict(after)
        gone = tuple((ticks, 0) for ticks in old if ticks not in new)
        return self._texts(gone + tuple(level for level in after if old.get(level[0]) != level[1]))

    def _texts(self, levels: Levels) -> Pairs:
        measures = self.measures
        tick_micro = measures.settings.tick_micro
        return tuple((measures.yuan(ticks * tick_micro), measures.cards_text(lots)) for ticks, lots in levels)

    def _top(self, book: FollowedBook) -> s.TopData:
        bid, ask = self._texts(book.bids[:1]), self._texts(book.asks[:1])
        return s.TopData(
            bid=bid[0][0] if bid else None, bid_cards=bid[0][1] if bid else None,
            ask=ask[0][0] if ask else None, ask_cards=ask[0][1] if ask else None,
        )  # fmt: skip

    # --- the window of open periods ---

    def _window_at(self, now_ns: int) -> tuple[int, int, int]:
        settings = self._venue.state.settings
        if settings is None:
            return 0, 0, 0
        periods = self._venue.periods
        return len(self._venue.state.families), periods.first_open(now_ns), periods.at(now_ns) + settings.horizon_periods

    def _move_window(self, now_ns: int) -> None:
        """Closes what its gate has passed, and tells of families that are new or have other open periods."""
        window = self._window_at(now_ns)
        if window == self._window:
            return
        is_time = window[1:] != self._window[1:]
        first_new = 0 if is_time else self._window[0]
        self._window = window
        for period in sorted(self._of_period):
            if not is_instrument_open(self._venue.periods, period, now_ns, self._venue.settings.horizon_periods):
                self._close(period)
        feed = self._feeds.get(("instruments", ""))
        if feed is not None:
            data = s.InstrumentsData(items=self._families(first_new))
            if data.items:
                feed.publish(now_ns, data, len(data.items))

    def _close(self, period: int) -> None:
        for channel, name in sorted(self._of_period.pop(period)):
            if channel in self._views:
                self._views.close(channel, name)
                continue
            feed = self._feeds.pop((channel, name))
            if channel == "trades":
                del self._trades[name]
            elif channel == "depth":
                family = self._venue.family_numbers[name.rpartition("/")[0]]
                book = self._books.pop(self._venue.book(family, period))
                self._step(book)
                assert not book.bids and not book.asks, f"{name} is closed and not empty"
            feed.close()

    def _families(self, first: int = 0) -> tuple[Family, ...]:
        families = self._venue.state.families[first:]
        return tuple(family_answer(self._venue, family, self.measures) for family in families)

    # --- everything as of now ---

    def _everything(self, feed: Feed) -> Any:
        if feed.channel in ("depth", "top"):
            if feed.is_closed:
                empty = FollowedBook(0, feed.name, feed)
                return self._top(empty) if feed.channel == "top" else s.DepthData(bids=(), asks=())
            book = self._follow(feed.name)
            if feed.channel == "top":
                return self._top(book)
            return s.DepthData(bids=self._texts(book.bids), asks=self._texts(book.asks))
        if feed.channel == "trades":
            return s.TradesData(items=())
        if feed.channel == "user":
            return user_data(self._venue, feed.name, self.epoch, self.seq, self.measures)
        if feed.channel in self._views:
            return self._views.everything(feed.channel, feed.name) or s.LaneData(items=())
        return s.InstrumentsData(items=self._families())


def _same_at_the_front(one: Levels, other: Levels) -> int:
    """How many levels two sides have in common before they differ: by halves, since whole tuples compare fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _portions(things: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
    """As many as one message holds at a time."""
    return (things[start : start + EVENTS_A_MESSAGE] for start in range(0, len(things), EVENTS_A_MESSAGE))


def _merge_newest(steps: list[s.TopData]) -> s.TopData:
    return steps[-1]


def _merge_depth(steps: list[s.DepthData]) -> s.DepthData:
    """Several changes of a book as one: the last word on each price."""
    bids: dict[str, str] = {}
    asks: dict[str, str] = {}
    for step in steps:
        bids.update(step.bids)
        asks.update(step.asks)
    return s.DepthData(bids=tuple(bids.items()), asks=tuple(asks.items()))


def _merge_families(steps: list[s.InstrumentsData]) -> s.InstrumentsData:
    newest = {family.family: family for step in steps for family in step.items}
    return s.InstrumentsData(items=tuple(newest.values()))
