"""Clients that keep a server busy until it dies, and what its journal says afterwards."""

import http.client
import json
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from world import World

from exchange.adapters.journal_file import read_commands
from exchange.domain.commands import Deposit, PlaceOffer, PlaceOrder, SubmitTask
from exchange.domain.events import Refused, Replayed
from exchange.domain.venue import Venue
from exchange.protocol.codec import NO_KEY, body_hash, encode

WAIT_S = 60


class Memory:
    """What a client knows over all lives of the server: its requests without an answer, and every answer to the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = 0
        self.unanswered: dict[str, dict[str, Any]] = {}  # id -> terms
        self.acks: dict[str, list[dict[str, Any]]] = {}

    def next(self, terms: Any) -> str:
        """A new request; its id."""
        request_id = f"{self.name}-{self.made}"
        self.unanswered[request_id] = terms(request_id, self.made)
        self.made += 1
        return request_id

    def answered(self, request_id: str, ack: dict[str, Any]) -> None:
        self.acks.setdefault(request_id, []).append(ack)
        self.unanswered.pop(request_id, None)

    def count(self) -> int:
        return sum(len(acks) for acks in self.acks.values())


class Client(threading.Thread):
    """Sends as fast as it is answered; first of all what an earlier life left unanswered, with the same ids."""

    def __init__(self, world: World, who: str, operation: str, terms: Any, memory: Memory) -> None:
        """terms: (id, number) -> args."""
        super().__init__(daemon=True)
        self.world, self.who, self.operation, self.terms, self.memory = world, who, operation, terms, memory
        self.sent_again = len(memory.unanswered)
        self.fault: Exception | None = None

    def run(self) -> None:
        try:
            self.work()
        except (ConnectionClosed, http.client.HTTPException, OSError, EOFError):
            pass  # the server was killed
        except Exception as error:  # noqa: BLE001 - told to the test
            self.fault = error

    def work(self) -> None:
        raise NotImplementedError


class SocketClient(Client):
    """Over the socket, a window of requests at a time."""

    window = 16

    def work(self) -> None:
        address = self.world.server.url.replace("http", "ws") + "/v1/stream"
        with connect(address, compression=None, open_timeout=WAIT_S) as socket:
            socket.send(json.dumps({"op": "login", "id": 0, "args": {"key": self.world.keys[self.who]}}))
            assert json.loads(socket.recv(WAIT_S))["type"] == "result"
            for request_id in (under_way := list(self.memory.unanswered)):
                self._send(socket, request_id)
            while True:
                while len(under_way) < self.window:
                    under_way.append(self.memory.next(self.terms))
                    self._send(socket, under_way[-1])
                message = json.loads(socket.recv(WAIT_S))
                assert message["type"] == "result", message
                self.memory.answered(message["id"], message["result"])
                under_way.remove(message["id"])

    def _send(self, socket: Any, request_id: str) -> None:
        args = self.memory.unanswered[request_id]
        socket.send(json.dumps({"op": self.operation, "id": request_id, "args": args}))


class RestClient(Client):
    """Over REST, one request after the other on a connection of its own; the id is the Idempotency-Key too."""

    paths = {"place_order": "/v1/orders", "deposit": "/v1/deposits"}

    def work(self) -> None:
        connection = http.client.HTTPConnection(self.world.host, self.world.port, timeout=WAIT_S)
        again = list(self.memory.unanswered)
        while True:
            request_id = again.pop(0) if again else self.memory.next(self.terms)
            headers = {
                "Authorization": f"Bearer {self.world.keys[self.who]}", "Content-Type": "application/json",
                "Idempotency-Key": request_id,
            }  # fmt: skip
            body = json.dumps(self.memory.unanswered[request_id])
            connection.request("POST", self.paths[self.operation], body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 200, told
            self.memory.answered(request_id, told)


def until_killed(clients: list[Client], enough: int, linger_s: float, end: Any) -> int:
    """One life of the server under load: `enough` answers to each client, a while more, the end; how many were sent again."""
    before = {client: client.memory.count() for client in clients}
    for client in clients:
        client.start()
    deadline = time.monotonic() + WAIT_S
    while any(client.memory.count() < before[client] + enough for client in clients):
        assert time.monotonic() < deadline, [(client.memory.name, client.fault) for client in clients]
        assert all(client.is_alive() for client in clients), [client.fault for client in clients]
        time.sleep(0.002)
    time.sleep(linger_s)  # the moment is what is tried
    end()
    for client in clients:
        client.join(WAIT_S)
        assert not client.is_alive()
        assert client.fault is None, client.fault
    return sum(client.sent_again for client in clients)


class Told(NamedTuple):
    """One command of a journal and what the venue makes of it."""

    seq: int
    ts_ns: int
    command: Any
    idem_key: bytes
    events: Any


def told_by(folder: Any, venue: Venue) -> Any:
    """Every command of a journal, applied to a fresh venue."""
    for logged in read_commands(folder):
        header = logged.header
        key = b"" if header.idem_key == NO_KEY else header.idem_key
        events = venue.apply(
            logged.seq, logged.command, idem_key=key, body_hash=body_hash(encode(logged.command)),
            valid_until_ns=header.valid_until_ns,
        )  # fmt: skip
        yield Told(logged.seq, logged.ts_ns, logged.command, key, events)


def id_of(command: Any) -> str:
    """The client's name for a command; "" for those that are known by their key only."""
    if isinstance(command, PlaceOrder):
        return command.client_order_id
    if isinstance(command, SubmitTask):
        return command.task.client_order_id
    return command.offer_id if isinstance(command, PlaceOffer) else ""


class Journal:
    """A journal played to its end: the venue, commands by number, how often each id and each key was executed."""

    def __init__(self, folder: Any) -> None:
        self.venue = Venue()
        self.commands: dict[int, Any] = {}
        self.executed: Counter[str] = Counter()
        self.deposits: dict[bytes, list[Deposit]] = {}
        for each in told_by(folder, self.venue):
            self.commands[each.seq] = each.command
            if any(isinstance(event, (Replayed, Refused)) for event in each.events):
                continue
            if id_of(each.command):
                self.executed[id_of(each.command)] += 1
            elif isinstance(each.command, Deposit):
                self.deposits.setdefault(each.idem_key, []).append(each.command)
