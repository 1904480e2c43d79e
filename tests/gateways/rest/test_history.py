"""History files over REST: made once beside the writer, whole, and a typed no for what there is none of."""

import io
import time

import polars
import pytest
from world import INSTRUMENT, offer, order, running_world

from clients import Client
from clients.errors import CpxError
from exchange.adapters.feed_days import FOLDER, FeedDays
from exchange.protocol.errors import DoorError, DoorReason

pytestmark = pytest.mark.slow  # a live exchange

DAY, NEXT = "2026-11-24", "2026-11-25T00:00:01+08:00"


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A day with an offer, bids and trades that is over, and the folder of its exchange."""
    folder = tmp_path_factory.mktemp("history") / "exchange"
    with running_world(folder) as world:
        world.do("place_offer", "seller", offer("o-1"))
        for number in range(3):
            world.do("place_order", "buyer", order(f"b-{number}", price="5.30", instrument=INSTRUMENT))
        assert world.ask("history", "buyer", day=DAY, channel="trades").reason == "REFUSED", "the day is not over"
        world.do("advance_time", to=NEXT)
        yield world, folder


def test_a_day_is_made_once_and_downloaded_by_whoever_may_read(market):
    world, folder = market
    with Client(world.server.url, world.keys["buyer"]) as cpx:
        told = polars.read_parquet(io.BytesIO(cpx.history(DAY, "trades")))
        listed = [each.trade_id for each in cpx.past_trades()]
        made = (folder / FOLDER / f"{DAY}-trades.parquet").stat().st_mtime_ns
        row = cpx.history_file(DAY, "trades")
        assert (row.status, row.percent, row.messages) == ("ready", 100, told.height) and row.size > 1000
        assert cpx.history(DAY, "trades")
    items = told.filter(kind="delta").explode("items").unnest("items", separator="_")
    assert sorted(items["items_trade_id"]) == sorted(listed) and len(listed) == 3
    assert items["items_price_ticks"].unique().to_list() == [520]
    assert (folder / FOLDER / f"{DAY}-trades.parquet").stat().st_mtime_ns == made, "it is not made again"


def test_what_there_is_no_history_of_is_a_typed_no(market):
    world, folder = market

    def reason(day, channel, who="buyer"):
        deadline = time.monotonic() + 30
        while (reply := world.ask("history", who, day=day, channel=channel)).status == 200:
            assert reply.data["status"] == "running" and time.monotonic() < deadline
            time.sleep(0.05)
        return reply.reason

    assert reason("2026-11-23", "depth") == "NOT_FOUND"
    assert reason("2026-11-25", "depth") == "REFUSED"
    assert reason(DAY, "user") == reason(DAY, "lane") == reason(DAY, "trade") == "UNKNOWN_CHANNEL"
    assert reason("2026-11-31", "depth") == "INVALID_FIELD"
    assert reason(DAY, "trades", None) == "NO_KEY"
    bearer = {"Authorization": f"Bearer {world.keys['buyer']}"}
    for path in (f"{DAY}/top", f"{DAY}/..%2F..%2Foperator", "..%2F..%2F/trades", "2026-11-23/depth"):
        assert world.send("GET", f"/v1/history/{path}/file", None, bearer).status == 404, path
    assert world.send("GET", f"/v1/history/{DAY}/trades/file").status == 401
    with Client(world.server.url, world.keys["buyer"]) as cpx, pytest.raises(CpxError):
        cpx.history("2026-11-23", "depth")


def test_a_damaged_journal_fails_the_file_and_not_the_exchange(tmp_path, market):
    (tmp_path / "journal").mkdir()
    segment = next((market[1] / "journal").glob("*.wal"))
    damaged = bytearray(segment.read_bytes())
    damaged[4000] ^= 0xFF
    (tmp_path / "journal" / segment.name).write_bytes(damaged)
    days = FeedDays(tmp_path, at_once=1)
    try:
        assert days.look(DAY, "trades", 10**9).status == "running"
        with pytest.raises(DoorError) as no:
            days.look(DAY, "top", 10**9)
        assert no.value.reason is DoorReason.TOO_MANY_REQUESTS
        deadline = time.monotonic() + 30
        while (row := days.look(DAY, "trades", 10**9)).status == "running":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert row.status == "failed" and row.problem, row
        assert not list(tmp_path.rglob("*.part"))
    finally:
        days.close()
    with pytest.raises(DoorError):
        days.look(DAY, "depth", 1)
