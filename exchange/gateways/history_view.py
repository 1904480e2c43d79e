"""Lists of the past as answers: what the tables hold, in the words and measures of the wire.

The functions that read run in worker threads and never see the live venue; `participant` None = everybody's, for a key
of the operator.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from exchange.engine.queries import task_terms
from exchange.gateways.cursors import cursor_of, keys_of
from exchange.ports_delivery import LeaseRow, ObligationRow, ReadingRow
from exchange.ports_history import (
    ALWAYS,
    MAX_LIMIT,
    FixRow,
    History,
    OfferRow,
    OrderRow,
    Page,
    PublicTrade,
    PursesRow,
    StatementRow,
    TaskRow,
    Window,
)
from exchange.ports_statements import ChainRow, DueFacts
from exchange.projections.lease_states import hour_state, lease_state
from exchange.projections.sheets import facts_for
from exchange.projections.statements import share_part, words_of
from exchange.protocol import answers as a
from exchange.protocol import answers_delivery as d
from exchange.protocol import requests as r
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid
from exchange.protocol.private import Relaxed
from exchange.protocol.to_command import task_from_json, terms_of

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_PLACE = 1 << 62
_LIVE_ORDER = ("accepted", "partly")
_NS_PER_SECOND = 1_000_000_000
_INT64 = 1 << 63
ORDER_STATUSES = ("live", "filled", "canceled", "expired", "refused")
TASK_STATUSES = ("waiting", "filled", "partly", "unfilled")
OFFER_STATUSES = ("open", "ended")
OBLIGATION_STATUSES = ("open", "delivered", "short", "void", "made_up", "covered", "busted")
ROLES = {"buy": "buyer", "sell": "seller"}


def one_of(text: str | None, allowed: Iterable[str], field: str) -> str:
    """The text, "" where there is none; DoorError where it is none of the allowed ones."""
    if text is None:
        return ""
    if text not in allowed:
        raise invalid(field, f"{text} is none of {', '.join(allowed)}")
    return text


def newest_first(operation: str, asked: Any, count: int) -> Page:
    """The page of a list that begins with the newest row."""
    keys = keys_of(operation, asked.cursor, count)
    before = None if keys is None else (keys[0], keys[1] if count > 1 else 0)
    return Page(before=before, limit=asked.limit, newest_first=True)


def next_cursor(operation: str, rows: Sequence[Any], limit: int, count: int) -> str | None:
    """Where the next page begins; a full page may have been the last one."""
    return cursor_of(operation, *rows[-1].cursor[:count]) if len(rows) == limit else None


# --- trades and prices ---


def trade_page(history: History, asked: r.Trades, m: Measures) -> a.TradePage:
    """Public trades: newest first, or from `after` on, oldest first."""
    keys = keys_of("trades", asked.cursor, 2)
    edge = None if keys is None else (keys[0], keys[1])
    if asked.after is None:
        page = Page(before=edge, limit=asked.limit, newest_first=True)
    else:
        page = Page(after=edge or _trade_key(asked.after), limit=asked.limit)
    wanted: dict[str, Any] = {"instrument": asked.instrument or "", "chip": asked.chip or "", "region": asked.region or ""}
    rows = history.trades(**wanted, page=page)
    items = tuple(_trade(row, m) for row in rows)
    return a.TradePage(items=items, next_cursor=next_cursor("trades", rows, asked.limit, 2))


def _trade_key(trade_id: str) -> tuple[int, int]:
    seq, _, place = trade_id.partition("-")
    if not all(text.isascii() and text.isdigit() and len(text) < 17 for text in (seq, place)):
        raise invalid("after", f"{trade_id} is no trade id", "trade ids are written seq-index, as in 4711-0")
    return int(seq), int(place)


def _trade(row: PublicTrade, m: Measures) -> a.Trade:
    return a.Trade(
        trade_id=f"{row.seq}-{row.place}", seq=row.seq, instrument=row.instrument,
        period_start=m.time_text(row.period_start_ns), price=m.yuan(row.price_micro), cards=m.cards_text(row.lots),
        cost=m.yuan(row.cost_micro), is_block=row.is_block, **_at(row.ts_ns, m),
    )  # fmt: skip


def _at(ts_ns: int, m: Measures) -> dict[str, Any]:
    return {"ts": m.time_text(ts_ns), "ts_ns": str(ts_ns)}


def price_page(history: History, asked: r.Prices, m: Measures) -> a.PricePage:
    """Fixes, newest first."""
    page = newest_first("prices", asked, 1)
    wanted: dict[str, Any] = {"instrument": asked.instrument or "", "chip": asked.chip or "", "region": asked.region or ""}
    rows = history.fixes(**wanted, page=page)
    items = tuple(_price(row, m) for row in rows)
    return a.PricePage(items=items, next_cursor=next_cursor("prices", rows, asked.limit, 1))


def _price(row: FixRow, m: Measures) -> a.Price:
    return a.Price(
        instrument=row.instrument, price=m.yuan(row.price_micro), grade=row.grade, inputs_hash=row.inputs_hash,
        seq=row.seq, **_at(row.ts_ns, m),
    )  # fmt: skip


# --- tasks, orders, offers ---


def task_page(history: History, participant: str | None, asked: r.TaskList, m: Measures) -> a.TaskPage:
    """Tasks, newest first."""
    status = one_of(asked.status, TASK_STATUSES, "status")
    rows = history.tasks(participant, status=status, page=newest_first("tasks", asked, 1))
    items = tuple(task_answer(row, m) for row in rows)
    return a.TaskPage(items=items, next_cursor=next_cursor("tasks", rows, asked.limit, 1))


def task_answer(row: TaskRow, m: Measures, *, is_whole: bool = False) -> a.Task:
    """A task and what became of it; is_whole: with all its terms."""
    task = task_from_json(row.body)
    is_waiting = row.ending == "waiting" and row.status == "unfilled"
    steps = msgspec.json.decode(row.relaxations)
    return a.Task(
        status="waiting" if is_waiting else row.status, ending=row.ending, seq=row.seq,
        entered=m.time_text(row.entered_ns), filled_card_hours=m.card_hours_text(row.lot_periods),
        compute=m.yuan(row.compute_micro), moving=m.yuan(row.moving_micro), fee=m.yuan(row.fee_micro),
        instrument=row.instrument, reason=row.reason, message=row.message, binding=row.binding,
        relaxations=tuple(
            Relaxed(
                dimension=step["dimension"], change=step["change"], delivered=m.yuan(step["delivered_micro"]),
                instrument=step["instrument"],
            )
            for step in steps
        ),
        terms=terms_of(task, m) if is_whole and row.ending != "refused" else None, **task_terms(task, m),
    )  # fmt: skip


def order_page(history: History, participant: str | None, asked: r.OrderList, m: Measures) -> a.OrderPage:
    """Plain orders, newest first."""
    status = one_of(asked.status, ORDER_STATUSES, "status")
    rows = history.orders(participant, status=status, page=newest_first("orders", asked, 1))
    items = tuple(order_answer(row, m) for row in rows)
    return a.OrderPage(items=items, next_cursor=next_cursor("orders", rows, asked.limit, 1))


def order_answer(row: OrderRow, m: Measures) -> a.Order:
    """A plain order and what became of it."""
    return a.Order(
        participant=row.participant, client_order_id=row.client_order_id, instrument=row.instrument, side="buy",
        price=m.yuan(row.price_micro), cards=m.cards_text(row.lots), filled_cards=m.cards_text(row.filled_lots),
        leaves_cards=m.cards_text(row.leaves_lots), status="live" if row.status in _LIVE_ORDER else row.status,
        reason=row.reason, seq=row.seq, **_at(row.ts_ns, m),
    )  # fmt: skip


def offer_rows(history: History, participant: str | None, asked: r.OfferList) -> list[OfferRow]:
    """Offers, newest first; what is open of them is the live venue's to say."""
    status = one_of(asked.status, OFFER_STATUSES, "status")
    return history.offers(participant, status=status, page=newest_first("offers", asked, 1))


def offer_answer(row: OfferRow, open_lot_periods: int, m: Measures) -> a.Offer:
    """An offer and what became of it."""
    return a.Offer(
        participant=row.participant, offer_id=row.offer_id, site=row.site, chip=row.chip, region=row.region,
        latency_class=row.latency_class, power=row.power, cards=m.cards_text(row.lots), periods=row.periods,
        is_block=row.is_block, status=row.status, sold_card_hours=m.card_hours_text(row.sold_lots),
        open_card_hours=m.card_hours_text(open_lot_periods), seq=row.seq, **_at(row.ts_ns, m),
    )  # fmt: skip


# --- obligations and leases ---


def obligation_page(
    history: History, participant: str | None, asked: r.ObligationList, m: Measures, now_ns: int
) -> d.ObligationPage:
    """Obligations, newest first, each with its last reading."""
    role = ROLES.get(one_of(asked.side, ROLES, "side"), "")
    status = one_of(asked.status, OBLIGATION_STATUSES, "status")
    window = Window(
        m.time_ns(asked.from_time, "from_time") if asked.from_time else ALWAYS.from_ns,
        m.time_ns(asked.to_time, "to_time") if asked.to_time else ALWAYS.to_ns,
    )
    page = newest_first("obligations", asked, 1)
    rows = history.obligations(participant, role=role, status=status, window=window, page=page)
    trade_ids = _trade_ids(history, participant, {row.seq for row in rows if not row.instead_of})
    items = tuple(
        _obligation(row, participant, history.readings(participant, row.obligation_id), trade_ids, m, now_ns) for row in rows
    )
    return d.ObligationPage(items=items, next_cursor=next_cursor("obligations", rows, asked.limit, 1))


def _trade_ids(history: History, participant: str | None, seqs: set[int]) -> dict[int, str]:
    """Obligation -> id of its trade, for all trades of these commands."""
    found: dict[int, str] = {}
    for seq in sorted(seqs):
        after = (seq, -1)
        while True:
            rows = history.fills(participant, page=Page(after=after, before=(seq, _LAST_PLACE), limit=MAX_LIMIT))
            found |= {row.obligation_id: f"{row.seq}-{row.place}" for row in rows}
            if len(rows) < MAX_LIMIT:
                break
            after = rows[-1].cursor
    return found


def _obligation(
    row: ObligationRow, participant: str | None, readings: Sequence[ReadingRow], trade_ids: dict[int, str], m: Measures,
    now_ns: int,
) -> d.Obligation:  # fmt: skip
    """Fee and moving data are the buyer's; nobody else is told of them."""
    last = readings[-1] if readings else None
    is_open = row.status == "open"
    delivered = last.delivered_lots if is_open and last and last.number else None if is_open else row.delivered_lots
    is_buyers = participant is None or participant == row.buyer
    return d.Obligation(
        obligation_id=row.obligation_id, trade_id=trade_ids.get(row.obligation_id, ""), lease_id=str(row.lease),
        buyer=row.buyer, seller=row.seller, site=row.site, instrument=row.instrument,
        period_start=m.time_text(row.period_start_ns), cards=m.cards_text(row.lots), price=m.yuan(row.price_micro),
        cost=m.yuan(row.cost_micro), fee=m.yuan(row.fee_micro if is_buyers else 0),
        moving=m.yuan(row.moving_micro if is_buyers else 0), status=row.status,
        state=hour_state(row.status, row.failing, row.delivered_lots, row.period_start_ns, now_ns), failing=row.failing,
        reading=last.number if last else 0,
        delivered_cards=None if delivered is None else m.cards_text(delivered),
        is_countersigned=last is not None and last.is_countersigned, is_disputed=last is not None and last.is_disputed,
        paid=m.yuan(row.paid_micro), refund=m.yuan(row.refund_micro), damages=m.yuan(row.damages_micro),
        client_order_id=row.task, offer_id=row.offer_id,
    )  # fmt: skip


def lease_page(
    history: History, participant: str | None, asked: r.LeaseList, m: Measures, now_ns: int
) -> d.LeasePage:
    """What a buyer holds or held, newest first."""
    status = one_of(asked.status, OFFER_STATUSES, "status")
    rows = history.leases(participant, status=status, page=newest_first("leases", asked, 1))
    items = tuple(_lease(row, m, now_ns) for row in rows)
    return d.LeasePage(items=items, next_cursor=next_cursor("leases", rows, asked.limit, 1))


def _lease(row: LeaseRow, m: Measures, now_ns: int) -> d.Lease:
    """A lease; what its buyer was told is in the row only where he asks."""
    return d.Lease(
        lease_id=str(row.lease), buyer=row.buyer, seller=row.seller, site=row.site,
        family=row.instrument.rpartition("/")[0], client_order_id=row.task, cards=m.cards_text(row.lots),
        hours=m.hours_text(row.periods), card_hours=m.card_hours_text(row.lot_periods), start=m.time_text(row.start_ns),
        end=m.time_text(row.end_ns), cost=m.yuan(row.cost_micro), status=row.status,
        state=lease_state([hour_state(*hour, now_ns) for hour in row.hours]),
        accesses=tuple(d.LeaseAccess(seller=x.seller, access=x.access, ts=m.time_text(x.ts_ns)) for x in row.accesses),
        results=tuple(
            d.LeaseResult(
                seller=x.seller, exit_code=x.exit_code, output=x.output, is_final=x.is_final, ts=m.time_text(x.ts_ns)
            )
            for x in row.results
        ),
    )  # fmt: skip


# --- statements ---


def day_window(day: str, zone: str) -> Window:
    """A venue day as times; DoorError where there is no such day."""
    try:
        first = date.fromisoformat(day)
        window = Window(_midnight_ns(first, zone), _midnight_ns(first + timedelta(days=1), zone))
    except (ValueError, OverflowError):
        raise invalid("day", f"{day} is no day", "write it as 2026-11-24") from None
    if window.from_ns < -_INT64 or window.to_ns >= _INT64:
        raise invalid("day", f"{day} is too far away", "days from 1678 to 2261 can be told apart by the nanosecond")
    return window


def day_of(time_ns: int, zone: str) -> str:
    """The venue day that contains a time."""
    return (_EPOCH + timedelta(seconds=time_ns // _NS_PER_SECOND)).astimezone(ZoneInfo(zone)).date().isoformat()


def _midnight_ns(day: date, zone: str) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return (local - _EPOCH) // timedelta(seconds=1) * _NS_PER_SECOND


def statement_of_day(
    history: History, account: str, day: str, window: Window, is_final: bool, tariffs: dict[int, Any],
    m: Measures, most_lines: int, link: ChainRow | None = None,
) -> d.Statement:  # fmt: skip
    """The statement of an account over a day; DoorError INVALID_FIELD where it has too many lines for one answer."""
    row = history.statement(account, window)
    check_length(len(row.lines), day, most_lines)
    facts = history.due_facts({line.obligation_id for line in row.lines if line.obligation_id})
    return statement_answer(row, day, is_final, tariffs, m, link, facts)


def check_length(n_lines: int, day: str, most_lines: int) -> None:
    """DoorError INVALID_FIELD for a statement that is too long for one answer."""
    if n_lines > most_lines:
        detail = f"{day} has {n_lines:,} lines and one answer has {most_lines:,} at most"
        hint = "the operator's report has statements of any length"
        raise DoorError(DoorReason.INVALID_FIELD, detail, field="day", limit="statement_lines", hint=hint)


def statement_answer(
    row: StatementRow, day: str, is_final: bool, tariffs: dict[int, Any], m: Measures, link: ChainRow | None = None,
    facts: Mapping[int, DueFacts] = MappingProxyType({}),
) -> d.Statement:  # fmt: skip
    """A day of an account; `tariffs` by version tell what a share was for, `link` what the day's hash is."""
    lines = []
    for line in row.lines:
        is_in = line.amount_micro > 0
        kind = line.kind
        if kind == "share":
            tariff = tariffs.get(line.tariff_version)
            recipient = row.account if is_in else line.counterparty
            kind = share_part(tariff, line.instrument, recipient) if tariff is not None else "region"
        lines.append(d.StatementLine(
            seq=line.seq, ts=m.time_text(line.ts_ns), what=words_of(kind)[is_in], counterparty=line.counterparty,
            amount=m.yuan(line.amount_micro), reference=line.reference, obligation_id=line.obligation_id,
            instrument=line.instrument, line_id=f"{line.seq}-{line.place}", ts_ns=str(line.ts_ns), kind=line.kind,
            trade_id=facts_for(facts, line.obligation_id).trade_id,
        ))  # fmt: skip
    return d.Statement(
        participant=row.account, day=day, is_final=is_final, opening=_purses(row.opening, m), lines=tuple(lines),
        closing=_purses(row.closing, m), hash=link.hash if link else "", previous_hash=link.previous_hash if link else "",
        confirmed=m.time_text(link.confirmed_ns) if link and link.confirmed_ns else None,
    )  # fmt: skip


def _purses(row: PursesRow, m: Measures) -> d.Purses:
    return d.Purses(
        cash=m.yuan(row.cash), held=m.yuan(row.held), escrow=m.yuan(row.escrow), margin=m.yuan(row.margin),
        bond=m.yuan(row.bond), total=m.yuan(row.total_micro),
    )  # fmt: skip
