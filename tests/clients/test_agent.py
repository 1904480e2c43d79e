"""A provider's agent over a real exchange: what buyers send runs, is metered, and comes back; what breaks is known at once."""

from __future__ import annotations

import signal
import stat
import time
from decimal import Decimal
from pathlib import Path

import pytest
from live_market import LiveMarket, china, live_market
from provider import PYTHON, Process, agent, buy, hours, lease, result, sell, to, wait_for

pytestmark = pytest.mark.slow
BEAT = ("--site", "zw-1", "--heartbeat-s", "600")  # silent after half an hour
STAYS = "sleep 600"


@pytest.fixture
def market(tmp_path: Path):
    with live_market(tmp_path / "market") as found:
        yield found


def end(agents: Process, how: signal.Signals = signal.SIGKILL) -> None:
    agents.end(how)


def second_provider(market: LiveMarket) -> str:
    """The key of another seller with a site in the same region."""
    name = market.new_id("other")
    market.operator.add_participant(name)
    market.operator.deposit(name, 1_000_000)
    market.operator.add_site("other-1", participant=name, region="gansu-qingyang")
    market.operator.attest_capacity("other-1", chip="A910B", cards=100, start=china(0), end=china(0, "2026-12-01"))
    return market.operator.create_key(["read", "trade", "provide"], participant=name).secret


def money(market: LiveMarket) -> Decimal:
    """All that anybody has."""
    return sum((each.total for each in market.operator.accounts()), Decimal(0))


def readings(market: LiveMarket, lease_ids: tuple[str, ...], place: int) -> list[int]:
    return [hours(market, each)[place].reading for each in lease_ids]


def run_hour(market: LiveMarket, hour: int, *lease_ids: str, place: int = 0, first: int = 0) -> None:
    """A whole hour of the clock in steps shorter than silence, each waited for by the meters of the leases."""
    for minute in range(first, 70, 10):
        before = readings(market, lease_ids, place)
        to(market, hour + minute // 60, minute % 60)
        wait_for(lambda: all(now > then for now, then in zip(readings(market, lease_ids, place), before, strict=True)))  # noqa: B023


def settle(market: LiveMarket, hour: int) -> None:
    """The clock goes on until an hour is settled."""
    for later in range(hour, hour + 6):
        to(market, later)


def test_a_lease_runs_a_real_command_and_its_buyer_alone_gets_the_output(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, "--allow", PYTHON, "--access", "by the agent of zw-1") as agents:
        work = "import os; print(6 * 7, os.environ[\"CPX_SITE\"], os.environ[\"CPX_CARDS\"])"
        bought = buy(market, 8, f"{PYTHON} -c '{work}'")
        wait_for(lambda: lease(market, bought).accesses)
        assert lease(market, bought).accesses[0].access == "by the agent of zw-1"
        assert not agents.events("started")  # its hour has not begun
        to(market, 8)
        found = result(market, bought)
        assert (found.exit_code, found.output, found.is_final) == (0, "42 zw-1 4\n", True)
        seller = market.client(market.seller_key)
        assert all(not each.results and not each.accesses for each in seller.leases())
        assert not list(market.client(market.new_participant(0)).leases())
        to(market, 9)
        wait_for(lambda: hours(market, bought)[0].reading == 1)
        settle(market, 10)
        assert hours(market, bought)[0].state == "delivered"
        assert end(agents, signal.SIGINT) is None and not agents.events("refused")


def test_a_meter_signs_every_reading_and_its_key_is_for_its_owner_alone(market: LiveMarket, tmp_path: Path) -> None:
    sell(market, 8)
    key = tmp_path / "zw-1.meter"
    with agent(market, *BEAT, "--allow", PYTHON, "--meter-key", str(key)) as agents:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        secret = key.read_text()
        bought = buy(market, 8, f"{PYTHON} -c 1")
        row = next(each for each in market.client(market.seller_key).dispatches() if each.lease_id == bought)
        assert (row.is_signed, row.heartbeat_s) == (True, 600)
        run_hour(market, 8, bought)
        assert not agents.events("refused")
        end(agents)
    with agent(market, *BEAT, "--meter-key", str(key)):
        assert key.read_text() == secret  # the same key again
    settle(market, 10)
    assert hours(market, bought)[0].state == "delivered"


def test_two_hours_of_two_leases_at_once(market: LiveMarket) -> None:
    sell(market, 8, 8, hours=2)
    with agent(market, *BEAT, "--allow", PYTHON) as agents:
        bought = [buy(market, 8, f"{PYTHON} -c 'print({number})'", hours=2) for number in (1, 2)]
        run_hour(market, 8, *bought)
        assert [result(market, each).output for each in bought] == ["1\n", "2\n"]
        run_hour(market, 9, *bought, place=1, first=10)  # its first reading came with the end of the hour before
        settle(market, 11)
        assert [each.state for lease_id in bought for each in hours(market, lease_id)] == ["delivered"] * 4
        assert len(agents.events("started")) == 2 and not agents.events("refused")


def test_work_that_does_not_end_is_stopped_with_its_last_hour_and_its_output_returned(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, "--allow", PYTHON) as agents:
        bought = buy(market, 8, f"{PYTHON} -uc 'import time; print(\"begun\"); time.sleep(600)'")
        to(market, 8)
        agents.wait("started")
        time.sleep(1)
        to(market, 9)
        found = result(market, bought)
        assert (found.exit_code, found.output, found.is_final) == (-signal.SIGTERM, "begun\n", True)
        settle(market, 10)
        assert hours(market, bought)[0].state == "delivered"


def test_what_is_not_allowed_is_said_to_the_buyer_and_the_cards_stay_his(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market):
        bought = buy(market, 8, "sh -c true")
        to(market, 8)
        found = result(market, bought)
        assert (found.exit_code, found.output) == (126, "sh is not allowed here; allowed: nothing")


def test_memory_of_a_work_is_limited(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, "--allow", PYTHON, "--memory-mb", "128"):
        bought = buy(market, 8, f"{PYTHON} -c 'x = bytearray(300 << 20)'")
        to(market, 8)
        found = result(market, bought)
        assert found.exit_code == 1 and "MemoryError" in found.output


def test_a_killed_agent_is_bought_in_and_settled_without_a_hand(market: LiveMarket) -> None:
    other = second_provider(market)
    before = money(market)
    sell(market, 8)
    with agent(market, *BEAT, "--allow-any") as agents:
        bought = buy(market, 8, STAYS)
        sell(market, 8, site="other-1", key=other, price="3.20", standby=True)
        to(market, 8)
        agents.wait("started")
        wait_for(lambda: hours(market, bought)[0].reading)
        end(agents, signal.SIGKILL)
    to(market, 8, 29)
    assert [(each.site, each.failing) for each in hours(market, bought)] == [("zw-1", "")]
    with agent(market, "--allow-any", key=other) as others:
        to(market, 8, 31)  # five whole twelfths are left
        others.wait("started")  # the same work, at another provider
        failed, cover = sorted(hours(market, bought), key=lambda each: each.obligation_id)
        assert (failed.failing, cover.site, cover.status) == ("silent", "other-1", "open")
        to(market, 9)
        wait_for(lambda: hours(market, bought)[1].reading)
    settle(market, 10)
    failed, cover = sorted(hours(market, bought), key=lambda each: each.obligation_id)
    assert (failed.state, cover.state) == ("failed", "delivered") and cover.paid == cover.cost > 0
    assert failed.refund > 0 and failed.paid == 0
    assert money(market) == before


def test_a_killed_agent_without_a_cover_costs_cash(market: LiveMarket) -> None:
    before = money(market)
    sell(market, 8)
    with agent(market, *BEAT, "--allow-any") as agents:
        bought = buy(market, 8, STAYS)
        to(market, 8)
        agents.wait("started")
        wait_for(lambda: hours(market, bought)[0].reading)
        end(agents, signal.SIGKILL)
    settle(market, 9)
    (failed,) = hours(market, bought)
    assert failed.state == "failed" and failed.refund == failed.cost + failed.fee and failed.damages > 0
    assert money(market) == before


def test_an_agent_that_comes_back_declares_the_broken_hour_and_goes_on_with_the_next(market: LiveMarket) -> None:
    sell(market, 8, hours=3)
    with agent(market, *BEAT, "--allow-any") as agents:
        bought = buy(market, 8, STAYS, hours=2)
        to(market, 8)
        agents.wait("started")
        wait_for(lambda: hours(market, bought)[0].reading)
        end(agents, signal.SIGKILL)
    to(market, 8, 10)
    with agent(market, *BEAT, "--allow-any") as agents:
        assert "an agent that is gone" in agents.wait("broken")["why"]
        wait_for(lambda: hours(market, bought)[0].failing or hours(market, bought)[0].status != "open")
        assert not agents.events("started")
        to(market, 8, 30)
        to(market, 9)
        agents.wait("started")
        wait_for(lambda: hours(market, bought)[1].reading)


def test_an_agent_that_is_told_to_end_declares_what_it_breaks_and_returns_what_there_is(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, "--allow-any") as agents:
        bought = buy(market, 8, "sh -c 'echo half; sleep 600'")
        to(market, 8)
        agents.wait("started")
        time.sleep(0.5)
        assert agents.end(signal.SIGINT) == 0
        assert agents.events("broken")
    found = result(market, bought)
    assert (found.output, found.is_final) == ("half\n", False)
    assert hours(market, bought)[0].failing == "declared" or hours(market, bought)[0].state == "failed"


def test_an_hour_that_began_while_the_agent_was_away_is_declared(market: LiveMarket) -> None:
    sell(market, 8)
    bought = buy(market, 8, STAYS)
    to(market, 8, 10)
    with agent(market, "--allow-any") as agents:
        assert "too late" in agents.wait("broken")["why"] and not agents.events("started")
        wait_for(lambda: hours(market, bought)[0].state == "failed" or hours(market, bought)[0].failing == "declared")


def test_an_outage_that_is_announced_ends_the_work_and_tells_the_buyer(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, "--allow-any") as agents:
        bought = buy(market, 8, STAYS)
        to(market, 8)
        agents.wait("started")
        market.client(market.seller_key).announce_outage("zw-1", start=china(8), end=china(9))
        assert agents.wait("failing")["reason"] == "outage"
        assert agents.wait("ended")["is_final"] is False
    assert result(market, bought).exit_code == -signal.SIGTERM


def test_an_emergency_task_runs_in_the_hour_that_is_running(market: LiveMarket) -> None:
    sell(market, 8, standby=True)
    market.operator.allow_emergency("buyer")
    with agent(market, "--allow", PYTHON) as agents:
        to(market, 8, 20)
        bought = buy(market, 8, f"{PYTHON} -c 'print(1)'", lane="emergency", earliest_start=china(8))
        assert result(market, bought).output == "1\n" and not agents.events("broken")


def test_the_agent_waits_for_an_exchange_that_restarts(market: LiveMarket) -> None:
    sell(market, 8)
    with agent(market, *BEAT, "--allow-any") as agents:
        bought = buy(market, 8, "sh -c 'sleep 3; echo over the gap'")
        to(market, 8)
        agents.wait("started")
        market.server.kill()
        time.sleep(4)  # the work ends meanwhile
        market.server.start()
        assert wait_for(lambda: lease(market, bought).results, 60)[-1].output == "over the gap\n"
        to(market, 8, 10)
        wait_for(lambda: hours(market, bought)[0].reading > 1, 60)
        assert hours(market, bought)[0].failing == ""
