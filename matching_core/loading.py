"""From a snapshot blob to rows that an engine may believe: everything but the orders is checked here, once for both.

Rules kept here: a restore is all or nothing, and ValueError names what is wrong. Orders come as raw rows, since each
engine rests them one by one in its own way; `check()` then looks at the whole.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from . import image
from .limits import (
    FEE_TABLES,
    MAX_FEE_PPM,
    MAX_MONEY_MICRO,
    MAX_PRICE_TICKS,
    MAX_QTY_LOTS,
    OUTSIDE_ACCOUNT,
)


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


def need(condition: bool, wrong: str) -> None:
    """ValueError unless the condition holds."""
    if not condition:
        raise ValueError(f"snapshot {wrong}")


def read(blob) -> Image:
    """The checked rows of a blob."""
    sections = image.decode(blob)
    orders = sections.pop("ORDR")
    rows = {tag: list(image.ROWS[tag].iter_unpack(body)) for tag, body in sections.items()}
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
    return Image(next_seq, max_orders, now_ns, check_funds, listed_only, fees_ppm, rows["BOOK"], rows["ACCT"],
                 rows["CAPA"], rows["POSN"], orders)  # fmt: skip


def _need_ascending(keys: Sequence, what: str) -> None:
    need(all(low < high for low, high in pairwise(keys)), f"has {what} out of order")


def _check_books(rows: list[tuple], now_ns: int) -> None:
    _need_ascending([row[0] for row in rows], "books")
    for book, _, value_micro, max_order, gate_ns in rows:
        is_fair = 1 <= value_micro <= MAX_PRICE_TICKS and 0 <= max_order <= MAX_QTY_LOTS
        need(is_fair and (gate_ns == 0 or gate_ns > now_ns), f"has book {book} with a field out of range")


def _check_accounts(rows: list[tuple]) -> None:
    _need_ascending([row[0] for row in rows], "accounts")
    need(bool(rows) and rows[0][:2] == (OUTSIDE_ACCOUNT, 0), "lacks the outside account")
    for account, _, *purses in rows:
        need(all(abs(purse) <= MAX_MONEY_MICRO for purse in purses), f"has account {account} out of range")


def _check_capacities(rows: list[tuple], traders: set[int], groups: set[int]) -> None:
    _need_ascending([row[:2] for row in rows], "capacities")
    for account, group, attested, sold in rows:
        need(account in traders and group in groups, "has capacity of nobody or of no group")
        need(
            0 <= sold <= attested <= MAX_QTY_LOTS and attested > 0, f"has capacity of {account} out of range"
        )


def _check_positions(rows: list[tuple], traders: set[int], books: set[int] | None) -> None:
    _need_ascending([row[:2] for row in rows], "positions")
    for account, book, bought, sold in rows:
        need(account in traders, "has a position of nobody")
        need(min(bought, sold) >= 0 and max(bought, sold) > 0, f"has a position of {account} out of range")
        need(books is None or book in books, f"has a position in the unknown book {book}")
