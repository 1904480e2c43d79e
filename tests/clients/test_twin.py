"""The sync client is the async one on a loop of its own; both have the same methods."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator

import pytest
from live_market import LiveMarket, instrument

from clients import AsyncBook, AsyncClient, AsyncPlaced, Book, Client, Placed
from clients.twin import Runner, _iterate

pytestmark = pytest.mark.slow  # processes and threads


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("sync", "other"), [(Client, AsyncClient), (Book, AsyncBook), (Placed, AsyncPlaced)])
def test_both_shapes_have_the_same_methods(sync: type, other: type) -> None:
    assert public(sync) <= public(other)
    documented = [name for name in public(sync) if not (getattr(sync, name).__doc__ or "").strip()]
    assert documented == []


def test_the_sync_client_works_inside_a_running_loop_and_from_many_threads(market: LiveMarket) -> None:
    client = market.client(market.buyer_key)

    async def inside() -> str:
        return client.account().participant

    assert asyncio.run(inside()) == "buyer"
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(client.account().participant)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == ["buyer"] * 8


def test_a_sync_call_on_its_own_loop_is_refused_rather_than_waiting_for_ever() -> None:
    runner = Runner()

    async def nothing() -> None:
        return None

    async def wrong() -> None:
        runner.run(nothing())

    with pytest.raises(RuntimeError, match="AsyncClient"):
        runner.run(wrong())
    runner.stop()
    runner.run(nothing())  # a stopped one starts again
    runner.stop()


def test_an_iterator_that_is_left_early_ends_its_subscription(market: LiveMarket) -> None:
    client = market.client(market.buyer_key)
    book = client.watch_book(instrument(12))
    for top in book.changes():
        assert top.epoch >= 1
        break
    book.close()
    assert list(client._core._core.feed.subscriptions) == []


def test_importing_the_sdk_loads_no_server() -> None:
    code = (
        "import sys, clients; heavy = {'fastapi', 'starlette', 'uvicorn', 'sqlmodel', 'sqlalchemy', 'pydantic', 'numpy', "
        "'matching_core', 'typer'}; found = {name for name in sys.modules if name.split('.')[0] in heavy}; "
        "found |= {name for name in sys.modules if name.startswith('exchange.') and not name.startswith('exchange.protocol')}; "
        "assert not found, sorted(found); assert 'clients.feed' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_async_client_is_for_programs_with_a_loop(market: LiveMarket) -> None:
    async def story() -> list[str]:
        async with AsyncClient(market.server.url, market.buyer_key) as cpx:
            names = [family.family async for family in cpx.instruments(chip="A910B")]
            accounts = await asyncio.gather(*(cpx.account() for _ in range(5)))
            return [*names, *(account.participant for account in accounts)]

    assert asyncio.run(story()) == ["A910B/gansu-qingyang/L10/grid", *["buyer"] * 5]


def test_ctrl_c_in_a_sync_iteration_ends_it_in_order() -> None:
    """What was waited for takes its time to end: only then is the generator closed."""
    runner, ended = Runner(), []

    async def rows() -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.3)
            ended.append(True)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in _iterate(runner, rows()):
                timer.start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended == [True]
    runner.stop()
