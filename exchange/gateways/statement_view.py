"""Statements from the tables: a participant's chain of days, sheets for the file formats, what is behind a line.

Called in worker threads; the live venue is never seen. A chain grows when it is asked for: every day that is over and on
which money of the participant moved gets the hash over its statement and the hash before, once.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from exchange.gateways import history_view as past
from exchange.ports_history import History, Page, StatementRow, Window
from exchange.ports_statements import ChainRow, Chains, DueFacts
from exchange.projections.sheets import PAYOUT, Sheet, SheetLine, facts_for
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_statements as st
from exchange.protocol import requests_statements as q
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures
from exchange.protocol.statement_hash import statement_hash


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose day, with what the live venue has told: is_final, tariffs by version, how far its time has come."""

    account: str
    day: str
    window: Window
    now_ns: int
    tariffs: dict[int, Any]
    m: Measures
    chains: Chains | None

    @property
    def is_final(self) -> bool:
        """Whether the day was over when it was asked for."""
        return self.window.to_ns <= self.now_ns


def link_of(history: History, asked: Asked) -> ChainRow | None:
    """The day's place in the chain, which is made as far as that; None while it is not over and for a quiet day."""
    if asked.chains is None or not asked.is_final:
        return None
    known = asked.chains.find(asked.account, asked.day)
    if known is None:
        extend(history, asked, asked.window.to_ns)
        known = asked.chains.find(asked.account, asked.day)
    return known


def extend(history: History, asked: Asked, until_ns: int) -> None:
    """Makes the chain for every day with a move that ends by a time."""
    chains, m = asked.chains, asked.m
    assert chains is not None
    last = chains.last(asked.account)
    previous, from_ns = "", -(1 << 63)
    if last is not None:
        previous, from_ns = last.hash, past.day_window(last.day, m.settings.time_zone).to_ns
    while (move_ns := history.next_move_ns(asked.account, from_ns)) is not None:
        day = past.day_of(move_ns, m.settings.time_zone)
        window = past.day_window(day, m.settings.time_zone)
        if window.to_ns > until_ns:
            return
        answer = past.statement_answer(history.statement(asked.account, window), day, True, asked.tariffs, m)
        row = ChainRow(asked.account, day, previous, statement_hash(msgspec.to_builtins(answer), previous))
        chains.add(row)
        previous, from_ns = row.hash, window.to_ns


def statement_of(history: History, asked: Asked, most_lines: int) -> d.Statement:
    """The statement of a day with its hash; DoorError INVALID_FIELD where it has too many lines for one answer."""
    link = link_of(history, asked)
    return past.statement_of_day(
        history, asked.account, asked.day, asked.window, asked.is_final, asked.tariffs, asked.m, most_lines, link
    )


def sheet_of(history: History, asked: Asked, most_lines: int) -> tuple[Sheet, d.Statement]:
    """The same as a table for files, and as the answer it is told as."""
    link = link_of(history, asked)
    row = history.statement(asked.account, asked.window)
    past.check_length(len(row.lines), asked.day, most_lines)
    facts = history.due_facts({line.obligation_id for line in row.lines if line.obligation_id})
    answer = past.statement_answer(row, asked.day, asked.is_final, asked.tariffs, asked.m, link, facts)
    lines = tuple(
        _sheet_line(told, line, facts_for(facts, line.obligation_id), asked.m)
        for told, line in zip(answer.lines, row.lines, strict=True)
    )
    settings = asked.m.settings
    sheet = Sheet(
        settings.name, settings.time_zone, asked.account, asked.day, asked.window.from_ns, asked.window.to_ns, asked.is_final,
        _purses(row, "opening"), lines, _purses(row, "closing"), answer.hash, answer.previous_hash, answer.confirmed or "",
    )  # fmt: skip
    sheet.check()
    return sheet, answer


def _purses(row: StatementRow, name: str) -> tuple[int, ...]:
    purses = getattr(row, name)
    return purses.cash, purses.held, purses.escrow, purses.margin, purses.bond


def _sheet_line(told: d.StatementLine, row: Any, facts: DueFacts, m: Measures) -> SheetLine:
    settings = m.settings
    card_hours = row.lots * settings.period_min * 1_000_000 // (60 * settings.lots_per_card)
    is_payout = row.kind == PAYOUT
    return SheetLine(
        told.line_id, row.ts_ns, told.ts, row.kind, told.what, row.counterparty, row.amount_micro, row.reference,
        row.obligation_id, told.trade_id, row.instrument, facts.period_start_ns, facts.period_end_ns, row.price_micro,
        card_hours if is_payout else 0, facts.load_wh if is_payout else 0, facts.green_wh if is_payout else 0, facts.reading,
        facts.fix_micro,
    )  # fmt: skip


# --- what is behind a line ---


def line_of(history: History, asked: Asked, line_id: str) -> st.LineDetail:
    """A line with its trade, every reading and the last fix; DoorError NOT_FOUND where the day has none of that name."""
    row = history.statement(asked.account, asked.window)
    lines = tuple(line for line in row.lines if f"{line.seq}-{line.place}" == line_id)
    if not lines:
        raise DoorError(DoorReason.NOT_FOUND, f"{asked.day} has no line {line_id}", field="line_id")
    facts = history.due_facts({lines[0].obligation_id} - {0})
    part = StatementRow(row.account, row.opening, lines[:1], row.closing)
    told = past.statement_answer(part, asked.day, asked.is_final, asked.tariffs, asked.m, None, facts).lines[0]
    due = facts_for(facts, lines[0].obligation_id)
    readings = history.readings(asked.account, due.obligation_id) if due.obligation_id else []
    fixes = history.fixes(instrument=told.instrument, page=Page(limit=1, newest_first=True)) if told.instrument else []
    m = asked.m
    return st.LineDetail(
        participant=asked.account, day=asked.day, line=told, trade=_trade(history, asked, due),
        readings=tuple(
            st.LineReading(
                seq=each.seq, ts=m.time_text(each.ts_ns), number=each.number, delivered_cards=m.cards_text(each.delivered_lots),
                is_countersigned=each.is_countersigned, is_disputed=each.is_disputed,
            )
            for each in readings
        ),
        fix=next((
            st.LineFix(
                seq=fix.seq, ts=m.time_text(fix.ts_ns), price=m.yuan(fix.price_micro), grade=fix.grade,
                inputs_hash=fix.inputs_hash,
            )
            for fix in fixes
        ), None),
    )  # fmt: skip


def _trade(history: History, asked: Asked, due: DueFacts) -> st.LineTrade | None:
    if not due.trade_seq:
        return None
    m = asked.m  # who was only paid a share of it is told its id, which the public tape has, and no more
    page = Page(after=(due.trade_seq, due.trade_place - 1), limit=1)
    fill = next(iter(history.fills(asked.account, page=page)), None)
    if fill is None or (fill.seq, fill.place) != (due.trade_seq, due.trade_place):
        return None
    return st.LineTrade(
        trade_id=due.trade_id, ts=m.time_text(fill.ts_ns), instrument=fill.instrument,
        period_start=m.time_text(fill.period_start_ns), cards=m.cards_text(fill.lots), price=m.yuan(fill.price_micro),
        cost=m.yuan(fill.cost_micro), buyer=fill.buyer, seller=fill.seller, site=fill.site, tariff_version=fill.tariff_version,
    )  # fmt: skip


# --- the chain ---


def days_of(history: History, asked: Asked, page: q.StatementDaysOf, after: str) -> st.StatementDays:
    """Days that are over, oldest first."""
    if asked.chains is None:
        return st.StatementDays(items=(), next_cursor=None)
    extend(history, asked, asked.now_ns)
    rows = asked.chains.days(asked.account, after, page.limit)
    return st.StatementDays(items=tuple(day_answer(row, asked.m) for row in rows), next_cursor=None)


def confirm(history: History, asked: Asked, given: str) -> st.StatementDay:
    """Notes a confirmation; DoorError REFUSED where there is nothing to confirm, or the hash is another one."""
    if asked.chains is None:
        raise DoorError(DoorReason.REFUSED, "this exchange keeps no confirmations", limit="NO_CONFIRMATIONS")
    if not asked.is_final:
        hint = "confirm it when the day has ended"
        raise DoorError(DoorReason.REFUSED, f"{asked.day} is not over", field="day", limit="STATEMENT_NOT_FINAL", hint=hint)
    link = link_of(history, asked)
    if link is None:
        detail = f"no money of {asked.account} moved on {asked.day}"
        raise DoorError(DoorReason.REFUSED, detail, field="day", limit="STATEMENT_EMPTY", hint="there is nothing to confirm")
    if given != link.hash:
        hint = "fetch the statement again and confirm what it says"
        raise DoorError(
            DoorReason.REFUSED, f"the hash of {asked.day} is another one", field="hash", limit="STATEMENT_HASH", hint=hint
        )  # fmt: skip
    return day_answer(asked.chains.confirm(asked.account, asked.day, asked.now_ns), asked.m)


def day_answer(row: ChainRow, m: Measures) -> st.StatementDay:
    """A day of a chain in the measures of the wire."""
    confirmed = m.time_text(row.confirmed_ns) if row.confirmed_ns else None
    return st.StatementDay(
        participant=row.participant, day=row.day, previous_hash=row.previous_hash, hash=row.hash, confirmed=confirmed
    )
