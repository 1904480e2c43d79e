"""From a snapshot blob to rows that an engine may believe: everything but the orders is checked here, once for both.

Rules kept here: a restore is all or nothing, and ValueError names what is wrong. Orders come as raw rows, since each
engine rests them one by one in its own way; `check()` then looks at the whole.
"""

from collections.abc import Sequence
from operator import itemgetter, le, or_
from typing import NamedTuple

from . import image, loading_tasks
from .enums import FixGrade, MassFilter, Phase, StpMode, TiePolicy
from .limits import (
    FEE_TABLES,
    MAX_FEE_PPM,
    MAX_MONEY_MICRO,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    OUTSIDE_ACCOUNT,
    PPM,
)
from .loading_tasks import need, need_ascending

_COUNT = 2**63 - 1
_KILLS = (MassFilter.ACCOUNT, MassFilter.FIRM)
_SESSION_FIELDS = (
    "book", "phase", "is_gated", "end_ns", "fix", "grade",
    "told_ns", "call", "call_end_ns", "extensions", "told_price", "told_volume", "told_surplus",  # of a call
)  # fmt: skip
_RULE_RANGES = {
    "flags": (0, 15), "tie_policy": (0, TiePolicy.MIDPOINT), "stp": (0, StpMode.DECREMENT), "phase": (0, Phase.CLOSED),
    "call": (0, 15), "is_gated": (0, 1), "grade": (0, FixGrade.C), "zero": (0, 0), "cap_ppm": (0, PPM),
    "static_ppm": (0, PPM), "dynamic_ppm": (0, PPM), "corridor_ppm": (0, PPM), "collar_ticks": (0, MAX_PRICE_TICKS),
    "reference": (0, MAX_PRICE_TICKS), "last": (0, MAX_PRICE_TICKS), "call_end_ns": (0, _COUNT), "end_ns": (0, _COUNT),
    "fix": (0, MAX_PRICE_TICKS), "interval_ns": (0, _COUNT), "told_price": (0, MAX_PRICE_TICKS),
    "told_volume": (0, _COUNT), "told_surplus": (-_COUNT, _COUNT), "told_ns": (0, _COUNT),
}  # fmt: skip


class Image(NamedTuple):
    """A snapshot whose rows are fair, each in canonical order; the rows are those of `image.ROWS`."""

    next_seq: int
    max_orders: int
    now_ns: int
    check_funds: int
    listed_only: int
    fees_ppm: list[int]
    books: list[tuple]
    accounts: list[tuple]
    capacities: list[tuple]
    positions: list[tuple]
    orders: bytes
    rules: list[tuple]
    extras: dict[int, tuple[int, int]]  # order_id -> (aux, shown), in walk order
    killed: list[tuple[int, int]]
    tables: dict[str, list[tuple]]  # the rows of `image.TASK_ROWS`


def read(blob, rules_version: int = 1) -> Image:
    """The checked rows of a blob, for an engine whose RULES_VERSION is given."""
    sections = dict.fromkeys((*image.RULE_ROWS, *image.TASK_ROWS), b"") | image.decode(blob)
    for version, later in ((2, image.RULE_ROWS), (3, image.TASK_ROWS)):
        is_used = any(sections[tag] for tag in later)
        need(rules_version >= version or not is_used, "has rules that this engine does not know")
    orders = sections.pop("ORDR")
    layout = image.ROWS | image.RULE_ROWS | image.TASK_ROWS
    rows = {tag: list(layout[tag].iter_unpack(body)) for tag, body in sections.items()}
    need(len(rows["META"]) == 1 and len(rows["CORE"]) == 1, "has not exactly one META and one CORE row")
    next_seq, max_orders = rows["META"][0]
    now_ns, check_funds, listed_only, *fees_ppm = rows["CORE"][0]
    need(next_seq <= 2**63 and now_ns >= 0, "has a sequence or time out of range")
    need(check_funds <= 1 and listed_only <= 1, "is of an unknown kind of engine")
    need(len(fees_ppm) == FEE_TABLES and max(fees_ppm) <= MAX_FEE_PPM, "has a fee out of range")
    need(len(orders) <= max_orders * image.ROWS["ORDR"].size, "has more orders than max_orders")
    _check_books(rows["BOOK"], now_ns)
    _check_accounts(rows["ACCT"])
    traders = {row[0] for row in rows["ACCT"]} - {OUTSIDE_ACCOUNT}
    _check_capacities(rows["CAPA"], traders, groups={row[1] for row in rows["BOOK"]} - {0})
    need(bool(check_funds) or not rows["POSN"], "has positions where funds are not checked")
    _check_positions(rows["POSN"], traders, books={row[0] for row in rows["BOOK"]} if listed_only else None)
    _check_rules(rows["RULE"], now_ns, {row[0]: row[4] for row in rows["BOOK"]}, bool(listed_only))
    need_ascending(rows["KILL"], "killed accounts")
    need(all(row[0] in _KILLS for row in rows["KILL"]), "has a killed account of an unknown kind")
    extras = {order_id: (aux, shown) for order_id, aux, shown in rows["ORDX"]}
    need(len(extras) == len(rows["ORDX"]), "has an order with two extra rows")
    tables = {tag: rows[tag] for tag in image.TASK_ROWS}
    need(bool(check_funds) or not any(tables.values()), "has tasks where funds are not checked")
    loading_tasks.check(tables, now_ns, traders, {row[0] for row in rows["BOOK"]})
    return Image(next_seq, max_orders, now_ns, check_funds, listed_only, fees_ppm, rows["BOOK"], rows["ACCT"],
                 rows["CAPA"], rows["POSN"], orders, rows["RULE"], extras, rows["KILL"], tables)  # fmt: skip


def _columns(rows: list[tuple], width: int) -> list[list[int]]:
    """The rows by field: there may be hundreds of thousands, and a field is looked at as a whole."""
    return [list(map(itemgetter(at), rows)) for at in range(width)]


def _are_within(column: Sequence[int], low: int, high: int) -> bool:
    return not column or (low <= min(column) and max(column) <= high)


def _check_books(rows: list[tuple], now_ns: int) -> None:
    books, _, values_micro, max_orders, gates_ns = _columns(rows, 5)
    need_ascending(books, "books")
    need(_are_within(values_micro, 1, MAX_PRICE_TICKS), "has a book with a value out of range")
    need(_are_within(max_orders, 0, MAX_QTY_LOTS), "has a book with a largest order out of range")
    are_open = all(gate_ns == 0 or gate_ns > now_ns for gate_ns in gates_ns)
    need(are_open, "has a book that is open after its gate")


def _check_rules(rows: list[tuple], now_ns: int, gates: dict[int, int], listed_only: bool) -> None:
    """gates: listed book -> its gate."""
    names = ("book", *image.RULE_FIELDS)
    columns = dict(zip(names, _columns(rows, len(names)), strict=True))
    need_ascending(columns["book"], "rules")
    need(not listed_only or gates.keys() >= set(columns["book"]), "has rules of an unknown book")
    for name, (low, high) in _RULE_RANGES.items():
        need(_are_within(columns[name], low, high), f"has rules with {name} out of range")
    for session in zip(*(columns[name] for name in _SESSION_FIELDS), strict=True):
        if not _is_session_fair(now_ns, gates.get(session[0], 0), session):
            raise ValueError(f"snapshot has rules of book {session[0]} that do not go together")


def _is_session_fair(now_ns: int, gate_ns: int, session: tuple[int, ...]) -> bool:
    _, phase, is_gated, end_ns, fix, grade, told_ns, *of_call = session
    is_end_fair = end_ns == gate_ns if is_gated else end_ns > gate_ns
    if end_ns and not (gate_ns > 0 and is_end_fair):
        return False
    if is_gated and not (phase == Phase.CANCEL_ONLY and end_ns > 0):
        return False
    if phase != Phase.AUCTION and (told_ns or any(of_call)):
        return False
    return told_ns <= now_ns and (fix > 0) == (grade > 0)


def _check_accounts(rows: list[tuple]) -> None:
    accounts, _, *purses = _columns(rows, 7)
    need_ascending(accounts, "accounts")
    need(bool(rows) and rows[0][:2] == (OUTSIDE_ACCOUNT, 0), "lacks the outside account")
    for column in purses:
        need(_are_within(column, -MAX_MONEY_MICRO, MAX_MONEY_MICRO), "has an account out of range")


def _check_capacities(rows: list[tuple], traders: set[int], groups: set[int]) -> None:
    need_ascending([row[:2] for row in rows], "capacities")
    accounts, of_groups, attested, sold = _columns(rows, 4)
    is_known = traders.issuperset(accounts) and groups.issuperset(of_groups)
    need(is_known, "has capacity of nobody or of no group")
    is_fair = _are_within(attested, 1, MAX_QTY_LOTS) and _are_within(sold, 0, MAX_QTY_LOTS)
    need(is_fair and all(map(le, sold, attested)), "has capacity out of range")


def _check_positions(rows: list[tuple], traders: set[int], books: set[int] | None) -> None:
    need_ascending([row[:2] for row in rows], "positions")
    accounts, of_books, bought, sold = _columns(rows, 4)
    need(traders.issuperset(accounts), "has a position of nobody")
    need(_are_within(bought, 0, _COUNT) and _are_within(sold, 0, _COUNT), "has a position out of range")
    need(all(map(or_, bought, sold)), "has an empty position")
    need(books is None or books.issuperset(of_books), "has a position in an unknown book")
