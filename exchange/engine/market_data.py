"""What the market tells everybody, and each participant: books, best prices, trades, instruments, views, own events.

It runs between the venue and the doors, on the writer's loop. `on_command` is a sink and takes down trades and private
events; `after_batch` then looks at the books that changed and makes one step of each feed. A book is followed from the
first time that somebody asks for it until its gate closes, so a book nobody looks at costs nothing. REST depth comes from
here as well, with the very seq of the socket's depth channel.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from secrets import token_bytes
from time import monotonic_ns
from typing import Any

from exchange.domain.events import Traded
from exchange.domain.instrument import is_instrument_open, split_book
from exchange.domain.reasons import Refusal
from exchange.domain.venue import Venue
from exchange.engine.book_image import BookImage
from exchange.engine.feed_source import market_stopped
from exchange.engine.feeds import Feed, Shelf
from exchange.engine.followed import BOOK_CHANNELS, DEPTHS, BookTexts, FollowedBook, Refs
from exchange.engine.queries import family_answer, obligation_parties, user_data
from exchange.engine.views import Place, ViewChannel, Views
from exchange.protocol import stream as s
from exchange.protocol.answers import Depth, Family, Trade
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.merging import MERGES
from exchange.protocol.present import private_events, public_trades

STEPS_KEPT = 100_000  # units of past of depth, top and instruments together
EVENTS_KEPT = 100_000  # of trades and user; some 30 MB
EVENTS_A_MESSAGE = 128  # of trades and user: none of them gets above 256 KiB
OnOpened = Callable[[str, tuple[str, ...]], None]
ALL = "*"
LEVELS = DEPTHS["depth"]  # of each side that the feeds and REST tell at most



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
        self._refs = Refs(token_bytes(16))
        self._texts: BookTexts | None = None
        self._joining: dict[str, dict[OnOpened, None]] = {}  # by family: who wants to know of instruments that open
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._views = Views(channels, epoch, self._steps, clock)
        self._trades: dict[str, Feed] = {}  # by pattern; also in _feeds
        self._users: dict[str, Feed] = {}  # by participant; also in _feeds
        self._prints: dict[str, list[Trade]] = {}  # of this batch, by pattern
        self._of_period: dict[int, set[tuple[str, str]]] = {}  # feeds that close with a gate
        self._measures: Measures | None = None
        self._window: tuple[int, int, int] = (0, 0, 0)  # families, first and last open period, as last told
        self._is_halted = False
        self._same_until_ns = 0  # so long that window stays
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
        if (self._feeds or self._of_period or self._joining) and not self.is_broken:
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
        if channel in BOOK_CHANNELS:
            return self._follow_channel(channel, name)
        if channel == "status":
            return self._add_status(name)
        if channel == "trades":
            return self._add_trades(name)
        if channel == "user":
            if name not in self._venue.state.participants:
                raise DoorError(DoorReason.NOT_FOUND, f"participant {name[:36]!r} is unknown", field="participant")
            self._users[name] = self._add(channel, name, self._events)
            return self._users[name]
        if channel == "instruments" and not name:
            return self._add(channel, "", self._steps)
        if channel in self._views:
            return self._open_view(channel, name)
        raise DoorError(DoorReason.UNKNOWN_CHANNEL, f"channel {channel[:40]!r} is unknown", field="channel")

    def snapshot_payload(self, feed: Feed, fmt: int) -> bytes:
        """Everything of a feed as of its seq, made once in a format for everybody who asks at the same seq."""
        # What a participant has may change without a word in its feed: its snapshot is of a command's number as well.
        of = (feed.seq, self.seq, self._venue.now_ns) if feed.channel == "user" else (feed.seq, feed.is_closed)
        return feed.snapshot_payload(of, fmt, partial(self._snapshot, feed))

    def _snapshot(self, feed: Feed) -> s.Snapshot:
        return s.Snapshot(
            channel=feed.channel, instrument=feed.name, epoch=self.epoch, seq=feed.seq,
            ts_ns=str(self._venue.now_ns), data=self._everything(feed),
        )  # fmt: skip

    def depth(self, instrument: str, levels: int) -> Depth:
        """The book of an open instrument; from now on it is followed. DoorError NOT_FOUND."""
        self._refuse_if_broken()
        book = self._follow(instrument)
        now_ns = self._venue.now_ns
        bids, asks = book.image.bids.levels(levels), book.image.asks.levels(levels)
        return Depth(
            instrument=instrument, epoch=self.epoch, seq=book.feeds["depth"].seq, ts=self.measures.time_text(now_ns),
            ts_ns=str(now_ns), bids=self.texts.levels(bids), asks=self.texts.levels(asks),
        )  # fmt: skip

    def expand(self, channel: str, pattern: str) -> tuple[str, ...]:
        """The names of a channel that FAMILY/* stands for now, one of each open instrument; for candles FAMILY/*@INTERVAL.

        DoorError NOT_FOUND where the family is unknown, INVALID_FIELD where the channel has no such patterns.
        """
        self._refuse_if_broken()
        family, tail = self._pattern(channel, pattern)
        grid, (_, first, last) = self._venue.periods, self._window_at(self._venue.now_ns)
        return tuple(f"{family}/{grid.code(period)}{tail}" for period in range(first, last + 1))

    def join(self, channel: str, pattern: str, listener: "OnOpened") -> None:
        """`listener(family, codes)` is called with the codes (family/period) of instruments that open from now on."""
        family, _ = self._pattern(channel, pattern)
        self._begin_window()
        self._joining.setdefault(family, {})[listener] = None

    def leave(self, channel: str, pattern: str, listener: "OnOpened") -> None:
        """The end of `join`."""
        family, _ = self._pattern(channel, pattern)
        known = self._joining.get(family, {})
        known.pop(listener, None)
        if not known:
            self._joining.pop(family, None)

    def on_halt(self) -> None:
        """A fault of ours has stopped the venue: whoever follows a status is told."""
        self._is_halted = True
        if not self.is_broken:
            for (channel, name), feed in self._feeds.items():
                if channel == "status":
                    feed.publish(self._venue.now_ns, self._status(name, s.HALTED, "FAULT"), 1)

    @property
    def texts(self) -> BookTexts:
        """Writes what books tell; only when the venue has settings."""
        if self._texts is None:
            self._texts = BookTexts(self.measures, self._refs)
        return self._texts

    # --- feeds ---

    def _refuse_if_broken(self) -> None:
        if self.is_broken:
            raise market_stopped()

    def _add(self, channel: str, name: str, shelf: Shelf) -> Feed:
        self._begin_window()
        feed = self._feeds[channel, name] = Feed(channel, name, self.epoch, shelf, MERGES[channel])
        return feed

    def _pattern(self, channel: str, pattern: str) -> tuple[str, str]:
        """The family of FAMILY/*, and what follows the star."""
        family, star, tail = pattern.rpartition("/*")
        if channel not in s.WILD or not star or (tail and (channel != "candles" or tail[0] != "@")):
            told = f"{pattern[:80]!r} is no pattern of channel {channel[:40]}"
            raise DoorError(DoorReason.INVALID_FIELD, told, field="instrument", hint="a family followed by /*")
        if family not in self._venue.family_numbers:
            raise DoorError(DoorReason.NOT_FOUND, f"family {family[:80]!r} is not listed", field="instrument")
        return family, tail

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
            self._venue.followed[number] = []
            book = FollowedBook(number, instrument, BookImage(self._venue.core.orders(number)), self.texts)
            self._books[number] = book
            self._add_to(book, "depth")
        return book

    def _add_to(self, book: FollowedBook, channel: str) -> None:
        book.add(self._add(channel, book.instrument, self._steps))
        self._closes(split_book(book.number)[1], channel, book.instrument)

    def _closes(self, period: int, channel: str, name: str) -> None:
        self._of_period.setdefault(period, set()).add((channel, name))

    def _follow_channel(self, channel: str, instrument: str) -> Feed:
        book = self._follow(instrument)
        if channel not in book.feeds:
            self._add_to(book, channel)
        return book.feeds[channel]

    def _add_status(self, instrument: str) -> Feed:
        _, period = self._open_book(instrument)
        feed = self._add("status", instrument, self._steps)
        self._closes(period, "status", instrument)
        return feed

    def _open_view(self, channel: str, topic: str) -> Feed:
        self._begin_window()
        feed = self._views.open(channel, topic, Place(self.seq, self._venue.now_ns))
        period = self._views.period_of(channel, topic)
        if period is not None:
            self._closes(period, channel, topic)
        return feed

    def _add_trades(self, pattern: str) -> Feed:
        family, _, last = pattern.rpartition("/")
        is_one = pattern != ALL and not (last == ALL and family in self._venue.family_numbers)
        period = self._open_book(pattern)[1] if is_one else 0
        self._trades[pattern] = self._add("trades", pattern, self._events)
        if is_one:
            self._closes(period, "trades", pattern)
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
            self._venue.followed.clear()
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
            self._books[number].step(self._events_of(number), now_ns)
        self._move_window(now_ns)

    def _events_of(self, number: int) -> list[Any]:
        events = self._venue.followed[number]
        self._venue.followed[number] = []
        return events

    # --- the window of open periods ---

    def _window_at(self, now_ns: int) -> tuple[int, int, int]:
        settings = self._venue.state.settings
        if settings is None:
            return 0, 0, 0
        periods = self._venue.periods
        return len(self._venue.state.families), periods.first_open(now_ns), periods.at(now_ns) + settings.horizon_periods

    def _begin_window(self) -> None:
        """While nobody follows anything the window is not kept up; from now on it is."""
        if not (self._feeds or self._of_period or self._joining):
            self._window, self._same_until_ns = self._window_at(self._venue.now_ns), 0

    def _move_window(self, now_ns: int) -> None:
        """Closes what its gate has passed, and tells of families that are new or have other open periods."""
        families = len(self._venue.state.families)
        if now_ns < self._same_until_ns and families == self._window[0]:
            return
        window = self._window_at(now_ns)
        if window[0]:
            grid, horizon = self._venue.periods, self._venue.settings.horizon_periods
            self._same_until_ns = min(grid.gate(window[1]), grid.start(window[2] - horizon + 1))
        if window == self._window:
            return
        is_time = window[1:] != self._window[1:]
        first_new = 0 if is_time else self._window[0]
        opened = range(max(self._window[2] + 1, window[1]), window[2] + 1)  # not what a clock that jumps passes over
        self._window = window
        for period in sorted(self._of_period):
            if not is_instrument_open(self._venue.periods, period, now_ns, self._venue.settings.horizon_periods):
                self._close(period)
        feed = self._feeds.get(("instruments", ""))
        if feed is not None:
            data = s.InstrumentsData(items=self._families(first_new))
            if data.items:
                feed.publish(now_ns, data, len(data.items))
        if opened and self._joining:
            self._tell_opened(opened)

    def _tell_opened(self, periods: range) -> None:
        for family, listeners in list(self._joining.items()):
            codes = tuple(f"{family}/{self._venue.periods.code(period)}" for period in periods)
            for listener in list(listeners):
                listener(family, codes)

    def _close(self, period: int) -> None:
        now_ns = self._venue.now_ns
        told = sorted(self._of_period.pop(period))
        for number in sorted({self._number(name, period) for channel, name in told if channel in DEPTHS}):
            self._books.pop(number).close(self._venue.followed.pop(number), now_ns)
        for channel, name in told:
            if channel in self._views:
                self._views.end(channel, name, Place(self.seq, now_ns))
                continue
            feed = self._feeds.pop((channel, name))
            if channel == "trades":
                del self._trades[name]
            elif channel == "status":
                feed.publish(now_ns, self._status(name, s.CLOSED, "GATE"), 1)
            feed.close()

    def _number(self, instrument: str, period: int) -> int:
        return self._venue.book(self._venue.family_numbers[instrument.rpartition("/")[0]], period)

    def _families(self, first: int = 0) -> tuple[Family, ...]:
        families = self._venue.state.families[first:]
        return tuple(family_answer(self._venue, family, self.measures) for family in families)

    # --- everything as of now ---

    def _everything(self, feed: Feed) -> Any:
        if feed.channel in BOOK_CHANNELS:
            if feed.is_closed:
                return self.texts.nothing(feed.channel)
            return self._follow(feed.name).everything(feed.channel)
        if feed.channel == "status":
            return self._status(feed.name, *self._state(feed))
        if feed.channel == "trades":
            return s.TradesData(items=())
        if feed.channel == "user":
            return user_data(self._venue, feed.name, self.epoch, self.seq, self.measures)
        if feed.channel in self._views:
            return self._views.everything(feed.channel, feed.name) or s.LaneData(items=())
        return s.InstrumentsData(items=self._families())

    def _state(self, feed: Feed) -> tuple[str, str]:
        if feed.is_closed:
            return s.CLOSED, "GATE"
        return (s.HALTED, "FAULT") if self._is_halted else (s.OPEN, "")

    def _status(self, instrument: str, state: str, reason: str) -> s.StatusData:
        """`since` and `until`: from when to when it is open for orders."""
        venue, m = self._venue, self.measures
        _, period = venue.instrument(instrument)
        grid = venue.periods
        return s.StatusData(
            state=state, reason=reason, since=m.time_text(grid.start(period - venue.settings.horizon_periods)),
            until=m.time_text(grid.gate(period)), period_start=m.time_text(grid.start(period)),
            period_end=m.time_text(grid.start(period + 1)),
        )  # fmt: skip


def _portions(things: tuple[Any, ...]) -> Iterable[tuple[Any, ...]]:
    """As many as one message holds at a time."""
    return (things[start : start + EVENTS_A_MESSAGE] for start in range(0, len(things), EVENTS_A_MESSAGE))
