"""What a plain client was told before the server died stands in the journal: nothing is told, answered or shown early.

Here the server dies in the middle of many frames, on a disk that loses what was not synced: by kill -9, and when the
disk takes no byte more. Who tells or answers something before its frame is synced has told what nobody finds again.
"""

import json
import random
import resource
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from under_load import WAIT_S, Memory, SocketClient, told_by, until_killed
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from world import INSTRUMENT, SETTINGS, World, offer, order, set_up

from exchange.domain.venue import Venue
from exchange.engine.queries import Moment, depth
from exchange.protocol.measures import Measures
from exchange.protocol.present import private_events, public_trades
from exchange.testing.server import Server

BOOKS = [INSTRUMENT.replace("T00", f"T{hour:02d}") for hour in range(4)]  # 8 to 12 o'clock, as the offers
BUYERS, SELLER = ("buyer", "other"), "seller"
LIVES, ENOUGH = 4, 40
DISK_FULL = 75  # exit code
TIMES = ("ts", "ts_ns")


class LosingServer(Server):
    """One `cpx serve` on a disk that keeps nothing before it is synced."""

    def start(self):
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, str(Path(__file__).with_name("losing_disk.py")), "serve", "--folder", str(self.folder)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", port, "--json", *self.options], stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        ready = self._first_line(self._process)
        self.url = ready["url"]
        self.operator_key = Path(ready["operator_key_file"]).read_text(encoding="ascii").strip()
        return self


@pytest.fixture
def world(tmp_path):
    fast = ("order_rate=100000", "order_burst=100000")
    server = LosingServer(tmp_path / "exchange", ["--clock", "manual", *(word for each in fast for word in ("--limit", each))])
    made = World(server.start())
    try:
        set_up(made)
        for number in range(4):  # as many asks as a site may have in an hour, all it has attested
            made.do("place_offer", SELLER, offer(f"o{number}", cards="64"))
        yield made
    finally:
        if server._process.poll() is None:
            server.kill()


class Watcher(threading.Thread):
    """A plain client with the operator's key: books, trades and everybody's own events, to the end of the connection."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.books, self.events, self.trades, self.fault = {}, [], [], None
        self._at = {}
        address = world.server.url.replace("http", "ws") + "/v1/stream"
        self._socket = connect(address, compression=None, max_queue=None).__enter__()
        self._ask("login", key=world.keys[""])
        for book in BOOKS:
            self._ask("subscribe", channel="depth", instrument=book)
        for who in (*BUYERS, SELLER):
            self._ask("subscribe", channel="user", participant=who)
        self._ask("subscribe", channel="trades", instrument="*")

    def run(self):
        try:
            while True:
                self._take(json.loads(self._socket.recv(WAIT_S)))
        except ConnectionClosed:
            pass
        except Exception as error:  # noqa: BLE001 - told to the test
            self.fault = error

    def _ask(self, op, **args):
        self._socket.send(json.dumps({"op": op, "id": op, "args": args}))
        while (told := json.loads(self._socket.recv(WAIT_S))).get("id") != op:
            self._take(told)
        assert told["type"] == "result", told

    def _take(self, told):
        assert told["type"] in ("snapshot", "delta"), told
        place = told["channel"], told["instrument"]
        if told["type"] == "delta":
            assert told["prev_seq"] == self._at[place], "a gap"
        self._at[place] = told["seq"]
        if told["channel"] == "depth":
            book = self.books.setdefault(told["instrument"], {"bids": {}, "asks": {}})
            for side in ("bids", "asks"):
                if told["type"] == "snapshot":
                    book[side].clear()
                levels = told["data"][side]
                book[side].update(levels)
                for price, cards in levels:
                    if cards == "0":
                        del book[side][price]
        elif told["type"] == "delta" and told["channel"] == "user":
            self.events += told["data"]["events"]
        elif told["type"] == "delta":
            self.trades += told["data"]["items"]


def fill_the_disk(world):
    """The journal may grow by some frames, then no more: the server has to end, with nothing said that it could not write."""
    segment = max((world.server.folder / "journal").glob("*.wal"))
    most = segment.stat().st_size + 64 * 1024
    resource.prlimit(world.server.pid, resource.RLIMIT_FSIZE, (most, most))
    assert world.server.wait(WAIT_S) == DISK_FULL


def without_times(told):
    """An answer or event as plain data; when it was told apart (a frame has one time, the venue's clock stands still)."""
    return {key: value for key, value in msgspec.to_builtins(told).items() if key not in TIMES}


def in_journal(folder):
    """(state hash; events by participant, seq and index; trades by id; all that each book ever looked like), replayed."""
    events, trades, looks = {}, {}, {book: [] for book in BOOKS}
    venue, measures = Venue(), Measures(SETTINGS)
    for each in told_by(folder, venue):
        for who, mine in private_events(each.seq, each.ts_ns, each.command, each.events, measures).items():
            events |= {(who, event.seq, event.index): without_times(event) for event in mine}
        found = public_trades(each.seq, each.ts_ns, each.events, measures)
        trades |= {trade.trade_id: without_times(trade) for trade in found}
        book = getattr(each.command, "instrument", None)
        for name in [book] if book else BOOKS:
            if name in looks and venue.state.families:
                looks[name].append(look(venue, measures, name))
    return f"{venue.state_hash():016x}", events, trades, looks


def crossing(name, number):
    """Every third one meets the offers, the others rest."""
    return order(name, instrument=BOOKS[number % 4], price=f"3.{number % 90:02d}" if number % 3 else "5.20", cards="0.1")


def look(venue, measures, book):
    told = depth(venue, Moment(1, 1, venue.now_ns), measures, book, 1000)
    return {"bids": dict(told.bids), "asks": dict(told.asks)}


@pytest.mark.slow
def test_what_was_told_before_the_end_is_in_the_journal(world):
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    memories = {who: Memory(who) for who in BUYERS}
    watchers = []
    for end in (*[world.server.kill] * (LIVES - 1), lambda: fill_the_disk(world)):
        watchers.append(Watcher(world))
        watchers[-1].start()
        clients = [SocketClient(world, who, "place_order", crossing, memories[who]) for who in BUYERS]
        until_killed(clients, ENOUGH, draw.random() * 0.1, end)
        watchers[-1].join(WAIT_S)
        assert not watchers[-1].is_alive() and watchers[-1].fault is None, watchers[-1].fault
        world.server.start()
    state_hash = world.do("state")["state_hash"]
    assert world.server.stop() == 0
    replayed_hash, events, trades, looks = in_journal(world.server.folder)
    assert replayed_hash == state_hash
    for life, watcher in enumerate(watchers):
        assert len(watcher.events) > ENOUGH and watcher.trades, "nobody was told anything: the test shows nothing"
        for told in watcher.events:
            assert without_times(told) == events.get((told["participant"], told["seq"], told["index"])), (seed, life, told)
        for told in watcher.trades:
            assert without_times(told) == trades.get(told["trade_id"]), (seed, life, told)
        for name, book in watcher.books.items():
            assert book in looks[name], (seed, life, name)
    for name, acks in ((name, acks) for memory in memories.values() for name, acks in memory.acks.items()):
        assert {ack["status"] for ack in acks} <= {"ACCEPTED", "FILLED"}, (seed, name, acks)
        found = [event for event in acks[0]["events"] if event["type"] == "order" and event["status"] == "accepted"]
        assert found and found[0]["client_order_id"] == name, (seed, name, acks)
        key = found[0]["participant"], acks[0]["seq"], found[0]["index"]
        assert without_times(found[0]) == events.get(key), (seed, name, acks)
