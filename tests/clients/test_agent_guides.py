"""The programs of the four agent guides run as they stand, against a live exchange; and they are typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import polars
import pytest
from live_market import FAMILY, LiveMarket, china, instrument, live_market

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
NAMES = ("market_maker", "buyer", "provider", "recorder")
MAX_LINES = 80
PATIENCE_S = 60


def program(name: str) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", (GUIDES / f"{name}.md").read_text(encoding="utf-8"), re.S)
    return str(block)


@pytest.fixture
def own(tmp_path: Path):
    with live_market(tmp_path / "market") as found:
        yield found


def start(name: str, folder: Path, market: LiveMarket, key: str, *words: str) -> subprocess.Popen[str]:
    """The program as its reader starts it."""
    path = folder / f"{name}.py"
    path.write_text(program(name), encoding="utf-8")
    environment = os.environ | {"CPX_URL": market.server.url, "CPX_KEY": key, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, str(path), *words], env=environment, cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(running: subprocess.Popen[str]) -> str:
    """What it has said, when it has ended well by itself."""
    try:
        said, complained = running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
    assert running.returncode == 0, complained[-3000:]
    return said


def trade_in(market: LiveMarket, hour: int, price: str, cards: int = 1) -> None:
    """Somebody sells, somebody buys."""
    market.client(market.seller_key).offer(
        cards, site="zw-1", chip="A910B", latency_class="L10", start=china(hour), end=china(hour + 1), price=price
    )
    market.client(market.buyer_key).order(instrument(hour), price=price, cards=cards)


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_short(name: str) -> None:
    assert program(name).count("\n") <= MAX_LINES


def test_programs_are_typed(tmp_path: Path) -> None:
    files = []
    for name in NAMES:
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(program(name), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(ROOT / ".mypy_cache"), *files],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_market_maker_quotes_both_sides_and_leaves_nothing_behind(own: LiveMarket, tmp_path: Path) -> None:
    own.operator.add_participant("maker")
    own.operator.deposit("maker", 100_000)
    own.operator.add_site("mm-1", participant="maker", region="gansu-qingyang")
    own.operator.attest_capacity("mm-1", chip="A910B", cards=100, start=china(0), end=china(0, "2026-12-01"))
    key = own.operator.create_key(["read", "trade", "provide"], participant="maker").secret
    trade_in(own, 18, "5.00")
    watcher, maker = own.client(own.buyer_key), own.client(key)
    book = watcher.watch_book(instrument(18))
    running = start("market_maker", tmp_path, own, key, FAMILY, "mm-1", "3")
    for top in book.changes(heal=True):
        if top.bid and top.ask:
            break
    assert (top.bid.price, top.ask.price) == (Decimal("4.90"), Decimal("5.10")) and top.bid.cards == top.ask.cards == 4
    watcher.order(instrument(18), price="5.10", cards=4)  # it is sold out of this hour, which moves the curve and its quotes
    for hour in range(19, 23):  # a look of the curve for each change, at most one a second
        with suppress(subprocess.TimeoutExpired):
            running.wait(1.5)
            break
        trade_in(own, hour, "5.00")
    said = ended(running)
    assert f"{instrument(18)} bid 4.90 ask 5.10 held 0" in said and "held -4" in said, said
    assert list(maker.orders(status="live")) == [] and list(maker.offers(status="open")) == []
    assert [position.sold for position in maker.positions()] == [4]


def test_the_buyer_buys_what_fits_lets_the_rest_wait_and_never_buys_twice(own: LiveMarket, tmp_path: Path) -> None:
    own.client(own.seller_key).offer(
        64, site="zw-1", chip="A910B", latency_class="L10", start=china(8), end=china(20), price="5.20"
    )
    (needs,) = re.findall(r"```csv\n(.*?)```", (GUIDES / "buyer.md").read_text(encoding="utf-8"), re.S)
    (tmp_path / "needs.csv").write_text(needs, encoding="utf-8")
    for _ in range(2):
        said = ended(start("buyer", tmp_path, own, own.buyer_key, "needs.csv", "1"))
        assert "train-1: would cost 84.032 yuan now" in said and "train-2: waits, " in said, said
        assert "train-1: filled, 16 card-hours for 84.032" in said and "train-2: waiting, 0 card-hours" in said, said
    assert [lease.cards for lease in own.client(own.buyer_key).leases()] == [8]


def test_the_provider_lowers_what_does_not_sell_and_tells_each_sale(own: LiveMarket, tmp_path: Path) -> None:
    buyer = own.client(own.buyer_key)
    waiting = [buyer.order(instrument(18 + each), price="4.10", cards=2) for each in range(2)]
    said = ended(start("provider", tmp_path, own, own.seller_key, "zw-1", FAMILY, "32", "4.00", "2", "18", "2"))
    assert "32 cards at 5.20" in said and said.count("sold 2 cards of") == 2, said
    assert {each.refresh().status for each in waiting} == {"filled"}


def test_the_recorder_goes_on_where_it_was_over_restarts_of_itself_and_of_the_exchange(own: LiveMarket, tmp_path: Path) -> None:
    own.client(own.buyer_key).order(instrument(18), price="3.00", cards=1)
    first = start("recorder", tmp_path, own, own.buyer_key, FAMILY, "recorded", "3", instrument(18))
    for price in ("4.00", "4.01"):
        trade_in(own, 18, price)
    own.server.kill()
    own.server.start()
    trade_in(own, 19, "4.02")
    ended(first)
    trade_in(own, 18, "4.03")  # while nobody records
    second = start("recorder", tmp_path, own, own.buyer_key, FAMILY, "recorded", "2", instrument(18))
    trade_in(own, 19, "4.04")
    ended(second)
    stored = polars.concat(polars.read_parquet(file) for file in sorted((tmp_path / "recorded").glob("trades-*.parquet")))
    there = list(own.operator.past_trades(after="0-0"))
    assert stored["trade_id"].to_list() == [trade.trade_id for trade in there] and len(there) == 5
    assert stored["price"].to_list() == [trade.price for trade in there]
    tops = sorted((tmp_path / "recorded").glob("tops-*.parquet"))
    assert tops and polars.read_parquet(tops[0])["bid"].drop_nulls().unique().to_list() == [Decimal("3.00")]
