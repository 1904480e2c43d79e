"""A live exchange whose tables are on PostgreSQL: orders, history, kill -9 of it, and the database away for a while."""

import time

import pytest
from postgres_server import Server, why_not
from world import offer, order, running_world, task

from exchange.adapters.database import DEFAULT_FILE

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not() or "a server can run here"), pytest.mark.slow]
PATIENCE_S = 30
LISTS = {"orders": "buyer", "tasks": "buyer", "leases": "buyer", "obligations": "seller", "offers": "seller", "trades": ""}


@pytest.fixture(scope="module")
def postgres():
    running = Server()
    yield running
    running.close()


def history(world):
    """Every list that comes out of the tables, and a statement."""
    told = {name: world.do(name, who)["items"] for name, who in LISTS.items()}
    return told | {"statement": world.do("statement", "buyer", day="2026-11-24")["lines"]}


def until_health_is(world, wanted):
    deadline = time.monotonic() + PATIENCE_S
    while (told := world.ask("health", None).data)["status"] != wanted:
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def test_a_market_on_postgresql_outlives_kill_nine_of_the_exchange(postgres, tmp_path):
    with running_world(tmp_path / "exchange", "--database", postgres.fresh_url()) as world:
        world.do("place_offer", "seller", offer("o1"))
        assert world.do("submit_task", "buyer", task("t1"))["status"] == "FILLED"
        for number in range(50):
            world.do("place_order", "buyer", order(f"b{number}"))
        assert len(world.do("orders", "buyer")["items"]) == 50, "a list holds what was answered before it"
        before = history(world)
        assert all(before.values()), before
        assert not (tmp_path / "exchange" / DEFAULT_FILE).exists(), "the tables are in PostgreSQL and nowhere else"
        world.do("cancel_order", "buyer", client_order_id="b0")  # the tables may not have it when the server dies
        seq = world.do("health", None)["seq"]
        world.server.kill()
        world.server.start()
        assert until_health_is(world, "ok")["seq"] >= seq
        after = history(world)
        assert after["orders"].pop()["status"] == "canceled" and before["orders"].pop()["status"] == "live"
        assert after["statement"][: len(before["statement"])] == before["statement"]
        assert {name: after[name] for name in LISTS} == {name: before[name] for name in LISTS}
        world.do("place_order", "buyer", order("later"))
        assert world.do("order", "buyer", client_order_id="later")["status"] == "live"


def test_the_market_goes_on_while_the_database_is_away(postgres, tmp_path):
    with running_world(tmp_path / "exchange", "--database", postgres.fresh_url()) as world:
        world.do("place_order", "buyer", order("before"))
        assert world.do("order", "buyer", client_order_id="before")["status"] == "live"
        postgres.stop()
        try:
            assert world.do("place_order", "buyer", order("meanwhile"))["status"] == "ACCEPTED"
            refused = world.ask("order", "buyer", client_order_id="meanwhile")
            assert (refused.status, refused.reason) == (503, "BEHIND"), refused
        finally:
            postgres.start()
        until_health_is(world, "ok")
        assert world.do("order", "buyer", client_order_id="meanwhile")["status"] == "live"
        assert world.do("place_order", "buyer", order("meanwhile"))["replayed"]
