"""History files hold what subscribers were told: the same messages, by number, content and checksum, in every channel."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb
import polars
import pytest
from here import Client, first_commands, live_market

from exchange.adapters.feed_files import (
    HistoryError,
    NoSuchChannel,
    NoSuchDay,
    check_channel,
    parse_day,
    write_day,
)
from exchange.adapters.journal_reader import open_journal
from exchange.domain import commands as c
from exchange.protocol.stream import RECORDED

pytestmark = pytest.mark.slow  # a live exchange, and a replay for each channel

DAY = "2026-11-24"
BOOKS = ("top", "depth", "depth10", "depth50", "orders", "status")
ROOT = Path(__file__).resolve().parents[3]


def hottest_families() -> list[str]:
    """Where the most is bid for."""
    count: dict[str, int] = {}
    for each in first_commands(1_500):
        if isinstance(each, c.PlaceOrder):
            family = each.instrument.rpartition("/")[0]
            count[family] = count.get(family, 0) + 1
    return sorted(count, key=lambda family: -count[family])[:5]


def record(live: Any, families: list[str], commands: tuple[Any, ...]) -> list[Any]:
    """Follows everything from before the commands to behind them; what was told, but for answers."""
    client = Client(live, max_size=None)
    client.ask("subscribe", channel="trades", instrument="*")
    client.ask("subscribe", channel="instruments")
    for channel in BOOKS:
        for family in families:
            assert "result" in client.ask("subscribe", channel=channel, instrument=f"{family}/*")
    for start in range(0, len(commands), 25):
        live.submit(*commands[start : start + 25])
        client.ask("ping")
    client.close()
    return client.told


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A folder, and what a subscriber was told of some families over two starts of the exchange."""
    folder, families = tmp_path_factory.mktemp("history") / "exchange", hottest_families()
    commands = first_commands(1_500)
    begin = next(place for place, each in enumerate(commands) if isinstance(each, c.PlaceOffer))
    middle = (begin + len(commands)) // 2
    limits = {"subscriptions": 50_000, "frame_rate": 10**6, "frame_burst": 10**6}
    told = []
    with live_market(folder, begin, **limits) as live:
        told += record(live, families, commands[begin:middle])
    with live_market(folder, 0, **limits) as live:
        told += record(live, families, commands[middle:])
    assert len({message["epoch"] for message in told}) == 2
    return folder, told


def history(folder: Path, channel: str, out: Path) -> polars.DataFrame:
    path = out / f"{channel}.parquet"
    count = write_day(open_journal(folder), parse_day(DAY), channel, path)
    frame = polars.read_parquet(path)
    assert frame.height == count and not list(out.glob("*.part"))
    (rows,) = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()
    assert rows == (count,)
    return frame


def by_number(frame: polars.DataFrame) -> dict[Any, Any]:
    """Deltas by instrument, epoch and seq."""
    return {
        (row["instrument"], row["epoch"], row["seq"]): row for row in frame.iter_rows(named=True) if row["kind"] == "delta"
    }


def levels(rows: Any) -> list[tuple[Any, ...]]:
    """Of the wire, in ticks of 0.01 and lots of a tenth."""
    return [(*row[:-2], int(Decimal(row[-2]) * 100), int(Decimal(row[-1]) * 10)) for row in rows]


@pytest.mark.parametrize("channel", ["depth", "depth10", "depth50"])
def test_each_message_of_a_book_is_in_the_file_with_its_number_and_checksum(
    recorded: tuple[Path, list[Any]], channel: str, tmp_path: Path
) -> None:
    folder, told = recorded
    rows = by_number(history(folder, channel, tmp_path))
    mine = [each for each in told if each.get("channel") == channel and each["type"] == "delta"]
    assert len(mine) > 100
    whole = 0
    for message in mine:
        row = rows[message["instrument"], message["epoch"], message["seq"]]
        assert row["checksum"] == message["data"]["checksum"]
        assert row["time_ns"] == int(message["ts_ns"])
        if message["prev_seq"] != message["seq"] - 1:
            continue  # several steps as one, for a late reader
        whole += 1
        assert row["prev_seq"] == message["prev_seq"]
        for side in ("bids", "asks"):
            assert [(each["price_ticks"], each["lots"]) for each in row[side]] == levels(message["data"][side])
    assert whole > 0.9 * len(mine)
    followed = {each["instrument"].rpartition("/")[0] for each in told if each.get("channel") == channel}
    of_family = {key for key in rows if key[0].rpartition("/")[0] in followed}
    last = {(name, epoch): max(seq for n, e, seq in of_family if (n, e) == (name, epoch)) for name, epoch, _ in of_family}
    heard = dict.fromkeys(last, 0)
    for message in mine:
        heard[message["instrument"], message["epoch"]] = message["seq"]
    assert heard == last, "the file has no more and no fewer steps than were told"


def test_books_made_from_the_file_alone_have_its_checksums(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    frame = history(recorded[0], "depth", tmp_path)
    books: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
    checked = 0
    for row in frame.iter_rows(named=True):
        if row["kind"] == "closed":
            assert books.pop(row["instrument"]) == ({}, {})
            continue
        if row["kind"] == "snapshot":
            books[row["instrument"]] = ({}, {})
        for side, changes in zip(books[row["instrument"]], (row["bids"], row["asks"]), strict=True):
            for level in changes:
                side[level["price_ticks"]] = level["lots"]
                if not level["lots"]:
                    del side[level["price_ticks"]]
        bids, asks = books[row["instrument"]]
        words = []
        for place in range(10):
            for prices, side in ((sorted(bids, reverse=True), bids), (sorted(asks), asks)):
                words += [f"{prices[place]}:{side[prices[place]]}"] if place < len(prices) else []
        assert crc32(":".join(words).encode()) == row["checksum"]
        checked += bool(words)
    assert checked > 500


def test_trades_tops_and_states_are_those_that_were_told(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    folder, told = recorded
    deltas = [each for each in told if each["type"] == "delta"]
    trades = by_number(history(folder, "trades", tmp_path))
    heard = {("*", each["epoch"], each["seq"]): each["data"]["items"] for each in deltas if each["channel"] == "trades"}
    assert heard.keys() == trades.keys() and len(heard) > 3
    for place, items in heard.items():
        assert [(each["trade_id"], each["price_ticks"], each["lots"], each["time_ns"]) for each in trades[place]["items"]] == [
            (each["trade_id"], int(Decimal(each["price"]) * 100), int(Decimal(each["cards"]) * 10), int(each["ts_ns"]))
            for each in items
        ]
    tops = by_number(history(folder, "top", tmp_path))
    mine = [each for each in deltas if each["channel"] == "top"]
    assert len(mine) > 50
    for each in mine:
        row, data = tops[each["instrument"], each["epoch"], each["seq"]], each["data"]
        for side in ("bid", "ask"):
            assert row[f"{side}_ticks"] == (int(Decimal(data[side]) * 100) if data[side] else None)
            assert row[f"{side}_lots"] == (int(Decimal(data[f"{side}_cards"]) * 10) if data[side] else None)
    orders = by_number(history(folder, "orders", tmp_path))
    mine = [each for each in deltas if each["channel"] == "orders"]
    assert len(mine) > 50
    for each in mine:  # refs are others in every telling, and with them the checksums
        row = orders[each["instrument"], each["epoch"], each["seq"]]
        if each["prev_seq"] == each["seq"] - 1:
            for side in ("bids", "asks"):
                assert [(r["price_ticks"], r["lots"]) for r in row[side]] == [r[1:] for r in levels(each["data"][side])]
    states = by_number(history(folder, "status", tmp_path))
    closed = [each for each in deltas if each["channel"] == "status"]
    assert closed and all(states[e["instrument"], e["epoch"], e["seq"]]["state"] == e["data"]["state"] for e in closed)


def test_what_is_looked_at_has_a_file_too(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    frames = {channel: history(recorded[0], channel, tmp_path) for channel in RECORDED}
    for channel, frame in frames.items():
        assert frame.columns[:6] == ["kind", "instrument", "epoch", "seq", "prev_seq", "time_ns"], channel
        assert frame.filter(kind="delta").height > 0 or channel == "demand", channel
    lots = frames["trades"].explode("items").unnest("items", separator="_").get_column("items_lots").sum()
    days = frames["candles"].filter(polars.col("instrument").str.ends_with("@1d"))
    last = days.explode("items").unnest("items", separator="_").drop_nulls("items_lot_periods").group_by("instrument").last()
    assert last.get_column("items_lot_periods").sum() == lots > 0


def test_what_there_is_no_history_of_is_said(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    for channel in ("user", "lane", "heartbeat", "trade"):
        with pytest.raises(NoSuchChannel, match="trades"):
            check_channel(channel)
    for text in ("24.11.2026", "2026-13-01", "20261124", "today"):
        with pytest.raises(NoSuchDay, match="write it as"):
            parse_day(text)
    with pytest.raises(NoSuchDay, match=DAY):
        write_day(open_journal(recorded[0]), parse_day("2026-12-24"), "trades", tmp_path / "none.parquet")
    assert not list(tmp_path.iterdir())
    assert issubclass(NoSuchDay, HistoryError)


def test_the_guide_to_history_runs(recorded: tuple[Path, list[Any]], tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guides" / "history.md").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "exchange.cli", "history", "save", str(recorded[0]), "--day", DAY]
    for channel in ("trades", "depth10"):
        made = subprocess.run([*command, "--channel", channel, "--json"], cwd=tmp_path, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["messages"] > 0
    none = subprocess.run([*command, "--channel", "user"], cwd=tmp_path, capture_output=True, text=True)
    assert none.returncode == 2 and "there is history of" in none.stderr
    for number, block in enumerate(text.split("```python\n")[1:]):
        program = block.partition("```")[0]
        run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, (number, run.stderr)
        assert "True" in run.stdout, run.stdout
