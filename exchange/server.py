"""Puts the live exchange together: journal, venue, writer, database, market data, keys, doors. Names concrete adapters.

Start-up order: the database says how far it is, the journal is recovered from a snapshot that is no newer, what came
after that goes into the database again, then the doors open. Shut-down goes the other way round.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import matching_core
from exchange import __version__
from exchange.adapters.clock import CompressedClock, ManualClock, SystemClock
from exchange.adapters.exporters.sheet_files import make_file
from exchange.adapters.feed_days import FeedDays
from exchange.adapters.history import History
from exchange.adapters.journal_file import Lock, list_segments, locate, open_sequencer
from exchange.adapters.keys import OPERATOR_KEY_FILE, KeyFile
from exchange.adapters.report_runs import ReportRuns
from exchange.adapters.statement_chains import ChainFile
from exchange.adapters.store import Store, StoreError, default_url
from exchange.adapters.store_link import StoreLink
from exchange.adapters.store_process import LOCK_WAIT_S
from exchange.domain.events import Traded
from exchange.domain.venue import Venue
from exchange.engine.desk import Desk
from exchange.engine.handle import Handle
from exchange.engine.market_data import MarketData
from exchange.engine.queries import firm_of
from exchange.engine.recovery import LogReader
from exchange.engine.writer import Writer
from exchange.gateways.access import Access
from exchange.gateways.dispatch import Dispatcher
from exchange.gateways.limits import DoorBudgets, DoorLimits, limits_answer
from exchange.gateways.rest.app import build_app
from exchange.gateways.rest.metrics import Metrics, Source, Sources
from exchange.gateways.stream.endpoint import StreamDoor
from exchange.gateways.stream.session import OPERATIONS_KNOWN
from exchange.gateways.stream.stats import StreamStats
from exchange.ports_history import MAX_LIMIT, FixRow, Page, Window
from exchange.projections.board import Board, KnownFix, KnownTrade
from exchange.projections.candles import DAY, Grid
from exchange.projections.live_views import live_views
from exchange.workers.counters import worker_sources
from exchange.workers.hub import FeedHub
from exchange.workers.keeper import FeedWorkers


def limits_from(texts: Sequence[str]) -> DoorLimits:
    """Limits from NAME=VALUE texts; ValueError where one is none."""
    known = [each.name for each in fields(DoorLimits)]
    values = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            raise ValueError(f"{name[:40]!r} is no limit; there are {', '.join(known)}")
        if not (value.isascii() and value.isdigit() and len(value) <= 15):
            raise ValueError(f"{name} must be a whole number above 0, not {value[:40]!r}")
        values[name] = int(value)
    return DoorLimits(**values)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the exchange lives and how it runs; database "" = SQLite in the folder."""

    folder: Path
    database: str = ""
    clock: str = "system"  # system | compressed | manual
    speed: int = 60  # of a compressed clock
    start_ns: int = 0  # of a compressed clock in a new folder; 0 = now
    limits: DoorLimits = field(default_factory=DoorLimits)


class Exchange:
    """Everything that runs in the server: `open` on the loop that serves it, `close` on the same."""

    def __init__(self, settings: ServeSettings) -> None:
        """For `open`: recovers, and opens nothing to the outside."""
        self.settings = settings
        folder = settings.folder
        self.notes: list[str] = []
        store, sequencer = _recover(settings, self.notes)
        self._store = StoreLink(store)
        venue = sequencer.venue
        assert isinstance(venue, Venue)
        self._keys = KeyFile(folder)
        self._keys.first_operator_key()
        self._chains = ChainFile(folder)
        self.operator_key_file = folder / OPERATOR_KEY_FILE
        history = History(self._store)
        desk = Desk(venue)
        desk.remember(history.trades_since(desk.since_ns()))
        board = _board(venue, history)
        views = live_views(venue, board, _trades_of_today(venue, history), settings.limits.lanes)
        self.market_data = MarketData(venue, sequencer.log.epoch, channels=views)
        sequencer.add_record_sink(self._store.on_record)
        sequencer.add_sink(board.on_command)
        sequencer.add_sink(self.market_data.on_command)
        self._clock = _clock(settings, venue.now_ns)
        self._halt_callbacks: list[Callable[[], None]] = []
        self.halted_by_fault = ""
        self._writer = Writer(
            sequencer, desk=desk, clock=self._clock, after_batch=[self.market_data.after_batch],
            may_snapshot=lambda seq: self._store.offset >= seq, on_halt=self._halted,
        )  # fmt: skip
        self.handle: Handle = self._writer
        self._feed_workers: FeedWorkers | None = None
        self._feed_addresses: list[str] = []
        self._reports = ReportRuns(folder, settings.limits.reports_at_once)
        self._feed_days = FeedDays(folder, settings.limits.history_at_once)
        self.app = self._doors(history)

    @classmethod
    async def open(cls, settings: ServeSettings) -> Exchange:
        """The exchange, recovered and running, with no door open yet.

        JournalError, VenueHalted, StoreError (each with its exit_code) or OSError where it must not or cannot run.
        """
        settings.folder.mkdir(parents=True, exist_ok=True)
        exchange = cls(settings)
        try:
            await exchange._store.start()
        except StoreError:
            await exchange.close()
            raise
        if isinstance(exchange._clock, CompressedClock):
            exchange._clock.start()
        await exchange._writer.start()
        return exchange

    def on_halt(self, callback: Callable[[], None]) -> None:
        """To be called when a fault of ours stops the venue."""
        self._halt_callbacks.append(callback)

    async def start_feed_workers(
        self, listeners: Sequence[socket.socket], main_url: str, addresses: Sequence[str], note: Callable[[str], None]
    ) -> None:
        """Processes that serve market data on these listening sockets; addresses: theirs, as clients are told."""
        self._feed_workers = FeedWorkers(self._feed_hub, listeners, note)
        self._feed_addresses += addresses
        await self._feed_workers.start(main_url)

    def operator_key(self) -> str:
        """The first operator key, as it was left in its file; "" where somebody has taken the file away."""
        path = self.operator_key_file
        return path.read_text(encoding="ascii").strip() if path.exists() else ""

    def say_goodbye(self) -> None:
        """Tells every socket that the exchange is going down, before the doors close."""
        if self._feed_workers is not None:
            self._feed_workers.say_goodbye()
        self._stream.shut_down()

    async def close(self) -> None:
        """After the doors: the writer ends with a last snapshot, then database and keys."""
        if self._feed_workers is not None:
            await self._feed_workers.close()
        self._reports.close()
        self._feed_days.close()
        await self._writer.close()
        await self._store.close()
        self._keys.close()
        self._chains.close()

    def _doors(self, history: History) -> Any:
        limits = self.settings.limits
        access, budgets = Access(self._keys), DoorBudgets(limits, firm_of=partial(firm_of, self.handle.venue))
        stats = StreamStats()
        dispatcher = Dispatcher(
            self.handle, history, self._store, self._keys, self._reports, budgets, self.settings.clock,
            speed=str(self.settings.speed if self.settings.clock == "compressed" else 1), depths=self.market_data,
            limits=limits_answer(limits), engine=matching_core.IMPLEMENTATION, version=__version__,
            valid_until_s=limits.valid_until_s, chains=self._chains, make_file=make_file,
            feed_addresses=self._feed_addresses, stream_stats=stats, feed_history=self._feed_days,
        )  # fmt: skip
        self._stream = StreamDoor(dispatcher, access, budgets, limits, self.market_data, stats=stats)
        self._feed_hub = FeedHub(self.market_data, self._keys, asdict(limits), lambda: stats.connections > 0)
        sources: tuple[Source | Sources, ...] = (
            Source("stream_connections", "Open sockets.", "gauge", lambda: stats.connections),
            Source("stream_opened", "Sockets that were opened.", "counter", lambda: stats.opened),
            Source("stream_refused", "Handshakes that were turned away.", "counter", lambda: stats.refused),
            Source("stream_messages", "Messages sent over sockets.", "counter", lambda: stats.messages),
            Source("stream_lagged", "Sockets closed because nobody read them.", "counter", lambda: stats.lagged),
            *worker_sources(lambda: self._feed_workers),
            Source("store_pending", "Commands that the database does not have yet.", "gauge", lambda: self._store.pending),
        )
        return build_app(
            dispatcher, access, Metrics(self.handle, lambda: self._store.offset, sources), limits=limits, budgets=budgets,
            reports=self._reports, history=self._feed_days, version=__version__, stream=self._stream,
            stream_operations=OPERATIONS_KNOWN,
        )  # fmt: skip

    def _halted(self, why: str) -> None:
        self.halted_by_fault = why
        self.market_data.on_halt()
        for callback in self._halt_callbacks:
            callback()


def _trades_of_today(venue: Venue, history: History) -> list[tuple[int, Traded]]:
    """What the open candles are made of."""
    settings = venue.state.settings
    return history.trades_since(Grid.of(settings).start_ns(DAY, venue.now_ns)) if settings is not None else []


def _board(venue: Venue, history: History) -> Board:
    """The board of prices, with what traded and was fixed in periods that are not over."""
    board, settings = Board(), venue.state.settings
    if settings is None:
        return board
    board.configure(settings)
    grid = venue.periods
    since_ns = venue.now_ns - (settings.horizon_periods + 2) * grid.period_ns
    trades = history.tape_of_open(since_ns, grid.start(grid.at(venue.now_ns)))
    fixes: list[FixRow] = []
    while not fixes or len(fixes) % MAX_LIMIT == 0:
        page = Page(after=fixes[-1].cursor if fixes else None, limit=MAX_LIMIT)
        more = history.fixes(window=Window(from_ns=since_ns), page=page)
        fixes += more
        if not more:
            break
    board.remember(
        (KnownTrade(row.ts_ns, row.obligation_id, row.instrument, row.price_micro, row.lots) for row in trades),
        (KnownFix(row.ts_ns, row.instrument, row.price_micro, row.grade) for row in fixes), venue.now_ns,
    )  # fmt: skip
    return board


def _clock(settings: ServeSettings, venue_ns: int) -> SystemClock | CompressedClock | ManualClock:
    if settings.clock == "manual":
        return ManualClock()
    if settings.clock == "compressed":
        return CompressedClock(venue_ns or settings.start_ns or SystemClock().now_ns(), settings.speed)
    return SystemClock()


def _recover(settings: ServeSettings, notes: list[str]) -> tuple[Store, Any]:
    """The database caught up with the journal, and a sequencer at its end."""
    url = settings.database or default_url(settings.folder)
    journal = locate(settings.folder).journal
    segments = list_segments(journal)
    store = sequencer = None
    try:
        if segments:
            Lock(journal).release()  # where another server holds the journal, that is what is to be told
            store = Store.open(url, LogReader(segments).headers[0].exchange_id, lock_wait_s=LOCK_WAIT_S)
        sequencer, found = open_sequencer(
            settings.folder, Venue, Venue.restore, on_replay=store.on_replay if store else None,
            not_after=store.offset if store else None, build=matching_core.IMPLEMENTATION,
        )  # fmt: skip
        if store is None:
            store = Store.open(url, sequencer.log.exchange_id, lock_wait_s=LOCK_WAIT_S)  # type: ignore[attr-defined]
        store.flush()
        store.check_against(sequencer.seq)
    except BaseException:
        if sequencer is not None:
            sequencer.close_log()
        if store is not None:
            store.close()
        raise
    if found is not None:
        notes.extend(found.notes)
        notes.append(f"recovered {sequencer.seq:,} commands: snapshot of {found.snapshot_seq:,}, {found.replayed:,} replayed")
    notes.extend(store.notes)
    return store, sequencer
