"""A statement out of the transfers: what an account had, the moves between it and others, what it has then.

The same lines as in the statement files (`projections.statements`): what only changes its purse is no line, and who trades
with himself reads both sides.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, or_, select

from exchange.adapters.tables import TABLES
from exchange.ports_history import PursesRow, StatementLineRow, StatementRow, Window
from exchange.ports_statements import DueFacts
from exchange.projections.ledger import OBLIGATION_KINDS, PAID_KINDS
from exchange.projections.statements import BY_PROVIDER

_REFERENCE = "obligation:"
_AT_ONCE = 500  # ids in one question
_TRANSFERS, _OBLIGATIONS = TABLES["transfers"], TABLES["obligations"]


def statement_of(connection: Connection, account: str, window: Window) -> StatementRow:
    """The statement of one account over a window, in the transaction of the connection."""
    purses = _sums_before(connection, account, window.from_ns)
    opening = PursesRow(**purses)
    moves = _moves(connection, account, window)
    for move in moves:
        if move.from_account == account:
            purses[move.from_bucket] -= move.amount_micro
        if move.to_account == account:
            purses[move.to_bucket] += move.amount_micro
    shown = [move for move in moves if move.from_account != move.to_account or move.kind in PAID_KINDS]
    dues = _obligations(connection, {number for move in shown if (number := _obligation(move))})
    lines = [line for move in shown for line in _seen(move, account, dues.get(_obligation(move)))]
    return StatementRow(account, opening, tuple(lines), PursesRow(**purses))


def _sums_before(connection: Connection, account: str, time_ns: int) -> dict[str, int]:
    """What has come into every purse less what has gone, before a time."""
    purses = dict.fromkeys(("cash", "held", "escrow", "margin", "bond"), 0)
    columns = _TRANSFERS.c
    sides = ((columns.to_account, columns.to_bucket, 1), (columns.from_account, columns.from_bucket, -1))
    for whose, bucket, sign in sides:
        total = func.sum(columns.amount_micro)
        asked = select(bucket, total).where(whose == account, columns.ts_ns < time_ns).group_by(bucket)
        for name, amount in connection.execute(asked):
            purses[name] += sign * int(amount)
    return purses


def _moves(connection: Connection, account: str, window: Window) -> list[Any]:
    columns = _TRANSFERS.c
    asked = select(_TRANSFERS).where(
        or_(columns.from_account == account, columns.to_account == account),
        columns.ts_ns >= window.from_ns,
        columns.ts_ns < window.to_ns,
    )
    return list(connection.execute(asked.order_by(columns.seq, columns.place)))


def _obligation(move: Any) -> int:
    """The obligation that a move settles; 0 for none: only the venue writes references of these kinds."""
    if move.kind in OBLIGATION_KINDS and move.reference.startswith(_REFERENCE):
        return int(move.reference[len(_REFERENCE) :])
    return 0


def _obligations(connection: Connection, numbers: set[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    wanted = sorted(numbers)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        asked = select(_OBLIGATIONS).where(_OBLIGATIONS.c.obligation_id.in_(some))
        found |= {row.obligation_id: row for row in connection.execute(asked)}
    return found


def _seen(move: Any, account: str, due: Any | None) -> Iterable[StatementLineRow]:
    """A move as its payer, its payee or both read it."""
    for is_payee, own, other in ((False, move.from_account, move.to_account), (True, move.to_account, move.from_account)):
        if own != account:
            continue
        amount_micro = move.amount_micro if is_payee else -move.amount_micro
        if due is None:
            reference, instrument, lots, price_micro, tariff = move.reference, "", 0, 0, 0
        else:
            reference, instrument = _own_name(move, due, own, is_payee), due.instrument
            lots = lots_of(move.kind, due.status, due.lots, due.lost_lots, due.made_up_lots)
            price_micro, tariff = due.price_micro, due.tariff_version
        yield StatementLineRow(
            move.seq, move.place, move.ts_ns, move.kind, other, amount_micro, _obligation(move), reference, instrument,
            lots, price_micro, tariff,
        )  # fmt: skip


def lots_of(kind: str, status: str, lots: int, lost: int, made_up: int) -> int:
    """What a line is about: lost lots for damages, those that failed for a buy-in, else those that were paid for."""
    if status == "open":
        return 0
    if kind.startswith("buy_in"):
        return lots
    return lost if kind == "damages" else lots - lost - made_up


def _own_name(move: Any, due: Any, own: str, is_payee: bool) -> str:
    """The buyer reads his task, the seller his offer; who is both reads the one that belongs to the side."""
    is_provider_s_side = is_payee != (move.kind in BY_PROVIDER)
    if own == due.buyer and not (own == due.seller and is_provider_s_side):
        return f"task {due.task}"
    return f"offer {due.offer_id}" if own == due.seller else ""


# --- what is behind a line ---


def next_move_ns(connection: Connection, account: str, from_ns: int) -> int | None:
    """When money of an account first moves, between its own purses too, from a time on; None where it never does."""
    times = [
        connection.execute(select(func.min(_TRANSFERS.c.ts_ns)).where(whose == account, _TRANSFERS.c.ts_ns >= from_ns)).scalar()
        for whose in (_TRANSFERS.c.from_account, _TRANSFERS.c.to_account)
    ]
    return min((time for time in times if time is not None), default=None)


def due_facts(connection: Connection, numbers: set[int]) -> dict[int, DueFacts]:
    """Trade, last reading, power and last fix of every obligation asked for; what made another up leads to its trade."""
    dues = _obligations(connection, numbers)
    origins = _obligations(connection, {due.instead_of for due in dues.values() if due.instead_of})
    first = {number: origins.get(due.instead_of, due) for number, due in dues.items()}
    places = _trade_places(connection, {due.seq for due in first.values()})
    readings = _last_readings(connection, set(dues))
    fixes = _last_fixes(connection, {due.instrument for due in dues.values()})
    found = {}
    for number, due in dues.items():
        seq, place = places.get(first[number].obligation_id, (0, 0))
        found[number] = DueFacts(
            number, seq, place, due.period_start_ns, due.period_end_ns, due.load_wh, due.green_wh, readings.get(number, 0),
            fixes.get(due.instrument, 0),
        )  # fmt: skip
    return found


def _trade_places(connection: Connection, seqs: set[int]) -> dict[int, tuple[int, int]]:
    trade = TABLES["trades"].c
    found: dict[int, tuple[int, int]] = {}
    for some in _parts(seqs):
        asked = select(trade.obligation_id, trade.seq, trade.place).where(trade.seq.in_(some))
        found |= {number: (seq, place) for number, seq, place in connection.execute(asked)}
    return found


def _last_readings(connection: Connection, numbers: set[int]) -> dict[int, int]:
    reading = TABLES["readings"].c
    found: dict[int, int] = {}
    for some in _parts(numbers):
        asked = select(reading.obligation_id, func.max(reading.number)).where(reading.obligation_id.in_(some))
        found |= {number: int(last) for number, last in connection.execute(asked.group_by(reading.obligation_id))}
    return found


def _last_fixes(connection: Connection, instruments: set[str]) -> dict[str, int]:
    fix = TABLES["fixes"].c
    found: dict[str, int] = {}
    for some in _parts(instruments):
        asked = select(fix.instrument, fix.price_micro).where(fix.instrument.in_(some)).order_by(fix.seq)
        found |= {instrument: int(price) for instrument, price in connection.execute(asked)}  # the last one stays
    return found


def _parts(wanted: Iterable[Any]) -> Iterable[list[Any]]:
    """What is asked for, so many at once."""
    ordered = sorted(wanted)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
