"""The CSV files of a run: trades, prices, outcomes, settlement, failures, green power, statements (docs/guides/reports.md).

UTF-8, lines end in \\n, order of events, no wall-clock time: the same journal gives the same bytes. Amounts and prices
are decimal yuan with no digit lost, times RFC 3339 in the venue's time zone, delivery periods as in instrument codes
(UTC).
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_letters, digits

from exchange.adapters.exporters.writing import text_cell, write_rows, write_small, yuan_cell
from exchange.domain.events_settlement import TradeBusted
from exchange.domain.units import NS_PER_SECOND, format_scaled
from exchange.projections import Projections
from exchange.projections.calendar import Calendar
from exchange.projections.prices import price_rows
from exchange.projections.statements import (
    Delivered,
    Statement,
    StatementLine,
    delivered_prices,
    statements,
)
from exchange.projections.tape import Trade, instrument_parts
from exchange.projections.tasks import TaskRecord
from exchange.projections.words import reason_in_words

Rows = Iterator[Sequence[object]]

TRADES = (
    "trade_id,time,delivery_start,chip,region,latency_class,power,period,lots,cards,card_hours,price,cost,fee,buyer,"
    "seller,site,task,offer,is_block,tariff,obligation"
).split(",")
PRICES = (
    "scope,chip,region,latency_class,power,period,day,first,last,low,high,vwap,card_hours,trades,fix,grade"
).split(",")
OUTCOMES = (
    "task,participant,chip,shape,lane,cards,periods,card_hours_asked,card_hours_bought,status,ending,reason,compute,"
    "moving,fee,total,delivered_per_card_hour,waited_s,first_instrument,entered,rounding_card_hours"
).split(",")
UNFILLED = "task,participant,chip,status,ending,reason,binding,in_words,relaxations".split(",")
SETTLEMENT = (
    "obligation,trade_id,period,delivery_start,buyer,seller,task,offer,site,instrument,lots,cards,card_hours,price,"
    "delivered,lost,made_up,status,paid,fee,moving,refund,damages,cut,to_host,region_share,green_share,delivered_price,"
    "instead_of,load_wh,green_wh"
).split(",")
FAILURES = (
    "obligation,buyer,seller,instrument,region,known_by,failed,made_up,bought_in,lost,card_hours_failed,margin,refund,"
    "damages,cut"
).split(",")
GREEN = "day,buyer,region,load_wh,green_wh,share".split(",")
CORRECTIONS = "obligation,trade_id,time,what,buyer,seller,instrument,lots,before,price,cost,fee,reason".split(",")
LINES = (
    "time,what,counterparty,obligation,reference,instrument,cards,card_hours,price,amount_yuan".split(",")
)
INDEX = "day,account,role,opening,lines,closing,free,held,escrow,margin,bond,n_lines,file".split(",")
PURSE_WORDS = ("free", "held for tasks and orders", "in escrow for bought hours", "margin", "bond")
SAFE_IN_FILE_NAMES = frozenset(ascii_letters + digits + "-_")
STATEMENT_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}/[A-Za-z0-9_%~-]+\.csv")
STATEMENT_START = b"statement of,"


def write_csv_files(projections: Projections, folder: Path) -> list[Path]:
    """Every CSV file; the paths written."""
    return [
        write_rows(folder / "trades.csv", trades(projections)),
        write_rows(folder / "prices.csv", prices(projections)),
        write_rows(folder / "outcomes.csv", outcomes(projections)),
        write_rows(folder / "unfilled.csv", unfilled(projections)),
        write_rows(folder / "settlement.csv", settlement(projections)),
        write_rows(folder / "corrections.csv", corrections(projections)),
        write_rows(folder / "green.csv", green(projections)),
        write_rows(folder / "failures.csv", failures(projections)),
        *write_statements(projections, folder / "statements"),
    ]


def trades(projections: Projections) -> Rows:
    """One row per trade, in order."""
    calendar, text = projections.calendar, text_cell
    yield TRADES
    for trade in projections.tape.trades:
        fact = trade.fact
        chip, region, latency_class, power, period = instrument_parts(fact.instrument)
        yield (
            trade_id(trade), calendar.text(trade.time_ns), calendar.text(fact.period_start_ns), text(chip),
            text(region), latency_class, power, period, fact.lots, calendar.cards_text(fact.lots),
            calendar.card_hours_text(fact.lots), yuan_cell(fact.price_micro), yuan_cell(fact.cost_micro),
            yuan_cell(fact.fee_micro), text(fact.buyer), text(fact.seller), text(fact.site), text(fact.task),
            text(fact.offer_id), "yes" if fact.is_block else "no", fact.tariff_version, fact.obligation_id,
        )  # fmt: skip


def trade_id(trade: Trade) -> str:
    """The number of the command, and the place among its trades."""
    return f"{trade.seq}-{trade.index}"


def prices(projections: Projections) -> Rows:
    """One row per scope and key; a scope without trades (only a fix) has no prices."""
    yield PRICES
    for row in price_rows(projections.tape, projections.calendar):
        p = row.prices
        amounts = (p.first_micro, p.last_micro, p.low_micro, p.high_micro, p.vwap_micro)
        yield (
            row.scope, text_cell(row.chip), text_cell(row.region), row.latency_class, row.power, row.period, row.day,
            *(yuan_cell(amount) if p.trades else "" for amount in amounts),
            projections.calendar.card_hours_text(p.lots), p.trades,
            yuan_cell(row.fix_micro) if row.fix_micro else "", row.grade,
        )  # fmt: skip


def outcomes(projections: Projections) -> Rows:
    """One row per task, in order of entry; a refused submit is a row of its own."""
    yield OUTCOMES
    for record in projections.tasks.records:
        yield _outcome(projections, record)


def _outcome(projections: Projections, record: TaskRecord) -> Sequence[object]:
    calendar, task = projections.calendar, record.task
    total = record.delivered_micro + record.fee_micro
    per_card_hour = projections.tasks.per_card_hour(record)
    return (
        text_cell(task.client_order_id), text_cell(task.participant), _first_chip(record), text_cell(task.shape),
        text_cell(task.lane), calendar.cards_text(record.asked_lots), task.periods,
        calendar.card_hours_text(record.asked_lot_periods), calendar.card_hours_text(record.lot_periods), record.status,
        record.ending, record.reason, yuan_cell(record.compute_micro), yuan_cell(record.moving_micro),
        yuan_cell(record.fee_micro), yuan_cell(total), yuan_cell(per_card_hour) if record.lot_periods else "",
        format_scaled(record.waited_ns, NS_PER_SECOND, 0), text_cell(record.instrument),
        calendar.text(record.entered_ns), record.rounding_card_hours,
    )  # fmt: skip


def _first_chip(record: TaskRecord) -> str:
    return text_cell(record.task.chips[0].chip) if record.task.chips else ""


def unfilled(projections: Projections) -> Rows:
    """One row per task that is not filled whole: why, and what alone would have filled it."""
    yield UNFILLED
    for record in projections.tasks.records:
        if record.status != "filled":
            yield (
                text_cell(record.task.client_order_id), text_cell(record.task.participant), _first_chip(record),
                record.status, record.ending, record.reason, record.binding,
                reason_in_words(record.reason, record.task.shape),
                text_cell(record.explanation()),
            )  # fmt: skip


def settlement(projections: Projections) -> Rows:
    """One row per settled obligation, in that order; delivered_price includes the fee and adds up by parts (CA3).

    Trade, task, offer, site and price of made-up lots are those of the trade they go back to.
    """
    yield SETTLEMENT
    tape, calendar = projections.tape, projections.calendar
    parts, nothing = delivered_prices(projections.ledger, tape), Delivered()
    for item in projections.deliveries.settled:
        made_up, trade = tape.made_up.get(item.obligation_id), tape.by_obligation[item.obligation_id]
        paid = parts.get(item.obligation_id, nothing)
        amounts = (
            item.paid_micro, item.fee_micro, item.moving_micro, item.refund_micro, item.damages_micro,
            item.damages_cut_micro, paid.compute, paid.region, paid.green, paid.total,
        )  # fmt: skip
        yield (
            item.obligation_id, trade_id(trade), instrument_parts(item.instrument).period,
            calendar.text(item.period_start_ns), text_cell(item.buyer), text_cell(item.seller),
            text_cell(trade.fact.task), text_cell(trade.fact.offer_id), text_cell(trade.fact.site),
            text_cell(item.instrument), item.lots, calendar.cards_text(item.lots), calendar.card_hours_text(item.lots),
            yuan_cell(tape.price_micro(item.obligation_id)), item.delivered_lots, item.lost_lots, item.made_up_lots,
            item.status, *map(yuan_cell, amounts), made_up.instead_of if made_up else tape.covers.get(item.obligation_id, ""),
            item.load_wh, item.green_wh,
        )  # fmt: skip


def corrections(projections: Projections) -> Rows:
    """One row per trade that was busted or given another price, in order."""
    yield CORRECTIONS
    tape, calendar = projections.tape, projections.calendar
    for item in tape.corrections:
        fact, trade = item.fact, tape.by_obligation[item.fact.obligation_id]
        is_bust = isinstance(fact, TradeBusted)
        before, price = (fact.price_micro, 0) if isinstance(fact, TradeBusted) else (fact.before_micro, fact.price_micro)
        yield (
            fact.obligation_id, trade_id(trade), calendar.text(item.time_ns), "busted" if is_bust else "adjusted",
            text_cell(fact.buyer), text_cell(fact.seller), text_cell(fact.instrument), fact.lots,
            yuan_cell(before), "" if is_bust else yuan_cell(price),
            yuan_cell(fact.cost_micro), yuan_cell(fact.fee_micro), text_cell(fact.reason),
        )  # fmt: skip


def green(projections: Projections) -> Rows:
    """One row per venue day, buyer and region in which something was delivered; see `projections.green`."""
    yield GREEN
    for (day, buyer, region), use in projections.green.by_day().items():
        yield day.isoformat(), text_cell(buyer), text_cell(region), use.load_wh, use.green_wh, use.share


def failures(projections: Projections) -> Rows:
    """One row per obligation that failed, in lots and yuan; see `projections.failures`."""
    yield FAILURES
    for item in projections.failures.failures:
        lots = (item.failed_lots, item.made_up_lots, item.bought_in_lots, item.lost_lots)
        amounts = (item.margin_micro, item.refund_micro, item.damages_micro, item.cut_micro)
        yield (
            item.obligation, text_cell(item.buyer), text_cell(item.seller), text_cell(item.instrument),
            text_cell(instrument_parts(item.instrument).region), item.known_by, *lots,
            projections.calendar.card_hours_text(item.failed_lots), *map(yuan_cell, amounts),
        )  # fmt: skip


# --- statements ---


def write_statements(projections: Projections, folder: Path) -> list[Path]:
    """A file per participant and day with activity; index.csv over all accounts, whose lines of a day add up to 0.

    Statements that the index of an earlier run lists and this run does not have are removed; nothing else is.
    """
    names, stale = FileNames(), listed_statements(folder)
    files, index = [], [INDEX]
    for statement in statements(projections.ledger, projections.tape, projections.deliveries):
        day, name = statement.day.isoformat(), ""
        if not statement.is_system:
            name = f"{day}/{names.of(statement.account)}.csv"
            files.append(write_small(folder / name, _statement(projections, statement)))
        amounts = (
            statement.opening_micro,
            statement.lines_micro,
            statement.closing_micro,
            *statement.closing,
        )
        role = statement.account if statement.is_system else "participant"
        index.append(
            [
                day,
                text_cell(statement.account),
                role,
                *map(yuan_cell, amounts),
                str(len(statement.lines)),
                name,
            ]
        )
    for path in sorted(stale.difference(files)):
        path.unlink(missing_ok=True)
    return [*files, write_rows(folder / "index.csv", index)]


def listed_statements(folder: Path) -> set[Path]:
    """The statements that an index in this folder lists and that are there; empty without an index that can be read."""
    try:
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            names = {row.get("file") or "" for row in csv.DictReader(file)}
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        return set()
    return {folder / name for name in names if STATEMENT_NAME.fullmatch(name) and _is_statement(folder / name)}


def _is_statement(path: Path) -> bool:
    """Whether a file of its own, not one that a link leads to, begins as we begin a statement."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(STATEMENT_START)) == STATEMENT_START


def _statement(projections: Projections, statement: Statement) -> Rows:
    calendar = projections.calendar
    yield "statement of", text_cell(statement.account)
    yield "venue", text_cell(calendar.settings.name)
    yield "day", statement.day.isoformat(), calendar.settings.time_zone
    yield "opening balance", yuan_cell(statement.opening_micro), "yuan"
    yield "sum of the lines", yuan_cell(statement.lines_micro), "yuan"
    yield "closing balance", yuan_cell(statement.closing_micro), "yuan"
    for words, amount in zip(PURSE_WORDS, statement.closing, strict=True):
        yield f"of which {words}", yuan_cell(amount), "yuan"
    yield "number of lines", len(statement.lines)
    yield ()
    yield LINES
    for line in statement.lines:
        yield (
            calendar.text(line.time_ns), line.what, text_cell(line.counterparty), line.obligation or "",
            text_cell(line.reference), text_cell(line.instrument),
            *(_measures(calendar, line) if line.price_micro else ("", "", "")), yuan_cell(line.amount_micro),
        )  # fmt: skip


def _measures(calendar: Calendar, line: StatementLine) -> tuple[str, str, str]:
    """Cards, card-hours and price of an obligation's line."""
    return calendar.cards_text(line.lots), calendar.card_hours_text(line.lots), yuan_cell(line.price_micro)


class FileNames:
    """Account -> a file name that is safe everywhere; names that differ only in case get a number."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._taken: dict[str, int] = {}

    def of(self, account: str) -> str:
        """The name without its ending; the same account gets the same one again."""
        if account not in self._known:
            name = "".join(c if c in SAFE_IN_FILE_NAMES else _percent(c) for c in account)
            n_taken = self._taken.get(name.lower(), 0)
            self._taken[name.lower()] = n_taken + 1
            self._known[account] = f"{name}~{n_taken + 1}" if n_taken else name
        return self._known[account]


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
