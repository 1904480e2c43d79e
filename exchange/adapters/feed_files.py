"""A day of one channel as a Parquet file, told from the journal: a row for each message, as the socket sends it.

Prices of books are whole ticks and sizes whole lots, other prices whole micro-yuan, times ns since 1970 UTC. What the venue
counts in stands in the file's metadata. The file begins with all of each feed as of the day's start, so that a book can be
made from it alone; the day is that of the venue's time zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from exchange.domain.commands import SetVenue
from exchange.domain.venue import Venue
from exchange.engine.feed_replay import FeedReplay, Follower, Told, Views
from exchange.engine.journal import Frame
from exchange.engine.recovery import LogReader, decode_frame
from exchange.projections.board import Board
from exchange.projections.calendar import Calendar
from exchange.projections.live_views import live_views
from exchange.protocol.measures import Measures, price_micro, time_ns
from exchange.protocol.merging import DATA
from exchange.protocol.stream import RECORDED

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "1"  # raised when a column changes its meaning
ROWS_AT_ONCE = 20_000  # of a row group
UNBOUNDED = 1 << 40  # views: nobody shares them here
CLOSED = "closed"  # kind of a row, beside snapshot and delta


class HistoryError(Exception):
    """There is no such history; the message says which there is."""


class NoSuchChannel(HistoryError):
    """The channel has no history."""


class NoSuchDay(HistoryError):
    """The day has none, or is not over."""


class NotInstalled(HistoryError):
    """pyarrow is missing."""


class Days(NamedTuple):
    """The venue's days in which a journal has anything; the last one may go on."""

    days: tuple[date, ...]
    calendar: Calendar | None
    first_ns: dict[date, int]

    def told(self) -> str:
        """For people."""
        if not self.days:
            return "there is none: the journal has no settings of a venue"
        first, last = self.days[0], self.days[-1]
        return f"there is {first}" if first == last else f"there are {len(self.days)} days, from {first} to {last}"


def replayed_views(v: Venue) -> Views:
    """The live views, with room for as many as there are."""
    board = Board()
    channels = live_views(v, board)
    for channel in channels:
        channel.most = UNBOUNDED
    return channels, (board.on_command,)


def check_channel(channel: str) -> None:
    """NoSuchChannel where a channel has no history."""
    if channel in RECORDED:
        return
    why = {
        "lane": "a lane is a view of one need: replay the journal to a client that asks for it",
        "user": "what is a participant's own is in his statements and lists",
        "heartbeat": "heartbeats tell of a connection",
    }.get(channel, f"{channel[:40]!r} is no channel")
    raise NoSuchChannel(f"{why}; there is history of {', '.join(RECORDED)}")


def parse_day(text: str) -> date:
    """NoSuchDay for a text that is none."""
    try:
        if len(text) != 10:
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise NoSuchDay(f"{text[:40]!r} is no day: write it as 2026-11-24") from None


def days_of(reader: LogReader, until_seq: int | None = None) -> Days:
    """From the frames' times alone; nothing is applied. JournalError."""
    calendar: Calendar | None = None
    first_ns: dict[date, int] = {}
    for frame in frames_until(reader, until_seq):
        if calendar is None:
            calendar = _calendar_in(frame)
        if calendar is not None:
            first_ns.setdefault(calendar.day(frame.ts_ns), frame.ts_ns)
    return Days(tuple(first_ns), calendar, first_ns)


def _calendar_in(frame: Frame) -> Calendar | None:
    """The settings were taken where nothing refuses them: the first ones that a venue takes are the first of the journal."""
    for logged in decode_frame(frame):
        if type(logged.command) is SetVenue:
            found = Calendar()
            found.configure(logged.command)
            return found
    return None


def frames_until(reader: LogReader, until_seq: int | None) -> Iterator[Frame]:
    """Up to the one that ends with this command; None = all."""
    if until_seq == 0:
        return
    for frame in reader.frames():
        yield frame
        if until_seq is not None and frame.last_seq >= until_seq:
            return  # what is behind it may be half written


def write_day(
    reader: LogReader, day: date, channel: str, out: Path, *, until_seq: int | None = None,
    advance: Callable[[int], None] = lambda _bytes: None,
) -> int:  # fmt: skip
    """Writes the file, whole or not at all; the number of its messages.

    advance: called with the bytes of the journal that are done. NoSuchChannel, NoSuchDay, NotInstalled, JournalError,
    VenueHalted, OSError.
    """
    check_channel(channel)
    days = days_of(reader, until_seq)
    if day not in days.days:
        raise NoSuchDay(f"the journal has nothing of {day}: {days.told()}")
    assert days.calendar is not None
    start_ns = days.calendar.day_start_ns(days.first_ns[day])
    end_ns = days.calendar.day_end_ns(days.first_ns[day])
    replay = FeedReplay(replayed_views)
    with _day_file(out, channel, day, replay.venue) as rows:
        is_of_day = False

        def take(told: Told) -> None:
            if is_of_day:
                rows.add(told)

        follower = Follower(replay, channel, take)
        for frame in frames_until(reader, until_seq):
            if frame.ts_ns >= end_ns:
                break
            if frame.ts_ns >= start_ns and not is_of_day:
                is_of_day = True
                follower.snapshots()
            replay.apply(frame)
            advance(frame.length)
        return rows.finish()


def messages_in(path: Path) -> int:
    """How many a file has."""
    count: int = _arrow().parquet.read_metadata(path).num_rows
    return count


# --- rows ---

Convert = Callable[[Any, Measures], Any]


def _text(value: Any, m: Measures) -> Any:
    return value


def _ticks(value: str, m: Measures) -> int:
    ticks, rest = divmod(price_micro(value), m.settings.tick_micro)
    assert rest == 0, value
    return ticks


def _lots(value: str, m: Measures) -> int:
    return m.lots(value)


def _micro(value: str, m: Measures) -> int:
    return price_micro(value)


def _lot_periods(value: str, m: Measures) -> int:
    return m.lot_periods(value)


def _time(value: str, m: Measures) -> int:
    return time_ns(value)


class _Kind(NamedTuple):
    """A column of one value: where it stands in the message, its type, how it is made."""

    source: str
    column: str
    type_: str
    convert: Convert


def _same(*names: str, type_: str = "string") -> tuple[_Kind, ...]:
    return tuple(_Kind(name, name, type_, _text) for name in names)


def _made(ending: str, convert: Convert, *names: str) -> tuple[_Kind, ...]:
    return tuple(_Kind(name, f"{name.removesuffix('_cards')}_{ending}", "int64", convert) for name in names)


_ITEMS: dict[str, tuple[_Kind, ...]] = {
    "trades": (
        *_same("trade_id"), *_same("seq", type_="int64"), *_same("instrument"), *_made("ns", _time, "period_start"),
        *_made("ticks", _ticks, "price"), _Kind("cards", "lots", "int64", _lots), *_made("micro", _micro, "cost"),
        *_same("is_block", type_="bool_"), _Kind("ts_ns", "time_ns", "int64", lambda text, m: int(text)),
    ),
    "candles": (
        *_made("ns", _time, "start", "end"), *_made("micro", _micro, "open", "high", "low", "close", "vwap"),
        _Kind("card_hours", "lot_periods", "int64", _lot_periods), *_same("trades", type_="int64"),
        *_same("is_final", type_="bool_"),
    ),
    "prices": (
        *_same("instrument"), *_made("ns", _time, "period_start"), *_made("micro", _micro, "bid", "ask", "mid", "last"),
        *_made("lots", _lots, "bid_cards", "ask_cards", "last_cards"), *_made("ns", _time, "last_ts"),
        *_made("micro", _micro, "vwap"), _Kind("card_hours", "lot_periods", "int64", _lot_periods),
        *_same("trades", type_="int64"), *_made("micro", _micro, "fix"), *_same("grade"),
    ),
    "curve": (
        *_same("instrument"), *_made("ns", _time, "period_start"), *_made("micro", _micro, "price"), *_same("source", "grade"),
        *_made("ns", _time, "as_of"), *_made("micro", _micro, "per_pflops_hour"),
    ),
    "demand": (
        *_same("chip", "access_region", "latency_class"), *_same("deadline_hours", type_="int64"),
        *_made("micro", _micro, "price"), _Kind("card_hours", "lot_periods", "int64", _lot_periods),
    ),
    "instruments": (
        *_same("family", "chip", "region", "latency_class", "power", "first_period", "last_period"),
        *_same("periods", type_="int64"), *_made("micro", _micro, "tick"), _Kind("lot", "lot_lots", "int64", _lots),
    ),
}  # fmt: skip
_PLAIN: dict[str, tuple[_Kind, ...]] = {
    "top": (
        *_made("ticks", _ticks, "bid"), *_made("lots", _lots, "bid_cards"), *_made("ticks", _ticks, "ask"),
        *_made("lots", _lots, "ask_cards"),
    ),
    "status": (*_same("state", "reason"), *_made("ns", _time, "since", "until", "period_start", "period_end")),
}  # fmt: skip
_HEAD = (
    ("kind", "string"), ("instrument", "string"), ("epoch", "int64"), ("seq", "int64"), ("prev_seq", "int64"),
    ("time_ns", "int64"),
)  # fmt: skip


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NotInstalled(f"Parquet needs pyarrow: pip install 'cpx-exchange[reports]' ({error})") from error
    return pyarrow


def _columns(channel: str, pa: Any) -> list[tuple[str, Any]]:
    head = [(name, getattr(pa, type_)()) for name, type_ in _HEAD]
    if channel in _ITEMS:
        of_item = pa.struct([(kind.column, getattr(pa, kind.type_)()) for kind in _ITEMS[channel]])
        return [*head, ("items", pa.list_(of_item))]
    if channel in _PLAIN:
        return [*head, *((kind.column, getattr(pa, kind.type_)()) for kind in _PLAIN[channel])]
    row = [("price_ticks", pa.int64()), ("lots", pa.int64())]
    level = pa.struct([("order_ref", pa.string()), *row] if channel == "orders" else row)
    return [*head, ("bids", pa.list_(level)), ("asks", pa.list_(level)), ("checksum", pa.int64())]


def _row_maker(channel: str, m: Measures) -> Callable[[Any], list[Any]]:
    """What follows the head in a row, from the data of a message with plain maps inside."""

    def converted(value: Any, kind: _Kind) -> Any:
        return None if value is None else kind.convert(value, m)

    if channel in _ITEMS:
        kinds = _ITEMS[channel]
        return lambda data: [[{k.column: converted(item[k.source], k) for k in kinds} for item in data.items]]
    if channel in _PLAIN:
        plain = _PLAIN[channel]
        return lambda data: [converted(getattr(data, kind.source), kind) for kind in plain]

    def level(row: Any) -> dict[str, Any]:
        made = {"price_ticks": _ticks(row[-2], m), "lots": m.lots(row[-1])}
        return {"order_ref": row[0], **made} if len(row) == 3 else made

    return lambda data: [[level(row) for row in data.bids], [level(row) for row in data.asks], data.checksum]


class _Message(msgspec.Struct):
    """A snapshot or a delta."""

    type: str
    data: msgspec.Raw
    prev_seq: int | None = None


_read = msgspec.msgpack.Decoder(_Message).decode


class _Rows:
    """The rows of one file, written a group at a time."""

    def __init__(self, path: Path, channel: str, day: date, venue: Venue) -> None:
        self._pa = _arrow()
        self._path, self._channel, self._day, self._venue = path, channel, day, venue
        self._decode = msgspec.msgpack.Decoder(DATA[channel]).decode
        self._columns = _columns(channel, self._pa)
        self._pending: list[list[Any]] = []
        self._make: Callable[[Any], list[Any]] | None = None
        self._file: Any = None
        self._schema: pa.Schema | None = None
        self._count = 0

    def add(self, told: Told) -> None:
        """One message more."""
        if self._make is None:
            self._make = _row_maker(self._channel, Measures(self._venue.settings))
        head = [told.name, told.epoch, told.seq]
        if told.payload:
            message = _read(told.payload)
            row = [message.type, *head, message.prev_seq, told.ts_ns, *self._make(self._decode(message.data))]
        else:
            row = [CLOSED, *head, None, told.ts_ns, *[None] * (len(self._columns) - len(_HEAD))]
        self._pending.append(row)
        if len(self._pending) >= ROWS_AT_ONCE:
            self._flush()

    def finish(self) -> int:
        """Writes what is left and the end of the file; the number of messages."""
        self._flush()
        self.close()
        return self._count

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        pa = self._pa
        if self._file is None:
            self._schema = pa.schema(self._columns, metadata=self._told())
            self._file = pa.parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        columns = list(zip(*self._pending, strict=True)) or [()] * len(self._columns)
        arrays = [pa.array(values, type=type_) for values, (_, type_) in zip(columns, self._columns, strict=True)]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._count += len(self._pending)
        self._pending.clear()

    def _told(self) -> dict[str, str]:
        settings = self._venue.settings
        return {
            "cpx.schema": SCHEMA, "cpx.channel": self._channel, "cpx.day": self._day.isoformat(), "cpx.venue": settings.name,
            "cpx.time_zone": settings.time_zone, "cpx.tick_micro": str(settings.tick_micro),
            "cpx.lots_per_card": str(settings.lots_per_card), "cpx.period_min": str(settings.period_min),
        }  # fmt: skip


@contextmanager
def _day_file(out: Path, channel: str, day: date, venue: Venue) -> Iterator[_Rows]:
    """The rows; the file has its name once they are all there."""
    partial = out.with_name(out.name + ".part")
    rows = _Rows(partial, channel, day, venue)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield rows
        partial.replace(out)
    except BaseException:
        with suppress(OSError):
            rows.close()
            partial.unlink(missing_ok=True)
        raise
