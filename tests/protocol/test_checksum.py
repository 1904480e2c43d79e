"""The published vectors of the checksum, and what the rule says of books that are short, one-sided or empty."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol.checksum import LEVELS, ORDERS, book_checksum, orders_checksum, whole

PAGE = Path(__file__).resolve().parents[2] / "docs/protocol/stream.md"
levels = st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=14)


def vectors() -> list[tuple[str, str, str, str]]:
    part = PAGE.read_text(encoding="utf-8").split("## Checksum")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| (\d+) \|$", part, re.M)
    assert len(rows) == 7, "as many as the page has"
    return rows


def side(cell: str) -> list[tuple[object, ...]]:
    return [tuple(map(_number, row.split(":"))) for row in cell.split()] if cell != "–" else []


def _number(part: str) -> object:
    return int(part) if len(part) < 16 else part


@pytest.mark.parametrize(("bids", "asks", "text", "told"), vectors())
def test_the_published_vectors_are_right(bids: str, asks: str, text: str, told: str) -> None:
    both = side(bids), side(asks)
    make = orders_checksum if len((both[0] + both[1] + [(0, 0)])[0]) == 3 else book_checksum
    assert make(*both) == int(told)  # type: ignore[arg-type]
    assert zlib.crc32(text.strip("`").replace("–", "").encode()) == int(told)


@given(levels, levels)
def test_ten_levels_a_side_in_turns(bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
    parts = []
    for place in range(10):
        parts += [f"{levels[place][0]}:{levels[place][1]}" for levels in (bids, asks) if place < len(levels)]
    assert LEVELS == 10 and book_checksum(bids, asks) == zlib.crc32(":".join(parts).encode())


def test_as_many_orders_count_as_the_page_says() -> None:
    orders = [(f"{place:016x}", 840, place) for place in range(1, 30)]
    assert ORDERS == 25 and orders_checksum(orders, []) == orders_checksum(orders[:25], [])
    assert orders_checksum(orders, []) != orders_checksum(orders[:24], [])


def test_ticks_and_lots_are_exact() -> None:
    assert (whole("8.40", "0.01"), whole("0.1", "0.1"), whole("1234567890.12", "0.01")) == (840, 1, 123456789012)
    with pytest.raises(ValueError, match="no whole number"):
        whole("8.405", "0.01")
