"""A journal played to clients: SDK and plain clients rebuild its books, nothing can be changed, and the speed is kept."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import polars
import pytest
from here import first_commands, live_market
from websockets.sync.client import connect

from clients import Client
from clients.errors import NotSupported
from exchange.adapters.feed_files import parse_day, write_day
from exchange.adapters.journal_reader import open_journal
from exchange.domain.instrument import split_book
from exchange.replay.playback import Pacer, Playback, is_open_for_trading

sys.path.append(str(Path(__file__).resolve().parents[2] / "clients"))
from plain_client import PlainClient  # noqa: E402 - its folder is known only now

pytestmark = pytest.mark.slow  # a live exchange, and servers that play it again
DAY, PATIENCE_S = "2026-11-24", 60.0


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of an exchange that has ended, and its fullest books as they were then."""
    folder = tmp_path_factory.mktemp("playback") / "exchange"
    with live_market(folder, 0) as live:
        commands = first_commands(1_500)
        for start in range(0, len(commands), 25):
            live.submit(*commands[start : start + 25])
        books = {name: live.rest_depth(name) for name in live.do(lambda: fullest(live.exchange.handle.venue))}
    assert any(len(book["bids"]) > 1 for book in books.values())
    return folder, books


def fullest(venue: Any) -> list[str]:
    """Books with the most bids."""

    def size(book: int) -> tuple[int, int]:
        bids, asks = venue.core.depth(book, 100)
        return len(bids), len(asks)

    found = sorted(venue.listed_books, key=size, reverse=True)[:15]
    return [venue.instrument_code(*split_book(book)) for book in found]


def levels(side: Any) -> tuple[tuple[str, str], ...]:
    return tuple((f"{Decimal(price).normalize():f}", f"{Decimal(cards).normalize():f}") for price, cards in side)


@contextmanager
def played(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """(process, address, key) of a replay."""
    command = [sys.executable, "-m", "exchange.cli", "history", "serve", str(folder), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        ready = json.loads(line)
        yield process, ready["url"], ready["key"]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


def test_a_plain_client_is_told_each_step_again_and_ends_with_the_live_books(
    lived: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, books = lived
    write_day(open_journal(folder), parse_day(DAY), "depth", tmp_path / "depth.parquet")
    rows = polars.read_parquet(tmp_path / "depth.parquet").filter(polars.col("instrument").is_in(list(books)))
    steps = {(row["instrument"], row["seq"]): row["checksum"] for row in rows.iter_rows(named=True) if row["kind"] == "delta"}
    told: dict[tuple[str, int], int] = {}

    async def follow(url: str, key: str) -> PlainClient:
        client = PlainClient(url.replace("http", "ws") + "/v1/stream", key, list(books), Decimal("0.01"), Decimal("0.1"), 1)
        client.on_state = lambda book: told.update({(book.name, book.seq): book.checksum(client._tick, client._lot)})
        running = asyncio.ensure_future(client.run())
        deadline = time.monotonic() + PATIENCE_S
        wanted = {name: (levels(book["bids"]), levels(book["asks"])) for name, book in books.items()}
        while {name: book.levels for name, book in client.books.items()} != wanted or len(told) < len(steps):
            assert time.monotonic() < deadline, "the books did not become those of the live exchange"
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return client

    with played(folder, "--speed", "max") as (_, url, key):
        client = asyncio.run(follow(url, key))
    assert (client.wrong, client.gaps, client.mute, client.connections) == (0, 0, 0, 1)
    offset = {name: max(seq for n, seq in steps if n == name) - max(seq for n, seq in told if n == name) for name in books}
    again = {(name, seq + offset[name]): checksum for (name, seq), checksum in told.items() if seq}
    assert again.items() <= steps.items() and len(again) > 0.9 * len(steps) > 50, "no step is merged or left out"


def test_the_sdk_works_unchanged_and_nothing_can_be_changed(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, books = lived
    with played(folder, "--speed", "max") as (_, url, key), Client(url, key) as cpx:
        followed = {name: cpx.watch_book(name) for name in books}
        deadline = time.monotonic() + PATIENCE_S

        def seen(book: Any) -> Any:
            return tuple(
                tuple((f"{level.price.normalize():f}", f"{level.cards.normalize():f}") for level in side)
                for side in (book.bids, book.asks)
            )

        wanted = {name: (levels(book["bids"]), levels(book["asks"])) for name, book in books.items()}
        while {name: seen(book) for name, book in followed.items()} != wanted:
            assert time.monotonic() < deadline, "the books did not become those of the live exchange"
            time.sleep(0.05)
        name = next(iter(books))
        assert levels((level.price, level.cards) for level in cpx.depth(name).bids) == wanted[name][0]
        assert cpx.venue().name and list(cpx.instruments()) and cpx.health().status == "ok"
        with pytest.raises(NotSupported) as no:
            cpx.order(name, price="1.00", cards=1)
        assert no.value.reason == "READ_ONLY"
        with pytest.raises(NotSupported):
            cpx.account()
        bearer = {"authorization": f"Bearer {key}"}
        for path in ("/v1/trades", "/v1/leases", f"/v1/history/{DAY}/trades"):
            answer = httpx2.get(url + path, headers=bearer)
            assert (answer.status_code, answer.json()["reason"]) == (403, "READ_ONLY"), path
        assert httpx2.get(f"{url}/v1/venue").json()["reason"] == "NO_KEY"
        assert httpx2.get(f"{url}/v1/venue", headers={"authorization": "Bearer x"}).json()["reason"] == "WRONG_KEY"


def test_the_socket_says_no_to_orders_and_to_what_is_private_and_tells_that_the_end_has_come(
    lived: tuple[Path, dict[str, Any]],
) -> None:
    folder, books = lived
    name = next(iter(books))
    with played(folder, "--speed", "100000", "--from", DAY, "--end") as (process, url, key):
        with connect(url.replace("http", "ws") + "/v1/stream", compression=None) as ws:

            def ask(op: str, **args: Any) -> Any:
                ws.send(json.dumps({"op": op, "id": op, "args": args}))
                while (told := json.loads(ws.recv(PATIENCE_S))).get("id") != op:
                    kinds.add(told["type"])
                return told

            kinds: set[str] = set()
            assert "result" in ask("login", key=key)
            order = {"client_order_id": "a", "instrument": name, "price": "1.00", "cards": "1"}
            assert ask("place_order", **order)["error"]["reason"] == "READ_ONLY"
            items = ask("place_orders", items=[order])["result"]["items"]
            assert [item["error"]["reason"] for item in items] == ["READ_ONLY"]
            assert ask("tasks")["error"]["reason"] == "READ_ONLY"
            assert ask("subscribe", channel="user")["error"]["reason"] == "NOT_FOUND"
            assert ask("subscribe", channel="user", participant="provider-1")["error"]
            ask("subscribe", channel="heartbeat")
            ask("subscribe", channel="trades", instrument="*")
            while "server_shutdown" not in kinds:
                kinds.add(json.loads(ws.recv(PATIENCE_S))["type"])
        assert {"heartbeat", "delta", "server_shutdown"} <= kinds
        assert process.wait(PATIENCE_S) == 0


def test_frames_come_as_far_apart_as_they_were_divided_by_the_speed(lived: tuple[Path, dict[str, Any]]) -> None:
    times = [frame.ts_ns for frame in open_journal(lived[0]).frames()]
    now_s = 1000.0
    due: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    async def play(speed: int) -> None:
        playback = Playback(open_journal(lived[0]).frames(), speed=speed)
        playback.skip(is_open_for_trading)
        first_ns = playback.next_ns
        assert first_ns is not None and first_ns > times[0]
        playback.stream = type("Followed", (), {"has_followers": True})()  # type: ignore[assignment]
        due.clear()
        apply = playback._apply

        def applied() -> None:
            due.append(now_s)
            apply()

        playback._apply = applied  # type: ignore[method-assign]
        began_s = now_s
        await playback.play(Pacer(speed, clock=lambda: now_s, sleep=sleep))
        wanted = [(ts_ns - first_ns) / 1e9 / speed for ts_ns in times[-len(due) :]]
        assert [at - began_s for at in due] == pytest.approx(wanted) and wanted[-1] > 10

    for speed in (1, 60):
        asyncio.run(play(speed))


def test_a_late_step_makes_no_other_later() -> None:
    now_s = 0.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        slept.append(seconds)
        now_s += seconds

    async def pace() -> None:
        nonlocal now_s
        pacer = Pacer(2, clock=lambda: now_s, sleep=sleep)
        await pacer.until(10**9)
        await pacer.until(5 * 10**9)
        now_s += 3  # work that took longer than the next step is away
        await pacer.until(7 * 10**9)
        await pacer.until(13 * 10**9)

    asyncio.run(pace())
    assert slept == [0.0, 2.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--speed", "0"), 2, "--speed"),
        (("--speed", "fast"), 2, "max"),
        (("--from", "2027-01-01"), 66, "the journal ends before"),
        (("--from", "soon"), 2, "--from"),
    ],
)
def test_what_cannot_be_played_is_said(lived: tuple[Path, dict[str, Any]], options: Any, code: int, says: str) -> None:
    command = [sys.executable, "-m", "exchange.cli", "history", "serve", str(lived[0]), "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
