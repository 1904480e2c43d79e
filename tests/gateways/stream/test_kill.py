"""A plain client through kill -9 of the server: the books it rebuilds are those of the server that came back."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import httpx2
import pytest
from here import PATIENCE_S, first_commands
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from exchange.domain import commands as c
from exchange.protocol.measures import Measures
from exchange.protocol.strict_json import encode
from exchange.protocol.to_command import from_command
from exchange.testing.server import Server, running_server

WINDOW = 50


class Line:
    """One connection of the operator's; what is told on channels goes into books."""

    def __init__(self, server: Server) -> None:
        url = server.url.replace("http", "ws", 1) + "/v1/stream"
        self.ws = connect(url, compression=None).__enter__()
        self.number = 0
        self.books: dict[str, Any] = {}
        self.at: dict[str, tuple[int, int]] = {}
        self.ask("login", key=server.operator_key)

    def send(self, op: str, args: Any, **around: Any) -> int:
        self.number += 1
        self.ws.send(json.dumps({"op": op, "id": self.number, "args": args, **around}))
        return self.number

    def receive(self) -> Any:
        told = json.loads(self.ws.recv(PATIENCE_S))
        name = told.get("instrument", "")
        if told["type"] == "snapshot":
            self.books[name] = {side: dict(told["data"][side]) for side in ("bids", "asks")}
        elif told["type"] == "delta":
            assert (told["epoch"], told["prev_seq"]) == self.at[name], "a gap"
            for side in ("bids", "asks"):
                for price, cards in told["data"][side]:
                    self.books[name][side].pop(price, None)
                    if cards != "0":
                        self.books[name][side][price] = cards
        if told["type"] in ("snapshot", "delta"):
            self.at[name] = (told["epoch"], told["seq"])
        return told

    def ask(self, op: str, **args: Any) -> Any:
        number = self.send(op, args)
        while (told := self.receive()).get("id") != number:
            pass
        return told["result"]

    def run(self, operations: list[tuple[str, Any, dict[str, str]]]) -> list[Any]:
        """Many, a window at a time; their answers, fewer where the connection breaks."""
        answers: list[Any] = []
        try:
            for start in range(0, len(operations), WINDOW):
                window = operations[start : start + WINDOW]
                for op, args, around in window:
                    self.send(op, args, **around)
                for _ in window:
                    while "id" not in (told := self.receive()):
                        pass
                    answers.append(told["result"])
        except ConnectionClosed:
            pass
        return answers


def set_up(server: Server) -> tuple[str, list[str]]:
    """A market morning through the doors; a buyer with money, some instruments."""
    commands = first_commands(900)
    measures = Measures(next(each for each in commands if isinstance(each, c.SetVenue)))
    operations = []
    for number, command in enumerate(commands):
        op, args = from_command(command, measures)
        needs_key = op in ("deposit", "post_bond", "withdraw")
        operations.append((op, json.loads(encode(args)), {"idempotency_key": f"k{number}"} if needs_key else {}))
    large = next(place for place, each in enumerate(operations) if each[0] == "load_catalogue")
    line = Line(server)
    assert len(line.run(operations[:large])) == large
    headers = {"authorization": f"Bearer {server.operator_key}"}
    loaded = httpx2.put(f"{server.url}/v1/catalogue", json=operations[large][1], headers=headers)
    assert loaded.status_code == 200, loaded.text
    answers = line.run(operations[large + 1 :])
    assert len(answers) == len(operations) - large - 1
    assert sum(each["status"] == "REJECTED" for each in answers) < 5, answers
    payers = {command.participant for command in commands if isinstance(command, c.AddParticipant)}
    accounts = [each for each in line.ask("accounts", limit=1000)["items"] if each["participant"] in payers]
    rich = max(accounts, key=lambda each: float(each["cash"]))["participant"]
    families = line.ask("instruments", limit=4)["items"]
    return rich, [f"{each['family']}/{each['last_period']}" for each in families]


@pytest.mark.slow
def test_a_plain_client_rebuilds_its_books_after_kill_9(tmp_path: Path) -> None:
    chance = random.Random(9)
    with running_server(tmp_path / "cpx", "--clock", "manual") as server:
        who, books = set_up(server)
        watcher = Line(server)
        epoch, acknowledged = 0, 0
        for number in range(3):
            resumed = []
            for name in books:
                where = {"epoch": watcher.at[name][0], "from_seq": watcher.at[name][1]} if name in watcher.at else {}
                resumed.append(watcher.ask("subscribe", channel="depth", instrument=name, **where)["is_resumed"])
            assert not any(resumed), "a new epoch"
            trader = Line(server)
            orders = [
                ("place_order", {
                    "participant": who, "client_order_id": f"r{number}-{each}", "instrument": chance.choice(books),
                    "price": f"0.{chance.randint(10, 60)}", "cards": "0.1",
                }, {})
                for each in range(400)
            ]  # fmt: skip
            answers = trader.run(orders[:200])
            assert [each["reason"] for each in answers if each["status"] != "ACCEPTED"] == [], answers
            acknowledged += 200
            compare(server, watcher, books, acknowledged)
            for op, args, _ in orders[200:250]:
                trader.send(op, args)
            server.kill()
            acknowledged += len(told_before_the_end(trader))
            server.start()
            before, watcher = watcher.at, Line(server)
            watcher.at.update(before)
            # Of those that were not answered some may have been executed: the same ids again do it once.
            trader = Line(server)
            again = trader.run(orders[:250])
            assert all(each["replayed"] for each in again[:200])
            acknowledged = 250 * (number + 1)
        for name in books:
            watcher.ask("subscribe", channel="depth", instrument=name)
        compare(server, watcher, books, acknowledged)
        epoch = watcher.at[books[0]][0]
        assert epoch == 4


def told_before_the_end(line: Line) -> list[Any]:
    told = []
    try:
        while True:
            told.append(line.receive())
    except ConnectionClosed:
        return told


def compare(server: Server, watcher: Line, books: list[str], count: int) -> None:
    """The client's books are those of REST at the same seq, and hold every order."""
    lots = 0
    for name in books:
        rest = httpx2.get(
            f"{server.url}/v1/depth/{name}", params={"levels": 1000},
            headers={"authorization": f"Bearer {server.operator_key}"},
        ).json()  # fmt: skip
        while watcher.at.get(name, (0, -1)) < (rest["epoch"], rest["seq"]):
            watcher.receive()
        assert watcher.at[name] == (rest["epoch"], rest["seq"])
        assert watcher.books[name] == {side: dict(rest[side]) for side in ("bids", "asks")}
        lots += sum(round(10 * float(cards)) for cards in watcher.books[name]["bids"].values())
    assert lots == count
