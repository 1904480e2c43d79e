"""The operations that change nothing in the market, one function each: of the live venue, of the tables, of the doors."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar

from exchange.engine import queries
from exchange.engine.handle import Handle
from exchange.engine.queries import Moment
from exchange.gateways import history_view as past
from exchange.gateways import price_view
from exchange.gateways.cursors import cursor_of, keys_of, text_cursor_of, text_of
from exchange.gateways.green_view import share_page
from exchange.gateways.stream.stats import StreamStats
from exchange.ports_access import Depths, FeedHistory, KeyRow, Keys, ReportRow, Reports, Stored
from exchange.ports_history import History
from exchange.ports_statements import Chains, MadeFile
from exchange.projections.indices import Codes
from exchange.projections.lane import lane_answer
from exchange.projections.sheets import Sheet
from exchange.protocol import answers as a
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_green as ag
from exchange.protocol import answers_operator as o
from exchange.protocol import answers_prices as p
from exchange.protocol import requests as r
from exchange.protocol import requests_delivery as rd
from exchange.protocol import requests_green as g
from exchange.protocol import requests_operator as ro
from exchange.protocol.answers_feed import FeedAddresses, FeedIntegrity
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid, time_ns, time_text
from exchange.protocol.operations import SCOPES
from exchange.protocol.to_command import task_of

T = TypeVar("T")
A = TypeVar("A")

# Sheet, format, language, tax in millionths -> file; NotInstalled. Called in worker threads, may take seconds.
MakeFile = Callable[[Sheet, str, str, int], MadeFile]
CLOSED = "closed"
FILES_AT_ONCE = 2  # statements that are written at the same time: a long PDF takes seconds of a core
FAR_BEHIND = 50_000  # commands: the tables are called behind, and a reader should know


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What answers are made from."""

    handle: Handle
    history: History
    stored: Stored
    keys: Keys
    reports: Reports
    depths: Depths | None
    clock_kind: str
    speed: str
    limits: o.Limits
    errors: o.Errors
    engine: str
    version: str
    read_wait_s: float
    statement_lines: int  # of one statement, at most
    feed_addresses: Sequence[str] = ()  # of feed workers
    stream_stats: StreamStats = field(default_factory=StreamStats)
    chains: Chains | None = None  # hashes and confirmations of statements; None: statements have none
    feed_history: FeedHistory | None = None  # None: no history is written here
    make_file: MakeFile | None = None  # a statement as a file of a format
    files_at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FILES_AT_ONCE))

    @property
    def now(self) -> Moment:
        """The venue's moment."""
        return Moment(self.handle.epoch, self.handle.seq, self.handle.now_ns)

    async def wait_for(self, seq: int) -> None:
        """Until the tables have come to seq; DoorError BEHIND where that takes too long."""
        if not await self.stored.wait_for(seq, self.read_wait_s):
            behind = f"the tables are at {self.stored.offset}, the market is at {self.handle.seq}"
            raise DoorError(DoorReason.BEHIND, behind, retry_after_s=1)

    async def read(self, question: Callable[..., T], *args: Any) -> T:
        """Asks the tables, in a thread, once they are where the market is now."""
        await self.wait_for(self.handle.seq)
        return await asyncio.to_thread(question, self.history, *args)


Question = Callable[[Surroundings, Any, str, Measures | None], Coroutine[Any, Any, Any]]
QUESTIONS: dict[str, Question] = {}


def not_configured() -> DoorError:
    """What is answered while there are no settings; to be raised."""
    return DoorError(DoorReason.REFUSED, "the venue has no settings yet", limit="NOT_CONFIGURED", hint="set_venue comes first")


def question(function: Callable[[Surroundings, Any, str, Measures], Coroutine[Any, Any, Any]]) -> None:
    """Puts a function that needs the venue's measures into the table, under its name."""

    async def asked(x: Surroundings, args: Any, who: str, m: Measures | None) -> Any:
        if m is None:
            raise not_configured()
        return await function(x, args, who, m)

    QUESTIONS[function.__name__.strip("_")] = asked


def _plain_question(function: Callable[[Surroundings, Any], Coroutine[Any, Any, Any]]) -> None:
    """Puts a function that needs no settings into the table, under its name."""

    async def asked(x: Surroundings, args: Any, _: str, __: Measures | None) -> Any:
        return await function(x, args)

    QUESTIONS[function.__name__.strip("_")] = asked


# --- the door itself ---


@_plain_question
async def _health(x: Surroundings, _: r.Nothing) -> a.Health:
    """For everybody, so nothing in it names what somebody sent."""
    handle, stored = x.handle, x.stored
    problems = []
    if handle.halted:
        problems.append("the market is closing" if handle.halted == CLOSED else "the market has stopped")
    is_behind = bool(stored.is_behind or stored.problem or handle.seq - stored.offset > FAR_BEHIND)
    if is_behind:
        problems.append("the tables are behind the market")
    if x.depths is not None and x.depths.is_broken:
        is_behind = True
        problems.append("the market data has stopped; a new start of the server mends it")
    if handle.problems:
        problems.append("the server's log has something to read")
    return a.Health(
        status="halted" if handle.halted else "behind" if is_behind else "ok", engine=x.engine, version=x.version,
        epoch=handle.epoch, seq=handle.seq, stored_seq=stored.offset, ts=time_text(handle.now_ns),
        ts_ns=str(handle.now_ns), server_ts_ns=str(time.time_ns()), problems=tuple(problems),
    )  # fmt: skip


@_plain_question
async def _limits(x: Surroundings, _: r.Nothing) -> o.Limits:
    return x.limits


@_plain_question
async def _feed(x: Surroundings, _: r.Nothing) -> FeedAddresses:
    return FeedAddresses(epoch=x.handle.epoch, seq=x.handle.seq, workers=tuple(x.feed_addresses))


@_plain_question
async def _feed_integrity(x: Surroundings, _: r.Nothing) -> FeedIntegrity:
    return FeedIntegrity(epoch=x.handle.epoch, seq=x.handle.seq, **asdict(x.stream_stats))


@_plain_question
async def _errors(x: Surroundings, _: r.Nothing) -> o.Errors:
    return x.errors


# --- the live market ---


@question
async def _venue(x: Surroundings, _: r.Nothing, __: str, m: Measures) -> a.Venue:
    return queries.venue_answer(x.handle.venue, x.now, m, x.clock_kind, x.speed)


@question
async def _catalogue(x: Surroundings, _: r.Nothing, __: str, m: Measures) -> a.Catalogue:
    return queries.catalogue(x.handle.venue, m)


@question
async def _instruments(x: Surroundings, args: r.Instruments, _: str, m: Measures) -> a.Families:
    after = _first_key("instruments", args.cursor)
    items, last = queries.families(x.handle.venue, m, args, after)
    return a.Families(items=items, next_cursor=_next("instruments", last))


@question
async def _depth(x: Surroundings, args: r.Book, _: str, m: Measures) -> a.Depth:
    if x.depths is not None:
        return x.depths.depth(args.instrument, args.levels)
    return queries.depth(x.handle.venue, x.now, m, args.instrument, args.levels)


@question
async def _lane(x: Surroundings, args: r.LaneView, _: str, m: Measures) -> a.Lane:
    return lane_answer(x.handle.venue, m, args, x.now.stamp(m))


@question
async def _demand(x: Surroundings, args: r.DemandView, _: str, m: Measures) -> a.Demand:
    """The same table that the socket tells, so that asking often shows no more than listening."""
    if x.depths is None:
        raise DoorError(DoorReason.NOT_FOUND, "this server has no market data")
    place, told = x.depths.latest("demand", "")
    items = tuple(
        cell for cell in told.items
        if args.chip in (None, cell.chip) and args.access_region in (None, cell.access_region)
    )  # fmt: skip
    return a.Demand(items=items, **Moment(x.handle.epoch, place.seq, place.ts_ns).stamp(m))


@question
async def _curve(x: Surroundings, args: r.CurveOf, _: str, m: Measures) -> p.Curve:
    """The same curve that the socket tells."""
    if x.depths is None:
        raise DoorError(DoorReason.NOT_FOUND, "this server has no market data")
    if args.family not in x.handle.venue.family_numbers:
        hint = "see GET /v1/instruments"
        raise DoorError(DoorReason.NOT_FOUND, f"family {args.family[:80]!r} is not listed", field="family", hint=hint)
    place, told = x.depths.latest("curve", args.family)
    return p.Curve(family=args.family, items=told.items, **Moment(x.handle.epoch, place.seq, place.ts_ns).stamp(m))


@question
async def _preview_task(x: Surroundings, args: r.TaskTerms, who: str, m: Measures) -> a.Quote:
    return queries.quote(x.handle.venue, x.now, m, task_of(args, who, m))


@question
async def _unsold_hours(x: Surroundings, args: r.OwnOffer, who: str, m: Measures) -> a.Unsold:
    return queries.unsold(x.handle.venue, who, args.offer_id, m)


@question
async def _account(x: Surroundings, _: r.OwnMoney, who: str, m: Measures) -> d.Account:
    return queries.account_answer(x.handle.venue, who, x.handle.seq, m)


@question
async def _holds(x: Surroundings, _: r.OwnMoney, who: str, m: Measures) -> d.Holds:
    return queries.holds(x.handle.venue, who, m)


@question
async def _accounts(x: Surroundings, args: r.Paged, _: str, m: Measures) -> d.AccountPage:
    first = _first_key("accounts", args.cursor)
    items, following = queries.accounts(x.handle.venue, first, args.limit, x.handle.seq, m)
    return d.AccountPage(items=items, next_cursor=_next("accounts", following))


@question
async def _participants(x: Surroundings, args: r.Paged, _: str, __: Measures) -> o.ParticipantPage:
    items, last = queries.participants(x.handle.venue, _first_key("participants", args.cursor), args.limit)
    return o.ParticipantPage(items=items, next_cursor=_next("participants", last))


@question
async def _sites(x: Surroundings, args: ro.SiteList, who: str, m: Measures) -> o.SitePage:
    items, last = queries.sites(x.handle.venue, who, _first_key("sites", args.cursor), args.limit, m)
    return o.SitePage(items=items, next_cursor=_next("sites", last))


@question
async def _dispatches(x: Surroundings, args: rd.DispatchList, who: str, m: Measures) -> d.DispatchPage:
    items, last = queries.dispatches(x.handle.venue, who, _first_key("dispatches", args.cursor), args.limit, m)
    return d.DispatchPage(items=items, next_cursor=_next("dispatches", last))


@_plain_question
async def _activity(x: Surroundings, _: r.Nothing) -> o.Activity:
    return queries.activity(x.handle.venue, x.handle.seq)


@_plain_question
async def _state(x: Surroundings, _: r.Nothing) -> o.State:
    return queries.state(x.handle.venue, x.handle.seq)


@question
async def _due(x: Surroundings, args: ro.Settlement, _: str, m: Measures) -> o.DueList:
    return queries.due(x.handle.venue, args.period_start, m)


def _first_key(operation: str, cursor: str | None) -> int:
    keys = keys_of(operation, cursor, 1)
    if keys is None:
        return 0
    if keys[0] < 0:
        raise DoorError(DoorReason.BAD_CURSOR, field="cursor")
    return keys[0]


def _next(operation: str, key: int) -> str | None:
    return cursor_of(operation, key) if key else None


# --- the past ---


@question
async def _trades(x: Surroundings, args: r.Trades, _: str, m: Measures) -> a.TradePage:
    return await x.read(past.trade_page, args, m)


@question
async def _prices(x: Surroundings, args: r.Prices, _: str, m: Measures) -> a.PricePage:
    return await x.read(past.price_page, args, m)


@question
async def _candles(x: Surroundings, args: r.Candles, _: str, m: Measures) -> p.CandlePage:
    subject = price_view.subject_of(args)
    family = subject.family or subject.instrument.rpartition("/")[0]
    if family and family not in x.handle.venue.family_numbers:
        field = "family" if subject.family else "instrument"
        raise DoorError(DoorReason.NOT_FOUND, f"{family[:80]} is not listed", field=field, hint="see GET /v1/instruments")
    if subject.instrument and x.handle.venue.periods.parse(subject.instrument.rpartition("/")[2]) is None:
        raise DoorError(DoorReason.NOT_FOUND, f"{subject.instrument[:80]} names no period", field="instrument")
    if subject.chip:
        _check_place(x, subject.chip, subject.region)
    return await x.read(price_view.candle_page, args, subject, x.handle.now_ns, m)


@question
async def _indices(x: Surroundings, args: r.Indices, _: str, m: Measures) -> p.IndexPage:
    _check_place(x, args.chip or "", args.region or "")
    chips = x.handle.venue.state.catalogue.chips.items()
    wanted = {code: chip.fp16_gflops for code, chip in chips if args.chip == code or not args.chip and chip.family == "ai"}
    return await x.read(price_view.index_page, args, wanted, Codes(x.handle.venue.periods), m)


def _check_place(x: Surroundings, chip: str, region: str) -> None:
    catalogue = x.handle.venue.state.catalogue
    if chip and chip not in catalogue.chips:
        raise DoorError(DoorReason.NOT_FOUND, f"chip {chip[:80]!r} is not in the catalogue", field="chip")
    if region and region not in catalogue.regions:
        raise DoorError(DoorReason.NOT_FOUND, f"region {region[:80]!r} is not in the catalogue", field="region")


@question
async def _tasks(x: Surroundings, args: r.TaskList, who: str, m: Measures) -> a.TaskPage:
    return await x.read(past.task_page, who or None, args, m)


@question
async def _task(x: Surroundings, args: r.OwnTask, who: str, m: Measures) -> a.Task:
    row = await x.read(lambda history: history.task(who, args.client_order_id))
    return past.task_answer(_found(row), m, is_whole=True)


@question
async def _orders(x: Surroundings, args: r.OrderList, who: str, m: Measures) -> a.OrderPage:
    return await x.read(past.order_page, who or None, args, m)


@question
async def _order(x: Surroundings, args: r.OwnOrder, who: str, m: Measures) -> a.Order:
    row = await x.read(lambda history: history.order(who, args.client_order_id))
    return past.order_answer(_found(row), m)


@question
async def _offers(x: Surroundings, args: r.OfferList, who: str, m: Measures) -> a.OfferPage:
    rows = await x.read(past.offer_rows, who or None, args)
    still_open = partial(queries.open_lot_periods, x.handle.venue)
    items = tuple(
        past.offer_answer(row, still_open(row.participant, row.offer_id) if row.status == "open" else 0, m) for row in rows
    )
    return a.OfferPage(items=items, next_cursor=past.next_cursor("offers", rows, args.limit, 1))


@question
async def _obligations(x: Surroundings, args: r.ObligationList, who: str, m: Measures) -> d.ObligationPage:
    return await x.read(past.obligation_page, who or None, args, m, x.handle.now_ns)


@question
async def _leases(x: Surroundings, args: r.LeaseList, who: str, m: Measures) -> d.LeasePage:
    return await x.read(past.lease_page, who or None, args, m, x.handle.now_ns)


@question
async def _certificates(x: Surroundings, args: g.CertificateList, who: str, m: Measures) -> ag.CertificatePage:
    after = text_of("certificates", args.cursor)
    items, last = queries.certificates(x.handle.venue, who, after, args.limit, m)
    return ag.CertificatePage(items=items, next_cursor=text_cursor_of("certificates", last) if last else None)


@question
async def _green_share(x: Surroundings, args: g.GreenShareOf, who: str, m: Measures) -> ag.GreenSharePage:
    window = past.day_window(args.day, m.settings.time_zone)
    is_final = queries.is_settled(x.handle.venue, window.to_ns)
    return await x.read(share_page, who, args, window, is_final)


def _found(row: A | None) -> A:
    if row is None:
        raise DoorError(DoorReason.NOT_FOUND, field="client_order_id")
    return row


# --- keys and reports ---


@_plain_question
async def _create_key(x: Surroundings, args: ro.KeyTerms) -> o.NewKey:
    """A participant's key never operates: what belongs to everybody is the operator's."""
    participant = args.participant or ""
    unknown = [scope for scope in args.scopes if scope not in SCOPES]
    if unknown:
        raise invalid("scopes", f"{unknown[0]} is none of {', '.join(SCOPES)}")
    if participant and "operate" in args.scopes:
        raise invalid("scopes", "operate belongs to keys of the operator", "leave participant out, or operate")
    if participant and participant not in x.handle.venue.state.participants:
        raise invalid("participant", f"participant {participant} is unknown", "add_participant comes first")
    expires_ns = 0 if args.expires is None else time_ns(args.expires, "expires")
    if args.expires is not None and expires_ns <= time.time_ns():
        raise invalid("expires", f"{args.expires} has passed")
    scopes = tuple(scope for scope in SCOPES if scope in args.scopes)
    row, secret = await asyncio.to_thread(x.keys.create, participant, scopes, args.label, expires_ns)
    return o.NewKey(secret=secret, **_key_fields(row))


@_plain_question
async def _keys(x: Surroundings, args: r.Paged) -> o.KeyPage:
    rows = await asyncio.to_thread(x.keys.list, text_of("keys", args.cursor), args.limit)
    cursor = text_cursor_of("keys", rows[-1].key_id) if len(rows) == args.limit else None
    return o.KeyPage(items=tuple(o.Key(**_key_fields(row)) for row in rows), next_cursor=cursor)


@_plain_question
async def _revoke_key(x: Surroundings, args: ro.KeyName) -> o.Key:
    row = await asyncio.to_thread(x.keys.revoke, args.key_id)
    if row is None:
        raise DoorError(DoorReason.NOT_FOUND, field="key_id")
    return o.Key(**_key_fields(row))


def _key_fields(row: KeyRow) -> dict[str, Any]:
    return {
        "key_id": row.key_id, "participant": row.participant, "scopes": row.scopes, "label": row.label,
        "created": time_text(row.created_ns), "expires": time_text(row.expires_ns) if row.expires_ns else None,
        "is_revoked": row.is_revoked,
    }  # fmt: skip


@_plain_question
async def _start_report(x: Surroundings, _: ro.ReportTerms) -> o.Report:
    return _report_answer(await asyncio.to_thread(x.reports.start, x.handle.seq))


@_plain_question
async def _report(x: Surroundings, args: ro.ReportName) -> o.Report:
    row = await asyncio.to_thread(x.reports.find, args.report_id)
    if row is None:
        raise DoorError(DoorReason.NOT_FOUND, field="report_id")
    return _report_answer(row)


def _report_answer(row: ReportRow) -> o.Report:
    return o.Report(report_id=row.report_id, status=row.status, files=row.files, seq=row.seq, problem=row.problem)
