"""The demo's providers run what was bought with a work, each with its own key, and leave other providers alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
from live_market import LiveMarket, china, live_market  # noqa: E402
from provider import buy, hours, lease, sell, to, wait_for  # noqa: E402

from exchange.protocol.measures import Measures  # noqa: E402
from exchange.replay import crowd_agents  # noqa: E402
from exchange.replay.crowd_agents import CrowdAgents  # noqa: E402
from exchange.replay.scenario import DEMO_VENUE  # noqa: E402
from exchange.replay.sessions import Sessions  # noqa: E402

pytestmark = pytest.mark.slow
HOUR_NS = 3_600 * 10**9
START_NS = int(datetime.fromisoformat(china(8)).timestamp()) * 10**9


@pytest.fixture
def market(tmp_path: Path) -> Iterator[LiveMarket]:
    with live_market(tmp_path / "market") as found:
        yield found


def played(market: LiveMarket, bought: str, people: set[str], programs: tuple[str, ...], for_s: float) -> list[str]:
    """What the crowd says while it plays so long, or until the buyer has a result; the clock comes to the lease's hour."""
    said: list[str] = []

    async def play() -> None:
        sessions = Sessions(market.server.url, market.server.operator_key, label="test")
        agents = CrowdAgents(market.server.url, sessions, Measures(DEMO_VENUE), programs, said.append)
        agents.people |= people
        try:
            for step in range(int(for_s * 4)):
                await agents.look(START_NS - HOUR_NS if step < 4 else START_NS, HOUR_NS)
                if step == 4:
                    await asyncio.to_thread(to, market, 8)
                if await asyncio.to_thread(lambda: lease(market, bought).results):
                    return
                await asyncio.sleep(0.25)
        finally:
            await agents.close()
            await sessions.close()

    asyncio.run(play())
    return said


def test_a_task_bought_with_a_work_really_runs(market: LiveMarket) -> None:
    sell(market, 8)
    bought = buy(market, 8, "python3 -c 'print(6*7)'")
    (row,) = market.operator.due(china(8))
    assert row.has_work
    said = played(market, bought, {"seller"}, ("python3",), 20)
    (found,) = lease(market, bought).results
    assert (found.exit_code, found.output) == (0, "42\n")
    assert lease(market, bought).accesses[0].access == crowd_agents.ACCESS
    assert any("agent of seller: started" in line for line in said)


def test_without_a_program_it_is_said_that_nothing_runs(market: LiveMarket) -> None:
    sell(market, 8)
    bought = buy(market, 8, "python3 -c 'print(6*7)'")
    played(market, bought, {"seller"}, (), 20)
    assert lease(market, bought).results[0].exit_code == 126


def test_a_provider_that_is_not_of_the_crowd_is_left_alone(market: LiveMarket) -> None:
    sell(market, 8)
    bought = buy(market, 8, "python3 -c 'print(6*7)'")
    assert played(market, bought, {"somebody"}, ("python3",), 4) == []
    assert not lease(market, bought).results and not lease(market, bought).accesses
    assert hours(market, bought)[0].reading == 0


def test_tasks_without_work_need_no_agent(market: LiveMarket) -> None:
    sell(market, 8)
    bought = buy(market, 8, "")
    assert [row.has_work for row in market.operator.due(china(8))] == [False]
    assert played(market, bought, {"seller"}, ("python3",), 3) == []
    wait_for(lambda: hours(market, bought))
