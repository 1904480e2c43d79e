"""From a snapshot blob to rows that an engine may believe: everything but the orders is checked here, once for both.

Rules kept here: a restore is all or nothing, and ValueError names what is wrong. Orders come as raw rows, since each
engine rests them one by one in its own way; `check()` then looks at the whole.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from . import image
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

_COUNT = 2**63 - 1
_KILLS = (MassFilter.ACCOUNT, MassFilter.FIRM)
_CALL_FIELDS = ("call", "call_end_ns", "extensions", "told_price", "told_volume", "told_surplus", "told_ns")
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


def need(condition: bool, wrong: str) -> None:
    """ValueError unless the condition holds."""
    if not condition:
        raise ValueError(f"snapshot {wrong}")


def read(blob, rules_version: int = 1) -> Image:
    """The checked rows of a blob, for an engine whose RULES_VERSION is given."""
    sections = dict.fromkeys(image.RULE_ROWS, b"") | image.decode(blob)
    is_later = any(sections[tag] for tag in image.RULE_ROWS)
    need(rules_version > 1 or not is_later, "has rules that this engine does not know")
    orders = sections.pop("ORDR")
    layout = image.ROWS | image.RULE_ROWS
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
    _need_ascending(rows["KILL"], "killed accounts")
    need(all(row[0] in _KILLS for row in rows["KILL"]), "has a killed account of an unknown kind")
    extras = {order_id: (aux, shown) for order_id, aux, shown in rows["ORDX"]}
    need(len(extras) == len(rows["ORDX"]), "has an order with two extra rows")
    return Image(next_seq, max_orders, now_ns, check_funds, listed_only, fees_ppm, rows["BOOK"], rows["ACCT"],
                 rows["CAPA"], rows["POSN"], orders, rows["RULE"], extras, rows["KILL"])  # fmt: skip


def _need_ascending(keys: Sequence, what: str) -> None:
    need(all(low < high for low, high in pairwise(keys)), f"has {what} out of order")


def _check_books(rows: list[tuple], now_ns: int) -> None:
    _need_ascending([row[0] for row in rows], "books")
    for book, _, value_micro, max_order, gate_ns in rows:
        is_fair = 1 <= value_micro <= MAX_PRICE_TICKS and 0 <= max_order <= MAX_QTY_LOTS
        need(is_fair and (gate_ns == 0 or gate_ns > now_ns), f"has book {book} with a field out of range")


def _check_rules(rows: list[tuple], now_ns: int, gates: dict[int, int], listed_only: bool) -> None:
    """gates: listed book -> its gate."""
    _need_ascending([row[0] for row in rows], "rules")
    for book, *values in rows:
        rules = dict(zip(image.RULE_FIELDS, values, strict=True))
        wrong = f"has rules of book {book} with a field out of range"
        need(book in gates or not listed_only, f"has rules of the unknown book {book}")
        need(all(low <= rules[name] <= high for name, (low, high) in _RULE_RANGES.items()), wrong)
        gate_ns = gates.get(book, 0)
        is_end_fair = rules["end_ns"] == gate_ns if rules["is_gated"] else rules["end_ns"] > gate_ns
        need(rules["end_ns"] == 0 or (gate_ns > 0 and is_end_fair), wrong)
        need(not rules["is_gated"] or (rules["phase"] == Phase.CANCEL_ONLY and rules["end_ns"] > 0), wrong)
        in_call = rules["phase"] == Phase.AUCTION
        need(in_call or not any(rules[name] for name in _CALL_FIELDS), wrong)
        need(rules["told_ns"] <= now_ns and (rules["fix"] > 0) == (rules["grade"] > 0), wrong)


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
