"""kill -9 under load from three clients: what was acknowledged is in the journal, what was retried was executed once."""

import json
import random
import threading
import time
from collections import Counter

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from world import running_world

from exchange.adapters.journal_file import read_commands
from exchange.domain.commands import PlaceOrder
from exchange.domain.events import OrderChanged
from exchange.domain.venue import Venue
from exchange.protocol.codec import NO_KEY, body_hash, encode

CLIENTS, WINDOW = 3, 16
WAIT_S = 60


class Client(threading.Thread):
    """Sends orders as fast as they are acknowledged; after a break it sends what was unanswered again, same ids."""

    def __init__(self, number, world, unanswered, acks, instrument):
        super().__init__(daemon=True)
        self.number, self.world, self.instrument = number, world, instrument
        self.unanswered, self.acks = unanswered, acks  # id -> terms; id -> [ack]
        self.sent_again = len(unanswered)
        self.fault = None

    def run(self):
        try:
            self._trade()
        except (ConnectionClosed, OSError, EOFError):
            pass
        except Exception as error:  # noqa: BLE001 - told to the test
            self.fault = error

    def _trade(self):
        address = self.world.server.url.replace("http", "ws") + "/v1/stream"
        with connect(address, compression=None, open_timeout=WAIT_S) as socket:
            socket.send(json.dumps({"op": "login", "id": 0, "args": {"key": self.world.keys["buyer"]}}))
            assert json.loads(socket.recv(WAIT_S))["type"] == "result"
            open_ids = list(self.unanswered)
            for name in open_ids:
                self._send(socket, name)
            while True:
                while len(open_ids) < WINDOW:
                    name = f"c{self.number}-{len(self.acks) + len(open_ids)}"
                    self.unanswered[name] = self._terms(name)
                    open_ids.append(name)
                    self._send(socket, name)
                message = json.loads(socket.recv(WAIT_S))
                assert message["type"] == "result", message
                name = message["id"]
                self.acks.setdefault(name, []).append(message["result"])
                self.unanswered.pop(name, None)
                open_ids.remove(name)

    def _terms(self, name):
        price = f"{1 + len(self.acks) % 7}.{len(self.acks) % 100:02d}"
        return {"client_order_id": name, "instrument": self.instrument, "price": price, "cards": "0.1"}

    def _send(self, socket, name):
        socket.send(json.dumps({"op": "place_order", "id": name, "args": self.unanswered[name]}))


def run_until_killed(world, memory, draw, instrument):
    """One life of the server under load; how many orders were acknowledged in it, and how many were sent again."""
    before = sum(len(acks) for _, acks in memory)
    clients = [Client(number, world, *memory[number], instrument) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + WAIT_S
    while sum(len(acks) for _, acks in memory) < before + 30:
        assert time.monotonic() < deadline, [client.fault for client in clients]
        time.sleep(0.002)
    time.sleep(draw.random() * 0.4)  # the moment is what is tried
    world.server.kill()
    for client in clients:
        client.join(WAIT_S)
        assert not client.is_alive()
        assert client.fault is None, client.fault
    return sum(client.sent_again for client in clients)


def replay(folder):
    """(venue, command by seq, how often each order was accepted) from the journal alone."""
    venue, commands, accepted = Venue(), {}, Counter()
    for logged in read_commands(folder):
        header = logged.header
        key = b"" if header.idem_key == NO_KEY else header.idem_key
        events = venue.apply(
            logged.seq, logged.command, idem_key=key, body_hash=body_hash(encode(logged.command)),
            valid_until_ns=header.valid_until_ns,
        )  # fmt: skip
        commands[logged.seq] = logged.command
        for event in events:
            if isinstance(event, OrderChanged) and event.status == "accepted":
                accepted[event.client_order_id] += 1
    return venue, commands, accepted


@pytest.mark.slow
def test_kill_nine_ten_times_loses_no_acknowledged_order_and_doubles_none(tmp_path):
    check_kills(tmp_path, kills=10)


@pytest.mark.soak
def test_kill_nine_a_hundred_times(tmp_path):
    check_kills(tmp_path, kills=100)


def check_kills(tmp_path, kills):
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    folder = tmp_path / "exchange"
    memory = [({}, {}) for _ in range(CLIENTS)]
    again = 0
    with running_world(folder) as world:
        listed = world.do("instruments")["items"][0]
        instrument = f"{listed['family']}/{listed['last_period']}"
        for _ in range(kills):
            again += run_until_killed(world, memory, draw, instrument)
            world.server.start()
        for unanswered, acks in memory:  # the last unanswered ones, retried by hand
            for name, terms in list(unanswered.items()):
                acks.setdefault(name, []).append(world.do("place_order", "buyer", terms))
        state_hash = world.do("state")["state_hash"]
        world.server.stop()
    venue, commands, accepted = replay(folder)
    assert f"{venue.state_hash():016x}" == state_hash, f"seed {seed}"
    assert again > 0, "no order was ever unanswered at a kill: the test shows nothing"
    answers = [(name, ack) for _, acks in memory for name, got in acks.items() for ack in got]
    assert len(answers) >= 30 * kills
    for name, ack in answers:
        command = commands[ack["seq"]]
        assert isinstance(command, PlaceOrder) and command.client_order_id == name, (seed, name, ack)
        assert accepted[name] == 1, (seed, name, accepted[name])
