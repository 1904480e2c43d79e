"""kill -9 under load from five clients at both doors: what was acknowledged is in the journal, what was retried was
executed once."""

import random

import pytest
from under_load import Journal, Memory, RestClient, SocketClient, id_of, until_killed
from world import offer, order, running_world, task

from exchange.domain.commands import Deposit, PlaceOffer, PlaceOrder, SubmitTask

ENOUGH = 6  # answers to each client in each life of the server
START_YUAN = 100_000  # what world.set_up gives to everybody
KINDS = {"orders": PlaceOrder, "tasks": SubmitTask, "offers": PlaceOffer, "posted": PlaceOrder, "deposits": Deposit}


def one_hour(offer_id, number):
    """A tenth of a card for one hour: so small that they never run out of capacity."""
    hour = number % 100
    start, end = (f"2026-11-{24 + each // 24}T{each % 24:02d}:00:00+08:00" for each in (hour + 12, hour + 13))
    return offer(offer_id, cards="0.1", start=start, end=end, price=f"{4 + number % 3}.00")


def crew(world, memories, instrument):
    """Everybody who keeps the server busy in one of its lives."""

    def resting(name, number):
        return order(name, instrument=instrument, price=f"{1 + number % 7}.{number % 100:02d}", cards="0.1")

    def small(name, number):
        deadline = f"2026-11-{26 + number % 3}T12:00:00+08:00"
        return task(name, cards="0.1", hours="1", price_cap="8.00", deadline=deadline)

    def gift(_, number):
        return {"participant": "other", "amount": f"{1 + number}.{number % 100:02d}", "reference": "gift"}

    return [
        SocketClient(world, "buyer", "place_order", resting, memories["orders"]),
        SocketClient(world, "worker", "submit_task", small, memories["tasks"]),
        SocketClient(world, "seller", "place_offer", one_hour, memories["offers"]),
        RestClient(world, "other", "place_order", resting, memories["posted"]),
        RestClient(world, "", "deposit", gift, memories["deposits"]),
    ]


def hire(world):
    """One participant more, who only submits tasks."""
    world.do("add_participant", participant="worker", firm="worker-firm")
    world.do("deposit", participant="worker", amount="100000.00", reference="start")
    world.keys["worker"] = world.do("create_key", participant="worker", scopes=["read", "trade"])["secret"]


@pytest.mark.slow
def test_kill_nine_four_times_loses_nothing_acknowledged_and_doubles_nothing(tmp_path):
    check_kills(tmp_path, kills=4)


@pytest.mark.soak
def test_kill_nine_a_hundred_times(tmp_path):
    check_kills(tmp_path, kills=100)


def check_kills(tmp_path, kills):
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    folder = tmp_path / "exchange"
    memories = {name: Memory(name) for name in KINDS}
    again = 0
    with running_world(folder) as world:
        hire(world)
        listed = world.do("instruments")["items"][0]
        instrument = f"{listed['family']}/{listed['last_period']}"
        for _ in range(kills):
            again += until_killed(crew(world, memories, instrument), ENOUGH, draw.random() * 0.3, world.server.kill)
            world.server.start()
        for client in crew(world, memories, instrument):  # the last unanswered ones, retried by hand
            for name, terms in list(client.memory.unanswered.items()):
                reply = world.ask(client.operation, client.who, terms, headers={"Idempotency-Key": name})
                assert reply.status == 200, reply
                client.memory.answered(name, reply.data)
        state_hash = world.do("state")["state_hash"]
        told = {name: world.do("account", name)["total"] for name in ("buyer", "other")}
        world.server.stop()
    journal = Journal(folder)
    assert f"{journal.venue.state_hash():016x}" == state_hash, f"seed {seed}"
    assert again > 0, "nothing was ever unanswered at a kill: the test shows nothing"
    for name, memory in memories.items():
        check_answers(journal, memory, KINDS[name], f"seed {seed}")
        assert memory.count() >= ENOUGH * kills
    check_deposits(journal, memories["deposits"], told, f"seed {seed}")


def check_answers(journal, memory, kind, seed):
    """Each answer names a command of the journal that is the one it answers; each id was executed once or refused once."""
    for name, acks in memory.acks.items():
        for ack in acks:
            command = journal.commands[ack["seq"]]
            assert isinstance(command, kind), (seed, name, ack)
            assert kind is Deposit or id_of(command) == name, (seed, name, ack)
        assert len({(ack["seq"], ack["status"]) for ack in acks}) == 1, (seed, name, acks)
        if kind is not Deposit:
            was_refused = acks[0]["status"] in ("REJECTED", "DENIED")
            assert journal.executed[name] == (not was_refused), (seed, name, journal.executed[name])
    assert sum(acks[0]["status"] not in ("REJECTED", "DENIED") for acks in memory.acks.values()) >= 20, "mostly refused"


def check_deposits(journal, memory, told, seed):
    """Every key was executed once: the balance is the sum over the keys, to the last unit."""
    gifts = {key: made for key, made in journal.deposits.items() if made[0].reference == "gift"}
    assert all(len(made) == 1 for made in gifts.values()), seed
    assert len(gifts) == len(memory.acks) == memory.made, seed
    sent_micro = sum((1 + number) * 1_000_000 + number % 100 * 10_000 for number in range(memory.made))
    assert sum(made[0].amount_micro for made in gifts.values()) == sent_micro, seed
    total_micro = START_YUAN * 1_000_000 + sent_micro
    assert told["other"] == f"{total_micro // 1_000_000}.{total_micro % 1_000_000 // 10_000:02d}", seed
    assert told["buyer"] == f"{START_YUAN}.00", seed
