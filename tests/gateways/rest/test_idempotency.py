"""Sent twice, done once: client ids, Idempotency-Key, valid_until; and the same after a restart."""

import json

import pytest
from world import INSTRUMENT, offer, order, task

from exchange.protocol.operations import OPERATIONS

pytestmark = pytest.mark.slow  # a live exchange, or a market day

NEEDS_KEY = [name for name, operation in OPERATIONS.items() if operation.needs_key_header]


def same(first, again):
    """Apart from saying so, the second answer is the first."""
    assert again["replayed"] and not first["replayed"]
    assert {**first, "replayed": True} == again


@pytest.mark.parametrize(
    ("name", "who", "first", "other"),
    [
        ("place_order", "buyer", order("i1"), order("i1", cards="3")),
        ("submit_task", "buyer", task("i2", price_cap="1.00"), task("i2", price_cap="1.10")),
        ("place_offer", "seller", offer("i3"), offer("i3", price="5.30")),
        (
            "place_order",
            "buyer",
            order("i4", price="9000.00", cards="200"),
            order("i4"),
        ),  # refused once, refused again
    ],
)
def test_a_client_id_is_the_key(world, name, who, first, other):
    answer = world.ask(name, who, first)
    assert answer.status == 200
    same(answer.data, world.ask(name, who, first).data)
    same(answer.data, world.ask(name, who, dict(reversed(first.items()))).data)
    reused = world.ask(name, who, other)
    assert (reused.status, reused.reason, reused.data["definite"]) == (409, "KEY_REUSED", True)
    same(answer.data, world.ask(name, who, first).data)
    field = next(key for key in first if key.endswith("_id"))
    assert world.ask(name, who, first, headers={"Idempotency-Key": first[field]}).data["replayed"]
    differing = world.ask(name, who, first, headers={"Idempotency-Key": "else"})
    assert differing.reason == "INVALID_FIELD" and "key" in differing.data["field"].lower()


def test_the_key_of_one_is_not_the_key_of_another(world):
    first = world.do("place_order", "buyer", order("i5"))
    assert not world.do("place_order", "other", order("i5"))["replayed"]
    assert world.do("place_order", "", order("i5"), participant="buyer")["seq"] == first["seq"], (
        "the operator for him"
    )


@pytest.mark.parametrize("name", NEEDS_KEY)
def test_money_moves_only_with_a_key(world, name):
    args = {"amount": "1.00", "participant": "seller"}
    reply = world.send(
        "POST", OPERATIONS[name].path, json.dumps(args).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {world.keys['']}"},
    )  # fmt: skip
    assert (reply.status, reply.reason) == (400, "IDEMPOTENCY_KEY_MISSING")
    for bad in ("", "k" * 37, "k\x7f", "\u00e9"):
        assert world.ask(name, "", args, headers={"Idempotency-Key": bad}).status in (400, 422), bad
    before = world.do("account", "seller")
    answers = [world.do(name, "", args, headers={"Idempotency-Key": f"{name}-1"}) for _ in range(3)]
    assert [each["replayed"] for each in answers] == [False, True, True]
    same(answers[0], answers[2])
    after = world.do("account", "seller")
    moved = [key for key in ("cash", "bond", "margin") if before[key] != after[key]]
    assert moved, "something moved"
    world.do(name, "", args, headers={"Idempotency-Key": f"{name}-2"})
    assert world.do("account", "seller") != after, "a new key is a new intent"
    reused = world.ask(name, "", args | {"amount": "2.00"}, headers={"Idempotency-Key": f"{name}-1"})
    assert (reused.status, reused.reason) == (409, "KEY_REUSED")


def test_a_key_where_none_is_needed(world):
    world.do("place_order", "buyer", order("i6"))
    key = {"Idempotency-Key": "cancel-i6"}
    first = world.do("cancel_order", "buyer", client_order_id="i6", headers=key)
    same(first, world.do("cancel_order", "buyer", client_order_id="i6", headers=key))
    assert world.ask("cancel_order", "buyer", client_order_id="i6").data["status"] == "REJECTED"


def test_too_late_is_refused_by_the_venue_and_too_far_by_the_door(world):
    late = world.ask("place_order", "buyer", order("i7"), headers={"CPX-Valid-Until": "2026-11-23T00:00:00Z"})
    assert (late.status, late.data["status"], late.data["reason"]) == (200, "REJECTED", "EXPIRED_COMMAND")
    far = world.ask("place_order", "buyer", order("i8"), headers={"CPX-Valid-Until": "2026-12-24T00:00:00Z"})
    assert (far.status, far.reason) == (422, "VALID_UNTIL_TOO_FAR")
    bad = world.ask("place_order", "buyer", order("i8"), headers={"CPX-Valid-Until": "tomorrow"})
    assert bad.reason == "INVALID_FIELD"
    assert world.do("place_order", "buyer", order("i8"), headers={"CPX-Valid-Until": "2026-11-24T00:00:00Z"})[
        "seq"
    ]


def test_many_at_once_with_one_key_are_one(world):
    import concurrent.futures

    from world import World

    def place(_):
        return World(world.server).ask("place_order", world.keys["buyer"], order("storm")).data

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(place, range(32)))
    assert sum(not each["replayed"] for each in answers) == 1 and len({each["seq"] for each in answers}) == 1
    bids = [each for each in world.do("orders", "buyer")["items"] if each["client_order_id"] == "storm"]
    assert len(bids) == 1 and bids[0]["instrument"] == INSTRUMENT


@pytest.mark.slow
def test_a_restart_forgets_nothing(tmp_path):
    from world import running_world

    with running_world(tmp_path / "exchange") as world:
        first = world.do("place_order", "buyer", order("r1"))
        money = world.do("deposit", "", participant="buyer", amount="5.00", headers={"Idempotency-Key": "r2"})
        world.server.kill()
        world.server.start()
        world._connection = None
        again = {"Idempotency-Key": "r2"}
        pairs = (
            (first, world.do("place_order", "buyer", order("r1"))),
            (money, world.do("deposit", "", participant="buyer", amount="5.00", headers=again)),
        )
        for before, after in pairs:
            assert after["epoch"] == before["epoch"] + 1
            same({**before, "epoch": after["epoch"]}, after)
        assert world.do("account", "buyer")["total"] == "100005.00"
