"""The operations about statements: the day itself, its files, what is behind a line, the chain, confirmations."""

import asyncio
from base64 import b64encode
from urllib.parse import quote

from exchange.engine import queries
from exchange.gateways import history_view as past
from exchange.gateways import statement_view as view
from exchange.gateways.cursors import text_cursor_of, text_of
from exchange.gateways.questions import Surroundings, question
from exchange.ports_statements import NotInstalled
from exchange.projections.sheets import Sheet
from exchange.protocol import answers_delivery as d
from exchange.protocol import answers_statements as st
from exchange.protocol import requests as r
from exchange.protocol import requests_statements as q
from exchange.protocol import strict_json
from exchange.protocol.errors import DoorError, DoorReason
from exchange.protocol.measures import Measures, invalid, scaled

NAMES = frozenset(("statement", "statement_file", "statement_line", "statement_days", "confirm_statement", "confirmations"))
PPM_PER_PERCENT = 10_000
_BETWEEN = "\t"  # of participant and day in a cursor


def _asked(x: Surroundings, who: str, day: str, m: Measures) -> view.Asked:
    """NOT_FOUND for who is not there. The time is asked before the tables are: what they have later may be of the day still."""
    queries.account_answer(x.handle.venue, who, 0, m)
    tariffs = {tariff.version: tariff for tariff in x.handle.venue.state.tariffs}
    window = past.day_window(day, m.settings.time_zone)
    return view.Asked(who, day, window, x.handle.now_ns, tariffs, m, x.chains)


@question
async def _statement(x: Surroundings, args: r.StatementOf, who: str, m: Measures) -> d.Statement:
    return await x.read(view.statement_of, _asked(x, who, args.day, m), x.statement_lines)


@question
async def _statement_file(x: Surroundings, args: q.StatementFileOf, who: str, m: Measures) -> st.StatementFile:
    past.one_of(args.format, q.FORMATS, "format")
    past.one_of(args.language, q.LANGUAGES, "language")
    tax_ppm = scaled(args.tax, PPM_PER_PERCENT, "tax")
    sheet, answer = await x.read(view.sheet_of, _asked(x, who, args.day, m), x.statement_lines)
    if args.format == "json":
        content = strict_json.encode(answer) + b"\n"
        name = quote(who, safe="").replace(".", "%2E").replace("~", "%7E")  # as the names of the other formats
        return _file(f"statement-{name}-{args.day}.json", "application/json", content)
    async with x.files_at_once:
        return await asyncio.to_thread(_made, x, sheet, args, tax_ppm)


def _made(x: Surroundings, sheet: Sheet, args: q.StatementFileOf, tax_ppm: int) -> st.StatementFile:
    if x.make_file is None:
        raise invalid("format", f"this exchange writes no {args.format}", "json is always there")
    try:
        made = x.make_file(sheet, args.format, args.language, tax_ppm)
    except NotInstalled as error:
        hint = "the operator installs it; json, csv, html, beancount, camt053, invoice and focus-csv need nothing"
        raise DoorError(
            DoorReason.REFUSED, str(error), field="format", limit="NOT_INSTALLED", hint=hint
        ) from error  # fmt: skip
    return _file(made.filename, made.content_type, made.content)


def _file(name: str, content_type: str, content: bytes) -> st.StatementFile:
    return st.StatementFile(filename=name, content_type=content_type, content_base64=b64encode(content).decode("ascii"))


@question
async def _statement_line(x: Surroundings, args: q.StatementLineOf, who: str, m: Measures) -> st.LineDetail:
    return await x.read(view.line_of, _asked(x, who, args.day, m), args.line_id)


@question
async def _statement_days(x: Surroundings, args: q.StatementDaysOf, who: str, m: Measures) -> st.StatementDays:
    after = text_of("statement_days", args.cursor)
    page = await x.read(view.days_of, _asked(x, who, "2000-01-01", m), args, after)
    is_full = len(page.items) == args.limit
    cursor = text_cursor_of("statement_days", page.items[-1].day) if is_full else None
    return st.StatementDays(items=page.items, next_cursor=cursor)


@question
async def _confirm_statement(x: Surroundings, args: q.StatementConfirmed, who: str, m: Measures) -> st.StatementDay:
    return await x.read(view.confirm, _asked(x, who, args.day, m), args.hash)


@question
async def _confirmations(x: Surroundings, args: r.Paged, _who: str, m: Measures) -> st.StatementDays:
    participant, _, day = text_of("confirmations", args.cursor).partition(_BETWEEN)
    rows = [] if x.chains is None else await asyncio.to_thread(x.chains.confirmed, (participant, day), args.limit)
    items = tuple(view.day_answer(row, m) for row in rows)
    is_full = len(rows) == args.limit
    cursor = text_cursor_of("confirmations", f"{rows[-1].participant}{_BETWEEN}{rows[-1].day}") if is_full else None
    return st.StatementDays(items=items, next_cursor=cursor)
