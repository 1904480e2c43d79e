"""The past from the tables: each question is one short read transaction, and whose eyes ask is part of its WHERE clause."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, case, func, or_, select, true, tuple_
from sqlalchemy.exc import DatabaseError, InterfaceError, TimeoutError

from exchange.adapters import candle_rows
from exchange.adapters.database import first_line
from exchange.adapters.lease_rows import lease_of, mail_of
from exchange.adapters.statement_rows import due_facts, next_move_ns, statement_of
from exchange.adapters.tables import TABLES
from exchange.domain.events import Traded
from exchange.ports_delivery import GreenUseRow, LeaseRow, ObligationRow, ReadingRow
from exchange.ports_history import (
    ALWAYS,
    FIRST_PAGE,
    AttestationRow,
    FillRow,
    FixRow,
    HistoryUnavailable,
    OfferHourRow,
    OfferRow,
    OrderRow,
    Page,
    ParticipantRow,
    PublicTrade,
    PursesRow,
    SiteRow,
    StatementRow,
    TaskRow,
    TransferRow,
    Window,
)
from exchange.ports_prices import CandleRow, PrintRow, TapeRow, WeighedFixRow
from exchange.ports_statements import DueFacts
from exchange.protocol.codec import events_from_bytes

R = TypeVar("R", bound=Any)  # one of the row classes
Where = ColumnElement[bool]
TASK_ENDINGS = ("complete", "waiting", "expired", "canceled", "refused")
_TRADES, _OBLIGATIONS = TABLES["trades"], TABLES["obligations"]


class Readable(Protocol):
    """A store, in this process or in another."""

    @property
    def reader(self) -> Engine:
        """Connections that only read."""
        ...


class History:
    """`exchange.ports_history.History` on a store's reading connections."""

    def __init__(self, store: Readable) -> None:
        self._engine = store.reader

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            raise HistoryUnavailable(f"the database cannot be read: {first_line(error)}") from error

    def _rows(self, kind: type[R], table: Table, page: Page, keys: str, *where: Where) -> list[R]:
        """One page of a table as rows of a class that has its columns' names."""
        columns = [table.c[field.name] for field in fields(kind)]
        asked = _paged(select(*columns).where(*where), page, [table.c[key] for key in keys.split()])
        with self._reading() as connection:
            return [kind(*row) for row in connection.execute(asked)]

    # --- trades ---

    def trades(
        self,
        *,
        instrument: str = "",
        chip: str = "",
        region: str = "",
        window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[PublicTrade]:
        """The public tape."""
        where = _filters(_TRADES, instrument=instrument, chip=chip, region=region)
        return self._rows(PublicTrade, _TRADES, page, "seq place", *where, _within(_TRADES.c.ts_ns, window))

    def trades_since(self, ts_ns: int) -> list[tuple[int, Traded]]:
        """Every trade from a time on, with that time, in order."""
        columns = [_TRADES.c[field.name] for field in fields(Traded)]
        asked = select(_TRADES.c.ts_ns, *columns).where(_TRADES.c.ts_ns >= ts_ns)
        with self._reading() as connection:
            found = connection.execute(asked.order_by(_TRADES.c.seq, _TRADES.c.place))
            return [(row[0], Traded(*row[1:])) for row in found]

    def tape_of_open(self, ts_ns: int, period_from_ns: int) -> list[TapeRow]:
        """Every trade from a time on that delivers from period_from_ns on, in order."""
        with self._reading() as connection:
            return candle_rows.tape_rows(connection, ts_ns, period_from_ns)

    def fills(
        self, participant: str | None, *, instrument: str = "", window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[FillRow]:
        """Trades in which the participant bought or sold."""
        where = [*_filters(_TRADES, instrument=instrument), _within(_TRADES.c.ts_ns, window), _party(_TRADES, participant)]
        return [_own_names(row, participant) for row in self._rows(FillRow, _TRADES, page, "seq place", *where)]

    # --- bids, tasks, offers ---

    def orders(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[OrderRow]:
        """Plain bids; status also `live`."""
        table = TABLES["orders"]
        is_live = table.c.is_live if status == "live" else true()
        where = _filters(table, status="" if status == "live" else status)
        return self._rows(OrderRow, table, page, "seq", _own(table, participant), is_live, *where)

    def order(self, participant: str, client_order_id: str) -> OrderRow | None:
        """The latest bid of that name that was not refused, else the latest refused one."""
        return self._named(OrderRow, TABLES["orders"], "status", participant, client_order_id)

    def tasks(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[TaskRow]:
        """Tasks; status is one of their statuses or endings, and what still waits is not called unfilled."""
        table = TABLES["tasks"]
        where = _filters(table, **{"ending" if status in TASK_ENDINGS else "status": status})
        if status == "unfilled":
            where.append(table.c.ending != "waiting")
        return self._rows(TaskRow, table, page, "seq", _own(table, participant), *where)

    def task(self, participant: str, client_order_id: str) -> TaskRow | None:
        """The latest task of that name that was not refused, else the latest refused one."""
        return self._named(TaskRow, TABLES["tasks"], "ending", participant, client_order_id)

    def _named(self, kind: type[R], table: Table, told_by: str, participant: str, client_order_id: str) -> R | None:
        columns = [table.c[field.name] for field in fields(kind)]
        own = (table.c.participant == participant, table.c.client_order_id == client_order_id)
        is_refused = case((table.c[told_by] == "refused", 1), else_=0)
        with self._reading() as connection:
            found = connection.execute(select(*columns).where(*own).order_by(is_refused, table.c.seq.desc()).limit(1))
            row = found.one_or_none()
        return None if row is None else kind(*row)

    def offers(self, participant: str | None, *, status: str = "", page: Page = FIRST_PAGE) -> list[OfferRow]:
        """Offers; status open or ended."""
        table = TABLES["offers"]
        return self._rows(OfferRow, table, page, "seq", _own(table, participant), *_filters(table, status=status))

    def offer_hours(self, participant: str | None, offer_seq: int) -> list[OfferHourRow]:
        """The periods of one offer in which something happened, in order."""
        hours, offers = TABLES["offer_hours"], TABLES["offers"]
        columns = [hours.c[field.name] for field in fields(OfferHourRow)]
        asked = select(*columns).join_from(hours, offers, hours.c.offer_seq == offers.c.seq)
        asked = asked.where(hours.c.offer_seq == offer_seq, _own(offers, participant)).order_by(hours.c.period_start_ns)
        with self._reading() as connection:
            return [OfferHourRow(*row) for row in connection.execute(asked)]

    # --- after the trade ---

    def obligations(
        self,
        participant: str | None,
        *,
        role: str = "",
        status: str = "",
        window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[ObligationRow]:
        """Obligations as buyer, seller or both; the window is that of the period's start."""
        table = _OBLIGATIONS
        where = [_party(table, participant, role), *_filters(table, status=status), _within(table.c.period_start_ns, window)]
        return [_own_names(row, participant) for row in self._rows(ObligationRow, table, page, "obligation_id", *where)]

    def green_use(self, participant: str | None, window: Window) -> list[GreenUseRow]:
        """Load and certificates by buyer, instrument and period."""
        o = _OBLIGATIONS.c
        keys = (o.buyer, o.instrument, o.period_start_ns)
        asked = select(*keys, func.sum(o.load_wh), func.sum(o.green_wh)).where(
            _party(_OBLIGATIONS, participant, "buyer"), _within(o.period_start_ns, window), o.load_wh > 0
        )
        with self._reading() as connection:
            found = connection.execute(asked.group_by(*keys).order_by(*keys))
            return [GreenUseRow(buyer, code, start, int(load), int(green)) for buyer, code, start, load, green in found]

    def leases(
        self,
        participant: str | None,
        *,
        role: str = "buyer",
        status: str = "",
        window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[LeaseRow]:
        """Obligations put together by lease."""
        o = _OBLIGATIONS.c
        n_open = func.sum(case((o.status == "open", 1), else_=0))
        asked = select(o.lease).where(_party(_OBLIGATIONS, participant, role)).group_by(o.lease)
        asked = asked.having(func.min(o.period_start_ns) < window.to_ns, func.max(o.period_end_ns) > window.from_ns)
        if status:
            asked = asked.having(n_open > 0 if status == "open" else n_open == 0)
        with self._reading() as connection:
            numbers = list(connection.execute(_paged(asked, page, [o.lease])).scalars())
            columns = [o[field.name] for field in fields(ObligationRow)]
            mine = select(*columns).where(o.lease.in_(numbers), _party(_OBLIGATIONS, participant, role))
            found: dict[int, list[ObligationRow]] = {number: [] for number in numbers}
            for row in connection.execute(mine.order_by(o.obligation_id)):
                due = _own_names(ObligationRow(*row), participant)
                found[due.lease].append(due)
            mail = mail_of(connection, participant, numbers)
        return [lease_of(dues, mail) for dues in found.values()]

    def readings(self, participant: str | None, obligation_id: int) -> list[ReadingRow]:
        """Every word on one obligation, in order."""
        table = TABLES["readings"]
        columns = [table.c[field.name] for field in fields(ReadingRow)]
        asked = select(*columns).join_from(table, _OBLIGATIONS, table.c.obligation_id == _OBLIGATIONS.c.obligation_id)
        asked = asked.where(table.c.obligation_id == obligation_id, _party(_OBLIGATIONS, participant))
        with self._reading() as connection:
            return [ReadingRow(*row) for row in connection.execute(asked.order_by(table.c.seq))]

    def fixes(
        self,
        *,
        instrument: str = "",
        chip: str = "",
        region: str = "",
        latency_class: str = "",
        power: str = "",
        window: Window = ALWAYS,
        page: Page = FIRST_PAGE,
    ) -> list[FixRow]:
        """Fixes in order."""
        table = TABLES["fixes"]
        where = _filters(
            table, instrument=instrument, chip=chip, region=region, latency_class=latency_class, power=power
        )  # fmt: skip
        return self._rows(FixRow, table, page, "seq", *where, _within(table.c.ts_ns, window))

    # --- published prices ---

    def candle_starts(
        self,
        interval_min: int,
        *,
        family: str = "",
        chip: str = "",
        region: str = "",
        window: Window = ALWAYS,
        limit: int = 100,
    ) -> list[int]:
        """The newest starts of stored candles, newest first."""
        with self._reading() as connection:
            named = {"family": family, "chip": chip, "region": region}
            return candle_rows.candle_starts(connection, interval_min, window, limit, **named)

    def candles(
        self, interval_min: int, *, family: str = "", chip: str = "", region: str = "", window: Window = ALWAYS
    ) -> list[CandleRow]:
        """The stored candles that begin within the window."""
        with self._reading() as connection:
            return candle_rows.candle_rows(connection, interval_min, window, family=family, chip=chip, region=region)

    def prints(
        self, window: Window, *, chip: str = "", region: str = "", latency_class: str = "", power: str = ""
    ) -> list[PrintRow]:
        """Every trade within a short window, in no order."""
        with self._reading() as connection:
            named = {"chip": chip, "region": region, "latency_class": latency_class, "power": power}
            return candle_rows.print_rows(connection, window, **named)

    def instrument_prints(
        self, instrument: str, window: Window, before: tuple[int, int] | None, limit: int
    ) -> list[PrintRow]:
        """The newest trades of an instrument, newest first."""
        with self._reading() as connection:
            return candle_rows.instrument_prints(connection, instrument, window, before, limit)

    def fixed_periods(
        self, chips: Sequence[str], region: str, *, first: str = "", before: str = "", limit: int = 100
    ) -> list[str]:
        """Codes of periods with a fix, newest first."""
        with self._reading() as connection:
            return candle_rows.fixed_periods(connection, chips, region, first, before, limit)

    def weighed_fixes(self, chips: Sequence[str], region: str, periods: Sequence[str]) -> list[WeighedFixRow]:
        """The last fix of every instrument in these periods, and what it had traded before."""
        with self._reading() as connection:
            return candle_rows.weighed_fixes(connection, chips, region, periods)

    # --- money ---

    def transfers(
        self, participant: str | None, *, window: Window = ALWAYS, page: Page = FIRST_PAGE
    ) -> list[TransferRow]:
        """Moves of money that touch the account."""
        table = TABLES["transfers"]
        touches = or_(table.c.from_account == participant, table.c.to_account == participant)
        own = true() if participant is None else touches
        return self._rows(TransferRow, table, page, "seq place", own, _within(table.c.ts_ns, window))

    def statement(self, participant: str, window: Window) -> StatementRow:
        """The account's statement."""
        with self._reading() as connection:
            return statement_of(connection, participant, window)

    def due_facts(self, numbers: set[int]) -> dict[int, DueFacts]:
        """What is behind the lines of obligations."""
        with self._reading() as connection:
            return due_facts(connection, numbers)

    def next_move_ns(self, participant: str, from_ns: int) -> int | None:
        """When money of an account first moves from a time on."""
        with self._reading() as connection:
            return next_move_ns(connection, participant, from_ns)

    def balances(self, participant: str) -> PursesRow:
        """What the account has by the tables, purse by purse."""
        nothing_after = Window(ALWAYS.to_ns, ALWAYS.to_ns)
        return self.statement(participant, nothing_after).closing

    # --- the rest ---

    def answer(self, seq: int) -> list[Any] | None:
        """The events of a command that was answered."""
        table = TABLES["answers"]
        with self._reading() as connection:
            blob = connection.execute(select(table.c.events).where(table.c.seq == seq)).scalar_one_or_none()
        return None if blob is None else events_from_bytes(bytes(blob))

    def participants(self, *, page: Page = FIRST_PAGE) -> list[ParticipantRow]:
        """Everybody, in order of entry."""
        return self._rows(ParticipantRow, TABLES["participants"], page, "seq place")

    def sites(self, participant: str | None, *, page: Page = FIRST_PAGE) -> list[SiteRow]:
        """Data centres with their attested capacity."""
        sites, words = TABLES["sites"], TABLES["attestations"]
        columns = [sites.c[name] for name in ("seq", "ts_ns", "site", "participant", "region")]
        asked = _paged(select(*columns).where(_own(sites, participant)), page, [sites.c.seq])
        with self._reading() as connection:
            found = list(connection.execute(asked))
            attested: dict[str, list[AttestationRow]] = {row.site: [] for row in found}
            columns = [words.c[field.name] for field in fields(AttestationRow)]
            told = select(words.c.site, *columns).where(words.c.site.in_(list(attested))).order_by(words.c.seq)
            for site, *word in connection.execute(told):
                attested[site].append(AttestationRow(*word))
        return [
            SiteRow(row.seq, row.ts_ns, row.site, row.participant, row.region, tuple(attested[row.site])) for row in found
        ]


def _filters(table: Table, **equal: str) -> list[Where]:
    """column = value for every value that is given."""
    return [table.c[name] == value for name, value in equal.items() if value]


def _within(column: ColumnElement[int], window: Window) -> Where:
    if window == ALWAYS:
        return true()
    return (column >= window.from_ns) & (column < window.to_ns)


def _own(table: Table, participant: str | None) -> Where:
    return true() if participant is None else table.c.participant == participant


def _party(table: Table, participant: str | None, role: str = "") -> Where:
    """Whether somebody is the buyer or seller (or just the one that role names) of a row."""
    if participant is None:
        return true()
    if role:
        return table.c["buyer" if role == "buyer" else "seller"] == participant
    return or_(table.c.buyer == participant, table.c.seller == participant)


def _paged(asked: Select[Any], page: Page, keys: Sequence[ColumnElement[int]]) -> Select[Any]:
    """The rows of a page, in order of their keys."""
    key = tuple_(*keys) if len(keys) > 1 else keys[0]

    def edge(cursor: tuple[int, int]) -> Any:
        return cursor if len(keys) > 1 else cursor[0]

    if page.after is not None:
        asked = asked.where(key > edge(page.after))
    if page.before is not None:
        asked = asked.where(key < edge(page.before))
    return asked.order_by(*(column.desc() if page.newest_first else column for column in keys)).limit(page.limit)


def _own_names(row: R, participant: str | None) -> R:
    """What a party called its side is nobody else's business."""
    if participant is None or row.buyer == row.seller:
        return row
    return replace(row, offer_id="") if row.buyer == participant else replace(row, task="")
